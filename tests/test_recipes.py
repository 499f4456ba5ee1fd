"""Recipes against closed forms, quadrature and networks iterated to their fixed points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from recipe_networks import (
    extrapolated,
    gated_exponents,
    gru_edges,
    ornstein_uhlenbeck,
    white,
)
from scipy import integrate, stats
from scipy.optimize import fsolve

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.initialise import InputStatistics, chrono_cell, critical_cell, driven, marginal_cell
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
    # It keeps nothing: the leading edge in the state that it settles in is e to the exponent.
    other = critical_cell("RNN", value=radius, at="state", **options)
    assert candidate_gain(other) == candidate_gain(cell)


def test_relu_with_bias_runs_away_at_the_edge():
    with pytest.raises(NumericalFailureError, match="no gain"):
        critical_cell("RNN", activation="relu", bias=0.5, value=1.2, at="state")


@pytest.mark.slow
def test_static_state_of_biased_candidates_in_networks():
    """The fixed point that a GRU of N units falls into, and the spectrum of its Jacobian there."""
    gain = candidate_gain(critical_cell("GRU", bias_n=0.5, value=0.9))
    edge, error = extrapolated(lambda n: gru_edges(gain, 0.5, n, networks=16), 200)
    # An error of 0.011, where PyTorch's own gain would give 0.58 and the zero state's (1.6) 0.83.
    assert error < 0.02 and abs(edge - 0.9) < 3 * error


WHITE = gf.InputStatistics(np.zeros(20), np.ones(20), 0.01).held(0.1)
# What drives, how NumPy draws it, and the exponent to expect. Steps of 0.1 with data held are not
# quite noise of their power: solve_dmft with scheme="euler" has -0.007(3) at the gain of zero.
DRIVES = {
    # A step of data held for dt, with weights of variance 1/20: no more than white noise of power.
    "held data": (WHITE, 1 / 20, white, (-0.007, 0.003)),
    "slow": (
        {"h": gf.GaussianInput(variance=0.02, correlation_time=2.0)},
        None,
        ornstein_uhlenbeck(0.02, 2.0, 0.1),
        (0.0, 0.0),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", DRIVES)
def test_exponent_of_driven_gated_networks(case):
    inputs, weight, paths, (expected, uncertain) = DRIVES[case]
    options = {"alpha_z": 0.0, "quantity": "lyapunov", "weight_variance": weight}
    gain = candidate_gain(critical_cell("gated", inputs=inputs, **options))
    exponent, error = extrapolated(lambda n: gated_exponents(gain, n, paths), 200)
    # Standard errors of 0.006 and 0.004; the exponent rises by some 0.1 as the gain is doubled.
    assert error < 0.01 and abs(exponent - expected) < 3 * math.hypot(error, uncertain)


def test_inputs_far_faster_than_a_unit_are_slowed_at_equal_power(monkeypatch):
    """A step of 1e-4 would need a million steps of a path; the power is what units answer to."""
    solved = {}
    monkeypatch.setattr(driven, "solve_dmft", lambda cell, **given: solved.update(given))
    power = 0.1
    for tau_z, time in ((1.0, 1 / 40), (0.1, 1 / 400)):
        moving = gf.GaussianInput(variance=power / 1e-4, correlation_time=1e-4)
        lasting = gf.GaussianInput(variance=0.3, correlation_time=1000.0)
        cell = gf.GatedRNN(tau_z=tau_z)
        mean_field(cell, sources_of(cell, {"h": (moving, lasting)}, None))
        slowed, kept = solved["inputs"]["h"], solved["inputs"]["further_0"]
        assert slowed.correlation_time == pytest.approx(time)
        assert slowed.variance * slowed.correlation_time == pytest.approx(power)
        assert (kept.variance, kept.correlation_time) == (0.3, 1000.0)
        # No more steps of the shortest time than solve_dmft takes.
        assert solved["period"] == pytest.approx(min(2048, 32768 * time))
    mean_field(gf.GRU(), sources_of(gf.GRU(), {"n": moving}, None))
    assert solved["inputs"]["n"] == moving


def gate_times(cell: Any) -> np.ndarray:
    """Return the times in which units alone forget: sigma^t = 1/e of maps, 1 / sigma of flows."""
    if isinstance(cell, gf.GatedRNN):
        return 1 + np.exp(-np.asarray(cell.beta_z))
    if isinstance(cell, gf.LSTM):
        np.testing.assert_array_equal(cell.bias_i, -np.asarray(cell.bias_f))
    x = np.asarray(cell.bias_z if isinstance(cell, gf.GRU) else cell.bias_f)
    return -1 / np.log(1 / (1 + np.exp(-x)))


MEMORIES = ("GRU", "LSTM", "gated")


def test_marginal_gate_times():
    n = 4000
    for kind in MEMORIES:
        cell = marginal_cell(kind, units=n, horizon=300.0, shortest=4.0, times="log-normal", seed=1)
        times = gate_times(cell)
        # The standard error of the fraction of n units beyond a 10 per cent quantile.
        slack = 3 * math.sqrt(0.09 / n)
        assert abs(np.mean(times > 300) - 0.1) < slack and abs(np.mean(times < 4) - 0.1) < slack
        assert candidate_gain(cell) == pytest.approx(2.0, rel=1e-12)


def test_uniform_gate_times():
    """As many units for every lag; the edge stays where it is, since the keeping gate drops out."""
    n = 1000
    for kind in MEMORIES:
        cell = marginal_cell(kind, units=n, horizon=300.0, shortest=4.0, seed=1)
        found = stats.kstest(gate_times(cell), stats.uniform(4, 296).cdf).statistic
        # Exceeded once in a thousand.
        assert found < 1.95 / math.sqrt(n)
        assert candidate_gain(cell) == pytest.approx(2.0, rel=1e-12)


def test_uniform_gate_times_bring_slow_modes_but_no_unstable_ones():
    """Eigenvalues at the zero state by NumPy: an edge at 1 but for that of a normal matrix."""
    n, found = 200, {}
    matrix = np.random.default_rng(3).standard_normal((n, n)) / math.sqrt(n)
    for times in ("log-normal", "uniform"):
        cell: Any = marginal_cell("GRU", units=n, horizon=100.0, times=times, seed=0)
        z = 1 / (1 + np.exp(-cell.bias_z))
        eigenvalues = np.linalg.eigvals(np.diag(z) + 2.0 * 0.5 * (1 - z)[:, None] * matrix)
        found[times] = np.abs(eigenvalues)
    # Radii of 300 units have a standard deviation of 0.0011 (benchmarks/initialisers.py).
    assert all(abs(each.max() - 1) < 5 * 0.0011 for each in found.values())
    # One unit in five forgets within more than 50 steps of log-normal times, and one in two here.
    slow = {name: np.sum(each > math.exp(-1 / 50)) for name, each in found.items()}
    assert slow["uniform"] > 1.5 * slow["log-normal"] > 0


def test_marginal_growth_is_the_leading_edge():
    n, horizon = 300, 100.0
    cell = marginal_cell("GRU", units=n, horizon=horizon, times="log-normal", growth=1.0, seed=2)
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
    "times": (lambda: marginal_cell("GRU", units=3, horizon=9, times="even"), "log-normal"),
    "equal times": (
        lambda: marginal_cell("GRU", units=3, horizon=9, shortest=9, times="uniform"),
        "less than the horizon",
    ),
    "a flow's time": (lambda: marginal_cell("gated", units=3, horizon=9, shortest=1.0), "shortest"),
    # Some of log-normal times are longer than the horizon.
    "a shrinking edge": (
        lambda: marginal_cell("GRU", units=99, horizon=9, times="log-normal", growth=-1),
        "slowest",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    call, words = REFUSALS[case]
    with pytest.raises(InvalidInputError, match=words):
        call()
