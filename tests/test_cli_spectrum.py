"""The commands ``gatefield spectrum`` and ``gatefield figures``: files, tables, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import Ran, run

import gatefield as gf
from gatefield.analysis import network_spectrum
from gatefield.figures import FIGURES, fig01, fig08, load
from gatefield.io import load_states, save_netcdf, state_datasets

N, NETWORKS = 40, 3
SMALL = ["--n", str(N), "--networks", str(NETWORKS), "--t-max", "4", "--dt", "0.1"]
GATED = ["--g-h", "3", "--alpha-z", "5", "--set", "input_gating=update"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def gated(folder) -> Ran:
    place = ["--output", str(folder), "--formats", "svg", "--density-size", "8"]
    return run("spectrum", *GATED, *SMALL, *place)


@pytest.fixture(scope="module")
def gru(folder) -> Ran:
    small = ["--n", "30", "--networks", "2", "--t-max", "20", "--no-density", "--formats", "png"]
    cell = ["--cell", "gru-reset-before", "--set", "gain_n=2"]
    return run("spectrum", *cell, *small, "--output", str(folder), "--name", "gru")


def test_gated_spectrum_is_that_of_the_network(gated, folder):
    assert gated.code == 0, gated.error
    cell = gf.GatedRNN(3.0, alpha_z=5.0, input_gating="update")
    with xr.open_dataset(folder / "spectrum.nc", group="eigenvalues") as data:
        assert dict(data.sizes) == {"network": NETWORKS, "mode": 3 * N}
        found = data["real"].values + 1j * data["imag"].values
    for seed in range(NETWORKS):
        network = gf.Network.sample(cell, N, seed=seed)
        state = gf.simulate(network, 4.0, dt=0.1, seed=seed).final
        expected = network_spectrum(network, state).eigenvalues
        # The N eigenvalues at -1 may split by rounding.
        assert np.allclose(found[seed], expected, atol=1e-6)


def test_table_tells_what_the_eigenvalues_say(gated, folder):
    with xr.open_dataset(folder / "spectrum.nc", group="eigenvalues") as data:
        values = data["real"].values + 1j * data["imag"].values
    with xr.open_dataset(folder / "spectrum.nc", group="table") as table:
        assert np.allclose(table["network_edge"], values.real.max(axis=1))
        assert np.allclose(table["network_imaginary"], values.imag.max(axis=1))
        assert np.array_equal(table["network_near"], np.sum(abs(values) <= 0.05, axis=1))
        assert list(table["seed"].values) == [0, 1, 2]
        deviation = (table["network_edge"] - table["theory_edge"]).values
        score = deviation.mean() / (deviation.std(ddof=1) / np.sqrt(NETWORKS))
        assert f"({score:+.1f} standard errors" in gated.text


def test_every_group_can_be_read(gated, folder):
    with xr.open_dataset(folder / "spectrum.nc") as root:
        assert json.loads(root.attrs["config"])["g_h"] == 3.0
    with xr.open_dataset(folder / "spectrum.nc", group="density") as data:
        assert data["density"].shape == (8, 8)
        assert abs(float(data["mass"]) - 1) < 0.05
    with xr.open_dataset(folder / "spectrum.nc", group="boundary") as data:
        assert data["real"].dims == ("vertex",)
        assert set(np.unique(data["network"])) == set(range(NETWORKS))
    with xr.open_dataset(folder / "spectrum.nc", group="static") as data:
        # The zero fixed point, rho = g_h/2: leading edge (rho - 1)/2 with gates half open.
        assert np.isclose(float(data["leading_edge"][0]), 0.25)
        assert not data["stable"].values.any()
    assert sorted(p.name for p in folder.iterdir() if p.stem == "spectrum") == [
        "spectrum.nc",
        "spectrum.svg",
    ]


def test_state_file_reproduces_the_spectrum(gated, folder):
    told = ["--state", str(folder / "spectrum.nc"), "--no-density", "--formats", "png"]
    again = run("spectrum", *told, "--output", str(folder), "--name", "again")
    assert again.code == 0, again.error
    with (
        xr.open_dataset(folder / "spectrum.nc", group="eigenvalues") as first,
        xr.open_dataset(folder / "again.nc", group="eigenvalues") as second,
    ):
        xr.testing.assert_identical(first, second)
    with pytest.raises(OSError, match="density"):
        xr.open_dataset(folder / "again.nc", group="density")


def test_maps_of_any_registered_cell(gru, folder):
    assert gru.code == 0, gru.error
    network, state = load_states(folder / "gru.nc")[1]
    cell = network.cell
    assert isinstance(cell, gf.GRU) and cell.reset == "before"
    assert (float(cell.gain_n), float(cell.gain_r), network.seed) == (2.0, 1.0, 1)
    with xr.open_dataset(folder / "gru.nc", group="table") as table:
        expected = network_spectrum(network, state).leading_edge
        assert np.isclose(float(table["network_edge"][1]), expected)
    assert "largest modulus" in gru.text and "within 0.05 of 1" in gru.text
    assert "no standard errors" in gru.text


def test_disagreement_is_said_and_strict_fails(tmp_path):
    # Symmetric couplings, which theory does not know of: real eigenvalues, an edge at 2 g - 1
    # instead of g - 1.
    pairs = []
    for seed in range(3):
        drawn = np.random.default_rng(seed).normal(size=(30, 30)) / np.sqrt(30)
        couplings = {"h": (drawn + drawn.T) / np.sqrt(2)}
        network = gf.Network.of_couplings(gf.VanillaRNN(1.0), couplings)
        pairs.append((network, np.zeros((1, 30))))
    save_netcdf(tmp_path / "symmetric.nc", xr.Dataset(), **state_datasets(pairs))
    told = ["--state", str(tmp_path / "symmetric.nc"), "--no-density", "--formats", "png"]
    lax = run("spectrum", *told, "--output", str(tmp_path))
    strict = run("spectrum", *told, "--output", str(tmp_path), "--strict")
    assert (lax.code, strict.code) == (0, 1)
    assert "networks disagree on: leading edge, largest Im" in lax.text
    with xr.open_dataset(tmp_path / "spectrum.nc", group="table") as table:
        assert np.all(table["network_imaginary"] == 0) and np.all(table["network_edge"] > 0.5)
        assert np.all(abs(table["theory_edge"]) < 0.1) and list(table["seed"].values) == [-1] * 3


def test_toml_and_the_command_line_wins(folder, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        f"[spectrum]\ncell = 'vanilla'\nset = ['g=1.5']\nn = 30\nnetworks = 2\nt_max = 2\n"
        f"density = false\ncouplings = 'fresh'\nformats = ['png']\noutput = '{tmp_path}'\n"
    )
    ran = run("spectrum", "--config", str(config), "--networks", "1")
    assert ran.code == 0, ran.error
    with xr.open_dataset(tmp_path / "spectrum.nc", group="eigenvalues") as data:
        assert dict(data.sizes) == {"network": 1, "mode": 30}
        found = np.sort_complex(data["real"].values[0] + 1j * data["imag"].values[0])
    network, state = load_states(tmp_path / "spectrum.nc")[0]
    fresh = gf.Network.sample(network.cell, 30, seed=1_000_003)
    # dh/dt = -h + J tanh(1.5 h), whose Jacobian is -1 + J diag(1.5 (1 - tanh^2)).
    slope = 1.5 / np.cosh(1.5 * state[0]) ** 2
    expected = np.linalg.eigvals(fresh.coupling("h") * slope - np.eye(30))
    assert np.allclose(found, np.sort_complex(expected))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cell", "transformer"], "transformer"),
        (["--set", "gain=2"], "gain"),
        (["--set", "g_h"], "name=value"),
        (["--set", "g_h=much"], "a number"),
        (["--set", "g_h=1", "--g-h", "2"], "once"),
        (["--set", "input_gating=maybe"], "'update'"),
        (["--cell", "gru", "--g-h", "2"], "--set"),
        (["--n", "0"], "greater than or equal to 2"),
        (["--n", "20000"], "at most 10000"),
        (["--g-h", "nan"], "finite"),
        (["--set", "g_h=nan"], "finite"),
        (["--t-max", "-1"], "greater than or equal to 0"),
        (["--cell", "gru", "--t-max", "2.5"], "steps of a map"),
        (["--couplings", "old"], "'own' or 'fresh'"),
        (["--near", "0"], "greater than 0"),
        (["--name", "a/b"], "--output"),
        (["--output", "/proc/none"], "written to"),
        (["--state", "absent.nc"], "absent.nc"),
        (["--state", "absent.nc", "--n", "10"], "beside n"),
        (["--state", __file__], "expected a network's state"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else None,
)
def test_bad_options_are_told_in_one_message(arguments, told, tmp_path):
    here = [] if "--output" in arguments else ["--output", str(tmp_path)]
    ran = run("spectrum", *arguments, *here)
    assert ran.code == 2
    assert ran.error.startswith("gatefield: ") and told in ran.error
    assert "Traceback" not in ran.error


def test_a_result_without_states_is_no_state_file(tmp_path):
    gf.solve_static(gf.VanillaRNN(2.0))[0].to_dataset().to_netcdf(tmp_path / "other.nc")
    ran = run("spectrum", "--state", str(tmp_path / "other.nc"), "--output", str(tmp_path))
    assert ran.code == 2 and "expected a network's state" in ran.error


def test_help_imports_nothing_slow():
    code = (
        "import sys\nfrom gatefield.cli import main\n"
        "try:\n    main(['spectrum', '--help'])\nexcept SystemExit:\n    pass\n"
        "print({'jax', 'numpy', 'xarray', 'matplotlib'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.rstrip().endswith("set()")
    assert "--alpha-z" in told.stdout


def test_figures_are_listed_and_unknown_ones_refused(tmp_path):
    listed = run("figures")
    assert listed.code == 0 and all(name in listed.text for name in FIGURES)
    unknown = run("figures", "fig99", "--output", str(tmp_path))
    assert unknown.code == 2 and "fig01" in unknown.error
    assert callable(load("fig01").compute) and callable(load("fig07").figure)


def test_figures_command_writes_figure_and_data(tmp_path, monkeypatch):
    monkeypatch.setattr(fig08, "QUICK", fig08.Size(40, 5.0))
    ran = run("figures", "fig08", "--quick", "--output", str(tmp_path), "--formats", "png")
    assert ran.code == 0, ran.error
    for panel in "abc":
        assert f"({panel}) g_h" in ran.text
    with xr.open_dataset(tmp_path / "fig08.nc", group="curves") as table:
        assert dict(table.sizes) == {"panel": 3, "curve": 3}
        edges = table["leading_edge"].sel(curve="closed").values
    for (g_h, alpha_z, alpha_r), edge in zip(fig08.PANELS.values(), edges, strict=True):
        branch = gf.solve_static(gf.GatedRNN(g_h, alpha_z=alpha_z, alpha_r=alpha_r))[-1]
        assert np.isclose(edge, gf.spectral_boundary(branch).leading_edge, atol=1e-12)
    assert (tmp_path / "fig08.png").stat().st_size > 10_000
    assert len(load_states(tmp_path / "fig08.nc")) == 3


@pytest.mark.slow
def test_figure_1_counts_and_intercepts(tmp_path):
    size = fig01.Size(40, 30, 2, (0.0, 60.0), t_max=5.0)
    result = fig01.compute(size=size)
    count, intercept = result.tables["count"], result.tables["intercept"]
    assert count["measured"].shape == (2, 2) and intercept["units"].shape == (3, 2, 2)
    cell, state = result.spectra["c"].network.cell, result.spectra["c"].state
    assert isinstance(cell, gf.GatedRNN) and cell.alpha_z == 15.0 and state.shape == (3, 40)
    # Units whose gate is shut, counted one by one: s_z < delta is alpha_z z < ln(delta/(1-delta)).
    law = count["law"].sel(alpha_z=60.0).values
    assert np.all((0.3 < law) & (law < 0.5)) and np.all(count["law"].sel(alpha_z=0.0) == 0)
    # At alpha_z = 0 Eq. 5 reads |1 + 2 lambda| = rho, lambda = i y: 1 + 4 y^2 = rho^2.
    rho = np.sqrt(1.13932322)  # g_h = 3, THEORY section 3
    assert np.isclose(
        float(intercept["closed_form"].sel(g_h=3.0)[0]), np.sqrt(rho**2 - 1) / 2, rtol=1e-6
    )
    assert list(intercept["pinches"].values) == [True, True, False]  # 2 < g_h < 6.5
    assert len(result.lines) == 8
    assert len(fig01.figure(result).axes) == 6
