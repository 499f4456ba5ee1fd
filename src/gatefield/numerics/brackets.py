"""Roots of a function in many brackets at once, with few evaluations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gatefield.core.types import Float, HostArray

_HALVE_EVERY = 4


def bracketed_roots(
    function: Callable[[Any, Any], Any],
    low: Float[HostArray, " bracket"],
    high: Float[HostArray, " bracket"],
    *,
    tolerance: float = 1e-13,
    iterations: int = 200,
) -> Float[HostArray, " bracket"]:
    """Find a root in each bracket, by Anderson and Bjorck's secants and halvings in between.

    Parameters
    ----------
    function
        Takes numbers of brackets (integers) and one abscissa for each, returns values; not NaN.
    low, high
        Ends of the brackets.
    tolerance
        Of a root, relative to its bracket's width.
    iterations
        Upper bound.

    Returns
    -------
    array
        One root per bracket; NaN where the ends do not differ in sign (zero counts as negative).
    """
    x1, x2 = np.array(high, float), np.array(low, float)
    every = np.arange(x1.size)
    f1, f2 = np.asarray(function(every, x1), float), np.asarray(function(every, x2), float)
    valid = (f1 > 0) != (f2 > 0)
    # Below some units in the last place the function's own rounding decides.
    ulp = 8 * np.finfo(float).eps * np.maximum(np.abs(x1), np.abs(x2))
    width = np.maximum(tolerance * np.abs(x1 - x2), ulp)
    todo = every[valid]
    for step in range(iterations):
        if not todo.size:
            break
        a, b, fa, fb = x1[todo], x2[todo], f1[todo], f2[todo]
        # Infinite values say nothing of the distance, and secants stall where f is far from linear.
        halve = ~np.isfinite(fa - fb) | (step % _HALVE_EVERY == _HALVE_EVERY - 1)
        with np.errstate(invalid="ignore"):
            move = np.where(halve, 0.5, fa / (fa - fb)) * (b - a)
        # A step this short may have found the root, or stalled: looking just behind it tells.
        short = np.abs(move) < width[todo] / 2
        x = a + np.where(short, np.sign(b - a) * width[todo] / 2, move)
        f = np.asarray(function(todo, x), float)
        same = (f > 0) == (fa > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = 1 - f / fa
        ratio = np.where(np.isfinite(ratio) & (ratio > 0), ratio, 0.5)
        x2[todo], f2[todo] = np.where(same, b, a), np.where(same, ratio * fb, fa)
        x1[todo], f1[todo] = x, f
        done = (np.abs(x1[todo] - x2[todo]) <= width[todo]) | (f == 0)
        todo = todo[~done]
    return np.where(valid, x1, np.nan)
