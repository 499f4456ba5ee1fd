"""``gatefield transients``: how long networks of several sizes take to come to rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.analysis.transients import TransientLengths, transient_lengths
from gatefield.analysis.transients.result import OUTCOMES
from gatefield.analysis.transients.runs import Outcome
from gatefield.cells import AbstractMap
from gatefield.cli.cell import cell_of, cell_title, check_step
from gatefield.cli.config import TransientsConfig
from gatefield.cli.notes import warnings_as_notes
from gatefield.cli.written import write_results
from gatefield.io import check_writable
from gatefield.plotting import transient_figure

_STEP = 0.1


def run(config: TransientsConfig, console: Console | None = None) -> int:
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

    Raises
    ------
    NumericalFailureError
        If a network diverged.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    cell = cell_of(config)
    check_step(cell, config.dt)
    step: dict[str, Any] = {} if isinstance(cell, AbstractMap) else {"dt": config.dt or _STEP}
    with warnings_as_notes(console):
        found = transient_lengths(
            cell,
            config.sizes,
            networks=config.networks,
            t_max=config.t_max,
            threshold=config.threshold,
            component=config.component,
            hold=config.hold,
            spread=config.spread,
            dtype=config.dtype,
            seed=config.seed,
            checkpoint=config.checkpoint,
            **step,
        )
    _print_table(console, config, found, repr(cell))
    _print_summary(console, config, found)
    groups = _groups(found, config.confidence)
    write_results(
        console,
        folder / config.name,
        transient_figure(found, title=cell_title(cell, {}), confidence=config.confidence),
        config.formats,
        groups,
        config=config.model_dump_json(),
    )
    return 0


def _print_table(
    console: Console, config: TransientsConfig, found: TransientLengths, cell: str
) -> None:
    console.print(cell, highlight=False, soft_wrap=True, markup=False)
    table = Table(
        title=f"Time to rest, in {found.time_unit}s, of {config.networks} networks of each size",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    columns = ("N", "at rest", "elsewhere", "moving", "chaotic", "median", "interval", "spread")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    intervals = found.median_intervals(config.confidence)
    for n, median, (low, high) in zip(found.sizes, found.medians, intervals, strict=True):
        counts = [str(count) for count in list(found.counts(int(n)).values())[:4]]
        spread = found.survival(int(n)).spread
        table.add_row(
            str(n),
            *counts,
            _text(float(median), found),
            f"{_text(float(low), found)} to {f'{high:.4g}' if np.isfinite(high) else 'open'}",
            f"{spread:.2f}" if np.isfinite(spread) else "",
        )
    console.print(table)


def _print_summary(console: Console, config: TransientsConfig, found: TransientLengths) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    say(
        f"Rest: within {config.threshold:g} of the fixed point, root mean square. Intervals of "
        f"{config.confidence:.0%}. Spread: distance of the quartiles over the median, 1.58 where "
        "transients end at random, 0 where all networks share one."
    )
    counts = found.counts()
    still = counts[OUTCOMES[Outcome.REGULAR]] + counts[OUTCOMES[Outcome.CHAOTIC]]
    if still == found.outcomes.size:
        say(
            f"No network came to rest by {config.t_max:g}: there may be no stable fixed point. "
            "`gatefield phases` tells where the zero state of the gated RNN is stable."
        )
    elif still:
        say(
            f"{still} of {found.outcomes.size} runs still moved at {config.t_max:g}: of these the "
            "length is known to exceed it, which medians and curves take into account."
        )
    if counts[OUTCOMES[Outcome.OTHER_FIXED_POINT]]:
        say("Elsewhere: at another fixed point; small networks have more of them.")
    if found.sizes.size > 1:
        say(trend_text(found, config.confidence))


def trend_text(found: TransientLengths, confidence: float) -> str:
    """Say how the median grows with N."""
    trend = found.trend(confidence=confidence)
    if not np.isfinite(trend.power):
        return "Fewer than two medians are known: nothing is said of their growth with N."
    power, rate, ratio = (
        f"{float(value):.3g} ({low:.3g} to {high:.3g})"
        for value, (low, high) in (
            (trend.power, trend.power_interval),
            (trend.rate, trend.rate_interval),
            (trend.ratio, trend.ratio_interval),
        )
    )
    low, high = trend.ratio_interval
    told = "grows" if low > 1 else "falls" if high < 1 else "is not shown to change"
    return (
        f"From N = {trend.sizes[0]} to {trend.sizes[-1]} the median {told}: by a factor {ratio}; "
        f"as a power law N^a, a = {power}; as an exponential e^(b N), b = {rate}. Log-rank test "
        f"of the smallest against the largest: p = {float(trend.p_value):.2g}."
    )


def _text(value: float, found: TransientLengths) -> str:
    return f"{value:.4g}" if np.isfinite(value) else f"> {float(found.t_max):g}"


def _groups(found: TransientLengths, confidence: float) -> dict[str, xr.Dataset]:
    sizes = [int(n) for n in found.sizes]
    intervals = found.median_intervals(confidence)
    units = {"units": found.time_unit}
    runs = found.to_dataset().assign(
        median=("size", found.medians, units),
        median_low=("size", intervals[:, 0], {**units, "confidence": confidence}),
        median_high=("size", intervals[:, 1], {**units, "confidence": confidence}),
    )
    curves = {f"survival_{n}": found.survival(n, confidence=confidence).to_dataset() for n in sizes}
    trend = {"trend": found.trend(confidence=confidence).to_dataset()} if len(sizes) > 1 else {}
    return {"transients": runs, **curves, **trend}
