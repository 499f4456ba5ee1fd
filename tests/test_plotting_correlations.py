"""Pictures of correlation functions and exponents show the numbers they are given."""

from __future__ import annotations

import dataclasses
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PolyCollection

import gatefield as gf
from gatefield.analysis import CorrelationFunctions
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.plotting import (
    correlation_figure,
    plot_correlation,
    plot_exponents,
    plot_measured_exponents,
    plot_schroedinger,
    symbol,
)

LAGS = np.arange(6.0)
ROWS = np.exp(-0.3 * LAGS) * np.array([[0.9], [1.0], [1.4]])
DENSE = np.linspace(0.0, 20.0, 401)
C_H = 0.5


def mean_field(covariance: np.ndarray, error: float = 0.0) -> gf.MeanField:
    names = ("h", "phi")
    zero = np.zeros(())
    return gf.MeanField(
        lags=DENSE,
        covariance=dict.fromkeys(names, covariance),
        standard_error=dict.fromkeys(names, np.full(DENSE.shape, error)),
        mean=dict.fromkeys(names, zero),
        mean_standard_error=dict.fromkeys(names, zero),
        residual=zero,
        truncation=zero,
        history=np.zeros(1),
        spectra={},
        cell=gf.VanillaRNN(2.0),
        inputs={},
        method="sampled" if error else "lag equations",
        status=Status.OK,
        settings=(),
    )


@pytest.fixture
def theory():
    return mean_field(C_H / np.cosh(DENSE) ** 2)


@pytest.fixture(scope="module")
def networks():
    names = ("h", "phi")
    return CorrelationFunctions(
        lags=LAGS,
        covariance=dict.fromkeys(names, ROWS.mean(0)),
        standard_error=dict.fromkeys(names, ROWS.std(0, ddof=1) / np.sqrt(3)),
        by_network=dict.fromkeys(names, ROWS),
        mean=dict.fromkeys(names, np.zeros(())),
        mean_standard_error=dict.fromkeys(names, np.zeros(())),
        cell=gf.VanillaRNN(2.0),
        n=10,
        blocks=0,
        settings=(),
        status=Status.OK,
    )


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def lines_of(ax) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.asarray(line.get_xydata()) for line in ax.get_lines()}


def test_theory_line_is_its_covariance(theory):
    _, ax = plt.subplots()
    assert plot_correlation("h", theory, ax=ax, max_lag=8.0) is ax
    drawn = lines_of(ax)["theory"]
    # Cubic interpolation between lags .05 apart.
    assert np.allclose(drawn[:, 1], C_H / np.cosh(drawn[:, 0]) ** 2, atol=1e-4)
    assert drawn[0, 0] == 0 and drawn[-1, 0] == 8.0
    assert ax.get_ylabel() == r"$C_{h}(\tau)$" and "time constants" in ax.get_xlabel()
    assert not ax.collections  # exact theory has no band


def test_every_network_is_a_line_and_their_mean_another(theory, networks):
    ax = plot_correlation("phi", theory, networks)
    drawn = ax.get_lines()
    singles = [np.asarray(line.get_ydata()) for line in drawn[:3]]
    assert np.array_equal(singles, ROWS)
    assert np.allclose(lines_of(ax)["their mean"][:, 1], 1.1 * np.exp(-0.3 * LAGS), rtol=1e-12)
    band = [one for one in ax.collections if isinstance(one, PolyCollection)]
    corners = np.asarray(band[0].get_paths()[0].vertices)
    # Standard error of .9, 1, 1.4: sqrt(.07 / 3).
    at_zero = corners[corners[:, 0] == 0][:, 1]
    assert np.isclose(at_zero.max(), 1.1 + np.sqrt(0.07 / 3))
    assert ax.get_xlim() == (0, 5.0)


def test_sampling_errors_of_theory_are_a_band():
    ax = plot_correlation("h", mean_field(C_H / np.cosh(DENSE) ** 2, 0.02), max_lag=4.0)
    corners = np.asarray(ax.collections[0].get_paths()[0].vertices)
    at_zero = corners[corners[:, 0] == 0][:, 1]
    assert np.allclose([at_zero.min(), at_zero.max()], [C_H - 0.02, C_H + 0.02], rtol=1e-12)


def test_constant_covariances_are_flat():
    ax = plot_correlation("h", mean_field(np.full(DENSE.shape, 0.3)), max_lag=5.0)
    low, high = ax.get_ylim()
    assert np.all(lines_of(ax)["theory"][:, 1] == 0.3) and high - low > 0.05 * 0.3


def test_without_networks_five_relaxation_times_are_drawn(theory):
    # C/C(0) = 1/e where cosh(t) = sqrt(e); linear interpolation between lags .05 apart.
    last = plot_correlation("h", theory).get_xlim()[1]
    assert abs(last - 5 * np.arccosh(np.exp(0.5))) < 5 * 0.01


def test_figure_has_a_panel_for_each_quantity(theory, networks):
    drawn = correlation_figure(("h", "phi"), theory, networks, max_lag=3.0, title="vanilla")
    assert [ax.get_ylabel() for ax in drawn.axes] == [r"$C_{h}(\tau)$", r"$C_{\phi}(\tau)$"]
    assert all(ax.get_xlim() == (0, 3.0) for ax in drawn.axes)
    names = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert names == ["single networks", "their mean", "theory"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("h", "h"),
        ("phi", r"\phi"),
        ("sigma_z", r"\sigma_{z}"),
        ("eta_h", r"\eta_{h}"),
        ("g_h", "g_{h}"),
        ("alpha_r", r"\alpha_{r}"),
        ("gain_n", r"\mathrm{gain}_{n}"),
        ("y_a_b_c", r"y_{a\_b\_c}"),
    ],
)
def test_symbols(name, expected):
    assert symbol(name) == expected


@pytest.mark.parametrize("name", ["y_a_b_c", "eta_h", "sigma_z", "weight_in_all"])
def test_symbols_can_be_drawn(name):
    figure, ax = plt.subplots()
    ax.set_title(rf"$C_{{{symbol(name)}}}$")
    figure.canvas.draw()  # raises where mathematics cannot be read
    width = ax.title.get_window_extent().width
    ax.set_title("$C$")
    figure.canvas.draw()
    assert width > ax.title.get_window_extent().width


def test_time_of_maps_is_counted_in_steps(networks):
    mapped = dataclasses.replace(networks, cell=gf.GRU())
    assert plot_correlation("h", None, mapped).get_xlabel() == r"lag $\tau$ (steps)"
    assert plot_correlation("h", None, networks).get_xlabel() == r"lag $\tau$ (time constants)"
    for draw in (
        lambda **more: plot_exponents([1.0], [0.1], **more),
        lambda **more: plot_measured_exponents([1.0], [[0.1, 0.2]], **more),
        lambda **more: plot_measured_exponents([1.0], [[np.nan]], **more),
    ):
        assert draw(unit="step").get_ylabel().endswith("(per step)")
        assert draw().get_ylabel().endswith("(per time constant)")


def test_the_line_of_sampled_theory_ends_with_its_lags(networks):
    theory = mean_field(C_H / np.cosh(DENSE) ** 2, 0.02)
    ax = plot_correlation("h", theory, max_lag=30.0)
    assert lines_of(ax)["theory"][-1, 0] == 20.0 and ax.get_xlim() == (0, 30.0)


def test_exponents_leave_gaps_and_show_their_error():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    exponents = np.array([0.1, 0.2, np.nan, 0.4])
    ax = plot_exponents(values, exponents, np.full(4, 0.05), label="line")
    drawn = lines_of(ax)["line"]
    assert np.array_equal(drawn, np.stack([values, exponents], axis=1), equal_nan=True)
    corners = np.concatenate([path.vertices for path in ax.collections[0].get_paths()])
    assert np.isclose(corners[corners[:, 0] == 2.0][:, 1].max(), 0.25)
    # The point without neighbours is marked, since no line runs to it.
    alone = [np.asarray(line.get_xydata()) for line in ax.get_lines() if line.get_marker() == "_"]
    assert np.array_equal(alone[0], [[4.0, 0.4]])


def test_networks_are_dots_with_standard_errors():
    rates = np.array([[0.1, 0.3, 0.2], [np.nan, 0.5, 0.7], [np.nan] * 3])
    ax = plot_measured_exponents([1.0, 2.0, 3.0], rates, label="networks")
    bars: Any = ax.containers[0]
    assert np.allclose(np.asarray(bars.lines[0].get_xydata()), [[1.0, 0.2], [2.0, 0.6]])
    ends = np.array(bars.lines[2][0].get_segments())[:, :, 1]
    # sqrt(.01 / 3), and .1 for the two networks of the second point.
    halves = 0.5 * np.diff(ends, axis=1)[:, 0]
    assert np.allclose(halves, [0.1 / np.sqrt(3), 0.1])


def test_a_bound_state_is_drawn_on_both_sides():
    t = np.linspace(0.0, 5.0, 51)
    well = -2 / np.cosh(t) ** 2  # whose ground state 1/cosh has energy -1
    ax = plot_schroedinger(t, well, 1 / np.cosh(t), -1.0)
    drawn = {name.split()[0]: values for name, values in lines_of(ax).items()}
    wall, level, wave = (drawn[name] for name in ("potential", "level", "ground"))
    assert wall.shape == (101, 2) and np.array_equal(wall[:, 1], wall[::-1, 1])
    inside = level[np.isfinite(level[:, 1])]
    # -2 sech^2 = -1 at |t| = arccosh(sqrt 2).
    assert np.all(inside[:, 1] == -1.0)
    assert abs(inside[:, 0].max() - np.arccosh(np.sqrt(2))) < 0.1  # the spacing
    assert wave[50, 1] > wave[40, 1] > -1.0


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (lambda theory: plot_correlation("h"), "at least one"),
        (lambda theory: plot_correlation("r", theory), "one of h, phi"),
        (lambda theory: plot_exponents([1.0, 2.0], [0.1]), "One exponent for each value"),
        (lambda theory: plot_measured_exponents([1.0], [0.1]), "One row for each value"),
        (lambda theory: plot_exponents([1.0], [0.1], unit="second"), "'time constant', 'step'"),
        (lambda theory: plot_schroedinger([0, 1], [0, 1], [1], 0.0), "at every lag"),
    ],
    ids=["nothing", "unknown quantity", "exponents", "rates", "unit", "mode"],
)
def test_what_cannot_be_drawn_is_refused(draw, told, theory):
    with pytest.raises(InvalidInputError, match=told):
        draw(theory)
