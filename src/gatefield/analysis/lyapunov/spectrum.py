"""`lyapunov_spectrum`: the exponents of a network, by QR along its own trajectory."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gatefield.analysis.lyapunov import checkpoint as files
from gatefield.analysis.lyapunov.checkpoint import Standing
from gatefield.analysis.lyapunov.frame import Carried, Growth, advance, relax
from gatefield.analysis.lyapunov.plan import FEWEST_BLOCKS, Plan, beginning, planned, precise
from gatefield.analysis.lyapunov.result import LyapunovSpectrum, merged, ordered_with_errors
from gatefield.core.checkpoints import fingerprint, writable
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.networks.layered import LayeredNetwork
from gatefield.networks.network import Network

# Shortest over longest growth within an interval; see `orthonormal_rows` for what it costs.
_RATIO = {"float64": 1e-6, "float32": 0.03}
_FASTER = 4  # an interval grows by, at most
_LARGEST_LOG = 100.0  # of growth within an interval, far from overflow
# Below this growth was not what the interval was chosen for: the smallest exponents lose digits.
_REDO = {"float64": 1e-9, "float32": 3e-3}
_RELAX_PIECE = 2000  # steps between looks at the progress bar
_SAVE_EVERY = 60.0  # seconds between checkpoints
_WORK = 1e10  # products of numbers between looks at the progress bar: some seconds


def lyapunov_spectrum(
    network: Network | LayeredNetwork,
    k: int | None = None,
    *,
    t_max: float | None = None,
    burn_in: float | None = None,
    frame_burn_in: float | None = None,
    dt: float | None = None,
    method: str | None = None,
    inputs: Any = None,
    initial: Any = None,
    frame: Any = None,
    blocks: int = 32,
    accuracy: float | None = None,
    frame_dtype: str | None = None,
    checkpoint: str | Path | None = None,
    resume: LyapunovSpectrum | None = None,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> LyapunovSpectrum:
    r"""Measure the Lyapunov exponents of a network along one of its trajectories.

    A frame of k perturbations is carried by the exact derivative of the integrator's step and
    orthonormalised from time to time,

    .. math:: D_n \cdots D_1 Q_0 = Q_n R_n \cdots R_1, \qquad
        \lambda_i = \lim_{t\to\infty} \frac1t \sum_n \ln (R_n)_{ii} ,

    the interval being as long as growth leaves the frame well-conditioned.

    Parameters
    ----------
    network
        Any network, drawn or given; or a `LayeredNetwork`, whose exponents are those of its layers
        (see there), each along the input that it receives.
    k
        How many exponents, from the largest; by default all d N. Of a stack: of each layer.
    t_max
        Duration of the measurement, in units of the units' time constant (steps of a map). May be
        left out where a given sequence drives a map: what the burn-ins leave of it is then used.
    burn_in
        Time in which the state settles on its attractor before that; by default 100, of a given
        sequence at most a tenth.
    frame_burn_in
        Time after it in which the frame turns to the growing directions; by default t_max / 8, or
        where that follows from a given sequence a tenth of it.
    dt, method
        Step (by default 0.05) and method of a flow, "rk4" or "euler". The largest step not above
        ``dt`` is taken that divides the blocks. Maps have neither.
    inputs
        External input as in `simulate`, counted from the start of burn_in, for instance a `Series`;
        the exponents are then conditional on the input. For stacks a sequence (T, features).
    initial
        Initial state (d, N); by default standard normal from ``seed``. For stacks (layers, d, N),
        by default zeros, as in PyTorch.
    frame
        Initial rows, (k, d, N), orthonormalised; by default random. ``"identity"`` takes unit
        vectors, the first component's units first.
    blocks
        Blocks of time into which the run is divided, for errors and for watching it.
    accuracy
        Stop as soon as every standard error is below it, after 16 blocks or more; ``t_max`` is then
        the longest run.
    frame_dtype
        "float32" carries the frame in single precision, which is meant for large networks: small
        ones pay more for shorter intervals. The state keeps the network's precision, logarithms
        are summed in double. The error is measured.
    checkpoint
        A file that is written between blocks, at most every minute, and when the run is
        interrupted from the keyboard. If it is there, the run goes on from it and ends with the
        numbers it would have had; when the run is done the file stays.
    resume
        An earlier result of this network: the run goes on where that ended, for ``t_max`` more, and
        its blocks count. Burn-ins, ``dt``, ``method``, ``k``, ``frame_dtype`` and the length of a
        block are then its own; pass the same ``inputs``.
    seed
        Draws the initial state and frame.
    progress
        True shows a bar with the current estimates, None on a terminal after some seconds.
    throw
        Raise if the run fails or misses ``accuracy``; otherwise the result's status says so.

    Returns
    -------
    LyapunovSpectrum

    Raises
    ------
    InvalidInputError
        For options that do not fit the network, or a checkpoint of another run.
    NumericalFailureError
        If ``throw`` and the trajectory diverged, or the accuracy was not reached.

    Assumptions
    -----------
    The trajectory is on its attractor after ``burn_in``: finite networks may be transiently chaotic
    for long. Exponents belong to the integrator's map; their distance from the flow's is of the
    method's order in dt.

    References
    ----------
    Benettin et al., Meccanica 15, 9 (1980); Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011
    (2022), Eq. 9 and Fig. 3.
    """
    options: dict[str, Any] = {
        "t_max": t_max,
        "burn_in": burn_in,
        "frame_burn_in": frame_burn_in,
        "dt": dt,
        "method": method,
        "blocks": blocks,
        "accuracy": accuracy,
        "frame_dtype": frame_dtype,
        "resume": resume,
        "seed": seed,
    }
    if isinstance(network, LayeredNetwork):
        only = {"frame": frame, "checkpoint": checkpoint, "resume": resume}
        options |= {"progress": progress, "throw": throw}
        return _of_stack(network, k, inputs, initial, only, options)
    with jax.enable_x64(True):
        plan = planned(network, k, inputs, options)
        path, standing = writable(checkpoint), None
        begun = beginning(plan, initial, frame, resume)
        mark = ""
        if path is not None:
            mark = fingerprint(begun, plan.settings)
            standing = files.read(path, mark)
        standing = begun if standing is None else standing
        bar = tqdm(
            total=plan.total,
            initial=min(standing.number - plan.first, plan.total),
            disable=None if progress is None else not progress,
            delay=3.0 if progress is None else 0.0,
            desc="lyapunov_spectrum",
            unit="step",
        )
        with bar:
            standing, status = _carried_out(plan, standing, bar, path, mark)
    found = _result(plan, standing, status)
    if throw and status is not Status.OK:
        remedy = "Reduce dt." if status is Status.DIVERGED else "Raise t_max, or go on by resume=."
        raise NumericalFailureError(
            f"lyapunov_spectrum ended with status {status.value!r}. {remedy} throw=False returns "
            "what there is."
        )
    return found


def _of_stack(
    stack: LayeredNetwork,
    k: int | None,
    inputs: Any,
    initial: Any,
    only: dict[str, Any],
    options: dict[str, Any],
) -> LyapunovSpectrum:
    """Return the exponents of all layers, in descending order."""
    for name, value in only.items():
        if value is not None:
            remedy = "Pass the networks of stack.layers with the inputs of stack.layer_inputs."
            refuse(name, value, "None for a LayeredNetwork", remedy)
    if inputs is None or isinstance(inputs, Mapping):
        expected = "a sequence (T, features), as stack.run takes it"
        remedy = "Without input pass np.zeros((T, stack.features))."
        refuse("inputs", inputs, expected, remedy)
    received = stack.layer_inputs(inputs, initial)
    shape = (len(stack.layers), len(stack.layers[0].network.cell.state_names), stack.n)
    starts = np.zeros(shape) if initial is None else np.asarray(initial)
    found = [
        lyapunov_spectrum(layer.network, k, inputs=own, initial=start, **options)
        for layer, own, start in zip(stack.layers, received, starts, strict=True)
    ]
    # Layers that were accurate enough early go on, so that all have the same blocks.
    longest = max(len(each.block_exponents) for each in found)
    for place, (layer, own) in enumerate(zip(stack.layers, received, strict=True)):
        missing = longest - len(found[place].block_exponents)
        if missing and found[place].status is not Status.DIVERGED:
            again = {"progress": options["progress"], "throw": options["throw"]}
            time = missing * float(found[place].block_time)
            found[place] = lyapunov_spectrum(
                layer.network, inputs=own, t_max=time, resume=found[place], **again
            )
    return merged(found)


def _carried_out(
    plan: Plan, standing: Standing, bar: Any, path: Path | None, mark: str
) -> tuple[Standing, Status]:
    saved = time.monotonic()
    while True:
        if not np.all(np.isfinite(standing.state)) or bool(jnp.any(jnp.isnan(standing.frame))):
            return standing, Status.DIVERGED
        enough = plan.accuracy is not None and _accurate(plan, standing)
        measured = len(standing.logs) - plan.earlier
        over = enough or measured >= plan.blocks
        if path is not None and (over or time.monotonic() - saved > _SAVE_EVERY):
            files.write(path, mark, standing)
            saved = time.monotonic()
        if over:
            missed = plan.accuracy is not None and not enough
            return standing, Status.MAX_STEPS if missed else Status.OK
        try:
            standing = _further(plan, standing, bar)
        except KeyboardInterrupt:
            if path is not None:
                files.write(path, mark, standing)
            raise
        bar.update(standing.number - plan.first - bar.n)
        if len(standing.logs):
            bar.set_postfix_str(_shown(plan, standing.logs), refresh=False)


def _further(plan: Plan, standing: Standing, bar: Any) -> Standing:
    """Return where the run stands one piece later: some steps, or one block."""
    number = standing.number
    if standing.phase == "relax":
        steps = min(_RELAX_PIECE, plan.relax - number)
        if steps == 0:
            return standing._replace(phase="align")
        state = relax(
            plan.path, jnp.asarray(standing.state), jnp.asarray(number), jnp.asarray(steps)
        )
        return standing._replace(state=np.asarray(state), number=number + steps)
    if standing.phase == "align":
        steps = min(4 * standing.interval, plan.relax + plan.align - number)
        if steps == 0:
            return standing._replace(phase="measure")
        after, growth = _block(plan, standing, steps, bar)
    else:
        steps = plan.block
        error = standing.precision_error
        after, growth = _block(plan, standing, steps, bar)
        if plan.precision == "float32" and np.isnan(error):
            wide = standing._replace(
                state=standing.state.astype(float), frame=standing.frame.astype(float)
            )
            exact = _block(precise(plan), wide, steps, bar)[1].logs
            known = np.isfinite(exact) & np.isfinite(growth.logs)
            difference = np.abs(exact - growth.logs)[known]
            error = float(np.max(difference, initial=0.0)) / (steps * plan.dt)
        logs = np.concatenate([standing.logs, growth.logs[None]])
        after = after._replace(logs=logs, precision_error=error)
    return after._replace(
        interval=_next_interval(plan, min(after.interval, steps), growth, growth.logs / steps),
        departure=max(standing.departure, growth.departure),
    )


def _block(plan: Plan, standing: Standing, steps: int, bar: Any) -> tuple[Standing, Growth]:
    """Advance by so many steps, again with shorter intervals if they turn out to be too long."""
    while True:
        after, growth = _in_intervals(plan, standing, steps, bar)
        interval = min(standing.interval, steps)
        known = not np.any(np.isnan(growth.logs))
        escaped = not np.all(np.isfinite(after.state))
        if interval == 1 or escaped or (known and growth.ratio >= _REDO[plan.precision]):
            return after, growth
        shorter = _next_interval(plan, interval, growth, growth.logs / steps) if known else 1
        standing = standing._replace(interval=max(1, min(shorter, interval // 4)))


def _in_intervals(plan: Plan, standing: Standing, steps: int, bar: Any) -> tuple[Standing, Growth]:
    """Advance by so many steps in intervals, of which the last may be shorter."""
    # Copies, since what is advanced is used up, and may be wanted again.
    carried = Carried(
        jnp.array(standing.state), jnp.array(standing.frame), jnp.asarray(standing.number)
    )
    whole, rest = divmod(steps, standing.interval)
    size = standing.state.size
    at_once = max(1, int(_WORK / (standing.interval * plan.k * size * plan.network.n)))
    pieces = [
        (min(at_once, whole - first), standing.interval) for first in range(0, whole, at_once)
    ]
    pieces += [(1, rest)] if rest else []
    logs, ratio, departure, number = np.zeros(plan.k), 1.0, 0.0, standing.number
    for intervals, length in pieces:
        carried, growth = advance(plan.path, plan.low, carried, intervals=intervals, steps=length)
        logs, ratio = logs + growth.logs, min(ratio, growth.ratio)
        departure = max(departure, growth.departure)
        number += intervals * length
        bar.update(number - plan.first - bar.n)
    after = standing._replace(state=np.asarray(carried.state), frame=carried.frame, number=number)
    return after, Growth(logs, ratio, departure)


def _next_interval(plan: Plan, interval: int, growth: Growth, rates: np.ndarray) -> int:
    """Return how many steps the next intervals may have, by the growth that was seen."""
    spread = -math.log(max(growth.ratio, 1e-300)) / interval
    rate = float(np.max(np.abs(rates), initial=0.0, where=np.isfinite(rates)))
    bounds = [_FASTER * interval]
    bounds += [-math.log(_RATIO[plan.precision]) / spread] if spread > 0 else []
    bounds += [_LARGEST_LOG / rate] if rate > 0 else []
    return max(1, int(min(bounds)))


def _accurate(plan: Plan, standing: Standing) -> bool:
    if len(standing.logs) < FEWEST_BLOCKS or plan.accuracy is None:
        return False
    exponents, errors, _ = ordered_with_errors(standing.logs / (plan.block * plan.dt))
    return bool(np.all(errors[np.isfinite(exponents)] <= plan.accuracy))


def _shown(plan: Plan, logs: np.ndarray) -> str:
    largest = -np.sort(-logs.mean(axis=0))[:3] / (plan.block * plan.dt)
    return "lambda " + " ".join(f"{each:.4f}" for each in largest)


def _result(plan: Plan, standing: Standing, status: Status) -> LyapunovSpectrum:
    rates = standing.logs / (plan.block * plan.dt)
    rates = rates[~np.any(np.isnan(rates), axis=1)]  # of a block in which the trajectory diverged
    exponents, errors, order = ordered_with_errors(rates)
    settings = {**plan.settings, "steps": standing.number}
    return LyapunovSpectrum(
        exponents=exponents,
        standard_errors=errors,
        layer=np.zeros_like(order),
        block_exponents=rates,
        block_time=np.asarray(plan.block * plan.dt),
        size=len(plan.network.cell.state_names) * plan.network.n,
        departure=np.asarray(standing.departure),
        precision_error=np.asarray(standing.precision_error),
        interval=standing.interval,
        state=standing.state,
        frame=np.asarray(standing.frame),
        certain=plan.k,
        is_map=plan.is_map,
        status=status,
        settings=tuple(settings.items()),
    )
