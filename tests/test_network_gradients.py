"""Gradients of networks against unrolled runs, finite differences and closed forms."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from lone_cells import LinearFlow, LinearMap, Lone
from recorded_cells import Growing
from unrolled import unrolled

import gatefield as gf
from gatefield.analysis import NetworkGradients, network_gradients
from gatefield.analysis.gradients import backward
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.networks import Layer, LayeredNetwork

N = 6
GATED = gf.GatedRNN(2.0, alpha_z=1.0, alpha_r=1.5, beta_h=0.1, beta_z=-0.2, tau_z=2.0, tau_r=0.5)
OWN_UNITS = gf.VanillaRNN(np.linspace(1.0, 3.0, N), beta=np.linspace(-0.5, 0.5, N))
BEFORE = gf.GRU(gain_r=2.0, gain_z=1.5, gain_n=2.5, bias_hn=0.2, bias_z=-0.3, reset="before")
AFTER = gf.GRU(gain_r=2.0, gain_n=np.linspace(1.0, 3.0, N), bias_hn=0.2)
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


def made(cell, seed=1):
    """Return a network and a state of it."""
    network = gf.Network.sample(cell, N, seed=seed)
    shape = (len(cell.state_names), N)
    return network, np.random.default_rng(seed).normal(size=shape)


def changed(cell, **values):
    """Return the cell with other parameters."""
    return type(cell)(**{**vars(cell), **values})


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


STEP = 1e-5
# Of a central difference: a third derivative of order one times STEP^2 / 6, and rounding / STEP.
DIFFERENCE = 1e-8
SOURCES = {
    "h": gf.GaussianInput(variance=0.5, correlation_time=1.0),
}
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


def test_couplings_of_no_gain_do_not_tell_their_gradient():
    network, state = made(changed(BEFORE, gain_z=0.0))
    found = network_gradients(network, state, 3)
    assert np.isnan(found.gradient_variance["gain_z"]) and found.status is Status.OK
    others = [value for name, value in found.gradient_variance.items() if name != "gain_z"]
    assert np.all(np.isfinite(others)) and found.gradient_variance["J_z"] > 0


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
        ({"source": {"h": gf.GaussianInput(variance=1, mean=1)}}, r"of mean zero"),
        ({"source": 1.0}, r"source = 'float'.*mapping"),
        ({"inputs": {"x": 1.0}}, r"inputs = \['x'\]"),
        ({"state": np.zeros((2, N))}, r"state.shape = \(2, 6\)"),
        ({"network": GATED}, r"network = 'GatedRNN'.*a Network"),
    ],
    ids=str,
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
