"""Runs that are interrupted end with the lengths they would have had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lone_cells import Cycle
from transient_cells import Decay

from gatefield.analysis.transients import lengths as module
from gatefield.analysis.transients import runs, transient_lengths
from gatefield.core.errors import InvalidInputError

CELL = Decay(place=0.7)  # whose fixed point has to be found


def lengths_of(cell: Any = CELL, sizes: Any = (4,), **options: Any):
    given: dict[str, Any] = {"networks": 3, "t_max": 25.0, "hold": 5.0, "growth_time": 5.0}
    return transient_lengths(cell, sizes, progress=False, **{**given, **options})


def alike(first: Any, second: Any) -> None:
    for name in ("lengths", "outcomes", "speeds", "growth", "seeds"):
        assert np.array_equal(getattr(first, name), getattr(second, name), equal_nan=True)


def counted(monkeypatch, most: float = np.inf) -> list[int]:
    """Count calls of ``advance``; beyond ``most`` of them somebody interrupts from the keyboard."""
    further, calls = runs.advance, []

    def mortal(*arguments):
        calls.append(1)
        if len(calls) > most:
            raise KeyboardInterrupt
        return further(*arguments)

    monkeypatch.setattr(module, "advance", mortal)
    return calls


@pytest.mark.parametrize(
    ("cell", "t_max"),
    [(CELL, 25.0), (Cycle(), 25.0), (CELL, 6.0)],
    ids=["rest", "cycle", "rest past the end"],
)
@pytest.mark.parametrize("most", [1, 8, 30])
def test_interrupted_runs_go_on(monkeypatch, tmp_path, cell, t_max, most):
    whole, path = lengths_of(cell, t_max=t_max), tmp_path / "runs.npz"
    # One coupling matrix, read four times a step: stretches of 40 steps.
    monkeypatch.setattr(runs, "_WORK", 40 * 4 * 4**2)
    counted(monkeypatch, most)
    with pytest.raises(KeyboardInterrupt):
        lengths_of(cell, t_max=t_max, checkpoint=path)
    assert list(tmp_path.iterdir()) == [path]
    counted(monkeypatch)
    alike(lengths_of(cell, t_max=t_max, checkpoint=path), whole)
    # Done: nothing is left to do.
    assert not counted(monkeypatch, 0)
    alike(lengths_of(cell, t_max=t_max, checkpoint=path), whole)


def test_more_networks_and_sizes_are_added(monkeypatch, tmp_path):
    path = tmp_path / "runs.npz"
    lengths_of(Decay(), (4,), networks=2, checkpoint=path)
    calls = counted(monkeypatch)
    found = lengths_of(Decay(), (3, 4), networks=3, checkpoint=path)
    assert len(calls) == 4  # three of 3 units, one of 4
    alike(found, lengths_of(Decay(), (3, 4), networks=3))
    with np.load(path) as stored:
        assert sorted(stored["n"]) == [3, 3, 3, 4, 4, 4]


def test_checkpoints_of_other_runs_are_refused(tmp_path):
    path = tmp_path / "runs.npz"
    lengths_of(Decay(), checkpoint=path, networks=1)
    others: list[dict[str, Any]] = [
        {"seed": 1},
        {"t_max": 24.0},
        {"threshold": 0.02},
        {"spread": 2.0},
        {"inputs": {"x": 0.1}},
        {"dtype": "float32"},
    ]
    for options in others:
        with pytest.raises(InvalidInputError, match="with these options"):
            lengths_of(Decay(), checkpoint=path, networks=1, **options)
    for cell in (Decay(place=0.1), Cycle()):
        with pytest.raises(InvalidInputError, match="with these options"):
            lengths_of(cell, checkpoint=path, networks=1)


@pytest.mark.parametrize(
    "content", [b"", b"PK but no archive", b"[1, 2]"], ids=["empty", "zip", "text"]
)
def test_files_that_are_no_checkpoints(tmp_path, content):
    path = tmp_path / "runs.npz"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="transient_lengths wrote"):
        lengths_of(checkpoint=path)
    assert path.read_bytes() == content
