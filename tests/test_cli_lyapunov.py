"""The command ``gatefield lyapunov --theory``: exponents, sweeps, networks, exit codes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from commands import Ran, group, run

import gatefield as gf
from gatefield.analysis import perturbation_growth
from gatefield.compare import exponents
from gatefield.core.results import Status

SMALL = ["--n", "60", "--networks", "3", "--t-max", "40", "--burn-in", "20", "--formats", "png"]
# THEORY section 7.
VANILLA = 0.11245811  # g = 2
JUMPED = 0.11752362  # g_h = 1.8, alpha_r = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def swept(folder) -> Ran:
    told = ["--theory", "--cell", "vanilla", "--sweep", "g=0,0.5,2", "--points", "2"]
    return run("lyapunov", *told, *SMALL, "--output", str(folder))


def test_theory_along_a_line(swept, folder):
    assert swept.code == 0, swept.error
    theory = group(folder / "lyapunov.nc", "theory")
    assert list(theory["g"].values) == [0.0, 0.5, 2.0]
    # The zero fixed point of dh/dt = -h + J tanh(g h): eigenvalues within g of -1.
    assert np.allclose(theory["exponent"][:2, 0], [-1.0, -0.5], atol=1e-12)
    assert abs(float(theory["exponent"][2, 0]) - VANILLA) < 1e-7
    assert [str(kind) for kind in theory["kind"][:, 0].values] == ["fixed point"] * 2 + ["moving"]
    assert "0.112458" in swept.text
    assert (folder / "lyapunov.png").stat().st_size > 10_000


def test_networks_at_the_ends_of_the_line(swept, folder):
    networks = group(folder / "lyapunov.nc", "networks")
    assert list(networks["point"].values) == [0, 2]
    # Without couplings every perturbation falls as exp(-t); Runge-Kutta's step of .1 misses
    # ln(1 - .1 + .1^2/2 - .1^3/6 + .1^4/24)/.1 + 1 = 9e-7, single precision as much.
    assert np.allclose(networks["rate"][0], -1.0, atol=1e-5)
    assert np.allclose(networks["after"][0], 0.0, atol=1e-12)
    # The last point again, by hand: the same couplings, start and perturbation.
    cell = gf.VanillaRNN(2.0)
    for seed in range(3):
        network = gf.Network.sample(cell, 60, seed=seed, dtype="float32")
        start = gf.simulate(network, 20.0, dt=0.1, seed=seed).final
        grown = perturbation_growth(network, start, 40.0, dt=0.1, seed=seed)
        assert np.isclose(float(networks["rate"][1, seed]), float(grown.rate), rtol=1e-5)
        assert np.isclose(float(networks["before"][1, seed]), np.mean(start**2), rtol=1e-5)


def test_agreement_is_judged_by_standard_errors(swept, folder):
    networks = group(folder / "lyapunov.nc", "networks")
    rates = networks["rate"][1].values
    score = (rates.mean() - VANILLA) / (rates.std(ddof=1) / np.sqrt(3))
    assert f"({score:+.1f} standard errors" in networks.attrs["comparisons"]
    assert f"{score:+.1f}" in swept.text and "3 of 3" in swept.text


def test_coexisting_states_are_all_listed(tmp_path):
    told = ["--theory", "--g-h", "1.8", "--sweep", "alpha_r=10:20:2", "--no-verify"]
    ran = run("lyapunov", *told, "--output", str(tmp_path), "--formats", "svg")
    assert ran.code == 0, ran.error
    theory = group(tmp_path / "lyapunov.nc", "theory")
    kinds = [[str(kind) for kind in row if kind] for row in theory["kind"].values]
    assert kinds == [["fixed point"], ["fixed point", "unstable", "moving"]]
    # (g_h/2 - 1)/2 for the zero fixed point (Eq. 6).
    assert np.allclose(theory["exponent"][:, 0], -0.05, atol=1e-12)
    assert abs(float(theory["exponent"][1, 2]) - JUMPED) < 1e-7
    assert 0 < float(theory["exponent"][1, 1]) < JUMPED
    assert "networks" not in ran.text


def test_one_cell_with_input(tmp_path):
    # A strong constant input silences the units: the exponent is the fixed point's edge, below 0.
    cell = ["--cell", "vanilla", "--set", "g=2", "--input", "h=4"]
    ran = run("lyapunov", "--theory", *cell, *SMALL, "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    theory, networks = (group(tmp_path / "lyapunov.nc", name) for name in ("theory", "networks"))
    static = gf.solve_static(gf.VanillaRNN(2.0), input_variance={"h": 4.0})[-1]
    # Eigenvalues fill the disc of radius rho around -1.
    assert np.isclose(float(theory["exponent"][0, 0]), float(static.radius) - 1, atol=1e-9)
    assert np.isclose(float(theory["variance"][0, 0]), float(static.variance["h"]), rtol=1e-9)
    assert networks["rate"].shape == (1, 3) and np.all(networks["rate"] < 0)
    # 180 units: the mean square scatters by sqrt(2/180) = .11 of itself.
    ratio = networks["after"].mean() / float(static.variance["h"])
    assert abs(float(ratio) - 1) < 4 * 0.11


def test_strict_fails_where_networks_are_too_small(tmp_path):
    # Ten units are far from infinitely many; without couplings theory is exact, at any size.
    told = ["--theory", "--cell", "vanilla", "--strict", "--output", str(tmp_path)]
    agreeing = run("lyapunov", *told, "--sweep", "g=0,0.0000001", *SMALL)
    tiny = ["--n", "10", "--networks", "12", "--t-max", "40", "--burn-in", "20"]
    differing = run("lyapunov", *told, "--set", "g=2", *tiny, "--formats", "png")
    assert (agreeing.code, differing.code) == (0, 1)
    assert "disagree in 1 of 1 comparisons" in differing.text


def test_strict_fails_where_nothing_is_compared(tmp_path):
    """Networks that have not come to rest at the zero fixed point belong to no state."""
    told = ["--theory", "--g-h", "1.5", "--strict", "--output", str(tmp_path), "--formats", "png"]
    ran = run("lyapunov", *told, *SMALL[:4], "--t-max", "0.5", "--burn-in", "0.5")
    assert ran.code == 1, ran.error
    assert "nothing was compared" in ran.text and "agree in" not in ran.text


def test_strict_fails_where_theory_did_not_converge(tmp_path):
    """Without couplings lag equations are exact: of two points one agrees, one is made to fail."""
    solve = exponents.mean_field_branches

    def failing(cell, **options):
        states = solve(cell, **options)
        bad = float(cell.g) > 0.25
        return [dataclasses.replace(states[0], status=Status.NOT_CONVERGED)] if bad else states

    told = ["--theory", "--cell", "vanilla", "--sweep", "g=0,0.5", "--output", str(tmp_path)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exponents, "mean_field_branches", failing)
        lax, strict = (run("lyapunov", *told, *SMALL, *more) for more in ([], ["--strict"]))
    assert (lax.code, strict.code) == (0, 1)
    assert "did not converge in 1 of 2 states" in strict.text
    assert "not converged" in strict.text and "agree in all 1 comparisons" in strict.text


def test_maps_are_per_step(tmp_path):
    cell = ["--theory", "--cell", "gru", "--set", "gain_n=0", "--samples", "20", "--batches", "2"]
    ran = run("lyapunov", *cell, "--no-verify", "--output", str(tmp_path), "--formats", "svg")
    assert ran.code == 0, ran.error
    assert "natural log, per step" in ran.text
    theory = group(tmp_path / "lyapunov.nc", "theory")
    assert theory["exponent"].attrs["units"] == "1 / step"
    picture = (tmp_path / "lyapunov.svg").read_text()
    assert "per step" in picture and "per time constant" not in picture


def test_toml_names_the_sweep(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        "[lyapunov]\ntheory = true\ncell = 'vanilla'\nsweep = 'g=0.2:0.8:3'\nverify = false\n"
        f"formats = ['png']\noutput = '{tmp_path}'\nname = 'line'\n"
    )
    ran = run("lyapunov", "--config", str(config))
    assert ran.code == 0, ran.error
    theory = group(tmp_path / "line.nc", "theory")
    assert np.allclose(theory["exponent"][:, 0], [-0.8, -0.5, -0.2], atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--theory", "--sweep", "g_h=3:1:4"], "name=from:to:number"),
        (["--theory", "--sweep", "g_h=1:3"], "name=from:to:number"),
        (["--theory", "--sweep", "g_h=2"], "two or more ascending"),
        (["--theory", "--sweep", "g_h=1:3:1"], "two or more ascending"),
        (["--theory", "--sweep", "g_h=1,inf"], "two or more ascending"),
        (["--theory", "--sweep", "gain=1,2"], "names among 'g_h'"),
        (["--theory", "--sweep", "input_gating=1,2"], "names among 'g_h'"),
        (["--theory", "--sweep", "g_h=1,2", "--g-h", "2"], "expected g_h once"),
        (["--theory", "--sweep", "alpha_r=-1,2"], "not negative"),
        (["--theory", "--input", "q=1"], "names among 'h', 'z', 'r'"),
        (["--theory", "--strict", "--networks", "2"], "at least 3 networks"),
        (["--theory", "--burn-in", "0"], "greater than 0"),
        (["--theory", "--cell", "lstm", "--dt", "0.1"], "dt = 0.1: expected none for LSTM, a map"),
        (["--theory", "--alpha-z", "1", "--method", "lag-equations"], "alpha_z > 0"),
        (["--theory", "--output", "/proc/none"], "written to"),
    ],
    ids=lambda value: " ".join(value)[-40:] or "nothing" if isinstance(value, list) else None,
)
def test_bad_options_are_told_in_one_message(arguments, told, tmp_path):
    here = [] if "--output" in arguments else ["--output", str(tmp_path)]
    ran = run("lyapunov", *arguments, *here)
    assert ran.code == 2
    assert ran.error.startswith("gatefield: ") and told in ran.error
    assert "Traceback" not in ran.error
