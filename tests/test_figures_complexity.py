"""The figure of topological against dynamical complexity, from few and small networks."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gatefield.figures import FIGURES, complexity


@pytest.fixture(scope="module")
def result():
    size = complexity.Size(4, 3, (4, 6), 6, 3, (4, 6, 24), 400, 120)
    return complexity.compute(size=size, seed=1)


@pytest.mark.slow
def test_points_come_before_chaos(result):
    critical = result.tables["branches"].attrs
    # Eq. 12, and Eq. 13 at tau_r = 1 and for tau_r -> 0: THEORY, section 4.
    assert abs(critical["fixed_points"] - 8.15697750) < 1e-6
    assert abs(critical["slow"] - 14.54170) < 1e-4 and abs(critical["fast"] - 14.88958181) < 1e-6
    C = result.tables["branches"]["complexity"].values
    assert np.all(C[:, 0] > 0.009) and np.all(C[:, 0] < 0.012)
    assert np.all(np.diff(C[1]) > 0) and np.all(np.diff(C[0]) < 0)
    mean = result.tables["mean_number"]
    below = mean["exponent"].values[mean["alpha_r"].values < critical["fixed_points"] - 1e-9]
    assert below[-1] > 0.005 and np.all(np.diff(mean["exponent"].values) > 0)
    line = result.tables["exponent"]
    moving = line["exponent"].values[line["kind"].values == "moving"]
    # The exponent at alpha_r = 20 is .1175 (THEORY, section 7), and rises.
    assert 0.05 < moving[0] < 0.1175 < moving[-1]


@pytest.mark.slow
def test_lines_say_what_agrees(result):
    topology, dynamics, counts, distribution = result.lines
    assert "a jump of 0.010" in topology and "agree with the claim" in topology
    assert "passes the fold without a jump: DISAGREE with the claim" in topology
    assert "jumps to" in dynamics and "agree with the claim" in dynamics
    assert counts.count("exact growth rate") == 2 and counts.count("standard errors, agree") == 2
    assert distribution.endswith("agree")
    found = result.tables["counts"]["found"].values
    assert found.shape == (2, 6) and np.all(found >= 1)


@pytest.mark.slow
def test_it_is_drawn_and_stored(result):
    assert "complexity" in FIGURES
    drawn = complexity.figure(result)
    titles = [ax.get_title()[:3] or ax.get_title("left")[:3] for ax in drawn.axes]
    assert titles == ["(a)", "(c)", "(b)", "(d)"]
    drawn.canvas.draw()
    plt.close(drawn)
    groups = result.datasets()
    assert {"branches", "mean_number", "exponent", "counts", "expected"} <= set(groups)
    assert groups["distribution"]["distribution"].dims == ("place",)
