"""The command ``gatefield reset``: what pulses to the gates leave of stored states."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.analysis.reset import (
    Erasure,
    memory_coupling,
    reset_by_output_gate,
    reset_by_update_gate,
)
from gatefield.analysis.reset.gates import check_gate
from gatefield.cells import GRU, LSTM, AbstractCell, AbstractMap, LinearGatedRNN
from gatefield.cli.cell import cell_title, check_step
from gatefield.cli.config import ResetConfig
from gatefield.cli.defaults import cell_with_defaults
from gatefield.cli.written import write_results
from gatefield.core.errors import refuse
from gatefield.io import check_writable
from gatefield.networks import Network, simulate
from gatefield.plotting.integrator import erasure_figure

_SWITCH, _OUTPUT = 30.0, 5.0
_STEP = 0.1
_OPEN, _DEPTH = 60.0, 120.0
"""Bias of the linear network's output gate, and the input that shuts it, both to rounding."""
_NOTHING = 0.01
"""States that settled at less than this part of what they began with hold nothing."""


class _Found(NamedTuple):
    erasure: Erasure
    left: float  # size of the stored states over that of the states from which they settled


def run(config: ResetConfig, console: Console | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    config
        The options.
    console
        Where to print; by default standard output.

    Returns
    -------
    int
        0.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    cell = _cell(config)
    check_step(cell, config.dt)
    config = _with_signs(config, cell)
    ran = []
    with Console(stderr=True).status("networks") as status:
        for place in range(config.networks):
            status.update(f"network {place + 1} of {config.networks}")
            ran.append(_one(config, cell, config.seed + place))
    found = [one.erasure for one in ran]
    _print(console, config, cell, found)
    _conclude(console, config, ran)
    axis = "strength" if config.gate == "update" else "duration"
    drawn = erasure_figure(found[0], axis=axis, title=cell_title(cell, {}, f"$N = {config.n}$"))
    groups: dict[str, xr.Dataset] = {
        f"erasure_{place}": one.to_dataset() for place, one in enumerate(found)
    }
    stem = folder / config.name
    asked = config.model_dump_json()
    write_results(console, stem, drawn, config.formats, groups, config=asked)
    return 0


def _cell(config: ResetConfig) -> AbstractCell:
    if config.gate == "linear":
        return LinearGatedRNN(beta_r=_OPEN)
    more = {"alpha_r": _OUTPUT} if config.gate == "output" else {}
    return cell_with_defaults(config, alpha_z=_SWITCH, **more)


def _with_signs(config: ResetConfig, cell: AbstractCell) -> ResetConfig:
    """Return options whose default strengths are negative where the gate keeps if it is high."""
    if config.gate != "update" or "strengths" in config.model_fields_set:
        return config
    drive = _drive(config, cell)
    keeps = isinstance(cell, GRU) and drive == "z"
    keeps |= isinstance(cell, LSTM) and drive == "f"
    if not keeps:
        return config
    return config.model_copy(update={"strengths": [-value for value in config.strengths]})


def _drive(config: ResetConfig, cell: AbstractCell) -> str:
    if config.drive is not None:
        return config.drive
    usual = "z" if config.gate == "update" else "r"
    if usual not in cell.drive_names:
        expected = f"the {config.gate} gate's drive among {', '.join(cell.drive_names) or 'none'}"
        remedy = f"{type(cell).__name__} has no drive {usual}: name another by --drive."
        refuse("drive", config.drive, expected, remedy)
    return usual


def _one(config: ResetConfig, cell: AbstractCell, seed: int) -> _Found:
    step = None if isinstance(cell, AbstractMap) else (config.dt or _STEP)
    options: dict[str, Any] = {"after": config.after, "dt": step, "progress": False}
    if config.gate == "linear":
        coupling, patterns = memory_coupling(config.n, config.memories, seed=seed)
        network = Network.of_couplings(cell, {"r": np.zeros_like(coupling), "h": coupling})
        memories = patterns[:, None]
        return _Found(
            reset_by_output_gate(network, memories, config.durations, depth=_DEPTH, **options), 1.0
        )
    drive = _drive(config, cell)
    check_gate(cell, drive, config.gate)
    network = Network.sample(cell, config.n, seed=seed)
    states = _settled(config, network, step, seed)
    left = float(np.sqrt(np.mean(states[:, 0] ** 2)) / config.start)
    if config.gate == "update":
        options["duration"] = config.duration
        found = reset_by_update_gate(network, states, config.strengths, drive=drive, **options)
    else:
        found = reset_by_output_gate(network, states, config.durations, drive=drive, **options)
    return _Found(found, left)


def _settled(config: ResetConfig, network: Network, step: float | None, seed: int) -> np.ndarray:
    """Return the states (S, d, N) in which a network settles from random ones."""
    shape = (config.memories, len(network.cell.state_names), config.n)
    starts = config.start * np.random.default_rng(seed).standard_normal(shape)
    count = max(1, round(config.relaxation / (step or 1.0)))
    path = simulate(
        network, config.relaxation, dt=step, initial=starts, save_every=count, progress=False
    )
    return path.final


def _print(console: Console, config: ResetConfig, cell: AbstractCell, found: list[Erasure]) -> None:
    unit, last = found[0].time_unit, found[0].times[-1]
    console.print(repr(cell), highlight=False, soft_wrap=True, markup=False)
    by_strength = config.gate == "update"
    table = Table(
        title=f"What is left {last:g} {unit}s after the onset of a pulse, means of "
        f"{len(found)} networks with {config.memories} memories each",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    names = ("strength" if by_strength else "shut for", "pulse end", "size", "correlation")
    for column in (*names, "others", "identified", "distance"):
        table.add_column(column, justify="right", no_wrap=True)
    given = found[0].strengths if by_strength else found[0].durations
    for pulse, value in enumerate(given):
        columns = [
            np.mean([one.at_end("size")[pulse].mean() for one in found]),
            np.mean([one.size[pulse, :, -1].mean() for one in found]),
            np.mean([one.correlation[pulse, :, -1].mean() for one in found]),
            *(
                np.mean([values[pulse, -1] for values in each])
                for each in (
                    [one.background for one in found],
                    [one.identified for one in found],
                    [one.separation for one in found],
                )
            ),
        ]
        shown = [
            f"{each:.3g}" if place < 2 else f"{each:.3f}" for place, each in enumerate(columns)
        ]
        shown = ["" if each == "nan" else each for each in shown]
        table.add_row(f"{value:g}" if pulse else "no pulse", *shown)
    console.print(table)
    told = (
        "pulse end: size when the pulse ends; others: correlation with the other memories, which a "
        "decoder must beat; identified: memories that a decoder of nearest templates still finds; "
        "distance: between memories, relative to before."
    )
    console.print(told, highlight=False, soft_wrap=True, markup=False)


def _half(one: _Found) -> str:
    if not one.erasure.kept or one.left < _NOTHING:
        return "nothing to erase"
    half = one.erasure.threshold()
    return f"{half:.2f}" if np.isfinite(half) else "not reached"


def _conclude(console: Console, config: ResetConfig, ran: list[_Found]) -> None:
    """Tell which strength erases half, and of networks that hold nothing to erase."""

    def say(places: list[int], text: str) -> None:
        if places:
            named = ", ".join(str(config.seed + place) for place in places)
            text = f"network {named}: {text}"
            console.print(text, highlight=False, soft_wrap=True, markup=False)

    if config.gate == "update":
        halves = ", ".join(_half(one) for one in ran)
        text = f"Half of the correlation is erased at a strength of: {halves}"
        console.print(text, highlight=False, soft_wrap=True, markup=False)
    gone = [place for place, one in enumerate(ran) if one.left < _NOTHING]
    least = min(one.left for one in ran)
    say(
        gone,
        f"the states decayed before they were stored, to {least:.1e} of where they began: "
        "correlations are those of almost nothing. Raise the gain of the activation.",
    )
    lost = [place for place, one in enumerate(ran) if not one.erasure.kept and place not in gone]
    say(
        lost,
        "without a pulse, too, states do not stay clearly more alike to themselves than to the "
        "others: nothing to erase. Ask for a cell that holds its states, or for more memories.",
    )
