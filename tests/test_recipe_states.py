"""Which state a recipe's target is met in: zero, where modules start, or where networks settle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError, OutsideDomainWarning
from gatefield.initialise import critical_cell, recipes

BEYOND = {"RNN": 1.3, "GRU": 1.3, "LSTM": 1.3, "gated": 0.1}
BIASES = {"RNN": "bias", "GRU": "bias_n", "LSTM": "bias_g", "gated": "beta_h"}
GAINS = {"RNN": "gain", "GRU": "gain_n", "LSTM": "gain_g", "gated": "g_h"}


def gain_of(kind: str, **options: Any) -> float:
    return float(getattr(critical_cell(kind, **options), GAINS[kind]))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def elman(edge: float, bias: float) -> float:
    return edge * math.cosh(bias) ** 2


def gru(edge: float, bias_n: float, bias_z: float, bias_hn: float) -> float:
    """Return the candidate's gain at zero, where all three couplings act; other gains are 1."""
    z, r = sigmoid(bias_z), 0.5
    n = math.tanh(bias_n + r * bias_hn)
    by_z = z * (1 - z) * n
    by_r = (1 - z) * (1 - n**2) * r * (1 - r) * bias_hn
    by_n = (1 - z) * (1 - n**2) * r
    return math.sqrt((edge - z) ** 2 - by_z**2 - by_r**2) / by_n


def gated(edge: float, beta_h: float, tau_z: float, tau_r: float) -> float:
    """Return the gain at zero: units send tanh(beta), so that all have a field, and gates respond.

    The matrix over fields h, z, r of <|Y|^2> has spectral radius one, with open gates one half.
    """
    t, s = math.tanh(beta_h), 0.5

    def excess(gain: float) -> float:
        slope = gain * (1 - t**2)
        by_h = slope * s / (edge + s)
        # The update gate passes the field on, of size t s.
        by_z = slope * 0.25 * t * s / (edge + s) / (1 + tau_z * edge)
        by_r = t * 0.25 / (1 + tau_r * edge)
        reads_phi = [by_h**2, by_z**2, 0.0]
        matrix = np.array([[(s * by_h) ** 2, (s * by_z) ** 2, by_r**2], reads_phi, reads_phi])
        return float(np.max(np.abs(np.linalg.eigvals(matrix)))) - 1

    root: Any = brentq(excess, 0.1, 20.0, xtol=1e-13)
    return root


STARTS = {
    "RNN": ("RNN", {"bias": 0.5}, elman(1.3, 0.5)),
    "GRU": (
        "GRU",
        {"bias_n": 0.5, "bias_z": 1.0, "bias_hn": -2.0},
        gru(1.3, 0.5, 1.0, -2.0),
    ),
    "gated": ("gated", {"beta_h": 0.5, "tau_z": 2.0, "tau_r": 0.5}, gated(0.1, 0.5, 2.0, 0.5)),
}


@pytest.mark.parametrize("case", STARTS)
def test_zero_under_a_bias_in_closed_form(case):
    kind, parameters, expected = STARTS[case]
    found = gain_of(kind, value=BEYOND[kind], at="start", **parameters)
    assert found == pytest.approx(expected, rel=1e-9)


def test_zero_of_units_of_their_own():
    """<g^2 / cosh^4(b)> over units is the square of the radius."""
    biases = np.array([0.5, -1.0, 0.2])
    expected = 1.1 / math.sqrt(np.mean(np.cosh(biases) ** -4.0))
    assert gain_of("RNN", value=1.1, at="start", bias=biases) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", BEYOND)
def test_start_is_continuous_in_the_bias(kind):
    """Also beyond the edge; the bias enters by its square."""
    plain = gain_of(kind, value=BEYOND[kind])
    assert gain_of(kind, value=BEYOND[kind], at="start") == plain
    small = 1e-4
    biased = gain_of(kind, value=BEYOND[kind], at="start", **{BIASES[kind]: small})
    assert 0 < biased / plain - 1 < 10 * small**2


def test_settled_state_is_continuous_in_the_bias():
    """Inside the edge it is the zero state, beyond it the moving one, whose gain is another."""
    for value in (0.9, 1.3):
        without = gain_of("RNN", value=value, at="state")
        biased = gain_of("RNN", value=value, at="state", bias=1e-4)
        assert abs(biased / without - 1) < 1e-6
        assert (without == pytest.approx(value, rel=1e-14)) == (value < 1)
    # The quadrature of test_recipes finds it, too; 2.665 is what the review of the jump measured.
    assert without == pytest.approx(2.6655, abs=1e-4)


@pytest.mark.parametrize("bias", [0.0, 1e-4])
def test_settled_state_beyond_the_edge_moves_with_a_bias_or_without(bias, monkeypatch):
    """Theory of moving states is asked either way; a fixed point that none stays in never is."""
    asked = []
    monkeypatch.setattr(
        recipes, "moving_gain", lambda make, sources, *given, seed: asked.append(given) or 3.0
    )
    assert gain_of("gated", value=0.1, at="state", beta_h=bias) == 3.0
    # The search begins at the closed form of the zero state: (edge + 1/2) / (1/4).
    assert asked == [(0.1, "leading_edge", pytest.approx(2.4))]


def test_values_beyond_the_edge_with_a_bias_warn_of_the_two_states():
    with pytest.warns(OutsideDomainWarning, match="at='start'"):
        found = gain_of("RNN", value=1.3, bias=0.1)
    assert found == gain_of("RNN", value=1.3, bias=0.1, at="state")
    # Inside the edge there is one state, and nothing to warn of.
    assert gain_of("RNN", value=0.9, bias=0.1) == gain_of("RNN", value=0.9, bias=0.1, at="state")


REFUSALS = {
    "a name": ({"at": "zero"}, "'start'"),
    "an exponent": ({"at": "start", "quantity": "lyapunov"}, "lasts"),
    "inputs": ({"at": "start", "inputs": {"h": 1.0}}, "inputs"),
    "a kink": ({"at": "start", "activation": "relu", "bias": 0.5}, "kink"),
    "weights": ({"weight_variance": 1.0}, "InputStatistics"),
    "weights of inputs": ({"weight_variance": 1.0, "inputs": {"h": 1.0}}, "InputStatistics"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    options, words = REFUSALS[case]
    with pytest.raises(InvalidInputError, match=words):
        critical_cell("RNN", **options)


@pytest.mark.parametrize("bias", [-1.0, -0.1, 0.5])
def test_rectified_networks_with_a_bias_have_no_critical_state(bias):
    """<max(0, x)^2> > <theta> V under a positive bias, and less under a negative one: never 1."""
    with pytest.raises(NumericalFailureError, match="below 1 only"):
        critical_cell("RNN", activation="relu", bias=bias)


def test_rectified_network_inside_its_edge():
    """A bias so strong that no unit is off: g^2 = radius^2, where the mean is far above V."""
    found = critical_cell("RNN", activation="relu", bias=0.5, value=0.05)
    assert isinstance(found, gf.ElmanRNN)
    assert float(found.gain) == pytest.approx(0.05, rel=1e-12)
