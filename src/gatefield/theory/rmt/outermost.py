"""The outermost points of a support: on its curves, and on rays from a point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gatefield.numerics.brackets import bracketed_roots

Function = Callable[[Any], np.ndarray]

_ROUNDS, _ACROSS = 6, 7
_COARSE, _FINE = 1e-5, 1e-13  # of a bracket: the first rounds only find where the top is
_DOUBLINGS = 1000  # down to 2^-1000 of the extent: pinched edges are exponentially small
_ON_RAY = 64


def farthest(
    function: Function,
    curves: Sequence[np.ndarray],
    height: Callable[[Any], Any],
    place: Callable[[Any], Any],
    point: Callable[[Any, Any], Any],
    least: float,
) -> float:
    """Return the largest height on the curves f = 0, polished from their vertices.

    Parameters
    ----------
    function
        f, positive inside the support.
    curves
        Closed curves, their vertices on f = 0.
    height, place
        Coordinates of complex points: what is maximised, and the direction across.
    point
        The point of given height and place.
    least
        Returned if no curve is higher.

    Returns
    -------
    float
    """
    best = least
    for curve in curves:
        heights, places = height(curve), place(curve)
        top = int(np.argmax(heights))
        if heights[top] <= best:
            continue
        best = float(heights[top])
        beside = np.take(places, [top - 1, top, top + 1], mode="wrap")
        spread = np.max(np.abs(beside - beside[1]))
        rise = np.max(np.abs(np.take(heights, [top - 1, top + 1], mode="wrap") - heights[top]))
        middle, level = beside[1], best
        for number in range(_ROUNDS):
            last = number == _ROUNDS - 1
            across = middle + spread * np.linspace(-1, 1, _ACROSS)
            # The top may lie above the highest vertex, by no more than they are apart.
            reach = 2 * rise + spread + 1e-12 * abs(level)
            low, high = level - reach, level + reach
            tolerance = _FINE if last else _COARSE
            found = _crossings(function, point, across, low, high, tolerance)
            if not np.any(np.isfinite(found)):
                break
            highest = int(np.nanargmax(found))
            middle, level = across[highest], float(found[highest])
            if not last:
                spread, rise = spread / 3, max(rise / 3, 1e-13 * abs(level))
                continue
            best = max(best, level)
            left, top, right = np.take(found, [highest - 1, highest, highest + 1], mode="clip")
            if left < top > right:
                # The top of the parabola through the three highest points.
                best = max(best, top + (left - right) ** 2 / (8 * (2 * top - left - right)))
    return best


def _crossings(function, point, across, low, high, tolerance):
    """Return for each place the height where f falls through zero, NaN where it does not."""

    def excess(which, heights):
        return straight(function(point(heights, across[which])))

    ends = (np.full(across.shape, end) for end in (low, high))
    return bracketed_roots(excess, *ends, tolerance=tolerance)


def straight(values: Any) -> np.ndarray:
    """Return 1 - exp(-f/2), with the zeros and signs of f: linear in the distance to one pole."""
    return -np.expm1(-np.maximum(values, -100.0) / 2)


def farthest_on_ray(function: Function, start: float, direction: complex, extent: float) -> float:
    """Return the farthest zero of f on a ray from a real point, or -infinity if there is none.

    Parameters
    ----------
    function
        f, positive inside the support, falling through zero at its end.
    start
        Where the ray begins.
    direction
        1 along the real axis, 1j parallel to the imaginary axis.
    extent
        Length of the ray; its scan is uniform there, and geometric down to 2^-1000 of it.

    Returns
    -------
    float
        Its coordinate along the ray's axis.
    """
    origin = start if direction == 1 else 0.0
    if extent <= 0:
        return -np.inf
    scan = np.concatenate(
        [
            extent * np.linspace(0, 1, _ON_RAY + 1)[1:],
            extent * 2.0 ** -np.arange(7.0, 60.0),
            extent * 2.0 ** -np.arange(60.0, _DOUBLINGS, 8.0),
        ]
    )
    scan = np.sort(scan)
    # Where start + step rounds to the start, nothing can be told apart.
    scan = scan[(np.abs(start + direction * scan - start) > 0) & (scan > 0)]
    inside = function(start + direction * scan) > 0
    if not inside.any():
        return -np.inf
    last = int(np.flatnonzero(inside)[-1])
    low, high = np.log(scan[[last]]), np.log(scan[[min(last + 1, scan.size - 1)]])
    if low == high:
        return float(origin + scan[last])
    root = bracketed_roots(
        lambda _, logs: straight(function(start + direction * np.exp(logs))), low, high
    )
    return float(origin + np.exp(root[0]))
