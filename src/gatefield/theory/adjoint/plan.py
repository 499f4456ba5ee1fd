"""What gradients along revealed couplings ask for: units, a burn-in and a window of steps."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cells.parameters import check_parameter_names, check_shared
from gatefield.core.checks import as_number, check_count, check_seed
from gatefield.core.types import Array, Float, HostArray
from gatefield.networks.readouts import check_terminal
from gatefield.theory.dmft.marching import (
    March,
    Units,
    check_steps,
    initial_variances,
    run,
    scheme_of,
    start,
    steps_of,
    units_of,
    with_room_for,
)

CHUNK = 16
"""Steps between two looks at the histories' room."""

_DEFAULT_STEP = 0.1


class Plan(NamedTuple):
    """Checked options; ``before`` and ``steps`` count the steps of the burn-in and the window."""

    cell: AbstractCell
    inputs: Any
    variances: Float[HostArray, " component"]
    samples: int
    batches: int
    before: int
    steps: int
    dt: float
    scheme: str
    seed: int

    @property
    def settings(self) -> tuple[tuple[str, object], ...]:
        """Return what a result records."""
        return (
            ("samples", self.samples),
            ("batches", self.batches),
            ("scheme", self.scheme),
            ("dt", self.dt),
            ("burn_in", self.before * self.dt),
            ("seed", self.seed),
            ("initial_variance", tuple(self.variances.tolist())),
            ("inputs", repr(dict(self.inputs or {}))),
        )

    @property
    def times(self) -> Float[HostArray, " time"]:
        """Return the times of the window's states, from 0."""
        return np.arange(self.steps + 1) * self.dt

    def begin(self, stream: int) -> tuple[Units, Array, Array, March]:
        """Return the units, each batch's key, its keys by field, and the march's start."""
        units = units_of(
            self.cell, self.inputs, self.samples, self.dt, self.scheme, dtype="float64"
        )
        own = jax.random.fold_in(jax.random.key(self.seed), stream)
        own = jax.random.split(own, self.batches)
        return units, own, *start(units, own, jnp.asarray(np.sqrt(self.variances)))


def plan(
    cell: AbstractCell,
    horizon: Any,
    *,
    burn_in: Any,
    inputs: Any,
    initial_variance: Any,
    samples: Any,
    batches: Any,
    dt: Any,
    scheme: Any,
    seed: Any,
) -> Plan:
    """Check options that `solve_shared_sensitivity` and `solve_dependent_adjoint` share."""
    cell, scheme = check_shared(cell), scheme_of(cell, scheme, dt)
    check_parameter_names(cell)
    samples, batches = check_count("samples", samples), check_count("batches", batches, at_least=2)
    variances, seed = initial_variances(cell, initial_variance), check_seed(seed)
    steps, step = steps_of(cell, "horizon", horizon, _DEFAULT_STEP if dt is None else dt)
    before = 0
    if as_number("burn_in", burn_in, nonnegative=True) > 0:
        if isinstance(cell, AbstractMap):
            before = check_count("burn_in (steps of a map)", burn_in)
        else:
            before = math.ceil(burn_in / step * (1 - 1e-12))
    check_steps(before + steps, samples, "horizon and burn_in")
    return Plan(cell, inputs, variances, samples, batches, before, steps, step, scheme, seed)


def terminal_weights(cell: AbstractCell, given: Any) -> dict[str, float]:
    """Return what was given by component for all of them; by default 1 for the first."""
    weights = check_terminal(given, cell.state_names)
    return {name: weights.get(name, 0.0) for name in cell.state_names}


def room_for(steps: int) -> int:
    """Return a number of steps, not below the given one, of which there are few."""
    return -(-steps // 64) * 64


def burned_in(units: Units, keys: Array, march: March, steps: int, bar: Any) -> March:
    """Visit the first steps."""
    for first in range(0, steps, CHUNK):
        end = min(first + CHUNK, steps)
        march = march._replace(histories=with_room_for(march.histories, end - first))
        march = run((units, keys, jnp.asarray(first), jnp.asarray(end)), march)
        bar.update(end - first)
    return march
