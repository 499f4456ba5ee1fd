"""Mean-field theory of transients, for any cell: one causal march through time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractCell, quantity_names
from gatefield.cells.observables import stacked_quantities
from gatefield.cells.parameters import check_shared
from gatefield.core.checks import as_number, check_choice, check_count, check_seed
from gatefield.core.errors import NumericalFailureError
from gatefield.core.results import Status
from gatefield.core.types import Array, HostArray
from gatefield.numerics.batches import over_batches
from gatefield.theory.dmft.marching import (
    check_steps,
    initial_variances,
    of_units,
    run,
    scheme_of,
    start,
    steps_of,
    units_of,
    with_room_for,
)
from gatefield.theory.dmft.result import TransientMeanField

_DEFAULT_STEP = 0.05
_SAVES = 200
_CHUNKS = 50  # a run can be watched and interrupted at least so often
_STREAM = 0x7472616E  # keeps the samples apart from networks that the same seed may draw


def solve_transient(
    cell: AbstractCell,
    t_max: float,
    *,
    inputs: Mapping[str, Any] | None = None,
    initial_variance: float | Mapping[str, float] = 1.0,
    samples: int = 4000,
    batches: int = 4,
    dt: float | None = None,
    scheme: str | None = None,
    save_every: float | None = None,
    dtype: str = "float64",
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> TransientMeanField:
    r"""Solve the two-time dynamical mean-field theory of a cell from random initial states.

    Each unit obeys its own rule, driven by independent zero-mean Gaussian fields with

    .. math:: \langle \eta^a(t)\, \eta^a(t') \rangle
        = \mathrm{gain}_a^2\, \langle y^a(t)\, y^a(t') \rangle.

    M sampled units march through time together. Their outputs so far, y_0 ... y_n in R^M, are
    written in an orthonormal basis, :math:`y_n = \sum_m R_{nm} q_m`, and the fields are
    :math:`u_n = \sum_m R_{nm} w_m` with independent entries :math:`N(0, \mathrm{gain}_a^2/M)` of
    every w_m: Gaussian, with covariance :math:`\mathrm{gain}_a^2\, y_n \cdot y_{n'} / M`. In law
    this is a network of M units whose couplings are drawn only where they are asked for,
    :math:`J q_m = w_m`.

    Parameters
    ----------
    cell
        Any cell with scalar parameters.
    t_max
        Duration, in units of the units' own time constant; number of steps for maps.
    inputs
        External input by drive name: a number or a function of time (of the step number, for maps)
        that all units share, or a `GaussianInput`, drawn for each unit.
    initial_variance
        The initial states are N(0, initial_variance): one number, or one for each component.
    samples
        Number M of sampled units in each batch, at least twice the number of steps.
    batches
        Number B >= 2 of independent batches, which give the standard errors.
    dt
        Step of a flow (default 0.05); the largest step not above it that divides ``t_max`` is
        taken. Maps have none.
    scheme
        "adams-bashforth" (default for flows, second order) or "euler" (as networks simulated so,
        step by step). Both are explicit: dt must be below the shortest time constant.
    save_every
        Time between saved values, rounded to whole steps (default: at most 200 of them); the last
        time is always saved.
    dtype
        "float64" or "float32", which halves memory and time.
    seed
        Same seed, same result.
    progress
        True shows a progress bar, False none; by default one appears on a terminal after 3 s.
    throw
        Raise if values are not finite; otherwise the failure is the result's status.

    Returns
    -------
    TransientMeanField
        Averages over M B units, errors from the B batches; NaN where a run did not arrive.

    Raises
    ------
    InvalidInputError
        For a cell with parameters of its own for each unit, more steps than half the samples, or
        options that do not fit.
    NumericalFailureError
        If ``throw`` and a value is not finite.

    Assumptions
    -----------
    The theory is that of infinitely many units; a batch deviates from it as a network of M units
    does, by terms of order 1/M in averages. The part of an output that is new by less than 1e-8 of
    its size (1e-4 in single precision) brings no field.

    Notes
    -----
    T steps cost of the order of B T R M operations, R <= T being the number of directions among the
    outputs, where a network's cost T M^2. The directions and their images take 8 B R M (K + number
    of distinct outputs) bytes, the saved quantities 8 B M each for every saved time.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. C19-C21.
    """
    cell, scheme = check_shared(cell), scheme_of(cell, scheme, dt)
    samples, batches = check_count("samples", samples), check_count("batches", batches, at_least=2)
    dtype = check_choice("dtype", dtype, ("float64", "float32"))
    variances, seed = initial_variances(cell, initial_variance), check_seed(seed)
    steps, step = steps_of(cell, "t_max", t_max, _DEFAULT_STEP if dt is None else dt)
    check_steps(steps, samples, "t_max")
    stride = math.ceil(steps / _SAVES)
    if save_every is not None:
        stride = max(1, round(as_number("save_every", save_every, positive=True) / step))
    saved = np.unique(np.append(np.arange(0, steps + 1, stride), steps))
    with jax.enable_x64(True):
        units = units_of(cell, inputs, samples, step, scheme, dtype)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), _STREAM), batches)
        values = _march(units, keys, np.sqrt(variances), saved, progress)
    finite = bool(np.all(np.isfinite(values)))
    if throw and not finite:
        hint = "Reduce dt: throw=False returns what was reached."
        raise NumericalFailureError(f"solve_transient ended with status 'diverged'. {hint}")
    # A run that diverged holds infinities, which give NaN here as they should.
    with np.errstate(all="ignore"):
        paths = dict(zip(quantity_names(cell), np.moveaxis(values, 1, 0), strict=True))
        moments = {name: _second_moments(x) for name, x in paths.items()}
        means = {name: over_batches(x.mean(-1, dtype=float)) for name, x in paths.items()}
    settings = {
        "samples": samples,
        "batches": batches,
        "scheme": scheme,
        "dt": step,
        "seed": seed,
        "initial_variance": tuple(variances.tolist()),
        "inputs": repr(dict(inputs or {})),
        "dtype": dtype,
    }
    return TransientMeanField(
        times=saved * step,
        covariance={name: both[0] for name, both in moments.items()},
        standard_error={name: both[1] for name, both in moments.items()},
        mean={name: both[0] for name, both in means.items()},
        mean_standard_error={name: both[1] for name, both in means.items()},
        cell=cell,
        status=Status.OK if finite else Status.DIVERGED,
        settings=tuple(settings.items()),
    )


@eqx.filter_jit
def _quantities(cell: AbstractCell, visited: tuple[Array, Array, Array]) -> Array:
    """Return the quantities of a visited state, (batch, quantity, M)."""
    return of_units(stacked_quantities, cell, *visited)


def _march(units, keys, deviations, saved, progress) -> HostArray:
    """March from stop to stop; return the quantities at saved steps, (batch, quantity, time, M)."""
    keys, march = start(units, keys, jnp.asarray(deviations))
    shape = (len(keys), len(quantity_names(units.cell)), len(saved), units.samples)
    values = np.full(shape, np.nan, units.dt.dtype)
    steps = int(saved[-1])
    stops = np.union1d(saved, np.arange(0, steps, max(1, steps // _CHUNKS))).tolist()
    bar = tqdm(
        total=steps + 1,
        disable=None if progress is None else not progress,
        delay=3.0 if progress is None else 0.0,
        desc="solve_transient",
        unit="step",
    )
    with bar:
        for before, stop in zip([-1, *stops[:-1]], stops, strict=True):
            histories = with_room_for(march.histories, stop - before)
            fixed = (units, keys, jnp.asarray(before + 1), jnp.asarray(stop + 1))
            march = run(fixed, march._replace(histories=histories))
            seen = np.asarray(_quantities(units.cell, march.visited))
            if stop in saved:
                values[:, :, np.searchsorted(saved, stop)] = seen
            bar.update(stop - before)
            if not np.all(np.isfinite(seen)):
                break
    return values


def _second_moments(paths: HostArray) -> tuple[HostArray, HostArray]:
    paths = paths.astype(np.float64)
    return over_batches(paths @ paths.swapaxes(1, 2) / paths.shape[-1])
