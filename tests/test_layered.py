"""Stacks of layers against plain loops, and the input that each layer receives."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.networks import Layer
from gatefield.networks.series import check_series

N, FEATURES, STEPS = 5, 3, 9
ROUNDING = 1e-13  # nine steps through three layers of numbers of order one


def elman(rng, features, **place):
    """Return a layer of random weights, and its weights."""
    J, W, bias = rng.normal(size=(N, N)), rng.normal(size=(N, features)), rng.normal(size=N)
    network = gf.Network.of_couplings(gf.ElmanRNN(bias=bias), {"h": J / np.sqrt(N)})
    return Layer(network, {"h": W}, **place), (J / np.sqrt(N), W, bias)


def plain(weights, signal, start, reverse):
    """Return the states of one layer by a loop, in the order of the signal."""
    J, W, bias = weights
    h, states = start, {}
    order = reversed(range(len(signal))) if reverse else range(len(signal))
    for n in order:
        h = np.tanh(J @ h + W @ signal[n] + bias)
        states[n] = h
    return np.stack([states[n] for n in range(len(signal))])


@pytest.fixture(scope="module")
def stack():
    """Return three layers (two directions, one above them), inputs, initial states, expected."""
    rng = np.random.default_rng(4)
    made = [
        elman(rng, FEATURES),
        elman(rng, FEATURES, reverse=True),
        elman(rng, 2 * N, depth=1),
    ]
    x, start = rng.normal(size=(STEPS, FEATURES)), rng.normal(size=(3, 1, N))
    forward = plain(made[0][1], x, start[0, 0], False)
    backward = plain(made[1][1], x, start[1, 0], True)
    both = np.concatenate([forward, backward], axis=1)
    above = plain(made[2][1], both, start[2, 0], False)
    network = gf.LayeredNetwork(layer for layer, _ in made)
    return network, x, start, np.stack([forward, backward, above]), both


def test_a_run_is_the_plain_loop(stack):
    network, x, start, expected, _ = stack
    run = network.run(x, start)
    assert run.states.shape == (3, STEPS, 1, N) and run.component_names == ("h",)
    np.testing.assert_allclose(run.states[:, :, 0], expected, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(run.outputs, run.states[2, :, 0])
    np.testing.assert_array_equal(run.times, np.arange(STEPS))
    # A reverse layer ends where the sequence begins.
    ends = np.stack([expected[0, -1], expected[1, 0], expected[2, -1]])
    np.testing.assert_allclose(run.final[:, 0], ends, rtol=0, atol=ROUNDING)


def test_two_directions_on_top_are_both_outputs(stack):
    network, x, start, _, both = stack
    run = gf.LayeredNetwork(network.layers[:2]).run(x, start[:2])
    np.testing.assert_allclose(run.outputs, both, rtol=0, atol=ROUNDING)


def test_states_begin_at_zero(stack):
    network, x = stack[:2]
    zero = np.zeros((3, 1, N))
    np.testing.assert_array_equal(network.run(x).outputs, network.run(x, zero).outputs)


def test_a_forward_run_goes_on_from_its_final_state(stack):
    network, x = gf.LayeredNetwork([stack[0].layers[0]]), stack[1]
    whole, first = network.run(x), network.run(x[:4])
    rest = network.run(x[4:], first.final)
    joined = np.concatenate([first.outputs, rest.outputs])
    np.testing.assert_allclose(joined, whole.outputs, rtol=0, atol=ROUNDING)


def test_layers_receive_weights_times_what_is_below(stack):
    network, x, start, _, both = stack
    received = network.layer_inputs(x, start)
    weights = [layer.input_weights["h"] for layer in network.layers]
    # The reverse layer's first step reads the last input.
    expected = [x @ weights[0].T, x[::-1] @ weights[1].T, both @ weights[2].T]
    assert [list(each) for each in received] == [["h"]] * 3
    for series, values in zip(received, expected, strict=True):
        assert series["h"].steps == STEPS
        np.testing.assert_allclose(series["h"].values, values, rtol=0, atol=ROUNDING)


def test_what_layers_receive_drives_simulate(stack):
    network, x, start, expected, _ = stack
    for place, received in enumerate(network.layer_inputs(x, start)):
        layer = network.layers[place]
        run = gf.simulate(layer.network, STEPS, inputs=received, initial=start[place])
        own = expected[place, ::-1] if layer.reverse else expected[place]
        np.testing.assert_allclose(run.states[1:, 0], own, rtol=0, atol=ROUNDING)


def test_shapes_and_dataset(stack):
    network, x = stack[:2]
    assert (network.depth, network.n, network.features) == (2, N, FEATURES)
    expected = f"LayeredNetwork(ElmanRNN, features={FEATURES}, n={N}, depth=2, bidirectional, "
    assert repr(network) == expected + "dtype=float64)"
    dataset = network.run(x).to_dataset()
    assert dataset["states"].dims == ("layer", "time", "component", "unit")
    assert dataset["outputs"].dims == ("time", "feature")
    assert dataset["time"].attrs["units"] == "step"


def test_single_precision_stays():
    """Against the same layer in double: 24 bits, and nine steps that do not amplify by 100."""
    rng = np.random.default_rng(5)
    layer, (J, W, _) = elman(rng, FEATURES)
    single = gf.Network.of_couplings(layer.network.cell, {"h": J}, dtype="float32")
    x = rng.normal(size=(STEPS, FEATURES))
    network = gf.LayeredNetwork([Layer(single, {"h": W})])
    run, exact = network.run(x), gf.LayeredNetwork([layer]).run(x)
    assert network.dtype == run.outputs.dtype == np.float32
    assert network.layer_inputs(x)[0]["h"].values.dtype == np.float32
    assert network.layers[0].input_weights["h"].dtype == np.float32
    error = np.max(np.abs(run.outputs - exact.outputs))
    assert 0 < error < 100 * 2.0**-24


# --- series


def test_a_series_is_its_rows_and_stays_at_the_last():
    values = np.arange(6.0).reshape(3, 2)
    series = gf.Series(values)
    assert series.steps == 3
    for step, row in ((0, 0), (2, 2), (7, 2)):
        with jax.enable_x64(True):
            np.testing.assert_array_equal(series(step), values[row])
            np.testing.assert_array_equal(jax.jit(lambda n: series(n))(step), values[row])


def test_a_series_of_numbers_drives_all_units_alike():
    rng = np.random.default_rng(6)
    layer, (J, _, bias) = elman(rng, 1)
    signal, h = rng.normal(size=4), rng.normal(size=N)
    run = gf.simulate(layer.network, 4, inputs={"h": gf.Series(signal)}, initial=h[None])
    for n in range(4):
        h = np.tanh(J @ h + bias + signal[n])
        np.testing.assert_allclose(run.states[n + 1, 0], h, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3, 4)), r"values.shape = \(2, 3, 4\)"),
        (np.zeros((0, 3)), r"values.shape = \(0, 3\)"),
        (1.0, r"values.shape = \(\)"),
        ([1.0, np.nan], "expected finite numbers"),
        ([1j], "expected real numbers"),
        (["a"], "expected real numbers"),
    ],
    ids=["axes", "empty", "number", "nan", "complex", "text"],
)
def test_series_refuse(values, message):
    with pytest.raises(InvalidInputError, match=message):
        gf.Series(values)


def test_series_are_for_maps():
    flow = gf.Network.sample(gf.VanillaRNN(1.0), N)
    with pytest.raises(InvalidInputError, match="expected a function of time that JAX can trace"):
        gf.simulate(flow, 1.0, inputs={"h": gf.Series(np.zeros((30, N)))})


def test_runs_longer_than_a_series_are_refused():
    inputs = {"r": 1.0, "n": gf.Series(np.zeros(5))}
    with pytest.raises(InvalidInputError, match=r"t_max = 6: expected at most 5 .* inputs\['n'\]"):
        check_series("t_max", inputs, 6)
    assert check_series("t_max", inputs, 5) is None and check_series("t_max", None, 6) is None


# --- refusals


def test_layers_refuse():
    rng = np.random.default_rng(7)
    network, flow = elman(rng, 2)[0].network, gf.Network.sample(gf.VanillaRNN(1.0), N)
    weights: Any = {"h": np.zeros((N, 2))}
    bare: Any = np.zeros((N, 2))
    gru = gf.Network.sample(gf.GRU(), N)
    uneven = {"r": np.zeros((N, 2)), "z": np.zeros((N, 3)), "n": np.zeros((N, 2))}
    cases: tuple[Any, ...] = (
        ((flow, weights), {}, "expected a Network of a map"),
        ((network, bare), {}, "input_weights = 'ndarray': expected a mapping"),
        ((network, {}), {}, "expected all of 'h'"),
        ((network, {"h": np.zeros((N + 1, 2))}), {}, r"shape = \(6, 2\): expected \(5, features\)"),
        ((network, {"h": np.zeros((N, 0))}), {}, r"shape = \(5, 0\): expected \(5, features\)"),
        ((network, {"h": np.zeros(N)}), {}, r"shape = \(5,\): expected \(5, features\)"),
        ((gru, uneven), {}, r"input_weights\['z'\].shape = \(5, 3\)"),
        ((network, weights), {"depth": -1}, "depth = -1"),
    )
    for args, place, message in cases:
        with pytest.raises(InvalidInputError, match=message):
            Layer(*args, **place)


def test_stacks_refuse():
    rng = np.random.default_rng(8)
    first, second = elman(rng, 2)[0], elman(rng, N, depth=1)[0]
    other = Layer(gf.Network.sample(gf.ElmanRNN(), N + 1), {"h": np.zeros((N + 1, N))}, depth=1)
    gru = gf.Network.sample(gf.GRU(), N)
    kind = Layer(gru, {name: np.zeros((N, N)) for name in "rzn"}, depth=1)
    single = gf.Network.sample(gf.ElmanRNN(), N, dtype="float32")
    nothing: Any = [first.network]
    for layers, message in (
        ([], "at least one Layer"),
        (nothing, "at least one Layer"),
        ([first, first], "each direction once"),
        ([second], "depths 0, 1"),
        ([second, first], "in order"),
        ([first, elman(rng, N, depth=2)[0]], "depths 0, 1"),
        ([first, other], "expected ElmanRNNs of 5 units"),
        ([first, kind], "expected ElmanRNNs of 5 units"),
        ([first, Layer(single, {"h": np.zeros((N, N))}, depth=1)], "expected networks of float64"),
        ([first, elman(rng, 2 * N, depth=1)[0]], "features of the layers of depth 1 = 10: expec"),
        ([first, elman(rng, 3, reverse=True)[0]], "features of the layers of depth 0 = 3: expec"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            gf.LayeredNetwork(layers)


@pytest.mark.parametrize(
    ("inputs", "initial", "message"),
    [
        (np.zeros((4, 2)), None, r"inputs.shape = \(4, 2\): expected \(T, 3\)"),
        (np.zeros((2, 4, 3)), None, "without a batch"),
        (np.zeros((0, 3)), None, r"inputs.shape = \(0, 3\)"),
        (np.full((4, 3), np.nan), None, "expected finite numbers"),
        (np.zeros((4, 3)), np.zeros((1, 5)), r"initial.shape = \(1, 5\): expected \(3, 1, 5\)"),
    ],
    ids=["features", "batch", "empty", "nan", "initial"],
)
def test_runs_refuse(stack, inputs, initial, message):
    for method in (stack[0].run, stack[0].layer_inputs):
        with pytest.raises(InvalidInputError, match=message):
            method(inputs, initial)
