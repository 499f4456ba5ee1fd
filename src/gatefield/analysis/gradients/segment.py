"""One segment of a run, differentiated in reverse: what the backward pass repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from gatefield.cells import AbstractCell
from gatefield.cells.base import over_units, stacked_outputs, stacked_rule
from gatefield.core.types import Array, Drives, Fields, Float, States
from gatefield.networks.couplings import send
from gatefield.networks.inputs import Drive
from gatefield.networks.network import Network
from gatefield.networks.simulate import one_step
from gatefield.numerics.steppers import STEPPERS


class Run(NamedTuple):
    """What decides a run: network, external input, step size, method, number of steps."""

    network: Network
    drive: Drive
    dt: Any
    method: str
    steps: Any


class Pulled(NamedTuple):
    """What the backward pass carries, for each of R readouts.

    Attributes
    ----------
    adjoint
        dL/ds at the segment's beginning, but for what the loss itself takes from that state.
    couplings
        Gradients of the stacked coupling matrices.
    parameters
        Gradients of the cell's parameters, (R, N) each, in the order of the cell's leaves.
    """

    adjoint: Float[Array, "readout component unit"]
    couplings: tuple[Float[Array, "readout _ unit"], ...]
    parameters: list[Float[Array, "readout unit"]]


def stages_of(method: str) -> int:
    """Return how often a step of a method asks for the fields."""
    if method == "map":
        return 1
    asked: list[Any] = []
    rest: Any = 0.0
    STEPPERS[method](lambda time, x: asked.append(time) or x, rest, rest, rest)
    return len(asked)


def per_unit(cell: AbstractCell, n: int) -> AbstractCell:
    """Return the cell with every parameter handed to each unit as its own, (N,)."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n,)), cell)


@eqx.filter_jit
def advance(run: Run, state: States, first: Any, last: Any) -> States:
    """Return the state at step ``last`` from that at step ``first``."""
    step = one_step(run.network, run.drive, run.dt, run.method)
    return jax.lax.fori_loop(first, last, step, state)


@eqx.filter_jit(donate="all-except-first")
def pull_back(given: tuple[Run, States, Any, Array | None, int], pulled: Pulled):
    r"""Pull the adjoints at the end of a segment back to its beginning.

    Every field is given a perturbation of its own, u + eps, of which the derivative is

    .. math:: b^a_i = dL / d\epsilon^a_i, \qquad dL/dJ^a_{ij} = \sum b^a_i\, y^a_j,

    summed over all evaluations of the fields: one matrix product for the whole segment, where
    differentiating by J would add one outer product after the other.

    Parameters
    ----------
    given
        The run, the state at the segment's beginning, the number of that step, what the loss takes
        from the state after each step (readout, step, d, N) or None, and the number of steps.
        Steps beyond the run's end change nothing.
    pulled
        What is carried, at the segment's end; its arrays are used up.

    Returns
    -------
    pulled
        At the segment's beginning.
    squares
        Mean over units of the squared adjoint after each step, (readout, step, d).
    loss
        What the source adds to the loss, (readout,).
    """
    run, state, first, source, length = given
    network, n = run.network, run.network.n
    readouts = len(pulled.adjoint)
    numbers = first + jnp.arange(length)
    stages, fields = stages_of(run.method), len(network.cell.field_names)

    def segment(state, moves, pushes, cell):
        step = _tapped(eqx.tree_at(lambda net: net.cell, network, cell), run)

        def one(state, now):
            number, move, push = now
            # A step beyond the end is taken from its last one, where the input is known.
            after, sent = step(jnp.minimum(number, run.steps - 1), state, push)
            after = jnp.where(number < run.steps, after, state) + move
            return after, (after, sent)

        end, (states, sent) = jax.lax.scan(one, state, (numbers, moves, pushes))
        return (end, states if source is not None else ()), (sent, states)

    moves = jnp.zeros((length, *state.shape), state.dtype)
    pushes = jnp.zeros((length, stages, fields, n), state.dtype)
    _, pull, (sent, states) = jax.vjp(
        segment, state, moves, pushes, per_unit(network.cell, n), has_aux=True
    )
    taken = source if source is not None else ()
    if readouts == 1:
        # Without a batch of one the transposed products stay matrix times vector.
        single = pull(jax.tree.map(lambda each: each[0], (pulled.adjoint, taken)))
        by_start, by_move, by_push, by_cell = jax.tree.map(lambda each: each[None], single)
    else:
        by_start, by_move, by_push, by_cell = jax.vmap(pull)((pulled.adjoint, taken))
    couplings = []
    for group, output, sofar in zip(network.wiring.groups, sent, pulled.couplings, strict=True):
        received = by_push[:, :, :, jnp.array(group)].reshape(readouts, length * stages, -1)
        product = jnp.einsum("rmi,mj->rij", received, output.reshape(length * stages, n))
        couplings.append(sofar + product)
    parameters = [
        sofar + now for sofar, now in zip(pulled.parameters, jax.tree.leaves(by_cell), strict=True)
    ]
    wide = by_move.astype(jnp.float64)
    squares = jnp.mean(wide**2, axis=-1)
    loss = jnp.zeros(readouts)
    if source is not None:
        loss = jnp.einsum("rmdn,mdn->r", source.astype(jnp.float64), states.astype(jnp.float64))
    return Pulled(by_start, tuple(couplings), parameters), squares, loss


def _tapped(network: Network, run: Run) -> Callable[[Any, States, Array], tuple[States, Any]]:
    """Return a step that adds perturbations (stage, field, N) to its fields, and tells outputs."""

    def step(number, state, push):
        tapped: list[tuple[Array, ...]] = []

        def velocity(time, x):
            drive = run.drive(time)
            fields, sent = _pushed_fields(network, x, drive, push[len(tapped)])
            tapped.append(sent)
            return over_units(stacked_rule, network.cell, x, fields, drive)

        if run.method == "map":
            after = velocity(number, state)
        else:
            time = number.astype(state.dtype) * run.dt
            after = STEPPERS[run.method](velocity, time, state, run.dt)
        return after, tuple(jnp.stack(each) for each in zip(*tapped, strict=True))

    return step


def _pushed_fields(
    network: Network, state: States, drive: Drives, push: Fields
) -> tuple[Fields, tuple[Array, ...]]:
    """Return the fields J y + push, and the outputs y (N,) of each group of fields."""
    rows = list(push)
    outputs: dict[int, Array] = {}
    for stage in network.wiring.stages:
        # Later outputs read the pushed fields: pushes act as a change of the couplings would.
        sent = over_units(stacked_outputs, network.cell, state, jnp.stack(rows), drive)
        for index in stage:
            group = network.wiring.groups[index]
            outputs[index] = sent[group[0]]
            brought = send(network.couplings[index], outputs[index])
            for place, field in enumerate(group):
                rows[field] = rows[field] + brought[place]
    return jnp.stack(rows), tuple(outputs[index] for index in range(len(outputs)))
