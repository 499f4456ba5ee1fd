"""Recurrent modules of Equinox as networks of gatefield."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gatefield.bridge.equinox.gated import GatedRNN
from gatefield.bridge.equinox.modules import slots_of
from gatefield.bridge.weights import layered_network
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray
from gatefield.networks import LayeredNetwork, Network


def from_equinox(module: Any, *, dtype: str | None = None) -> LayeredNetwork | Network:
    r"""Return the network of an equinox.nn.GRUCell, an LSTMCell, a stack of them, or a `GatedRNN`.

    With the module's weights, for every layer,

    .. math:: u^a = W_{hh}^a h, \qquad I^a(n) = W_{ih}^a x(n)

    and both biases in the cell. Weights are copied: training on does not change the result.

    Parameters
    ----------
    module
        The cell itself, not a model that contains it; or a sequence of cells of one kind, from the
        input up, each reading the h of the one below.
    dtype
        "float64" or "float32"; by default that of a module in double precision is "float64", of any
        other "float32".

    Returns
    -------
    LayeredNetwork or Network
        A LayeredNetwork; of a `GatedRNN`, which is a flow, a Network as of ``module.network()``.

    Raises
    ------
    InvalidInputError
        For other modules, stacks whose sizes do not fit, or weights that are not finite.

    References
    ----------
    The documentation of equinox.nn.GRUCell and equinox.nn.LSTMCell.
    """
    if isinstance(module, GatedRNN):
        slots_of(module)
        return module.network(dtype=dtype)
    cells = list(module) if isinstance(module, Sequence) else [module]
    kinds = [slots_of(cell).kind for cell in cells]
    if len(set(kinds)) != 1 or kinds[0] == "gated":
        refuse("module", kinds, "one cell, or several GRUs or LSTMs alike", "Pass them one by one.")
    if len({cell.use_bias for cell in cells}) > 1:
        refuse("use_bias of the cells", "different", "the same in all", "Pass them one by one.")
    weights = {}
    for depth, cell in enumerate(cells):
        weights |= {f"{name}_l{depth}": value for name, value in _arrays(cell).items()}
    double = any(cell.weight_hh.dtype == jnp.float64 for cell in cells)
    return layered_network(
        weights,
        where="module",
        dtype=dtype if dtype is not None else "float64" if double else "float32",
        kind=kinds[0],
    )


def _arrays(cell: Any) -> dict[str, HostArray]:
    """Return a cell's weights under PyTorch's names."""
    own = {name: np.asarray(getattr(cell, name), float) for name in ("weight_ih", "weight_hh")}
    if cell.use_bias:
        own["bias_ih"] = np.asarray(cell.bias, float)
        own["bias_hh"] = np.zeros_like(own["bias_ih"])
        if slots_of(cell).kind == "GRU":
            own["bias_hh"][-cell.hidden_size :] = np.asarray(cell.bias_n, float)
    return own
