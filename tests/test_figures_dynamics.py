"""The figures of mean-field theory: their numbers against published ones and closed forms."""

from __future__ import annotations

import re
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import gatefield as gf
from gatefield.analysis.lyapunov import lyapunov_spectrum
from gatefield.compare import Rates, Station, theory_states
from gatefield.figures import FIGURES, fig03, fig04, fig09, fig10, load, schroedinger
from gatefield.figures.base import FigureResult
from gatefield.figures.exponent_spectra import SpectrumSize, steps_text
from gatefield.figures.lines import Size, line_table, plot_line, station_text, stations_table
from gatefield.io import save_netcdf
from gatefield.theory.lyapunov import mean_field_lyapunov

# THEORY sections 4, 6 and 7.
FIXED_POINTS, CHAOS = 8.15697750, 14.88958181  # alpha* at g_h = 1.8; chaos for tau_r -> 0
BORN = 0.01201155  # C_h(0) there
JUMPED = 0.11752362  # exponent at g_h = 1.8, alpha_r = 20


@pytest.fixture(scope="module")
def coexisting():
    """Return the states at g_h = 1.8, alpha_r = 20: at rest, unstable, moving."""
    return theory_states(gf.GatedRNN(1.8, alpha_r=20.0))


def rates_of(before, after, rate) -> Rates:
    return Rates(np.array(rate), np.full(len(rate), 0.01), np.array(before), np.array(after))


def saved(result: FigureResult, path) -> dict[str, xr.Dataset]:
    """Write a figure's data to a file and read them back."""
    groups = result.datasets()
    save_netcdf(path, xr.Dataset(), **groups)
    found = {}
    for name in groups:
        with xr.open_dataset(path, group=name) as data:
            found[name] = data.load()
    return found


def test_every_figure_is_listed_and_has_both_functions():
    for name in ("fig03", "fig04", "fig09", "fig10", "schroedinger"):
        assert name in FIGURES
        module = load(name)
        assert callable(module.compute) and callable(module.figure)


def test_coexisting_states(coexisting):
    kinds = [one.mean_field.fluctuates for one in coexisting]
    assert kinds == [False, True, True]
    assert np.isclose(float(coexisting[0].exponent), 1.8 / 4 - 0.5, atol=1e-12)
    assert abs(float(coexisting[-1].exponent) - JUMPED) < 1e-7


def test_sizes_are_extrapolated(coexisting):
    # Means JUMPED - 2/N with the same scatter: the intercept is theory's, to rounding.
    scatter = np.array([-0.01, 0.0, 0.01])
    sizes = {n: rates_of([0.03] * 3, [0.03] * 3, JUMPED - 2.0 / n + scatter) for n in (100, 200)}
    station = Station(20.0, coexisting, sizes)
    found = station.comparisons[2]
    assert found is not None and found.agrees
    assert np.isclose(float(found.measured), JUMPED, atol=1e-9)
    assert station.comparisons[:2] == [None, None]
    told = station_text(station, "alpha_r")
    assert "moving 0.1175 | 0.1075" in told and told.endswith("standard errors, agree")
    table = stations_table("alpha_r", [station])
    assert table["rate"].shape == (1, 2, 3) and bool(table["moving"].all())


def test_lines_show_their_rows():
    rows = [("moving", 2.0, 0.3, 0.1), ("rest", 1.0, -0.5, 0.0), ("moving", 1.5, 0.2, 0.1)]
    table = line_table("g_h", rows)
    networks = xr.Dataset(
        {"rate": (("g_h", "n", "network"), [[[0.1, 0.2, 0.6]]]),
         "moving": (("g_h", "network"), [[True, True, False]])},
        {"g_h": [1.8], "n": [50]},
    )  # fmt: skip
    _, ax = plt.subplots()
    plot_line("g_h", table, networks, ax=ax, colour="#000000", shift=0.1)
    drawn = [np.asarray(line.get_xydata()) for line in ax.get_lines()]
    assert any(np.array_equal(line, [[1.5, 0.2], [2.0, 0.3]]) for line in drawn)
    bars: list[Any] = list(ax.containers)
    centres = [one.lines[0].get_xydata() for one in bars]
    assert np.allclose(centres[0], [[1.9, 0.15]]) and np.allclose(centres[1], [[1.9, 0.6]])
    plt.close("all")


def check_spectra_of_figure_3(tables: dict[str, xr.Dataset], lines: tuple[str, ...]) -> None:
    by_z, by_r = tables["spectra_alpha_z"], tables["spectra_alpha_r"]
    assert by_z["exponents"].shape == by_r["exponents"].shape == (3, 3, 60)
    # One cell is in both panels.
    assert np.array_equal(by_z["exponents"].sel(alpha_z=0), by_r["exponents"].sel(alpha_r=2))
    # The same network again, in double precision: what single precision cost was measured in one
    # block, others may lose a few times as much.
    network = gf.Network.sample(gf.GatedRNN(3.0, alpha_r=20.0), 20, seed=1)
    exact = lyapunov_spectrum(network, t_max=20.0, burn_in=10.0, dt=0.1, seed=1, progress=False)
    found = by_r["exponents"].sel(alpha_r=20)[1].values
    cost = float(by_r["precision_error"].sel(alpha_r=20)[1])
    assert 0 < cost < 1e-5
    assert np.allclose(found, exact.exponents, rtol=0, atol=10 * cost)
    # Trace of the Jacobian: -1/2 - 1 - 1 a unit, and self-couplings J_ii of variance 1/N, each
    # weighted by at most g_h / 2: four standard deviations of their mean.
    total = by_r["exponents"].sum("rank") / 20
    assert np.all(np.abs(total + 2.5) < 4 * 1.5 / 20)
    assert np.allclose(by_r["theory"][:2], [0.02337311, 0.07101677], atol=1e-7)  # THEORY section 7
    for alpha in ("0", "2", "20"):
        table = tables[f"dimensions_{alpha}"]
        assert table["exponents"].shape == (2, 3, 20) and list(table["g_h"].values) == [1.7, 3.0]
        # At g_h = 1.7 zero is the only attractor; networks fall to it, and the exponents with them.
        assert np.all(table["exponents"][0, :, 0] < 0)
        assert np.all(table["kaplan_yorke_dimension"][0] == 0)
    near = (np.abs(by_z["exponents"].values) <= 0.05).sum(axis=-1).mean(axis=-1) / 20
    said = next(line for line in lines if line.startswith("(a)"))
    told = [float(each) for each in re.findall(r"([\d.]+)(?: \+- [\d.]+)? at ", said)]
    # Two digits of the error are shown.
    assert np.allclose(told, near, atol=0.006)
    assert sum(line.startswith("(c)") for line in lines) == 2


def stepped(*rows: list[float]) -> str:
    values = np.arange(len(rows), dtype=float)
    return steps_text(values, np.array(rows), rising="more")


def test_steps_are_judged_by_the_scatter_of_networks():
    # Means 1, 2, errors .1/sqrt(3) each: the step is 1/(.1 sqrt(2/3)) = 12.2 errors.
    low, high = [0.9, 1.0, 1.1], [1.9, 2.0, 2.1]
    assert "+12.2 standard errors: more, agrees" in stepped(low, high)
    assert "-12.2 standard errors: more, DISAGREES" in stepped(high, low)
    assert "not shown" in stepped(low, [1.0, 1.1, 1.2])
    assert "not shown" in stepped(low, high, high)
    assert "nothing is called agreement" in stepped([1.0, 1.1], [2.0, 2.1])


@pytest.mark.slow
def test_figure_3(tmp_path):
    size = Size((40, 60), 3, 4, (1.7, 3.0), t_max=20.0, burn_in=10.0)
    spectra = SpectrumSize(20, 3, (1.7, 3.0), t_max=20.0, burn_in=10.0)
    result = fig03.compute(size=size, spectra=spectra)
    tables = saved(result, tmp_path / "fig03.nc")
    for alpha in ("0", "2", "20"):
        theory = tables[f"theory_{alpha}"]
        rest = theory.where(theory["kind"] == "rest", drop=True)
        assert np.allclose(rest["exponent"], rest["g_h"] / 4 - 0.5, atol=1e-9)
        moving = theory.where(theory["kind"] == "moving", drop=True)
        assert np.all(np.diff(moving["g_h"]) > 0) and np.all(np.diff(moving["exponent"]) > 0)
        assert tables[f"networks_{alpha}"]["rate"].shape == (2, 2, 3)
    # g_h at which chaos appears for alpha_r = 20: between 1.70 (42.9) and 1.80 (14.9).
    jump = tables["theory_20"].attrs
    assert 1.74 < jump["fold"] < 1.78 and 0 < jump["chaos"] < JUMPED
    assert [line[:3] for line in result.lines if line.startswith("(")].count("(d)") == 4
    assert len(fig03.figure(result).axes) == 5
    check_spectra_of_figure_3(tables, result.lines)


@pytest.mark.slow
def test_figure_4(tmp_path):
    size = Size((40, 60), 3, 3, (6.0, 25.0), t_max=20.0, burn_in=10.0)
    result = fig04.compute(size=size)
    tables = saved(result, tmp_path / "fig04.nc")
    critical = tables["theory"].attrs
    assert abs(critical["fixed_points"] - FIXED_POINTS) < 1e-7
    assert abs(critical["fast"] - CHAOS) < 1e-7
    # Both branches of fixed points begin where the line says.
    upper = tables["fixed_points"]["variance"].sel(branch=2)
    alphas = upper["alpha_r"].values[np.isfinite(upper)]
    assert 0 < alphas.min() - FIXED_POINTS < 0.1
    assert np.all(tables["fixed_points"]["radius"].sel(branch=slice(1, 2)).min() > 1)
    fast, slow = tables["fast"], tables["slow"]
    born = np.interp(1.8, fast["g_h"], fast["variance"])
    # Linear interpolation between gains .01 apart, of curvature 1: .01^2 / 8.
    assert abs(born - BORN) < 2e-5
    assert np.all(np.diff(slow["alpha_r"]) < 0)
    moving = tables["theory"].where(tables["theory"]["kind"] == "moving", drop=True)
    assert np.interp(20.0, moving["alpha_r"], moving["exponent"]) > 0.1
    assert len(fig04.figure(result).axes) == 5


@pytest.mark.slow
def test_figure_9(tmp_path):
    size = fig09.Size(40, 3, 110.0, 10.0, 40, 2)
    result = fig09.compute(size=size)
    tables = saved(result, tmp_path / "fig09.nc")
    # THEORY section 6: alpha_z = 0, alpha_r = 2.
    assert abs(float(tables["theory_a"]["covariance_h"][0]) - 0.10790876) < 1e-8
    assert abs(float(tables["theory_a"]["covariance_phi"][0]) - 0.388983) < 1e-6
    assert np.allclose(tables["networks_a"]["by_network_sigma_z"], 0.25, rtol=1e-12)
    assert tables["theory_b"].attrs["method"] == "sampled"
    assert "0.107909" in result.lines[0] and "constant" in result.lines[0]
    drawn = fig09.figure(result)
    assert len(drawn.axes) == 8


def test_figure_10(tmp_path, monkeypatch):
    monkeypatch.setattr(fig10, "LONGEST", dict.fromkeys(fig10.ALPHAS, 4.0))
    result = fig10.compute(size=fig10.Size(30, 2, 3.0, 1.0))
    tables = saved(result, tmp_path / "fig10.nc")
    table = tables["alpha_z_5"]
    assert table["product"].shape == (2, 9) and float(table["lag"][-1]) == 4.0
    # The first network again: equal times are plain averages.
    cell = gf.GatedRNN(3.0, alpha_z=5.0, alpha_r=2.0)
    network = gf.Network.sample(cell, 30, seed=0, dtype="float32")
    start = gf.simulate(network, 4.0, dt=0.1, seed=0).final
    path = gf.simulate(network, 12.0, dt=0.1, save_every=5, initial=start)
    # Of 12 time units 24 records, the first after the burn-in.
    h, z = (path.component(name)[:-1].astype(float) for name in "hz")
    gate = 1 / (1 + np.exp(-5.0 * z))
    assert np.isclose(float(table["product"][0, 0]), np.mean((h * gate) ** 2), rtol=1e-5)
    expected = np.mean(h**2) * np.mean(gate**2)
    assert np.isclose(float(table["factors"][0, 0]), expected, rtol=1e-5)
    # The last lag, four time units or eight records: pairs of records so far apart.
    pairs = np.mean((h * gate)[8:] * (h * gate)[:-8])
    assert np.isclose(float(table["product"][0, 8]), pairs, rtol=1e-5)
    relative = (table["factors"] - table["product"]).mean("network")[0]
    relative = float(relative / table["product"].mean("network")[0])
    assert f"at lag 0 {relative:+.1%}" in result.lines[1]
    assert len(fig10.figure(result).axes) == 6


@pytest.mark.parametrize(("depth", "even", "odd"), [(6.0, -4.0, -1.0), (12.0, -9.0, -4.0)])
def test_bound_states_of_a_known_well(depth, even, odd):
    # -l(l+1) sech^2 has levels -l^2, -(l-1)^2, ... of alternating parity (Poeschl and Teller).
    lags = np.linspace(0.0, 20.0, 4001)
    found = schroedinger.bound_states(lags, -depth / np.cosh(lags) ** 2)
    # Second differences miss step^2 / 12 times the mean fourth derivative, below depth^2.
    assert np.allclose(found, [even, odd], atol=0.005**2 / 12 * depth**2)


def test_the_well_of_the_vanilla_network():
    found = mean_field_lyapunov(gf.solve_dmft(gf.VanillaRNN(2.0)))
    lags = np.linspace(0.0, float(found.lags[-1]), 2001)
    wall = schroedinger.potential(found, lags)
    even, odd = schroedinger.bound_states(lags, wall)
    step = lags[1]
    # THEORY section 7; second differences miss step^2 / 12 of the well's squared depth.
    expected = 1 - 1.11245811**2
    assert abs(even - expected) < step**2 / 12
    assert abs(odd) < step**2 / 12
    # C_phi'(0) = <phi'^2> for C_h(0) = .48120135, by quadrature.
    x, weight = np.polynomial.hermite_e.hermegauss(120)
    slopes = 2 / np.cosh(2 * np.sqrt(0.48120135) * x) ** 2
    average = weight @ slopes**2 / weight.sum()
    assert np.isclose(wall[0], 1 - average, rtol=1e-4)


@pytest.mark.slow
def test_schroedinger_figure(tmp_path):
    size = Size((30, 40), 3, 4, (2.0,), t_max=20.0, burn_in=10.0)
    result = schroedinger.compute(size=size)
    tables = saved(result, tmp_path / "schroedinger.nc")
    for panel in "abc":
        at = tables[f"well_{panel}"].attrs
        # Second differences of a well this deep miss 1e-4 of its depth.
        assert abs(at["even"] - at["energy"]) < 1e-4 and abs(at["odd"]) < 1e-4
        assert f"({panel}) g" in "".join(result.lines) and "DISAGREE" not in result.lines[0]
    line = tables["line"]
    assert abs(line.attrs["exponent_there"] - 0.11245811) < 1e-7
    assert np.all(line["lower"] <= line["exponent"] + 1e-12)
    assert np.all(line["exponent"] <= line["upper"])
    assert len(schroedinger.figure(result).axes) == 4


def test_results_without_spectra_are_written(coexisting, tmp_path):
    result = FigureResult({}, {}, {}, (), {"state": coexisting[-1].mean_field})
    found = saved(result, tmp_path / "one.nc")
    assert list(found) == ["state"]
    kept = coexisting[-1].mean_field.covariance["sigma_r"]
    assert np.array_equal(found["state"]["covariance_sigma_r"], kept)
