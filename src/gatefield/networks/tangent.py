"""Steps of a network with their exact derivative, applied to many perturbations at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gatefield.cells import unit_blocks
from gatefield.cells.wiring import fields_read
from gatefield.core.types import Array, Float, States
from gatefield.networks.inputs import Drive
from gatefield.networks.network import Network, coupling_fields
from gatefield.networks.simulate import one_step

Frame = Float[Array, "row component unit"]
"""Perturbations of a state, one in each row."""

_CHUNK_BYTES = 2**21  # of perturbations that are advanced together, so that they stay in the cache
_WORTH_SUMMING = 16  # perturbations from which on matrices are summed before they are multiplied


def step_with_tangent(
    network: Network, drive: Drive, dt: Any, method: str, rows: int
) -> Callable[[Any, States], tuple[States, Callable[[Frame], Frame]]]:
    """Return the function (step number, state) -> next state, and how perturbations are carried.

    Parameters
    ----------
    network
        As `compilable` returns it.
    drive
        The external input as a function of time.
    dt
        Step of a flow; ignored for maps.
    method
        "euler", "rk4", or "map".
    rows
        Number of perturbations.

    Returns
    -------
    function
        Its second result carries perturbations (rows, d, N) through the exact derivative of the
        step: that of the integrator, not of the flow. Where several fields of a map enter one
        component by one output (a GRU's), their matrices are summed first, so that each pair of
        component and output costs one matrix product.
    """
    step = one_step(network, drive, dt, method)
    summed = method == "map" and rows >= _WORTH_SUMMING and _sums_pay(network)

    def linearised(number, state):
        if summed:
            return step(number, state), _summed(network, state, drive(number))
        after, push = jax.linearize(lambda x: step(number, x), state)
        return after, jax.vmap(push)

    def in_place(number, state):
        after, push = linearised(number, state)
        size = _chunk(rows, state.size * state.dtype.itemsize)
        whole = rows // size

        def carried(frame):
            def one(place, frame):
                piece = jax.lax.dynamic_slice_in_dim(frame, place * size, size)
                return jax.lax.dynamic_update_slice_in_dim(frame, push(piece), place * size, 0)

            if whole == 1:
                return push(frame)
            frame = jax.lax.fori_loop(0, whole, one, frame)
            # What is left over.
            return (
                frame.at[whole * size :].set(push(frame[whole * size :])) if rows % size else frame
            )

        return after, carried

    return in_place


def _chunk(rows: int, bytes_each: int) -> int:
    """Return how many rows are carried together: if possible a divisor, so that none are left."""
    most = min(rows, max(1, _CHUNK_BYTES // bytes_each))
    return next((size for size in range(most, most // 2, -1) if rows % size == 0), most)


def _pairs(network: Network) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Return for each distinct output, for each component, the fields that connect the two."""
    reads = fields_read(network.cell)
    return tuple(
        tuple(tuple(field for field in group if field in read) for read in reads)
        for group in network.wiring.groups
    )


def _sums_pay(network: Network) -> bool:
    pairs = sum(bool(fields) for output in _pairs(network) for fields in output)
    return len(network.wiring.stages) == 1 and pairs < len(network.cell.field_names)


def _summed(network: Network, state: States, drive: Array) -> Callable[[Frame], Frame]:
    """Return V -> A V + sum over outputs o of (sum over fields a of L_a J_a) R_o V."""
    blocks = unit_blocks(network.cell, state, coupling_fields(network, state, drive), drive)
    n = state.shape[-1]
    matrices = []
    for group, stacked, output in zip(
        network.wiring.groups, network.couplings, _pairs(network), strict=True
    ):
        by_field = dict(zip(group, stacked.reshape(-1, n, n), strict=True))
        by_component = {
            component: sum(blocks.L[:, component, a, None] * by_field[a] for a in fields)
            for component, fields in enumerate(output)
            if fields
        }
        matrices.append((group, by_component))
    if len(state) == 1:
        # One component: all of it is one matrix.
        sent = (by_component[0] * blocks.R[:, group[0], 0] for group, by_component in matrices)
        whole = jnp.diag(blocks.A[:, 0, 0]) + sum(sent)
        return lambda frame: (frame[:, 0] @ whole.T)[:, None]

    def push(frame):
        carried = list(jnp.moveaxis(jnp.einsum("nce,ken->kcn", blocks.A, frame), 1, 0))
        for group, by_component in matrices:
            sent = jnp.einsum("ne,ken->kn", blocks.R[:, group[0]], frame)
            stacked = jnp.concatenate(list(by_component.values()))
            brought = (sent @ stacked.T).reshape(-1, len(by_component), n)
            for place, component in enumerate(by_component):
                carried[component] = carried[component] + brought[:, place]
        return jnp.stack(carried, axis=1)

    return push
