"""Sampled units that march through time: a network whose couplings are drawn where asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell, AbstractMap, Wiring
from gatefield.cells.base import cast, over_units, stacked_outputs, stacked_rule
from gatefield.cells.parameters import stacked_gains
from gatefield.core.checks import as_number, check_choice, check_count, check_names
from gatefield.core.errors import refuse
from gatefield.core.types import Array, Float, HostArray
from gatefield.networks import Network
from gatefield.networks.inputs import Drive, drive_of
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.revealed import FIRST_ROOM, History, reveal

NEGLIGIBLE = 1e-8
"""Part of an output, relative to its size, whose field is left out."""

_SHORTENED = "Raise samples, shorten {}, or simulate a network of that size instead."


class Units(eqx.Module):
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

    @property
    def gains(self) -> Float[Array, " field"]:
        """Return the gain of each field, in order."""
        return stacked_gains(self.cell, self.dt.dtype)


class March(NamedTuple):
    """The next state to visit; state, fields and drive of the last visited; what both need."""

    state: Float[Array, "batch component sample"]
    slope: Float[Array, "batch component sample"]
    noise: Float[Array, "batch noisy sample"]
    visited: tuple[Array, Array, Array]
    histories: tuple[History, ...]


class Step(NamedTuple):
    """What a step brought: fields of unit gain, the outputs sent, what the rule says."""

    bare: Float[Array, "batch field sample"]
    sent: Float[Array, "batch field sample"]
    change: Float[Array, "batch component sample"]


def scheme_of(cell: AbstractCell, scheme: str | None, dt: Any) -> str:
    """Return the scheme: "map", or by default "adams-bashforth"; refuse a step for maps."""
    is_map = isinstance(cell, AbstractMap)
    schemes = ("map",) if is_map else ("adams-bashforth", "euler")
    scheme = check_choice("scheme", schemes[0] if scheme is None else scheme, schemes)
    if is_map and dt is not None:
        refuse("dt", dt, "None for a map", "Maps advance step by step.")
    return scheme


def steps_of(cell: AbstractCell, name: str, duration: Any, dt: float) -> tuple[int, float]:
    """Return number and length of the steps that make up a duration; those of maps have length 1.

    Parameters
    ----------
    cell
        A flow or a map.
    name, duration
        What it is called in messages, and the duration: positive, whole for maps.
    dt
        The largest step of a flow.
    """
    duration = as_number(name, duration, positive=True)
    if isinstance(cell, AbstractMap):
        return check_count(f"{name} (steps of a map)", duration), 1.0
    steps = max(1, math.ceil(duration / as_number("dt", dt, positive=True) * (1 - 1e-12)))
    return steps, duration / steps


def check_steps(steps: int, samples: int, duration: str) -> None:
    """Refuse more steps than half the samples."""
    if 2 * steps > samples:
        expected = f"at most samples / 2 = {samples // 2}"
        refuse("number of steps", steps, expected, _SHORTENED.format(duration))


def initial_variances(cell: AbstractCell, given: Any) -> Float[HostArray, " component"]:
    """Return the variance of each component at the start, from one number or a mapping by name."""
    names, label = cell.state_names, "initial_variance[{!r}]".format
    if not isinstance(given, Mapping):
        given = dict.fromkeys(names, as_number("initial_variance", given, nonnegative=True))
    check_names("initial_variance", given, names, every=True)
    return np.array([as_number(label(name), given[name], nonnegative=True) for name in names])


def units_of(
    cell: AbstractCell, inputs: Any, samples: int, step: float, scheme: str, dtype: str
) -> Units:
    """Check external inputs, as `gatefield.solve_transient` takes them, and return the units."""
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
    return Units(
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


def normal(keys: Array, number: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return standard normal numbers, (batch, ...), of each batch's key and a number."""
    draw = lambda key: jax.random.normal(jax.random.fold_in(key, number), shape, dtype)  # noqa: E731
    return jax.vmap(draw)(keys)


def of_units(function: Callable[..., Any], cell: AbstractCell, *arrays: Array) -> Any:
    """Apply a function of one unit to all units of all batches."""
    return jax.vmap(lambda *columns: over_units(function, cell, *columns))(*arrays)


def fresh_images(keys: Array, number: Any, fields: tuple[int, ...], units: Units) -> Array:
    """Return what couplings of unit gain make of a new direction, (batch, fields * M)."""
    m, dtype = units.samples, units.dt.dtype
    drawn = normal(keys[:, np.array(fields)].reshape(-1), number, (m,), dtype)
    return drawn.reshape(len(keys), -1) / jnp.asarray(math.sqrt(m), dtype)


def driven(units: Units, keys: Array, number: Array, noise: Array) -> tuple[Array, Array]:
    """Return the random input and the drive, (batch, drive, M), at a step after ``noise``."""
    is_map, dtype = units.scheme == "map", noise.dtype
    fresh = normal(keys[:, -1], number, noise.shape[1:], dtype)
    noise = units.keep[:, None] * noise + units.kick[:, None] * fresh
    noise = jnp.where(number == 0, fresh, noise)
    drive = units.drive(number if is_map else number.astype(dtype) * units.dt)
    drive = jnp.broadcast_to(drive, (len(keys), len(units.cell.drive_names), units.samples))
    return noise, drive.at[:, np.array(units.noisy, int)].add(units.deviation[:, None] * noise)


def advanced(units: Units, number: Array, state: Array, change: Array, before: Array) -> Array:
    """Return the next state, from what the rule says of this one and said of the one before."""
    if units.scheme == "map":
        return change
    if units.scheme == "euler":
        return state + units.dt * change
    # The first step is Euler's: an error of order dt^2, once, leaves the second order.
    before = jnp.where(number == 0, change, before)
    return state + units.dt * (1.5 * change - 0.5 * before)


def visit(units: Units, keys: Array, number: Array, march: March) -> tuple[March, Step]:
    """Reveal the fields at a step, stage by stage, and advance the state to the next one."""
    cell, state = units.cell, march.state
    noise, drive = driven(units, keys, number, march.noise)
    histories = list(march.histories)
    bare = [jnp.zeros_like(state[:, 0])] * len(cell.field_names)
    outputs = list(bare)
    for stage in units.wires.stages:
        fields = units.gains[:, None] * jnp.stack(bare, axis=1)
        sent = of_units(stacked_outputs, cell, state, fields, drive)
        for index in stage:
            group = units.wires.groups[index]
            fresh = fresh_images(keys, number, group, units)
            vector = sent[:, group[0]]
            brought, histories[index] = reveal(
                histories[index], vector, fresh, negligible=NEGLIGIBLE
            )
            for place, field in enumerate(group):
                bare[field], outputs[field] = brought[:, place], vector
    step = jnp.stack(bare, axis=1)
    visited = (state, units.gains[:, None] * step, drive)
    change = of_units(stacked_rule, cell, *visited)
    later = advanced(units, number, state, change, march.slope)
    march = March(later, change, noise, visited, tuple(histories))
    return march, Step(step, jnp.stack(outputs, axis=1), change)


@eqx.filter_jit(donate="all-except-first")
def run(fixed: tuple[Units, Array, Array, Array], march: March) -> March:
    """Visit the steps first ... end - 1."""
    units, keys, first, end = fixed
    one = lambda number, march: visit(units, keys, number, march)[0]  # noqa: E731
    return jax.lax.fori_loop(first, end, one, march)


@eqx.filter_jit
def start(units: Units, keys: Array, deviations: Array) -> tuple[Array, March]:
    """Return each batch's keys (of each field's couplings, of the input) and its march's start."""
    cell, m, dtype = units.cell, units.samples, units.dt.dtype
    zeros = lambda *shape: jnp.zeros((len(keys), *shape), dtype)  # noqa: E731
    keys = jax.vmap(lambda key: jax.random.split(key, len(cell.field_names) + 2))(keys)
    drawn = normal(keys[:, 0], 0, (len(cell.state_names), m), dtype)
    state = deviations.astype(dtype)[:, None] * drawn
    visited = (state, zeros(len(cell.field_names), m), zeros(len(cell.drive_names), m))
    empty = tuple(History.empty(len(keys), m, len(group), dtype) for group in units.wires.groups)
    return keys[:, 1:], March(state, 0 * state, zeros(len(units.noisy), m), visited, empty)


def with_room_for(histories: tuple[History, ...], more: int) -> tuple[History, ...]:
    """Return histories that have room for so many more directions, in powers of two."""
    rows = max((int(each.rows) for each in histories), default=0)
    held = max((each.basis.shape[1] for each in histories), default=FIRST_ROOM)
    if rows + 1 + more <= held:
        return histories
    # Every step multiplies all the room there is, and each size is compiled anew.
    room = 2 ** math.ceil(math.log2(rows + 1 + more))
    return tuple(each.with_room(room) for each in histories)
