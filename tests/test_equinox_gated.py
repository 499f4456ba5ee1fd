"""The gated RNN as a module of Equinox: its step, its gradients, and its initialisers."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatefield as gf
from gatefield.bridge import equinox as ge
from gatefield.core.errors import InvalidInputError

N, FEATURES, STEPS, DT = 40, 2, 12, 0.1
KEY = jax.random.key(2)
TRAINED = (
    *(f"{part}_{field}" for part in "JW" for field in "hzr"),
    *("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r"),
)


def built(dtype: Any = np.float64, n=N, **options) -> Any:
    with jax.enable_x64(True):
        return ge.GatedRNN(FEATURES, n, dt=DT, dtype=dtype, key=jax.random.key(0), **options)


def with_all_parameters(gating="none"):
    """Return a module none of whose parameters has the value of another."""
    biases = {f"beta_{k}": np.linspace(-1, 1, N) * 0.2 * i for i, k in enumerate("hzr", 1)}
    cell = gf.GatedRNN(
        2.5, alpha_z=1.5, alpha_r=0.7, tau_z=2.0, tau_r=0.5, input_gating=gating, **biases
    )
    module = built(tau_z=9.0, input_gating=gating)
    return ge.from_cell(module, cell, key=KEY, input_gain={"h": 1.0, "z": 2.0, "r": 0.5})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    return rng.standard_normal((STEPS, FEATURES)), rng.standard_normal((3, N))


@eqx.filter_jit
def run_of(module, inputs, initial):
    return module(inputs, initial)


def ran(module, inputs, initial):
    with jax.enable_x64(True):
        outputs, state = run_of(module, jnp.asarray(inputs), tuple(map(jnp.asarray, initial)))
        return np.asarray(outputs), np.asarray(state)


@pytest.mark.parametrize("gating", ["none", "update"])
def test_each_step_is_the_papers_equations_by_euler(gating, data):
    module = with_all_parameters(gating)
    p = {name: np.asarray(getattr(module, name)) for name in TRAINED}
    inputs, (h, z, r) = data
    outputs, state = ran(module, *data)
    for x, output in zip(inputs, outputs, strict=True):
        phi = np.tanh(p["g_h"] * h + p["beta_h"])
        rate = sigmoid(p["alpha_z"] * z + p["beta_z"])
        sent = phi * sigmoid(p["alpha_r"] * r + p["beta_r"])
        drive = p["W_h"] @ x
        inside, outside = (drive, 0.0) if gating == "update" else (0.0, drive)
        h, z, r = (
            h + DT * (rate * (-h + p["J_h"] @ sent + inside) + outside),
            z + DT / 2.0 * (-z + p["J_z"] @ phi + p["W_z"] @ x),
            r + DT / 0.5 * (-r + p["J_r"] @ phi + p["W_r"] @ x),
        )
        # Sums of 40 terms, in another order, over 12 steps.
        np.testing.assert_allclose(output, h, rtol=0, atol=1e-13)
    np.testing.assert_allclose(state, [h, z, r], rtol=0, atol=1e-13)


@pytest.mark.parametrize("gating", ["none", "update"])
def test_each_step_is_that_of_the_network_under_euler(gating, data):
    module = with_all_parameters(gating)
    inputs, initial = data
    table = {k: inputs @ np.asarray(getattr(module, f"W_{k}")).T for k in "hzr"}

    def drive(name):
        return lambda t: jnp.asarray(table[name])[jnp.round(t / DT).astype(int)]

    network = ge.from_equinox(module)
    assert isinstance(network, gf.Network) and str(network.dtype) == "float64"
    run = gf.simulate(
        network,
        STEPS * DT,
        dt=DT,
        method="euler",
        initial=initial,
        inputs={name: drive(name) for name in "hzr"},
    )
    outputs, state = ran(module, inputs, initial)
    np.testing.assert_allclose(run.states[1:, 0], outputs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.states[-1], state, rtol=0, atol=1e-12)


def test_the_module_of_pytorch_with_the_same_weights_does_the_same(data):
    torch: Any = pytest.importorskip("torch")
    from gatefield.bridge.torch import GatedRNN

    module = with_all_parameters()
    other = GatedRNN(
        FEATURES, N, dt=module.dt, tau_z=module.tau_z, tau_r=module.tau_r, dtype=torch.float64
    )
    weights = {name: torch.tensor(np.asarray(getattr(module, name))) for name in TRAINED}
    other.load_state_dict(weights, strict=False)
    inputs, initial = data
    outputs, state = ran(module, inputs, initial)
    with torch.no_grad():
        theirs, last = other(torch.tensor(inputs), tuple(map(torch.tensor, initial)))
    assert set(TRAINED) == {name for name, _ in other.named_parameters()}
    np.testing.assert_allclose(outputs, theirs.numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(state, torch.stack(last).numpy(), rtol=0, atol=1e-12)


@eqx.filter_jit
@eqx.filter_value_and_grad
def loss_of(module, inputs, targets):
    outputs = jax.vmap(lambda x: module(x)[0])(inputs)
    return jnp.mean((outputs[:, -1, 0] - targets) ** 2)


def test_gradients_are_those_of_finite_differences_and_a_step_lowers_the_loss():
    rng = np.random.default_rng(0)
    module = with_all_parameters()
    with jax.enable_x64(True):
        inputs = jnp.asarray(rng.standard_normal((8, STEPS, FEATURES)))
        targets = inputs.sum(axis=(1, 2)) / 5
        loss, gradient = loss_of(module, inputs, targets)
        leaves = jax.tree_util.tree_leaves_with_path(gradient)
        assert {jax.tree_util.keystr(path, simple=True) for path, _ in leaves} == set(TRAINED)
        assert all(np.any(np.asarray(leaf) != 0) for _, leaf in leaves)

        def moved(by):
            return eqx.apply_updates(module, jax.tree.map(lambda g: by * g, gradient))

        slope = sum(float(jnp.sum(leaf**2)) for _, leaf in leaves)
        step = 1e-4 / np.sqrt(slope)
        ahead, behind = (float(loss_of(moved(s), inputs, targets)[0]) for s in (step, -step))
        # Central differences: the next order is (1e-4)^2, rounding 1e-16 / 1e-4.
        assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-6)
        lowered = float(loss_of(moved(-0.01), inputs, targets)[0])
    # To first order the loss falls by 0.01 slope; half of it leaves room for curvature.
    assert lowered < float(loss) - 0.005 * slope


@eqx.filter_jit
def flow_jacobian(module):
    """Return the Jacobian of the flow at the zero state from the module's own single step."""
    n = module.hidden_size

    def moved(flat):
        state = module(jnp.zeros((1, FEATURES)), tuple(jnp.split(flat, 3)))[1]
        return jnp.concatenate(state)

    return (jax.jacfwd(moved)(jnp.zeros(3 * n)) - jnp.eye(3 * n)) / module.dt


def leading_edge(module):
    with jax.enable_x64(True):
        return np.linalg.eigvals(np.asarray(flow_jacobian(module))).real.max()


def test_the_modules_own_leading_edge_for_targets():
    """The eigenvalues of h are -1/2 + (target + 1/2) times those of the couplings."""
    module = built(n=60)
    for value in (0.0, 0.1):
        found = ge.critical(module, key=KEY, value=value, alpha_z=3.0)
        assert float(found.g_h) == pytest.approx(4 * (value + 0.5), rel=1e-12)
        couplings = np.asarray(found.J_h)
        # Entries of variance 1 / N, whose mean square is known to sqrt(2) / N.
        assert 60 * np.mean(couplings**2) == pytest.approx(1.0, abs=4 * np.sqrt(2) / 60)
        expected = -0.5 + (value + 0.5) * np.linalg.eigvals(couplings).real.max()
        assert leading_edge(found) == pytest.approx(expected, abs=1e-10)
        assert (float(found.alpha_z), float(found.alpha_r)) == (3.0, 1.0)


def test_recipes_keep_time_constants_and_count_horizons_in_steps():
    module = built(tau_z=2.0, tau_r=0.5)
    for found in (
        ge.critical(module, key=KEY),
        ge.marginal(module, key=KEY, horizon=500.0, shortest=20.0),
        ge.chrono(module, key=KEY, horizon=500.0),
        ge.orthogonal(module, key=KEY),
    ):
        assert (found.tau_z, found.tau_r, found.dt) == (2.0, 0.5, DT)
    chrono = ge.chrono(module, key=KEY, horizon=500.0)
    times = 1 / sigmoid(np.asarray(chrono.beta_z)) / DT
    assert 2 / DT <= times.min() and times.max() <= 500.0 < 2 * times.max()
    marginal = ge.marginal(module, key=KEY, horizon=500.0, shortest=20.0, times="log-normal")
    # Ln of (time - 1) is normal; its median of 40 units, 1.25 / sqrt(40) of its spread.
    centre, spread = np.mean(np.log([49.0, 1.0])), np.log(49.0) / 2.563
    middle = np.median(-np.asarray(marginal.beta_z))
    assert abs(middle - centre) < 4 * 1.25 * spread / np.sqrt(N)
    orthogonal = ge.orthogonal(module, key=KEY, gain=0.5)
    block = np.asarray(orthogonal.J_z)
    np.testing.assert_allclose(block @ block.T, np.eye(N), rtol=0, atol=1e-12)
    assert float(orthogonal.g_h) == 1.0 and np.all(np.asarray(orthogonal.beta_z) == 0)


def test_precision_is_kept_and_new_modules_are_as_documented():
    single = built(np.float32, n=200)
    assert {leaf.dtype for leaf in jax.tree.leaves(single)} == {jnp.dtype("float32")}
    assert np.asarray(single.J_h).var() == pytest.approx(1 / 200, rel=4 * np.sqrt(2) / 200)
    assert np.abs(np.asarray(single.W_r)).max() <= 1 / np.sqrt(200)
    assert (float(single.g_h), float(single.alpha_z), float(single.alpha_r)) == (2.0, 1.0, 1.0)
    assert not np.array_equal(single.J_h, single.J_z)
    initialised = ge.critical(single, key=KEY)
    assert {leaf.dtype for leaf in jax.tree.leaves(initialised)} == {jnp.dtype("float32")}
    assert str(initialised.network().dtype) == "float32"
    assert str(initialised.network(dtype="float64").dtype) == "float64"


def test_what_does_not_fit_is_refused(data):
    module = built(np.float32)
    shut = eqx.tree_at(lambda tree: tree.alpha_z, module, np.float64(-0.1))
    cases: dict[str, Any] = {
        "dt = 0.6": lambda: ge.GatedRNN(2, 3, dt=0.6, tau_r=0.5, key=KEY),
        "hidden_size = 0": lambda: ge.GatedRNN(2, 0, key=KEY),
        "input_gating = 'both'": lambda: ge.GatedRNN(2, 3, input_gating="both", key=KEY),
        "dtype = ": lambda: ge.GatedRNN(2, 3, dtype=int, key=KEY),
        r"inputs.shape = \(3, 4, 2\)": lambda: module(np.zeros((3, 4, 2))),
        r"h, z and r, each \(40,\)": lambda: module(data[0], (np.zeros(3),) * 3),
        "alpha_z = ": shut.network,
        "expected a gatefield.GatedRNN": lambda: ge.from_cell(module, gf.GRU(), key=KEY),
        "cell.input_gating": lambda: ge.from_cell(
            module, gf.GatedRNN(input_gating="update"), key=KEY
        ),
        r"cell.g_h.shape = \(40,\)": lambda: ge.from_cell(module, gf.GatedRNN(np.ones(N)), key=KEY),
        "dt = 0.1: expected at most 0.05": lambda: ge.from_cell(
            module, gf.GatedRNN(tau_z=0.05), key=KEY
        ),
    }
    for message, use in cases.items():
        with pytest.raises(InvalidInputError, match=message):
            use()
