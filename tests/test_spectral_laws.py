"""The gated RNN's spectral curve in closed form, and the laws for gates that become switches."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, cast

import mpmath
import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.theory.rmt.gated import fixed_point_moments, gated_edge, log_update_response
from gatefield.theory.rmt.laws import (
    hard_tanh_density,
    marginal_disk,
    near_zero_count,
    pinched_edge,
    unsaturated_fraction,
)

ROUNDING = 1e-12


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_quadrature(point, mean, variance):
    """Integrate |s/(lambda+s)|^2 over the Gaussian in 30 digits, in pieces around its features."""
    with mpmath.workdps(30):
        point, mean, variance = mpmath.mpc(point), mpmath.mpf(mean), mpmath.mpf(variance)
        deviation = mpmath.sqrt(variance)

        def integrand(u):
            gate = 1 / (1 + mpmath.exp(-u))
            density = mpmath.exp(-((u - mean) ** 2) / (2 * variance))
            return abs(gate / (point + gate)) ** 2 * density

        peak = mpmath.log(abs(point / (1 + point)))
        width = mpmath.pi - abs(mpmath.arg(point / (1 + point)))
        breaks = {peak}
        for centre in (mean, mean + 2 * variance):
            breaks |= {centre + k * deviation for k in (-26, -12, -8, -4, -2, 0, 2, 4, 8, 12, 26)}
        breaks |= {peak + sign * k for k in (1, 2, 5, 12, 40) for sign in (-1, 1)}
        while width < 1:
            breaks |= {peak - width, peak + width}
            width *= 6
        total = mpmath.quad(integrand, sorted(breaks)) / mpmath.sqrt(2 * mpmath.pi * variance)
        return float(mpmath.log(total))


HARD = {
    "on the real axis, minute, switch": (1e-200, 0.0, 1e4),
    "minute, off the axis, gain 1e3": (1e-200 + 1e-200j, 0.2, 3.5e5),
    "minute, left of zero": (-1e-200 + 1e-202j, 1.0, 1e5),
    "just off the segment": (-0.5 + 1e-9j, 0.0, 1.0),
    "just off the segment, wide": (-0.3 + 1e-12j, 0.7, 30.0),
    "just off the segment, near zero": (-1e-8 + 1e-20j, 0.3, 100.0),
    "just off the axis beyond -1": (-1.2 + 1e-10j, 0.5, 2.0),
    "next to -1": (-1 + 1e-7j, -0.4, 3.0),
    "narrow, next to its pole": (-0.62 + 0.02j, 0.5, 1e-8),
    "narrow, at its pole": (-0.5 + 0.01j, 0.0, 1e-4),
    "poles farther than the Gaussian": (-0.6 + 0.1j, 0.4, 0.04),
    "wide, below the split": (1e-9 + 1e-10j, -1.0, 15.99),
    "wide, above the split": (1e-9 + 1e-10j, -1.0, 16.01),
    "shut gate": (-0.5 + 0.3j, -30.0, 4.0),
    "shut gate, wide": (1e-12 - 1e-12j, -60.0, 20.0),
    "far out": (1e6j, 0.0, 1.0),
    "minute variance": (0.7 + 0.1j, 0.4, 1e-30),
}


@pytest.mark.parametrize("name", HARD)
def test_update_gate_average_next_to_its_poles(name):
    point, mean, variance = HARD[name]
    got = float(log_update_response(point, mean, variance))
    # Absolute in the logarithm: relative in the average.
    np.testing.assert_allclose(got, by_quadrature(point, mean, variance), rtol=0, atol=ROUNDING)


def test_update_gate_average_at_random_points():
    """From narrow to wide gates, at many points: the trapezoid in 20001 points, far from poles."""
    rng = np.random.default_rng(31)
    points = rng.uniform(-2, 1, 200) + 1j * rng.uniform(0.3, 1.5, 200) * rng.choice([-1, 1], 200)
    for mean, variance in ((0.0, 0.3), (-1.5, 6.0), (2.0, 15.0), (0.5, 17.0), (-3.0, 90.0)):
        t = np.linspace(-9, 9, 20001)
        gate = sigmoid(mean + np.sqrt(variance) * t)
        weight = np.exp(-(t**2) / 2)
        square = np.abs(gate / (points[:, None] + gate)) ** 2
        expected = np.log(square @ weight / weight.sum())
        got = log_update_response(points, mean, variance)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)


def test_update_gate_average_in_closed_cases():
    mean, variance = 0.3, 2.0
    values = log_update_response([0, -1, -0.5, -1e-300, -1 + 1e-16], mean, variance)
    # One at zero, <exp(2u)> at -1, and a pole within reach on the segment between.
    np.testing.assert_allclose(values, [0, 2 * mean + 2 * variance, np.inf, np.inf, np.inf])
    gate = sigmoid(mean)
    points = np.array([0.2 + 0.1j, -1.0, 0.0, -0.3 + 1e-12j])
    expected = 2 * np.log(np.abs(gate / (points + gate)))
    np.testing.assert_allclose(log_update_response(points, mean, 0.0), expected, atol=1e-14)
    assert log_update_response(-0.5, 0.0, 0.0) == np.inf
    assert log_update_response(1.0, 1e3, 0.0) == pytest.approx(-2 * np.log(2), abs=1e-15)
    assert log_update_response(0.0, -1e4, 0.0) == 0


def test_update_gate_average_is_never_nan():
    """Over 300 decades of lambda and 12 of the variance; the same at complex conjugates."""
    rng = np.random.default_rng(32)
    sizes = 10.0 ** rng.uniform(-300, 299, (2, 500))
    points = np.concatenate([sizes[0] + 1j * sizes[1], -sizes[0], -1 + 1j * sizes[1], -sizes[0]])
    points[1500:] += 1j * sizes[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for variance in (0.0, 1e-300, 1e-20, 1e-6, 0.3, 15.0, 17.0, 1e6):
            for mean in (-1e3, -2.0, 0.0, 40.0, 1e3):
                values = log_update_response(points, mean, variance)
                assert not np.any(np.isnan(values))
                same = log_update_response(points.conj().reshape(4, -1), mean, variance)
                np.testing.assert_array_equal(same.ravel(), values)
                # Where an arctangent underflows the point counts as real.
                off = np.abs(np.imag(points)) > 1e-200 * np.abs(np.real(points))
                if variance > 0:
                    assert np.all(np.isfinite(values[off]))


def test_zero_fixed_point_is_a_disk():
    """Without gains every gate is 1/2: a disk of radius g/4 around -1/2."""
    mean_field = gf.solve_static(gf.GatedRNN(3.0))[0]
    edge = gated_edge(mean_field)
    circle = -0.5 + 0.75 * np.exp(1j * np.linspace(0, 2 * np.pi, 12)).reshape(3, 4)
    np.testing.assert_allclose(edge(circle), 0, atol=ROUNDING)
    assert np.all(edge(circle * 1.01) < 0)
    np.testing.assert_allclose(edge(0.25), 0, atol=ROUNDING)  # the leading edge
    np.testing.assert_allclose(edge(-0.5 + 0.75j), 0, atol=ROUNDING)  # the largest frequency
    assert edge(-0.5) == np.inf
    vanilla = gated_edge(gf.solve_static(gf.VanillaRNN(1.7))[0])
    np.testing.assert_allclose(vanilla(-1 + 1.7 * np.exp(1j * np.arange(5))), 0, atol=ROUNDING)


def test_edge_reaches_zero_at_the_critical_gain():
    """g_h = 2: rho = 1 and lambda = 0 is on the boundary, whatever the gates' time constants."""
    for alpha_z, tau_r in ((0.0, 1.0), (7.0, 3.0)):
        cell = gf.GatedRNN(2.0, alpha_r=1.5, alpha_z=alpha_z, tau_r=tau_r)
        assert abs(gated_edge(gf.solve_static(cell)[0])(0)) < ROUNDING
    cell = gf.GatedRNN(3.0, alpha_r=4.0, alpha_z=5.0)
    unstable = gf.solve_static(cell)[-1]
    expected = 2 * np.log(float(unstable.radius))
    np.testing.assert_allclose(gated_edge(unstable)(0), expected, atol=1e-10)


def test_no_coupling_and_poles():
    silent = gated_edge(gf.solve_static(gf.GatedRNN(0.0, alpha_z=2.0))[0])
    assert np.all(silent([[0.3, -0.5], [0, 1j]]) == -np.inf)
    cell = gf.GatedRNN(3.0, alpha_r=2.0, alpha_z=2.0, tau_r=0.25)
    edge = gated_edge(gf.solve_static(cell)[-1])
    np.testing.assert_array_equal(edge([-4.0, -0.3]), np.inf)
    assert np.all(np.isfinite(edge([-4.0 + 1e-9, -0.3 + 1e-9j, -1.0, 0.0])))


def drawn(rng, mean, variance, count):
    return mean + np.sqrt(variance) * rng.standard_normal(count)


def test_edge_against_sampled_units():
    """Every mean, input and random bias at once: Eq. 5 as averages over a million units."""
    values = dict(g_h=2.2, alpha_z=2.5, alpha_r=1.7, beta_h=0.2, beta_z=-0.4, beta_r=0.3, tau_r=1.6)
    mean, inputs = dict(h=0.1, z=0.3, r=-0.2), dict(h=0.1, z=0.2, r=0.3)
    biases = dict(h=0.2, z=0.5, r=0.4)
    mean_field = gf.solve_static(
        gf.GatedRNN(**values, input_gating="update"),
        input_mean=mean,
        input_variance=inputs,
        bias_variance=biases,
    )[-1]
    rng, count = np.random.default_rng(34), 1_000_000
    argument = {}
    for name, gain in (("h", "g_h"), ("z", "alpha_z"), ("r", "alpha_r")):
        field = drawn(rng, 0, mean_field.field_variance[name], count)
        state = field + drawn(rng, mean[name], inputs[name], count)
        bias = drawn(rng, values["beta_" + name], biases[name], count)
        argument[name] = values[gain] * state + bias
    phi, s_z, s_r = np.tanh(argument["h"]), sigmoid(argument["z"]), sigmoid(argument["r"])
    slope, s_r_slope = values["g_h"] * (1 - phi**2), values["alpha_r"] * s_r * (1 - s_r)
    edge = gated_edge(mean_field)
    for point in (0.2, 0.1 + 0.5j, -0.4 + 0.6j, -1.3 + 0.2j, -0.6 - 0.4j):
        # The loops of the Jacobian's response: h to h directly, and h to r to h.
        response = s_z**2 / np.abs(point + s_z) ** 2
        delayed = (phi * s_r_slope) ** 2 / np.abs(1 + values["tau_r"] * point) ** 2
        direct = response * (slope * s_r) ** 2
        through = response * delayed
        expected = direct.mean() + through.mean() * np.mean(slope**2)
        error = np.hypot(direct.std(), through.std() * np.mean(slope**2))
        error = (error + np.std(slope**2) * through.mean()) / np.sqrt(count)
        assert error < 0.003 * expected
        assert abs(np.exp(edge(point)) - expected) < 4 * error


def test_ungated_input_and_vanilla_gates():
    """At alpha_z = 0 an input outside the bracket is amplified; open gates are the vanilla net."""
    inside = gf.GatedRNN(3.0, alpha_r=2.0, beta_z=0.4, input_gating="update")
    outside = gf.GatedRNN(3.0, alpha_r=2.0, beta_z=0.4)
    rate, points = sigmoid(0.4), np.array([0.3, 0.1 + 0.4j, -0.8 + 0.1j])
    one = gf.solve_static(inside, input_mean={"h": 0.2}, input_variance={"h": 0.3})[-1]
    two = gf.solve_static(
        outside, input_mean={"h": 0.2 * rate}, input_variance={"h": 0.3 * rate**2}
    )[-1]
    np.testing.assert_allclose(gated_edge(one)(points), gated_edge(two)(points), atol=1e-10)
    vanilla = gf.solve_static(gf.VanillaRNN(1.6, beta=0.2), bias_variance={"h": 0.3})[-1]
    gated = gf.solve_static(
        gf.GatedRNN(1.6, beta_h=0.2, beta_z=800.0, beta_r=800.0), bias_variance={"h": 0.3}
    )[-1]
    np.testing.assert_allclose(gated_edge(vanilla)(points), gated_edge(gated)(points), atol=1e-10)


def test_refusals():
    sampled = dataclasses.replace(gf.solve_static(gf.GatedRNN(0.5))[0], method="sampled")
    with pytest.raises(InvalidInputError, match="closed form"):
        gated_edge(sampled)
    with pytest.raises(InvalidInputError, match="StaticMeanField"):
        fixed_point_moments(cast(Any, gf.GatedRNN(1.0)))
    edge = gated_edge(gf.solve_static(gf.GatedRNN(3.0))[0])
    for bad in (np.nan, [0, np.inf], 1e305, "x"):
        with pytest.raises(InvalidInputError, match="points"):
            edge(bad)
    with pytest.raises(InvalidInputError, match="variance"):
        log_update_response(0.1, 0.0, -1.0)
    for cell in (gf.GatedRNN(1.5, alpha_z=9.0), gf.GatedRNN(9.0, alpha_z=9.0)):
        with pytest.raises(InvalidInputError, match="rho"):
            pinched_edge(gf.solve_static(cell)[-1])
    with pytest.raises(InvalidInputError, match="varies"):
        pinched_edge(gf.solve_static(gf.GatedRNN(3.0))[-1])
    for bad in (0.0, 1.0, -0.1):
        with pytest.raises(InvalidInputError, match="delta"):
            near_zero_count(bad, 10.0, 0.4)
    with pytest.raises(InvalidInputError, match="unsaturated"):
        hard_tanh_density(3.0, 1.2)
    with pytest.raises(InvalidInputError, match="broadcast"):
        near_zero_count(0.01, [1.0, 2.0], [1.0, 2.0, 3.0])


def test_near_zero_count():
    # Section 5 of the theory, from each state's own D_z: these were between .35 and .41.
    alphas, counted = np.array([10, 20, 40, 80, 160]), np.array([115, 176, 214, 232, 241])
    low, high = (500 * near_zero_count(0.01, alphas, D).fraction for D in (0.35, 0.41))
    assert np.all((low <= counted + 0.5) & (counted - 0.5 <= high))
    # A shifted gate, by the normal distribution of its argument.
    found = near_zero_count(0.02, 7.0, 0.3, beta_z=0.8, z_mean=-0.1)
    argument = stats.norm(0.8 - 0.7, 7 * np.sqrt(0.3))
    np.testing.assert_allclose(found.fraction, argument.cdf(np.log(0.02 / 0.98)), rtol=1e-12)
    np.testing.assert_allclose(found.c1, (np.log(49) + 0.1) / np.sqrt(0.6), rtol=1e-12)
    assert found.c0 == 0.5
    still = near_zero_count(0.01, [0.0, 3.0, 0.0], [0.5, 0.0, 0.5], beta_z=[0.0, -9.0, -9.0])
    np.testing.assert_array_equal(still.fraction, [0.0, 1.0, 1.0])
    assert near_zero_count(1e-12, 1e12, 0.3).fraction == pytest.approx(0.5, abs=1e-10)


PINCHED = {
    "plain": (dict(g_h=3.0), {}),
    "biased": (dict(g_h=3.0, beta_z=1.5), {}),
    "output gate and delay": (dict(g_h=2.5, alpha_r=2.0, tau_r=3.0), {}),
    "random biases": (dict(g_h=3.0, beta_z=-0.5), {"bias_variance": {"z": 4.0}}),
}


@pytest.mark.parametrize("name", PINCHED)
def test_pinched_edge_is_the_limit(name):
    """The error is of order 1/alpha_z, its leading part is ``next_order``, the rest 1/alpha_z^2."""
    values, given = PINCHED[name]
    alphas, first, second = np.array([20.0, 40.0, 80.0, 160.0]), [], []
    for alpha_z in alphas:
        mean_field = gf.solve_static(gf.GatedRNN(alpha_z=alpha_z, **values), **given)[-1]
        edge, law = gated_edge(mean_field), pinched_edge(mean_field)
        exact = brentq(lambda x, edge=edge: float(edge(np.exp(x))), -300, 0, xtol=1e-12)
        first.append(exact - law.log_edge)
        second.append(first[-1] - law.next_order)
    first, second = np.abs(first) * alphas, np.abs(second) * alphas**2
    np.testing.assert_allclose(first, first[-1], rtol=0.12)
    np.testing.assert_allclose(first[2:], first[-1], rtol=0.01)
    assert np.max(second) < 2.0  # against 2.2 x alpha_z without that term


def test_pinched_edge_constant():
    """-1 - c alpha_z sqrt(D_z), from the static solution of g_h = 3."""
    mean_field = gf.solve_static(gf.GatedRNN(3.0, alpha_z=80.0))[-1]
    law = pinched_edge(mean_field)
    with mpmath.workdps(20):
        # rho^2 = 1.13932322, D_z = 4 D_h, D_h = .0881504492 (section 3 of the theory).
        c = mpmath.sqrt(2) * mpmath.erfinv(2 / mpmath.mpf("1.13932322") - 1)
        expected = -1 - c * 80 * mpmath.sqrt(4 * mpmath.mpf("0.0881504492"))
    assert law.c == pytest.approx(float(c), abs=1e-7)
    assert law.log_edge == pytest.approx(float(expected), abs=1e-5)


def switched_network(mean_field, n, seed):
    """Return the eigenvalues of (h, r), gates 0 or 1, but for the zeros of those that are shut."""
    cell, rng = mean_field.cell, np.random.default_rng(seed)
    # Quantiles instead of samples: the average unit is then exact, only the couplings are random.
    normal = stats.norm.ppf((np.arange(n) + 0.5) / n)
    h, r = (np.sqrt(mean_field.variance[name]) * rng.permutation(normal) for name in "hr")
    opened = rng.permutation(n)[: n // 2]
    J_h, J_r = rng.standard_normal((2, n, n)) / np.sqrt(n)
    phi, s_r = np.tanh(cell.g_h * h), sigmoid(cell.alpha_r * r + cell.beta_r)
    slope, s_r_slope = cell.g_h * (1 - phi**2), cell.alpha_r * s_r * (1 - s_r)
    top = np.hstack([J_h * slope * s_r - np.eye(n), J_h * phi * s_r_slope])[opened]
    bottom = np.hstack([J_r * slope, -np.eye(n)]) / cell.tau_r
    moving = np.concatenate([opened, np.arange(n, 2 * n)])  # the rows of shut units are zero
    return np.linalg.eigvals(np.vstack([top, bottom])[:, moving])


@pytest.mark.parametrize("tau_r", [1.0, 0.4], ids=["tau_r=1", "tau_r=0.4"])
def test_switched_spectrum_with_an_output_gate(tau_r):
    """The radius is not rho sqrt(<s_z>) if alpha_r > 0: against eigenvalues of random matrices."""
    cell = gf.GatedRNN(2.0, alpha_r=6.0, beta_r=-4.0, tau_r=tau_r, input_gating="update")
    mean_field = gf.solve_static(cell, input_variance={"h": 0.3})[-1]
    disk = marginal_disk(mean_field)
    naive = float(mean_field.radius) * np.sqrt(0.5)
    n, count = 300, 6
    networks = np.array([switched_network(mean_field, n, seed) for seed in range(count)])
    assert networks.shape[1] == 2 * n - n * float(disk.zero_fraction)
    if tau_r == 1:
        distance = np.abs(networks + 1)
        assert np.mean(distance > float(disk.radius)) < 0.015
        assert np.mean(distance > naive) > 0.1
    # Leading edges scatter by 0.04 at N = 1000 (section 5 of the theory).
    error = 0.04 * np.sqrt(1000 / n / count)
    edge = np.mean(np.max(networks.real, axis=1))
    assert abs(edge - float(disk.leading_edge)) < 2 * error


def test_marginal_disk():
    # Without an output gate the radius is rho sqrt(1/2); Eq. 8 ends at g = 6.546 (section 4).
    mean_field = gf.solve_static(gf.GatedRNN(3.0, alpha_z=50.0))[-1]
    disk = marginal_disk(mean_field)
    assert disk.radius == pytest.approx(np.sqrt(1.13932322 / 2), abs=1e-8)
    assert disk.leading_edge == pytest.approx(float(disk.radius) - 1)
    radii = [
        float(marginal_disk(gf.solve_static(gf.GatedRNN(g))[-1]).radius) for g in (6.5455, 6.5465)
    ]
    assert radii[0] < 1 < radii[1]
    for g, alpha_r in ((2.5, 3.0), (4.0, 10.0), (8.0, 10.0), (0.0, 1.0)):
        mean_field = gf.solve_static(gf.GatedRNN(g, alpha_r=alpha_r, tau_r=2.0))[-1]
        disk = marginal_disk(mean_field)
        assert bool(disk.marginal) == (float(mean_field.radius) ** 2 / 2 < 1)
        assert bool(disk.marginal) == (float(disk.leading_edge) < 0)


def test_switched_disk_is_the_limit_of_the_exact_edge():
    """Far from zero the curve at alpha_z = 1e4 lies at the disk, but for a share ~ 1/alpha_z."""
    cell = gf.GatedRNN(9.0, alpha_r=3.0, alpha_z=1e4, tau_r=1.0)
    mean_field = gf.solve_static(cell)[-1]
    disk, edge = marginal_disk(mean_field), gated_edge(mean_field)
    angles = np.exp(1j * np.array([0.0, 0.6, 1.5]))
    assert disk.radius > 1
    assert np.max(np.abs(edge(-1 + float(disk.radius) * angles))) < 1e-2


def test_hard_tanh():
    """Masses add up to one, and a random network of such units agrees."""
    g, h_variance, n = 4.0, 0.12, 600
    rng = np.random.default_rng(36)
    h = drawn(rng, 0, h_variance, n)
    gate = np.arange(n) % 2
    linear = np.abs(g * h) < 1
    f_h = float(unsaturated_fraction(g, h_variance))
    assert f_h == pytest.approx(stats.norm.cdf(1 / (g * np.sqrt(0.12))) * 2 - 1, abs=1e-14)
    assert abs(linear.mean() - f_h) < 4 * np.sqrt(f_h * (1 - f_h) / n)
    J = rng.standard_normal((n, n)) / np.sqrt(n)
    values = np.linalg.eigvals(gate[:, None] * (J * (g * linear / 2) - np.eye(n)))
    # With the sample's own fraction the counts are exact: ranks do not fluctuate.
    law = hard_tanh_density(g, linear.mean(), 0.5)
    at_zero, saturated = np.abs(values) < 1e-7, np.abs(values + 1) < 1e-7
    masses = (float(law.zero_mass), float(law.saturated_mass), float(law.disk_mass))
    assert sum(masses) == pytest.approx(1, abs=1e-14)
    assert law.disk_density * np.pi * law.disk_radius**2 == pytest.approx(masses[2], abs=1e-14)
    assert at_zero.sum() == 300
    assert law.disk_density == pytest.approx(4 / (np.pi * 16), abs=1e-14)
    disk = values[~at_zero & ~saturated]
    spread = np.sqrt(n) / 2  # of how many of the unsaturated units are open
    assert abs(disk.size - n * masses[2]) < 4 * spread * np.sqrt(0.5)
    # The uniform disk: half of its eigenvalues lie within radius / sqrt(2), the others up to it.
    distance = np.abs(disk + 1) / float(law.disk_radius)
    assert np.max(distance) == pytest.approx(1, abs=0.12)
    assert np.mean(distance < np.sqrt(0.5)) == pytest.approx(0.5, abs=0.06)


def test_unsaturated_fraction_limits():
    got = unsaturated_fraction([2.0, 2.0, 0.0], [0.0, 0.0, 1.0], beta_h=[0.3, 1.5, -0.2])
    np.testing.assert_array_equal(got, [1.0, 0.0, 1.0])
    shifted = stats.norm(0.4, 3 * np.sqrt(0.2))
    expected = shifted.cdf(1) - shifted.cdf(-1)
    np.testing.assert_allclose(unsaturated_fraction(3.0, 0.2, beta_h=0.4), expected, rtol=1e-12)
