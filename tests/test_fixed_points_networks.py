"""Fixed points of networks against other solvers and against steps of simulations."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from known_points import EXACT, QUIET, rows_of

import gatefield as gf
from gatefield.analysis.fixed_points.steps import velocity, velocity_matrix
from gatefield.core.errors import InvalidInputError


def by_other_means(right_side: Any, starts: np.ndarray) -> np.ndarray:
    """Return the distinct roots that MINPACK finds without derivatives."""
    roots: list[np.ndarray] = []
    for start in starts:
        solved = scipy.optimize.root(right_side, start, tol=1e-13)
        x = solved.x
        if np.max(np.abs(right_side(x))) < 1e-10:
            if all(np.max(np.abs(x - other)) > 1e-5 for other in roots):
                roots.append(x)
    return np.array(roots)


# ---------------------------------------------------------------- other solvers


def test_a_small_network_against_minpack_on_a_fine_grid():
    """Two units that excite themselves and inhibit each other: wells, saddles, the origin."""
    matrix, g, beta = np.array([[1.0, -0.3], [-0.4, 1.1]]), 2.5, np.array([0.1, -0.05])

    def side(h):
        return matrix @ np.tanh(g * h + beta) - h

    axis = np.linspace(-2.0, 2.0, 21)
    expected = by_other_means(side, np.array(list(itertools.product(axis, axis))))
    assert len(expected) == 9
    network = gf.Network.of_couplings(gf.VanillaRNN(g, beta=beta), {"h": matrix})
    found = gf.find_fixed_points(network, 200, **QUIET)
    np.testing.assert_allclose(rows_of(found.states), rows_of(expected), rtol=0, atol=1e-11)
    for state, unstable in zip(found.states[:, 0], found.unstable, strict=True):
        slope = g * (1 - np.tanh(g * state + beta) ** 2)
        values = np.linalg.eigvals(matrix * slope - np.eye(2))
        assert unstable == np.sum(np.real(values) > 0)


@pytest.mark.parametrize(("g", "count"), [(0.9, 1), (1.8, None)], ids=["below", "above"])
def test_vanilla_networks_gain_points_with_g(g, count):
    """One below g |J| = 1, where the network contracts; above, as many as MINPACK finds."""
    n = 8
    rng = np.random.default_rng(5)
    matrix = rng.standard_normal((n, n))
    matrix /= np.linalg.norm(matrix, 2)
    matrix *= 1.0 if count == 1 else 4.0
    network = gf.Network.of_couplings(gf.VanillaRNN(g), {"h": matrix})
    found = gf.find_fixed_points(network, 150, seed=2, **QUIET)
    starts = rng.standard_normal((400, n)) * np.resize([0.1, 0.5, 1.0, 3.0], 400)[:, None]
    expected = by_other_means(lambda h: matrix @ np.tanh(g * h) - h, starts)
    assert len(found.states) == len(expected) == (count or len(expected))
    np.testing.assert_allclose(rows_of(found.states), rows_of(expected), rtol=0, atol=1e-10)
    assert found.unique == (count == 1) and len(found.states) % 2 == 1


# ---------------------------------------------------------------- maps and simulations


MAPS = {
    "gru": gf.GRU(gain_r=1.0, gain_z=1.0, gain_n=2.5, bias_n=0.1),
    "gru-before": gf.GRU(gain_r=1.0, gain_n=3.0, bias_hn=0.1, reset="before"),
    "lstm": gf.LSTM(gain_i=1.0, gain_f=1.0, gain_g=3.0, gain_o=1.0, bias_f=1.0),
    "elman": gf.ElmanRNN(1.5, 0.1),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_step_of_a_map_leaves_its_points_in_place(name):
    """With constant input; and what a step does beside each is the derivative: edges, too."""
    cell = MAPS[name]
    network = gf.Network.sample(cell, 6, seed=6)
    inputs = {drive: 0.2 for drive in cell.drive_names}
    found = gf.find_fixed_points(network, 16, inputs=inputs, **QUIET)
    assert found.is_map and len(found.states) >= 1
    after = gf.simulate(network, 1, initial=found.states, inputs=inputs, progress=False).final
    np.testing.assert_allclose(after, found.states, rtol=0, atol=1e-13)
    size, h = found.states[0].size, 1e-4
    moves = h * np.eye(size).reshape(size, *found.states.shape[1:])
    for state, edge, unstable in zip(
        found.states, found.leading_edges, found.unstable, strict=True
    ):
        batch = np.concatenate([state + moves, state - moves])
        moved = gf.simulate(network, 1, initial=batch, inputs=inputs, progress=False).final
        ahead, back = moved.reshape(2, size, size)
        moduli = np.abs(np.linalg.eigvals((ahead - back).T / (2 * h)))
        # Central differences: h^2 times third derivatives of order ten, eigenvalues a bit more.
        assert edge == pytest.approx(np.max(moduli), abs=1e-5)
        assert unstable == np.sum(moduli > 1)


def test_perturbations_grow_and_decay_at_the_leading_rate():
    """Along the leading mode of each point over a time of one; symmetric: all modes are real."""
    drawn = np.random.default_rng(7).standard_normal((8, 8)) / np.sqrt(8)
    network = gf.Network.of_couplings(gf.VanillaRNN(1.6), {"h": (drawn + drawn.T) / 1.4})
    found = gf.find_fixed_points(network, 64, **QUIET)
    assert found.stable.any() and not found.stable.all()
    checked = {True: 0, False: 0}
    for state, edge, stable in zip(found.states, found.leading_edges, found.stable, strict=True):
        slope = 1.6 * (1 - np.tanh(1.6 * state[0]) ** 2)
        values, vectors = np.linalg.eig(network.coupling("h") * slope - np.eye(8))
        leading = np.argmax(np.real(values))
        push = np.real(vectors[:, leading])
        start = state + 1e-6 * push
        end = gf.simulate(network, 1.0, initial=start, dt=0.01, progress=False).final
        growth = np.log(np.linalg.norm(end - state) / (1e-6 * np.linalg.norm(push)))
        # Second order in the perturbation, 1e-6 times derivatives below 10.
        assert growth == pytest.approx(edge, abs=2e-5)
        assert (growth < 0) == stable
        checked[bool(stable)] += 1
    assert checked[True] and checked[False]


def test_single_precision_networks_are_searched_in_double():
    cell = gf.VanillaRNN(1.5, beta=0.1)
    network = gf.Network.sample(cell, 6, seed=8, dtype="float32")
    found = gf.find_fixed_points(network, 16, **QUIET)
    matrix = network.coupling("h").astype(float)
    # The cell's parameters are rounded, too.
    g, beta = float(np.float32(1.5)), float(np.float32(0.1))
    h = found.states[:, 0]
    speeds = np.tanh(g * h + beta) @ matrix.T - h
    assert found.states.dtype == np.float64
    np.testing.assert_allclose(speeds, 0.0, atol=1e-13)


def test_layers_of_trained_networks():
    """One layer of a PyTorch GRU, held at one input."""
    torch: Any = pytest.importorskip("torch")
    torch.manual_seed(1)
    module = torch.nn.GRU(3, 5, num_layers=2).double()
    stack = gf.Network.from_torch(module)
    layer, x = stack.layers[0], np.array([0.5, -1.0, 2.0])
    inputs = {name: weights @ x for name, weights in layer.input_weights.items()}
    found = gf.find_fixed_points(layer.network, 8, inputs=inputs, **QUIET)
    assert found.unique and found.stable.all()  # PyTorch's default weights contract
    single = torch.nn.GRU(3, 5).double()
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    single.load_state_dict({name: module.state_dict()[name] for name in names})
    start = torch.tensor(found.states[0][None])
    with torch.no_grad():
        after = single(torch.tensor(x)[None, None], start)[1].numpy()[0]
    np.testing.assert_allclose(after, found.states[0], rtol=0, atol=1e-13)
    with pytest.raises(InvalidInputError, match="one layer"):
        gf.find_fixed_points(stack)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", dict(gf.registered_cells()))
def test_the_matrix_of_newtons_method(name):
    """Against the public Jacobian, which tests hold to finite differences."""
    cell = gf.registered_cells()[name]
    network = gf.Network.sample(cell, 4, seed=9)
    state = np.random.default_rng(10).standard_normal((len(cell.state_names), 4))
    with jax.enable_x64(True):
        drive = jnp.zeros((len(cell.drive_names), 4))
        matrix = np.asarray(velocity_matrix(network, drive, jnp.asarray(state)))
        moving = np.asarray(velocity(network, drive, jnp.asarray(state)))
    expected = gf.jacobian(network, state).as_matrix()
    if isinstance(cell, gf.AbstractMap):
        expected = expected - np.eye(state.size)
        after = gf.simulate(network, 1, initial=state, progress=False).final - state
    else:
        run = gf.simulate(network, 1.0, dt=1.0, method="euler", initial=state, progress=False)
        after = run.final - state
    np.testing.assert_allclose(matrix, expected, rtol=0, atol=EXACT)
    np.testing.assert_allclose(moving, after, rtol=0, atol=EXACT)
