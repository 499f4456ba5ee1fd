"""The command ``gatefield lines``: critical lines for several biases or inputs, and networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from rich.console import Console
from rich.table import Table

from gatefield.cells import GatedRNN
from gatefield.cli.config import LinesConfig
from gatefield.cli.written import write_results
from gatefield.figures.biased_points import (
    CLEAR,
    BiasedPoint,
    PointsSize,
    biased_points,
    points_table,
)
from gatefield.io import check_writable
from gatefield.phases import LineFamily, line_family, surroundings_of
from gatefield.plotting import line_family_figure

_SHOWN = 7
_STEP = 0.1


def run(config: LinesConfig, console: Console | None = None) -> int:
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
        0, or 1 with ``strict`` if networks disagree with theory or no point could be judged.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    fixed = config.conditions(leave_out=config.vary)
    alphas = config.alpha_max * np.linspace(0.0, 1.0, config.alpha_points) ** 1.5
    with Console(stderr=True).status("critical lines"):
        family = line_family(
            config.vary, config.values(), alpha_r=alphas, z_offset=config.z_offset, **fixed
        )
    _print_lines(console, config, family)
    found = _simulated(config, fixed)
    for one in found:
        console.print(one.text, highlight=False, soft_wrap=True, markup=False)
    judged = [one for one in found if one.judged]
    good = sum(one.agrees for one in judged)
    if found:
        told = (
            f"Networks of {config.n} units are at rest or moving as theory says at {good} of "
            f"{len(judged)} points with |rho - 1| > {CLEAR:g}."
        )
        if short := sum(one.clear for one in found) - len(judged):
            told += f" {short} more decay too slowly to be judged: raise --t-max."
        console.print(told, highlight=False)
    drawn = line_family_figure(family, kinds=_kinds(config), checks=_checks(config, found))
    groups: dict[str, xr.Dataset] = {"lines": family.to_dataset()}
    if found:
        groups["networks"] = points_table(found)
    write_results(
        console,
        folder / config.name,
        drawn,
        config.formats,
        groups,
        config=config.model_dump_json(),
    )
    return int(config.strict and not (judged and good == len(judged)))


def _kinds(config: LinesConfig) -> list[str]:
    drawn = {"stability": True, "marginal": config.marginal, "fold": config.fold}
    return [kind for kind, wanted in drawn.items() if wanted]


def _print_lines(console: Console, config: LinesConfig, family: LineFamily) -> None:
    """Print critical gains at a few values of alpha_r."""
    chosen = np.unique(np.linspace(0, family.alpha_r.size - 1, _SHOWN).round().astype(int))
    titles = {
        "stability": "Critical g_h: the fixed point is stable below",
        "marginal": "Critical g_h: marginally stable below, for alpha_z -> infinity",
        "fold": "Critical g_h: further fixed points above",
    }
    for kind in _kinds(config):
        table = Table(title=titles[kind], title_justify="left")
        table.add_column("alpha_r", justify="right")
        for value in family.values:
            table.add_column(f"{config.vary} = {value:g}", justify="right")
        rows = getattr(family, kind)
        for place in chosen:
            cells = (_number(each) for each in rows[:, place])
            table.add_row(f"{family.alpha_r[place]:.4g}", *cells)
        console.print(table)


def _number(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) and value > 0 else "none"


def _simulated(config: LinesConfig, fixed: Mapping[str, Any]) -> Sequence[BiasedPoint]:
    """Simulate networks of every value at every point."""
    cells, conditions = [], []
    for g_h, alpha_r in config.points():
        for value in config.values():
            around = surroundings_of(config.vary, value, fixed)
            biases = {name: around.pop(name) for name in ("beta_h", "beta_r")}
            cell = GatedRNN(g_h, alpha_r=alpha_r, input_gating="update", **biases)
            cells.append(({config.vary: value, "g_h": g_h, "alpha_r": alpha_r}, cell))
            conditions.append(around)
    if not cells:
        return []
    size = PointsSize(0, config.n, config.networks, config.t_max, _STEP)
    with Console(stderr=True).status("networks") as status:
        return biased_points(
            cells, size, seed=config.seed, report=status.update, conditions=conditions
        )


def _checks(config: LinesConfig, found: Sequence[BiasedPoint]) -> list[tuple[float, float, bool]]:
    """Return for each point asked about whether networks of all values did what theory says.

    Points at which no value can be judged have no mark.
    """
    marks = []
    for g_h, alpha_r in config.points():
        here = [one for one in found if (one.where["g_h"], one.where["alpha_r"]) == (g_h, alpha_r)]
        judged = [one.agrees for one in here if one.judged]
        if judged:
            marks.append((g_h, alpha_r, all(judged)))
    return marks
