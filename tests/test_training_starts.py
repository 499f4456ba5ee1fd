"""What the study's networks are like before training: uncoupled units in closed form, resuming."""

from __future__ import annotations

import json
from math import log

import numpy as np
import pytest
from benchmarks.training import starts, summary
from benchmarks.training.initialisations import default
from benchmarks.training.results import Run
from benchmarks.training.study import PLAN, grid
from benchmarks.training.tasks import task
from benchmarks.training.train import Curve

T, N = 12, 4


def uncoupled(model: str, bias) -> dict[str, np.ndarray]:
    """Return weights of units that nothing reaches: each forgets by its own gate."""
    known = default(task("adding", T), model, N, 0)
    weights = {name: np.zeros_like(one) for name, one in known.items()}
    weights["bias_ih"][N : 2 * N] = bias  # z of the GRU, f of the LSTM
    return weights


def test_uncoupled_units_forget_as_their_gates_say():
    bias = np.array([-1.0, 0.0, 2.0, 4.0])
    stack = starts.stack_of("lstm", uncoupled("lstm", bias))
    found = starts.forgetting_times(stack, np.ones((1, T, 2)), 2)
    # 1 / ln(1 / sigma(b)); the eigenvalues are rounded to some 1e-16, at times of up to 55.
    np.testing.assert_allclose(found, [1 / np.log1p(np.exp(-bias))] * 2, rtol=1e-13)


def test_times_end_where_modes_no_longer_decay():
    np.testing.assert_allclose(starts.times_of(np.exp([-1.0, -0.1])), [1, 10], rtol=1e-12)
    assert np.isposinf(starts.times_of(np.array([1.0, 1.2]))).all()
    np.testing.assert_array_equal(starts.times_of(np.zeros(1)), 0)


@pytest.mark.slow
def test_the_diagnosis_of_uncoupled_units_is_their_gates():
    found = starts.measured(Run(task("adding", T), "gru", "default", 0), uncoupled("gru", 2.0))
    keep = 1 / (1 + np.exp(-2))
    assert found.edge == pytest.approx(keep, rel=1e-12)
    assert found.exponent == pytest.approx(log(keep), rel=1e-9)
    assert found.growth == pytest.approx(T * log(keep), rel=1e-9)
    # They keep for 7.9 steps: between a quarter of the horizon and twice it.
    assert found.units == 1 and found.slow == N


def test_starts_are_measured_once_and_again_if_the_weights_change(tmp_path, monkeypatch):
    asked = []

    def measured(run, weights):
        asked.append(run.name)
        return starts.Start(len(asked), 1, 1, 1, float("nan"))

    monkeypatch.setattr(starts, "measured", measured)
    row = ("adding-20", "vanilla")
    runs = list(grid({row: PLAN[row]}, ["default", "critical"], (1, 2)))
    path = tmp_path / "starts.json"
    first = starts.starts(runs, path, progress=False)
    assert [one.units for one in first["adding-20.vanilla.default"]] == [1, 3]
    again = starts.starts(runs, path, progress=False)
    np.testing.assert_array_equal(list(again.values()), list(first.values()))
    assert len(asked) == 4
    held = json.loads(path.read_text())
    held[runs[1].name]["start"] = "another"
    path.write_text(json.dumps(held))
    starts.starts(runs, path, progress=False)
    assert asked[4:] == [runs[1].name]


def test_the_table_puts_starts_beside_their_steps():
    known = task("adding", 20)
    reached = [Curve(np.array([0, step]), *np.array([[1, 0.01]] * 3)) for step in (10, 30, 20)]
    one = starts.Start(0.25, 3, 0.98, -0.01, -2.5)
    values = {"adding-20.vanilla.default": [one, one._replace(units=0.75), one]}
    alike = [curve._replace(steps=np.array([0, 30])) for curve in reached]
    curves = {
        (known, "vanilla"): summary.Row(
            PLAN["adding-20", "vanilla"], {"default": summary.seeds(known, alike)}
        )
    }
    line = starts.markdown(values, curves).splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:4] == ["adding-20", "vanilla", "default", "0.25 (0.25 to 0.75)"]
    assert cells[4:7] == ["3 (3 to 3)", "0.98 (0.98 to 0.98)", "-0.01 (-0.01 to -0.01)"]
    assert cells[7:] == ["-2.5 (-2.5 to -2.5)", "30 (3/3)"]
