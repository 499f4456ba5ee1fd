"""Points of critical lines: where to look along the branches, and Newton's method from there.

A `Line` is asked for its gain at given alpha_r (`gain_at`) or for its alpha_r at given gains
(`alpha_at`). Tables along the branches show where the critical point is; Newton's method on the
exact branch refines it to rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from gatefield.core.errors import NumericalFailureError
from gatefield.numerics.newton import newton
from gatefield.phases.branch import BranchPoint, static_branch
from gatefield.phases.marginal_dynamics import dynamical_branch
from gatefield.phases.surroundings import Surroundings
from gatefield.phases.table import branch_table

Branch = Callable[[Any, Any, Surroundings], BranchPoint]

_POINTS = 220
_SMALLEST_B, _LARGEST_B = 1e-4, 60.0
_TABLE = 160
_TABLE_ALPHA = (1e-2, 1e7)
_ACCEPTED = 1e-8
_CHUNK = 64
_END_PASSES, _END_POINTS = 10, 14

NEVER = np.inf
"""The critical value where a line does not exist."""


class Line(NamedTuple):
    """A line: its equations and where to start.

    ``residual`` returns ln g_h and the quantity that vanishes on the line, of (ln b, alpha_r).
    ``start`` returns for each alpha_r an approximate ln b, whether the line exists there, and where
    its phase exists nowhere (or None). ``ends_phase`` says that the line bounds a phase from above
    in both gains: a gain beyond its start at alpha_r = 0 has critical alpha_r 0, not infinity.
    """

    residual: Callable[..., Any]
    start: Callable[[np.ndarray, Surroundings], tuple[np.ndarray, np.ndarray, np.ndarray | None]]
    ends_phase: bool


# Points of the lines at given alpha_r: found in tables along the branches, refined on the branch.


def _grid(around: Surroundings) -> np.ndarray:
    """Return values of ln b that cover the branches, the farther the stronger the sources."""
    # A weak input makes the branch start at b ~ g sqrt(var I): resolve decades below the scale.
    inputs = np.sqrt(around.h_input)
    lowest = min(_SMALLEST_B, 1e-3 * inputs) if inputs else _SMALLEST_B
    # Strong sources saturate tanh, rare open gates weigh little: gains must grow in proportion.
    opened = max(float(ndtr(around.z_offset / np.sqrt(1 + around.z_input))), 1e-6)
    sources = max(around.h_input, abs(around.beta_h), np.sqrt(around.h_bias), 0.5 / opened)
    return np.linspace(np.log(lowest), np.log(_LARGEST_B * max(1.0, sources)), _POINTS)


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


def gain_at(alphas: np.ndarray, around: Surroundings, line: Line) -> np.ndarray:
    """Return the exact g_h of a line at each alpha_r; 0 and infinity as `Line` says."""
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


def _marginal_line(branch: Branch) -> Line:
    def equations(log_b, alpha, around):
        point = branch(log_b, alpha, around)
        return jnp.stack([point.log_gain, point.log_marginal])

    return Line(equations, lambda alphas, around: _marginal_start(alphas, around, branch), True)


STABILITY = Line(_stability_equations, _stability_start, True)
FOLD = Line(_fold_equations, _fold_start, False)
MARGINAL = {
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


def alpha_at(gains: np.ndarray, around: Surroundings, line: Line) -> np.ndarray:
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
def _table(around: Surroundings, line: Line) -> _Table:
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
    first = float(gain_at(np.zeros(1), around, line)[0]) if line.ends_phase else NEVER
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
