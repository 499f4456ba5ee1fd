"""Critical lines of the static theory: stability, fixed-point bifurcation, marginal stability.

Each line is asked in either direction: ``g_h`` in, critical alpha_r out, or ``alpha_r`` in,
critical g_h out. Lines are found on the explicit branches of `phases.branch`: a table along each
branch brackets the critical point, bisection or Newton's method refines it to rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.errors import NumericalFailureError, as_parameter, check_choice, refuse
from gatefield.core.types import Float, HostArray
from gatefield.numerics.newton import bisect, newton
from gatefield.phases.branch import BranchPoint, static_branch
from gatefield.phases.marginal_dynamics import dynamical_branch
from gatefield.phases.surroundings import Surroundings, surroundings

Branch = Callable[[Any, Any, Surroundings], BranchPoint]

_POINTS = 200
_SMALLEST_B, _LARGEST_B = 1e-4, 60.0
_TABLE = 120
_TABLE_ALPHA = (1e-2, 1e7)
_ACCEPTED = 1e-8

NEVER = np.inf
"""The critical value where a line does not exist."""


def stability_line(
    g_h: Any = None,
    *,
    alpha_r: Any = None,
    beta_h: Any = 0.0,
    beta_r: Any = 0.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
) -> Float[HostArray, "..."]:
    r"""Return where the fixed point that continues from g_h = 0 loses stability, rho = 1.

    Without biases and inputs this is the zero fixed point, unstable above
    :math:`g_h = 1/\sigma_r(0) = 2` for every alpha_r. With a static Gaussian input of variance
    var I_h, or random biases, it is the red line of the paper's Fig. 7.

    Parameters
    ----------
    g_h
        Gains at which the critical alpha_r is wanted (any shape); or None.
    alpha_r
        Gains of the output gate at which the critical g_h is wanted; or None.
    beta_h, beta_r
        Biases.
    input_variance, bias_variance
        Variances of static inputs and of random biases, by name ("h", "r").

    Returns
    -------
    array
        For ``alpha_r``: the g_h above which the fixed point is unstable. For ``g_h``: the smallest
        alpha_r above which it is; 0 where it is unstable already at alpha_r = 0, and infinity
        where no alpha_r destabilises it.

    Raises
    ------
    InvalidInputError
        If both or neither of g_h and alpha_r are given, or values do not make sense.

    Assumptions
    -----------
    Fixed points, N -> infinity; inputs to h inside the update gate's bracket
    (``input_gating="update"``). alpha_z, tau_z and tau_r play no part.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 6, H1; Figs. 7, 13.
    """
    around = surroundings(beta_h, beta_r, input_variance, bias_variance)
    given, by_alpha = _one_of(g_h, alpha_r)
    with jax.enable_x64(True):
        if not around.has_sources:
            edge = _zero_gain(around, given if by_alpha else np.zeros(1))
            if by_alpha:
                return edge
            if around.r_input or around.r_bias:
                return _inverse_zero_gain(around, given)
            return np.where(given > edge[0], 0.0, NEVER)
        if by_alpha:
            return _shaped(given, lambda flat: _stability_gain(flat, around))
        return _shaped(given, lambda flat: _critical_alpha(flat, around, _STABILITY))


def fixed_point_line(
    g_h: Any = None,
    *,
    alpha_r: Any = None,
    beta_h: Any = 0.0,
    beta_r: Any = 0.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
) -> Float[HostArray, "..."]:
    r"""Return where a pair of unstable fixed points is born in the static theory.

    .. math::

        \max_{D_h} \langle\phi^2\rangle_{D_h}\langle\sigma_r^2\rangle_{D_r} / D_h = 1,

    the fold of the static branch. Without biases and inputs it exists for
    :math:`\sqrt 2 < g_h < 2` and tends to :math:`\sqrt 8` as :math:`g_h \to 2`.

    Parameters, errors and assumptions as in `stability_line`.

    Returns
    -------
    array
        For ``g_h``: the alpha_r above which the pair exists; infinity where it never does. For
        ``alpha_r``: the g_h above which it exists; infinity where the branch has no fold.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 12, G1-G2; Fig. 4.
    """
    around = surroundings(beta_h, beta_r, input_variance, bias_variance)
    given, by_alpha = _one_of(g_h, alpha_r)
    with jax.enable_x64(True):
        if by_alpha:
            return _shaped(given, lambda flat: _fold_gain(flat, around))
        return _shaped(given, lambda flat: _critical_alpha(flat, around, _FOLD))


def marginal_line(
    g_h: Any = None,
    *,
    alpha_r: Any = None,
    method: str = "static",
    beta_h: Any = 0.0,
    beta_r: Any = 0.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
    z_offset: Any = 0.0,
) -> Float[HostArray, "..."]:
    r"""Return where marginal stability ends for alpha_z -> infinity, rho^2 <s_z> = 1.

    Parameters
    ----------
    g_h, alpha_r, beta_h, beta_r, input_variance, bias_variance
        As in `stability_line`; ``input_variance`` takes "z", too.
    method
        "static": rho at the variance of the (upper) static branch. "dmft": rho at the variance of
        the chaotic state at alpha_z = 0, tau_r -> 0 (no biases or inputs). They differ: at
        alpha_r = 0 the line is at g_h = 6.546 and 6.022; the paper reports 6.2, and networks with
        hard gates freeze for g_h up to 5.5 and cross over near 6.5, depending on their history.
    z_offset
        Shift of the update gate's threshold, beta_z / alpha_z plus the mean of I_z: the gate is
        open where z + z_offset > 0.

    Returns
    -------
    array
        For ``alpha_r``: the g_h below which the state is marginally stable. For ``g_h``: the
        alpha_r below which it is (where there is an active state at all). 0 where it is so nowhere,
        infinity where it is so for every alpha_r.

    Raises
    ------
    InvalidInputError
        As `stability_line`; also for method="dmft" with biases or inputs.

    Assumptions
    -----------
    alpha_z -> infinity, so that gates are open or shut; the distribution of states is that of the
    method. Finite networks come near it for alpha_z of 30 and more.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eq. 8.
    """
    around = surroundings(beta_h, beta_r, input_variance, bias_variance, z_offset)
    check_choice("method", method, ("static", "dmft"))
    if method == "dmft" and not around._replace(z_offset=0.0, z_input=0.0).is_plain:
        refuse("method", method, "'static' with biases or inputs to h or r", "Drop them.")
    given, by_alpha = _one_of(g_h, alpha_r)
    branch = static_branch if method == "static" else dynamical_branch
    with jax.enable_x64(True):
        if by_alpha:
            return _shaped(given, lambda flat: _marginal_gain(flat, around, branch))
        line = _Line(_marginal_residual(branch), lambda a, s: _marginal_start(a, s, branch), True)
        return _shaped(given, lambda flat: _critical_alpha(flat, around, line))


class _Line(NamedTuple):
    """A line for `_critical_alpha`: its two equations, and its points (ln b, g_h) at given alpha_r.

    ``ends_phase`` says that the line bounds a phase from above in both gains, so that a gain beyond
    its start at alpha_r -> 0 has critical alpha_r 0, and not infinity.
    """

    residual: Callable[..., Any]
    at_alpha: Callable[[np.ndarray, Surroundings], tuple[np.ndarray, np.ndarray]]
    ends_phase: bool


def _one_of(g_h: Any, alpha_r: Any) -> tuple[np.ndarray, bool]:
    if (g_h is None) == (alpha_r is None):
        both = f"g_h={g_h!r}, alpha_r={alpha_r!r}"
        refuse("line at", both, "exactly one of g_h and alpha_r", "Pass the one that is known.")
    name, value = ("alpha_r", alpha_r) if g_h is None else ("g_h", g_h)
    given = np.asarray(as_parameter(name, value, nonnegative=True))
    if given.size == 0:
        refuse(name, value, "at least one value", "Pass a number or a grid with points.")
    return given, g_h is None


def _shaped(given: np.ndarray, line: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return line(given.ravel()).reshape(given.shape)


# Points of the lines at given alpha_r: tables along the branches, refined by bisection.


def _grid(around: Surroundings) -> np.ndarray:
    """Return values of ln b that cover the branches: from the random bias's deviation upwards."""
    smallest = np.sqrt(around.h_bias) * (1 + 1e-9) + _SMALLEST_B * (around.h_bias == 0)
    inputs = np.sqrt(around.h_input)
    # A weak input makes the branch start at b ~ g sqrt(var I): resolve decades below the scale.
    lowest = min(smallest, 1e-3 * inputs) if inputs and not around.h_bias else smallest
    return np.linspace(np.log(lowest), np.log(_LARGEST_B + smallest), _POINTS)


@functools.partial(jax.jit, static_argnums=3)
def _curves(log_b, alphas, around, branch):
    """Return the branch points (alpha, b) of every alpha."""
    along = jax.vmap(branch, in_axes=(0, None, None))
    return jax.lax.map(lambda alpha: along(log_b, alpha, around), alphas)


def _curves_of(alphas, around, branch=static_branch) -> tuple[np.ndarray, BranchPoint]:
    log_b = _grid(around)
    curves = _curves(jnp.asarray(log_b), jnp.asarray(alphas), around, branch)
    return log_b, BranchPoint(*(np.asarray(values) for values in curves))


@functools.partial(jax.jit, static_argnums=(4, 5))
def _refined(low, high, alphas, around, branch, quantity):
    """Bisect a quantity of the branch in ln b, one bracket for each alpha; also return its gain."""

    def value(log_b):
        return jax.vmap(quantity, in_axes=(0, 0, None, None))(log_b, alphas, around, branch)

    log_b = bisect(value, low, high)
    return log_b, jax.vmap(lambda b, a: branch(b, a, around).log_gain)(log_b, alphas)


def _log_radius(log_b, alpha, around, branch):
    return branch(log_b, alpha, around).log_radius


def _log_marginal(log_b, alpha, around, branch):
    return branch(log_b, alpha, around).log_marginal


def _slope(log_b, alpha, around, branch):
    return jax.grad(lambda b: branch(b, alpha, around).log_gain)(log_b)


def _at_bracket(index, exists, alphas, around, branch, quantity):
    """Refine the brackets (ln b_index, ln b_index+width) and return ln b and g_h, inf where none."""
    log_b = _grid(around)
    low, high = (jnp.asarray(log_b[np.clip(i, 0, _POINTS - 1)]) for i in index)
    found, log_gain = _refined(low, high, jnp.asarray(alphas), around, branch, quantity)
    return np.asarray(found), np.where(exists, np.exp(np.asarray(log_gain)), NEVER)


def _stability_start(alphas, around):
    _, curves = _curves_of(alphas, around)
    above = curves.log_radius > 0
    first = np.argmax(above, axis=1)
    exists = above.any(axis=1) & (first > 0)
    return _at_bracket((first - 1, first), exists, alphas, around, static_branch, _log_radius)


def _stability_gain(alphas, around):
    return _stability_start(alphas, around)[1]


def _fold_start(alphas, around):
    _, curves = _curves_of(alphas, around)
    lowest = _lowest_fold(curves.log_gain)
    exists = lowest > 0
    bracket = (lowest - 1, lowest + 1)
    return _at_bracket(bracket, exists, alphas, around, static_branch, _slope)


def _lowest_fold(log_gain):
    """Return the index of the interior minimum of g_h along each branch, 0 where there is none."""
    inner = log_gain[:, 1:-1]
    # Rounding makes the flat start of the zero branch wiggle: a fold is deeper than that.
    minimum = (inner < log_gain[:, :-2]) & (inner <= log_gain[:, 2:])
    deep = np.maximum.accumulate(log_gain, axis=1)[:, 1:-1] - inner > 1e-12
    candidates = np.where(minimum & deep, inner, np.inf)
    best = np.argmin(candidates, axis=1)
    return np.where(np.isfinite(candidates.min(axis=1)), best + 1, 0)


def _fold_gain(alphas, around):
    return _fold_start(alphas, around)[1]


def _marginal_start(alphas, around, branch):
    _, curves = _curves_of(alphas, around, branch)
    # The state sits on the upper branch: from the fold, where there is one, upwards.
    start = _lowest_fold(curves.log_gain)
    upper = np.arange(_POINTS)[None, :] >= start[:, None]
    above = upper & (curves.log_marginal > 0)
    first = np.argmax(above, axis=1)
    exists = above.any(axis=1) & (first > start)
    log_b, gain = _at_bracket((first - 1, first), exists, alphas, around, branch, _log_marginal)
    never_marginal = above.any(axis=1) & (first <= start)
    return log_b, np.where(never_marginal, 0.0, gain)


def _marginal_gain(alphas, around, branch):
    return _marginal_start(alphas, around, branch)[1]


# Lines at given g_h: two equations in (ln b, ln alpha_r), started from the points above.


def _stability_residual(x, log_gain, around):
    point = static_branch(x[0], jnp.exp(x[1]), around)
    return jnp.stack([point.log_gain - log_gain, point.log_radius])


def _fold_residual(x, log_gain, around):
    def gain(log_b):
        return static_branch(log_b, jnp.exp(x[1]), around).log_gain

    value, slope = jax.value_and_grad(gain)(x[0])
    return jnp.stack([value - log_gain, slope])


@functools.cache
def _marginal_residual(branch: Branch):
    def residual(x, log_gain, around):
        point = branch(x[0], jnp.exp(x[1]), around)
        return jnp.stack([point.log_gain - log_gain, point.log_marginal])

    return residual


_STABILITY = _Line(_stability_residual, _stability_start, True)
_FOLD = _Line(_fold_residual, _fold_start, False)


@functools.partial(jax.jit, static_argnums=3)
def _newton_lines(starts, log_gains, around, residual):
    def solve(start, log_gain):
        return newton(lambda x: residual(x, log_gain, around), start, iterations=30)

    return jax.vmap(solve)(starts, log_gains)


def _critical_alpha(gains: np.ndarray, around: Surroundings, line: _Line) -> np.ndarray:
    """Return the smallest alpha_r at which the line passes each gain, 0 or infinity where none."""
    alphas = np.geomspace(*_TABLE_ALPHA, _TABLE)
    log_b, line_gain = line.at_alpha(alphas, around)
    on_line = np.isfinite(line_gain) & (line_gain > 0)
    # A line that runs into the fold ends there: below its end no state is in the phase.
    ends_at_fold = (line_gain == 0).any()
    critical = np.full(gains.shape, 0.0 if ends_at_fold else NEVER)
    first = line_gain[0] if line.ends_phase and on_line[0] else NEVER
    critical = np.where(gains >= first, 0.0, critical)
    safe = np.where(on_line, line_gain, np.nan)
    low, high = safe[:-1, None], safe[1:, None]
    with np.errstate(invalid="ignore"):
        between = ((low - gains) * (high - gains) <= 0) & np.isfinite(low) & np.isfinite(high)
    place = np.argmax(between, axis=0)
    wanted = between.any(axis=0) & (gains < first)
    if not wanted.any():
        return critical
    # Interpolate the start between the table's points, in ln g_h.
    index = place[wanted]
    span = np.log(line_gain[index + 1] / line_gain[index])
    share = np.log(gains[wanted] / line_gain[index]) / np.where(span == 0, 1.0, span)
    ends = np.stack([log_b, np.log(alphas)], axis=-1)
    starts = ends[index] + share[:, None] * (ends[index + 1] - ends[index])
    log_gains = jnp.asarray(np.log(gains[wanted]))
    found, error = _newton_lines(jnp.asarray(starts), log_gains, around, line.residual)
    if float(jnp.max(error)) > _ACCEPTED:
        bad = gains[wanted][np.asarray(error) > _ACCEPTED]
        raise NumericalFailureError(
            f"critical line at g_h = {bad[:5].tolist()}: Newton's method stopped at residual "
            f"{float(jnp.max(error)):.1e}, expected below {_ACCEPTED:.0e}. Move these gains away "
            "from the line's end points."
        )
    critical[wanted] = np.exp(np.asarray(found[:, 1]))
    return critical


# The zero fixed point without sources, where random input may still reach the output gate.


def _zero_gain(around: Surroundings, alphas: np.ndarray) -> np.ndarray:
    at_zero = around._replace(h_bias=0.0, h_input=0.0)
    tiny = jnp.full(alphas.size, np.log(1e-7))
    gain = jax.vmap(lambda b, a: static_branch(b, a, at_zero).log_gain)(tiny, alphas.ravel())
    return np.exp(np.asarray(gain)).reshape(alphas.shape)


def _inverse_zero_gain(around: Surroundings, gains: np.ndarray) -> np.ndarray:
    alphas = np.concatenate([[0.0], np.geomspace(*_TABLE_ALPHA, 4000)])
    edge = _zero_gain(around, alphas)
    below = edge[:, None] <= gains.ravel()
    first = np.argmax(below, axis=0)
    low, high = alphas[np.maximum(first - 1, 0)], alphas[first]

    def distance(alpha):
        return _zero_gain_traced(around, alpha) - gains.ravel()

    refined = np.asarray(bisect(distance, jnp.asarray(low), jnp.asarray(high)))
    critical = np.where(first == 0, 0.0, refined)
    return np.where(below.any(axis=0), critical, NEVER).reshape(gains.shape)


def _zero_gain_traced(around, alphas):
    log_b = jnp.full(alphas.shape, np.log(1e-7))
    points = jax.vmap(lambda b, a: static_branch(b, a, around).log_gain)(log_b, alphas)
    return jnp.exp(points)
