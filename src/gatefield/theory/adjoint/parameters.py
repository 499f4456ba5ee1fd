"""The parameters of a cell by which gradients are taken, and what their gains scale."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell
from gatefield.core.types import Array


def parameter_names(cell: AbstractCell) -> tuple[str, ...]:
    """Return the names of a cell's parameters that are numbers, in the order of its leaves."""
    leaves = jax.tree_util.tree_leaves_with_path(cell)
    return tuple(jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves)


def with_parameters(cell: AbstractCell, values: Any) -> AbstractCell:
    """Return the cell with other parameters, in the order of `parameter_names`."""
    return jax.tree.unflatten(jax.tree.structure(cell), list(values))


def stacked_gains(cell: AbstractCell) -> Array:
    """Return the gains of a cell's fields, (K,)."""
    gains = cell.gains()
    return jnp.stack([jnp.asarray(gains[name], float) for name in cell.field_names])


def per_gain(cell: AbstractCell, fields: Array) -> Array:
    """Return one unit's fields over their gains, which a gain scales; zero where it is zero."""
    gains = stacked_gains(cell)
    return jnp.where(gains > 0, fields / jnp.where(gains > 0, gains, 1.0), 0.0)


def known_parameters(cell: AbstractCell) -> tuple[str, ...]:
    """Return the parameters whose gradient is known: not those on which a gain of zero depends."""
    with jax.enable_x64(True):
        values = [jnp.asarray(leaf, float) for leaf in jax.tree.leaves(cell)]
        shut = np.asarray(stacked_gains(cell)) == 0
        slopes = jax.jacfwd(lambda each: stacked_gains(with_parameters(cell, each)))(values)
        names = parameter_names(cell)
        return tuple(
            name
            for name, slope in zip(names, slopes, strict=True)
            if not np.any(np.asarray(slope)[shut])
        )
