"""One solution of a design: its cell, theory's values there, and what networks of it show."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gatefield.initialise.quantities import deviation
from gatefield.initialise.request import Request
from gatefield.initialise.result import DesignSolution
from gatefield.initialise.search import Objective, Point, at_bounds
from gatefield.initialise.verdicts import extrapolated, verdict
from gatefield.initialise.verify import Branch, Measured, meant_branch, measured_in_networks

_HALVED = 20  # units from which on networks are halved, to see what their number does
_AWAY = 10_007  # of the halved networks' seeds from those of the others


def error_of(point: Point, targets: Mapping[str, float]) -> float:
    """Return the largest deviation of theory from a target at the end of a search."""
    values = point.prediction.values
    return max(deviation(name, values[name], target) for name, target in targets.items())


def solution_at(
    objective: Objective,
    asked: Request,
    point: Point,
    verify: bool,
    report: Callable[[], object],
) -> DesignSolution:
    """Return the cell at the end of a search, measured on networks.

    Parameters
    ----------
    objective
        What was searched.
    asked
        Targets and options.
    point
        The end.
    verify
        Whether networks are simulated.
    report
        Called after each network.

    Returns
    -------
    DesignSolution
    """
    predictor, free, wanted = objective.predictor, objective.free, asked.wanted
    values = free.values(point.place)
    cell, spread = predictor.cell_at(values)
    moving = asked.state == "moving"
    meant: Branch | None = None
    if verify and not moving and point.prediction.branches > 1:
        meant = meant_branch(*predictor.static_branches(values))

    def in_networks(n: int, names: tuple[str, ...], seed: int) -> Measured:
        return measured_in_networks(
            cell,
            spread,
            asked.sources,
            names,
            n=n,
            networks=asked.networks,
            seed=seed,
            moving=moving,
            horizon=asked.options.horizon,
            quantile=asked.options.quantile,
            meant=meant,
            report=report,
        )

    measured, limits = Measured({}, {}, {}), {}
    if verify:
        measured = in_networks(asked.n, tuple(wanted), asked.seed + 1)
        off = tuple(
            name
            for name, target in wanted.items()
            if name not in measured.unmeasured
            and verdict(
                name, measured.mean[name], target, measured.standard_error[name], asked.networks
            )
            is False
        )
        if off and asked.n >= _HALVED:
            half = in_networks(asked.n // 2, off, asked.seed + 1 + _AWAY)
            limits = {
                name: extrapolated(
                    measured.mean[name],
                    half.mean[name],
                    measured.standard_error[name],
                    half.standard_error[name],
                )
                for name in off
                if name not in half.unmeasured
            }
    error = error_of(point, wanted)
    return DesignSolution(
        cell=cell,
        spread=spread,
        parameters=dict(zip(free.names, values.tolist(), strict=True)),
        target=wanted,
        predicted={name: float(point.prediction.values[name]) for name in wanted},
        prediction_error=predictor.errors(values),
        error=error,
        measured=measured.mean,
        standard_error=measured.standard_error,
        extrapolated={name: value for name, (value, _) in limits.items()},
        extrapolated_error={name: error for name, (_, error) in limits.items()},
        unmeasured=measured.unmeasured,
        networks=asked.networks if verify else 0,
        met=error <= asked.tolerance,
        at_bound=at_bounds(free, point.place),
        state=asked.state,
    )
