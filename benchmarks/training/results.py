"""Result files, one small file of JSON for each run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmarks.training.tasks import Task, parsed
from benchmarks.training.train import Curve, Settings

DIGITS = 5
"""Significant digits that a file keeps."""


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


def path_of(folder: Path, run: Run) -> Path:
    """Return where a run's curve lies."""
    return folder / f"{run.name}.json"


def write(folder: Path, run: Run, settings: Settings, curve: Curve) -> None:
    """Write a run's curve; a reader sees all of the file or none."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        name: [float(f"{value:.{DIGITS}g}") for value in column.tolist()]
        for name, column in curve._asdict().items()
    }
    columns["steps"] = curve.steps.tolist()
    path = path_of(folder, run)
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps({"settings": settings._asdict(), **columns}) + "\n")
    beside.replace(path)


def read(folder: Path, run: Run) -> tuple[Settings, Curve] | None:
    """Return what is known of a run, or None."""
    path = path_of(folder, run)
    if not path.exists():
        return None
    held: dict[str, Any] = json.loads(path.read_text())
    settings = Settings(**held.pop("settings"))
    return settings, Curve(**{name: np.array(column) for name, column in held.items()})


def is_done(folder: Path, run: Run, settings: Settings) -> bool:
    """Return whether a run is there, with these settings.

    Raises
    ------
    ValueError
        If it is there with others: two budgets in one folder would be no study.
    """
    found = read(folder, run)
    if found is not None and found[0] != settings:
        raise ValueError(
            f"{path_of(folder, run)} holds {found[0]}, and {settings} is asked for: choose another "
            "folder, or delete that file."
        )
    return found is not None


def all_runs(folder: Path) -> list[Run]:
    """Return the runs that a folder holds, by name."""
    runs = []
    for path in sorted(folder.glob("*.json")):
        title, model, initialisation, seed = path.stem.split(".")
        runs.append(Run(parsed(title), model, initialisation, int(seed)))
    return runs
