"""The blocks A, L, R, Q of one unit: against finite differences and the written formulas."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatefield as gf
from gatefield.cells import unit_blocks

CELLS = dict(gf.registered_cells())
N = 6
blocks_of: Any = jax.jit(unit_blocks)
ROUNDING = 1e-13  # relative to derivatives of order ten


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def random_arguments(cell, seed):
    rng = np.random.default_rng(seed)
    groups = (cell.state_names, cell.field_names, cell.drive_names)
    return [rng.standard_normal((len(names), N)) for names in groups]


def named(cell, state, fields, drive):
    return (
        dict(zip(cell.state_names, state, strict=True)),
        dict(zip(cell.field_names, fields, strict=True)),
        dict(zip(cell.drive_names, drive, strict=True)),
    )


def differences(function, values):
    """Differentiate by five-point central differences: (N, outputs, inputs).

    Truncation is h^4 f'''''/30 and rounding 1e-16/h: both stay below 1e-9 at h = 1e-3 for gains up
    to 3, since f''''' of tanh(g x) is at most 16 g^5.
    """
    h, columns = 1e-3, []
    for index in range(len(values)):
        move = np.zeros_like(values)
        move[index] = h
        near = function(values + move) - function(values - move)
        far = function(values + 2 * move) - function(values - 2 * move)
        columns.append((8 * near - far) / (12 * h))
    return np.moveaxis(np.stack(columns), -1, 0).swapaxes(1, 2)


@pytest.mark.parametrize("name", CELLS)
def test_blocks_are_the_derivatives_of_rule_and_outputs(name):
    cell = CELLS[name]
    state, fields, drive = random_arguments(cell, 11)

    def rule(s, u):
        changed = cell.rule(*named(cell, s, u, drive))
        return np.stack([np.asarray(changed[key]) for key in cell.state_names])

    def outputs(s, u):
        sent = cell.outputs(*named(cell, s, u, drive))
        return np.stack([np.asarray(sent[key]) for key in cell.field_names])

    blocks = blocks_of(cell, state, fields, drive)
    expected = {
        "A": differences(lambda s: rule(s, fields), state),
        "L": differences(lambda u: rule(state, u), fields),
        "R": differences(lambda s: outputs(s, fields), state),
        "Q": differences(lambda u: outputs(state, u), fields),
    }
    for block, values in expected.items():
        got = np.asarray(getattr(blocks, block))
        assert got.shape == values.shape
        np.testing.assert_allclose(got, values, rtol=0, atol=2e-9, err_msg=block)
    assert np.all(np.triu(np.asarray(blocks.Q)) == 0)  # strictly lower triangular


@pytest.mark.parametrize("input_gating", ["none", "update"])
def test_gated_rnn_is_that_of_section_2(input_gating):
    """THEORY 2, at a moving state (D_t is not zero), with parameters of each unit's own."""
    rng = np.random.default_rng(12)
    g, a_z, a_r, t_z, t_r = rng.uniform(0.5, 3.0, (5, N))
    b_h, b_z, b_r = rng.standard_normal((3, N))
    cell = gf.GatedRNN(
        g,
        alpha_z=a_z,
        alpha_r=a_r,
        beta_h=b_h,
        beta_z=b_z,
        beta_r=b_r,
        tau_z=t_z,
        tau_r=t_r,
        input_gating=input_gating,
    )
    state, fields, drive = random_arguments(cell, 13)
    h, z, r = state
    s_z, s_r, phi = sigmoid(a_z * z + b_z), sigmoid(a_r * r + b_r), np.tanh(g * h + b_h)
    slope_z, slope_r = a_z * s_z * (1 - s_z), a_r * s_r * (1 - s_r)
    slope = g * (1 - phi**2)
    bracket = -h + fields[0] + (drive[0] if input_gating == "update" else 0.0)
    moving = bracket * slope_z
    assert np.min(np.abs(moving)) > 1e-3

    zero = np.zeros(N)
    A = [[-s_z, moving, zero], [zero, -1 / t_z, zero], [zero, zero, -1 / t_r]]
    L = [[s_z, zero, zero], [zero, 1 / t_z, zero], [zero, zero, 1 / t_r]]
    R = [[slope * s_r, zero, phi * slope_r], [slope, zero, zero], [slope, zero, zero]]
    blocks = blocks_of(cell, state, fields, drive)
    for name, expected in {"A": A, "L": L, "R": R, "Q": np.zeros((3, 3, N))}.items():
        np.testing.assert_allclose(
            np.asarray(getattr(blocks, name)), np.moveaxis(np.array(expected), -1, 0), atol=ROUNDING
        )


def test_an_ungated_input_leaves_the_moving_term_at_a_fixed_point():
    """THEORY 2: with I_h outside, s_z (-h + u) = -I at a fixed point, so that D_t = -I s_z'/s_z."""
    cell = gf.GatedRNN(1.5, alpha_z=2.0)
    z = np.linspace(-1, 1, N)
    s_z, drive = sigmoid(2.0 * z), np.zeros((3, N))
    drive[0] = 0.7
    fields = np.zeros((3, N))
    fields[0] = np.linspace(-0.5, 0.5, N)
    state = np.stack([fields[0] + 0.7 / s_z, z, z])
    A = np.asarray(blocks_of(cell, state, fields, drive).A)
    np.testing.assert_allclose(A[:, 0, 1], -0.7 * 2.0 * (1 - s_z), rtol=0, atol=ROUNDING)


def test_gru_is_that_of_section_2():
    cell = gf.GRU(bias_r=0.3, bias_z=-0.2, bias_n=0.1, bias_hn=0.6)
    state, fields, drive = random_arguments(cell, 14)
    h, (u_r, u_z, u_n) = state[0], fields
    r, z = sigmoid(u_r + 0.3 + drive[0]), sigmoid(u_z - 0.2 + drive[1])
    n = np.tanh(0.1 + drive[2] + r * (u_n + 0.6))
    open_ = (1 - z) * (1 - n**2)
    L = np.stack([open_ * r * (1 - r) * (u_n + 0.6), (h - n) * z * (1 - z), open_ * r], axis=-1)
    blocks = blocks_of(cell, state, fields, drive)
    np.testing.assert_allclose(blocks.A[:, 0, 0], z, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(blocks.L[:, 0, :], L, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(blocks.R[:, :, 0], 1.0)
    np.testing.assert_array_equal(blocks.Q, 0.0)


def test_gru_with_reset_before_has_a_response_between_fields():
    """y_n = r(u_r) h: R_n = r, Q_nr = h r (1 - r); n = tanh(u_n + ...) no longer reads r."""
    cell = gf.GRU(bias_r=0.3, bias_z=-0.2, bias_n=0.1, bias_hn=0.6, reset="before")
    state, fields, drive = random_arguments(cell, 15)
    h, (u_r, u_z, u_n) = state[0], fields
    r, z = sigmoid(u_r + 0.3 + drive[0]), sigmoid(u_z - 0.2 + drive[1])
    n = np.tanh(0.7 + drive[2] + u_n)
    zero, one = np.zeros(N), np.ones(N)
    blocks = blocks_of(cell, state, fields, drive)
    L = np.stack([zero, (h - n) * z * (1 - z), (1 - z) * (1 - n**2)], axis=-1)
    R = np.stack([one, one, r], axis=-1)
    Q = np.zeros((N, 3, 3))
    Q[:, 2, 0] = h * r * (1 - r)
    np.testing.assert_allclose(blocks.A[:, 0, 0], z, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(blocks.L[:, 0, :], L, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(blocks.R[:, :, 0], R, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(blocks.Q, Q, rtol=0, atol=ROUNDING)


def test_lstm_is_that_of_section_2():
    cell = gf.LSTM(bias_i=0.2, bias_f=0.9, bias_g=-0.1, bias_o=0.4)
    state, fields, drive = random_arguments(cell, 16)
    c = state[1]
    i, f = sigmoid(fields[0] + 0.2 + drive[0]), sigmoid(fields[1] + 0.9 + drive[1])
    g, o = np.tanh(fields[2] - 0.1 + drive[2]), sigmoid(fields[3] + 0.4 + drive[3])
    memory = np.tanh(f * c + i * g)
    read = o * (1 - memory**2)
    zero, one = np.zeros(N), np.ones(N)
    L_c = np.stack([i * (1 - i) * g, f * (1 - f) * c, i * (1 - g**2), zero], axis=-1)
    L_h = read[:, None] * L_c
    L_h[:, 3] = o * (1 - o) * memory
    A = np.moveaxis(np.array([[zero, read * f], [zero, f]]), -1, 0)
    R = np.moveaxis(np.array([[one, zero]] * 4), -1, 0)
    blocks = blocks_of(cell, state, fields, drive)
    np.testing.assert_allclose(blocks.A, A, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(blocks.L, np.stack([L_h, L_c], axis=1), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(blocks.R, R, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(blocks.Q, 0.0)


# --- the same at the state of a network


def random_network(cell, seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    given = {name: rng.standard_normal((N, N)) for name in cell.field_names}
    return gf.Network.of_couplings(cell, given, dtype=dtype)


def test_the_network_supplies_the_fields():
    """Only D_t = (-h + J (phi s_r)) s_z' tells whether the fields are those of the couplings."""
    cell = gf.GatedRNN(2.0, alpha_z=1.5, alpha_r=1.0)
    network = random_network(cell, 3)
    h, z, r = np.random.default_rng(17).standard_normal((3, N))
    s_z = sigmoid(1.5 * z)
    u = network.coupling("h") @ (np.tanh(2.0 * h) * sigmoid(r))
    got = gf.linearise(network, np.stack([h, z, r]))
    np.testing.assert_allclose(
        got.A[:, 0, 1], (u - h) * 1.5 * s_z * (1 - s_z), rtol=0, atol=ROUNDING
    )
    assert not got.is_map
    assert all(isinstance(block, np.ndarray) for block in (got.A, got.L, got.R, got.Q))


def test_inputs_enter_and_may_depend_on_time():
    """Update gating: D_t holds I_h(t), here at t = 0.6."""
    cell = gf.GatedRNN(2.0, alpha_z=1.5, input_gating="update")
    network = random_network(cell, 3)
    h, z, r = state = np.random.default_rng(18).standard_normal((3, N))
    weights = np.linspace(-1, 1, N)
    s_z = sigmoid(1.5 * z)
    u = network.coupling("h") @ (np.tanh(2.0 * h) * 0.5)
    inputs = {"h": lambda t: jnp.sin(t) * weights}
    got = gf.linearise(network, state, inputs=inputs, time=0.6)
    expected = (u - h + np.sin(0.6) * weights) * 1.5 * s_z * (1 - s_z)
    np.testing.assert_allclose(got.A[:, 0, 1], expected, rtol=0, atol=ROUNDING)


def test_gains_and_kind_are_reported_for_random_matrix_theory():
    drawn = gf.Network.sample(gf.GRU(gain_r=0.5, gain_z=1.5, gain_n=2.5), 8)
    got = gf.linearise(drawn, np.zeros((1, 8)))
    assert got.is_map
    np.testing.assert_allclose(got.gains, [0.5, 1.5, 2.5], rtol=1e-15)
    # Given matrices: gain^2 / N is the mean square entry.
    rng = np.random.default_rng(19)
    given = {name: rng.standard_normal((8, 8)) for name in "rzn"}
    of_given = gf.linearise(gf.Network.of_couplings(gf.GRU(), given), np.zeros((1, 8)))
    expected = [np.sqrt(8 * np.mean(given[name] ** 2)) for name in "rzn"]
    np.testing.assert_allclose(of_given.gains, expected, rtol=1e-14)


def test_single_precision_stays_single():
    network = random_network(gf.GatedRNN(2.0, alpha_r=1.0), 3, dtype="float32")
    got = gf.linearise(network, np.random.default_rng(20).standard_normal((3, N)))
    assert {block.dtype for block in (got.A, got.L, got.R, got.Q)} == {np.dtype("float32")}
