"""The command ``gatefield reset``: what pulses to the gates leave of stored states."""

from __future__ import annotations

from typing import Any

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
from gatefield.cells import AbstractCell, AbstractMap, LinearGatedRNN
from gatefield.cli.cell import cell_title, check_step
from gatefield.cli.config import ResetConfig
from gatefield.cli.defaults import cell_with_defaults
from gatefield.cli.written import write_results
from gatefield.io import check_writable
from gatefield.networks import Network, simulate
from gatefield.plotting.integrator import erasure_figure

_SWITCH, _OUTPUT = 30.0, 5.0
_STEP = 0.1
_OPEN, _DEPTH = 60.0, 120.0
"""Bias of the linear network's output gate, and the input that shuts it, both to rounding."""


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
    found = []
    with Console(stderr=True).status("networks") as status:
        for place in range(config.networks):
            status.update(f"network {place + 1} of {config.networks}")
            found.append(_one(config, cell, config.seed + place))
    _print(console, config, cell, found)
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


def _one(config: ResetConfig, cell: AbstractCell, seed: int) -> Erasure:
    step = None if isinstance(cell, AbstractMap) else (config.dt or _STEP)
    options: dict[str, Any] = {"after": config.after, "dt": step, "progress": False}
    if config.gate == "linear":
        coupling, patterns = memory_coupling(config.n, config.memories, seed=seed)
        network = Network.of_couplings(cell, {"r": np.zeros_like(coupling), "h": coupling})
        return reset_by_output_gate(
            network, patterns[:, None], config.durations, depth=_DEPTH, **options
        )
    drive = config.drive or ("z" if config.gate == "update" else "r")
    check_gate(cell, drive, config.gate)
    network = Network.sample(cell, config.n, seed=seed)
    states = _settled(config, network, step, seed)
    if config.gate == "update":
        return reset_by_update_gate(
            network, states, config.strengths, duration=config.duration, drive=drive, **options
        )
    return reset_by_output_gate(network, states, config.durations, drive=drive, **options)


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
    if by_strength:
        halves = [one.threshold() for one in found]
        known = [f"{half:.2f}" if np.isfinite(half) else "not reached" for half in halves]
        text = f"Half of the correlation is erased at a strength of: {', '.join(known)}"
        console.print(text, highlight=False, soft_wrap=True, markup=False)
