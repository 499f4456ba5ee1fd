"""Parts of a diagnosis on layers whose dynamics are known in closed form."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.diagnosis import STAGES
from gatefield.diagnosis.gradients import gradients_of
from gatefield.diagnosis.runs import LayerRun
from gatefield.networks import Layer

N, FEATURES, STEPS = 24, 3, 60
GATED = ("drives", "run", "spectra", "exponents", "timescales", "slow_points", "advice")
DYNAMIC = tuple(name for name in STAGES if name not in ("couplings", "ensemble"))


def layer(cell, couplings, weights=0.0, **place):
    """Return a layer of given couplings and of one input matrix for all drives."""
    W = np.broadcast_to(weights, (N, FEATURES))
    network = gf.Network.of_couplings(cell, couplings)
    return Layer(network, dict.fromkeys(cell.drive_names, W), **place)


@pytest.fixture(scope="module")
def contracting():
    """Return the diagnosis of uncoupled Elman units without input, and what each multiplies by."""
    values = np.linspace(-0.9, 0.6, N)
    stack = gf.LayeredNetwork([layer(gf.ElmanRNN(), {"h": np.diag(values)})])
    return gf.diagnose(stack, stages=DYNAMIC, effort="quick", progress=False), np.sort(
        np.abs(values)
    )[::-1]


def test_exponents_of_uncoupled_units_are_their_own(contracting):
    found = contracting[0].layers[0].exponents
    # tanh' = 1 - h^2 with |h| < 0.9^200 at the start of the measurement.
    np.testing.assert_allclose(found.exponents, np.log(contracting[1]), rtol=0, atol=1e-8)
    assert found.complete and found.positive == 0
    assert found.dimension == 0 and found.dimension_above == 0 and found.entropy_rate == 0


def test_spectra_times_and_fixed_point_of_uncoupled_units(contracting):
    diagnosis, moduli = contracting
    found = diagnosis.layers[0]
    np.testing.assert_allclose(found.spectra.leading_edges, 0.9, atol=1e-8)
    for values in found.spectra.eigenvalues:
        np.testing.assert_allclose(np.abs(values), moduli, atol=1e-8)
    np.testing.assert_allclose(found.timescales.memory_time, -1 / np.log(0.9), rtol=1e-6)
    np.testing.assert_allclose(found.timescales.lyapunov_time, -1 / np.log(0.9), rtol=1e-6)
    # No gates: a unit keeps nothing at fixed fields.
    np.testing.assert_array_equal(found.timescales.gate_time_quantiles, 0)
    points = found.slow_points
    assert points.stable.tolist() == [True] and points.converged == 1
    np.testing.assert_allclose(points.leading_edges, 0.9, atol=1e-9)
    np.testing.assert_allclose(points.sizes, 0, atol=1e-9)


def test_gradients_of_uncoupled_units_fall_by_the_slowest(contracting):
    found = contracting[0].layers[0].gradients
    # Beyond half of 200 steps the next unit's share is (0.83 / 0.9)^200.
    np.testing.assert_allclose(found.rate, np.log(0.9), rtol=1e-6)
    np.testing.assert_allclose(found.times[[0, -1]], [0, found.horizon])
    curve = found.adjoint_variance["h"]
    np.testing.assert_allclose(found.growth, np.log(curve[-1] / curve[0]) / 2, rtol=1e-12)
    # At the end it is a mean of squares of normal numbers; at the horizon one unit's is left.
    assert found.horizon * np.log(0.9) - 3 < found.growth < found.horizon * np.log(0.9)
    advice = [each for each in contracting[0].layers[0].advice if each.topic == "gradients"]
    assert [each.kind for each in advice] == ["warning"] and "vanish" in advice[0].text


def test_gradients_are_means_over_sequences():
    network = gf.Network.of_couplings(gf.ElmanRNN(), {"h": 0.9 * np.eye(N)})
    received = np.zeros((2, 200, N))
    received[1] = 50.0  # tanh' is zero there: this sequence keeps nothing
    run = LayerRun(network, {"h": received}, np.zeros((2, 201, 1, N)))
    found, status, notes = gradients_of(run, horizon=200, readouts=16)
    # The other has half of the readouts: 8 N squares of normal numbers of 16 N.
    share = np.log(0.5) / 2
    assert status is Status.OK and found.readouts == 16 and notes == ()
    np.testing.assert_allclose(
        found.growth, 200 * np.log(0.9) + share, atol=4 / np.sqrt(2 * 16 * N)
    )
    np.testing.assert_allclose(found.rate, np.log(0.9), rtol=1e-6)


def test_times_bring_what_they_rest_on():
    values = np.linspace(-0.9, 0.6, N)
    stack = gf.LayeredNetwork([layer(gf.ElmanRNN(), {"h": np.diag(values)})])
    found: Any = gf.diagnose(stack, stages=("timescales",), effort="quick", progress=False)
    (only,) = found.layers
    assert [stage.name for stage in only.stages] == ["spectra", "exponents", "timescales"]
    np.testing.assert_allclose(only.timescales.memory_time, -1 / np.log(0.9), rtol=1e-6)


def test_advice_alone_is_about_all_parts(monkeypatch):
    asked = []

    def noted(subject, wanted, *given, **options):
        asked.extend(wanted)
        raise KeyboardInterrupt

    module = importlib.import_module("gatefield.diagnosis.diagnose")  # hidden by the function
    monkeypatch.setattr(module, "diagnose_layer", noted)
    stack = gf.LayeredNetwork([layer(gf.ElmanRNN(), {"h": np.zeros((N, N))})])
    with pytest.raises(KeyboardInterrupt):
        gf.diagnose(stack, stages=("advice",), progress=False)
    assert asked == list(STAGES)


def test_what_was_not_given_is_said(contracting):
    diagnosis = contracting[0]
    assert not diagnosis.driven and diagnosis.sequences == 0
    assert "input is zero" in diagnosis.notes[0]
    assert diagnosis.status is Status.OK and diagnosis.layers[0].status is Status.OK
    assert [stage.name for stage in diagnosis.layers[0].stages] == list(DYNAMIC)
    assert diagnosis.layers[0].couplings is None and diagnosis.layers[0].ensemble is None


@pytest.fixture(scope="module")
def lone_gates():
    """Return the diagnosis of GRU units with biases and inputs alone, their biases and inputs."""
    rng = np.random.default_rng(0)
    bias_z = rng.normal(1.0, 1.5, N)
    x = rng.standard_normal((2, STEPS, FEATURES))
    cell = gf.GRU(bias_r=4.0, bias_z=bias_z, bias_n=0.3)
    nothing = dict.fromkeys("rzn", np.zeros((N, N)))
    network = gf.Network.of_couplings(cell, nothing)
    weights = {"r": np.zeros((N, FEATURES)), "z": np.zeros((N, FEATURES))}
    W = 0.2 * rng.standard_normal((N, FEATURES))
    stack = gf.LayeredNetwork([Layer(network, weights | {"n": W})])
    return (
        gf.diagnose(stack, x, stages=GATED, effort="quick", progress=False).layers[0],
        bias_z,
        W,
        x,
    )


def test_gate_times_are_those_of_the_biases(lone_gates):
    found, bias_z, _, _ = lone_gates
    z = expit(bias_z)
    # A at fixed fields is z itself; every state gives the same N times.
    times = np.sort(-1 / np.log(z))
    np.testing.assert_allclose(found.timescales.gate_time, np.median(times), rtol=1e-12)
    known = [np.min(np.abs(times - each)) for each in found.timescales.gate_time_quantiles]
    np.testing.assert_allclose(known, 0, atol=1e-10)
    assert np.all(np.diff(found.timescales.gate_time_quantiles) > 0)
    np.testing.assert_allclose(found.timescales.memory_time, times[-1], rtol=1e-9)
    np.testing.assert_allclose(found.exponents.exponents, np.log(np.sort(z)[::-1]), atol=1e-10)


def test_gates_are_open_as_far_as_their_biases_say(lone_gates):
    found, bias_z, _, _ = lone_gates
    z, run = expit(bias_z), found.run
    assert run.gate_names == ("reset_gate", "update_gate")
    np.testing.assert_allclose(run.gate_mean, [expit(4.0), z.mean()], rtol=1e-12)
    np.testing.assert_allclose(run.gate_spread, [0, z.std()], atol=1e-12)
    np.testing.assert_allclose(run.gate_open, [1, np.mean(z > 0.95)], rtol=1e-12)
    np.testing.assert_allclose(run.gate_closed, [0, np.mean(z < 0.05)], rtol=1e-12)
    np.testing.assert_allclose(run.gate_histogram.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(run.opening[1], z.mean(), rtol=1e-12)
    warned = [each for each in found.advice if each.topic == "gates"]
    assert len(warned) == 1 and "reset gate" in warned[0].text


def test_drives_are_split_into_what_stays_and_what_varies(lone_gates):
    found, _, W, x = lone_gates
    drive = x @ W.T
    own = drive.mean(axis=(0, 1))
    place = found.drives.names.index("n")
    np.testing.assert_allclose(found.drives.static_variance[place], own.var(), rtol=1e-10)
    varying = np.mean((drive - own) ** 2)
    np.testing.assert_allclose(found.drives.varying_variance[place], varying, rtol=1e-10)
    np.testing.assert_allclose(found.drives.variance[place], drive.var(), rtol=1e-10)
    np.testing.assert_array_equal(found.drives.variance[:place], 0)
    np.testing.assert_array_equal(found.drives.correlation_time[:place], 0)
    # White in time; FEATURES directions, of which sampling shows a little less.
    assert 0 < found.drives.correlation_time[place] < 1
    assert 1 < found.drives.dimension[place] <= FEATURES


def test_states_of_the_run_are_those_of_a_loop(lone_gates):
    found, bias_z, W, x = lone_gates
    z, h, states = expit(bias_z), np.zeros((2, N)), []
    for step in range(STEPS):
        h = (1 - z) * np.tanh(0.3 + x[:, step] @ W.T) + z * h
        states.append(h)
    states = np.array(states)
    np.testing.assert_allclose(found.run.mean, states.mean(), rtol=1e-10)
    np.testing.assert_allclose(found.run.variance, states.var(), rtol=1e-10)
    np.testing.assert_allclose(found.run.activity_variance[-1], states[-1].var(), rtol=1e-10)


def test_the_fixed_point_under_the_mean_input_is_that_of_the_candidate(lone_gates):
    found, bias_z, W, x = lone_gates
    target = np.tanh(0.3 + W @ x.mean(axis=(0, 1)))
    size = np.sqrt(np.mean(target**2))
    np.testing.assert_allclose(found.slow_points.sizes, [size], rtol=1e-9)
    np.testing.assert_allclose(found.slow_points.leading_edges, [expit(bias_z).max()], rtol=1e-9)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"inputs": np.zeros((STEPS, FEATURES + 1))}, "inputs.shape"),
        ({"inputs": np.zeros((1, FEATURES))}, "steps of inputs"),
        ({"inputs": np.full((STEPS, FEATURES), np.nan)}, "inputs"),
        ({"effort": "much"}, "effort"),
        ({"stages": ("spectrum",)}, "stages"),
        ({"stages": "spectra"}, "stages"),
        ({"seed": -1}, "seed"),
    ],
    ids=["features", "one_step", "nan", "effort", "stage", "string", "seed"],
)
def test_what_does_not_fit_is_refused(given, match):
    stack = gf.LayeredNetwork([layer(gf.ElmanRNN(), {"h": np.zeros((N, N))})])
    with pytest.raises(InvalidInputError, match=match):
        gf.diagnose(stack, **given)


def test_a_single_network_is_refused():
    network = gf.Network.sample(gf.ElmanRNN(), N)
    with pytest.raises(InvalidInputError, match="a LayeredNetwork"):
        gf.diagnose(network)  # pyright: ignore[reportArgumentType]


def test_a_part_that_fails_says_so_and_the_others_go_on():
    # Rectified units that multiply by 100: infinite after 154 steps.
    cell = gf.ElmanRNN(bias=1.0, activation="relu")
    stack = gf.LayeredNetwork([layer(cell, {"h": 100.0 * np.eye(N)})])
    x = np.zeros((200, FEATURES))
    stages = ("couplings", "biases", "run", "exponents", "advice")
    found: Any = gf.diagnose(stack, x, stages=stages, progress=False)
    only: Any = found.layers[0]
    assert only.couplings is not None and only.stage("couplings").status is Status.OK
    np.testing.assert_allclose(only.couplings.gain, 100.0, rtol=1e-12)
    assert only.run is None and only.exponents is None
    assert only.stage("run").status is Status.DIVERGED and found.status is Status.DIVERGED
    assert "failed" in only.stage("run").notes[0]
    assert "Rescale the inputs" in only.stage("run").notes[0]
    assert "does not look at run, exponents" in only.stage("advice").notes[0]
    assert any(note.startswith("exponents: ") for note in only.notes)
    assert only.part("couplings") is only.couplings
    with pytest.raises(InvalidInputError, match="The run along the inputs failed"):
        only.part("run")
    with pytest.raises(InvalidInputError, match=r"stages=\('spectra',\)"):
        only.part("spectra")


def test_progress_is_shown_when_asked_for(capsys):
    stack = gf.LayeredNetwork([layer(gf.ElmanRNN(), {"h": np.zeros((N, N))})])
    gf.diagnose(stack, stages=("couplings", "biases"), progress=True)
    shown = capsys.readouterr().err
    assert "diagnose" in shown and "3/3" in shown
    gf.diagnose(stack, stages=("couplings",), progress=False)
    assert capsys.readouterr().err == ""


def test_results_become_datasets(lone_gates):
    for part in (lone_gates[0].run, lone_gates[0].drives, lone_gates[0].spectra):
        data = part.to_dataset()
        assert data.attrs["result"] == type(part).__name__
    assert lone_gates[0].drives.to_dataset()["correlation_time"].attrs["units"] == "step"
    with pytest.raises(InvalidInputError, match="name"):
        lone_gates[0].stage("couplings")
