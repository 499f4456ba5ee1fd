"""Contour integrals and bracketed roots against cases with known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

from gatefield.numerics.brackets import bracketed_roots
from gatefield.numerics.contour import circle, contour_integral, rectangle

LOW, HIGH = -1.5 - 0.5j, 0.5 + 1.0j


def test_paths_run_counter_clockwise_and_know_their_slope():
    t = np.linspace(0, 1, 9)[:-1] + 0.01
    for path in (circle(0.3 - 0.2j, 0.7), rectangle(LOW, HIGH)):
        points, slopes = path(t)
        ahead, _ = path(t + 1e-6)
        behind, _ = path(t - 1e-6)
        np.testing.assert_allclose(slopes, (ahead - behind) / 2e-6, rtol=1e-6)
        start, end = path(np.array([0.0, 1.0]))[0]
        assert abs(start - end) < 1e-12
    corners = rectangle(LOW, HIGH)(np.array([0, 0.25, 0.5, 0.75]))[0]
    np.testing.assert_allclose(corners, [LOW, 0.5 - 0.5j, HIGH, -1.5 + 1j], atol=1e-15)


@pytest.mark.parametrize("shape", ["circle", "rectangle"])
def test_conjugate_integrates_to_the_area(shape):
    """By Green: the integral of conj(z) dz is 2i times the area, of 1/(z - a) 2 pi i."""
    path = {"circle": circle(-0.5, 0.8), "rectangle": rectangle(LOW, HIGH)}[shape]
    area = {"circle": np.pi * 0.64, "rectangle": 3.0}[shape]
    found = contour_integral(np.conj, path)
    assert found.converged and found.error < 1e-6
    assert abs(found.value - 2j * area) < 1e-10
    for pole, turns in ((-0.4 + 0.2j, 1), (3.0 + 0.0j, 0), (-1.0 + 0.1j, 1), (0.6 - 0.6j, 0)):
        found = contour_integral(lambda z, pole=pole: 1 / (z - pole), path, tolerance=1e-9)
        assert found.converged and abs(found.value - 2j * np.pi * turns) < 1e-8
    assert abs(contour_integral(lambda z: z**3 - 2 * z, path).value) < 1e-10


def test_poles_next_to_the_path_are_refined():
    """1e-5 to either side of the circle the answer is 2 pi i or nothing."""
    for distance, turns in ((1 - 1e-5, 1), (1 + 1e-5, 0)):
        pole = 0.2 + 0.5 * distance * np.exp(0.7j)
        found = contour_integral(lambda z, pole=pole: 1 / (z - pole), circle(0.2, 0.5))
        assert found.converged
        assert abs(found.value - 2j * np.pi * turns) < 1e-5


def test_kinks_within_a_panel():
    """|Re z| / z along the unit circle, turned so that no kink is between panels: 4i."""
    turn = np.exp(0.3j)
    found = contour_integral(lambda z: np.abs((z * turn).real) / z, circle(0, 1), tolerance=1e-8)
    assert found.converged and found.error < 1e-7
    assert abs(found.value - 4j) < 1e-8


def test_a_pole_on_the_path_is_not_converged():
    pole = 0.5 * np.exp(0.3j)
    found = contour_integral(lambda z: 1 / (z - pole) ** 2, circle(0, 0.5), max_evaluations=2000)
    assert not found.converged and found.error > 1e-6


def test_values_that_are_no_numbers_are_not_converged():
    """One NaN anywhere: the sum is NaN, and must not pass for an answer."""
    found = contour_integral(lambda z: np.where(z.real > 0.499, np.nan, 1.0) / z, circle(0, 0.5))
    assert np.isnan(found.value) and not found.converged


def test_roots_in_many_brackets():
    """Each bracket has its own function; those without a sign change give NaN."""
    shift = np.linspace(-0.9, 0.9, 41)
    calls = []

    def cubic(which, x):
        calls.append(which.size)
        return (x - shift[which]) * (1 + x**2) * 10.0 ** (which % 7)

    found = bracketed_roots(cubic, np.full(41, -1.0), np.full(41, 1.0))
    np.testing.assert_allclose(found, shift, rtol=0, atol=1e-12)
    assert sum(calls) < 41 * 15  # a bisection takes 43 steps
    swapped = bracketed_roots(cubic, np.full(41, 1.0), np.full(41, -1.0))
    np.testing.assert_allclose(swapped, shift, rtol=0, atol=1e-12)
    none = bracketed_roots(lambda k, x: x**2 + k, np.full(3, -1.0), np.full(3, 1.0))
    assert np.all(np.isnan(none[1:]))
    assert bracketed_roots(cubic, np.zeros(0), np.zeros(0)).shape == (0,)


def test_zero_at_an_end_counts_as_negative():
    found = bracketed_roots(lambda k, x: x * np.where(k, -1.0, 1.0), np.zeros(2), np.ones(2))
    np.testing.assert_allclose(found[0], 0, atol=1e-12)
    assert np.isnan(found[1])


@pytest.mark.parametrize("steepness", [10.0, 60.0, 200.0])
def test_ends_of_very_different_size(steepness):
    """exp(k (x - 1)) - exp(-0.4 k): the secant from the flat end hardly moves, yet is no root."""
    level = np.exp(-0.4 * steepness)
    found = bracketed_roots(
        lambda _, x: np.exp(steepness * (x - 1)) - level, np.zeros(1), np.ones(1)
    )
    assert abs(found[0] - 0.6) < 1e-9


@pytest.mark.parametrize("left", [True, False])
def test_an_infinite_end(left):
    """1/x^2 - 4 between 0 and 1, in both directions."""
    low, high = (0.0, 1.0) if left else (-1.0, 0.0)
    with np.errstate(divide="ignore"):
        found = bracketed_roots(lambda _, x: 1 / x**2 - 4, np.array([low]), np.array([high]))
    assert abs(abs(found[0]) - 0.5) < 1e-11


def test_steps_and_flat_functions():
    """(x - 0.3)^9 is flat at its root."""
    step = bracketed_roots(lambda _, x: np.sign(x - 0.37), np.zeros(1), np.ones(1))
    assert abs(step[0] - 0.37) < 1e-9
    flat = bracketed_roots(lambda _, x: (x - 0.3) ** 9, np.zeros(1), np.ones(1), iterations=200)
    assert abs(flat[0] - 0.3) < 1e-3  # where it is below 1e-27
    wave = bracketed_roots(lambda k, x: np.cos(3 * x) - x * (k + 1), np.zeros(4), np.full(4, 1.0))
    root: Any = brentq
    expected = [root(lambda x, k=k: np.cos(3 * x) - x * (k + 1), 0, 1) for k in range(4)]
    np.testing.assert_allclose(wave, expected, rtol=0, atol=1e-11)
