"""The figure of gradients: its numbers against closed forms, and what its lines say."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from gradient_comparisons import compared, resting_theory

import gatefield as gf
from gatefield.core.results import Status
from gatefield.figures import FIGURES, gradients, load
from gatefield.figures.gradient_panels import (
    LossSize,
    dependent_line,
    growth_line,
    growth_table,
    prefactor,
)
from gatefield.figures.gradients import Size, adjoint_line, sizes_line
from gatefield.io import save_netcdf
from gatefield.theory.adjoint import DependentAdjoint

TINY = Size(40, 3, 20.0, 300, 2, 1, (1.2, 3.0), 40, 3, LossSize(2.0, 700, 2, 40, 3))


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def resting():
    return resting_theory()


def test_the_figure_is_listed():
    assert "gradients" in FIGURES and callable(load("gradients").figure)


def test_the_prefactor_lowers_the_rate():
    # The slope by least squares of -ln(t)/2, on a fine grid.
    times = np.linspace(10.0, 20.0, 200_001)
    slope = np.polyfit(times, -0.5 * np.log(times), 1)[0]
    assert np.isclose(prefactor(20.0), slope, rtol=1e-6)


def test_lines_tell_agreement_from_its_absence(resting):
    good = compared(resting, [[0.9, 1.0, 1.1, 1.0]])
    told = adjoint_line("a", "stable", good)
    assert "4 of 4 networks of N = 100" in told and "DISAGREE" not in told.split("twice")[0]
    # Jackknife: 4 ln 1 less three times the mean of ln((4 - x)/3), 0.0008.
    assert "a_h(10) 0.0121745 | 0.01217" in told and "all mean squares: 1.001" in told
    bad = compared(resting, [[1.2, 1.21, 1.19, 1.2]])
    told = adjoint_line("a", "stable", bad)
    assert "all mean squares: 1.200" in told and "DISAGREE" in told
    assert "all 1 agree" in sizes_line("stable", good)
    assert sizes_line("stable", bad).endswith("DISAGREE: beta_h")
    few = compared(resting, [[1.0, 1.0]])
    assert adjoint_line("a", "stable", few).endswith("too few to compare")


def test_lines_on_growth():
    columns: dict[str, Any] = {
        "theory": [-0.3, 0.2],
        "theory_error": [0.0, 0.01],
        "limit": [-0.25, 0.22],
        "expected": [-0.29, 0.22],
        "measured": [-0.31, np.nan],
        "error": [0.001, np.nan],
        "deviation": [-10.0, np.nan],
        "limit_deviation": [-2.0, np.nan],
        "count": [3, 1],
    }
    table = xr.Dataset(
        {name: ("g_h", values) for name, values in columns.items()},
        {"g_h": [1.5, 3.0]},
        {"horizon": 20.0, "n": 50},
    )
    told = growth_line(table).splitlines()
    assert "-10.0 from theory, DISAGREE; -2.0 from the limit, agree" in told[1]
    assert told[2].endswith("1 networks in this state: too few")


def dependent(exact: float, naive: float) -> DependentAdjoint:
    def rows(value: float) -> dict[str, Any]:
        return {"h": np.array([1.0, value])}

    def one(value: float) -> dict[str, Any]:
        return {"J_h": np.array(value)}

    return DependentAdjoint(
        np.array([0.0, 5.0]),
        rows(exact),
        rows(0.1),
        one(exact),
        one(0.1),
        rows(naive),
        rows(0.1),
        one(naive),
        one(0.1),
        loss="quadratic",
        terminal={"h": 1.0},
        cell=gf.VanillaRNN(2.0),
        status=Status.OK,
        settings=(),
    )


def test_lines_on_the_loss_that_knows_the_couplings():
    networks = xr.Dataset(
        {
            "adjoint": (("network", "time"), [[1.0, 3.9], [1.0, 4.0], [1.0, 4.1]]),
            "J_h": ("network", [3.9, 4.0, 4.1]),
        },
        {"time": [0.0, 5.0]},
        {"n": 100},
    )
    told = dependent_line(dependent(4.0, 2.0), networks).splitlines()
    # (4 - 2) / hypot(.1, .1/sqrt(3)) = 17.3
    assert told[1].strip().startswith("a_h(5) 4.00 +- 0.10 | 2.00 +- 0.10 | 4.000 +- 0.058")
    for line in told[1:]:
        expected = "(+0.0, agree; from independence +17.3, a factor of 2.00: independence FAILS)"
        assert expected in line
    # Their own naive value is what it is compared with.
    told = dependent_line(dependent(4.0, 3.8), networks)
    assert "from independence +1.7, a factor of 1.05: not told from 1" in told


@pytest.mark.slow
def test_growth_at_rest_is_that_of_the_closed_form():
    table = growth_table([1.2], n=100, networks=4, samples=50, batches=2)
    # Least squares of ln(I_0(.6 t) exp(-t)) over the second half of 20, by SciPy.
    from scipy.special import ive

    times = np.linspace(10.0, 20.0, 101)
    slope = np.polyfit(times, np.log(ive(0, 0.6 * times)) - 0.4 * times, 1)[0]
    assert np.isclose(float(table["theory"][0]), slope, atol=1e-6)
    assert np.isclose(float(table["limit"][0]), -0.4, atol=1e-9)
    assert abs(float(table["deviation"][0])) < 4


@pytest.mark.slow
def test_the_figure(tmp_path):
    result = gradients.compute(size=TINY)
    groups = result.datasets()
    save_netcdf(tmp_path / "gradients.nc", xr.Dataset(), **groups)
    with xr.open_dataset(tmp_path / "gradients.nc", group="networks_gru") as data:
        assert data["adjoint_h"].shape == (1, 3, 16)
    with xr.open_dataset(tmp_path / "gradients.nc", group="growth") as data:
        # Twice the leading edge of the zero state, g/4 - 1/2.
        assert np.isclose(float(data["limit"][0]), 2 * (1.2 / 4 - 0.5), atol=1e-9)
        assert np.isclose(float(data["fine_limit"][0]), -0.4, atol=1e-9)
    panels = [line[:3] for line in result.lines]
    assert panels == ["(a)"] * 3 + ["(b)"] * 3 + ["(c)"] + ["(d)"] * 3 + ["(e)"]
    drawn = gradients.figure(result)
    assert len(drawn.axes) == 7
    dots = [len(ax.containers) for ax in drawn.axes]
    assert dots[0] >= 2 and dots[1] == 3
