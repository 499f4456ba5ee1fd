"""Dynamical mean-field theory against reference numbers, most of them from other codes."""

from __future__ import annotations

import numpy as np
import pytest

import gatefield as gf
from gatefield.core.errors import OutsideDomainWarning
from gatefield.core.results import Status
from gatefield.numerics.scale_mixture import tanh_two_point_slope
from gatefield.theory.dmft import mean_field_branches, potential_solutions
from gatefield.theory.lyapunov import lyapunov_bounds

# (cell, C_h(0), exponent); the last digit given is rounded.
EXPONENTS = {
    "vanilla": (gf.VanillaRNN(2.0), 0.48120135, 0.11245811),
    "gated": (gf.GatedRNN(3.0), 0.08307626, 0.02337311),
    "gated-r": (gf.GatedRNN(3.0, alpha_r=2.0), 0.10790876, 0.07101677),
    "gated-weak": (gf.GatedRNN(2.5), None, 0.00848148),
    "region-3": (gf.GatedRNN(1.8, alpha_r=20.0), None, 0.11752362),
}


@pytest.mark.parametrize("name", list(EXPONENTS))
def test_variance_and_exponent(name):
    cell, variance, exponent = EXPONENTS[name]
    solution = gf.solve_dmft(cell)
    found = gf.mean_field_lyapunov(solution)
    if variance is not None:
        assert solution.covariance["h"][0] == pytest.approx(variance, abs=6e-9)
    assert float(found.exponent) == pytest.approx(exponent, abs=6e-9)
    # Zero is exact in the odd sector: dC/dtau is a perturbation that neither grows nor shrinks.
    assert float(found.truncation) < 1e-9
    assert solution.status is Status.OK and found.status is Status.OK and found.chaotic


@pytest.mark.parametrize(
    ("alpha_r", "phi", "at_5", "at_10"),
    [
        pytest.param(0.0, 0.342093, 0.076027, 0.060151, id="no-output-gate"),
        pytest.param(2.0, 0.388983, 0.079145, 0.038320, id="output-gate"),
    ],
)
def test_correlation_functions(alpha_r, phi, at_5, at_10):
    solution = gf.solve_dmft(gf.GatedRNN(3.0, alpha_r=alpha_r))
    found = solution.at("h", np.array([5.0, 10.0]))
    np.testing.assert_allclose(found, [at_5, at_10], rtol=0, atol=6e-7)
    assert solution.covariance["phi"][0] == pytest.approx(phi, abs=6e-7)


@pytest.mark.slow
def test_sampled_theory_meets_the_lag_equations():
    """Two methods that share nothing but the cell, in the sampled one's standard errors."""
    cell = gf.GatedRNN(3.0, alpha_r=2.0)
    exact = gf.solve_dmft(cell)
    sampled = gf.solve_dmft(cell, method="sampled", progress=False)
    lags = np.array([0.0, 5.0, 10.0, 20.0])
    for name in ("h", "phi", "eta_h", "sigma_r"):
        error = np.interp(lags, sampled.lags, sampled.standard_error[name])
        difference = sampled.at(name, lags) - exact.at(name, lags)
        assert np.all(np.abs(difference) < 4 * error), name
    one, other = gf.mean_field_lyapunov(exact), gf.mean_field_lyapunov(sampled)
    assert abs(float(other.exponent - one.exponent)) < 4 * float(other.standard_error)


@pytest.mark.slow
def test_update_gates_beyond_the_approximation():
    """Paths in other code gave C_h(0) .1117(12), C_phi(0) .3936(20), C_h(5) .1053(13)."""
    solution = gf.solve_dmft(gf.GatedRNN(3.0, alpha_z=5.0, alpha_r=2.0), progress=False)
    for name, lag, value, error in (
        ("h", 0.0, 0.1117, 0.0012),
        ("phi", 0.0, 0.3936, 0.0020),
        ("h", 5.0, 0.1053, 0.0013),
        ("h", 10.0, 0.0929, 0.0015),
    ):
        own = np.interp(lag, solution.lags, solution.standard_error[name])
        found = solution.at(name, np.array([lag]))[0]
        assert abs(found - value) < 4 * np.hypot(own, error), (name, lag)


def test_the_start_decides_where_two_states_exist():
    cell = gf.GatedRNN(1.8, alpha_r=20.0)
    large, small = gf.solve_dmft(cell), gf.solve_dmft(cell, start=1e-3)
    assert large.fluctuates and not small.fluctuates
    # The zero state: s0 (rho - 1) with s0 = 1/2 and rho = g_h / 2.
    assert float(gf.mean_field_lyapunov(small).exponent) == pytest.approx(-0.05, abs=1e-12)
    zero, lower, upper = mean_field_branches(cell)
    assert not zero.fluctuates
    assert lower.covariance["h"][0] < upper.covariance["h"][0]
    np.testing.assert_allclose(upper.covariance["h"], large.covariance["h"], rtol=1e-12)


def test_the_potential_method_is_exact_for_the_vanilla_network():
    (found,) = potential_solutions(gf.VanillaRNN(2.0))
    assert found.variance == pytest.approx(0.48120135, abs=6e-9)
    assert found.energy < 1e-6
    assert potential_solutions(gf.VanillaRNN(0.9)) == ()


def test_bounds_hold_and_the_gaussian_one_is_a_rayleigh_quotient():
    """(<psi, C_phi' psi> - |dpsi/dt|^2) / |psi|^2 on a dense grid, at the width chosen."""
    solution = gf.solve_dmft(gf.VanillaRNN(2.0))
    bounds, exponent = lyapunov_bounds(solution), gf.mean_field_lyapunov(solution).exponent
    t = np.linspace(-40.0, 40.0, 8001)
    C = solution.at("h", np.abs(t))
    slope = np.asarray(tanh_two_point_slope(C / C.max(), 2.0 * np.sqrt(C.max()))) / C.max()

    def rate(width):
        psi = np.exp(-(t**2) / (4.0 * width**2))
        bend = np.gradient(psi, t)
        return np.sqrt((slope @ psi**2 - bend @ bend) / (psi @ psi)) - 1.0

    width = float(bounds.width)
    assert float(bounds.lower_gaussian) == pytest.approx(rate(width), abs=2e-6)
    assert rate(width) >= max(rate(0.9 * width), rate(1.1 * width))
    assert bounds.lower_uniform <= bounds.lower_gaussian <= exponent <= bounds.upper


def test_the_separable_approximation_says_where_it_does_not_hold():
    with pytest.warns(OutsideDomainWarning, match="expected at most 1"):
        solution = gf.solve_dmft(gf.GatedRNN(3.0, alpha_z=5.0), method="separable")
    assert gf.mean_field_lyapunov(solution).approximate
    inside = gf.solve_dmft(gf.GatedRNN(3.0, alpha_z=0.5), method="separable")
    assert inside.method == "separable"
