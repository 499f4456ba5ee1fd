"""``gatefield lyapunov --theory``: the largest exponent by theory, beside networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.cells import AbstractCell
from gatefield.cli.cell import cell_of, cell_title, check_step, inputs_of, with_parameter
from gatefield.cli.config import LyapunovConfig
from gatefield.cli.notes import warnings_as_notes
from gatefield.cli.written import write_results
from gatefield.compare import (
    FEWEST,
    Station,
    belonging,
    network_rates,
    state_kinds,
    theory_states,
    variance_of,
    with_error,
)
from gatefield.core.results import Status
from gatefield.io import check_writable
from gatefield.networks import GaussianInput
from gatefield.plotting import exponent_figure, exponent_line_figure
from gatefield.theory.lyapunov import MeanFieldLyapunov

_KINDS = {"rest": "fixed point", "divides": "unstable", "moving": "moving"}
_HINT = (
    "Networks of N units lie below theory by about 1/N, and weak chaos dies out in small ones: "
    "--n asks for larger networks, --t-max for longer runs."
)


def run(config: LyapunovConfig, console: Console | None = None) -> int:
    """Run the command with --theory and return its exit status.

    Parameters
    ----------
    config
        The options.
    console
        Where to print; by default standard output.

    Returns
    -------
    int
        0, or 1 with ``strict`` if theory and networks disagree, theory did not converge somewhere,
        or nothing could be compared.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    cell = cell_of(config)
    check_step(cell, config.dt)
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
    shown = _print_summary(console, config, points)
    more = [f"$N = {config.n}$"] if config.verify else []
    title = cell_title(cell, inputs, *more, leave_out=name)
    if name is None:
        drawn = exponent_figure(points[0], title=title)
    else:
        drawn = exponent_line_figure(points, name, title=title)
    write_results(
        console,
        folder / config.name,
        drawn,
        config.formats,
        _groups(points, name),
        config=config.model_dump_json(),
    )
    return int(config.strict and not shown)


def _solved(
    config: LyapunovConfig,
    cells: Sequence[AbstractCell],
    values: Sequence[float],
    inputs: dict[str, GaussianInput],
) -> list[Station]:
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
            points.append(Station(value, states, {}))
    return points


def _simulated(
    config: LyapunovConfig, points: list[Station], inputs: dict[str, GaussianInput]
) -> list[Station]:
    """Return the points, some of them with networks."""
    count = min(config.points, len(points))
    chosen = np.unique(np.round(np.linspace(0, len(points) - 1, count)).astype(int))
    found = list(points)
    with Console(stderr=True).status("networks") as status:
        for done, index in enumerate(chosen):
            place = f"networks: point {done + 1} of {chosen.size}"
            rates = network_rates(
                points[index].states[0].mean_field.cell,
                n=config.n,
                networks=config.networks,
                t_max=config.t_max,
                burn_in=config.burn_in,
                dt=config.dt,
                inputs=inputs,
                seed=config.seed,
                report=lambda text, place=place: status.update(f"{place}, {text}"),
            )
            found[index] = points[index]._replace(rates={config.n: rates})
    return found


def _print_table(
    console: Console, config: LyapunovConfig, points: Sequence[Station], name: str | None
) -> None:
    first = points[0].states[0]
    console.print(repr(first.mean_field.cell), highlight=False, soft_wrap=True, markup=False)
    if config.verify:
        console.print(f"networks: {config.networks} of {config.n} units", highlight=False)
    table = Table(
        title=f"Largest Lyapunov exponent, natural log, per {first.time_unit}",
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
        measured = _measured(point) if config.verify else [[]] * len(point.states)
        for number, (kind, state) in enumerate(_named_states(point)):
            cells = [] if name is None else [f"{point.value:g}" if number == 0 else ""]
            cells += [kind, f"{variance_of(state):.4g}"]
            known = state.status is Status.OK
            theory = with_error(float(state.exponent), float(state.standard_error))
            cells.append(theory if known else "")
            table.add_row(*cells, *measured[number])
    console.print(table)


def _named_states(point: Station) -> list[tuple[str, MeanFieldLyapunov]]:
    """Return each state with what it is: its kind, or why it is not known."""
    return [
        (_KINDS[kind] if state.status is Status.OK else str(state.status.value), state)
        for kind, state in zip(state_kinds(point.states), point.states, strict=True)
    ]


def _measured(point: Station) -> list[list[str]]:
    """Return what networks gave for each state: their mean, how many were there, the deviation."""
    if not point.rates:
        return [["", "", ""]] * len(point.states)
    found = []
    masks = belonging(point.states, point.largest)
    columns = state_kinds(point.states), masks, point.comparisons
    for kind, mask, comparison in zip(*columns, strict=True):
        rates = point.largest.rate[mask]
        if kind == "divides":
            found.append(["", "", ""])
        elif rates.size == 0:
            found.append(["", f"0 of {mask.size}", ""])
        else:
            error = rates.std(ddof=1) / np.sqrt(rates.size) if rates.size >= FEWEST else np.nan
            deviation = "" if comparison is None else f"{float(comparison.deviation):+.1f}"
            mean = with_error(float(rates.mean()), float(error))
            found.append([mean, f"{rates.size} of {mask.size}", deviation])
    return found


def _print_summary(console: Console, config: LyapunovConfig, points: Sequence[Station]) -> bool:
    """Say what agrees and what does not, and return whether everything was shown to agree."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    states = [state for point in points for state in point.states]
    say(f"theory by: {', '.join(sorted({state.method for state in states}))}")
    if any(state.approximate for state in states):
        say("Note: separable is an approximation, wrong at order alpha_z^2.")
    failed = sum(state.status is not Status.OK for state in states)
    if failed:
        say(f"Theory did not converge in {failed} of {len(states)} states: nothing is said there.")
    if not config.verify:
        return False
    compared = [one for point in points for one in point.comparisons if one is not None]
    if not compared:
        say(f"Nowhere {FEWEST} networks in a state that theory knows: nothing was compared.")
        return False
    say("Off by: in standard errors; beyond 4 it counts as disagreement.")
    wrong = sum(not one.agrees for one in compared)
    if wrong:
        say(f"Theory and networks disagree in {wrong} of {len(compared)} comparisons. {_HINT}")
    else:
        say(f"Theory and networks agree in all {len(compared)} comparisons.")
    return wrong == 0 and failed == 0


def _groups(points: Sequence[Station], name: str | None) -> dict[str, xr.Dataset]:
    """Return theory's states at each point, padded with NaN, and the networks."""
    most = max(len(point.states) for point in points)
    shape = (len(points), most)
    columns = {
        key: np.full(shape, np.nan)
        for key in ("exponent", "standard_error", "truncation", "variance")
    }
    kinds = np.full(shape, "", dtype=object)
    for row, point in enumerate(points):
        for number, (kind, state) in enumerate(_named_states(point)):
            for key in ("exponent", "standard_error", "truncation"):
                columns[key][row, number] = float(getattr(state, key))
            columns["variance"][row, number] = variance_of(state)
            kinds[row, number] = kind
    dims = ("point", "state")
    values = {} if name is None else {name: ("point", [point.value for point in points])}
    units = {"units": f"1 / {points[0].states[0].time_unit}"}
    described = {
        key: (dims, column, units if key != "variance" else {}) for key, column in columns.items()
    }
    groups = {"theory": xr.Dataset({**values, **described, "kind": (dims, kinds.astype(str))})}
    done = {place: point for place, point in enumerate(points) if point.rates}
    if done:
        each = [point.largest.columns for point in done.values()]
        rates = {key: np.array([one[key] for one in each]) for key in each[0]}
        measured = {
            key: (("measured", "network"), value, units if key in ("rate", "error") else {})
            for key, value in rates.items()
        }
        said = [str(one) for point in done.values() for one in point.comparisons if one is not None]
        groups["networks"] = xr.Dataset(
            {**measured, "point": ("measured", list(done))}, attrs={"comparisons": "\n".join(said)}
        )
    return groups
