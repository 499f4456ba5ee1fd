"""`transient_lengths`: many networks of several sizes, each followed until it comes to rest."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from gatefield.analysis.transients import checkpoint as files
from gatefield.analysis.transients.result import TransientLengths
from gatefield.analysis.transients.runs import (
    Job,
    Outcome,
    Plan,
    Standing,
    Target,
    advance,
    seed_of,
)
from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cells.base import check_cell
from gatefield.core.checkpoints import fingerprint, writable
from gatefield.core.checks import (
    as_number,
    check_choice,
    check_count,
    check_names,
    check_seed,
)
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.numerics.steppers import STEPPERS
from gatefield.numerics.threads import in_turn

_DEFAULT_STEP = 0.05
_SAVE_EVERY = 60.0  # seconds between checkpoints
_ALL = "all"


def transient_lengths(
    cell: AbstractCell,
    sizes: int | Sequence[int],
    *,
    networks: int = 40,
    t_max: float = 1000.0,
    threshold: float = 0.01,
    component: str | None = None,
    target: Target | None = None,
    hold: float = 20.0,
    still: float = 1e-5,
    growth_time: float = 200.0,
    spread: float = 1.0,
    inputs: dict[str, float] | None = None,
    dt: float | None = None,
    method: str | None = None,
    dtype: str = "float64",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
    throw: bool = True,
) -> TransientLengths:
    r"""Measure how long networks of several sizes take to come to rest.

    For every size many networks are drawn, each with its own random state to start from. The length
    of the transient is the first time from which on

    .. math:: \Big[\frac1N \sum_i (h_i(t) - h_i^*)^2\Big]^{1/2} \le \mathrm{threshold}

    with h* the stable fixed point. Between the steps of a flow the logarithm of the distance is
    interpolated. A run ends as soon as it is known how; no trajectory is kept.

    Parameters
    ----------
    cell
        The per-unit rule, with parameters that all units share.
    sizes
        Numbers of units N.
    networks
        Networks of each size.
    t_max
        Longest time to watch, in units of the units' time constant (steps of maps). Of runs that
        still move then the length is known to exceed it.
    threshold
        Root mean square distance from the fixed point that counts as rest.
    component
        Which component of the state is h: by default the first; ``"all"`` takes every one.
    target
        A function of the `Network` that returns the fixed point (d, N). By default it is the zero
        state where that is a fixed point; where it is not, as with biases, each run is made twice:
        it comes to rest somewhere, and is then watched towards there. Since it slows down to
        ``still`` long after it passed the threshold, it may come to rest past ``t_max``: what is
        not chaotic then is followed for ten times ``t_max`` and ``growth_time`` more.
    hold
        How long a run must stay within the threshold to count as ended. One that enters it just
        before ``t_max`` is watched for longer.
    still
        Speed (root mean square of dx/dt, of F(x) - x for maps; relative to 1 + that of x) below
        which a run is at rest wherever it is: at the target, or at another fixed point. It must be
        below ``threshold`` over the slowest decay time.
    growth_time
        How long a perturbation is followed after ``t_max`` in runs that still move. They are
        chaotic if between two moments it grows by more than a factor e^3.
    spread
        Standard deviation of the initial states.
    inputs
        Constant external input by drive name, the same for all units.
    dt, method
        Step (by default 0.05) and method of a flow, "rk4" or "euler". The largest step not above
        ``dt`` is taken that divides ``t_max``. Maps have neither.
    dtype
        "float32" takes half the time in large networks. Single chaotic runs then differ, their
        statistics do not.
    seed
        Same seed, same networks: those of a size depend neither on the other sizes nor on how many
        there are.
    checkpoint
        A file that is written every minute, at the end, and when the runs are interrupted from the
        keyboard. Called again, runs go on where they stood; there may then be more networks and
        other sizes, all else must be as it was.
    progress
        True shows a bar of the runs, None on a terminal after some seconds.
    throw
        Raise if a run diverges; otherwise its outcome says so.

    Returns
    -------
    TransientLengths

    Raises
    ------
    InvalidInputError
        For options that do not fit the cell, a target that is no fixed point, or a checkpoint of
        other runs.
    NumericalFailureError
        If ``throw`` and a run left the finite numbers.

    Assumptions
    -----------
    The fixed point is stable: beside an unstable one every run lasts for ever. A run that came
    within the threshold for ``hold`` does not leave again. Small networks (of the gated RNN, below
    about 200 units) have attractors that larger ones lack, which the outcomes tell.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. V B 3, App. G 2, Fig. 11.
    """
    options = {
        "t_max": t_max,
        "threshold": threshold,
        "hold": hold,
        "still": still,
        "growth_time": growth_time,
        "spread": spread,
    }
    plan = _planned(cell, options, component, target, inputs, dt, method, dtype, seed)
    counts = _sizes(sizes)
    networks = check_count("networks", networks)
    path, runs, mark = writable(checkpoint), {}, ""
    if path is not None:
        mark = _mark(plan)
        runs = files.read(path, mark)
    bar = tqdm(
        total=len(counts) * networks,
        disable=None if progress is None else not progress,
        delay=3.0 if progress is None else 0.0,
        desc="transient_lengths",
        unit="run",
    )
    try:
        with bar:
            _carry_out(plan, counts, networks, runs, bar, path, mark)
    finally:
        # Also where the runs were interrupted, or one of them was refused.
        if path is not None and runs:
            files.write(path, mark, runs)
    found = _result(plan, counts, networks, runs)
    if throw and found.status is not Status.OK:
        number = int(np.sum(found.outcomes == Outcome.DIVERGED))
        raise NumericalFailureError(
            f"transient_lengths: {number} of {found.outcomes.size} runs diverged. Reduce dt; "
            "throw=False returns the others."
        )
    return found


def _planned(
    cell: Any,
    options: dict[str, Any],
    component: str | None,
    target: Any,
    inputs: Any,
    dt: float | None,
    method: str | None,
    dtype: str,
    seed: int,
) -> Plan:
    check_cell(cell)
    is_map = isinstance(cell, AbstractMap)
    numbers = {
        name: as_number(name, value, positive=name != "spread", nonnegative=name == "spread")
        for name, value in options.items()
    }
    t_max = numbers["t_max"]
    if is_map:
        if method not in (None, "map") or dt is not None:
            given = f"method={method!r}, dt={dt!r}"
            refuse("for a map", given, "neither method nor dt", "Maps advance step by step.")
        method, step, steps = "map", 1.0, check_count("t_max (steps of a map)", t_max)
    else:
        method = check_choice("method", "rk4" if method is None else method, STEPPERS)
        step = as_number("dt", _DEFAULT_STEP if dt is None else dt, positive=True)
        steps = max(1, math.ceil(t_max / step * (1 - 1e-12)))
        step = t_max / steps
    names = cell.state_names
    component = check_choice(
        "component", names[0] if component is None else component, (*names, _ALL)
    )
    if target is not None and not callable(target):
        remedy = "For instance lambda network: find_fixed_points(network).states[0]."
        refuse("target", target, "a function of the network that returns its fixed point", remedy)
    return Plan(
        cell=cell,
        inputs=_numbers(cell, inputs),
        target=target,
        component=None if component == _ALL else names.index(component),
        spread=numbers["spread"],
        method=method,
        dt=step,
        steps=steps,
        hold=max(1, math.ceil(numbers["hold"] / step * (1 - 1e-12))),
        threshold=numbers["threshold"],
        still=numbers["still"],
        growth_time=numbers["growth_time"],
        dtype=check_choice("dtype", dtype, ("float64", "float32")),
        seed=check_seed(seed),
    )


def _numbers(cell: AbstractCell, inputs: Any) -> dict[str, float]:
    inputs = {} if inputs is None else inputs
    check_names("inputs", inputs, cell.drive_names)
    for name, value in inputs.items():
        if callable(value) or np.ndim(value) != 0:
            remedy = "Networks of several sizes share it, and at rest it must not change."
            refuse(f"inputs[{name!r}]", value, "a number", remedy)
    return {name: as_number(f"inputs[{name!r}]", value) for name, value in inputs.items()}


def _sizes(sizes: Any) -> list[int]:
    given = [sizes] if np.ndim(sizes) == 0 else list(sizes)
    if not given:
        refuse("sizes", sizes, "at least one number of units", "For instance (200, 400).")
    counts = [check_count("sizes", each, at_least=2) for each in given]
    if len(set(counts)) < len(counts):
        refuse("sizes", sizes, "each size once", "Raise networks for more runs of a size.")
    return sorted(counts)


def _mark(plan: Plan) -> str:
    """Return what tells plans apart; a target by its name, since functions have no other mark."""
    named = getattr(plan.target, "__qualname__", None)
    return fingerprint(repr(type(plan.cell)), plan._replace(target=named))


def _carry_out(
    plan: Plan,
    sizes: Sequence[int],
    networks: int,
    runs: dict[Job, Standing],
    bar: Any,
    path: Path | None,
    mark: str,
) -> None:
    """Advance the runs of each size by some seconds, round after round, until all are done."""
    saved = time.monotonic()
    for n in sizes:
        jobs = [Job(n, network) for network in range(networks)]
        bar.update(sum(_done(runs, job) for job in jobs))

        def further(job: Job) -> None:
            # Kept here, so that an interrupted round loses nothing that is finished.
            runs[job] = advance(plan, job, runs.get(job))
            if runs[job].stage == "done":
                bar.update(1)

        while left := [job for job in jobs if not _done(runs, job)]:
            in_turn(further, left, size=n, lapack=False)
            far = [int(runs[job].watch.number) for job in left if not _done(runs, job)]
            if far:
                bar.set_postfix_str(f"N = {n}: {len(far)} moving at {min(far) * plan.dt:.0f}")
            if path is not None and time.monotonic() - saved > _SAVE_EVERY:
                files.write(path, mark, runs)
                saved = time.monotonic()


def _done(runs: dict[Job, Standing], job: Job) -> bool:
    return job in runs and runs[job].stage == "done"


def _result(
    plan: Plan, sizes: Sequence[int], networks: int, runs: dict[Job, Standing]
) -> TransientLengths:
    jobs = [[Job(n, network) for network in range(networks)] for n in sizes]

    def table(value: Any) -> Any:
        return np.array([[value(job) for job in row] for row in jobs])

    outcomes = table(lambda job: runs[job].outcome)
    status = Status.DIVERGED if np.any(outcomes == Outcome.DIVERGED) else Status.OK
    settings = {
        "cell": repr(plan.cell),
        "component": "all" if plan.component is None else plan.cell.state_names[plan.component],
        "target": "given" if plan.target is not None else "the zero state, or where a run ends",
        "inputs": plan.inputs,
        "method": plan.method,
        "dt": plan.dt,
        "hold": plan.hold * plan.dt,
        "still": plan.still,
        "growth_time": plan.growth_time,
        "spread": plan.spread,
        "seed": plan.seed,
        "dtype": plan.dtype,
    }
    return TransientLengths(
        sizes=np.array(sizes),
        lengths=table(lambda job: runs[job].length),
        outcomes=outcomes,
        speeds=table(lambda job: float(runs[job].watch.speed)),
        growth=table(lambda job: runs[job].growth),
        seeds=table(lambda job: seed_of(plan.seed, job)),
        t_max=np.asarray(plan.steps * plan.dt),
        threshold=np.asarray(plan.threshold),
        is_map=plan.method == "map",
        status=status,
        settings=tuple(settings.items()),
    )
