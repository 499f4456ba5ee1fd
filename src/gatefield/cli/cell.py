"""The cell and its inputs, as a command was told them."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import numpy as np

from gatefield.cells import AbstractCell, AbstractMap, GatedRNN, registered_cells
from gatefield.cli.config import CellConfig, DrivenConfig
from gatefield.core.checks import check_names
from gatefield.core.errors import refuse
from gatefield.networks import GaussianInput
from gatefield.plotting import symbol

_SHORT = {"gated": "gated-rnn", "vanilla": "vanilla-rnn"}
_ACTIVE = 3.0  # activation gain of a gated RNN for which none was given
_TITLE = 80  # characters of a line


def cell_of(config: CellConfig) -> AbstractCell:
    """Return the cell that was asked for.

    Parameters
    ----------
    config
        Names a registered cell and its parameters; those not named have the class's defaults, or
        where it has none the registered example's. A gated RNN's activation gain is 3 by default.

    Returns
    -------
    AbstractCell

    Raises
    ------
    InvalidInputError
        For an unknown cell or parameter, or a value that the cell refuses.
    """
    examples = registered_cells()
    name = _SHORT.get(config.cell, config.cell)
    if name not in examples:
        refuse("cell", config.cell, f"one of {', '.join([*_SHORT, *examples])}", "Register others.")
    kind: Any = type(examples[name])
    fields = {field.name: field for field in dataclasses.fields(kind)}
    known = inspect.signature(kind).parameters
    values = {
        key: getattr(examples[name], key)
        for key, field in fields.items()
        if field.metadata.get("static") or known[key].default is inspect.Parameter.empty
    }
    given = config.assignments()
    check_names(f"parameters of {kind.__name__}", given, fields)
    for key, text in given.items():
        values[key] = text if fields[key].metadata.get("static") else _number(key, text)
    gated = config.gated()
    quiet = kind is GatedRNN and "g_h" not in {**given, **gated}
    # The class's own gain leaves a network silent; an active one shows more.
    active = {"g_h": _ACTIVE} if quiet else {}
    return kind(**{**values, **active, **gated})


def with_parameter(cell: AbstractCell, name: str, value: float) -> AbstractCell:
    """Return the cell with another value of one parameter.

    Raises
    ------
    InvalidInputError
        If the cell has no such number, or refuses the value.
    """
    known = {
        field.name: getattr(cell, field.name)
        for field in dataclasses.fields(cell)
        if field.name in inspect.signature(type(cell)).parameters
    }
    numbers = [key for key, given in known.items() if not isinstance(given, str)]
    check_names(f"parameters of {type(cell).__name__}", [name], numbers)
    kind: Any = type(cell)
    return kind(**{**known, name: value})


def inputs_of(config: DrivenConfig, cell: AbstractCell) -> dict[str, GaussianInput]:
    """Return the inputs by drive name.

    Raises
    ------
    InvalidInputError
        For a drive that the cell does not have, or a number that does not fit.
    """
    drives = config.drives()
    check_names("input", [one.name for one in drives], cell.drive_names)
    return {
        one.name: GaussianInput(variance=one.variance, mean=one.mean, correlation_time=one.time)
        for one in drives
    }


def cell_title(
    cell: AbstractCell, inputs: dict[str, GaussianInput], *more: str, leave_out: str | None = None
) -> str:
    """Name a cell in a figure: parameters that differ from defaults, inputs, and ``more``."""
    known = inspect.signature(type(cell)).parameters
    shown = []
    for name, value in vars(cell).items():
        default = name in known and np.array_equal(value, known[name].default)
        if default or name == leave_out:
            continue
        number = np.shape(value) == () and not isinstance(value, str)
        shown.append(f"${symbol(name)} = {float(value):g}$" if number else f"{name} {value}")
    for name, one in inputs.items():
        memory = "" if one.is_static else f" (time {one.correlation_time:g})"
        mean = f"mean {one.mean:g} and " if one.mean else ""
        shown.append(f"$I_{{{name}}}$ of {mean}variance {one.variance:g}{memory}")
    parts = [", ".join(shown) or "default parameters", *more]
    return _folded(f"{type(cell).__name__}: " + ", ".join(parts))


def check_step(cell: AbstractCell, dt: float | None) -> None:
    """Refuse a time step for a map, which has none.

    Raises
    ------
    InvalidInputError
        If a step was given for a map.
    """
    if isinstance(cell, AbstractMap) and dt is not None:
        refuse("dt", dt, f"none for {type(cell).__name__}, a map", "Leave --dt out.")


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        refuse(name, text, "a number", f"For instance --set {name}=1.5.")


def _folded(title: str) -> str:
    """Break a long title where a parameter ends."""
    lines = [""]
    for part in title.split(", "):
        if len(lines[-1]) + len(part) > _TITLE:
            lines.append("")
        lines[-1] += part + ", "
    return "\n".join(line.rstrip() for line in lines).rstrip(", ")
