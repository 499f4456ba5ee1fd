"""Newton's method for small systems, the same for one start and for a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gatefield.core.types import Array, Float


def newton(
    residual: Callable[[Array], Array],
    start: Float[Array, " unknown"],
    *,
    iterations: int = 20,
    largest_step: float = 0.5,
) -> tuple[Float[Array, " unknown"], Any]:
    """Solve ``residual(x) = 0`` by Newton's method with bounded steps.

    Parameters
    ----------
    residual
        Function of an array (n,) that returns (n,), differentiable by JAX.
    start
        First guess.
    iterations
        Upper bound; the loop ends earlier when steps fall below 1e-13.
    largest_step
        Bound on each component of a step.

    Returns
    -------
    x, error
        The last iterate and the largest residual there; not a number becomes infinity.
    """

    def step(carry):
        x, _, count = carry
        move = jnp.linalg.solve(jax.jacfwd(residual)(x), residual(x))
        move = jnp.clip(jnp.nan_to_num(move), -largest_step, largest_step)
        return x - move, jnp.max(jnp.abs(move)), count + 1

    def moving(carry):
        return (carry[1] > 1e-13) & (carry[2] < iterations)

    x, _, _ = jax.lax.while_loop(moving, step, (start, jnp.asarray(jnp.inf, start.dtype), 0))
    error = jnp.max(jnp.abs(residual(x)))
    return x, jnp.where(jnp.isfinite(error), error, jnp.inf)


def bisect(
    function: Callable[[Array], Array], low: Array, high: Array, *, iterations: int = 55
) -> Array:
    """Halve brackets of an elementwise function's sign changes; low and high are arrays alike.

    Parameters
    ----------
    function
        Elementwise function of an array.
    low, high
        Ends of the brackets, of one shape.
    iterations
        Number of halvings.

    Returns
    -------
    array
        The middle of the last brackets.
    """
    sign = jnp.sign(function(low))

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        same = jnp.sign(function(middle)) == sign
        return jnp.where(same, middle, low), jnp.where(same, high, middle)

    low, high = jax.lax.fori_loop(0, iterations, halve, (low, high))
    return (low + high) / 2
