"""Initialisers beside each other: slow modes at the zero state, and exponents under inputs."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import gatefield as gf
from gatefield.initialise import chrono_cell, critical_cell, marginal_cell
from gatefield.initialise.couplings import draw_couplings
from gatefield.initialise.recipes import plain_gains

HORIZON = 100.0
SLOW = math.exp(-1 / HORIZON)
INPUT_VARIANCE = 0.33


def plain(units: int, seed: int) -> gf.GRU:
    """Return the gains of PyTorch's default, and its biases: two for each gate, summed."""
    bound = 1 / math.sqrt(units)
    draws = np.random.default_rng([seed, 1]).uniform(-bound, bound, (6, units))
    biases = {"bias_r": draws[0] + draws[1], "bias_z": draws[2] + draws[3]}
    parameters: dict[str, Any] = {**plain_gains("GRU"), **biases}
    return gf.GRU(**parameters, bias_n=draws[4], bias_hn=draws[5])


INITIALISERS: dict[str, tuple[str, Callable[[int, int], gf.AbstractCell]]] = {
    "PyTorch's default": ("uniform", plain),
    "`orthogonal_`": ("orthogonal", lambda units, seed: gf.GRU(gain_r=1.0, gain_z=1.0, gain_n=1.0)),
    "`chrono_`": (
        "uniform",
        lambda units, seed: chrono_cell("GRU", units=units, horizon=HORIZON, seed=seed),
    ),
    "`critical_`": ("normal", lambda units, seed: critical_cell("GRU")),
    "`marginal_`, log-normal times": (
        "normal",
        lambda units, seed: marginal_cell(
            "GRU", units=units, horizon=HORIZON, times="log-normal", seed=seed
        ),
    ),
    "`marginal_`": (
        "normal",
        lambda units, seed: marginal_cell("GRU", units=units, horizon=HORIZON, seed=seed),
    ),
}


def at_zero(name: str, units: int, seed: int) -> tuple[float, int]:
    """Return the spectral radius at the zero state, and the number of slow modes."""
    law, cell_of = INITIALISERS[name]
    cell = cell_of(units, seed)
    couplings = draw_couplings(cell, units, np.random.default_rng([seed, 2]), law)
    network = gf.Network.of_couplings(cell, couplings)
    matrix = gf.jacobian(network, np.zeros((1, units))).as_matrix()
    moduli = np.abs(np.linalg.eigvals(matrix))
    return float(moduli.max()), int(np.sum(moduli > SLOW))


def exponent(kind: str, gain: float, units: int, steps: int, seed: int) -> float:
    """Return the largest exponent of a marginal network under white input to all of its drives."""
    cell = marginal_cell(kind, units=units, horizon=HORIZON, times="log-normal", seed=seed)
    name = {"GRU": "gain_n", "LSTM": "gain_g"}[kind]
    network = gf.Network.sample(type(cell)(**{**vars(cell), name: gain}), units, seed=seed)
    given = gf.GaussianInput(variance=INPUT_VARIANCE, correlation_time=0.01)
    inputs = {
        drive: given.realise(units, steps, dt=1.0, seed=len(cell.drive_names) * seed + place)
        for place, drive in enumerate(cell.drive_names)
    }
    burn_in = 3 * HORIZON
    run = gf.lyapunov_spectrum(
        network, 1, t_max=steps - 2 * burn_in, burn_in=burn_in, frame_burn_in=burn_in, inputs=inputs
    )
    return float(run.exponents[0])


def shown(values: Sequence[float], digits: int) -> str:
    """Return mean and standard error."""
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    return f"{np.mean(values):.{digits}f} ± {error:.{digits}f}"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2000, help="of an exponent")
    parser.add_argument("--networks", type=int, default=4, help="of an exponent")
    parser.add_argument("--quick", action="store_true", help="small, to show that it runs")
    options = parser.parse_args()
    units, seeds, steps, networks = options.units, options.seeds, options.steps, options.networks
    if options.quick:
        units, seeds, steps, networks = 50, 2, 800, 2

    print(f"GRUs of {units} units, horizon {HORIZON:g}, {seeds} seeds: mean ± standard error")
    print("| | radius at the zero state | slow modes |\n|---|---|---|")
    for name in INITIALISERS:
        radii, slow = zip(*(at_zero(name, units, seed) for seed in range(seeds)), strict=True)
        print(f"| {name} | {shown(radii, 4)} | {shown(slow, 1)} |", flush=True)

    print(f"\nExponent times horizon under input, log-normal times, {networks} seeds")
    print("| gain | GRU | LSTM |\n|---|---|---|")
    for gain in (2.0, 2.6, 3.2):
        row = [
            shown([HORIZON * exponent(kind, gain, units, steps, k) for k in range(networks)], 2)
            for kind in ("GRU", "LSTM")
        ]
        print(f"| {gain} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
