"""Losses of networks that are differentiated: readouts, sources, statuses and refusals."""

from __future__ import annotations

import math
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from gradient_networks import Power, Taken
from lone_cells import LinearMap, Lone
from network_gradient_cells import AFTER, DIFFERENCE, GATED, SOURCES, STEP, N, made
from recorded_cells import Growing

import gatefield as gf
from gatefield.analysis import NetworkGradients, network_gradients
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.networks import Layer, LayeredNetwork


class Forgetful(gf.AbstractMap):
    """x' = x / 2, units that do not meet."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"u": 0.0}

    def outputs(self, state, fields, drive):
        return {"u": state["x"]}

    def rule(self, state, fields, drive):
        return {"x": 0.5 * state["x"]}


@pytest.mark.parametrize("kind", ["flow", "map", "one readout at all times"])
def test_random_readouts_along_a_run(kind):
    """Units that only decay: a(s) is a sum of the readout after t, of known covariance.

    120 x 200 independent units: the variance has a relative standard error of (2 / 24000)^(1/2);
    four of them, with a fixed seed.
    """
    is_map, steps, n, readouts = kind == "map", 8, 120, 200
    dt, memory = (1.0, 2.0) if is_map else (0.25, 0.7)
    source = gf.GaussianInput(variance=0.8, correlation_time=memory)
    if kind.startswith("one"):
        source = gf.GaussianInput(variance=0.8)
    cell = Forgetful() if is_map else Lone()
    options = {} if is_map else {"dt": dt, "method": "euler"}
    found = network_gradients(
        gf.Network.sample(cell, n),
        np.zeros((1, n)),
        steps * dt,
        terminal={"x": 0.3},
        source={"x": source},
        readouts=readouts,
        **options,
    )
    keep = 0.5 if is_map else 1.0 - dt
    weights = np.full(steps + 1, dt)
    weights[0], weights[-1] = (0.0, 1.0) if is_map else (dt / 2, dt / 2)
    later = np.subtract.outer(np.arange(steps + 1), np.arange(steps + 1)) * dt
    covariance = source.second_moment(later)
    expected = []
    for start in range(steps, -1, -1):
        after = np.arange(steps + 1.0) - start
        decayed = weights * keep**after * (after >= 0)
        expected.append(decayed @ covariance @ decayed + 0.3 * keep ** (2 * (steps - start)))
    error = math.sqrt(2 / (n * readouts))
    np.testing.assert_allclose(found.adjoint_variance["x"], expected, rtol=4 * error)


def test_beside_a_source_there_is_no_readout_at_the_end_by_default():
    """What one fixed readout takes from the last state: dt / 2 of it, squared.

    120 x 200 independent numbers, four standard errors of their variance.
    """
    network, n = gf.Network.sample(Lone(), 120), 120
    source = {"x": gf.GaussianInput(variance=0.8)}
    options = {"source": source, "readouts": 200, "dt": 0.25, "method": "euler"}
    found = network_gradients(network, np.ones((1, n)), 1.0, **options)
    error = math.sqrt(2 / (n * 200))
    np.testing.assert_allclose(found.adjoint_variance["x"][0], 0.125**2 * 0.8, rtol=4 * error)
    assert dict(found.settings)["terminal"] == {}
    none = network_gradients(network, np.ones((1, n)), 1.0, terminal={"x": 0.0}, **options)
    np.testing.assert_array_equal(found.losses, none.losses)
    both = network_gradients(network, np.ones((1, n)), 1.0, terminal={"x": 1.0}, **options)
    at_end = 0.125**2 * 0.8 + 1.0
    np.testing.assert_allclose(both.adjoint_variance["x"][0], at_end, rtol=4 * error)


@pytest.mark.slow
def test_two_independent_readouts_of_components():
    network, state = made(GATED)
    found = network_gradients(
        network, state, 0.1, method="euler", terminal={"z": 4.0, "r": 0.0}, readouts=500
    )
    at_end = {name: values[0] for name, values in found.adjoint_variance.items()}
    assert at_end["h"] == at_end["r"] == 0.0
    # 3000 draws of variance 4, four standard errors.
    np.testing.assert_allclose(at_end["z"], 4.0, rtol=4 * math.sqrt(2 / 3000))


def test_quadratic_loss_and_one_of_my_own():
    network, state = made(GATED)
    options = {"dt": 0.1, "method": "euler", "keep_gradients": True}
    quadratic = network_gradients(
        network, state, 1.0, loss="quadratic", terminal={"h": 1.0, "r": 3.0}, **options
    )
    end = gf.simulate(network, 1.0, dt=0.1, method="euler", initial=state).final
    assert quadratic.loss == "quadratic"
    np.testing.assert_allclose(
        quadratic.losses, [np.sum(end[0] ** 2) / 2 + 3 * np.sum(end[2] ** 2) / 2], rtol=1e-12
    )
    at_end = [quadratic.adjoint_variance[name][0] for name in "hzr"]
    expected = [np.mean(end[0] ** 2), 0.0, 9 * np.mean(end[2] ** 2)]
    np.testing.assert_allclose(at_end, expected, rtol=1e-12)
    own = network_gradients(
        network,
        state,
        1.0,
        loss=lambda s: jnp.sum(s[0] ** 2) / 2 + 3 * jnp.sum(s[2] ** 2) / 2,
        **options,
    )
    assert own.loss == "own"
    np.testing.assert_allclose(own.losses, quadratic.losses, rtol=1e-13)
    for name, values in quadratic.coupling_gradients.items():
        np.testing.assert_allclose(own.coupling_gradients[name], values, rtol=1e-11, atol=1e-16)

    def moved(size):
        there = state.copy()
        there[1, 0] += size
        return network_gradients(network, there, 1.0, loss="quadratic", **options).losses[0]

    first = network_gradients(network, state, 1.0, loss="quadratic", **options)
    slope = (moved(STEP) - moved(-STEP)) / (2 * STEP)
    np.testing.assert_allclose(first.initial_adjoint[0, 1, 0], slope, rtol=0, atol=DIFFERENCE)


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [
        (5, None, [0, 1, 2, 3, 4, 5]),
        (5, 2, [0, 2, 4, 5]),
        (5, 9, [0, 5]),
        (1000, 400, [0, 400, 800, 1000]),
    ],
    ids=["all", "every second", "ends", "long"],
)
def test_times_that_are_kept(steps, every, expected):
    network = gf.Network.of_couplings(LinearMap(), {"x": np.eye(2)})
    found = network_gradients(network, np.zeros((1, 2)), steps, save_every=every)
    np.testing.assert_array_equal(found.times, expected)


def test_at_most_two_hundred_times_are_kept():
    network = gf.Network.of_couplings(LinearMap(), {"x": np.eye(2)})
    for steps in (198, 199, 200, 399, 1001):
        times = network_gradients(network, np.zeros((1, 2)), steps).times
        assert 100 <= times.size <= 200 and times[0] == 0 and times[-1] == steps


@pytest.mark.slow
def test_a_layer_with_its_sequence():
    """The layer's input enters as the drives of its network."""
    network, state = made(AFTER)
    rng = np.random.default_rng(4)
    weights = {name: rng.normal(size=(N, 2)) for name in AFTER.drive_names}
    sequence = rng.normal(size=(5, 2))
    layered = LayeredNetwork([Layer(network, weights)])
    found = network_gradients(layered, state, 5, inputs=sequence)
    series = {name: gf.Series(sequence @ each.T) for name, each in weights.items()}
    expected = network_gradients(network, state, 5, inputs=series)
    without = network_gradients(network, state, 5)
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-13)
    assert abs(found.losses[0] - without.losses[0]) > 1e-3
    for name, value in expected.gradient_variance.items():
        np.testing.assert_allclose(found.gradient_variance[name], value, rtol=1e-11)


def test_divergence_is_a_status():
    """x' = x^3 leaves the finite numbers after some steps."""
    network = gf.Network.sample(Growing(), N)
    state = np.full((1, N), 3.0)
    with pytest.raises(NumericalFailureError, match=r"left the finite.*throw=False"):
        network_gradients(network, state, 20)
    found = network_gradients(network, state, 20, throw=False)
    assert found.status is Status.DIVERGED and math.isnan(found.growth_rate)
    assert network_gradients(network, state, 3).status is Status.OK


def test_an_adjoint_alone_may_diverge():
    """The state stays at zero, the adjoint doubles 2000 times."""
    network = gf.Network.of_couplings(LinearMap(), {"x": 2.0 * np.eye(2)})
    found = network_gradients(network, np.zeros((1, 2)), 2000, throw=False)
    assert found.status is Status.DIVERGED
    early = found.times <= 400
    assert np.all(np.isfinite(found.adjoint_variance["x"][early]))


class Rooted(Power):
    """The root of its parameter, whose slope at zero is not a number."""

    def rule(self, state, fields, drive):
        root = jnp.where(self.keep > 0, jnp.sqrt(self.keep), 0.0)
        return {"x": root * state["x"] + fields["x"]}


def test_a_parameter_alone_may_have_no_finite_gradient():
    network, state = made(Rooted())
    found = network_gradients(network, state, 3, throw=False)
    assert found.status is Status.DIVERGED and math.isnan(found.gradient_variance["keep"])
    assert np.isfinite(found.gradient_variance["gain"])
    assert np.all(np.isfinite(found.adjoint_variance["x"]))
    assert network_gradients(made(Rooted(keep=0.5))[0], state, 3).status is Status.OK


@pytest.mark.slow
def test_as_a_dataset():
    network, state = made(GATED)
    found = network_gradients(network, state, 1.0, dt=0.1, keep_gradients=True)
    assert isinstance(found, NetworkGradients)
    data = found.to_dataset()
    np.testing.assert_array_equal(data["time"], found.times)
    assert data["time"].attrs["units"] == "time constant"
    np.testing.assert_array_equal(data["adjoint_variance_h"], found.adjoint_variance["h"])
    assert data["coupling_gradients_J_h"].dims == ("readout", "unit", "sender")
    assert data.attrs["method"] == "rk4" and data.attrs["status"] == "ok"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"horizon": -1.0}, r"horizon = -1.*positive"),
        ({"dt": 0.0}, r"dt = 0.*positive"),
        ({"method": "tsit5"}, r"method = 'tsit5'.*'euler', 'rk4'"),
        ({"readouts": 0}, r"readouts = 0.*at least 1"),
        ({"segment": 0}, r"segment = 0.*at least 1"),
        ({"save_every": 0}, r"save_every = 0.*at least 1"),
        ({"seed": -1}, r"seed = -1"),
        ({"terminal": {"x": 1.0}}, r"terminal = \['x'\].*'h', 'z', 'r'"),
        ({"terminal": {"h": -1.0}}, r"terminal\['h'\] = -1.*not negative"),
        ({"terminal": np.ones(N)}, r"terminal.shape = \(6,\).*\(3, 6\)"),
        ({"terminal": np.ones((2, 3, N)), "readouts": 3}, r"readouts = 3.*2, those given"),
        ({"loss": "cubic"}, r"loss = 'cubic'.*'readout', 'quadratic'"),
        ({"loss": "quadratic", "readouts": 2}, r"readouts = 2.*1 for a quadratic"),
        ({"loss": "quadratic", "terminal": np.ones((3, N))}, r"terminal = 'ndarray'.*mapping"),
        ({"loss": lambda s: s}, r"loss = .*real function.*scalar"),
        ({"loss": jnp.sum, "terminal": {"h": 1.0}}, r"terminal = .*None beside a loss"),
        ({"source": {"x": SOURCES["h"]}}, r"source = \['x'\]"),
        ({"source": {"h": 1.0}}, r"source\['h'\] = 1.0.*GaussianInput of mean zero"),
        ({"source": {"h": gf.GaussianInput(variance=1, mean=1)}}, r"source\['h'\].mean = 1.0"),
        ({"source": 1.0}, r"source = 1.0.*by component"),
        ({"terminal": {"h": 0.0}}, r"a positive variance, or a source"),
        ({"terminal": {"h": 0.0}, "loss": "quadratic"}, r"a positive variance, or a source"),
        ({"source": {"h": gf.GaussianInput(variance=0)}}, r"a positive variance, or a source"),
        ({"inputs": {"x": 1.0}}, r"inputs = \['x'\]"),
        ({"state": np.zeros((2, N))}, r"state.shape = \(2, 6\)"),
        ({"network": GATED}, r"network = 'GatedRNN'.*a Network"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_is_refused(options, told):
    network, state = made(GATED)
    given = {"network": network, "state": state, "horizon": 1.0, "dt": 0.5, **options}
    with pytest.raises(InvalidInputError, match=told):
        network_gradients(**given)


def test_what_maps_and_layers_refuse():
    network, state = made(AFTER)
    with pytest.raises(InvalidInputError, match=r"neither method nor dt"):
        network_gradients(network, state, 3, dt=0.1)
    with pytest.raises(InvalidInputError, match=r"horizon \(steps of a map\) = 2.5"):
        network_gradients(network, state, 2.5)
    with pytest.raises(InvalidInputError, match=r"horizon = 4.*at most 3 steps"):
        network_gradients(network, state, 4, inputs={"r": gf.Series(np.ones(3))})
    weights = {name: np.ones((N, N)) for name in AFTER.drive_names}
    two = LayeredNetwork([Layer(network, weights), Layer(network, weights, depth=1)])
    with pytest.raises(InvalidInputError, match=r"single forward layer.*torch_gradients"):
        network_gradients(two, state, 3)
    back = LayeredNetwork([Layer(network, weights, reverse=True)])
    with pytest.raises(InvalidInputError, match=r"single forward layer"):
        network_gradients(back, state, 3)
    with pytest.raises(InvalidInputError, match=r"inputs = None.*a sequence \(T, 6\)"):
        network_gradients(LayeredNetwork([Layer(network, weights)]), state, 3)


def test_a_parameter_named_as_couplings_is_refused():
    network, state = made(Taken())
    with pytest.raises(InvalidInputError, match=r"parameter of Taken = 'J_x'.*Rename"):
        network_gradients(network, state, 3)
