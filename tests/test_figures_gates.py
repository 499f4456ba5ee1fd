"""Figures 2 and 6, and the drawing of integrators and resets."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

import gatefield as gf
from gatefield.analysis import integrator_memory, line_attractor
from gatefield.analysis.reset import Erasure, Pulse, memory_coupling, reset_by_pulse
from gatefield.core.errors import InvalidInputError
from gatefield.figures import FIGURES, fig02, fig06
from gatefield.io import save_netcdf
from gatefield.plotting import integrator as drawing

QUIET: dict[str, Any] = {"progress": False}


@pytest.fixture(scope="module")
def linear() -> gf.Network:
    coupling, _ = memory_coupling(12, 2, seed=1)
    cell = gf.cells.LinearGatedRNN(beta_r=60.0)
    return gf.Network.of_couplings(cell, {"r": np.zeros((12, 12)), "h": coupling})


@pytest.fixture(scope="module")
def erased(linear) -> Erasure:
    pulses = [Pulse("r", -120.0, 1.0), Pulse("r", -120.0, 2.0)]
    states = np.random.default_rng(0).standard_normal((2, 1, 12))
    return reset_by_pulse(linear, states, pulses, after=3.0, shown=3, **QUIET)


def curves(ax) -> list[np.ndarray]:
    return [np.asarray(line.get_xydata()) for line in ax.get_lines()]


def has(ax, x, y) -> bool:
    wanted = np.stack([x, y], axis=1)
    return any(one.shape == wanted.shape and np.allclose(one, wanted) for one in curves(ax))


def test_projections_are_drawn(linear):
    found = integrator_memory(linear, np.zeros((1, 12)), (0.5, 0.1), modes=2, after=5.0, **QUIET)
    ax = drawing.plot_integrator_memory(found, mode=1)
    for place in (0, 1):
        assert has(ax, found.times, found.projections[1, place])
    assert has(ax, found.times, found.projections[2, 0])
    assert has(ax, found.times, found.projections[3, 0])
    labels = ax.get_legend_handles_labels()[1]
    assert labels[:2] == ["slow mode, strength 0.1", "slow mode, strength 0.5"]
    with pytest.raises(InvalidInputError, match="Ask for more modes"):
        drawing.plot_integrator_memory(found, mode=2)
    line = line_attractor(linear, np.zeros((1, 12)), patterns=6, after=5.0, every=1.0, **QUIET)
    other = drawing.plot_line_attractor(line)
    assert has(other, line.times, line.dimension)
    drawn = drawing.integrator_figure(found, line, title="one")
    assert len(drawn.axes) == 3 and has(drawn.axes[1], line.times, line.overlap)


def test_erasures_are_drawn(erased):
    ax = drawing.plot_erasure(erased, "size", labels=["none", "one", "two"])
    for pulse in range(3):
        assert has(ax, erased.times, erased.size[pulse].mean(axis=0))
    assert ax.get_legend_handles_labels()[1] == ["none", "one", "two"]
    traces = drawing.plot_traces(erased, 2)
    assert has(traces, erased.times, erased.traces[2, :, 1])
    drawn = drawing.erasure_figure(erased, axis="duration", title="one")
    assert has(drawn.axes[1], [0.0, 1.0, 2.0], erased.at_end("size").mean(axis=1))
    refusals = [
        (lambda: drawing.plot_erasure(erased, "phase"), "one of"),
        (lambda: drawing.plot_erasure(erased, labels=["one"]), "one for each pulse"),
        (lambda: drawing.plot_traces(erased, 3), "from 0 to 2"),
        (lambda: drawing.erasure_figure(erased, axis="depth"), "one of"),
    ]
    for call, message in refusals:
        with pytest.raises(InvalidInputError, match=message):
            call()
    plt.close("all")


def saved(result, path) -> dict[str, xr.Dataset]:
    groups = result.datasets()
    save_netcdf(path, xr.Dataset(), **groups)
    found = {}
    for name in groups:
        with xr.open_dataset(path, group=name) as data:
            found[name] = data.load()
    return found


@pytest.mark.slow
def test_figure_2(tmp_path):
    assert "fig02" in FIGURES
    size = fig02.Size(60, 3, (0.0, 15.0), 60.0, 6, 1)
    result = fig02.compute(size=size)
    tables = saved(result, tmp_path / "fig02.nc")
    memory = tables["memory"]
    assert memory["retained"].shape == (2, 3, 3)
    # The first network at alpha_z = 15 again.
    network = gf.Network.sample(gf.GatedRNN(3.0, alpha_z=15.0), 60, seed=0)
    state = gf.simulate(network, 60.0, dt=0.1, save_every=600, seed=0).final
    again = integrator_memory(network, state, (0.1,), onto=("h",), dt=0.1, seed=0, **QUIET)
    np.testing.assert_allclose(memory["retained"][1, 0], again.retained(40.0)[:, 0], rtol=1e-9)
    np.testing.assert_allclose(tables["manifold"]["slow"][1, 0], int(again.slow_count) / 60)
    variance = tables["manifold"]["z_variance"]
    np.testing.assert_allclose(variance[1, 0], np.mean(state[1] ** 2), rtol=1e-9)
    # Half of the units, less those whose gate is open by more than .01 (Eq. 7 by the error
    # function at this variance).
    expected = norm.cdf(-np.log(99) / (15.0 * np.sqrt(float(variance[1].mean()))))
    np.testing.assert_allclose(tables["manifold"]["law"][1], expected, rtol=1e-9)
    median = float(np.median(memory["retained"].sel(alpha_z=15.0, kind="slow")))
    line = next(line for line in result.lines if line.startswith("(b)"))
    assert f"{median:.0%} of its peak" in line
    assert ("DISAGREE" in line.split("fast")[0]) == (median <= 0.5)
    assert tables["example"]["projections"].shape[1] == len(fig02.STRENGTHS)
    assert len(fig02.figure(result).axes) == 4


@pytest.mark.slow
def test_figure_6(tmp_path):
    assert "fig06" in FIGURES
    result = fig06.compute(size=fig06.Size(40, 3, 3, 40.0, 10.0, 1))
    tables = saved(result, tmp_path / "fig06.nc")
    shut = tables["shut"]
    ends = [float(shut["size"].sel(time=d, method="nearest")[k, 0])
            for k, d in enumerate(shut["durations"].values)]  # fmt: skip
    # Runge-Kutta steps of .1 at rate one over six units.
    np.testing.assert_allclose(ends, np.exp(-shut["durations"].values), rtol=1e-5)
    left = tables["context"]["overlap"][:, 0, -1].values
    np.testing.assert_allclose(left[[0, -1]], 1.0, atol=1e-3)
    assert left[3] < left[2] < 0.05 and left[1] > 0.99
    assert tables["own"]["size"][0, 0, -1] < 0.6
    table = tables["scrambling"]
    assert table["correlation"].shape == (3, 6) and np.all(table["correlation"] <= 1)
    # Theory for open gates, h and r at half rate or full: twice the exponent at alpha_z = 0.
    assert tables["exponents"].attrs["opened"] == pytest.approx(2 * 0.02337311, rel=1e-4)
    # rho^2 = 1.13932322 (THEORY section 3), D_z = 4 D_h = 0.352602.
    critical = np.sqrt(4 * 0.0881504492) * norm.ppf(1 / 1.13932322)
    assert tables["exponents"].attrs["critical_input"] == pytest.approx(critical, rel=1e-6)
    assert result.lines[0].count("agree") == 1 and "DISAGREE" not in result.lines[0]
    assert "DISAGREE" not in result.lines[1]
    assert len(fig06.figure(result).axes) == 6
