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

import jax.numpy as jnp
from jaxtyping import Array, Float

from gatefield.numerics.half_line import HalfLine
from gatefield.numerics.scale_mixture import (
    sigmoid_two_point,
    tanh_two_point,
)

SCALARS = 4
"""Number of scalars behind u and v in the vector of unknowns: ln b, ln a, ln g_h, ln alpha_r."""


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
