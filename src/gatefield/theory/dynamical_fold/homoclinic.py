"""The lag equations of C_h and C_r as a boundary-value problem on a half line.

With u = C_h / C0, v = C_r / C_r(0), b = g_h sqrt(C0) and a = alpha_r sqrt(C_r(0)) the mean-field
theory at alpha_z = 0 without biases reads (time in units of the unit's own time constant)

    -4 u'' + u = (g_h/b)^2 F_phi(u; b) F_sr(v; a) ,
    -tau_r^2 v'' + v = (alpha_r/a)^2 F_phi(u; b) ,
    u(0) = v(0) = 1 ,  u'(0) = v'(0) = 0 ,  u, v -> 0 .

Chebyshev collocation in s with t = L sinh(s) resolves the core, the layer of width 1/a that a
steep gate leaves at t = 0, and exponential tails of any length, with a few dozen nodes.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gatefield.numerics.scale_mixture import (
    sigmoid_two_point,
    tanh_two_point,
)

SCALARS = 4
"""Number of scalars behind u and v in the vector of unknowns: ln b, ln a, ln g_h, ln alpha_r."""


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


def residual(unknowns: Float[Array, " unknown"], grid: HalfLine, tau_r: Array) -> Array:
    """Return the 2 M + 4 residuals of the lag equations on M + 1 lags."""
    count = grid.lags.shape[0]
    u, v = unknowns[:count], unknowns[count : 2 * count]
    log_b, log_a, log_g, log_alpha = unknowns[2 * count :]
    phi = tanh_two_point(u[1:-1], jnp.exp(log_b))
    gate = sigmoid_two_point(v[1:-1], jnp.exp(log_a))
    drive_h = jnp.exp(2.0 * (log_g - log_b)) * phi * gate
    drive_r = jnp.exp(2.0 * (log_alpha - log_a)) * phi
    parts = []
    for value, square, drive in ((u, 4.0, drive_h), (v, tau_r**2, drive_r)):
        inside = (value - square * (grid.second @ value))[1:-1] - drive
        parts += [inside, jnp.stack([value[0] - 1.0, grid.first[0] @ value, value[-1]])]
    return jnp.concatenate(parts)


def decay_rate(g_h: Array) -> Array:
    """Return a lower bound of the rate at which C_h decays, in inverse time constants.

    The tail obeys -4 u'' + u = (g_h^2/4) <sech^2>^2 u, with <sech^2> <= 1.
    """
    return 0.25 * jnp.sqrt((2.0 - g_h) * (2.0 + g_h))


def core_time(g_h: Array, b: Array, a: Array) -> Array:
    """Return 1 / sqrt(-u''(0)) for tau_r -> 0, the time over which C_h leaves its maximum."""
    drive = (g_h / b) ** 2 * tanh_two_point(1.0, b) * sigmoid_two_point(1.0, a)
    return 2.0 / jnp.sqrt(drive - 1.0)


def potential_orbit(g_h: Array, b: Array, a: Array, lags: Float[Array, " lag"]) -> Array:
    """Return C_h(t) / C0 for tau_r -> 0 to about 1e-3, from the energy: dt = -du / sqrt(2 E(u)).

    With u = sech^2(w), t(w) is smooth and becomes linear in the tail.
    """
    w = jnp.linspace(0.0, 25.0, 600)
    width = w[1]
    u = 1.0 / jnp.cosh(w) ** 2
    phi = tanh_two_point(u, b)
    drive = (g_h / b) ** 2 * phi * sigmoid_two_point(phi / phi[0], a)
    # Force and inertia nearly cancel where g_h -> 2: integrate their difference, and from the end
    # at which the energy vanishes.
    work = (drive - u) * u * jnp.tanh(w) * width
    above = jnp.concatenate([jnp.zeros(1), jnp.cumsum(work[1:] + work[:-1])])
    kinetic = 2.0 * jnp.where(u > 0.5, above, above - above[-1])
    tail = 4.0 * (decay_rate(g_h) * u) ** 2
    speed = 2.0 * u * jnp.tanh(w) / jnp.sqrt(0.25 * jnp.maximum(kinetic, tail))
    speed = speed.at[0].set(jnp.sqrt(2.0) * core_time(g_h, b, a))
    time = jnp.concatenate([jnp.zeros(1), jnp.cumsum(0.5 * (speed[1:] + speed[:-1]) * width)])
    return 1.0 / jnp.cosh(jnp.interp(lags, time, w)) ** 2


def orbit_start(g_h: Array, alpha_r: Array, b: Array, a: Array, grid: HalfLine) -> Array:
    """Return the vector of unknowns for tau_r -> 0, as a start for Newton's method."""
    u = potential_orbit(g_h, b, a, grid.lags).at[-1].set(0.0)
    v = tanh_two_point(u, b) / tanh_two_point(1.0, b)
    return jnp.concatenate([u, v, jnp.log(jnp.stack([b, a, g_h, alpha_r]))])
