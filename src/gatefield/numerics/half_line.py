"""Functions of the lag on a half line: Chebyshev collocation after t = L sinh(s).

The grid resolves a core of size L, layers much thinner than L at t = 0, and exponential tails of
any length, with a few dozen nodes.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from gatefield.core.types import Array, Float


class HalfLine(NamedTuple):
    """Lags t_0 = 0 < ... < t_M = T with the matrices of the first and second derivative."""

    lags: Float[Array, " lag"]
    first: Float[Array, "lag lag"]
    second: Float[Array, "lag lag"]


@functools.lru_cache(maxsize=8)
def chebyshev(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``count`` Chebyshev points in [-1, 1], ascending, and their differentiation matrix."""
    k = np.arange(count)
    x = -np.cos(np.pi * k / (count - 1))
    c = np.where((k == 0) | (k == count - 1), 2.0, 1.0) * (-1.0) ** k
    matrix = np.outer(c, 1.0 / c) / (x[:, None] - x + np.eye(count))
    # The row sums vanish exactly (a constant has no slope), which tames rounding.
    return x, matrix - np.diag(matrix.sum(axis=1))


def half_line(scale: Array, horizon: Array, count: int) -> HalfLine:
    """Return the grid t = L sinh(s), s in [0, arcsinh(T/L)]."""
    x, matrix = chebyshev(count)
    stretch = jnp.arcsinh(horizon / scale)
    s = 0.5 * stretch * (1.0 + jnp.asarray(x))
    first = (2.0 / (stretch * scale * jnp.cosh(s)))[:, None] * jnp.asarray(matrix)
    return HalfLine(scale * jnp.sinh(s), first, first @ first)


def interpolation(source: HalfLine, target: HalfLine, scale: Array) -> Float[Array, "new lag"]:
    """Return the matrix that carries a function from one half line to another (zero beyond T)."""
    x, _ = chebyshev(source.lags.shape[0])
    reach = jnp.arcsinh(source.lags[-1] / scale)
    points = 2.0 * jnp.arcsinh(target.lags / scale) / reach - 1.0
    weight = (-1.0) ** np.arange(x.size)
    weight[[0, -1]] *= 0.5
    distance = points[:, None] - jnp.asarray(x)
    hit = jnp.abs(distance) < 1e-14
    ratio = jnp.asarray(weight) / jnp.where(hit, 1.0, distance)
    ratio = jnp.where(jnp.any(hit, axis=1, keepdims=True), hit.astype(ratio.dtype), ratio)
    matrix = ratio / jnp.sum(ratio, axis=1, keepdims=True)
    return jnp.where((points <= 1.0)[:, None], matrix, 0.0)
