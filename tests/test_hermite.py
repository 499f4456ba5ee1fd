"""Hermite two-point functions against exact averages, 2-D quadrature and the arcsine law."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

from gatefield.numerics.hermite import (
    hermite_series,
    hermite_table,
    sigmoid_series,
    tanh_series,
    two_point,
    two_point_slope,
)


@pytest.fixture(autouse=True)
def double():
    """Compute in float64, whatever the process does."""
    with jax.enable_x64(True):
        yield


def average_2d(f, rho):
    """Return < f(x) f(y) > by adaptive quadrature over two independent normal variables."""
    weight = np.sqrt(1 - rho**2)

    def integrand(v, u):
        return np.exp(-0.5 * (u * u + v * v)) / (2 * np.pi) * f(u) * f(rho * u + weight * v)

    return integrate.dblquad(integrand, -8.5, 8.5, -8.5, 8.5, epsabs=1e-10, epsrel=1e-10)[0]


def test_polynomials_have_exact_coefficients():
    """x^3 = 3 h_1 + sqrt(6) h_3: a finite series without a tail."""
    series = hermite_series(lambda x: x**3, terms=12)
    expected = np.zeros(12)
    expected[[1, 3]] = 3.0, np.sqrt(6.0)
    np.testing.assert_allclose(series.coefficients, expected, atol=1e-12)
    assert abs(float(series.tail)) < 1e-11  # <x^6> = 15, to rounding


@pytest.mark.parametrize("wave_number", [1.0, 10.0, 25.0])
def test_high_orders_of_a_cosine_are_exact(wave_number):
    """< cos(kx) h_n > = (-1)^(n/2) k^n exp(-k^2/2) / sqrt(n!): k = 25 peaks at n = 625."""
    series = hermite_series(lambda x: jnp.cos(wave_number * x))
    n = np.arange(0, 1200, 2)
    log_size = n * np.log(wave_number) - wave_number**2 / 2 - special.gammaln(n + 1) / 2
    np.testing.assert_allclose(
        series.coefficients[::2], (-1.0) ** (n // 2) * np.exp(log_size), atol=1e-12
    )
    np.testing.assert_allclose(series.coefficients[1::2], 0.0, atol=1e-13)
    rho = np.linspace(-1.0, 1.0, 9)
    exact = (np.exp(-(wave_number**2) * (1 - rho)) + np.exp(-(wave_number**2) * (1 + rho))) / 2
    np.testing.assert_allclose(two_point(series, rho), exact, atol=1e-12)


@pytest.mark.parametrize(
    ("series", "function", "rho"),
    [
        (lambda: tanh_series(0.7), lambda x: np.tanh(0.7 * x), 0.6),
        (lambda: tanh_series(2.0, 0.3), lambda x: np.tanh(2.0 * x + 0.3), -0.4),
        (lambda: sigmoid_series(3.0), lambda x: special.expit(3.0 * x), 0.9),
        (lambda: sigmoid_series(1.5, -0.8), lambda x: special.expit(1.5 * x - 0.8), 0.5),
    ],
)
def test_two_point_function_agrees_with_2d_quadrature(series, function, rho):
    """The series is an average over two correlated normal variables, with and without bias."""
    assert float(two_point(series(), rho)) == pytest.approx(average_2d(function, rho), abs=1e-9)


@pytest.mark.parametrize("gain", [0.5, 4.0, 12.0])
def test_error_functions_obey_the_arcsine_law(gain):
    """f(x) = erf(gain x / sqrt2): F = (2/pi) arcsin(rho gain^2 / (1 + gain^2)), for every gain."""
    series = hermite_series(lambda x: jax.scipy.special.erf(gain * x / np.sqrt(2)), step=0.01)
    rho = np.array([-0.9, 0.0, 0.3, 0.8])
    exact = 2 / np.pi * np.arcsin(rho * gain**2 / (1 + gain**2))
    np.testing.assert_allclose(two_point(series, rho), exact, atol=1e-12)


def test_steep_sigmoid_approaches_the_arcsine_law():
    """A step has F = 1/4 + arcsin(rho)/(2 pi); at gain a the difference is of order 1/a^2."""
    rho = 0.5
    law = 0.25 + np.arcsin(rho) / (2 * np.pi)
    error = [float(two_point(sigmoid_series(gain, step=0.01), rho)) - law for gain in (20.0, 40.0)]
    # Leading order: -(rho/sqrt(1-rho^2)) E[S^2]/(a/2)^2 / (2 pi), E[S^2] = pi^2/12 (Kolmogorov).
    leading = -rho / np.sqrt(1 - rho**2) * np.pi**2 / 12 / 20.0**2 / (2 * np.pi)
    assert error[1] / error[0] == pytest.approx(0.25, abs=0.01)
    assert error[1] == pytest.approx(leading, rel=0.02)


@pytest.mark.parametrize("terms", [30, 120, 1200])
def test_tail_is_what_the_series_misses(terms):
    """Parseval: sum b_n^2 + tail is <f^2>, here from adaptive quadrature."""
    gain = 8.0
    series = tanh_series(gain, terms=terms)

    def integrand(x):
        return np.tanh(gain * x) ** 2 * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)

    square = 2 * integrate.quad(integrand, 0, 10, epsabs=1e-13, epsrel=1e-13, points=[0.5])[0]
    assert float(two_point(series, 1.0)) + float(series.tail) == pytest.approx(square, abs=1e-11)
    assert float(series.tail) > 1e-7  # so that the statement is not empty


def test_series_converges_geometrically_away_from_one():
    """At rho < 1 the missing terms carry rho^terms: tail rho^terms bounds the error."""
    rho, reference = 0.9, tanh_series(8.0, terms=1200)
    for terms in (20, 60, 120):
        series = tanh_series(8.0, terms=terms)
        error = abs(float(two_point(series, rho) - two_point(reference, rho)))
        assert error <= float(series.tail) * rho**terms + 1e-14


def test_slope_and_gradient_agree_with_finite_differences():
    """dF/drho is < f' f' >, and F is differentiable in the gain."""
    series, step = tanh_series(1.7), 1e-5
    difference = (two_point(series, 0.6 + step) - two_point(series, 0.6 - step)) / (2 * step)
    assert float(two_point_slope(series, 0.6)) == pytest.approx(float(difference), rel=1e-9)

    def value(gain):
        return two_point(tanh_series(gain), 0.6)

    difference = (value(1.7 + step) - value(1.7 - step)) / (2 * step)
    assert float(jax.grad(value)(1.7)) == pytest.approx(float(difference), rel=1e-8)


def test_table_is_built_once_and_single_precision_stays_single():
    """The cache returns the same arrays; float32 input gives float32 output."""
    assert hermite_table() is hermite_table()
    with jax.enable_x64(False):
        series = tanh_series(np.float32(0.8))
        value = two_point(series, np.float32(0.5))
    assert series.coefficients.dtype == value.dtype == np.float32
    assert float(value) == pytest.approx(float(two_point(tanh_series(0.8), 0.5)), rel=1e-5)
