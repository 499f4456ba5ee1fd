"""The weights of a recurrent module under PyTorch's names, as layers of networks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from gatefield.cells import GRU, LSTM, AbstractMap, ElmanRNN
from gatefield.core.checks import check_choice
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray
from gatefield.networks import Layer, LayeredNetwork, Network

ROWS = {"RNN": ("h",), "GRU": ("r", "z", "n"), "LSTM": ("i", "f", "g", "o")}
"""For each kind of module its fields, in the order in which PyTorch stacks their rows."""

_NAME = re.compile(r"(?:weight|bias)_(?:ih|hh)(?:_l(0|[1-9][0-9]{0,5})(_reverse)?)?")
_OF_A_LAYER = re.compile(r".*_l[0-9]+(?:_reverse)?")


class Shape(NamedTuple):
    """How many layers a module has, whether in both directions, with biases, or a single cell."""

    depth: int
    bidirectional: bool
    bias: bool
    lone: bool = False  # an nn.GRUCell, say, whose names have no layer

    def suffixes(self) -> list[tuple[int, bool, str]]:
        """Return depth, direction and end of the names for each layer, in the order of h_n."""
        if self.lone:
            return [(0, False, "")]
        directions = (False, True) if self.bidirectional else (False,)
        return [
            (depth, reverse, f"_l{depth}" + "_reverse" * reverse)
            for depth in range(self.depth)
            for reverse in directions
        ]

    def names(self) -> list[str]:
        """Return all names that such a module has."""
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if self.bias else 2]
        return [part + suffix for _, _, suffix in self.suffixes() for part in parts]


def is_weight(name: str) -> bool:
    """Return whether a name is one of PyTorch's for a parameter of a recurrent module."""
    return _NAME.fullmatch(name) is not None


def shape_of(names: Iterable[str], where: str) -> Shape:
    """Return the shape of the module that has these names.

    Parameters
    ----------
    names
        Names without their prefix.
    where
        What they belong to, for messages.

    Raises
    ------
    InvalidInputError
        If some are missing, belong to layers that PyTorch's modules do not have, or to a module
        and a cell at once.
    """
    given = set(names)
    strange = sorted(n for n in given if _OF_A_LAYER.fullmatch(n) and not is_weight(n))
    if any(name.startswith("weight_hr") for name in strange):
        remedy = "Train without projections: their output is no state of the units."
        refuse(where, strange, "an LSTM with proj_size = 0", remedy)
    if strange:
        refuse(where, strange, "weights of an nn.RNN, nn.GRU or nn.LSTM alone", "Another layer?")
    matches = [match for match in map(_NAME.fullmatch, given) if match is not None]
    lone = [match[1] is None for match in matches]
    if any(lone) and not all(lone):
        remedy = "Its layers end in _l0, _l1, ...; a single cell has neither."
        refuse(where, sorted(given), "weights of a module or of a cell, not of both", remedy)
    depth = 1 + max((int(match[1] or 0) for match in matches), default=-1)
    if depth > len(given):
        refuse(where, sorted(given), f"weights of each of {depth} layers", "Add the missing ones.")
    shape = Shape(
        depth,
        any(match[2] is not None for match in matches),
        any(name.startswith("bias") for name in given),
        any(lone),
    )
    missing = [name for name in shape.names() if name not in given]
    if missing or not matches:
        remedy = "Save the whole state_dict of the module."
        refuse(f"weights missing from {where}", missing, "none", remedy)
    return shape


def layered_network(
    weights: Mapping[str, HostArray],
    *,
    where: str,
    dtype: str,
    kind: str | None = None,
    nonlinearity: str | None = None,
) -> LayeredNetwork:
    """Build the layers from arrays under PyTorch's names.

    Parameters
    ----------
    weights
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ... by name, those of a single cell
        without _l0; biases all or none.
    where
        What they belong to, for messages.
    dtype
        "float64" or "float32".
    kind
        "RNN", "GRU" or "LSTM"; by default from the ratio of rows to columns of weight_hh_l0.
    nonlinearity
        "tanh" (default) or "relu", for "RNN" alone.

    Returns
    -------
    LayeredNetwork

    Raises
    ------
    InvalidInputError
        If names are missing or unknown, shapes do not fit, or values are not finite.
    """
    shape = shape_of(weights, where)
    lowest = shape.suffixes()[0][2]
    if kind is None:
        kind = _kind_of(weights[f"weight_hh{lowest}"], f"{where}: weight_hh{lowest}")
    check_choice("kind", kind, ROWS)
    if nonlinearity is not None and kind != "RNN":
        refuse("nonlinearity", nonlinearity, f"None for {kind}", "Its functions are fixed.")
    fields = ROWS[kind]
    recurrent = weights[f"weight_hh{lowest}"].shape
    n = recurrent[-1] if len(recurrent) == 2 else 0
    rows = len(fields) * n
    features = weights[f"weight_ih{lowest}"].shape[-1:]
    above = (n * (1 + shape.bidirectional),)
    layers = []
    for depth, reverse, suffix in shape.suffixes():
        columns = above if depth else features
        expected = {"weight_ih": (rows, *columns), "weight_hh": (rows, n)}
        if shape.bias:
            expected |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        own = {
            part: _split(weights[part + suffix], fields, size, f"{where}: {part}{suffix}", kind)
            for part, size in expected.items()
        }
        cell = _cell(kind, nonlinearity or "tanh", own)
        network = Network.of_couplings(cell, own["weight_hh"], dtype=dtype)
        layers.append(Layer(network, own["weight_ih"], depth=depth, reverse=reverse))
    return LayeredNetwork(layers)


def _kind_of(recurrent: HostArray, name: str) -> str:
    shape = recurrent.shape
    for kind, fields in ROWS.items():
        if len(shape) == 2 and 0 < shape[0] == len(fields) * shape[1]:
            return kind
    expected = "(G N, N) with G = 1 (RNN), 3 (GRU) or 4 (LSTM)"
    refuse(f"{name}.shape", shape, expected, "Other architectures are not known.")


def _split(
    array: HostArray, fields: tuple[str, ...], shape: tuple[int, ...], name: str, kind: str
) -> dict[str, HostArray]:
    """Check an array and cut its rows into those of each field."""
    if array.shape != shape or array.size == 0:
        refuse(f"{name}.shape", array.shape, f"{shape} for this {kind}", "Is it of another kind?")
    if not np.all(np.isfinite(array)):
        remedy = "The training diverged, or the file is damaged."
        refuse(name, "values that are not finite", "finite numbers", remedy)
    return dict(zip(fields, np.split(array, len(fields)), strict=True))


def _cell(kind: str, nonlinearity: str, own: Mapping[str, Mapping[str, HostArray]]) -> AbstractMap:
    """Return the cell, whose gains are those that couplings of this size would be drawn with."""
    fields = ROWS[kind]
    n = own["weight_hh"][fields[0]].shape[1]
    gains = {a: np.linalg.norm(own["weight_hh"][a]) / np.sqrt(n) for a in fields}
    of_input, of_state = (
        own.get(part, dict.fromkeys(fields, 0.0)) for part in ("bias_ih", "bias_hh")
    )
    biases = {a: of_input[a] + of_state[a] for a in fields}
    if kind == "RNN":
        return ElmanRNN(gains["h"], biases["h"], activation=nonlinearity)
    named = {f"gain_{a}": gain for a, gain in gains.items()}
    named |= {f"bias_{a}": bias for a, bias in biases.items()}
    if kind == "LSTM":
        return LSTM(**named)
    # The reset gate multiplies one of the candidate's two biases.
    return GRU(**{**named, "bias_n": of_input["n"], "bias_hn": of_state["n"]})
