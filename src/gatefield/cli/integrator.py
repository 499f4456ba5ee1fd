"""The command ``gatefield integrator``: what networks keep of input along slow modes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.analysis import network_spectrum
from gatefield.analysis.integrator import (
    IntegratorMemory,
    LineAttractor,
    integrator_memory,
    line_attractor,
)
from gatefield.cells import AbstractCell, AbstractMap, GatedRNN
from gatefield.cli.cell import cell_title, check_step
from gatefield.cli.config import IntegratorConfig
from gatefield.cli.defaults import cell_with_defaults
from gatefield.cli.written import write_results
from gatefield.compare.states import reached_state
from gatefield.core.checks import check_names
from gatefield.io import check_writable
from gatefield.networks import Network
from gatefield.plotting.integrator import integrator_figure

_SWITCH = 15.0
_STEP = 0.1


class _Found(NamedTuple):
    memory: IntegratorMemory
    attractor: LineAttractor


def run(config: IntegratorConfig, console: Console | None = None) -> int:
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
    cell = cell_with_defaults(config, alpha_z=_SWITCH)
    check_step(cell, config.dt)
    check_names("onto", config.onto, cell.state_names)
    found = []
    with Console(stderr=True).status("networks") as status:
        for place in range(config.networks):
            status.update(f"network {place + 1} of {config.networks}")
            found.append(_one(config, cell, config.seed + place))
    _print(console, config, cell, found)
    title = cell_title(cell, {}, f"$N = {config.n}$")
    drawn = integrator_figure(found[0].memory, found[0].attractor, title=title)
    groups: dict[str, xr.Dataset] = {}
    for place, one in enumerate(found):
        groups[f"memory_{place}"] = one.memory.to_dataset()
        groups[f"attractor_{place}"] = one.attractor.to_dataset()
    stem = folder / config.name
    asked = config.model_dump_json()
    write_results(console, stem, drawn, config.formats, groups, config=asked)
    return 0


def _one(config: IntegratorConfig, cell: AbstractCell, seed: int) -> _Found:
    network = Network.sample(cell, config.n, seed=seed)
    step = None if isinstance(cell, AbstractMap) else (config.dt or _STEP)
    state = reached_state(network, config.relaxation, dt=step, seed=seed)
    onto = tuple(config.onto) or (("h",) if isinstance(cell, GatedRNN) else None)
    shared: dict[str, Any] = {
        "duration": config.duration,
        "after": config.after,
        "slow": config.slow,
        "onto": onto,
        "spectrum": network_spectrum(network, state, vectors="both"),
        "dt": step,
        "seed": seed,
        "progress": False,
    }
    memory = integrator_memory(network, state, config.strengths, fast=config.fast, **shared)
    least = min(config.strengths)
    every = 1.0  # `after` is a multiple of the memory's spacing, hence of this
    attractor = line_attractor(
        network, state, least, patterns=config.patterns, every=every, **shared
    )
    return _Found(memory, attractor)


def _print(
    console: Console, config: IntegratorConfig, cell: AbstractCell, found: list[_Found]
) -> None:
    unit = found[0].memory.time_unit
    console.print(repr(cell), highlight=False, soft_wrap=True, markup=False)
    table = Table(
        title=f"Retained {config.at:g} {unit}s after an input of {config.duration:g}, by strength",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown = [f"{strength:g}" for strength in config.strengths]
    for column in ("network", "input", "lambda", "units", *shown, "memory time"):
        table.add_column(column, justify="left" if column == "input" else "right", no_wrap=True)
    for place, one in enumerate(found):
        kept = one.memory.retained(config.at)
        for row, kind in enumerate(one.memory.kinds):
            cells = [str(config.seed + place) if row == 0 else "", kind]
            cells.append(_number(one.memory, row))
            cells.append(f"{one.memory.participation[row]:.0f}")
            cells += [f"{value:.3f}" for value in kept[row]]
            more = ">" if one.memory.censored[row, 0] else ""
            table.add_row(*cells, f"{more}{one.memory.memory_times[row, 0]:.1f}")
    console.print(table)
    _summary(console, config, found)


def _number(memory: IntegratorMemory, row: int) -> str:
    real, imag = memory.eigenvalues_real[row], memory.eigenvalues_imag[row]
    if np.isnan(real):
        return ""
    return f"{real:.4f}" if imag == 0 else f"{real:.4f}{imag:+.4f}i"


def _summary(console: Console, config: IntegratorConfig, found: list[_Found]) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    counts = [int(one.memory.slow_count) for one in found]
    unit = found[0].memory.time_unit
    none = "; where none is slow, the slowest stands for them" if 0 in counts else ""
    say(
        f"Modes within {config.slow:g} of {1 if found[0].memory.is_map else 0}: "
        f"{', '.join(map(str, counts))} in networks of {config.n} units{none}"
    )
    for place, one in enumerate(found):
        line = one.attractor
        more = "more than " if line.censored else ""
        say(
            f"network {config.seed + place}: random inputs persist for {more}"
            f"{float(line.persistence_time):.1f} {unit}s; drift at the end "
            f"{line.drift_along[-1]:.4f} along and {line.drift_away[-1]:.4f} away from the slow "
            f"modes, per {unit}; dimension {line.dimension[0]:.0f} after the input, "
            f"{line.dimension[-1]:.0f} at the end"
        )
