"""Random matrices that are drawn only where they are asked for: J q = w, direction by direction."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gatefield.core.types import Array, Float

FIRST_ROOM = 64
"""Directions for which a history has room at first."""


class History(NamedTuple):
    """What was asked of the matrices that act on one vector: orthonormal q_m and their J q_m."""

    basis: Float[Array, "batch row sample"]
    images: Float[Array, "batch row _"]
    latest: Float[Array, "batch sample"]  # the q_m that the next call writes into the basis
    rows: Array  # how many q_m there are without it

    @classmethod
    def empty(cls, batches: int, samples: int, matrices: int, dtype: Any) -> History:
        """Return a history of nothing, of matrices (samples, samples) stacked."""
        zeros = lambda *shape: jnp.zeros((batches, *shape), dtype)  # noqa: E731
        basis, images = zeros(FIRST_ROOM, samples), zeros(FIRST_ROOM, matrices * samples)
        return cls(basis, images, zeros(samples), jnp.zeros((), int))

    def with_room(self, room: int) -> History:
        """Return the history with room for so many directions."""
        pad = ((0, 0), (0, room - self.basis.shape[1]), (0, 0))
        return self._replace(basis=jnp.pad(self.basis, pad), images=jnp.pad(self.images, pad))

    def directions(self) -> Float[Array, "batch row sample"]:
        """Return all q_m, the latest among them; rows without one are zero."""
        put = jax.lax.dynamic_update_index_in_dim
        return put(self.basis, self.latest, self.rows, 1)


def reveal(
    history: History, vector: Array, fresh: Array, *, negligible: float
) -> tuple[Array, History]:
    """Return J v for each batch's next vector v, drawing J only along what is new in v.

    Parameters
    ----------
    history
        What was revealed before, with room for one more direction.
    vector
        (batch, sample).
    fresh
        (batch, matrices * sample): the image of a new direction, should v bring one.
    negligible
        The part of v that is new by less than this, relative to its size, brings no image.

    Returns
    -------
    array, History
        (batch, matrices, sample), and the history that knows of v.
    """
    m, eps = vector.shape[-1], float(jnp.finfo(vector.dtype).eps)
    put = jax.lax.dynamic_update_index_in_dim
    # Buffers are written before they are read: so XLA does it in place.
    basis = put(history.basis, history.latest, history.rows, 1)
    row = history.rows + jnp.any(history.latest != 0)
    images = put(history.images, fresh, row, 1)
    product = jax.vmap(jnp.matmul)
    # Rounding is no direction of its own: kept, it would destroy the basis step by step.
    least = max(negligible, 10 * math.sqrt(m) * eps)
    least = least * jnp.linalg.norm(vector, axis=-1, keepdims=True)
    parts = product(basis, vector)
    remainder = vector - product(parts, basis)

    def again(remainder):
        missed = product(basis, remainder)
        return parts + missed, remainder - product(missed, basis)

    # The second pass restores the orthogonality that rounding takes where little of v is new:
    # without it the loss grows from direction to direction. Most vectors bring no direction.
    size = jnp.linalg.norm(remainder, axis=-1, keepdims=True)
    parts, remainder = jax.lax.cond(
        jnp.any(size > least), again, lambda remainder: (parts, remainder), remainder
    )
    size = jnp.linalg.norm(remainder, axis=-1, keepdims=True)
    is_new = size > least
    size = jnp.where(is_new, size, 0.0)
    latest = jnp.where(is_new, remainder / jnp.where(is_new, size, 1.0), 0.0)
    brought = product(put(parts, size[:, 0], row, 1), images)
    return brought.reshape(len(vector), -1, m), History(basis, images, latest, row)
