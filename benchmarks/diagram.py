"""The phase diagram with its lines against loops of scipy root finders over the same formulas.

Both sides evaluate the same explicit branches with the same quadrature (the same nodes and weights,
here in NumPy) and find the same four lines; the loop takes scipy's `brentq` and `minimize_scalar`
point by point. The values are compared before anything is timed.

    python benchmarks/diagram.py [--quick]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _timing import Ratio
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit

import gatefield as gf
from gatefield.numerics import gaussian, scale_mixture
from gatefield.phases import critical
from gatefield.theory.dynamical_fold.potential import energy_rule

INPUT = 0.04
TAU_R = 0.0


def rule() -> tuple[np.ndarray, np.ndarray]:
    """Return the package's nodes and weights for one centre at zero, on the host."""
    import jax

    with jax.enable_x64(True):
        nodes, weights = gaussian.clustered_rule(0.0)
    return np.asarray(nodes), np.asarray(weights)


NODES, WEIGHTS = rule()
RHO, RHO_WEIGHTS = energy_rule(32)


def branch(log_b: float, alpha: float, variance: float) -> tuple[float, float]:
    """Return ln g_h and ln rho of the static branch, as `phases.branch.static_branch` does."""
    x = np.exp(log_b) * NODES
    active = np.tanh(x)
    activity = WEIGHTS @ active**2
    slope = WEIGHTS @ (1 - active**2) ** 2
    gate = expit(alpha * np.sqrt(activity) * NODES)
    gate_square = WEIGHTS @ gate**2
    gate_slope = WEIGHTS @ (gate * (1 - gate)) ** 2
    log_gain = log_b - np.log(activity * gate_square + variance) / 2
    response = slope * (gate_square + activity * alpha**2 * gate_slope)
    return log_gain, log_gain + np.log(response) / 2


def potential(log_b: float, log_a: float) -> tuple[float, float]:
    """Return ln g_h and ln alpha_r of the energy condition, by the same sums of arcsine laws."""
    b, a = np.exp(log_b), np.exp(log_a)
    two_point = _two_point(RHO, b)
    top = _two_point(np.ones(1), b)[0]
    gate = 0.25 + _two_point(two_point / top, a / 2) / 4
    return log_b - np.log(2 * RHO_WEIGHTS @ (two_point * gate)) / 2, log_a - np.log(top) / 2


def _two_point(rho: np.ndarray, gain: float) -> np.ndarray:
    return np.asarray(scale_mixture_numpy(rho, gain))


def scale_mixture_numpy(rho: np.ndarray, gain: float) -> np.ndarray:
    """Return <tanh x tanh y> by the package's own nodes, in NumPy."""
    scales, weights = scale_mixture.kolmogorov_rule(scale_mixture.NODES)
    reach = gain / np.hypot(gain, scales)
    arc = np.arcsin(np.multiply.outer(rho, np.multiply.outer(reach, reach)))
    return (2 / np.pi) * np.einsum("i,j,rij->r", weights, weights, arc)


def fixed_point_loop(gains: np.ndarray) -> np.ndarray:
    """Return alpha*_FP: at each gain the least alpha_r along the branch."""

    def alpha_at(log_b, log_gain):
        residual = lambda u: branch(log_b, np.exp(u), 0.0)[0] - log_gain  # noqa: E731
        low, high = np.log(1e-3), np.log(1e7)
        if residual(low) < 0 or residual(high) > 0:
            return high
        return brentq(residual, low, high, xtol=1e-12)

    def least(gain):
        if not np.sqrt(2) < gain < 2:
            return np.inf
        found = minimize_scalar(
            alpha_at,
            bounds=(-7.0, 0.0),
            args=(np.log(gain),),
            method="bounded",
            options={"xatol": 1e-7},
        )
        return np.exp(found.fun)

    return np.array([least(gain) for gain in gains])


def dynamical_loop(gains: np.ndarray) -> np.ndarray:
    """Return alpha*_DMFT for tau_r -> 0 in the same way, on the energy condition."""

    def alpha_at(log_b, log_gain):
        residual = lambda u: potential(log_b, u)[0] - log_gain  # noqa: E731
        low, high = np.log(1e-3), np.log(1e6)
        if residual(low) < 0 or residual(high) > 0:
            return high
        return potential(log_b, brentq(residual, low, high, xtol=1e-12))[1]

    def least(gain):
        if not np.sqrt(8 / 3) < gain < 2:
            return np.inf
        found = minimize_scalar(
            alpha_at,
            bounds=(-7.0, 0.0),
            args=(np.log(gain),),
            method="bounded",
            options={"xatol": 1e-7},
        )
        return np.exp(found.fun)

    return np.array([least(gain) for gain in gains])


def marginal_loop(gains: np.ndarray) -> np.ndarray:
    """Return the alpha_r at which rho^2 / 2 = 1, for g_h > 2."""

    def log_b_at(alpha, log_gain):
        residual = lambda u: branch(u, alpha, 0.0)[0] - log_gain  # noqa: E731
        start = minimize_scalar(residual, bounds=(-7.0, 4.0), method="bounded").x
        return brentq(residual, start, 4.0, xtol=1e-12)

    def critical(gain):
        if not 2 < gain < 6.54:
            return 0.0
        log_gain = np.log(gain)
        residual = lambda a: branch(log_b_at(a, log_gain), a, 0.0)[1] - np.log(2) / 2  # noqa: E731
        return brentq(residual, 1e-6, 1e2, xtol=1e-11)

    return np.array([critical(gain) for gain in gains])


def input_loop(alphas: np.ndarray) -> np.ndarray:
    """Return the g_h at which a network with static input loses stability."""

    def critical(alpha):
        root = brentq(lambda u: branch(u, alpha, INPUT)[1], np.log(1e-3), 2.0, xtol=1e-12)
        return np.exp(branch(root, alpha, INPUT)[0])

    return np.array([critical(alpha) for alpha in alphas])


def main() -> None:
    """Compare values, then times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a 30 x 30 grid")
    points = 30 if parser.parse_args().quick else 200
    gains, alphas = np.linspace(1.42, 7.0, points), np.linspace(0.0, 40.0, points)
    # Half of the gains where all the lines are, as in the command's second panel.
    gains = np.unique(np.concatenate([np.linspace(1.42, 1.999, points // 2), gains[::2]]))

    def ours():
        critical._table.cache_clear()
        return gf.phase_diagram(gains, alphas, tau_r=TAU_R, line_input_variance=INPUT)

    started = time.perf_counter()
    ours()
    first = time.perf_counter() - started
    diagram, ours_seconds, loop_seconds = None, [], []
    loops = {
        "fixed_point_line": (fixed_point_loop, gains),
        "dynamical_line": (dynamical_loop, gains),
        "marginal_line": (marginal_loop, gains),
        "input_line": (input_loop, alphas),
    }
    for _ in range(3):
        started = time.perf_counter()
        diagram = ours()
        ours_seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        found = {name: loop(values) for name, (loop, values) in loops.items()}
        loop_seconds.append(time.perf_counter() - started)
    for name, values in found.items():
        mine = getattr(diagram, name)
        both = np.isfinite(values) & np.isfinite(mine) & (values > 0) & (mine > 0)
        if name == "marginal_line":
            both &= gains > 2.01
        worst = np.max(np.abs(mine[both] / values[both] - 1))
        print(f"{name}: {both.sum()} points, largest relative difference {worst:.1e}")
    print(f"grid {gains.size} x {alphas.size}")
    ratios = np.array(loop_seconds) / np.array(ours_seconds)
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    print(f"loop of scipy root finders / gatefield: {Ratio(middle, low, high, len(ratios))}")
    print(f"first call (with compilation) / later calls: {first / np.median(ours_seconds):.1f}")


if __name__ == "__main__":
    main()
