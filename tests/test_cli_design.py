"""The command ``gatefield design``: a table, a JSON file, misses and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import Ran
from commands import run as command


def run(*arguments: str) -> Ran:
    return command("design", *arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def solved(folder) -> Ran:
    targets = ["--target", "radius=0.8", "--target", "gate_time=20"]
    free = ["--free", "g_h=0.1:5", "--free", "beta_z=-6:6"]
    return run(*targets, *free, "--n", "60", "--networks", "3", "--output", str(folder))


def test_solution_is_printed_and_written(solved, folder):
    assert solved.code == 0, solved.error
    assert "Solution 1" in solved.text and "1 solution found" in solved.text
    written = json.loads((folder / "design.json").read_text())
    (one,) = written["solutions"]
    assert written["status"] == "ok" and one["met"]
    # At the zero state rho = g/2 and the median of 1/s_z is 1 + exp(-beta_z).
    assert one["parameters"]["g_h"] == pytest.approx(1.6, abs=1e-6)
    assert one["parameters"]["beta_z"] == pytest.approx(-np.log(19.0), abs=1e-6)
    assert one["cell"] == "GatedRNN" and one["cell_parameters"]["beta_z"] < -2.9
    assert one["measured"]["gate_time"] == pytest.approx(20.0, rel=1e-9)
    # Three networks give no verdict.
    assert one["agrees"] == {"radius": None, "gate_time": None} and one["networks"] == 3
    assert "not told" in solved.text and "too few networks" in solved.text
    assert one["prediction_error"] == {"radius": 0.0, "gate_time": 0.0}
    assert written["quantities"]["gate_time"]["unit"] == "time constant"
    # The outermost of 60 eigenvalues: N^(-1/2) of the radius.
    assert one["measured"]["radius"] == pytest.approx(0.8, rel=0.2)


@pytest.mark.slow
def test_a_miss_is_explained_and_strict_exits_with_one(folder):
    options = ["--target", "gate_time=100", "--free", "beta_z=-2:2", "--networks", "0"]
    ran = run(*options, "--strict", "--output", str(folder), "--name", "miss")
    assert ran.code == 1
    assert "Nearest" in ran.text and "beta_z is at its lower bound -2." in ran.text
    assert json.loads((folder / "miss.json").read_text())["status"] == "not converged"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--free", "g_h=0:5"], "target: expected at least one"),
        (["--target", "radius=1"], "free: expected at least one"),
        (["--target", "radius", "--free", "g_h=0:5"], "quantity=value"),
        (["--target", "radius=1", "--free", "g_h=0"], "name=low:high"),
        (["--target", "radius=1", "--free", "g_h=0:5", "--g-h", "2"], "has a value already"),
        (["--target", "radius=1", "--free", "g_h=0:5", "--dt", "0.1"], "dt: expected --data"),
        (["--target", "size=1", "--free", "g_h=0:5"], "size"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, folder):
    ran = run(*options, "--output", str(folder))
    assert ran.code != 0
    assert message in ran.text + ran.error
