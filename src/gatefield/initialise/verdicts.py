"""What measurements on finite networks tell of a target: agreement, contradiction, or nothing."""

from __future__ import annotations

import math

from scipy import stats

from gatefield.initialise.quantities import QUANTITIES

WITHIN = 0.05
"""Relative deviation of a measured value that verification accepts."""
LEAST_NETWORKS = 4
"""Fewer have no standard error worth the name."""
_LEVEL = 0.95
_SHARP = 0.25  # of the target's size: wider intervals tell nothing


def verdict(name: str, value: float, target: float, error: float, networks: int) -> bool | None:
    r"""Return whether a mean over networks agrees with its target; None if that cannot be told.

    .. math:: |\mathrm{value} - \mathrm{target}| \le 0.05\, s + t\, \mathrm{error}

    with s the target's size and t Student's 95 per cent quantile.

    Parameters
    ----------
    name
        One of `QUANTITIES`.
    value, error
        Mean over networks and its standard error.
    target
        What was wanted.
    networks
        How many there were.

    Returns
    -------
    bool or None
        None for fewer than four networks, for values or errors that are not finite, and where the
        value is within an interval wider than a quarter of the target.
    """
    if networks < LEAST_NETWORKS or not (math.isfinite(value) and math.isfinite(error)):
        return None
    size = max(abs(target), QUANTITIES[name].least)
    allowed = float(stats.t.ppf(0.5 + _LEVEL / 2, networks - 1)) * error
    if abs(value - target) > WITHIN * size + allowed:
        return False
    return True if allowed <= _SHARP * size else None


def extrapolated(full: float, half: float, error: float, error_of_half: float):
    r"""Return the limit of a mean with a term of order 1/N, and its standard error.

    .. math:: 2 m_N - m_{N/2}, \qquad \sqrt{4 s_N^2 + s_{N/2}^2}

    Parameters
    ----------
    full, half
        Means over networks of N and of N/2 units, drawn independently.
    error, error_of_half
        Their standard errors.

    Returns
    -------
    value, error
        Numbers.
    """
    return 2 * full - half, math.hypot(2 * error, error_of_half)


def verdict_of_trend(
    name: str,
    value: float,
    target: float,
    error: float,
    networks: int,
    limit: tuple[float, float] | None,
) -> bool | None:
    """Return the verdict of a mean, or where it misses that of its limit of large networks.

    Parameters
    ----------
    name, value, target, error, networks
        As in `verdict`.
    limit
        Extrapolated value and its error, if there is one: counts where it lies on the target's side
        of the mean.

    Returns
    -------
    bool or None
        As `verdict`. A miss whose limit is too uncertain is not told.
    """
    own = verdict(name, value, target, error, networks)
    if own is True or limit is None or (limit[0] - value) * (target - value) <= 0:
        return own
    beyond = verdict(name, limit[0], target, limit[1], networks)
    return own if own is None and beyond is False else beyond
