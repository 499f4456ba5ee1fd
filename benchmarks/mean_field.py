"""Dynamical mean-field theory against a network, and against a plain NumPy path sampler."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _timing import interleaved, ratio

import gatefield as gf
from gatefield.analysis import correlation_functions, perturbation_growth

POINT_TARGET, SAMPLED_TARGET = 1 / 10, 4.0
CELL = gf.GatedRNN(g_h=3.0, alpha_r=5.0)
GATED = {"g_h": 3.0, "alpha_z": 2.0, "alpha_r": 5.0}


def point(n: int, repeats: int) -> dict[str, Any]:
    """Time the deterministic solution with its exponent against one network that measures both.

    Parameters
    ----------
    n
        Units of the network.
    repeats
        Number of interleaved repeats.

    Returns
    -------
    dict
        Ratios, and what theory and network gave.
    """
    last: dict[str, Any] = {}

    def theory():
        solution = gf.solve_dmft(CELL)
        last["theory"] = (
            float(solution.covariance["h"][0]),
            float(gf.mean_field_lyapunov(solution).exponent),
        )

    def network():
        one = gf.Network.sample(CELL, n, seed=0, dtype="float32")
        found = correlation_functions(
            one, 40.0, burn_in=40.0, max_lag=8.0, dt=0.1, quantities=("h",), progress=False
        )
        state = gf.simulate(one, 40.0, dt=0.1, save_every=400, progress=False).final
        growth = perturbation_growth(one, state, 40.0, dt=0.1)
        last["network"] = (float(found.covariance["h"][0]), float(growth.rate))

    seconds = interleaved({"theory": theory, "network": network}, repeats)
    return {
        "theory over network": str(ratio(seconds, "theory", "network")),
        "target": POINT_TARGET,
        "C_h(0), lambda by theory": last["theory"],
        "C_h(0), lambda by one network": last["network"],
        "met": ratio(seconds, "theory", "network").median <= POINT_TARGET,
    }


def plain_paths(
    samples: int, steps: int, dt: float, sweeps: int, seed: int, dtype: type = np.float64
) -> tuple[float, float]:
    """Iterate sampled paths of the gated RNN by NumPy alone, and return C_h(0) and the seconds.

    The textbook loop (the paper's Appendix C): fresh circulant noise in each sweep, two rounds of
    the period, damping 1/2, the last third of the sweeps averaged. Fields between the steps of the
    classical Runge-Kutta method are interpolated spectrally, as in `solve_dmft`.
    """
    rng = np.random.default_rng(seed)
    g_h, alpha_z, alpha_r = (dtype(GATED[name]) for name in ("g_h", "alpha_z", "alpha_r"))
    half, one = dtype(0.5), dtype(1.0)

    def sigmoid(x):
        return half * (one + np.tanh(half * x))

    def velocity(state, field):
        h, z, r = state
        return np.stack([sigmoid(alpha_z * z) * (field[0] - h), field[1] - z, field[2] - r])

    frequencies = steps // 2 + 1
    omega = np.fft.rfftfreq(steps, dt) * 2 * np.pi
    shape = np.exp(-0.5 * omega**2)
    spectra = np.stack([shape, shape]) * 0.5 * steps / shape.sum()
    state = rng.standard_normal((3, samples)).astype(dtype)
    kept = []
    started = time.perf_counter()
    for sweep in range(sweeps):
        noise = rng.standard_normal((2, 3, samples, frequencies))
        white = (noise[0] + 1j * noise[1]) * np.sqrt(0.5)
        white[..., [0, -1]] = noise[0][..., [0, -1]]  # real, of the same variance
        scale = np.sqrt(np.maximum(spectra[[0, 1, 1]], 0.0) * steps)
        fields = 2 * np.fft.irfft(white * scale[:, None], 2 * steps, axis=-1)
        fields = np.ascontiguousarray(np.moveaxis(fields, -1, 0)).astype(dtype)
        outputs = np.empty((2, steps, samples), dtype)
        squares = 0.0
        for step in range(2 * steps):
            at = step % steps
            if step >= steps:
                active = np.tanh(g_h * state[0])
                outputs[0, at], outputs[1, at] = active * sigmoid(alpha_r * state[2]), active
                squares += float(np.mean(state[0] ** 2)) / steps
            first, middle = fields[2 * at], fields[2 * at + 1]
            last = fields[(2 * at + 2) % (2 * steps)]
            k1 = velocity(state, first)
            k2 = velocity(state + dtype(dt / 2) * k1, middle)
            k3 = velocity(state + dtype(dt / 2) * k2, middle)
            k4 = velocity(state + dtype(dt) * k3, last)
            state = state + dtype(dt / 6) * (k1 + 2 * k2 + 2 * k3 + k4)
        transformed = np.fft.rfft(outputs.astype(np.float64), axis=1)
        power = np.mean(np.abs(transformed) ** 2, axis=-1) / steps
        spectra = 0.5 * spectra + 0.5 * power
        if sweep >= sweeps - sweeps // 3:
            kept.append(squares)
    return float(np.mean(kept)), time.perf_counter() - started


def sampled(samples: int, seeds: int, sweeps: int) -> dict[str, Any]:
    """Compare time times mean squared error of C_h(0), the cost at equal accuracy.

    Parameters
    ----------
    samples
        Paths of one batch.
    seeds
        Independent results of each sampler, over which the error is averaged.
    sweeps
        Sweeps of the plain loop.

    Returns
    -------
    dict
        The ratio of the costs and its parts.
    """
    cell, steps, dt = gf.GatedRNN(**GATED), 1024, 0.2
    options: dict[str, Any] = {
        "method": "sampled",
        "dt": dt,
        "period": steps * dt,
        "samples": samples,
        "progress": False,
    }
    run: Callable[[int], Any] = lambda seed: gf.solve_dmft(  # noqa: E731
        cell, seed=seed, batches=8, **options
    )
    run(0)
    # Accuracy is the distance from the truth, of which finite batches miss a part of order 1/M.
    truth = float(
        gf.solve_dmft(cell, seed=99, **{**options, "samples": 6 * samples}).covariance["h"][0]
    )
    ours, our_seconds, plain, plain_seconds = [], [], [], []
    for seed in range(1, seeds + 1):
        started = time.perf_counter()
        ours.append(float(run(seed).covariance["h"][0]))
        our_seconds.append(time.perf_counter() - started)
        value, seconds = plain_paths(samples, steps, dt, sweeps, seed)
        plain.append(value)
        plain_seconds.append(seconds)
    cost = np.mean(our_seconds) * np.mean(np.square(np.array(ours) - truth))
    plain_cost = np.mean(plain_seconds) * np.mean(np.square(np.array(plain) - truth))
    return {
        "C_h(0), ours": [float(np.mean(ours)), float(np.std(ours, ddof=1))],
        "C_h(0), plain": [float(np.mean(plain)), float(np.std(plain, ddof=1))],
        "C_h(0), six times the samples": truth,
        "time of the plain loop over ours": float(np.mean(plain_seconds) / np.mean(our_seconds)),
        "cost of the plain loop over ours": float(plain_cost / cost),
        "target": SAMPLED_TARGET,
        "met": bool(plain_cost / cost >= SAMPLED_TARGET),
    }


def main() -> None:
    """Run both comparisons and print them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to show that it runs")
    quick = parser.parse_args().quick
    found = {
        "point": point(200 if quick else 2000, 1 if quick else 3),
        "sampled": sampled(100 if quick else 500, 2 if quick else 6, 4 if quick else 60),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
