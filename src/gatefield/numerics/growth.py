"""How fast a series grows: the slope of its logarithm."""

from __future__ import annotations

import numpy as np

from gatefield.core.types import Float, HostArray

FITTED = 0.5
"""Of the longest time, counted from its far end: where the growth rate is read off."""


def growth_rate(times: Float[HostArray, " time"], values: Float[HostArray, " time"]) -> float:
    """Return the least-squares slope of the logarithm over the second half of the times.

    Parameters
    ----------
    times
        Ascending from 0.
    values
        Their logarithm is natural.

    Returns
    -------
    float
        Per unit of the times; NaN with fewer than two times in the second half, or where a value
        there is not positive and finite.
    """
    late = times >= FITTED * times[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values[late])
    if late.sum() < 2 or not np.all(np.isfinite(logs)):
        return float("nan")
    centred = times[late] - times[late].mean()
    return float(centred @ logs / (centred @ centred))
