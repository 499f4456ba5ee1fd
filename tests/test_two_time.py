"""Correlations at two times after a random start, against what is known of them."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2

import gatefield as gf
from gatefield.analysis import recording, two_time_correlations
from gatefield.compare import compare
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.networks import GaussianInput

ROUNDING = 1e-12
QUIET: dict[str, Any] = {"progress": False}


class Cubing(gf.AbstractMap):
    """x' = x^3: where it starts above one it becomes infinite."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"u": 1.0}

    def outputs(self, state, fields, drive):
        return {"u": jnp.tanh(state["x"])}

    def rule(self, state, fields, drive):
        return {"x": state["x"] ** 3}


def leaking(n, seed=0):
    return gf.Network.sample(gf.VanillaRNN(0.0), n, seed=seed)


@pytest.mark.parametrize("pieces", ["one", "many"])
@pytest.mark.parametrize(
    ("method", "factor"),
    [("euler", lambda x: 1 - x), ("rk4", lambda x: 1 - x + x**2 / 2 - x**3 / 6 + x**4 / 24)],
    ids=["euler", "rk4"],
)
def test_a_leak_forgets_its_start(method, factor, pieces, monkeypatch):
    """C(t, t') is C(0, 0) times the method's factor for each step of both times, to rounding."""
    if pieces == "many":
        monkeypatch.setattr(recording, "_CHUNK_BYTES", 8 * 3 * 500 * 2)
    times = [0.0, 0.2, 0.7, 1.0, 3.1]
    found = two_time_correlations(
        [leaking(500)] * 4,
        times,
        initial_variance=1.5,
        dt=0.1,
        method=method,
        quantities=("h", "eta_h", "y_h"),
        seed=2,
        **QUIET,
    )
    np.testing.assert_allclose(found.times, times, rtol=0, atol=1e-15)
    decay = factor(0.1) ** np.array([0, 2, 7, 10, 31])
    for number in range(4):
        square = found.by_network["h"][number, 0, 0]
        expected = square * np.outer(decay, decay)
        np.testing.assert_allclose(found.by_network["h"][number], expected, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(found.covariance["eta_h"], 0.0)
    # The squares of 4 times 500 starts of variance 1.5.
    low, high = chi2.ppf([1e-4, 1 - 1e-4], 2000) / 2000
    assert low < found.covariance["h"][0, 0] / 1.5 < high


def test_it_is_what_simulate_gives():
    """Every product of two times, from the start that simulate draws for the seed + number."""
    cell = gf.GatedRNN(2.0, alpha_z=1.0)
    rng = np.random.default_rng(1)
    couplings = [{name: rng.standard_normal((6, 6)) / 2 for name in "hzr"} for _ in range(3)]
    networks = [gf.Network.of_couplings(cell, each) for each in couplings]
    wave = {"z": lambda t: jnp.cos(t)}
    found = two_time_correlations(networks, [0.3, 1.1, 2.0], dt=0.1, inputs=wave, seed=8, **QUIET)
    at = [3, 11, 20]
    values: dict[str, list[Any]] = {"z": [], "eta_h": []}
    for number, network in enumerate(networks):
        run = gf.simulate(network, 2.0, dt=0.1, inputs=wave, seed=8 + number)
        h, z = run.component("h")[at], run.component("z")[at]
        field = (np.tanh(2 * h) / 2) @ network.coupling("h").T
        values["z"].append(z @ z.T / 6)
        values["eta_h"].append(field @ field.T / 6)
    for name, each in values.items():
        products = np.stack(each)
        np.testing.assert_allclose(found.by_network[name], products, rtol=0, atol=ROUNDING)
        np.testing.assert_allclose(found.covariance[name], products.mean(0), rtol=0, atol=ROUNDING)
        error = products.std(0, ddof=1) / np.sqrt(3)
        np.testing.assert_allclose(found.standard_error[name], error, rtol=0, atol=ROUNDING)
    assert found.status is Status.OK and found.n == 6


def test_fields_at_the_start_have_the_covariance_of_their_outputs():
    """<eta^2> = <tanh^2(g h)> over N(0, v), by quadrature: couplings know nothing of the start."""
    networks = [gf.Network.sample(gf.VanillaRNN(1.5), 200, seed=seed) for seed in range(30)]
    found = two_time_correlations(
        networks, [0.0], initial_variance=0.6, quantities=("eta_h", "phi"), **QUIET
    )

    def integrand(x):
        weight = np.exp(-(x**2) / 1.2) / np.sqrt(1.2 * np.pi)
        return np.tanh(1.5 * x) ** 2 * weight

    theory = quad(integrand, -12, 12)[0]
    for name in ("eta_h", "phi"):
        assert compare(theory, found.by_network[name][:, 0, 0], name=name).agrees


def test_random_inputs_build_up():
    """dh/dt = -h + I from h = 0 and a static I: C(t, t') = v (1 - e^-t)(1 - e^-t')."""
    found = two_time_correlations(
        [leaking(300)] * 8,
        [0.0, 1.0, 4.0],
        initial_variance=0.0,
        inputs={"h": GaussianInput(variance=0.7)},
        quantities=("h",),
        **QUIET,
    )
    rise = 1 - np.exp(-np.array([0.0, 1.0, 4.0]))
    assert np.all(found.covariance["h"][0] == 0)
    for row, column in ((1, 1), (1, 2), (2, 2)):
        theory = 0.7 * rise[row] * rise[column]
        assert compare(theory, found.by_network["h"][:, row, column]).agrees


def test_maps_count_steps():
    """GRU with z = 1 kept open (n = 0, z = sigmoid(ln 3) = 3/4): h' = 3/4 h."""
    cell = gf.GRU(gain_r=0.0, gain_z=0.0, gain_n=0.0, bias_z=np.log(3.0))
    networks = [gf.Network.sample(cell, 20, seed=seed) for seed in range(2)]
    found = two_time_correlations(networks, [0, 3, 5], quantities=("h",), **QUIET)
    decay = 0.75 ** np.array([0, 3, 5])
    expected = found.covariance["h"][0, 0] * np.outer(decay, decay)
    np.testing.assert_allclose(found.covariance["h"], expected, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(found.times, [0, 3, 5])


def test_times_are_rounded_to_steps():
    found = two_time_correlations(
        [leaking(3)] * 2, [0.04, 0.26, 0.99], dt=0.1, quantities=("h",), **QUIET
    )
    np.testing.assert_allclose(found.times, [0.0, 0.3, 1.0], rtol=0, atol=1e-15)
    dataset = found.to_dataset()
    assert dataset["by_network_h"].dims == ("network", "time", "other_time")
    np.testing.assert_array_equal(dataset["time"], found.times)


def test_divergence_is_a_status_and_an_error():
    networks = [gf.Network.sample(Cubing(), 30, seed=seed) for seed in range(2)]
    with pytest.raises(NumericalFailureError, match="two_time_correlations left the finite"):
        two_time_correlations(networks, [0, 40], **QUIET)
    found = two_time_correlations(networks, [0, 40], throw=False, **QUIET)
    assert found.status is Status.DIVERGED and np.isfinite(found.covariance["x"][0, 0])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"networks": leaking(2)}, "networks = .*at least two networks"),
        ({"times": [0.0, 1.0, 1.02]}, "times = .*increasing, at least dt = 0.05 apart"),
        ({"times": [1.0, 0.0]}, "times = .*increasing"),
        ({"times": []}, "times.shape"),
        ({"times": 1.0}, "times.shape"),
        ({"times": [-1.0, 1.0]}, "times = .*not negative"),
        ({"initial_variance": -1.0}, "initial_variance = -1.0"),
        ({"initial_variance": [1.0, 2.0]}, "initial_variance = .*one number"),
        ({"quantities": ("z",)}, r"quantities = \['z'\]"),
        ({"method": "dopri8"}, "method = 'dopri8'"),
    ],
    ids=[
        "one",
        "close",
        "backwards",
        "none",
        "number",
        "past",
        "variance",
        "list",
        "name",
        "dopri8",
    ],
)
def test_bad_input_is_refused(options, says):
    given: Any = {"networks": [leaking(2)] * 2, "times": [0.0, 1.0], **options}
    with pytest.raises(InvalidInputError, match=says):
        two_time_correlations(**given, **QUIET)
