"""The tangent of a step against dense Jacobians and against finite differences."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatefield as gf
from gatefield.cells.wiring import fields_read
from gatefield.networks import tangent
from gatefield.networks.inputs import drive_of
from gatefield.networks.network import compilable
from gatefield.networks.simulate import one_step

CELLS: dict[str, Any] = {
    "gated": gf.GatedRNN(3.0, alpha_z=2.0, alpha_r=1.0, tau_z=0.5),
    "vanilla": gf.VanillaRNN(2.0),
    "elman": gf.ElmanRNN(2.0),
    "gru": gf.GRU(gain_r=2.0, gain_z=2.0, gain_n=2.0),
    "gru-reset-before": gf.GRU(gain_r=2.0, gain_n=2.0, reset="before"),
    "lstm": gf.LSTM(gain_i=2.0, gain_f=2.0, gain_g=2.0, gain_o=2.0),
}


def carried(network, state, frame, method, dt=0.1, number=3, inputs=None):
    with jax.enable_x64(True):
        clean, drive = compilable(network), drive_of(network, inputs)
        stepped = tangent.step_with_tangent(clean, drive, dt, method, len(frame))
        after, push = stepped(jnp.asarray(number), jnp.asarray(state))
        plain = one_step(clean, drive, dt, method)(jnp.asarray(number), jnp.asarray(state))
        np.testing.assert_allclose(after, plain, rtol=1e-14)
        return np.asarray(push(jnp.asarray(frame)))


def difference(network, state, direction, method, dt=0.1, number=3, inputs=None):
    """Return the derivative of a step along a direction, by extrapolated central differences."""
    with jax.enable_x64(True):
        step = one_step(compilable(network), drive_of(network, inputs), dt, method)

        def central(eps):
            ends = [
                step(jnp.asarray(number), jnp.asarray(state + s * eps * direction)) for s in (1, -1)
            ]
            return (np.asarray(ends[0]) - np.asarray(ends[1])) / (2 * eps)

        return (4 * central(5e-4) - central(1e-3)) / 3


def drawn(cell, n=24, rows=40, seed=0):
    network, rng = gf.Network.sample(cell, n, seed=seed), np.random.default_rng(seed)
    d = len(cell.state_names)
    rows = min(rows, d * n)
    return network, rng.standard_normal((d, n)), rng.standard_normal((rows, d, n))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("rows", [3, 20], ids=["few", "many"])
def test_a_push_is_the_derivative_of_the_step(name, rows):
    """Few rows go through the couplings, many through summed matrices; differences to 1e-9."""
    cell = CELLS[name]
    network, state, frame = drawn(cell, rows=rows)
    method = "map" if isinstance(cell, gf.AbstractMap) else "rk4"
    inputs = {cell.drive_names[0]: np.linspace(-1, 1, 24)}
    found = carried(network, state, frame, method, inputs=inputs)
    for row in (0, rows - 1):
        near = difference(network, state, frame[row], method, inputs=inputs)
        np.testing.assert_allclose(found[row], near, atol=1e-9)


@pytest.mark.parametrize("name", ["gru", "lstm", "elman"])
def test_of_maps_it_is_the_jacobian(name):
    network, state, frame = drawn(CELLS[name])
    dense = gf.jacobian(network, state).as_matrix()
    flat = frame.reshape(len(frame), -1)
    found = carried(network, state, frame, "map").reshape(flat.shape)
    np.testing.assert_allclose(found, flat @ dense.T, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("rows", [72, 70, 67], ids=["divides", "uneven", "prime"])
def test_rows_in_pieces_are_the_rows_at_once(monkeypatch, rows):
    network, state, frame = drawn(CELLS["gated"], rows=rows)
    whole = carried(network, state, frame, "rk4")
    monkeypatch.setattr(tangent, "_CHUNK_BYTES", 8 * 3 * 24 * 9)  # nine rows
    np.testing.assert_allclose(carried(network, state, frame, "rk4"), whole, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (CELLS["gated"], ({0, 1, 2}, {1}, {2})),
        (CELLS["gru"], ({0, 1, 2},)),
        (CELLS["vanilla"], ({0},)),
    ],
    ids=["gated", "gru", "vanilla"],
)
def test_fields_that_a_rule_reads(cell, expected):
    """Of the gated RNN, h reads its own field alone: the gates come by the components z and r."""
    found = fields_read(cell)
    if isinstance(cell, gf.GatedRNN):
        assert found == (frozenset({0}), frozenset({1}), frozenset({2}))
    else:
        assert found == tuple(frozenset(each) for each in expected)
