"""What a cell is: the rule of one unit, which meets the other units only through its fields."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.checks import check_choice
from gatefield.core.errors import refuse
from gatefield.core.types import Array, Unit

Result = TypeVar("Result")


class AbstractCell(eqx.Module):
    r"""The per-unit rule of a gated network: subclass `AbstractFlow` or `AbstractMap`, not this.

    A network is N copies of the rule that meet only through random couplings,

    .. math:: u^a_i = \sum_j J^a_{ij} y^a_j, \qquad J^a_{ij} \sim N(0, \mathrm{gain}_a^2 / N).

    A subclass states the rule of ONE unit: scalars in, scalars out, no unit axis. Parameters are
    fields of the class: a scalar is shared by all units, an array of shape (N,) is per unit.

    Attributes
    ----------
    state_names
        The components of a unit's state, d names.
    field_names
        The coupling fields that a unit receives, K names. A field's output may read fields that
        stand earlier in this order.
    drive_names
        The places where external input enters.
    """

    state_names: eqx.AbstractClassVar[tuple[str, ...]]
    field_names: eqx.AbstractClassVar[tuple[str, ...]]
    drive_names: eqx.AbstractClassVar[tuple[str, ...]]

    @abstractmethod
    def gains(self) -> Mapping[str, Any]:
        """Return the gain of each field's couplings, by field name (1 for variance 1/N)."""

    @abstractmethod
    def outputs(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return what the unit sends out, by the name of the field that receives it.

        Fields that read the same output must be given the same object: it is multiplied once.
        """

    @abstractmethod
    def rule(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return ds/dt (flows) or the next state (maps), by state name."""

    def __repr__(self) -> str:
        """Show the parameters as numbers, arrays by their shape."""
        shown = []
        for name, value in vars(self).items():
            if isinstance(value, str):
                shown.append(f"{name}={value!r}")
            elif isinstance(value, np.ndarray) and value.ndim == 0:
                shown.append(f"{name}={float(value):g}")
            else:
                shown.append(f"{name}={eqx.tree_pformat(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


class AbstractFlow(AbstractCell):
    """A cell in continuous time: `rule` is ds/dt; time in units of the unit's time constant."""


class AbstractMap(AbstractCell):
    """A cell in discrete time: `rule` is the next state; time counts steps."""


def check_cell(cell: Any) -> AbstractCell:
    """Return a cell whose parameters are numbers, refuse anything else.

    Raises
    ------
    InvalidInputError
        If it is no instance of `AbstractCell`, or a field that is not static is not numeric.
    """
    if not isinstance(cell, AbstractCell):
        refuse("cell", cell, "an instance of AbstractFlow or AbstractMap", "Build the cell.")
    for leaf in jax.tree.leaves(cell):
        if not isinstance(leaf, (int, float, np.ndarray, np.generic, jax.Array)):
            remedy = "Declare fields that are no numbers as equinox.field(static=True)."
            refuse(f"parameter of {type(cell).__name__}", leaf, "a number or an array", remedy)
    return cell


def check_drive(cell: AbstractCell, drive: str | None, name: str = "drive") -> str:
    """Return the name of a drive of a cell, the first one by default.

    Parameters
    ----------
    cell
        Any cell.
    drive
        What was asked for, or None.
    name
        What the drive is called in messages.

    Raises
    ------
    InvalidInputError
        For what is no cell, a cell without drives, or an unknown drive.
    """
    known = check_cell(cell).drive_names
    if not known:
        expected = f"a cell that takes input: {type(cell).__name__} has no drives"
        refuse(name, drive, expected, "Declare drive_names in its class and use them in its rule.")
    return check_choice(name, known[0] if drive is None else drive, known)


def pack(names: tuple[str, ...], values: Unit) -> Array:
    """Stack named values into one array, first axis in the order of the names."""
    return jnp.stack([jnp.asarray(values[name]) for name in names]) if names else jnp.zeros((0,))


def unpack(names: tuple[str, ...], values: Array) -> Unit:
    """Name the entries of an array's first axis."""
    return {name: values[index] for index, name in enumerate(names)}


def stacked_outputs(cell: AbstractCell, state: Array, fields: Array, drive: Array) -> Array:
    """Return one unit's outputs (K,) from stacked state (d,), fields (K,) and drive."""
    sent = cell.outputs(
        unpack(cell.state_names, state),
        unpack(cell.field_names, fields),
        unpack(cell.drive_names, drive),
    )
    return pack(cell.field_names, sent)


def stacked_rule(cell: AbstractCell, state: Array, fields: Array, drive: Array) -> Array:
    """Return one unit's rule (d,) from stacked state (d,), fields (K,) and drive."""
    changed = cell.rule(
        unpack(cell.state_names, state),
        unpack(cell.field_names, fields),
        unpack(cell.drive_names, drive),
    )
    return pack(cell.state_names, changed)


def over_units(
    function: Callable[..., Result], cell: AbstractCell, *arrays: Array, out_axis: int = -1
) -> Result:
    """Apply ``function(cell, *columns)`` to every unit of arrays whose last axis is the unit's.

    Parameters
    ----------
    function
        A function of a cell with scalar parameters and of one column of each array.
    cell
        Scalar parameters are shared, parameters of shape (N,) are handed out unit by unit.
    arrays
        Arrays of shape (..., N).
    out_axis
        Where the unit axis stands in the result.

    Returns
    -------
    array
        The function's results, stacked along ``out_axis``.
    """
    axes = jax.tree.map(lambda leaf: 0 if np.ndim(leaf) == 1 else None, cell)
    mapped = jax.vmap(function, in_axes=(axes,) + (-1,) * len(arrays), out_axes=out_axis)
    return mapped(cell, *arrays)


def cast(cell: AbstractCell, dtype: Any) -> AbstractCell:
    """Return the cell with its parameters in the given precision."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), cell)
