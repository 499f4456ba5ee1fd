"""The command ``gatefield gradients``: theory, networks beside it, maps, refusals."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from commands import Ran, group
from commands import run as command
from scipy.special import expit, ive

from gatefield.cli.config import gradients as options
from gatefield.phases import GRADIENT_PLANES

SILENT = ["--g-h", "1.5", "--horizon", "10", "--formats", "png"]
MAP = ["--x", "g_h=0.5,1.5", "--y", "beta_z=-2:0:3", "--horizon", "10", "--formats", "png"]


def run(*arguments: str) -> Ran:
    return command("gradients", *arguments)


def silent_norm(g_h: Any, beta_z: Any, time: Any) -> Any:
    """Return |a|^2/N at the zero fixed point, exp(-2 s t) I_0(2 s g t / 2); see the maps' tests."""
    s = expit(beta_z)
    return ive(0, s * g_h * time) * np.exp((g_h - 2) * s * time)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def beside(folder) -> Ran:
    networks = ["--networks", "6", "--n", "150", "--burn-in", "60", "--strict"]
    return run(*SILENT, *networks, "--output", str(folder))


def test_theory_is_the_closed_form(beside, folder):
    assert beside.code == 0, beside.error
    table = group(folder / "gradients.nc", "table")
    for time in (2.5, 5, 10):
        value = float(table["theory"].sel(quantity=f"a_h({time:g})"))
        # Quadrature of the closed form is refused above 1e-6.
        assert np.isclose(value, silent_norm(1.5, 0.0, time), rtol=1e-5)
    # The spectrum's edge is -s + s g/2 = -1/8.
    assert np.isclose(float(table["twice_exponent"]), -0.25, atol=1e-6)
    curve = group(folder / "gradients.nc", "theory")
    expected = silent_norm(1.5, 0.0, curve["time"].values)
    np.testing.assert_allclose(curve["adjoint_variance_h"], expected, rtol=1e-5)


def test_networks_stand_beside_theory(beside, folder):
    assert "networks: 6 of 150" in beside.text
    assert "agree in all" in beside.text and "6 of 6 networks were in theory's state" in beside.text
    assert "Exactly zero: J_h, J_z, J_r" in beside.text
    table = group(folder / "gradients.nc", "table").sel(quantity="a_h(2.5)")
    rows = group(folder / "gradients.nc", "networks")
    at = int(np.argmin(np.abs(rows["time"].values - 2.5)))
    own = rows["adjoint_h"].values[0, :, at]
    assert np.isclose(float(table["networks"]), own.mean())
    assert np.isclose(float(table["networks_error"]), own.std(ddof=1) / np.sqrt(6))
    assert abs(float(table["deviation"])) < 4 and "theory 0.17" in rows.attrs["comparisons"]
    assert (folder / "gradients.png").stat().st_size > 10_000


def test_a_map(tmp_path):
    checkpoint = ["--checkpoint", str(tmp_path / "map.npz")]
    ran = run(*MAP, *checkpoint, "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    data = group(tmp_path / "gradients.nc", "map")
    expected = silent_norm(np.array([0.5, 1.5]), np.array([[-2.0], [-1.0], [0.0]]), 10.0)
    np.testing.assert_allclose(data["adjoint_norm"], expected, rtol=1e-5)
    logs = np.log(expected)
    assert np.array_equal(data["regime"], np.where(logs < -2, -1, 0))
    # The largest y stands on top.
    rows = [line.split() for line in ran.text.splitlines() if line.split()[:1] in (["0"], ["-2"])]
    assert rows[0] == ["0", *(f"{value:+.1f}" for value in logs[2])]
    assert rows[1] == ["-2", *(f"{value:+.1f}" for value in logs[0])]
    kept = int(np.sum(logs >= -2))
    assert f"vanish at {6 - kept}, keep their size at {kept}, explode at 0" in ran.text
    assert (tmp_path / "gradients.png").stat().st_size > 10_000
    assert (tmp_path / "map.npz").exists()


def test_a_finished_map_is_read(tmp_path, monkeypatch):
    given = [*MAP, "--checkpoint", str(tmp_path / "map.npz"), "--output"]
    assert run(*given, str(tmp_path / "one")).code == 0
    module = importlib.import_module("gatefield.phases.gradient_maps")
    monkeypatch.setattr(module, "gradient_point", None)
    assert run(*given, str(tmp_path / "two")).code == 0
    first, second = (group(tmp_path / each / "gradients.nc", "map") for each in ("one", "two"))
    assert np.array_equal(first["growth_rate"], second["growth_rate"])


def test_planes_are_those_of_the_library():
    assert get_args(options.Plane) == GRADIENT_PLANES


def test_options_from_a_file(tmp_path):
    path = tmp_path / "options.toml"
    path.write_text(
        '[gradients]\ng_h = 1.5\nbeta_z = -1.0\nhorizon = 4.0\nformats = ["png"]\n'
        'readout = ["h=2"]\n'
    )
    ran = command("--config", str(path), "gradients", "--output", str(tmp_path / "out"))
    assert ran.code == 0, ran.error
    table = group(tmp_path / "out" / "gradients.nc", "table")["theory"]
    expected = 2 * silent_norm(1.5, -1.0, 4.0)
    assert np.isclose(float(table.sel(quantity="a_h(4)")), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--horizon", "0"], "horizon"),
        (["--networks", "2"], "at least 3"),
        (["--strict"], "at least 3 networks"),
        (["--readout", "h"], "component=variance"),
        (["--readout", "x=1"], "names among"),
        (["--plane", "g_h:tau_z"], "plane"),
        (["--plane", "g_h:beta_z", "--x", "g_h=1:2:3"], "no --x or --y"),
        (["--plane", "g_h:beta_z", "--g-h", "2"], "no value of its own"),
        (["--plane", "g_h:beta_z", "--networks", "4"], "no map beside it"),
        (["--plane", "g_h:beta_z", "--cell", "gru"], "a gated RNN"),
        (["--x", "g_h=1:2:3"], "both --x and --y"),
        (["--x", "g_h=1:2:3", "--y", "g_h=1:2:3"], "another parameter"),
        (["--x", "g_h=2,1", "--y", "beta_z=1,2"], "ascending"),
        (["--x", "gain=1,2", "--y", "beta_z=1,2"], "names among"),
        (["--band", "1"], "--plane"),
        (["--points", "4"], "--plane"),
        (["--cell", "gru", "--dt", "0.1"], "a map"),
        (["--unknown", "1"], "unknown"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(value),
)
def test_refusals(arguments, told, tmp_path):
    ran = run(*arguments, "--output", str(tmp_path))
    assert ran.code == 2 and told in ran.error
    assert "Traceback" not in ran.error and not list(tmp_path.iterdir())
