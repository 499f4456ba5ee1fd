"""Weights of a cell for one module of JAX, drawn and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import GRU, LSTM, AbstractCell, ElmanRNN, GatedRNN
from gatefield.cells.base import check_cell
from gatefield.core.checks import as_number, check_choice, check_names, concrete
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray
from gatefield.initialise.couplings import COUPLINGS, draw_couplings

CELLS: dict[str, type[AbstractCell]] = {
    "RNN": ElmanRNN,
    "GRU": GRU,
    "LSTM": LSTM,
    "gated": GatedRNN,
}
"""The cell that each kind of module computes."""


class Slots(NamedTuple):
    """What a module has room for.

    Attributes
    ----------
    kind, units, features
        "RNN", "GRU", "LSTM" or "gated"; number of units N and of features.
    parameters
        The cell's parameters that the module stores, with their shapes.
    without
        What to do where a bias is wanted that it does not store.
    fixed
        Parameters that the module's class decides.
    kept
        Parameters that stay as they are unless others are given.
    own_variance, own_law
        Variance and law, "uniform" or "normal", of an input weight as the module's class draws it.
    dt
        Time of one step.
    """

    kind: str
    units: int
    features: int
    parameters: Mapping[str, tuple[int, ...]]
    without: str
    fixed: Mapping[str, str]
    kept: Mapping[str, Any]
    own_variance: float
    own_law: str
    dt: float = 1.0

    def input_gains(self, given: Any) -> dict[str, float]:
        """Return the gains of the input weights that are given, by drive."""
        drives = CELLS[self.kind].drive_names
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            given = dict.fromkeys(drives, given)
        check_names("input_gain", given, drives)
        return {
            name: as_number(f"input_gain of {name!r}", gain, nonnegative=True)
            for name, gain in given.items()
        }


class Weights(NamedTuple):
    """Weights by the names of the cell: couplings and inputs by field, parameters by their own."""

    couplings: dict[str, HostArray]
    inputs: dict[str, HostArray]
    parameters: dict[str, HostArray]


def generator_of(key: Any) -> np.random.Generator:
    """Return NumPy's generator that a key of JAX seeds.

    Parameters
    ----------
    key
        One key, by jax.random.key or jax.random.PRNGKey.

    Raises
    ------
    InvalidInputError
        For what is no key, several keys, or a traced one.
    """
    remedy = "Pass jax.random.key(0)."
    if not isinstance(key, (jax.Array, np.ndarray)):
        refuse("key", key, "a key of JAX", remedy)
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if key.ndim != (0 if typed else 1) or not (typed or key.dtype == np.uint32):
        refuse("key", f"{key.dtype}{list(key.shape)}", "one key of JAX", remedy)
    data = concrete(jax.random.key_data(key) if typed else key)
    if data is None:
        remedy = "Call initialisers outside of jit and vmap: they solve and draw on the host."
        refuse("key", key, "a key with a value", remedy)
    return np.random.default_rng(data.ravel().tolist())


def draw_weights(
    slots: Slots,
    cell: Any,
    generator: np.random.Generator,
    *,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
) -> Weights:
    r"""Draw the weights of a module from a cell.

    .. math:: J^a_{ij} \text{ of variance } \mathrm{gain}_a^2 / N, \qquad
        W^a_{ij} \text{ of variance } \mathrm{input\_gain}^2 / \mathrm{features}

    Parameters
    ----------
    slots
        What the module has room for.
    cell
        A cell of the module's kind; parameters of shape (N,) are per unit.
    generator
        The source of random numbers: couplings are drawn first, in the order of the fields.
    couplings
        "normal", "orthogonal" or "uniform", all of the same variance.
    input_gain
        Gain of the input weights, which are then normal, one for all drives or by drive; those of
        drives that are not named are as the module's own class draws them.

    Returns
    -------
    Weights
        In double precision.

    Raises
    ------
    InvalidInputError
        For a cell of another kind, parameters of another shape, or a bias that the module lacks.
    """
    check_fits(slots, cell)
    check_choice("couplings", couplings, COUPLINGS)
    gains = slots.input_gains(input_gain)
    drawn = draw_couplings(cell, slots.units, generator, couplings)
    inputs = {}
    for name in cell.drive_names:
        uniform = slots.own_law == "uniform" and name not in gains
        shape = (slots.units, slots.features)
        unit = generator.uniform(-1, 1, shape) if uniform else generator.standard_normal(shape)
        own = np.sqrt(slots.own_variance * (3 if uniform else 1))
        inputs[name] = unit * (gains[name] / np.sqrt(slots.features) if name in gains else own)
    parameters = {
        name: np.broadcast_to(np.asarray(getattr(cell, name), float), own).copy()
        for name, own in slots.parameters.items()
    }
    return Weights(drawn, inputs, parameters)


def check_fits(slots: Slots, cell: Any) -> AbstractCell:
    """Return a cell that the module can be, refuse others."""
    known = CELLS[slots.kind]
    if not isinstance(check_cell(cell), known):
        remedy = f"The module is of kind {slots.kind}."
        refuse("cell", cell, f"a gatefield.{known.__name__}", remedy)
    own = vars(cell)
    for name, value in slots.fixed.items():
        if own[name] != value:
            refuse(f"cell.{name}", own[name], f"{value!r}, as the module's", "Make them agree.")
    for name, value in own.items():
        if isinstance(value, str):
            continue
        stored = slots.parameters.get(name)
        allowed = [(), (slots.units,)] if stored is None else [(), stored]
        if np.shape(value) not in allowed:
            expected = " or ".join(map(str, dict.fromkeys(allowed)))
            remedy = f"The module has {slots.units} units."
            refuse(f"cell.{name}.shape", np.shape(value), expected, remedy)
        if stored is None and name.startswith("bias") and np.any(np.asarray(value) != 0):
            refuse(f"cell.{name}", value, "0, since the module has no such bias", slots.without)
    return cell
