"""The paths of a mean field's units over a horizon, on the nodes that an adjoint march visits."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import fft
from scipy.interpolate import CubicSpline

from gatefield.cells import AbstractMap
from gatefield.core.errors import OutsideDomainWarning, refuse
from gatefield.core.types import Array, Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.periodic import covariance_of, spectrum_of
from gatefield.theory.dmft import MeanField, mean_field_units
from gatefield.theory.dmft.beginning import batch_noise, batch_state, fastest_rate
from gatefield.theory.dmft.paths import CHUNK, PathPlan, driving_rows, once_round
from gatefield.theory.dmft.redraw import settled
from gatefield.theory.static import StaticMeanField
from gatefield.theory.static.sampled import SampledUnits, sampled_units

LARGEST_STEP = 0.2
"""Of an adjoint march where rates are about one: Runge and Kutta's steps then err by 1e-5."""

SAVES = 200
"""Times that are saved, at most, besides the end."""

_STEP_RATE = 0.4  # step times the fastest rate of a unit: steps then err by less than 1e-3
_STABLE_RATE = 1.0  # step times rate, beyond which a step that was asked for is refused
_SOURCE_STEP = 0.1  # step over the correlation time of a source
_RELAXATIONS = 10.0  # within half a period
_FEWEST_RELAXATIONS = 4.0  # within a period, without a warning
_MOST_STEPS = 128 * CHUNK  # of a period
_ROUNDING = 1e-9
_STREAM = 0x61646A6F  # keeps the paths apart from those of the solution


class Grid(NamedTuple):
    """The times on which paths are drawn.

    Attributes
    ----------
    plan
        Cell, samples, period and spacing of the paths.
    steps
        Steps of the march within the horizon.
    dt
        Its step: twice the paths' spacing for "rk4", else once.
    """

    plan: PathPlan
    steps: int
    dt: float


class Window(NamedTuple):
    """Units over a horizon, node by node, first to last in time."""

    state: Float[HostArray, "node component sample"]
    fields: Float[HostArray, "node field sample"]
    drive: Float[HostArray, "node drive sample"]


def moves(state: MeanField) -> bool:
    """Return whether the state, or what drives it, varies in time."""
    driven = any(each.variance > 0 and not each.is_static for each in state.inputs.values())
    return driven or state.fluctuates


def horizon_grid(
    state: MeanField | StaticMeanField,
    horizon: float,
    *,
    samples: int,
    dt: float | None,
    source: Iterable[GaussianInput] = (),
) -> Grid:
    """Return the grid for a horizon; the step that was asked for is made to divide it.

    Parameters
    ----------
    state
        The mean field.
    horizon
        In units of the units' time constant; steps for maps.
    samples
        Number M of units of a batch.
    dt
        Largest step of a flow, by default 0.2, or less for fast units, inputs and sources.
        Solutions of Euler's method and maps have their own.
    source
        What enters along the trajectory.

    Raises
    ------
    InvalidInputError
        For a horizon that is no whole number of the solution's steps, or needs too many.
    """
    mean_field = isinstance(state, MeanField)
    settings: dict[str, Any] = dict(state.settings) if mean_field else {}
    scheme = "map" if isinstance(state.cell, AbstractMap) else settings.get("scheme", "rk4")
    plan = PathPlan.of_cell(
        state.cell,
        state.inputs if mean_field else {},
        samples=samples,
        steps=CHUNK,
        dt=1.0,
        scheme=scheme,
        dtype=settings.get("dtype", "float64"),
    )
    if scheme == "rk4":
        fastest = _fastest_rate(state, plan)
        memory = min((each.correlation_time for each in source), default=math.inf)
        most = min(_STABLE_RATE / fastest, memory * _SOURCE_STEP)
        if dt is not None and dt > most:
            remedy = "The units or the source are faster; leave it out for a step that fits."
            refuse("dt", dt, f"at most {most:.3g}", remedy)
        step = dt or min(_own_step(state), _STEP_RATE / fastest, most)
        steps = max(1, math.ceil(horizon / step * (1 - _ROUNDING)))
        spacing = horizon / steps / 2
    else:
        spacing = 1.0 if scheme == "map" else float(settings["dt"])
        steps = round(horizon / spacing)
        if dt is not None and abs(dt - spacing) > _ROUNDING * spacing:
            refuse("dt", dt, f"{spacing:g}, the solution's own step", "Leave it out.")
        if steps < 1 or abs(horizon - steps * spacing) > _ROUNDING * horizon:
            expected = f"a whole number of steps of {spacing:g}"
            refuse("horizon", horizon, expected, "Round it to a multiple.")
    if horizon > 0.5 * _MOST_STEPS * spacing:
        remedy = "Shorten it" + ("." if scheme != "rk4" else ", or give a larger dt.")
        most = f"at most {0.5 * _MOST_STEPS * spacing:g}: paths of {_MOST_STEPS} points"
        refuse("horizon", horizon, most, remedy)
    number = CHUNK
    if isinstance(state, MeanField) and moves(state):
        relaxation = _relaxation(state)
        least = max(2 * horizon, settings.get("period", 2 * _RELAXATIONS * relaxation))
        if _MOST_STEPS * spacing < _FEWEST_RELAXATIONS * relaxation:
            warnings.warn(
                f"paths of {_MOST_STEPS * spacing:.3g} time constants for units that relax in "
                f"{relaxation:.3g}: expected at least {_FEWEST_RELAXATIONS:g} times as long. "
                "Correlations beyond half of that are cut; take a longer horizon or a larger dt.",
                OutsideDomainWarning,
                stacklevel=4,
            )
        chunks = math.ceil(least / (spacing * CHUNK) * (1 - _ROUNDING))
        number = int(np.asarray(fft.next_fast_len(chunks, real=True))) * CHUNK
    plan = plan.with_grid(min(number, _MOST_STEPS), spacing)
    return Grid(plan, steps, 2 * spacing if scheme == "rk4" else spacing)


def batch_key(seed: int, batch: int) -> Array:
    """Return the key of what one batch draws besides its paths."""
    key = jax.random.fold_in(jax.random.key(seed), _STREAM)
    return jax.random.fold_in(jax.random.fold_in(key, batch), 2)


def window(solution: MeanField, grid: Grid, batch: int, seed: int) -> Window:
    """Draw one batch of units over the horizon.

    Parameters
    ----------
    solution
        The mean field.
    grid
        From `horizon_grid`.
    batch
        Which batch; a sampled solution's own batches are taken in turn.
    seed
        Draws the paths.
    """
    plan = grid.plan
    key = jax.random.fold_in(jax.random.key(seed), _STREAM)
    fields = _field_spectra(solution, plan, batch)
    rows = driving_rows(plan, batch_noise(plan, key, batch), fields)
    sizes = _squares(solution)
    variance = float(np.mean([sizes[name] for name in solution.cell.state_names]))
    state, _ = settled(plan, rows, batch_state(plan, key, batch, variance))
    _, path = once_round(plan, state, rows)
    count, nodes = len(plan.cell.field_names), _node_count(grid)
    driven = dict(zip(plan.driven, rows[count:], strict=True))
    drive = np.zeros((nodes, len(plan.cell.drive_names), plan.samples), plan.dtype)
    for place, mean in enumerate(plan.means()):
        drive[:, place] = mean + (driven[place][:nodes] if place in driven else 0.0)
    states, fields = (
        np.stack([row[:nodes] for row in each], axis=1) for each in (path, rows[:count])
    )
    return Window(states, fields, drive)


def resting_window(units: SampledUnits, grid: Grid) -> Window:
    """Return units at a fixed point as paths that stay where they are."""
    nodes = _node_count(grid)
    return Window(*(np.broadcast_to(each, (nodes, *np.shape(each))) for each in units))


def resting_units(state: MeanField | StaticMeanField, *, samples: int, seed: int) -> SampledUnits:
    """Draw units at a fixed point."""
    if isinstance(state, StaticMeanField):
        return sampled_units(state, samples=samples, seed=seed)
    return mean_field_units(state, samples=samples, seed=seed)


def saved_steps(steps: int) -> HostArray:
    """Return the steps that are saved: at most so many, evenly spaced, and the last."""
    return np.unique(np.append(np.arange(0, steps + 1, math.ceil(steps / SAVES)), steps))


def saved_times(horizon: float, step: float | None) -> Float[HostArray, " time"]:
    """Return the times that are saved of a horizon: whole steps, if there are steps."""
    if step is None:
        return np.linspace(0.0, horizon, SAVES + 1)
    return saved_steps(round(horizon / step)) * step


def _node_count(grid: Grid) -> int:
    return grid.steps * (2 if grid.plan.scheme == "rk4" else 1) + 1


def _own_step(state: MeanField | StaticMeanField) -> float:
    """Return the largest step that resolves the solution's own paths."""
    settings: dict[str, Any] = dict(state.settings) if isinstance(state, MeanField) else {}
    return min(LARGEST_STEP, 2 * float(settings.get("dt", LARGEST_STEP)))


def _fastest_rate(state: MeanField | StaticMeanField, plan: PathPlan) -> float:
    """Return the rate of the fastest unit, or of the fastest input."""
    sizes = state.variance if isinstance(state, StaticMeanField) else _squares(state)
    variance = float(np.mean([sizes[name] for name in state.cell.state_names]))
    silent = [np.zeros(plan.samples, plan.dtype) for _ in state.cell.state_names]
    rates = (1 / each.correlation_time for each in plan.moving_inputs)
    return max(fastest_rate(plan, silent, variance), *rates, 1e-12)


def _squares(solution: MeanField) -> dict[str, Any]:
    return {name: values[0] for name, values in solution.covariance.items()}


def _relaxation(solution: MeanField) -> float:
    times = [solution.relaxation_time(name) for name in _outputs(solution)]
    return max([0.0, *(time for time in times if math.isfinite(time))])


def _outputs(solution: MeanField) -> list[str]:
    return [f"y_{name}" for name in solution.cell.field_names]


def _field_spectra(
    solution: MeanField, plan: PathPlan, batch: int
) -> Float[HostArray, "field frequency"]:
    """Return the power spectra of the fields on the grid's period and spacing."""
    lags = plan.lags()
    names = solution.cell.field_names
    if solution.method != "sampled":
        return np.stack([spectrum_of(solution.at(f"eta_{name}", lags)) for name in names])
    settings: dict[str, Any] = dict(solution.settings)
    rows = []
    for name in names:
        spectra = solution.spectra[name]
        covariance = covariance_of(spectra[batch % len(spectra)])
        own = float(settings["dt"]) * np.arange(len(covariance))
        inside = np.minimum(lags, own[-1])
        # Beyond the solution's own period nothing but the plateau is left.
        if np.isclose(own[1], plan.dt, rtol=_ROUNDING):
            values = covariance[np.minimum(np.arange(len(lags)), len(covariance) - 1)]
        else:
            values = CubicSpline(own, covariance)(inside)
        rows.append(spectrum_of(values))
    return np.stack(rows)
