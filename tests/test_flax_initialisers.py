"""Modules of Flax nnx after initialisation, by their own output and their own derivative."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatefield as gf
from gatefield.bridge import equinox as ge
from gatefield.bridge import flax as gx
from gatefield.core.errors import InvalidInputError
from gatefield.initialise import DesignSolution

pytest.importorskip("flax")
nnx: Any = pytest.importorskip("flax.nnx")

N, FEATURES = 150, 3
SHUT = 40.0  # a gate at this argument is off by e^-40
KEY = jax.random.key(5)
CELLS = {
    "SimpleCell": (gf.ElmanRNN, "h"),
    "GRUCell": (gf.GRU, "rzn"),
    "LSTMCell": (gf.LSTM, "ifgo"),
    "OptimizedLSTMCell": (gf.LSTM, "ifgo"),
}
GATED = ("GRUCell", "LSTMCell", "OptimizedLSTMCell")
LSTMS = ("LSTMCell", "OptimizedLSTMCell")


def made(name, precision="float64", n=N, features=FEATURES, seed=0, **options):
    dtype = jnp.dtype(precision)
    with jax.enable_x64(True):
        return getattr(nnx, name)(
            features, n, param_dtype=dtype, dtype=dtype, rngs=nnx.Rngs(seed), **options
        )


def next_state(graph, weights, state, x):
    """Return the next state (d N,) from the module's own call, h before c."""
    module = nnx.merge(graph, weights)
    n = module.hidden_features
    if state.size == n:
        return module(state, x)[0]
    c, h = module((state[n:], state[:n]), x)[0]
    return jnp.concatenate([h, c])


own_step = jax.jit(next_state, static_argnums=0)
own_jacobian = jax.jit(jax.jacfwd(next_state, argnums=2), static_argnums=0)


def size(name):
    return 2 * N if name in LSTMS else N


def stepped(module, state, x=(0.0,) * FEATURES):
    with jax.enable_x64(True):
        return np.asarray(own_step(*nnx.split(module), jnp.asarray(state), jnp.asarray(x)))


def spectral_radius(module, name):
    """Return that of the module's own Jacobian at the zero state without input."""
    with jax.enable_x64(True):
        matrix = own_jacobian(*nnx.split(module), jnp.zeros(size(name)), jnp.zeros(FEATURES))
        return np.abs(np.linalg.eigvals(np.asarray(matrix))).max()


@pytest.fixture(scope="module")
def state():
    return np.random.default_rng(3).standard_normal(N)


def candidate_block(module, name):
    """Return the couplings of the candidate, in our order of rows and columns."""
    cell: Any = gx.from_flax(module).layers[0].network
    return cell.coupling({"SimpleCell": "h", "GRUCell": "n"}.get(name, "g"))


@pytest.mark.parametrize("name", CELLS)
def test_the_modules_own_spectrum_for_a_target(name):
    """Of units alike each eigenvalue is kept + (target - kept) times one of the couplings' own."""
    module = made(name)
    biases = {"GRUCell": {"bias_z": 1.0}, "SimpleCell": {}}.get(name, {"bias_f": 1.0})
    kept = 1 / (1 + np.exp(-1.0)) if biases else 0.0
    # (1 - z) r of the GRU, i o of the LSTM.
    strength = {"SimpleCell": 1.0, "GRUCell": (1 - kept) / 2}.get(name, 0.25)
    assert gx.critical_(module, rngs=nnx.Rngs(1), value=0.9, **biases) is module
    unit = candidate_block(module, name) * strength / (0.9 - kept)
    # Entries of variance 1 / N, whose mean square is known to sqrt(2) / N.
    assert N * np.mean(unit**2) == pytest.approx(1.0, abs=4 * np.sqrt(2) / N)
    expected = np.abs(kept + (0.9 - kept) * np.linalg.eigvals(unit)).max()
    assert spectral_radius(module, name) == pytest.approx(expected, rel=1e-10)


def test_update_gate_of_the_gru_keeps_and_its_reset_gate_shuts(state):
    module = made("GRUCell")
    gx.from_cell_(module, gf.GRU(bias_z=SHUT), key=KEY)
    np.testing.assert_allclose(stepped(module, state), state, rtol=0, atol=1e-14)
    gx.from_cell_(module, gf.GRU(bias_z=-SHUT, bias_r=-SHUT, bias_n=0.3), key=KEY)
    np.testing.assert_allclose(stepped(module, state), np.tanh(0.3), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", LSTMS)
def test_gates_of_the_lstm_do_what_their_names_say(name, state):
    module, memory = made(name), np.linspace(-1.0, 1.0, N)
    cases = {
        "forget": (gf.LSTM(bias_f=SHUT, bias_i=-SHUT, bias_o=SHUT), memory, np.tanh(memory)),
        "input": (
            gf.LSTM(bias_f=-SHUT, bias_i=SHUT, bias_o=SHUT, bias_g=0.3, gain_g=0),
            np.full(N, np.tanh(0.3)),
            np.full(N, np.tanh(np.tanh(0.3))),
        ),
        "output": (gf.LSTM(bias_f=SHUT, bias_i=-SHUT, bias_o=-SHUT), memory, np.zeros(N)),
    }
    for cell, c, h in cases.values():
        gx.from_cell_(module, cell, key=KEY)
        found = stepped(module, np.concatenate([state, memory]))
        np.testing.assert_allclose(found, np.concatenate([h, c]), rtol=0, atol=1e-14)


def logit(p):
    return np.log(p / (1 - p))


def check_moved(argument, gain, state):
    """Hold the argument of a gate to the normal law that couplings of this gain alone give it."""
    expected = gain * np.linalg.norm(state) / np.sqrt(N)
    assert argument.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * N))
    assert abs(argument.mean()) < 4 * expected / np.sqrt(N)


@pytest.mark.parametrize("field", "rzn")
def test_each_gain_of_the_gru_moves_its_own_gate_alone(field, state):
    module = made("GRUCell")
    gains: dict[str, Any] = {"gain_r": 0.0, "gain_z": 0.0, "gain_n": 0.0, f"gain_{field}": 0.5}
    if field == "r":
        gains["gain_n"] = 1.0  # r has nothing to multiply otherwise
    gx.from_cell_(module, gf.GRU(**gains, bias_n=0.7), key=KEY)
    after = stepped(module, state)
    if field == "z":
        check_moved(logit((after - np.tanh(0.7)) / (state - np.tanh(0.7))), 0.5, state)
    elif field == "n":
        check_moved((np.arctanh(2 * after - state) - 0.7) * 2, 0.5, state)
    else:
        reset = gf.GRU(gain_r=0.0, gain_z=0.0, gain_n=1.0, bias_n=0.7)
        gx.from_cell_(module, reset, key=KEY)
        open_half = np.arctanh(2 * stepped(module, state) - state) - 0.7
        check_moved(logit((np.arctanh(2 * after - state) - 0.7) / open_half / 2), 0.5, state)


@pytest.mark.parametrize("field", "ifgo")
@pytest.mark.parametrize("name", LSTMS)
def test_each_gain_of_the_lstm_moves_its_own_gate_alone(name, field, state):
    module = made(name)
    gains: dict[str, Any] = {
        **dict.fromkeys(("gain_i", "gain_f", "gain_g", "gain_o"), 0.0),
        f"gain_{field}": 0.5,
    }
    gx.from_cell_(module, gf.LSTM(**gains, bias_g=0.7), key=KEY)
    after = stepped(module, np.concatenate([state, np.full(N, 1.5)]))
    h, c, candidate = after[:N], after[N:], np.tanh(0.7)
    argument = {
        "i": lambda: logit((c - 0.75) / candidate),
        "f": lambda: logit((c - candidate / 2) / 1.5),
        "g": lambda: np.arctanh(2 * (c - 0.75)) - 0.7,
        "o": lambda: logit(h / np.tanh(c)),
    }[field]()
    check_moved(argument, 0.5, state)


@pytest.mark.parametrize("name", CELLS)
def test_the_network_read_back_computes_what_the_module_does(name):
    kind, fields = CELLS[name]
    names = ["bias"] if fields == "h" else [f"bias_{field}" for field in fields]
    biases = {each: np.linspace(-1, 1, N) * k for k, each in enumerate(names, 1)}
    module = gx.from_cell_(made(name), kind(**biases), key=KEY)
    stack = gx.from_flax(module)
    assert str(stack.dtype) == "float64"
    for each, value in biases.items():
        np.testing.assert_array_equal(getattr(stack.layers[0].network.cell, each), value)
    x = np.random.default_rng(1).standard_normal((6, FEATURES))
    run, state = stack.run(x), np.zeros(size(name))
    for step, row in enumerate(x):
        state = stepped(module, state, row)
        # Sums of 150 terms below 1 in another order.
        np.testing.assert_allclose(run.states[0, step].ravel(), state, rtol=0, atol=1e-12)


def test_one_key_draws_the_same_couplings_as_for_equinox():
    with jax.enable_x64(True):
        other = eqx.nn.GRUCell(FEATURES, N, dtype=jnp.float64, key=jax.random.key(0))
    other = ge.critical(other, key=KEY, gain_r=np.linspace(0.5, 2, N))
    module = gx.critical_(made("GRUCell"), key=KEY, gain_r=np.linspace(0.5, 2, N))
    np.testing.assert_array_equal(module.dense_h.kernel[...].T, other.weight_hh)


def test_rectified_cells_are_written_and_read():
    module = made("SimpleCell", activation_fn=nnx.relu)
    gx.critical_(module, key=KEY, couplings="orthogonal")
    # Half of the rectified units respond: the gain is sqrt(2).
    kernel = np.asarray(module.dense_h.kernel[...])
    np.testing.assert_allclose(kernel @ kernel.T, 2 * np.eye(N), rtol=0, atol=1e-12)
    network: Any = gx.from_flax(module).layers[0].network
    assert network.cell.activation == "relu"
    np.testing.assert_array_equal(network.coupling("h"), kernel.T)


def test_sequences_stacks_and_both_directions_are_read():
    def directions(features, seed):
        return [
            nnx.RNN(made("OptimizedLSTMCell", n=5, features=features, seed=seed + k))
            for k in range(2)
        ]

    single, above = directions(3, 0)[0], directions(5, 2)[0]
    both = [nnx.Bidirectional(*directions(f, s)) for f, s in ((3, 4), (10, 6))]

    @nnx.jit
    def outputs_of(single, above, low, high, batch):
        return single(batch), above(single(batch)), high(low(batch))

    x = np.random.default_rng(1).standard_normal((6, 3))
    with jax.enable_x64(True):
        expected = outputs_of(single, above, *both, jnp.asarray(x)[None])
        expected = [np.asarray(outputs)[0] for outputs in expected]
    for given, outputs in zip((single, [single, above], both), expected, strict=True):
        run = gx.from_flax(given).run(x)
        np.testing.assert_allclose(run.outputs, outputs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", CELLS)
def test_precision_is_kept_and_one_key_draws_the_same_in_any(name):
    single, double = made(name, "float32"), made(name)
    for module in (single, nnx.RNN(double)):
        gx.critical_(module, key=KEY)
    low, high = (nnx.to_flat_state(nnx.state(module, nnx.Param)) for module in (single, double))
    for (_, first), (_, second) in zip(low, high, strict=True):
        assert (first.dtype, second.dtype) == (jnp.float32, jnp.float64)
        np.testing.assert_allclose(first[...], second[...], rtol=2**-23)
    assert str(gx.from_flax(single).dtype) == "float32"
    mixed = getattr(nnx, name)(2, 3, dtype=jnp.float32, rngs=nnx.Rngs(0))
    assert str(gx.from_flax(mixed).dtype) == "float32"


def test_rngs_are_used_up_and_input_weights_are_flaxs_own_or_of_a_gain():
    rngs, module = nnx.Rngs(0), made("GRUCell")
    kernels, gains = [], (None, None, 0.5, {"z": 0.0})
    for gain in gains:
        gx.critical_(module, rngs=rngs, input_gain=gain)
        kernels.append(np.asarray(module.dense_i.kernel[...]))
    assert not np.array_equal(kernels[0], kernels[1])
    error = 4 * np.sqrt(2 / kernels[0].size)
    assert kernels[0].var() == pytest.approx(1 / FEATURES, rel=error)
    assert kernels[2].var() == pytest.approx(0.25 / FEATURES, rel=error)
    assert np.all(kernels[3][:, N : 2 * N] == 0) and np.all(kernels[3][:, :N] != 0)
    gx.critical_(module, rngs=rngs.params)
    gx.critical_(again := made("GRUCell"), key=nnx.Rngs(7).params())
    gx.critical_(module, rngs=nnx.Rngs(7))
    assert np.array_equal(again.dense_h.kernel[...], module.dense_h.kernel[...])


@pytest.mark.parametrize("name", GATED)
def test_recipes_of_long_memory_spread_the_bias_that_keeps(name):
    module = made(name)

    def keeping():
        cell: Any = gx.from_flax(module).layers[0].network.cell
        return cell.bias_z if name == "GRUCell" else cell.bias_f

    gx.chrono_(module, key=KEY, horizon=50.0)
    times = np.exp(keeping())
    assert 1 <= times.min() and times.max() <= 49
    # Uniform: mean 25, standard deviation 48 / sqrt(12).
    assert abs(times.mean() - 25) < 4 * 48 / np.sqrt(12 * N)
    gx.marginal_(
        module, key=KEY, horizon=100.0, shortest=3.0, times="log-normal", couplings="orthogonal"
    )
    logs = np.log(-1 / np.log(1 / (1 + np.exp(-keeping()))))
    spread = (np.log(100) - np.log(3)) / 2.563
    found = np.quantile(logs, [0.1, 0.9])
    # Errors of 10 and 90 per cent quantiles of 150 normal numbers, 1.71 / sqrt(N) of their spread.
    error = 4 * 1.71 * spread / np.sqrt(N)
    np.testing.assert_allclose(found, np.log([3.0, 100.0]), rtol=0, atol=error)
    # At the edge g_n <r^2>^(1/2) = 1 and g_g <o^2>^(1/2) = 1, where r = o = 1/2.
    block = candidate_block(module, name)
    np.testing.assert_allclose(block @ block.T, 4 * np.eye(N), rtol=0, atol=1e-11)
    gx.marginal_(module, key=KEY, horizon=100.0, shortest=3.0)
    times = -1 / np.log(1 / (1 + np.exp(-keeping())))
    assert 3 <= times.min() and times.max() <= 100
    assert abs(times.mean() - 51.5) < 4 * 97 / np.sqrt(12 * N)


def test_orthogonal_blocks_and_designs_are_written():
    module = gx.orthogonal_(made("OptimizedLSTMCell"), key=KEY, gain=0.5)
    for block in np.split(np.asarray(module.dense_h.kernel[...]), 4, axis=1):
        np.testing.assert_allclose(block @ block.T, 0.25 * np.eye(N), rtol=0, atol=1e-12)
    assert np.all(np.asarray(module.dense_h.bias[...]) == 0)
    blank: Any = {field.name: {} for field in dataclasses.fields(DesignSolution)}
    cell = gf.LSTM(gain_g=1.5, bias_f=1.0)
    found = DesignSolution(**{**blank, "cell": cell, "spread": {"f": 0.5}})
    gx.from_design_(module, found, key=KEY)
    bias = np.asarray(module.dense_h.bias[...])
    assert np.all(bias[:N] == 0) and np.all(bias[2 * N :] == 0)
    assert abs(bias[N : 2 * N].mean() - 1.0) < 4 * 0.5 / np.sqrt(N)
    assert bias[N : 2 * N].std() == pytest.approx(0.5, rel=4 / np.sqrt(2 * N))


def refused(case) -> Any:
    def gru(**options):
        return nnx.GRUCell(2, 3, rngs=nnx.Rngs(0), **options)

    class Model(nnx.Module):
        def __init__(self):
            self.low, self.high = nnx.RNN(gru()), gru()

    abstract: Any = nnx.eval_shape(gru)
    return {
        "other": lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)),
        "model": Model,
        "none": lambda: None,
        "activation": lambda: gru(activation_fn=nnx.relu),
        "gate": lambda: gru(gate_fn=nnx.hard_sigmoid),
        "residual": lambda: nnx.SimpleCell(2, 3, residual=True, rngs=nnx.Rngs(0)),
        "abstract": lambda: abstract,
    }[case]()


@pytest.mark.parametrize(
    ("case", "message"),
    [
        pytest.param("other", "a Linear': expected a flax.nnx.SimpleCell, GRUCell", id="other"),
        pytest.param("model", "module.high, module.low.cell", id="model"),
        pytest.param("none", "a NoneType", id="none"),
        pytest.param("activation", "module.activation_fn", id="activation"),
        pytest.param("gate", "module.gate_fn", id="gate"),
        pytest.param("residual", "module.residual = True", id="residual"),
        pytest.param("abstract", "expected an array", id="abstract"),
    ],
)
def test_other_modules_are_refused(case, message):
    module = refused(case)
    for use in (lambda: gx.critical_(module, key=KEY), lambda: gx.from_flax(module)):
        with pytest.raises(InvalidInputError, match=message):
            use()


def test_what_does_not_fit_the_module_is_refused_and_nothing_written():
    gru, simple = nnx.GRUCell(2, 3, rngs=nnx.Rngs(0)), nnx.SimpleCell(2, 3, rngs=nnx.Rngs(0))
    before = np.asarray(gru.dense_h.kernel[...]).copy()
    both = nnx.Bidirectional(
        nnx.RNN(gru), nnx.RNN(gru), merge_fn=lambda first, second: first + second
    )
    cases: dict[str, Any] = {
        "expected a gatefield.GRU": lambda: gx.from_cell_(gru, gf.LSTM(), key=KEY),
        "leave bias_hn at zero": lambda: gx.from_cell_(gru, gf.GRU(bias_hn=0.1), key=KEY),
        "bias_hn = 0.1": lambda: gx.critical_(gru, key=KEY, bias_hn=0.1),
        "cell.reset": lambda: gx.from_cell_(gru, gf.GRU(reset="before"), key=KEY),
        "cell.activation": lambda: gx.from_cell_(simple, gf.ElmanRNN(activation="relu"), key=KEY),
        "no gate that keeps": lambda: gx.marginal_(simple, key=KEY, horizon=20.0),
        "key and rngs = 'neither'": lambda: gx.critical_(gru),
        "key and rngs = 'both'": lambda: gx.critical_(gru, key=KEY, rngs=nnx.Rngs(0)),
        "rngs = 'a int'": lambda: gx.critical_(gru, rngs=0),
        "merge_fn": lambda: gx.from_flax(both),
        "module.reverse": lambda: gx.from_flax(nnx.RNN(gru, reverse=True)),
        "cells of one kind": lambda: gx.from_flax([gru, simple]),
    }
    for message, use in cases.items():
        with pytest.raises(InvalidInputError, match=message):
            use()
    assert np.array_equal(gru.dense_h.kernel[...], before)
