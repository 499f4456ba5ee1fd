"""Curves of all seeds together: what the tables and the figure of the study are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.training.initialisations import INITIALISATIONS
from benchmarks.training.models import MODELS
from benchmarks.training.results import all_runs, hash_of, is_done, read
from benchmarks.training.study import start
from benchmarks.training.tasks import Task
from benchmarks.training.train import Curve, Settings

LEARNED = {"adding": 0.1, "copy": 0.5, "digits": 0.5}
"""Share of chance below which a test's loss counts as learned, chosen before the grid was run."""
FEWEST = 3
"""Seeds from which on a median and a range are given, and not each seed's number."""


class Seeds(NamedTuple):
    """All seeds of one task, model and initialisation.

    Attributes
    ----------
    steps
        Of the tests.
    loss
        (seeds, tests), in units of chance.
    reached
        (seeds,): steps to the first test below `LEARNED`, infinite where none is.
    relapsed
        (seeds,): whether such a run's last test is above it again.
    """

    steps: np.ndarray
    loss: np.ndarray
    reached: np.ndarray
    relapsed: np.ndarray


class Row(NamedTuple):
    """One task and model: the settings of all runs, and their seeds by initialisation."""

    settings: Settings
    seeds: dict[str, Seeds]


Found = Mapping[tuple[Task, str], Row]


def seeds(task: Task, curves: Sequence[Curve]) -> Seeds:
    """Return the seeds' curves together."""
    loss = np.array([curve.loss for curve in curves]) / task.chance
    below = loss <= LEARNED[task.name]
    steps = curves[0].steps
    reached = np.where(below.any(1), steps[below.argmax(1)], np.inf)
    return Seeds(steps, loss, reached, below.any(1) & ~below[:, -1])


def gathered(folder: Path) -> dict[tuple[Task, str], Row]:
    """Return all that a folder holds, by task and model.

    Raises
    ------
    ValueError
        If runs of one task and model have different settings, or if an initialisation is unknown
        or does not draw the weights with which its curves began.
    """
    curves: dict[tuple[Task, str], tuple[Settings, dict[str, list[Curve]]]] = {}
    for run in all_runs(folder):
        if run.initialisation not in INITIALISATIONS or run.model not in MODELS:
            raise ValueError(f"{folder} holds {run.name}, which this study does not have: move it.")
        held = read(folder, run)
        if held is None:
            continue
        settings, row = curves.setdefault((run.task, run.model), (held.settings, {}))
        if is_done(folder, run, settings, hash_of(start(run, settings))):
            row.setdefault(run.initialisation, []).append(held.curve)
    place = {name: at for at, name in enumerate(MODELS)}
    keys = sorted(curves, key=lambda key: (key[0].name, place[key[1]], key[0].horizon))
    rows = {}
    for key in keys:
        settings, by_name = curves[key]
        rows[key] = Row(settings, {name: seeds(key[0], each) for name, each in by_name.items()})
    return rows


def first(one: Seeds, other: Seeds) -> float:
    """Return the share of pairs of seeds in which one reached the threshold first; ties are half.

    Runs that both did not reach it are a tie.
    """
    ours, theirs = one.reached[:, None], other.reached
    return float(np.mean((ours < theirs) + 0.5 * (ours == theirs)))
