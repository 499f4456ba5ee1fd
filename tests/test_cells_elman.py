"""The Elman network against its equation, and its fixed points against closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

import gatefield as gf
from gatefield.core.errors import InvalidInputError

N = 7
ROUNDING = 1e-14  # a dozen operations on numbers of order one
STEP = {"tanh": np.tanh, "relu": lambda u: np.maximum(u, 0.0)}


@pytest.mark.parametrize("activation", STEP)
def test_a_step_is_its_equation(activation):
    rng = np.random.default_rng(1)
    J, bias, drive = rng.standard_normal((N, N)), rng.standard_normal(N), rng.standard_normal(N)
    h = rng.standard_normal(N)
    cell = gf.ElmanRNN(3.0, bias, activation=activation)
    network = gf.Network.of_couplings(cell, {"h": J})
    found = gf.simulate(network, 1, initial=h[None], inputs={"h": drive}).final
    expected = STEP[activation](J @ h + bias + drive)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=ROUNDING)
    slope = 1 - expected**2 if activation == "tanh" else (expected > 0).astype(float)
    jacobian = gf.jacobian(network, h[None], inputs={"h": drive}).as_matrix()
    np.testing.assert_allclose(jacobian, slope[:, None] * J, rtol=0, atol=ROUNDING)


def test_the_gain_scales_the_couplings():
    one, two = (gf.Network.sample(gf.ElmanRNN(gain), 40, seed=3) for gain in (1.0, 2.5))
    np.testing.assert_allclose(two.coupling("h"), 2.5 * one.coupling("h"), rtol=1e-15)


def plain_error(function, q, count):
    """Return the standard error of q = <function(sqrt(q) x)^2> from ``count`` plain samples of x.

    Quasi-random points do better. An error of the average is multiplied by 1 / (1 - d<>/dq).
    """
    x = np.linspace(-9, 9, 20001)
    weights = norm.pdf(x) * (x[1] - x[0])

    def average(q, power):
        return float(np.sum(weights * function(np.sqrt(q) * x) ** power))

    slope = (average(1.001 * q, 2) - average(0.999 * q, 2)) / (0.002 * q)
    return float(np.sqrt((average(q, 4) - average(q, 2) ** 2) / count) / (1 - slope))


@pytest.mark.slow
def test_tanh_has_the_fixed_points_of_the_vanilla_network():
    """h = tanh(g h_v + b): the field has g^2 times the variance of h_v, and rho is the same."""
    sampled = gf.solve_static(gf.ElmanRNN(2.0), samples=512, replicates=4)
    closed = gf.solve_static(gf.VanillaRNN(2.0))
    assert len(sampled) == len(closed) == 2
    found, exact = sampled[-1], closed[-1]
    assert float(found.radius) == pytest.approx(
        float(exact.radius), abs=4 * float(found.standard_error)
    )
    variance = 4.0 * float(exact.variance["h"])
    error = plain_error(lambda u: 2.0 * np.tanh(u), variance, 4 * 512)
    assert float(found.field_variance["h"]) == pytest.approx(variance, abs=4 * error)


@pytest.mark.slow
def test_relu_has_the_fixed_points_of_the_rectified_gaussian():
    """q = g^2 <relu(sqrt(q) x + b)^2> and rho^2 = g^2 P(sqrt(q) x + b > 0), in closed form."""
    gain, bias = 1.1, 0.5

    def square(q):
        s = np.sqrt(q)
        return (q + bias**2) * norm.cdf(bias / s) + bias * s * norm.pdf(bias / s)

    q: Any = brentq(lambda q: gain**2 * square(q) - q, 0.1, 100.0)
    cell = gf.ElmanRNN(gain, bias, activation="relu")
    (found,) = gf.solve_static(cell, samples=512, replicates=4)
    radius = gain * np.sqrt(norm.cdf(bias / np.sqrt(q)))
    assert float(found.radius) == pytest.approx(float(radius), abs=4 * float(found.standard_error))
    error = plain_error(lambda u: gain * STEP["relu"](u + bias), q, 4 * 512)
    assert float(found.field_variance["h"]) == pytest.approx(q, abs=4 * error)


def test_refusals():
    with pytest.raises(InvalidInputError, match="activation = 'sigmoid': expected one of 'tanh'"):
        gf.ElmanRNN(activation="sigmoid")
    with pytest.raises(InvalidInputError, match="gain = -1.0: expected a number that is not"):
        gf.ElmanRNN(-1.0)
    with pytest.raises(InvalidInputError, match="bias = nan: expected finite"):
        gf.ElmanRNN(1.0, float("nan"))
