"""Newton solvers of the lag equations: a solution at given (b, a), and the fold at given g_h.

`homoclinic` states R(u, v, ln b, ln a; ln g, ln alpha_r) = 0. At fixed alpha_r its solutions form a
family along ln b, and the transition is where ln g is stationary on it. The slope s = d ln g/d ln b
solves the bordered system

    [ R_X  R_lng ] [ w ]   [ 0 ]
    [ e_b    0   ] [ s ] = [ 1 ] ,     X = (u, v, ln b, ln a) ,  e_b picks ln b,

which stays regular at the fold; R = 0, s = 0 and ln g = target are solved together.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from gatefield.numerics.half_line import HalfLine, half_line, interpolation
from gatefield.theory.dynamical_fold.homoclinic import SCALARS, residual
from gatefield.theory.dynamical_fold.result import UPPER_GAIN

_MAX_STEPS = 25


class Frame(NamedTuple):
    """Scale L and length T of the half line, in time constants."""

    scale: Float[Array, ""]
    horizon: Float[Array, ""]


class FoldSolution(NamedTuple):
    """Unknowns at the fold, their largest residual, and whether Newton's method ended."""

    unknowns: Float[Array, " unknown"]
    residual: Float[Array, ""]
    converged: Bool[Array, ""]


def _slope(unknowns: Array, jacobian: Array, grid: HalfLine, tau_r: Array) -> tuple[Array, Array]:
    """Return s = d ln g / d ln b at fixed alpha_r, and its gradient by all unknowns."""
    size = unknowns.size - 2
    unit = jnp.zeros(size + 1).at[-1].set(1.0)
    matrix = jnp.zeros((size + 1, size + 1))
    matrix = matrix.at[:size].set(jacobian[:, : size + 1]).at[size, size - 2].set(1.0)
    factors = jax.scipy.linalg.lu_factor(matrix)
    right = jax.scipy.linalg.lu_solve(factors, unit)
    left = jax.scipy.linalg.lu_solve(factors, unit, trans=1)
    direction = jnp.append(right, 0.0)

    def projected(point: Array) -> Array:
        change = jax.jvp(lambda p: residual(p, grid, tau_r), (point,), (direction,))[1]
        return -left[:size] @ change

    # ds = -left^T d(matrix) right: no derivative of a linear solve is needed.
    return right[-1], jax.grad(projected)(unknowns)


def _fold_system(
    unknowns: Array, grid: HalfLine, tau_r: Array, log_gain: Array
) -> tuple[Array, Array]:
    """Return the values of R, s and ln g - target, and their Jacobian."""
    value = residual(unknowns, grid, tau_r)
    jacobian = jax.jacfwd(residual)(unknowns, grid, tau_r)
    slope, gradient = _slope(unknowns, jacobian, grid, tau_r)
    pin = jnp.zeros(unknowns.size).at[-2].set(1.0)
    values = jnp.concatenate([value, jnp.stack([slope, unknowns[-2] - log_gain])])
    return values, jnp.concatenate([jacobian, gradient[None], pin[None]])


@functools.partial(jax.jit, static_argnames="lags")
def solve_fold(
    unknowns: Array, frame: Frame, tau_r: Array, log_gain: Array, lags: int
) -> FoldSolution:
    """Return the fold at one tau_r and one g_h, from a start nearby."""
    grid = half_line(frame.scale, frame.horizon, lags)
    gain = jnp.exp(log_gain)
    # Close to g_h = 2 the fold is flat and rounding limits alpha_r; it is stationary in all other
    # unknowns, whose errors count squared.
    tolerance = 1e-9 + 1e-12 / ((UPPER_GAIN - gain) * gain)

    def small(step: Array) -> Array:
        return (jnp.abs(step[-1]) <= tolerance) & (jnp.max(jnp.abs(step)) <= 1e-5)

    def body(carry: tuple) -> tuple:
        point, _, _, count = carry
        values, jacobian = _fold_system(point, grid, tau_r, log_gain)
        step = -jnp.linalg.solve(jacobian, values)
        size = jnp.max(jnp.abs(step))
        moved = point + step * jnp.minimum(1.0, 0.5 / size)
        usable = jnp.isfinite(size)
        count = jnp.where(usable, count + 1, _MAX_STEPS)
        return jnp.where(usable, moved, point), jnp.max(jnp.abs(values)), step, count

    start = (unknowns, jnp.asarray(jnp.inf), jnp.full_like(unknowns, jnp.inf), 0)
    point, size, step, _ = lax.while_loop(
        lambda carry: (carry[-1] < _MAX_STEPS) & ~small(carry[2]), body, start
    )
    return FoldSolution(point, jnp.where(jnp.isfinite(size), size, jnp.inf), small(step))


@functools.partial(jax.jit, static_argnames="lags")
def truncation(
    unknowns: Array, frame: Frame, tau_r: Array, log_gain: Array, lags: int
) -> Float[Array, ""]:
    """Return the change of ln alpha_r in a Newton step on half as many lags more and 1.5 T."""
    coarse = half_line(frame.scale, frame.horizon, lags)
    fine = half_line(frame.scale, 1.5 * frame.horizon, lags + lags // 2)
    fields = unknowns[:-SCALARS].reshape(2, -1) @ interpolation(coarse, fine, frame.scale).T
    point = jnp.concatenate([fields.reshape(-1), unknowns[-SCALARS:]])
    values, jacobian = _fold_system(point, fine, tau_r, log_gain)
    change = jnp.abs(jnp.linalg.solve(jacobian, values)[-1])
    return jnp.where(jnp.isfinite(change), change, jnp.inf)


@functools.partial(jax.jit, static_argnames="lags")
def solve_branch(unknowns: Array, frame: Frame, tau_r: Array, lags: int) -> FoldSolution:
    """Return the solution at the b and a of the start, with g_h and alpha_r free.

    At fixed b and a the problem is regular and forgives a rough start; at the fold it does not.
    """
    grid = half_line(frame.scale, frame.horizon, lags)
    fixed = unknowns[-SCALARS:-2]

    def equations(free: Array) -> Array:
        return residual(jnp.concatenate([free[:-2], fixed, free[-2:]]), grid, tau_r)

    def body(carry: tuple) -> tuple:
        free, _, _, count = carry
        values = equations(free)
        step = -jnp.linalg.solve(jax.jacfwd(equations)(free), values)
        size = jnp.max(jnp.abs(step))
        moved = free + step * jnp.minimum(1.0, 0.5 / size)
        usable = jnp.isfinite(size)
        count = jnp.where(usable, count + 1, _MAX_STEPS)
        return jnp.where(usable, moved, free), jnp.max(jnp.abs(values)), size, count

    infinite = jnp.asarray(jnp.inf)
    free = jnp.concatenate([unknowns[:-SCALARS], unknowns[-2:]])
    free, value, size, _ = lax.while_loop(
        lambda carry: (carry[-1] < _MAX_STEPS) & ~(carry[2] <= 1e-9),
        body,
        (free, infinite, infinite, 0),
    )
    point = jnp.concatenate([free[:-2], fixed, free[-2:]])
    return FoldSolution(point, jnp.where(jnp.isfinite(value), value, jnp.inf), size <= 1e-9)
