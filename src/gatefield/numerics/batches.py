"""Means over independent batches, with their standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.core.types import HostArray


def over_batches(values: Any) -> tuple[HostArray, HostArray]:
    """Return the mean over independent batches, the first axis, and its standard error.

    A single batch tells no error: it is zero.
    """
    stacked = np.asarray(values)
    mean = np.asarray(stacked.mean(axis=0))
    if len(stacked) == 1:
        return mean, np.zeros_like(mean)
    return mean, np.asarray(stacked.std(axis=0, ddof=1) / np.sqrt(len(stacked)))
