"""Recurrent modules of Flax nnx as networks of gatefield."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from gatefield.bridge.flax.modules import cell_of, places_of, slots_of
from gatefield.bridge.weights import ROWS, layered_network
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray
from gatefield.networks import LayeredNetwork


def from_flax(module: Any, *, dtype: str | None = None) -> LayeredNetwork:
    r"""Return the layers of a SimpleCell, GRUCell, LSTMCell or OptimizedLSTMCell of flax.nnx.

    With the transposes of the module's kernels, for every layer and direction,

    .. math:: u^a = J^a h, \qquad I^a(n) = W^a x(n)

    and the biases in the cell. Weights are copied: training on does not change the result.

    Parameters
    ----------
    module
        A cell, a flax.nnx.RNN of one, a flax.nnx.Bidirectional of two that concatenates; or a
        sequence of these of one kind, from the input up, each reading the outputs of the one below.
    dtype
        "float64" or "float32"; by default that of a module that computes in double precision is
        "float64", of any other "float32".

    Returns
    -------
    LayeredNetwork
        Its states are (h, c) for an LSTM, where Flax's carry is (c, h).

    Raises
    ------
    InvalidInputError
        For other modules, functions or sizes, an RNN that runs in reverse alone, or weights that
        are not finite.

    References
    ----------
    The documentation of flax.nnx.
    """
    given = list(module) if isinstance(module, Sequence) else [module]
    levels = [_directions(each) for each in given]
    cells = [cell for level in levels for cell in level]
    slots = [slots_of(cell) for cell in cells]
    same = {(each.kind, *each.fixed.values()) for each in slots}
    if len(same) != 1 or len({len(level) for level in levels}) != 1:
        expected = "cells of one kind, in one direction or all in both"
        refuse("module", [type(cell).__name__ for cell in cells], expected, "Pass them one by one.")
    weights = {}
    for depth, level in enumerate(levels):
        for cell, end in zip(level, ("", "_reverse"), strict=False):
            weights |= {f"{name}_l{depth}{end}": value for name, value in _arrays(cell).items()}
    double = any(_computes_in(cell) == "float64" for cell in cells)
    return layered_network(
        weights,
        where="module",
        dtype=dtype if dtype is not None else "float64" if double else "float32",
        kind=slots[0].kind,
        nonlinearity=slots[0].fixed.get("activation"),
    )


def _directions(module: Any) -> list[Any]:
    """Return the cells of one level, forward before reverse."""
    nnx: Any = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(module, nnx.Bidirectional):
        pair = (np.array([1.0]), np.array([2.0]))
        merged = np.asarray(module.merge_fn(*pair))
        if merged.tolist() != [1.0, 2.0]:
            refuse("module.merge_fn", module.merge_fn, "a concatenation", "Read its parts alone.")
        return [cell_of(module.forward_rnn)[0], cell_of(module.backward_rnn)[0]]
    if nnx is not None and isinstance(module, nnx.RNN) and module.reverse:
        remedy = "Pass its cell, which reads inputs in its own order, or a Bidirectional."
        refuse("module.reverse", True, "False", remedy)
    return [cell_of(module)[0]]


def _computes_in(cell: Any) -> str:
    own = cell.dtype
    return str(places_of(*cell_of(cell)).couplings[0][0].dtype if own is None else np.dtype(own))


def _arrays(cell: Any) -> dict[str, HostArray]:
    """Return a cell's weights under PyTorch's names and in its order."""
    kind = cell_of(cell)[1]
    places = places_of(cell, kind)

    def stacked(part: Any) -> HostArray:
        """Return the rows of all fields, for which the last axis is cut."""
        found = {}
        for variable, fields in part:
            rows = np.split(np.asarray(variable.get_value(), np.float64).T, len(fields))
            found |= dict(zip(fields, rows, strict=True))
        return np.concatenate([found[field] for field in ROWS[kind]])

    bias = stacked(places.biases)
    return {
        "weight_ih": stacked(places.inputs),
        "weight_hh": stacked(places.couplings),
        "bias_ih": bias,
        "bias_hh": np.zeros_like(bias),
    }
