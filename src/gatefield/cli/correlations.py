"""The command ``gatefield correlations``: dynamical mean-field theory beside networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.analysis import CorrelationFunctions, correlation_functions
from gatefield.cells import AbstractCell, AbstractMap, quantity_names
from gatefield.cli.cell import cell_of, cell_title, check_step, inputs_of
from gatefield.cli.config import CorrelationsConfig
from gatefield.cli.notes import warnings_as_notes
from gatefield.cli.written import write_results
from gatefield.compare import FEWEST, Measure, correlation_measures, last_lag, with_error
from gatefield.core.checks import check_names
from gatefield.core.errors import refuse
from gatefield.io import check_writable
from gatefield.networks import GaussianInput, Network
from gatefield.plotting import correlation_figure
from gatefield.theory.dmft import MeanField, solve_dmft

_STEP = 0.1
_SPACING = 0.1  # of recorded times, as `correlation_functions` chooses it
_RELAXATIONS = 5.0
_LARGEST_PART = 0.2  # of t_max: products so far apart are averaged over the other four fifths
_ROUNDING = 1e-9  # relative
_HINT = (
    "Theory is for infinitely many units in a stationary state: --n asks for larger networks, "
    "--burn-in and --t-max for longer runs."
)


def run(config: CorrelationsConfig, console: Console | None = None) -> int:
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
    check_step(cell, config.dt)
    inputs = inputs_of(config, cell)
    names = _names(config, cell)
    with warnings_as_notes(console), Console(stderr=True).status("solving the mean-field theory"):
        theory = _theory(config, cell, inputs)
    max_lag = _max_lag(config, theory, names)
    networks = None
    if config.verify:
        with Console(stderr=True).status(f"simulating {config.networks} networks"):
            networks = _networks(config, cell, inputs, names, max_lag)
    measures = [one for name in names for one in _measures(name, theory, networks, max_lag)]
    _print_state(console, config, theory)
    _print_table(console, measures, config.verify)
    disagreeing = _print_summary(console, config, measures)
    title = cell_title(cell, inputs, *([f"$N = {config.n}$"] if config.verify else []))
    drawn = correlation_figure(names, theory, networks, max_lag=max_lag, title=title)
    groups = {"theory": theory.to_dataset(), "table": _table_dataset(measures)}
    if networks is not None:
        groups["networks"] = networks.to_dataset()
    write_results(
        console,
        folder / config.name,
        drawn,
        config.formats,
        groups,
        config=config.model_dump_json(),
    )
    return int(config.strict and disagreeing)


def _names(config: CorrelationsConfig, cell: AbstractCell) -> tuple[str, ...]:
    known = quantity_names(cell)
    if config.quantities:
        check_names("quantities", config.quantities, known)
        return tuple(dict.fromkeys(config.quantities))
    output = "phi" if "phi" in known else f"y_{cell.field_names[0]}"
    return (cell.state_names[0], output)


def _theory(
    config: CorrelationsConfig, cell: AbstractCell, inputs: dict[str, GaussianInput]
) -> MeanField:
    return solve_dmft(
        cell,
        inputs=inputs,
        method=config.method.replace("-", " "),
        start=config.start,
        samples=config.samples,
        batches=config.batches,
        seed=config.seed,
        progress=False,
    )


def _max_lag(config: CorrelationsConfig, theory: MeanField, names: Sequence[str]) -> float:
    """Return the largest lag, a whole number of the networks' spacings where theory has an end."""
    spacing = 1.0 if theory.is_map else max(_SPACING, config.dt or _STEP)
    known = last_lag(theory)
    if np.isfinite(known):
        known = spacing * np.floor(known / spacing + _ROUNDING)
    if config.max_lag is not None:
        return float(min(config.max_lag, known))
    longest = min(known, float(theory.lags[-1]))
    if config.verify:
        longest = min(longest, _LARGEST_PART * config.t_max)
        if config.networks < FEWEST:
            # Errors are then those of four blocks, which must be longer than the lag.
            longest = min(longest, spacing * (config.t_max / spacing // 4 - 1))
        if longest < spacing:
            expected = f"at least {8 * spacing:g}, which leaves room for a lag"
            refuse("t_max", config.t_max, expected, "Raise t_max, or give max_lag.")
    slowest = max(theory.relaxation_time(name) for name in names)
    wanted = _RELAXATIONS * slowest if np.isfinite(slowest) else np.inf
    chosen = _rounded_down(float(np.clip(wanted, min(10.0, longest), longest)))
    return max(1.0, float(int(chosen))) if theory.is_map else chosen


def _rounded_down(value: float) -> float:
    """Return a number's first two digits, since the table names it."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{unit * np.floor(value / unit + _ROUNDING):.2g}")


def _networks(
    config: CorrelationsConfig,
    cell: AbstractCell,
    inputs: dict[str, GaussianInput],
    names: Sequence[str],
    max_lag: float,
) -> CorrelationFunctions:
    sampled = [Network.sample(cell, config.n, seed=config.seed + k) for k in range(config.networks)]
    step = {} if isinstance(cell, AbstractMap) else {"dt": config.dt or _STEP}
    generator = np.random.default_rng(config.seed)
    shape = (len(cell.state_names), config.n)
    started: dict[str, Any] = {}
    if config.start != 1.0:
        started["initial"] = np.sqrt(config.start) * generator.standard_normal(shape)
    return correlation_functions(
        sampled,
        config.t_max,
        burn_in=config.burn_in,
        max_lag=max_lag,
        quantities=names,
        inputs=inputs,
        seed=config.seed,
        progress=False,
        **step,
        **started,
    )


def _measures(
    name: str, theory: MeanField, networks: CorrelationFunctions | None, max_lag: float
) -> list[Measure]:
    """Return the numbers of a quantity, theory's on the networks' lags."""
    lags = np.linspace(0.0, max_lag, 1001) if networks is None else networks.lags
    if theory.is_map:
        lags = np.arange(round(max_lag) + 1.0)
    return correlation_measures(name, theory, networks, lags)


def _print_state(console: Console, config: CorrelationsConfig, theory: MeanField) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    say(repr(theory.cell))
    for name, one in theory.inputs.items():
        say(f"input to {name}: {one!r}")
    state = "moving state" if theory.fluctuates else "fixed point"
    say(
        f"theory: {theory.method}, {state}, residual {float(theory.residual):.1g}, "
        f"truncation {float(theory.truncation):.1g}"
    )
    if theory.method == "separable":
        say("Note: separable is an approximation (Eqs. C22-C24); its error is not in the table.")
    if config.verify:
        say(f"networks: {config.networks} of {config.n} units")


def _print_table(console: Console, measures: Sequence[Measure], verified: bool) -> None:
    table = Table(
        title="Correlation functions: theory beside networks",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("quantity", no_wrap=True)
    table.add_column("", no_wrap=True)
    columns = ("theory", "networks", "deviation") if verified else ("theory",)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for one in measures:
        cells = [one.quantity, one.name, with_error(one.theory, one.error)]
        if verified:
            found = one.comparison
            cells.append(with_error(float(np.mean(one.networks)), one.spread))
            cells.append("" if found is None else f"{float(found.deviation):+.1f}")
        table.add_row(*cells)
    console.print(table)


def _print_summary(
    console: Console, config: CorrelationsConfig, measures: Sequence[Measure]
) -> bool:
    """Say what agrees and what does not, and return whether anything disagrees."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    say("Relaxation time: until C has fallen to 1/e of the way to its last value, in both.")
    if not config.verify:
        return False
    if config.networks < FEWEST:
        say(f"Fewer than {FEWEST} networks: no standard errors, nothing is called agreement.")
        return False
    say("Deviations are in standard errors; beyond 4 they count as disagreement.")
    compared = [one.comparison for one in measures]
    wrong = [one.name for one in compared if one is not None and not one.agrees]
    say(
        f"Theory and networks disagree on: {', '.join(wrong)}. {_HINT}"
        if wrong
        else "Theory and networks agree."
    )
    return bool(wrong)


def _table_dataset(measures: Sequence[Measure]) -> xr.Dataset:
    compared = [one.comparison for one in measures]
    deviation = [np.nan if one is None else float(one.deviation) for one in compared]
    return xr.Dataset(
        {
            "quantity": ("row", [one.quantity for one in measures]),
            "measure": ("row", [one.name for one in measures]),
            "theory": ("row", [one.theory for one in measures]),
            "theory_error": ("row", [one.error for one in measures]),
            "networks": (("row", "network"), np.array([one.networks for one in measures])),
            "deviation": ("row", deviation, {"units": "standard errors"}),
        }
    )
