"""``gatefield lyapunov --model``: the Lyapunov spectrum of a trained model, layer by layer."""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.console import Console

from gatefield.analysis.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from gatefield.cells import ElmanRNN
from gatefield.cli.config import LyapunovConfig
from gatefield.cli.lyapunov_spectrum import (
    FRAME_BURN_IN,
    print_shortfalls,
    side_by_side,
    spectra_table,
    table_cells,
)
from gatefield.cli.notes import warnings_as_notes
from gatefield.cli.written import write_results
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.core.types import HostArray
from gatefield.io import check_writable, to_dataset
from gatefield.networks import LayeredNetwork, Network
from gatefield.plotting import (
    plot_dimension_convergence,
    plot_exponent_convergence,
    plot_exponent_spectrum,
    style,
    time_unit,
)

_BLOCKS = 32
_BURN_INS = 0.1  # of a sequence: at most so much for the state, and as much for the frame
_UNREADABLE = (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile)


def run(config: LyapunovConfig, console: Console | None = None) -> int:
    """Run the command with --model and return its exit status.

    Parameters
    ----------
    config
        The options, with ``model``.
    console
        Where to print; by default standard output.

    Returns
    -------
    int
        0, or 1 with ``strict`` if a layer missed the accuracy.

    Raises
    ------
    InvalidInputError
        For files that cannot be read, or options that do not fit the model.
    NumericalFailureError
        If a layer diverged.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    # The state keeps double precision, as that of sampled networks, also where the model was
    # trained in single precision: its weights are then the same numbers.
    stack = Network.from_file(
        config.model or "",
        config.prefix or "",
        nonlinearity=config.nonlinearity,
        dtype="float64",
    )
    durations = _durations(config)
    sequence = _sequence(config, stack, durations)
    with warnings_as_notes(console):
        found = lyapunov_spectrum(
            stack,
            config.k,
            inputs=sequence,
            accuracy=config.accuracy,
            frame_dtype=config.frame_dtype,
            seed=config.seed,
            throw=False,
            **durations,
        )
    if found.status is Status.DIVERGED or np.any(np.isnan(found.exponents)):
        remedy = "Check --nonlinearity and the size of the --sequence."
        raise NumericalFailureError(f"the model {config.model!r} diverged. {remedy}")
    layers = _layer_spectra(config, found, len(stack.layers))
    certain = _certain(found)
    _print_table(console, config, stack, layers, certain, len(sequence))
    _print_summary(console, config, layers, certain)
    drawn = _figure(_names(stack), layers, certain, title=_title(config, stack))
    groups = _groups(stack, found, layers, certain)
    write_results(
        console,
        folder / config.name,
        drawn,
        config.formats,
        groups,
        config=config.model_dump_json(),
        attrs=_origin(config, stack),
    )
    missed = any(one.status is not Status.OK for one in layers)
    return int(config.strict and missed)


def _durations(config: LyapunovConfig) -> dict[str, Any]:
    """Return t_max and the burn-ins; beside a sequence its length decides what was not given."""
    given = config.model_fields_set
    if config.sequence is None:
        settles = round(FRAME_BURN_IN * config.t_max)
        return {"t_max": config.t_max, "burn_in": config.burn_in, "frame_burn_in": settles}
    return {name: getattr(config, name) for name in ("t_max", "burn_in") if name in given}


def _sequence(
    config: LyapunovConfig, stack: LayeredNetwork, durations: dict[str, Any]
) -> HostArray:
    """Return the input of the model, (T, features)."""
    if config.sequence is None:
        steps = math.ceil(durations["t_max"]) + round(durations["burn_in"])
        return np.zeros((steps + durations["frame_burn_in"], stack.features))
    read = _array(config.sequence)
    if read.dtype.kind not in "fiu":
        refuse("sequence", f"array of {read.dtype}", "real numbers", "Convert it by astype(float).")
    if read.ndim != 2 or read.shape[1] != stack.features:
        expected = f"(T, {stack.features}): steps, features of the model"
        remedy = "Save one sequence, without a batch."
        refuse("sequence.shape", read.shape, expected, remedy)
    if not np.all(np.isfinite(read)):
        remedy = "Check where the sequence comes from."
        refuse("sequence", "values that are not finite", "finite numbers", remedy)
    if "t_max" not in durations:
        given = durations.get("burn_in")
        least = (
            _BLOCKS / (1 - 2 * _BURN_INS) if given is None else (_BLOCKS + given) / (1 - _BURN_INS)
        )
        if len(read) < least:
            expected = f"at least {math.ceil(least)} steps, burn-ins included"
            refuse("sequence.shape", read.shape, expected, "Save a longer sequence.")
    return read.astype(np.float64)


def _array(path: str) -> HostArray:
    file = Path(path).expanduser()
    if not file.is_file():
        refuse("sequence", path, "a file", "Check the spelling and the folder.")
    try:
        # NumPy leaves files of its own open where they are damaged.
        with file.open("rb") as raw:
            read = np.load(raw, allow_pickle=False)
    except _UNREADABLE as error:
        # NumPy takes every other format for a pickle, and recommends to run it.
        why = "not of this format" if "pickle" in str(error) else str(error)
        remedy = f"It cannot be read ({why}). Write it by numpy.save(path, array)."
        refuse("sequence", path, "a .npy file with numbers", remedy)
    if not isinstance(read, np.ndarray):
        names = ", ".join(read.files)
        remedy = f"This is an archive of {names}: save one of them by numpy.save(path, array)."
        refuse("sequence", path, "a .npy file with one array", remedy)
    return read


def _layer_spectra(
    config: LyapunovConfig, found: LyapunovSpectrum, count: int
) -> list[LyapunovSpectrum]:
    """Return the spectrum of each layer by itself."""
    known, height = found.exponents.size // count, len(found.state) // count
    layers = []
    for place in range(count):
        own = found.layer == place
        errors = found.standard_errors[own]
        worst = np.max(errors, initial=0.0, where=np.isfinite(errors))
        missed = config.accuracy is not None and worst > config.accuracy
        layers.append(
            replace(
                found,
                exponents=found.exponents[own],
                standard_errors=errors,
                layer=found.layer[own],
                block_exponents=found.block_exponents[:, place * known : (place + 1) * known],
                certain=known,
                size=found.size // count,
                state=found.state[place * height : (place + 1) * height],
                status=Status.MAX_STEPS if missed else Status.OK,
            )
        )
    return layers


def _certain(found: LyapunovSpectrum) -> LyapunovSpectrum:
    """Return the exponents that surely are the largest of the stack."""
    order = np.argsort(-found.block_exponents.mean(axis=0), kind="stable")
    return replace(
        found,
        exponents=found.exponents[: found.certain],
        standard_errors=found.standard_errors[: found.certain],
        layer=found.layer[: found.certain],
        block_exponents=found.block_exponents[:, order[: found.certain]],
    )


def _names(stack: LayeredNetwork) -> list[str]:
    return [
        f"{layer.depth} reverse" if layer.reverse else f"{layer.depth}" for layer in stack.layers
    ]


def _print_table(
    console: Console,
    config: LyapunovConfig,
    stack: LayeredNetwork,
    layers: Sequence[LyapunovSpectrum],
    certain: LyapunovSpectrum,
    steps: int,
) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    say(f"{config.model}: {stack!r}")
    cell = stack.layers[0].network.cell
    if isinstance(cell, ElmanRNN):
        assumed = "" if config.nonlinearity else ", assumed: the file does not tell"
        say(f"nonlinearity: {cell.activation}{assumed}")
    measured = round(len(certain.block_exponents) * float(certain.block_time))
    drive = "zero, since no --sequence was given" if config.sequence is None else config.sequence
    say(f"input: {drive}; {steps} steps, {measured} of them measured")
    say(f"exponents: {layers[0].exponents.size} of {layers[0].size} of each layer")
    table = spectra_table("layer", certain.time_unit)
    for name, one in zip(_names(stack), layers, strict=True):
        table.add_row(name, *table_cells(one))
    table.add_section()
    table.add_row("stack", *table_cells(certain))
    console.print(table)


def _print_summary(
    console: Console,
    config: LyapunovConfig,
    layers: Sequence[LyapunovSpectrum],
    certain: LyapunovSpectrum,
) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    say(
        "The exponents of a stack are those of its layers, each under the input that it receives. "
        "Errors are those of the run in time; positive: by more than three errors."
    )
    at_rest = sum(not np.any(one.state) for one in layers)
    if at_rest:
        say(
            f"The state ended where it began, at zero, in {at_rest} of {len(layers)} layers: the "
            "exponents are those of this state, be it stable or not. A --sequence can leave it."
        )
    print_shortfalls(console, config, layers, "layers")
    if not certain.dimension_reached and all(one.dimension_reached for one in layers):
        say(
            f"Dimension of the stack not reached: only its first {certain.exponents.size} "
            "exponents are certain, and their sum is positive. Raise --k, or leave it out."
        )


def _title(config: LyapunovConfig, stack: LayeredNetwork) -> str:
    name = " ".join([Path(config.model or "").name, config.prefix or ""]).strip()
    kind = type(stack.layers[0].network.cell).__name__
    both = ", both directions" if any(layer.reverse for layer in stack.layers) else ""
    plural = "s" if stack.depth > 1 else ""
    drive = "zero input" if config.sequence is None else f"input {Path(config.sequence).name}"
    # Dollars of file names would begin a formula.
    name, drive = (text.replace("$", r"\$") for text in (name, drive))
    return f"{name}: {kind}, {stack.depth} layer{plural} of {stack.n} units{both}, {drive}"


def _figure(
    names: Sequence[str],
    layers: Sequence[LyapunovSpectrum],
    certain: LyapunovSpectrum,
    *,
    title: str,
) -> Figure:
    """Draw exponents against their rank, of each layer and of all, and how they converged."""
    colours = plt.get_cmap("viridis")(np.linspace(0.1, 0.8, len(layers)))
    with style():
        places: Any = [["spectrum", "exponents"], ["spectrum", "dimension"]]
        sizes: dict[str, Any] = {"figsize": (9.2, 4.8), "width_ratios": (1.25, 1)}
        drawn, axes = plt.subplot_mosaic(places, **sizes)
        ax = axes["spectrum"]
        plot_exponent_spectrum(
            certain.exponents[None],
            certain.standard_errors[None],
            ax=ax,
            label="stack" if len(layers) > 1 else "layer 0",
            colour="black",
            unit=time_unit(certain.is_map),
        )
        for name, one, colour in zip(names, layers, colours, strict=True):
            if len(layers) == 1:
                continue  # the stack is this layer
            dashes = "--" if name.endswith("reverse") else "-"
            ranks = np.arange(1, one.exponents.size + 1)
            finite = np.where(np.isfinite(one.exponents), one.exponents, np.nan)
            look: dict[str, Any] = {"color": colour, "linewidth": 0.9, "linestyle": dashes}
            ax.plot(ranks, finite, label=f"layer {name}", zorder=4, **look)
        ax.set_xlim(0, None)
        ax.legend(loc="best")
        plot_exponent_convergence([certain], ax=axes["exponents"])
        axes["exponents"].set_xlabel("")
        axes["exponents"].sharex(axes["dimension"])
        axes["exponents"].tick_params(labelbottom=False)
        plot_dimension_convergence([certain], ax=axes["dimension"])
        axes["dimension"].set_xlim(0, None)
        drawn.suptitle(title, fontsize=9)
    return drawn


def _origin(config: LyapunovConfig, stack: LayeredNetwork) -> dict[str, str]:
    """Return the files that the numbers came from, and what tells them from others."""
    origin = {"network": repr(stack)}
    for name in ("model", "sequence"):
        path = getattr(config, name)
        if path is not None:
            with Path(path).expanduser().open("rb") as raw:
                origin[f"{name}_sha256"] = hashlib.file_digest(raw, "sha256").hexdigest()
            origin[name] = path
    return origin


def _groups(
    stack: LayeredNetwork,
    found: LyapunovSpectrum,
    layers: Sequence[LyapunovSpectrum],
    certain: LyapunovSpectrum,
) -> dict[str, xr.Dataset]:
    """Return the stack as `lyapunov_spectrum` has it, and its layers side by side."""
    beside = side_by_side(layers, "layer", np.arange(len(layers)))
    beside["depth"] = ("layer", [layer.depth for layer in stack.layers])
    beside["reverse"] = ("layer", [int(layer.reverse) for layer in stack.layers])
    whole = side_by_side([certain], "one", np.zeros(1)).isel(one=0, drop=True)
    summary = whole.drop_dims("rank").drop_vars("status")
    alone = to_dataset(found).drop_vars("frame").assign(summary.variables)
    return {"stack": alone, "layers": beside}
