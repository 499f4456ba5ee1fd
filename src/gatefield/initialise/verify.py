"""Targets measured on simulated networks of a designed cell, driven as it was designed for."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.types import Float, HostArray
from gatefield.initialise.measured import (
    BURN_IN,
    fixed_point,
    measure,
    newton,
    of_states,
    snapshots,
)
from gatefield.initialise.result import spread_cell
from gatefield.initialise.sources import Source
from gatefield.networks import Network
from gatefield.networks.noise import InputPath
from gatefield.theory.static import StaticMeanField

_OF_STATES = ("variance", "gate_time", "radius", "leading_edge", "memory_time")
_LONGEST = 700.0  # that a measurement of exponents lasts, burn-in included
_ROOM = 10.0
_SPACING, _PER_TIME = 0.05, 10  # of paths: samples in each correlation time at least
_STARTS = 8  # states from which a fixed point of one branch is looked for
_VALUES = 1.5e8  # of a path, 1.2 GB


class Measured(NamedTuple):
    """Means over networks and their standard errors, by quantity.

    ``unmeasured`` says why a quantity has none: it could not be measured in every network.
    """

    mean: dict[str, float]
    standard_error: dict[str, float]
    unmeasured: dict[str, str]


class Branch(NamedTuple):
    """One of several fixed points of theory: what its units' states are, and those of all.

    Attributes
    ----------
    mean, deviation
        Over units, of each component of the state, (component,).
    sizes
        Standard deviation of the first component on every branch.
    place
        Which of them is meant.
    """

    mean: Float[HostArray, " component"]
    deviation: Float[HostArray, " component"]
    sizes: tuple[float, ...]
    place: int

    def has(self, state: HostArray) -> bool:
        """Return whether a network's state is closer to this branch than to the others."""
        size = float(np.std(state[0]))
        return int(np.argmin([abs(size - each) for each in self.sizes])) == self.place


def meant_branch(branches: Sequence[StaticMeanField], place: int | None) -> Branch | None:
    """Return what tells one of several branches apart; None for one alone or the zero state."""
    if place is None or len(branches) < 2:
        return None
    first = branches[0].cell.state_names[0]
    sizes = tuple(float(np.sqrt(each.variance[first])) for each in branches)
    one = branches[place]
    mean = np.array([float(value) for value in one.mean.values()])
    deviation = np.sqrt([float(value) for value in one.variance.values()])
    return None if sizes[place] == 0 else Branch(mean, deviation, sizes, place)


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
    meant: Branch | None = None,
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
    meant
        Which fixed points are looked for; by default those that Newton's method finds from zero.
    report
        Called after each network.

    Returns
    -------
    Measured
        The growth of gradients is the logarithm of the mean square over networks, as theory
        predicts it; a memory time is that of the mean rate.
    """
    found: dict[str, list[float]] = {name: [] for name in names}
    failures: dict[str, list[str]] = {name: [] for name in names}
    lasts = duration(names, horizon) if moving else 1.0
    for number in range(networks):
        own = seed + number
        network = Network.sample(spread_cell(cell, spread, n, own), n, seed=own)
        inputs = realised(cell, sources, n, lasts, own)
        one = _Single(network, inputs, moving, own, _step(cell, sources), meant)
        for name in names:
            try:
                value = one.value(name, horizon, quantile)
            except NumericalFailureError as error:
                value = math.nan
                failures[name].append(str(error))
            found[name].append(value)
        if report is not None:
            report()
    mean, error, unmeasured = {}, {}, {}
    for name, each in found.items():
        mean[name], error[name] = _averaged(name, np.array(each))
        lost = int(np.sum(~np.isfinite(each)))
        if lost:
            why = failures[name][0] if failures[name] else "the measurement did not succeed."
            unmeasured[name] = f"not in {lost} of {networks} networks: {why}"
    return Measured(mean, error, unmeasured)


class _Single:
    """One network, whose fixed point and runs are made once for all quantities."""

    def __init__(self, network: Network, inputs: Any, moving: bool, seed: int, step, meant):
        self.network, self.inputs, self.moving = network, inputs, moving
        self.seed, self.step, self.meant = seed, step, meant
        self._runs: dict[int, tuple[HostArray, HostArray]] = {}

    @functools.cached_property
    def point(self) -> HostArray | NumericalFailureError:
        """The fixed point, or why there is none."""
        try:
            if self.meant is None:
                return fixed_point(self.network, inputs=self.inputs, seed=self.seed)
            return point_of_branch(self.network, self.meant, self.inputs, self.seed)
        except NumericalFailureError as error:
            return error

    def states(self, count: int) -> tuple[HostArray, HostArray]:
        """Return states of a run."""
        if count not in self._runs:
            self._runs[count] = snapshots(
                self.network, self.inputs, BURN_IN, count, self.seed, self.step
            )
        return self._runs[count]

    def value(self, name: str, horizon: float, quantile: float) -> float:
        """Return one quantity."""
        at: Any = None
        if not self.moving:
            at = self.point
            if isinstance(at, NumericalFailureError):
                raise at
        if name not in _OF_STATES:
            return measure(
                self.network,
                name,
                state=at,
                moving=self.moving,
                inputs=self.inputs,
                horizon=horizon,
                dt=self.step,
                seed=self.seed,
            )
        # What slows a mode down is averaged as a rate, below.
        quantity = "lyapunov" if name == "memory_time" else name
        if self.moving:
            states, times = self.states(8 if name in ("variance", "gate_time") else 3)
        else:
            states, times = at[None], np.zeros(1, int)
        return of_states(self.network, quantity, states, times, self.inputs, quantile)


def point_of_branch(
    network: Network, meant: Branch, inputs: Any, seed: int
) -> Float[HostArray, "component unit"]:
    """Return a fixed point of one branch: by Newton's method from Gaussian states of its variance.

    Raises
    ------
    NumericalFailureError
        If none of eight starts leads to one.
    """
    rng = np.random.default_rng([seed, 1_000_003])
    for _ in range(_STARTS):
        noise = rng.standard_normal((len(meant.mean), network.n))
        start = meant.mean[:, None] + meant.deviation[:, None] * noise
        found = newton(network, start, inputs)
        if found is not None and meant.has(found):
            return found
    raise NumericalFailureError(
        f"no fixed point of standard deviation near {meant.sizes[meant.place]:.3g} was found from "
        f"{_STARTS} states of it, where theory has others of "
        f"{', '.join(f'{size:.3g}' for k, size in enumerate(meant.sizes) if k != meant.place)}."
    )


def duration(names: Sequence[str], horizon: float) -> float:
    """Return how long the inputs of moving networks must last for all quantities."""
    needed = [2 * BURN_IN]
    if "gradient_growth" in names:
        needed.append(BURN_IN + horizon)
    if {"lyapunov", "dimension"} & set(names):
        needed.append(_LONGEST)
    return max(needed) + _ROOM


def spacing(cell: AbstractCell, sources: Sequence[Source]) -> float:
    """Return the spacing of the inputs' paths: a tenth of the shortest correlation time at most."""
    if isinstance(cell, AbstractMap):
        return 1.0
    times = [each.input.correlation_time for each in sources if each.input.variance > 0]
    return min([_SPACING, *(time / _PER_TIME for time in times)])


def _step(cell: AbstractCell, sources: Sequence[Source]) -> float | None:
    """Return a step that follows the inputs' paths, where the usual ones do not."""
    between = spacing(cell, sources)
    # Runge and Kutta's method looks at the ends of a step and at its middle.
    return None if isinstance(cell, AbstractMap) or between == _SPACING else 2 * between


def check_paths(
    cell: AbstractCell, sources: Sequence[Source], names: Sequence[str], n: int, horizon: float
) -> None:
    """Refuse to verify where inputs vary too fast for their paths to be held in memory.

    Raises
    ------
    InvalidInputError
        If a path had more than 1.5e8 values.
    """
    between = spacing(cell, sources)
    if between == 1.0 or not any(not each.input.is_static for each in sources):
        return
    if n * duration(names, horizon) / between > _VALUES:
        remedy = (
            "Pass verify=False or fewer units n; or an input of the same power, which is "
            "2 variance correlation_time, that varies more slowly."
        )
        expected = "a longer one, so that networks can follow it"
        refuse("inputs: correlation_time", between * _PER_TIME, expected, remedy)


def realised(
    cell: AbstractCell, sources: Sequence[Source], n: int, lasts: float, seed: int
) -> dict[str, Any] | None:
    """Draw what sources bring to n units: a constant or a path for each drive."""
    if not sources:
        return None
    between = spacing(cell, sources)
    found: dict[str, Any] = {}
    for number, source in enumerate(sources):
        value = source.input.realise(n, lasts, dt=between, seed=seed + 7919 * (number + 1))
        for drive, sign in source.targets:
            found[drive] = _added(found.get(drive, 0.0), value, sign)
    return found


def _added(first: Any, second: Any, sign: float) -> Any:
    path = next((each for each in (first, second) if isinstance(each, InputPath)), None)
    values = [each.values if isinstance(each, InputPath) else each for each in (first, second)]
    with jax.enable_x64(True):
        total = values[0] + sign * values[1]
        return np.asarray(total) if path is None else InputPath(total, path.dt, path.start)


def _averaged(name: str, values: Any) -> tuple[float, float]:
    """Return mean and standard error over networks, in the variable in which theory averages."""
    # Networks that failed are not left out of the mean in silence.
    if not np.all(np.isfinite(values)):
        return math.nan, math.nan
    if name == "gradient_growth":
        top = values.max()
        squares = np.exp(2 * (values - top))
        mean = 0.5 * float(np.log(squares.mean())) + float(top)
        return mean, _error(squares) / (2 * float(squares.mean()))
    mean, error = float(values.mean()), _error(values)
    if name == "memory_time":
        return (-1 / mean, error / mean**2) if mean < 0 else (math.inf, math.inf)
    return mean, error


def _error(values: Any) -> float:
    return float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else math.inf
