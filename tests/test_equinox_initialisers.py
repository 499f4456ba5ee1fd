"""Modules of Equinox after initialisation, by their own output and their own derivative."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatefield as gf
from gatefield.bridge import equinox as ge
from gatefield.core.errors import InvalidInputError
from gatefield.initialise import Design, DesignSolution, InputStatistics

N, FEATURES = 200, 3
KEY = jax.random.key(5)
SHUT = 40.0  # a gate at this argument is off by e^-40
KINDS: dict[str, Any] = {"gru": eqx.nn.GRUCell, "lstm": eqx.nn.LSTMCell}
FIELDS = {"gru": "rzn", "lstm": "ifgo"}


@functools.cache
def made(kind, dtype="float64", **options):
    with jax.enable_x64(True):
        dtype = jnp.dtype(dtype)
        return KINDS[kind](FEATURES, N, dtype=dtype, key=jax.random.key(0), **options)


@eqx.filter_jit
def own_step(module, state, x):
    """Return the next state (d N,) from the module's own call, h before c."""
    if isinstance(module, eqx.nn.GRUCell):
        return module(x, state)
    return jnp.concatenate(module(x, (state[:N], state[N:])))


own_jacobian = eqx.filter_jit(jax.jacfwd(own_step, argnums=1))


def size(kind):
    return N if kind == "gru" else 2 * N


def spectral_radius(module, kind):
    """Return that of the module's own Jacobian at the zero state without input."""
    with jax.enable_x64(True):
        matrix = own_jacobian(module, jnp.zeros(size(kind)), jnp.zeros(FEATURES))
        return np.abs(np.linalg.eigvals(np.asarray(matrix))).max()


def stepped(module, state, x=(0.0,) * FEATURES):
    with jax.enable_x64(True):
        return np.asarray(own_step(module, jnp.asarray(state), jnp.asarray(x)))


@pytest.fixture(scope="module")
def state():
    return np.random.default_rng(3).standard_normal(N)


# The outermost eigenvalue of normal matrices of 200 is 1.043 of their gain, +- 0.033 (100 draws of
# NumPy's); at most half of the edge is the couplings'. Angles of an orthogonal matrix are spaced by
# 2 pi / N, so that its edge is met up to the square of that.
@pytest.mark.parametrize(
    ("law", "tolerance"),
    [
        pytest.param("normal", 0.05, id="normal"),
        pytest.param("uniform", 0.05, id="uniform"),
        pytest.param("orthogonal", 1e-3, id="orthogonal"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_the_modules_own_spectral_radius_is_the_target(kind, law, tolerance):
    biases: dict[str, Any] = {"bias_z" if kind == "gru" else "bias_f": 1.0}
    for value in (0.85, 1.2) if law == "normal" else (1.0,):
        module = ge.critical(made(kind), key=KEY, value=value, couplings=law, **biases)
        assert spectral_radius(module, kind) == pytest.approx(value, abs=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_without_biases_the_candidates_gain_is_two(kind):
    module = ge.critical(made(kind, use_bias=False), key=KEY, couplings="orthogonal")
    candidate = 2 * N
    block = np.asarray(module.weight_hh)[candidate : candidate + N]
    np.testing.assert_allclose(np.linalg.svd(block)[1], 2.0, rtol=1e-12)
    assert module.bias is None
    assert spectral_radius(module, kind) == pytest.approx(1.0, abs=1e-3)


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


def test_input_weights_are_equinoxs_own_or_of_a_gain():
    plain = np.asarray(ge.critical(made("gru"), key=KEY).weight_ih)
    assert np.abs(plain).max() <= 1 / np.sqrt(N)
    # 1,800 entries: their variance is known to sqrt(2 / 1,800) at most.
    assert plain.var() == pytest.approx(1 / (3 * N), rel=4 * np.sqrt(2 / plain.size))
    gained = np.asarray(ge.critical(made("gru"), key=KEY, input_gain=0.6).weight_ih)
    assert gained.var() == pytest.approx(0.36 / FEATURES, rel=4 * np.sqrt(2 / plain.size))
    by_drive = np.asarray(ge.critical(made("gru"), key=KEY, input_gain={"z": 0.0}).weight_ih)
    assert np.all(by_drive[N : 2 * N] == 0) and by_drive[:N].std() > 0 < by_drive[2 * N :].std()


def test_chrono_biases_are_those_of_tallec_and_ollivier():
    gru = ge.chrono(made("gru"), key=KEY, horizon=50.0)
    lstm = ge.chrono(made("lstm"), key=KEY, horizon=50.0)
    of_gru, of_lstm = np.asarray(gru.bias), np.asarray(lstm.bias)
    b_z, b_i, b_f = of_gru[N : 2 * N], of_lstm[:N], of_lstm[N : 2 * N]
    np.testing.assert_array_equal(b_i, -b_f)
    for bias in (b_z, b_f):
        times = np.exp(bias)
        assert 1 <= times.min() and times.max() <= 49
        # Uniform: mean 25, standard deviation 48 / sqrt(12).
        assert abs(times.mean() - 25) < 4 * 48 / np.sqrt(12 * N)
    assert np.all(of_gru[:N] == 0) and np.all(of_gru[2 * N :] == 0)
    assert np.all(of_lstm[2 * N :] == 0)


def test_orthogonal_blocks_are_orthogonal_and_biases_zero():
    module = ge.orthogonal(made("lstm"), key=KEY, gain=0.5)
    for block in np.split(np.asarray(module.weight_hh), 4):
        np.testing.assert_allclose(block @ block.T, 0.25 * np.eye(N), rtol=0, atol=1e-12)
    assert np.all(np.asarray(module.bias) == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_marginal_modules_have_many_times_and_stand_at_the_edge(kind):
    module = ge.marginal(made(kind), key=KEY, horizon=100.0, shortest=3.0)
    keep = np.asarray(module.bias)[N : 2 * N]
    times = -1 / np.log(1 / (1 + np.exp(-keep)))
    # The 10 and 90 per cent quantiles of 200 normal numbers, 1.7 / sqrt(N) of their spread.
    spread = (np.log(100) - np.log(3)) / 2.563
    error = 4 * 1.71 * spread / np.sqrt(N)
    found = np.log(np.quantile(times, [0.1, 0.9]))
    np.testing.assert_allclose(found, np.log([3.0, 100.0]), rtol=0, atol=error)
    # Units of ten steps and more respond by a tenth and less: the edge scatters by as little.
    assert spectral_radius(module, kind) == pytest.approx(1.0, abs=0.02)


def solution_of(cell, spread):
    """Return a solution of which all else is empty."""
    blank: Any = {field.name: {} for field in dataclasses.fields(DesignSolution)}
    return DesignSolution(**{**blank, "cell": cell, "spread": spread})


def test_a_design_is_written_with_its_spread():
    found = solution_of(gf.GRU(gain_n=1.5, bias_z=1.0), {"z": 0.5})
    module = ge.from_design(made("gru"), found, key=KEY, couplings="orthogonal")
    candidate = np.asarray(module.weight_hh)[2 * N :]
    np.testing.assert_allclose(np.linalg.svd(candidate)[1], 1.5, rtol=1e-12)
    bias = np.asarray(module.bias)[N : 2 * N]
    assert abs(bias.mean() - 1.0) < 4 * 0.5 / np.sqrt(N)
    assert bias.std() == pytest.approx(0.5, rel=4 / np.sqrt(2 * N))


def test_a_design_for_inputs_sets_the_input_weights_of_each_drive():
    solutions = tuple(solution_of(gf.GRU(gain_n=gain), {}) for gain in (1.5, 0.5))
    static, moving = (
        gf.GaussianInput(mean=0.3, variance=0.0),
        gf.GaussianInput(variance=0.2, correlation_time=2.0),
    )
    blank: Any = {field.name: {} for field in dataclasses.fields(Design)}
    inputs = {"z": static, "n": (static, moving)}
    design = Design(**{**blank, "solutions": solutions, "inputs": inputs})
    data = InputStatistics(np.array([1.0, 0.0, 0.5]), np.array([0.5, 2.0, 0.75]), 3.0)
    module = ge.from_design(
        made("gru"), design, key=KEY, solution=1, inputs=data, couplings="orthogonal"
    )
    r, z, n = np.split(np.asarray(module.weight_ih), 3)
    # A unit receives entries of variance v times the features' second moments, 4.5 in all.
    assert np.all(r == 0)
    assert z.var() == pytest.approx(0.09 / 4.5, rel=4 * np.sqrt(2 / z.size))
    assert n.var() == pytest.approx(0.29 / 4.5, rel=4 * np.sqrt(2 / n.size))
    candidate = np.asarray(module.weight_hh)[2 * N :]
    np.testing.assert_allclose(np.linalg.svd(candidate)[1], 0.5, rtol=1e-12)
    with pytest.raises(InvalidInputError, match="below 2, the number of solutions"):
        ge.from_design(made("gru"), design, key=KEY, solution=2)
    with pytest.raises(InvalidInputError, match="None with input_gain"):
        ge.from_design(made("gru"), design, key=KEY, inputs=data, input_gain=1.0)


@pytest.mark.slow
def test_under_the_data_themselves_the_exponent_is_that_of_the_target():
    rng = np.random.default_rng(2)
    data = rng.standard_normal((600, FEATURES))
    module = ge.critical(made("gru"), key=KEY, inputs=data, input_gain=1.0)
    stack: Any = ge.from_equinox(module)
    received = stack.layer_inputs(data)[0]
    found = gf.lyapunov_spectrum(
        stack.layers[0].network, 1, t_max=400, burn_in=100, inputs=received
    )
    assert 0 < found.standard_errors[0] < 0.01
    assert abs(found.exponents[0]) < 4 * found.standard_errors[0]


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
        "a Design or one of its solutions": lambda: ge.from_design(gru, gf.GRU(), key=KEY),
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
