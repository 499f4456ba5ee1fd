"""The command ``gatefield diagnose``: what a trained network is as a dynamical system."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gatefield.bridge import from_file, modules_in_file
from gatefield.cli.arrays import read_array
from gatefield.cli.config import DiagnoseConfig
from gatefield.cli.config.diagnose import ALL
from gatefield.cli.diagnosis_page import layer_name, layer_size, page_of
from gatefield.cli.diagnosis_rows import sections_of
from gatefield.cli.notes import warnings_as_notes
from gatefield.core.results import Status
from gatefield.core.types import HostArray
from gatefield.diagnosis import Diagnosis, LayerDiagnosis, diagnose
from gatefield.diagnosis.runs import checked_inputs
from gatefield.io import check_writable, provenance, to_plain, whole_file
from gatefield.networks import LayeredNetwork

SCHEMA = "gatefield.diagnosis/1"
"""Name and version of the JSON file's form; the number rises when a field changes its meaning."""

_STYLES = {"warning": "bold red", "proposal": "bold blue", "remark": "bold"}


def run(model: str, config: DiagnoseConfig, console: Console | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    model
        The file of weights.
    config
        The options.
    console
        Where to print; by default standard output.

    Returns
    -------
    int
        0, or 1 with ``strict`` if a layer gets a warning or a part could not be computed.

    Raises
    ------
    InvalidInputError
        For files that cannot be read, or options that do not fit the model.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    prefixes = _prefixes(model, config)
    stacks = [_stack(model, prefix, config) for prefix in prefixes]
    inputs = None if config.inputs is None else _inputs(config.inputs, prefixes, stacks)
    found = []
    for prefix, stack in zip(prefixes, stacks, strict=True):
        with warnings_as_notes(console):
            diagnosis = diagnose(
                stack,
                inputs,
                effort=config.effort,
                stages=config.stages or None,
                seed=config.seed,
            )
        found.append((prefix, diagnosis))
        _print_module(console, model, prefix, diagnosis, len(prefixes) > 1, config)
    _write(console, folder / config.name, model, config, found)
    missed = any(diagnosis.status is not Status.OK for _, diagnosis in found)
    warned = any(each.kind == "warning" for _, one in found for _, each in one.advice)
    return int(config.strict and (missed or warned))


def _prefixes(model: str, config: DiagnoseConfig) -> list[str]:
    return list(modules_in_file(model)) if config.prefix == [ALL] else config.prefix or [""]


def _stack(model: str, prefix: str, config: DiagnoseConfig) -> LayeredNetwork:
    # The state keeps double precision, as in the other commands: the weights are the same numbers.
    return from_file(
        model, prefix, kind=config.kind, nonlinearity=config.nonlinearity, dtype="float64"
    )


def _inputs(path: str, prefixes: Sequence[str], stacks: Sequence[LayeredNetwork]) -> HostArray:
    read = read_array("inputs", path)
    for prefix, stack in zip(prefixes, stacks, strict=True):
        checked_inputs(stack, read, prefix or "the model")
    return read


def _print_module(
    console: Console,
    model: str,
    prefix: str,
    diagnosis: Diagnosis,
    several: bool,
    config: DiagnoseConfig,
) -> None:
    _say(console, " ".join(_about(model, prefix, diagnosis, config)))
    for layer in diagnosis.layers:
        console.print(_table(layer_name(prefix, layer, several), layer))
        _print_advice(console, layer)
    for note in (*diagnosis.notes, *_notes(diagnosis)):
        _say(console, f"Note: {note}")


def _about(model: str, prefix: str, diagnosis: Diagnosis, config: DiagnoseConfig) -> list[str]:
    both = ", both directions" if diagnosis.bidirectional else ""
    layers = f"{diagnosis.depth} layer{'s' * (diagnosis.depth > 1)}"
    drive = "zero, from a random state, since no --inputs were given."
    if diagnosis.driven:
        count = f"{diagnosis.sequences} sequence{'s' * (diagnosis.sequences > 1)}"
        drive = f"{config.inputs}, {count} of {diagnosis.sequence_steps} steps."
    what = f"{diagnosis.kind}, {layers} of {diagnosis.n} units{both}"
    assumed = ", tanh assumed: the file does not tell"
    if diagnosis.kind == "ElmanRNN":
        what += f", {config.nonlinearity}" if config.nonlinearity else assumed
    named = f"{model} {prefix}".strip().rstrip(".")
    return [f"{named}: {what}, {diagnosis.features} features.", f"Inputs: {drive}"]


def _notes(diagnosis: Diagnosis) -> list[str]:
    return [f"{layer.name}, {note}" for layer in diagnosis.layers for note in layer.notes]


def _table(name: str, layer: LayerDiagnosis) -> Table:
    table = Table(
        title=Text(f"{name}: {layer_size(layer)}"),
        title_justify="left",
        box=SIMPLE_HEAD,
        show_header=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    for part in sections_of(layer):
        titles = [part.title, *[""] * len(part.rows)]
        for title, row in zip(titles, part.rows, strict=False):
            table.add_row(Text(title), Text(row.name), Text(row.value), Text(row.beside))
        table.add_section()
    return table


def _print_advice(console: Console, layer: LayerDiagnosis) -> None:
    for each in layer.advice:
        head = Text(f"{each.kind}, {each.topic}: ", style=_STYLES.get(each.kind, "bold"))
        console.print(head + Text(each.text), soft_wrap=True, highlight=False)
        console.print(Text(f"  {each.evidence}", style="dim"), soft_wrap=True, highlight=False)
    if layer.advice:
        console.print()


def _write(
    console: Console,
    stem: Path,
    model: str,
    config: DiagnoseConfig,
    found: Sequence[tuple[str, Diagnosis]],
) -> None:
    """Write the files that were asked for; all are made before the first is written."""
    texts: dict[Path, str] = {}
    with Console(stderr=True).status("writing"):
        if config.json_file:
            content = _document(model, config, found)
            # Refuses what JSON has no number for, should any be left.
            plain = json.dumps(content, allow_nan=False, ensure_ascii=False)
            texts[stem.with_name(f"{stem.name}.json")] = plain + "\n"
        if config.html:
            about = [line for prefix, one in found for line in _about(model, prefix, one, config)]
            notes = [note for _, one in found for note in one.notes]
            page = page_of(Path(model).name, [*dict.fromkeys([*about, *notes])], found)
            texts[stem.with_name(f"{stem.name}.html")] = page
        for path, text in texts.items():
            with whole_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    if texts:
        _say(console, "Wrote " + ", ".join(str(path) for path in texts))


def _document(
    model: str, config: DiagnoseConfig, found: Sequence[tuple[str, Diagnosis]]
) -> dict[str, Any]:
    files = {"model": model} | ({} if config.inputs is None else {"inputs": config.inputs})
    return {
        "schema": SCHEMA,
        "made_by": provenance(),
        "files": {name: {"path": path, "sha256": _digest(path)} for name, path in files.items()},
        "options": config.model_dump(mode="json", by_alias=True),
        "modules": [
            {"prefix": prefix, "diagnosis": to_plain(diagnosis)} for prefix, diagnosis in found
        ],
    }


def _digest(path: str) -> str:
    with Path(path).expanduser().open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
