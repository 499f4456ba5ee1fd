"""The largest exponent by the operator in the lag: numbers, finite differences, limits."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from dmft_reference import Plain, average
from scipy.linalg import solve_banded

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.numerics.hermite import hermite_table
from gatefield.numerics.scale_mixture import tanh_two_point, tanh_two_point_slope
from gatefield.theory.dmft import GaussianInput, MeanField, solve_dmft
from gatefield.theory.lyapunov import mean_field_lyapunov

# THEORY.md section 7.
REFERENCES: dict[str, tuple[Any, float]] = {
    "vanilla": (gf.VanillaRNN(2.0), 0.11245811),
    "no-gate": (gf.GatedRNN(3.0), 0.02337311),
    "gated": (gf.GatedRNN(3.0, alpha_r=2.0), 0.07101677),
    "weak": (gf.GatedRNN(2.5), 0.00848148),
    "beside": (gf.GatedRNN(1.8, alpha_r=20.0), 0.11752362),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_exponents_have_the_reference_values(name):
    cell, expected = REFERENCES[name]
    found = mean_field_lyapunov(solve_dmft(cell))
    assert float(found.exponent) == pytest.approx(expected, abs=0.5e-8)
    assert found.status is Status.OK and found.method == "operator"
    assert found.chaotic and not found.approximate
    assert float(found.standard_error) == 0
    # The odd sector gives exactly zero, and a coarser grid the same: to 1e-8.
    assert 0 <= float(found.truncation) < 1e-8
    assert np.max(np.abs(found.mode)) == found.mode[0] == 1
    assert np.all(found.mode > -1e-9) and found.lags.shape == found.mode.shape
    assert not jax.config.read("jax_enable_x64")


# ---------------------------------------------------------------- finite differences


def hermite(function, covariance: np.ndarray, terms: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return <f f> and its derivative by C at covariances, lag 0 first, by Hermite series."""
    c0 = covariance[0]
    grid, matrix = hermite_table(terms)
    squares = (matrix @ function(np.sqrt(c0) * grid)) ** 2
    series = np.polynomial.Polynomial(squares)
    return series(covariance / c0), series.deriv()(covariance / c0) / c0


def top_eigenvalue(
    found: MeanField, growth: float, step: float, reach: float, slopes: Any = hermite
) -> float:
    """Return mu(lambda) on evenly spaced lags by second differences and power iteration.

    X <- [(lambda + s)^2 - d^2]^-1 (direct X + through_r X_r + through_z X_z), even, zero at last.
    """
    lags = np.arange(0, reach + step / 2, step)
    plain, C = Plain(found.cell), {name: found.at(name, lags) for name in found.names}
    phi, phi_c = slopes(plain.phi, C["h"])
    if "r" in C:
        gate, gate_c = slopes(plain.gate_r, C["r"])
        rate, rate_c = slopes(plain.gate_z, C["z"])
    else:
        gate, gate_c, rate, rate_c = np.ones_like(phi), 0 * phi, np.ones_like(phi), 0 * phi

    def inverse(restoring, square):
        bands = np.full((3, lags.size), -square / step**2)
        bands[1] = restoring + 2 * square / step**2
        bands[0, 1] *= 2  # even
        return lambda drive: solve_banded((1, 1), bands, drive)

    mean = average(plain.gate_z, C["z"][0]) if "z" in C else 1.0
    unit = inverse(growth**2 + 2 * growth * mean + rate, 1.0)
    gates = [inverse((1 + tau * growth) ** 2, tau**2) for tau in (plain.tau_z, plain.tau_r)]
    weights = [(phi * gate - C["h"]) * rate_c, rate * phi * gate_c]
    X, mu = np.exp(-growth * lags), 0.0
    for _ in range(2000):
        drive = rate * gate * phi_c * X
        for invert, weight in zip(gates, weights, strict=True):
            drive = drive + weight * invert(phi_c * X)
        new = unit(drive)
        before, mu = mu, float(new[0] / X[0])
        X = new / new[0]
        if abs(mu - before) < 1e-13:
            break
    return mu


OPERATORS: dict[str, tuple[Any, dict[str, GaussianInput], str, float]] = {
    "vanilla": (gf.VanillaRNN(2.0), {}, "auto", 60.0),
    "gated": (gf.GatedRNN(3.0, alpha_r=2.0), {}, "auto", 80.0),
    "slow-gate": (gf.GatedRNN(3.0, alpha_r=2.0, tau_r=4.0, beta_z=1.0), {}, "auto", 80.0),
    "biases": (gf.GatedRNN(3.0, alpha_r=2.0, beta_h=0.2, beta_r=-0.3), {}, "auto", 80.0),
    "driven": (
        gf.VanillaRNN(2.0),
        {"h": GaussianInput(variance=0.3, correlation_time=0.5)},
        "auto",
        60.0,
    ),
    "separable": (gf.GatedRNN(3.0, alpha_z=1.0, alpha_r=2.0, tau_z=2.0), {}, "separable", 80.0),
    "separable-bias": (
        gf.GatedRNN(3.0, alpha_z=1.5, alpha_r=2.0, beta_h=0.3),
        {},
        "separable",
        80.0,
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_exponent_is_that_of_finite_differences(name):
    """mu(lambda) = 1 on even lags, with slopes by Hermite series, after Richardson's step.

    What remains is of fourth order in the spacing: 1e-6 at 0.05.
    """
    cell, inputs, method, reach = OPERATORS[name]
    found = solve_dmft(cell, inputs=inputs, method=method)
    rate = mean_field_lyapunov(found)
    assert rate.approximate is (method == "separable")

    def mu(growth):
        coarse, fine = (top_eigenvalue(found, growth, step, reach) for step in (0.1, 0.05))
        return fine + (fine - coarse) / 3

    growth = float(rate.exponent)
    at, beside = mu(growth), mu(growth + 1e-3)
    slope = (beside - at) / 1e-3
    assert slope < -0.5
    # The zero of mu - 1 is here.
    assert (at - 1) / slope == pytest.approx(0.0, abs=2e-6)


# ---------------------------------------------------------------- limits


def test_onset_of_chaos_in_the_vanilla_network():
    """Sompolinsky, Crisanti and Sommers (1988): lambda -> (g - 1)^2/2, the rest of next order."""
    eps = np.array([4e-2, 2e-2, 1e-2, 5e-3])
    each = [float(mean_field_lyapunov(solve_dmft(gf.VanillaRNN(1 + e))).exponent) for e in eps]
    lack = 1 - np.array(each) / (eps**2 / 2)
    # Halved at each step, ever more closely, so that nothing is left at eps = 0.
    ratio = lack[:-1] / lack[1:]
    np.testing.assert_allclose(ratio, 2, rtol=0.1)
    assert np.all(np.diff(np.abs(ratio - 2)) < 0)
    assert abs(2 * lack[-1] - lack[-2]) < 0.1 * lack[-1]


def test_steep_vanilla_networks_follow_the_logarithm():
    """Far above, lambda grows as ln g (SCS 1988).

    C_phi' -> a / |tau| outside |tau| ~ 1/g, a = (2/pi) / sqrt(C0 (1 - C0)), C0 = 2 - 4/pi: a bound
    state of such a well has k = a ln(1/(k delta)), k = 1 + lambda, so that dk / dln g tends to
    a / (1 + a/k), up to terms that fall as 1/k^2.
    """
    c0 = 2 - 4 / np.pi
    a = 2 / np.pi / np.sqrt(c0 * (1 - c0))
    gains = np.array([1e1, 1e2, 1e3, 1e4, 1e5])
    found = [mean_field_lyapunov(solve_dmft(gf.VanillaRNN(g))) for g in gains]
    assert all(each.status is Status.OK and float(each.truncation) < 1e-5 for each in found)
    k = 1 + np.array([float(each.exponent) for each in found])
    # ln k is integrated exactly: k + a ln k - a ln g tends to a constant.
    change = np.diff(k + a * np.log(k) - a * np.log(gains))
    assert np.all(np.abs(change[1:]) < 0.6 * np.abs(change[:-1]))
    assert abs(change[-1]) < 0.07


def test_open_gates_leave_the_vanilla_exponent():
    vanilla = mean_field_lyapunov(solve_dmft(gf.VanillaRNN(2.0)))
    gated = mean_field_lyapunov(solve_dmft(gf.GatedRNN(2.0, beta_z=30.0, beta_r=30.0)))
    assert float(gated.exponent) == pytest.approx(float(vanilla.exponent), abs=1e-11)


def test_exponents_scale_with_the_rate():
    """With s_z(0) alone, time counts in its units: lambda(s_z, tau) = s_z lambda(1, s_z tau)."""
    rate = 1 / (1 + np.exp(1.2))
    slow = mean_field_lyapunov(solve_dmft(gf.GatedRNN(3.0, alpha_r=5.0, beta_z=-1.2, tau_r=2.0)))
    fast = mean_field_lyapunov(
        solve_dmft(gf.GatedRNN(3.0, alpha_r=5.0, beta_z=30.0, tau_r=2.0 * rate))
    )
    assert float(slow.exponent) == pytest.approx(rate * float(fast.exponent), rel=1e-9)


def test_separable_exponent_tends_to_the_exact_one():
    """Of second order in alpha_z (and wrong already there, says THEORY.md)."""
    exact = float(mean_field_lyapunov(solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0))).exponent)
    change = []
    for gain in (0.2, 0.1):
        found = solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, alpha_z=gain), method="separable")
        change.append(float(mean_field_lyapunov(found).exponent) - exact)
    assert change[0] / change[1] == pytest.approx(4.0, rel=0.03)


def test_steep_gates_are_resolved():
    """g = 20, alpha_r = 1000: C_sr' falls within a hundredth of a time constant.

    On the 96 lags that C_h alone calls for, the exponent would be 1.168. Here the slopes are scale
    mixtures, for Hermite series do not converge; the lags are spaced by 1/1000.
    """
    cell = gf.GatedRNN(20.0, alpha_r=1000.0)
    solution = solve_dmft(cell)
    found = mean_field_lyapunov(solution)

    def mixtures(function, covariance):
        # A sigmoid of x is (1 + tanh(x/2))/2: its square averages to (1 + F)/4.
        scale, shift, c0 = 1.0, 0.0, covariance[0]
        gain = np.arctanh(function(1e-4)) * 1e4
        if function(0.0) == 0.5:
            gain, scale, shift = np.arctanh(2 * function(1e-4) - 1) * 1e4, 0.25, 0.25
        with jax.enable_x64(True):
            value, slope = (
                np.asarray(each(covariance / c0, gain * np.sqrt(c0)))
                for each in (tanh_two_point, tanh_two_point_slope)
            )
        return shift + scale * value, scale * slope / c0

    growth = float(found.exponent)
    mu = [top_eigenvalue(solution, growth, step, 12.0, mixtures) for step in (2e-3, 1e-3)]
    # d mu / d lambda is about -1, and 12 time constants leave exp(-2 x 12) of the mode.
    assert mu[1] + (mu[1] - mu[0]) / 3 == pytest.approx(1.0, abs=2e-5)
    assert float(found.truncation) < 1e-6


# ---------------------------------------------------------------- what does not grow


def test_units_that_hardly_drive_each_other_relax():
    """g -> 0: -1 for the vanilla network, -s_z(0) or the slowest gate's -1/tau with gates."""
    moving = {"h": GaussianInput(variance=0.2, correlation_time=1.0)}
    for cell, expected in (
        (gf.VanillaRNN(1e-4), -1.0),
        (gf.GatedRNN(1e-4), -0.5),
        (gf.GatedRNN(1e-4, tau_r=8.0), -0.125),
        (gf.GatedRNN(1e-4, alpha_r=1.0, tau_z=4.0), -0.25),
    ):
        found = mean_field_lyapunov(solve_dmft(cell, inputs=moving))
        assert found.status is Status.OK and not found.chaotic
        # The search stops 1e-4 short of the slowest rate.
        assert float(found.exponent) == pytest.approx(expected, rel=2e-4)


def test_fixed_points_have_their_leading_edge():
    """Unstable by rho alone: s_z (rho - 1) without output gate; the closed form of Eq. 5."""
    cell = gf.GatedRNN(1.5, beta_z=0.7, tau_r=0.3, tau_z=0.4)
    found = mean_field_lyapunov(solve_dmft(cell))
    rate = 1 / (1 + np.exp(-0.7))
    assert found.method == "leading edge" and not found.chaotic
    assert float(found.exponent) == pytest.approx(rate * (0.75 - 1), abs=1e-12)
    assert np.isnan(found.truncation) and found.mode.size == 0
    biased = gf.GatedRNN(2.0, alpha_r=3.0, beta_h=1.0)
    (static,) = gf.solve_static(biased)
    edge = float(gf.spectral_boundary(static).leading_edge)
    found = mean_field_lyapunov(solve_dmft(biased), method="leading edge")
    assert float(found.exponent) == pytest.approx(edge, abs=1e-12)


# ---------------------------------------------------------------- refusals


def test_methods_that_do_not_fit_are_refused():
    moving, frozen = solve_dmft(gf.VanillaRNN(2.0)), solve_dmft(gf.VanillaRNN(0.5))
    for solution, method, says in (
        (moving, "leading edge", "'operator' for this solution"),
        (moving, "sampled", "'operator' for this solution"),
        (frozen, "operator", "'leading edge' for this solution"),
        (moving, "exact", "method = 'exact'"),
    ):
        with pytest.raises(InvalidInputError, match=says):
            mean_field_lyapunov(solution, method=method)
    failed = solve_dmft(gf.VanillaRNN(1 + 1e-7), throw=False)
    with pytest.raises(NumericalFailureError, match="not converged"):
        _ = mean_field_lyapunov(failed, throw=False).chaotic
    wrong: Any = gf.solve_static(gf.VanillaRNN(0.5))[0]
    with pytest.raises(InvalidInputError, match="StaticMeanField.*solve_dmft"):
        mean_field_lyapunov(wrong)
