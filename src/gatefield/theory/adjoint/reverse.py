"""Adjoints of sampled units through the very couplings that their forward march has revealed."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells.base import over_units, stacked_outputs, stacked_rule
from gatefield.cells.parameters import stacked_gains
from gatefield.core.types import Array, Float, HostArray
from gatefield.numerics.revealed import History, reveal
from gatefield.theory.adjoint.march import field_stages
from gatefield.theory.adjoint.plan import CHUNK, room_for
from gatefield.theory.dmft.marching import (
    NEGLIGIBLE,
    March,
    Units,
    fresh_images,
    visit,
    with_room_for,
)


class Record(NamedTuple):
    """What the units of all batches went through in a window, (step, batch, ..., M) each.

    There is room for more steps than there are: each size is compiled anew.
    """

    state: Array
    bare: Array  # fields of unit gain
    drive: Array
    sent: Array


class Revealed(NamedTuple):
    """What is known of each field's couplings of unit gain, by field: J q_m = w_m."""

    basis: tuple[Float[Array, "batch row sample"], ...]
    images: tuple[Float[Array, "batch row sample"], ...]

    def nothing(self) -> Revealed:
        """Return the same of couplings of which nothing is known."""
        return jax.tree.map(jnp.zeros_like, self)


class Adjoint(NamedTuple):
    """Moments of an adjoint in each batch.

    Attributes
    ----------
    squares
        Mean over units of a_c^2, (batch, time, d), first to last in time BEFORE the end.
    couplings
        M^-2 times the squared gradient by the couplings of each field, (batch, K).
    parameters
        Mean over units of the squared gradient by each parameter, (batch, parameter).
    """

    squares: Float[HostArray, "batch time component"]
    couplings: Float[HostArray, "batch field"]
    parameters: Float[HostArray, "batch parameter"]


def march_and_record(
    units: Units, keys: Array, march: March, before: int, steps: int, bar: Any
) -> tuple[March, Record]:
    """March on through a window of so many steps; return its end and what happened."""
    shape = (room_for(steps), len(keys))
    count, drives = len(units.cell.field_names), len(units.cell.drive_names)
    sizes = (len(units.cell.state_names), count, drives, count)
    record = Record(*(jnp.zeros((*shape, size, units.samples), units.dt.dtype) for size in sizes))
    for first in range(0, steps, CHUNK):
        end = min(first + CHUNK, steps)
        march = march._replace(histories=with_room_for(march.histories, end - first))
        fixed = (units, keys, *(jnp.asarray(k) for k in (before, first, end)))
        march, record = _record(fixed, (march, record))
        bar.update(end - first)
    return march, record


@eqx.filter_jit(donate="all-except-first")
def _record(fixed, kept):
    units, keys, before, first, end = fixed

    def one(number, kept):
        march, record = kept
        march, step = visit(units, keys, before + number, march)
        seen = Record(march.visited[0], step.bare, march.visited[2], step.sent)
        put = jax.lax.dynamic_update_index_in_dim
        return march, Record(*(put(a, b, number, 0) for a, b in zip(record, seen, strict=True)))

    return jax.lax.fori_loop(first, end, one, kept)


def revealed(units: Units, march: March) -> Revealed:
    """Return what a forward march has revealed, field by field."""
    count, m = len(units.cell.field_names), units.samples
    basis, images = [jnp.zeros(())] * count, [jnp.zeros(())] * count
    for group, history in zip(units.wires.groups, march.histories, strict=True):
        for place, field in enumerate(group):
            basis[field] = history.directions()
            images[field] = history.images[:, :, place * m : (place + 1) * m]
    return Revealed(tuple(basis), tuple(images))


def march_back(
    units: Units,
    keys: Array,
    record: Record,
    steps: int,
    known: Revealed,
    terminal: Array,
    bar: Any,
) -> Adjoint:
    r"""March adjoints back through a window, exactly through what is known of the couplings.

    .. math:: J^T b = Q\, (W^T b) + (1 - Q Q^T)\, \tilde J^T b

    with Q the basis, W = J Q its images, and an independent :math:`\tilde J^T` that is drawn only
    along what is new in the b's. Each step is the exact transpose of the forward one.

    Parameters
    ----------
    units, keys
        The units, and keys of each batch and field.
    record, steps, known
        What the forward march went through, in how many steps, and what it revealed.
    terminal
        dL/ds at the end, (batch, d, M).
    bar
        Progress.
    """
    room, batches, _, m = record.state.shape
    stages = field_stages(units.wires)
    march = _March(
        terminal,
        jnp.zeros_like(terminal),
        jnp.zeros((batches, len(jax.tree.leaves(units.cell)), m)),
        tuple(History.empty(batches * len(stage), m, 1, terminal.dtype) for stage in stages),
        jnp.zeros((room, batches, len(units.cell.field_names), m)),
        jnp.zeros((room + 1, batches, terminal.shape[1])),
    )
    march = march._replace(squares=march.squares.at[0].set(jnp.mean(terminal**2, axis=-1)))
    # What runs is given away, and the terminal adjoint is used again.
    march = jax.tree.map(jnp.copy, march)
    for first in range(0, steps, CHUNK):
        end = min(first + CHUNK, steps)
        march = march._replace(histories=with_room_for(march.histories, end - first))
        numbers = tuple(jnp.asarray(k) for k in (steps, first, end))
        fixed = (units, keys, record, known, numbers, stages)
        march = _back(fixed, march)
        bar.update(end - first)
    couplings, parameters = _gradients(march.b, record.sent, march.parameters)
    squares = np.moveaxis(np.asarray(march.squares)[: steps + 1], 0, 1)
    return Adjoint(squares, np.asarray(couplings), np.asarray(parameters))


class _March(NamedTuple):
    """The adjoint after the step to come, and after the next; gradients; what was revealed."""

    a: Float[Array, "batch component sample"]
    later: Float[Array, "batch component sample"]
    parameters: Float[Array, "batch parameter sample"]
    histories: tuple[History, ...]
    b: Float[Array, "step batch field sample"]
    squares: Float[Array, "time batch component"]


@eqx.filter_jit(donate="all-except-first")
def _back(fixed, march: _March) -> _March:
    """Go back by the steps first ... end - 1, counted from the end of the window."""
    units, keys, record, known, (steps, first, end), stages = fixed

    def one(count, march):
        number = steps - 1 - count
        at = lambda each: jax.lax.dynamic_index_in_dim(each, number, keepdims=False)  # noqa: E731
        step = Record(*(at(each) for each in record))
        a, beyond = march.a, jnp.zeros_like(march.a)
        if units.scheme == "map":
            pulled = a
        elif units.scheme == "euler":
            pulled, beyond = units.dt * a, a
        else:
            # A window begins by Euler's step, as a march does.
            weight = jnp.where(number == 0, 1.0, 1.5)
            pulled, beyond = units.dt * (weight * a - 0.5 * march.later), a
        by_state, by_parameter, b, histories = _pull(
            units, keys, step, known, stages, pulled, count, march.histories
        )
        before = beyond + by_state
        seen = before
        if units.scheme == "adams-bashforth":
            # By the scheme's weights it is the adjoint half a step earlier, except at both ends.
            part = jnp.where(number == 0, 1.0, jnp.where(count == 0, 2 / 3, 0.5))
            seen = part * before + (1 - part) * a
        put = jax.lax.dynamic_update_index_in_dim
        return _March(
            before,
            a,
            march.parameters + by_parameter,
            histories,
            put(march.b, b, number, 0),
            put(march.squares, jnp.mean(seen**2, axis=-1), count + 1, 0),
        )

    return jax.lax.fori_loop(first, end, one, march)


def _pull(units, keys, step, known, stages, pulled, count, histories):
    """Return the step's transpose: by state, by parameters, b of the fields, the histories."""
    xi, b = jnp.zeros_like(step.bare), jnp.zeros_like(step.bare)
    batches, _, m = xi.shape
    kept = []
    for stage, history in zip(stages, histories, strict=True):
        places = np.array(stage)
        _, by_field, _ = _transposed(units, step, pulled, xi, b)
        b = b.at[:, places].set(by_field[:, places])
        fresh = fresh_images(keys, count, stage, units).reshape(-1, m)
        brought, history = reveal(
            history,
            b[:, places].reshape(-1, m),
            fresh,
            negligible=NEGLIGIBLE,
        )
        brought = brought.reshape(batches, len(stage), m)
        for place, field in enumerate(stage):
            received = _conditioned(
                known.basis[field], known.images[field], b[:, field], brought[:, place]
            )
            xi = xi.at[:, field].set(units.gains[field] * received)
        kept.append(history)
    by_state, _, by_parameter = _transposed(units, step, pulled, xi, b)
    return by_state, by_parameter, b, tuple(kept)


def _conditioned(basis, images, b, drawn):
    """Return Q (W^T b) + (1 - Q Q^T) drawn for each batch."""
    return drawn + jnp.einsum(
        "brm,br->bm",
        basis,
        jnp.einsum("brm,bm->br", images, b) - jnp.einsum("brm,bm->br", basis, drawn),
    )


def _transposed(units, step, pulled, xi, b):
    """Return A^T a + R^T xi, L^T a + Q^T xi and the same by parameters, (batch, ..., M) each."""

    def one(unit, s, bare, x, pulled, xi, b):
        def sent(unit, s, u):
            # A gain scales its field.
            own = stacked_gains(unit, s.dtype) * bare
            return stacked_rule(unit, s, u, x), stacked_outputs(unit, s, u, x), own

        _, back = jax.vjp(sent, unit, s, stacked_gains(unit, s.dtype) * bare)
        by_unit, by_state, by_field = back((pulled, xi, b))
        leaves = jax.tree.leaves(by_unit)
        return by_state, by_field, jnp.stack(leaves) if leaves else jnp.zeros((0,))

    return jax.vmap(lambda *each: over_units(one, units.cell, *each))(
        step.state, step.bare, step.drive, pulled, xi, b
    )


@jax.jit
def _gradients(b, sent, parameters):
    """Return the mean squared gradients by couplings (batch, K) and by parameters (batch, P)."""
    m = sent.shape[-1]
    # |sum_n b_n y_n^T|^2 = sum_nn' (b_n . b_n') (y_n . y_n')
    products = [
        jnp.sum(
            jnp.einsum("tbm,sbm->bts", b[:, :, field], b[:, :, field])
            * jnp.einsum("tbm,sbm->bts", sent[:, :, field], sent[:, :, field]),
            axis=(1, 2),
        )
        for field in range(b.shape[2])
    ]
    return jnp.stack(products, axis=1) / m**2, jnp.mean(parameters**2, axis=-1)
