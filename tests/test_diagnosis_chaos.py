"""Chaotic and driven layers against the exact theory of the Elman network with white input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

import gatefield as gf
from gatefield.networks import Layer

N, FEATURES = 100, 60
GAIN = 2.0
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(201)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def theory(gain, input_variance):
    """Return the variance of tanh(x) and the exponent for independent x of each step."""

    def moments(variance):
        values = np.tanh(np.sqrt(variance) * NODES)
        return values**2 @ WEIGHTS, (1 - values**2) ** 2 @ WEIGHTS

    def excess(variance):
        return variance - gain**2 * moments(variance)[0] - input_variance

    variance = brentq(excess, 1e-9, gain**2 + input_variance + 1)
    square, slope = moments(variance)
    return square, np.log(gain**2 * slope) / 2


@pytest.fixture(scope="module")
def stack():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((N, FEATURES)) / np.sqrt(FEATURES)
    return gf.LayeredNetwork([Layer(gf.Network.sample(gf.ElmanRNN(GAIN), N, seed=1), {"h": W})])


@pytest.fixture(scope="module")
def free(stack):
    stages = ("run", "exponents", "advice")
    return gf.diagnose(stack, stages=stages, effort="quick", progress=False).layers[0]


@pytest.fixture(scope="module")
def driven(stack):
    x = 3.0 * np.random.default_rng(2).standard_normal((3, 250, FEATURES))
    stages = ("drives", "run", "spectra", "exponents", "gradients", "advice")
    return gf.diagnose(stack, x, stages=stages, effort="quick", progress=False).layers[0]


def test_a_layer_beyond_the_edge_is_chaotic(free):
    variance, exponent = theory(GAIN, 0.0)
    # Networks of 100 units lie below the limit by a tenth, and scatter by as much.
    np.testing.assert_allclose(free.exponents.exponents[0], exponent, rtol=0.4)
    np.testing.assert_allclose(free.run.variance, variance, rtol=0.15)
    assert free.exponents.positive >= 3 and N > free.exponents.dimension > 3
    assert [each.kind for each in free.advice if each.topic == "chaos"] == ["warning"]


def test_strong_input_ends_chaos(driven):
    variance, exponent = theory(GAIN, 9.0)
    # W W^T is a Wishart matrix of 60 features: units' inputs differ by the root of 2 / 60.
    np.testing.assert_allclose(driven.drives.varying_variance[0], 9.0, rtol=0.1)
    np.testing.assert_allclose(driven.run.variance, variance, rtol=0.05)
    assert exponent < -0.2
    np.testing.assert_allclose(driven.exponents.exponents[0], exponent, atol=0.08)
    assert driven.exponents.dimension == 0
    assert not [each for each in driven.advice if each.topic == "chaos"]


def test_gradients_fall_as_perturbations_do(driven):
    _, exponent = theory(GAIN, 9.0)
    found = driven.gradients
    np.testing.assert_allclose(found.growth / found.horizon, exponent, atol=0.08)


def test_theory_finds_the_spectrum_of_random_couplings(driven):
    found = driven.spectra
    # The circular law of each state: gain^2 <(1 - h^2)^2>, here from the states themselves.
    np.testing.assert_allclose(found.leading_edges, found.theory_edges, rtol=0.25)
    assert np.all(found.outside <= 1)
    radius = np.array([np.abs(np.concatenate(found.boundary(k))).max() for k in range(5)])
    np.testing.assert_allclose(radius, found.theory_edges, rtol=1e-2)


def test_the_same_seed_gives_the_same_answer(stack, free):
    again: Any = gf.diagnose(stack, stages=("exponents",), effort="quick", progress=False).layers[0]
    np.testing.assert_array_equal(again.exponents.exponents, free.exponents.exponents)
