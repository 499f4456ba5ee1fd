"""Gradients in the state that networks of one cell reach: a point of a gradient map."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, NamedTuple

import numpy as np

from gatefield.cells import AbstractCell, GatedRNN
from gatefield.core.checks import check_names
from gatefield.core.errors import NumericalFailureError
from gatefield.core.results import Status
from gatefield.theory.adjoint import AdjointMeanField, solve_adjoint
from gatefield.theory.adjoint.paths import moves
from gatefield.theory.dmft import MeanField, solve_dmft
from gatefield.theory.dmft.solve import resolved_method
from gatefield.theory.static import StaticMeanField, solve_static

KINDS = ("unknown", "rest", "moving")
"""What the state at a point does, by number."""

STATUSES = tuple(Status)
"""How a point ended, by number."""


class PointOptions(NamedTuple):
    """How each point is solved; the names are those of `gradient_map`."""

    horizon: float
    terminal: tuple[tuple[str, float], ...]
    start: float
    rest_first: bool
    every_parameter: bool
    samples: int
    batches: int
    dt: float | None
    mean_field: tuple[tuple[str, Any], ...]
    seed: int


class GradientPoint(NamedTuple):
    """What one point gives; NaN where it failed.

    Attributes
    ----------
    growth_rate, growth_error
        Of the mean squared adjoint, back in time.
    norm, norm_error
        Mean squared adjoint at the horizon, over that at the end of the run.
    gradients, errors
        Mean squared gradients by name, and their errors.
    kind, status
        Numbers of `KINDS` and `STATUSES`.
    """

    growth_rate: float
    growth_error: float
    norm: float
    norm_error: float
    gradients: dict[str, float]
    errors: dict[str, float]
    kind: int
    status: int


def with_parameters(cell: AbstractCell, values: dict[str, float]) -> AbstractCell:
    """Return a cell with other values of some of its numbers.

    Raises
    ------
    InvalidInputError
        If the cell has no such number, or refuses a value.
    """
    kind: Any = type(cell)
    taken = inspect.signature(kind).parameters
    known = {
        field.name: getattr(cell, field.name)
        for field in dataclasses.fields(cell)
        if field.name in taken
    }
    numbers = [name for name, given in known.items() if not isinstance(given, str)]
    check_names(f"parameters of {kind.__name__}", values, numbers)
    return kind(**{**known, **values})


def reached_mean_field(cell: AbstractCell, options: PointOptions) -> MeanField | StaticMeanField:
    """Return the state that large networks of a cell reach; its status says whether it is known.

    Parameters
    ----------
    cell
        The cell.
    options
        ``rest_first`` says that a stable fixed point of the gated RNN is taken without looking for
        a moving state beside it, where that would have to be sampled.
    """
    sampled = resolved_method(cell, "auto") == "sampled"
    if sampled and options.rest_first and isinstance(cell, GatedRNN):
        stable = [
            each
            for each in solve_static(cell, throw=False)
            if each.status is Status.OK and bool(each.stable)
        ]
        if stable:
            return min(stable, key=lambda each: abs(float(each.variance["h"]) - options.start))
    given: dict[str, Any] = dict(options.mean_field)
    if sampled:
        own = {"samples": options.samples, "batches": options.batches, "seed": options.seed}
        given = {**own, **given, "progress": False}
    return solve_dmft(cell, start=options.start, throw=False, **given)


def gradient_point(cell: AbstractCell, options: PointOptions) -> GradientPoint:
    """Solve state and adjoint of one cell; failure of either is the point's status."""
    try:
        state = reached_mean_field(cell, options)
        if state.status is not Status.OK:
            return _failed(state.status)
        moving = isinstance(state, MeanField) and moves(state)
        closed = isinstance(state, MeanField) and state.method == "lag equations" and moving
        found = solve_adjoint(
            state,
            options.horizon,
            terminal=dict(options.terminal),
            method="lag equations" if closed and not options.every_parameter else "auto",
            samples=options.samples,
            batches=options.batches,
            dt=options.dt if moving else None,
            seed=options.seed,
            progress=False,
            throw=False,
        )
    except NumericalFailureError:
        return _failed(Status.NOT_CONVERGED)
    if found.status is not Status.OK:
        return _failed(found.status)
    return _measured(found, moving)


def _failed(status: Status) -> GradientPoint:
    nan = float("nan")
    return GradientPoint(nan, nan, nan, nan, {}, {}, 0, STATUSES.index(status))


def _measured(found: AdjointMeanField, moving: bool) -> GradientPoint:
    total = found.total_variance
    errors = [each[-1] for each in found.adjoint_standard_error.values()]
    return GradientPoint(
        growth_rate=found.growth_rate,
        growth_error=found.growth_standard_error,
        norm=float(total[-1] / total[0]),
        # Components of one unit grow together: their errors add.
        norm_error=float(np.sum(errors) / total[0]),
        gradients={name: float(value) for name, value in found.gradient_variance.items()},
        errors={name: float(value) for name, value in found.gradient_standard_error.items()},
        kind=KINDS.index("moving" if moving else "rest"),
        status=STATUSES.index(Status.OK),
    )
