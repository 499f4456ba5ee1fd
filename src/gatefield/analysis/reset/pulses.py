"""Pulses of input by any drive, and how much of stored states they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gatefield.analysis.pulses import (
    check_network,
    constant_drives,
    progress_bar,
    run_side_by_side,
    step_of,
    whole_steps,
)
from gatefield.analysis.reset.result import Erasure
from gatefield.cells import AbstractMap
from gatefield.cells.base import check_drive
from gatefield.core.checks import as_number, as_parameter, check_choice, check_count
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.core.types import HostArray
from gatefield.networks import Network
from gatefield.networks.inputs import Inputs
from gatefield.networks.network import as_states


class Pulse(NamedTuple):
    """Input that is on for a while.

    Attributes
    ----------
    drive
        Name of the cell's drive.
    strength
        A number, or one for each unit (N,).
    duration
        In units of the units' time constant; steps of maps.
    """

    drive: str
    strength: Any
    duration: float


def reset_by_pulse(
    network: Network,
    states: Any,
    pulses: Sequence[Pulse],
    *,
    after: float = 30.0,
    component: str | None = None,
    inputs: Inputs | None = None,
    every: float = 1.0,
    shown: int = 8,
    dt: float | None = None,
    progress: bool | None = None,
    throw: bool = True,
) -> Erasure:
    r"""Store states in a network, send pulses to its drives, and measure what is left.

    Every pulse meets every stored state; a control without pulse runs beside them.

    Parameters
    ----------
    network
        Any network.
    states
        The memories, (d, N) or several (S, d, N): states in which the network rests or nearly so.
    pulses
        The pulses, all from time 0 on.
    after
        Time from the end of the longest pulse to the last record.
    component
        The component of the state that is measured; the first by default.
    inputs
        Further input, constant in time, to which pulses are added.
    every
        Time between records; the ends of pulses are recorded beside.
    shown
        Number of units whose traces are kept.
    dt, progress, throw
        As in `integrator_memory`.

    Returns
    -------
    Erasure

    Raises
    ------
    InvalidInputError
        For shapes, names or numbers that do not fit.
    NumericalFailureError
        If ``throw`` and a state is not finite.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. VI, Fig. 6.
    """
    check_network(network)
    with jax.enable_x64(True):
        memories = np.asarray(as_states("states", network, states), float)
    memories = memories if memories.ndim == 3 else memories[None]
    names = network.cell.state_names
    name = names[0] if component is None else check_choice("component", component, names)
    base = constant_drives(network, inputs)
    rows = [_row(place, pulse, network) for place, pulse in enumerate(pulses)]
    if not rows:
        refuse("pulses", pulses, "at least one pulse", "Pass a list of Pulse.")
    step, shown = step_of(network, dt), min(check_count("shown", shown, at_least=0), network.n)
    lasts = [as_number(f"pulses[{k}].duration", p.duration, positive=True)
             for k, p in enumerate(pulses)]  # fmt: skip
    ends = whole_steps("durations", lasts, step)
    free = int(whole_steps("after", as_number("after", after, nonnegative=True), step))
    spacing = int(whole_steps("every", as_number("every", every, positive=True), step))
    last = int(ends.max()) + free
    records = np.unique(np.concatenate([np.arange(0, last + 1, spacing), ends, [last]]))

    # Row 0 of the batch is the control; further rows differ by their drives alone.
    on = np.repeat(base[None], len(rows) + 1, axis=0)
    for place, (index, strength) in enumerate(rows):
        on[place + 1, index] += strength
    held = np.concatenate([[0], ends])
    count, batch = len(memories), np.tile(memories, (len(rows) + 1, 1, 1))
    found = [batch]
    with progress_bar("reset_by_pulse", last, progress) as bar:
        for before, now in zip(records[:-1], records[1:], strict=True):
            drives = np.where((before < held)[:, None, None], on, base)
            each = np.repeat(drives, count, axis=0)
            run = run_side_by_side(network, found[-1], each, [now - before], step, bar=bar)
            found.append(run[0])
    traced = np.array([each[:, names.index(name)] for each in found], float)
    traced = traced.reshape(len(records), len(rows) + 1, count, network.n).transpose(1, 2, 0, 3)
    status = Status.OK if np.all(np.isfinite(found[-1])) else Status.DIVERGED
    if throw and status is not Status.OK:
        raise NumericalFailureError(
            "reset_by_pulse: a state is not finite. Reduce dt or the strengths; throw=False "
            "returns what was recorded."
        )
    measures = _measures(traced)
    sizes = [np.sqrt(np.mean(s**2)) * np.copysign(1.0, np.mean(s)) for _, s in rows]
    return Erasure(
        times=records * step,
        **measures,
        strengths=np.array([0.0, *sizes]),
        durations=np.array([0.0, *(ends * step)]),
        traces=traced[:, 0, :, :shown],
        component=name,
        is_map=isinstance(network.cell, AbstractMap),
        settings=(
            ("cell", repr(network.cell)),
            ("n", network.n),
            ("network_seed", network.seed),
            ("drives", tuple(pulse.drive for pulse in pulses)),
            ("step", step),
        ),
        status=status,
    )


def _row(place: int, pulse: Any, network: Network) -> tuple[int, HostArray]:
    """Return the row of a pulse's drive and its input (N,)."""
    if not isinstance(pulse, Pulse):
        refuse(f"pulses[{place}]", pulse, "a Pulse", "Pass Pulse(drive, strength, duration).")
    check_drive(network.cell, pulse.drive, f"pulses[{place}].drive")
    strength = np.asarray(as_parameter(f"pulses[{place}].strength", pulse.strength))
    if strength.shape not in ((), (network.n,)):
        expected = f"() or ({network.n},)"
        refuse(f"pulses[{place}].strength.shape", strength.shape, expected, "One for each unit.")
    values = np.broadcast_to(strength, (network.n,))
    return network.cell.drive_names.index(pulse.drive), values


def _measures(traced: HostArray) -> Mapping[str, HostArray]:
    """Return the measures of `Erasure` from one component (pulse, memory, time, unit)."""
    first = traced[:, :, :1]
    energy = np.sum(first**2, axis=-1)
    with np.errstate(all="ignore"):  # of runs that diverged, and of states that are zero
        size = np.sqrt(np.sum(traced**2, axis=-1) / energy)
        overlap = np.sum(traced * first, axis=-1) / energy
        unit = _standardised(traced)
        templates = unit[0, :, 0]
        alike = np.einsum("pmtn,kn->pmtk", unit, templates)
        own = np.einsum("pmtm->pmt", alike)
        separation = np.full((traced.shape[0], traced.shape[2]), np.nan)
        identified, background = separation.copy(), separation.copy()
        count = traced.shape[1]
        if count > 1:
            pairs = np.triu_indices(count, 1)
            apart = np.linalg.norm(traced[:, pairs[0]] - traced[:, pairs[1]], axis=-1).mean(axis=1)
            separation = apart / apart[:, :1]
            best = np.nan_to_num(alike, nan=-np.inf).argmax(axis=-1)
            right = best == np.arange(count)[None, :, None]
            identified = np.where(np.isnan(own), 0.0, right).mean(axis=1)
            others = np.einsum("pmtk->pmt", alike) - own
            background = others.mean(axis=1) / (count - 1)
    return {
        "correlation": own,
        "size": size,
        "overlap": overlap,
        "separation": separation,
        "identified": identified,
        "background": background,
    }


def _standardised(values: HostArray) -> HostArray:
    """Return values less their mean over units, with unit norm; NaN where they do not vary."""
    centred = values - values.mean(axis=-1, keepdims=True)
    norm = np.linalg.norm(centred, axis=-1, keepdims=True)
    flat = norm <= np.finfo(float).eps * np.linalg.norm(values, axis=-1, keepdims=True)
    return centred / np.where(flat, np.nan, norm)
