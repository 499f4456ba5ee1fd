"""One run of one network: from its first state to rest, or until it is given up."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.analysis.growth import perturbation_growth
from gatefield.analysis.transients.follow import Bounds, Watch, begun, follow, rms
from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray
from gatefield.networks.inputs import Drive, drive_of
from gatefield.networks.network import Network, as_state, change, compilable

_WORK = 2e10  # products of numbers between looks up from the work: some seconds
_GREW = 3.0  # logarithm of a perturbation's growth that tells chaos from regular motion
_BLOCKS, _SETTLING = 20, 4
# A fixed point is known only once the run is much nearer to it than the threshold. From a distance
# of one that takes 2.5 times as long by default, and longer where the last part of a decay is slow.
_PATIENCE = 10  # times t_max that a run is followed in search of it

Target = Callable[[Network], Any]


class Outcome(enum.IntEnum):
    """How a run ended; see `TransientLengths`."""

    REST = 0
    OTHER_FIXED_POINT = 1
    REGULAR = 2
    CHAOTIC = 3
    DIVERGED = 4


class Job(NamedTuple):
    """One run: number of units, and which of the networks of this size."""

    n: int
    network: int


class Plan(NamedTuple):
    """What all runs share.

    Attributes
    ----------
    cell, inputs, target, component, spread
        As in `transient_lengths`; the component as a number, None for all.
    method
        "rk4", "euler" or "map".
    dt
        Time of a step: 1 for maps.
    steps, hold
        Steps of the longest run, and of staying at rest.
    threshold, still, growth_time
        As in `transient_lengths`.
    dtype, seed
        Precision, and what every run's seed is made of.
    """

    cell: AbstractCell
    inputs: dict[str, float]
    target: Target | None
    component: int | None
    spread: float
    method: str
    dt: float
    steps: int
    hold: int
    threshold: float
    still: float
    growth_time: float
    dtype: str
    seed: int


class Standing(NamedTuple):
    """Where a run stands, on the host.

    Attributes
    ----------
    stage
        "seek" (where it comes to rest, if its target is not known), "linger" (the same, past t_max,
        where it still moved but was not chaotic), "watch", or "done".
    watch
        The state and what is known of it.
    target
        The fixed point, (d, N); NaN while it is sought.
    outcome
        Of a run that is done; -1 before. Of one that lingers, what it will be unless it comes to
        rest.
    length
        When it came to rest or was given up, in units of time (steps of maps).
    growth
        Rate at which a perturbation grew after the end of a run that still moved; else NaN.
    """

    stage: str
    watch: Watch
    target: HostArray
    outcome: int = -1
    length: float = math.nan
    growth: float = math.nan


def seed_of(plan_seed: int, job: Job) -> int:
    """Return the seed of a run's couplings and first state; no two sizes share one."""
    text = f"{plan_seed} {job.n} {job.network}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def advance(plan: Plan, job: Job, standing: Standing | None) -> Standing:
    """Follow a run for some seconds at most; start it where it has not begun."""
    with jax.enable_x64(True):
        sampled = Network.sample(plan.cell, job.n, seed=seed_of(plan.seed, job), dtype=plan.dtype)
        network = compilable(sampled)
        drive = drive_of(network, plan.inputs)
        if standing is None:
            standing = _first(plan, job, sampled, network, drive)
        bounds = _bounds(plan, network, standing.stage)
        target = jnp.asarray(standing.target, network.dtype)
        watch = jax.tree.map(jnp.asarray, standing.watch)
        work = sum(each.size for each in network.couplings) * (4 if plan.method == "rk4" else 1)
        stretch = watch.number + max(1, int(_WORK / work))
        watch = follow(
            network,
            drive,
            target,
            plan.component,
            watch,
            bounds._replace(stretch=stretch),
            plan.method,
        )
        standing = standing._replace(watch=jax.tree.map(np.asarray, watch))
        if not np.isfinite(watch.speed):
            return standing._replace(stage="done", outcome=int(Outcome.DIVERGED))
        if standing.stage in ("seek", "linger"):
            return _sought(plan, job, sampled, standing)
        return _watched(plan, job, sampled, standing)


def _first(plan: Plan, job: Job, sampled: Network, network: Network, drive: Drive) -> Standing:
    shape = (len(plan.cell.state_names), job.n)
    zero = np.zeros(shape, network.dtype)
    if plan.target is not None:
        target = np.asarray(as_state("target", network, plan.target(sampled)))
        speed = float(_speed_at(network, drive, jnp.asarray(target)))
        size = float(np.sqrt(np.mean(np.square(target, dtype=np.float64))))
        if not speed <= max(plan.still, 1e-2 * plan.threshold) * (1 + size):
            refuse(
                "target",
                f"a state that moves at speed {speed:.3g}",
                "a fixed point of the network",
                "Leave it out: runs then find where they come to rest.",
            )
    else:
        at_rest = float(_speed_at(network, drive, jnp.asarray(zero))) <= plan.still
        target = zero if at_rest else np.full_like(zero, np.nan)
    stage = "seek" if np.isnan(target[0, 0]) else "watch"
    return Standing(stage, _beginning(plan, job, target), target)


def _beginning(plan: Plan, job: Job, target: HostArray) -> Watch:
    key = jax.random.key(seed_of(plan.seed, job))
    state = plan.spread * np.asarray(jax.random.normal(key, target.shape, target.dtype))
    return begun(state.astype(target.dtype), target, plan.component, plan.threshold)


def _bounds(plan: Plan, network: Network, stage: str) -> Bounds:
    numbers = (plan.threshold, plan.still, plan.dt)
    counts = (0, _last(plan, stage), plan.hold)
    return Bounds(
        *(jnp.asarray(each) for each in counts),
        *(jnp.asarray(each, network.dtype) for each in numbers),
    )


def _last(plan: Plan, stage: str) -> int:
    """Return the step at which a run that still moves is looked at."""
    if stage != "linger":
        return plan.steps
    # Also where t_max is far below the decay time.
    return _PATIENCE * plan.steps + math.ceil(plan.growth_time / plan.dt)


@eqx.filter_jit
def _speed_at(network: Network, drive: Drive, state: Any) -> Any:
    moved = change(network, state, drive(jnp.zeros((), jnp.int64)))
    return rms(moved - state if isinstance(network.cell, AbstractMap) else moved)


def _sought(plan: Plan, job: Job, sampled: Network, standing: Standing) -> Standing:
    """Go on from a run without target: if it came to rest it is watched again, towards there."""
    watch = standing.watch
    if watch.calm >= plan.hold:
        target = np.asarray(watch.state)
        return Standing("watch", _beginning(plan, job, target), target)
    if watch.number < _last(plan, standing.stage) or watch.calm > 0:
        return standing
    if standing.stage == "linger":
        return standing._replace(stage="done")
    found = _moving(plan, job, sampled, standing)
    # Without a target nobody knows whether the run has passed the threshold already. Chaos has not;
    # all else may be the end of a decay.
    return found if found.outcome == Outcome.CHAOTIC else found._replace(stage="linger")


def _watched(plan: Plan, job: Job, sampled: Network, standing: Standing) -> Standing:
    watch = standing.watch
    if watch.inside >= plan.hold:
        length = float(watch.entered) * plan.dt
        return standing._replace(stage="done", outcome=int(Outcome.REST), length=length)
    if watch.calm >= plan.hold:
        since = float(watch.number - watch.calm) * plan.dt
        outcome = int(Outcome.OTHER_FIXED_POINT)
        return standing._replace(stage="done", outcome=outcome, length=since)
    if watch.number >= plan.steps and watch.inside == 0 and watch.calm == 0:
        return _moving(plan, job, sampled, standing)
    return standing


def _moving(plan: Plan, job: Job, sampled: Network, standing: Standing) -> Standing:
    """Tell by the growth of a perturbation whether a run that still moves is chaotic."""
    step: dict[str, Any] = {} if plan.method == "map" else {"dt": plan.dt}
    found = perturbation_growth(
        sampled,
        standing.watch.state,
        plan.growth_time,
        inputs=plan.inputs,
        blocks=_BLOCKS,
        discard=0,
        seed=seed_of(plan.seed, job),
        throw=False,
        **step,
    )
    logs = np.cumsum(np.append(0.0, found.block_rates)) * plan.growth_time / _BLOCKS
    # Between any two moments: chaos may end meanwhile, and at first the direction is none of its
    # own.
    chaotic = bool(np.max(logs - np.minimum.accumulate(logs)) > _GREW)
    rate = float(found.block_rates[_SETTLING:].mean())
    outcome = int(Outcome.CHAOTIC if chaotic else Outcome.REGULAR)
    length = plan.steps * plan.dt
    return standing._replace(stage="done", outcome=outcome, length=length, growth=rate)
