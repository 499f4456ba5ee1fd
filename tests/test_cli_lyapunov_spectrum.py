"""The command ``gatefield lyapunov`` without --theory: numbers, tables, files, exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import Ran, group
from commands import run as command

import gatefield as gf
from gatefield.analysis.lyapunov import lyapunov_spectrum
from gatefield.networks import GaussianInput

SHORT = ["--t-max", "20", "--burn-in", "10", "--formats", "png"]
VANILLA = 0.11245811  # g = 2, THEORY section 7


def run(*arguments: str) -> Ran:
    return command("lyapunov", *arguments)


def dimension(exponents: np.ndarray) -> float:
    """Return Eq. 9 as the paper has it: j + sum of the first j over |lambda_{j+1}|."""
    total = 0.0
    for j, each in enumerate(exponents):
        if total + each < 0:
            return j + total / abs(each)
        total += each
    return np.nan


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def chaotic(folder) -> Ran:
    cell = ["--cell", "vanilla", "--set", "g=2.5"]
    told = ["--n", "60", "--k", "8", "--networks", "3", "--seed", "4", *SHORT]
    return run(*cell, *told, "--output", str(folder))


def test_numbers_are_those_of_lyapunov_spectrum(chaotic, folder):
    assert chaotic.code == 0, chaotic.error
    together = group(folder / "lyapunov.nc", "networks")
    assert list(together["network"].values) == [4, 5, 6]
    cell = gf.VanillaRNN(2.5)
    for seed in (4, 5, 6):
        network = gf.Network.sample(cell, 60, seed=seed)
        found = lyapunov_spectrum(network, 8, t_max=20.0, burn_in=10.0, dt=0.1, seed=seed)
        alone, row = group(folder / "lyapunov.nc", f"network_{seed}"), together.sel(network=seed)
        for data in (alone["exponents"].values, row["exponents"].values):
            assert np.array_equal(data, found.exponents)
        for data in (alone["standard_errors"].values, row["standard_errors"].values):
            assert np.array_equal(data, found.standard_errors)
        assert np.array_equal(alone["block_exponents"].values, found.block_exponents)
        assert alone.attrs["result"] == "LyapunovSpectrum" and "frame" not in alone
        assert str(row["status"].values) == "ok"


def test_dimension_and_entropy_rate_are_those_of_the_exponents(chaotic, folder):
    data = group(folder / "lyapunov.nc", "networks")
    for row in (data.sel(network=seed) for seed in data["network"].values):
        exponents = row["exponents"].values
        assert exponents[0] > 0
        # Sums of a few numbers in two orders.
        assert np.isclose(float(row["kaplan_yorke_dimension"]), dimension(exponents), rtol=1e-12)
        entropy = exponents[exponents > 0].sum()
        assert np.isclose(float(row["entropy_rate"]), entropy, rtol=1e-12)
        clear = exponents > 3 * row["standard_errors"].values
        assert int(row["positive"]) == clear.sum()


def numbers(line: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", line)]


def test_table_shows_the_networks_and_their_mean(chaotic, folder):
    data = group(folder / "lyapunov.nc", "networks")
    rows = [line for line in chaotic.text.splitlines() if re.match(r"\s+(4|5|6|mean) ", line)]
    assert len(rows) == 4
    for seed, line in zip((4, 5, 6), rows, strict=False):
        one = data.sel(network=seed)
        told = numbers(line)
        expected = [seed, one["exponents"][0], one["standard_errors"][0], one["positive"]]
        expected += [dimension(one["exponents"].values), one["kaplan_yorke_error"]]
        expected += [one["entropy_rate"], one["entropy_rate_error"]]
        # Two digits of each error are shown, so that values are known to a twentieth of it.
        room = [0, *[0.051 * float(one["standard_errors"][0])] * 2, 0]
        room += [0.051 * float(one["kaplan_yorke_error"])] * 2
        room += [0.051 * float(one["entropy_rate_error"])] * 2
        # The dimension has no error where it may jump.
        known = np.isfinite(np.array(expected, float))
        room = np.where(np.isfinite(room), room, 0.005)[known]
        assert np.all(np.abs(np.array(told) - np.array(expected, float)[known]) <= room + 1e-9)
    mean = numbers(rows[-1])
    first = data["exponents"].values[:, 0]
    error = first.std(ddof=1) / np.sqrt(3)
    assert abs(mean[0] - first.mean()) <= 0.051 * error
    assert abs(mean[1] - error) <= 0.051 * error
    found = [dimension(each) for each in data["exponents"].values]
    assert abs(mean[4] - np.mean(found)) <= 0.051 * np.std(found, ddof=1) / np.sqrt(3)


def test_theory_stands_beside_networks_where_it_is_quick(tmp_path):
    told = ["--n", "4", "--networks", "1", "--t-max", "4", "--burn-in", "1", "--formats", "png"]
    told += ["--output", str(tmp_path)]
    ran = run("--cell", "vanilla", "--set", "g=2", *told)
    assert ran.code == 0, ran.error
    assert "infinitely many units: lambda_1 = 0.112458 (moving state)" in ran.text
    theory = group(tmp_path / "lyapunov.nc", "theory")
    assert list(theory["kind"].values) == ["moving state"]
    assert abs(float(theory["exponent"][0]) - VANILLA) < 1e-7
    slow = run("--alpha-z", "1", *told)
    assert slow.code == 0 and "mean-field theory" not in slow.text


def test_silent_networks_have_the_leading_edge_of_their_couplings(tmp_path):
    """At rest the exponents are the eigenvalues of J g - 1, whose real parts numpy knows."""
    cell = ["--cell", "vanilla", "--set", "g=0.5"]
    long = ["--t-max", "400", "--burn-in", "200", "--formats", "svg"]
    ran = run(*cell, "--n", "10", "--networks", "1", *long, "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    data = group(tmp_path / "lyapunov.nc", "networks")
    network = gf.Network.sample(gf.VanillaRNN(0.5), 10, seed=0)
    jacobian = gf.jacobian(network, np.zeros((1, 10))).as_matrix()
    real = np.sort(np.linalg.eigvals(np.asarray(jacobian, float)).real)[::-1]
    # Over a time T turning pairs add bounded terms: ln of their eigenvectors' condition over T.
    condition = np.linalg.cond(np.linalg.eig(np.asarray(jacobian, float))[1])
    assert np.allclose(data["exponents"][0], real, atol=2 * np.log(condition) / 400)
    assert float(data["kaplan_yorke_dimension"][0]) == 0 == float(data["entropy_rate"][0])
    theory = group(tmp_path / "lyapunov.nc", "theory")
    assert list(theory["kind"].values) == ["stable fixed point"]
    assert np.isclose(float(theory["exponent"][0]), -0.5, atol=1e-12)
    picture = (tmp_path / "lyapunov.svg").read_text()
    assert "mean-field theory, stable fixed point" in picture and "rank" in picture


def test_too_few_exponents_for_the_dimension(tmp_path):
    cell = ["--cell", "vanilla", "--set", "g=2.5", "--k", "1"]
    ran = run(*cell, "--n", "60", "--networks", "1", *SHORT, "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    assert "1 of 60 of each" in ran.text and "not reached in 1 of 1 networks" in ran.text
    data = group(tmp_path / "lyapunov.nc", "networks")
    assert data["exponents"].shape == (1, 1) and float(data["exponents"][0, 0]) > 0
    assert np.isnan(float(data["kaplan_yorke_dimension"][0]))
    assert ran.text.count("not reached") == 3


def test_maps_with_input_in_single_precision(tmp_path):
    cell = ["--cell", "gru", "--set", "gain_n=3", "--input", "n=0.1,time=4", "--k", "2"]
    more = ["--n", "20", "--networks", "1", "--frame-dtype", "float32", "--t-max", "64"]
    ran = run(*cell, *more, "--burn-in", "10", "--formats", "svg", "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    assert "natural log, per step" in ran.text and "Single precision changed" in ran.text
    data = group(tmp_path / "lyapunov.nc", "networks")
    assert data["exponents"].attrs["units"] == "1 / step"
    network = gf.Network.sample(gf.GRU(gain_n=3.0), 20, seed=0)
    path = GaussianInput(variance=0.1, correlation_time=4.0).realise(20, 90.0, dt=1.0, seed=0)
    found = lyapunov_spectrum(
        network, 2, t_max=64, burn_in=10, inputs={"n": path}, frame_dtype="float32", seed=0
    )
    assert np.array_equal(data["exponents"][0], found.exponents)
    with xr.open_dataset(tmp_path / "lyapunov.nc", engine="h5netcdf") as root:
        assert '"frame_dtype":"float32"' in root.attrs["config"]
    assert "per step" in (tmp_path / "lyapunov.svg").read_text()


def test_accuracy_ends_the_run_or_is_missed(tmp_path):
    told = ["--cell", "vanilla", "--set", "g=0.5", "--n", "10", "--networks", "1", "--k", "1"]
    told += ["--burn-in", "50", "--formats", "png", "--output", str(tmp_path), "--strict"]
    missed = run(*told, "--t-max", "10", "--accuracy", "1e-9")
    assert missed.code == 1 and "Accuracy 1e-09 missed by 1 of 1 networks" in missed.text
    reached = run(*told, "--t-max", "400", "--accuracy", "0.2")
    assert reached.code == 0, reached.error
    alone = group(tmp_path / "lyapunov.nc", "network_0")
    assert float(alone["standard_errors"][0]) < 0.2 and alone.sizes["block"] < 32


def test_checkpoints_are_kept_and_refused_for_other_runs(tmp_path):
    told = ["--cell", "vanilla", "--set", "g=0.5", "--n", "10", "--networks", "2", "--k", "2"]
    told += ["--checkpoint", str(tmp_path / "runs"), "--output", str(tmp_path), *SHORT]
    first, again = run(*told), run(*told)
    assert (first.code, again.code) == (0, 0), first.error + again.error
    assert first.text == again.text
    files = sorted(each.name for each in (tmp_path / "runs").iterdir())
    assert files == ["network_0.npz", "network_1.npz"]
    other = run(*told, "--dt", "0.05")
    assert other.code == 2 and "a run of this network with these options" in other.error


def test_diverging_networks_are_reported(tmp_path):
    # Runge and Kutta's step of 5 multiplies a relaxing unit by 13.7.
    cell = ["--cell", "vanilla", "--set", "g=0", "--dt", "5", "--t-max", "4000"]
    ran = run(*cell, "--n", "10", "--networks", "1", "--output", str(tmp_path))
    assert ran.code == 2 and "the network of seed 0 diverged. Give a smaller --dt" in ran.error


def test_toml_and_defaults(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        "[lyapunov]\ncell = 'vanilla'\nset = ['g=0']\nn = 4\nnetworks = 1\nt_max = 8\n"
        f"burn_in = 1\nformats = ['png']\noutput = '{tmp_path}'\nname = 'one'\n"
    )
    ran = run("--config", str(config))
    assert ran.code == 0, ran.error
    exponents = group(tmp_path / "one.nc", "networks")["exponents"].values
    # dh/dt = -h; the step is .25 / 3, and the method's multiplier has an error of step^4 / 120.
    assert np.allclose(exponents, -1.0, atol=(0.25 / 3) ** 4 / 100)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--sweep", "g_h=1,2"], "expected --theory beside it. Add --theory."),
        (["--no-verify"], "verify = False: expected --theory beside it"),
        (["--method", "sampled"], "expected --theory beside it"),
        (["--samples", "20"], "samples = 20: expected --theory beside it"),
        (["--theory", "--k", "3"], "k = 3: expected no --theory beside it. Leave one of them out."),
        (["--theory", "--accuracy", "0.1"], "accuracy = 0.1: expected no --theory"),
        (["--theory", "--checkpoint", "x"], "checkpoint = 'x': expected no --theory"),
        (["--theory", "--frame-dtype", "float32"], "expected no --theory"),
        (["--strict"], "expected an accuracy that may be missed. Give --accuracy."),
        (["--k", "0"], "greater than or equal to 1"),
        (["--n", "4", "--k", "13"], "k = 13: expected at most d N = 12"),
        (["--accuracy", "0"], "greater than 0"),
        (["--frame-dtype", "float16"], "float16"),
        (["--checkpoint", "/proc/none"], "checkpoint = '/proc/none': expected a folder"),
        (["--input", "q=1"], "names among 'h', 'z', 'r'"),
        (["--cell", "lstm", "--dt", "0.1"], "dt = 0.1: expected none for LSTM, a map"),
        (["--cell", "gru", "--t-max", "5"], "t_max"),
        (["--output", "/proc/none"], "written to"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else None,
)
def test_bad_options_are_told_in_one_message(arguments, told, tmp_path):
    here = [] if "--output" in arguments else ["--output", str(tmp_path)]
    ran = run(*arguments, *here)
    assert ran.code == 2
    assert ran.error.startswith("gatefield: ") and told in ran.error
    assert "Traceback" not in ran.error
