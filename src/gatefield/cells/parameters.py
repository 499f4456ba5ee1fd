"""The parameters of a cell by which gradients are taken, and what its gains say of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells.base import AbstractCell, check_cell
from gatefield.core.errors import refuse
from gatefield.core.types import Array


def parameter_names(cell: AbstractCell) -> tuple[str, ...]:
    """Return the names of a cell's parameters that are numbers, in the order of its leaves.

    Those of a part of the cell have its name before them: "part.bias".
    """
    leaves = jax.tree_util.tree_leaves_with_path(cell)
    return tuple(jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves)


def check_parameter_names(cell: AbstractCell) -> None:
    """Refuse a parameter that has the name of a gradient by couplings, "J_" and the field.

    Raises
    ------
    InvalidInputError
        If there is one.
    """
    taken = {f"J_{name}" for name in cell.field_names}
    for name in parameter_names(cell):
        if name in taken:
            expected = "a name other than that of the gradient by a field's couplings"
            refuse(f"parameter of {type(cell).__name__}", name, expected, "Rename the parameter.")


def check_shared(cell: Any) -> AbstractCell:
    """Return a cell all of whose parameters are shared by the units, refuse others.

    Raises
    ------
    InvalidInputError
        For what is no cell, or one with an array among its parameters and gains.
    """
    cell = check_cell(cell)
    named = dict(zip(parameter_names(cell), jax.tree.leaves(cell), strict=True))
    for name, value in {**named, **cell.gains()}.items():
        if np.ndim(value) > 0:
            remedy = "Sampled units share their parameters: give random ones as a GaussianInput."
            refuse(f"cell.{name}.shape", np.shape(value), "()", remedy)
    return cell


def with_parameters(cell: AbstractCell, values: Any) -> AbstractCell:
    """Return the cell with other parameters, in the order of `parameter_names`."""
    return jax.tree.unflatten(jax.tree.structure(cell), list(values))


def stacked_gains(cell: AbstractCell, dtype: Any = float) -> Array:
    """Return the gains of one unit's fields, (K,)."""
    gains = cell.gains()
    return jnp.stack([jnp.asarray(gains[name], dtype) for name in cell.field_names])


def per_gain(cell: AbstractCell, fields: Array) -> Array:
    """Return one unit's fields over their gains, which a gain scales; zero where it is zero."""
    gains = stacked_gains(cell)
    return jnp.where(gains > 0, fields / jnp.where(gains > 0, gains, 1.0), 0.0)


def known_parameters(cell: AbstractCell) -> tuple[str, ...]:
    """Return the parameters whose gradient is known: not those on which a gain of zero depends.

    Couplings of zero do not tell in which direction a gain would scale them.
    """
    with jax.enable_x64(True):
        leaves = [jnp.asarray(leaf, float) for leaf in jax.tree.leaves(cell)]
        if not leaves:
            return ()
        units = max(leaf.size for leaf in leaves)
        values = [jnp.broadcast_to(leaf, (units,)) for leaf in leaves]

        def own(values):
            return stacked_gains(with_parameters(cell, values))

        shut = np.asarray(jax.vmap(own)(values)) == 0
        slopes = jax.vmap(jax.jacfwd(own))(values)
        return tuple(
            name
            for name, slope in zip(parameter_names(cell), slopes, strict=True)
            if not np.any(np.asarray(slope)[shut])
        )
