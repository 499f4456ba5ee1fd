"""The expansion at g_h = 2 + eps (Appendix I) against solved lag equations, order by order."""

from __future__ import annotations

import numpy as np
import pytest

import gatefield as gf
from gatefield.core.errors import InvalidInputError, OutsideDomainWarning
from gatefield.theory.dmft import solve_dmft
from gatefield.theory.lyapunov import mean_field_lyapunov
from gatefield.theory.perturbation import near_critical_state

# The expansion is one in eps/(12 - alpha_r^2).
EPS = {0.0: 8e-3, 1.0: 4e-3, 2.0: 4e-3, 3.0: 1e-3}


def solved(eps: float, alpha_r: float) -> tuple[float, float, float]:
    """Return C_h(0), the time at which C_h is that of sech^p(1), and the exponent."""
    found = solve_dmft(gf.GatedRNN(2 + eps, alpha_r=alpha_r))
    c0 = float(found.covariance["h"][0])
    level = c0 / np.cosh(1.0) ** (1 if alpha_r == 0 else 2)
    low, high = 0.0, float(found.lags[-1])
    for _ in range(60):
        middle = (low + high) / 2
        above = found.at("h", [middle])[0] > level
        low, high = (middle, high) if above else (low, middle)
    return c0, low, float(mean_field_lyapunov(found).exponent)


@pytest.mark.parametrize("alpha_r", EPS)
def test_errors_fall_with_the_distance(alpha_r):
    """Relative errors halve with eps; those of C_h(0) quarter without gate (two orders known)."""
    errors = []
    for eps in EPS[alpha_r] / np.array([1, 2, 4]):
        state = near_critical_state(2 + eps, alpha_r)
        leading = (float(state.variance), float(state.time), float(state.exponent))
        errors.append(np.array(leading) / solved(eps, alpha_r) - 1)
    variance, time, exponent = np.array(errors).T
    order = 4.0 if alpha_r == 0 else 2.0
    # The ratios themselves are right to first order in eps: nothing of order zero is left.
    np.testing.assert_allclose(variance[:-1] / variance[1:], order, rtol=0.1)
    np.testing.assert_allclose(time[:-1] / time[1:], 2.0, rtol=0.1)
    np.testing.assert_allclose(exponent[:-1] / exponent[1:], 2.0, rtol=0.1)
    assert max(abs(each[2]) for each in (variance, time, exponent)) < 0.05


@pytest.mark.parametrize(("alpha_r", "order"), [(0.0, 2.0), (2.0, 1.0)], ids=["none", "gate"])
def test_the_update_gate_plays_no_part(alpha_r, order):
    """Eq. I46 at alpha_z = 2, in the separable form that Appendix I expands: the same orders.

    Without output gate not even the second order of C_h(0) knows of the update gate.
    """
    eps = 4e-3 / np.array([1, 2, 4])
    errors = [
        float(near_critical_state(2 + each, alpha_r).variance)
        / float(
            solve_dmft(
                gf.GatedRNN(2 + each, alpha_r=alpha_r, alpha_z=2.0), method="separable"
            ).covariance["h"][0]
        )
        - 1
        for each in eps
    ]
    # Halving eps leaves a relative remainder of the next order, eps itself.
    found = np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))
    np.testing.assert_allclose(found, order, atol=0.1)


@pytest.mark.parametrize(("alpha_r", "power"), [(0.0, 1), (2.0, 2)])
def test_shape_is_that_of_the_hyperbolic_secant(alpha_r, power):
    found = solve_dmft(gf.GatedRNN(2.002, alpha_r=alpha_r))
    state = near_critical_state(2.002, alpha_r)
    assert state.power == power
    lags = float(state.time) * np.linspace(0, 5, 11)
    shape = found.at("h", lags) / found.covariance["h"][0]
    # Errors of relative order eps.
    np.testing.assert_allclose(
        state.covariance(lags) / float(state.variance), shape, rtol=0, atol=0.005
    )
    # The other power would be far off.
    assert np.max(np.abs(np.cosh(lags / float(state.time)) ** (power - 3.0) - shape)) > 0.1


def test_closed_forms():
    """THEORY.md section 10, at eps = .1 without output gate and .05 with it."""
    state = near_critical_state(2.1)
    expected = (0.1 / 8 - 0.05 / 96, 4 * np.sqrt(3) / 0.1, 0.01 / 16)
    found = (state.variance, state.time, state.exponent)
    np.testing.assert_allclose([float(each) for each in found], expected, rtol=1e-12)
    state = near_critical_state(2.05, 2.0)
    expected = (0.15 / 16, 2 * np.sqrt(160), 1 / 128)
    found = (state.variance, state.time, state.exponent)
    np.testing.assert_allclose([float(each) for each in found], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("gain", "alpha_r", "says"),
    [
        (2.0, 0.0, "above 2"),
        (1.0, 0.0, "above 2"),
        (4.4, 0.0, "below 4.4"),
        (2.1, 3.47, "12"),
        (2.1, -1.0, "alpha_r"),
    ],
    ids=["at", "below", "no variance left", "discontinuous", "negative"],
)
def test_outside_it_is_refused(gain, alpha_r, says):
    with pytest.raises(InvalidInputError, match=says):
        near_critical_state(gain, alpha_r)


@pytest.mark.parametrize(
    ("eps", "alpha_r", "says"),
    [
        (0.2, 0.0, r"\(g_h - 2\)/\(1 - alpha_r\^2/12\)\^2 = 0.2:"),
        (0.009, 3.0, r"\(g_h - 2\)/\(1 - alpha_r\^2/12\)\^2 = 0.144:"),
        (0.05, 0.5, r"\(g_h - 2\)/alpha_r\^2 = 0.2:"),
    ],
    ids=["without gate", "near sqrt 12", "small alpha_r"],
)
def test_where_errors_are_large_there_is_a_warning(eps, alpha_r, says):
    """There some quantity is off by a quarter, and at half the distance none is by a third."""
    with pytest.warns(OutsideDomainWarning, match=says):
        state = near_critical_state(2 + eps, alpha_r)
    half = near_critical_state(2 + eps / 2, alpha_r)
    for found, distance, low, high in ((state, eps, 0.25, 1.0), (half, eps / 2, 0.0, 1 / 3)):
        leading = np.array([float(found.variance), float(found.time), float(found.exponent)])
        errors = np.abs(leading / solved(distance, alpha_r) - 1)
        assert low < errors.max() < high
