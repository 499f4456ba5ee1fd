"""Timing shared by the benchmarks: compilation apart, repeats interleaved, ratios not seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

# NumPy's threads keep a core busy for some 30 ms after a product, at the cost of what runs next.
PAUSE = 0.1


@dataclass(frozen=True)
class Ratio:
    """How much longer one candidate took than another, over interleaved repeats.

    Attributes
    ----------
    median
        Median over the repeats of the ratio within a repeat.
    low, high
        Quartiles of that ratio.
    repeats
        Number of repeats.
    """

    median: float
    low: float
    high: float
    repeats: int

    def __str__(self) -> str:
        """Show the median and the quartiles."""
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Callable[..., Any], float]:
    """Compile a function for its arguments, and return it with the seconds that took."""
    started = time.perf_counter()
    ready = jax.jit(function).lower(*arguments).compile()
    return ready, time.perf_counter() - started


def interleaved(
    candidates: Mapping[str, Callable[[], Any]], repeats: int, inner: int = 1
) -> dict[str, np.ndarray]:
    """Time candidates in turn, so that a slow spell of the machine hits all of them alike.

    Parameters
    ----------
    candidates
        Functions without arguments, by name; each runs once unmeasured first.
    repeats
        Number of rounds through all candidates, with a short pause before each.
    inner
        Calls of a candidate in one measurement.

    Returns
    -------
    dict
        Seconds per call of each candidate, shape (repeats,).
    """
    for candidate in candidates.values():
        jax.block_until_ready(candidate())
    seconds = {name: np.empty(repeats) for name in candidates}
    for repeat in range(repeats):
        for name, candidate in candidates.items():
            time.sleep(PAUSE)
            started = time.perf_counter()
            for _ in range(inner):
                jax.block_until_ready(candidate())
            seconds[name][repeat] = (time.perf_counter() - started) / inner
    return seconds


def fastest(seconds: Mapping[str, np.ndarray], names: list[str]) -> str:
    """Return the name of the candidate with the smallest median."""
    return min(names, key=lambda name: float(np.median(seconds[name])))


def ratio(seconds: Mapping[str, np.ndarray], measured: str, reference: str) -> Ratio:
    """Compare two candidates repeat by repeat."""
    each = seconds[measured] / seconds[reference]
    low, median, high = np.quantile(each, [0.25, 0.5, 0.75])
    return Ratio(float(median), float(low), float(high), len(each))
