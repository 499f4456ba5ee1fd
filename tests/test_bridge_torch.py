"""Modules of PyTorch, step by step against their own output and derivative."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import gatefield as gf
from gatefield.analysis.lyapunov import lyapunov_spectrum
from gatefield.core.errors import InvalidInputError

torch: Any = pytest.importorskip("torch")

N, FEATURES, STEPS = 5, 3, 7
# Rounding of either side: weights below 1/2, at most 21 steps, 10 terms in a sum.
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
MAKE = {
    "rnn": lambda *sizes, **options: torch.nn.RNN(*sizes, **options),
    "relu": lambda *sizes, **options: torch.nn.RNN(*sizes, nonlinearity="relu", **options),
    "gru": lambda *sizes, **options: torch.nn.GRU(*sizes, **options),
    "lstm": lambda *sizes, **options: torch.nn.LSTM(*sizes, **options),
}
CASES = [
    pytest.param(kind, depth, bias, both, dtype, id="-".join(filter(None, words)))
    for kind, depth, bias, both, dtype in itertools.product(
        MAKE, (1, 2, 3), (True, False), (False, True), TOLERANCE
    )
    for words in [
        (
            kind,
            str(depth),
            "" if bias else "no bias",
            "both" if both else "",
            str(dtype).removeprefix("torch."),
        )
    ]
]


def made(kind, dtype=torch.float64, **options):
    """Return a module of random weights, its inputs and its initial states (layers, d, N)."""
    torch.manual_seed(len(kind))
    module = MAKE[kind](FEATURES, N, **options).to(dtype)
    layers = module.num_layers * (2 if module.bidirectional else 1)
    x = torch.randn(STEPS, FEATURES, dtype=dtype)
    start = torch.randn(layers, 2 if kind == "lstm" else 1, N, dtype=dtype)
    return module, x, start


def run_in_torch(module, x, start):
    """Return outputs (T, features) and last states (layers, d, N) as PyTorch computes them."""
    parts = tuple(part.contiguous() for part in start.unbind(1))
    with torch.no_grad():
        outputs, last = module(x, parts if len(parts) == 2 else parts[0])
    last = torch.stack(last if len(parts) == 2 else (last,), dim=1)
    return outputs.numpy(), last.numpy()


@pytest.mark.parametrize(("kind", "depth", "bias", "both", "dtype"), CASES)
def test_outputs_and_states_are_those_of_pytorch(kind, depth, bias, both, dtype):
    module, x, start = made(kind, dtype, num_layers=depth, bias=bias, bidirectional=both)
    network = gf.Network.from_torch(module)
    run = network.run(x.numpy(), start.numpy())
    outputs, last = run_in_torch(module, x, start)
    assert str(run.outputs.dtype) == str(network.dtype) == str(dtype).removeprefix("torch.")
    np.testing.assert_allclose(run.outputs, outputs, rtol=0, atol=TOLERANCE[dtype])
    np.testing.assert_allclose(run.final, last, rtol=0, atol=TOLERANCE[dtype])
    assert len(network.layers) == depth * (1 + both) and network.depth == depth
    if both:
        return
    # What PyTorch does not return, the states of lower layers, is where shorter runs end.
    for step in range(STEPS):
        _, last = run_in_torch(module, x[: step + 1], start)
        np.testing.assert_allclose(run.states[:, step], last, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("kind", MAKE)
def test_lower_layers_in_both_directions(kind):
    """The first depth of three is a module of its own, with the same weights."""
    module, x, start = made(kind, num_layers=3, bidirectional=True)
    lowest = MAKE[kind](FEATURES, N, bidirectional=True).double()
    weights = {name: value for name, value in module.state_dict().items() if "_l0" in name}
    lowest.load_state_dict(weights)
    outputs, _ = run_in_torch(lowest, x, start[:2])
    run = gf.Network.from_torch(module).run(x.numpy(), start.numpy())
    found = np.concatenate([run.states[0, :, 0], run.states[1, :, 0]], axis=1)
    np.testing.assert_allclose(found, outputs, rtol=0, atol=1e-12)


def step_in_torch(module, x):
    """Return the function from the flat states of all layers to those after the input x."""
    size = 2 if isinstance(module, torch.nn.LSTM) else 1

    def step(flat):
        parts = tuple(flat.reshape(module.num_layers, size, N).unbind(1))
        last = module(x[None], parts if size == 2 else parts[0])[1]
        return torch.stack(last if size == 2 else (last,), dim=1).flatten()

    return step


@pytest.mark.parametrize("kind", MAKE)
def test_jacobian_is_that_of_autograd(kind):
    module, x, start = made(kind)
    network = gf.Network.from_torch(module)
    received = network.layer_inputs(x.numpy())[0]
    state = start[0].numpy()
    for time in (0, STEPS - 1):
        expected = torch.autograd.functional.jacobian(
            step_in_torch(module, x[time]), start.flatten()
        )
        found = gf.jacobian(network.layers[0].network, state, inputs=received, time=time)
        np.testing.assert_allclose(found.as_matrix(), expected.numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_jacobian_of_a_stack_is_block_triangular_with_those_of_its_layers(kind):
    module, x, start = made(kind, num_layers=2)
    network = gf.Network.from_torch(module)
    run = network.run(x.numpy(), start.numpy())
    received = network.layer_inputs(x.numpy(), start.numpy())
    size = start[0].numel()
    for time in range(1, STEPS):
        before = run.states[:, time - 1]
        whole = torch.autograd.functional.jacobian(
            step_in_torch(module, x[time]), torch.from_numpy(before).flatten()
        ).numpy()
        assert not np.any(whole[:size, size:]) and np.any(whole[size:, :size])
        for place, layer in enumerate(network.layers):
            own = slice(place * size, (place + 1) * size)
            found = gf.jacobian(layer.network, before[place], inputs=received[place], time=time)
            np.testing.assert_allclose(found.as_matrix(), whole[own, own], rtol=0, atol=1e-12)


def test_exponents_of_the_layers_are_those_of_the_stack():
    """All exponents of both layers add up to the mean of log |det| of PyTorch's own derivative.

    Exact but for rounding: QR leaves the determinant as it is. Tolerance: 7 steps of 10 logarithms,
    of matrices whose condition is below 1e4.
    """
    module, x, start = made("gru", num_layers=2)
    network = gf.Network.from_torch(module)
    total = 0.0
    received = network.layer_inputs(x.numpy(), start.numpy())
    for layer, inputs, initial in zip(network.layers, received, start.numpy(), strict=True):
        found = lyapunov_spectrum(
            layer.network,
            t_max=STEPS,
            burn_in=0,
            frame_burn_in=0,
            blocks=STEPS,
            inputs=inputs,
            initial=initial,
        )
        total += float(np.sum(found.exponents))
    states, logs = start.flatten(), []
    for time in range(STEPS):
        step = step_in_torch(module, x[time])
        matrix = torch.autograd.functional.jacobian(step, states)
        logs.append(np.linalg.slogdet(matrix.numpy())[1])
        states = step(states).detach()
    assert total == pytest.approx(np.mean(logs), abs=1e-10)


def test_layers_above_receive_weights_times_outputs_below():
    module, x, start = made("gru", num_layers=2, bidirectional=True)
    network = gf.Network.from_torch(module)
    run = network.run(x.numpy(), start.numpy())
    below = np.concatenate([run.states[0, :, 0], run.states[1, :, 0]], axis=1)
    received = network.layer_inputs(x.numpy(), start.numpy())
    for place, suffix in ((2, "_l1"), (3, "_l1_reverse")):
        weights = getattr(module, f"weight_ih{suffix}").detach().numpy()
        whole = below @ weights.T
        whole = whole[::-1] if place == 3 else whole
        for row, name in enumerate("rzn"):
            expected = whole[:, row * N : (row + 1) * N]
            found = received[place][name].values
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


def test_gains_are_those_of_pytorchs_initialisation():
    """Uniform weights in +-1/sqrt(N) have gain 1/sqrt(3); N^2 = 14400 entries: one per cent."""
    torch.manual_seed(0)
    (layer,) = gf.Network.from_torch(torch.nn.LSTM(2, 120)).layers
    # Var(w^2) / <w^2>^2 = 4/5, half of which is the relative error of the root, over sqrt(N^2).
    error = 0.5 * np.sqrt(4 / 5) / 120
    gains = layer.network.gains() * np.sqrt(3)
    assert np.all(np.abs(gains - 1) < 4 * error)
    own = list(layer.network.cell.gains().values())
    np.testing.assert_allclose(own, layer.network.gains(), rtol=1e-6)  # single precision


# --- precision


def test_precision_is_the_modules_or_as_asked():
    module, x, start = made("gru", torch.float32)
    outputs, _ = run_in_torch(module.double(), x.double(), start.double())
    module = module.float()
    double = gf.Network.from_torch(module, dtype="float64").run(x.numpy(), start.numpy())
    assert double.outputs.dtype == np.float64
    # The weights are the single ones, widened: nothing is lost.
    np.testing.assert_allclose(double.outputs, outputs, rtol=0, atol=1e-12)
    single = gf.Network.from_torch(module.double(), dtype="float32").run(x.numpy(), start.numpy())
    assert single.outputs.dtype == np.float32
    np.testing.assert_allclose(single.outputs, outputs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["half", "bfloat16"])
def test_short_numbers_are_widened_to_single(dtype):
    module = made("lstm")[0].to(dtype)
    (layer,) = gf.Network.from_torch(module).layers
    expected = module.weight_hh_l0.detach().float().numpy()
    assert layer.network.dtype == np.float32
    np.testing.assert_array_equal(layer.network.coupling("o"), expected[3 * N :])


def test_training_on_does_not_change_the_network():
    module, x, _ = made("gru")
    network = gf.Network.from_torch(module)
    before = network.run(x.numpy()).outputs
    with torch.no_grad():
        for weight in module.parameters():
            weight.fill_(100.0)
    np.testing.assert_array_equal(network.run(x.numpy()).outputs, before)


def test_parametrised_weights_are_read_as_computed():
    module, x, start = made("rnn")
    torch.nn.utils.parametrizations.orthogonal(module, "weight_hh_l0")
    (layer,) = gf.Network.from_torch(module).layers
    J = layer.network.coupling("h")
    np.testing.assert_allclose(J @ J.T, np.eye(N), rtol=0, atol=1e-13)


# --- refusals


def test_dropout_is_refused_where_it_acts():
    module = torch.nn.GRU(FEATURES, N, num_layers=2, dropout=0.3)
    with pytest.raises(InvalidInputError, match=r"module.dropout = 0.3: .*module.eval\(\)"):
        gf.Network.from_torch(module)
    module.eval()
    x = torch.randn(STEPS, FEATURES)
    with torch.no_grad():
        expected = module(x)[0].numpy()
    found = gf.Network.from_torch(module).run(x.numpy()).outputs
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    # Without dropout, training mode computes the same.
    module.train()
    module.dropout = 0.0
    found = gf.Network.from_torch(module).run(x.numpy()).outputs
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Linear(2, FEATURES)
        self.encoder = torch.nn.GRU(FEATURES, N)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: Model(), "a Model.*Pass one of its parts: encoder"),
        (lambda: torch.nn.Linear(2, 2), "a Linear.*expected a torch.nn.RNN"),
        (lambda: torch.nn.GRUCell(2, 2), "a GRUCell.*expected a torch.nn.RNN"),
        (lambda: {"weight_hh_l0": 0}, "a dict"),
        (lambda: torch.nn.LSTM(2, 4, proj_size=2), "module.proj_size = 2: expected 0"),
        (lambda: torch.nn.GRU(2, 4, device="meta"), "on meta.*expected real numbers"),
    ],
    ids=["model", "linear", "cell", "dict", "projection", "meta"],
)
def test_other_modules_are_refused(given, message):
    with pytest.raises(InvalidInputError, match=message):
        gf.Network.from_torch(given())


def test_values_and_options_are_checked():
    module = torch.nn.GRU(2, 4, num_layers=2)
    with pytest.raises(InvalidInputError, match="dtype = 'half': expected one of 'float64'"):
        gf.Network.from_torch(module, dtype="half")
    with torch.no_grad():
        module.bias_hh_l1[3] = float("nan")
    with pytest.raises(InvalidInputError, match="module: bias_hh_l1 = 'values that are not fin"):
        gf.Network.from_torch(module)
