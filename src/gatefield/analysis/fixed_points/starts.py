"""Where searches for fixed points begin."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.analysis.fixed_points.result import size_of
from gatefield.cells import AbstractMap
from gatefield.core.types import Float, HostArray
from gatefield.networks.network import Network
from gatefield.networks.simulate import simulate

_SCALES = (0.1, 0.3, 1.0, 3.0)  # of normal starts, times the spread
_NOISE = (0.0, 0.1, 0.5)  # on states of trajectories, relative to their size
_RUNS, _DURATION = 4, 100.0  # of the trajectories from which some starts are taken
_RUNAWAY = 1e6  # states that large are of runs that diverge


def drawn_states(
    network: Network, inputs: Any, count: int, spread: float, seed: int
) -> Float[HostArray, "start component unit"]:
    """Return the zero state, normal ones of several scales, and states of trajectories.

    Parameters
    ----------
    network
        In double precision.
    inputs
        Constant external input by drive name.
    count
        How many states; half are those of trajectories, two of three of these with noise.
    spread
        Standard deviation of normal states, and of the trajectories' initial ones.
    seed
        Same seed, same states.

    Returns
    -------
    array
        (count, d, N).
    """
    rng = np.random.default_rng(seed)
    shape = (count, len(network.cell.state_names), network.n)
    scales = spread * np.resize(_SCALES, count)
    states = scales[:, None, None] * rng.standard_normal(shape)
    states[0] = 0.0
    moving = count // 2
    if moving:
        is_map = isinstance(network.cell, AbstractMap)
        steps = int(_DURATION) * (1 if is_map else 20)
        # No run has more different states than steps.
        runs = min(max(_RUNS, -(-moving // steps)), moving)
        each = -(-moving // runs)
        trajectory = simulate(
            network,
            _DURATION,
            dt=None if is_map else _DURATION / steps,
            inputs=inputs,
            initial=spread * rng.standard_normal((runs, *shape[1:])),
            save_every=max(1, steps // each),
            progress=False,
            throw=False,
        )
        visited = trajectory.states[:, 1 : each + 1].reshape(-1, *shape[1:])[:moving]
        # A run that diverged leaves the normal states in place.
        usable = np.max(np.abs(visited), axis=(1, 2)) < _RUNAWAY
        visited = np.where(usable[:, None, None], visited, 0.0)
        noise = np.resize(_NOISE, moving)[:, None, None] * rng.standard_normal(visited.shape)
        visited = visited + size_of(visited)[:, None, None] * noise
        states[count - moving :][usable] = visited[usable]
    return states
