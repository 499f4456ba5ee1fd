"""The command ``gatefield correlations``: theory's numbers, networks beside them, exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import Ran, group, run
from rich.console import Console

import gatefield as gf
from gatefield.analysis import correlation_functions
from gatefield.cli.notes import warnings_as_notes
from gatefield.core.errors import OutsideDomainWarning

N, NETWORKS = 100, 3
RUN = ["--n", str(N), "--networks", str(NETWORKS), "--t-max", "40", "--burn-in", "20"]
C_H = 0.48120135  # C_h(0) of the vanilla network at g = 2, THEORY section 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def vanilla(folder) -> Ran:
    told = ["--cell", "vanilla", "--set", "g=2", "--max-lag", "8", "--formats", "svg"]
    return run("correlations", *told, *RUN, "--output", str(folder))


def test_theory_is_the_published_state(vanilla, folder):
    assert vanilla.code == 0, vanilla.error
    theory = group(folder / "correlations.nc", "theory")
    assert abs(float(theory["covariance_h"][0]) - C_H) < 1e-8
    assert "0.481201" in vanilla.text and "lag equations, moving state" in vanilla.text
    assert sorted(one.name for one in folder.iterdir() if one.stem == "correlations") == [
        "correlations.nc",
        "correlations.svg",
    ]


def test_networks_are_those_of_the_seeds(vanilla, folder):
    found = group(folder / "correlations.nc", "networks")
    networks = [gf.Network.sample(gf.VanillaRNN(2.0), N, seed=k) for k in range(NETWORKS)]
    options = {"burn_in": 20.0, "max_lag": 8.0, "dt": 0.1, "quantities": ("h", "phi")}
    expected = correlation_functions(networks, 40.0, **options)
    for name in ("h", "phi"):
        assert np.allclose(found[f"by_network_{name}"], expected.by_network[name], rtol=1e-12)
    # At n = 100 a mean square of h is off by a tenth or two; far from 1, where the runs started.
    assert np.all(abs(found["by_network_h"][:, 0] - C_H) < 0.3)


def test_table_is_what_theory_and_networks_say(vanilla, folder):
    path = folder / "correlations.nc"
    table, networks = group(path, "table"), group(path, "networks")
    kinds = [*zip(table["quantity"].values, table["measure"].values, strict=True)]
    assert kinds == [
        (name, kind) for name in ("h", "phi") for kind in ("C(0)", "C(8)", "relaxation time")
    ]
    samples = networks["by_network_h"].values[:, 0]
    assert np.array_equal(table["networks"][0], samples)
    assert np.array_equal(table["networks"][1], networks["by_network_h"].values[:, -1])
    error = samples.std(ddof=1) / np.sqrt(NETWORKS)
    score = (samples.mean() - C_H) / error
    assert abs(float(table["deviation"][0]) - score) < 1e-5 * abs(score)
    # Relaxation time: 1/e of the way from C(0) to the mean of the last tenth, where C falls at all.
    lags, rows = networks["lag"].values, networks["by_network_h"].values
    ends = rows[:, lags >= 0.9 * lags[-1]].mean(axis=1)
    falling = np.flatnonzero(rows[:, 0] > 1.2 * ends)
    assert falling.size > 0
    for number in falling:
        level = ends[number] + (rows[number, 0] - ends[number]) / np.e
        after = np.flatnonzero(rows[number] < level)[0]
        assert lags[after - 1] <= float(table["networks"][2, number]) <= lags[after]


def test_configuration_and_versions_are_kept(vanilla, folder):
    with xr.open_dataset(folder / "correlations.nc") as root:
        kept = json.loads(root.attrs["config"])
        assert kept["set"] == ["g=2"] and kept["n"] == N
        assert root.attrs["gatefield_version"] == gf.__version__


@pytest.mark.parametrize(
    ("text", "at_zero", "at_last"),
    [
        # dh/dt = -h + I without couplings: C(0) = v t/(1 + t) for a memory t, v if it is endless.
        ("h=0.3,time=2", 0.3 * 2 / 3, None),
        ("h=0.3", 0.3, 0.3),
        ("h=0.3,mean=0.2", 0.34, 0.34),
    ],
    ids=["fluctuating", "constant", "with mean"],
)
@pytest.mark.slow
def test_inputs_to_a_linear_unit(text, at_zero, at_last, tmp_path):
    cell = ["--cell", "vanilla", "--set", "g=0", "--input", text, "--quantities", "h"]
    place = ["--output", str(tmp_path), "--formats", "png", "--max-lag", "10"]
    ran = run("correlations", *cell, *RUN, *place)
    assert ran.code == 0, ran.error
    table = group(tmp_path / "correlations.nc", "table")
    assert abs(float(table["theory"][0]) - at_zero) < 1e-7
    if at_last is not None:
        assert abs(float(table["theory"][1]) - at_last) < 1e-7
    # 300 units of a Gaussian: C(0) scatters by sqrt(2/300) = .082 of itself at most.
    assert abs(float(table["networks"][0].mean()) / at_zero - 1) < 4 * 0.082


def test_disagreement_is_said_and_strict_fails(tmp_path):
    # Averaging from the random start on: mean squares of 1 instead of .1.
    cell = ["--cell", "vanilla", "--set", "g=0", "--input", "h=0.1", "--quantities", "h"]
    short = ["--n", "100", "--networks", "3", "--t-max", "1", "--burn-in", "0", "--max-lag", "0.5"]
    place = ["--output", str(tmp_path), "--formats", "png"]
    lax = run("correlations", *cell, *short, *place)
    strict = run("correlations", *cell, *short, *place, "--strict")
    assert (lax.code, strict.code) == (0, 1)
    assert "Theory and networks disagree on: C(0) of h" in lax.text


@pytest.mark.slow
def test_maps_are_sampled_and_count_steps(tmp_path):
    cell = ["--cell", "gru", "--set", "gain_n=3", "--quantities", "h"]
    small = ["--samples", "50", "--batches", "2", "--n", "30", "--networks", "2"]
    times = ["--t-max", "60", "--burn-in", "40", "--max-lag", "12"]
    place = ["--output", str(tmp_path), "--formats", "png"]
    ran = run("correlations", *cell, *small, *times, *place)
    assert ran.code == 0, ran.error
    found = group(tmp_path / "correlations.nc", "networks")
    assert np.array_equal(found["lag"], np.arange(13.0))
    theory = group(tmp_path / "correlations.nc", "theory")
    assert theory.attrs["method"] == "sampled" and float(theory["standard_error_h"][0]) > 0
    # |h| < 1 in a GRU, so that its covariance is, too.
    assert 0 < float(theory["covariance_h"][0]) < 1
    assert "no standard errors" in ran.text and "sampled, moving state" in ran.text


@pytest.mark.parametrize(
    ("networks", "t_max", "last"),
    [
        # A fifth of t_max, to two digits, not above it; C falls for longer.
        ("3", "31.9", 6.3),
        ("2", "30", 6.0),
        # One network: four blocks, the shortest of three records, hold lags of two.
        ("1", "1.5", 0.2),
    ],
)
@pytest.mark.slow
def test_the_largest_lag_fits_what_is_simulated(networks, t_max, last, tmp_path):
    told = ["--cell", "vanilla", "--set", "g=1.5", "--n", "20", "--networks", networks]
    times = ["--t-max", t_max, "--burn-in", "1", "--quantities", "h"]
    place = ["--output", str(tmp_path), "--formats", "svg"]
    ran = run("correlations", *told, *times, *place)
    assert ran.code == 0, ran.error
    assert f"C({last:g})" in ran.text
    assert "simulate" not in ran.error and "%|" not in ran.error  # no bar beside the spinner


def test_fixed_points_have_no_relaxation_time(tmp_path):
    cell = ["--g-h", "1", "--quantities", "h"]
    ran = run("correlations", *cell, *RUN, "--output", str(tmp_path), "--formats", "svg")
    assert ran.code == 0, ran.error
    table = group(tmp_path / "correlations.nc", "table")
    assert list(table["measure"].values) == ["C(0)", "C(8)"]
    # Small numbers leave room for the headers.
    assert "theory" in ran.text and "networks" in ran.text and "deviation" in ran.text
    assert "0.0000000" not in ran.text


def test_notes_are_printed_even_if_the_block_fails():
    console = Console(file=io.StringIO())
    with pytest.raises(ValueError, match="stopped"), warnings_as_notes(console):
        warnings.warn("far outside", OutsideDomainWarning, stacklevel=1)
        raise ValueError("stopped")
    assert "Note: far outside" in console.file.getvalue()  # pyright: ignore


def test_theory_alone_and_the_separable_approximation(tmp_path):
    cell = ["--g-h", "3", "--alpha-z", "1", "--method", "separable"]
    place = ["--output", str(tmp_path), "--formats", "png", "--name", "alone"]
    ran = run("correlations", *cell, "--no-verify", *place)
    assert ran.code == 0, ran.error
    assert "separable is an approximation" in ran.text and "networks:" not in ran.text
    with pytest.raises(OSError, match="networks"):
        xr.open_dataset(tmp_path / "alone.nc", group="networks")
    theory = group(tmp_path / "alone.nc", "theory")
    # At alpha_z = 0 it is exact: C_h(0) = .08307626 at g_h = 3, alpha_r = 0 (THEORY section 6);
    # alpha_z = 1 changes it by less than a tenth.
    assert abs(float(theory["covariance_h"][0]) / 0.08307626 - 1) < 0.1
    assert float(theory["covariance_sigma_z"][0]) > 0.25


def test_outside_its_domain_the_approximation_is_noted(tmp_path):
    cell = ["--g-h", "3", "--alpha-z", "5", "--alpha-r", "2", "--method", "separable"]
    ran = run("correlations", *cell, "--no-verify", "--output", str(tmp_path), "--formats", "png")
    assert ran.code == 0, ran.error
    assert "Note: separable approximation at alpha_z sqrt(C_z(0))" in ran.text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cell", "transformer"], "transformer"),
        (["--set", "gain=2"], "gain"),
        (["--cell", "vanilla", "--g-h", "2"], "--set"),
        (["--quantities", "q"], "names among 'h'"),
        (["--input", "x=1"], "names among 'h', 'z', 'r'"),
        (["--input", "h"], "drive=variance"),
        (["--input", "h=1,memory=3"], "time= after commas"),
        (["--input", "h=1", "--input", "h=2"], "expected h once"),
        (["--input", "h=1,time=5,time=6"], "expected time once"),
        (["--cell", "gru", "--dt", "0.1"], "dt = 0.1: expected none for GRU, a map"),
        (["--networks", "2", "--max-lag", "75"], "less than a quarter of t_max"),
        (["--networks", "2", "--t-max", "0.5"], "t_max = 0.5: expected at least 0.8"),
        (["--input", "h=-1"], "not negative"),
        (["--method", "exact"], "'auto'"),
        (["--alpha-z", "2", "--method", "lag-equations"], "alpha_z > 0"),
        (["--max-lag", "200"], "at most half of t_max"),
        (["--strict", "--no-verify"], "at least 3 networks"),
        (["--strict", "--networks", "2"], "at least 3 networks"),
        (["--samples", "1"], "greater than or equal to 2"),
        (["--n", "0"], "greater than or equal to 2"),
        (["--name", "a/b"], "--output"),
        (["--output", "/proc/none"], "written to"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else None,
)
def test_bad_options_are_told_in_one_message(arguments, told, tmp_path):
    here = [] if "--output" in arguments else ["--output", str(tmp_path)]
    ran = run("correlations", *arguments, *here)
    assert ran.code == 2
    assert ran.error.startswith("gatefield: ") and told in ran.error
    assert "Traceback" not in ran.error


@pytest.mark.parametrize("command", ["correlations", "lyapunov"])
def test_help_imports_nothing_slow(command):
    code = (
        "import sys\nfrom gatefield.cli import main\n"
        f"try:\n    main(['{command}', '--help'])\nexcept SystemExit:\n    pass\n"
        "print({'jax', 'numpy', 'xarray', 'matplotlib'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.rstrip().endswith("set()")
    assert "--alpha-z" in told.stdout and "--input" in told.stdout
