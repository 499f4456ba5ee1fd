"""Targets measured on simulated networks of a designed cell, driven as it was designed for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.errors import NumericalFailureError
from gatefield.initialise.measured import (
    BURN_IN,
    fixed_point,
    measure,
    of_states,
    snapshots,
)
from gatefield.initialise.result import spread_cell
from gatefield.initialise.sources import Source
from gatefield.networks import Network
from gatefield.networks.noise import InputPath

_OF_STATES = ("variance", "gate_time", "radius", "leading_edge", "memory_time")
_LONGEST = 700.0  # that a measurement of a moving network lasts, burn-in included
_SPACING = 0.05


class Measured(NamedTuple):
    """Means over networks and their standard errors, by quantity."""

    mean: dict[str, float]
    standard_error: dict[str, float]


def measured_in_networks(
    cell: AbstractCell,
    spread: dict[str, float],
    sources: Sequence[Source],
    names: Sequence[str],
    *,
    n: int,
    networks: int,
    seed: int,
    moving: bool,
    horizon: float,
    quantile: float,
    active: bool = False,
    report: Callable[[], object] | None = None,
) -> Measured:
    """Draw networks of a cell with random biases, drive them, and measure quantities.

    Parameters
    ----------
    cell, spread
        With scalar parameters, and the standard deviations of random biases.
    sources
        What drives it.
    names
        Of the quantities.
    n, networks, seed
        Units, number of networks, and the first one's seed.
    moving
        Whether they are measured in the state that runs lead to, instead of fixed points.
    horizon, quantile
        As in `measure`.
    active
        Whether fixed points are looked for from active states, not from zero.
    report
        Called after each network.

    Returns
    -------
    Measured
        The growth of gradients is the logarithm of the mean square over networks, as theory
        predicts it; a memory time is that of the mean rate.
    """
    found: dict[str, list[float]] = {name: [] for name in names}
    lasts = BURN_IN + max(_LONGEST - BURN_IN, horizon) if moving else 1.0
    for number in range(networks):
        own = seed + number
        network = Network.sample(spread_cell(cell, spread, n, own), n, seed=own)
        inputs = realised(cell, sources, n, lasts, own)
        common = {"inputs": inputs, "moving": moving, "seed": own}
        try:
            states: dict[int, Any] = {}
            for name in names:
                if name in _OF_STATES:
                    count = 3 if name in ("radius", "leading_edge", "memory_time") else 8
                    if not moving and 0 not in states:
                        start = _active(cell, n, own) if active else None
                        point = fixed_point(network, inputs=inputs, initial=start, seed=own)
                        states[0] = point[None], np.zeros(1, int)
                    if moving and count not in states:
                        states[count] = snapshots(network, inputs, BURN_IN, count, own)
                    at, times = states[count if moving else 0]
                    # What slows a mode down is averaged as a rate, below.
                    quantity = "lyapunov" if name == "memory_time" else name
                    value = of_states(network, quantity, at, times, inputs, quantile)
                else:
                    start = _active(cell, n, own) if active else None
                    at = (
                        None
                        if moving
                        else fixed_point(network, inputs=inputs, initial=start, seed=own)
                    )
                    value = measure(network, name, state=at, horizon=horizon, **common)
                found[name].append(value)
        except NumericalFailureError:
            for name in names:
                found[name].append(math.nan)
        if report is not None:
            report()
    mean, error = {}, {}
    for name, values in found.items():
        mean[name], error[name] = _averaged(name, np.array(values[:networks]))
    return Measured(mean, error)


def realised(
    cell: AbstractCell, sources: Sequence[Source], n: int, lasts: float, seed: int
) -> dict[str, Any] | None:
    """Draw what sources bring to n units: a constant or a path for each drive."""
    if not sources:
        return None
    spacing = 1.0 if isinstance(cell, AbstractMap) else _SPACING
    found: dict[str, Any] = {}
    for number, source in enumerate(sources):
        value = source.input.realise(n, lasts, dt=spacing, seed=seed + 7919 * (number + 1))
        for drive, sign in source.targets:
            found[drive] = _added(found.get(drive, 0.0), value, sign)
    return found


def _added(first: Any, second: Any, sign: float) -> Any:
    path = next((each for each in (first, second) if isinstance(each, InputPath)), None)
    values = [each.values if isinstance(each, InputPath) else each for each in (first, second)]
    with jax.enable_x64(True):
        total = values[0] + sign * values[1]
        return np.asarray(total) if path is None else InputPath(total, path.dt, path.start)


def _active(cell: AbstractCell, n: int, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal((len(cell.state_names), n))


def _averaged(name: str, values: Any) -> tuple[float, float]:
    """Return mean and standard error over networks, in the variable in which theory averages."""
    good = values[np.isfinite(values)]
    # Networks that failed are not left out of the mean in silence.
    if good.size < values.size or good.size == 0:
        return math.nan, math.nan
    if name == "gradient_growth":
        top = good.max()
        squares = np.exp(2 * (good - top))
        mean = 0.5 * float(np.log(squares.mean())) + float(top)
        return mean, _error(squares) / (2 * float(squares.mean()))
    mean, error = float(good.mean()), _error(good)
    if name == "memory_time":
        return (-1 / mean, error / mean**2) if mean < 0 else (math.inf, math.inf)
    return mean, error


def _error(values: Any) -> float:
    return float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else math.inf
