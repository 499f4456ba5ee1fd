"""The dynamical transition for any tau_r, from the full lag equations of C_h and C_r.

`homoclinic` states the boundary-value problem R(u, v, ln b, ln a; ln g, ln alpha_r) = 0. Its
solutions form a family with ln b; the transition is where ln g is stationary along the family at
fixed alpha_r. That slope s solves the bordered system

    [ R_X  R_lng ] [ w ]   [ 0 ]
    [ e_b    0   ] [ s ] = [ 1 ] ,     X = (u, v, ln b, ln a) ,  e_b picks ln b,

which stays regular at the fold, and R = 0, s = 0, ln g = target are solved together by Newton's
method. The line for tau_r -> 0 is the start, and tau_r rises from 0 in steps while the relative
place of g_h between the two ends of the line is held.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from gatefield.core.errors import NumericalFailureError, as_parameter
from gatefield.numerics.scale_mixture import tanh_two_point
from gatefield.theory.dynamical_fold import potential
from gatefield.theory.dynamical_fold.homoclinic import (
    SCALARS,
    HalfLine,
    core_time,
    decay_rate,
    half_line,
    interpolation,
    orbit_start,
    residual,
)
from gatefield.theory.dynamical_fold.result import (
    UPPER_GAIN,
    DynamicalFold,
    absent,
    checked_gain,
)

LAGS = 64
_FINER_LAGS = 96
# Lag T in decay times of C_h and in time constants of the gate: e^-36 is rounding, and where the
# gate's tail is cut C_h is already that small.
_HORIZON = (36.0, 4.0)
_MAX_STEPS = 25
# b and a at the lower end, where b -> 0 and a -> infinity: they move it by b^2 and 1/a^2, 1e-12.
_LIMIT = (1e-6, 1e6)


def _grid(scale: Array, horizon: Array, count: int = LAGS) -> HalfLine:
    return half_line(scale, horizon, count)


def _fold_rows(
    unknowns: Array, jacobian: Array, grid: HalfLine, tau_r: Array
) -> tuple[Array, Array]:
    """Return the slope s = d ln g / d ln b at fixed alpha_r, and its gradient."""
    size = unknowns.size - 2
    unit = jnp.zeros(size + 1).at[-1].set(1.0)
    bordered = jnp.zeros((size + 1, size + 1))
    bordered = bordered.at[:size].set(jacobian[:, : size + 1]).at[size, size - 2].set(1.0)
    factors = jax.scipy.linalg.lu_factor(bordered)
    right = jax.scipy.linalg.lu_solve(factors, unit)
    left = jax.scipy.linalg.lu_solve(factors, unit, trans=1)
    direction = jnp.append(right, 0.0)

    def projected(point: Array) -> Array:
        change = jax.jvp(lambda p: residual(p, grid, tau_r), (point,), (direction,))[1]
        return -left[:size] @ change

    return right[-1], jax.grad(projected)(unknowns)


def _fold_system(
    unknowns: Array, grid: HalfLine, tau_r: Array, log_gain: Array
) -> tuple[Array, Array]:
    """Return the values and the Jacobian of R = 0, s = 0, ln g = target."""
    value = residual(unknowns, grid, tau_r)
    jacobian = jax.jacfwd(residual)(unknowns, grid, tau_r)
    slope, gradient = _fold_rows(unknowns, jacobian, grid, tau_r)
    pin = jnp.zeros(unknowns.size).at[-2].set(1.0)
    values = jnp.concatenate([value, jnp.stack([slope, unknowns[-2] - log_gain])])
    return values, jnp.concatenate([jacobian, gradient[None], pin[None]])


@jax.jit
def _solve_fold(
    unknowns: Array, scale: Array, horizon: Array, tau_r: Array, log_gain: Array
) -> tuple[Array, Array, Array]:
    """Return the fold at one tau_r and g, the largest residual, and the last Newton step."""
    grid = _grid(scale, horizon)

    def body(carry: tuple) -> tuple:
        point, _, _, count = carry
        values, jacobian = _fold_system(point, grid, tau_r, log_gain)
        step = -jnp.linalg.solve(jacobian, values)
        size = jnp.max(jnp.abs(step))
        moved = point + step * jnp.minimum(1.0, 0.5 / size)
        point = jnp.where(jnp.isfinite(size), moved, point)
        return point, jnp.max(jnp.abs(values)), step, count + 1

    def unfinished(carry: tuple) -> Array:
        _, _, step, count = carry
        return (count < _MAX_STEPS) & ~_small(step, log_gain)

    carry = (unknowns, jnp.inf, jnp.full_like(unknowns, jnp.inf), 0)
    point, size, step, _ = lax.while_loop(unfinished, body, carry)
    return point, size, step


def _small(step: Array, log_gain: Array) -> Array:
    """Return whether a Newton step is within tolerance (see `potential` on ln alpha_r)."""
    tolerance = 1e-9 + 1e-12 / ((UPPER_GAIN - jnp.exp(log_gain)) * jnp.exp(log_gain))
    return (jnp.abs(step[-1]) <= tolerance) & (jnp.max(jnp.abs(step)) <= 1e-5)


@jax.jit
def _truncation(
    unknowns: Array, scale: Array, horizon: Array, tau_r: Array, log_gain: Array
) -> Array:
    """Return the change of ln alpha_r in one Newton step with more lags and a longer T."""
    coarse = _grid(scale, horizon)
    fine = _grid(scale, 1.5 * horizon, _FINER_LAGS)
    carry = interpolation(coarse, fine, scale)
    shape = unknowns[:-SCALARS].reshape(2, -1)
    fields = (shape @ carry.T).reshape(-1)
    point = jnp.concatenate([fields, unknowns[-SCALARS:]])
    values, jacobian = _fold_system(point, fine, tau_r, log_gain)
    return jnp.abs(jnp.linalg.solve(jacobian, values)[-1])


@jax.jit
def _start(g_h: Array, alpha_r: Array, b: Array, tau_r: Array) -> tuple[Array, Array, Array]:
    """Return unknowns at tau_r -> 0, the scale of the grid, and a horizon that serves tau_r."""
    a = alpha_r * jnp.sqrt(tanh_two_point(1.0, b))
    scale = 2.0 * core_time(g_h, b, a)
    horizon = _HORIZON[0] / decay_rate(g_h) + _HORIZON[1] * tau_r
    return orbit_start(g_h, alpha_r, b, a, _grid(scale, horizon)), scale, horizon


@jax.jit
def _solve_branch(unknowns: Array, scale: Array, horizon: Array, tau_r: Array) -> Array:
    """Return the solution at the given b and a, with g_h and alpha_r free."""
    grid = _grid(scale, horizon)
    fixed = unknowns[-SCALARS:-2]

    def assembled(free: Array) -> Array:
        return jnp.concatenate([free[:-2], fixed, free[-2:]])

    def body(carry: tuple) -> tuple:
        free, _, count = carry
        values = residual(assembled(free), grid, tau_r)
        jacobian = jax.jacfwd(lambda x: residual(assembled(x), grid, tau_r))(free)
        step = -jnp.linalg.solve(jacobian, values)
        size = jnp.max(jnp.abs(step))
        return free + step * jnp.minimum(1.0, 0.5 / size), size, count + 1

    free = jnp.concatenate([unknowns[:-SCALARS], unknowns[-2:]])
    free, size, _ = lax.while_loop(
        lambda carry: (carry[2] < _MAX_STEPS) & (carry[1] > 1e-9), body, (free, jnp.inf, 0)
    )
    return jnp.where(size <= 1e-9, assembled(free), jnp.nan)


def _ladder(tau_r: float) -> tuple[float, ...]:
    """Return the values of tau_r on the way from 0, none far from the one before."""
    steps = int(np.ceil(np.log1p(tau_r) / 0.35))
    return tuple(float(np.expm1(np.log1p(tau_r) * k / max(steps, 1))) for k in range(1, steps + 1))


@functools.lru_cache(maxsize=64)
def _lower_gains(tau_r: float) -> tuple[float, ...]:
    """Return the lower end of the line at each value of the ladder to tau_r."""
    gain, b, a = potential.LOWER_GAIN, *_LIMIT
    with jax.enable_x64(True):
        unknowns, scale, horizon = _start(
            *(jnp.asarray(x, jnp.float64) for x in (gain, a / b, b, tau_r))
        )
        gains = []
        for value in _ladder(tau_r):
            unknowns = _solve_branch(unknowns, scale, horizon, jnp.asarray(value, jnp.float64))
            gains.append(float(np.exp(np.asarray(unknowns)[-2])))
    return tuple(gains)


def lower_end(tau_r: float) -> float:
    """Lower end of the dynamical line: the gain g_h at which alpha*_DMFT diverges.

    There C0 -> 0 and the gate is a step: -4 u'' + u = (g_h^2/4) (1 + (2/pi) arcsin v) u and
    -tau_r^2 v'' + v = c u, with u, v as in `homoclinic` and c fixed by v(0) = 1.

    Parameters
    ----------
    tau_r
        Time constant of the output gate, in units of the unit's own time constant, not negative.

    Returns
    -------
    float
        sqrt(8/3) for tau_r = 0; falls with tau_r, towards sqrt(2) for slow gates.

    Raises
    ------
    InvalidInputError
        A ValueError, if tau_r is not finite or negative.
    NumericalFailureError
        If the continuation in tau_r did not converge.

    Assumptions
    -----------
    alpha_z = 0, no biases.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G13-G15, there for tau_r -> 0.
    """
    value = float(as_parameter("tau_r", tau_r, nonnegative=True))
    gains = _lower_gains(value)
    if not np.all(np.isfinite(gains)):
        raise NumericalFailureError(
            f"tau_r = {value}: expected the lower end of the dynamical line to converge. "
            "Use a smaller tau_r; the continuation was tested up to tau_r = 100."
        )
    return gains[-1] if gains else potential.LOWER_GAIN


def _fold_at(g_h: float, tau_r: float) -> tuple[np.ndarray, float, float, bool]:
    """Return (b, a, g, alpha), residual, truncation and convergence at one g inside the line."""
    ladder, ends = _ladder(tau_r), _lower_gains(tau_r)
    # 1/g^2 is the natural coordinate of the line: it enters the energy condition linearly.
    upper = 1.0 / UPPER_GAIN**2
    end = ends[-1] if ends else potential.LOWER_GAIN
    place = (1.0 / g_h**2 - upper) / (1.0 / end**2 - upper)

    def at_place(lower: float) -> float:
        return float(1.0 / np.sqrt(upper + place * (1.0 / lower**2 - upper)))

    def double(x: float) -> Array:
        return jnp.asarray(x, jnp.float64)

    first = at_place(potential.LOWER_GAIN) if ends else g_h
    fold = potential.potential_fold(first)
    b = first * float(np.sqrt(fold.variance_h))
    unknowns, scale, horizon = _start(*map(double, (first, float(fold.alpha_r), b, tau_r)))
    # At fixed b and a the problem is regular and forgives a rough start; at the fold it does not.
    unknowns = _solve_branch(unknowns, scale, horizon, double(0.0))
    targets = [*(at_place(lower) for lower in ends[:-1]), g_h]
    log_gain = double(0.0)
    size, step = jnp.inf, unknowns
    for value, gain in zip(ladder or (0.0,), targets, strict=True):
        log_gain = jnp.log(double(gain))
        unknowns, size, step = _solve_fold(unknowns, scale, horizon, double(value), log_gain)
    done = bool(_small(step, log_gain))
    error = float(_truncation(unknowns, scale, horizon, double(tau_r), log_gain))
    return np.exp(np.asarray(unknowns[-SCALARS:])), float(size), error, done


def lagged_fold(
    g_h: Float[ArrayLike, "..."], tau_r: Float[ArrayLike, "..."]
) -> DynamicalFold:
    """Dynamical transition alpha*_DMFT(g_h; tau_r) of the gated network, at any tau_r.

    The fold in C_h(0) of the fluctuating solutions of

    -4 C_h'' + C_h = F_phi(C_h, C_h(0)) F_sr(C_r, C_r(0)),  -tau_r^2 C_r'' + C_r = F_phi(C_h, C_h(0)).

    Parameters
    ----------
    g_h : (...)
        Gain of the activation, finite and positive, dimensionless.
    tau_r : (...)
        Time constant of the output gate, in units of the unit's own time constant, not negative;
        broadcasts with g_h.

    Returns
    -------
    DynamicalFold
        Host arrays. The line exists for lower_end(tau_r) < g_h < 2 only, a wider interval than for
        tau_r -> 0, and ``alpha_r`` is infinite elsewhere. It tends to sqrt(12) as g_h -> 2 and to
        `potential_fold` as tau_r -> 0, with an error of order tau_r^2.

    Raises
    ------
    InvalidInputError
        A ValueError, if a gain is not finite and positive, or tau_r not finite or negative.
    NumericalFailureError
        If the lower end did not converge (`lower_end`).

    Assumptions
    -----------
    alpha_z = 0, no biases, no input, N -> infinity. Tested for tau_r up to 100.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G3-G9; lags: Eqs. C19-C24.
    """
    gain, tau = np.broadcast_arrays(
        checked_gain(g_h), as_parameter("tau_r", tau_r, nonnegative=True)
    )
    fields = absent(gain.copy(), tau)
    ends = {float(value): lower_end(float(value)) for value in np.unique(tau)}
    with jax.enable_x64(True):
        for index in np.ndindex(gain.shape):
            g, value = float(gain[index]), float(tau[index])
            if not ends[value] < g < UPPER_GAIN:
                continue
            scalars, size, error, done = _fold_at(g, value)
            b, a, _, alpha = scalars
            fields["alpha_r"][index] = alpha
            fields["variance_h"][index] = (b / g) ** 2
            fields["variance_r"][index] = (a / alpha) ** 2
            fields["residual"][index] = size
            fields["truncation"][index] = error
            fields["converged"][index] = done
    return DynamicalFold(**fields)
