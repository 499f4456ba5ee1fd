"""Standard errors of means over blocks of time that are not independent."""

from __future__ import annotations

import numpy as np

from gatefield.core.types import Float, HostArray

_FEWEST = 8  # blocks whose scatter is trusted


def blocked_error(blocks: Float[HostArray, "..."]) -> Float[HostArray, "..."]:
    r"""Return the standard error of the mean of consecutive blocks, by merging neighbours.

    Correlations between blocks make :math:`s/\sqrt{B}` wrong, in either direction; blocks are
    merged in pairs while at least 8 are left, and the error is that of the last ones. Motions
    slower than about a tenth of the run are not in it.

    Parameters
    ----------
    blocks
        Values of consecutive blocks of equal length, at least two, first axis; shape (B, ...).

    Returns
    -------
    array
        The error of ``blocks.mean(axis=0)``.

    References
    ----------
    Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989).
    """
    values = np.asarray(blocks, float)
    while len(values) >= 2 * _FEWEST:
        even = values[: len(values) - len(values) % 2]
        values = 0.5 * (even[::2] + even[1::2])
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))
