"""What initialised modules of PyTorch do: spectra, driven exponents, layers on layers."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest
from scipy import optimize
from torch_modules import KINDS, generator, made, radius

import gatefield as gf
from gatefield.bridge import recipe_cells
from gatefield.bridge.torch.blocks import blocks_of
from gatefield.initialise import InputStatistics

torch: Any = pytest.importorskip("torch")
bridge: Any = importlib.import_module("gatefield.bridge.torch")


def candidate_block(module, kind):
    """Return the couplings of the candidate: the last rows of a GRU, the third of an LSTM."""
    place = {"RNN": 0, "GRU": 2, "LSTM": 2}[kind]
    n = module.hidden_size
    return module.weight_hh_l0.detach().numpy()[place * n : (place + 1) * n]


@pytest.mark.parametrize("kind", KINDS)
def test_spectrum_of_normal_couplings_for_random_targets(kind):
    """Of units alike each eigenvalue is kept + (target - kept) times one of the couplings' own."""
    n, rng = 60, np.random.default_rng(11)
    module = made(kind, n)
    for seed in range(5):
        own = {}
        if kind == "GRU":
            own = {"bias_z": rng.uniform(-1, 1), "bias_r": rng.uniform(-1, 1)}
        elif kind == "LSTM":
            own = {f"bias_{a}": rng.uniform(-1, 1) for a in "ifo"}
        opened = {name: 1 / (1 + math.exp(-bias)) for name, bias in own.items()}
        kept = opened.get("bias_z", opened.get("bias_f", 0.0))
        strength = {
            "RNN": lambda gates: 1.0,
            "GRU": lambda gates: (1 - gates["bias_z"]) * gates["bias_r"],
            "LSTM": lambda gates: gates["bias_i"] * gates["bias_o"],
        }[kind](opened)
        target = rng.uniform(kept + 0.2 * (1 - kept), 1.4)
        bridge.critical_(module, value=target, generator=generator(seed), **own)
        unit = candidate_block(module, kind) * strength / (target - kept)
        # Entries of variance 1 / N, whose mean square is known to sqrt(2) / N.
        assert abs(n * np.mean(unit**2) - 1) < 4 * math.sqrt(2) / n
        expected = np.abs(kept + (target - kept) * np.linalg.eigvals(unit)).max()
        assert radius(module) == pytest.approx(expected, rel=1e-10)


# Trapezes of smooth functions that end in zero: their error is beyond rounding.
NODES = np.linspace(-10, 10, 801)
WEIGHTS = np.exp(-(NODES**2) / 2) * (NODES[1] - NODES[0]) / math.sqrt(2 * math.pi)


def edge_of_driven_units(received):
    """Return the gain at which g^2 <f'^2> = 1, and <f^2> there, of tanh units under input."""

    def means(variance):
        values = np.tanh(math.sqrt(variance) * NODES) ** 2
        return WEIGHTS @ values, WEIGHTS @ (1 - values) ** 2

    def excess(variance):
        spread, slope = means(variance)
        return spread / slope + received - variance

    variance = optimize.brentq(excess, received, 100 * received, xtol=1e-14)
    spread, slope = means(variance)
    return 1 / math.sqrt(slope), spread


def test_driven_layers_of_an_rnn_by_quadrature():
    """The gain of each layer, under what its own input weights make of the data or of the layer."""
    n, features = 50, 20
    module = made("RNN", n, features=features, num_layers=2)
    data = np.random.default_rng(12).normal(0.3, 4.0, size=(400, features))
    bridge.critical_(module, inputs=data, couplings="orthogonal", generator=generator(0))
    # A weight of PyTorch's own has the variance 1 / (3 N).
    first, sent = edge_of_driven_units(np.sum(np.mean(data**2, axis=0)) / (3 * n))
    second, _ = edge_of_driven_units(sent / 3)
    found = [
        np.linalg.norm(weights.detach().numpy(), 2)
        for weights in (module.weight_hh_l0, module.weight_hh_l1)
    ]
    assert found[0] == pytest.approx(first, rel=1e-9)
    # The layer below sends the <f^2> of 2,000 paths, none above 1; the gain follows its logarithm
    # with the factor 0.11 (by the same quadrature), and is 0.73 of that of the first layer.
    error = 0.11 / sent / math.sqrt(2000)
    assert found[1] == pytest.approx(second, rel=4 * error)
    assert second < first * (1 - 40 * error)


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


@pytest.mark.slow
def test_driven_layers_are_critical_one_by_one():
    """Each layer of a stack reads the one below it, whose statistics theory has to predict."""
    data = np.random.default_rng(12).normal(size=(1500, 60))
    module = made("GRU", 200, features=60, num_layers=2)
    options = {"quantity": None, "value": None, "at": None, "seed": 0, "parameters": {}}
    slots, statistics = [block.slots for block in blocks_of(module)], InputStatistics.of(data)
    cells, _ = recipe_cells.critical(slots, None, None, inputs=statistics, **options)
    found = []
    for seed in range(2, 6):
        bridge.from_cell_(module, cells, generator=generator(seed))
        found.append([exponent for exponent, _ in largest_exponent(module, data)])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / 2
    # Units share 60 features, where theory has them independent: eight first layers had -0.016 on
    # the mean. PyTorch's own weights have -0.447.
    assert (np.abs(mean) < 0.016 + 3 * error).all() and (error < 0.02).all()


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
