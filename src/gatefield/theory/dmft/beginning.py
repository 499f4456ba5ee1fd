"""Units before anything is solved: their noise, where they start, how fast they relax."""

from __future__ import annotations

import equinox as eqx
import jax
import numpy as np

from gatefield.cells.base import over_units, stacked_outputs, stacked_rule
from gatefield.core.types import Array, Float, HostArray
from gatefield.theory.dmft.paths import PathPlan, Rows

_STREAM = 0x70617468  # keeps the paths apart from whatever else the same seed may draw


def path_key(seed: int) -> Array:
    """Return the key of all paths of a solution; in double precision mode."""
    return jax.random.fold_in(jax.random.key(seed), _STREAM)


def batch_noise(plan: PathPlan, key: Array, batch: int) -> list[HostArray]:
    """Return the noise of one batch: of each field, then of each random input."""
    rows = len(plan.cell.field_names) + len(plan.driven)
    return plan.noise(jax.random.fold_in(jax.random.fold_in(key, batch), 0), rows)


def batch_state(plan: PathPlan, key: Array, batch: int, variance: float) -> Rows:
    """Return the random state from which a batch starts."""
    return initial_state(plan, jax.random.fold_in(jax.random.fold_in(key, batch), 1), variance)


def initial_state(plan: PathPlan, key: Array, variance: float) -> Rows:
    """Draw independent Gaussian components (M,)."""
    shape = (len(plan.cell.state_names), plan.samples)
    drawn = np.sqrt(variance) * np.asarray(_normal(key, shape, plan.dtype))
    return [row.astype(plan.dtype) for row in drawn]


def output_moments(
    plan: PathPlan, state: Rows, variance: float
) -> tuple[Float[HostArray, " output"], Float[HostArray, " output"]]:
    """Return mean and variance of each distinct output when the fields are Gaussian."""
    sent, _, _ = _at_once(plan.cell, np.stack(state), _random_fields(plan, variance), _drives(plan))
    sent = np.asarray(sent, np.float64)[[group[0] for group in plan.groups]]
    return sent.mean(axis=1), sent.var(axis=1)


def fastest_rate(plan: PathPlan, state: Rows, variance: float) -> float:
    """Return the largest rate at which a unit relaxes by itself when the fields are Gaussian."""
    fields = _random_fields(plan, variance)
    _, _, slopes = _at_once(plan.cell, np.stack(state), fields, _drives(plan))
    slopes = np.asarray(slopes, np.float64)
    finite = slopes[np.all(np.isfinite(slopes), axis=(1, 2))]
    return float(np.abs(np.linalg.eigvals(finite)).max()) if finite.size else 0.0


def zero_is_a_state(plan: PathPlan) -> bool:
    """Return whether units at zero, without fields, stay there and send nothing."""
    silent = np.zeros((len(plan.cell.state_names), plan.samples), plan.dtype)
    sent, changed, _ = _at_once(plan.cell, silent, _random_fields(plan, 0.0), _drives(plan))
    return not (np.any(np.asarray(sent)) or np.any(np.asarray(changed)))


def _random_fields(plan: PathPlan, variance: float) -> Float[HostArray, "field sample"]:
    shape = (len(plan.cell.field_names), plan.samples)
    return (np.sqrt(variance) * np.random.default_rng(0).standard_normal(shape)).astype(plan.dtype)


def _drives(plan: PathPlan) -> Float[HostArray, "drive sample"]:
    return np.repeat(plan.means()[:, None], plan.samples, axis=1)


@eqx.filter_jit
def _normal(key, shape, dtype):
    return jax.random.normal(key, shape, dtype)


@eqx.filter_jit
def _at_once(cell, state, fields, drive):
    """Return the outputs, the rule, and the rule's slope in the state, of every unit."""
    arguments = cell, state, fields, drive
    slope = over_units(jax.jacfwd(stacked_rule, argnums=1), *arguments, out_axis=0)
    return over_units(stacked_outputs, *arguments), over_units(stacked_rule, *arguments), slope
