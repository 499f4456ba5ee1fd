"""Input along slow modes, along a fast one and at random: what the network keeps of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from gatefield.analysis.integrator.modes import (
    driven_modes,
    is_map,
    mode_spectrum,
    participation,
    pattern_of,
    reached_components,
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
from gatefield.cells.base import check_drive
from gatefield.core.checks import as_number, as_parameter, check_choice, check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Bool, Float, HostArray, Int
from gatefield.networks import Network
from gatefield.networks.inputs import Inputs
from gatefield.networks.network import as_state

_KEPT = 0.05
"""The exponential is fitted until the projection is this part of what it was."""


class IntegratorMemory(AbstractResult):
    """What remains of pulses of input along modes of a network's Jacobian, and at random.

    Attributes
    ----------
    times
        From the onset of the pulse; the first is 0.
    projections
        What the input moved, by its own reader: (input, strength, time). Of a mode, the difference
        from the run without input, on the left eigenvector; of a random direction, on itself.
        In units in which linear theory says strength (e^(lambda t) - 1)/lambda during the pulse of
        a flow, strength (lambda^t - 1)/(lambda - 1) of a map.
        Of a complex mode, the norm in its plane.
    strengths
        Euclidean norms of the input.
    eigenvalues_real, eigenvalues_imag
        Of each input's mode, per time constant (flows) or step (maps), as `NetworkSpectrum` has
        them; NaN for random directions.
    participation
        Number of units that carry each input pattern, (sum p^2)^2 / sum p^4.
    peaks
        Largest size of each projection during the pulse.
    memory_times
        Time from the end of the pulse until the size is below half of the largest so far, by linear
        interpolation; where it never is, the time that the run lasted.
    censored
        Whether it never is: the memory then lasts longer than ``memory_times``.
    fitted_times
        1/rate of an exponential fitted to the size after the pulse, until 5 per cent of it are
        left; infinite where it does not decay, NaN with fewer than three records.
    slow_count
        Number of modes closer than ``slow`` to 0 (flows) or 1 (maps).
    kinds
        Of each input: "slow", "fast" or "random".
    duration, slow, is_map
        Settings.
    settings
        What made the result: among others ``onto``, and ``drive``, which is empty for input that is
        added past every gate.
    status
        OK, or DIVERGED if a state is not finite.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    projections: Float[HostArray, "input strength time"] = eqx.field(
        metadata=quantity("input", "strength", "time")
    )
    strengths: Float[HostArray, " strength"] = eqx.field(
        metadata=quantity("strength", unit="1 / time constant")
    )
    eigenvalues_real: Float[HostArray, " input"] = eqx.field(metadata=quantity("input"))
    eigenvalues_imag: Float[HostArray, " input"] = eqx.field(metadata=quantity("input"))
    participation: Float[HostArray, " input"] = eqx.field(metadata=quantity("input"))
    peaks: Float[HostArray, "input strength"] = eqx.field(metadata=quantity("input", "strength"))
    memory_times: Float[HostArray, "input strength"] = eqx.field(
        metadata=quantity("input", "strength", unit="time constant")
    )
    censored: Bool[HostArray, "input strength"] = eqx.field(metadata=quantity("input", "strength"))
    fitted_times: Float[HostArray, "input strength"] = eqx.field(
        metadata=quantity("input", "strength", unit="time constant")
    )
    slow_count: Int[HostArray, ""] = eqx.field(metadata=quantity())
    kinds: tuple[str, ...] = eqx.field(static=True)
    duration: float = eqx.field(static=True)
    slow: float = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)
    status: Status = eqx.field(static=True)

    def kind(self, name: str) -> Int[HostArray, " input"]:
        """Return the indices of the inputs of one kind, the most extended first."""
        check_choice("name", name, tuple(dict.fromkeys(self.kinds)))
        return np.flatnonzero(np.array(self.kinds) == name)

    def retained(self, after: float) -> Float[HostArray, "input strength"]:
        """Return the size of each projection, over the largest so far, at a time after the pulse.

        Parameters
        ----------
        after
            Time since the end of the pulse; between records the size is interpolated.

        Raises
        ------
        InvalidInputError
            If the run did not last so long.
        """
        after = as_number("after", after, nonnegative=True)
        end = self.duration + after
        if end > self.times[-1] * (1 + 1e-12):
            last = self.times[-1] - self.duration
            refuse("after", after, f"at most {last:g}, what was recorded", "Run for longer.")
        sizes = np.abs(self.projections)
        so_far = np.where(self.times <= end, sizes, 0.0).max(axis=-1)
        rows = sizes.reshape(-1, self.times.size)
        now = np.array([np.interp(end, self.times, row) for row in rows]).reshape(so_far.shape)
        return now / np.where(so_far > 0, np.maximum(so_far, now), np.inf)


def integrator_memory(
    network: Network,
    state: Any,
    strengths: Any = (0.1,),
    *,
    duration: float = 10.0,
    after: float = 100.0,
    modes: int = 1,
    randoms: int = 1,
    slow: float = 0.01,
    fast: float = 0.4,
    onto: Sequence[str] | None = None,
    drive: str | None = None,
    inputs: Inputs | None = None,
    spectrum: NetworkSpectrum | None = None,
    every: float = 1.0,
    dt: float | None = None,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> IntegratorMemory:
    r"""Drive a network along modes of its Jacobian for a while, and measure what it keeps.

    .. math::

        \dot x = F(x) + s\,p\,[0 < t < T], \qquad
        q(t) = \frac{w^\dagger\,(x(t) - x_0(t))}{w^\dagger p}, \qquad
        q(T) \approx s\,\frac{e^{\lambda T} - 1}{\lambda}

    for flows; for maps :math:`x' = F(x) + s\,p`, and
    :math:`q(T) \approx s\,(\lambda^T - 1)/(\lambda - 1)`. Here p is the part of the right
    eigenvector v in the components that the input reaches, w the left eigenvector, x_0 the run
    without input. The slow modes are those closer to 0 (maps: to 1) than
    ``slow``, in the order of their participation ratio: modes that sit on few units, mostly ones
    whose update gate is shut, are the easy case. The fast one is the most extended of those that
    decay at a rate of at least ``fast``.

    Parameters
    ----------
    network
        Any network.
    state
        (d, N), relaxed: modes of a state that moves are no longer modes a moment later. A gated
        network of alpha_z = 15 takes some 500 time units from a random state.
    strengths
        Euclidean norms s of the input; a slow mode moves by s ``duration``.
    duration, after
        Of the pulse, and of the run after it, in units of the units' time constant (steps of maps).
    modes, randoms
        How many slow modes, at most as many as there are, and how many random directions.
    slow, fast
        Which modes are slow, which fast. Where there are none, the slowest (the fastest) stands for
        them.
    onto
        Components of the state that the input is added to: ("h",) for the paper's I_h; by default
        all, as the mode has them.
    drive
        If given, the input enters by this drive of the cell instead, for instance through a gate;
        ``onto`` is then the one component whose part of the mode is its pattern. Projections are in
        the units of input past the gate.
    inputs
        Further input, constant in time.
    spectrum
        Of the network at this state, with ``vectors="both"``, if it is known already.
    every
        Time between records.
    dt
        Step of a flow; 0.1 by default.
    seed
        Draws the random directions.
    progress
        True shows a bar of the steps, None on a terminal after some seconds.
    throw
        Raise if a run diverges; otherwise that is the status.

    Returns
    -------
    IntegratorMemory

    Raises
    ------
    InvalidInputError
        For shapes, names or numbers that do not fit, or input that drowns in rounding.
    NumericalFailureError
        If ``throw`` and a state is not finite.

    Assumptions
    -----------
    The linear growth holds while the input is small and the modes last; in a chaotic state what is
    kept also depends on how the state moves on. Where modes are not orthogonal, w is longer than v:
    of inputs of one norm, the one along w (not v) moves the projection most.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. IV B, Fig. 2.
    """
    check_network(network)
    with jax.enable_x64(True):
        start = np.asarray(as_state("state", network, state), float)
    strengths = np.atleast_1d(as_parameter("strengths", strengths, positive=True))
    if strengths.ndim != 1 or not strengths.size:
        refuse("strengths.shape", strengths.shape, "a list of numbers", "Pass for instance (0.1,).")
    modes, randoms = check_count("modes", modes), check_count("randoms", randoms, at_least=0)
    slow, fast = as_number("slow", slow, positive=True), as_number("fast", fast, positive=True)
    step, seed = step_of(network, dt), check_seed(seed)
    spacing = as_number("every", every, positive=True)
    per_record = int(whole_steps("every", spacing, step))
    held = _records("duration", duration, spacing)
    free = _records("after", after, spacing)
    check_above_rounding("strengths", strengths, held * spacing, network, start)
    reached = reached_components(network, onto)
    row = _drive_row(network, drive, reached)
    base = constant_drives(network, inputs)

    found = mode_spectrum(network, start, inputs, spectrum)
    slows, fasts = driven_modes(found, reached, slow=slow, fast=fast)
    if not slows.size:
        refuse("onto", onto, "components that some mode has a part in", "Name others.")
    chosen = [*slows[:modes], fasts[0]]
    right, left = found.right_vectors, found.left_vectors
    patterns = [pattern_of(right[mode], reached) for mode in chosen]
    readers = [left[mode].conj() / np.sum(left[mode].conj() * p)
               for mode, p in zip(chosen, patterns, strict=True)]  # fmt: skip
    generator = np.random.default_rng(seed)
    for _ in range(randoms):
        drawn = generator.standard_normal(start.shape) * reached[:, None]
        patterns.append(drawn / np.linalg.norm(drawn))
        readers.append(patterns[-1].astype(complex))

    pushed = np.concatenate(
        [np.zeros((1, *start.shape)), *(s * np.array(patterns) for s in strengths)]
    )
    drives = np.repeat(base[None], len(pushed), axis=0)
    onsets = np.repeat(start[None], len(pushed), axis=0)
    with progress_bar("integrator_memory", (held + free) * per_record, progress) as bar:
        during = drives.copy()
        if row is not None:
            during[:, row] += pushed[:, int(np.argmax(reached))]
        first = run_side_by_side(
            network, onsets, during, [per_record] * held, step,
            pushes=None if row is not None else pushed, bar=bar,
        )  # fmt: skip
        second = run_side_by_side(network, first[-1], drives, [per_record] * free, step, bar=bar)
    records = np.concatenate([onsets[None], first, second]).astype(float)
    status = Status.OK if np.all(np.isfinite(records)) else Status.DIVERGED
    if throw and status is not Status.OK:
        raise NumericalFailureError(
            "integrator_memory: a state is not finite. Reduce dt or the strengths; throw=False "
            "returns what was recorded."
        )
    with np.errstate(all="ignore"):  # of runs that diverged
        moved = records[:, 1:] - records[:, :1]
        moved = moved.reshape(len(records), len(strengths), -1, start.size)
        read = np.einsum("tsmx,mx->mst", moved, np.array(readers).reshape(len(readers), -1))
        values = found.eigenvalues[chosen]
        turning = np.append(np.imag(values) != 0, np.zeros(randoms, bool))
        projections = np.where(turning[:, None, None], np.abs(read), np.real(read))
        times = spacing * np.arange(len(records))
        sizes = np.abs(projections)
        memory, censored = _memory(times, sizes, held)
        fitted = _fitted(times, sizes, held)
    unknown = np.full(randoms, np.nan)
    return IntegratorMemory(
        times=times,
        projections=projections,
        strengths=strengths,
        eigenvalues_real=np.append(np.real(values), unknown),
        eigenvalues_imag=np.append(np.imag(values), unknown),
        participation=participation(np.sum(np.array(patterns) ** 2, axis=1)),
        peaks=sizes[..., : held + 1].max(axis=-1),
        memory_times=memory,
        censored=censored,
        fitted_times=fitted,
        slow_count=np.asarray(int(np.sum(np.abs(found.eigenvalues - float(found.is_map)) < slow))),
        kinds=("slow",) * (len(chosen) - 1) + ("fast",) + ("random",) * randoms,
        duration=held * spacing,
        slow=slow,
        is_map=is_map(network),
        settings=(
            ("cell", repr(network.cell)),
            ("n", network.n),
            ("network_seed", network.seed),
            ("onto", tuple(onto or network.cell.state_names)),
            ("drive", drive or ""),
            ("fast", fast),
            ("step", step),
            ("seed", seed),
        ),
        status=status,
    )


def _records(name: str, value: float, spacing: float) -> int:
    return int(whole_steps(name, as_number(name, value, positive=True), spacing, of="every"))


def _drive_row(network: Network, drive: str | None, reached: HostArray) -> int | None:
    """Return the row of the cell's drive by which the input enters, None for input past gates."""
    if drive is None:
        return None
    check_drive(network.cell, drive)
    if reached.sum() != 1:
        expected = "one component of the state, whose part of the mode is the pattern"
        refuse("onto", network.cell.state_names, expected, "Pass for instance onto=('h',).")
    return network.cell.drive_names.index(drive)


def _memory(times: HostArray, sizes: HostArray, held: int) -> tuple[HostArray, HostArray]:
    """Return when sizes fall below half of the largest so far, and where they never do."""
    shape = sizes.shape[:-1]
    lasts, censored = np.empty(shape), np.ones(shape, bool)
    for place in np.ndindex(shape):
        row = sizes[place]
        gap = row - 0.5 * np.maximum.accumulate(row)
        below = np.flatnonzero(gap[held:] < 0)
        lasts[place] = times[-1] - times[held]
        if below.size:
            index, censored[place] = held + int(below[0]), False
            if below[0] == 0:
                lasts[place] = 0.0
            else:
                part = gap[index - 1] / (gap[index - 1] - gap[index])
                lasts[place] = times[index - 1] + part * (times[1] - times[0]) - times[held]
    return lasts, censored


def _fitted(times: HostArray, sizes: HostArray, held: int) -> HostArray:
    """Return the time constant of an exponential fitted to the decay after the pulse."""
    found = np.full(sizes.shape[:-1], np.nan)
    for place in np.ndindex(found.shape):
        row = sizes[place][held:]
        gone = np.flatnonzero(~(np.isfinite(row) & (row > _KEPT * row[0])))
        count = int(gone[0]) if gone.size else row.size
        if count >= 3:
            slope = np.polyfit(times[held : held + count], np.log(row[:count]), 1)[0]
            found[place] = -1.0 / slope if slope < 0 else np.inf
    return found
