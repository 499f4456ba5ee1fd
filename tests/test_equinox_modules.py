"""Weights into modules of Equinox and back: gates, precision, and what does not fit."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from equinox_modules import FEATURES, FIELDS, KEY, KINDS, SHUT, N, made, size, stepped

import gatefield as gf
from gatefield.bridge import equinox as ge
from gatefield.core.errors import InvalidInputError
from gatefield.initialise import InputStatistics


@pytest.fixture(scope="module")
def state():
    return np.random.default_rng(3).standard_normal(N)


def test_update_gate_of_the_gru_keeps_the_state(state):
    held = ge.from_cell(made("gru"), gf.GRU(bias_z=SHUT), key=KEY)
    np.testing.assert_allclose(stepped(held, state), state, rtol=0, atol=1e-14)
    passed = ge.from_cell(made("gru"), gf.GRU(bias_z=-SHUT, bias_n=0.3, gain_n=0), key=KEY)
    np.testing.assert_allclose(stepped(passed, state), np.tanh(0.3), rtol=0, atol=1e-14)


def test_reset_gate_of_the_gru_multiplies_couplings_and_second_bias(state):
    open_ = gf.GRU(bias_z=-SHUT, bias_r=SHUT, bias_n=0.3, bias_hn=0.4, gain_n=0)
    shut = gf.GRU(bias_z=-SHUT, bias_r=-SHUT, bias_n=0.3, bias_hn=0.4)
    for cell, expected in ((open_, np.tanh(0.7)), (shut, np.tanh(0.3))):
        module = ge.from_cell(made("gru"), cell, key=KEY)
        np.testing.assert_allclose(stepped(module, state), expected, rtol=0, atol=1e-14)


def test_gates_of_the_lstm_do_what_their_names_say(state):
    memory = np.linspace(-1.0, 1.0, N)
    cases = {
        "forget": (gf.LSTM(bias_f=SHUT, bias_i=-SHUT, bias_o=SHUT), memory, np.tanh(memory)),
        "input": (
            gf.LSTM(bias_f=-SHUT, bias_i=SHUT, bias_o=SHUT, bias_g=0.3, gain_g=0),
            *(np.full(N, value) for value in (np.tanh(0.3), np.tanh(np.tanh(0.3)))),
        ),
        "output": (gf.LSTM(bias_f=SHUT, bias_i=-SHUT, bias_o=-SHUT), memory, np.zeros(N)),
    }
    for cell, c, h in cases.values():
        module = ge.from_cell(made("lstm"), cell, key=KEY)
        found = stepped(module, np.concatenate([state, memory]))
        np.testing.assert_allclose(found, np.concatenate([h, c]), rtol=0, atol=1e-14)


def logit(p):
    return np.log(p / (1 - p))


# Each field alone has couplings, of gain 0.5: its argument then is normal of standard deviation
# 0.5 |h| / sqrt(N), known to 1 / sqrt(2 N) of itself; all others are zero.
@pytest.mark.parametrize("field", "rzn")
def test_each_gain_of_the_gru_moves_its_own_gate_alone(field, state):
    others: dict[str, Any] = dict.fromkeys(("gain_r", "gain_z", "gain_n"), 0.0)
    cell = gf.GRU(**{**others, f"gain_{field}": 0.5, "bias_z": 0.0, "bias_hn": 1.0})
    after = stepped(ge.from_cell(made("gru"), cell, key=KEY), state)
    half = np.tanh(0.5)  # the candidate where no couplings are: r = 1/2 times bias_hn
    argument = {
        "z": lambda: logit((after - half) / (state - half)),
        "n": lambda: (np.arctanh(2 * after - state) - 0.5) * 2,
        "r": lambda: logit(np.arctanh(2 * after - state)),
    }[field]()
    expected = 0.5 * np.linalg.norm(state) / np.sqrt(N)
    assert argument.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * N))
    assert abs(argument.mean()) < 4 * expected / np.sqrt(N)


@pytest.mark.parametrize("field", "ifgo")
def test_each_gain_of_the_lstm_moves_its_own_gate_alone(field, state):
    others: dict[str, Any] = dict.fromkeys(("gain_i", "gain_f", "gain_g", "gain_o"), 0.0)
    cell = gf.LSTM(**{**others, f"gain_{field}": 0.5, "bias_g": 0.7})
    memory = np.full(N, 1.5)
    after = stepped(ge.from_cell(made("lstm"), cell, key=KEY), np.concatenate([state, memory]))
    h, c, candidate = after[:N], after[N:], np.tanh(0.7)
    argument = {
        "i": lambda: logit((c - 0.75) / candidate),
        "f": lambda: logit((c - candidate / 2) / 1.5),
        "g": lambda: np.arctanh(2 * (c - 0.75)) - 0.7,
        "o": lambda: logit(h / np.tanh(c)),
    }[field]()
    expected = 0.5 * np.linalg.norm(state) / np.sqrt(N)
    assert argument.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * N))
    assert abs(argument.mean()) < 4 * expected / np.sqrt(N)


@pytest.mark.parametrize("use_bias", [True, False], ids=["biases", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_network_read_back_computes_what_the_module_does(kind, use_bias):
    biases: dict[str, Any] = {
        f"bias_{name}": np.linspace(-1, 1, N) * k for k, name in enumerate(FIELDS[kind], 1)
    }
    if kind == "gru":
        biases["bias_hn"] = np.linspace(0.5, -0.5, N)
    cell = (gf.GRU if kind == "gru" else gf.LSTM)(**(biases if use_bias else {}))
    module = ge.from_cell(made(kind, use_bias=use_bias), cell, key=KEY)
    stack = ge.from_equinox(module)
    assert isinstance(stack, gf.LayeredNetwork) and str(stack.dtype) == "float64"
    own: Any = stack.layers[0].network.cell
    for name, value in biases.items():
        np.testing.assert_array_equal(getattr(own, name), value if use_bias else 0.0)
    x = np.random.default_rng(1).standard_normal((6, FEATURES))
    run, state = stack.run(x), np.zeros(size(kind))
    for step, row in enumerate(x):
        state = stepped(module, state, row)
        # Sums of 200 terms below 1 in another order.
        np.testing.assert_allclose(run.states[0, step].ravel(), state, rtol=0, atol=1e-12)


def test_a_stack_of_cells_is_read_as_layers():
    with jax.enable_x64(True):
        first, second = (
            eqx.nn.LSTMCell(features, 6, dtype=jnp.float64, key=jax.random.key(features))
            for features in (2, 6)
        )
        x = np.random.default_rng(1).standard_normal((5, 2))

        @jax.jit
        def both(states, row):
            low = first(row, states[0])
            return low, second(low[0], states[1])

        states: Any = ((jnp.zeros(6), jnp.zeros(6)),) * 2
        expected = []
        for row in x:
            states = both(states, jnp.asarray(row))
            expected.append(np.asarray(states[1][0]))
    stack: Any = ge.from_equinox([first, second])
    np.testing.assert_allclose(stack.run(x).outputs, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_module_precision_and_the_given_module_stay(kind):
    single, double = made(kind, "float32"), made(kind)
    before = np.asarray(single.weight_hh).copy()
    new, new_double = ge.critical(single, key=KEY), ge.critical(double, key=KEY)
    assert new.weight_hh.dtype == new.weight_ih.dtype == new.bias.dtype == jnp.float32
    assert new_double.weight_hh.dtype == jnp.float64
    assert np.array_equal(single.weight_hh, before) and not np.array_equal(new.weight_hh, before)
    # One key draws the same weights in any precision.
    np.testing.assert_allclose(new.weight_hh, new_double.weight_hh, rtol=2**-23)
    assert str(ge.from_equinox(new).dtype) == "float32"
    legacy = ge.critical(double, key=jax.random.PRNGKey(5))  # a key of the other type
    assert np.array_equal(legacy.weight_hh, new_double.weight_hh)
    assert not np.array_equal(
        ge.critical(double, key=jax.random.key(6)).weight_hh, legacy.weight_hh
    )


class Model(eqx.Module):
    cells: list[eqx.nn.GRUCell]
    readout: eqx.nn.Linear


def refused(case) -> Any:
    key = jax.random.key(0)
    gru = made("gru", "float32")
    return {
        "other": lambda: eqx.nn.Linear(2, 3, key=key),
        "model": lambda: Model([gru, gru], eqx.nn.Linear(2, 3, key=key)),
        "none": lambda: None,
        "stack": lambda: jax.tree.map(lambda x: np.stack([x, x]), gru),
        "complex": lambda: jax.tree.map(lambda x: np.asarray(x, np.complex64), gru),
        "abstract": lambda: eqx.filter_eval_shape(eqx.nn.GRUCell, 2, 3, key=key),
    }[case]()


@pytest.mark.parametrize(
    ("case", "message"),
    [
        pytest.param("other", "module = 'a Linear': expected an equinox.nn.GRU", id="other"),
        pytest.param("model", r"module.cells\[0\], module.cells\[1\]", id="model"),
        pytest.param("none", "a NoneType", id="none"),
        pytest.param("stack", "Of a stack of modules take one", id="stack"),
        pytest.param("complex", "expected real numbers", id="complex"),
        pytest.param("abstract", "expected an array", id="abstract"),
    ],
)
def test_other_modules_are_refused(case, message):
    module = refused(case)
    for use in (lambda: ge.critical(module, key=KEY), lambda: ge.from_equinox(module)):
        with pytest.raises(InvalidInputError, match=message):
            use()


def test_what_does_not_fit_the_module_is_refused():
    gru, bare = (eqx.nn.GRUCell(2, 3, use_bias=b, key=jax.random.key(0)) for b in (True, False))
    lstm: Any = eqx.nn.LSTMCell(2, 3, use_bias=False, key=jax.random.key(0))
    no_design: Any = gf.GRU()
    cases: dict[str, Any] = {
        "expected a gatefield.GRU": lambda: ge.from_cell(gru, gf.LSTM(), key=KEY),
        "cell.reset": lambda: ge.from_cell(gru, gf.GRU(reset="before"), key=KEY),
        r"cell.bias_z.shape": lambda: ge.from_cell(gru, gf.GRU(bias_z=np.ones(4)), key=KEY),
        "use_bias=True": lambda: ge.from_cell(bare, gf.GRU(bias_z=1.0), key=KEY),
        "bias_f = 'drawn'": lambda: ge.marginal(lstm, key=KEY, horizon=20.0),
        "bias_z = 'drawn'": lambda: ge.chrono(bare, key=KEY, horizon=20.0),
        "bias_r = 1.0": lambda: ge.critical(bare, key=KEY, bias_r=1.0),
        "reset = 'before'": lambda: ge.critical(gru, key=KEY, reset="before"),
        "couplings = 'sparse'": lambda: ge.critical(gru, key=KEY, couplings="sparse"),
        "key = 0": lambda: ge.critical(gru, key=0),
        "input_gain of 'r'": lambda: ge.critical(gru, key=KEY, input_gain=-1.0),
        "names among 'r', 'z', 'n'": lambda: ge.critical(gru, key=KEY, input_gain={"f": 1.0}),
        r"key = 'key<fry>\[2\]'": lambda: ge.critical(gru, key=jax.random.split(KEY)),
        "inputs.features": lambda: ge.critical(
            gru, key=KEY, inputs=InputStatistics(np.zeros(3), np.ones(3))
        ),
        "a Design or one of its solutions": lambda: ge.from_design(gru, no_design, key=KEY),
        "different": lambda: ge.from_equinox([gru, bare]),
        "several GRUs or LSTMs alike": lambda: ge.from_equinox([bare, lstm]),
    }
    for message, use in cases.items():
        with pytest.raises(InvalidInputError, match=message):
            use()


def test_a_traced_key_is_refused():
    gru = eqx.nn.GRUCell(2, 3, key=jax.random.key(0))
    with pytest.raises(InvalidInputError, match="outside of jit and vmap"):
        eqx.filter_vmap(lambda key: ge.critical(gru, key=key))(jax.random.split(KEY, 2))
