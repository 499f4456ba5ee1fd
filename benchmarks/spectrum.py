"""The boundary and the density of a Jacobian's spectrum against the eigenvalues of one network."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from _timing import interleaved, ratio

import gatefield as gf
from gatefield.theory.rmt import SpectralBoundary, SpectralDensityGrid

BOUNDARY_TARGET, DENSITY_TARGET = 1 / 20, 3.0
CELL = gf.GatedRNN(g_h=3.0, alpha_z=5.0, alpha_r=2.0)


def measure(n: int, shape: tuple[int, int], repeats: int) -> dict[str, Any]:
    """Time theory and eigenvalues in turn.

    Parameters
    ----------
    n
        Units of the network whose eigenvalues are the reference.
    shape
        Cells of the density's grid.
    repeats
        Number of interleaved repeats.

    Returns
    -------
    dict
        Ratios to the time of all 3 N eigenvalues, and what theory and network gave.
    """
    network = gf.Network.sample(CELL, n, seed=0)
    state = gf.simulate(network, 50.0, save_every=1000, progress=False).final
    units = gf.linearise(network, state)
    matrix = gf.jacobian(network, state).as_matrix()
    fixed_point = gf.solve_static(CELL)[-1]
    last: dict[str, Any] = {}

    def keep(name, function):
        def run():
            last[name] = function()
            return None

        return run

    candidates = {
        "eigenvalues": keep("eigenvalues", lambda: np.linalg.eigvals(matrix)),
        "boundary, units of the state": keep("state", lambda: gf.spectral_boundary(units)),
        "boundary, closed form": keep("closed", lambda: gf.spectral_boundary(fixed_point)),
        "density, fixed point": keep(
            "density", lambda: gf.spectral_density_grid(fixed_point, shape)
        ),
        "density, units of the state": keep(
            "state density", lambda: gf.spectral_density_grid(units, shape)
        ),
    }
    seconds = interleaved(candidates, repeats)
    ratios = {
        name: ratio(seconds, name, "eigenvalues") for name in candidates if name != "eigenvalues"
    }
    return {"n": n, "shape": shape, "ratios": ratios, "results": last}


def report(result: dict[str, Any]) -> None:
    """Print one measurement."""
    n, (rows, columns) = result["n"], result["shape"]
    print(f"time over that of the {3 * n} eigenvalues of one network, N = {n}:")
    for name, each in result["ratios"].items():
        target = BOUNDARY_TARGET if name.startswith("boundary") else DENSITY_TARGET
        verdict = f"{'within' if each.median <= target else 'MISSES'} the target of {target:g}"
        size = "" if name.startswith("boundary") else f", {rows} x {columns}"
        numbers = f"{each.median:.4f} ({each.low:.4f} to {each.high:.4f})"
        print(f"  {name + size:40} {numbers}   {verdict if n >= 1000 else ''}")
    results = result["results"]
    boundary: SpectralBoundary = results["state"]
    values = results["eigenvalues"]
    print(
        f"  leading edge: theory {boundary.leading_edge:.4f}, network {values.real.max():.4f}; "
        f"outside the boundary {np.mean(~boundary.contains(values)):.4f} of the eigenvalues"
    )
    density: SpectralDensityGrid = results["density"]
    print(f"  mass of the fixed point's density on the grid: {density.mass:.5f}")


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description="Spectral theory against a network's eigenvalues.")
    parser.add_argument("--quick", action="store_true", help="N = 150 and a coarse grid")
    parser.add_argument("--units", type=int, help="number of units N (default 1000)")
    parser.add_argument("--repeats", type=int, help="interleaved repeats (default 3)")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to a file")
    options = parser.parse_args()
    n = options.units or (150 if options.quick else 1000)
    shape = (20, 20) if options.quick else (100, 100)
    result = measure(n, shape, options.repeats or (2 if options.quick else 3))
    report(result)
    if options.json:
        kept = {name: vars(each) for name, each in result["ratios"].items()}
        with open(options.json, "w") as file:
            json.dump({"n": n, "shape": shape, "ratios": kept}, file, indent=2)


if __name__ == "__main__":
    main()
