"""Units driven round a period by Gaussian fields of given spectra: one sweep of sampled DMFT."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell, AbstractMap, quantity_names, wiring
from gatefield.cells.base import cast
from gatefield.cells.observables import stacked_quantities
from gatefield.core.types import Array, Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.periodic import drawn_path, power, refined, spectrum_of, white_noise

CHUNK = 256
"""Steps that are compiled together: every period is a multiple of it, and nothing recompiles."""

# Weights of the six nearest times in the middle of a step: their error is O(dt^6), below that of
# the Runge-Kutta step, for half the transforms that a grid of half steps would need.
_MIDDLE = (3 / 256, -25 / 256, 150 / 256, 150 / 256, -25 / 256, 3 / 256)
_BEFORE, _AFTER = 2, 3

Rows = list[Any]
"""One array for each component, field or random input, the sample axis last."""


class PathPlan(eqx.Module):
    """What paths are drawn of, and on which grid.

    Attributes
    ----------
    cell
        A cell with scalar parameters, in the precision of the paths.
    inputs
        Gaussian input by drive name.
    samples
        Number M of units.
    steps
        Number n of steps of the period, a multiple of `CHUNK`.
    dt
        Step, in units of the unit's time constant; 1 for maps.
    scheme
        "rk4", "euler", or "map".
    dtype
        Precision of the paths.
    groups
        For each distinct output the fields that read it.
    """

    cell: AbstractCell
    inputs: dict[str, GaussianInput]
    samples: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    scheme: str = eqx.field(static=True)
    dtype: str = eqx.field(static=True)
    groups: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    @classmethod
    def of_cell(
        cls,
        cell: AbstractCell,
        inputs: dict[str, GaussianInput],
        *,
        samples: int,
        steps: int,
        dt: float,
        scheme: str,
        dtype: str,
    ) -> PathPlan:
        """Return the plan of a cell, with its parameters cast and its wiring read."""
        scheme = "map" if isinstance(cell, AbstractMap) else scheme
        groups = wiring(cell).groups
        return cls(cast(cell, dtype), inputs, samples, steps, dt, scheme, dtype, groups)

    def with_grid(self, steps: int, dt: float) -> PathPlan:
        """Return the plan with another number of steps and another step."""
        return dataclasses.replace(self, steps=steps, dt=dt)

    @property
    def period(self) -> float:
        """Length of the period, in units of the unit's time constant (steps for maps)."""
        return self.steps * self.dt

    @property
    def driven(self) -> tuple[int, ...]:
        """Drives with random input, by their place."""
        names = self.cell.drive_names
        given = (self.inputs.get(name) for name in names)
        return tuple(
            place for place, each in enumerate(given) if each is not None and each.variance > 0
        )

    @property
    def moving_inputs(self) -> tuple[GaussianInput, ...]:
        """The random inputs that vary in time."""
        given = (self.inputs[self.cell.drive_names[place]] for place in self.driven)
        return tuple(each for each in given if not each.is_static)

    def gains(self) -> Float[HostArray, " field"]:
        """Return the gain of each field."""
        gains = self.cell.gains()
        return np.array([float(gains[name]) for name in self.cell.field_names])

    def means(self) -> Float[HostArray, " drive"]:
        """Return the mean of each drive."""
        given = (self.inputs.get(name) for name in self.cell.drive_names)
        return np.array([0.0 if each is None else each.mean for each in given], self.dtype)

    def lags(self) -> Float[HostArray, " lag"]:
        """Return the lags from 0 to half a period."""
        return self.dt * np.arange(self.steps // 2 + 1)

    def noise(self, key: Array, rows: int) -> list[HostArray]:
        """Return white noise (frequency, M) for paths on this grid."""
        return white_noise(key, rows=rows, steps=self.steps, samples=self.samples, dtype=self.dtype)


def field_spectra(
    plan: PathPlan, outputs: Float[HostArray, "output frequency"]
) -> Float[HostArray, "field frequency"]:
    """Return the spectrum of each field, gain^2 times that of the output that it reads."""
    source = {field: row for row, group in enumerate(plan.groups) for field in group}
    rows = np.stack([outputs[source[field]] for field in range(len(source))])
    return plan.gains()[:, None] ** 2 * rows


def _input_spectra(plan: PathPlan) -> Float[HostArray, "driven frequency"]:
    """Return the spectrum of each random input round the period, about its mean.

    The values at the steps drive a map, or a flow by Euler's method. A Runge-Kutta step sees a path
    in between, too: there it is the continuous path without its highest frequencies, to which a
    flow hardly answers; they would else be taken for lower ones.
    """
    lags = plan.lags()
    frequencies = 2 * np.pi / plan.period * np.arange(len(lags))
    rows: list[HostArray] = [np.zeros((0, len(lags)))]
    for place in plan.driven:
        given = plan.inputs[plan.cell.drive_names[place]]
        if given.is_static or plan.scheme != "rk4":
            row = spectrum_of(given.second_moment(lags) - given.mean**2)
        else:
            time = given.correlation_time
            row = 2 * given.variance * time / (1 + (frequencies * time) ** 2) / plan.dt
        rows.append(row[None])
    return np.concatenate(rows)


def driving_rows(
    plan: PathPlan, noise: Sequence[HostArray], fields: HostArray, workers: int = 1
) -> Rows:
    """Draw the paths of the fields and then of the random inputs, (time, sample) each."""
    spectra = [*fields, *_input_spectra(plan)]
    return [drawn_path(w, each, workers) for w, each in zip(noise, spectra, strict=True)]


def finer_rows(plan: PathPlan, noise: Sequence[HostArray], fields: HostArray) -> Rows:
    """Return the paths of `driving_rows`, as trigonometric polynomials, at every half step."""
    spectra = refined(np.concatenate([fields, _input_spectra(plan)]))
    return [drawn_path(w, each) for w, each in zip(noise, spectra, strict=True)]


# --- paths


def chunks(plan: PathPlan, rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Yield the first step of each chunk, and the part of the rows that its steps need."""
    before, after = (_BEFORE, _AFTER) if plan.scheme == "rk4" else (0, 0)
    for first in range(0, plan.steps, CHUNK):
        start, stop = first - before, first + CHUNK + after
        if start >= 0 and stop <= plan.steps:
            pieces = [row[start:stop] for row in rows]
        else:
            times = np.arange(start, stop) % plan.steps
            pieces = [row[times] for row in rows]
        yield first, pieces


def once_round(plan: PathPlan, state: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """Run every unit once round the period.

    Parameters
    ----------
    plan
        Cell and grid.
    state
        The components at the start, (M,) each.
    rows
        Fields and random inputs from `driving_rows`.

    Returns
    -------
    end, path
        The components at the end, (M,), and at every step, (n, M).
    """
    return _run(plan, state, rows, None)


def sweep(
    plan: PathPlan, noise: Sequence[HostArray], outputs: HostArray, state: Rows, workers: int = 1
) -> tuple[Float[HostArray, "output frequency"], Rows]:
    """Drive the units by fields of the outputs' spectra; return the outputs' spectra, the state."""
    rows = driving_rows(plan, noise, field_spectra(plan, outputs), workers)
    return sweep_rows(plan, rows, state, workers)


def sweep_rows(
    plan: PathPlan, rows: Rows, state: Rows, workers: int = 1
) -> tuple[Float[HostArray, "output frequency"], Rows]:
    """Run the units once round the period; return the spectra of distinct outputs, the state."""
    state, sent = _run(plan, state, rows, tuple(group[0] for group in plan.groups))
    return np.stack([power(path, workers) for path in sent]), state


def _run(plan: PathPlan, state: Rows, rows: Rows, firsts: tuple[int, ...] | None):
    means, dt = plan.means(), np.asarray(plan.dt, plan.dtype)
    count = len(state) if firsts is None else len(firsts)
    kept = [np.empty((plan.steps, plan.samples), plan.dtype) for _ in range(count)]
    for first, pieces in chunks(plan, rows):
        state, parts = _advance(
            plan.cell, state, pieces, means, dt, plan.scheme, plan.driven, firsts
        )
        for path, part in zip(kept, parts, strict=True):
            path[first : first + CHUNK] = part
    return [np.asarray(row) for row in state], kept


def quantity_spectra(
    plan: PathPlan, rows: Rows, state: Rows
) -> tuple[Float[HostArray, "quantity frequency"], Float[HostArray, " quantity"]]:
    """Return the power spectrum and the mean of every quantity of `quantity_names`."""
    _, states = once_round(plan, state, rows)
    d, k = len(states), len(plan.cell.field_names)
    means, buffer = plan.means(), np.empty((plan.steps, plan.samples), plan.dtype)

    def path(index):
        # One at a time, so that the paths of all quantities are never held together.
        if index < d + k:
            return states[index] if index < d else rows[index - d]
        for first in range(0, plan.steps, CHUNK):
            part = slice(first, first + CHUNK)
            pieces = [row[part] for row in states], [row[part] for row in rows]
            buffer[part] = _quantity(plan.cell, *pieces, means, np.asarray(index), plan.driven)
        return buffer

    shared = {d + k + field: d + k + group[0] for group in plan.groups for field in group[1:]}
    found = {}
    for index in range(len(quantity_names(plan.cell))):
        if index in shared:
            found[index] = found[shared[index]]
        else:
            values = path(index)
            found[index] = power(values), float(values.mean(dtype=np.float64))
    spectra, averages = zip(*found.values(), strict=True)
    return np.stack(spectra), np.array(averages)


# --- compiled parts. Components and fields are separate arrays: then a step is compiled into a few
# fused loops over the samples, three times as fast as with stacked arrays.


def split(cell: AbstractCell, rows: Sequence[Any], means: Any, driven: tuple[int, ...]):
    """Return fields and drives by name, each (M,), from the driving rows at one time."""
    count = len(cell.field_names)
    fields = dict(zip(cell.field_names, rows[:count], strict=True))
    drive = {
        name: jnp.broadcast_to(means[place], jnp.shape(rows[0]))
        for place, name in enumerate(cell.drive_names)
    }
    for place, row in zip(driven, rows[count:], strict=True):
        drive[cell.drive_names[place]] = means[place] + row
    return fields, drive


def changes(cell: AbstractCell, state: tuple, rows: Sequence[Any], means: Any, driven: tuple):
    """Return the rule of every unit, one array (M,) for each component."""
    fields, drive = split(cell, rows, means, driven)
    changed = jax.vmap(cell.rule)(dict(zip(cell.state_names, state, strict=True)), fields, drive)
    return tuple(changed[name].astype(state[0].dtype) for name in cell.state_names)


def outputs_of(cell: AbstractCell, state: tuple, rows: Sequence[Any], means: Any, driven: tuple):
    """Return what every unit sends, one array (M,) for each field."""
    fields, drive = split(cell, rows, means, driven)
    sent = jax.vmap(cell.outputs)(dict(zip(cell.state_names, state, strict=True)), fields, drive)
    return tuple(sent[name].astype(state[0].dtype) for name in cell.field_names)


def forcing(rows: Sequence[Any], number: Any, scheme: str) -> Callable[[int], tuple]:
    """Return the rows at the start, in the middle and at the end (0, 1, 2) of a step of a chunk."""

    def at(index):
        return tuple(jax.lax.dynamic_index_in_dim(row, index, keepdims=False) for row in rows)

    if scheme != "rk4":
        here = at(number)
        return lambda _: here
    near = [at(number + i) for i in range(_BEFORE + _AFTER + 1)]
    middle = tuple(
        sum(weight * value for weight, value in zip(_MIDDLE, values, strict=True))
        for values in zip(*near, strict=True)
    )
    return (near[_BEFORE], middle, near[_BEFORE + 1]).__getitem__


def one_step(velocity: Callable, state: Any, at: Callable, dt: Any, scheme: str) -> Any:
    """Advance a pytree by one step of a flow or a map, driven by `forcing`."""
    if scheme == "map":
        return velocity(state, at(0))

    def moved(by, slope):
        return jax.tree.map(lambda s, k: s + by * k, state, slope)

    k1 = velocity(state, at(0))
    if scheme == "euler":
        return moved(dt, k1)
    half = dt / 2
    k2 = velocity(moved(half, k1), at(1))
    k3 = velocity(moved(half, k2), at(1))
    k4 = velocity(moved(dt, k3), at(2))
    return moved(dt, jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4))


@eqx.filter_jit
def _advance(cell, state, rows, means, dt, scheme, driven, firsts):
    """Run one chunk; return its end and at each step the outputs named, or else the components."""

    def step(state, number):
        at = forcing(rows, number, scheme)
        kept = state
        if firsts is not None:
            sent = outputs_of(cell, state, at(0), means, driven)
            kept = tuple(sent[first] for first in firsts)
        after = one_step(
            lambda s, force: changes(cell, s, force, means, driven), state, at, dt, scheme
        )
        return after, kept

    end, kept = jax.lax.scan(step, tuple(state), jnp.arange(CHUNK))
    return list(end), list(kept)


@eqx.filter_jit
def _quantity(cell, states, rows, means, which, driven):
    """Return one quantity along one chunk, (step, M); which one is no compiled constant."""

    def one(state, at):
        fields, drive = split(cell, at, means, driven)
        stacked = [
            jnp.stack([values[name] for name in names]) if names else jnp.zeros((0,))
            for values, names in ((fields, cell.field_names), (drive, cell.drive_names))
        ]
        return stacked_quantities(cell, jnp.stack(state), *stacked)[which]

    return jax.vmap(jax.vmap(one))(tuple(states), tuple(rows))
