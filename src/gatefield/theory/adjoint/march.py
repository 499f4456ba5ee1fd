"""The adjoint of sampled units, marched backwards along their paths: one causal pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell, Wiring
from gatefield.cells.base import cast, stacked_outputs, stacked_rule
from gatefield.cells.parameters import parameter_names, per_gain, stacked_gains
from gatefield.core.types import Array, Float, HostArray
from gatefield.numerics.revealed import History, reveal

CHUNK = 8
"""Steps that are compiled together; histories get more room between them."""

_ROOM = 128  # directions for which there is room at first

# Places, weights of the slope before, weights in the sum, and numbers of the visits of a step.
_VISITS = {
    "rk4": ([0, 1, 1, 2], [0.0, 0.5, 0.5, 1.0], [1 / 6, 1 / 3, 1 / 3, 1 / 6], [0, 1, 2, 3]),
    "euler": ([0], [0.0], [1.0], [0]),
    "map": ([0], [0.0], [1.0], [0]),
}

_NEGLIGIBLE = 1e-2  # part of an adjoint, relative to its size, whose field is left out: 1e-4 of C


class Nodes(NamedTuple):
    """What units went through at the times that a march visits, first to last in time.

    Attributes
    ----------
    state, fields, drive
        (node, d, M), (node, K, M) and (node, drives, M).
    source
        What is added to -da/dt (maps: to a), (node, d, M).
    """

    state: Any
    fields: Any
    drive: Any
    source: Any


class Adjoint(NamedTuple):
    """The adjoint of one batch of units, first to last in time BEFORE the end.

    Attributes
    ----------
    state
        a, (time, d, M): at the end, and after each step back.
    fields
        b, the adjoint of the fields, (time, K, M): what meets the outputs at the same time.
    parameters
        The units' own gradients by each parameter, (parameter, M).
    directions
        Along how many directions the transposed couplings were drawn, at most over the fields.
    """

    state: Float[HostArray, "time component sample"]
    fields: Float[HostArray, "time field sample"]
    parameters: Float[HostArray, "parameter sample"]
    directions: int


class _March(NamedTuple):
    adjoint: Float[Array, "component sample"]
    parameters: Float[Array, "parameter sample"]
    histories: tuple[History, ...]


def march_back(
    cell: AbstractCell,
    wires: Wiring,
    nodes: Nodes,
    terminal: Float[HostArray, "component sample"],
    key: Array,
    *,
    dt: float,
    scheme: str,
    advance: Callable[[int], Any] = lambda steps: None,
) -> Adjoint:
    r"""March a batch of adjoints back in time, drawing transposed couplings where they are met.

    .. math:: -\dot a = A^T a + R^T \xi + c, \qquad b = L^T a + Q^T \xi, \qquad \xi^a = J^{aT} b^a

    "rk4" visits the paths at every half step, "euler" and "map" at every step,

    .. math:: a_n = a_{n+1} + dt\,(A_n^T a_{n+1} + R_n^T \xi_n), \qquad
        a_n = A_n^T a_{n+1} + R_n^T \xi_n,

    the exact transposes of the forward steps.

    Parameters
    ----------
    cell, wires
        A cell with scalar parameters, and its wiring.
    nodes
        The paths: 2 S + 1 nodes for S steps of "rk4"; S + 1 else, the last of which is not visited.
    terminal
        a at the end.
    key
        Draws the transposed couplings.
    dt, scheme
        Step (1 for maps), and "rk4", "euler" or "map".
    advance
        Called with the number of steps done.
    """
    cell, a = cast(cell, jnp.float64), jnp.asarray(terminal, jnp.float64)
    steps, m = (len(nodes.state) - 1) // _nodes(scheme), a.shape[-1]
    gains = stacked_gains(cell)
    fixed = (
        cell,
        (gains / math.sqrt(m)).astype(jnp.float32),
        key,
        jnp.asarray(dt),
        jnp.asarray(steps),
    )
    stages = field_stages(wires)
    march = _March(
        a,
        jnp.zeros((len(parameter_names(cell)), m)),
        tuple(History.empty(len(stage), m, 1, jnp.float32).with_room(_ROOM) for stage in stages),
    )
    room, visits = _ROOM, len(_VISITS[scheme][0])
    states = np.empty((steps + 1, *a.shape))
    betas = np.zeros((steps + 2, len(gains), m))
    later = 0 if scheme == "rk4" else 1
    # One step more than there are: its start is the end of the last.
    for first in range(0, steps + 1, CHUNK):
        needed = max(int(each.rows) for each in march.histories) + 1 + visits * CHUNK
        if needed > room:
            # Every step multiplies all the room there is, and each size is compiled anew.
            room = 2 ** math.ceil(math.log2(needed))
            grown = tuple(each.with_room(room) for each in march.histories)
            march = march._replace(histories=grown)
        piece = _piece(nodes, steps, first, scheme)
        march, (a, b) = _run(fixed, march, piece, jnp.asarray(first), stages, scheme)
        count = min(CHUNK, steps + 1 - first)
        states[first : first + count] = np.asarray(a)[:count]
        betas[first + later :][:count] = np.asarray(b)[:count]
        advance(min(count, steps - first))
    directions = max(int(each.rows) for each in march.histories)
    return Adjoint(states, betas[: steps + 1], np.asarray(march.parameters), directions)


def field_stages(wires: Wiring) -> tuple[tuple[int, ...], ...]:
    """Return the fields in the order in which adjoints reach them: the last sent comes first."""
    return tuple(
        tuple(field for index in stage for field in wires.groups[index])
        for stage in reversed(wires.stages)
    )


def _nodes(scheme: str) -> int:
    """Return how many nodes lie in a step."""
    return 2 if scheme == "rk4" else 1


def _piece(nodes: Nodes, steps: int, first: int, scheme: str) -> Nodes:
    """Return the nodes of a chunk of steps, last to first; the first stands for those before it."""
    per = _nodes(scheme)
    start = per * (steps - first) if scheme == "rk4" else steps - first - 1
    places = np.maximum(start - np.arange(per * CHUNK + (scheme == "rk4")), 0)
    return Nodes(*(np.asarray(each[places], np.float64) for each in nodes))


@eqx.filter_jit
def _run(fixed, march, nodes, first, stages, scheme):
    """Go back by one chunk of steps; return at each its start: a, and the fields' adjoint there."""
    cell, scales, key, dt, steps = fixed
    per = _nodes(scheme)

    def step(march, number):
        def at(place):
            return jax.tree.map(
                lambda each: jax.lax.dynamic_index_in_dim(each, place, keepdims=False), nodes
            )

        def visit(carry, stage):
            slope, total, histories = carry
            place, ahead, weight, draw = stage
            fresh = jax.random.normal(
                jax.random.fold_in(key, 4 * (first + number) + draw),
                (len(scales), march.adjoint.shape[-1]),
                jnp.float32,
            )
            a = march.adjoint + ahead * dt * slope
            node = at(per * number + place)
            slope, q, b, histories = _pull(
                cell, stages, scales[:, None] * fresh, node, a, histories
            )
            total = jax.tree.map(lambda one, sum_: sum_ + weight * one, (slope, q), total)
            return (slope, total, histories), (b, node.source)

        silent = (jnp.zeros_like(march.adjoint), jnp.zeros_like(march.parameters))
        (_, (slope, q), histories), (b, entering) = jax.lax.scan(
            visit,
            (silent[0], silent, march.histories),
            tuple(jnp.asarray(each) for each in _VISITS[scheme]),
        )
        a = march.adjoint
        if scheme == "map":
            after = slope
        elif scheme == "euler":
            after = a + dt * (slope - entering[0]) + entering[0]
        else:
            after = a + dt * slope
        real = first + number < steps
        parameters = march.parameters + jnp.where(real, dt, 0.0) * q
        return _March(after, parameters, histories), (a, b[0])

    return jax.lax.scan(step, march, jnp.arange(CHUNK))


def _pull(cell, stages, fresh, node, a, histories):
    """Return A^T a + R^T xi + c, the gradients by parameters, b, and the histories."""
    units = (node.state, node.fields, node.drive)
    xi, b = jnp.zeros_like(node.fields), jnp.zeros_like(node.fields)
    kept = []
    for stage, history in zip(stages, histories, strict=True):
        places = np.array(stage)
        _, by_field, _ = _transposed(cell, *units, a, xi, b)
        b = b.at[places].set(by_field[places])
        # Adjoints grow without bound, and their histories are large: these are in single precision.
        size = jnp.max(jnp.abs(b[places]), axis=1, keepdims=True)
        scaled = (b[places] / jnp.where(size > 0, size, 1.0)).astype(jnp.float32)
        brought, history = reveal(history, scaled, fresh[places], negligible=_NEGLIGIBLE)
        xi = xi.at[places].set(size * brought[:, 0])
        kept.append(history)
    by_state, _, by_parameter = _transposed(cell, *units, a, xi, b)
    return by_state + node.source, by_parameter, b, tuple(kept)


def _transposed(cell, state, fields, drive, a, xi, b):
    """Return A^T a + R^T xi, L^T a + Q^T xi and the same by parameters, (..., M) each."""

    def one(s, u, x, a, xi, b):
        share = per_gain(cell, u)

        def sent(unit, s, u):
            changed, output = stacked_rule(unit, s, u, x), stacked_outputs(unit, s, u, x)
            return changed, output, stacked_gains(unit) * share

        _, back = jax.vjp(sent, cell, s, u)
        unit, by_state, by_field = back((a, xi, b))
        leaves = jax.tree.leaves(unit)
        return by_state, by_field, jnp.stack(leaves) if leaves else jnp.zeros((0,))

    return jax.vmap(one, in_axes=-1, out_axes=-1)(state, fields, drive, a, xi, b)
