"""Lyapunov spectra against matrix products, a NumPy loop, and a PyTorch loop, each in one run.

    python benchmarks/lyapunov.py            N = 500 with all 1500 exponents; GRUs of 64 and 256
    python benchmarks/lyapunov.py --quick    small sizes, to see that it runs

The PyTorch part needs torch.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _timing import interleaved

import gatefield as gf
from gatefield.core.types import HostArray

EULER = ((1.0, None),)
RUNGE_KUTTA = ((1 / 6, 0.5), (1 / 3, 0.5), (1 / 3, 1.0), (1 / 6, None))
ACCURACY = 1e-3  # of each exponent, at which Euler's method is compared
PRODUCT_TARGET, NUMPY_TARGET = 0.70, 10.0
TORCH_TARGETS = {64: 20.0, 256: 5.0}
DT = 0.05
GATED = gf.GatedRNN(g_h=3.0, alpha_z=2.0, alpha_r=1.0)


def settled(network: gf.Network, steps: int, inputs: Any = None) -> gf.LyapunovSpectrum:
    """Return a run whose state, frame and interval have settled."""
    is_map = isinstance(network.cell, gf.AbstractMap)
    time = steps * (1.0 if is_map else DT)
    options: dict[str, Any] = {} if is_map else {"dt": DT}
    return gf.lyapunov_spectrum(
        network,
        t_max=time,
        burn_in=time,
        frame_burn_in=time,
        blocks=4,
        inputs=inputs,
        progress=False,
        **options,
    )


def further(
    network: gf.Network, start: gf.LyapunovSpectrum, steps: int, inputs: Any = None
) -> gf.LyapunovSpectrum:
    """Go on from there, for a multiple of its blocks."""
    time = steps * dict(start.settings)["dt"]
    return gf.lyapunov_spectrum(network, t_max=time, resume=start, inputs=inputs, progress=False)


def again(
    network: gf.Network, start: gf.LyapunovSpectrum, steps: int, inputs: Any = None
) -> HostArray:
    """Return the exponents over a few steps from there."""
    dt = dict(start.settings)["dt"]
    options: dict[str, Any] = {} if start.is_map else {"dt": dt}
    found = gf.lyapunov_spectrum(
        network,
        t_max=steps * dt,
        blocks=2,
        burn_in=0.0,
        frame_burn_in=0.0,
        initial=start.state,
        frame=start.frame,
        inputs=inputs,
        progress=False,
        **options,
    )
    return found.block_exponents.mean(axis=0)


def numpy_loop(
    network: gf.Network, steps: int, state: HostArray, frame: HostArray, stages: Any
) -> HostArray:
    """Return the exponents of the gated RNN by dense Jacobians and a QR in every step.

    ``stages`` are the weights of a Runge-Kutta method and where it evaluates next; each Jacobian
    (3N, 3N) multiplies the frame.
    """
    J_h, J_z, J_r = (network.coupling(name) for name in "hzr")
    n, g_h = network.n, float(GATED.g_h)
    alpha_z, alpha_r = float(GATED.alpha_z), float(GATED.alpha_r)
    J_h, J_z, J_r = (np.asarray(each, np.float64) for each in (J_h, J_z, J_r))

    def sigmoid(x):
        return 1.0 / (1.0 + np.exp(-x))

    def rates(x):
        h, z, r = x
        phi, s_z, s_r = np.tanh(g_h * h), sigmoid(alpha_z * z), sigmoid(alpha_r * r)
        return np.stack([s_z * (J_h @ (phi * s_r) - h), J_z @ phi - z, J_r @ phi - r])

    def jacobian(x):
        h, z, r = x
        phi, s_z, s_r = np.tanh(g_h * h), sigmoid(alpha_z * z), sigmoid(alpha_r * r)
        slope = g_h * (1 - phi**2)
        dense = np.zeros((3 * n, 3 * n))
        one = np.eye(n)
        field = J_h @ (phi * s_r)
        dense[:n, :n] = s_z[:, None] * (J_h * (slope * s_r) - one)
        dense[:n, n : 2 * n] = one * (alpha_z * s_z * (1 - s_z) * (field - h))
        dense[:n, 2 * n :] = s_z[:, None] * J_h * (phi * alpha_r * s_r * (1 - s_r))
        dense[n : 2 * n, :n] = J_z * slope
        dense[n : 2 * n, n : 2 * n] = -one
        dense[2 * n :, :n] = J_r * slope
        dense[2 * n :, 2 * n :] = -one
        return dense

    x, Q, logs = state, frame.reshape(3 * n, 3 * n).T, np.zeros(3 * n)
    for _ in range(steps):
        slopes, pushed, total, total_Q = rates(x), jacobian(x) @ Q, 0.0, 0.0
        for weight, part in stages:
            total, total_Q = total + weight * slopes, total_Q + weight * pushed
            if part is not None:
                moved = x + part * DT * slopes
                pushed = jacobian(moved) @ (Q + part * DT * pushed)
                slopes = rates(moved)
        x = x + DT * total
        Q, R = np.linalg.qr(Q + DT * total_Q)
        logs += np.log(np.abs(np.diag(R)))
    return logs / (steps * DT)


def step_for(method: str, accuracy: float) -> tuple[float, float]:
    """Return the step at which a method has this error of an exponent, and its measured order.

    All 180 exponents of a network of 60 units over 10 time units, against steps of 1/160 by the
    classical Runge-Kutta method.
    """
    network = gf.Network.sample(GATED, 60, seed=0)
    state = gf.simulate(network, 60.0, dt=DT, progress=False).final

    def rates(method, dt):
        options: dict[str, Any] = {"burn_in": 0.0, "frame_burn_in": 0.0, "progress": False}
        found = gf.lyapunov_spectrum(
            network,
            t_max=10.0,
            dt=dt,
            blocks=2,
            method=method,
            initial=state,
            frame="identity",
            **options,
        )
        return found.block_exponents.mean(axis=0)

    exact = rates("rk4", 1 / 160)
    steps = (0.5, 0.25) if method == "rk4" else (0.05, 0.025)
    errors = [float(np.max(np.abs(rates(method, step) - exact))) for step in steps]
    order = float(np.log2(errors[0] / errors[1]))
    return steps[1] * (accuracy / errors[1]) ** (1 / order), order


def gated(n: int, steps: int, loop_steps: int, repeats: int) -> dict[str, Any]:
    """Compare all exponents of the gated RNN with raw products and with NumPy loops.

    Useful work is, per step, four times three products (N, N) (N, 3N), and 8/3 (3N)^3 for each
    orthonormalisation that was made.
    """
    network = gf.Network.sample(GATED, n, seed=0)
    start = settled(network, steps)
    rows = 3 * n
    square = np.random.default_rng(0).standard_normal((rows, rows))
    last: dict[str, Any] = {}

    def ours():
        last["ours"] = further(network, start, steps)

    def loop(stages):
        return numpy_loop(network, loop_steps, start.state, start.frame, stages)

    def runge_kutta():
        last["loop"] = loop(RUNGE_KUTTA)

    with jax.enable_x64(True):
        device = jnp.asarray(square)
        multiply = jax.jit(lambda a: a @ a)
        seconds = interleaved(
            {
                "ours": ours,
                "numpy": lambda: square @ square,
                "jax": lambda: multiply(device),
                "loop": runge_kutta,
                "euler": lambda: loop(EULER),
            },
            repeats,
        )
    found = last["ours"]
    block = steps // 4
    useful = steps * 4 * 3 * 2 * n**2 * rows + 4 * -(-block // found.interval) * 8 / 3 * rows**3
    fastest = np.minimum(seconds["numpy"], seconds["jax"])
    share = useful / seconds["ours"] / (2 * rows**3 / fastest)
    faster, euler = (
        seconds[each] / loop_steps * steps / seconds["ours"] for each in ("loop", "euler")
    )
    coarse, order = step_for("rk4", ACCURACY)
    fine, euler_order = step_for("euler", ACCURACY)
    at_equal = euler * coarse / fine
    exact = again(network, start, loop_steps)
    return {
        "share of the machine's product rate": _quartiles(share),
        "target share": PRODUCT_TARGET,
        "interval in steps": found.interval,
        "times faster than NumPy, the same Runge-Kutta steps": _quartiles(faster),
        "largest difference of an exponent": float(np.max(np.abs(exact - last["loop"]))),
        f"times faster than NumPy, Euler steps, both to {ACCURACY}": _quartiles(at_equal),
        "steps and orders, Runge-Kutta and Euler": [coarse, order, fine, euler_order],
        "target times": NUMPY_TARGET,
        "share met": bool(np.median(share) >= PRODUCT_TARGET),
        "times met, Runge-Kutta": bool(np.median(faster) >= NUMPY_TARGET),
        "times met, Euler": bool(np.median(at_equal) >= NUMPY_TARGET),
    }


def gru(n: int, gain: float | None, steps: int, loop_steps: int, repeats: int) -> dict[str, Any]:
    """Compare all exponents of a GRU with a PyTorch loop that takes a QR in every step.

    Along random inputs as PyTorch initialises the module (``gain`` None), and chaotic without
    inputs.
    """
    torch = importlib.import_module("torch")
    torch.manual_seed(0)
    module = torch.nn.GRU(n, n).double()
    if gain is not None:
        with torch.no_grad():
            for name, value in module.named_parameters():
                if "weight_hh" in name:
                    value.copy_(gain * torch.randn(3 * n, n, dtype=torch.float64) / n**0.5)
                else:
                    value.zero_()
    layer = gf.Network.from_torch(module).layers[0]
    total = 5 * steps
    signal = np.random.default_rng(0).standard_normal((total, n))
    received = layer.received(signal)
    weights = [each.detach() for each in module.parameters()]
    start = settled(layer.network, steps, received)
    begun = dict(start.settings)["steps"]
    J, inputs = weights[1], torch.tensor(signal[begun:]) @ weights[0].T + weights[2]
    last: dict[str, Any] = {}

    def loop():
        h = torch.tensor(np.array(start.state[0]))
        Q = torch.tensor(np.array(start.frame).reshape(n, n).T.copy())
        logs = torch.zeros(n, dtype=torch.float64)
        J_r, J_z, J_n = J[:n], J[n : 2 * n], J[2 * n :]
        with torch.no_grad():
            for number in range(loop_steps):
                own, (i_r, i_z, i_n) = J @ h + weights[3], inputs[number].split(n)
                r, z = torch.sigmoid(own[:n] + i_r), torch.sigmoid(own[n : 2 * n] + i_z)
                new = torch.tanh(i_n + r * own[2 * n :])
                inner = (1 - z) * (1 - new * new)
                D = (
                    torch.diag(z)
                    + ((h - new) * z * (1 - z))[:, None] * J_z
                    + (inner * own[2 * n :] * r * (1 - r))[:, None] * J_r
                    + (inner * r)[:, None] * J_n
                )
                h = z * h + (1 - z) * new
                Q, R = torch.linalg.qr(D @ Q)
                logs += torch.log(torch.abs(torch.diagonal(R)))
        last["loop"] = (logs / loop_steps).numpy()

    def ours():
        last["ours"] = further(layer.network, start, steps, received)

    seconds = interleaved({"ours": ours, "loop": loop}, repeats)
    faster = (seconds["loop"] / loop_steps) / (seconds["ours"] / steps)
    shifted = {name: gf.Series(series.values[begun:]) for name, series in received.items()}
    exact = again(layer.network, start, loop_steps, shifted)
    target = TORCH_TARGETS.get(n, 1.0)
    return {
        "times faster than PyTorch": _quartiles(faster),
        "target times": target,
        "interval in steps": last["ours"].interval,
        "exponents": [float(each) for each in last["ours"].exponents[[0, n // 2, -1]]],
        "largest difference of an exponent": float(np.max(np.abs(exact - last["loop"]))),
        "departure from orthonormality": float(last["ours"].departure),
        "met": bool(np.median(faster) >= target),
    }


def _quartiles(values: HostArray) -> str:
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{median:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Run the comparisons and print them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--only", choices=["gated", "gru"])
    asked = parser.parse_args()
    quick, found = asked.quick, {}
    if asked.only != "gru":
        found["gated"] = gated(*((60, 20, 2, 1) if quick else (500, 100, 4, 3)))
    if asked.only != "gated" and importlib.util.find_spec("torch") is not None:
        for n, steps, loop_steps in ((64, 16000, 400), (256, 1600, 60)):
            sizes = (40, 10, 1) if quick else (steps, loop_steps, 5)
            found[f"gru {n}, as PyTorch initialises it"] = gru(n, None, *sizes)
            found[f"gru {n}, gain 3"] = gru(n, 3.0, *sizes)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
