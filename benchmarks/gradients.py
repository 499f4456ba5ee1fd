"""Adjoint mean-field theory against reverse-mode differentiation of a network."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from _timing import interleaved, ratio

import gatefield as gf

TARGET = 1 / 10
HORIZON = 30.0
CELLS = {
    "chaotic, lag equations": gf.GatedRNN(g_h=3.0, alpha_r=2.0),
    "chaotic, sampled": gf.GatedRNN(g_h=3.0, alpha_z=2.0, alpha_r=2.0),
    "at rest, closed form": gf.GatedRNN(g_h=1.8, alpha_z=2.0, alpha_r=3.0, beta_h=0.5),
}


def measured(cell: gf.GatedRNN, n: int, seed: int, state: Any = None) -> Any:
    """Return the gradients of one network, from a state on its attractor."""
    network = gf.Network.sample(cell, n, seed=seed)
    if state is None:
        state = gf.simulate(
            network, 100.0, dt=0.1, method="rk4", save_every=1000, seed=seed, progress=False
        ).final
    found = gf.network_gradients(network, state, HORIZON, dt=0.1, seed=seed, progress=False)
    return found, state


def point(name: str, n: int, repeats: int, networks: int) -> dict[str, Any]:
    """Time the prediction at one point against one network's gradients over the same horizon.

    Parameters
    ----------
    name
        Which of `CELLS`.
    n
        Units of the network.
    repeats
        Number of interleaved repeats.
    networks
        Networks whose scatter tells how many reach the prediction's standard error.

    Returns
    -------
    dict
        Ratios, and what theory and networks gave.
    """
    cell = CELLS[name]
    at_rest = name.startswith("at rest")
    method = "lag equations" if name.endswith("lag equations") else "auto"
    last: dict[str, Any] = {}

    def mean_field():
        last["state"] = gf.solve_static(cell)[-1] if at_rest else gf.solve_dmft(cell)

    def theory():
        last["theory"] = gf.solve_adjoint(last["state"], HORIZON, method=method, progress=False)

    mean_field()
    network = gf.Network.sample(cell, n, seed=0)
    _, state = measured(cell, n, 0)

    def one_network():
        gf.network_gradients(network, state, HORIZON, dt=0.1, progress=False)

    seconds = interleaved(
        {"mean field": mean_field, "adjoint": theory, "network": one_network}, repeats
    )
    seconds["both"] = seconds["mean field"] + seconds["adjoint"]
    found = [measured(cell, n, seed)[0] for seed in range(networks)]
    ends = np.array([float(one.adjoint_variance["h"][-1]) for one in found])
    coupling = np.array([float(one.gradient_variance["J_h"]) for one in found])
    predicted = last["theory"]
    error = float(predicted.adjoint_standard_error["h"][-1])
    alike = float(ends.var(ddof=1)) / error**2 if error > 0 else np.inf
    adjoint, both = (ratio(seconds, each, "network") for each in ("adjoint", "both"))
    return {
        "adjoint over one network": str(adjoint),
        "mean field and adjoint over one network": str(both),
        "networks of equal standard error": alike,
        "adjoint over networks of equal standard error": adjoint.median / alike,
        "mean field and adjoint over networks of equal standard error": both.median / alike,
        "target": TARGET,
        "met by one network's time": both.median <= TARGET,
        "met at equal standard error": both.median / alike <= TARGET,
        "E a_h^2 at the far end, theory": [float(predicted.adjoint_variance["h"][-1]), error],
        "E a_h^2 at the far end, networks": _mean(ends),
        "J_h, theory": [
            float(predicted.gradient_variance["J_h"]),
            float(predicted.gradient_standard_error["J_h"]),
        ],
        "J_h, networks": _mean(coupling),
    }


def _mean(values: np.ndarray) -> list[float]:
    return [float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))]


def main() -> None:
    """Run both points and print them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to show that it runs")
    quick = parser.parse_args().quick
    n, repeats, networks = (100, 1, 3) if quick else (1000, 3, 8)
    print(json.dumps({name: point(name, n, repeats, networks) for name in CELLS}, indent=2))


if __name__ == "__main__":
    main()
