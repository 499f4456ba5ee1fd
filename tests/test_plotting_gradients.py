"""Gradients on axes: what is drawn where, and what is refused."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from gradient_comparisons import compared, resting_theory

from gatefield.core.errors import InvalidInputError
from gatefield.plotting import (
    gradient_symbol,
    plot_adjoint,
    plot_gradient_ratios,
    plot_growth,
)


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def theory():
    return resting_theory()


def dots(ax) -> np.ndarray:
    bars: Any = ax.containers[0]
    return np.asarray(bars.lines[0].get_xydata())


def bars(ax) -> np.ndarray:
    """Return the ends of the error bars, (point, 2)."""
    (segments,) = ax.containers[0].lines[2]
    return np.array([each[:, 1] for each in segments.get_segments()])


def test_adjoints_are_drawn_as_line_and_dots(theory):
    # Means of .8, 1, 1.2 times theory: 1, with a standard error of .2/sqrt(3).
    found = compared(theory, [[0.8, 1.0, 1.2, 9.0]], belongs=np.array([[True] * 3 + [False]]))
    ax = plot_adjoint(theory, found)
    line = np.asarray(ax.get_lines()[0].get_xydata())
    assert np.array_equal(line[:, 0], theory.times)
    assert np.array_equal(line[:, 1], theory.adjoint_variance["h"])
    at = np.interp(dots(ax)[:, 0], theory.times, theory.adjoint_variance["h"])
    assert np.allclose(dots(ax)[:, 1], at, rtol=1e-12)
    wide = np.ptp(bars(ax), axis=1) / at
    assert np.allclose(wide, 2 * 0.2 / np.sqrt(3), rtol=1e-9)
    assert ax.get_yscale() == "log" and ax.get_xlim() == (0.0, 10.0)
    assert ax.get_xlabel() == "time before the end (time constants)"
    assert ax.get_legend_handles_labels()[1] == ["theory", "networks"]


def test_a_component_alone(theory):
    ax = plot_adjoint(theory, component="h")
    assert "a_{h}" in ax.get_ylabel()
    with pytest.raises(InvalidInputError, match="component"):
        plot_adjoint(theory, component="q")
    with pytest.raises(InvalidInputError, match="theory, networks"):
        plot_adjoint()


def test_ratios_are_drawn_by_name(theory):
    found = compared(theory, [[1.0, 1.5, 2.0]])
    ax = plot_gradient_ratios(found)
    assert [each.get_text() for each in ax.get_xticklabels()] == [r"$\beta_{h}$"]
    assert np.allclose(dots(ax), [[0.0, 1.5]])
    assert np.allclose(np.ptp(bars(ax)), 2 * 0.5 / np.sqrt(3))
    few = compared(theory, [[1.0, 1.5]])
    with pytest.raises(InvalidInputError, match="three networks"):
        plot_gradient_ratios(few)


def test_growth_rates_are_drawn():
    ax = plot_growth([1.0, 2.0, 3.0], [-0.5, np.nan, 0.5], look="dots", unit="step")
    assert np.allclose(dots(ax), [[1.0, -0.5], [2.0, np.nan], [3.0, 0.5]], equal_nan=True)
    assert "per step" in ax.get_ylabel()
    lines = [np.asarray(each.get_ydata(), float).tolist() for each in ax.get_lines()]
    assert [0.0, 0.0] in lines
    ax = plot_growth([1.0, 2.0], [0.0, 1.0], [0.1, 0.2])
    (band,) = ax.collections
    corners: Any = band.get_paths()[0].vertices
    assert np.isclose(corners[:, 1].min(), -0.1) and np.isclose(corners[:, 1].max(), 1.2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"values": [1.0], "rates": [1.0, 2.0]}, "rates.shape"),
        ({"values": [1.0], "rates": [1.0], "look": "stars"}, "look = 'stars'"),
        ({"values": [1.0], "rates": [1.0], "unit": "s"}, "unit = 's'"),
    ],
    ids=["shapes", "look", "unit"],
)
def test_bad_growth_is_refused(options: dict[str, Any], told: str):
    with pytest.raises(InvalidInputError, match=told):
        plot_growth(options.pop("values"), options.pop("rates"), **options)


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("J_h", "$J^{h}$"),
        ("alpha_z", r"$\alpha_{z}$"),
        ("bias_hn", r"$\mathrm{bias}_{hn}$"),
        ("g", "$g$"),
    ],
    ids=["coupling", "greek", "bias", "letter"],
)
def test_names_of_gradients(name: str, drawn: str):
    assert gradient_symbol(name) == drawn
