"""The parameters of a cell by which gradients are taken, and what their gains scale."""

from __future__ import annotations

import jax.numpy as jnp

from gatefield.cells import AbstractCell
from gatefield.cells.parameters import (
    check_parameter_names,
    known_parameters,
    parameter_names,
    stacked_gains,
    with_parameters,
)
from gatefield.core.types import Array

__all__ = [
    "check_parameter_names",
    "known_parameters",
    "parameter_names",
    "per_gain",
    "stacked_gains",
    "with_parameters",
]


def per_gain(cell: AbstractCell, fields: Array) -> Array:
    """Return one unit's fields over their gains, which a gain scales; zero where it is zero."""
    gains = stacked_gains(cell)
    return jnp.where(gains > 0, fields / jnp.where(gains > 0, gains, 1.0), 0.0)
