"""The matched ensemble and the advice it gives, where the theory is known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import gatefield as gf
from gatefield.diagnosis.advice import (
    Advice,
    chaos_advice,
    gate_advice,
    memory_advice,
    outlier_advice,
    sorted_advice,
    structure_advice,
)
from gatefield.diagnosis.couplings import couplings_of
from gatefield.networks import Layer

N = 100
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
    # Finite size moves eigenvalues by a few per cent, which the result says.
    assert abs(found.structure["leading_edge"]) < found.finite_size["leading_edge"] < 0.5 * gain


def test_the_critical_gain_of_the_elman_network_is_one(quiet):
    found = quiet.ensemble
    # Found to a hundredth of the gain's logarithm.
    np.testing.assert_allclose(found.critical_gain, 1.0, rtol=0.01)
    assert found.critical_lyapunov == 0
    (advice,) = (each for each in quiet.advice if each.topic == "gain")
    assert advice.kind == "proposal" and "leading edge 1" in advice.text
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
    topics = [each.topic for each in found.advice]
    assert "outliers" in topics and "structure" in topics
    assert found.spectra.outside.tolist() == [1] * len(found.spectra.outside)


@pytest.mark.slow
def test_a_driven_gru_is_as_theory_says_of_its_ensemble():
    cell = gf.GRU(gain_r=0.6, gain_z=0.7, gain_n=0.9, bias_z=1.0)
    x = np.random.default_rng(6).standard_normal((4, 300, 20))
    stack = stack_of(cell, 4, weights=0.2)
    found: Any = gf.diagnose(stack, x, effort="quick", progress=False).layers[0]
    ensemble = found.ensemble
    assert ensemble.method == "dynamic"
    for name, difference in ensemble.structure.items():
        assert abs(difference) < ensemble.finite_size[name], name
    np.testing.assert_allclose(
        [ensemble.parameters[f"gain_{name}"] for name in "rzn"], [0.6, 0.7, 0.9], rtol=0.03
    )
    np.testing.assert_allclose(ensemble.parameters["bias_z"], 1.0, rtol=1e-12)
    assert ensemble.critical_gain > 0.9 and not [a for a in found.advice if a.topic == "outliers"]
    (memory,) = (each for each in found.advice if each.topic == "memory")
    kept = expit(memory.values["wanted_bias"] + ensemble.parameters["input_mean_z"]) ** 300
    np.testing.assert_allclose(kept, np.exp(-1), rtol=1e-9)


@pytest.mark.slow
def test_an_lstm_has_every_part():
    cell = gf.LSTM(gain_i=0.6, gain_f=0.6, gain_g=0.8, gain_o=0.6, bias_f=2.0)
    x = np.random.default_rng(7).standard_normal((2, 200, 20))
    network = gf.Network.sample(cell, 48, seed=5)
    W = 0.2 * np.random.default_rng(8).standard_normal((48, 20))
    stack = gf.LayeredNetwork([Layer(network, dict.fromkeys("ifgo", W))])
    found: Any = gf.diagnose(stack, x, effort="quick", progress=False).layers[0]
    assert found.components == 2 and set(found.gradients.adjoint_variance) == {"h", "c"}
    assert found.run.gate_names == ("input_gate", "forget_gate", "output_gate")
    # A unit's own block has the eigenvalues 0 and f: the gate time is that of the forget gate.
    middle = found.run.gate_quantiles[1, 2]
    np.testing.assert_allclose(found.timescales.gate_time, -1 / np.log(middle), rtol=0.1)
    assert found.exponents.exponents.size == 96 and found.ensemble.bias_name == "bias_f"
    for name in ("couplings", "biases", "drives", "run", "spectra", "slow_points"):
        assert getattr(found, name) is not None


def test_the_forgetting_bias_keeps_a_state_for_the_sequence(quiet):
    # No gates, no proposal.
    assert list(memory_advice(quiet.ensemble, quiet.timescales, 100)) == []
    assert list(memory_advice(None, quiet.timescales, 100)) == []


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
