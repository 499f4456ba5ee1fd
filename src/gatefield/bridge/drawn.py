"""Weights for the layers of a module of any framework, checked and drawn before any is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell
from gatefield.cells.base import check_cell
from gatefield.core.checks import as_number, check_choice, check_names, concrete
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray
from gatefield.initialise import bias_names
from gatefield.initialise.couplings import COUPLINGS, draw_couplings
from gatefield.initialise.kinds import KINDS

InputGain = float | Mapping[str, float] | None
"""Gain of the input weights, one for all drives or by drive; None for the class's own weights."""


class Slots(NamedTuple):
    """What one layer of a module has room for, in one direction.

    Attributes
    ----------
    kind, units, features
        "RNN", "GRU", "LSTM" or "gated"; number of units N and of features.
    parameters
        The cell's parameters that the layer stores, with their shapes.
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
    name, depth
        What messages call it; how many layers are below.
    """

    kind: str
    units: int
    features: int
    parameters: Mapping[str, tuple[int, ...]]
    without: str
    fixed: Mapping[str, Any]
    kept: Mapping[str, Any]
    own_variance: float
    own_law: str
    dt: float = 1.0
    name: str = "the module"
    depth: int = 0

    @property
    def cell(self) -> type[AbstractCell]:
        """The class of cell that the layer computes."""
        return KINDS[self.kind].cell

    def input_gains(self, given: Any) -> dict[str, float]:
        """Return the gains of the input weights that are given, by drive."""
        drives = self.cell.drive_names
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            given = dict.fromkeys(drives, given)
        check_names("input_gain", given, drives)
        return {
            name: as_number(f"input_gain of {name!r}", gain, nonnegative=True)
            for name, gain in given.items()
        }


def biases_of(kind: str) -> dict[str, str]:
    """Return the parameter of a kind's cell that is the bias of each field."""
    return bias_names(KINDS[kind].cell())


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


def weights_by(
    recipe: Callable[..., tuple[Sequence[AbstractCell], InputGain]],
    slots: Sequence[Slots],
    generator: np.random.Generator,
    *,
    couplings: str,
    input_gain: InputGain,
    **options: Any,
) -> list[Weights]:
    """Return the weights of the layers of a module, of the cells that a recipe makes for them.

    Parameters
    ----------
    recipe
        One of `gatefield.bridge.recipe_cells`.
    slots
        The layers of one module, in the order in which they are drawn.
    generator
        The source of random numbers: recipes draw from it first, then one layer after the other.
    couplings, input_gain
        As in `draw_weights`.
    **options
        Those of the recipe.

    Raises
    ------
    InvalidInputError, NumericalFailureError
        As the recipe, and as `draw_weights`; what needs no solution is checked before it.
    """
    check_choice("couplings", couplings, COUPLINGS)
    slots[0].input_gains(input_gain)
    cells, gains = recipe(slots, generator, input_gain, **options)
    for each, cell in zip(slots, cells, strict=True):
        check_fits(each, cell)
    return [
        draw_weights(each, cell, generator, couplings=couplings, input_gain=gains)
        for each, cell in zip(slots, cells, strict=True)
    ]


def draw_weights(
    slots: Slots,
    cell: AbstractCell,
    generator: np.random.Generator,
    *,
    couplings: str = "normal",
    input_gain: InputGain = None,
) -> Weights:
    r"""Draw the weights of a layer from a cell that fits it.

    .. math:: J^a_{ij} \text{ of variance } \mathrm{gain}_a^2 / N, \qquad
        W^a_{ij} \text{ of variance } \mathrm{input\_gain}^2 / \mathrm{features}

    Parameters
    ----------
    slots
        What the layer has room for.
    cell
        A cell of the layer's kind; parameters of shape (N,) are per unit.
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
    """
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
    """Return a cell that the layer can be, refuse others."""
    if not isinstance(check_cell(cell), slots.cell):
        remedy = f"{slots.name} is of kind {slots.kind}."
        refuse("cell", cell, f"a gatefield.{slots.cell.__name__}", remedy)
    own = vars(cell)
    for name, value in slots.fixed.items():
        if own[name] != value:
            refuse(f"cell.{name}", own[name], f"{value!r}, as the module's", "Make them agree.")
    shortest = min([1.0, *(float(np.min(own[name])) for name in own if name.startswith("tau"))])
    # Half precision rounds the time constants of a module by as much as 2^-8.
    if slots.dt > shortest * (1 + 2**-8):
        remedy = "Euler's method needs a shorter step: build the module with a smaller dt."
        refuse("module.dt", slots.dt, f"at most {shortest:g}, the cell's shortest time", remedy)
    for name, value in own.items():
        if isinstance(value, str):
            continue
        stored = slots.parameters.get(name)
        allowed = [(), (slots.units,)] if stored is None else [(), stored]
        if np.shape(value) not in allowed:
            expected = " or ".join(map(str, dict.fromkeys(allowed)))
            remedy = f"{slots.name} has {slots.units} units."
            refuse(f"cell.{name}.shape", np.shape(value), expected, remedy)
        if stored is None and name.startswith("bias") and np.any(np.asarray(value) != 0):
            refuse(f"cell.{name}", value, "0, since the module has no such bias", slots.without)
    return cell
