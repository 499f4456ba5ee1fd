"""Distributions of units: blocks, pooling, weights, and the response against plain inverses."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.theory.rmt import unit_ensemble
from gatefield.theory.rmt.response import second_moments

N = 7
POINTS = np.array([0.31 + 0.2j, -0.4 + 0.7j, -2.1 - 0.3j, 1.7, -0.9 + 1e-3j, 1e3 + 1e2j])


class Oscillator(gf.AbstractFlow):
    """dx/dt = -x - w y + u, dy/dt = w x - y: its A is full, with eigenvalues -1 +- iw."""

    g: Any
    w: Any

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"u": self.g}

    def outputs(self, state, fields, drive):
        return {"u": jnp.tanh(state["x"])}

    def rule(self, state, fields, drive):
        x, y = state["x"], state["y"]
        return {"x": -x - self.w * y + fields["u"], "y": self.w * x - y}


class Cascade(gf.AbstractFlow):
    """The field drives x, x drives y, y drives z, z is sent: A is lower triangular."""

    g: Any

    state_names: ClassVar[tuple[str, ...]] = ("x", "y", "z")
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ("u",)

    def gains(self):
        return {"u": self.g}

    def outputs(self, state, fields, drive):
        return {"u": jnp.tanh(state["z"])}

    def rule(self, state, fields, drive):
        x, y, z = (state[name] for name in "xyz")
        pushed = jnp.tanh(fields["u"] + drive["u"])
        return {"x": pushed - x, "y": x - 2 * y, "z": jnp.sin(y) - 0.5 * z}


CELLS: dict[str, gf.AbstractCell] = {
    **gf.registered_cells(),
    "oscillator": Oscillator(0.8, np.linspace(1.0, 3.0, N)),
    "cascade": Cascade(1.3),
}


def situation(name):
    """Return a network, a random state, its fields by plain products, and a drive."""
    cell = CELLS[name]
    network = gf.Network.sample(cell, N, seed=4)
    rng = np.random.default_rng(5)
    state = rng.standard_normal((len(cell.state_names), N))
    inputs = {key: rng.standard_normal(N) for key in cell.drive_names}
    named = dict(zip(cell.state_names, state, strict=True))
    fields = dict.fromkeys(cell.field_names, np.zeros(N))
    with jax.enable_x64(True):
        for field in cell.field_names:
            sent = np.asarray(cell.outputs(named, fields, inputs)[field])
            fields = {**fields, field: network.coupling(field) @ sent}
    drive = np.array([inputs[key] for key in cell.drive_names]).reshape(-1, N)
    return network, state, np.array(list(fields.values())), inputs, drive


@pytest.mark.parametrize("name", CELLS)
def test_samples_and_networks_give_the_same_units(name):
    network, state, fields, inputs, drive = situation(name)
    units = gf.linearise(network, state, inputs=inputs)
    one = unit_ensemble(units)
    two = gf.UnitEnsemble.of_samples(network.cell, state, fields, drive=drive)
    for key in ("A", "L", "R", "Q", "weights", "gains"):
        np.testing.assert_allclose(getattr(two, key), getattr(one, key), rtol=0, atol=1e-13)
        if key in "ALRQ":
            np.testing.assert_array_equal(getattr(one, key), getattr(units, key))
    assert one.is_map == two.is_map == isinstance(network.cell, gf.AbstractMap)
    assert (one.units, two.units) == (N, 0)
    assert one.components == len(network.cell.state_names)
    assert unit_ensemble(one) is one


@pytest.mark.parametrize("name", CELLS)
def test_second_moments_are_those_of_plain_inverses(name):
    """M_ab = sum of weights |gain_a (R (lambda - A)^-1 L + Q)_ab|^2, unit by unit.

    GRU with the reset before: Q is not zero. LSTM: A is triangular, mixing h and c.
    """
    network, state, fields, _, drive = situation(name)
    cell = network.cell
    weights = np.random.default_rng(6).uniform(0.2, 2, N)
    ensemble = gf.UnitEnsemble.of_samples(cell, state, fields, drive=drive, weights=weights)
    got = second_moments(ensemble.response(), POINTS)
    gains = np.array([float(cell.gains()[key]) for key in cell.field_names])
    expected = np.zeros_like(got)
    for k, point in enumerate(POINTS):
        for i in range(N):
            inverse = np.linalg.inv(point * np.eye(ensemble.components) - ensemble.A[i])
            Y = gains[:, None] * (ensemble.R[i] @ inverse @ ensemble.L[i] + ensemble.Q[i])
            expected[k] += weights[i] / weights.sum() * np.abs(Y) ** 2
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-14 * expected.max())
    poles = np.sort_complex(np.linalg.eigvals(ensemble.A).ravel())
    np.testing.assert_allclose(
        np.sort_complex(np.round(ensemble.response().poles().ravel(), 9)), np.round(poles, 9)
    )


def test_the_full_blocks_are_what_they_should_be():
    """Oscillator: Y = g (lambda + 1) / ((lambda + 1)^2 + w^2); cascade: a product of three lags."""
    zeros = np.zeros((2, 1)), np.zeros((1, 1))
    ensemble = gf.UnitEnsemble.of_samples(Oscillator(0.8, 2.0), *zeros)
    s = POINTS + 1
    expected = np.abs(0.8 * s / (s**2 + 4)) ** 2
    np.testing.assert_allclose(second_moments(ensemble.response(), POINTS)[:, 0, 0], expected)
    ensemble = gf.UnitEnsemble.of_samples(Cascade(1.3), np.zeros((3, 1)), np.zeros((1, 1)))
    expected = np.abs(1.3 / ((POINTS + 1) * (POINTS + 2) * (POINTS + 0.5))) ** 2
    np.testing.assert_allclose(second_moments(ensemble.response(), POINTS)[:, 0, 0], expected)


def test_second_moments_at_poles_are_infinite():
    network = gf.Network.sample(gf.VanillaRNN(1.0), N, seed=1)
    response = unit_ensemble(gf.linearise(network, np.zeros((1, N)))).response()
    found = second_moments(response, [-1.0, -1 + 1e-200, 0.0])
    assert np.all(np.isinf(found[:2])) and found[2, 0, 0] == pytest.approx(1.0, rel=1e-14)
    assert second_moments(response, []).shape == (0, 1, 1)


def test_restriction_keeps_some_fields():
    network, state, *_ = situation("gru-reset-before")
    response = unit_ensemble(gf.linearise(network, state)).response()
    full = second_moments(response, POINTS)
    some = second_moments(response.restricted([2, 0]), POINTS)
    np.testing.assert_allclose(some, full[:, [2, 0]][:, :, [2, 0]], rtol=1e-14)


# --- pooling, gains, weights


def test_pooling_puts_states_together():
    network, state, *_ = situation("gru")
    two = [gf.linearise(network, factor * state) for factor in (1.0, 0.3)]
    pooled = unit_ensemble(two)
    for key in "ALRQ":
        expected = np.concatenate([getattr(two[0], key), getattr(two[1], key)])
        np.testing.assert_array_equal(getattr(pooled, key), expected)
    np.testing.assert_allclose(pooled.weights, 1 / (2 * N))
    assert pooled.units == N
    mean = (sum(second_moments(unit_ensemble(j).response(), POINTS) for j in two)) / 2
    np.testing.assert_allclose(second_moments(pooled.response(), POINTS), mean, rtol=1e-12)
    assert unit_ensemble(tuple(two)).A.shape == pooled.A.shape


def test_networks_of_different_sizes_are_not_pooled():
    """Pooled, it would be unclear how many units `count` means."""
    cell = gf.VanillaRNN(1.3)
    several = [gf.linearise(gf.Network.sample(cell, n, seed=1), np.zeros((1, n))) for n in (5, 9)]
    with pytest.raises(InvalidInputError, match="source"):
        unit_ensemble(several)


def test_gains_of_given_couplings():
    """|J| / sqrt(N), whatever the cell says: the edge of -1 + J is at that gain."""
    rng = np.random.default_rng(7)
    J = 1.7 * rng.standard_normal((N, N)) / np.sqrt(N)
    network = gf.Network.of_couplings(gf.VanillaRNN(1.0), {"h": J})
    units = unit_ensemble(gf.linearise(network, np.zeros((1, N))))
    size = np.sqrt(np.sum(J**2) / N)
    np.testing.assert_allclose(units.gains, size, rtol=1e-14)
    edge = gf.spectral_boundary(units).leading_edge
    assert float(edge) == pytest.approx(size - 1, abs=1e-12)


def test_weights_are_normalised_and_count():
    cell, zeros = gf.VanillaRNN(1.5), (np.zeros((1, 3)), np.zeros((1, 3)))
    state = np.array([[0.0, 0.4, 2.0]])
    one = gf.UnitEnsemble.of_samples(cell, state, zeros[1], weights=[2.0, 0.0, 6.0])
    np.testing.assert_allclose(one.weights, [0.25, 0, 0.75])
    slope = (1.5 / np.cosh(1.5 * state[0]) ** 2) ** 2
    expected = (0.25 * slope[0] + 0.75 * slope[2]) / abs(1 + POINTS) ** 2
    np.testing.assert_allclose(second_moments(one.response(), POINTS)[:, 0, 0], expected)
    np.testing.assert_allclose(gf.UnitEnsemble.of_samples(cell, *zeros).weights, 1 / 3)


def test_units_of_a_mean_field_have_its_moments():
    cell = gf.GatedRNN(3.0, alpha_z=1.0, alpha_r=2.0)
    mean_field = gf.solve_static(cell)[-1]
    ensemble = unit_ensemble(mean_field, samples=2048, seed=1)
    assert ensemble.A.shape == (2048, 3, 3) and ensemble.units == 0
    # rho^2 = M_hh + M_hr M_rh at lambda = 0, where A has no bracket term.
    M = second_moments(ensemble.response(), [0.0])[0]
    square = float(mean_field.radius) ** 2
    assert M[0, 0] + M[0, 2] * M[2, 0] == pytest.approx(square, rel=0.01)
    again = unit_ensemble(mean_field, samples=2048, seed=1)
    np.testing.assert_array_equal(again.A, ensemble.A)
    assert np.any(unit_ensemble(mean_field, samples=2048, seed=2).A != ensemble.A)


# --- what is refused


BLOCKS: dict[str, Any] = dict(
    A=-np.ones((2, 1, 1)),
    L=np.ones((2, 1, 1)),
    R=np.ones((2, 1, 1)),
    Q=np.zeros((2, 1, 1)),
    weights=np.full(2, 0.5),
    gains=np.ones(1),
)


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_that_are_not_finite_are_refused(name):
    assert gf.UnitEnsemble(**BLOCKS, is_map=False).components == 1
    for bad in (np.nan, np.inf):
        broken = BLOCKS[name].copy()
        broken.flat[0] = bad
        with pytest.raises(InvalidInputError, match=f"{name} of the units.*finite"):
            gf.UnitEnsemble(**{**BLOCKS, name: broken}, is_map=False)


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_that_do_not_fit_are_refused(name):
    """Three units among two, or three gains for one field."""
    broken = {**BLOCKS, name: np.resize(BLOCKS[name], (3, *BLOCKS[name].shape[1:]))}
    with pytest.raises(InvalidInputError):
        gf.UnitEnsemble(**broken, is_map=False)


@pytest.mark.parametrize("weights", [(2.0, -1.0), (1.0, 1.0), (0.0, 0.0)], ids=str)
def test_weights_that_are_none_are_refused(weights):
    """Negative, or not of sum one: moments would be wrong without a word."""
    with pytest.raises(InvalidInputError, match="weights"):
        gf.UnitEnsemble(**{**BLOCKS, "weights": np.array(weights)}, is_map=False)


def test_samples_of_the_wrong_shape_are_refused():
    make, cell = gf.UnitEnsemble.of_samples, gf.GatedRNN(1.0)
    state = np.zeros((3, 4))
    for wrong in (np.zeros((4, 3)), np.zeros(3), np.zeros((3, 0)), np.zeros((2, 3, 4))):
        with pytest.raises(InvalidInputError, match="state and fields"):
            make(cell, wrong, state)
        with pytest.raises(InvalidInputError, match="state and fields"):
            make(cell, state, wrong)
    with pytest.raises(InvalidInputError, match="drive"):
        make(cell, state, state, drive=np.zeros((1, 4)))
    for weights in (np.ones(3), np.zeros(4), -np.ones(4), np.full(4, np.nan), np.ones((4, 1))):
        with pytest.raises(InvalidInputError, match="weights"):
            make(cell, state, state, weights=weights)
    with pytest.raises(InvalidInputError, match="state"):
        make(cell, np.full((3, 4), np.nan), state)
    with pytest.raises(InvalidInputError, match="cell"):
        make(cast(Any, 3.0), state, state)


def test_other_sources_are_refused():
    units = gf.linearise(gf.Network.sample(gf.VanillaRNN(1.0), 4), np.zeros((1, 4)))
    mean_field = gf.solve_static(gf.VanillaRNN(0.5))[0]
    for wrong in (3.0, "network", None, [], [units, mean_field], [mean_field], {"a": units}):
        with pytest.raises(InvalidInputError, match="source"):
            unit_ensemble(wrong)
    gated = gf.linearise(gf.Network.sample(gf.GatedRNN(2.0), 4), np.zeros((3, 4)))
    gru = gf.linearise(gf.Network.sample(gf.GRU(), 4), np.zeros((1, 4)))
    louder = gf.linearise(gf.Network.sample(gf.GRU(gain_n=2.0), 4), np.zeros((1, 4)))
    for one, other in ((units, gated), (units, gru), (gru, louder)):
        with pytest.raises(InvalidInputError, match="source"):
            unit_ensemble([one, other])
    samples: Any
    for samples in (1, 2.5, "many"):
        with pytest.raises(InvalidInputError, match="samples"):
            unit_ensemble(mean_field, samples=samples)
    with pytest.raises(InvalidInputError, match="bias_variance"):
        unit_ensemble(gf.solve_static(gf.VanillaRNN(0.5), bias_variance={"h": 0.1})[0])


def test_gains_of_the_units_own_are_averaged_with_their_response():
    """Two kinds of units: the edge is 1/2 + sqrt(mean of (gain L)^2), not of gain^2 times L^2."""
    gain, bias = np.tile([0.5, 3.0], 20), np.tile([0.0, 1.5], 20)
    cell = gf.GRU(gain_r=0.0, gain_z=0.0, gain_n=gain, bias_n=bias)
    units = gf.linearise(gf.Network.sample(cell, 40, seed=0), np.zeros((1, 40)))
    slope = 0.25 * (1 - np.tanh(bias) ** 2)
    edge = 0.5 + np.sqrt(np.mean((gain * slope) ** 2))
    assert float(gf.spectral_boundary(units).leading_edge) == pytest.approx(edge, abs=1e-9)
    samples = gf.UnitEnsemble.of_samples(cell, np.zeros((1, 40)), np.zeros((3, 40)))
    assert float(gf.spectral_boundary(samples).leading_edge) == pytest.approx(edge, abs=1e-9)
