"""Orthonormal rows: the QR decomposition of a frame of tangent vectors, by matrix products."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gatefield.core.types import Array, Float

# Rows whose Gram matrix is factored at once: small blocks are quicker, large ones compile sooner.
_SMALL, _LARGE, _MANY = 24, 128, 768
_AT_ONCE = 256  # rows that are made orthogonal to those before: their products need room
SAFE_RATIO = {"float64": 1e-4, "float32": 3e-2}
"""Smallest over largest length in a block below which products are not accurate enough."""


class Orthonormalised(NamedTuple):
    """What `orthonormal_rows` made of its rows.

    Attributes
    ----------
    rows
        (k, n); orthonormal if ``safe``.
    lengths
        What each row was long beyond those before it, (k,); if not ``safe``, what is left to
        multiply it by is in ``rows``, whose lengths `householder_rows` finds.
    safe
        Whether the rows were well enough conditioned for products.
    """

    rows: Float[Array, "row all"]
    lengths: Float[Array, " row"]
    safe: Array


def orthonormal_rows(rows: Float[Array, "row all"]) -> Orthonormalised:
    r"""Orthonormalise rows in their order by matrix products, in place where XLA may.

    .. math:: A = L Q, \qquad Q Q^T = 1, \qquad \mathrm{lengths}_i = L_{ii} > 0

    Halves are orthonormalised one after the other, the second against the first, down to blocks of
    24 rows (of more than 768: 128), which are factored by Cholesky's decomposition of their Gram
    matrix: n k^2 multiplications, nearly all in matrix products. The error of the orthogonality is
    eps longest / shortest, and eps (longest / shortest)^2 of those within a block. A block in which
    that ratio is too large is left as it is (what is subtracted from later rows changes nothing of
    their lengths), and `householder_rows` is to finish.

    Parameters
    ----------
    rows
        (k, n) with k <= n, of float64 or float32.

    Returns
    -------
    Orthonormalised

    References
    ----------
    Y. Yamamoto et al., Electron. Trans. Numer. Anal. 44, 306 (2015), on Cholesky QR decompositions.
    """
    base = _SMALL if rows.shape[0] <= _MANY else _LARGE
    return _between(rows, 0, rows.shape[0], base)


def householder_rows(
    rows: Float[Array, "row all"],
) -> tuple[Float[Array, "row all"], Float[Array, " row"]]:
    """Orthonormalise any rows, dependent ones too, by Householder's decomposition.

    Parameters
    ----------
    rows
        (k, n) with k <= n.

    Returns
    -------
    array, array
        Orthonormal rows (k, n), and the lengths (k,) beyond the rows before; zero where a row
        depends on those.
    """
    q, r = jnp.linalg.qr(rows.T)
    diagonal = jnp.diagonal(r)
    return q.T * jnp.where(diagonal < 0, -1, 1)[:, None], jnp.abs(diagonal)


def departure_from_orthonormality(rows: Float[Array, "row all"]) -> Float[Array, ""]:
    """Return the largest entry of |Q Q^T - 1|."""
    return jnp.max(jnp.abs(rows @ rows.T - jnp.eye(rows.shape[0], dtype=rows.dtype)))


def _between(rows: Float[Array, "row all"], first: int, last: int, base: int) -> Orthonormalised:
    """Treat the rows from ``first`` to ``last``, orthogonal to those before."""
    count = last - first
    if count <= base:
        block = rows[first:last]
        factor = jnp.linalg.cholesky(block @ block.T)
        lengths = jnp.diagonal(factor)
        safe = jnp.min(lengths) > SAFE_RATIO[str(rows.dtype)] * jnp.max(lengths)
        # A solver would ask for the whole frame in the other order in memory.
        unit = jnp.eye(count, dtype=rows.dtype)
        inverse = jax.lax.linalg.triangular_solve(factor, unit, left_side=True, lower=True)
        rows = rows.at[first:last].set(jnp.where(safe, inverse, unit) @ block)
        return Orthonormalised(rows, jnp.where(safe, lengths, 1.0), safe)
    middle = first + base * max(1, round(count / (2 * base)))
    rows, upper, upper_safe = _between(rows, first, middle, base)
    done = rows[first:middle]
    for start in range(middle, last, _AT_ONCE):
        rest = rows[start : min(start + _AT_ONCE, last)]
        # Rows that are not of length one would multiply the rest instead of leaving it orthogonal.
        along = jnp.where(upper_safe, rest @ done.T, 0.0)
        rows = rows.at[start : start + rest.shape[0]].set(rest - along @ done)
    rows, lower, lower_safe = _between(rows, middle, last, base)
    return Orthonormalised(rows, jnp.concatenate([upper, lower]), upper_safe & lower_safe)
