"""Where the runs of many networks stand, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gatefield.analysis.transients.follow import Watch
from gatefield.analysis.transients.runs import Job, Standing
from gatefield.core import checkpoints
from gatefield.core.types import HostArray


class Stored(NamedTuple):
    """Runs as columns; states and targets one after the other."""

    n: HostArray
    network: HostArray
    stage: HostArray
    outcome: HostArray
    length: HostArray
    growth: HostArray
    number: HostArray
    distance: HostArray
    entered: HostArray
    inside: HostArray
    calm: HostArray
    speed: HostArray
    states: HostArray
    targets: HostArray


_OF_WATCH = ("number", "distance", "entered", "inside", "calm", "speed")
_OF_STANDING = ("stage", "outcome", "length", "growth")


def write(path: Path, mark: str, runs: Mapping[Job, Standing]) -> None:
    """Write all runs to a file, whole or not at all."""
    found = list(runs.items())
    columns: dict[str, Any] = {
        "n": np.array([job.n for job, _ in found]),
        "network": np.array([job.network for job, _ in found]),
        "states": np.concatenate([np.ravel(one.watch.state) for _, one in found]),
        "targets": np.concatenate([np.ravel(one.target) for _, one in found]),
    }
    for name in _OF_STANDING:
        columns[name] = np.array([getattr(one, name) for _, one in found])
    for name in _OF_WATCH:
        columns[name] = np.array([getattr(one.watch, name) for _, one in found])
    checkpoints.write(path, mark, Stored(**columns)._asdict())


def read(path: Path, mark: str) -> dict[Job, Standing]:
    """Return the runs of a file, none if there is no file.

    Raises
    ------
    InvalidInputError
        If the file is damaged, no checkpoint, or of runs with other options.
    """
    of = "runs of this cell"
    found = checkpoints.read(path, mark, Stored._fields, of=of, by="transient_lengths")
    if found is None:
        return {}
    stored = Stored(**found)
    components = stored.states.size // int(stored.n.sum())
    ends = np.cumsum(components * stored.n)[:-1]
    states, targets = (np.split(each, ends) for each in (stored.states, stored.targets))
    runs = {}
    for row, n in enumerate(stored.n):
        values = {name: getattr(stored, name)[row] for name in _OF_WATCH}
        watch = Watch(state=states[row].reshape(components, n), **values)
        runs[Job(int(n), int(stored.network[row]))] = Standing(
            stage=str(stored.stage[row]),
            watch=watch,
            target=targets[row].reshape(components, n),
            outcome=int(stored.outcome[row]),
            length=float(stored.length[row]),
            growth=float(stored.growth[row]),
        )
    return runs
