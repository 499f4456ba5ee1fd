"""The candidate's gain at which random networks of a layer's statistics are at the edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from gatefield.diagnosis.exponents import Followed
from gatefield.diagnosis.matched import Matched
from gatefield.diagnosis.random_networks import FEWEST, drawn, largest_exponent, stacked
from gatefield.diagnosis.runs import spread_over
from gatefield.diagnosis.theory import radius_at
from gatefield.networks import Network

_FARTHEST = np.log(63.0)  # of the gain's logarithm, to both sides
_EXACT = 5e-3  # of that
UNITS = 256
"""Units of the networks that are run at many gains: smaller ones leave the edge for fixed points or
cycles in which they stay marginal, each at a gain of its own."""

_STEPS = 640  # at most, of each run
_SEEDS = 4  # of theory's samples
_BESIDE = 0.1  # of the gain's logarithm, over which the radius' slope is taken


class Critical(NamedTuple):
    """A critical gain, by the names of `Ensemble`; NaN where there is none."""

    gain: float = np.nan
    error: float = np.nan
    spread: float = np.nan
    state: str = ""
    notes: tuple[str, ...] = ()


def critical_along(
    matched: Matched, network: Network, followed: Followed, *, networks: int, seed: int
) -> Critical:
    """Return the gain at which random networks neither lose nor amplify perturbations along inputs.

    Each of several networks has a gain of its own at which its largest exponent crosses zero; their
    mean is returned, with its standard error. They have 256 units, with biases and inputs of the
    layer's units in turn.

    Parameters
    ----------
    matched
        The ensemble, for names and the layer's own gain.
    network
        The layer's.
    followed
        What the layer receives, and where it starts.
    networks
        How many are drawn.
    seed
        Draws them.

    Assumptions
    -----------
    Edges of 256 units: where most units are saturated their number counts less. For the Elman
    network under white noise of variance 9 it is 2.76, and 2.71 in the limit of many units.
    """
    own = float(getattr(matched.cell, matched.axes.gain))
    if networks < FEWEST or own <= 0:
        return Critical()
    field = matched.axes.field
    units = spread_over(network.n, UNITS) if network.n > UNITS else np.arange(UNITS) % network.n
    drives = stacked(network, followed)[:_STEPS, :, units]
    initial = followed.initial[:, units]
    roots = []
    for place in range(networks):
        each = drawn(network, place, seed, units)

        def exponent(log_gain: float, each: Network = each) -> float:
            factor = float(np.exp(log_gain)) / own
            return largest_exponent(each, drives, initial, field, factor)

        roots.append(np.exp(zero_crossing(exponent, np.log(own))))
    found = np.array(roots)
    known = int(np.sum(np.isfinite(found)))
    if known < networks:
        note = (
            f"{known} of {networks} random networks reach the edge within a factor of 64 of the "
            "gain: no critical gain is given."
        )
        return Critical(notes=(note,) if known else ())
    spread = float(np.std(found, ddof=1))
    return Critical(float(found.mean()), spread / np.sqrt(networks), spread, "run")


def critical_at_rest(matched: Matched, seed: int) -> Critical:
    """Return the gain at which theory's smallest fixed point loses its stability.

    Its error is that of the samples of theory.
    """
    name = matched.axes.gain
    own = float(getattr(matched.cell, name))
    if own <= 0:
        return Critical()

    def radius(log_gain: float, place: int = 0) -> float:
        return radius_at(matched, seed + place, **{name: float(np.exp(log_gain))})

    root = zero_crossing(lambda log_gain: radius(log_gain) - 1.0, np.log(own))
    if not np.isfinite(root):
        return Critical()
    others = np.array([radius(root, place) for place in range(_SEEDS)])
    slope = (radius(root + _BESIDE) - radius(root - _BESIDE)) / (2 * _BESIDE)
    gain = float(np.exp(root))
    error = gain * float(np.std(others, ddof=1)) / abs(slope) if slope else np.nan
    return Critical(gain, error, 0.0, "fixed point")


def zero_crossing(function: Callable[[float], float], start: float) -> float:
    """Return where a function of the gain's logarithm crosses zero from below; NaN if nowhere.

    The search goes out from the start by factors of two of the gain, up to 64: upwards from a
    negative value, downwards from a positive one. A value that is NaN ends it.
    """
    here = function(start)
    if not np.isfinite(here) and here != -np.inf:
        return np.nan
    step, before = (np.log(2.0) if here < 0 else -np.log(2.0)), start
    while abs(before - start) < _FARTHEST:
        after = before + step
        there = function(after)
        if np.isnan(there):
            return np.nan
        if there * here <= 0:
            root: Any = brentq(_bounded(function), *sorted((before, after)), xtol=_EXACT)
            return float(root)
        before = after
    return np.nan


def _bounded(function: Callable[[float], float]) -> Callable[[float], float]:
    """Return the function with infinity replaced: secants need finite values."""
    return lambda place: float(np.clip(function(place), -1.0, 1.0))
