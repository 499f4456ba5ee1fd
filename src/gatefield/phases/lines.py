"""Critical lines of the static theory: stability, fixed-point bifurcation, marginal stability.

Each line is asked in either direction: ``g_h`` in, critical alpha_r out, or ``alpha_r`` in,
critical g_h out. Lines are found on the explicit branches of `phases.branch`: a table along each
branch shows where the critical point is, and Newton's method refines it to rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.checks import as_parameter, check_choice
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.types import Float, HostArray
from gatefield.numerics.newton import bisect, newton
from gatefield.phases.branch import BranchPoint, static_branch
from gatefield.phases.marginal_dynamics import dynamical_branch
from gatefield.phases.surroundings import Surroundings, surroundings
from gatefield.phases.table import branch_table

Branch = Callable[[Any, Any, Surroundings], BranchPoint]

_POINTS = 220
_SMALLEST_B, _LARGEST_B = 1e-4, 60.0
_TABLE = 160
_TABLE_ALPHA = (1e-2, 1e7)
_ACCEPTED = 1e-8
_CHUNK = 64
_LOG_ZERO = np.log(1e-7)  # so small that the branch is at the zero fixed point
_END_PASSES, _END_POINTS = 10, 14

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
        where no alpha_r up to 1e7 destabilises it.

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
            return _shaped(given, lambda flat: _gain_at(flat, around, _STABILITY))
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
        For ``g_h``: the alpha_r above which the pair exists; infinity where it never does, or only
        beyond 1e7, within 3e-5 of the lower end. For ``alpha_r``: the g_h above which it exists;
        infinity where the branch has no fold.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 12, G1-G2; Fig. 4.
    """
    around = surroundings(beta_h, beta_r, input_variance, bias_variance)
    given, by_alpha = _one_of(g_h, alpha_r)
    with jax.enable_x64(True):
        if by_alpha:
            return _shaped(given, lambda flat: _gain_at(flat, around, _FOLD))
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
    with jax.enable_x64(True):
        if by_alpha:
            return _shaped(given, lambda flat: _gain_at(flat, around, _MARGINAL[method]))
        return _shaped(given, lambda flat: _critical_alpha(flat, around, _MARGINAL[method]))


class _Line(NamedTuple):
    """A line: its equations and where to start.

    ``residual`` returns ln g_h and the quantity that vanishes on the line, of (ln b, alpha_r).
    ``start`` returns for each alpha_r an approximate ln b, whether the line exists there, and where
    its phase exists nowhere (or None). ``ends_phase`` says that the line bounds a phase from above
    in both gains: a gain beyond its start at alpha_r = 0 has critical alpha_r 0, not infinity.
    """

    residual: Callable[..., Any]
    start: Callable[[np.ndarray, Surroundings], tuple[np.ndarray, np.ndarray, np.ndarray | None]]
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


# Points of the lines at given alpha_r: found in tables along the branches, refined on the branch.


def _grid(around: Surroundings) -> np.ndarray:
    """Return values of ln b that cover the branches: from the random bias's deviation upwards."""
    smallest = np.sqrt(around.h_bias) * (1 + 1e-9) + _SMALLEST_B * (around.h_bias == 0)
    inputs = np.sqrt(around.h_input)
    # A weak input makes the branch start at b ~ g sqrt(var I): resolve decades below the scale.
    lowest = min(smallest, 1e-3 * inputs) if inputs and not around.h_bias else smallest
    return np.linspace(np.log(lowest), np.log(_LARGEST_B + smallest), _POINTS)


def _crossing(log_b: np.ndarray, values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return where each row of values crosses zero between the columns first - 1 and first."""
    rows, right = np.arange(len(values)), np.clip(first, 1, _POINTS - 1)
    low, high = values[rows, right - 1], values[rows, right]
    share = np.clip(low / np.where(low == high, 1.0, low - high), 0.0, 1.0)
    return log_b[right - 1] + share * (log_b[right] - log_b[right - 1])


def _stability_start(alphas, around):
    log_b = _grid(around)
    radius = branch_table(log_b, alphas, around, static_branch).log_radius
    above = radius > 0
    first = np.argmax(above, axis=1)
    exists = above.any(axis=1) & (first > 0)
    return _crossing(log_b, np.asarray(radius), first), exists, None


def _fold_start(alphas, around):
    log_b = _grid(around)
    gain = branch_table(log_b, alphas, around, static_branch).log_gain
    lowest = _lowest_fold(gain)
    rows, middle = np.arange(len(gain)), np.clip(lowest, 1, _POINTS - 2)
    left, centre, right = (gain[rows, middle + k] for k in (-1, 0, 1))
    # The vertex of the parabola through the lowest point and its neighbours.
    bend = left - 2 * centre + right
    shift = np.clip((left - right) / np.where(bend == 0, 1.0, 2 * bend), -1.0, 1.0)
    return log_b[middle] + shift * (log_b[1] - log_b[0]), lowest > 0, None


def _lowest_fold(log_gain):
    """Return the index of the interior minimum of g_h along each branch, 0 where there is none."""
    inner = log_gain[:, 1:-1]
    # Rounding makes the flat start of the zero branch wiggle: a fold is deeper than that.
    minimum = (inner < log_gain[:, :-2]) & (inner <= log_gain[:, 2:])
    deep = np.maximum.accumulate(log_gain, axis=1)[:, 1:-1] - inner > 1e-13
    candidates = np.where(minimum & deep, inner, np.inf)
    best = np.argmin(candidates, axis=1)
    return np.where(np.isfinite(candidates.min(axis=1)), best + 1, 0)


def _marginal_start(alphas, around, branch):
    log_b = _grid(around)
    points = branch_table(log_b, alphas, around, branch)
    # The state sits on the upper branch: from the fold, where there is one, upwards.
    start = _lowest_fold(points.log_gain)
    upper = np.arange(_POINTS)[None, :] >= start[:, None]
    above = upper & (points.log_marginal > 0)
    first = np.argmax(above, axis=1)
    exists = above.any(axis=1) & (first > start)
    return (
        _crossing(log_b, np.asarray(points.log_marginal), first),
        exists,
        above.any(axis=1) & ~exists,
    )


def _gain_at(alphas: np.ndarray, around: Surroundings, line: _Line) -> np.ndarray:
    """Return the exact g_h of a line at each alpha_r; 0 and infinity as `_Line` says."""
    log_b, exists, nowhere = line.start(alphas, around)
    gains, error = _in_chunks(_newton_gains, log_b, alphas, around, line.residual)
    failed = exists & ~(error < _ACCEPTED)
    if failed.any():
        _refuse_unrefined("alpha_r", alphas[failed], float(np.max(error[failed])))
    found = np.where(exists, np.exp(gains), NEVER)
    return found if nowhere is None else np.where(nowhere, 0.0, found)


@functools.partial(jax.jit, static_argnums=3)
def _newton_gains(starts, alphas, around, residual):
    """Solve a line's second equation for ln b at given alpha_r, and return ln g_h there."""

    def solve(start, alpha):
        def critical(x):
            return residual(x[0], alpha, around)[1][None]

        x, error = newton(critical, start[None], iterations=20, largest_step=0.1)
        return residual(x[0], alpha, around)[0], error

    return jax.vmap(solve)(starts, alphas)


def _in_chunks(solver, first, second, around, equations) -> tuple[np.ndarray, ...]:
    """Run a vectorised solver on chunks of one size, so that it is compiled once for all grids."""
    count = len(first)
    chunks = []
    for begin in range(0, count, _CHUNK):
        part = [np.asarray(a[begin : begin + _CHUNK], float) for a in (first, second)]
        missing = _CHUNK - len(part[0])
        padded = [np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for a in part]
        solved = solver(*(jnp.asarray(a) for a in padded), around, equations)
        chunks.append([np.asarray(a)[: _CHUNK - missing] for a in solved])
    return tuple(np.concatenate(parts) for parts in zip(*chunks, strict=True))


def _refuse_unrefined(name: str, values: np.ndarray, error: float) -> NoReturn:
    raise NumericalFailureError(
        f"critical line at {name} = {values[:5].tolist()}: Newton's method stopped at residual "
        f"{error:.1e}, expected below {_ACCEPTED:.0e}. Move away from the line's end points."
    )


# Lines at given g_h: two equations in (ln b, ln alpha_r), started from the points above.


def _stability_equations(log_b, alpha, around):
    point = static_branch(log_b, alpha, around)
    return jnp.stack([point.log_gain, point.log_radius])


def _fold_equations(log_b, alpha, around):
    def gain(u):
        return static_branch(u, alpha, around).log_gain

    return jnp.stack(jax.value_and_grad(gain)(log_b))


def _marginal_line(branch: Branch) -> _Line:
    def equations(log_b, alpha, around):
        point = branch(log_b, alpha, around)
        return jnp.stack([point.log_gain, point.log_marginal])

    return _Line(equations, lambda alphas, around: _marginal_start(alphas, around, branch), True)


_STABILITY = _Line(_stability_equations, _stability_start, True)
_FOLD = _Line(_fold_equations, _fold_start, False)
_MARGINAL = {
    "static": _marginal_line(static_branch),
    "dmft": _marginal_line(dynamical_branch),
}


@functools.partial(jax.jit, static_argnums=3)
def _newton_alphas(starts, log_gains, around, equations):
    def solve(start, log_gain):
        def residual(x):
            return equations(x[0], jnp.exp(x[1]), around) - jnp.stack([log_gain, 0.0])

        return newton(residual, start, iterations=60)

    return jax.vmap(solve)(starts, log_gains)


def _critical_alpha(gains: np.ndarray, around: Surroundings, line: _Line) -> np.ndarray:
    """Return the smallest alpha_r at which the line passes each gain, 0 or infinity where none."""
    table = _table(around, line)
    critical = np.full(gains.shape, table.beyond)
    if line.ends_phase:
        critical = np.where(gains >= table.first_gain, 0.0, critical)
    with np.errstate(invalid="ignore"):
        low, high = table.gain[:-1, None], table.gain[1:, None]
        between = ((low - gains) * (high - gains) <= 0) & (gains < table.first_gain)
    wanted = between.any(axis=0)
    if not wanted.any():
        return critical
    index = np.argmax(between, axis=0)[wanted]
    # Start between the table's points, interpolated in ln g_h.
    span = np.log(table.gain[index + 1] / table.gain[index])
    share = np.log(gains[wanted] / table.gain[index]) / np.where(span == 0, 1.0, span)
    ends = np.stack([table.log_b, np.log(table.alpha)], axis=-1)
    starts = ends[index] + share[:, None] * (ends[index + 1] - ends[index])
    found, error = _in_chunks(_newton_alphas, starts, np.log(gains[wanted]), around, line.residual)
    failed = ~(error < _ACCEPTED)
    if failed.any():
        _refuse_unrefined("g_h", gains[wanted][failed], float(np.max(error[failed])))
    critical[wanted] = np.exp(found[:, 1])
    return critical


class _Table(NamedTuple):
    """Points of a line in ascending alpha_r; ``gain`` is not a number where there is no line.

    ``first_gain`` is the line's gain at alpha_r = 0 (infinite where it does not reach there);
    ``beyond`` the critical value of gains that the line never passes.
    """

    alpha: np.ndarray
    log_b: np.ndarray
    gain: np.ndarray
    first_gain: float
    beyond: float


@functools.lru_cache(maxsize=64)
def _table(around: Surroundings, line: _Line) -> _Table:
    """Tabulate a line over alpha_r, with points that cluster where it begins or ends."""
    alpha = np.concatenate([[1e-6, 1e-4, 1e-3], np.geomspace(*_TABLE_ALPHA, _TABLE)])
    exists = line.start(alpha, around)[1]
    (switches,) = np.nonzero(exists[1:] != exists[:-1])
    extra = [_towards_end(alpha[k], alpha[k + 1], exists[k], around, line) for k in switches]
    alpha = np.unique(np.concatenate([alpha, *extra]))
    log_b, exists, nowhere = line.start(alpha, around)
    (log_gain,) = _in_chunks(_log_gains, log_b, alpha, around, line.residual)
    gain = np.where(exists, np.exp(log_gain), np.nan)
    # A line that runs into the fold ends there: below its end no state is in the phase.
    beyond = 0.0 if nowhere is not None and nowhere.any() else NEVER
    first = float(_gain_at(np.zeros(1), around, line)[0]) if line.ends_phase else NEVER
    return _Table(alpha, log_b, gain, first if first > 0 else NEVER, beyond)


@functools.partial(jax.jit, static_argnums=3)
def _log_gains(log_b, alphas, around, equations):
    return (jax.vmap(lambda u, alpha: equations(u, alpha, around)[0])(log_b, alphas),)


def _towards_end(low, high, low_exists, around, line) -> np.ndarray:
    """Return values of alpha_r that cluster at the end of a line between low and high."""
    inside, outside = (low, high) if low_exists else (high, low)
    start = inside
    for _ in range(_END_PASSES):
        tried = np.linspace(outside, inside, _END_POINTS + 2)
        first = int(np.argmax(line.start(tried, around)[1]))
        if first == 0:
            break
        outside, inside = tried[first - 1], tried[first]
    return inside + (start - inside) * np.geomspace(1e-10, 1, 40)


# The zero fixed point without sources, where random input may still reach the output gate.


def _zero_gain(around: Surroundings, alphas: np.ndarray) -> np.ndarray:
    """Return the gain at which the zero fixed point loses stability, at each alpha_r."""
    start = np.full(alphas.size, _LOG_ZERO)
    (log_gain,) = _in_chunks(_log_gains, start, alphas.ravel(), around, _stability_equations)
    return np.exp(log_gain).reshape(alphas.shape)


def _inverse_zero_gain(around: Surroundings, gains: np.ndarray) -> np.ndarray:
    """Return the alpha_r at which random input to the gate makes each gain critical."""
    alphas = np.concatenate([[0.0], np.geomspace(*_TABLE_ALPHA, 4000)])
    below = _zero_gain(around, alphas)[:, None] <= gains.ravel()
    first = np.argmax(below, axis=0)

    def distance(alpha):
        log_b = jnp.full(alpha.shape, _LOG_ZERO)
        return _log_gains(log_b, alpha, around, _stability_equations)[0] - np.log(gains.ravel())

    low, high = alphas[np.maximum(first - 1, 0)], alphas[first]
    refined = np.asarray(bisect(distance, jnp.asarray(low), jnp.asarray(high)))
    critical = np.where(first == 0, 0.0, refined)
    return np.where(below.any(axis=0), critical, NEVER).reshape(gains.shape)
