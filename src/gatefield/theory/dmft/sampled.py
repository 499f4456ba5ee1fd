"""Stationary mean-field theory of any cell, by units sampled on a period."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractCell, AbstractMap, quantity_names
from gatefield.cells.parameters import check_shared
from gatefield.core.checks import as_number, check_choice, check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import Status
from gatefield.core.types import Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.periodic import covariance_of
from gatefield.numerics.threads import in_threads
from gatefield.theory.dmft.beginning import batch_noise, path_key
from gatefield.theory.dmft.convergence import Converged, converge
from gatefield.theory.dmft.grid import Limits, Pilot, pilot
from gatefield.theory.dmft.paths import PathPlan, driving_rows, field_spectra, quantity_spectra
from gatefield.theory.dmft.redraw import SETTLED, settled
from gatefield.theory.dmft.result import MeanField


def solve_sampled(
    cell: AbstractCell,
    *,
    inputs: dict[str, GaussianInput],
    start: float = 1.0,
    samples: int = 1000,
    batches: int = 8,
    dt: float | None = None,
    period: float | None = None,
    max_period: float = 3200.0,
    tolerance: float = 1e-3,
    max_sweeps: int = 100,
    scheme: str = "rk4",
    dtype: str = "float32",
    seed: int = 0,
    progress: bool | None = None,
) -> MeanField:
    r"""Solve the stationary mean-field theory of any cell by sampling units.

    M units, driven by periodic Gaussian fields of power spectrum :math:`\mathrm{gain}_a^2 S^a`, run
    once round the period; the mean power of their outputs is the next S. With the noise held fixed
    this is a deterministic map, whose fixed point Anderson acceleration finds.

    Parameters
    ----------
    cell
        Any cell with scalar parameters.
    inputs
        Gaussian input by drive name.
    start
        Variance of the initial states and fields, whose correlation time is 1.
    samples, batches
        Number M of units of one batch, and number B of batches, each converged with its own noise.
    dt
        Step of a flow; by default the smallest of 0.2, the shortest time constant of a unit and
        that of the inputs, halved (three times at most) until one sweep at dt and one at dt/2
        agree within ``tolerance``.
    period, max_period
        Length of the period, rounded up to a multiple of 256 steps; by default 200 (steps of a
        map: 256), doubled until it is ten relaxation times of every component, output and input,
        but not beyond ``max_period``, nor beyond 32 768 steps. A given period that needs more is
        refused.
    tolerance
        Largest residual, relative to each C(0), at which the status is OK; a tenth is aimed for.
    max_sweeps
        Largest number of sweeps of one batch on one period.
    scheme
        "rk4" (fourth order in dt), or "euler", for networks stepped by Euler's method.
    dtype
        Precision of the paths. That of "float32" is far below the sampling error.
    seed
        Draws the noise.
    progress
        True shows a progress bar, False none; by default one appears on a terminal after 3 s.

    Returns
    -------
    MeanField
        Means over batches. ``standard_error`` is their scatter divided by the square root of B: it
        contains the amplification of sampling errors by self-consistency. The bias that sampling
        leaves is O(1/M): 0.5 per cent of C_h(0) for the gated RNN at g_h = 3 and M = 1000, as large
        as the error of 8 batches. For more precision raise ``samples`` rather than ``batches``.
        ``status`` is NOT_CONVERGED, too, where some batches move and others freeze or fall silent,
        as may happen beside a transition.

    Raises
    ------
    InvalidInputError
        For a cell with parameters per unit, or options that do not fit.

    Assumptions
    -----------
    A stationary state. Where several exist, ``start`` decides; where the state depends on its
    history (shut update gates), so does the result.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. C19-C25.
    """
    check_shared(cell)
    check_choice("scheme", scheme, ("rk4", "euler"))
    check_choice("dtype", dtype, ("float32", "float64"))
    if isinstance(cell, AbstractMap) and dt not in (None, 1.0):
        refuse("dt", dt, "None for a map", "Maps advance step by step.")
    start = as_number("start", start, nonnegative=True)
    samples = check_count("samples", samples, at_least=2)
    batches = check_count("batches", batches, at_least=2)
    limits = Limits(
        None if dt is None else as_number("dt", dt, positive=True),
        None if period is None else as_number("period", period, positive=True),
        as_number("max_period", max_period, positive=True),
        as_number("tolerance", tolerance, positive=True),
        check_count("max_sweeps", max_sweeps),
    )
    seed = check_seed(seed)
    bar = tqdm(
        total=batches,
        disable=None if progress is None else not progress,
        delay=3.0 if progress is None else 0.0,
        desc="solve_dmft",
        unit="batch",
    )
    with jax.enable_x64(True), bar:
        key = path_key(seed)
        first = pilot(
            cell, inputs, limits, key, samples=samples, start=start, scheme=scheme, dtype=dtype
        )
        plan = first.plan

        def solved(batch: int) -> _Batch:
            if batch == 0 or first.found.is_zero or not first.found.finite:
                noise, found = first.noise, first.found
            else:
                noise = batch_noise(plan, key, batch)
                found = converge(
                    plan,
                    noise,
                    first.found.outputs,
                    first.found.state,
                    target=limits.tolerance / 10,
                    max_sweeps=limits.max_sweeps,
                    frozen=first.found.frozen,
                )
            measured = _measured(plan, noise, found)
            bar.update()
            return measured

        done = in_threads(solved, range(batches))
    settings = {
        "samples": samples,
        "batches": batches,
        "steps": plan.steps,
        "dt": plan.dt,
        "period": plan.period,
        "scheme": plan.scheme,
        "dtype": dtype,
        "seed": seed,
        "start": start,
        "tolerance": limits.tolerance,
        "max_sweeps": limits.max_sweeps,
        "max_period": limits.max_period,
        "relaxation_time": first.relaxation,
    }
    return _result(cell, inputs, first, done, limits.tolerance, settings)


class _Batch(NamedTuple):
    found: Converged
    fields: Float[HostArray, "field frequency"]
    covariance: Float[HostArray, "quantity lag"]
    means: Float[HostArray, " quantity"]
    drift: float


def _measured(plan: PathPlan, noise: list[HostArray], found: Converged) -> _Batch:
    """Return the covariance and the mean of every quantity on the settled path."""
    fields = field_spectra(plan, found.outputs)
    if not found.finite:
        names = len(quantity_names(plan.cell))
        nothing = np.full((names, plan.steps // 4 + 1), np.nan)
        return _Batch(found, fields, nothing, nothing[:, 0], np.inf)
    rows = driving_rows(plan, noise, fields)
    state, drift = settled(plan, rows, found.state)
    spectra, means = quantity_spectra(plan, rows, state)
    covariance = covariance_of(spectra)[:, : plan.steps // 4 + 1]
    return _Batch(found, fields, covariance, means, drift)


def _result(
    cell: AbstractCell,
    inputs: dict[str, GaussianInput],
    first: Pilot,
    done: list[_Batch],
    tolerance: float,
    settings: dict[str, Any],
) -> MeanField:
    plan, names = first.plan, quantity_names(cell)
    covariance = np.stack([one.covariance for one in done])
    means = np.stack([one.means for one in done])
    count = np.sqrt(len(done))

    def named(values):
        return dict(zip(names, np.asarray(values, np.float64), strict=True))

    residual = max(_last(one.found.history) for one in done)
    truncation = first.step_error
    if first.relaxation > 0:
        # What an exponential leaves after half a period, squared: it is drawn round the period.
        left = np.exp(-plan.period / first.relaxation)
        truncation = max(truncation, float(left))
    finite = bool(np.all(np.isfinite(covariance)))
    drift = max(one.drift for one in done)
    # A mean over batches of which some move and some do not is that of no state.
    alike = len({(one.found.frozen, one.found.is_zero) for one in done}) == 1
    good = alike and residual <= tolerance and truncation <= tolerance and drift <= SETTLED
    status = Status.OK if good else Status.NOT_CONVERGED
    return MeanField(
        lags=plan.dt * np.arange(covariance.shape[-1]),
        covariance=named(covariance.mean(axis=0)),
        standard_error=named(covariance.std(axis=0, ddof=1) / count),
        mean=named(means.mean(axis=0)),
        mean_standard_error=named(means.std(axis=0, ddof=1) / count),
        residual=np.asarray(residual),
        truncation=np.asarray(truncation),
        history=_largest([one.found.history for one in done]),
        spectra={
            name: np.stack([one.fields[row] for one in done])
            for row, name in enumerate(cell.field_names)
        },
        cell=cell,
        inputs=inputs,
        method="sampled",
        status=status if finite else Status.DIVERGED,
        settings=tuple(settings.items()),
    )


def _last(history: tuple[float, ...]) -> float:
    return history[-1] if history else np.inf


def _largest(histories: list[tuple[float, ...]]) -> Float[HostArray, " sweep"]:
    """Return the largest residual after each sweep, over batches that swept so often."""
    longest = max(len(each) for each in histories)
    padded = [np.pad(each, (0, longest - len(each)), constant_values=-1.0) for each in histories]
    return np.max(padded, axis=0)
