"""Quantities measured on one network, against its own matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.initialise import measure
from gatefield.initialise.measured import fixed_point, shifted, unit_times

N = 60


@pytest.fixture(scope="module")
def elman():
    return gf.Network.sample(gf.ElmanRNN(0.9), N, seed=1)


@pytest.fixture(scope="module")
def gru():
    return gf.Network.sample(gf.GRU(gain_n=1.5, bias_z=1.0), N, seed=2)


def test_zero_state_of_the_elman_network(elman):
    J = np.asarray(elman.coupling("h"))
    radius = np.max(np.abs(np.linalg.eigvals(J)))
    # The state h' = tanh(J h) has the Jacobian J at zero.
    for quantity in ("radius", "leading_edge"):
        assert measure(elman, quantity) == pytest.approx(radius, rel=1e-12)
    assert measure(elman, "lyapunov") == pytest.approx(np.log(radius), rel=1e-10)
    assert measure(elman, "variance") == 0.0
    assert measure(elman, "gate_time") == 0.0
    assert measure(elman, "memory_time") == (
        np.inf if radius >= 1 else pytest.approx(-1 / np.log(radius))
    )


def test_gradient_of_the_elman_network_is_a_power_of_its_couplings(elman):
    # a(T) = (J^T)^T w: averaged over all w, the mean square is that of the power's entries.
    J = np.asarray(elman.coupling("h"))
    power = np.linalg.matrix_power(J.T, 8)
    expected = 0.5 * np.log(np.sum(power**2) / N)
    values = [measure(elman, "gradient_growth", horizon=8, seed=seed) for seed in range(8)]
    growth = 0.5 * np.log(np.mean(np.exp(2 * np.array(values))))
    # 32 readouts on few dominant directions: about 20 per cent of the square.
    assert growth == pytest.approx(expected, abs=0.3)


def test_zero_state_of_the_gru(gru):
    keep = expit(1.0)
    J = np.asarray(gru.coupling("n"))
    jacobian = keep * np.eye(N) + (1 - keep) * J / 2
    edge = np.max(np.abs(np.linalg.eigvals(jacobian)))
    assert measure(gru, "leading_edge") == pytest.approx(edge, rel=1e-12)
    assert measure(gru, "gate_time") == pytest.approx(-1 / np.log(keep), rel=1e-12)
    # On the unit circle the loop is (1 - z) J / 2 / (lambda - z), largest at lambda = 1.
    radius = np.max(np.abs(np.linalg.eigvals(J / 2)))
    assert measure(gru, "radius") == pytest.approx(radius, rel=1e-12)


def test_fixed_point_with_biases_satisfies_the_rule():
    cell = gf.ElmanRNN(0.8, bias=np.linspace(-1, 1, N))
    network = gf.Network.sample(cell, N, seed=1)
    point = fixed_point(network)
    J = np.asarray(network.coupling("h"))
    np.testing.assert_allclose(point[0], np.tanh(J @ point[0] + cell.bias), atol=1e-10)
    assert measure(network, "variance") == pytest.approx(np.var(point[0]), rel=1e-9)


def test_driven_elman_network_moves_as_its_input_does():
    path: Any = gf.GaussianInput(variance=0.5, correlation_time=3.0).realise(N, 460, dt=1.0, seed=4)
    silent = gf.Network.sample(gf.ElmanRNN(0.0), N, seed=0)
    variance = measure(silent, "variance", moving=True, inputs={"h": path}, burn_in=100.0)
    x = np.random.default_rng(0).normal(0, np.sqrt(0.5), 400_000)
    # 8 snapshots 12 steps apart of 60 units: 480 nearly independent numbers, 6 per cent each way.
    assert variance == pytest.approx(np.var(np.tanh(x)), rel=0.2)
    later = shifted({"h": path}, 100.0)
    assert later is not None
    np.testing.assert_allclose(later["h"](5), path(105), atol=1e-12)


def test_times_of_units():
    A = np.array([[[-0.5, 3.0], [0.0, -0.1]], [[-2.0, 0.0], [1.0, 0.0]]])
    np.testing.assert_allclose(unit_times(A, False), [10.0, np.inf])
    np.testing.assert_allclose(unit_times(A[:1], True), [-1 / np.log(0.5)])


def test_an_unknown_quantity_is_refused(elman):
    with pytest.raises(InvalidInputError, match="quantity"):
        measure(elman, "size")
    with pytest.raises(InvalidInputError, match="horizon"):
        measure(elman, "gradient_growth")
