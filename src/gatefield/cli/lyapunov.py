"""The command ``gatefield lyapunov``: the largest exponent by theory, beside networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cli.cell import cell_of, cell_title, inputs_of, with_error, with_parameter
from gatefield.cli.config import LyapunovConfig
from gatefield.cli.notes import warnings_as_notes
from gatefield.compare import Comparison
from gatefield.core.results import Status
from gatefield.core.types import HostArray
from gatefield.figures.exponents import (
    FEWEST,
    Rates,
    belonging,
    judged,
    network_rates,
    theory_states,
    unstable_state,
    variance_of,
)
from gatefield.io import check_writable, provenance, save_netcdf
from gatefield.networks import GaussianInput
from gatefield.plotting import plot_exponents, plot_measured_exponents, save_figure, style, symbol
from gatefield.plotting.lyapunov import NETWORKS
from gatefield.theory.lyapunov import MeanFieldLyapunov

_STEP = 0.1
_LOOKS: dict[str, tuple[str, Any]] = {
    "rest": ("theory, stable fixed point", (0, (1, 1.2))),
    "divides": ("theory, unstable state", "--"),
    "moving": ("theory, moving state", "-"),
}
_HINT = (
    "Networks of N units lie below theory by about 1/N, and weak chaos dies out in small ones: "
    "--n asks for larger networks, --t-max for longer runs."
)


class Point(NamedTuple):
    """A cell on the line, the states that theory gives it, and the networks simulated of it."""

    cell: AbstractCell
    value: float
    states: tuple[MeanFieldLyapunov, ...]
    rates: Rates | None = None

    @property
    def comparisons(self) -> list[Comparison | None]:
        """Theory beside networks, state by state."""
        if self.rates is None:
            return [None] * len(self.states)
        return judged(self.states, self.rates)


def run(config: LyapunovConfig, console: Console | None = None) -> int:
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
        0, or 1 with ``strict`` if theory and networks disagree.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    cell = cell_of(config)
    inputs = inputs_of(config, cell)
    swept = config.swept()
    name = None if swept is None else swept.name
    values = (np.nan,) if swept is None else swept.values
    cells = [cell if name is None else with_parameter(cell, name, value) for value in values]
    with warnings_as_notes(console):
        points = _solved(config, cells, values, inputs)
    if config.verify:
        points = _simulated(config, points, inputs)
    _print_table(console, config, points, name)
    disagreeing = _print_summary(console, config, points)
    more = [f"$N = {config.n}$"] if config.verify else []
    title = cell_title(cell, inputs, *more, leave_out=name)
    drawn = _single_figure(points[0], title) if name is None else _figure(points, name, title)
    paths = save_figure(drawn, folder / config.name, tuple(config.formats))
    root = xr.Dataset(attrs={**provenance(), "config": config.model_dump_json()})
    paths.append(save_netcdf(folder / f"{config.name}.nc", root, **_groups(points, name)))
    console.print("Wrote " + ", ".join(str(path) for path in paths), soft_wrap=True)
    return int(config.strict and disagreeing)


def _solved(
    config: LyapunovConfig,
    cells: Sequence[AbstractCell],
    values: Sequence[float],
    inputs: dict[str, GaussianInput],
) -> list[Point]:
    points = []
    with Console(stderr=True).status("theory") as status:
        for cell, value in zip(cells, values, strict=True):
            status.update(f"theory: point {len(points) + 1} of {len(cells)}")
            states = theory_states(
                cell,
                inputs=inputs,
                method=config.method.replace("-", " "),
                start=config.start,
                samples=config.samples,
                batches=config.batches,
                seed=config.seed,
            )
            points.append(Point(cell, value, states))
    return points


def _simulated(
    config: LyapunovConfig, points: list[Point], inputs: dict[str, GaussianInput]
) -> list[Point]:
    """Return the points, some of them with networks."""
    count = min(config.points, len(points))
    chosen = np.unique(np.round(np.linspace(0, len(points) - 1, count)).astype(int))
    found = list(points)
    with Console(stderr=True).status("networks") as status:
        for done, index in enumerate(chosen):
            place = f"networks: point {done + 1} of {chosen.size}"
            rates = network_rates(
                points[index].cell,
                n=config.n,
                networks=config.networks,
                t_max=config.t_max,
                burn_in=config.burn_in,
                dt=config.dt or _STEP,
                inputs=inputs,
                seed=config.seed,
                report=lambda text, place=place: status.update(f"{place}, {text}"),
            )
            found[index] = points[index]._replace(rates=rates)
    return found


def _print_table(
    console: Console, config: LyapunovConfig, points: Sequence[Point], name: str | None
) -> None:
    unit = "step" if isinstance(points[0].cell, AbstractMap) else "time constant"
    console.print(repr(points[0].cell), highlight=False, soft_wrap=True, markup=False)
    if config.verify:
        console.print(f"networks: {config.networks} of {config.n} units", highlight=False)
    table = Table(
        title=f"Largest Lyapunov exponent, natural log, per {unit}",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    columns = [] if name is None else [name]
    columns += ["state", "C(0)", "theory"]
    columns += ["networks", "in it", "off by"] if config.verify else []
    for column in columns:
        table.add_column(column, justify="left" if column == "state" else "right", no_wrap=True)
    for point in points:
        for number, state in enumerate(point.states):
            error = float(state.standard_error)
            cells = [] if name is None else [f"{point.value:g}" if number == 0 else ""]
            cells += [_kind(point, number), f"{variance_of(state):.4g}"]
            cells.append(with_error(float(state.exponent), error))
            table.add_row(*cells, *(_measured(point, number) if config.verify else []))
    console.print(table)


def _kind(point: Point, number: int) -> str:
    state = point.states[number]
    if state.status is not Status.OK:
        return str(state.status.value)
    if number == unstable_state(point.states):
        return "unstable"
    return "moving" if state.mean_field.fluctuates else "fixed point"


def _measured(point: Point, number: int) -> list[str]:
    """Return what networks gave for a state: their mean, how many were there, the deviation."""
    if point.rates is None or number == unstable_state(point.states):
        return ["", "", ""]
    mask = belonging(point.states, point.rates)[number]
    rates, found = point.rates.rate[mask], point.comparisons[number]
    if rates.size == 0:
        return ["", f"0 of {mask.size}", ""]
    error = rates.std(ddof=1) / np.sqrt(rates.size) if rates.size >= FEWEST else np.nan
    deviation = "" if found is None else f"{float(found.deviation):+.1f}"
    return [
        with_error(float(rates.mean()), float(error)),
        f"{rates.size} of {mask.size}",
        deviation,
    ]


def _print_summary(console: Console, config: LyapunovConfig, points: Sequence[Point]) -> bool:
    """Say what agrees and what does not, and return whether anything disagrees."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    methods = sorted({state.method for point in points for state in point.states})
    say(f"theory by: {', '.join(methods)}")
    if any(state.approximate for point in points for state in point.states):
        say("Note: separable is an approximation, wrong at order alpha_z^2.")
    if not config.verify:
        return False
    compared = [one for point in points for one in point.comparisons if one is not None]
    if not compared:
        say(f"Nowhere {FEWEST} networks in one state: nothing is called agreement.")
        return False
    say("Off by: in standard errors; beyond 4 it counts as disagreement.")
    wrong = sum(not one.agrees for one in compared)
    if wrong:
        say(f"Theory and networks disagree in {wrong} of {len(compared)} comparisons. {_HINT}")
    else:
        say(f"Theory and networks agree in all {len(compared)} comparisons.")
    return wrong > 0


def _figure(points: Sequence[Point], name: str, title: str) -> Figure:
    """Draw the exponent against the parameter: resting and moving states, networks as dots."""
    values = np.array([point.value for point in points])
    lines = _lines(points)
    with style():
        drawn, ax = plt.subplots(figsize=(5.4, 4.0))
        for kind, (label, dash) in _LOOKS.items():
            exponents, errors = lines[kind]
            if np.isfinite(exponents).any():
                plot_exponents(values, exponents, errors, ax=ax, label=label, linestyle=dash)
        _draw_networks(points, ax)
        ax.set_xlabel(rf"${symbol(name)}$")
        ax.legend(loc="best")
        ax.set_title(title, fontsize=9)
    return drawn


def _single_figure(point: Point, title: str) -> Figure:
    """Draw the exponents of single networks beside theory's."""
    with style():
        drawn, ax = plt.subplots(figsize=(4.6, 3.6))
        count = 1 if point.rates is None else point.rates.rate.size
        ends = np.array([0.5, count + 0.5])
        for number, state in enumerate(point.states):
            look = "--" if number == unstable_state(point.states) else "-"
            both = np.full(2, float(state.exponent)), np.full(2, float(state.standard_error))
            label = f"theory, {_kind(point, number)}"
            plot_exponents(ends, *both, ax=ax, label=label, linestyle=look)
        if point.rates is not None:
            ax.errorbar(
                np.arange(1, count + 1),
                point.rates.rate,
                yerr=point.rates.error,
                fmt="o",
                color=NETWORKS,
                markersize=4.5,
                capsize=2,
                label="networks",
            )
        ax.set_xlim(*ends)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("network")
        ax.legend(loc="best")
        ax.set_title(title, fontsize=9)
    return drawn


def _lines(points: Sequence[Point]) -> dict[str, tuple[HostArray, HostArray]]:
    """Return exponents and errors along the line, by kind of state; NaN where there is none."""
    lines = {kind: np.full((2, len(points)), np.nan) for kind in _LOOKS}
    for place, point in enumerate(points):
        for number, state in enumerate(point.states):
            kind = "moving" if state.mean_field.fluctuates else "rest"
            kind = "divides" if number == unstable_state(point.states) else kind
            lines[kind][:, place] = float(state.exponent), float(state.standard_error)
    return {kind: (both[0], both[1]) for kind, both in lines.items()}


def _draw_networks(points: Sequence[Point], ax: Axes) -> None:
    done = [point for point in points if point.rates is not None]
    if not done:
        return
    values = np.array([point.value for point in done])
    rates = np.array([point.rates.rate for point in done if point.rates is not None])
    moved = np.array([_moved(point) for point in done])
    look: dict[str, Any] = {"ax": ax}
    plot_measured_exponents(values, np.where(moved, rates, np.nan), **look)
    if not moved.all():
        rest = np.where(moved, np.nan, rates)
        plot_measured_exponents(values, rest, hollow=True, label="networks, came to rest", **look)


def _moved(point: Point) -> HostArray:
    """Return which networks did not come to rest."""
    if point.rates is None:
        return np.zeros(0, bool)
    last = belonging(point.states, point.rates)[-1]
    return last if point.states[-1].mean_field.fluctuates else ~last


def _groups(points: Sequence[Point], name: str | None) -> dict[str, xr.Dataset]:
    """Return theory's states at each point, padded with NaN, and the networks."""
    most = max(len(point.states) for point in points)
    shape = (len(points), most)
    columns = {
        key: np.full(shape, np.nan)
        for key in ("exponent", "standard_error", "truncation", "variance")
    }
    kinds = np.full(shape, "", dtype=object)
    for row, point in enumerate(points):
        for number, state in enumerate(point.states):
            for key in ("exponent", "standard_error", "truncation"):
                columns[key][row, number] = float(getattr(state, key))
            columns["variance"][row, number] = variance_of(state)
            kinds[row, number] = _kind(point, number)
    dims = ("point", "state")
    values = {} if name is None else {name: ("point", [point.value for point in points])}
    units = {"units": "1 / time constant (maps: 1 / step)"}
    described = {
        key: (dims, column, units if key != "variance" else {}) for key, column in columns.items()
    }
    groups = {"theory": xr.Dataset({**values, **described, "kind": (dims, kinds.astype(str))})}
    done = [k for k, point in enumerate(points) if point.rates is not None]
    if done:
        rows = {
            key: np.array([getattr(points[k].rates, key) for k in done]) for key in Rates._fields
        }
        measured = {key: (("measured", "network"), value) for key, value in rows.items()}
        said = [str(one) for k in done for one in points[k].comparisons if one is not None]
        groups["networks"] = xr.Dataset(
            {**measured, "point": ("measured", done)}, attrs={"comparisons": "\n".join(said)}
        )
    return groups
