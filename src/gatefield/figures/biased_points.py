"""Fixed points with biases for Figures 12 and 13: theory's branch, its edge, networks beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from gatefield.cells import GatedRNN
from gatefield.compare import REST, Settling, compare_sizes, settle
from gatefield.figures.base import Report, verdict
from gatefield.theory.rmt import spectral_boundary
from gatefield.theory.static import StaticMeanField, solve_static

CLEAR = 0.08
"""Radii closer to one than this are not judged: edges of some hundred units scatter by as much."""
_ENOUGH = 5  # networks of each size: the scatter of fewer says too little of the error
_FINE = 0.1  # resolution of the spectral curve: the edge itself is exact


class PointsSize(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    points
        Along each line of theory.
    n, networks
        Units of each network, and how many at each point.
    t_max
        Duration before networks are asked whether they are at rest.
    dt
        Step. A fixed point is one for every step, and Runge and Kutta's is stable below 2.7.
    """

    points: int
    n: int
    networks: int
    t_max: float
    dt: float = 0.2


class BiasedPoint(NamedTuple):
    """Theory at one set of parameters, and networks.

    Attributes
    ----------
    where
        The parameters that differ from point to point.
    theory
        The fixed point that continues from small gains; next to an unstable zero one, the nonzero.
    networks, smaller
        What networks did, and such of half their size.
    """

    where: Mapping[str, float]
    theory: StaticMeanField
    networks: Settling
    smaller: Settling

    @property
    def clear(self) -> bool:
        """Whether theory is far enough from the critical line for finite networks to follow it."""
        return abs(float(self.theory.radius) - 1) > CLEAR

    @property
    def long_enough(self) -> bool:
        """Whether what decays as slowly as theory's leading edge is gone by the end."""
        if not self.theory.stable:
            return True
        edge = float(spectral_boundary(self.theory, resolution=_FINE).leading_edge)
        return bool(np.exp(edge * self.networks.t_max) < REST)

    @property
    def judged(self) -> bool:
        """Whether what networks did can speak for or against theory."""
        return self.clear and self.long_enough

    @property
    def agrees(self) -> bool:
        """Whether most networks rest where the fixed point is stable, and move where it is not."""
        return (np.mean(self.networks.resting) > 0.5) == bool(self.theory.stable)

    @property
    def text(self) -> str:
        """Say in words and numbers what theory and networks give."""
        at = _place(self.where)
        radius, found = float(self.theory.radius), self.networks
        resting = int(found.resting.sum())
        judged = self.judged
        if judged:
            said = verdict(self.agrees)
        else:
            said = f"too {'short' if self.clear else 'close to one'} to judge"
        told = f"{at}: rho = {radius:.3f}, {resting} of {found.speed.size} at rest, {said}"
        own = {each.n: each.variance[each.resting] for each in (self.smaller, found)}
        if self.theory.stable and judged and min(each.size for each in own.values()) >= _ENOUGH:
            one = compare_sizes(float(self.theory.variance["h"]), own)
            told += (
                f"; D_h = {float(one.theory):.4g} | {own[found.n].mean():.4g}, N -> inf "
                f"{float(one.measured):.4g} +- {float(one.standard_error):.2g}, "
                f"{verdict(one.agrees)}"
            )
        return told


def _place(where: Mapping[str, float]) -> str:
    """Name a point; variances that are zero go without saying."""
    told = {name: each for name, each in where.items() if each or "variance" not in name}
    return ", ".join(f"{name} = {each:g}" for name, each in told.items())


def first_branch(cell: GatedRNN, **conditions: Any) -> StaticMeanField:
    """Return the fixed point that continues from small gains, or past an unstable zero the next."""
    first, *others = solve_static(cell, **conditions)
    silent = float(first.variance["h"]) == 0
    return others[0] if others and silent and not first.stable else first


def branch_line(name: str, values: Sequence[float], make: Any) -> xr.Dataset:
    """Return variance, radius and leading edge of `first_branch` along a parameter.

    Parameters
    ----------
    name, values
        The parameter.
    make
        Returns the cell at each value.
    """
    columns = np.empty((3, len(values)))
    for place, value in enumerate(values):
        one = first_branch(make(float(value)))
        edge = float(spectral_boundary(one, resolution=_FINE).leading_edge)
        columns[:, place] = float(one.variance["h"]), float(one.radius), edge
    units = {"units": "1 / time constant"}
    return xr.Dataset(
        {
            "variance": (name, columns[0]),
            "radius": (name, columns[1]),
            "edge": (name, columns[2], units),
        },
        {name: np.asarray(values, float)},
    )


def biased_points(
    cells: Sequence[tuple[Mapping[str, float], GatedRNN]],
    size: PointsSize,
    *,
    seed: int,
    report: Report,
    conditions: Sequence[Mapping[str, Any]] | None = None,
) -> list[BiasedPoint]:
    """Simulate networks at several points.

    Parameters
    ----------
    cells
        What tells each point from the others, and its cell.
    size
        Of the networks.
    seed
        Of the first network of the first point.
    report
        Called with what is being computed.
    conditions
        ``input_variance`` and ``bias_variance`` of each point.
    """
    found = []
    for number, (where, cell) in enumerate(cells):
        at = dict(conditions[number]) if conditions else {}
        report(f"networks at {_place(where)}")
        # Networks of their own at each point: the same ones would deviate alike everywhere.
        first = seed + number * size.networks
        options: dict[str, Any] = {"t_max": size.t_max, "dt": size.dt, "seed": first, **at}
        smaller, networks = (
            settle(cell, n=n, networks=size.networks, **options) for n in (size.n // 2, size.n)
        )
        found.append(BiasedPoint(where, first_branch(cell, **at), networks, smaller))
    return found


def points_table(points: Sequence[BiasedPoint]) -> xr.Dataset:
    """Return points as a dataset with dimensions point, network."""
    names = list(points[0].where)
    columns: dict[str, Any] = {
        name: ("point", [float(one.where[name]) for one in points]) for name in names
    }
    columns["theory_variance"] = ("point", [float(one.theory.variance["h"]) for one in points])
    columns["theory_radius"] = ("point", [float(one.theory.radius) for one in points])
    for name, unit in (("variance", "1"), ("speed", "1 / time constant"), ("rate", "")):
        values = np.array([getattr(one.networks, name) for one in points])
        columns[name] = (("point", "network"), values, {"units": unit or "1 / time constant"})
    columns["resting"] = (("point", "network"), np.array([one.networks.resting for one in points]))
    return xr.Dataset(columns, attrs={"n": points[0].networks.n})


def points_line(label: str, points: Sequence[BiasedPoint]) -> str:
    """Say at how many points networks did what theory says, and then what they did at each."""
    judged = [one for one in points if one.judged]
    good = sum(one.agrees for one in judged)
    start = f"{label} networks at rest or moving as theory says at {good} of {len(judged)} points "
    start += f"with |rho - 1| > {CLEAR:g} (N = {points[0].networks.n})"
    if short := sum(one.clear for one in points) - len(judged):
        start += f", and {short} that decay too slowly to be judged"
    return "\n    ".join([start, *(one.text for one in points)])
