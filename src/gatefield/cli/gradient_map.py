"""``gatefield gradients --plane``: where gradients vanish, keep their size or explode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.cells import AbstractCell
from gatefield.cli.cell import cell_title
from gatefield.cli.config import GradientsConfig
from gatefield.cli.notes import warnings_as_notes
from gatefield.cli.written import write_results
from gatefield.phases import REGIMES, GradientMap, gradient_planes
from gatefield.phases import gradient_map as mapped
from gatefield.phases.gradient_maps import UNKNOWN
from gatefield.phases.gradient_points import KINDS
from gatefield.plotting import gradient_map_figure

_SAMPLES, _BATCHES = 300, 4


def run(config: GradientsConfig, cell: AbstractCell, folder: Path, console: Console) -> int:
    """Compute a map, print it, and write it; return the exit status.

    Parameters
    ----------
    config
        The options.
    cell
        The cell at which the plane lies.
    folder
        For figure and data.
    console
        Where to print.

    Returns
    -------
    int
        0.
    """
    x, y = _axes(config)
    with warnings_as_notes(console), Console(stderr=True).status("gradients") as status:
        found = mapped(
            cell,
            x,
            y,
            horizon=config.horizon,
            terminal=config.readouts(),
            band=config.band,
            start=config.start,
            samples=config.samples or _SAMPLES,
            batches=config.batches or _BATCHES,
            dt=config.dt,
            seed=config.seed,
            checkpoint=config.checkpoint,
            progress=False,
            report=lambda done, of: status.update(f"gradients: {done} of {of} points"),
        )
    console.print(repr(cell), highlight=False, soft_wrap=True, markup=False)
    _print_table(console, found)
    _print_summary(console, found)
    regime = (("y", "x"), found.regime, {"meaning": "-1 vanish, 0 keep, 1 explode, 2 unknown"})
    write_results(
        console,
        folder / config.name,
        gradient_map_figure(found, title=cell_title(cell, {}, leave_out=found.x_name)),
        config.formats,
        {"map": found.to_dataset().assign(regime=regime)},
        config=config.model_dump_json(),
    )
    return 0


def _axes(config: GradientsConfig) -> tuple[tuple[str, Any], tuple[str, Any]]:
    if config.plane is not None:
        plane = gradient_planes(config.points)[config.plane]
        return plane.x, plane.y
    first, second = config.axis("x"), config.axis("y")
    return (first.name, first.values), (second.name, second.values)


def _print_table(console: Console, found: GradientMap) -> None:
    table = Table(
        title="ln |a|^2, * where it moves",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column(f"{found.y_name} \\ {found.x_name}", no_wrap=True)
    for value in found.x:
        table.add_column(f"{value:g}", justify="right", no_wrap=True)
    for row in reversed(range(found.y.size)):
        cells = []
        for column in range(found.x.size):
            change = found.log_growth[row, column]
            mark = "*" if found.kind[row, column] == KINDS.index("moving") else ""
            cells.append("?" if np.isnan(change) else f"{change:+.1f}{mark}")
        table.add_row(f"{found.y[row]:g}", *cells)
    console.print(table)


def _print_summary(console: Console, found: GradientMap) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    counts = {name: int(np.sum(found.regime == key)) for key, name in REGIMES.items()}
    told = ", ".join(f"{name} at {count}" for name, count in counts.items())
    say(
        f"Over {float(found.horizon):g} {found.time_unit}s back in time gradients {told} of "
        f"{found.regime.size} points: within {float(found.band):g} of zero they count as kept."
    )
    failed = int(np.sum(found.regime == UNKNOWN))
    if failed:
        say(f"?: no state converged at {failed} points; `outcome` in the file says how each ended.")
