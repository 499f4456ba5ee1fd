"""Relaxation times of functions whose decay is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatefield.core.errors import InvalidInputError
from gatefield.numerics.relaxation import integral_time, relaxation_time

ROUNDING = 1e-13
LAGS = np.linspace(0.0, 20.0, 201)
UNEVEN = np.array([0.0, 0.1, 0.5, 0.6, 2.0, 3.5, 7.0, 8.0, 10.0])


@pytest.mark.parametrize("lags", [LAGS, UNEVEN], ids=["even", "uneven"])
def test_a_straight_line_is_met_exactly(lags):
    """C = 3 - t/10 over a plateau of 1: it has lost 1 - level of its height 2 at 20 (1 - level)."""
    line = 3.0 - lags / 10
    found = relaxation_time(lags, line, level=0.7, plateau=1.0)
    assert found == pytest.approx(6.0, abs=ROUNDING)
    # The mean height over the lags is that in the middle.
    end = lags[-1]
    expected = end * (1 - end / 40)
    assert integral_time(lags, line, plateau=1.0) == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("scale", [1.0, -3.0, 1e-9])
def test_an_exponential_takes_its_time_constant(scale):
    """Off by at most dt^2 / (8 tau), as C bends; the trapezoid rule sums a geometric series."""
    tau, dt = 1.73, 0.1
    decay = 0.4 + scale * np.exp(-LAGS / tau)
    found = relaxation_time(LAGS, decay, plateau=0.4)
    # Rounding of 0.4 beside what decays, at most 1e-16 / 1e-9, moves the crossing by tau e of it.
    assert 0 < found - tau + 1e-6 * (scale == 1e-9) <= dt**2 / (8 * tau) * (1 + dt)
    ratio = np.exp(-dt / tau)
    sums = dt * ((1 - ratio**201) / (1 - ratio) - (1 + ratio**200) / 2)
    assert integral_time(LAGS, decay, plateau=0.4) == pytest.approx(sums, rel=1e-6)


def test_the_plateau_is_the_mean_of_the_last_tenth():
    """Lags 0 to 10, of which 9, 9.5 and 10 are the last tenth: 2, 3 and 4 have the mean 3."""
    lags = np.array([0.0, 1.0, 8.9, 9.0, 9.5, 10.0])
    values = np.array([7.0, 3.0, 100.0, 2.0, 3.0, 4.0])
    # From 4 above the plateau straight to it: half the way after half the time.
    assert relaxation_time(lags, values, level=0.5) == pytest.approx(0.5, abs=ROUNDING)
    assert integral_time(lags, values) == pytest.approx(
        integral_time(lags, values, plateau=3.0), abs=ROUNDING
    )


def test_an_oscillation_relaxes_at_its_first_descent():
    """cos t falls through 1/e at arccos(1/e); interpolation is off by dt^2/8 cot."""
    expected = np.arccos(np.exp(-1))
    found = relaxation_time(LAGS, np.cos(LAGS), plateau=0.0)
    assert abs(found - expected) < 0.1**2 / 8


def test_what_never_falls_takes_forever_and_what_never_moves_no_time():
    slow = 1 + np.exp(-LAGS / 100)
    assert relaxation_time(LAGS, slow, plateau=1.0) == np.inf
    flat = 0.3 + 1e-17 * np.sin(LAGS)
    assert relaxation_time(LAGS, flat) == 0.0 and integral_time(LAGS, flat) == 0.0
    assert relaxation_time(LAGS, np.zeros(201)) == 0.0
    assert relaxation_time([0.0], [2.0]) == 0.0
    # A constant above a plateau that is given never reaches it.
    assert relaxation_time(LAGS, flat, plateau=0.0) == np.inf
    # One that starts from its plateau has nothing to relax from.
    assert relaxation_time(LAGS, np.sin(LAGS), plateau=0.0) == np.inf
    assert integral_time(LAGS, np.sin(LAGS), plateau=0.0) == np.inf


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda f: f([1.0, 2.0], [1.0, 0.5]), "lags = .*from 0 on"),
        (lambda f: f([0.0, 2.0, 1.0], [1.0, 0.5, 0.2]), "lags = .*increasing"),
        (lambda f: f([], []), "lags = .*increasing"),
        (lambda f: f([0.0, 1.0], [1.0]), "covariance.shape.*One value for each lag"),
        (lambda f: f([0.0, 1.0], [1.0, np.nan]), "covariance = .*finite"),
        (lambda f: f([0.0, 1.0], [1.0, 0.5], plateau=np.inf), "plateau = inf"),
    ],
    ids=["late", "unordered", "none", "too few", "nan", "endless"],
)
@pytest.mark.parametrize("function", [relaxation_time, integral_time], ids=["level", "integral"])
def test_functions_that_are_none_are_refused(function, call, says):
    with pytest.raises(InvalidInputError, match=says):
        call(function)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, "half"])
def test_levels_outside_the_range_are_refused(level):
    wrong: Any = level
    with pytest.raises(InvalidInputError, match="level = "):
        relaxation_time([0.0, 1.0], [1.0, 0.5], level=wrong)
