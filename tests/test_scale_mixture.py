"""Two-point functions of tanh and the sigmoid, for every gain, against independent quadrature."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from scipy import integrate, special

from gatefield.numerics.hermite import sigmoid_series, tanh_series, two_point
from gatefield.numerics.scale_mixture import (
    kolmogorov_rule,
    sigmoid_two_point,
    tanh_two_point,
    tanh_two_point_slope,
)


@pytest.fixture(autouse=True)
def double():
    """Compute in float64, whatever the process does."""
    with jax.enable_x64(True):
        yield


def normal_average(f, gain):
    """Return < f(x) > for f that varies on the scale 1/gain, by a fine trapezoid sum."""
    step = 0.02 / max(gain, 1.0)
    x = step * np.arange(-int(9 / step), int(9 / step) + 1)
    return np.sum(f(x) * np.exp(-0.5 * x * x)) * step / np.sqrt(2 * np.pi)


def test_rule_reproduces_the_logistic_law():
    """tanh(y) = < 2 Phi(y/S) - 1 >, with moments < 1/S > = sqrt(pi/2) and < S^2 > = pi^2/12."""
    # Pointwise, tanh needs more nodes than its averages: erf(y/S) is steep in ln S for large y.
    widths, weights = kolmogorov_rule(32)
    y = np.array([0.01, 0.3, 1.0, 3.0, 10.0])
    mixture = special.erf(y[:, None] / widths / np.sqrt(2)) @ weights
    np.testing.assert_allclose(mixture, np.tanh(y), rtol=1e-13)
    assert weights @ (1 / widths) == pytest.approx(np.sqrt(np.pi / 2), rel=1e-13)
    assert weights @ widths**2 == pytest.approx(np.pi**2 / 12, rel=1e-13)


@pytest.mark.parametrize(("gain", "rho"), [(0.2, 0.5), (1.0, -0.7), (3.0, 0.9)])
def test_tanh_agrees_with_2d_quadrature(gain, rho):
    """An average over two correlated normal variables, by adaptive quadrature."""
    weight = np.sqrt(1 - rho**2)

    def integrand(v, u):
        density = np.exp(-0.5 * (u * u + v * v)) / (2 * np.pi)
        return density * np.tanh(gain * u) * np.tanh(gain * (rho * u + weight * v))

    exact = integrate.dblquad(integrand, -8.5, 8.5, -8.5, 8.5, epsabs=1e-11, epsrel=1e-11)[0]
    assert float(tanh_two_point(rho, gain)) == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("gain", [1e-3, 0.1, 1.0, 10.0, 100.0, 1e3])
def test_full_correlation_gives_one_point_averages(gain):
    """At rho = 1, where Hermite series converge worst: < tanh^2 >, gain^2 < sech^4 >, < s^2 >."""
    square = normal_average(lambda x: np.tanh(gain * x) ** 2, gain)
    fourth = gain**2 * normal_average(lambda x: (1 - np.tanh(gain * x) ** 2) ** 2, gain)
    gate = normal_average(lambda x: special.expit(gain * x) ** 2, gain)
    assert float(tanh_two_point(1.0, gain)) == pytest.approx(square, rel=1e-12)
    assert float(tanh_two_point_slope(1.0, gain)) == pytest.approx(fourth, rel=1e-11)
    assert float(sigmoid_two_point(1.0, gain)) == pytest.approx(gate, rel=1e-12)


@pytest.mark.parametrize("gain", [0.05, 0.8, 3.0])
def test_agrees_with_the_hermite_series(gain):
    """Two representations that share nothing; at these gains the series is exact to rounding."""
    rho = np.linspace(-1.0, 1.0, 11)
    series = two_point(tanh_series(gain), rho)
    np.testing.assert_allclose(tanh_two_point(rho, gain), series, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(
        sigmoid_two_point(rho, gain), two_point(sigmoid_series(gain), rho), rtol=1e-12
    )


def test_limits_are_a_line_and_the_arcsine_law():
    """F -> gain^2 rho for a small gain, (2/pi) arcsin(rho) for a step: errors of second order."""
    rho = np.array([-0.8, 0.2, 0.9])
    for gain in (1e-2, 1e-3):
        ratio = np.asarray(tanh_two_point(rho, gain)) / (gain**2 * rho)
        np.testing.assert_allclose(ratio - 1, -2 * gain**2, rtol=1e-3)
    law = 2 / np.pi * np.arcsin(rho)
    steep, steeper = (np.asarray(tanh_two_point(rho, gain)) - law for gain in (1e3, 1e4))
    np.testing.assert_allclose(steep / steeper, 100.0, rtol=1e-3)
    np.testing.assert_allclose(tanh_two_point(rho, 1e6), law, rtol=1e-11)


def test_nodes_converge_for_every_gain_at_once():
    """Errors fall by about two orders of magnitude with each further pair of nodes."""
    gain, rho = np.logspace(-3, 3, 13)[:, None], np.array([0.1, 0.7, 0.99, 1.0])
    exact = np.asarray(tanh_two_point(rho, gain, nodes=20))
    error = [
        np.max(np.abs(np.asarray(tanh_two_point(rho, gain, nodes=nodes)) / exact - 1))
        for nodes in (6, 8, 10, 12)
    ]
    assert all(later < earlier / 30 for earlier, later in zip(error, error[1:], strict=False))
    assert error[-1] < 2e-13


@pytest.mark.parametrize("gain", [0.1, 2.0, 50.0])
def test_derivatives_agree_with_finite_differences(gain):
    """First and second derivatives in both arguments: they are hand-written."""
    step = 1e-4

    def value(z):
        return tanh_two_point(z[0], z[1] * gain)

    point = np.array([0.6, 1.0])
    gradient, hessian = jax.grad(value)(point), jax.hessian(value)(point)
    for i, move in enumerate(step * np.eye(2)):
        slope = (value(point + move) - value(point - move)) / (2 * step)
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-6, atol=1e-10)
        curve = (jax.grad(value)(point + move) - jax.grad(value)(point - move)) / (2 * step)
        np.testing.assert_allclose(hessian[i], curve, rtol=1e-6, atol=1e-9)
    slope = tanh_two_point_slope(0.6, gain)
    assert float(slope) == pytest.approx(float(gradient[0]), rel=1e-12)


def test_type_follows_the_arguments():
    """Single precision stays single, python numbers take the default type."""
    single = tanh_two_point(np.float32(0.5), np.float32(2.0))
    assert single.dtype == np.float32
    assert tanh_two_point(0.5, 2.0).dtype == np.float64
    assert float(single) == pytest.approx(float(tanh_two_point(0.5, 2.0)), rel=1e-5)
