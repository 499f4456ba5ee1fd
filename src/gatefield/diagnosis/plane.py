"""The static theory's radius on a plane about a matched ensemble."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.matched import Matched
from gatefield.diagnosis.theory import radius_at

_AROUND = 4.0  # factor of the gain, to both sides
_BESIDE = 3.0  # of the bias


class Plane(NamedTuple):
    """The static theory's radius about an ensemble, and the line where it is one."""

    gains: Float[HostArray, " gain"]
    biases: Float[HostArray, " bias"]
    radius: Float[HostArray, "gain bias"]
    line_gains: Float[HostArray, " vertex"]
    line_biases: Float[HostArray, " vertex"]


def plane_of(matched: Matched, points: int, seed: int) -> Plane:
    """Compute the radius on a grid of the candidate's gain and the memory gate's mean bias.

    Parameters
    ----------
    matched
        The ensemble, in the middle of the grid.
    points
        On each side.
    seed
        Of theory's samples.

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
            radius[row, column] = radius_at(matched, seed, **{axes.gain: each, axes.bias: other})
    lines = [_crossing(np.log(gains), radius[:, column]) for column in range(points)]
    return Plane(gains, biases, radius, np.exp(lines), biases.copy())


def _crossing(places: HostArray, values: HostArray) -> float:
    """Return where values first cross one from below, linear between places; NaN if nowhere."""
    rises = np.flatnonzero((values[:-1] < 1) & (values[1:] >= 1))
    if not rises.size:
        return np.nan
    first = int(rises[0])
    part = (1 - values[first]) / (values[first + 1] - values[first])
    return float(places[first] + part * (places[first + 1] - places[first]))
