"""The linear response of one unit: the blocks A, L, R, Q, by forward-mode differentiation."""

from __future__ import annotations

from typing import NamedTuple

import jax

from gatefield.cells.base import AbstractCell, over_units, stacked_outputs, stacked_rule
from gatefield.core.types import Array, Drives, Fields, Float, States


class UnitBlocks(NamedTuple):
    """Derivatives of rule and outputs, for every unit (the unit axis first).

    Attributes
    ----------
    A
        d rule / d state, (N, d, d).
    L
        d rule / d fields, (N, d, K).
    R
        d outputs / d state, (N, K, d).
    Q
        d outputs / d fields, (N, K, K), strictly lower triangular.
    """

    A: Float[Array, "unit component component"]
    L: Float[Array, "unit component field"]
    R: Float[Array, "unit field component"]
    Q: Float[Array, "unit field field"]


def unit_blocks(cell: AbstractCell, state: States, fields: Fields, drive: Drives) -> UnitBlocks:
    """Differentiate a cell's rule and outputs at given states, fields and drives.

    The Jacobian of a network is A + L (1 - J Q)^-1 J R with block-diagonal J.

    Parameters
    ----------
    cell
        Any cell.
    state, fields, drive
        Arrays (d, N), (K, N) and (drives, N).

    Returns
    -------
    UnitBlocks
        A, L, R, Q of each unit, in the precision of the arguments.
    """

    def derivatives(unit, *values):
        by_state, by_fields = jax.jacfwd(stacked_rule, argnums=(1, 2))(unit, *values)
        out_state, out_fields = jax.jacfwd(stacked_outputs, argnums=(1, 2))(unit, *values)
        return UnitBlocks(by_state, by_fields, out_state, out_fields)

    return over_units(derivatives, cell, state, fields, drive, out_axis=0)
