"""Integrals along polygons and circles in the complex plane, refined where they need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


class ContourIntegral(NamedTuple):
    """An integral, an estimate of its error, and whether that is within the tolerance."""

    value: complex
    error: float
    converged: bool


def circle(centre: complex, radius: float) -> Callable[[Any], tuple[Any, Any]]:
    """Return the circle as a map from [0, 1] to points and derivatives, counter-clockwise."""

    def path(t):
        arm = radius * np.exp(2j * np.pi * np.asarray(t))
        return centre + arm, 2j * np.pi * arm

    return path


def rectangle(low: complex, high: complex) -> Callable[[Any], tuple[Any, Any]]:
    """Return a rectangle between two corners as a map from [0, 1], counter-clockwise.

    The corners are at multiples of 1/4.
    """
    corners = np.array([low, complex(high.real, low.imag), high, complex(low.real, high.imag), low])

    def path(t):
        t = np.asarray(t)
        side = np.minimum((4 * t).astype(int), 3)
        step = np.diff(corners)[side]
        return corners[side] + (4 * t - side) * step, 4 * step

    return path


def contour_integral(
    function: Callable[[Any], Any],
    path: Callable[[Any], tuple[Any, Any]],
    *,
    tolerance: float = 1e-6,
    panels: int = 16,
    max_evaluations: int = 20_000,
) -> ContourIntegral:
    """Integrate a function along a path, halving the panels that two rules disagree on.

    Parameters
    ----------
    function
        Takes and returns complex arrays (P,); continuous along the path, kinks allowed.
    path
        Maps t in [0, 1] to points and their derivatives by t, as `circle` and `rectangle` do.
    tolerance
        Absolute error aimed at.
    panels
        Number of panels to begin with, a multiple of 4 so that corners are between panels.
    max_evaluations
        Refinement ends here; then ``converged`` is False.

    Returns
    -------
    ContourIntegral
    """

    def over(starts, widths):
        t = starts[:, None] + widths[:, None] * (_NODES + 1) / 2
        points, slopes = path(t)
        values = np.asarray(function(points.ravel())).reshape(points.shape)
        return (values * slopes) @ _WEIGHTS * widths / 2

    starts = np.arange(panels) / panels
    widths = np.full(panels, 1 / panels)
    coarse = over(starts, widths)
    value, error, used = 0j, 0.0, panels * _NODES.size
    while True:
        halves = np.stack([starts, starts + widths / 2], axis=1)
        fine = over(halves.ravel(), np.repeat(widths / 2, 2)).reshape(-1, 2)
        used += fine.size * _NODES.size
        off = np.abs(fine.sum(axis=1) - coarse)
        # Errors of different panels have no common sign: each may have its share by width.
        # Written so that values that are no numbers count as bad, too.
        bad = ~(off <= tolerance * np.sqrt(widths / panels))
        if used > max_evaluations or not bad.any():
            value += fine.sum()
            error += off.sum()
            return ContourIntegral(complex(value), float(error), not bad.any())
        value += fine[~bad].sum()
        error += off[~bad].sum()
        starts, widths = halves[bad].ravel(), np.repeat(widths[bad] / 2, 2)
        coarse = fine[bad].ravel()
