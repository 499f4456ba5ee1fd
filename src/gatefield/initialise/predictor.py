"""Theory's values of quantities for the cells of a design: one function of the free parameters."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gatefield.cells import AbstractCell, AbstractMap, GatedRNN, VanillaRNN
from gatefield.core.errors import NumericalFailureError, OutsideDomainWarning, refuse
from gatefield.core.types import Float, HostArray
from gatefield.initialise import static_gaussian, static_sampled
from gatefield.initialise.free import Family, Free, changed_cell, spreads_of
from gatefield.initialise.moving import Moving, predict_moving
from gatefield.initialise.prediction import STATIC, Prediction, chosen_branch
from gatefield.initialise.sampled_family import SampledFamily
from gatefield.initialise.sources import Source
from gatefield.initialise.static_gaussian import GaussianFamily
from gatefield.theory.adjoint import solve_adjoint
from gatefield.theory.dmft.solve import resolved_method
from gatefield.theory.static import StaticMeanField, solve_static

_DIFFERENCE = 1e-4  # in the unit cube, for what has no implicit gradient
_MORE, _MORE_MOVING = 3, 2  # further sets of samples, whose scatter is the error


class Options(NamedTuple):
    """How quantities are predicted; see `design`."""

    branch: str
    state: str
    horizon: float
    quantile: float
    samples: int
    seed: int
    moving: Moving


class Predictor:
    """Predicts targets at values of the free parameters, the same samples at all of them."""

    def __init__(
        self,
        cell: AbstractCell,
        free: Free,
        sources: Sequence[Source],
        names: Sequence[str],
        options: Options,
        from_networks: frozenset[str] = frozenset(),
    ):
        self.cell, self.free, self.sources = cell, free, list(sources)
        self.names, self.options = tuple(names), options
        self.from_networks = from_networks
        self.closed = options.state == "fixed point" and self._is_closed()
        spread = [name for name in free.names if name.startswith("spread_")]
        if spread and not self.closed and not self.is_map:
            remedy = "Gate the input (input_gating='update'), or give it to a gate's drive."
            refuse("free", spread, "no random biases of a flow beside this input", remedy)
        self._static = None if options.state == "moving" else self._family(options.seed)

    @property
    def is_map(self) -> bool:
        """Whether the cell is a map."""
        return isinstance(self.cell, AbstractMap)

    @property
    def implicit(self) -> bool:
        """Whether every quantity comes with its gradient."""
        return self.options.state == "fixed point"

    def cell_at(self, values: Any) -> tuple[AbstractCell, dict[str, float]]:
        """Return the cell at values of the free parameters, and its random biases."""
        values = np.asarray(values, float)
        named = dict(zip(self.free.names, values.tolist(), strict=True))
        spread = {
            name: float(value)
            for name, value in spreads_of(self.free.names, values).items()
            if value > 0
        }
        return changed_cell(self.cell, named), spread

    def at(self, values: Float[HostArray, " parameter"], slopes: bool = True) -> Prediction | None:
        """Return theory's values (NaN for those that it does not have), None where it has none.

        Without ``slopes`` derivatives that cost more than the values are left at zero.
        """
        values = np.asarray(values, float)
        if self.options.state == "moving":
            return self._moving(values, self.options.moving)
        return self._at_fixed_points(values, self._static, slopes)

    def relying_on_networks(self, names: Sequence[str]) -> Predictor:
        """Return a predictor that measures some quantities in networks, where theory fails."""
        cell, free, sources = self.cell, self.free, self.sources
        return Predictor(cell, free, sources, self.names, self.options, frozenset(names))

    def errors(self, values: Float[HostArray, " parameter"]) -> dict[str, float]:
        """Return the sampling errors of theory's values that are known; zero in closed form.

        They are standard deviations over further sets of samples.
        """
        if self.closed:
            return dict.fromkeys(self.names, 0.0)
        values = np.asarray(values, float)
        moving = self.options.state == "moving"
        if moving and resolved_method(self.cell, "auto") != "sampled":
            return {}
        found = []
        for more in range(1, 1 + (_MORE_MOVING if moving else _MORE)):
            seed = self.options.seed + 1000 * more
            if moving:
                one = self._moving(values, self.options.moving._replace(seed=seed))
            else:
                one = self._at_fixed_points(values, self._family(seed), slopes=False)
            if one is not None:
                found.append(one.values)
        each = {name: np.array([one[name] for one in found]) for name in self.names}
        return {
            name: float(scatter.std(ddof=1))
            for name, scatter in each.items()
            if scatter.size > 1 and np.all(np.isfinite(scatter))
        }

    def _moving(self, values, options: Moving) -> Prediction | None:
        cell, spread = self.cell_at(values)
        found = predict_moving(
            cell,
            spread,
            self.sources,
            self.names,
            horizon=self.options.horizon,
            quantile=self.options.quantile,
            options=options,
            from_networks=self.from_networks,
        )
        return None if found is None else Prediction(found, {}, True, 1)

    def _at_fixed_points(self, values, family, slopes: bool) -> Prediction | None:
        options = self.options
        wanted = {name for name in self.names if name in STATIC}
        if "lyapunov" in self.names:
            wanted.add("leading_edge")
        module: Any = static_gaussian if self.closed else static_sampled
        found = module.predict(
            family,
            values,
            tuple(sorted(wanted)),
            branch=options.branch,
            quantile=options.quantile,
        )
        if found is None:
            return None
        numbers, by = dict(found.values), dict(found.slopes)
        if "lyapunov" in self.names:
            edge, slope = numbers["leading_edge"], by["leading_edge"]
            if self.is_map:
                slope = slope / edge if edge > 0 else slope
                edge = math.log(edge) if edge > 0 else -math.inf
            numbers["lyapunov"], by["lyapunov"] = edge, slope
        if "gradient_growth" in self.names:
            growth = self._growth(values)
            if growth is None:
                return None
            numbers["gradient_growth"] = growth
            by["gradient_growth"] = (
                self._growth_slope(values, growth) if slopes else np.zeros(len(values))
            )
        kept = {name: numbers[name] for name in self.names}
        return Prediction(kept, {name: by[name] for name in kept}, found.stable, found.branches)

    def _growth_slope(self, values, growth: float):
        """Return differences, since the contour integral has no implicit gradient."""
        place = self.free.place(values)
        scale = self.free.slopes(values)
        slope = np.zeros(len(values))
        for k in range(len(values)):
            step = -_DIFFERENCE if place[k] > 0.5 else _DIFFERENCE
            moved = place.copy()
            moved[k] += step
            other = self._growth(self.free.values(moved))
            slope[k] = 0.0 if other is None else (other - growth) / step / scale[k]
        return slope

    def _growth(self, values) -> float | None:
        state = self.static_state(values)
        if state is None:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OutsideDomainWarning)
            with np.errstate(divide="ignore", invalid="ignore"):
                found = solve_adjoint(state, self.options.horizon, throw=False, progress=False)
        total = found.total_variance
        if not total[-1] > 0 or not np.isfinite(total[-1]):
            return None
        return 0.5 * float(np.log(total[-1] / total[0]))

    def static_state(self, values) -> StaticMeanField | None:
        """Return the fixed points that are meant, as `solve_static` has them."""
        branches, place = self.static_branches(values)
        return None if place is None else branches[place]

    def static_branches(self, values) -> tuple[Sequence[StaticMeanField], int | None]:
        """Return all fixed points of `solve_static`, and which of them are meant."""
        cell, spread = self.cell_at(values)
        mean, variance = static_moments(cell, self.sources)
        own: dict[str, Any] = {}
        if self.closed:
            own["bias_variance"] = {name: value**2 for name, value in spread.items()}
        else:
            for name, value in spread.items():
                variance[name] += value**2
            own = {"samples": self.options.samples, "replicates": 2, "seed": self.options.seed}
        try:
            branches = solve_static(cell, input_mean=mean, input_variance=variance, **own)
        except NumericalFailureError:
            return (), None
        radii = [float(each.radius) for each in branches]
        return branches, chosen_branch(radii, self.options.branch)

    def _is_closed(self) -> bool:
        if not isinstance(self.cell, (GatedRNN, VanillaRNN)):
            return False
        outside = isinstance(self.cell, GatedRNN) and self.cell.input_gating == "none"
        # Input outside an update gate that varies makes h no Gaussian.
        driven = any(drive == "h" for each in self.sources for drive, _ in each.targets)
        return not (outside and driven)

    def _family(self, seed: int) -> Any:
        family = Family.of(self.cell, self.free.names)
        mean, variance = static_moments(self.cell, self.sources)
        if self.closed:
            return GaussianFamily(family, _held(mean), _held(variance))
        names = self.cell.drive_names
        return SampledFamily.of(
            family,
            np.array([mean[name] for name in names]),
            np.array([variance[name] for name in names]),
            samples=self.options.samples,
            seed=seed,
        )


def _held(values: dict[str, float]) -> dict[str, Any]:
    """Return numbers as arrays, of which compiled code is not made anew, but for zeros."""
    return {name: np.asarray(value) if value else 0.0 for name, value in values.items()}


def static_moments(
    cell: AbstractCell, sources: Sequence[Source]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return mean and variance of what static sources bring to each drive."""
    mean = dict.fromkeys(cell.drive_names, 0.0)
    variance = dict.fromkeys(cell.drive_names, 0.0)
    for source in sources:
        for drive, sign in source.targets:
            mean[drive] += sign * source.input.mean
            variance[drive] += source.input.variance
    return mean, variance
