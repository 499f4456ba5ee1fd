"""The figure of gradient maps: critical lines, what is said of panels and networks, the drawing."""

from __future__ import annotations

from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pytest

import gatefield as gf
from gatefield.compare import GradientComparison, compare
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.figures import FIGURES, load
from gatefield.phases import GradientMap
from gatefield.plotting import gradient_map_figure, map_handles, plot_gradient_map

fig: Any = load("gradient_map")


def made(rates: Any, **changed: Any) -> GradientMap:
    """Return a map at which ln |a|^2 is the rate times the horizon; NaN where it failed."""
    rates = np.array(rates, float)
    rows, columns = rates.shape
    zero, failed = np.zeros(rates.shape), np.isnan(rates)
    given: dict[str, Any] = {
        "x": np.linspace(1.0, 3.0, columns),
        "y": np.linspace(-2.0, 2.0, rows),
        "growth_rate": rates,
        "growth_error": zero,
        "adjoint_norm": np.exp(10.0 * rates),
        "adjoint_error": zero,
        "gradient_variance": {},
        "gradient_standard_error": {},
        "kind": np.where(failed, 0, np.where(rates < 0, 1, 2)),
        "outcome": np.where(failed, 2, 0),
        "horizon": np.asarray(10.0),
        "band": np.asarray(2.0),
        "cell": gf.GatedRNN(3.0),
        "x_name": "g_h",
        "y_name": "beta_z",
        "status": Status.NOT_CONVERGED if failed.any() else Status.OK,
        "settings": (),
    }
    return GradientMap(**{**given, **changed})


RATES = [[-0.1, -0.05, 0.05], [-0.5, -0.1, 0.3], [-1.0, -0.3, np.nan]]


def test_the_figure_is_listed():
    assert "gradient_map" in FIGURES


def test_what_is_said_of_a_panel():
    told = fig.map_line("c", made(RATES))
    # Within 0.2 of zero rates change ln |a|^2 by less than 2 over 10.
    assert "9 points gradients 3 vanish, 4 keep their size, 1 explode, 1 without a state" in told
    assert "rates from -1.000 to 0.300" in told
    assert told.endswith("falling at 6 of 6 stable fixed points: agree")
    wrong = made(RATES, kind=np.array([[1, 1, 1], [1, 1, 2], [1, 1, 0]]))
    assert fig.map_line("c", wrong).endswith("falling at 6 of 7 stable fixed points: DISAGREE")


def test_what_is_said_of_the_gate():
    told = fig.gate_line({"c": made(RATES)})
    assert "at g_h = 2," in told and "-3.00 at beta_z = 2 (gate 0.881" in told
    assert "-0.50 at beta_z = -2 (gate 0.119" in told
    assert fig.gate_line({"a": made(RATES)}) == ""


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "good"), [(15.0, "agree"), (14.0, "DISAGREE")])
def test_what_is_said_of_chaos_beside_a_fixed_point(alpha, good):
    """THEORY section 4: at g_h = 1.8 and tau_r = 1 chaos appears at alpha_r = 14.54170."""
    found = made([[-0.1, 0.1], [0.1, 0.1]], x=np.array([1.8, 3.0]), y=np.array([5.0, alpha]))
    told = fig.chaos_line({"b": found})
    assert "states move at 1 points" in told and told.endswith(good)
    assert fig.chaos_line({}) == ""


@pytest.mark.slow
def test_critical_lines():
    """Zero loses stability at g_h = 2; the bias that keeps g_h = 3 at rest has rho = 1.

    At alpha_r = 0 D = <phi^2>/4 and rho^2 = <phi'^2>/4, averaged here by Gauss and Hermite.
    """
    for panel in "ac":
        x, _ = fig.critical_line(panel, made(RATES))
        np.testing.assert_allclose(x, 2.0)
    x, y = fig.critical_line("b", made(RATES, y=np.linspace(0.0, 20.0, 3)))
    np.testing.assert_allclose(x, 2.0)
    assert y[0] == 0 and y[-1] == 20
    x, _ = fig.critical_line("d", made(RATES, x=np.array([0.0, 0.5, 1.0])))
    assert radius(x[0] + 0.005) < 1 < radius(x[0] - 0.005)


def radius(beta_h: float) -> float:
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    D = 1.0
    for _ in range(2000):
        D = float(weights @ np.tanh(3.0 * np.sqrt(D) * nodes + beta_h) ** 2) / 4
    slope = 3.0 / np.cosh(3.0 * np.sqrt(D) * nodes + beta_h) ** 2
    return float(np.sqrt(weights @ slope**2) / 2)


def test_what_is_said_of_networks():
    class Stub:
        belongs, sizes = np.ones((1, 4), bool), np.array([300])

        class theory:
            horizon = 10.0

            class mean_field:
                cell = gf.GatedRNN(1.5)

        def comparisons(self):
            theory = {"a_h(10)": 0.012, "growth_rate": -0.3, "beta_h": 5.0}
            return {
                name: compare(value, [0.011, 0.012, 0.013, 0.012], name=name)
                for name, value in theory.items()
            }

    told = fig.check_line("vanish", cast(GradientComparison, Stub()))
    assert "a_h(10) = 0.012 | 0.012 +- 0.00041, agree" in told
    assert "growth_rate = -0.3 | 0.012" in told and "DISAGREE" in told
    assert told.endswith("of 3 comparisons 1 agree")
    Stub.comparisons = lambda self: {}
    assert "nothing compared" in fig.check_line("vanish", cast(GradientComparison, Stub()))


def test_maps_are_drawn():
    found = made(RATES)
    ax = plot_gradient_map(found, limit=0.4)
    mesh: Any = next(each for each in ax.collections if hasattr(each, "get_coordinates"))
    drawn = np.ma.asarray(mesh.get_array()).reshape(3, 3)
    np.testing.assert_allclose(drawn[0], RATES[0])
    assert np.ma.getmaskarray(drawn)[2, 2] and mesh.get_clim() == (-0.4, 0.4)
    (dots,) = ax.lines
    assert np.asarray(dots.get_xydata()).tolist() == [[3.0, -2.0], [3.0, 0.0]]
    # Both edges of the band occur between points: two sets of contours beside the mesh.
    assert len(ax.collections) == 3
    labels = [each.get_label() for each in map_handles(found)]
    assert any("no state" in each for each in labels)
    assert any("falls by 2.72 over 10" in each for each in labels)
    assert not any("no state" in each.get_label() for each in map_handles(made([[0.1] * 2] * 2)))
    assert gradient_map_figure(found, title="title").axes[0].get_title(loc="left") == "title"
    with pytest.raises(InvalidInputError, match="two values of each"):
        plot_gradient_map(made([[0.1, 0.2]]), ax=plt.subplots()[1])


@pytest.mark.slow
def test_the_whole_figure(tmp_path):
    size = fig.Size(
        2, 4.0, 100, 2, 0.5, 1e-2, 60, 3, 4.0, planes=("b", "c"),
        checks=("vanish", "the same with a shut update gate"),
    )  # fmt: skip
    result = fig.compute(size=size)
    assert set(result.results) == {"map_b", "map_c", "check_0", "check_1"}
    assert sum("DISAGREE" in line for line in result.lines[:3]) == 0
    found: Any = result.results["map_c"]
    # Gates of .018 and .881 at g_h = .8.
    assert found.growth_rate[1, 0] < found.growth_rate[0, 0] < 0
    assert len(fig.figure(result).axes) == 3
    assert set(result.datasets()) >= {"map_b", "regime_c", "check_0"}
