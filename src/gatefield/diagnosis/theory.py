"""Theory of a matched ensemble: its fixed point, or its motion along the inputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gatefield.core.results import Status
from gatefield.diagnosis.effort import Limits
from gatefield.diagnosis.matched import Matched
from gatefield.diagnosis.timescales import time_of
from gatefield.initialise.sources import with_sources
from gatefield.theory.dmft import MeanField, solve_dmft
from gatefield.theory.lyapunov import mean_field_lyapunov
from gatefield.theory.rmt import spectral_boundary
from gatefield.theory.rmt.ensemble import unit_ensemble
from gatefield.theory.static import StaticMeanField, solve_static

SAMPLES, REPLICATES = 512, 2
"""Of the static theory, everywhere the same: other sizes are compiled anew."""

_MOST_UNITS, _FEWEST_UNITS = 1024, 64
_SETS = 4  # of units, for the error of what rests on the slowest of them
_RESOLUTION = 1e-2
_TOLERANCE = 5e-3  # of covariances, and of the exponent


class Predicted(NamedTuple):
    """Quantities of an ensemble by name, their sampling errors, notes, whether none is missing."""

    values: dict[str, float]
    errors: dict[str, float]
    notes: tuple[str, ...] = ()
    complete: bool = True


def static_state(matched: Matched, variance: float, seed: int) -> StaticMeanField | None:
    """Return the fixed point whose activity is nearest to a variance; None without a solution."""
    name = matched.cell.state_names[0]
    found = _fixed_points(matched, seed)
    found.sort(key=lambda each: abs(float(each.variance[name]) - variance))
    return found[0] if found else None


def radius_at(matched: Matched, seed: int, **values: float) -> float:
    """Return the radius of the smallest fixed point with other parameters; NaN if there is none.

    All input is taken as static.
    """
    found = _fixed_points(matched._replace(cell=matched.with_values(**values)), seed)
    return float(found[0].radius) if found else np.nan


def _fixed_points(matched: Matched, seed: int) -> list[StaticMeanField]:
    found = solve_static(
        matched.cell,
        samples=SAMPLES,
        replicates=REPLICATES,
        seed=seed,
        throw=False,
        input_mean=matched.mean,
        input_variance=matched.frozen(),
    )
    return [each for each in found if each.status is Status.OK]


def of_fixed_point(state: StaticMeanField, units: int, seed: int) -> Predicted:
    """Describe random networks of so many units at a stable fixed point."""
    edge, error, gate_time = _spectral(state, units, seed)
    values = {
        "leading_edge": edge,
        "lyapunov": float(np.log(edge)) if edge > 0 else -np.inf,
        "variance": float(state.variance[state.cell.state_names[0]]),
        "gate_time": gate_time,
    }
    errors = {"leading_edge": error, "lyapunov": error / edge if edge > 0 else 0.0}
    return Predicted(values, errors | {"variance": 0.0, "gate_time": 0.0})


def moving_state(matched: Matched, limits: Limits, seed: int) -> MeanField:
    """Solve the dynamical mean field of an ensemble along its inputs."""
    cell, inputs = with_sources(matched.cell, matched.sources())
    return solve_dmft(
        cell,
        inputs=inputs,
        samples=limits.samples,
        batches=limits.batches,
        max_period=limits.period,
        max_sweeps=limits.sweeps,
        tolerance=_TOLERANCE,
        seed=seed,
        progress=False,
        throw=False,
    )


def of_motion(solved: MeanField, limits: Limits, units: int, seed: int) -> Predicted:
    """Describe random networks of so many units that move, by themselves or as they are driven."""
    if solved.status is not Status.OK:
        note = (
            f"The dynamical mean field ended {solved.status.value!r} (residual "
            f"{float(solved.residual):.2g})."
        )
        return Predicted({}, {}, (note,), complete=False)
    name = solved.cell.state_names[0]
    edge, error, gate_time = _spectral(solved, units, seed)
    variance = float(solved.covariance[name][0] - solved.mean[name] ** 2)
    values = {"leading_edge": edge, "variance": variance, "gate_time": gate_time}
    errors = {
        "leading_edge": error,
        "variance": float(solved.standard_error[name][0]),
        "gate_time": 0.0,
    }
    exponent = mean_field_lyapunov(
        solved, tolerance=_TOLERANCE, max_sweeps=limits.sweeps, seed=seed, throw=False
    )
    notes = ()
    if exponent.status is Status.OK:
        values["lyapunov"] = float(exponent.exponent)
        errors["lyapunov"] = float(exponent.standard_error)
    else:
        each = exponent.batch_exponents
        notes = (
            f"The theory's exponent ended {exponent.status.value!r}: it is the median of samples, "
            "its error half of their range.",
        )
        if each.size and np.all(np.isfinite(each)):
            values["lyapunov"] = float(np.median(each))
            errors["lyapunov"] = float(np.ptp(each) / 2)
    return Predicted(values, errors, notes, complete="lyapunov" in values)


def _spectral(source: Any, units: int, seed: int) -> tuple[float, float, float]:
    """Return the leading edge with its sampling error, and the units' median forgetting time.

    As many units are drawn as the network has: their slowest set the edge, and more units have
    slower ones.
    """
    count = int(np.clip(units, _FEWEST_UNITS, _MOST_UNITS))
    each = [unit_ensemble(source, samples=count, seed=seed + place) for place in range(_SETS)]
    edges = [
        float(spectral_boundary(one, resolution=_RESOLUTION, throw=False).leading_edge)
        for one in each
    ]
    slowest = np.max(np.abs(np.linalg.eigvals(each[0].A)), axis=-1)
    error = float(np.std(edges, ddof=1)) / np.sqrt(_SETS)
    return float(np.mean(edges)), error, time_of(float(np.median(slowest)))
