"""Figure 11: critical lines, medians and what is said of their growth."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import xarray as xr

import gatefield as gf
from gatefield.analysis.transients import TransientLengths, transient_lengths
from gatefield.core.results import Status
from gatefield.figures import FIGURES, fig11, load
from gatefield.figures.transient_lines import claim_lines, length_line, region
from gatefield.io import save_netcdf

# THEORY section 4 at g_h = 1.8: fixed points, chaos for tau_r -> 0 and for tau_r = 1.
FIXED_POINTS, FAST, SLOW = 8.15697750, 14.88958181, 14.54170
CRITICAL = {"fixed_points": FIXED_POINTS, "fast": FAST, "slow": SLOW}
NOTHING = xr.Dataset({"time": ("alpha_r", []), "error": ("alpha_r", [])}, {"alpha_r": []})


def made(factors: tuple[float, ...], *, outcome: int = 0) -> TransientLengths:
    """Return lengths that are the same at N = 200, 400, ... but for a factor; one run apart."""
    base = 100 * np.random.default_rng(0).uniform(0.9, 1.1, 30)
    lengths = np.array([factor * base for factor in factors])
    outcomes = np.zeros(lengths.shape, int)
    outcomes[0, 0] = outcome
    return TransientLengths(
        sizes=200 * 2 ** np.arange(len(factors)),
        lengths=lengths,
        outcomes=outcomes,
        speeds=lengths,
        growth=lengths,
        seeds=outcomes,
        t_max=np.array(1000.0),
        threshold=np.array(0.01),
        is_map=False,
        status=Status.OK,
        settings=(),
    )


def test_the_figure_is_listed():
    assert "fig11" in FIGURES and load("fig11") is fig11


def test_when_a_decay_crosses_the_threshold():
    times = np.arange(0.0, 45.0)
    sizes = 0.5 * np.exp(-0.1 * times)
    at, error = fig11.crossing(times, sizes, 0.02 * sizes)
    # 2 percent of the size are .2 units of time at the rate .1.
    assert np.isclose(at, 10 * np.log(0.5 / 0.01)) and np.isclose(error, 0.2)
    assert np.isnan(fig11.crossing(times[:10], sizes[:10], sizes[:10])).all()
    assert np.isnan(fig11.crossing(times, 0.001 * sizes, sizes)).all()
    early, late = (fig11.crossing(scale * times, sizes, 0.02 * sizes) for scale in (1, 3))
    assert np.allclose(np.array(late), 3 * np.array(early))


@pytest.mark.parametrize(("alpha", "which"), [(6.0, 1), (9.0, 2), (14.0, 2), (20.0, 3)])
def test_regions(alpha, which):
    assert region(alpha, CRITICAL) == which


def test_claims_are_judged_by_what_grows():
    told = claim_lines({9.0: made((1, 1, 1)), 20.0: made((1, 2, 4))}, CRITICAL, NOTHING)
    assert "above the dynamical line transients grow with N: agree" in told[0]
    assert "alpha_r = 20: a = 1.00" in told[0]
    assert "below it they do not: agree at these N, no growth is shown" in told[1]
    assert "1.00 against 0.00, intervals apart" in told[2]
    told = claim_lines({9.0: made((1, 2, 4)), 20.0: made((1, 1, 1))}, CRITICAL, NOTHING)
    assert "NOT SHOWN by so few networks" in told[0] and "DISAGREE at these N" in told[1]
    assert "intervals overlap" in told[2]
    told = claim_lines({20.0: made((4, 2, 1))}, CRITICAL, NOTHING)
    assert len(told) == 1 and "transients grow with N: DISAGREE" in told[0]
    assert claim_lines({6.0: made((1, 2, 4))}, CRITICAL, NOTHING) == ()


@pytest.mark.parametrize(("limit", "good"), [(500.0, "agree"), (80.0, "DISAGREE")])
def test_networks_are_held_to_the_limit(limit, good):
    theory = xr.Dataset(
        {"time": ("alpha_r", [limit]), "error": ("alpha_r", [2.0])}, {"alpha_r": [9.0]}
    )
    told = claim_lines({9.0: made((1, 1))}, CRITICAL, theory)
    assert told[-1].startswith("Limit at alpha_r = 9") and told[-1].endswith(f": {good}")
    line = length_line(9.0, made((1, 1)), CRITICAL, theory)
    assert f"(N -> infinity) comes to rest at {limit:.1f}" in line


@pytest.mark.parametrize(
    ("outcome", "told"), [(3, "1 still chaotic"), (2, "1 moving, not chaotic")]
)
def test_runs_that_did_not_come_to_rest_are_counted(outcome, told):
    line = length_line(20.0, made((1, 2), outcome=outcome), CRITICAL, NOTHING)
    assert "alpha_r = 20 (region 3)" in line and told in line.splitlines()[1]
    assert "(30 networks)" in line.splitlines()[2]


@pytest.mark.slow
def test_figure_11(tmp_path):
    size = fig11.Size((20, 30), 3, (9.0, 20.0), 40.0, {9.0: 30.0}, 300, 2, 20.0)
    result = fig11.compute(size=size, seed=3)
    save_netcdf(tmp_path / "fig11.nc", xr.Dataset(), **result.datasets())
    with xr.open_dataset(tmp_path / "fig11.nc", group="medians") as data:
        table = data.load()
    for name, value in CRITICAL.items():
        assert abs(table.attrs[name] - value) < 1e-5
    found: Any = result.results["alpha_r_20"]
    assert np.array_equal(table["median"].sel(alpha_r=20), found.medians)
    # Traces start where the runs did.
    traces = result.tables["traces"]
    for n in (20, 30):
        seed = int(found.seeds[list(found.sizes).index(n), 1])
        drawn = gf.Network.sample(gf.GatedRNN(1.8), n, seed=seed, dtype="float32")
        first = gf.simulate(drawn, 1.0, seed=seed).states[0, 0].astype(float)
        start = traces["rms"].sel(alpha_r=20, size=n).isel(network=1)[0]
        assert np.isclose(float(start), np.sqrt(np.mean(first**2)))
    assert float(traces["time"][-1]) == 20.0
    # Units forget where they were at the rate of their gate, 1/2, at most.
    rest = float(result.tables["theory"]["time"][0])
    assert np.isnan(rest) or 2 * np.log(1 / 0.01) < rest < 30
    assert "8.1570" in result.lines[0] and "14.5417" in result.lines[0]
    medians = [float(each) for each in re.findall(r"median (\d+\.\d)", result.lines[2])]
    expected = found.medians[np.isfinite(found.medians)]
    assert np.allclose(medians, expected, rtol=0, atol=0.05)
    assert len(fig11.figure(result).axes) == 5


@pytest.mark.slow
def test_chaos_lasts_longer_in_larger_networks_above_the_line_and_not_below():
    """Medians of earlier runs of 30 to 60 networks of 200 and 800 units: 63 and 77, 150 and 887."""
    options: dict[str, Any] = {"dt": 0.1, "dtype": "float32", "t_max": 350.0, "progress": False}
    options["growth_time"] = 20.0

    def at(alpha, n, networks):
        cell = gf.GatedRNN(1.8, alpha_r=alpha)
        return transient_lengths(cell, n, networks=networks, seed=9, **options)

    small, large = at(20.0, 200, 30), at(20.0, 800, 12)
    # Earlier, 15 % of the small and 85 % of the large ones were chaotic for 350 units of time: the
    # counts below are four standard deviations off.
    assert np.mean(small.lengths >= 300) < 0.15 + 4 * np.sqrt(0.15 * 0.85 / 30)
    assert np.mean(large.lengths >= 300) > 0.85 - 4 * np.sqrt(0.15 * 0.85 / 12)
    assert np.median(large.lengths) > 1.3 * np.median(small.lengths)
    small, large = at(9.0, 200, 30), at(9.0, 800, 12)
    assert np.all(large.ended) and large.survival(800).spread < small.survival(200).spread
    # Mean-field theory comes to rest at 86; scatter of 800 units is 20 at most, a median's 9.
    assert 77 - 4 * 9 < large.medians[0] < 86 + 4 * 9
