"""Gradients of networks against unrolled runs, finite differences and closed forms."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from gradient_networks import Power, Wrapped
from lone_cells import LinearFlow, LinearMap
from network_gradient_cells import AFTER, BEFORE, DIFFERENCE, GATED, SOURCES, STEP, N, changed, made
from unrolled import unrolled

import gatefield as gf
from gatefield.analysis import network_gradients
from gatefield.analysis.gradients import backward
from gatefield.core.results import Status

OWN_UNITS = gf.VanillaRNN(np.linspace(1.0, 3.0, N), beta=np.linspace(-0.5, 0.5, N))
LSTM = gf.LSTM(gain_i=1.5, gain_g=2.0, bias_f=0.5)
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "gated rk4": (GATED, {"horizon": 0.7, "dt": 0.1}),
    "gated euler": (GATED, {"horizon": 0.7, "dt": 0.1, "method": "euler"}),
    "vanilla, a gain for each unit": (OWN_UNITS, {"horizon": 1.0, "dt": 0.2}),
    "GRU, reset before": (BEFORE, {"horizon": 7}),
    "GRU, a gain for each unit": (AFTER, {"horizon": 7}),
    "LSTM": (LSTM, {"horizon": 7}),
    "Elman": (gf.ElmanRNN(1.7, 0.1), {"horizon": 7}),
}


RUNS = [
    pytest.param(name, marks=pytest.mark.slow if name == "gated rk4" else (), id=name)
    for name in CASES
]


@pytest.mark.parametrize("name", RUNS)
def test_gradients_are_those_of_the_unrolled_run(name):
    """To rounding: some 30 evaluations of sums of 6 terms, hence 1e-12 of the largest gradient."""
    cell, options = CASES[name]
    network, state = made(cell)
    readouts = np.random.default_rng(2).normal(size=(2, *state.shape))
    drive = lambda t: 0.3 * jnp.cos(2.0 * t)  # noqa: E731
    found = network_gradients(
        network,
        state,
        terminal=readouts,
        inputs=dict.fromkeys(cell.drive_names, drive),
        segment=3,  # cuts 5 and 7 steps unevenly
        keep_gradients=True,
        **options,
    )
    steps = round(options["horizon"] / options.get("dt", 1))
    plain = [
        unrolled(
            network,
            state,
            readout,
            steps=steps,
            dt=options.get("dt"),
            method=options.get("method"),
            drive=drive,
        )
        for readout in readouts
    ]
    assert found.status is Status.OK and found.times.size == steps + 1
    np.testing.assert_allclose(found.losses, [each.loss for each in plain], rtol=1e-12)
    adjoint = np.stack([each.adjoint for each in plain])
    np.testing.assert_allclose(found.initial_adjoint, adjoint[:, 0], rtol=0, atol=1e-12)
    squares = np.mean(adjoint**2, axis=(0, 3))[::-1]
    for component, values in zip(cell.state_names, squares.T, strict=True):
        np.testing.assert_allclose(found.adjoint_variance[component], values, rtol=1e-11)
    for field in cell.field_names:
        expected = np.stack([each.couplings[field] for each in plain])
        size = np.max(np.abs(expected))
        np.testing.assert_allclose(
            found.coupling_gradients[f"J_{field}"], expected, rtol=0, atol=1e-12 * size
        )
        variance = np.mean(expected**2)
        np.testing.assert_allclose(found.gradient_variance[f"J_{field}"], variance, rtol=1e-11)
    parameters = plain[0].parameters
    assert set(found.parameter_gradients) == set(parameters)
    assert set(found.gradient_variance) == {*parameters, *(f"J_{a}" for a in cell.field_names)}
    for parameter in parameters:
        expected = np.stack([each.parameters[parameter] for each in plain])
        size = np.max(np.abs(expected))
        np.testing.assert_allclose(
            found.parameter_gradients[parameter], expected, rtol=0, atol=1e-12 * size
        )
        shared = np.mean(expected.sum(axis=1) ** 2) / N
        np.testing.assert_allclose(
            found.gradient_variance[parameter], np.mean(expected**2), rtol=1e-11
        )
        np.testing.assert_allclose(
            found.shared_gradient_variance[parameter], shared, rtol=1e-9, atol=1e-24 * size**2
        )


SHARED = np.full(N, 0.1)  # shared parameters as arrays, for which nothing is compiled anew
DIFFERENTIATED: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "flow": (changed(GATED, beta_h=SHARED), "beta_h", {"horizon": 1.0, "dt": 0.1}),
    "map that reads earlier fields": (changed(BEFORE, bias_r=SHARED), "bias_r", {"horizon": 6}),
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_gradients_against_finite_differences(name):
    """With readouts at the end and along the run."""
    cell, bias, options = DIFFERENTIATED[name]
    network, state = made(cell)
    options = {**options, "readouts": 2, "source": SOURCES}

    def losses(network=network, state=state):
        return network_gradients(network, state, **options).losses

    def difference(changed):
        return (losses(**changed(STEP)) - losses(**changed(-STEP))) / (2 * STEP)

    found = network_gradients(network, state, keep_gradients=True, **options)

    def moved(size):
        there = state.copy()
        there[0, 2] += size
        return {"state": there}

    close = {"rtol": 0, "atol": DIFFERENCE}
    np.testing.assert_allclose(found.initial_adjoint[:, 0, 2], difference(moved), **close)
    for field, (to, sender) in zip(cell.field_names, [(1, 3), (0, 0), (4, 2)], strict=True):

        def rewired(size, field=field, to=to, sender=sender):
            matrices = {each: network.coupling(each).copy() for each in cell.field_names}
            matrices[field][to, sender] += size
            return {"network": gf.Network.of_couplings(cell, matrices)}

        gradient = found.coupling_gradients[f"J_{field}"][:, to, sender]
        np.testing.assert_allclose(gradient, difference(rewired), **close)

    def of_one_unit(size):
        values = SHARED + size * (np.arange(N) == 3)
        return {"network": network.with_cell(changed(cell, **{bias: values}))}

    def of_all_units(size):
        return {"network": network.with_cell(changed(cell, **{bias: SHARED + size}))}

    np.testing.assert_allclose(
        found.parameter_gradients[bias][:, 3], difference(of_one_unit), **close
    )
    shared = np.mean(difference(of_all_units) ** 2) / N
    np.testing.assert_allclose(found.shared_gradient_variance[bias], shared, rtol=1e-6)


def test_a_gain_scales_the_couplings_that_it_draws():
    """The same seed draws the same matrices, times the gain."""
    cell, state = BEFORE, made(BEFORE)[1]
    found = network_gradients(gf.Network.sample(cell, N, seed=1), state, 6)

    def loss(size):
        network = gf.Network.sample(changed(cell, gain_n=cell.gain_n + size), N, seed=1)
        return network_gradients(network, state, 6).losses[0]

    slope = (loss(STEP) - loss(-STEP)) / (2 * STEP)
    np.testing.assert_allclose(found.shared_gradient_variance["gain_n"], slope**2 / N, rtol=1e-6)


@pytest.mark.parametrize("gain", [0.0, np.eye(N)[0]], ids=["none", "of some units"])
def test_couplings_of_no_gain_do_not_tell_their_gradient(gain):
    network, state = made(changed(BEFORE, gain_z=gain))
    found = network_gradients(network, state, 3, keep_gradients=True)
    parameters = {name for name in vars(BEFORE) if name not in ("reset", "gain_z")}
    assert found.status is Status.OK and set(found.shared_gradient_variance) == parameters
    assert set(found.parameter_gradients) == parameters
    assert set(found.gradient_variance) == {*parameters, "J_r", "J_z", "J_n"}
    assert np.all(np.isfinite(list(found.gradient_variance.values())))
    assert found.gradient_variance["J_z"] > 0


class Scaled(Power):
    """A gain that is a product of two parameters."""

    other: Any = 3.0

    def gains(self):
        return {"x": self.gain * self.other}


def test_a_gain_of_zero_by_one_of_its_factors():
    """The other factor changes nothing, whatever the couplings are."""
    network, state = made(Scaled(0.0, keep=0.5))
    found = network_gradients(network, state, 3)
    assert set(found.shared_gradient_variance) == {"keep", "other"}
    assert found.gradient_variance["other"] == 0.0 and found.status is Status.OK


def test_names_of_the_parameters_of_a_part():
    network, state = made(Wrapped())
    own = gf.Network.of_couplings(Wrapped().part, {"x": network.coupling("x")})
    expected = network_gradients(own, state, 3)
    found = network_gradients(network, state, 3)
    names = {"J_x": "J_x", "gain": "part.gain", "keep": "part.keep"}
    assert set(found.gradient_variance) == set(names.values())
    for name, nested in names.items():
        value = expected.gradient_variance[name]
        np.testing.assert_allclose(found.gradient_variance[nested], value, rtol=1e-12)


@pytest.mark.parametrize("segment", [None, 1, 8], ids=["default", "1", "8"])
def test_checkpoints_do_not_matter(segment):
    """A gated input that ends with the run shows that steps beyond it are not taken."""
    network, state = made(changed(GATED, input_gating="update"))
    options = {
        "dt": 0.1,
        "method": "euler",
        "inputs": {
            "h": gf.GaussianInput(variance=0.3, correlation_time=0.5).realise(N, 1.3, dt=1.3 / 13)
        },
        "source": SOURCES,
        "readouts": 2,
        "keep_gradients": True,
    }
    expected = network_gradients(network, state, 1.3, segment=1000, **options)  # the whole run
    found = network_gradients(network, state, 1.3, segment=segment, **options)
    for name in ("coupling_gradients", "parameter_gradients", "adjoint_variance"):
        for key, values in getattr(expected, name).items():
            np.testing.assert_allclose(getattr(found, name)[key], values, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-13)
    np.testing.assert_allclose(found.initial_adjoint, expected.initial_adjoint, rtol=1e-12)


def test_readouts_that_do_not_fit_side_by_side(monkeypatch):
    network, state = made(GATED)
    options = {"readouts": 5, "source": SOURCES, "dt": 0.1, "method": "euler"}
    options["keep_gradients"] = True
    together = network_gradients(network, state, 1.0, **options)
    # A little more than two readouts need.
    monkeypatch.setattr(backward, "_READOUT_BYTES", 2.5 * 2 * 8 * (3 * N**2 + N * 4 * 3))
    apart = network_gradients(network, state, 1.0, **options)
    one = network_gradients(network, state, 1.0, **{**options, "readouts": 1})
    np.testing.assert_allclose(apart.losses, together.losses, rtol=1e-13)
    np.testing.assert_allclose(apart.losses[:1], one.losses, rtol=1e-13)
    for name in ("gradient_variance", "shared_gradient_variance", "adjoint_variance"):
        for key, values in getattr(together, name).items():
            np.testing.assert_allclose(getattr(apart, name)[key], values, rtol=1e-11)
    for key, values in together.coupling_gradients.items():
        np.testing.assert_allclose(apart.coupling_gradients[key], values, rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(values[:1], one.coupling_gradients[key], rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("kind", ["map", "euler"])
def test_linear_networks_by_powers_of_the_matrix(kind):
    """a(s) = (F^T)^s w and dL/dJ = sum over steps of a(t + 1) x(t)^T, times dt for the flow."""
    cell, steps = (LinearMap() if kind == "map" else LinearFlow()), 9
    network, state = made(cell)
    readout = np.random.default_rng(3).normal(size=(1, N))
    options = {} if kind == "map" else {"dt": 0.25, "method": "euler"}
    weight = options.get("dt", 1.0)
    found = network_gradients(
        network, state, steps * weight, terminal=readout, keep_gradients=True, **options
    )
    matrix = network.coupling("x")
    one = matrix if kind == "map" else np.eye(N) + weight * matrix
    states = [np.linalg.matrix_power(one, k) @ state[0] for k in range(steps + 1)]
    adjoints = [readout[0] @ np.linalg.matrix_power(one, s) for s in range(steps + 1)]
    gradient = weight * sum(np.outer(adjoints[steps - k - 1], states[k]) for k in range(steps))
    np.testing.assert_allclose(found.times, weight * np.arange(steps + 1))
    np.testing.assert_allclose(
        found.adjoint_variance["x"], [np.mean(a**2) for a in adjoints], rtol=1e-12
    )
    np.testing.assert_allclose(found.coupling_gradients["J_x"][0], gradient, rtol=1e-11)
    np.testing.assert_allclose(found.gradient_variance["J_x"], np.mean(gradient**2), rtol=1e-11)
    np.testing.assert_allclose(found.losses, [readout[0] @ states[-1]], rtol=1e-12)


def test_growth_rate_of_a_scaled_rotation():
    """Orthogonal matrices keep lengths, so that |a|^2 grows by 1.1^2 at each step."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(N, N)))
    network = gf.Network.of_couplings(LinearMap(), {"x": 1.1 * turn})
    found = network_gradients(network, np.zeros((1, N)), 20, terminal=np.ones((1, N)))
    np.testing.assert_allclose(found.growth_rate, 2 * math.log(1.1), rtol=1e-12)
    np.testing.assert_allclose(found.adjoint_variance["x"], 1.21 ** np.arange(21), rtol=1e-12)
    # One direction is lost at the first step, which the second half does not see.
    mixed = gf.Network.of_couplings(LinearMap(), {"x": np.diag([1.2, 0.0])})
    late = network_gradients(mixed, np.zeros((1, 2)), 20, terminal=np.ones((1, 2)))
    np.testing.assert_allclose(late.growth_rate, 2 * math.log(1.2), rtol=1e-12)
    still = gf.Network.of_couplings(LinearMap(), {"x": 0.0 * turn})
    assert math.isnan(network_gradients(still, np.zeros((1, N)), 4).growth_rate)


def test_single_precision():
    """10 steps in rounding of 6e-8 each."""
    state = made(GATED)[1]
    results = [
        network_gradients(
            gf.Network.of_couplings(
                GATED, {name: made(GATED)[0].coupling(name) for name in "hzr"}, dtype=dtype
            ),
            state,
            1.0,
            dt=0.1,
            method="euler",
            source=SOURCES,
            keep_gradients=True,
        )
        for dtype in ("float32", "float64")
    ]
    low, high = results
    assert low.coupling_gradients["J_h"].dtype == np.float32
    for name, values in high.coupling_gradients.items():
        size = np.max(np.abs(values))
        np.testing.assert_allclose(low.coupling_gradients[name], values, rtol=0, atol=2e-6 * size)
    for name, values in high.gradient_variance.items():
        np.testing.assert_allclose(low.gradient_variance[name], values, rtol=1e-4)


@pytest.mark.slow
def test_adjoint_at_the_zero_fixed_point():
    """E a_h^2 by counting walks, with Euler steps; the paper's earlier versions' Eq. in THEORY 11.

    The mean over 16 networks, four standard errors from their scatter. At finite N walks that meet
    add terms of relative order kappa^2 t^2 / N, here 3%.
    """
    g, dt, steps, n = 1.5, 0.2, 50, 400
    rate, coupling = 0.5, g / 4
    expected = sum(
        math.comb(steps, k) ** 2 * (1 - dt * rate) ** (2 * (steps - k)) * (dt * coupling) ** (2 * k)
        for k in range(steps + 1)
    )
    found = []
    for seed in range(16):
        network = gf.Network.sample(gf.GatedRNN(g), n, seed=seed)
        result = network_gradients(
            network,
            np.zeros((3, n)),
            steps * dt,
            dt=dt,
            method="euler",
            readouts=4,
            seed=seed,
        )
        found.append(result.adjoint_variance["h"][-1])
    error = np.std(found, ddof=1) / 4
    finite = (coupling * steps * dt) ** 2 / n
    assert abs(np.mean(found) - expected) < 4 * error + finite * expected
