"""Figures 12 and 13: their numbers against closed forms, other solvers, and what lines say."""

from __future__ import annotations

import re
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import gatefield as gf
from gatefield.compare.settling import Settling
from gatefield.figures import fig12, fig13, load
from gatefield.figures.biased_points import (
    BiasedPoint,
    PointsSize,
    branch_line,
    first_branch,
    points_line,
)
from gatefield.phases import LineFamily, stability_line
from gatefield.plotting import plot_line_family

SIZE = PointsSize(9, 40, 3, 20.0)


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


def settling(
    variance: list[float], rate: float, speed: float = 0.0, n: int = 100, t_max: float = 200.0
) -> Settling:
    filled = np.full(len(variance), rate)
    speeds = np.full(len(variance), speed)
    return Settling(np.array(variance), speeds, filled, filled * 0, n, t_max, False)


def point(g_h: float, large: Settling, small: Settling) -> BiasedPoint:
    return BiasedPoint({"g_h": g_h}, first_branch(gf.GatedRNN(g_h, beta_h=0.5)), large, small)


def test_the_next_branch_follows_an_unstable_zero():
    below, above = first_branch(gf.GatedRNN(1.5)), first_branch(gf.GatedRNN(3.0))
    assert float(below.variance["h"]) == 0
    assert float(above.variance["h"]) == pytest.approx(0.0881504492, abs=1e-9)  # THEORY section 3
    # Beside a stable zero the pair of unstable ones is not taken.
    assert float(first_branch(gf.GatedRNN(1.8, alpha_r=12.0)).variance["h"]) == 0


def test_branches_carry_their_edge():
    """The vanilla network's zero state: an edge of g - 1; here (g_h/2 - 1)/2 in its own time."""
    table = branch_line("g_h", [0.5, 1.9], lambda g: gf.GatedRNN(g))
    np.testing.assert_allclose(table["edge"], [-0.375, -0.025], atol=1e-8)
    np.testing.assert_allclose(table["radius"], [0.25, 0.95], atol=1e-12)


def test_points_are_judged_by_majority_and_extrapolated():
    theory = float(first_branch(gf.GatedRNN(1.0, beta_h=0.5)).variance["h"])
    scatter = np.array([-0.002, -0.001, 0.0, 0.001, 0.002])
    # Means with a part 1/N: the intercept is theory's.
    large = settling(list(theory + 1 / 200 + scatter), -0.1, n=200)
    small = settling(list(theory + 1 / 100 + scatter), -0.1)
    good = point(1.0, large, small)
    assert good.clear and good.agrees
    assert "5 of 5 at rest, agree; D_h" in good.text and good.text.endswith(", agree")
    shown = re.search(r"N -> inf ([\d.]+)", good.text)
    assert shown is not None and float(shown[1]) == pytest.approx(theory, abs=1e-5)
    off = point(1.0, settling(list(theory + 1 + scatter), -0.1, n=200), small)
    assert off.text.endswith("DISAGREE")
    few = point(1.0, settling(list(theory + scatter[:3]), -0.1, n=200), small)
    assert few.agrees and "D_h" not in few.text
    moving = point(1.0, settling([0.1] * 3, 0.1, 0.1), small)
    assert not moving.agrees and "0 of 3 at rest, DISAGREE" in moving.text
    # At g_h = 3 zero bias would be unstable: radius above one, moving networks agree.
    chaotic = point(6.0, settling([0.1] * 3, 0.1, 0.1), small)
    assert chaotic.agrees and "D_h" not in chaotic.text
    assert "1 of 2 points" in points_line("(x)", [good, moving])


def test_points_near_a_line_are_not_judged():
    critical = float(stability_line(alpha_r=0.0, beta_h=0.5))
    near = point(critical, settling([0.1] * 3, 0.1, 0.1), settling([0.1] * 3, -0.1))
    assert not near.clear and "too close to one to judge" in near.text


def test_points_that_decay_too_slowly_are_not_judged():
    """The zero state at g_h = 1.5 decays at (1 - g_h/2)/2 = 1/8: e^-6.9 after 55.3."""
    theory = first_branch(gf.GatedRNN(1.5))
    late = 8 * np.log(1e3)
    for t_max, judged in ((late - 1, False), (late + 1, True)):
        moving = settling([0.1] * 5, 0.1, 0.1, t_max=float(t_max))
        one = BiasedPoint({"g_h": 1.5}, theory, moving, moving)
        assert one.clear and one.judged == judged
        assert one.text.endswith("DISAGREE" if judged else "too short to judge")
        counted = points_line("(x)", [one])
        assert f"at 0 of {int(judged)} points" in counted
        assert ("and 1 that decay too slowly" in counted) != judged
    # Chaos is seen at once.
    moving = settling([0.1] * 5, 0.1, 0.1, t_max=3.0)
    assert point(6.0, moving, moving).judged


def test_bias_that_is_needed_is_where_a_line_last_passes():
    """g*(beta) = 2, 1, 2, 3 at beta = 0, 1, 2, 3: at g = 2.5 stable beyond 2.5, at 0.5 at once."""
    biases, gains = np.arange(4.0), np.array([2.0, 1.0, 2.0, 3.0])
    assert fig13._needed(biases, gains, 2.5) == pytest.approx(2.5)
    assert fig13._needed(biases, gains, 0.5) == 0.0
    assert fig13._needed(biases, gains, 3.5) == np.inf
    alphas = np.array([0.0, 1.0, 2.0])
    assert fig13._first_below(alphas, np.array([2.5, 2.25, 1.75])) == pytest.approx(1.5)
    assert np.isnan(fig13._first_below(alphas, np.array([2.5, 2.25, 2.1])))
    crossed = fig12._crossings(biases, np.array([0.5, 1.5, 1.5, 0.5]))
    np.testing.assert_allclose(crossed, [0.5, 2.5])


@pytest.mark.slow
def test_figure_12():
    result = fig12.compute(size=SIZE)
    tables = result.tables
    assert tables["along_beta_h"]["variance"].shape == (3, 9)
    # Eq. H1 at beta_h = 0: the zero fixed point is stable below beta_r = -ln(g - 1).
    zero = tables["along_beta_r"].sel(beta_h=0.0)
    quiet = zero["beta_r"].values < -np.log(1.5)
    assert np.array_equal(zero["variance"].values == 0, quiet)
    expected = 2.5 / (1 + np.exp(-zero["beta_r"].values[quiet]))
    np.testing.assert_allclose(zero["radius"].values[quiet], expected, rtol=1e-10)
    assert zero["radius"].values[~quiet].min() > 1
    # Signs of edges and of rho - 1 belong together.
    for name in ("along_beta_h", "along_beta_r"):
        table = tables[name]
        assert np.array_equal(table["edge"].values > 0, table["radius"].values > 1)
    ratio = (tables["linear"]["expansion"] / tables["linear"]["solved"] - 1).values
    assert np.abs(ratio[:, 0]).max() < 0.05 and np.abs(ratio).max() < 0.3
    assert tables["networks"]["resting"].shape == (12, 3)
    said = "\n".join(result.lines)
    assert "beta_h = 0: the leading edge moves right" in said and "none is stable" in said
    assert len(fig12.figure(result).axes) == 7  # six panels and a colour bar
    assert set(result.datasets()) >= {"along_beta_h", "plane", "networks"}


@pytest.mark.slow
def test_figure_13():
    result = fig13.compute(size=SIZE)
    lines: Any = result.results["lines_a"]
    assert np.allclose(lines.stability[0], 2.0, atol=1e-10)
    assert float(lines.marginal[0, 0]) == pytest.approx(6.546, abs=5e-4)  # THEORY section 4
    said = "\n".join(result.lines)
    assert "the critical g_h rises with beta_h" in said
    assert "the critical g_h rises with input_variance_h" in said
    assert "lines depend less on alpha_r" in said
    assert "(c) g_h = 2.4: the beta_h beyond which the fixed point is stable grows" in said
    assert "(d) g_h = 2.2: the beta_h beyond which the fixed point is stable grows" in said
    assert "DESTABILISES" in said
    # The expansion of panel (f): its first strength, with an error of relative order v.
    weak = result.tables["weak"].sel(alpha_r=1.0)
    for name in ("bias", "input"):
        assert float(weak[name][0]) == pytest.approx(float(weak["expansion"][0]), rel=0.02)
    drawn = fig13.figure(result)
    assert len(drawn.axes) == 6
    assert set(result.datasets()) >= {"lines_a", "bias_c", "weak", "networks"}


def test_both_are_listed():
    for name in ("fig12", "fig13"):
        assert callable(load(name).compute) and callable(load(name).figure)


def test_families_are_drawn_line_by_line():
    gains = np.array([[2.0, 2.0, np.inf], [2.5, 1.5, 1.0]])
    values, nowhere = np.array([0.0, 0.1]), np.zeros((2, 3))
    family = LineFamily(values, np.arange(3.0), gains, nowhere, gains, "beta_h")
    ax = plot_line_family(family, kinds=("stability", "marginal"))
    drawn = [np.asarray(line.get_xdata(), float) for line in ax.get_lines()]
    np.testing.assert_array_equal(drawn[0], [2.0, 2.0, np.nan])
    np.testing.assert_array_equal(drawn[1], [2.5, 1.5, 1.0])
    # No marginal state: nothing is drawn at zero.
    assert np.isnan(drawn[2]).all()
    legend = ax.get_legend()
    assert legend is not None
    assert [each.get_text() for each in legend.get_texts()][:2] == [
        r"$\beta_{h} = 0$",
        r"$\beta_{h} = 0.1$",
    ]
