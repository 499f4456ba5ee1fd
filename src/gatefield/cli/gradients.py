"""``gatefield gradients``: how large gradients are and how they grow, beside networks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.cells import AbstractCell
from gatefield.cli import gradient_map
from gatefield.cli.cell import cell_of, cell_title, check_step, inputs_of
from gatefield.cli.config import GradientsConfig
from gatefield.cli.notes import warnings_as_notes
from gatefield.cli.written import write_results
from gatefield.compare import Comparison, GradientComparison, compare_gradients, with_error
from gatefield.core.results import Status
from gatefield.io import check_writable
from gatefield.networks import GaussianInput
from gatefield.plotting.adjoint_figure import adjoint_figure
from gatefield.theory.adjoint import AdjointMeanField, solve_adjoint
from gatefield.theory.dmft import MeanField, solve_dmft
from gatefield.theory.lyapunov import MeanFieldLyapunov, mean_field_lyapunov

_SAMPLES, _BATCHES = 1000, 8
_PARTS = (0.25, 0.5, 1.0)  # of the horizon, as `compare_gradients`
_HINT = (
    "Few networks dominate the mean once gradients have grown for long: --horizon asks for a "
    "shorter one, --n and --networks for more."
)


class _Row(NamedTuple):
    name: str
    theory: float
    error: float
    networks: Comparison | None


def run(config: GradientsConfig, console: Console | None = None) -> int:
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
        0, or 1 with ``strict`` if theory and networks disagree or could not be compared.

    Raises
    ------
    NumericalFailureError
        If no state, or no adjoint in it, was found; of a map the point is left out instead.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    cell = cell_of(config)
    check_step(cell, config.dt)
    if config.is_map:
        return gradient_map.run(config, cell, folder, console)
    inputs = inputs_of(config, cell)
    with warnings_as_notes(console), Console(stderr=True).status("theory") as status:
        state, theory = _theory(config, cell, inputs)
        largest = mean_field_lyapunov(state, seed=config.seed, throw=False)
        networks = None
        if config.networks:
            networks = compare_gradients(
                cell,
                theory=theory,
                n=config.n,
                networks=config.networks,
                burn_in=config.burn_in,
                dt=config.dt,
                limit=False,
                seed=config.seed,
                report=status.update,
            )
    compared = {} if networks is None else networks.comparisons()
    rows = _rows(theory, networks, compared)
    console.print(repr(cell), highlight=False, soft_wrap=True, markup=False)
    _print_table(console, rows, config)
    agrees = _print_summary(console, theory, largest, networks, compared)
    more = [f"$N = {config.n}$"] if config.networks else []
    groups = {"theory": theory.to_dataset(), "table": _dataset(rows, largest, theory)}
    if networks is not None:
        said = "\n".join(str(one) for one in compared.values())
        groups["networks"] = networks.to_dataset().assign_attrs(comparisons=said)
    write_results(
        console,
        folder / config.name,
        adjoint_figure(theory, networks, title=cell_title(cell, inputs, *more)),
        config.formats,
        groups,
        config=config.model_dump_json(),
    )
    return int(config.strict and not agrees)


def _theory(
    config: GradientsConfig, cell: AbstractCell, inputs: dict[str, GaussianInput]
) -> tuple[MeanField, AdjointMeanField]:
    sampling: dict[str, Any] = {
        "samples": config.samples or _SAMPLES,
        "batches": config.batches or _BATCHES,
        "seed": config.seed,
        "progress": False,
    }
    method = config.method.replace("-", " ")
    state = solve_dmft(cell, inputs=inputs, method=method, start=config.start, **sampling)
    step = config.dt if state.fluctuates else None
    found = solve_adjoint(state, config.horizon, terminal=config.readouts(), dt=step, **sampling)
    return state, found


def _rows(
    theory: AdjointMeanField,
    networks: GradientComparison | None,
    compared: dict[str, Comparison],
) -> list[_Row]:
    """Return adjoints at parts of the horizon, and every mean squared gradient."""
    wanted = theory.horizon * np.array(_PARTS)
    places = np.unique([int(np.argmin(np.abs(theory.times - each))) for each in wanted])
    rows = []
    for name, values in theory.adjoint_variance.items():
        for place in places:
            error = float(theory.adjoint_standard_error[name][place])
            label = f"a_{name}({theory.times[place]:g})"
            rows.append(_Row(label, float(values[place]), error, compared.get(label)))
    for name, value in theory.gradient_variance.items():
        error = float(theory.gradient_standard_error[name])
        rows.append(_Row(name, float(value), error, compared.get(name)))
    rate, error = theory.growth_rate, theory.growth_standard_error
    rows.append(_Row("growth_rate", rate, error, compared.get("growth_rate")))
    return rows


def _print_table(console: Console, rows: list[_Row], config: GradientsConfig) -> None:
    if config.networks:
        console.print(f"networks: {config.networks} of {config.n} units", highlight=False)
    table = Table(
        title="Mean squared gradients",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    columns = ["by", "theory"] + (["networks", "off by"] if config.networks else [])
    for column in columns:
        table.add_column(column, justify="left" if column == "by" else "right", no_wrap=True)
    for row in (each for each in rows if each.theory != 0):
        cells = [row.name, with_error(row.theory, row.error)]
        if config.networks:
            one = row.networks
            cells += (
                ["", ""]
                if one is None
                else [
                    with_error(float(one.measured), float(one.standard_error)),
                    f"{float(one.deviation):+.1f}",
                ]
            )
        table.add_row(*cells)
    console.print(table)
    silent = ", ".join(row.name for row in rows if row.theory == 0 and "(" not in row.name)
    if silent:
        console.print(f"Exactly zero: {silent}.", highlight=False, soft_wrap=True, markup=False)


def _print_summary(
    console: Console,
    theory: AdjointMeanField,
    largest: MeanFieldLyapunov,
    networks: GradientComparison | None,
    compared: dict[str, Comparison],
) -> bool:
    """Say how gradients grow and what agrees; return whether everything was shown to agree."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    say(f"a_c(s): mean square of dL/dc at s before the end. Theory by: {theory.method}.")
    if largest.status is Status.OK:
        twice = with_error(2 * float(largest.exponent), 2 * float(largest.standard_error))
        rate = with_error(theory.growth_rate, theory.growth_standard_error)
        tail = ", from below by 1/(2s)" if theory.method == "fixed point" else ""
        say(
            f"Growth rate {rate} per {theory.time_unit}; for long horizons it tends to "
            f"2 lambda_max = {twice}{tail}."
        )
    change = float(np.log(theory.total_variance[-1] / theory.total_variance[0]))
    say(f"Over the horizon ln |a|^2 changes by {change:+.3g}.")
    if networks is None:
        return False
    belonging = int(networks.belongs.sum())
    say(f"{belonging} of {networks.belongs.size} networks were in theory's state throughout.")
    if not compared:
        say("Too few of them: nothing was compared.")
        return False
    wrong = sum(not one.agrees for one in compared.values())
    if wrong:
        say(f"Theory and networks disagree in {wrong} of {len(compared)} comparisons. {_HINT}")
    else:
        say(f"Theory and networks agree in all {len(compared)} comparisons.")
    return wrong == 0


def _dataset(rows: list[_Row], largest: MeanFieldLyapunov, theory: AdjointMeanField) -> xr.Dataset:
    def measured(name: str) -> tuple[str, list[float]]:
        each = [row.networks for row in rows]
        return "quantity", [np.nan if one is None else float(getattr(one, name)) for one in each]

    known = largest.status is Status.OK
    twice = 2 * float(largest.exponent) if known else np.nan
    return xr.Dataset(
        {
            "theory": ("quantity", [row.theory for row in rows]),
            "theory_error": ("quantity", [row.error for row in rows]),
            "networks": measured("measured"),
            "networks_error": measured("standard_error"),
            "deviation": measured("deviation"),
            "twice_exponent": ((), twice, {"units": f"1 / {theory.time_unit}"}),
        },
        {"quantity": [row.name for row in rows]},
    )
