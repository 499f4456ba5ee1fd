"""Tasks whose answer lies far back: adding, copy memory, digits pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import log
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

SYMBOLS, WORD = 8, 10
"""Of copy memory: letters of the alphabet, and letters to remember."""
BLANK, GO = SYMBOLS, SYMBOLS + 1
SIDE, CLASSES = 8, 10
DIGITS_TRAINING = 1347
"""Digits to learn from, three quarters of the 1797; the others test."""


class Task(NamedTuple):
    """A task at one horizon.

    Attributes
    ----------
    name, horizon
        "adding", "copy" or "digits", and T: what it counts is said at each task.
    steps
        Length of a sequence.
    features, outputs
        Numbers read in each step, and given by the readout.
    answers
        Last steps in which the readout is looked at.
    chance
        Loss of the best answer that remembers nothing.
    """

    name: str
    horizon: int
    steps: int
    features: int
    outputs: int
    answers: int
    chance: float

    @property
    def title(self) -> str:
        """The name with its horizon."""
        return f"{self.name}-{self.horizon}"

    @property
    def classes(self) -> bool:
        """Whether the answers are classes, and not numbers."""
        return self.name != "adding"


def task(name: str, horizon: int) -> Task:
    """Return a task.

    Parameters
    ----------
    name
        "adding": T numbers, two of them marked, whose sum is asked (Hochreiter and Schmidhuber).
        "copy": ten letters to be given back after T blanks (Arjovsky, Shah and Bengio).
        "digits": the 64 pixels of scikit-learn's digits one by one, then T - 64 blank steps.
    horizon
        T.
    """
    if name == "adding" and horizon >= 2:
        return Task(name, horizon, horizon, 2, 1, 1, 1 / 6)
    if name == "copy" and horizon >= 1:
        steps = horizon + 2 * WORD
        return Task(name, horizon, steps, SYMBOLS + 2, SYMBOLS + 1, steps, copy_chance(horizon))
    if name == "digits" and horizon >= SIDE**2:
        return Task(name, horizon, horizon, 1, CLASSES, 1, log(CLASSES))
    raise ValueError(f"{name} at horizon {horizon}: adding >= 2, copy >= 1 or digits >= 64 wanted.")


def parsed(text: str) -> Task:
    """Return the task of a title such as "adding-200"."""
    name, _, horizon = text.partition("-")
    return task(name, int(horizon))


def copy_chance(horizon: int) -> float:
    """Return 10 ln 8 / (T + 20): blanks known, letters guessed."""
    return WORD * log(SYMBOLS) / (horizon + 2 * WORD)


def sampler(task: Task) -> Callable[[Any, int, bool], tuple[Any, Any]]:
    """Return a function of a key, a batch's size, and whether it tests.

    It gives inputs (T, B, features) and answers: (1, B, 1) numbers or (answers, B) classes. Adding
    and copy memory never see a sequence twice; digits draw from those to learn from, and the test
    is of all the others, whatever the size.
    """
    return {"adding": _adding, "copy": _copy, "digits": _digits}[task.name](task)


def _adding(task: Task):
    def batch(key: Any, size: int, test: bool):
        half = task.steps // 2
        of_numbers, first, second = jax.random.split(key, 3)
        numbers = jax.random.uniform(of_numbers, (task.steps, size))
        at = jnp.stack(
            [
                jax.random.randint(first, (size,), 0, half),
                jax.random.randint(second, (size,), half, task.steps),
            ]
        )
        marked = (jnp.arange(task.steps)[:, None, None] == at).any(1).astype(numbers.dtype)
        return jnp.stack([numbers, marked], -1), (numbers * marked).sum(0)[None, :, None]

    return batch


def _copy(task: Task):
    def batch(key: Any, size: int, test: bool):
        letters = jax.random.randint(key, (WORD, size), 0, SYMBOLS)
        blanks = jnp.full((task.steps, size), BLANK)
        shown = blanks.at[:WORD].set(letters).at[task.steps - WORD - 1].set(GO)
        return jax.nn.one_hot(shown, SYMBOLS + 2), blanks.at[-WORD:].set(letters)

    return batch


@lru_cache
def _pixels() -> tuple[np.ndarray, np.ndarray]:
    """Return all digits (samples, 64), between 0 and 1, and their classes, in a fixed order."""
    from sklearn.datasets import load_digits

    loaded: Any = load_digits(return_X_y=True)
    images, classes = loaded
    order = np.random.default_rng(0).permutation(len(classes))
    return images[order].astype(np.float32) / 16, classes[order].astype(np.int32)


def _digits(task: Task):
    pixels, classes = _pixels()

    def batch(key: Any, size: int, test: bool):
        if test:
            shown, answers = jnp.asarray(pixels[DIGITS_TRAINING:]), classes[DIGITS_TRAINING:]
            answers = jnp.asarray(answers)
        else:
            chosen = jax.random.randint(key, (size,), 0, DIGITS_TRAINING)
            shown, answers = jnp.asarray(pixels)[chosen], jnp.asarray(classes)[chosen]
        inputs = jnp.pad(shown.T, ((0, task.steps - SIDE**2), (0, 0)))
        return inputs[..., None], answers[None]

    return batch
