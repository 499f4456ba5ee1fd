"""Quantities of a state that moves, by dynamical mean-field theory: the same noise everywhere."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.errors import OutsideDomainWarning, refuse
from gatefield.core.results import Status
from gatefield.initialise.measured import unit_times
from gatefield.initialise.prediction import memory
from gatefield.initialise.sources import Source, with_sources
from gatefield.initialise.verify import measured_in_networks
from gatefield.networks import GaussianInput
from gatefield.numerics.beyond_poles import highest_on_line, outermost
from gatefield.theory.adjoint import solve_adjoint
from gatefield.theory.dmft import solve_dmft
from gatefield.theory.lyapunov import mean_field_lyapunov
from gatefield.theory.rmt import unit_ensemble
from gatefield.theory.rmt.support import SupportFunction

_UNITS = 2048


class Moving(NamedTuple):
    """How moving states are sampled.

    Attributes
    ----------
    samples, batches
        Of `solve_dmft`, and of the adjoint.
    start
        Variance of the states from which the network starts.
    tolerance
        Of `solve_dmft`.
    seed
        Of all samples and networks.
    n, networks
        Units and number of the networks whose dimension is measured.
    """

    samples: int
    batches: int
    start: float
    tolerance: float
    seed: int
    n: int
    networks: int


def predict_moving(
    cell: AbstractCell,
    spread: dict[str, float],
    sources: Sequence[Source],
    names: Sequence[str],
    *,
    horizon: float,
    quantile: float,
    options: Moving,
    from_networks: frozenset[str] = frozenset(),
) -> dict[str, float] | None:
    """Return quantities of the stationary state that a network's start leads to.

    The theory of each quantity may fail by itself: what it then has is NaN.

    Parameters
    ----------
    cell, spread
        With scalar parameters, and the standard deviations of random biases.
    sources
        What drives it.
    names
        Of the quantities.
    horizon, quantile
        As in `design`.
    options
        How it is sampled.
    from_networks
        Quantities that are measured in networks, as "dimension" always is.

    Returns
    -------
    dict or None
        None where the mean field itself did not converge.

    Raises
    ------
    InvalidInputError
        For random biases of a flow, which are no inputs.
    """
    given = list(sources)
    for name, value in spread.items():
        if not isinstance(cell, AbstractMap):
            remedy = "Ask for state='fixed point', or give a static input."
            refuse(f"spread_{name}", value, "none in a moving state of a flow", remedy)
        given.append(Source(GaussianInput(variance=value**2), ((name, 1.0),)))
    found: dict[str, float] = {}
    simulated = [name for name in names if name == "dimension" or name in from_networks]
    if simulated:
        measured = measured_in_networks(
            cell,
            spread,
            sources,
            simulated,
            n=options.n,
            networks=options.networks,
            seed=options.seed,
            moving=True,
            horizon=horizon,
            quantile=quantile,
        )
        found.update(measured.mean)
    if set(names) == set(simulated):
        return found
    driven, inputs = with_sources(cell, given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutsideDomainWarning)
        solution = solve_dmft(
            driven,
            inputs=inputs,
            start=options.start,
            samples=options.samples,
            batches=options.batches,
            tolerance=options.tolerance,
            seed=options.seed,
            progress=False,
            throw=False,
        )
        if solution.status is not Status.OK:
            return None
        first = cell.state_names[0]
        if "variance" in names:
            mean = float(solution.mean[first])
            found["variance"] = float(solution.covariance[first][0]) - mean**2
        if "lyapunov" in names and "lyapunov" not in found:
            largest = mean_field_lyapunov(solution, seed=options.seed, throw=False)
            good = largest.status is Status.OK
            found["lyapunov"] = float(largest.exponent) if good else math.nan
        if "gradient_growth" in names:
            adjoint = solve_adjoint(
                solution,
                horizon,
                samples=options.samples,
                batches=options.batches,
                seed=options.seed,
                progress=False,
                throw=False,
            )
            total = adjoint.total_variance
            good = np.isfinite(total[-1]) and total[-1] > 0
            growth = 0.5 * float(np.log(total[-1] / total[0])) if good else math.nan
            found["gradient_growth"] = growth
        if any(name in names for name in ("leading_edge", "memory_time", "radius", "gate_time")):
            found.update(_linear(solution, names, quantile, options.seed))
    return {name: found[name] for name in names}


def _linear(solution, names, quantile: float, seed: int) -> dict[str, float]:
    """Return what the Jacobian at one moment of the state says."""
    ensemble = unit_ensemble(solution, samples=_UNITS, seed=seed)
    is_map, found = ensemble.is_map, {}
    if "gate_time" in names:
        times = unit_times(ensemble.A, is_map)
        found["gate_time"] = float(np.quantile(times, quantile))
    response = ensemble.response()
    function, poles = SupportFunction(response), response.poles().ravel()
    if "radius" in names:
        log_radius = highest_on_line(function, poles, 1.0 if is_map else 0.0, is_map)[0]
        found["radius"] = float(np.exp(log_radius / 2))
    if "leading_edge" in names or "memory_time" in names:
        edge = outermost(function, poles, is_map).value
        found["leading_edge"] = edge
        found["memory_time"] = memory(edge, np.zeros(0), is_map)[0]
    return found
