"""One run: Adam with clipped gradients on fresh batches, and a test now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks.training.models import answers
from benchmarks.training.tasks import Task, sampler

DECAYS, EPSILON = (0.9, 0.999), 1e-8
"""Adam's, as in PyTorch."""


class Settings(NamedTuple):
    """What all runs of a study share.

    Attributes
    ----------
    hidden
        Units.
    batch, steps
        Sequences per step of Adam, and steps.
    rate
        Learning rate.
    clip
        Largest norm of the gradient over all weights; longer ones are scaled down to it.
    every
        Steps between tests.
    tested
        Sequences of a test (digits: all that are not learned from).
    """

    hidden: int = 64
    batch: int = 32
    steps: int = 3000
    rate: float = 3e-3
    clip: float = 1.0
    every: int = 50
    tested: int = 500


class Curve(NamedTuple):
    """How one run went.

    Attributes
    ----------
    steps
        Steps taken at each test, the first of them 0.
    loss, accuracy
        Of the test: mean squared error or mean cross-entropy, and the share of right answers (copy
        memory: among the letters to be given back; not a number in the adding problem).
    gradient
        Median norm of the gradient, before clipping, over the steps since the last test.
    """

    steps: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray
    gradient: np.ndarray


def measured(task: Task, model: str, weights: Any, inputs: Any, wanted: Any) -> tuple[Any, Any]:
    """Return loss and accuracy."""
    found = answers(model, weights, inputs, task.answers)
    if not task.classes:
        return jnp.mean((found - wanted) ** 2), jnp.nan
    log_odds = jax.nn.log_softmax(found)
    loss = -jnp.mean(jnp.take_along_axis(log_odds, wanted[..., None], -1))
    right = (found.argmax(-1) == wanted)[-min(10, task.answers) :]
    return loss, jnp.mean(right)


def adam(
    weights: Any, moments: tuple[Any, Any], gradient: Any, step: Any, settings: Settings
) -> tuple[Any, tuple[Any, Any], Any]:
    """Take one step; return weights, moments, and the gradient's norm before it was clipped."""
    leaves = jax.tree.leaves(gradient)
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in leaves))
    factor = jnp.minimum(1.0, settings.clip / (norm + 1e-6))
    mean, square = moments
    gradient = jax.tree.map(lambda g: g * factor, gradient)
    mean = jax.tree.map(lambda m, g: DECAYS[0] * m + (1 - DECAYS[0]) * g, mean, gradient)
    square = jax.tree.map(lambda s, g: DECAYS[1] * s + (1 - DECAYS[1]) * g**2, square, gradient)
    unbiased = [1 - decay ** (step + 1) for decay in DECAYS]

    def moved(weight: Any, m: Any, s: Any) -> Any:
        size = jnp.sqrt(s / unbiased[1]) + EPSILON
        return weight - settings.rate * m / unbiased[0] / size

    return jax.tree.map(moved, weights, mean, square), (mean, square), norm


@lru_cache
def _stages(task: Task, model: str, settings: Settings) -> tuple[Callable, Callable]:
    """Compile the steps between two tests, and a test."""
    batch = sampler(task)

    @jax.jit
    def advance(weights: Any, moments: Any, key: Any, start: Any):
        def step(carry: Any, index: Any):
            weights, moments = carry
            inputs, wanted = batch(jax.random.fold_in(key, index), settings.batch, False)
            loss = partial(measured, task, model)
            gradient = jax.grad(loss, has_aux=True)(weights, inputs, wanted)[0]
            weights, moments, norm = adam(weights, moments, gradient, index, settings)
            return (weights, moments), norm

        indices = start + jnp.arange(settings.every)
        (weights, moments), norms = jax.lax.scan(step, (weights, moments), indices)
        return weights, moments, jnp.median(norms)

    @jax.jit
    def test(weights: Any, key: Any):
        return measured(task, model, weights, *batch(key, settings.tested, True))

    return advance, test


def train(
    task: Task,
    model: str,
    weights: Mapping[str, np.ndarray],
    settings: Settings,
    *,
    seed: int = 0,
    report: Callable[[str], None] | None = None,
) -> Curve:
    """Train, and return the curve.

    Parameters
    ----------
    task
        What is learned.
    model
        One of `models.MODELS`.
    weights
        Where to start.
    settings
        The budget.
    seed
        Of the batches: the same for every initialisation. The test is the same for all seeds.
    report
        Is told in words how it goes, every few seconds.

    Returns
    -------
    Curve
        From the first loss that is not finite on, a run stands still: its loss is infinite.
    """
    advance, test = _stages(task, model, settings)
    # The test's key is none of the batches' keys, which are folded in from their own.
    of_batches, of_test = jax.random.key(seed + 1), jax.random.key(0)
    start = {name: jnp.asarray(weight, jnp.float32) for name, weight in weights.items()}
    now, moments = start, (jax.tree.map(jnp.zeros_like, start), jax.tree.map(jnp.zeros_like, start))
    rows = [(0, *map(float, test(now, of_test)), np.nan)]
    told = time.monotonic()
    for done in range(settings.every, settings.steps + 1, settings.every):
        if np.isfinite(rows[-1][1]):
            now, moments, norm = advance(now, moments, of_batches, done - settings.every)
            loss, accuracy = map(float, test(now, of_test))
            failed = not np.isfinite(loss)
            rows.append((done, np.inf if failed else loss, accuracy, float(norm)))
        else:
            rows.append((done, np.inf, rows[-1][2], np.nan))
        if report is not None and time.monotonic() - told > 10:
            told = time.monotonic()
            report(f"step {done} of {settings.steps}, loss {rows[-1][1]:.4f}")
    return Curve(*map(np.array, zip(*rows, strict=True)))
