"""Every cell through every tool: the registered ones and one that a user would write."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import expit

import gatefield as gf
from gatefield.cells import wiring
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status

N = 8
ROUNDING = 1e-12


class Filtered(gf.AbstractFlow):
    """dh/dt = -h + u_h + I_h, where what is sent to h is gated by the field k, without delay."""

    g: Any
    threshold: Any = 0.0
    sharpness: Any = 1.5

    state_names: ClassVar[tuple[str, ...]] = ("h",)
    field_names: ClassVar[tuple[str, ...]] = ("k", "h")
    drive_names: ClassVar[tuple[str, ...]] = ("h",)

    def gains(self):
        return {"k": self.sharpness, "h": 1.0}

    def outputs(self, state, fields, drive):
        active = jnp.tanh(self.g * state["h"])
        return {"k": active, "h": active * jax.nn.sigmoid(fields["k"] + self.threshold)}

    def rule(self, state, fields, drive):
        return {"h": fields["h"] - state["h"] + drive["h"]}


CELLS: dict[str, gf.AbstractCell] = {
    **gf.registered_cells(),
    "user": Filtered(2.5, threshold=np.linspace(-1.0, 1.0, N)),
}
FLOWS = [name for name, cell in CELLS.items() if isinstance(cell, gf.AbstractFlow)]


@pytest.fixture(scope="module", params=list(CELLS))
def case(request):
    """Return a cell's network, a random state and an input for every drive."""
    cell = CELLS[request.param]
    network = gf.Network.sample(cell, N, seed=1)
    rng = np.random.default_rng(2)
    state = rng.standard_normal((len(cell.state_names), N))
    inputs = {name: rng.standard_normal(N) for name in cell.drive_names}
    return network, state, inputs


def plain_change(network, state, inputs):
    """Return velocity or next state by one product for each field, in the order of the fields."""
    cell, zero = network.cell, np.zeros(state.shape[-1])
    named = dict(zip(cell.state_names, state, strict=True))
    drive = {name: inputs.get(name, zero) for name in cell.drive_names}
    fields = dict.fromkeys(cell.field_names, zero)
    with jax.enable_x64(True):
        for name in cell.field_names:
            sent = np.asarray(cell.outputs(named, fields, drive)[name])
            fields = {**fields, name: network.coupling(name) @ sent}
        changed = cell.rule(named, fields, drive)
        return np.stack([np.asarray(changed[name]) for name in cell.state_names])


def test_wiring_places_every_field_once(case):
    network = case[0]
    wires = wiring(network.cell)
    assert wires == network.wiring
    count = len(network.cell.field_names)
    assert sorted(field for group in wires.groups for field in group) == list(range(count))
    staged = sorted(group for stage in wires.stages for group in stage)
    assert staged == list(range(len(wires.groups)))


def test_sampled_couplings_have_the_cells_gains(case):
    """Sum of squares of all fields' entries over gain^2 / N: chi-square of K N^2 degrees."""
    network = case[0]
    names, gains = network.cell.field_names, network.cell.gains()
    square = sum(np.sum((network.coupling(name) / float(gains[name])) ** 2) * N for name in names)
    degrees = len(names) * N**2
    assert abs(square - degrees) < 4 * np.sqrt(2 * degrees)
    assert network.n == N and network.dtype == np.float64
    np.testing.assert_allclose(network.gains(), [float(gains[name]) for name in names], rtol=1e-14)


def test_simulation_is_the_plain_loop(case):
    """Euler steps (flows) and steps (maps), seven of them, to rounding."""
    network, state, inputs = case
    if isinstance(network.cell, gf.AbstractMap):
        run = gf.simulate(network, 7, initial=state, inputs=inputs)
        step = lambda x: plain_change(network, x, inputs)  # noqa: E731
    else:
        run = gf.simulate(network, 0.7, dt=0.1, method="euler", initial=state, inputs=inputs)
        step = lambda x: x + 0.1 * plain_change(network, x, inputs)  # noqa: E731
    assert run.status is Status.OK and run.states.shape == (8, *state.shape)
    expected = state
    for saved in run.states:
        np.testing.assert_allclose(saved, expected, rtol=0, atol=ROUNDING)
        expected = step(expected)
    for row, name in enumerate(network.cell.state_names):
        np.testing.assert_array_equal(run.component(name), run.states[:, row])


def test_a_batch_is_its_members(case):
    network, state, inputs = case
    batch = np.stack([state, -0.5 * state, np.zeros_like(state)])
    duration = 7 if isinstance(network.cell, gf.AbstractMap) else 0.7
    together = gf.simulate(network, duration, initial=batch, inputs=inputs)
    for sample, start in enumerate(batch):
        alone = gf.simulate(network, duration, initial=start, inputs=inputs)
        np.testing.assert_allclose(together.states[sample], alone.states, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.slow
def test_every_method_integrates_every_flow(name):
    """Against SciPy on the plain velocity: RK4 errs by dt^4 / 120 = 5e-8, others by tolerance."""
    cell = CELLS[name]
    network = gf.Network.sample(cell, N, seed=1)
    start = np.random.default_rng(2).standard_normal((len(cell.state_names), N))
    inputs = {key: np.full(N, 0.3) for key in cell.drive_names}
    exact = solve_ivp(
        lambda t, x: plain_change(network, x.reshape(start.shape), inputs).ravel(),
        (0, 1),
        start.ravel(),
        method="DOP853",
        rtol=1e-8,
        atol=1e-10,
    ).y[:, -1]
    for method in ("rk4", "tsit5", "dopri8"):
        end = gf.simulate(
            network, 1.0, dt=0.05, method=method, initial=start, inputs=inputs, save_every=20
        ).final
        np.testing.assert_allclose(end.ravel(), exact, rtol=0, atol=1e-6, err_msg=method)


def test_linear_response_is_the_derivative_of_the_plain_change(case):
    """A + L (1 - J Q)^-1 J R of `linearise`, and the dense matrix and products of `jacobian`.

    Five-point differences with h = 1e-3: truncation and rounding below 1e-8 for gains up to 3.
    """
    network, state, inputs = case
    h, columns = 1e-3, []
    for index in range(state.size):
        move = np.zeros(state.size)
        move[index] = h
        move = move.reshape(state.shape)
        values = [plain_change(network, state + k * move, inputs).ravel() for k in (1, -1, 2, -2)]
        columns.append((8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * h))
    expected = np.stack(columns, axis=1)

    operator = gf.jacobian(network, state, inputs=inputs)
    dense = operator.as_matrix()
    np.testing.assert_allclose(dense, expected, rtol=0, atol=2e-8)
    vector = np.random.default_rng(3).standard_normal(state.size)
    np.testing.assert_allclose(operator.mv(vector), dense @ vector, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(operator.rmv(vector), dense.T @ vector, rtol=0, atol=ROUNDING)

    blocks = gf.linearise(network, state, inputs=inputs)
    assert blocks.is_map == isinstance(network.cell, gf.AbstractMap)
    J = [network.coupling(name) for name in network.cell.field_names]
    spread = lambda block: np.block(  # noqa: E731
        [[np.diag(block[:, i, j]) for j in range(block.shape[2])] for i in range(block.shape[1])]
    )
    A, L, R, Q = (spread(block) for block in (blocks.A, blocks.L, blocks.R, blocks.Q))
    coupled = np.zeros((len(J) * N, len(J) * N))
    for row, matrix in enumerate(J):
        coupled[row * N : (row + 1) * N, row * N : (row + 1) * N] = matrix
    assembled = A + L @ np.linalg.solve(np.eye(len(coupled)) - coupled @ Q, coupled @ R)
    np.testing.assert_allclose(assembled, dense, rtol=0, atol=ROUNDING)


# --- static theory


STATIC: dict[str, gf.AbstractCell] = {
    **CELLS,
    # Input inside the gate: outside, h* = eta + I / s_z has the moments of exp(2 alpha_z z).
    "gated-rnn": gf.GatedRNN(2.5, alpha_z=1.0, alpha_r=1.5, beta_h=0.1, input_gating="update"),
    # Mean-field theory takes scalar parameters.
    "user": Filtered(2.5, threshold=0.4),
}


def at_rest(cell, fields, drive):
    """Let single units come to rest in given fields: Euler steps of one, or steps of the map."""
    state = {name: np.zeros(fields[cell.field_names[0]].shape) for name in cell.state_names}
    is_map = isinstance(cell, gf.AbstractMap)
    step = jax.jit(
        lambda s: {
            name: value if is_map else s[name] + value
            for name, value in cell.rule(s, fields, drive).items()
        }
    )
    for _ in range(600):
        state = step(state)
    return state


@pytest.mark.slow
@pytest.mark.parametrize("name", STATIC)
def test_sampled_static_theory_is_self_consistent(name):
    """Monte Carlo: units at rest in Gaussian fields of the variances found send out what they say.

    20000 plain samples: <y^2> gain^2 equals the field's variance, and the state has the variance
    and mean of the result, within four standard errors and 1 per cent for the theory's own error.
    """
    cell = STATIC[name]
    drives = dict.fromkeys(cell.drive_names, 0.2)
    branches = gf.solve_static(
        cell, input_variance=drives, method="sampled", samples=512, replicates=4
    )
    assert branches
    rng = np.random.default_rng(5)
    for branch in branches:
        assert branch.status is Status.OK and branch.method == "sampled"
        fields = {
            key: np.sqrt(float(v)) * rng.standard_normal(20000)
            for key, v in branch.field_variance.items()
        }
        drive = {key: np.sqrt(0.2) * rng.standard_normal(20000) for key in cell.drive_names}
        with jax.enable_x64(True):
            state = at_rest(cell, fields, drive)
            sent = cell.outputs(state, fields, drive)
            sent = {key: np.asarray(value) for key, value in sent.items()}
            state = {key: np.asarray(value) for key, value in state.items()}
        gains = cell.gains()
        for key in cell.field_names:
            square = float(gains[key]) ** 2 * sent[key] ** 2
            error = np.std(square) / np.sqrt(square.size)
            expected = float(branch.field_variance[key])
            assert abs(square.mean() - expected) < 4 * error + 0.01 * expected, key
        for key in cell.state_names:
            square = (state[key] - state[key].mean()) ** 2
            error = np.std(square) / np.sqrt(square.size)
            expected = float(branch.variance[key])
            assert abs(square.mean() - expected) < 4 * error + 0.01 * expected, key
            mean_error = np.sqrt(expected / square.size)
            distance = abs(state[key].mean() - float(branch.mean[key]))
            assert distance < 4 * mean_error + 0.01 * np.sqrt(expected), key


def mean_of(function, variance):
    """Average over N(0, variance) by a plain trapezoid."""
    x = np.linspace(-9, 9, 2001)
    weights = np.exp(-(x**2) / 2)
    return float(np.sum(weights * function(np.sqrt(variance) * x)) / np.sum(weights))


@pytest.mark.slow
def test_the_users_cell_has_the_statics_of_the_gated_rnn():
    """A gate without delay and a settled one are the same at rest: alpha_r is the gain of field k.

    The radius is sqrt(mu): M at lambda = 0 is [[0, c^2 <a'^2>], [<a^2> <s'^2>, <a'^2> <s^2>]] for
    the fields (k, h), a = tanh(g h), s the gate and c the gain of k. The entry below the diagonal
    is the response Q of an output to a field. 512 quasi-random points: a few parts in a thousand.
    """
    g, c, threshold = 2.5, 1.5, 0.4
    gate = lambda k: expit(k + threshold)  # noqa: E731
    closed = gf.solve_static(gf.GatedRNN(g, alpha_r=c, beta_r=threshold))
    ours = gf.solve_static(Filtered(g, threshold=threshold), samples=512, replicates=4)
    assert len(ours) == len(closed) == 2
    for got, expected in zip(ours, closed, strict=True):
        variance = float(expected.variance["h"])
        assert float(got.variance["h"]) == pytest.approx(variance, rel=0.01)
        assert bool(got.stable) == bool(expected.stable)
        square = mean_of(lambda h: np.tanh(g * h) ** 2, variance)
        slope = mean_of(lambda h: (g / np.cosh(g * h) ** 2) ** 2, variance)
        opened = mean_of(lambda k: gate(k) ** 2, c**2 * square)
        response = mean_of(lambda k: (gate(k) * (1 - gate(k))) ** 2, c**2 * square)
        M = [[0.0, c**2 * slope], [square * response, slope * opened]]
        radius = np.sqrt(np.max(np.abs(np.linalg.eigvals(M))))
        assert float(got.radius) == pytest.approx(radius, rel=0.01)
        assert float(got.field_variance["k"]) == pytest.approx(c**2 * square, rel=0.01)


def test_per_unit_parameters_are_refused_by_mean_field_theory():
    with pytest.raises(InvalidInputError, match=r"cell\.threshold\.shape = \(8,\)"):
        gf.solve_static(CELLS["user"])


def test_per_unit_parameters_must_fit_the_network():
    with pytest.raises(InvalidInputError, match=r"cell\.threshold\.shape = \(8,\).*\(9,\)"):
        gf.Network.sample(CELLS["user"], 9)
