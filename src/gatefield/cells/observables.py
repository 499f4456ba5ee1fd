"""Everything that can be correlated in a unit, by name: states, fields, outputs, observables."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import jax.numpy as jnp

from gatefield.cells.base import AbstractCell, stacked_outputs, unpack
from gatefield.core.errors import refuse
from gatefield.core.types import Array, Unit


@runtime_checkable
class Observed(Protocol):
    """A cell with named functions of a unit beside its state, such as its gates; optional."""

    def observables(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return further functions of one unit, by name."""
        ...


def quantity_names(cell: AbstractCell) -> tuple[str, ...]:
    """Name the quantities of a cell in the order of `stacked_quantities`.

    Parameters
    ----------
    cell
        Any cell.

    Returns
    -------
    tuple of str
        The state's components by their own names, the coupling fields as ``eta_<field>``, the
        outputs that these fields receive as ``y_<field>``, and the cell's ``observables``.

    Raises
    ------
    InvalidInputError
        If two quantities have one name, such as a component of the state called "y_h" beside the
        output to a field h.
    """
    own = _observables(cell, *(dict.fromkeys(names, 0.0) for names in _names(cell)))
    names = (
        *cell.state_names,
        *(f"eta_{name}" for name in cell.field_names),
        *(f"y_{name}" for name in cell.field_names),
        *own,
    )
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        remedy = "Rename a component of the state, a field or an observable."
        refuse(f"quantities of {type(cell).__name__}", doubled, "each name once", remedy)
    return names


def stacked_quantities(cell: AbstractCell, state: Array, fields: Array, drive: Array) -> Array:
    """Return one unit's quantities (quantity,) from stacked state (d,), fields (K,) and drive.

    For many units map it with `gatefield.cells.base.over_units`.
    """
    named = (
        unpack(names, each)
        for names, each in zip(_names(cell), (state, fields, drive), strict=True)
    )
    own = _observables(cell, *named)
    rest = [jnp.stack(list(own.values()))] if own else []
    return jnp.concatenate([state, fields, stacked_outputs(cell, state, fields, drive), *rest])


def _names(cell: AbstractCell) -> tuple[tuple[str, ...], ...]:
    return cell.state_names, cell.field_names, cell.drive_names


def _observables(cell: AbstractCell, state: Unit, fields: Unit, drive: Unit) -> Unit:
    return cell.observables(state, fields, drive) if isinstance(cell, Observed) else {}
