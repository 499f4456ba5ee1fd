"""Statistics of data in a flow's time: what held steps do to a linear unit, and over long times."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

import gatefield as gf
from gatefield.core.errors import InvalidInputError

ROUNDING = 1e-12


def of_time(time: float) -> gf.InputStatistics:
    return gf.InputStatistics(np.array([0.5, -1.0]), np.array([1.0, 0.25]), time)


def variance_by_euler(dt: float, rho: float, a: float = 0.5) -> float:
    """Return the variance of x <- (1 - a dt) x + dt I_k per unit variance of data, in closed form.

    From <x_k I_k> = c rho_k sums: dt^2 (1 + c rho) / ((1 - c^2)(1 - c rho)), c = 1 - a dt.
    """
    c = 1 - a * dt
    return dt**2 * (1 + c * rho) / ((1 - c**2) * (1 - c * rho))


def variance_of_noise(tau: float, a: float = 0.5) -> float:
    return tau / (a * (1 + a * tau))


def test_white_data_have_half_a_step():
    """The exact ratio of the variances of a linear unit is then (1 - a dt/2) / (1 + a dt/2)."""
    for dt in (0.1, 0.5):
        tau = of_time(0.01).held(dt).correlation_time
        assert tau == pytest.approx(dt / 2, rel=ROUNDING)
        ratio = variance_of_noise(tau) / variance_by_euler(dt, 0.0)
        assert ratio == pytest.approx((1 - dt / 4) / (1 + dt / 4), rel=ROUNDING)


@pytest.mark.parametrize("time", [0.7, 3.0])
def test_linear_unit_comes_to_that_of_noise_with_the_step(time):
    """Data of fixed statistics, held ever more shortly: first order in the step."""
    errors = []
    for dt in (0.02, 0.01):
        tau = of_time(time).held(dt).correlation_time
        errors.append(1 - variance_of_noise(tau) / variance_by_euler(dt, math.exp(-1 / time)))
    assert 0 < errors[1] < errors[0] < 0.02
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.02)


def test_noise_power_of_held_data():
    """The integral over a long window has variance 2 tau T; data simulated as AR(1)."""
    time, dt, steps, count = 1.5, 0.1, 400, 20_000
    rho = math.exp(-1 / time)
    noise = np.random.default_rng(0).standard_normal((count, steps + 60))
    data = np.asarray(lfilter([math.sqrt(1 - rho**2)], [1.0, -rho], noise, axis=1))[:, 60:]
    power = np.var(dt * data.sum(axis=1)) / (steps * dt)
    tau = of_time(time).held(dt).correlation_time
    # Five standard errors of a variance, and the window's ends: 2 rho / (1 - rho^2) / steps.
    allowed = 5 * math.sqrt(2 / count) + 2 * rho / (1 - rho**2) / steps
    assert power == pytest.approx(2 * tau, rel=allowed)


def test_long_correlations_count_steps():
    """coth(x) = 1/x + x/3 - ...: dt T (1 + 1 / (12 T^2)), and constant data stay constant."""
    time, dt = 1e4, 0.3
    found = of_time(time).held(dt)
    assert found.correlation_time == pytest.approx(dt * time * (1 + 1 / (12 * time**2)), rel=1e-14)
    assert math.isinf(of_time(math.inf).held(dt).correlation_time)
    np.testing.assert_array_equal(found.mean, [0.5, -1.0])
    np.testing.assert_array_equal(found.variance, [1.0, 0.25])


def test_steps_of_no_length_are_refused():
    for dt in (0.0, -0.1, math.inf):
        with pytest.raises(InvalidInputError, match="dt"):
            of_time(2.0).held(dt)
