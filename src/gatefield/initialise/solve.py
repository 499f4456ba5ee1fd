"""`design`: cells whose networks have wanted properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cells.parameters import check_shared
from gatefield.core.checks import as_number, check_choice, check_count, check_names, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.initialise.free import Free, free_parameters
from gatefield.initialise.moving import Moving
from gatefield.initialise.prediction import BRANCHES
from gatefield.initialise.predictor import Options, Predictor
from gatefield.initialise.quantities import QUANTITIES, deviation, is_positive
from gatefield.initialise.result import Design, DesignSolution, agree
from gatefield.initialise.search import Objective, Point, at_bounds, distinct, search
from gatefield.initialise.sources import Source, sources_of
from gatefield.initialise.statistics import InputStatistics
from gatefield.initialise.verify import Measured, measured_in_networks
from gatefield.theory.dmft.solve import resolved_method

STATES = ("auto", "fixed point", "moving")
_MOST = 6  # solutions that are reported
_TOLERANCE = {"fixed point": 1e-3, "moving": 2e-2}
_SAMPLES = {"fixed point": 2048, "moving": 400}
_HALVED = 20  # units from which on networks are halved, to see what their number does
_MEASURED_ONLY = 150  # units of the networks that predict a dimension


def design(
    cell: AbstractCell,
    targets: Mapping[str, float],
    free: Mapping[str, Sequence[float]],
    *,
    inputs: Any = None,
    weight_variance: float | None = None,
    branch: str = "auto",
    state: str = "auto",
    horizon: float | None = None,
    quantile: float = 0.5,
    tolerance: float | None = None,
    starts: int = 8,
    samples: int | None = None,
    batches: int = 4,
    start: float = 1.0,
    verify: bool = True,
    n: int = 300,
    networks: int = 4,
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
    branch
        Which fixed points are meant where static theory has several: "auto", the least active
        stable ones, or where none is stable the least active of all (the zero state of a network
        without biases, say); "stable" only the former; "lowest", "highest" by activity alone.
    state
        "fixed point"; "moving", the stationary state that runs lead to (which may be a fixed
        point); "auto" takes "moving" if an input varies in time, or if lambda_max is to be positive
        or the dimension is a target.
    horizon
        Of "gradient_growth": how far back gradients are followed (steps for maps).
    quantile
        Of "gate_time": the part of the units that forget faster.
    tolerance
        Largest deviation of a predicted value from its target, relative to it; by default 1e-3 at
        fixed points, 0.02 in moving states, whose sampling errors are of that size.
    starts
        Places from which the search starts: the given cell's, the centre, and quasi-random ones.
        With one target and one parameter the range is scanned instead.
    samples, batches
        Units of theory: at fixed points 2048 without batches; in moving states 400 of each batch.
    start
        In moving states: variance of the states from which networks start.
    verify
        Whether the targets are measured on simulated networks of every solution.
    n, networks
        Units of each network, and how many.
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
    "memory_time", -1/leading edge (maps: -1/ln); "lyapunov", the largest exponent; "dimension",
    Kaplan-Yorke over N, which is measured in networks, since theory has none; "gradient_growth",
    half the logarithm of E a^2 at the horizon over that at the end; "variance" of the state's first
    component over units. In moving states leading edge, radius and times are those of the
    instantaneous Jacobian.

    Assumptions
    -----------
    N to infinity, independent Gaussian couplings. Networks of N units scatter: their outermost
    eigenvalue by about :math:`N^{-1/2}` of the spectrum's radius, exponents lie below theory by
    terms of order 1/N. `DesignSolution.agrees` takes 5 per cent or two standard errors.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 5, 6, 10, 11.
    """
    check_shared(cell)
    wanted = _checked_targets(cell, targets)
    bounds = free_parameters(cell, free)
    if isinstance(inputs, InputStatistics) and weight_variance is None:
        weight_variance = 1 / inputs.features
    sources = sources_of(cell, inputs, weight_variance)
    check_choice("branch", branch, BRANCHES)
    chosen = _state(check_choice("state", state, STATES), wanted, sources)
    if "gradient_growth" in wanted and horizon is None:
        refuse("horizon", None, "how far back gradients are followed", "For instance 50.")
    length = 1.0 if horizon is None else as_number("horizon", horizon, positive=True)
    if isinstance(cell, AbstractMap):
        length = check_count("horizon (steps of a map)", length)
    quantile = as_number("quantile", quantile, positive=True)
    if quantile >= 1:
        refuse("quantile", quantile, "a number between 0 and 1", "0.5 is the median.")
    limit = as_number(
        "tolerance", _TOLERANCE[chosen] if tolerance is None else tolerance, positive=True
    )
    seed, starts = check_seed(seed), check_count("starts", starts)
    n, networks = check_count("n", n, at_least=2), check_count("networks", networks)
    count = check_count("samples", _SAMPLES[chosen] if samples is None else samples, at_least=2)
    moving = Moving(
        samples=count,
        batches=check_count("batches", batches, at_least=2),
        start=as_number("start", start, nonnegative=True),
        tolerance=max(limit / 4, 1e-3),
        seed=seed,
        n=min(n, _MEASURED_ONLY),
        networks=min(networks, 2),
    )
    options = Options(branch, chosen, length, quantile, count, seed, moving)
    predictor = Predictor(cell, bounds, sources, tuple(wanted), options)
    objective = Objective(predictor, bounds, wanted)
    bar = tqdm(
        disable=None if progress is None else not progress,
        delay=3.0 if progress is None else 0.0,
        desc="design",
        unit="evaluation",
    )
    with bar:
        objective.report = bar.update
        own = _own_place(cell, bounds)
        predictor.settle(bounds.values(np.full(len(bounds.names), 0.5)))
        points = search(
            objective, bounds, own, starts=starts, seed=seed, implicit=predictor.implicit
        )
        if not points:
            raise NumericalFailureError(
                f"design: theory has no {branch} solution at any of {predictor.evaluations} places "
                "within the bounds. Change the bounds, the branch or the state."
            )
        good = [point for point in points if _error(point, wanted) <= limit]
        found = sorted(distinct(good), key=lambda point: float(np.sum((point.place - own) ** 2)))
        kept = found[:_MOST] or points[:1]
        bar.set_description("networks")

        def in_networks(point: Point, n: int, names: tuple[str, ...]) -> Measured:
            built, spread = predictor.cell_at(bounds.values(point.place))
            return measured_in_networks(
                built,
                spread,
                sources,
                names,
                n=n,
                networks=networks,
                seed=seed + 1,
                moving=chosen == "moving",
                horizon=length,
                quantile=quantile,
                active=branch == "highest",
                report=bar.update,
            )

        def solved(point: Point) -> DesignSolution:
            measured, changes = Measured({}, {}), {}
            if verify:
                measured = in_networks(point, n, tuple(wanted))
                off = tuple(
                    name
                    for name, target in wanted.items()
                    if not agree(
                        name, measured.mean[name], target, measured.standard_error[name], 0
                    )
                )
                if off and n >= _HALVED:
                    half = in_networks(point, n // 2, off).mean
                    changes = {name: abs(half[name] - measured.mean[name]) for name in off}
            return _solution(predictor, bounds, point, wanted, measured, changes, limit, chosen)

        solutions = tuple(solved(point) for point in kept)
    met = bool(found)
    result = Design(
        solutions=solutions,
        status=Status.OK if met else Status.NOT_CONVERGED,
        free=bounds.bounds(),
        inputs=_by_drive(sources),
        note=_note(len(found), bounds, wanted, chosen, predictor, verify),
        settings=(
            ("starts", starts),
            ("branch", branch),
            ("state", chosen),
            ("horizon", length),
            ("quantile", quantile),
            ("tolerance", limit),
            ("samples", count),
            ("seed", seed),
            ("n", n if verify else 0),
            ("networks", networks if verify else 0),
            ("evaluations", predictor.evaluations),
        ),
    )
    if throw and not met:
        raise NumericalFailureError(f"design: {result.explain()}\nthrow=False returns the nearest.")
    return result


def _checked_targets(cell: AbstractCell, targets: Any) -> dict[str, float]:
    if not isinstance(targets, Mapping) or not targets:
        refuse("targets", targets, "a mapping from quantities to values", "Say {'radius': 1.0}.")
    check_names("targets", targets, QUANTITIES)
    found = {}
    for name, value in targets.items():
        found[name] = as_number(f"targets[{name!r}]", value, positive=is_positive(name, cell))
    if found.get("dimension", 0.0) > len(cell.state_names):
        remedy = "It is the Kaplan-Yorke dimension over the number of units."
        refuse("targets['dimension']", found["dimension"], "no more than a unit has", remedy)
    return found


def _state(state: str, targets: dict[str, float], sources: list[Source]) -> str:
    varies = any(not each.input.is_static and each.input.variance > 0 for each in sources)
    moves = "dimension" in targets or targets.get("lyapunov", -1.0) > 0
    if state == "fixed point" and varies:
        refuse("state", state, "'moving' where an input varies in time", "Leave it out.")
    if state == "fixed point" and "dimension" in targets:
        refuse("state", state, "'moving' for a dimension", "Leave it out.")
    if state != "auto":
        return state
    return "moving" if varies or moves else "fixed point"


def _own_place(cell: AbstractCell, free: Free) -> Any:
    """Return the place of the given cell, within the bounds."""
    values = [float(getattr(cell, name, 0.0)) for name in free.names]
    return free.place(np.array(values))


def _error(point: Point, targets: dict[str, float]) -> float:
    values = point.prediction.values
    return max(deviation(name, values[name], target) for name, target in targets.items())


def _solution(
    predictor: Predictor,
    free: Free,
    point: Point,
    targets: dict[str, float],
    measured: Measured,
    changes: dict[str, float],
    limit: float,
    state: str,
) -> DesignSolution:
    values = free.values(point.place)
    cell, spread = predictor.cell_at(values)
    error = _error(point, targets)
    return DesignSolution(
        cell=cell,
        spread=spread,
        parameters=dict(zip(free.names, values.tolist(), strict=True)),
        target=targets,
        predicted={name: float(point.prediction.values[name]) for name in targets},
        prediction_error=predictor.errors(values),
        error=error,
        measured=measured.mean,
        standard_error=measured.standard_error,
        finite_size=changes,
        met=error <= limit,
        at_bound=at_bounds(free, point.place),
        state=state,
    )


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
    found: int, free: Free, targets: dict[str, float], state: str, predictor: Predictor, done: bool
) -> str:
    lines = []
    if found and len(free.names) > len(targets):
        lines.append(
            f"{len(free.names)} free parameters for {len(targets)} targets: these are examples "
            "from a continuum of solutions."
        )
    if found > _MOST:
        lines.append(f"{found} distinct ones were found; the {_MOST} nearest are given.")
    if state == "moving":
        measured = sorted({"dimension"} & set(targets) | predictor.from_networks)
        if measured:
            lines.append(f"Predicted by networks, not by theory: {', '.join(measured)}.")
        if set(targets) - set(measured) and resolved_method(predictor.cell, "auto") == "sampled":
            lines.append("Sampled theory: its values have errors of about a per cent.")
    if done and any(name in targets for name in ("leading_edge", "memory_time", "radius")):
        lines.append(
            "Networks: the outermost of finitely many eigenvalues scatters about the edge of "
            "infinitely many, and so do times beside it."
        )
    return "\n".join(lines)


__all__ = ["BRANCHES", "STATES", "design"]
