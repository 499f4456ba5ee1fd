"""Bad input is refused at the call: the message has the argument, its value and the expectation."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gatefield as gf
from gatefield.core import checks
from gatefield.core.errors import GatefieldError, InvalidInputError

N = 4
NAN, INF = float("nan"), float("inf")
# Wrong types and values on purpose, which a type checker would refuse: everything is Any.
G: Any = gf


@pytest.fixture(scope="module")
def flow():
    return gf.Network.of_couplings(gf.GatedRNN(1.5), {name: np.eye(N) for name in "hzr"})


@pytest.fixture(scope="module")
def gru():
    return gf.Network.of_couplings(gf.GRU(), {name: np.eye(N) for name in "rzn"})


def refused(call, *says):
    """Assert that a call raises `InvalidInputError` whose message has every part."""
    with pytest.raises(InvalidInputError) as error:
        call()
    assert isinstance(error.value, ValueError) and isinstance(error.value, GatefieldError)
    message = str(error.value)
    for part in (*says, "expected"):
        assert part in message, f"{part!r} is not in {message!r}"
    # Value, expectation, remedy: the remedy is a sentence of its own at the end.
    assert message.endswith(".") and ". " in message


# --- parameters of cells

PARAMETERS = {
    gf.GatedRNN: ("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r", "tau_z", "tau_r"),
    gf.VanillaRNN: ("g", "beta"),
    gf.GRU: ("gain_r", "gain_z", "gain_n", "bias_r", "bias_z", "bias_n", "bias_hn"),
    gf.LSTM: tuple(f"{kind}_{gate}" for kind in ("gain", "bias") for gate in "ifgo"),
}
EVERY = [(kind, name) for kind, names in PARAMETERS.items() for name in names]
IDS = [f"{kind.__name__}-{name}" for kind, name in EVERY]


@pytest.mark.parametrize(("kind", "name"), EVERY, ids=IDS)
def test_parameters_must_be_finite_numbers(kind, name):
    for value, shown in ((NAN, "nan"), (INF, "inf"), ([1.0, NAN], "[1.0, nan]")):
        refused(lambda v=value: kind(**{name: v}), f"{name} = {shown}", "finite numbers")
    refused(lambda: kind(**{name: "much"}), f"{name} = 'much'", "a real number")
    refused(lambda: kind(**{name: None}), f"{name} = None")


def test_parameters_must_be_real():
    """A complex number must not lose its imaginary part."""
    refused(lambda: gf.GatedRNN(1j), "g_h = 1j", "real")
    refused(lambda: gf.VanillaRNN(1.0, beta=np.array([1.0, 1j])), "beta", "real")


@pytest.mark.parametrize(
    ("kind", "name"),
    [(k, n) for k, n in EVERY if not n.startswith(("beta", "bias"))],
    ids=[i for i in IDS if "beta" not in i and "bias" not in i],
)
def test_gains_must_not_be_negative_and_times_positive(kind, name):
    refused(lambda: kind(**{name: -0.5}), f"{name} = -0.5")
    refused(lambda: kind(**{name: np.array([1.0, -0.5])}), name, "-0.5")
    if name.startswith("tau"):
        refused(lambda: kind(**{name: 0.0}), f"{name} = 0.0", "positive")
    else:
        assert float(getattr(kind(**{name: 0.0}), name)) == 0.0


def test_biases_may_have_either_sign():
    assert float(gf.GatedRNN(beta_z=-3.0).beta_z) == -3.0
    assert float(gf.GRU(bias_hn=-3.0).bias_hn) == -3.0


def test_unknown_options_of_cells():
    refused(
        lambda: gf.GatedRNN(input_gating="Update"), "input_gating = 'Update'", "'none', 'update'"
    )
    refused(lambda: gf.GRU(reset="behind"), "reset = 'behind'", "'after', 'before'")
    with pytest.raises(TypeError):
        G.GatedRNN(gain=2.0)


def test_long_values_are_shortened():
    refused(lambda: gf.GatedRNN(np.full(1000, NAN)), "g_h = array(", "...")
    with pytest.raises(InvalidInputError) as error:
        gf.GatedRNN([NAN] * 1000)
    assert len(str(error.value)) < 400


# --- networks


@pytest.mark.parametrize("n", [0, -3, 2.5, NAN, INF, "4", None, True])
def test_the_number_of_units_is_a_count(n):
    refused(lambda: G.Network.sample(gf.GRU(), n), f"n = {n!r}", "an integer of at least 1")


def test_whole_floats_are_counts():
    assert G.Network.sample(gf.VanillaRNN(), 3.0).n == 3


@pytest.mark.parametrize("seed", [-1, 0.5, None, 2**63])  # JAX keys take 63 bits
def test_seeds_are_integers(seed, flow):
    refused(lambda: G.Network.sample(gf.GRU(), N, seed=seed), f"seed = {seed!r}", "an integer")
    refused(lambda: G.simulate(flow, 1.0, seed=seed), f"seed = {seed!r}", "an integer")


@pytest.mark.parametrize("dtype", ["float16", "double", "int32", np.int64, 7, None])
def test_precisions(dtype):
    refused(
        lambda: G.Network.sample(gf.VanillaRNN(), N, dtype=dtype), "dtype =", "'float64', 'float32'"
    )


def test_per_unit_parameters_must_have_n_entries():
    for wrong in (np.ones(3), np.ones((1, N)), np.ones(1)):
        says = (f"cell.beta_h.shape = {wrong.shape}", "(4,)")
        refused(lambda w=wrong: gf.Network.sample(gf.GatedRNN(beta_h=w), N), *says)
        refused(
            lambda w=wrong: gf.Network.of_couplings(gf.VanillaRNN(w), {"h": np.eye(N)}), "cell.g"
        )


def test_couplings_must_be_real_and_not_empty():
    refused(
        lambda: gf.Network.of_couplings(gf.VanillaRNN(), {"h": 1j * np.eye(2)}), "couplings", "real"
    )
    refused(lambda: gf.Network.of_couplings(gf.VanillaRNN(), {"h": np.ones((0, 0))}), "(0, 0)")
    refused(lambda: gf.Network.of_couplings(gf.VanillaRNN(), {"h": [["a"]]}), "couplings['h']")


def test_unknown_fields(flow):
    refused(lambda: flow.coupling("n"), "field = 'n'", "'h', 'z', 'r'")


# --- simulation


@pytest.mark.parametrize("t_max", [0.0, -1.0, NAN, INF, "long", [1.0, 2.0]])
def test_durations(t_max, flow):
    refused(lambda: G.simulate(flow, t_max), f"t_max = {t_max!r}")


@pytest.mark.parametrize("t_max", [2.5, 0, -1])
def test_maps_take_whole_steps(t_max, gru):
    refused(lambda: G.simulate(gru, t_max), "t_max", str(t_max))


def test_maps_have_neither_method_nor_step(gru):
    refused(lambda: gf.simulate(gru, 3, dt=0.1), "for a map", "dt=0.1", "neither method nor dt")
    refused(lambda: gf.simulate(gru, 3, method="rk4"), "for a map", "'rk4'")


@pytest.mark.parametrize("method", ["RK4", "heun", "map", 4])
def test_unknown_methods(method, flow):
    refused(
        lambda: G.simulate(flow, 1.0, method=method),
        f"method = {method!r}",
        "'euler', 'rk4', 'tsit5', 'dopri8'",
    )


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("dt", (0.0, -0.1, NAN, "fine")),
        ("save_every", (0, 2.5, -1)),
        ("samples", (0, 1.5)),
    ],
    ids=["dt", "save_every", "samples"],
)
def test_options_of_simulate(option, values, flow):
    for value in values:
        refused(lambda v=value: G.simulate(flow, 1.0, **{option: v}), f"{option} = {value!r}")


@pytest.mark.parametrize("option", ["rtol", "atol", "max_steps"])
def test_options_of_adaptive_methods(option, flow):
    """A tolerance of zero or below, or NaN, would never stop, or never refine."""
    values = (0, 1.5) if option == "max_steps" else (-1e-6, NAN)
    for value in values:
        refused(
            lambda v=value: G.simulate(flow, 1.0, method="tsit5", **{option: v}),
            f"{option} = {value!r}",
        )


def test_initial_states(flow):
    for shape in ((N, 3), (3 * N,), (3, N + 1), (1, 1, 3, N), (2, N, 3)):
        refused(
            lambda s=shape: gf.simulate(flow, 1.0, initial=np.zeros(s)),
            f"initial.shape = {shape}",
            "(3, 4)",
        )
    broken = np.zeros((3, N))
    broken[1, 2] = NAN
    refused(lambda: gf.simulate(flow, 1.0, initial=broken), "initial", "not finite")
    refused(lambda: gf.simulate(flow, 1.0, initial=np.zeros((3, N)) + 1j), "initial", "real")
    refused(
        lambda: gf.simulate(flow, 1.0, initial=np.zeros((3, N)), samples=2), "samples = 2", "None"
    )


# --- inputs


def test_drives_that_the_cell_does_not_have(flow, gru):
    refused(lambda: gf.simulate(flow, 1.0, inputs={"x": 1.0}), "['x']", "'h', 'z', 'r'")
    refused(lambda: gf.simulate(gru, 1, inputs={"h": 1.0}), "['h']", "'r', 'z', 'n'")
    refused(lambda: G.simulate(flow, 1.0, inputs=[1.0]), "inputs = 'list'", "a mapping")


@pytest.mark.parametrize("shape", [(1,), (N + 1,), (N, 1), (1, N)])
def test_shapes_of_inputs(shape, flow):
    for value in (np.ones(shape), lambda t: jnp.ones(shape) * t):
        refused(
            lambda v=value: gf.simulate(flow, 1.0, inputs={"z": v}),
            f"inputs['z'].shape = {shape}",
            "(4,)",
        )


@pytest.mark.parametrize("value", [NAN, INF, [0.0, NAN, 0.0, 0.0], "strong", None, True])
def test_inputs_must_be_finite_numbers(value, flow):
    refused(lambda: gf.simulate(flow, 1.0, inputs={"h": value}), "inputs['h']", "finite numbers")


def test_inputs_must_be_real(flow):
    refused(lambda: gf.simulate(flow, 1.0, inputs={"h": 1j}), "inputs['h']", "1j")
    refused(lambda: gf.simulate(flow, 1.0, inputs={"h": lambda t: 1j * t}), "inputs['h']")


# --- the checks themselves


def test_values_are_returned_as_checked():
    given = checks.as_parameter("x", [1, 2])
    assert given.dtype == np.float64 and list(given) == [1.0, 2.0]
    assert checks.check_count("n", np.int32(3)) == 3 and checks.check_count("n", 3.0) == 3
    assert checks.check_count("n", 0, at_least=0) == 0
    assert checks.check_choice("x", "b", iter("abc")) == "b"
    assert isinstance(checks.check_count("n", np.int64(3)), int)


def test_traced_parameters_pass():
    """So that cells can be built inside jax.grad and jax.vmap."""
    slope = jax.grad(lambda g: gf.VanillaRNN(g).outputs({"h": 0.5}, {"h": 0.0}, {"h": 0.0})["h"])
    assert float(slope(2.0)) == pytest.approx(0.5 / np.cosh(1.0) ** 2, rel=1e-6)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_parameter_is_finite_or_refused(value):
    """Whatever the float: it comes back the same, or an `InvalidInputError` shows it."""
    try:
        assert float(checks.as_parameter("x", value)) == value
    except InvalidInputError as error:
        assert not np.isfinite(value) and f"x = {value!r}" in str(error)


@given(st.one_of(st.floats(), st.integers(-(10**20), 10**20)))
def test_a_count_is_whole_and_large_enough_or_refused(value):
    try:
        assert checks.check_count("n", value) == value >= 1
    except InvalidInputError as error:
        assert not math.isfinite(value) or value < 1 or value != math.floor(value)
        assert f"n = {value!r}" in str(error)
