"""How long a correlation function takes to decay: down to a level, and by its integral."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.core.checks import as_number, as_parameter
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray

_LAST = 0.9
# Of the largest value: below this, differences are rounding.
_ROUNDING = 64 * np.finfo(float).eps


def relaxation_time(
    lags: Any, covariance: Any, *, level: float = float(np.exp(-1)), plateau: float | None = None
) -> float:
    r"""Find the first lag at which a correlation function has fallen to a fraction of its start.

    .. math:: c(\tau) = \frac{C(\tau) - C_\infty}{C(0) - C_\infty} < \mathrm{level}

    Parameters
    ----------
    lags
        (lag,), from 0 on and increasing; their unit is the result's.
    covariance
        C at these lags, (lag,).
    level
        The fraction, between 0 and 1; by default 1/e.
    plateau
        :math:`C_\infty`; by default the mean of C over the last 10 per cent of the lags.

    Returns
    -------
    float
        Interpolated linearly between lags; infinity if C never falls so far, 0 if C equals its
        plateau throughout, within rounding.

    Raises
    ------
    InvalidInputError
        For shapes or numbers that do not fit.

    Assumptions
    -----------
    The default plateau needs lags that reach well beyond the relaxation: where C still falls at
    the end, the result is too small.
    """
    level = as_number("level", level, positive=True)
    if level >= 1:
        refuse("level", level, "a number between 0 and 1", "c starts at 1.")
    times, values = _checked(lags, covariance)
    normal = _normalised(times, values, plateau)
    if normal is None:
        return 0.0
    below = np.flatnonzero(normal < level)
    if not below.size:
        return float("inf")
    after = int(below[0])
    before = after - 1
    part = (normal[before] - level) / (normal[before] - normal[after])
    return float(times[before] + part * (times[after] - times[before]))


def integral_time(lags: Any, covariance: Any, *, plateau: float | None = None) -> float:
    r"""Integrate a normalised correlation function over its lags by the trapezoid rule.

    .. math:: \tau_\mathrm{int} = \int_0^{\tau_\mathrm{end}}
        \frac{C(\tau) - C_\infty}{C(0) - C_\infty}\,d\tau

    Parameters, errors and assumptions as in `relaxation_time`.

    Returns
    -------
    float
        In the unit of the lags; 0 if C equals its plateau throughout, infinity if it starts from
        its plateau and does not stay there.
    """
    times, values = _checked(lags, covariance)
    normal = _normalised(times, values, plateau)
    return 0.0 if normal is None else float(np.trapezoid(normal, times))


def _checked(lags: Any, covariance: Any) -> tuple[np.ndarray, np.ndarray]:
    times = np.asarray(as_parameter("lags", lags))
    values = np.asarray(as_parameter("covariance", covariance))
    increasing = times.ndim == 1 and times.size > 0 and bool(np.all(np.diff(times) > 0))
    if not increasing or times[0] != 0:
        refuse("lags", lags, "increasing lags (lag,) from 0 on", "The first one normalises.")
    if values.shape != times.shape:
        remedy = "One value for each lag; loop over several functions."
        refuse("covariance.shape", values.shape, f"{times.shape}", remedy)
    return times, values


def _normalised(
    times: Float[HostArray, " lag"], values: Float[HostArray, " lag"], plateau: float | None
) -> Float[HostArray, " lag"] | None:
    """Return (C - plateau) / (C(0) - plateau), or None where C does not leave the plateau."""
    if plateau is None:
        end = float(np.mean(values[times >= _LAST * times[-1]]))
    else:
        end = as_number("plateau", plateau)
    rounding = _ROUNDING * max(float(np.max(np.abs(values))), abs(end))
    if np.all(np.abs(values - end) <= rounding):
        return None
    if abs(values[0] - end) <= rounding:
        return np.full(values.shape, np.inf)
    return (values - end) / (values[0] - end)
