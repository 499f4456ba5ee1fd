"""The search for parameters that meet targets: from many starts, and all that is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq, least_squares, minimize, minimize_scalar
from scipy.stats import qmc

from gatefield.core.types import Float, HostArray
from gatefield.initialise.free import Free
from gatefield.initialise.prediction import Prediction
from gatefield.initialise.predictor import Predictor
from gatefield.initialise.quantities import QUANTITIES, is_positive

_LOST = 20.0  # residual where theory has no value
_SMALLEST = 1e-12
_SCAN = {True: 25, False: 9}  # points of a scan over one parameter
_STEPS, _EVALUATIONS = 40, 60
_APART = 0.02  # of the unit cube: closer solutions are one
_BOUND = 1e-6
_ROOT: Any = {"xtol": 1e-10, "rtol": 1e-10}


class Point(NamedTuple):
    """One end of a search.

    Attributes
    ----------
    place
        In the unit cube of the free parameters.
    prediction
        Theory's values there.
    cost
        Sum of the squared residuals.
    """

    place: Float[HostArray, " parameter"]
    prediction: Prediction
    cost: float


class Objective:
    """Residuals of the targets in the unit cube, their derivatives, and a memory of both."""

    def __init__(
        self,
        predictor: Predictor,
        free: Free,
        targets: dict[str, float],
        report: Callable[[], object] | None = None,
    ):
        self.predictor, self.free, self.targets, self.report = predictor, free, targets, report
        self._known: dict[bytes, Any] = {}

    @property
    def evaluations(self) -> int:
        """How often theory was asked."""
        return len(self._known)

    @property
    def scanned(self) -> bool:
        """Whether the one parameter is scanned for the one target."""
        return len(self.free.names) == len(self.targets) == 1

    def at(self, place: Any) -> tuple[HostArray, HostArray, Prediction | None]:
        """Return residuals (target,), their derivatives (target, parameter), and the values."""
        place = np.clip(np.asarray(place, float), 0.0, 1.0)
        key = place.tobytes()
        if key not in self._known:
            self._known[key] = self._evaluated(place)
            if self.report is not None:
                self.report()
        return self._known[key]

    def cost(self, place: Any) -> float:
        """Return the sum of the squared residuals."""
        return float(np.sum(self.at(place)[0] ** 2))

    def point(self, place: Any) -> Point | None:
        """Return the end of a search at a place, or None where theory lacks a value."""
        place = np.clip(np.asarray(place, float), 0.0, 1.0)
        residual, _, prediction = self.at(place)
        if prediction is None or not self.known(place):
            return None
        return Point(place, prediction, float(np.sum(residual**2)))

    def known(self, place: Any) -> bool:
        """Return whether theory has a value of every target at a place."""
        prediction = self.at(place)[2]
        return prediction is not None and not any(
            np.isnan(prediction.values[name]) for name in self.targets
        )

    def _evaluated(self, place):
        values = self.free.values(place)
        scale = self.free.slopes(values)
        prediction = self.predictor.at(values, slopes=not self.scanned)
        count = len(self.targets), len(place)
        if prediction is None:
            return np.full(count[0], _LOST), np.zeros(count), None
        residuals, slopes = np.zeros(count[0]), np.zeros(count)
        for row, (name, target) in enumerate(self.targets.items()):
            value = prediction.values[name]
            slope = prediction.slopes.get(name, np.zeros(count[1]))
            residuals[row], slopes[row] = self._residual(name, value, slope, target)
        slopes = slopes * scale
        good = np.isfinite(residuals)
        return np.where(good, residuals, _LOST), np.nan_to_num(slopes), prediction

    def _residual(self, name: str, value: float, slope: Any, target: float):
        """Return a residual that is the relative deviation near the target, and grows slowly."""
        if np.isnan(value):
            return np.nan, np.zeros(np.shape(slope))
        if name == "memory_time":
            # The rate is smooth through zero, where the time is infinite.
            if np.isfinite(value):
                rate = -1 / value if value > 0 else -1 / _SMALLEST
                own = slope / value**2 if value > 0 else slope
            else:
                rate, own = 0.0, slope
            return _compressed(1 + rate * target, own * target)
        if is_positive(name, self.predictor.cell):
            value = max(value, _SMALLEST)
            return float(np.log(value / target)), slope / value
        size = max(abs(target), QUANTITIES[name].least)
        return _compressed((value - target) / size, slope / size)


def _compressed(value: float, slope: Any):
    return float(np.arcsinh(value)), slope / np.sqrt(1 + value**2)


def search(
    objective: Objective, free: Free, own: HostArray, *, starts: int, seed: int, implicit: bool
) -> list[Point]:
    """Return the ends of all searches, the cheapest first.

    Parameters
    ----------
    objective
        Residuals of the targets.
    free
        The free parameters.
    own
        Place of the given cell, from which the first search starts.
    starts, seed
        Number of starts, quasi-random but the first two, and their seed.
    implicit
        Whether residuals come with derivatives: then by bounded least squares, else by COBYQA.
    """
    count = len(free.names)
    if objective.scanned:
        ends = _scanned(objective, own, _SCAN[implicit])
    else:
        sobol = qmc.Sobol(count, scramble=True, rng=np.random.default_rng(seed))
        drawn = sobol.random_base2(int(np.ceil(np.log2(max(starts, 2)))))[: max(starts - 2, 0)]
        places = [np.clip(own, 0.02, 0.98), np.full(count, 0.5), *(0.02 + 0.96 * drawn)]
        ends = _descended(objective, places) if implicit else _refined(objective, places)
    points = [point for point in map(objective.point, ends) if point is not None]
    return sorted(points, key=lambda point: point.cost)


def failing(objective: Objective, name: str) -> bool:
    """Return whether the theory of a quantity fails at most places where the state's converges.

    Asked at three places along the diagonal of the bounds, which a scan visits, too.
    """
    places = (np.full(len(objective.free.names), part) for part in (0.25, 0.5, 0.75))
    found = [objective.at(place)[2] for place in places]
    lost = [np.isnan(one.values[name]) for one in found if one is not None]
    return len(lost) > 0 and float(np.mean(lost)) > 0.5


def _scanned(objective: Objective, own: HostArray, count: int) -> list[HostArray]:
    """Look for every zero over one parameter, and for the least residual where there is none."""
    grid = np.unique(np.concatenate([np.linspace(0.0, 1.0, count), own]))
    values = np.array([objective.at([x])[0][0] for x in grid])
    known = np.array([objective.known([x]) for x in grid])
    ends = []

    def residual(x: float) -> float:
        return float(objective.at([x])[0][0])

    for k in range(len(grid) - 1):
        if known[k] and known[k + 1] and values[k] * values[k + 1] <= 0:
            if values[k] == values[k + 1]:
                ends += [grid[k], grid[k + 1]]
            else:
                ends.append(brentq(residual, grid[k], grid[k + 1], **_ROOT))
    size = np.where(known, np.abs(values), np.inf)
    # A pair of zeros between two points shows as a dip of the size.
    dips = [
        k
        for k in range(len(grid))
        if np.isfinite(size[k]) and size[k] <= np.min(size[max(k - 1, 0) : k + 2])
    ]
    for k in sorted(dips, key=lambda k: size[k])[:3]:
        low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
        near = [end for end in ends if low <= end <= high]
        if near:
            continue
        found: Any = minimize_scalar(
            lambda x: abs(residual(float(x))),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-5, "maxiter": 30},
        )
        x = float(found.x)
        if residual(x) * values[k] < 0:
            ends += [
                brentq(residual, end, x, **_ROOT)
                for end in (low, high)
                if residual(end) * residual(x) < 0
            ]
        else:
            ends.append(x if abs(residual(x)) < size[k] else grid[k])
    return [np.array([end]) for end in ends]


def _descended(objective: Objective, places: list[HostArray]) -> list[HostArray]:
    ends = []
    for place in places:
        if not objective.known(place):
            continue
        slopes: Any = lambda x: objective.at(x)[1]  # noqa: E731
        found = least_squares(
            lambda x: objective.at(x)[0],
            place,
            jac=slopes,
            bounds=(0.0, 1.0),
            method="trf",
            xtol=1e-12,
            ftol=1e-12,
            gtol=1e-12,
            max_nfev=_STEPS,
        )
        end = np.clip(found.x, 0.0, 1.0)
        # The interior method stops short of a bound that it presses against.
        pressed = np.where(end < 1e-3, 0.0, np.where(end > 1 - 1e-3, 1.0, end))
        better = np.any(pressed != end) and objective.cost(pressed) <= objective.cost(end)
        ends.append(pressed if better else end)
    return ends


def _refined(objective: Objective, places: list[HostArray]) -> list[HostArray]:
    """Refine the best starts without derivatives."""
    order = sorted(places, key=objective.cost)
    ends = []
    for place in order[:2]:
        found = minimize(
            objective.cost,
            place,
            method="COBYQA",
            bounds=[(0.0, 1.0)] * len(place),
            options={"maxfev": _EVALUATIONS, "initial_tr_radius": 0.15, "final_tr_radius": 1e-4},
        )
        ends.append(np.clip(found.x, 0.0, 1.0))
    return ends


def distinct(points: list[Point], apart: float = _APART) -> list[Point]:
    """Return points that differ in some parameter by more than a part of its range."""
    kept: list[Point] = []
    for point in points:
        if all(np.max(np.abs(point.place - other.place)) > apart for other in kept):
            kept.append(point)
    return kept


def at_bounds(free: Free, place: HostArray) -> tuple[tuple[str, str], ...]:
    """Return the free parameters that stand at a bound, and at which."""
    return tuple(
        (name, "lower" if x < 0.5 else "upper")
        for name, x in zip(free.names, place.tolist(), strict=True)
        if min(x, 1 - x) < _BOUND
    )
