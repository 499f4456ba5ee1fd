"""``gatefield design``: parameters at which networks have wanted properties."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gatefield.cells.parameters import parameter_names
from gatefield.cli.cell import cell_of, inputs_of
from gatefield.cli.config import DesignConfig
from gatefield.cli.notes import warnings_as_notes
from gatefield.compare import with_error
from gatefield.core.errors import refuse
from gatefield.initialise import (
    QUANTITIES,
    Design,
    DesignSolution,
    InputStatistics,
    design,
)
from gatefield.io import check_writable, provenance

_TOLD = {True: "yes", False: "no", None: "not told"}
_BY_QUANTITY = (
    "target",
    "predicted",
    "prediction_error",
    "measured",
    "standard_error",
    "extrapolated",
    "extrapolated_error",
)


def run(config: DesignConfig, console: Console | None = None) -> int:
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
        0, or 1 with ``strict`` if theory misses a target, or networks contradict one or could not
        be measured. What too few or too different networks cannot tell is no miss.

    Raises
    ------
    NumericalFailureError
        If theory has no value anywhere within the bounds.
    """
    console = Console() if console is None else console
    folder = check_writable(config.output)
    cell = cell_of(config)
    inputs: Any = inputs_of(config, cell)
    if config.data is not None:
        inputs = InputStatistics.of(_data(config.data))
    with warnings_as_notes(console):
        found = design(
            cell,
            config.targets(),
            config.bounds(),
            inputs=inputs or None,
            weight_variance=config.weight_variance,
            dt=config.dt,
            branch=config.branch,
            state=config.state,
            horizon=config.horizon,
            quantile=config.quantile,
            tolerance=config.tolerance,
            starts=config.starts,
            samples=config.samples,
            start=config.start,
            verify=config.networks > 0,
            n=config.n,
            networks=config.networks or None,
            seed=config.seed,
            throw=False,
        )
    for number, one in enumerate(found.solutions, start=1):
        title = f"Solution {number}" if found.met else "Nearest"
        console.print(_table(title, one, networks=config.networks > 0))
    for name in config.targets():
        said = QUANTITIES[name]
        console.print(f"{name} [{said.in_units(found.best.is_map)}]: {said.meaning}", markup=False)
    console.print(found.explain(), highlight=False, soft_wrap=True, markup=False)
    path = folder / f"{config.name}.json"
    path.write_text(json.dumps(_as_json(found, config), indent=2, allow_nan=False) + "\n")
    console.print(f"Wrote {path}", soft_wrap=True)
    missed = not found.met or any(
        one.unmeasured or False in one.agrees().values() for one in found.solutions
    )
    return int(config.strict and missed)


def _data(path: str) -> Any:
    try:
        return np.load(Path(path), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        refuse("data", path, f"a .npy file of numbers ({error})", "Save it by numpy.save.")


def _table(title: str, one: DesignSolution, *, networks: bool) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    columns = ["", "target", "predicted"] + (["networks", "agrees"] if networks else [])
    for column in columns:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    agrees = one.agrees()
    for name, target in one.target.items():
        cells = [name, f"{target:.6g}", f"{one.predicted[name]:.6g}"]
        if networks:
            measured, error = one.measured[name], one.standard_error[name]
            shown = with_error(measured, error) if math.isfinite(error) else f"{measured:.4g}"
            cells += [shown, _TOLD[agrees[name]]]
        table.add_row(*cells)
    table.add_section()
    for name, value in one.parameters.items():
        at = dict(one.at_bound).get(name)
        bound = f"({at} bound)" if at else ""
        table.add_row(name, "", f"{value:.6g}", *(["", bound] if networks else []))
    return table


def _as_json(found: Design, config: DesignConfig) -> dict[str, Any]:
    return {
        "status": found.status.value,
        "solutions": [
            {
                "cell": type(one.cell).__name__,
                "cell_parameters": {
                    name: _number(float(getattr(one.cell, name)))
                    for name in parameter_names(one.cell)
                    if hasattr(one.cell, name)
                },
                "spread": one.spread,
                "parameters": one.parameters,
                "at_bound": dict(one.at_bound),
                "met": one.met,
                **{
                    name: {key: _number(value) for key, value in getattr(one, name).items()}
                    for name in _BY_QUANTITY
                },
                "unmeasured": one.unmeasured,
                "networks": one.networks,
                "agrees": one.agrees(),
            }
            for one in found.solutions
        ],
        "explanation": found.explain(),
        "quantities": {
            name: {
                "meaning": QUANTITIES[name].meaning,
                "unit": QUANTITIES[name].in_units(found.best.is_map),
            }
            for name in found.best.target
        },
        "dt": found.dt,
        "settings": dict(found.settings),
        "config": json.loads(config.model_dump_json()),
        "provenance": provenance(),
    }


def _number(value: float) -> float | str:
    """Return a number as JSON holds it: infinities and missing ones as text."""
    return value if math.isfinite(value) else str(value)
