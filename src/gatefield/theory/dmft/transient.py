"""Mean-field theory of transients, for any cell: one causal march through time."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractCell, AbstractMap, Wiring, quantity_names
from gatefield.cells.base import cast, check_cell, over_units, stacked_outputs, stacked_rule
from gatefield.cells.observables import stacked_quantities
from gatefield.core.checks import as_number, check_choice, check_count, check_names, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.core.types import Array, Float, HostArray
from gatefield.networks import Network
from gatefield.networks.inputs import Drive, drive_of
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.revealed import FIRST_ROOM, History, reveal
from gatefield.theory.dmft.result import TransientMeanField

_DEFAULT_STEP = 0.05
_SAVES = 200
_CHUNKS = 50  # a run can be watched and interrupted at least so often
_NEGLIGIBLE = 1e-8  # part of an output, relative to its size, whose field is left out
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
    check_cell(cell)
    for name, value in {**vars(cell), **cell.gains()}.items():
        if np.ndim(value) > 0:
            remedy = "Sampled units share their parameters: give random ones as a GaussianInput."
            refuse(f"cell.{name}.shape", np.shape(value), "()", remedy)
    is_map = isinstance(cell, AbstractMap)
    schemes = ("map",) if is_map else ("adams-bashforth", "euler")
    scheme = check_choice("scheme", schemes[0] if scheme is None else scheme, schemes)
    if is_map and dt is not None:
        refuse("dt", dt, "None for a map", "Maps advance step by step.")
    samples, batches = check_count("samples", samples), check_count("batches", batches, at_least=2)
    dtype = check_choice("dtype", dtype, ("float64", "float32"))
    variances = _variances(cell, initial_variance)
    seed, t_max = check_seed(seed), as_number("t_max", t_max, positive=True)
    if is_map:
        steps, step = check_count("t_max (steps of a map)", t_max), 1.0
    else:
        step = as_number("dt", _DEFAULT_STEP if dt is None else dt, positive=True)
        steps = max(1, math.ceil(t_max / step * (1 - 1e-12)))
        step = t_max / steps
    if 2 * steps > samples:
        remedy = "Raise samples, shorten t_max, or simulate a network of that size instead."
        refuse("number of steps", steps, f"at most samples / 2 = {samples // 2}", remedy)
    stride = math.ceil(steps / _SAVES)
    if save_every is not None:
        stride = max(1, round(as_number("save_every", save_every, positive=True) / step))
    saved = np.unique(np.append(np.arange(0, steps + 1, stride), steps))
    with jax.enable_x64(True):
        problem = _problem(cell, inputs, samples, step, scheme, dtype)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), _STREAM), batches)
        values = _march(problem, keys, np.sqrt(variances), saved, progress)
    finite = bool(np.all(np.isfinite(values)))
    if throw and not finite:
        hint = "Reduce dt: throw=False returns what was reached."
        raise NumericalFailureError(f"solve_transient ended with status 'diverged'. {hint}")
    # A run that diverged holds infinities, which give NaN here as they should.
    with np.errstate(all="ignore"):
        paths = dict(zip(quantity_names(cell), np.moveaxis(values, 1, 0), strict=True))
        moments = {name: _second_moments(x) for name, x in paths.items()}
        means = {name: _over_batches(x.mean(-1, dtype=float)) for name, x in paths.items()}
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


def _variances(cell: AbstractCell, given: Any) -> Float[HostArray, " component"]:
    names, label = cell.state_names, "initial_variance[{!r}]".format
    if not isinstance(given, Mapping):
        given = dict.fromkeys(names, as_number("initial_variance", given, nonnegative=True))
    check_names("initial_variance", given, names, every=True)
    return np.array([as_number(label(name), given[name], nonnegative=True) for name in names])


class _Problem(eqx.Module):
    """What the sampled units obey; ``drive`` is common to them, ``noisy`` drives add their own."""

    cell: AbstractCell
    drive: Drive
    dt: Array
    deviation: Float[Array, " noisy"]
    keep: Float[Array, " noisy"]
    kick: Float[Array, " noisy"]
    noisy: tuple[int, ...] = eqx.field(static=True)
    wires: Wiring = eqx.field(static=True)
    scheme: str = eqx.field(static=True)
    samples: int = eqx.field(static=True)


def _problem(cell, inputs, samples, step, scheme, dtype) -> _Problem:
    # A network of one unit: what drives it drives all.
    silent = dict.fromkeys(cell.field_names, [[0.0]])
    unit = Network.of_couplings(cast(cell, dtype), silent, dtype=dtype)
    given = dict(inputs) if isinstance(inputs, Mapping) else {}
    random = {name: value for name, value in given.items() if isinstance(value, GaussianInput)}
    given.update({name: value.mean for name, value in random.items()})
    for name, value in given.items():
        if not callable(value) and np.ndim(value) > 0:
            remedy = "Sampled units share it; for input of their own pass a GaussianInput."
            refuse(f"inputs[{name!r}].shape", np.shape(value), "(): one number", remedy)
    lags = np.array([step / value.correlation_time for value in random.values()])
    return _Problem(
        cell=unit.cell,
        drive=drive_of(unit, given if isinstance(inputs, Mapping) else inputs),
        dt=jnp.asarray(step, dtype),
        deviation=jnp.asarray([math.sqrt(value.variance) for value in random.values()], dtype),
        keep=jnp.asarray(np.exp(-lags), dtype),
        kick=jnp.asarray(np.sqrt(-np.expm1(-2 * lags)), dtype),
        noisy=tuple(cell.drive_names.index(name) for name in random),
        wires=unit.wiring,
        scheme=scheme,
        samples=samples,
    )


class _March(NamedTuple):
    """The next state to visit; state, fields and drive of the last visited; what both need."""

    state: Float[Array, "batch component sample"]
    slope: Float[Array, "batch component sample"]
    noise: Float[Array, "batch noisy sample"]
    visited: tuple[Array, Array, Array]
    histories: tuple[History, ...]


def _normal(keys: Array, number: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return standard normal numbers, (batch, ...), of each batch's key and a number."""
    draw = lambda key: jax.random.normal(jax.random.fold_in(key, number), shape, dtype)  # noqa: E731
    return jax.vmap(draw)(keys)


def _of_units(function: Any, cell: AbstractCell, *arrays: Array) -> Array:
    """Apply a function of one unit to all units of all batches."""
    return jax.vmap(lambda *columns: over_units(function, cell, *columns))(*arrays)


def _visit(problem: _Problem, keys: Array, number: Array, march: _March) -> _March:
    """Reveal the fields at a step, stage by stage, and advance the state to the next one."""
    cell, m, state, dtype = problem.cell, problem.samples, march.state, march.state.dtype
    shape, is_map = (len(state), len(cell.drive_names), m), problem.scheme == "map"
    fresh = _normal(keys[:, -1], number, march.noise.shape[1:], dtype)
    noise = problem.keep[:, None] * march.noise + problem.kick[:, None] * fresh
    noise = jnp.where(number == 0, fresh, noise)
    drive = problem.drive(number if is_map else number.astype(dtype) * problem.dt)
    drive = jnp.broadcast_to(drive, shape)
    drive = drive.at[:, np.array(problem.noisy, int)].add(problem.deviation[:, None] * noise)
    gains, histories = cell.gains(), list(march.histories)
    rows = [jnp.zeros_like(state[:, 0])] * len(cell.field_names)
    for stage in problem.wires.stages:
        sent = _of_units(stacked_outputs, cell, state, jnp.stack(rows, axis=1), drive)
        for index in stage:
            group = problem.wires.groups[index]
            scales = [gains[cell.field_names[field]] / math.sqrt(m) for field in group]
            fresh = [
                jnp.asarray(scale, dtype) * _normal(keys[:, field], number, (m,), dtype)
                for scale, field in zip(scales, group, strict=True)
            ]
            brought, histories[index] = reveal(
                histories[index],
                sent[:, group[0]],
                jnp.concatenate(fresh, axis=1),
                negligible=_NEGLIGIBLE,
            )
            for place, field in enumerate(group):
                rows[field] = brought[:, place]
    units = (state, jnp.stack(rows, axis=1), drive)
    change = _of_units(stacked_rule, cell, *units)
    if is_map:
        later = change
    elif problem.scheme == "euler":
        later = state + problem.dt * change
    else:
        # The first step is Euler's: an error of order dt^2, once, leaves the second order.
        before = jnp.where(number == 0, change, march.slope)
        later = state + problem.dt * (1.5 * change - 0.5 * before)
    return _March(later, change, noise, units, tuple(histories))


@eqx.filter_jit(donate="all-except-first")
def _run(fixed: tuple[_Problem, Array, Array, Array], march: _March) -> tuple[_March, Array]:
    """Visit the steps first ... end - 1; return the quantities (batch, quantity, M) of the last."""
    problem, keys, first, end = fixed
    march = jax.lax.fori_loop(first, end, functools.partial(_visit, problem, keys), march)
    return march, _of_units(stacked_quantities, problem.cell, *march.visited)


@eqx.filter_jit
def _start(problem: _Problem, keys: Array, deviations: Array) -> tuple[Array, _March]:
    """Return each batch's keys (of each field's couplings, of the input) and its march's start."""
    cell, m, dtype = problem.cell, problem.samples, problem.dt.dtype
    zeros = lambda *shape: jnp.zeros((len(keys), *shape), dtype)  # noqa: E731
    keys = jax.vmap(lambda key: jax.random.split(key, len(cell.field_names) + 2))(keys)
    normal = _normal(keys[:, 0], 0, (len(cell.state_names), m), dtype)
    state = deviations.astype(dtype)[:, None] * normal
    units = (state, zeros(len(cell.field_names), m), zeros(len(cell.drive_names), m))
    empty = tuple(History.empty(len(keys), m, len(group), dtype) for group in problem.wires.groups)
    return keys[:, 1:], _March(state, 0 * state, zeros(len(problem.noisy), m), units, empty)


def _march(problem, keys, deviations, saved, progress) -> HostArray:
    """March from stop to stop; return the quantities at saved steps, (batch, quantity, time, M)."""
    keys, march = _start(problem, keys, jnp.asarray(deviations))
    shape = (len(keys), len(quantity_names(problem.cell)), len(saved), problem.samples)
    values = np.full(shape, np.nan, problem.dt.dtype)
    steps, room = int(saved[-1]), FIRST_ROOM
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
            needed = max(int(each.rows) for each in march.histories) + 1 + stop - before
            if needed > room:
                # Every step multiplies all the room there is, and each size is compiled anew.
                room = 2 ** math.ceil(math.log2(needed))
                grown = tuple(each.with_room(room) for each in march.histories)
                march = march._replace(histories=grown)
            first, end = jnp.asarray(before + 1), jnp.asarray(stop + 1)
            march, seen = _run((problem, keys, first, end), march)
            if stop in saved:
                values[:, :, np.searchsorted(saved, stop)] = seen
            bar.update(stop - before)
            if not np.all(np.isfinite(seen)):
                break
    return values


def _second_moments(paths: HostArray) -> tuple[HostArray, HostArray]:
    paths = paths.astype(np.float64)
    return _over_batches(paths @ paths.swapaxes(1, 2) / paths.shape[-1])


def _over_batches(values: HostArray) -> tuple[HostArray, HostArray]:
    return values.mean(0), values.std(0, ddof=1) / math.sqrt(len(values))
