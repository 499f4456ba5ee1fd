"""The command ``gatefield fixed-points``: of networks, of static input, of a trained model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import group, run
from model_files import FEATURES, linear, saved, weights

import gatefield as gf
from gatefield.networks import Network


@pytest.mark.slow
def test_networks_beside_theory(tmp_path):
    told = ["fixed-points", "--g-h", "1.8", "--alpha-r", "10", "--n", "10", "--networks", "2"]
    told += ["--starts", "16", "--formats", "png", "--output", str(tmp_path)]
    ran = run(*told)
    assert ran.code == 0, ran.error
    assert (tmp_path / "fixed-points.png").stat().st_size > 5000
    theory = group(tmp_path / "fixed-points.nc", "theory")
    # The numbers of THEORY, section 10.
    assert np.allclose(theory["radius"], [0.9, 1.117, 1.260], atol=1e-3)
    assert np.allclose(theory["complexity"], [0, 0.00621, 0.02058], atol=1e-5)
    assert list(theory["stable"].values) == [True, False, False]
    assert np.isnan(theory["mean_number_exponent"][0]) and theory["mean_number_exponent"][2] > 0.02
    cell = gf.GatedRNN(1.8, alpha_r=10)
    for k in range(2):
        data = group(tmp_path / "fixed-points.nc", f"network_{k}")
        found = gf.find_fixed_points(Network.sample(cell, 10, seed=k), 16)
        assert np.array_equal(data["states"], found.states)
        assert np.array_equal(data["unstable"], found.unstable)
    assert "fixed points:" in ran.text and "complexity" in ran.text
    config = json.loads(group(tmp_path / "fixed-points.nc").attrs["config"])
    assert config["starts"] == 16 and config["alpha_r"] == 10


@pytest.mark.slow
def test_static_input_and_slow_points(tmp_path):
    told = ["fixed-points", "--cell", "vanilla", "--set", "g=0.5", "--n", "6", "--starts", "4"]
    told += ["--input", "h=0.25,mean=0.5", "--slow", "0.1", "--formats", "png"]
    ran = run(*told, "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    data = group(tmp_path / "fixed-points.nc", "network_0")
    # g = 0.5: one point, stable whatever the input.
    assert data.sizes["point"] == 1 and bool(data["stable"][0])
    state = data["states"].values[0, 0]
    assert abs(state.mean() - 0.5) < 4 * 0.6 / np.sqrt(6)
    assert np.std(state) > 0.1
    theory = group(tmp_path / "fixed-points.nc", "theory")
    assert theory.sizes["branch"] == 1 and float(theory["complexity"][0]) == 0


def test_layer_of_a_model(tmp_path):
    arrays = linear(np.diag([0.5, 0.25])) | {"bias_ih_l0": np.zeros(2), "bias_hh_l0": np.zeros(2)}
    model = saved(tmp_path, arrays)
    x = np.array([0.3, -0.1, 0.2])
    np.save(tmp_path / "x.npy", x)
    told = [
        "fixed-points",
        "--model",
        model,
        "--features",
        str(tmp_path / "x.npy"),
        "--starts",
        "8",
    ]
    ran = run(*told, "--formats", "png", "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    data = group(tmp_path / "fixed-points.nc", "network_0")
    h = data["states"].values[0, 0]
    assert data.sizes["point"] == 1
    # h = tanh(w h + sum(x)), since the input weights are ones.
    assert np.allclose(np.arctanh(h), np.array([0.5, 0.25]) * h + x.sum(), atol=1e-12)
    assert len(group(tmp_path / "fixed-points.nc").attrs["sha256"]) == 64


def test_higher_layer_receives_what_the_lower_one_sends(tmp_path):
    model = saved(tmp_path, linear(np.diag([0.5, 0.25]), np.zeros((2, 2))))
    np.save(tmp_path / "x.npy", np.full(FEATURES, 0.2))
    told = ["fixed-points", "--model", model, "--features", str(tmp_path / "x.npy"), "--layer", "1"]
    ran = run(*told, "--starts", "4", "--formats", "png", "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    below = np.zeros(2)
    for _ in range(200):
        below = np.tanh(np.array([0.5, 0.25]) * below + 0.2 * FEATURES)
    found = group(tmp_path / "fixed-points.nc", "network_0")["states"].values[0, 0]
    assert np.allclose(found, np.tanh(below.sum()), atol=1e-12)


def test_other_cells_and_toml(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        "[fixed-points]\ncell = 'gru'\nset = ['gain_n=4']\nn = 5\nstarts = 8\ntheory = false\n"
        f"formats = ['png']\noutput = '{tmp_path}'\nname = 'one'\n"
    )
    ran = run("fixed-points", "--config", str(config))
    assert ran.code == 0, ran.error
    data = group(tmp_path / "one.nc", "network_0")
    assert data.sizes["component"] == 1 and "largest modulus" in ran.text
    assert float(np.max(data["speeds"])) < 1e-10


def test_mistakes_are_refused(tmp_path):
    model = saved(tmp_path, weights("GRU"))
    for told, error in (
        (["--model", model, "--n", "5"], "expected no --model beside it"),
        (["--layer", "1"], "expected --model beside it"),
        (["--model", model, "--layer", "3"], "below 1"),
        (["--input", "h=0.1,time=5"], "expected an input that is constant"),
        (["--slow", "1e-12"], "expected more than tolerance"),
        (["--model", model, "--features", model], "a .npy file"),
        (["--unknown", "1"], "unknown"),
    ):
        ran = run("fixed-points", *told, "--output", str(tmp_path))
        assert ran.code == 2 and error in ran.error.lower() or error in ran.error, ran.error
    np.save(tmp_path / "x.npy", np.zeros(FEATURES + 1))
    ran = run("fixed-points", "--model", model, "--features", str(tmp_path / "x.npy"))
    assert ran.code == 2 and "the features of the model" in ran.error
