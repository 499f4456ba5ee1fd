"""`design`: cells whose networks have wanted properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractCell
from gatefield.cells.parameters import check_shared
from gatefield.core.errors import NumericalFailureError
from gatefield.core.results import Status
from gatefield.initialise.free import Free, free_parameters
from gatefield.initialise.prediction import BRANCHES
from gatefield.initialise.predictor import Predictor
from gatefield.initialise.request import STATES, Request, checked_request
from gatefield.initialise.result import Design
from gatefield.initialise.search import Objective, Point, distinct, failing, search
from gatefield.initialise.solution import error_of, solution_at
from gatefield.initialise.sources import Source
from gatefield.initialise.verify import check_paths
from gatefield.theory.dmft.solve import resolved_method

_MOST = 6  # solutions that are reported


def design(
    cell: AbstractCell,
    targets: Mapping[str, float],
    free: Mapping[str, Sequence[float]],
    *,
    inputs: Any = None,
    weight_variance: float | None = None,
    dt: float | None = None,
    branch: str = "auto",
    state: str = "auto",
    horizon: float | None = None,
    quantile: float | None = None,
    tolerance: float | None = None,
    starts: int | None = None,
    samples: int | None = None,
    batches: int | None = None,
    start: float | None = None,
    verify: bool = True,
    n: int | None = None,
    networks: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> Design:
    r"""Find parameters of a cell at which its networks have wanted properties.

    The residuals r of the targets are brought to zero within the bounds. At fixed points they are
    functions of the parameters :math:`\theta` and of the mean field's unknowns w, whose equations
    F hold, so that

    .. math:: \frac{dr}{d\theta} = \frac{\partial r}{\partial\theta}
        - \frac{\partial r}{\partial w}
        \Big(\frac{\partial F}{\partial w}\Big)^{-1}\frac{\partial F}{\partial\theta} ;

    bounded least squares with this Jacobian start from many places. In states that move theory is
    sampled, with the same noise at all parameters, and the search has no derivatives.

    Parameters
    ----------
    cell
        Any cell with shared (scalar) parameters: gives the kind and whatever is not free.
    targets
        Values by quantity, see Notes.
    free
        Bounds (low, high) by parameter; ``spread_<bias>`` is the standard deviation over units of a
        Gaussian random bias (r, z, n of the GRU; i, f, g, o of the LSTM; h of Elman's and the
        vanilla network; h, z, r of the gated RNN).
    inputs
        What drives the network: by drive a `GaussianInput`, a constant, or a tuple of both; or
        `InputStatistics` of data.
    weight_variance
        With `InputStatistics`: variance of an input weight, by default 1 / features.
    dt
        With `InputStatistics` and a flow, which must know it: the time for which the network holds
        each step of its data, a module's dt. Their correlation is taken by `InputStatistics.held`.
    branch
        Which fixed points are meant where static theory has several: "auto", the least active
        stable ones, or where none is stable the least active of all (the zero state of a network
        without biases, say); "stable" only the former; "lowest", "highest" by activity alone.
        States that move have none.
    state
        "fixed point"; "moving", the stationary state that runs lead to (which may be a fixed
        point); "auto" takes "moving" if an input varies in time, or if lambda_max is to be positive
        or the dimension is a target.
    horizon
        Of "gradient_growth": how far back gradients are followed (steps for maps).
    quantile
        Of "gate_time": the part of the units that forget faster, by default one half.
    tolerance
        Largest deviation of a predicted value from its target, relative to it, but at least to 0.05
        of edges and exponents, 0.5 of the growth of gradients (`QUANTITIES`); by default 1e-3 at
        fixed points, 0.02 in moving states, whose sampling errors are of that size.
    starts
        Places from which the search starts: the given cell's, the centre, and quasi-random ones,
        by default 8. With one target and one parameter the range is scanned instead.
    samples, batches
        Units of theory: at fixed points 2048 without batches; in moving states 400 of each of 4
        batches. Closed forms have none.
    start
        In moving states: variance of the states from which networks start, by default 1.
    verify
        Whether the targets are measured on simulated networks of every solution.
    n, networks
        Units of each network, and how many: by default 300, and 4. Fewer than 4 give no verdict.
    seed
        Draws samples, starts and networks.
    progress
        True shows a bar of theory's evaluations, None on a terminal after some seconds.
    throw
        Raise if the targets cannot be met; otherwise the nearest miss is returned, and the status
        says so.

    Returns
    -------
    Design
        All distinct solutions (six at most), the closest to the given cell first; `explain` says
        what was found. With fewer targets than parameters they are examples from a continuum.

    Raises
    ------
    InvalidInputError
        For names, bounds, targets or options that do not fit.
    NumericalFailureError
        If ``throw`` and no parameters within the bounds meet the targets; the message says which
        target misses by how much, which bound is active, and what is nearest.

    Notes
    -----
    Quantities: "leading_edge", the rightmost real part of the Jacobian's spectrum (maps: largest
    modulus); "radius", below one where fixed points are stable; "gate_time", in which the median
    unit alone forgets, 1/sigma_z of the gated RNN, -1/ln z of the GRU, -1/ln f of the LSTM;
    "memory_time", -1/leading edge (maps: -1/ln); "lyapunov", the largest exponent, at stable fixed
    points the leading edge (maps: its logarithm), and at unstable ones none; "dimension",
    Kaplan-Yorke over N, which is measured in networks, since theory has none; "gradient_growth",
    half the logarithm of E a^2 at the horizon over that at the end; "variance" of the state's first
    component over units. In moving states leading edge, radius and times are those of the
    instantaneous Jacobian.

    Assumptions
    -----------
    N to infinity, independent Gaussian couplings. Networks of N units scatter: their outermost
    eigenvalue by about :math:`N^{-1/2}` of the spectrum's radius, exponents lie below theory by
    terms of order 1/N. `DesignSolution.agrees` says what it takes for agreement.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 5, 6, 10, 11.
    """
    check_shared(cell)
    asked = checked_request(
        cell,
        targets,
        inputs=inputs,
        weight_variance=weight_variance,
        dt=dt,
        branch=branch,
        state=state,
        horizon=horizon,
        quantile=quantile,
        tolerance=tolerance,
        starts=starts,
        samples=samples,
        batches=batches,
        start=start,
        verify=verify,
        n=n,
        networks=networks,
        seed=seed,
    )
    bounds = free_parameters(cell, free)
    if verify:
        check_paths(cell, asked.sources, tuple(asked.wanted), asked.n, asked.options.horizon)
    bar = tqdm(
        disable=None if progress is None else not progress,
        delay=3.0 if progress is None else 0.0,
        desc="design",
        unit="evaluation",
    )
    with bar:
        own = _own_place(cell, bounds)
        objective, points = _searched(cell, bounds, asked, own, bar.update, starts=asked.starts)
        good = [point for point in points if error_of(point, asked.wanted) <= asked.tolerance]
        found = sorted(distinct(good), key=lambda point: float(np.sum((point.place - own) ** 2)))
        kept = found[:_MOST] or points[:1]
        bar.set_description("networks")
        solutions = tuple(solution_at(objective, asked, each, verify, bar.update) for each in kept)
    met = bool(found)
    result = Design(
        solutions=solutions,
        status=Status.OK if met else Status.NOT_CONVERGED,
        free=bounds.bounds(),
        inputs=_by_drive(asked.sources),
        dt=asked.dt,
        note=_note(len(found), objective, asked, verify, starts, samples),
        settings=(
            ("starts", asked.starts),
            ("branch", branch),
            ("state", asked.state),
            ("horizon", asked.options.horizon),
            ("quantile", asked.options.quantile),
            ("tolerance", asked.tolerance),
            ("samples", asked.options.samples),
            ("seed", asked.seed),
            ("n", asked.n if verify else 0),
            ("networks", asked.networks if verify else 0),
            ("evaluations", objective.evaluations),
        ),
    )
    if throw and not met:
        raise NumericalFailureError(f"design: {result.explain()}\nthrow=False returns the nearest.")
    return result


def _searched(
    cell: AbstractCell,
    free: Free,
    asked: Request,
    own: Any,
    report: Callable[[], object],
    *,
    starts: int,
) -> tuple[Objective, list[Point]]:
    """Return what was searched, and all ends, the cheapest first."""
    predictor = Predictor(cell, free, asked.sources, tuple(asked.wanted), asked.options)
    objective = Objective(predictor, free, asked.wanted, report)
    moving = asked.state == "moving"
    if moving and "lyapunov" in asked.wanted and failing(objective, "lyapunov"):
        # Seen in driven states of units with gates that forget more slowly than what they hear
        # from each other.
        predictor = predictor.relying_on_networks(("lyapunov",))
        objective = Objective(predictor, free, asked.wanted, report)
    points = search(
        objective, free, own, starts=starts, seed=asked.seed, implicit=predictor.implicit
    )
    if not moving and "lyapunov" in asked.wanted:
        # An unstable fixed point has an edge, but it is nobody's exponent.
        points = [
            point
            for point in points
            if point.prediction.stable or error_of(point, asked.wanted) <= asked.tolerance
        ]
    if not points:
        which = "stable" if "lyapunov" in asked.wanted and not moving else asked.options.branch
        raise NumericalFailureError(
            f"design: theory has no {which} solution at any of {objective.evaluations} places "
            "within the bounds. Change the bounds, the branch or the state."
        )
    return objective, points


def _own_place(cell: AbstractCell, free: Free) -> Any:
    """Return the place of the given cell, within the bounds."""
    values = [float(getattr(cell, name, 0.0)) for name in free.names]
    return free.place(np.array(values))


def _by_drive(sources: list[Source]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for source in sources:
        drive = source.targets[0][0]
        before = found.get(drive)
        if before is None:
            found[drive] = source.input
        else:
            parts = before if isinstance(before, tuple) else (before,)
            found[drive] = (*parts, source.input)
    return found


def _note(
    found: int,
    objective: Objective,
    asked: Request,
    verify: bool,
    starts: int | None,
    samples: int | None,
) -> str:
    predictor, targets, names = objective.predictor, asked.wanted, objective.free.names
    lines = []
    if found and len(names) > len(targets):
        lines.append(
            f"{len(names)} free parameters for {len(targets)} targets: these are examples "
            "from a continuum of solutions."
        )
    if found > _MOST:
        lines.append(f"{found} distinct ones were found; the {_MOST} nearest are given.")
    if asked.state == "moving":
        measured = sorted({"dimension"} & set(targets) | predictor.from_networks)
        if measured:
            moving = asked.options.moving
            lines.append(
                f"Predicted by {moving.networks} networks of {moving.n} units, not by theory: "
                f"{', '.join(measured)}."
            )
        if set(targets) - set(measured) and resolved_method(predictor.cell, "auto") == "sampled":
            lines.append("Sampled theory: its values have errors of about a per cent.")
    if verify and any(name in targets for name in ("leading_edge", "memory_time", "radius")):
        lines.append(
            "Networks: the outermost of finitely many eigenvalues scatters about the edge of "
            "infinitely many, and so do times beside it."
        )
    idle = list(asked.idle)
    idle += ["starts"] if starts is not None and objective.scanned else []
    idle += ["samples"] if samples is not None and predictor.closed else []
    if idle:
        lines.append(f"Without effect here: {', '.join(idle)}.")
    return "\n".join(lines)


__all__ = ["BRANCHES", "STATES", "design"]
