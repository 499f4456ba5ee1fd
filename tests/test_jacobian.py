"""The Jacobian of a network: finite differences of the network, products, transposes, shapes."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gatefield as gf
from gatefield.core.errors import InvalidInputError

CELLS = dict(gf.registered_cells())
N = 5
ROUNDING = 1e-12  # sums of tens of products of order one to ten


def random_network(cell, seed, n=N, dtype="float64"):
    rng = np.random.default_rng(seed)
    given = {name: rng.standard_normal((n, n)) for name in cell.field_names}
    return gf.Network.of_couplings(cell, given, dtype=dtype)


def random_state(cell, seed, n=N):
    return np.random.default_rng(seed).standard_normal((len(cell.state_names), n))


def change_of(network, states, inputs):
    """Return the velocity (flows) or the next state (maps), by one step of `simulate`."""
    if isinstance(network.cell, gf.AbstractMap):
        return gf.simulate(network, 1, initial=states, inputs=inputs).final
    run = gf.simulate(network, 1.0, dt=1.0, method="euler", initial=states, inputs=inputs)
    return run.final - states


def differences(network, state, inputs):
    """Differentiate the change by five-point central differences, all moved states in one batch.

    Truncation h^4 f'''''/30 and rounding 1e-15/h are both below 1e-8 at h = 1e-3: derivatives of
    tanh(g x) are at most 16 g^5, times couplings of order one.
    """
    h, size = 1e-3, state.size
    moves = h * np.eye(size).reshape(size, *state.shape)
    batch = np.concatenate([state + factor * moves for factor in (1, -1, 2, -2)])
    near, back, far, far_back = change_of(network, batch, inputs).reshape(4, size, size)
    return ((8 * (near - back) - (far - far_back)) / (12 * h)).T


def drives(cell):
    """Return an input for every drive, each per unit."""
    return {name: np.linspace(-0.5, 0.8, N) * (k + 1) for k, name in enumerate(cell.drive_names)}


@pytest.mark.parametrize("name", CELLS)
def test_jacobian_is_the_derivative_of_the_network(name):
    """At a random, moving state, with an input to every drive."""
    cell = CELLS[name]
    network, state, inputs = random_network(cell, 21), random_state(cell, 22), drives(cell)
    got = gf.jacobian(network, state, inputs=inputs)
    dense = got.as_matrix()
    assert got.shape == dense.shape == (state.size, state.size)
    expected = differences(network, state, inputs)
    np.testing.assert_allclose(dense, expected, rtol=0, atol=2e-8)
    without = gf.jacobian(network, state).as_matrix()
    if isinstance(cell, gf.AbstractMap):
        assert np.max(np.abs(without - dense)) > 1e-3  # inputs stand inside the nonlinearities
    else:
        np.testing.assert_array_equal(without, dense)  # inputs are added to the velocity


@pytest.mark.parametrize("input_gating", ["none", "update"])
def test_the_gated_rnn_where_its_inputs_stand(input_gating):
    """Per-unit parameters and both places of the input, against finite differences."""
    rng = np.random.default_rng(23)
    names = ("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r", "tau_z", "tau_r")
    values = {name: rng.uniform(0.5, 2.0, N) for name in names}
    cell = gf.GatedRNN(**values, input_gating=input_gating)
    network, state, inputs = random_network(cell, 24), random_state(cell, 25), drives(cell)
    dense = gf.jacobian(network, state, inputs=inputs).as_matrix()
    np.testing.assert_allclose(dense, differences(network, state, inputs), rtol=0, atol=2e-8)


def test_inputs_are_taken_at_the_time_given():
    cell = gf.GatedRNN(2.0, alpha_z=1.0, input_gating="update")
    network, state = random_network(cell, 26), random_state(cell, 27)
    moving = gf.jacobian(network, state, inputs={"h": lambda t: 0.5 * jnp.sin(t)}, time=0.7)
    still = gf.jacobian(network, state, inputs={"h": 0.5 * np.sin(0.7)})
    np.testing.assert_allclose(moving.as_matrix(), still.as_matrix(), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", CELLS)
def test_jacobian_is_assembled_from_the_blocks(name):
    """A + L (1 - J Q)^-1 J R with the inverse taken of the full (K N, K N) matrix."""
    cell = CELLS[name]
    network, state = random_network(cell, 28), random_state(cell, 29)
    d, k = len(cell.state_names), len(cell.field_names)
    blocks = gf.linearise(network, state)

    def spread(block):
        """(N, a, b) per unit -> (a N, b N), component by component."""
        rows = [
            [np.diag(block[:, i, j]) for j in range(block.shape[2])] for i in range(block.shape[1])
        ]
        return np.block(rows)

    J = np.zeros((k * N, k * N))
    for row, field in enumerate(cell.field_names):
        J[row * N : (row + 1) * N, row * N : (row + 1) * N] = network.coupling(field)
    A, L, R, Q = (spread(block) for block in (blocks.A, blocks.L, blocks.R, blocks.Q))
    expected = A + L @ np.linalg.inv(np.eye(k * N) - J @ Q) @ J @ R
    dense = gf.jacobian(network, state).as_matrix()
    assert dense.shape == (d * N, d * N)
    np.testing.assert_allclose(dense, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", CELLS)
def test_products_are_those_of_the_matrix(name):
    cell = CELLS[name]
    network, state = random_network(cell, 30), random_state(cell, 31)
    got = gf.jacobian(network, state)
    dense = got.as_matrix()
    vector = np.random.default_rng(32).standard_normal(state.shape)
    flat = vector.ravel()  # all units of the first component first
    np.testing.assert_allclose(got.mv(flat), dense @ flat, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(got.rmv(flat), dense.T @ flat, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(got.mv(vector), got.mv(flat).reshape(state.shape))
    np.testing.assert_array_equal(got.rmv(vector), got.rmv(flat).reshape(state.shape))


def test_zero_fixed_point_of_the_vanilla_network():
    """-1 + g J, exactly."""
    network = random_network(gf.VanillaRNN(1.7), 33)
    dense = gf.jacobian(network, np.zeros((1, N))).as_matrix()
    expected = -np.eye(N) + 1.7 * network.coupling("h")
    np.testing.assert_allclose(dense, expected, rtol=0, atol=1e-15)


def test_zero_fixed_point_of_the_gated_rnn():
    """Blocks -s_z + s_z g s_r J^h, g J^z / tau_z, g J^r / tau_r, in the order (h, z, r)."""
    cell = gf.GatedRNN(1.7, alpha_z=2.0, alpha_r=3.0, beta_z=0.5, beta_r=-0.5, tau_z=2.0, tau_r=4.0)
    network = random_network(cell, 34)
    s_z, s_r = 1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(0.5))
    one, zero = np.eye(N), np.zeros((N, N))
    J = {name: 1.7 * network.coupling(name) for name in "hzr"}
    expected = np.block(
        [
            [s_z * (s_r * J["h"] - one), zero, zero],
            [J["z"] / 2.0, -one / 2.0, zero],
            [J["r"] / 4.0, zero, -one / 4.0],
        ]
    )
    dense = gf.jacobian(network, np.zeros((3, N))).as_matrix()
    np.testing.assert_allclose(dense, expected, rtol=0, atol=1e-15)


def test_circular_law_at_the_zero_fixed_point():
    """-1 + g J fills a disc of radius g: of N eigenvalues the share r^2 lies within r g.

    Counts in a disc fluctuate by less than a binomial's sqrt(N r^2 (1 - r^2)): eigenvalues repel.
    """
    n, g = 300, 0.8
    network = gf.Network.sample(gf.VanillaRNN(g), n, seed=35)
    eigenvalues = np.linalg.eigvals(gf.jacobian(network, np.zeros((1, n))).as_matrix())
    distance = np.abs(eigenvalues + 1) / g
    for radius in (0.3, 0.5, 0.8):
        expected = n * radius**2
        assert abs(np.sum(distance < radius) - expected) < 3 * np.sqrt(expected * (1 - radius**2))
    # The edge scatters by order N^(-1/2) around one.
    assert abs(distance.max() - 1) < 3 / np.sqrt(n)


def test_single_precision():
    """Within rounding of 6e-8 times the ten terms of order one in a row."""
    cell = gf.GRU(reset="before")
    state = random_state(cell, 36)
    single = gf.jacobian(random_network(cell, 37, dtype="float32"), state)
    double = gf.jacobian(random_network(cell, 37), state)
    dense = single.as_matrix()
    assert dense.dtype == np.float32
    np.testing.assert_allclose(dense, double.as_matrix(), rtol=0, atol=5e-6)
    vector = np.ones(N)
    assert single.mv(vector).dtype == np.float32
    np.testing.assert_allclose(single.rmv(vector), double.rmv(vector), rtol=0, atol=5e-6)


# --- what is refused


def test_shapes_that_do_not_fit_are_refused():
    network = random_network(gf.GatedRNN(), 38)
    got = gf.jacobian(network, np.zeros((3, N)))
    for product in (got.mv, got.rmv):
        for wrong in (np.zeros((N, 3)), np.zeros(N), np.zeros((1, 3 * N)), np.zeros((2, 3, N))):
            with pytest.raises(
                InvalidInputError, match=r"perturbation\.shape.*\(3, 5\) or \(15,\)"
            ):
                product(wrong)
    for wrong in (np.zeros((N, 3)), np.zeros(3 * N), np.zeros((2, 3, N))):
        for tool in (gf.jacobian, gf.linearise):
            with pytest.raises(InvalidInputError, match="expected.*unit|one state"):
                tool(network, wrong)


@pytest.mark.parametrize("tool", [gf.jacobian, gf.linearise], ids=["jacobian", "linearise"])
def test_values_that_are_not_finite_are_refused(tool):
    network = random_network(gf.VanillaRNN(), 39)
    with pytest.raises(InvalidInputError, match="state = .*not finite"):
        tool(network, np.full((1, N), np.nan))
    with pytest.raises(InvalidInputError, match=r"time = nan: expected finite"):
        tool(network, np.zeros((1, N)), time=float("nan"))
    with pytest.raises(InvalidInputError, match=r"inputs\['h'\].*finite"):
        tool(network, np.zeros((1, N)), inputs={"h": np.inf})
    with pytest.raises(InvalidInputError, match=r"inputs = \['q'\]"):
        tool(network, np.zeros((1, N)), inputs={"q": 1.0})


@pytest.mark.parametrize("product", ["mv", "rmv"])
def test_perturbations_must_be_real_and_finite(product):
    """A complex vector must not lose its imaginary part, a NaN must not pass silently."""
    got = gf.jacobian(random_network(gf.VanillaRNN(), 40), np.zeros((1, N)))
    apply = {"mv": got.mv, "rmv": got.rmv}[product]
    for wrong in (1j * np.ones(N), np.full(N, np.nan)):
        with pytest.raises(InvalidInputError, match="perturbation"):
            apply(wrong)
