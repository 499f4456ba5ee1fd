"""The commands ``gatefield integrator`` and ``gatefield reset``: numbers, files, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import Ran, group, run

import gatefield as gf
from gatefield.analysis import integrator_memory, reset_by_update_gate

N = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def integrated(folder) -> Ran:
    told = ["--n", str(N), "--networks", "2", "--relaxation", "50", "--patterns", "5"]
    more = ["--after", "20", "--at", "10", "--strengths", "0.1", "--strengths", "0.5"]
    place = ["--output", str(folder), "--formats", "svg", "--seed", "3"]
    return run("integrator", *told, *more, *place)


def test_the_integrators_are_those_of_the_seeds(integrated, folder):
    assert integrated.code == 0, integrated.error
    # Unless told otherwise: g_h = 3, alpha_z = 15, input to h.
    for place in range(2):
        network = gf.Network.sample(gf.GatedRNN(3.0, alpha_z=15.0), N, seed=3 + place)
        state = gf.simulate(network, 50.0, dt=0.1, save_every=500, seed=3 + place).final
        expected = integrator_memory(
            network, state, (0.1, 0.5), after=20.0, onto=("h",), seed=3 + place, progress=False
        )
        found = group(folder / "integrator.nc", f"memory_{place}")
        np.testing.assert_allclose(found["projections"], expected.projections, rtol=1e-9)
        assert found["projections"].attrs["units"] == "1"
        kept = expected.retained(10.0)
        assert f"{kept[0, 0]:.3f}" in integrated.text and f"{kept[2, 1]:.3f}" in integrated.text
    line = group(folder / "integrator.nc", "attractor_1")
    assert line["overlap"][0] == pytest.approx(1.0) and line["time"].size == 21


def test_the_table_tells_what_was_found(integrated, folder):
    assert "Retained 10 time constants after an input of 10" in integrated.text
    counts = [int(group(folder / "integrator.nc", f"memory_{k}")["slow_count"]) for k in (0, 1)]
    assert f"{counts[0]}, {counts[1]} in networks of {N} units" in integrated.text
    assert "network 4: random inputs persist" in integrated.text
    with xr.open_dataset(folder / "integrator.nc") as root:
        assert json.loads(root.attrs["config"])["strengths"] == [0.1, 0.5]
    assert (folder / "integrator.svg").stat().st_size > 1000


def test_maps_integrate_too(tmp_path):
    told = ["--cell", "gru", "--set", "bias_z=5", "--n", "20", "--networks", "1", "--patterns", "4"]
    more = ["--relaxation", "30", "--after", "12", "--at", "5", "--formats", "png"]
    ran = run("integrator", *told, *more, "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    assert "5 steps after" in ran.text and "within 0.01 of 1" in ran.text
    assert group(tmp_path / "integrator.nc", "memory_0").attrs["is_map"] == 1


def test_resets_are_those_of_the_seeds(tmp_path):
    told = ["--n", str(N), "--networks", "2", "--memories", "3", "--relaxation", "40"]
    more = ["--strengths", "0.5", "--strengths", "2", "--after", "10", "--formats", "png"]
    ran = run("reset", *told, *more, "--output", str(tmp_path), "--seed", "1")
    assert ran.code == 0, ran.error
    means = []
    for place in range(2):
        network = gf.Network.sample(gf.GatedRNN(3.0, alpha_z=30.0), N, seed=1 + place)
        starts = 0.1 * np.random.default_rng(1 + place).standard_normal((3, 3, N))
        states = gf.simulate(network, 40.0, dt=0.1, initial=starts, save_every=400).final
        expected = reset_by_update_gate(network, states, [0.5, 2.0], after=10.0, progress=False)
        found = group(tmp_path / "reset.nc", f"erasure_{place}")
        np.testing.assert_allclose(found["correlation"], expected.correlation, rtol=1e-9)
        means.append(expected.correlation[..., -1].mean(axis=1))
    for value in np.mean(means, axis=0):
        assert f"{value:.3f}" in ran.text
    assert "no pulse" in ran.text and "Half of the correlation" in ran.text


SIZES = [0.25, 0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--cell", "gru"], [-size for size in SIZES]),
        (["--cell", "lstm", "--drive", "f"], [-size for size in SIZES]),
        (["--cell", "gru", "--drive", "r"], SIZES),
        (["--cell", "gru", "--strengths", "3"], [3.0]),
    ],
    ids=["gru", "lstm", "another gate", "told"],
)
def test_default_strengths_open_the_gate(more, expected, tmp_path):
    """A GRU's z and an LSTM's f keep where they are high; what was told stays as it was told."""
    told = ["--n", "12", "--networks", "1", "--memories", "2", "--relaxation", "5", "--after", "3"]
    ran = run("reset", *told, *more, "--output", str(tmp_path), "--formats", "png")
    assert ran.code == 0, ran.error
    found = group(tmp_path / "reset.nc", "erasure_0")
    np.testing.assert_array_equal(found["strengths"][1:], expected)
    with xr.open_dataset(tmp_path / "reset.nc") as root:
        assert json.loads(root.attrs["config"])["strengths"] == expected


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--g-h", "1"], "network 0, 1: the states decayed before they were stored"),
        (["--g-h", "8", "--alpha-z", "1"], "network 0, 1: without a pulse, too"),
    ],
    ids=["decayed", "chaotic"],
)
def test_states_that_hold_nothing_are_told(more, message, tmp_path):
    """h' = -h + J tanh(h) rests at zero; g = 8 without switches is chaotic."""
    told = ["--n", "60", "--networks", "2", "--memories", "3", "--relaxation", "50"]
    place = ["--output", str(tmp_path), "--formats", "png", "--strengths", "1"]
    ran = run("reset", *told, *more, *place)
    assert ran.code == 0, ran.error
    assert message in ran.text
    assert "at a strength of: nothing to erase, nothing to erase" in ran.text


def test_the_linear_network_is_shut(tmp_path):
    told = ["--gate", "linear", "--n", "30", "--memories", "2", "--networks", "1"]
    more = ["--durations", "1", "--durations", "3", "--after", "4", "--formats", "png"]
    ran = run("reset", *told, *more, "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    assert "0.368" in ran.text and "0.0498" in ran.text  # e^-1 and e^-3
    found = group(tmp_path / "reset.nc", "erasure_0")
    np.testing.assert_allclose(found["size"][1, :, -1], np.exp(-1), rtol=1e-5)


def test_the_output_gate_of_the_gated_rnn(tmp_path):
    told = ["--gate", "output", "--alpha-z", "2", "--n", "20", "--networks", "1", "--memories", "2"]
    more = ["--durations", "2", "--after", "2", "--relaxation", "5", "--formats", "png"]
    ran = run("reset", *told, *more, "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    assert "alpha_z=2, alpha_r=5" in ran.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["integrator", "--at", "200"], "at most after"),
        (["integrator", "--strengths", "-1"], "strengths"),
        (["integrator", "--onto", "q"], "names among"),
        (["integrator", "--cell", "gru", "--dt", "0.1"], "none for GRU"),
        (["integrator", "--n", "2"], "n"),
        (["reset", "--gate", "linear", "--alpha-z", "3"], "network of its own"),
        (["reset", "--gate", "linear", "--n", "3", "--memories", "4"], "at most n = 3"),
        (["integrator", "--after", "50.5"], "the time between records"),
        (["reset", "--cell", "lstm"], "LSTM has no drive z: name another by --drive"),
        (["reset", "--gate", "third"], "third"),
        (["reset", "--alpha-z", "0"], "positive gain"),
        (["reset", "--drive", "q"], "one of 'h', 'z', 'r'"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_bad_options_are_refused(arguments, message, tmp_path):
    small = [] if "--n" in arguments else ["--n", "10"]
    ran = run(*arguments, *small, "--relaxation", "1", "--output", str(tmp_path))
    assert ran.code == 2
    assert message in ran.error and "Traceback" not in ran.error
    assert not any(tmp_path.iterdir())
