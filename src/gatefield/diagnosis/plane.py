"""The static theory about a matched ensemble: its radius on a plane, and the critical gain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.matched import Matched
from gatefield.diagnosis.theory import REPLICATES, SAMPLES
from gatefield.theory.static import solve_static

_AROUND = 4.0  # factor of the gain, to both sides
_BESIDE = 3.0  # of the bias
_FARTHEST = np.log(63.0)  # of the gain's logarithm, to both sides
_EXACT = 1e-2  # of that, where the critical gain is looked for


class Plane(NamedTuple):
    """The static theory's radius about an ensemble, and the line where it is one."""

    gains: Float[HostArray, " gain"]
    biases: Float[HostArray, " bias"]
    radius: Float[HostArray, "gain bias"]
    line_gains: Float[HostArray, " vertex"]
    line_biases: Float[HostArray, " vertex"]


def radius_at(matched: Matched, **values: float) -> float:
    """Return the radius of the smallest fixed point with other parameters; NaN if there is none.

    All input is taken as static.
    """
    branches = solve_static(
        matched.with_values(**values),
        samples=SAMPLES,
        replicates=REPLICATES,
        throw=False,
        input_mean=matched.mean,
        input_variance=matched.frozen(),
    )
    return float(branches[0].radius) if branches else np.nan


def plane_of(matched: Matched, points: int) -> Plane:
    """Compute the radius on a grid of the candidate's gain and the memory gate's mean bias.

    Parameters
    ----------
    matched
        The ensemble, in the middle of the grid.
    points
        On each side.

    Returns
    -------
    Plane
        For each bias its line has the lowest gain at which the radius crosses one from below, NaN
        where none on the grid does.
    """
    axes = matched.axes
    gain, bias = (float(getattr(matched.cell, name)) for name in (axes.gain, axes.bias))
    gains = (gain or 1.0) * np.geomspace(1 / _AROUND, _AROUND, points)
    biases = bias + np.linspace(-_BESIDE, _BESIDE, points)
    radius = np.full((points, points), np.nan)
    for row, each in enumerate(gains):
        for column, other in enumerate(biases):
            radius[row, column] = radius_at(matched, **{axes.gain: each, axes.bias: other})
    lines = [_crossing(np.log(gains), radius[:, column]) for column in range(points)]
    return Plane(gains, biases, radius, np.exp(lines), biases.copy())


def critical_gain(matched: Matched, edge: Callable[[float], float]) -> float:
    """Return the candidate's gain at which an edge is one; NaN if none within a factor of 64.

    Parameters
    ----------
    matched
        The ensemble, from whose gain the search goes out in factors of two.
    edge
        A function of the gain that is below one on the stable side; NaN where it is not known.
    """
    own = float(getattr(matched.cell, matched.axes.gain))
    if own <= 0:
        return np.nan

    def excess(log_gain: float) -> float:
        return edge(float(np.exp(log_gain))) - 1.0

    start, here = np.log(own), excess(np.log(own))
    if not np.isfinite(here):
        return np.nan
    step, before = (np.log(2.0) if here < 0 else -np.log(2.0)), start
    while abs(before - start) < _FARTHEST:
        after = before + step
        there = excess(after)
        if not np.isfinite(there):
            return np.nan
        if there * here <= 0:
            root: Any = brentq(excess, *sorted((before, after)), xtol=_EXACT)
            return float(np.exp(root))
        before = after
    return np.nan


def _crossing(places: HostArray, values: HostArray) -> float:
    """Return where values first cross one from below, linear between places; NaN if nowhere."""
    rises = np.flatnonzero((values[:-1] < 1) & (values[1:] >= 1))
    if not rises.size:
        return np.nan
    first = int(rises[0])
    part = (1 - values[first]) / (values[first + 1] - values[first])
    return float(places[first] + part * (places[first + 1] - places[first]))
