"""Gaussian averages: against adaptive quadrature, exact laws, and the inequalities they obey."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.scipy.special import erf
from scipy.integrate import quad
from scipy.special import expit, ndtr

from gatefield.numerics.gaussian import (
    clustered_rule,
    clustered_rule_two,
    derivative_by_covariance,
    derivative_by_variance,
    gaussian_average,
    gaussian_average_two,
)
from gatefield.theory.static.moments import activation_moments, gate_moments


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def average(function, mean, deviation, features=(0.0,), width=1.0):
    """Average over N(mean, deviation^2) by SciPy, in pieces around every feature of given width."""

    def integrand(n):
        return function(mean + deviation * n) * np.exp(-(n**2) / 2) / np.sqrt(2 * np.pi)

    cuts = {-12.0, -5.0, -2.0, 0.0, 2.0, 5.0, 12.0}
    for feature in features:
        for multiple in (-100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100):
            cut = (feature - mean + multiple * width) / deviation
            cuts.add(float(np.clip(cut, -12.0, 12.0)))
    edges = sorted(cuts)
    pieces = zip(edges[:-1], edges[1:], strict=True)
    return sum(quad(integrand, a, b, epsabs=1e-15, epsrel=1e-12, limit=100)[0] for a, b in pieces)


def sech4(x):
    return 16.0 / (np.exp(x) + np.exp(-x)) ** 4


ACTIVATION = jax.jit(activation_moments)
GATE = jax.jit(gate_moments)


# --- one variable


@pytest.mark.parametrize("gain", [0.1, 1.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("bias", [0.0, 0.3, -1.0, 5.0, 30.0, -200.0, 600.0])
def test_moments_of_tanh(gain, bias):
    """<tanh^2> and <sech^4> of N(bias, gain^2): the docstring promises 1e-12."""
    square, slope_square = ACTIVATION(bias, gain**2)
    assert float(square) == pytest.approx(average(lambda x: np.tanh(x) ** 2, bias, gain), abs=1e-12)
    assert float(slope_square) == pytest.approx(
        average(lambda x: sech4(np.clip(x, -150, 150)), bias, gain), abs=1e-12
    )


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0, 100.0, 1000.0])
@pytest.mark.parametrize("bias", [0.0, 0.3, -1.0, 5.0, -30.0, 200.0, -2000.0, 4000.0])
def test_moments_of_the_sigmoid(alpha, bias):
    """<s>, <s^2> and <s'^2> of N(bias, alpha^2): the docstring promises 1e-12."""
    expected = [
        average(function, bias, alpha)
        for function in (expit, lambda x: expit(x) ** 2, lambda x: (expit(x) * expit(-x)) ** 2)
    ]
    np.testing.assert_allclose(GATE(bias, alpha**2), expected, rtol=0, atol=1e-12)


def test_moments_without_variance_are_the_function():
    np.testing.assert_allclose(
        ACTIVATION(0.7, 0.0), [np.tanh(0.7) ** 2, np.cosh(0.7) ** -4.0], rtol=1e-14
    )
    s = expit(-0.4)
    np.testing.assert_allclose(GATE(-0.4, 0.0), [s, s**2, (s * (1 - s)) ** 2], rtol=1e-14)


@pytest.mark.parametrize("gain", [1.0, 30.0, 1e3, 1e4])
@pytest.mark.parametrize("centre", [0.0, 1.3, -4.0])
def test_average_of_a_switch_of_any_gain(gain, centre):
    """sigmoid^2 of gain up to 1e4, anywhere: 1e-12, where Gauss-Hermite rules fail."""
    got = gaussian_average(lambda x: jax.nn.sigmoid(gain * (x - centre)) ** 2, 1.0, centre=centre)
    exact = average(lambda x: expit(gain * (x - centre)) ** 2, 0.0, 1.0, (centre,), 1 / gain)
    assert float(got) == pytest.approx(exact, abs=1e-12)


def test_polynomials_have_the_moments_of_the_normal_law():
    """x^2k over N(0, 1) is (2k - 1)!!; over N(m, D), <x> = m and <x^2> = m^2 + D."""
    nodes, weights = (np.asarray(a) for a in clustered_rule(0.0))
    for power, moment in ((0, 1), (1, 0), (2, 1), (3, 0), (4, 3), (6, 15), (8, 105)):
        assert np.sum(weights * nodes**power) == pytest.approx(moment, rel=1e-12, abs=1e-13)
    both = gaussian_average(lambda x: jnp.stack([x, x**2]), 2.5, mean=-0.7)
    np.testing.assert_allclose(both, [-0.7, 0.49 + 2.5], rtol=1e-13)


@pytest.mark.parametrize("gain", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("rule", ["one", "two"])
def test_halving_the_spacing_squares_the_error(gain, rule):
    """Exponential convergence: each halving at least squares the error, until rounding of 1e-14.

    The factor of 100 covers the prefactor of the trapezoid's error, which does not square.
    """
    first, second = 1.3, -0.7

    def switch(x, numpy_sigmoid):
        value = numpy_sigmoid(gain * (x - first)) ** 2
        return value if rule == "one" else value * numpy_sigmoid(gain * (x - second))

    features = (first,) if rule == "one" else (first, second)
    exact = average(lambda x: switch(x, expit), 0.0, 1.0, features, 1 / gain)
    errors = []
    for spacing in (0.64, 0.32, 0.16, 0.08):
        if rule == "one":
            nodes, weights = clustered_rule(first, spacing=spacing)
        else:
            nodes, weights = clustered_rule_two(first, second, spacing=spacing)
        errors.append(abs(float(jnp.sum(weights * switch(nodes, jax.nn.sigmoid))) - exact))
    for coarse, fine in zip(errors[:-1], errors[1:], strict=True):
        assert fine < max(100 * coarse**2, 1e-14)
    assert errors[-1] < 1e-14


def test_single_precision_has_its_rounding():
    got = gaussian_average(lambda x: jnp.tanh(2 * x) ** 2, jnp.float32(1.0), mean=jnp.float32(0.0))
    exact = average(lambda x: np.tanh(2 * x) ** 2, 0.0, 1.0, width=0.5)
    assert float(got) == pytest.approx(exact, abs=1e-6)  # a sum of 400 terms, rounding 6e-8 each


# --- derivatives in parameters


def test_derivatives_in_gain_bias_and_variance():
    """Against five-point differences of SciPy's averages: h = 1e-2, h^4 f'''''/30 < 1e-7."""

    def ours(p):
        gain, bias, variance, mean = p
        return gaussian_average(
            lambda x: jnp.tanh(gain * x + bias) ** 2, variance, mean=mean, centre=-bias / gain
        )

    def theirs(p):
        gain, bias, variance, mean = p
        return average(lambda x: np.tanh(gain * x + bias) ** 2, mean, np.sqrt(variance))

    point = np.array([1.7, 0.4, 0.6, -0.2])
    got = np.asarray(jax.grad(ours)(jnp.asarray(point)))
    for index, step in enumerate(1e-2 * np.eye(4)):
        near = theirs(point + step) - theirs(point - step)
        far = theirs(point + 2 * step) - theirs(point - 2 * step)
        assert got[index] == pytest.approx((8 * near - far) / 12e-2, abs=2e-7)


@pytest.mark.parametrize("variance", [1e-6, 0.0])
def test_the_derivative_in_the_variance_is_half_the_mean_curvature(variance):
    """d<f>/dD = <f''>/2 (Price), also at D = 0: <tanh^2(3x)> = 9 D - 162 D^2 + ..."""
    slope = jax.grad(lambda D: gaussian_average(lambda x: jnp.tanh(3 * x) ** 2, D))(variance)
    assert float(slope) == pytest.approx(9.0 - 324 * variance, abs=1e-6)


# --- two variables


@pytest.mark.parametrize("rho", [-0.9, -0.3, 0.0, 0.5, 0.9])
def test_a_step_like_gate_obeys_the_arcsine_law(rho):
    """<s s> -> 1/4 + asin(rho) / (2 pi).

    A sigmoid of gain a is a step smeared by a logistic variable of variance pi^2 / (3 a^2) = 3e-8,
    which lowers rho by that factor: by at most 3e-8 rho / (2 pi sqrt(1 - rho^2)) here.
    """
    gate = lambda x: jax.nn.sigmoid(1e4 * x)  # noqa: E731
    got = float(gaussian_average_two(gate, gate, rho, 1.0))
    expected = 0.25 + np.arcsin(rho) / (2 * np.pi)
    smeared = 3.3e-8 * abs(rho) / (2 * np.pi * np.sqrt(1 - rho**2))
    assert got == pytest.approx(expected, abs=1.1 * smeared + 1e-12)


@pytest.mark.parametrize("gain", [0.5, 5.0, 300.0])
@pytest.mark.parametrize("correlation", [-1.0, -0.99, 0.0, 0.4, 0.9999, 1.0])
def test_error_functions_obey_the_arcsine_law_exactly(gain, correlation):
    """<erf(a x) erf(a y)> = (2/pi) asin(2 a^2 C / (1 + 2 a^2 D)), at every gain and correlation."""
    variance = 0.7
    covariance = correlation * variance
    function = lambda x: erf(gain * x)  # noqa: E731
    argument = 2 * gain**2 * covariance / (1 + 2 * gain**2 * variance)
    got = float(gaussian_average_two(function, function, covariance, variance))
    assert got == pytest.approx(2 / np.pi * np.arcsin(argument), abs=1e-12)


@pytest.mark.parametrize("covariance", [-0.75, -0.2, 0.35, 0.79])
def test_different_functions_against_a_two_dimensional_rule(covariance):
    """tanh(2x + .5) and sigmoid(3y - 1) on a plain product grid of (x, y given x).

    The trapezoid's error is exp(-2 pi d / h) with poles at d > 0.5 and h = 0.05.
    """
    variance = 0.8
    rho, t = covariance / variance, np.arange(-9, 9.01, 0.05)
    weight = np.exp(-(t**2) / 2)
    weight /= weight.sum()
    x = np.sqrt(variance) * t[:, None]
    y = np.sqrt(variance) * (rho * t[:, None] + np.sqrt(1 - rho**2) * t[None, :])
    exact = np.sum(weight[:, None] * weight * np.tanh(2 * x + 0.5) * expit(3 * y - 1))
    got = gaussian_average_two(
        lambda x: jnp.tanh(2 * x + 0.5),
        lambda y: jax.nn.sigmoid(3 * y - 1),
        covariance,
        variance,
        centres=(-0.25, 1 / 3),
    )
    assert float(got) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("covariance", [0.3, -0.3, 0.62])
def test_sharp_gates_with_biases_against_a_conditional_rule(covariance):
    """Phi(a (x - c)) for a = 200 and two places: given x, the second average is a Phi again."""
    variance, a, first, second = 0.64, 200.0, 0.5, -0.9
    conditional = variance - covariance**2 / variance

    def inner(x):
        spread = np.sqrt(1 + a**2 * conditional)
        return ndtr(a * (x - first)) * ndtr(a * (covariance / variance * x - second) / spread)

    steep = np.sqrt(conditional) + 1 / a
    exact = average(inner, 0.0, 0.8, (first, second * variance / covariance), min(1 / a, steep))
    gate = lambda c: lambda x: jax.scipy.special.ndtr(a * (x - c))  # noqa: E731
    got = gaussian_average_two(
        gate(first), gate(second), covariance, variance, centres=(first, second)
    )
    assert float(got) == pytest.approx(exact, abs=1e-11)


@pytest.mark.parametrize("gain", [1.0, 300.0])
@pytest.mark.parametrize("covariance", [-0.3, 0.2, 0.45])
def test_price_derivatives_of_the_arcsine_law(gain, covariance):
    """dF/dC = <f' f'> and dF/dD = <f'' f>, for erf(gain x), where the law gives them exactly."""
    variance, b = 0.5, 2 * gain**2
    function = lambda x: erf(gain * x)  # noqa: E731
    argument = b * covariance / (1 + b * variance)
    outer = 2 / np.pi / np.sqrt(1 - argument**2)
    by_covariance = outer * b / (1 + b * variance)
    by_variance = -outer * argument * b / (1 + b * variance)
    got = derivative_by_covariance(function, function, covariance, variance)
    assert float(got) == pytest.approx(by_covariance, rel=1e-9)
    got = derivative_by_variance(function, function, covariance, variance)
    assert float(got) == pytest.approx(by_variance, rel=1e-9)


def test_price_derivatives_are_those_of_the_average():
    """Against differences of `gaussian_average_two`, for two functions with biases."""
    functions = (lambda x: jnp.tanh(1.5 * x + 0.3), lambda y: jax.nn.sigmoid(2 * y - 0.5))
    centres = (-0.2, 0.25)
    value = jax.jit(lambda C, D: gaussian_average_two(*functions, C, D, centres=centres))

    def difference(move):
        h = 1e-2  # h^4 / 30 times fifth derivatives of order ten: below 1e-7
        at = lambda k: float(value(0.2 + k * h * move[0], 0.6 + k * h * move[1]))  # noqa: E731
        return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)

    by_covariance = derivative_by_covariance(*functions, 0.2, 0.6, centres=centres)
    by_variance = derivative_by_variance(*functions, 0.2, 0.6, centres=centres)
    assert float(by_covariance) == pytest.approx(difference((1, 0)), abs=1e-7)
    assert float(by_variance) == pytest.approx(difference((0, 1)), abs=1e-7)


def test_two_variable_averages_can_be_differentiated_in_the_gain():
    """d/dg of the arcsine law of erf(g x), exactly."""
    gain, covariance, variance = 1.4, 0.3, 0.5

    def ours(g):
        return gaussian_average_two(
            lambda x: erf(g * x), lambda x: erf(g * x), covariance, variance
        )

    spread = 1 + 2 * gain**2 * variance
    argument = 2 * gain**2 * covariance / spread
    exact = 2 / np.pi / np.sqrt(1 - argument**2) * 4 * gain * covariance / spread**2
    assert float(jax.grad(ours)(gain)) == pytest.approx(exact, abs=1e-11)


# --- properties


@jax.jit
def _pair(gain, bias, covariance, variance):
    function = lambda x: jnp.tanh(gain * x + bias)  # noqa: E731
    centre = -bias / gain
    return gaussian_average_two(function, function, covariance, variance, centres=(centre, centre))


numbers = st.floats
PARAMETERS = {
    "gain": numbers(0.1, 50.0),
    "bias": numbers(-3.0, 3.0),
    "variance": numbers(1e-3, 10.0),
    "first": numbers(-1.0, 1.0),
    "second": numbers(-1.0, 1.0),
}


@settings(deadline=None, max_examples=40, derandomize=True)
@given(**PARAMETERS)
def test_two_point_functions_are_bounded_and_increasing(gain, bias, variance, first, second):
    """|F(C)| <= F(D) (Cauchy-Schwarz), and F grows with C since f' f' > 0; up to 1e-12."""
    low, high = sorted((first * variance, second * variance))
    at = lambda C: float(_pair(gain, bias, C, variance))  # noqa: E731
    largest = at(variance)
    assert abs(at(low)) <= largest + 1e-12
    assert at(low) <= at(high) + 1e-12
    assert 0.0 <= largest <= 1.0 + 1e-12


@settings(deadline=None, max_examples=20, derandomize=True)
@given(**PARAMETERS)
def test_ends_of_two_point_functions(gain, bias, variance, first, second):
    """F(D) = <f^2>, F(0) = <f>^2; an odd f makes F odd in C."""
    del second
    function = lambda x: np.tanh(gain * x + bias)  # noqa: E731
    deviation, where, width = np.sqrt(variance), (-bias / gain,), 1 / gain
    square = average(lambda x: function(x) ** 2, 0.0, deviation, where, width)
    mean = average(function, 0.0, deviation, where, width)
    assert float(_pair(gain, bias, variance, variance)) == pytest.approx(square, abs=1e-10)
    assert float(_pair(gain, bias, 0.0, variance)) == pytest.approx(mean**2, abs=1e-10)
    odd = [float(_pair(gain, 0.0, sign * first * variance, variance)) for sign in (1, -1)]
    assert odd[0] == pytest.approx(-odd[1], abs=1e-12)
