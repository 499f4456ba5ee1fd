"""Many searches side by side: Newton's method for zeros, descent for minima of the speed."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gatefield.analysis.fixed_points.result import size_of
from gatefield.analysis.fixed_points.steps import (
    Step,
    damped_steps,
    newton_steps,
    velocity,
    velocity_matrix,
)
from gatefield.core.types import Array
from gatefield.networks.network import Network

_BYTES = 64 * 2**20  # of matrices that are worked on together
_MATRICES = 6  # for each state: the Jacobian, what is solved with, and three damped ones
_MOST_TOGETHER = 64
_PADDING_COSTS = 100  # d N from which on repeated states take longer than compiling anew
_ENOUGH = 0.81  # a Newton step must take this from the squared speed, or a damped one is tried
_POLISHED = 1e-5  # times the tolerance: Newton's method ends there if not at rounding
_IDLE, _IDLE_FOR = 0.99, 12  # a search ends after so many steps that each gained less than 1 %
_DAMPING = 1e-3  # at the beginning
_WEAKEST, _STRONGEST = 1e-14, 1e12
_NEWTON_LIKE = 1e-6  # damping below which a short step means that a minimum is near
_AT_MINIMUM = 1e-7  # such a step, relative to the state's size
_NEAR = 1e-4  # a Newton step beyond it, relative to the state's size, is no step to a fixed point
_SINGULAR = 1e-13  # directions in which the velocity changes less, relatively, are continuous


class Searched(NamedTuple):
    """Where searches ended: states, mean squared velocities, last steps, whether they succeeded."""

    states: np.ndarray
    merits: np.ndarray
    lengths: np.ndarray
    reached: np.ndarray


def _together(network: Network) -> int:
    size = len(network.cell.state_names) * network.n
    return int(np.clip(_BYTES // (8 * _MATRICES * size**2), 1, _MOST_TOGETHER))


def _padded(chosen: np.ndarray, network: Network) -> np.ndarray:
    """Repeat the first, so that few shapes occur: each is compiled for itself."""
    size, most = len(network.cell.state_names) * network.n, _together(network)
    if size >= _PADDING_COSTS:
        most = min(most, 4 ** math.ceil(math.log(len(chosen), 4) - 1e-9))
    return np.concatenate([chosen, np.full(most - len(chosen), chosen[0])])


def _on_host(step: Step, count: int) -> Step:
    return Step(*(np.array(each)[:count] for each in step))  # type: ignore[arg-type]


class _Book:
    """What is known of each search, while a batch of those that are not done is advanced."""

    def __init__(self, states: np.ndarray, most: int):
        count = len(states)
        self.states, self.most = states.copy(), most
        self.merits, self.lengths = np.full(count, np.inf), np.full(count, np.inf)
        self.damping = np.full(count, _DAMPING)
        self.idle, self.steps = np.zeros(count, int), np.zeros(count, int)
        self.done, self.reached = np.zeros(count, bool), np.zeros(count, bool)

    def take(self, chosen: np.ndarray, step: Step) -> None:
        """Move where the speed falls."""
        better = np.asarray(step.merits < step.before)
        self.states[chosen[better]] = np.asarray(step.states)[better]
        self.merits[chosen] = np.where(better, step.merits, step.before)

    def adapt(self, chosen: np.ndarray, step: Step) -> None:
        """Change the damping after damped steps."""
        better = np.asarray(step.merits < step.before)
        changed = self.damping[chosen] * np.where(better, step.factors, 100.0)
        self.damping[chosen] = np.clip(changed, _WEAKEST, _STRONGEST)

    def close(self, chosen: np.ndarray, before: Any, reached: np.ndarray, bar: Any) -> None:
        """End searches that succeeded, gain no more, or have taken all their steps."""
        gained = self.merits[chosen] < _IDLE * np.asarray(before)
        self.idle[chosen] = np.where(gained, 0, self.idle[chosen] + 1)
        self.steps[chosen] += 1
        over = (self.idle[chosen] >= _IDLE_FOR) | (self.steps[chosen] >= self.most)
        self.reached[chosen] = reached
        self.done[chosen] = reached | over
        bar.update(int(np.sum(self.done[chosen])))

    def result(self) -> Searched:
        """Return where the searches are."""
        return Searched(self.states, self.merits, self.lengths, self.reached)


def solve(
    network: Network, drive: Array, states: np.ndarray, tolerance: float, max_steps: int, bar: Any
) -> Searched:
    """Follow Newton's method from every state; succeed where the speed falls below tolerance."""
    book, size = _Book(states, max_steps), _together(network)
    while not np.all(book.done):
        chosen = np.flatnonzero(~book.done)[:size]
        now = jnp.asarray(book.states[_padded(chosen, network)])
        step = _on_host(newton_steps(network, drive, now), len(chosen))
        gained = np.asarray(step.merits <= _ENOUGH * step.before)
        book.lengths[chosen] = step.lengths
        book.take(chosen, step)
        speeds = np.sqrt(book.merits[chosen])
        last = book.steps[chosen] + 1 >= max_steps
        polished = np.sqrt(step.before) <= _POLISHED * tolerance
        reached = (speeds <= tolerance) & (~gained | polished | last)
        # Below tolerance, but the point would be far: at infinity, or one of a continuum.
        sizes = np.maximum(1.0, size_of(book.states[chosen]))
        far = (np.sqrt(step.before) <= tolerance) & ~np.asarray(step.lengths <= _NEAR * sizes)
        for search in chosen[far]:
            book.lengths[search] = _least_step(network, drive, book.states[search])
        reached = (reached & ~far) | (far & (book.lengths[chosen] <= _NEAR * sizes))
        book.steps[chosen[far]] = max_steps
        stuck = chosen[~gained & ~reached & ~far]
        if stuck.size:
            places = _padded(stuck, network)
            damping = jnp.asarray(book.damping[places])
            now = jnp.asarray(book.states[places])
            other = damped_steps(network, drive, now, damping, False)
            other = _on_host(other, len(stuck))
            book.take(stuck, other)
            book.adapt(stuck, other)
        book.close(chosen, step.before, reached, bar)
    return book.result()


def _least_step(network, drive, state) -> float:
    """Return the length of the shortest Newton step, which leaves a continuum of points alone."""
    matrix = np.asarray(velocity_matrix(network, drive, jnp.asarray(state)))
    moving = np.asarray(velocity(network, drive, jnp.asarray(state))).ravel()
    move = np.linalg.lstsq(matrix, -moving, rcond=_SINGULAR)[0]
    return float(np.sqrt(np.mean(move**2)))


def descend(
    network: Network, drive: Array, states: np.ndarray, tolerance: float, max_steps: int, bar: Any
) -> Searched:
    """Descend the squared speed; succeed at local minima, and where it is zero."""
    book, size = _Book(states, max_steps), _together(network)
    while not np.all(book.done):
        chosen = np.flatnonzero(~book.done)[:size]
        places = _padded(chosen, network)
        now, damping = jnp.asarray(book.states[places]), jnp.asarray(book.damping[places])
        step = _on_host(damped_steps(network, drive, now, damping, True), len(chosen))
        sizes = np.maximum(1.0, size_of(book.states[chosen]))
        newton_like = book.damping[chosen] <= _NEWTON_LIKE
        minimum = newton_like & np.asarray(step.lengths <= _AT_MINIMUM * sizes)
        # Beside a minimum the speed is flat to rounding and would not tell how much to damp.
        near = chosen[np.asarray(step.lengths <= math.sqrt(_AT_MINIMUM) * sizes)]
        weaker = np.maximum(_WEAKEST, 0.01 * book.damping[near])
        book.lengths[chosen] = step.lengths
        book.take(chosen, step)
        book.adapt(chosen, step)
        book.damping[near] = weaker
        zero = np.sqrt(book.merits[chosen]) <= tolerance
        book.close(chosen, step.before, minimum | zero, bar)
    return book.result()
