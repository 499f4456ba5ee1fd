"""``gatefield lyapunov``: Lyapunov spectra, dimension and entropy rate of simulated networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.analysis.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cli.cell import cell_of, cell_title, check_step, inputs_of
from gatefield.cli.config import LyapunovConfig
from gatefield.cli.notes import warnings_as_notes
from gatefield.cli.written import write_results
from gatefield.compare import FEWEST, state_kinds, theory_states, with_error
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.core.types import HostArray
from gatefield.io import check_writable, to_dataset
from gatefield.networks import GaussianInput, Network
from gatefield.plotting.exponent_spectra import exponent_spectrum_figure
from gatefield.theory.dmft.solve import resolved_method
from gatefield.theory.lyapunov import MeanFieldLyapunov

FRAME_BURN_IN = 1 / 8
"""Of t_max: the time in which the frame settles."""
_STEP = 0.1
_INPUT_SEEDS = 1_000_003
_NAMES = {"rest": "stable fixed point", "divides": "unstable state", "moving": "moving state"}
_MEASURES: dict[str, tuple[Callable[[LyapunovSpectrum], float], bool]] = {
    "kaplan_yorke_dimension": (lambda one: one.kaplan_yorke_dimension, False),
    "kaplan_yorke_error": (lambda one: one.kaplan_yorke_error, False),
    "entropy_rate": (lambda one: one.entropy_rate, True),
    "entropy_rate_error": (lambda one: one.entropy_rate_error, True),
    "positive": (lambda one: one.positive, False),
}
"""What is said of each spectrum, and whether it is a rate."""


def run(config: LyapunovConfig, console: Console | None = None) -> int:
    """Run the command on sampled networks and return its exit status.

    Parameters
    ----------
    config
        The options.
    console
        Where to print; by default standard output.

    Returns
    -------
    int
        0, or 1 with ``strict`` if a network missed the accuracy.

    Raises
    ------
    NumericalFailureError
        If a network diverged.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    cell = cell_of(config)
    check_step(cell, config.dt)
    inputs = inputs_of(config, cell)
    checkpoints = _checkpoint_folder(config)
    with warnings_as_notes(console):
        # The spectra come first: options that do not fit are refused before theory takes its time.
        spectra = [_spectrum(config, cell, inputs, checkpoints, k) for k in range(config.networks)]
        theory = _theory(cell, inputs)
    _print_table(console, config, cell, spectra)
    _print_summary(console, config, spectra, theory)
    drawn = exponent_spectrum_figure(
        spectra,
        theory=[(kind, float(state.exponent)) for kind, state in theory],
        title=cell_title(cell, inputs, f"$N = {config.n}$"),
    )
    groups = _groups(config, spectra, theory)
    write_results(
        console,
        folder / config.name,
        drawn,
        config.formats,
        groups,
        config=config.model_dump_json(),
    )
    missed = any(one.status is not Status.OK for one in spectra)
    return int(config.strict and missed)


def _checkpoint_folder(config: LyapunovConfig) -> Path | None:
    if config.checkpoint is None:
        return None
    folder = Path(config.checkpoint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        expected = f"a folder that can be made ({error.strerror or error})"
        refuse("checkpoint", config.checkpoint, expected, "Choose another one.")
    return folder


def _spectrum(
    config: LyapunovConfig,
    cell: AbstractCell,
    inputs: dict[str, GaussianInput],
    checkpoints: Path | None,
    number: int,
) -> LyapunovSpectrum:
    """Return the spectrum of one of the networks."""
    seed = config.seed + number
    is_map = isinstance(cell, AbstractMap)
    spacing = 1.0 if is_map else (config.dt or _STEP)
    progress = Console(stderr=True)
    if progress.is_terminal:
        progress.print(f"network {number + 1} of {config.networks}", highlight=False)
    # Durations are rounded to whole steps.
    longest = config.burn_in + (1 + FRAME_BURN_IN) * config.t_max + 8 * spacing
    paths = {
        name: one.realise(config.n, longest, dt=spacing, seed=seed + place * _INPUT_SEEDS)
        for place, (name, one) in enumerate(inputs.items())
    }
    step: dict[str, Any] = {} if is_map else {"dt": spacing}
    found = lyapunov_spectrum(
        Network.sample(cell, config.n, seed=seed),
        config.k,
        t_max=config.t_max,
        burn_in=config.burn_in,
        frame_burn_in=FRAME_BURN_IN * config.t_max,
        inputs=paths,
        accuracy=config.accuracy,
        frame_dtype=config.frame_dtype,
        checkpoint=None if checkpoints is None else checkpoints / f"network_{seed}.npz",
        seed=seed,
        throw=False,
        **step,
    )
    if found.status is Status.DIVERGED:
        remedy = "Check the inputs." if is_map else "Give a smaller --dt."
        raise NumericalFailureError(f"the network of seed {seed} diverged. {remedy}")
    return found


def _theory(
    cell: AbstractCell, inputs: dict[str, GaussianInput]
) -> list[tuple[str, MeanFieldLyapunov]]:
    """Return what mean-field theory says, by name of the state, where it is quick to know."""
    if resolved_method(cell, "auto") == "sampled":
        return []
    with Console(stderr=True).status("theory"):
        states = theory_states(cell, inputs=inputs)
    return [
        (_NAMES[kind], state)
        for kind, state in zip(state_kinds(states), states, strict=True)
        if state.status is Status.OK and kind != "divides"
    ]


def _print_table(
    console: Console,
    config: LyapunovConfig,
    cell: AbstractCell,
    spectra: Sequence[LyapunovSpectrum],
) -> None:
    first = spectra[0]
    console.print(repr(cell), highlight=False, soft_wrap=True, markup=False)
    console.print(
        f"networks: {config.networks} of {config.n} units; exponents: {first.exponents.size} of "
        f"{first.size} of each",
        highlight=False,
    )
    table = spectra_table("seed", first.time_unit)
    for number, one in enumerate(spectra):
        table.add_row(str(config.seed + number), *table_cells(one))
    if len(spectra) > 1:
        columns = [[one.exponents[0] for one in spectra], *_columns(spectra, _SHOWN)]
        table.add_section()
        table.add_row("mean", *(_known(*_mean(np.array(each, float))) for each in columns))
    console.print(table)


def spectra_table(first: str, time_unit: str) -> Table:
    """Return a table without rows, whose first column has this name."""
    table = Table(
        title=f"Lyapunov spectra, natural log, per {time_unit}",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in (first, "lambda_1", "positive", "dimension", "entropy rate"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def table_cells(one: LyapunovSpectrum) -> list[str]:
    """Return what stands in a row of `spectra_table` behind its first column."""
    return [
        with_error(float(one.exponents[0]), float(one.standard_errors[0])),
        str(one.positive),
        _known(one.kaplan_yorke_dimension, one.kaplan_yorke_error),
        _known(one.entropy_rate, one.entropy_rate_error),
    ]


_SHOWN = ("positive", "kaplan_yorke_dimension", "entropy_rate")


def _columns(spectra: Sequence[LyapunovSpectrum], names: Sequence[str]) -> list[list[float]]:
    return [[_MEASURES[name][0](one) for one in spectra] for name in names]


def _known(value: float, error: float) -> str:
    return with_error(float(value), float(error)) if np.isfinite(value) else "not reached"


def _mean(values: HostArray) -> tuple[float, float]:
    """Return the mean and its error; NaN if a network's value is, no error of few networks."""
    error = values.std(ddof=1) / np.sqrt(values.size) if values.size >= FEWEST else np.nan
    return float(values.mean()), float(error)


def _print_summary(
    console: Console,
    config: LyapunovConfig,
    spectra: Sequence[LyapunovSpectrum],
    theory: Sequence[tuple[str, MeanFieldLyapunov]],
) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    say(
        "Errors of one network are those of its run in time, of the mean those of the networks' "
        "scatter; positive: by more than three errors."
    )
    for kind, state in theory:
        value = with_error(float(state.exponent), float(state.standard_error))
        say(f"mean-field theory, infinitely many units: lambda_1 = {value} ({kind})")
    print_shortfalls(console, config, spectra, "networks")


def print_shortfalls(
    console: Console, config: LyapunovConfig, spectra: Sequence[LyapunovSpectrum], kind: str
) -> None:
    """Say what single precision cost, what is not known, and what missed its accuracy.

    Parameters
    ----------
    console
        Where to print.
    config
        The options.
    spectra
        Of networks, or of the layers of one.
    kind
        What has these spectra, in the plural.
    """

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    if config.frame_dtype == "float32":
        worst = max(float(one.precision_error) for one in spectra)
        say(f"Single precision changed the rates by at most {worst:.1e}.")
    unknown = sum(not one.dimension_reached for one in spectra)
    if unknown:
        say(
            f"Dimension not reached in {unknown} of {len(spectra)} {kind}: the exponents that "
            "are known have a positive sum. Raise --k, or leave it out."
        )
    lost = sum(int(np.sum(np.isneginf(one.exponents))) for one in spectra)
    if lost:
        say(f"Minus infinity: {lost} exponents, since the map is not invertible.")
    missed = [one for one in spectra if one.status is not Status.OK]
    if missed:
        worst = max(float(np.nanmax(one.standard_errors)) for one in missed)
        say(
            f"Accuracy {config.accuracy:g} missed by {len(missed)} of {len(spectra)} {kind}: "
            f"errors up to {worst:.2g}. Raise --t-max."
        )


def _groups(
    config: LyapunovConfig,
    spectra: Sequence[LyapunovSpectrum],
    theory: Sequence[tuple[str, MeanFieldLyapunov]],
) -> dict[str, xr.Dataset]:
    """Return all networks side by side, each by itself, and theory."""
    seeds = config.seed + np.arange(len(spectra))
    groups = {"networks": side_by_side(spectra, "network", seeds)}
    for seed, one in zip(seeds, spectra, strict=True):
        # The frame takes more room than everything else, and says nothing by itself.
        groups[f"network_{seed}"] = to_dataset(one).drop_vars("frame")
    if theory:
        values = [float(state.exponent) for _, state in theory]
        kinds = [kind for kind, _ in theory]
        units = {"units": f"1 / {spectra[0].time_unit}"}
        groups["theory"] = xr.Dataset(
            {"exponent": ("state", values, units), "kind": ("state", kinds)}
        )
    return groups


def side_by_side(spectra: Sequence[LyapunovSpectrum], dim: str, numbers: HostArray) -> xr.Dataset:
    """Return spectra of equally many exponents, with their dimensions and entropy rates.

    Parameters
    ----------
    spectra
        Of networks, or of the layers of one.
    dim
        Name of the dimension along which they stand.
    numbers
        Coordinate of each.
    """
    units = {"units": f"1 / {spectra[0].time_unit}"}
    columns: dict[str, Any] = {
        name: (dim, _columns(spectra, [name])[0], units if rate else {"units": "1"})
        for name, (_, rate) in _MEASURES.items()
    }
    for name in ("exponents", "standard_errors"):
        values = np.array([getattr(one, name) for one in spectra])
        columns[name] = ((dim, "rank"), values, units)
    columns["status"] = (dim, [one.status.value for one in spectra])
    ranks = np.arange(1, spectra[0].exponents.size + 1)
    return xr.Dataset(columns, {dim: numbers, "rank": ranks})
