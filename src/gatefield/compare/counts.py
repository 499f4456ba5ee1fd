"""Fixed points of small networks, counted by brute force beside the theory of their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.analysis.fixed_points.steps import newton_steps, velocity_matrix
from gatefield.cells import AbstractCell
from gatefield.cells.base import check_cell
from gatefield.core.checks import as_number, check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray, Int
from gatefield.networks import Network
from gatefield.networks.inputs import drive_of
from gatefield.networks.network import compilable
from gatefield.theory.static import solve_static

_LARGEST = 600  # of d N: each of very many Newton steps solves such a system
_BATCH = 256
_STEPS = 40
_SOLVED = 1e-11  # root mean square velocity
_SAME = 1e-6  # root mean square distance, relative to the point where it exceeds one
_NEAR = 1e-7  # of the Newton step that remains, likewise
_SCALES = (0.1, 0.3, 0.6, 1.0, 1.5)  # of starts, relative to the theory's states
_RESAMPLES = 2000


class FixedPointCounts(AbstractResult):
    r"""Numbers of fixed points found in networks of N units.

    Attributes
    ----------
    found
        Distinct fixed points in each network.
    once
        How many of them a single search found.
    missing
        Chao's estimate of how many were not found, from those found once and twice: a lower bound
        in the mean where points are not equally likely to be found.
    index
        Sum over the points found of the sign of det(-dv/dx). It is 1 over all fixed points
        (Poincare and Hopf), so that another value proves that some are missing.
    searches
        Searches made in each network.
    mean_square
        Mean square of each state component over units and points, without the zero state.
    log_mean, log_mean_interval
        ln(mean number) / N, and its 95 per cent interval from resampled networks.
    mean_log, mean_log_error
        Mean over networks of ln(number) / N, and its standard error.
    n
        N.
    """

    found: Int[HostArray, " network"] = eqx.field(metadata=quantity("network"))
    once: Int[HostArray, " network"] = eqx.field(metadata=quantity("network"))
    missing: Float[HostArray, " network"] = eqx.field(metadata=quantity("network"))
    index: Int[HostArray, " network"] = eqx.field(metadata=quantity("network"))
    searches: Int[HostArray, " network"] = eqx.field(metadata=quantity("network"))
    mean_square: Float[HostArray, " component"] = eqx.field(metadata=quantity("component"))
    log_mean: Float[HostArray, ""] = eqx.field(metadata=quantity())
    log_mean_interval: Float[HostArray, " end"] = eqx.field(metadata=quantity("end"))
    mean_log: Float[HostArray, ""] = eqx.field(metadata=quantity())
    mean_log_error: Float[HostArray, ""] = eqx.field(metadata=quantity())
    n: int = eqx.field(static=True)

    @property
    def share_once(self) -> float:
        """Part of the points that were found once: near zero where the search is saturated."""
        return float(self.once.sum() / self.found.sum())

    @property
    def complete(self) -> float:
        """Part of the networks whose points have the index 1 that all of them have."""
        return float(np.mean(self.index == 1))


def count_fixed_points(
    cell: AbstractCell,
    n: int,
    *,
    networks: int = 24,
    rounds: int = 12,
    spread: float | None = None,
    seed: int = 0,
    report: Callable[[int], None] | None = None,
) -> FixedPointCounts:
    """Count the fixed points of sampled networks by Newton's method from many random starts.

    Parameters
    ----------
    cell
        Any cell whose velocity points inwards far from the origin; without inputs.
    n, networks
        Units of each network (at most 600 state components d N), and how many networks.
    rounds
        At most so many rounds of 256 searches each. They end when a round finds nothing new and
        every point was found at least twice.
    spread
        Standard deviation of the starts; by default that of the static theory's largest solution,
        component by component. Smaller and larger starts are mixed in.
    seed
        Seed of the first network.
    report
        Called with the number of networks done.

    Returns
    -------
    FixedPointCounts

    Raises
    ------
    InvalidInputError
        For networks that are too large, or numbers that make no sense.

    Assumptions
    -----------
    What was not found is not counted: look at ``share_once``, ``missing`` and ``complete``. Relu
    and fixed points that form a continuum are outside.
    """
    check_cell(cell)
    n, networks = check_count("n", n, at_least=2), check_count("networks", networks, at_least=3)
    rounds, seed = check_count("rounds", rounds), check_seed(seed)
    size = n * len(cell.state_names)
    if size > _LARGEST:
        refuse("d N", size, f"at most {_LARGEST}", "Large networks have too many points to count.")
    if spread is None:
        widths = _spread_of(cell)
    else:
        width = as_number("spread", spread, positive=True)
        widths = np.full(len(cell.state_names), width)

    def one(number: int) -> tuple[Any, ...]:
        with jax.enable_x64(True):
            return _searched(Network.sample(cell, n, seed=seed + number), widths, rounds, number)

    rows = []
    # One after the other: batches of linear systems use all cores, and two threads that each wait
    # for such a batch can block each other for ever.
    for number in range(networks):
        rows.append(one(number))
        if report is not None:
            report(number + 1)
    found, once, twice, index, searches = (np.array([row[k] for row in rows]) for k in range(5))
    active = np.concatenate([row[5] for row in rows])
    rng = np.random.default_rng(seed)
    means = rng.choice(found, (_RESAMPLES, networks)).mean(axis=1)
    logs = np.log(np.maximum(found, 1)) / n
    return FixedPointCounts(
        found=found,
        once=once,
        missing=once * (once - 1) / (2 * (twice + 1.0)),
        index=index,
        searches=searches,
        mean_square=np.mean(active**2, axis=(0, 2)) if len(active) else np.zeros(len(widths)),
        log_mean=np.asarray(np.log(max(found.mean(), 1e-300)) / n),
        log_mean_interval=np.log(np.maximum(np.quantile(means, [0.025, 0.975]), 1e-300)) / n,
        mean_log=np.asarray(logs.mean()),
        mean_log_error=np.asarray(logs.std(ddof=1) / np.sqrt(networks)),
        n=n,
    )


def _spread_of(cell: AbstractCell) -> HostArray:
    """Return the root mean square of each component in the largest static solution."""
    try:
        largest = solve_static(cell, samples=512, replicates=2, throw=False)[-1]
    except IndexError:
        return np.ones(len(cell.state_names))
    squares = [float(largest.variance[name] + largest.mean[name] ** 2) for name in cell.state_names]
    widths = np.sqrt(squares)
    return np.where(widths > 1e-3, widths, max(0.3, float(widths.max())))


def _searched(network: Network, widths: HostArray, rounds: int, seed: int) -> tuple[Any, ...]:
    wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), compilable(network))
    drive = drive_of(wide, None).constant
    rng = np.random.default_rng([seed, network.n])
    shape = (_BATCH, len(widths), network.n)
    points, times = np.zeros((0, *shape[1:])), np.zeros(0, int)
    made = 0
    for number in range(rounds):
        scales = np.resize(_SCALES, _BATCH)[:, None, None] * widths[:, None]
        states: Any = scales * rng.standard_normal(shape)
        if number == 0:
            states[0] = 0.0
        speeds = np.full(_BATCH, np.inf)
        for _ in range(_STEPS):
            step = newton_steps(wide, drive, jnp.asarray(states))
            states, before = np.asarray(step.states), speeds
            speeds = np.sqrt(np.asarray(step.merits))
            if np.all((speeds < _SOLVED) | (speeds > 0.99 * before)):
                break
        made += _BATCH
        new = 0
        # Where gates shut the speed falls to zero towards infinity: there Newton's step is long.
        lengths = np.asarray(newton_steps(wide, drive, jnp.asarray(states)).lengths)
        sizes = np.sqrt(np.mean(states**2, axis=(1, 2)))
        solved = (speeds < _SOLVED) & (lengths < _NEAR * np.maximum(1.0, sizes))
        for state in states[solved]:
            apart = np.sqrt(np.mean((points - state) ** 2, axis=(1, 2)))
            same = _SAME * max(1.0, float(np.sqrt(np.mean(state**2))))
            if apart.size and apart.min() < same:
                times[np.argmin(apart)] += 1
            else:
                points, times = np.concatenate([points, state[None]]), np.append(times, 1)
                new += 1
        if number > 0 and new == 0 and np.all(times > 1):
            break
    signs = [
        np.linalg.slogdet(-np.asarray(velocity_matrix(wide, drive, jnp.asarray(point))))[0]
        for point in points
    ]
    active = points[np.max(np.abs(points), axis=(1, 2), initial=0.0) > _SAME]
    once, twice = int(np.sum(times == 1)), int(np.sum(times == 2))
    return len(points), once, twice, round(float(np.sum(signs))), made, active
