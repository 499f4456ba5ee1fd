"""Random couplings: the one place that knows J_ij ~ N(0, gain^2 / N)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell, Wiring
from gatefield.core.checks import as_parameter, check_names
from gatefield.core.errors import refuse
from gatefield.core.types import Array, Float

Stacked = tuple[Float[Array, "_ unit"], ...]
"""For each distinct output the matrices of the fields that read it, stacked: (fields N, N)."""


def sample_couplings(cell: AbstractCell, wires: Wiring, n: int, seed: int, dtype: Any) -> Stacked:
    r"""Draw every coupling matrix: :math:`J^a_{ij} \sim N(0, \mathrm{gain}_a^2/N)`, independent.

    Parameters
    ----------
    cell
        Its `gains` scale the matrices; a gain of shape (N,) scales the rows.
    wires
        The cell's wiring.
    n
        Number of units N.
    seed
        Each field's matrix depends on the seed and on the field's place alone.
    dtype
        Precision of the matrices.

    Returns
    -------
    tuple of arrays
        One (fields N, N) matrix for each group of ``wires``.
    """
    key, gains = jax.random.key(seed), cell.gains()
    scales = [
        jnp.reshape(jnp.asarray(gains[name], dtype) / np.sqrt(n).astype(dtype), (-1, 1))
        for name in cell.field_names
    ]
    return tuple(
        _draw(key, [scales[field] for field in group], group, n, dtype) for group in wires.groups
    )


@functools.partial(jax.jit, static_argnames=("fields", "n", "dtype"))
def _draw(key, scales, fields, n, dtype):
    """Return the stacked matrices of several fields, each from its own key."""
    return jnp.concatenate(
        [
            scale * jax.random.normal(jax.random.fold_in(key, field), (n, n), dtype)
            for field, scale in zip(fields, scales, strict=True)
        ]
    )


def stack_couplings(
    cell: AbstractCell, wires: Wiring, given: Mapping[str, Any], dtype: Any
) -> Stacked:
    """Check matrices given by field name, and stack them by the cell's wiring.

    Parameters
    ----------
    cell
        Names the fields; its gains are not applied, since given matrices are taken as they are.
    wires
        The cell's wiring.
    given
        A square (N, N) matrix for each field.
    dtype
        Precision of the result.

    Raises
    ------
    InvalidInputError
        If a field is missing or unknown, a matrix is not square or not finite, or sizes differ.
    """
    check_names("couplings", given, cell.field_names, every=True)
    matrices = {
        name: as_parameter(f"couplings[{name!r}]", matrix).astype(dtype)
        for name, matrix in given.items()
    }
    shape = matrices[cell.field_names[0]].shape
    for name, matrix in matrices.items():
        square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.size > 0
        if not square or matrix.shape != shape:
            expected = "square matrices of one size"
            refuse(
                f"couplings[{name!r}].shape", matrix.shape, expected, "One (N, N) for each field."
            )
    return tuple(
        jnp.concatenate([jnp.asarray(matrices[cell.field_names[field]]) for field in group])
        for group in wires.groups
    )


def send(stacked: Float[Array, "_ unit"], output: Float[Array, " unit"]) -> Float[Array, "_ unit"]:
    """Return J y for every stacked matrix: (fields, N)."""
    return (stacked @ output).reshape(-1, output.shape[-1])


def send_back(
    stacked: Float[Array, "_ unit"], fields: Float[Array, "_ unit"]
) -> Float[Array, " unit"]:
    """Return sum_a (J^a)^T u^a, the transpose of `send`."""
    return fields.reshape(-1) @ stacked
