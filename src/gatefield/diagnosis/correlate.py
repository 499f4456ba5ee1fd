"""Correlations in time of many units at once, and how many directions they vary in."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from gatefield.core.types import Float, HostArray
from gatefield.numerics.relaxation import relaxation_time

_LONGEST = 500  # lags
_AT_ONCE = 256  # units
_TIMES = 512  # of which the participation ratio is taken
_LEAST = np.exp(-10.0)  # correlation at one step: below, the time is a tenth of a step


def autocorrelation(
    values: Float[HostArray, "sequence time unit"],
) -> tuple[Float[HostArray, " lag"], Float[HostArray, " lag"]]:
    """Average products of values at two times of a sequence over units, times and sequences.

    Parameters
    ----------
    values
        Each unit's mean subtracted.

    Returns
    -------
    lags
        0, 1, ..., up to half the sequence's length and 500.
    correlation
        Normalised to one at lag 0; zeros if nothing varies.
    """
    length, n = values.shape[1:]
    most = min(_LONGEST, length // 2)
    fast_length: Any = scipy.fft.next_fast_len
    size = int(fast_length(length + most, real=True))
    power = np.zeros(size // 2 + 1)
    for start in range(0, n, _AT_ONCE):
        part = values[:, :, start : start + _AT_ONCE].astype(float)
        power += np.sum(np.abs(np.fft.rfft(part, size, axis=1)) ** 2, axis=(0, 2))
    lags = np.arange(most + 1)
    sums = np.fft.irfft(power, size)[: most + 1] / (length - lags)
    varies = sums[0] > np.finfo(np.float32).eps ** 2
    return lags.astype(float), sums / sums[0] if varies else np.zeros(most + 1)


def correlation_time(
    lags: Float[HostArray, " lag"], correlation: Float[HostArray, " lag"]
) -> float:
    """Return the lag at which a correlation falls to 1/e, infinity if it does not.

    Below one step it is the time of the exponential with the same value at lag 1, for a sequence
    of independent values has no time of its own; 0 where nothing varies.
    """
    if correlation[0] == 0:
        return 0.0
    time = relaxation_time(lags, correlation, plateau=0.0)
    return time if time >= 1 else float(-1 / np.log(max(correlation[1], _LEAST)))


def participation(values: Float[HostArray, "sequence time unit"]) -> float:
    r"""Return the participation ratio (tr S)^2 / tr S^2 of the covariance S across units.

    Parameters
    ----------
    values
        Each unit's mean subtracted; of more than 512 times some are taken.

    Returns
    -------
    float
        0 where nothing varies.

    Assumptions
    -----------
    Of T independent times the ratio is too small, 1/D + 1/T instead of 1/D.
    """
    rows = values.reshape(-1, values.shape[-1])
    rows = rows[:: -(-len(rows) // _TIMES)].astype(float)
    overlaps = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    below = float(np.sum(overlaps**2))
    return float(np.trace(overlaps)) ** 2 / below if below > 0 else 0.0
