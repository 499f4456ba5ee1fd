"""One simulation step of the gated RNN against its raw matrix products, in the same run.

An Euler step evaluates the rule once, and that needs two products: J^z and J^r, which read the same
output, are stacked to (2N, N); J^h is (N, N). The reference is the fastest of four ways, two in JAX
and two in NumPy, of multiplying matrices of these sizes by vectors, or by 64 at once.

    python benchmarks/step.py            N = 4000, one trajectory and a batch of 64
    python benchmarks/step.py --quick    N = 300, to see that it runs
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import equinox as eqx
import jax
import numpy as np
from _timing import compiled, fastest, interleaved, ratio

import gatefield as gf
from gatefield.cells.base import cast
from gatefield.networks.inputs import drive_of
from gatefield.networks.simulate import one_step

DT = 0.05
TARGETS = {1: 1.5, 64: 1.3}


def measure(network: gf.Network, samples: int, repeats: int, steps: int) -> dict[str, Any]:
    """Time steps and products for one trajectory (samples = 1) or a batch.

    Parameters
    ----------
    network
        A gated RNN.
    samples
        Number of trajectories advanced together.
    repeats
        Number of interleaved repeats.
    steps
        Length of the run of the public `simulate`, which pays for its host work once.

    Returns
    -------
    dict
        Ratios, compile times and the reference that was fastest.
    """
    n = network.n
    shape = (3, n) if samples == 1 else (samples, 3, n)
    state = jax.random.normal(jax.random.key(1), shape, network.dtype)
    drive = drive_of(network, None)
    inner = max(1, 1_000_000 // (n * n))

    def euler_step(network, drive, state):
        return one_step(network, drive, DT, "euler")(jax.numpy.asarray(0), state)

    step, step_compile = compiled(euler_step, network, drive, state)
    vectors = state[..., 0, :], state[..., 1, :]
    products, products_compile = compiled(_products, network.couplings, *vectors)
    flipped, _ = compiled(_products_flipped, network.couplings, *vectors)
    host = [np.asarray(matrix) for matrix in network.couplings]
    host_vectors = [np.ascontiguousarray(vector) for vector in vectors]

    def simulated():
        run = gf.simulate(
            network,
            steps * DT,
            dt=DT,
            method="euler",
            initial=host_state,
            save_every=steps,
            progress=False,
        )
        return run.states

    host_state = np.asarray(state)
    candidates = {
        "step": lambda: step(network, drive, state),
        "JAX, J y": lambda: products(network.couplings, *vectors),
        "JAX, y J^T": lambda: flipped(network.couplings, *vectors),
        "NumPy, J y": lambda: [m @ v.T for m, v in zip(host, host_vectors, strict=True)],
        "NumPy, y J^T": lambda: [v @ m.T for m, v in zip(host, host_vectors, strict=True)],
    }
    seconds = interleaved(candidates, repeats, inner)
    references = [name for name in candidates if name != "step"]
    reference = fastest(seconds, references)
    multiply = candidates[reference]
    # A run of many steps is timed beside as many products.
    runs = {"run": simulated, "products": lambda: [multiply() for _ in range(steps)]}
    run = interleaved(runs, max(3, repeats // 3))
    return {
        "n": n,
        "samples": samples,
        "reference": reference,
        "reference_ms": 1e3 * float(np.median(seconds[reference])),
        "step": ratio(seconds, "step", reference),
        "references": {name: ratio(seconds, name, reference) for name in references},
        "run": ratio(run, "run", "products"),
        "steps": steps,
        "compile_s": {"step": step_compile, "products": products_compile},
    }


def _products(couplings, first, second):
    return tuple(m @ v.T for m, v in zip(couplings, (first, second), strict=True))


def _products_flipped(couplings, first, second):
    return tuple(v @ m.T for m, v in zip(couplings, (first, second), strict=True))


def report(result: dict[str, Any]) -> None:
    """Print one measurement."""
    samples, target = result["samples"], TARGETS[result["samples"]]
    title = "one trajectory" if samples == 1 else f"a batch of {samples}"
    print(f"{title}: time over that of the products by {result['reference']!r}")
    verdict = f"{'within' if result['step'].median <= target else 'MISSES'} the target of {target}"
    print(f"  one Euler step         {result['step']}   {verdict if result['n'] >= 4000 else ''}")
    print(f"  simulate, {result['steps']:3d} steps    {result['run']}   per step")
    for name, each in result["references"].items():
        print(f"  products, {name:12} {each}")
    print(
        f"  compile: step {result['compile_s']['step']:.2f} s, products "
        f"{result['compile_s']['products']:.2f} s; the products take "
        f"{result['reference_ms']:.3g} ms here"
    )


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description="One simulation step against its matrix products.")
    parser.add_argument("--quick", action="store_true", help="N = 300 and few repeats")
    parser.add_argument("--units", type=int, help="number of units N (default 4000)")
    parser.add_argument("--repeats", type=int, help="interleaved repeats (default 21)")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to a file")
    options = parser.parse_args()
    n = options.units or (300 if options.quick else 4000)
    repeats = options.repeats or (5 if options.quick else 21)
    cell = gf.GatedRNN(g_h=3.0, alpha_z=2.0, alpha_r=1.0)
    results = []
    with jax.enable_x64(True):
        network = gf.Network.sample(cell, n, seed=0)
        network = eqx.tree_at(lambda net: net.cell, network, cast(cell, network.dtype))
        print(
            f"gated RNN, N = {n}, float64, {jax.devices()[0].platform}, {repeats} repeats; ", end=""
        )
        print("medians, quartiles in parentheses\n")
        for samples in TARGETS:
            results.append(measure(network, samples, repeats, steps=10))
            report(results[-1])
            print()
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2, default=vars)


if __name__ == "__main__":
    main()
