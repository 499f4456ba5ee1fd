"""Networks simulated by NumPy alone, which share no code with the theory that recipes invert."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def applied(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.matmul(matrices, vectors[..., None])[..., 0]


def gated_exponents(
    gain: float,
    n: int,
    paths: Callable[[np.random.Generator, tuple[int, int]], Iterator[np.ndarray]],
    *,
    networks: int = 8,
    steps: int = 5000,
    burn_in: int = 500,
    dt: float = 0.1,
) -> np.ndarray:
    """Return the largest exponents of gated RNNs with alpha_z = 0 by Euler's method (Eqs. 1-2).

    Every network has one perturbation (v, w) of (h, r), which the derivative of the step carries.
    """
    rng = np.random.default_rng(n)
    to_h, to_r = (rng.standard_normal((networks, n, n)) / np.sqrt(n) for _ in range(2))
    h, r = np.zeros((2, networks, n))
    v, w = rng.standard_normal((2, networks, n))
    total, drive = np.zeros(networks), paths(rng, (networks, n))
    for step in range(steps):
        sent, gate = np.tanh(gain * h), sigmoid(r)
        moved = gain * (1 - sent**2) * v
        dh = 0.5 * (-h + applied(to_h, sent * gate)) + next(drive)
        dv = 0.5 * (-v + applied(to_h, moved * gate + sent * gate * (1 - gate) * w))
        dr, dw = -r + applied(to_r, sent), -w + applied(to_r, moved)
        h, r, v, w = h + dt * dh, r + dt * dr, v + dt * dv, w + dt * dw
        size = np.sqrt(np.sum(v**2 + w**2, axis=1))
        v, w = v / size[:, None], w / size[:, None]
        total += np.log(size) * (step >= burn_in)
    return total / ((steps - burn_in) * dt)


def white(rng: np.random.Generator, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield data of variance one, independent from step to step."""
    while True:
        yield rng.standard_normal(shape)


def ornstein_uhlenbeck(variance: float, time: float, dt: float):
    keep = np.exp(-dt / time)

    def paths(rng: np.random.Generator, shape: tuple[int, int]) -> Iterator[np.ndarray]:
        x = rng.standard_normal(shape)
        while True:
            yield np.sqrt(variance) * x
            x = keep * x + np.sqrt(1 - keep**2) * rng.standard_normal(shape)

    return paths


def gru_edges(gain: float, bias: float, n: int, *, networks: int = 8) -> np.ndarray:
    """Return spectral radii of GRUs (gates of gain 1, candidate's bias) where they come to rest."""
    edges = []
    for seed in range(networks):
        rng = np.random.default_rng([n, seed])
        to_r, to_z, to_n = rng.standard_normal((3, n, n)) / np.sqrt(n)
        to_n = gain * to_n
        h = np.zeros(n)
        for _ in range(400):
            r, z, field = sigmoid(to_r @ h), sigmoid(to_z @ h), to_n @ h
            candidate = np.tanh(r * field + bias)
            before, h = h, (1 - z) * candidate + z * h
        assert np.max(np.abs(h - before)) < 1e-9
        slope = (1 - z) * (1 - candidate**2)
        jacobian = (
            np.diag(z)
            + (slope * field * r * (1 - r))[:, None] * to_r
            + ((h - candidate) * z * (1 - z))[:, None] * to_z
            + (slope * r)[:, None] * to_n
        )
        edges.append(np.max(np.abs(np.linalg.eigvals(jacobian))))
    return np.array(edges)


def extrapolated(values: Callable[[int], np.ndarray], n: int) -> tuple[float, float]:
    """Return a mean for N to infinity from N and N / 2, as 1 / N goes, and its standard error."""
    full, half = values(n), values(n // 2)
    errors = [np.std(each, ddof=1) / np.sqrt(len(each)) for each in (full, half)]
    mean = 2 * np.mean(full) - np.mean(half)
    return float(mean), float(np.hypot(2 * errors[0], errors[1]))
