"""Functions of the lag on a half line: Chebyshev collocation after t = L sinh(s).

The grid resolves a core of size L, layers much thinner than L at t = 0, and exponential tails of
any length, with a few dozen nodes.
"""

from __future__ import annotations

import functools
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.types import Array, Float, HostArray

_HIT = 1e-14  # from a node, on a line of length 2: nearer points are that node, to rounding


Kind = TypeVar("Kind", bound=Array | HostArray)


class HalfLine(NamedTuple, Generic[Kind]):
    """Lags t_0 = 0 < ... < t_M = T with the matrices of the first and second derivative.

    JAX arrays as `half_line` returns them, NumPy's where the linear algebra stays on the host.
    """

    lags: Float[Kind, " lag"]
    first: Float[Kind, "lag lag"]
    second: Float[Kind, "lag lag"]


@functools.lru_cache(maxsize=8)
def chebyshev(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``count`` Chebyshev points in [-1, 1], ascending, and their differentiation matrix."""
    k = np.arange(count)
    x = -np.cos(np.pi * k / (count - 1))
    c = np.where((k == 0) | (k == count - 1), 2.0, 1.0) * (-1.0) ** k
    matrix = np.outer(c, 1.0 / c) / (x[:, None] - x + np.eye(count))
    # The row sums vanish exactly (a constant has no slope), which tames rounding.
    return x, matrix - np.diag(matrix.sum(axis=1))


def half_line(scale: Array, horizon: Array, count: int) -> HalfLine[Array]:
    """Return the grid t = L sinh(s), s in [0, arcsinh(T/L)]."""
    x, matrix = chebyshev(count)
    stretch = jnp.arcsinh(horizon / scale)
    s = 0.5 * stretch * (1.0 + jnp.asarray(x))
    first = (2.0 / (stretch * scale * jnp.cosh(s)))[:, None] * jnp.asarray(matrix)
    return HalfLine(scale * jnp.sinh(s), first, first @ first)


def barycentric(
    nodes: Float[HostArray, " node"], points: Float[Array | HostArray, " point"]
) -> Any:
    """Return the matrix that carries a polynomial's values at Chebyshev points to other points.

    Parameters
    ----------
    nodes
        Those of `chebyshev`, or their image under a linear map.
    points
        Where the polynomial is wanted, NumPy or JAX.

    Returns
    -------
    array
        (point, node), of the kind of the points.

    References
    ----------
    Berrut and Trefethen, SIAM Review 46, 501 (2004), Eqs. 4.2 and 5.4.
    """
    numpy: Any = jnp if isinstance(points, jax.Array) else np
    weight = (-1.0) ** np.arange(nodes.size)
    weight[[0, -1]] *= 0.5
    distance = points[:, None] - nodes
    hit = numpy.abs(distance) < _HIT
    ratio = weight / numpy.where(hit, 1.0, distance)
    ratio = numpy.where(hit.any(axis=1, keepdims=True), hit.astype(ratio.dtype), ratio)
    return ratio / ratio.sum(axis=1, keepdims=True)


def interpolation(source: HalfLine, target: HalfLine, scale: Array) -> Float[Array, "new lag"]:
    """Return the matrix that carries a function from one half line to another (zero beyond T)."""
    reach = jnp.arcsinh(source.lags[-1] / scale)
    points = 2.0 * jnp.arcsinh(target.lags / scale) / reach - 1.0
    matrix = barycentric(chebyshev(source.lags.shape[0])[0], points)
    return jnp.where((points <= 1.0)[:, None], matrix, 0.0)
