"""The two passes over a run: forward with checkpoints, backward segment by segment."""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gatefield.analysis.gradients.losses import Loss
from gatefield.analysis.gradients.segment import Pulled, Run, advance, pull_back, stages_of
from gatefield.analysis.gradients.source import Source, drawn_back
from gatefield.cells.base import over_units
from gatefield.cells.parameters import known_parameters, parameter_names, stacked_gains
from gatefield.core.types import Array, Float, HostArray, States
from gatefield.networks import Network

_SEGMENT_BYTES = 2**28  # of what a segment keeps for its way back
_READOUT_BYTES = 2**29  # of the gradients that are pulled back side by side
_KEPT = 10  # arrays of its fields and components that one evaluation keeps, about


class Plan(NamedTuple):
    """How a run is cut.

    Attributes
    ----------
    steps
        Number of steps.
    segment
        Steps from one checkpoint to the next.
    side
        Readouts that are pulled back side by side.
    batches
        How often that is done.
    """

    steps: int
    segment: int
    side: int
    batches: int


class Measured(NamedTuple):
    """What the backward pass found; the attributes of `NetworkGradients` of these names.

    ``squares`` has the adjoint variance of every time before the end, (steps + 1, d).
    """

    squares: Float[HostArray, "time component"]
    losses: Float[HostArray, " readout"]
    initial_adjoint: Float[HostArray, "readout component unit"]
    gradient_variance: dict[str, HostArray]
    shared_gradient_variance: dict[str, HostArray]
    coupling_gradients: dict[str, HostArray]
    parameter_gradients: dict[str, HostArray]

    @property
    def finite(self) -> bool:
        """Whether all numbers are finite."""
        named = (*self.gradient_variance.values(), *self.shared_gradient_variance.values())
        return all(np.all(np.isfinite(each)) for each in (self.squares, self.losses, *named))


def plan_of(network: Network, steps: int, segment: int | None, readouts: int, method: str) -> Plan:
    """Cut a run so that the two passes need a bounded memory and few compilations.

    Parameters
    ----------
    network, steps, readouts, method
        What is run, and how many readouts are pulled back.
    segment
        Steps from one checkpoint to the next, or None.
    """
    size = network.dtype.itemsize
    stages, fields = stages_of(method), len(network.cell.field_names)
    # Powers of two, since each length is compiled anew.
    kept = _KEPT * size * network.n * stages * (fields + len(network.cell.state_names))
    most = math.floor(math.log2(max(1, _SEGMENT_BYTES // kept)))
    length = 1 << min(most, round(math.log2(steps) / 2)) if segment is None else segment
    pushed = size * network.n * length * stages * fields
    each = 2 * (size * fields * network.n**2 + pushed)
    batches = math.ceil(readouts / max(1, _READOUT_BYTES // each))
    return Plan(steps, length, math.ceil(readouts / batches), batches)


def differentiated(
    run: Run,
    state: States,
    plan: Plan,
    loss: Loss,
    source: Source | None,
    keep: bool,
    bar: tqdm,
) -> Measured:
    """Run a network forward and pull the gradients of a loss back.

    Parameters
    ----------
    run, state
        What is run, and where it starts.
    plan
        How it is cut.
    loss, source
        What is differentiated.
    keep
        Whether the gradients themselves are returned, not their mean squares alone.
    bar
        Shows the steps done, forward and backward.
    """
    network = run.network
    steps, length = plan.steps, plan.segment
    firsts = list(range(0, steps, length))
    checkpoints, now = [], state
    for first in firsts:
        checkpoints.append(now)
        last = min(first + length, steps)
        now = advance(run, now, jnp.asarray(first), jnp.asarray(last))
        bar.update(last - first)
    ending = loss.ending(np.asarray(now))
    readouts = len(ending.losses)
    squares = np.zeros((steps + 1, len(state)))
    totals = _Totals(network, readouts, keep)
    losses, adjoints = [], []
    for batch in range(plan.batches):
        chosen = np.minimum(np.arange(plan.side) + batch * plan.side, readouts - 1)
        used = min(plan.side, readouts - batch * plan.side)
        carried = _beginning(network, ending.gradients[chosen])
        own = None if source is None else source.of(chosen)
        later = jnp.zeros(carried.adjoint.shape)
        extra = np.zeros(plan.side)
        for first, checkpoint in zip(reversed(firsts), reversed(checkpoints), strict=True):
            number, taken = jnp.asarray(first), None
            if own is not None:
                taken, later = drawn_back(own, later, number + 1, run, length)
            given = (run, checkpoint, number, taken, length)
            carried, found, added = pull_back(given, carried)
            done = min(length, steps - first)
            squares[first + 1 : first + 1 + done] += np.sum(np.asarray(found)[:used, :done], axis=0)
            extra += np.asarray(added)
            bar.update(done)
        adjoint = np.asarray(carried.adjoint, np.float64)
        if own is not None:
            # As many steps as before, all but the last before the run: nothing is compiled anew.
            taken, _ = drawn_back(own, later, jnp.asarray(1 - length), run, length)
            at_start = np.asarray(taken, np.float64)[:, -1]
            extra += np.sum(at_start * np.asarray(state, np.float64), axis=(1, 2))
            adjoint = adjoint + at_start
        squares[0] += np.sum(np.mean(adjoint[:used] ** 2, axis=-1), axis=0)
        losses.append((ending.losses[chosen] + extra)[:used])
        adjoints.append(adjoint[:used])
        totals.add(carried, used)
    return Measured(
        squares[::-1] / readouts,
        np.concatenate(losses),
        np.concatenate(adjoints),
        *totals.summary(),
    )


def _beginning(network: Network, gradients: HostArray) -> Pulled:
    """Return what is carried at the end of the run."""
    readouts, dtype = len(gradients), network.dtype
    return Pulled(
        jnp.asarray(gradients, dtype),
        tuple(jnp.zeros((readouts, *each.shape), dtype) for each in network.couplings),
        [jnp.zeros((readouts, network.n), dtype) for _ in jax.tree.leaves(network.cell)],
    )


class _Totals:
    """Sums over readouts of squared gradients, and the gradients where they are kept."""

    def __init__(self, network: Network, readouts: int, keep: bool):
        self.network, self.readouts, self.keep = network, readouts, keep
        names, known = parameter_names(network.cell), known_parameters(network.cell)
        self.parameters = [(place, name) for place, name in enumerate(names) if name in known]
        self.variance: dict[str, HostArray] = {}
        self.shared: dict[str, HostArray] = {}
        self.kept: tuple[dict[str, list], dict[str, list]] = ({}, {})

    def add(self, carried: Pulled, used: int) -> None:
        """Add the first ``used`` readouts of a batch."""
        found = _reduced(self.network, carried)
        by_field, by_parameter, each, shared = (
            [np.asarray(array)[:used] for array in group] for group in found
        )
        names = self.network.cell.field_names
        for name, values in zip(names, by_field, strict=True):
            self._sum(self.variance, f"J_{name}", values)
        for place, name in self.parameters:
            self._sum(self.variance, name, each[place])
            self._sum(self.shared, name, shared[place])
        if self.keep:
            couplings, parameters = self.kept
            for place, name in self.parameters:
                parameters.setdefault(name, []).append(by_parameter[place])
            for field, name in enumerate(names):
                rows = _of_field(self.network, carried.couplings, field)
                couplings.setdefault(f"J_{name}", []).append(np.asarray(rows)[:used])

    def _sum(self, sums, name, values):
        sums[name] = np.asarray(sums.get(name, 0.0) + np.sum(values) / self.readouts)

    def summary(self) -> tuple[dict[str, HostArray], ...]:
        """Return both mean squares, and both kinds of gradients."""
        whole = [
            {name: np.concatenate(parts) for name, parts in group.items()} for group in self.kept
        ]
        return (self.variance, self.shared, *whole)


def _of_field(network: Network, stacked: tuple[Array, ...], field: int) -> Array:
    """Return the rows (..., N, N) of one field."""
    for group, each in zip(network.wiring.groups, stacked, strict=True):
        if field in group:
            start = group.index(field) * network.n
            return each[..., start : start + network.n, :]
    raise AssertionError("every field is in one group")


@eqx.filter_jit
def _reduced(network: Network, carried: Pulled):
    """Return mean squares by field, parameters' gradients, their mean squares, and shared ones."""
    cell, n = network.cell, network.n
    fields = range(len(cell.field_names))
    leaves, treedef = jax.tree.flatten(cell)
    squares, rows = [], []
    for field in fields:
        gradient = _of_field(network, carried.couplings, field)
        matrix = _of_field(network, network.couplings, field)
        squares.append(jnp.mean(gradient.astype(jnp.float64) ** 2, axis=(1, 2)))
        rows.append(jnp.einsum("rij,ij->ri", gradient, matrix))
    by_parameter = list(carried.parameters)
    if leaves:

        def gains(cell):
            return over_units(lambda unit: stacked_gains(unit, network.dtype), cell)

        each_unit = jax.tree.unflatten(treedef, [jnp.broadcast_to(leaf, (n,)) for leaf in leaves])
        values, pull = jax.vjp(gains, each_unit)
        # A gain scales the rows of its couplings; what a gain of zero would scale is not told.
        shut = values == 0
        scaled = jnp.where(shut, 0.0, jnp.stack(rows, axis=1) / jnp.where(shut, 1.0, values))
        through_gains = jax.tree.leaves(jax.vmap(pull)(scaled)[0])
        by_parameter = [
            direct + through for direct, through in zip(by_parameter, through_gains, strict=True)
        ]
    wide = [each.astype(jnp.float64) for each in by_parameter]
    means = [jnp.mean(each**2, axis=1) for each in wide]
    shared = [jnp.sum(each, axis=1) ** 2 / n for each in wide]
    return squares, by_parameter, means, shared
