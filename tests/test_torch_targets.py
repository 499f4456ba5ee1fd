"""What initialised modules of PyTorch do: normal couplings, driven exponents, layers on layers."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest
from torch_modules import KINDS, generator, made, radius

import gatefield as gf
from gatefield.initialise import InputStatistics

torch: Any = pytest.importorskip("torch")
bridge: Any = importlib.import_module("gatefield.bridge.torch")

# Normal matrices of variance 1 / N and N = 300, 60 of them drawn by NumPy, have the spectral radius
# 1.037 on the mean, of standard deviation 0.023.
OUTSIDE, SCATTER = 0.037, 0.023


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_radius_of_normal_couplings_for_random_targets(kind):
    """20 targets, within 5 per cent or the finite-size error of a spectrum's edge."""
    n, rng = 300, np.random.default_rng(11)
    module, misses = made(kind, n), []
    for seed in range(20):
        own = {}
        if kind == "GRU":
            own = {"bias_z": rng.uniform(-1, 1), "bias_r": rng.uniform(-1, 1)}
        elif kind == "LSTM":
            own = {f"bias_{a}": rng.uniform(-1, 1) for a in "ifo"}
        kept = 1 / (1 + math.exp(-own.get("bias_z", own.get("bias_f", -np.inf))))
        target = rng.uniform(kept + 0.2 * (1 - kept), 1.4)
        bridge.critical_(module, value=target, generator=generator(seed), **own)
        miss = radius(module) - target
        misses.append(miss / (target - kept))
        assert abs(miss) < max(0.05 * target, (target - kept) * (OUTSIDE + 3 * SCATTER))
    # Of shifted discs the rightmost eigenvalue counts, which stands out less than the largest.
    assert -3 * SCATTER / math.sqrt(20) < np.mean(misses) < OUTSIDE + 3 * SCATTER / math.sqrt(20)


def largest_exponent(module, x):
    """Return the largest exponent of each layer along data, with its standard error."""
    network = gf.Network.from_torch(module)
    burn_in = 100
    found = []
    for layer, received in zip(network.layers, network.layer_inputs(x), strict=True):
        run = gf.lyapunov_spectrum(
            layer.network,
            1,
            t_max=len(x) - 2 * burn_in,
            burn_in=burn_in,
            frame_burn_in=burn_in,
            inputs=received,
        )
        found.append((float(run.exponents[0]), float(run.standard_errors[0])))
    return found


@pytest.fixture(scope="module")
def data():
    """White data of 60 features, enough for units to be driven independently."""
    return np.random.default_rng(12).normal(size=(1500, 60))


def test_driven_rnn_has_the_exponent_that_was_asked_for(data):
    n = 200
    module = made("RNN", n, features=60)
    bridge.critical_(module, inputs=data, generator=generator(0))
    exponent, error = largest_exponent(module, data)[0]
    # Networks at the edge lie off by some 1/N, quiet ones as the radius of normal matrices does.
    assert abs(exponent) < 3 * error + 5 / n
    bridge.critical_(module, value=-0.3, inputs=data, generator=generator(1))
    assert -0.3 - SCATTER < largest_exponent(module, data)[0][0] < -0.3 + OUTSIDE + 3 * SCATTER
    bridge.critical_(module, generator=generator(0))
    assert largest_exponent(module, data)[0][0] < -0.1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_driven_layers_are_critical_one_by_one(kind, data):
    """Each layer of a stack reads the one below it, whose statistics theory has to predict."""
    n = 200
    module = made(kind, n, features=60, num_layers=2)
    bridge.critical_(module, inputs=InputStatistics.of(data), generator=generator(2))
    gains = []
    for layer, (exponent, error) in zip(
        gf.Network.from_torch(module).layers, largest_exponent(module, data), strict=True
    ):
        # Theory's own sampling error is about 1e-3; networks lie off by some 1/N.
        assert abs(exponent) < 3 * error + 5 / n
        gains.append(layer.network.cell.gains()["n" if kind == "GRU" else "g"])
    # Inputs quieten a network: at the zero state the gain is 2.
    assert min(gains) > 2.1
    plain = made(kind, n, features=60)
    assert largest_exponent(plain, data)[0][0] < -0.2


def test_gate_gains_do_not_move_the_edge_of_the_zero_state():
    """Only the candidate's couplings act there, in PyTorch's rows as in theory's."""
    module, first = made("GRU", 60), None
    for gains in ({}, {"gain_z": 3.0, "gain_r": 0.2}):
        bridge.critical_(module, generator=generator(3), **gains)
        first = radius(module) if first is None else first
    assert radius(module) == pytest.approx(first, rel=1e-12)
    with torch.no_grad():
        # The rows of n, the last third, are what does.
        module.weight_hh_l0[120:] *= 1.5
    assert radius(module) > first * 1.2
