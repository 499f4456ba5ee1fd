"""Bounds of the largest exponent: on both sides of it, and by quadrature of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dmft_reference import Plain, average, average_two
from scipy.optimize import minimize_scalar

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.theory.dmft import GaussianInput, solve_dmft
from gatefield.theory.lyapunov import lyapunov_bounds, mean_field_lyapunov

DRIVEN = {"h": GaussianInput(variance=0.5, correlation_time=0.5)}
STATIC = {"h": GaussianInput(variance=3e-3)}
# tau_r = 2 is s_z(0) tau_r = 1.
CASES: dict[str, tuple[Any, dict[str, GaussianInput]]] = {
    "vanilla-1.1": (gf.VanillaRNN(1.1), {}),
    "vanilla-2": (gf.VanillaRNN(2.0), {}),
    "vanilla-20": (gf.VanillaRNN(20.0), {}),
    "vanilla-bias": (gf.VanillaRNN(2.0, beta=0.3), {}),
    "vanilla-driven": (gf.VanillaRNN(2.0), DRIVEN),
    "vanilla-static": (gf.VanillaRNN(1.2), STATIC),
    "no-gate": (gf.GatedRNN(3.0), {}),
    "matched": (gf.GatedRNN(3.0, alpha_r=2.0, tau_r=2.0), {}),
    "matched-steep": (gf.GatedRNN(3.0, alpha_r=100.0, tau_r=2.0), {}),
    "matched-bias": (gf.GatedRNN(3.0, alpha_r=5.0, beta_h=0.2, beta_r=0.1, tau_r=2.0), {}),
    "matched-beside": (gf.GatedRNN(1.8, alpha_r=20.0, tau_r=2.0), {}),
    "fast-gate": (gf.GatedRNN(3.0, alpha_r=20.0, tau_r=0.1), {}),
    "slow-gate": (gf.GatedRNN(3.0, alpha_r=5.0, tau_r=20.0), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds_hold(name):
    cell, inputs = CASES[name]
    found = solve_dmft(cell, inputs=inputs)
    bounds, exponent = lyapunov_bounds(found), float(mean_field_lyapunov(found).exponent)
    assert float(bounds.lower_uniform) < float(bounds.lower_gaussian) < exponent
    assert exponent < float(bounds.upper)
    # Close from below where nothing is left out, within a fifth of the way from above to below.
    matched = abs(float(getattr(cell, "tau_r", 2.0)) - 2.0) < 1e-12 or cell == CASES["no-gate"][0]
    if matched:
        assert exponent - float(bounds.lower_gaussian) < 0.2 * (
            float(bounds.upper) - float(bounds.lower_gaussian)
        )


def rate_of(square: float) -> float:
    return float(np.sqrt(square) - 1)


def test_vanilla_bounds_by_quadrature():
    """g = 2: sqrt(<C_phi'> - 1/4w^2) - 1 at its maximum, and its ends, by the trapezoid rule."""
    found = solve_dmft(gf.VanillaRNN(2.0))
    plain, lags = Plain(found.cell), np.linspace(0, 16, 161)
    C = found.at("h", lags)
    slope = average_two(plain.phi_slope, plain.phi_slope, C, C[0])

    def bound(width):
        weight = np.exp(-0.5 * (lags / width) ** 2)
        mean = np.trapezoid(weight * slope, lags) / np.trapezoid(weight, lags)
        return rate_of(mean - 0.25 / width**2)

    best: Any = minimize_scalar(lambda w: -bound(w), bounds=(1.0, 3.0), method="bounded")
    bounds = lyapunov_bounds(found)
    # The trapezoid rule of even, smooth functions at a spacing of 0.1 is exact to 1e-10.
    assert float(bounds.lower_gaussian) == pytest.approx(-best.fun, abs=1e-8)
    assert float(bounds.width) == pytest.approx(best.x, rel=1e-3)
    assert float(bounds.upper) == pytest.approx(rate_of(slope[0]), abs=1e-10)
    # Long times: C = 0, where the two slopes are independent.
    uniform = average(plain.phi_slope, C[0])
    assert float(bounds.lower_uniform) == pytest.approx(uniform - 1, abs=1e-9)
    assert bounds.relaxation_times.keys() == {"direct"}
    longer = np.linspace(0, 80, 401)
    tail = average_two(plain.phi_slope, plain.phi_slope, found.at("h", longer), C[0])
    time = np.trapezoid((tail - uniform**2) / (tail[0] - uniform**2), longer)
    assert float(bounds.relaxation_times["direct"]) == pytest.approx(time, rel=1e-5)


def test_gated_bounds_by_quadrature():
    """s_z tau_r = 1, s_z = 1/2: (1 + 2 lambda)^2 >= root of the 2x2 problem, less 1/w^2."""
    found = solve_dmft(gf.GatedRNN(3.0, alpha_r=5.0, tau_r=2.0))
    plain, lags = Plain(found.cell), np.linspace(0, 20, 101)
    C_h, C_r = found.at("h", lags), found.at("r", lags)
    slope = average_two(plain.phi_slope, plain.phi_slope, C_h, C_h[0])
    phi = average_two(plain.phi, plain.phi, C_h, C_h[0])
    gate = average_two(plain.gate_r, plain.gate_r, C_r, C_r[0])
    gate_slope = average_two(plain.gate_r_slope, plain.gate_r_slope, C_r, C_r[0])
    direct, loop = gate * slope, np.sqrt(phi * gate_slope * slope)

    def root(a, s):
        return 0.5 * (a + np.sqrt(a**2 + 4 * s**2))

    def bound(width):
        weight = np.exp(-0.5 * (lags / width) ** 2)
        a, s = np.trapezoid(weight * [direct, loop], lags) / np.trapezoid(weight, lags)
        return 0.5 * rate_of(root(a, s) - 1 / width**2)

    best: Any = minimize_scalar(lambda w: -bound(w), bounds=(1.5, 4.0), method="bounded")
    bounds = lyapunov_bounds(found)
    # Spaced by 0.2, a tenth of what varies least slowly: exact to 1e-6.
    assert float(bounds.lower_gaussian) == pytest.approx(-best.fun, abs=1e-6)
    assert float(bounds.upper) == pytest.approx(0.5 * rate_of(root(direct[0], loop[0])), abs=1e-9)
    assert bounds.relaxation_times.keys() == {"direct", "gated"}


def test_upper_bound_with_gates_of_another_speed():
    """(1 + lambda/s)^2 = A + P Q/(1 + tau lambda)^2 at lag 0."""
    cell = gf.GatedRNN(3.0, alpha_r=20.0, tau_r=0.1)
    found = solve_dmft(cell)
    plain = Plain(cell)
    D_h, D_r = (float(found.covariance[name][0]) for name in "hr")
    a = average(lambda x: plain.phi_slope(x) ** 2, D_h)
    direct = a * average(lambda x: plain.gate_r(x) ** 2, D_r)
    product = a * average(lambda x: plain.phi(x) ** 2, D_h)
    product *= average(lambda x: plain.gate_r_slope(x) ** 2, D_r)
    growth = float(lyapunov_bounds(found).upper)
    assert (1 + 2 * growth) ** 2 == pytest.approx(
        direct + product / (1 + 0.1 * growth) ** 2, rel=1e-9
    )


def test_what_has_no_bounds_is_refused():
    separable = solve_dmft(gf.GatedRNN(3.0, alpha_z=0.5), method="separable")
    for solution in (solve_dmft(gf.VanillaRNN(0.5)), separable):
        with pytest.raises(InvalidInputError, match="moving solution of the lag equations"):
            lyapunov_bounds(solution)
    failed = solve_dmft(gf.VanillaRNN(1 + 1e-7), throw=False)
    for call in (lyapunov_bounds, gf.spectral_boundary):
        with pytest.raises(InvalidInputError, match="status 'not converged'.*'ok'"):
            call(failed)
