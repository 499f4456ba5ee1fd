"""Transient mean-field theory against simulated networks, of every kind of cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gatefield as gf
from gatefield.compare import compare
from gatefield.networks.noise import GaussianInput
from gatefield.theory.dmft.transient import solve_transient

pytestmark = pytest.mark.slow


def agrees_with_networks(cell, t_max, names, pairs, *, inputs=None, **options):
    """Compare two-time moments with eight networks of 1000 units that start as the theory does."""
    solution = solve_transient(cell, t_max, inputs=inputs, **options)
    dt = None if isinstance(cell, gf.AbstractMap) else options["dt"]
    method = {"euler": "euler", "adams-bashforth": "rk4"}.get(options.get("scheme", ""))
    samples: dict[tuple[str, float, float], list[float]] = {}
    for seed in range(8):
        network = gf.Network.sample(cell, 1000, seed=seed)
        drawn = {
            name: given.realise(1000, t_max, dt=dt or 1.0, seed=seed)
            for name, given in (inputs or {}).items()
        }
        run = gf.simulate(network, t_max, dt=dt, method=method, seed=100 + seed, inputs=drawn)
        for name in names:
            x = run.component(name)
            for s, t in pairs:
                moment = float(np.mean(x[at(run.times, s)] * x[at(run.times, t)]))
                samples.setdefault((name, s, t), []).append(moment)
    for (name, s, t), values in samples.items():
        i, j = at(solution.times, s), at(solution.times, t)
        covariance, error = solution.covariance[name], solution.standard_error[name][i, j]
        label = f"<{name}({s}) {name}({t})>"
        check = compare(covariance[i, j], values, theory_error=error, name=label)
        assert check.agrees, str(check)
        # The comparison means something.
        size = np.sqrt(covariance[i, i] * covariance[j, j])
        assert np.hypot(check.standard_error, error) < 0.06 * size


def at(times, time):
    """Return the place of a time."""
    (found,) = np.flatnonzero(np.abs(times - time) < 1e-9)
    return int(found)


PAIRS = ((0.0, 1.5), (1.5, 1.5), (1.5, 3.0), (3.0, 3.0), (0.0, 3.0))


@pytest.mark.parametrize("scheme", ["euler", "adams-bashforth"])
def test_gated_networks(scheme):
    """By Euler's method step by step; by the second-order scheme against RK4.

    Its error, of order dt^2 = 0.0025, is small beside standard errors of some per cent.
    """
    cell = gf.GatedRNN(3.0, alpha_z=5.0, alpha_r=2.0, beta_h=0.2, tau_z=0.7)
    agrees_with_networks(cell, 3.0, "hzr", PAIRS, scheme=scheme, dt=0.05, save_every=1.5)


def test_gated_networks_under_random_input():
    """Into h a fluctuating input, into z a static one."""
    cell = gf.GatedRNN(2.5, alpha_z=3.0, alpha_r=2.0)
    inputs = {
        "h": GaussianInput(variance=0.5, mean=0.2, correlation_time=0.7),
        "z": GaussianInput(variance=0.3, mean=-0.2),
    }
    options: dict[str, Any] = {"scheme": "euler", "dt": 0.1, "save_every": 1.5}
    agrees_with_networks(cell, 3.0, "hzr", PAIRS, inputs=inputs, **options)


def test_slow_gates():
    """alpha_z = 15, alpha_r = 0: no stationary state is reached, transients agree up to t = 30."""
    cell = gf.GatedRNN(3.0, alpha_z=15.0)
    pairs = ((0.0, 5.0), (5.0, 5.0), (5.0, 15.0), (15.0, 15.0), (15.0, 30.0), (30.0, 30.0))
    options: dict[str, Any] = {"scheme": "euler", "dt": 0.1, "save_every": 5.0}
    agrees_with_networks(cell, 30.0, "hzr", pairs, **options)


MAPS = {
    "gru": gf.GRU(gain_r=2.0, gain_z=3.0, gain_n=2.5, bias_z=0.5, bias_hn=0.3),
    "gru-reset-before": gf.GRU(gain_r=2.0, gain_z=3.0, gain_n=2.5, bias_n=0.3, reset="before"),
    "lstm": gf.LSTM(gain_i=2.0, gain_f=3.0, gain_g=2.5, gain_o=1.0, bias_f=0.5, bias_g=0.2),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps(name):
    """Every component at pairs of steps up to 12, with gates that are far from linear."""
    cell, pairs = MAPS[name], ((0, 1), (1, 1), (2, 5), (5, 5), (4, 12), (12, 12))
    agrees_with_networks(cell, 12, cell.state_names, pairs)
