"""Recipes against closed forms, quadrature and networks iterated to their fixed points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.optimize import fsolve

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.initialise import InputStatistics, chrono_cell, critical_cell, marginal_cell
from gatefield.initialise.driven import mean_field, output_statistics
from gatefield.initialise.sources import sources_of, with_sources


def candidate_gain(cell: Any) -> float:
    names = ("gain_n", "gain_g", "gain", "g_h")
    return float(next(getattr(cell, name) for name in names if hasattr(cell, name)))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


CLOSED = {
    "rnn": ("RNN", {}, 1.0),
    "rnn inside": ("RNN", {"value": 0.8}, 0.8),
    "relu": ("RNN", {"activation": "relu", "value": 1.1}, 1.1 * math.sqrt(2)),
    "gru": ("GRU", {}, 2.0),
    "gru, any z": ("GRU", {"bias_z": 3.0, "bias_r": 1.0}, 1 / sigmoid(1.0)),
    "gru beyond": ("GRU", {"value": 1.2, "bias_z": 0.0}, (1.2 - 0.5) / 0.25),
    "lstm": ("LSTM", {}, 2.0),
    "lstm, forget bias 1": ("LSTM", {"bias_f": 1.0}, (1 - sigmoid(1.0)) / 0.25),
    "lstm, exponent": ("LSTM", {"quantity": "lyapunov", "value": -0.1}, None),
    "gated": ("gated", {}, 2.0),
    "gated inside": ("gated", {"value": -0.25}, 1.0),
}


@pytest.mark.parametrize("case", CLOSED)
def test_zero_state_in_closed_form(case):
    kind, options, expected = CLOSED[case]
    if expected is None:
        expected = (math.exp(-0.1) - 0.5) / 0.25
    assert candidate_gain(critical_cell(kind, **options)) == pytest.approx(expected, rel=1e-14)


def test_zero_state_of_units_of_their_own_is_the_boundary_of_the_spectrum():
    """By gf.spectral_boundary, which knows no recipe, of a network with these very units."""
    rng = np.random.default_rng(0)
    z, r = rng.normal(1, 1, 200), rng.normal(0, 1, 200)
    cell = critical_cell("GRU", value=1.1, bias_z=z, bias_r=r)
    network = gf.Network.sample(cell, 200, seed=1)
    edge = gf.spectral_boundary(gf.linearise(network, np.zeros((1, 200)))).leading_edge
    assert float(edge) == pytest.approx(1.1, rel=1e-9)


CASES = [(0.0, 0.3, 0.9), (0.4, 0.0, 0.9), (0.2, 1.5, 0.9), (0.0, 0.0, 1.1)]


@pytest.mark.parametrize(("bias", "variance", "radius"), CASES)
def test_driven_or_chaotic_rnn_by_quadrature(bias, variance, radius):
    """g^2 <tanh'^2> = radius^2 at the variance g^2 <tanh^2> + input, by adaptive quadrature."""

    def average(function, width):
        law = stats.norm.pdf
        found = integrate.quad(lambda x: law(x) * function(bias + width * x), -9, 9, epsabs=1e-13)
        return found[0]

    def equations(unknown):
        gain, width = unknown
        square = average(lambda x: math.tanh(x) ** 2, width)
        slope = average(lambda x: math.cosh(x) ** -4, width)
        return [gain**2 * square + variance - width**2, gain**2 * slope - radius**2]

    found: Any = fsolve(equations, [1.2, math.sqrt(variance + 0.5)], xtol=1e-13)
    gain = found[0]
    inputs = {"h": gf.GaussianInput(variance=variance, correlation_time=2.0)}
    options = {"bias": bias, "inputs": inputs if variance > 0 else None}
    cell = critical_cell("RNN", quantity="lyapunov", value=math.log(radius), **options)
    assert candidate_gain(cell) == pytest.approx(gain, rel=1e-8)
    if radius < 1:
        other = critical_cell("RNN", value=radius, **options)
        assert candidate_gain(other) == candidate_gain(cell)


def test_relu_with_bias_runs_away_at_the_edge():
    with pytest.raises(NumericalFailureError, match="no gain"):
        critical_cell("RNN", activation="relu", bias=0.5, value=1.2)


@pytest.mark.slow
def test_static_state_of_biased_candidates_in_networks():
    """The fixed point that a GRU of N units falls into, and the spectrum of its Jacobian there."""
    n, target = 500, 0.9
    cell = critical_cell("GRU", bias_n=0.5, value=target)
    edges = []
    for seed in range(4):
        network = gf.Network.sample(cell, n, seed=seed)
        state = gf.simulate(network, 200, initial=np.zeros((1, n))).states[-1]
        again = gf.simulate(network, 1, initial=state).states[-1]
        np.testing.assert_allclose(again, state, atol=1e-8)
        eigenvalues = np.linalg.eigvals(gf.jacobian(network, state).as_matrix())
        edges.append(np.max(np.abs(eigenvalues)))
    # Edges scatter by some 1 / sqrt(N) of the spectrum's part that couplings make.
    assert abs(np.mean(edges) - target) < 1 / math.sqrt(n)


@pytest.mark.slow
def test_exponent_of_driven_gated_networks():
    given = gf.GaussianInput(variance=0.02, correlation_time=2.0)
    options = {"alpha_z": 0.0, "input_gating": "update"}
    cell = critical_cell("gated", inputs={"h": given}, quantity="lyapunov", **options)
    assert 2.02 < candidate_gain(cell) < 4.0
    found = []
    for seed in range(2):
        network = gf.Network.sample(cell, 200, seed=seed)
        path = given.realise(200, 500.0, seed=seed)
        run = gf.lyapunov_spectrum(network, 1, t_max=300.0, burn_in=60.0, inputs={"h": path})
        found.append(float(run.exponents[0]))
    # Theory's own sampling error is some 1e-3, and networks of N units lie off by some 1/N.
    assert abs(np.mean(found)) < 5 / 200


def test_marginal_gate_times():
    n = 4000
    for kind, gate in (("GRU", "bias_z"), ("LSTM", "bias_f"), ("gated", "beta_z")):
        cell = marginal_cell(kind, units=n, horizon=300.0, shortest=4.0, seed=1)
        x = np.asarray(getattr(cell, gate))
        times = 1 + np.exp(-x) if kind == "gated" else -1 / np.log(1 / (1 + np.exp(-x)))
        # The standard error of the fraction of n units beyond a 10 per cent quantile.
        slack = 3 * math.sqrt(0.09 / n)
        assert abs(np.mean(times > 300) - 0.1) < slack and abs(np.mean(times < 4) - 0.1) < slack
        assert candidate_gain(cell) == pytest.approx(2.0, rel=1e-12)


def test_marginal_growth_is_the_leading_edge():
    n, horizon = 300, 100.0
    cell = marginal_cell("GRU", units=n, horizon=horizon, growth=1.0, seed=2)
    network = gf.Network.sample(cell, n, seed=1)
    edge = gf.spectral_boundary(gf.linearise(network, np.zeros((1, n)))).leading_edge
    assert horizon * math.log(edge) == pytest.approx(1.0, rel=1e-6)
    assert candidate_gain(cell) > 2.1


def test_chrono_biases():
    for kind, gate, sign in (("GRU", "bias_z", 1), ("LSTM", "bias_f", 1), ("gated", "beta_z", -1)):
        cell = chrono_cell(kind, units=1000, horizon=50.0, seed=3)
        drawn = np.exp(sign * np.asarray(getattr(cell, gate)))
        found = stats.kstest(drawn, stats.uniform(1, 48).cdf).statistic
        # Exceeded once in a thousand.
        assert found < 1.95 / math.sqrt(1000)


def test_several_sources_to_one_drive():
    moving = gf.GaussianInput(variance=0.2, correlation_time=1.0)
    lasting = gf.GaussianInput(variance=0.1)
    sources = sources_of(gf.GRU(), {"z": (moving, lasting), "n": 0.5}, None)
    cell, inputs = with_sources(gf.GRU(bias_n=0.3), sources)
    assert set(inputs) == {"z", "n", "further_0"} and inputs["n"].mean == 0.5
    state, fields = {"h": 0.2}, {"r": 0.1, "z": -0.3, "n": 0.7}
    drive = {"r": 0.0, "z": 0.4, "n": 0.5, "further_0": -0.9}
    plain = gf.GRU(bias_n=0.3).rule(state, fields, {"r": 0.0, "z": -0.5, "n": 0.5})
    assert float(cell.rule(state, fields, drive)["h"]) == pytest.approx(float(plain["h"]))


@pytest.mark.slow
def test_statistics_of_a_layer_for_the_one_above():
    """Against a network's own output: what stays of each unit, what moves, and for how long."""
    given = InputStatistics(np.full(40, 0.5), np.ones(40), 3.0)
    cell, weight = gf.GRU(gain_n=2.0, bias_z=1.0), 0.05
    predicted = output_statistics(mean_field(cell, sources_of(cell, given, weight)), 300)
    n, steps = 300, 3000
    network = gf.Network.sample(cell, n, seed=0)
    inputs: dict[str, Any] = {}
    for place, name in enumerate("rzn"):
        moving = gf.GaussianInput(variance=40 * weight, correlation_time=3.0)
        path: Any = moving.realise(n, steps + 2.0, dt=1.0, seed=place)
        lasting = math.sqrt(10 * weight) * np.random.default_rng(place).normal(size=n)
        inputs[name] = lambda time, p=path, c=lasting: p(time) + c
    h = gf.simulate(network, steps, inputs=inputs).states[500:, 0]
    mean, centred = h.mean(0), h - h.mean(0)
    # A fifth: the fourth moments of 300 units, and of some 200 correlation times.
    assert np.mean(mean**2) == pytest.approx(float(np.mean(predicted.mean**2)), rel=0.2)
    assert np.mean(centred**2) == pytest.approx(float(np.mean(predicted.variance)), rel=0.2)
    first = np.mean(centred[1:] * centred[:-1]) / np.mean(centred**2)
    assert -1 / math.log(first) == pytest.approx(predicted.correlation_time, rel=0.2)


REFUSALS = {
    "a kind": (lambda: critical_cell("gru"), "'GRU'"),
    "a quantity": (lambda: critical_cell("GRU", quantity="radius"), "leading_edge"),
    "its own gain": (lambda: critical_cell("GRU", gain_n=2.0), "gain_n"),
    "a slow gate": (lambda: critical_cell("LSTM", value=0.4), "0.5"),
    "a slow tau": (lambda: critical_cell("gated", value=-0.3, tau_r=5.0), "-0.2"),
    "statistics": (
        lambda: critical_cell("RNN", inputs=InputStatistics([0.0], [1.0])),
        "weight_variance",
    ),
    "a drive": (lambda: critical_cell("RNN", inputs={"z": 1.0}), "'h'"),
    "units": (lambda: critical_cell("GRU", bias_n=0.1, bias_z=np.ones(3)), "numbers"),
    "no gates": (lambda: marginal_cell("RNN", units=3, horizon=9), "no gate"),
    "a biased candidate": (
        lambda: marginal_cell("GRU", units=3, horizon=9, bias_n=1.0),
        "gf.design",
    ),
    "a flow's time": (lambda: marginal_cell("gated", units=3, horizon=9, shortest=1.0), "shortest"),
    "a shrinking edge": (lambda: marginal_cell("GRU", units=99, horizon=9, growth=-1), "slowest"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    call, words = REFUSALS[case]
    with pytest.raises(InvalidInputError, match=words):
        call()
