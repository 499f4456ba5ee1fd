"""The slow manifold as an experimenter would measure it: drift, persistence, dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from gatefield.analysis.integrator.modes import (
    distances,
    is_map,
    mode_spectrum,
    reached_components,
    slow_subspace,
)
from gatefield.analysis.pulses import (
    check_above_rounding,
    check_network,
    constant_drives,
    progress_bar,
    run_side_by_side,
    step_of,
    whole_steps,
)
from gatefield.analysis.spectra import NetworkSpectrum
from gatefield.core.checks import as_number, check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Bool, Float, HostArray, Int
from gatefield.networks import Network
from gatefield.networks.inputs import Inputs
from gatefield.networks.network import as_state


class LineAttractor(AbstractResult):
    """How a network keeps what many random inputs moved: a line attractor's quality.

    Attributes
    ----------
    times
        Since the end of the pulses.
    overlap
        Mean over inputs of d(t) d(0) / |d(0)|^2, d the difference from the run without input: one
        for a perfect memory.
    size
        Root mean square over inputs of |d(t)| / |d(0)|.
    within
        Part of |d|^2 that lies in the slow subspace: directions of modes closer than ``slow`` to 0
        (flows) or 1 (maps) at the beginning.
    drift_along, drift_away
        Speed of d between records, over its size, within the slow subspace and orthogonal to it.
    dimension
        Participation ratio of the differences d over inputs, corrected for their number:
        1/D = 1/D_M - 1/M; infinite where M inputs do not tell.
    persistence_time, censored
        Time until the overlap is below half, and whether it never is (the time is then the run's).
    slow_count
        Number of slow modes; the dimension of what is kept cannot exceed it for long.
    speed
        Root mean square over units and components of the speed of the run without input.
    strength, duration, slow, is_map, settings
        Settings.
    status
        OK, or DIVERGED if a state is not finite.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    overlap: Float[HostArray, " time"] = eqx.field(metadata=quantity("time"))
    size: Float[HostArray, " time"] = eqx.field(metadata=quantity("time"))
    within: Float[HostArray, " time"] = eqx.field(metadata=quantity("time"))
    drift_along: Float[HostArray, " interval"] = eqx.field(
        metadata=quantity("interval", unit="1 / time constant")
    )
    drift_away: Float[HostArray, " interval"] = eqx.field(
        metadata=quantity("interval", unit="1 / time constant")
    )
    dimension: Float[HostArray, " time"] = eqx.field(metadata=quantity("time"))
    persistence_time: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant"))
    censored: Bool[HostArray, ""] = eqx.field(metadata=quantity())
    slow_count: Int[HostArray, ""] = eqx.field(metadata=quantity())
    speed: Float[HostArray, " interval"] = eqx.field(
        metadata=quantity("interval", unit="1 / time constant")
    )
    strength: float = eqx.field(static=True)
    duration: float = eqx.field(static=True)
    slow: float = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)
    status: Status = eqx.field(static=True)


def line_attractor(
    network: Network,
    state: Any,
    strength: float = 0.1,
    *,
    patterns: int = 40,
    duration: float = 10.0,
    after: float = 100.0,
    slow: float = 0.01,
    onto: Sequence[str] | None = None,
    inputs: Inputs | None = None,
    spectrum: NetworkSpectrum | None = None,
    every: float = 2.0,
    dt: float | None = None,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> LineAttractor:
    r"""Measure the manifold of slow directions by many random inputs, each of one pulse.

    .. math:: d_m(t) = x_m(t) - x_0(t), \qquad
        D_M = \frac{(\sum_m |d_m|^2)^2}{\sum_{mn} (d_m \cdot d_n)^2}

    Parameters
    ----------
    network
        Any network.
    state
        (d, N), relaxed.
    strength
        Euclidean norm of each input.
    patterns
        Number M of random directions; dimensions far above it are not told.
    duration, after, slow, onto, inputs, spectrum, every, dt, seed, progress, throw
        As in `integrator_memory`.

    Returns
    -------
    LineAttractor

    Raises
    ------
    InvalidInputError
        For shapes, names or numbers that do not fit, or input that drowns in rounding.
    NumericalFailureError
        If ``throw`` and a state is not finite.

    Assumptions
    -----------
    The slow subspace is that of the Jacobian at the beginning. A neutral direction of the run
    itself, or chaos, moves differences along it: then overlap and size rise above one.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. IV B. Seung, PNAS 93, 13339
    (1996), for drift along a line attractor.
    """
    check_network(network)
    with jax.enable_x64(True):
        start = np.asarray(as_state("state", network, state), float)
    strength = as_number("strength", strength, positive=True)
    patterns = check_count("patterns", patterns, at_least=2)
    slow, step = as_number("slow", slow, positive=True), step_of(network, dt)
    spacing = as_number("every", every, positive=True)
    per_record = int(whole_steps("every", spacing, step))
    held = int(whole_steps("duration", as_number("duration", duration, positive=True), step))
    free = int(whole_steps("after", as_number("after", after, positive=True), spacing, of="every"))
    if held < 1 or free < 1:
        refuse("duration, after", (duration, after), "at least one step", "Raise them.")
    check_above_rounding("strength", strength, held * step, network, start)
    reached, base = reached_components(network, onto), constant_drives(network, inputs)
    found = mode_spectrum(network, start, inputs, spectrum)

    generator = np.random.default_rng(check_seed(seed))
    drawn = generator.standard_normal((patterns, *start.shape)) * reached[:, None]
    drawn *= strength / np.linalg.norm(drawn, axis=(1, 2), keepdims=True)
    pushes = np.concatenate([np.zeros((1, *start.shape)), drawn])
    drives = np.repeat(base[None], len(pushes), axis=0)
    onsets = np.repeat(start[None], len(pushes), axis=0)
    with progress_bar("line_attractor", held + free * per_record, progress) as bar:
        at_end = run_side_by_side(network, onsets, drives, [held], step, pushes=pushes, bar=bar)
        later = run_side_by_side(network, at_end[-1], drives, [per_record] * free, step, bar=bar)
    records = np.concatenate([at_end, later]).astype(float)
    status = Status.OK if np.all(np.isfinite(records)) else Status.DIVERGED
    if throw and status is not Status.OK:
        raise NumericalFailureError(
            "line_attractor: a state is not finite. Reduce dt or the strength; throw=False returns "
            "what was recorded."
        )
    records = records.reshape(*records.shape[:2], -1)
    basis, times = slow_subspace(found, slow), spacing * np.arange(len(records))
    with np.errstate(all="ignore"):  # of runs that diverged
        moved = records[:, 1:] - records[:, :1]
        first = np.sum(moved[0] ** 2, axis=-1)
        overlap = np.mean(np.sum(moved * moved[:1], axis=-1) / first, axis=1)
        energy = np.sum(moved**2, axis=-1)
        size = np.sqrt(np.mean(energy / first, axis=1))
        within = np.sum((moved @ basis) ** 2, axis=(1, 2)) / energy.sum(axis=1)
        along, away = _drifts(moved, basis, spacing)
        rest = np.sqrt(np.mean((np.diff(records[:, 0], axis=0) / spacing) ** 2, axis=1))
        dimension = np.array([_dimension(each) for each in moved])
    lasts, censored = _until_half(times, overlap)
    return LineAttractor(
        times=times,
        overlap=overlap,
        size=size,
        within=within,
        drift_along=along,
        drift_away=away,
        dimension=dimension,
        persistence_time=np.asarray(lasts),
        censored=np.asarray(censored),
        slow_count=np.asarray(int(np.sum(distances(found) < slow))),
        speed=rest,
        strength=strength,
        duration=held * step,
        slow=slow,
        is_map=is_map(network),
        settings=(
            ("cell", repr(network.cell)),
            ("n", network.n),
            ("network_seed", network.seed),
            ("patterns", patterns),
            ("onto", tuple(onto or network.cell.state_names)),
            ("step", step),
            ("seed", seed),
        ),
        status=status,
    )


def _dimension(moved: Float[HostArray, "input state"]) -> float:
    """Return the participation ratio of vectors, corrected for their number."""
    products = moved @ moved.T
    square = np.sum(products**2)
    if square == 0:
        return 0.0
    inverse = square / np.trace(products) ** 2 - 1 / len(moved)
    return float(1 / inverse) if inverse > 0 else np.inf


def _drifts(moved: HostArray, basis: HostArray, spacing: float) -> tuple[HostArray, HostArray]:
    """Return relative speeds of differences, within the slow subspace and orthogonal to it."""
    change = np.diff(moved, axis=0) / spacing
    size = np.maximum(np.linalg.norm(moved[:-1], axis=-1), np.finfo(float).tiny)
    inside = np.linalg.norm(change @ basis, axis=-1)
    outside = np.sqrt(np.maximum(np.sum(change**2, axis=-1) - inside**2, 0.0))
    return np.mean(inside / size, axis=1), np.mean(outside / size, axis=1)


def _until_half(times: HostArray, overlap: HostArray) -> tuple[float, bool]:
    below = np.flatnonzero(~(overlap >= 0.5))
    if not below.size:
        return float(times[-1]), True
    index = int(below[0])
    part = (overlap[index - 1] - 0.5) / (overlap[index - 1] - overlap[index])
    return float(times[index - 1] + part * (times[index] - times[index - 1])), False
