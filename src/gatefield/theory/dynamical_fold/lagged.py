"""The dynamical transition for any tau_r, from the full lag equations of C_h and C_r.

The line for tau_r -> 0 is the start. Then tau_r rises in steps, while the place of g_h between the
two ends of the line is held: the lower end moves with tau_r, from sqrt(8/3) towards sqrt(2).
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array

from gatefield.core.checks import as_parameter, check_count
from gatefield.core.errors import NumericalFailureError
from gatefield.numerics.half_line import half_line
from gatefield.numerics.scale_mixture import tanh_two_point
from gatefield.theory.dynamical_fold.bordered import (
    Frame,
    solve_branch,
    solve_fold,
    truncation,
)
from gatefield.theory.dynamical_fold.homoclinic import (
    SCALARS,
    core_time,
    decay_rate,
    orbit_start,
)
from gatefield.theory.dynamical_fold.potential import LOWER_GAIN, potential_fold
from gatefield.theory.dynamical_fold.result import (
    LARGEST_TRUNCATION,
    UPPER_GAIN,
    DynamicalFold,
    absent,
    checked_gain,
)

LAGS = 64

# T in decay times of C_h (e^-36 is rounding) and in time constants of the gate, whose cut tail
# reaches back to the core as e^-30.
_DECAY_TIMES, _GATE_TIMES = 36.0, 15.0
# b and a at the lower end, where b -> 0 and a -> infinity: they move it by b^2 and 1/a^2.
_LIMIT = (1e-6, 1e6)
# Nearest distance to the lower end, in units of the line in 1/g^2, at which tau_r is changed.
_NEAR = 1e-2


@functools.partial(jax.jit, static_argnames="lags")
def _start(g_h: Array, alpha_r: Array, b: Array, tau_r: Array, lags: int) -> tuple[Array, Frame]:
    """Return unknowns for tau_r -> 0 and a half line that serves gates as slow as tau_r."""
    a = alpha_r * jnp.sqrt(tanh_two_point(1.0, b))
    horizon = _DECAY_TIMES / decay_rate(g_h) + _GATE_TIMES * tau_r
    frame = Frame(core_time(g_h, b, a), horizon)
    return orbit_start(g_h, alpha_r, b, a, half_line(*frame, lags)), frame


def _double(value: float) -> Array:
    return jnp.asarray(value, jnp.float64)


def _ladder(tau_r: float) -> tuple[float, ...]:
    """Return the values of tau_r on the way from 0, each at most 42 per cent of 1 + tau_r on."""
    steps = max(int(np.ceil(np.log1p(tau_r) / 0.35)), 1)
    return (*(float(np.expm1(np.log1p(tau_r) * k / steps)) for k in range(1, steps)), tau_r)


@functools.lru_cache(maxsize=64)
def _lower_ends(tau_r: float) -> tuple[float, ...]:
    """Return the lower end of the line at each value of the ladder to tau_r."""
    if tau_r == 0.0:
        return (LOWER_GAIN,)
    b, a = _LIMIT
    gains = []
    with jax.enable_x64(True):
        unknowns, frame = _start(*map(_double, (LOWER_GAIN, a / b, b, tau_r)), lags=LAGS)
        for value in _ladder(tau_r):
            solution = solve_branch(unknowns, frame, _double(value), lags=LAGS)
            if not bool(solution.converged):
                raise NumericalFailureError(
                    f"tau_r = {tau_r}: expected the lower end of the dynamical line to converge, "
                    f"but it failed at tau_r = {value:.6g}. Use a smaller tau_r; the continuation "
                    "is tested up to tau_r = 100."
                )
            unknowns = solution.unknowns
            gains.append(float(np.exp(np.asarray(unknowns)[-2])))
    return tuple(gains)


def lower_end(tau_r: float) -> float:
    """Lower end of the dynamical line: the gain g_h at which alpha*_DMFT diverges.

    There C0 -> 0 and the gate is a step: -4 u'' + u = (g_h^2/4) (1 + (2/pi) arcsin v) u and
    -tau_r^2 v'' + v = c u, with u = C_h/C0, v = C_r/C_r(0), and c fixed by v(0) = 1.

    Parameters
    ----------
    tau_r
        Time constant of the output gate, in units of the unit's own time constant, not negative.

    Returns
    -------
    float
        sqrt(8/3) for tau_r = 0; falls with tau_r, towards sqrt(2) for slow gates. To 1e-10 for
        tau_r up to 30, to 1e-8 up to 1000.

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
    return _lower_ends(float(as_parameter("tau_r", tau_r, nonnegative=True)))[-1]


def _path(g_h: float, tau_r: float) -> tuple[float, list[tuple[float, float, float]]]:
    """Return g_h for the start at tau_r -> 0, and the way to the target.

    1/g^2 is the natural coordinate of the line, since it enters the energy condition linearly. The
    place of 1/g^2 between the two ends is held while tau_r rises; where g_h is close to the lower
    end that is done at some distance, which then shrinks in steps. Each point of the way is tau_r,
    g_h, and the logarithm by which alpha_r is expected to grow: as the inverse distance.
    """
    ends = _lower_ends(tau_r)
    upper = 1.0 / UPPER_GAIN**2
    distance = (1.0 / ends[-1] ** 2 - 1.0 / g_h**2) / (1.0 / ends[-1] ** 2 - upper)
    held = max(distance, _NEAR)

    def gain_at(lower: float, away: float) -> float:
        return float(1.0 / np.sqrt(1.0 / lower**2 - away * (1.0 / lower**2 - upper)))

    start = gain_at(LOWER_GAIN, held)
    way = [(t, gain_at(lower, held), 0.0) for t, lower in zip(_ladder(tau_r), ends, strict=True)]
    while held > distance:
        nearer = max(distance, held / 4.0)
        way.append((tau_r, gain_at(ends[-1], nearer), float(np.log(held / nearer))))
        held = nearer
    return start, [*way[:-1], (tau_r, g_h, way[-1][2])]


def _fold_at(g_h: float, tau_r: float, lags: int) -> dict[str, float | bool]:
    """Return the fields of the fold at one g_h between the ends of the line."""
    start, way = _path(g_h, tau_r)
    seed = potential_fold(start)
    b = start * float(np.sqrt(seed.variance_h))
    unknowns, frame = _start(*map(_double, (start, float(seed.alpha_r), b, tau_r)), lags=lags)
    fold = solve_branch(unknowns, frame, _double(0.0), lags=lags)
    for value, gain, growth in way:
        # Towards the lower end b^2 alpha_r and a^2 / alpha_r tend to constants.
        shift = growth * jnp.asarray([-0.5, 0.5, 0.0, 1.0])
        unknowns = fold.unknowns.at[-SCALARS:].add(shift)
        fold = solve_fold(unknowns, frame, _double(value), jnp.log(_double(gain)), lags=lags)
    error = float(
        truncation(fold.unknowns, frame, _double(tau_r), jnp.log(_double(g_h)), lags=lags)
    )
    b, a, _, alpha = np.exp(np.asarray(fold.unknowns)[-SCALARS:])
    return {
        "alpha_r": alpha,
        "variance_h": (b / g_h) ** 2,
        "variance_r": (a / alpha) ** 2,
        "residual": float(fold.residual),
        "truncation": error,
        "converged": bool(fold.converged) and error <= LARGEST_TRUNCATION,
    }


def lagged_fold(g_h: npt.ArrayLike, tau_r: npt.ArrayLike, *, lags: int = LAGS) -> DynamicalFold:
    """Dynamical transition alpha*_DMFT(g_h; tau_r) of the gated network, at any tau_r.

    The fold in C_h(0) of the fluctuating solutions of

        -4 C_h'' + C_h = F_phi(C_h, C_h(0)) F_sr(C_r, C_r(0)) ,
        -tau_r^2 C_r'' + C_r = F_phi(C_h, C_h(0)) .

    Parameters
    ----------
    g_h : (...)
        Gain of the activation, finite and positive, dimensionless.
    tau_r : (...)
        Time constant of the output gate, in units of the unit's own time constant, not negative;
        broadcasts with g_h.
    lags
        Number of collocation points. The default resolves alpha_r up to 1e4.

    Returns
    -------
    DynamicalFold
        Host arrays. The line exists for lower_end(tau_r) < g_h < 2 only, a wider interval than for
        tau_r -> 0, and ``alpha_r`` is infinite elsewhere. It tends to sqrt(12) as g_h -> 2, and to
        `potential_fold` as tau_r -> 0 with a difference of order tau_r^2.

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
    lags = check_count("lags", lags, at_least=16)
    gain, tau = np.broadcast_arrays(
        checked_gain(g_h), as_parameter("tau_r", tau_r, nonnegative=True)
    )
    fields = absent(gain.copy(), tau)
    with jax.enable_x64(True):
        for index in np.ndindex(gain.shape):
            g, t = float(gain[index]), float(tau[index])
            if lower_end(t) < g < UPPER_GAIN:
                for name, value in _fold_at(g, t, lags).items():
                    fields[name][index] = value
    return DynamicalFold(**fields)
