"""The period and the step on which sampled units are solved, and the first batch on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy import fft

from gatefield.cells import AbstractCell, unit_blocks
from gatefield.core.errors import refuse
from gatefield.core.types import Array, Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.periodic import covariance_of, refined, spectrum_of
from gatefield.numerics.relaxation import relaxation_time
from gatefield.theory.dmft.beginning import (
    batch_noise,
    batch_state,
    fastest_rate,
    output_moments,
    zero_is_a_state,
)
from gatefield.theory.dmft.convergence import Converged, converge, residual
from gatefield.theory.dmft.paths import (
    CHUNK,
    PathPlan,
    Rows,
    driving_rows,
    field_spectra,
    finer_rows,
    quantity_spectra,
    sweep_rows,
)

_RELAXATIONS = 10.0  # in a period: e^-10 of a correlation comes round again, below any tolerance
_FIRST_PERIOD = 200.0  # enough for networks well beyond a transition, which relax within 20
_LARGEST_STEP = 0.2  # where rates are about one, rk4 then errs by far less than sampling does
_STEP_RATE = 1.0  # step times the fastest rate of a unit: rk4 is stable up to 2.8, Euler up to 2
_MOST_STEPS = 128 * CHUNK  # a path of 1000 units then takes 130 MB in single precision
_MOST_HALVINGS = 3  # functions with kinks would halve the step for ever
_PLAIN = 5  # sweeps before the first that is accelerated, so that the start decides where they lead
_CONSTANT_ROW = 1e-5  # of C(0): covariances that fall by less are constant but for rounding
_STIR = 1e-3  # of C(0), given to units at rest that would move: enough to grow within few sweeps
_SCATTER = 2.0  # standard errors of a mean over units: what may exceed one by chance
_ROUNDING = 1e-9  # of a period that is a multiple of the step


_unit_blocks = eqx.filter_jit(unit_blocks)


class Limits(NamedTuple):
    """How long and how fine the period may be, and how closely spectra must agree."""

    dt: float | None
    period: float | None
    max_period: float
    tolerance: float
    max_sweeps: int


class Pilot(NamedTuple):
    """The first batch, converged on the grid that all batches take.

    Attributes
    ----------
    plan, noise
        The paths.
    found
        The solution.
    relaxation
        Longest relaxation time of a component, an output, or an input; 0 if nothing moves,
        infinity if something would on a longer period.
    step_error
        Change of the outputs' covariances, relative to C(0), when one sweep is made in half steps.
    """

    plan: PathPlan
    noise: list[HostArray]
    found: Converged
    relaxation: float
    step_error: float


def pilot(
    cell: AbstractCell,
    inputs: dict[str, GaussianInput],
    limits: Limits,
    key: Array,
    *,
    samples: int,
    start: float,
    scheme: str,
    dtype: str,
) -> Pilot:
    """Converge the first batch, and make the period longer and the step finer until they suffice.

    Parameters
    ----------
    cell, inputs, samples, scheme, dtype
        As in `PathPlan`.
    limits
        What is given, and how far to go.
    key
        Draws the noise and the first state.
    start
        Variance of the first states and fields.

    Returns
    -------
    Pilot
    """
    options: dict[str, Any] = {"max_sweeps": limits.max_sweeps, "workers": 2}
    plan = PathPlan.of_cell(
        cell, inputs, samples=samples, steps=CHUNK, dt=1.0, scheme=scheme, dtype=dtype
    )
    state = batch_state(plan, key, 0, start)
    plan = _first_grid(plan, state, limits, start)
    noise = batch_noise(plan, key, 0)
    mean, variance = output_moments(plan, state, start)
    outputs = spectrum_of(mean[:, None] ** 2 + variance[:, None] * np.exp(-plan.lags()))
    found = converge(plan, noise, outputs, state, target=limits.tolerance, plain=_PLAIN, **options)
    halvings = 0
    while True:
        if not found.finite:
            return Pilot(plan, noise, found, np.nan, np.nan)
        relaxation = _relaxation(plan, noise, found)
        steps = min(2 * plan.steps, _steps(limits.max_period, plan.dt))
        wakes = found.frozen and not found.is_zero and grows(plan, noise, found)
        longer = limits.period is None and (wakes or plan.period < _RELAXATIONS * relaxation)
        longer = longer and steps > plan.steps
        error = 0.0 if longer else _step_error(plan, noise, found)
        finer = limits.dt is None and error > limits.tolerance and halvings < _MOST_HALVINGS
        finer = finer and 2 * plan.steps <= _MOST_STEPS
        if not (longer or finer):
            break
        if longer:
            plan, outputs = plan.with_grid(steps, plan.dt), _longer(found.outputs, steps)
        else:
            plan, outputs = plan.with_grid(2 * plan.steps, plan.dt / 2), refined(found.outputs)
            halvings += 1
        if wakes:
            outputs = outputs + _STIR * covariance_of(outputs)[:, :1]
            found = found._replace(frozen=False)
        noise = batch_noise(plan, key, 0)
        found = _continued(plan, noise, found._replace(outputs=outputs), limits.tolerance, options)
    found = _continued(plan, noise, found, limits.tolerance / 10, options)
    if found.frozen:
        relaxation, error = np.inf if wakes else 0.0, 0.0
    return Pilot(plan, noise, found, relaxation, error)


def _continued(plan, noise, found: Converged, target: float, options) -> Converged:
    further = converge(
        plan, noise, found.outputs, found.state, target=target, frozen=found.frozen, **options
    )
    return further._replace(history=(*found.history, *further.history))


def _first_grid(plan: PathPlan, state: Rows, limits: Limits, start: float) -> PathPlan:
    """Return the grid to begin with, whose step resolves a lone unit."""
    dt = 1.0
    if plan.scheme != "map":
        rates = (1 / each.correlation_time for each in plan.moving_inputs)
        rate = max(fastest_rate(plan, state, start), *rates, 0.0)
        dt = limits.dt or min(_LARGEST_STEP, _STEP_RATE / max(rate, 1e-12))
    if limits.period is not None and limits.period > _MOST_STEPS * dt * (1 + _ROUNDING):
        remedy = "Give a shorter one" + ("." if plan.scheme == "map" else ", or a larger dt.")
        most = f"at most {_MOST_STEPS * dt:g}, {_MOST_STEPS} steps of {dt:g}"
        refuse("period", limits.period, most, remedy)
    period = limits.period or min(_FIRST_PERIOD, limits.max_period)
    return plan.with_grid(_steps(period, dt), dt)


def _steps(period: float, dt: float) -> int:
    """Return a number of steps for a period, at most `_MOST_STEPS`, whose transforms are fast."""
    chunks = max(1, int(np.ceil(period / (dt * CHUNK) * (1 - _ROUNDING))))
    fast = int(np.asarray(fft.next_fast_len(chunks, real=True)))
    return min(fast * CHUNK, _MOST_STEPS)


def _longer(outputs: HostArray, steps: int) -> Float[HostArray, "output frequency"]:
    """Return spectra on a longer period: covariances go on with their last value."""
    covariance = covariance_of(outputs)
    added = steps // 2 + 1 - covariance.shape[1]
    return spectrum_of(np.pad(covariance, ((0, 0), (0, added)), mode="edge"))


def _relaxation(plan: PathPlan, noise: list[HostArray], found: Converged) -> float:
    """Return the longest relaxation time of a component, an output or an input; 0 if frozen."""
    # Where zero is a state, and no input drives, no component or output has a part that stays.
    plateau = 0.0 if not plan.driven and zero_is_a_state(plan) else None
    times = [0.0, *(each.correlation_time for each in plan.moving_inputs)]
    if not found.frozen:
        rows = driving_rows(plan, noise, field_spectra(plan, found.outputs))
        spectra, _ = quantity_spectra(plan, rows, found.state)
        d, k = len(plan.cell.state_names), len(plan.cell.field_names)
        if not np.all(np.isfinite(spectra)):
            return np.inf
        for row in covariance_of(np.concatenate([spectra[:d], spectra[d + k : d + 2 * k]])):
            if np.ptp(row) > _CONSTANT_ROW * abs(row[0]):
                times.append(relaxation_time(plan.lags(), row, plateau=plateau))
    return max(times)


def grows(plan: PathPlan, noise: list[HostArray], found: Converged) -> bool:
    """Return whether a perturbation of units at rest grows, too slowly for the period to show it.

    By the response matrix of random-matrix theory (Eq. A34), at a rate of one over the period.
    """
    count = len(plan.cell.field_names)
    rows = driving_rows(plan, noise, field_spectra(plan, found.outputs))
    drive = np.repeat(plan.means()[:, None], plan.samples, axis=1)
    for place, row in zip(plan.driven, rows[count:], strict=True):
        drive[place] += row[0]
    fields = np.stack([row[0] for row in rows[:count]])
    state = jnp.asarray(np.stack(found.state))
    blocks = _unit_blocks(plan.cell, state, jnp.asarray(fields), jnp.asarray(drive))
    A, L, R, Q = (np.asarray(block, float) for block in blocks)
    edge = (1.0 if plan.scheme == "map" else 0.0) + 1 / plan.period
    response = R @ np.linalg.solve(edge * np.eye(A.shape[-1]) - A, L) + Q
    matrix = plan.gains()[:, None] ** 2 * np.mean(np.square(response), axis=0)
    return bool(np.max(np.abs(np.linalg.eigvals(matrix))) > 1 + _SCATTER / np.sqrt(plan.samples))


def _step_error(plan: PathPlan, noise: list[HostArray], found: Converged) -> float:
    """Return how far one sweep in half steps changes the outputs' covariances."""
    if plan.scheme != "rk4" or found.frozen:
        return 0.0
    fields = field_spectra(plan, found.outputs)
    coarse, _ = sweep_rows(plan, driving_rows(plan, noise, fields), found.state)
    half = plan.with_grid(2 * plan.steps, plan.dt / 2)
    fine, _ = sweep_rows(half, finer_rows(plan, noise, fields), found.state)
    return residual(covariance_of(coarse), covariance_of(fine)[:, ::2])
