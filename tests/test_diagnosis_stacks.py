"""Stacks of several layers and directions: each part belongs to its layer, in its own order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import gatefield as gf
from gatefield.diagnosis.runs import joined, layer_runs, sequences_of
from gatefield.networks import Layer

N, FEATURES, STEPS = 6, 2, 30
PARTS = ("couplings", "biases", "drives", "run")


def elman(rng, features, gain, **place):
    J, W = rng.standard_normal((N, N)), rng.standard_normal((N, features))
    network = gf.Network.of_couplings(gf.ElmanRNN(), {"h": gain * J / np.sqrt(N)})
    return Layer(network, {"h": W}, **place)


@pytest.fixture(scope="module")
def stack():
    rng = np.random.default_rng(0)
    return gf.LayeredNetwork(
        [
            elman(rng, FEATURES, 0.5),
            elman(rng, FEATURES, 0.8, reverse=True),
            elman(rng, 2 * N, 1.1, depth=1),
            elman(rng, 2 * N, 1.4, depth=1, reverse=True),
        ]
    )


@pytest.fixture(scope="module")
def sequences():
    return np.random.default_rng(1).standard_normal((3, STEPS, FEATURES))


def test_layers_keep_their_order_and_their_inputs(stack, sequences):
    found: Any = gf.diagnose(stack, sequences, stages=PARTS, progress=False)
    assert [each.name for each in found.layers] == [
        "layer 0",
        "layer 0, reverse",
        "layer 1",
        "layer 1, reverse",
    ]
    assert (found.depth, found.bidirectional, found.sequences) == (2, True, 3)
    outputs = [stack.run(x).states[:, :, 0] for x in sequences]
    for place, layer in enumerate(stack.layers):
        J = layer.network.coupling("h")
        only: Any = found.layers[place]
        np.testing.assert_allclose(only.couplings.gain[0], np.linalg.norm(J) / np.sqrt(N))
        states = np.stack([each[place] for each in outputs])
        np.testing.assert_allclose(only.run.variance, states.var(), rtol=1e-10)
        below = sequences
        if layer.depth:
            below = np.stack([np.concatenate([each[0], each[1]], axis=1) for each in outputs])
        received = below @ layer.input_weights["h"].T
        np.testing.assert_allclose(only.drives.variance[0], received.var(), rtol=1e-10)
        # A reverse layer's own first step is the sequence's last.
        first = states[:, 0 if not layer.reverse else -1]
        np.testing.assert_allclose(only.run.activity_variance[0], first.var(), rtol=1e-10)


def test_exponents_are_made_for_every_layer(stack, sequences):
    found = gf.diagnose(stack, sequences, stages=("exponents",), effort="quick", progress=False)
    # "quick" runs two of the three sequences, and repeats them.
    states = stack.run(np.tile(sequences[[0, 2]].reshape(-1, FEATURES), (10, 1))).states[:, :, 0]
    for layer, only, h in zip(stack.layers, found.layers, states, strict=True):
        exponents = only.part("exponents")
        assert exponents.complete and exponents.exponents.size == N
        # Their sum is the mean of ln|det D| = ln|det J| + sum ln(1 - h^2). The measurement ends
        # within a period of 60 steps, of which it has about nine.
        known = np.linalg.slogdet(layer.network.coupling("h"))[1]
        expected = known + np.mean(np.sum(np.log1p(-(h**2)), axis=1))
        np.testing.assert_allclose(np.sum(exponents.exponents), expected, rtol=0.05)


def test_without_inputs_each_layer_starts_away_from_zero(stack):
    chosen = sequences_of(stack, None, most=4, steps=100, seed=0)
    assert chosen.values.shape == (1, 300, FEATURES) and chosen.discarded == 200
    runs = layer_runs(stack, chosen)
    assert all(run.length == 100 for run in runs)
    for layer, run in zip(stack.layers, runs, strict=True):
        J, drive = layer.network.coupling("h"), run.received["h"][0, 0]
        stepped = np.tanh(J @ run.states[0, 0, 0] + drive)
        np.testing.assert_allclose(run.states[0, 1, 0], stepped, atol=1e-12)


def test_long_data_are_cut_and_it_is_said(stack, sequences):
    chosen = sequences_of(stack, sequences, most=2, steps=20, seed=0)
    assert chosen.values.shape == (2, 20, FEATURES)
    np.testing.assert_array_equal(chosen.values[1], sequences[2, :20])
    assert chosen.notes[0].startswith("2 of 3 sequences") and "first 20 of 30" in chosen.notes[1]
    long, note = joined(chosen, 1000)
    assert len(long) == 640 and "repeated 16 times" in note
    np.testing.assert_array_equal(long[40:60], chosen.values[0])
    short, note = joined(chosen, 30)
    assert len(short) == 30 and note.startswith("2 sequences were joined")


def test_a_torch_module_is_diagnosed_as_it_runs():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.GRU(FEATURES, N, num_layers=2, bidirectional=True)
    x = np.random.default_rng(2).standard_normal((STEPS, FEATURES)).astype(np.float32)
    found: Any = gf.diagnose(gf.Network.from_torch(module), x, stages=PARTS, progress=False)
    with torch.no_grad():
        outputs = module(torch.from_numpy(x))[0].numpy()
        weights = {name: value.numpy() for name, value in module.named_parameters()}
    above = np.concatenate([outputs[:, :N], outputs[:, N:]])
    last = [found.layers[2].run, found.layers[3].run]
    # Single precision, both in torch and here.
    np.testing.assert_allclose(np.mean([each.mean for each in last]), above.mean(), atol=1e-6)
    # At the first step h = 0: gates are those of input and biases alone.
    argument = x[0] @ weights["weight_ih_l0"].T + weights["bias_ih_l0"] + weights["bias_hh_l0"]
    z = expit(argument[N : 2 * N])
    np.testing.assert_allclose(found.layers[0].run.opening[1, 0], z.mean(), rtol=1e-5)
    # PyTorch's default: uniform couplings of gain 1/sqrt(3).
    rows = weights["weight_hh_l0"].reshape(3, N, N)
    np.testing.assert_allclose(
        found.layers[0].couplings.gain, np.linalg.norm(rows, axis=(1, 2)) / np.sqrt(N), rtol=1e-6
    )
    assert found.dtype == "float32" and found.kind == "GRU"
