"""Result files, one small file of JSON for each run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmarks.training.tasks import Task, parsed
from benchmarks.training.train import Curve, Settings

import gatefield as gf
from gatefield.io.plain import to_plain

DIGITS = 5
"""Significant digits that a file keeps."""
GRAIN = 1e-6
"""Weights are told apart by this: above the rounding of other machines, below any change meant."""


class Run(NamedTuple):
    """One cell of the grid, and one seed of it."""

    task: Task
    model: str
    initialisation: str
    seed: int

    @property
    def name(self) -> str:
        """Unique among the runs of a study."""
        return f"{self.task.title}.{self.model}.{self.initialisation}.{self.seed}"


class Held(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    settings
        The run's.
    start
        Hash of the weights that it began with, see `hash_of`.
    gatefield
        Version that drew them.
    curve
        How it went.
    """

    settings: Settings
    start: str
    gatefield: str
    curve: Curve


def hash_of(weights: Mapping[str, np.ndarray]) -> str:
    """Return a hash of weights by name, rounded to `GRAIN`."""
    found = sha256()
    for name in sorted(weights):
        grains = np.rint(np.asarray(weights[name], dtype=float) / GRAIN).astype("<i8")
        found.update(f"{name}{grains.shape}".encode() + grains.tobytes())
    return found.hexdigest()[:16]


def path_of(folder: Path, run: Run) -> Path:
    """Return where a run's curve lies."""
    return folder / f"{run.name}.json"


def write(folder: Path, run: Run, settings: Settings, start: str, curve: Curve) -> None:
    """Write a run's curve; a reader sees all of the file or none."""
    columns = {
        name: [float(f"{value:.{DIGITS}g}") for value in column.tolist()]
        for name, column in curve._asdict().items()
    }
    columns["steps"] = curve.steps.tolist()
    of_run = {"settings": settings, "start": start, "gatefield": gf.__version__}
    write_json(path_of(folder, run), of_run | columns)


def write_json(path: Path, held: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Write standard JSON, which has null where a number is not known; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(to_plain(held), indent=indent, allow_nan=False) + "\n")
    beside.replace(path)


def read(folder: Path, run: Run) -> Held | None:
    """Return what is known of a run, or None."""
    path = path_of(folder, run)
    if not path.exists():
        return None
    held: dict[str, Any] = json.loads(path.read_text())
    settings = Settings(**held.pop("settings"))
    drawn, version = str(held.pop("start", "")), str(held.pop("gatefield", ""))
    columns = {name: np.array(column, dtype=float) for name, column in held.items()}
    columns["steps"] = columns["steps"].astype(int)
    return Held(settings, drawn, version, Curve(**columns))


def is_done(folder: Path, run: Run, settings: Settings, start: str) -> bool:
    """Return whether a run is there, with these settings and from these weights.

    Raises
    ------
    ValueError
        If it is there with others: two budgets or two recipes in one folder would be no study.
    """
    found = read(folder, run)
    if found is None:
        return False
    path, remedy = path_of(folder, run), "choose another folder, or delete that file."
    if found.settings != settings:
        raise ValueError(f"{path} holds {found.settings}, and {settings} is asked for: {remedy}")
    if found.start != start:
        raise ValueError(
            f"{path} began with weights of the hash {found.start!r} (gatefield "
            f"{found.gatefield or 'unknown'}), and {run.initialisation} now draws {start!r}: the "
            f"curve is out of date; {remedy}"
        )
    return True


def all_runs(folder: Path) -> list[Run]:
    """Return the runs that a folder holds, by name."""
    runs = []
    for path in sorted(folder.glob("*.json")):
        title, model, initialisation, seed = path.stem.split(".")
        runs.append(Run(parsed(title), model, initialisation, int(seed)))
    return runs
