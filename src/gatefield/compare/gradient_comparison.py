"""Mean squared gradients of theory beside those of single networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from gatefield.compare.harness import FEWEST, Comparison, compare, compare_sizes
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Bool, Float, HostArray, Int
from gatefield.numerics.growth import growth_rate
from gatefield.theory.adjoint import AdjointMeanField

_DIMS = ("size", "network")


class _Row(NamedTuple):
    """One predicted number, its error, and what networks gave, (size, network)."""

    theory: float
    error: float
    values: Float[HostArray, "size network"]


class GradientComparison(AbstractResult):
    r"""Mean squared gradients of theory beside those of single networks.

    Attributes
    ----------
    times
        Time before the end, ascending from 0: that of theory's curves.
    adjoint
        What each network gave for :math:`N^{-1} \sum_i a_{c,i}^2`, by component, at those times.
    gradients
        The same of each coupling matrix and parameter, by name.
    before, after, moved
        Mean square of the state's first component at both ends of the horizon, and of the
        difference between them.
    belongs
        Which networks were in theory's state throughout; the others are not compared.
    sizes
        Numbers of units.
    at
        Times before the end at which adjoints are compared.
    limit, limit_error
        What theory's growth rate tends to for long horizons: twice the largest Lyapunov exponent,
        or twice the leading edge of a fixed point (for maps its logarithm). NaN if not known.
    rests
        Whether theory's state is a fixed point, where the prefactor :math:`t^{-1/2}` keeps the
        rate below its limit.
    theory
        The prediction.
    settings
        What made it: networks, burn-in, step, readouts, precision, seed.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    adjoint: dict[str, Float[HostArray, "size network time"]] = eqx.field(
        metadata=quantity(*_DIMS, "time")
    )
    gradients: dict[str, Float[HostArray, "size network"]] = eqx.field(metadata=quantity(*_DIMS))
    before: Float[HostArray, "size network"] = eqx.field(metadata=quantity(*_DIMS))
    after: Float[HostArray, "size network"] = eqx.field(metadata=quantity(*_DIMS))
    moved: Float[HostArray, "size network"] = eqx.field(metadata=quantity(*_DIMS))
    belongs: Bool[HostArray, "size network"] = eqx.field(metadata=quantity(*_DIMS))
    sizes: Int[HostArray, " size"] = eqx.field(metadata=quantity("size"))
    at: Float[HostArray, " point"] = eqx.field(metadata=quantity("point", unit="time constant"))
    limit: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    limit_error: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    rests: bool = eqx.field(static=True)
    theory: AdjointMeanField
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)

    @property
    def is_map(self) -> bool:
        """Whether times count steps."""
        return self.theory.is_map

    @property
    def growth(self) -> Float[HostArray, "size network"]:
        r"""Growth rates of :math:`|a|^2`, whose mean is that of the networks' mean square.

        Jackknife pseudo-values: the rate of all networks together, K times, less (K - 1) times that
        of all but one. NaN for networks that do not belong.
        """
        total = np.sum(list(self.adjoint.values()), axis=0)
        found = np.full(self.belongs.shape, np.nan)
        for row, mask in enumerate(self.belongs):
            if mask.sum() >= FEWEST:
                found[row, mask] = _pseudo(
                    total[row, mask], lambda mean: growth_rate(self.times, mean)
                )
        return found

    def comparisons(self, *, threshold: float = 4.0) -> dict[str, Comparison]:
        """Compare everything in standard errors, extrapolated in 1/N where there are sizes.

        Parameters
        ----------
        threshold
            How many standard errors still agree.

        Returns
        -------
        dict of Comparison
            By name: "a_h(10)" and so on, "J_" and the field, parameters, "growth_rate". What
            theory has as exactly zero is left out: networks' values are then what is left of their
            burn-in. Empty if fewer than three networks belong.
        """
        rows = self._squares()
        rows["growth_rate"] = _Row(
            self.theory.growth_rate, self.theory.growth_standard_error, self.growth
        )
        each = {name: self._compared(name, row, threshold) for name, row in rows.items()}
        return {name: one for name, one in each.items() if one is not None}

    def against_limit(self, *, threshold: float = 4.0) -> Comparison | None:
        """Compare the networks' growth rate with its limit for long horizons.

        At fixed points the prefactor of the limit's own asymptotics is counted in: over the second
        half of the horizon it lowers the rate by about 2/3 of 1/T.

        Parameters
        ----------
        threshold
            How many standard errors still agree.

        Returns
        -------
        Comparison or None
            None where there is nothing to compare. A horizon too short for the limit disagrees.
        """
        error = float(np.nan_to_num(self.limit_error))
        row = _Row(self.expected_growth, error, self.growth)
        return self._compared("growth_rate, limit", row, threshold)

    @property
    def expected_growth(self) -> float:
        """Growth rate by the limit alone, over the second half of this horizon."""
        later = self.times[1:]
        prefactor = growth_rate(later, later**-0.5) if self.rests else 0.0
        return float(self.limit) + prefactor

    def overall(self, *, threshold: float = 4.0) -> Comparison | None:
        """Compare the mean logarithm of networks over theory, over all mean squares, with zero.

        Mean squares of one run rise and fall together; this is one number for all of them. The
        logarithm is taken of the mean over networks, by jackknife, never of single networks.

        Parameters
        ----------
        threshold
            How many standard errors still agree.

        Returns
        -------
        Comparison or None
            Theory's own errors count as fully correlated.
        """
        rows = [row for row in self._squares().values() if np.all(row.values[self.belongs] > 0)]
        if not rows:
            return None
        expected = np.log([row.theory for row in rows])
        error = float(np.mean([row.error / row.theory for row in rows]))
        values = np.stack([row.values for row in rows], axis=-1)
        found = np.full(self.belongs.shape, np.nan)
        for size, mask in enumerate(self.belongs):
            if mask.sum() >= FEWEST:
                found[size, mask] = _pseudo(
                    values[size, mask], lambda mean: float(np.mean(np.log(mean) - expected))
                )
        row = _Row(0.0, error, found)
        return self._compared("mean ln(networks / theory)", row, threshold)

    def _squares(self) -> dict[str, _Row]:
        """Return theory and networks by name, but for what theory has as exactly zero."""
        theory, rows = self.theory, {}
        for name, values in self.adjoint.items():
            own = theory.adjoint_variance[name], theory.adjoint_standard_error[name]
            for time in self.at:
                place = int(np.argmin(np.abs(self.times - time)))
                at = f"a_{name}({self.times[place]:g})"
                rows[at] = _Row(float(own[0][place]), float(own[1][place]), values[..., place])
        for name, values in self.gradients.items():
            own = theory.gradient_variance[name], theory.gradient_standard_error[name]
            rows[name] = _Row(float(own[0]), float(own[1]), values)
        return {name: row for name, row in rows.items() if row.theory > 0}

    def _compared(self, name: str, row: _Row, threshold: float) -> Comparison | None:
        """Compare the networks that belong; None if they are too few, or a number is not finite."""
        by_size = zip(self.sizes.tolist(), row.values, self.belongs, strict=True)
        kept = {n: values[mask] for n, values, mask in by_size if mask.sum() >= FEWEST}
        numbers = [row.theory, row.error, *(x for each in kept.values() for x in each)]
        if not kept or not np.all(np.isfinite(numbers)):
            return None
        options: dict[str, Any] = {
            "theory_error": row.error,
            "threshold": threshold,
            "name": name,
        }
        if len(kept) > 1:
            return compare_sizes(row.theory, kept, **options)
        return compare(row.theory, next(iter(kept.values())), **options)


def _pseudo(
    values: Float[HostArray, "network ..."], function: Callable[[Any], float]
) -> Float[HostArray, " network"]:
    """Return jackknife pseudo-values of a function of the mean over networks."""
    count = len(values)
    without = (values.sum(axis=0) - values) / (count - 1)
    whole = function(values.mean(axis=0))
    return np.array([count * whole - (count - 1) * function(each) for each in without])
