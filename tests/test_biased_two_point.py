"""Two-point functions with a bias, for every gain, against quadrature that shares nothing."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special

from gatefield.numerics.biased_two_point import (
    sigmoid_average,
    sigmoid_two_point_biased,
    sigmoid_two_point_biased_slope,
    tanh_average,
    tanh_two_point_biased,
    tanh_two_point_biased_slope,
)
from gatefield.numerics.gaussian import gaussian_average
from gatefield.numerics.scale_mixture import (
    sigmoid_two_point,
    tanh_two_point,
    tanh_two_point_slope,
)

# (C, D, gain, bias): steep, near C = D, C = -D, small variance, biases of either sign, both linear
# and saturated units.
HARD = [
    (0.3, 1.0, 1e3, 5.0),
    (0.999, 1.0, 1e3, 5.0),
    (-0.999, 1.0, 1e3, 5.0),
    (0.9999, 1.0, 30.0, -2.5),
    (1.0, 1.0, 1e3, 5.0),
    (-1.0, 1.0, 1e5, 10.0),
    (0.4, 0.5, 1e7, 0.3),
    (0.6, 0.7, 3.0, 3.5),
    (-0.2, 0.7, 3.0, -10.0),
    (0.9, 1.0, 0.3, 5.0),
    (5e-7, 1e-6, 1.0, 3.5),
    (-1e-3, 2e-3, 1e-3, 10.0),
    (0.05, 2.0, 1.0, 0.1),
]

ALL = (0, 1, 2, 3)
tanh_value, sigmoid_value = jax.jit(tanh_two_point_biased), jax.jit(sigmoid_two_point_biased)
tanh_slope = jax.jit(tanh_two_point_biased_slope)
sigmoid_slope = jax.jit(sigmoid_two_point_biased_slope)
tanh_jacobian = jax.jit(jax.jacfwd(tanh_two_point_biased, argnums=ALL))
sigmoid_jacobian = jax.jit(jax.jacfwd(sigmoid_two_point_biased, argnums=ALL))
slope_jacobian = jax.jit(jax.jacfwd(tanh_two_point_biased_slope, argnums=ALL))
mean_gradient = jax.jit(jax.grad(tanh_average, argnums=(0, 1, 2)))
tanh_hessian = jax.jit(jax.jacfwd(jax.jacfwd(tanh_two_point_biased, argnums=ALL), argnums=ALL))


@pytest.fixture(autouse=True)
def double():
    """Compute in float64, whatever the process does."""
    with jax.enable_x64(True):
        yield


def graded_rule(centres, width):
    """Return a composite Gauss rule for N(0, 1), panels growing by two away from the centres.

    The last axis of ``centres`` holds the places where the integrand varies on the scale ``width``;
    no panel is wider than one standard deviation, and sixteen nodes on each leave rounding.
    """
    x, w = np.polynomial.legendre.leggauss(16)
    width = min(width, 1.0)
    powers = width * 2.0 ** np.arange(np.ceil(np.log2(20 / width)))
    steps = np.concatenate([-powers, [0.0], powers])
    centres = np.clip(np.asarray(centres), -1e3, 1e3)
    edges = (centres[..., None] + steps).reshape(*centres.shape[:-1], -1)
    whole = np.broadcast_to(np.arange(-9.0, 10.0), (*centres.shape[:-1], 19))
    edges = np.sort(np.clip(np.concatenate([edges, whole], axis=-1), -9.0, 9.0), axis=-1)
    half, middle = 0.5 * np.diff(edges), 0.5 * (edges[..., 1:] + edges[..., :-1])
    nodes = (middle[..., None] + half[..., None] * x).reshape(*edges.shape[:-1], -1)
    weights = (half[..., None] * w).reshape(nodes.shape)
    return nodes, weights * np.exp(-0.5 * nodes**2) / np.sqrt(2 * np.pi)


def average(first, second, point):
    """Return < first(x) second(y) > with x, y = +-sqrt(|C|) v + independent parts."""
    c, d, gain, bias = point
    common, own, sign = np.sqrt(abs(c)), np.sqrt(d - abs(c)), np.sign(c)
    centre = -bias / gain
    v, weights = graded_rule([centre / common, sign * centre / common], 1 / (gain * common))

    def inner(f, mean):
        if own == 0:
            return f(mean)
        x, w = graded_rule((centre - mean)[:, None] / own, 1 / (gain * own))
        return np.sum(w * f(mean[:, None] + own * x), axis=-1)

    return np.sum(weights * inner(first, common * v) * inner(second, sign * common * v))


def sech2(u):
    """Return 1 - tanh(u)^2 without cancellation."""
    return 4 * special.expit(2 * u) * special.expit(-2 * u)


def tanh_parts(gain, bias):
    """Return tanh(gain x + bias) and its derivatives by x, by the gain and by the bias."""
    return (
        lambda x: np.tanh(gain * x + bias),
        lambda x: gain * sech2(gain * x + bias),
        lambda x: x * sech2(gain * x + bias),
        lambda x: sech2(gain * x + bias),
    )


def test_the_reference_agrees_with_nested_adaptive_quadrature():
    """The graded rule that the other tests rely on, at a point that both resolve."""
    c, d, gain, bias = 0.5, 0.8, 4.0, 1.5

    def gaussian_mean(f):
        def integrand(x):
            return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) * f(x)

        return integrate.quad(integrand, -8.5, 8.5, epsabs=1e-13, epsrel=1e-13, limit=200)[0]

    def inner(mean):
        return gaussian_mean(lambda x: np.tanh(gain * (mean + np.sqrt(d - c) * x) + bias))

    exact = gaussian_mean(lambda v: inner(np.sqrt(c) * v) ** 2)
    f = tanh_parts(gain, bias)[0]
    assert average(f, f, (c, d, gain, bias)) == pytest.approx(exact, abs=1e-12)
    assert float(tanh_value(c, d, gain, bias)) == pytest.approx(exact, abs=1e-12)


# Twenty nodes leave 3e-13 (documented); twice that for the rounding of the reference.
@pytest.mark.parametrize("point", HARD)
def test_values_agree_with_quadrature(point):
    """Both functions, and the sigmoid's mirror image, where gates are closed."""
    c, d, gain, bias = point
    f = tanh_parts(gain, bias)[0]
    assert float(tanh_value(*point)) == pytest.approx(average(f, f, point), abs=6e-13)
    for b in (bias, -bias):
        mirrored = (c, d, gain, b)

        def gate(x, b=b):
            return special.expit(gain * x + b)

        exact = average(gate, gate, mirrored)
        assert float(sigmoid_value(*mirrored)) == pytest.approx(exact, abs=3e-13)


# What the quadrature over C >= 0 resolves to rounding, the rule in S leaves (documented).
@pytest.mark.parametrize(("bias", "error"), [(-2.0, 1e-14), (-5.0, 2e-12), (-10.0, 3e-9)])
@pytest.mark.parametrize("gain", [0.01, 1.0, 5.0, 100.0])
def test_closed_gates_keep_their_relative_accuracy(gain, bias, error):
    """< s s > is as small as 1e-9 there, and 1 + 2 <tanh> + <tanh tanh> would cancel."""

    def gate(x):
        return special.expit(gain * x + bias)

    for c in (0.3, 0.95, 1.0):
        exact = average(gate, gate, (c, 1.0, gain, bias))
        assert float(sigmoid_value(c, 1.0, gain, bias)) == pytest.approx(exact, rel=error, abs=0.0)


@pytest.mark.parametrize("point", HARD)
def test_derivatives_agree_with_quadrature(point):
    """<f' f'> by C (Price's theorem), 2 <f df> by gain and bias: all are hand-written.

    F depends on gain^2 C and gain^2 D only, which gives its derivative by D from the others.
    """
    c, d, gain, bias = point
    f, by_x, by_gain, by_bias = tanh_parts(gain, bias)
    slope = average(by_x, by_x, point)
    along_gain, along_bias = 2 * average(f, by_gain, point), 2 * average(f, by_bias, point)
    along_variance = (0.5 * gain * along_gain - c * slope) / d
    exact = np.array([slope, along_variance, along_gain, along_bias])
    # The rule's error, 1e-11, in units of each derivative for linear and for steep units; and the
    # rounding of the reference's nodes, 1e-16 of a panel of width 1/gain.
    unit = np.array([min(1.0, gain**2)] * 2 + [min(gain, gain**-2), min(1.0, 1 / gain)])
    rounding = 1e-16 * max(gain, 1e5)

    def agree(found, exact, unit):
        return np.all(np.abs(np.array(found) - exact) <= 1e-11 * unit + rounding * np.abs(exact))

    assert agree(tanh_jacobian(*point), exact, unit)
    assert agree(tanh_slope(*point), slope, unit[0])
    mean = [average(np.ones_like, part, point) for part in (by_gain, by_bias)]
    mean = np.array([0.0, 0.5 * gain * mean[0] / d, *mean])
    assert agree(mean_gradient(*point[1:]), mean[1:], unit[1:])
    # s(2 u) = (1 + tanh(u)) / 2: gain and bias count double.
    gate, halves = (c, d, 2 * gain, 2 * bias), np.array([1.0, 1.0, 0.5, 0.5])
    exact = halves * (2 * mean + exact) / 4
    assert agree(sigmoid_jacobian(*gate), exact, unit)
    assert agree(sigmoid_slope(*gate), exact[0], unit[0])


@pytest.mark.parametrize("point", [(0.3, 0.7, 2.0, 1.2), (-0.4, 0.6, 5.0, -0.5)])
def test_second_derivatives_agree_with_finite_differences(point):
    """Those of F, through the hand-written first ones, and those of the slope by C."""
    step, point = 1e-4, np.array(point)
    hessian = np.array(tanh_hessian(*point))
    for i, move in enumerate(step * np.eye(4)):
        forward, backward = tanh_jacobian(*(point + move)), tanh_jacobian(*(point - move))
        difference = (np.array(forward) - np.array(backward)) / (2 * step)
        # The error is step^2 / 6 times third derivatives, which are below 30 here.
        np.testing.assert_allclose(hessian[i], difference, atol=5e-8)
    np.testing.assert_allclose(slope_jacobian(*point), hessian[0], rtol=1e-12)


@pytest.mark.parametrize("bias", [-10.0, -0.7, 0.0, 2.0, 5.0])
def test_no_variance_leaves_the_function_at_its_bias(bias):
    """D = C = 0: F = f^2, with derivatives f'^2, f f'', 0 and 2 f sech^2; and gain = 0 alike."""
    value, narrow = np.tanh(bias), sech2(bias)
    # Errors of the rule at a single point, in units of gain^2 per variance.
    for gain in (0.0, 2.0, 1e3):
        expected = np.array([narrow**2, -2 * value**2 * narrow, 0.0, 2 * value * narrow])
        expected[:2] *= gain**2
        tolerance = 1e-11 * np.array([gain**2, gain**2, 1.0, 1.0])
        assert float(tanh_value(0.0, 0.0, gain, bias)) == pytest.approx(value**2, abs=6e-13)
        found = np.array(tanh_jacobian(0.0, 0.0, gain, bias))
        assert np.all(np.abs(found - expected) <= tolerance)
        gate = special.expit(bias)
        assert float(sigmoid_value(0.0, 0.0, gain, bias)) == pytest.approx(gate**2, abs=3e-13)
        assert float(sigmoid_average(0.0, gain, bias)) == pytest.approx(gate, abs=3e-13)
        assert float(tanh_average(0.0, gain, bias)) == pytest.approx(value, abs=3e-13)
        assert np.all(np.isfinite(tanh_hessian(0.0, 0.0, gain, bias)))
    assert float(tanh_value(0.4, 1.0, 0.0, bias)) == pytest.approx(value**2, abs=6e-13)


@pytest.mark.parametrize("gain", [0.05, 2.0, 1e3])
@pytest.mark.parametrize("bias", [-5.0, 0.3, 10.0])
def test_limits_are_averages_of_one_variable(gain, bias):
    """C = 0 gives < f >^2 and C = D gives < f^2 >, by `gaussian_average`, good to 1e-10."""
    variance, centre = 0.6, -bias / gain

    def one(f):
        return float(gaussian_average(f, variance, centre=centre))

    mean = one(lambda x: jax.numpy.tanh(gain * x + bias))
    square = one(lambda x: jax.numpy.tanh(gain * x + bias) ** 2)
    gate = one(lambda x: jax.nn.sigmoid(gain * x + bias))
    gate_square = one(lambda x: jax.nn.sigmoid(gain * x + bias) ** 2)
    assert float(tanh_average(variance, gain, bias)) == pytest.approx(mean, abs=1e-10)
    assert float(sigmoid_average(variance, gain, bias)) == pytest.approx(gate, abs=1e-10)
    assert float(tanh_value(0.0, variance, gain, bias)) == pytest.approx(mean**2, abs=1e-10)
    assert float(tanh_value(variance, variance, gain, bias)) == pytest.approx(square, abs=1e-10)
    assert float(sigmoid_value(0.0, variance, gain, bias)) == pytest.approx(gate**2, abs=1e-10)
    found = float(sigmoid_value(variance, variance, gain, bias))
    assert found == pytest.approx(gate_square, abs=1e-10)


@pytest.mark.parametrize("gain", [1e-3, 0.3, 3.0, 1e3, 1e7])
def test_no_bias_gives_the_arcsine_laws(gain):
    """To the relative accuracy of the unbiased functions, 7e-14, also where F is 1e-7."""
    variance, rho = 0.64, np.linspace(-1.0, 1.0, 9)
    b = gain * np.sqrt(variance)
    found = tanh_value(rho * variance, variance, gain, 0.0)
    np.testing.assert_allclose(found, tanh_two_point(rho, b), rtol=3e-13, atol=1e-22)
    found = variance * tanh_slope(rho * variance, variance, gain, 0.0)
    np.testing.assert_allclose(found, tanh_two_point_slope(rho, b), rtol=3e-13)
    found = sigmoid_value(rho * variance, variance, gain, 0.0)
    np.testing.assert_allclose(found, sigmoid_two_point(rho, b), atol=3e-14)


@given(
    variance=st.floats(-4.0, 1.0).map(lambda x: 10.0**x),
    gain=st.floats(-3.0, 7.0).map(lambda x: 10.0**x),
    bias=st.floats(-10.0, 10.0),
)
def test_bounds_and_order(variance, gain, bias):
    """F grows with C from any to any other, is < f >^2 at C = 0, and stays below one."""
    rounding = 1e-14
    c = np.array([-1.0, -0.999, -0.5, -0.1, 0.0, 1e-3, 0.4, 0.99, 1.0]) * variance
    value = np.asarray(tanh_value(c, variance, gain, bias))
    gate = np.asarray(sigmoid_value(c, variance, gain, bias))
    mean = float(tanh_average(variance, gain, bias))
    assert np.all(np.diff(value) >= -rounding)
    assert np.all(np.diff(gate) >= -rounding)
    assert np.all(np.abs(value) <= 1 + rounding)
    assert np.all((gate >= -rounding) & (gate <= 1 + rounding))
    assert value[4] == pytest.approx(mean**2, abs=1e-12)
    assert np.all(np.asarray(tanh_slope(c, variance, gain, bias)) >= 0)
    mirrored = np.asarray(tanh_value(c, variance, gain, -bias))
    np.testing.assert_allclose(mirrored, value, atol=rounding)
    # The two functions are evaluated in different forms, and must be one.
    double = np.asarray(sigmoid_value(c, variance, 2 * gain, 2 * bias))
    np.testing.assert_allclose(double, (1 + 2 * mean + value) / 4, atol=1e-12)


def test_nodes_converge_where_the_rule_is_worst():
    """A single point at |b| = 3.5 to 5: every four nodes leave an eightieth of the error."""
    bias = np.linspace(0.0, 10.0, 101)
    error = [
        np.max(np.abs(np.asarray(tanh_average(0.0, 1.0, bias, nodes=nodes)) - np.tanh(bias)))
        for nodes in (12, 16, 20)
    ]
    assert all(later < earlier / 60 for earlier, later in zip(error, error[1:], strict=False))
    assert error[-1] < 3e-13


def test_shapes_broadcast_and_the_type_follows():
    """Lags along one axis, gains along another; single precision stays single."""
    lags, gains = np.linspace(-0.5, 0.5, 5), np.array([[0.5], [4.0]])
    grid = tanh_two_point_biased(lags, 0.5, gains, 0.3)
    assert grid.shape == (2, 5)
    point = (lags[3], 0.5, 4.0, 0.3)
    f = tanh_parts(4.0, 0.3)[0]
    assert float(grid[1, 3]) == pytest.approx(average(f, f, point), abs=6e-13)
    single = [np.float32(x) for x in point]
    for function in (tanh_value, tanh_slope, sigmoid_value):
        assert function(*single).dtype == np.float32
        assert float(function(*single)) == pytest.approx(float(function(*point)), rel=1e-5)
    assert all(part.dtype == np.float32 for part in tanh_jacobian(*single))
