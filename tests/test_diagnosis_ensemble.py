"""The matched ensemble and the advice it gives, where the theory is known in closed form."""

from __future__ import annotations

from typing import Any

import diagnosed
import equinox as eqx
import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit
from test_diagnosis_chaos import theory

import gatefield as gf
from gatefield.diagnosis import critical
from gatefield.diagnosis.advice import (
    Advice,
    chaos_advice,
    gain_advice,
    gate_advice,
    memory_advice,
    outlier_advice,
    sorted_advice,
    structure_advice,
)
from gatefield.diagnosis.biases import biases_of
from gatefield.diagnosis.couplings import couplings_of
from gatefield.diagnosis.effort import limits_of
from gatefield.diagnosis.exponents import Followed
from gatefield.diagnosis.gates import run_statistics
from gatefield.diagnosis.matched import Matched, matched_ensemble
from gatefield.diagnosis.random_networks import affordable
from gatefield.diagnosis.runs import LayerRun, layer_runs, sequences_of
from gatefield.diagnosis.timescales import timescales_of
from gatefield.networks import Layer, Series

N, FEATURES = 100, 3
STAGES = ("spectra", "timescales", "ensemble", "advice")


def stack_of(cell, seed, weights=0.0, features=20):
    network = gf.Network.sample(cell, N, seed=seed)
    W = weights * np.random.default_rng(seed).standard_normal((N, features))
    return gf.LayeredNetwork([Layer(network, dict.fromkeys(cell.drive_names, W))])


@pytest.fixture(scope="module")
def quiet():
    """Return the diagnosis of an Elman network at rest, of gain one half."""
    stack = stack_of(gf.ElmanRNN(0.5), 3)
    return gf.diagnose(stack, stages=STAGES, effort="quick", progress=False).layers[0]


def test_the_ensemble_at_rest_has_the_circular_law(quiet):
    found, gain = quiet.ensemble, quiet.couplings.gain[0]
    assert found.method == "static" and found.gain_name == "gain"
    np.testing.assert_allclose(found.predicted["leading_edge"], gain, rtol=1e-3)
    np.testing.assert_allclose(found.predicted["lyapunov"], np.log(gain), rtol=1e-3)
    np.testing.assert_allclose(found.radius_here, gain, rtol=1e-6)
    assert found.predicted["variance"] == 0


def test_random_networks_at_rest_scatter_as_ginibre_matrices(quiet):
    found, draws = quiet.ensemble, 100
    matrices = np.random.default_rng(11).standard_normal((draws, N, N))
    edges = np.abs(np.linalg.eigvals(matrices)).max(axis=1) / np.sqrt(N) * quiet.couplings.gain[0]
    count = found.networks
    mean, spread = found.random_mean["leading_edge"], found.random_spread["leading_edge"]
    error = edges.std(ddof=1) * np.sqrt(1 / count + 1 / draws)
    np.testing.assert_allclose(mean, edges.mean(), atol=4 * error)
    # A ratio of two sample variances, one in a thousand to either side.
    ratio = spread**2 / edges.var(ddof=1)
    low, high = stats.f.ppf([0.001, 0.999], count - 1, draws - 1)
    assert low < ratio < high
    # The layer is one more such matrix: 99 in a hundred lie within the interval of Student's t.
    width = stats.t.ppf(0.995, count - 1) * spread * np.sqrt(1 + 1 / count)
    np.testing.assert_allclose(found.finite_size["leading_edge"], width, rtol=1e-12)
    difference = found.measured["leading_edge"] - mean
    np.testing.assert_allclose(found.structure["leading_edge"], difference, rtol=1e-12)
    assert abs(difference) < width


def test_the_critical_gain_of_the_elman_network_is_one(quiet):
    found = quiet.ensemble
    # Found to a hundredth of the gain's logarithm.
    np.testing.assert_allclose(found.critical_gain, 1.0, rtol=0.01)
    # The fixed point is zero, whatever the samples of theory.
    np.testing.assert_allclose(found.critical_error, 0.0, atol=1e-12)
    assert found.critical_state == "fixed point"
    (advice,) = (each for each in quiet.advice if each.topic == "gain")
    assert advice.kind == "proposal" and "at the edge of stability" in advice.text
    assert "inputs" not in advice.text + advice.evidence
    np.testing.assert_allclose(advice.values["critical_gain"], 1.0, rtol=0.01)


def test_the_plane_without_bias_has_its_line_at_gain_one(quiet):
    found = quiet.ensemble
    middle = len(found.biases) // 2
    assert found.bias_name == "bias" and found.biases[middle] == 0
    np.testing.assert_allclose(found.radius[:, middle], found.gains, rtol=1e-3)
    # Interpolated linearly in ln(gain) between grid points a factor of two apart.
    np.testing.assert_allclose(found.line_gains[middle], 1.0, rtol=0.07)
    # A bias moves units to where tanh is flatter: more gain is needed.
    assert found.radius[1, 0] < found.radius[1, middle]


def test_states_that_still_fall_to_zero_are_no_structure(quiet):
    assert float(quiet.ensemble.finite_size["variance"]) >= 1e-9
    assert not [each for each in quiet.advice if each.topic == "structure"]


def test_structure_is_told_where_couplings_are_not_random():
    rng = np.random.default_rng(5)
    J = 0.4 * rng.standard_normal((N, N)) / np.sqrt(N)
    u = rng.standard_normal(N)
    u /= np.linalg.norm(u)
    network = gf.Network.of_couplings(gf.ElmanRNN(), {"h": J + 0.93 * np.outer(u, u)})
    stack = gf.LayeredNetwork([Layer(network, {"h": np.zeros((N, 20))})])
    found: Any = gf.diagnose(stack, stages=STAGES, effort="quick", progress=False).layers[0]
    # The outlier is beyond the disc: theory of the ensemble does not know it.
    np.testing.assert_allclose(found.ensemble.measured["leading_edge"], 0.93, atol=4 * 0.045)
    assert found.ensemble.structure["leading_edge"] > found.ensemble.finite_size["leading_edge"]
    # Random couplings of the same norm: the outlier's square is a hundredth of what they carry.
    gain = np.sqrt(0.4**2 + 0.93**2 / N)
    np.testing.assert_allclose(found.ensemble.random_mean["leading_edge"], gain, rtol=0.15)
    topics = [each.topic for each in found.advice]
    assert "outliers" in topics and "structure" in topics
    assert found.spectra.outside.tolist() == [1] * len(found.spectra.outside)


@pytest.mark.slow
def test_a_driven_gru_is_as_random_networks_and_as_theory_says():
    cell = gf.GRU(gain_r=0.6, gain_z=0.7, gain_n=0.9, bias_z=1.0)
    x = np.random.default_rng(6).standard_normal((2, 150, 20))
    stack = stack_of(cell, 4, weights=0.2)
    stages = ("ensemble", "advice")
    found: Any = gf.diagnose(stack, x, stages=stages, effort="quick", progress=False).layers[0]
    ensemble = found.ensemble
    assert ensemble.method == "dynamic" and ensemble.networks == 8
    for name, difference in ensemble.structure.items():
        # The layer was drawn from this ensemble.
        assert abs(difference) < ensemble.finite_size[name], name
    # Networks of 100 units differ from the limit by order 1 / N.
    scatter = ensemble.random_spread["lyapunov"] / np.sqrt(ensemble.networks)
    error = np.hypot(scatter, ensemble.standard_error["lyapunov"])
    np.testing.assert_allclose(
        ensemble.predicted["lyapunov"], ensemble.random_mean["lyapunov"], atol=4 * error + 1 / N
    )
    np.testing.assert_allclose(
        [ensemble.parameters[f"gain_{name}"] for name in "rzn"], [0.6, 0.7, 0.9], rtol=0.03
    )
    np.testing.assert_allclose(ensemble.parameters["bias_z"], 1.0, rtol=1e-12)
    assert ensemble.critical_state == "run" and ensemble.critical_gain > 0.9
    assert not [a for a in found.advice if a.topic in ("outliers", "structure")]
    (memory,) = (each for each in found.advice if each.topic == "memory")
    raised = memory.values["wanted_bias"] - memory.values["bias"]
    kept = expit(memory.values["argument"] + raised) ** 150
    np.testing.assert_allclose(kept, np.exp(-1), rtol=1e-9)


@pytest.mark.slow
def test_an_lstm_has_every_measured_part():
    cell = gf.LSTM(gain_i=0.6, gain_f=0.6, gain_g=0.8, gain_o=0.6, bias_f=2.0)
    x = np.random.default_rng(7).standard_normal((2, 200, 20))
    network = gf.Network.sample(cell, 48, seed=5)
    W = 0.2 * np.random.default_rng(8).standard_normal((48, 20))
    stack = gf.LayeredNetwork([Layer(network, dict.fromkeys("ifgo", W))])
    stages = tuple(name for name in gf.diagnosis.STAGES if name != "ensemble")
    found: Any = gf.diagnose(stack, x, stages=stages, effort="quick", progress=False).layers[0]
    assert found.components == 2 and set(found.gradients.adjoint_variance) == {"h", "c"}
    assert found.run.gate_names == ("input_gate", "forget_gate", "output_gate")
    # A unit's own block has the eigenvalues 0 and f: the gate time is that of the forget gate.
    middle = found.run.gate_quantiles[1, 2]
    np.testing.assert_allclose(found.timescales.gate_time, -1 / np.log(middle), rtol=0.1)
    assert found.exponents.exponents.size == 96
    for name in ("couplings", "biases", "drives", "run", "spectra", "slow_points"):
        assert getattr(found, name) is not None
    matched = matched_ensemble(cell, found.couplings, found.biases, found.drives, found.run)
    assert matched.axes.gain == "gain_g" and matched.axes.bias == "bias_f"
    gains = [matched.parameters[f"gain_{name}"] for name in "ifgo"]
    np.testing.assert_allclose(gains, [0.6, 0.6, 0.8, 0.6], rtol=4 / (np.sqrt(2) * 48))
    assert float(matched.parameters["bias_f"]) == 2.0
    varying = found.drives.varying_variance
    np.testing.assert_allclose([matched.varying[name] for name in "ifgo"], varying, rtol=1e-12)


def driven_elman(n, variance, steps):
    """Return the ensemble and the inputs of an Elman network under white noise of its own."""
    network = gf.Network.sample(gf.ElmanRNN(2.0), n, seed=1)
    x = np.sqrt(variance) * np.random.default_rng(2).standard_normal((steps, n))
    matched = Matched(network.cell, {}, {}, {}, {}, {})
    return matched, network, Followed({"h": Series(x)}, np.zeros((1, n)))


def exact_edge(variance, n=48, draws=4000):
    """Return the gain of zero exponent at n units, by E ln |D J e| of white noise, and its error.

    Under white noise J e is normal and independent of the slopes in D, which differ much between
    units: a growth of few of them has a smaller mean logarithm than that of many.
    """
    z = np.random.default_rng(13).standard_normal((2, draws, n))

    def growths(gain):
        total = gain**2 * theory(gain, variance)[0] + variance
        slopes = 1 - np.tanh(np.sqrt(total) * z[0]) ** 2
        return np.log(gain**2 * np.mean((slopes * z[1]) ** 2, axis=1)) / 2

    edge: Any = brentq(lambda gain: growths(gain).mean(), 1, 9)
    rise = (growths(1.03 * edge).mean() - growths(edge).mean()) / (0.03 * edge)
    return edge, growths(edge).std() / np.sqrt(draws) / rise


@pytest.fixture
def few_units(monkeypatch):
    monkeypatch.setattr(critical, "UNITS", 48)


def test_critical_gains_of_several_seeds_scatter_as_their_error_says(few_units):
    given = driven_elman(48, 9.0, 640)
    found = [critical.critical_along(*given, networks=6, seed=seed) for seed in range(5)]
    gains, errors = (np.array([getattr(each, key) for each in found]) for key in ("gain", "error"))
    # Means of six, five times: variances with 4 and 25 degrees of freedom, one in a thousand.
    ratio = gains.var(ddof=1) / np.mean(errors**2)
    low, high = stats.f.ppf([0.001, 0.999], 4, 25)
    assert low < ratio < high
    exact, error = exact_edge(9.0)
    np.testing.assert_allclose(
        gains.mean(), exact, atol=4 * np.hypot(error, np.sqrt(np.sum(errors**2)) / 5)
    )


def test_large_layers_are_left_alone():
    limits, counts = limits_of("normal", 64, 1, 1), []
    for n in (64, 3000):
        network = gf.Network.of_couplings(gf.ElmanRNN(), {"h": np.zeros((n, n))}, dtype="float32")
        received = {"h": np.zeros((1, 40, n), np.float32)}
        run = LayerRun(network, received, np.zeros((1, 41, 1, n), np.float32))
        followed = Followed({"h": Series(received["h"][0])}, np.zeros((1, n)))
        counts.append(affordable(run, followed, limits))
    assert counts == [8, 0]


def test_without_scatter_known_no_gain_is_given(few_units):
    found = critical.critical_along(*driven_elman(48, 9.0, 640), networks=3, seed=0)
    assert np.isnan(found.gain) and found.state == ""


def test_no_gain_is_proposed_within_its_error():
    known = diagnosed.ensemble()
    near = eqx.tree_at(lambda e: (e.critical_gain, e.critical_error), known, (2.4, 0.25))
    far = eqx.tree_at(lambda e: (e.critical_gain, e.critical_error), known, (2.4, 0.15))
    assert list(gain_advice(near)) == []
    (advice,) = gain_advice(far)
    assert "2 to 2.40 +- 0.15" in advice.text and "scatters by 0.7" in advice.evidence
    np.testing.assert_allclose(advice.values["standard_error"], 0.15)


def test_a_zero_crossing_is_found_from_either_side():
    for start in (-1.0, 0.9):
        found = critical.zero_crossing(lambda x: np.expm1(x - 0.3), start)
        np.testing.assert_allclose(found, 0.3, atol=5e-3)
    assert np.isnan(critical.zero_crossing(lambda x: -1.0, 0.0))
    assert np.isnan(critical.zero_crossing(lambda x: np.nan, 0.0))


def test_the_bias_counts_what_shuts_the_gate():
    """A recurrent field that shuts the update gate is made up for, not taken for the bias."""
    rng = np.random.default_rng(12)
    n, length = 24, 40
    cell = gf.GRU(bias_z=5.5, bias_n=3.0)
    couplings = {name: np.zeros((n, n)) for name in "rn"} | {"z": np.full((n, n), -6.5 / n)}
    network = gf.Network.of_couplings(cell, couplings)
    W = np.zeros((n, FEATURES)), 0.01 * rng.standard_normal((n, FEATURES))
    stack = gf.LayeredNetwork([Layer(network, {"r": W[0], "z": W[0], "n": W[1]})])
    x = rng.standard_normal((1, length, FEATURES))
    chosen = sequences_of(stack, x, most=1, steps=length, seed=0)
    start = np.full_like(chosen.initial, np.tanh(3.0))
    (run,) = layer_runs(stack, chosen._replace(initial=start))
    described = run_statistics(run, 64), biases_of(cell, n), timescales_of(run, None, None)
    (advice,) = memory_advice(*described, length)
    # h stays near tanh(3): the field is -6.5 tanh(3), the argument 5.5 less that.
    argument = 5.5 - 6.5 * np.tanh(3.0)
    wanted = 5.5 - np.log(np.expm1(1 / length)) - argument
    np.testing.assert_allclose(advice.values["argument"], argument, atol=0.05)
    np.testing.assert_allclose(advice.values["wanted_bias"], wanted, atol=0.05)
    assert "take away 6.5" in advice.evidence


def test_without_gates_no_bias_is_proposed(quiet):
    assert list(memory_advice(quiet.run, quiet.biases, quiet.timescales, 100)) == []
    assert list(memory_advice(None, quiet.biases, quiet.timescales, 100)) == []


def test_parts_that_are_missing_give_no_advice():
    assert list(gate_advice(None)) == list(chaos_advice(None)) == list(outlier_advice(None)) == []
    assert list(structure_advice(None)) == []


def test_advice_comes_by_urgency():
    kinds = ("remark", "warning", "proposal", "warning")
    given = [Advice(kind=k, topic="gain", text=k, evidence="", values={}) for k in kinds]
    found = [each.kind for each in sorted_advice(iter(given))]
    assert found == ["warning", "warning", "proposal", "remark"]


def test_an_outlier_is_told_with_its_modulus():
    J = 0.1 * np.random.default_rng(9).standard_normal((N, N)) / np.sqrt(N)
    J[0, 0] += 2.0
    couplings, _ = couplings_of(gf.Network.of_couplings(gf.ElmanRNN(), {"h": J}))
    (advice,) = outlier_advice(couplings)
    np.testing.assert_allclose(advice.values["largest"], 2.0, atol=0.05)
    assert "1 eigenvalue outside" in advice.text


def test_low_rank_is_told_as_such():
    J = np.full((N, N), -0.75)
    couplings, _ = couplings_of(gf.Network.of_couplings(gf.ElmanRNN(), {"h": J}))
    (advice,) = outlier_advice(couplings)
    assert f"of rank 1 of {N}" in advice.text and "modulus 75" in advice.text
