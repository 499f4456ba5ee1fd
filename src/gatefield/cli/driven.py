"""The command ``gatefield driven``: whether static input induces chaos or suppresses it."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.cells import AbstractCell, GatedRNN
from gatefield.cli.cell import cell_of, cell_title
from gatefield.cli.config import DrivenNetworksConfig
from gatefield.cli.notes import warnings_as_notes
from gatefield.cli.written import write_results
from gatefield.compare import InputResponse, input_response, with_error
from gatefield.core.results import Status
from gatefield.io import check_writable
from gatefield.plotting import input_response_figure


def run(config: DrivenNetworksConfig, console: Console | None = None) -> int:
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
        0, or 1 with ``strict`` if networks do otherwise than theory, or theory failed.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    cell = _cell_of(config)
    with warnings_as_notes(console), Console(stderr=True).status("theory") as status:
        found = input_response(
            cell,
            config.values(),
            drive=config.drive,
            sizes=(config.n,) if config.verify else (),
            networks=config.networks,
            t_max=config.t_max,
            burn_in=config.burn_in,
            seed=config.seed,
            windows=config.windows,
            report=status.update,
        )
    console.print(repr(cell), highlight=False, soft_wrap=True, markup=False)
    _print_table(console, found)
    agrees = _print_summary(console, config, found)
    more = [f"$N = {config.n}$"] if config.verify else []
    write_results(
        console,
        folder / config.name,
        input_response_figure(found, title=cell_title(cell, {}, *more)),
        config.formats,
        {"response": found.to_dataset()},
        config=config.model_dump_json(),
    )
    return int(config.strict and not agrees)


def _cell_of(config: DrivenNetworksConfig) -> AbstractCell:
    told = "input_gating" in config.assignments()
    cell = cell_of(config)
    if not isinstance(cell, GatedRNN) or told:
        return cell
    numbers = {name: getattr(cell, name) for name in vars(cell) if name != "input_gating"}
    return GatedRNN(**numbers, input_gating=config.input_gating or "update")


def _print_table(console: Console, found: InputResponse) -> None:
    table = Table(
        title=f"Largest Lyapunov exponent, natural log, per {found.time_unit}",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    columns = [f"input to {found.drive}", "rho", "theory", "state"]
    shown = found.sizes.size > 0
    for name in columns + ([f"networks, N = {found.sizes[0]}"] if shown else []):
        table.add_column(name, justify="right")
    for k, strength in enumerate(found.strengths):
        exponent = float(found.exponent[k])
        row = [
            f"{strength:g}",
            f"{found.radius[k]:.4f}",
            "failed" if math.isnan(exponent) else with_error(exponent, found.standard_error[k]),
            "moving" if found.moves[k] else "fixed point",
        ]
        if shown:
            row.append(with_error(float(found.mean_rates[k]), float(found.mean_errors[k])))
        table.add_row(*row)
    console.print(table)


def _print_summary(console: Console, config: DrivenNetworksConfig, found: InputResponse) -> bool:
    """Say what input does, and return whether networks agree with a theory that did not fail."""
    told = {
        "both": "input induces chaos, and more of it suppresses it again",
        "neither": "input changes no sign of the exponent",
    }
    theory = told.get(found.effect, f"input {found.effect}")
    console.print(f"theory: {theory}", highlight=False)
    agrees = found.status is Status.OK
    if found.sizes.size:
        effect = found.effect_on_networks
        networks = told.get(effect, f"input {effect}")
        agrees = agrees and effect == found.effect
        hint = (
            ""
            if effect == found.effect
            else (
                " (changes within two standard errors do not count; networks of N units lie below "
                "theory by about 1/N: try a larger --n, longer --t-max, more --networks)"
            )
        )
        console.print(f"networks: {networks}{hint}", highlight=False, soft_wrap=True)
    if config.windows:
        ends = zip(found.lower, found.upper, strict=True)
        beyond = f"more than {found.searched:.4g}"
        windows = ", ".join(
            f"{low:.4g} to {beyond if math.isinf(high) else format(high, '.4g')}"
            for low, high in ends
        )
        console.print(
            f"no stable fixed point at strengths {windows}"
            if windows
            else f"a stable fixed point exists at every strength up to {found.searched:.4g}",
            highlight=False,
        )
    return agrees
