"""Gradients of modules of PyTorch: against those of networks, and against finite differences."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import gatefield as gf
from gatefield.bridge import torch_gradients
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status

torch: Any = pytest.importorskip("torch")

N, FEATURES, STEPS = 5, 3, 7
MAKE = {
    "rnn": lambda *sizes, **options: torch.nn.RNN(*sizes, **options),
    "relu": lambda *sizes, **options: torch.nn.RNN(*sizes, nonlinearity="relu", **options),
    "gru": lambda *sizes, **options: torch.nn.GRU(*sizes, **options),
    "lstm": lambda *sizes, **options: torch.nn.LSTM(*sizes, **options),
}
# Rounding: 7 steps of sums of 5 terms, relative to the largest gradient.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def made(kind, dtype="float64", **options):
    """Return a module of random weights, its inputs and its initial states (layers, d, N)."""
    torch.manual_seed(len(kind))
    module = MAKE[kind](FEATURES, N, **options).to(getattr(torch, dtype))
    x = torch.randn(STEPS, FEATURES, dtype=torch.float64).numpy()
    start = torch.randn(module.num_layers, 2 if kind == "lstm" else 1, N, dtype=torch.float64)
    return module, x, start.numpy()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.slow
def test_gradients_of_a_layer_are_those_of_its_network(kind, bias, dtype):
    module, x, start = made(kind, dtype, bias=bias)
    terminal = {"h": 1.0, "c": 2.0} if kind == "lstm" else {"h": 1.0}
    options = {"terminal": terminal, "readouts": 2, "seed": 3, "keep_gradients": True}
    found = torch_gradients(module, x, initial=start, **options)
    network = gf.Network.from_torch(module)
    expected = gf.network_gradients(network, start[0], STEPS, inputs=x, **options)
    close = TOLERANCE[dtype]
    assert found.status is Status.OK and found.loss == "readout" and found.is_map
    assert found.component_names == expected.component_names
    np.testing.assert_array_equal(found.times, expected.times)
    for name in ("losses", "initial_adjoint"):
        values = getattr(expected, name)
        size = np.max(np.abs(values))
        np.testing.assert_allclose(getattr(found, name), values, rtol=0, atol=close * size)
    for name in (
        "adjoint_variance",
        "gradient_variance",
        "shared_gradient_variance",
        "coupling_gradients",
        "parameter_gradients",
    ):
        group = getattr(expected, name)
        assert list(getattr(found, name)) and set(getattr(found, name)) == set(group)
        for key, values in group.items():
            size = np.max(np.abs(values))
            assert size > 0 or key.startswith("bias"), "nothing would be compared"
            np.testing.assert_allclose(
                getattr(found, name)[key], values, rtol=0, atol=2 * close * size, err_msg=key
            )


def test_readouts_may_be_given():
    module, x, start = made("lstm")
    readouts = np.random.default_rng(0).normal(size=(3, 2, N))
    found = torch_gradients(module, x, initial=start[0], terminal=readouts)
    final = gf.Network.from_torch(module).run(x, start).final[0]
    np.testing.assert_allclose(found.losses, np.sum(readouts * final, axis=(1, 2)), rtol=1e-12)
    at_end = [found.adjoint_variance[name][0] for name in "hc"]
    np.testing.assert_allclose(at_end, np.mean(readouts**2, axis=(0, 2)), rtol=1e-12)


STEP = 1e-5


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_stacks_against_finite_differences(kind):
    """Of gatefield's own run of the stack: a third derivative times STEP^2, rounding / STEP."""
    module, x, start = made(kind, num_layers=3)
    d = start.shape[1]
    vector = np.random.default_rng(1).normal(size=(d, N))
    found = torch_gradients(module, x, initial=start, terminal=vector, keep_gradients=True)
    assert found.initial_adjoint.shape == (1, 3 * d, N)
    assert found.component_names[:2] == (
        ("layer0.h", "layer0.c") if d == 2 else ("layer0.h", "layer1.h")
    )
    assert set(found.shared_gradient_variance) == {
        f"layer{level}.{name}"
        for level in range(3)
        for name in vars(gf.GRU() if kind == "gru" else gf.LSTM())
        if name != "reset"
    }

    def loss(module=module, start=start):
        final = gf.Network.from_torch(module).run(x, start).final[-1]
        return np.sum(vector * final)

    np.testing.assert_allclose(found.losses, [loss()], rtol=1e-12)
    assert found.adjoint_variance["layer0.h"][0] == 0.0
    at_end = found.adjoint_variance["layer2.h"][0]
    np.testing.assert_allclose(at_end, np.mean(vector[0] ** 2), rtol=1e-12)
    for level, component in [(0, 0), (1, d - 1), (2, 0)]:

        def moved(size, level=level, component=component):
            there = start.copy()
            there[level, component, 3] += size
            return loss(start=there)

        slope = (moved(STEP) - moved(-STEP)) / (2 * STEP)
        adjoint = found.initial_adjoint[0, level * d + component, 3]
        np.testing.assert_allclose(adjoint, slope, rtol=0, atol=1e-8)
    fields = ("r", "z", "n") if kind == "gru" else ("i", "f", "g", "o")
    for level, place in [(0, 0), (0, 2), (1, 1), (2, 2)]:

        def rewired(size, level=level, place=place):
            other = copy.deepcopy(module)
            with torch.no_grad():
                getattr(other, f"weight_hh_l{level}")[place * N + 1, 4] += size
            return loss(module=other)

        def biased(size, level=level, place=place):
            other = copy.deepcopy(module)
            with torch.no_grad():
                getattr(other, f"bias_ih_l{level}")[place * N + 2] += size
            return loss(module=other)

        slope = (rewired(STEP) - rewired(-STEP)) / (2 * STEP)
        gradient = found.coupling_gradients[f"layer{level}.J_{fields[place]}"][0, 1, 4]
        np.testing.assert_allclose(gradient, slope, rtol=0, atol=1e-8)
        slope = (biased(STEP) - biased(-STEP)) / (2 * STEP)
        gradient = found.parameter_gradients[f"layer{level}.bias_{fields[place]}"][0, 2]
        np.testing.assert_allclose(gradient, slope, rtol=0, atol=1e-8)


CONTEXTS = {"no grad": torch.no_grad, "inference": torch.inference_mode}


@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_the_module_is_left_as_it_is(frozen, context):
    module, x, _ = made("gru", num_layers=2)
    module.requires_grad_(not frozen)
    module.zero_grad()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    generator = torch.get_rng_state()
    with context():
        found = torch_gradients(module, x)
    assert found.status is Status.OK and found.gradient_variance["layer0.J_n"] > 0
    assert torch.equal(generator, torch.get_rng_state())
    for name, weight in module.named_parameters():
        assert weight.grad is None and weight.requires_grad is not frozen
        assert torch.equal(weight, before[name])


def test_couplings_of_zero_do_not_tell_the_gradient_of_their_gain():
    module, x, _ = made("rnn")
    with torch.no_grad():
        module.weight_hh_l0.zero_()
    found = torch_gradients(module, x)
    assert found.status is Status.OK
    assert set(found.gradient_variance) == {"J_h", "bias"}
    assert set(found.shared_gradient_variance) == {"bias"}


def test_divergence_is_a_status():
    module, x, start = made("relu", "float32")
    with torch.no_grad():
        module.weight_hh_l0.copy_(1e12 * torch.eye(N))
    with pytest.raises(NumericalFailureError, match=r"left the finite.*throw=False"):
        torch_gradients(module, x, initial=start)
    assert torch_gradients(module, x, initial=start, throw=False).status is Status.DIVERGED


@pytest.mark.parametrize(
    ("kind", "made_with", "options", "told"),
    [
        ("gru", {"bidirectional": True}, {}, r"module.bidirectional = True.*one direction"),
        ("lstm", {"proj_size": 2}, {}, r"module.proj_size = 2.*without projections"),
        ("gru", {}, {"inputs": np.ones((4, 2))}, r"inputs.shape = \(4, 2\).*\(T, 3\)"),
        ("gru", {}, {"inputs": np.ones((2, 4, 3))}, r"inputs.shape.*without a batch"),
        ("gru", {}, {"initial": np.ones((2, 1, N))}, r"initial.shape = \(2, 1, 5\).*\(1, 1, 5\)"),
        ("gru", {"num_layers": 2}, {"initial": np.ones((1, N))}, r"initial.shape.*\(2, 1, 5\)"),
        ("gru", {}, {"terminal": {"c": 1.0}}, r"terminal = \['c'\].*'h'"),
        ("gru", {}, {"terminal": np.ones((2, N))}, r"terminal.shape = \(2, 5\).*\(1, 5\)"),
        ("gru", {}, {"terminal": {"h": 0.0}}, r"terminal = \{'h': 0.0\}.*a positive variance"),
        ("gru", {}, {"readouts": 0}, r"readouts = 0"),
        ("gru", {}, {"save_every": 0}, r"save_every = 0"),
    ],
    ids=[
        "both directions",
        "projections",
        "features",
        "batch",
        "layers",
        "one state for two layers",
        "component",
        "readout",
        "readout of zero",
        "no readout",
        "no times",
    ],
)
def test_what_is_refused(kind, made_with, options, told):
    module, x, _ = made(kind, **made_with)
    with pytest.raises(InvalidInputError, match=told):
        torch_gradients(**{"module": module, "inputs": x, **options})


def test_other_modules_are_refused():
    with pytest.raises(InvalidInputError, match=r"a torch.nn.RNN"):
        torch_gradients(torch.nn.Linear(3, 3), np.ones((2, 3)))
