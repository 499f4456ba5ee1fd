"""Random readouts along a run, drawn backwards in time as the backward pass needs them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.analysis.gradients.losses import readout_keys
from gatefield.analysis.gradients.segment import Run
from gatefield.core.types import Array, Float
from gatefield.networks import GaussianInput

# Keeps them apart from all else that the same seed may draw.
_STREAM = 0x736F7572


class Source(eqx.Module):
    r"""Random readouts along a run, :math:`L \mathrel{+}= \int c(t)\cdot s(t)\, dt`.

    The readout c is an Ornstein-Uhlenbeck process for each component, unit and readout. It looks
    the same in both directions of time, so it is drawn backwards from the end, as it is needed.
    """

    keys: Array
    deviations: Float[Array, " component"]
    keep: Float[Array, " component"]
    spacing: Float[Array, ""]
    is_map: bool = eqx.field(static=True)

    def of(self, readouts: Any) -> Source:
        """Return some of the readouts."""
        return eqx.tree_at(lambda source: source.keys, self, self.keys[jnp.asarray(readouts)])

    def weight(self, number: Any, steps: Any) -> Array:
        """Return the factor of a step in the sum over the run; zero beyond its end."""
        if self.is_map:
            return jnp.where((number >= 1) & (number <= steps), 1.0, 0.0)
        ends = (number == 0) | (number == steps)
        inside = jnp.where(ends, self.spacing / 2, self.spacing)
        return jnp.where(number <= steps, inside, 0.0)


def source_of(
    source: Mapping[str, GaussianInput],
    names: tuple[str, ...],
    step: float,
    *,
    readouts: int,
    seed: int,
    is_map: bool,
) -> Source | None:
    """Return random readouts along a run, by component; None where there are none."""
    if not source:
        return None
    deviations, keep = np.zeros(len(names)), np.zeros(len(names))
    for name, given in source.items():
        place = names.index(name)
        deviations[place] = math.sqrt(given.variance)
        keep[place] = 1.0 if given.is_static else math.exp(-step / given.correlation_time)
    keys = readout_keys(seed, _STREAM, readouts, len(names))
    return Source(keys, jnp.asarray(deviations), jnp.asarray(keep), jnp.asarray(step), is_map)


@eqx.filter_jit
def drawn_back(
    source: Source, later: Array, first: Any, run: Run, length: int
) -> tuple[Array, Array]:
    """Draw a source at steps first, ..., first + length - 1, from the last of them backwards.

    Parameters
    ----------
    source
        The readouts.
    later
        Their values (R, d, N) at the step after these; anything beyond the run's end.
    first, run, length
        First step, of which run, and how many.

    Returns
    -------
    array
        Times their weights in the loss, (R, length, d, N).
    array
        Their values at the first of these steps.
    """
    n, steps = run.network.n, run.steps
    keep = source.keep[:, None]
    kick = jnp.sqrt(1 - keep**2)

    def draw(key, number):
        return jax.random.normal(jax.random.fold_in(key, number), (n,))

    def back(later, number):
        fresh = jax.vmap(jax.vmap(draw, in_axes=(0, None)), in_axes=(0, None))(source.keys, number)
        value = keep * later + kick * source.deviations[:, None] * fresh
        last = source.deviations[:, None] * fresh
        value = jnp.where(number >= steps, last, value)
        return value, source.weight(number, steps) * value

    numbers = first + jnp.arange(length)
    value, weighted = jax.lax.scan(back, later, numbers, reverse=True)
    return jnp.moveaxis(weighted, 0, 1).astype(run.network.dtype), value
