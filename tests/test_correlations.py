"""Stationary correlation functions: exact cases, plain sums, refusals."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from recorded_cells import Growing, Hearing, Turning
from scipy.special import expit

import gatefield as gf
from gatefield.analysis import correlation_functions, recording
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status

ROUNDING = 1e-12
QUIET: dict[str, Any] = {"progress": False}


def leaking(n):
    """Return dh/dt = -h + I: a network without gain."""
    return gf.Network.of_couplings(gf.VanillaRNN(0.0), {"h": np.zeros((n, n))})


# --- exact cases


@pytest.fixture(scope="module")
def turning():
    """Return units of even phases whose x is sent round the ring, and their correlations."""
    n, angle = 7, 0.3
    shift = np.roll(np.eye(n), 2, axis=1)
    network = gf.Network.of_couplings(Turning(angle), {"u": shift})
    phases = 2 * np.pi * np.arange(n) / n
    start = np.stack([np.cos(phases), np.sin(phases)])
    options: dict[str, Any] = {"burn_in": 5, "max_lag": 20, "initial": start, **QUIET}
    return angle, correlation_functions(network, 100, **options)


@pytest.mark.parametrize("name", ["x", "y", "y_u", "eta_u"])
def test_even_phases_correlate_as_a_cosine(turning, name):
    """The mean over even phases of cos(a + p) cos(b + p) is cos(a - b) / 2, at every pair."""
    angle, found = turning
    np.testing.assert_array_equal(found.lags, np.arange(21))
    expected = np.cos(angle * np.arange(21)) / 2
    np.testing.assert_allclose(found.covariance[name], expected, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found.by_network[name], expected[None], rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found.standard_error[name], 0.0, rtol=0, atol=ROUNDING)
    assert abs(found.mean[name]) < ROUNDING and found.mean_standard_error[name] < ROUNDING
    # A chord below an arc of curvature cos: interpolation is off by at most 1/8 sin^-1.
    quarter = np.arccos(np.exp(-1)) / angle
    assert abs(found.relaxation_time(name, plateau=0.0) - quarter) < angle / 8
    trapezoid = np.trapezoid(2 * expected)
    assert found.integral_time(name, plateau=0.0) == pytest.approx(trapezoid, abs=ROUNDING)


def test_observables_are_correlated_about_zero(turning):
    """The square is 1 throughout; what is heard less 2 has 4 more than the cosine, and mean -2."""
    angle, found = turning
    np.testing.assert_allclose(found.covariance["square"], 1.0, rtol=0, atol=ROUNDING)
    assert found.relaxation_time("square") == 0.0
    expected = 4 + np.cos(angle * np.arange(21)) / 2
    np.testing.assert_allclose(found.covariance["heard"], expected, rtol=0, atol=ROUNDING)
    assert float(found.mean["heard"]) == pytest.approx(-2.0, abs=ROUNDING)


def test_units_at_rest_do_not_relax():
    """dh/dt = -h + I_i rests at I_i: C is the mean square of the inputs at every lag."""
    weights = np.array([0.5, -1.0, 2.0, 0.0])
    found = correlation_functions(
        leaking(4), 10.0, burn_in=40.0, max_lag=2.0, inputs={"h": weights}, blocks=2, **QUIET
    )
    np.testing.assert_allclose(found.covariance["h"], 5.25 / 4, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found.lags, 0.1 * np.arange(21), rtol=0, atol=1e-15)
    assert float(found.mean["h"]) == pytest.approx(1.5 / 4, abs=ROUNDING)
    assert found.status is Status.OK and found.n == 4 and found.blocks == 2


def test_quantities_see_the_input_of_their_time():
    """An input t^2: its products, summed by hand; what is sent has it, too, after x is gone."""
    network = gf.Network.of_couplings(Hearing(), {"u": np.zeros((2, 2))})
    options: dict[str, Any] = {"burn_in": 40.0, "max_lag": 0.4, "dt": 0.1, "save_every": 2}
    inputs = {"i": lambda t: t**2}
    found = correlation_functions(network, 2.0, inputs=inputs, blocks=2, **options, **QUIET)
    values = (40.0 + 0.2 * np.arange(10)) ** 2
    expected = [np.mean(values[lag:] * values[: 10 - lag]) for lag in range(3)]
    # x has fallen to e^-40 = 4e-18.
    for name in ("input", "y_u"):
        np.testing.assert_allclose(found.covariance[name], expected, rtol=ROUNDING)
        assert float(found.mean[name]) == pytest.approx(values.mean(), rel=ROUNDING)


# --- against plain sums over simulated states


def plain_quantities(network, run, inputs):
    """Return every quantity (time, unit) of a gated RNN or a GRU, written out in NumPy."""
    cell, coupling = network.cell, network.coupling
    if isinstance(cell, gf.GatedRNN):
        h, z, r = (run.component(name) for name in "hzr")
        phi = np.tanh(2.5 * h + 0.2)
        s_z, s_r = expit(1.5 * z), expit(2.0 * r - 0.3)
        sent = {"h": phi * s_r, "z": phi, "r": phi}
        more = {"h": h, "z": z, "r": r, "phi": phi, "sigma_z": s_z, "sigma_r": s_r}
    else:
        h = run.component("h")
        reset = expit(h @ coupling("r").T + 0.1 + inputs["r"])
        sent = {"r": h, "z": h, "n": reset * h}
        more = {"h": h}
    fields = {f"eta_{name}": y @ coupling(name).T for name, y in sent.items()}
    return {**more, **fields, **{f"y_{name}": y for name, y in sent.items()}}


CASES = {
    "rk4": (gf.GatedRNN(2.5, alpha_z=1.5, alpha_r=2.0, beta_h=0.2, beta_r=-0.3), "hzr"),
    "euler": (gf.GatedRNN(2.5, alpha_z=1.5, alpha_r=2.0, beta_h=0.2, beta_r=-0.3), "hzr"),
    "map": (gf.GRU(gain_n=2.0, gain_r=2.0, bias_r=0.1, reset="before"), "rzn"),
}


@pytest.mark.parametrize("pieces", ["one", "many"])
@pytest.mark.parametrize("method", list(CASES))
def test_transforms_are_direct_sums(method, pieces, monkeypatch):
    """Products of all pairs, one by one, of a run that `simulate` made, and each block's error.

    Time-dependent inputs show whether the clock goes on: from burn-in on, and from piece to piece.
    """
    if pieces == "many":
        monkeypatch.setattr(recording, "_CHUNK_BYTES", 1)
    cell, names = CASES[method]
    n, lags, saved, blocks, discarded, every = 5, 7, 61, 3, 9, 2
    rng = np.random.default_rng(1)
    couplings = {name: rng.standard_normal((n, n)) / 2 for name in names}
    network = gf.Network.of_couplings(cell, couplings)
    start = rng.standard_normal((len(cell.state_names), n))
    if method == "map":
        step, more = 1, {}
        inputs: dict[str, Any] = {"r": 0.5}
    else:
        step, more = 0.1, {"dt": 0.1, "method": method}
        inputs = {}
    inputs[names[-1]] = lambda t: 0.6 * jnp.sin(0.7 * t)
    steps = discarded + every * (saved - 1)
    run = gf.simulate(network, steps * step, initial=start, inputs=inputs, **more)
    late = plain_quantities(network, run, inputs)
    late = {name: values[discarded::every] for name, values in late.items()}
    found = correlation_functions(
        network,
        saved * every * step,
        burn_in=discarded * step,
        max_lag=lags * every * step,
        save_every=every,
        inputs=inputs,
        initial=start,
        blocks=blocks,
        **more,
        **QUIET,
    )
    assert set(late) <= set(found.covariance)
    np.testing.assert_allclose(found.lags, every * step * np.arange(lags + 1), rtol=1e-15)
    edges = [saved * block // blocks for block in range(blocks + 1)]
    for name, values in late.items():
        assert values.shape == (saved, n)
        pairs = [
            [values[k] @ values[k - lag] / n for k in range(lag, saved)] for lag in range(lags + 1)
        ]
        expected = [np.mean(products) for products in pairs]
        np.testing.assert_allclose(found.covariance[name], expected, rtol=0, atol=1e-11)
        for lag, products in enumerate(pairs):
            by_block = [
                np.mean(products[max(low - lag, 0) : high - lag])
                for low, high in zip(edges[:-1], edges[1:], strict=True)
            ]
            error = np.std(by_block, ddof=1) / np.sqrt(blocks)
            assert found.standard_error[name][lag] == pytest.approx(error, abs=1e-11)
        assert float(found.mean[name]) == pytest.approx(np.mean(values), abs=1e-11)
        by_block = [
            values[low:high].mean() for low, high in zip(edges[:-1], edges[1:], strict=True)
        ]
        error = np.std(by_block, ddof=1) / np.sqrt(blocks)
        assert float(found.mean_standard_error[name]) == pytest.approx(error, abs=1e-11)


@pytest.mark.parametrize("name", list(gf.registered_cells()))
def test_every_registered_cell_has_all_its_quantities(name):
    """States as simulated; couplings of 2 make <eta^2> four times the <y^2> that they carry."""
    cell = gf.registered_cells()[name]
    is_map = isinstance(cell, gf.AbstractMap)
    couplings = {field: 2 * np.roll(np.eye(6), 1, axis=0) for field in cell.field_names}
    network = gf.Network.of_couplings(cell, couplings)
    t_max, dt = (12, None) if is_map else (1.2, 0.1)
    run = gf.simulate(network, t_max, dt=dt, seed=3)
    options: dict[str, Any] = {"burn_in": 0, "max_lag": 0, "blocks": 2, "dt": dt, **QUIET}
    found = correlation_functions(network, t_max, seed=3, **options)
    for state in cell.state_names:
        expected = np.mean(run.component(state)[:-1] ** 2)
        assert found.covariance[state][0] == pytest.approx(expected, rel=ROUNDING)
    for field in cell.field_names:
        expected = 4 * found.covariance[f"y_{field}"][0]
        assert found.covariance[f"eta_{field}"][0] == pytest.approx(expected, rel=ROUNDING)
        assert expected > 0


@pytest.mark.parametrize("count", [2, 3])
def test_several_networks_are_their_mean(count):
    """Three: scatter of their values. Two: the errors of their blocks, combined."""
    cell = gf.VanillaRNN(2.0)
    networks = [gf.Network.sample(cell, 6, seed=seed) for seed in range(count)]
    options: dict[str, Any] = {"burn_in": 1.0, "max_lag": 2.0, "dt": 0.1, **QUIET}
    together = correlation_functions(networks, 20.0, seed=5, **options)
    alone = [
        correlation_functions(network, 20.0, seed=5 + number, **options)
        for number, network in enumerate(networks)
    ]
    for name in ("h", "eta_h", "y_h", "phi"):
        values = np.stack([each.covariance[name] for each in alone])
        np.testing.assert_allclose(together.by_network[name], values, rtol=0, atol=ROUNDING)
        np.testing.assert_allclose(together.covariance[name], values.mean(0), rtol=ROUNDING)
        means = np.stack([each.mean[name] for each in alone])
        assert float(together.mean[name]) == pytest.approx(means.mean(), rel=ROUNDING)
        if count == 2:
            error = np.hypot(alone[0].standard_error[name], alone[1].standard_error[name]) / 2
            mean_errors = [float(each.mean_standard_error[name]) for each in alone]
            mean_error = np.hypot(mean_errors[0], mean_errors[1]) / 2
        else:
            error = values.std(0, ddof=1) / np.sqrt(3)
            mean_error = means.std(ddof=1) / np.sqrt(3)
        np.testing.assert_allclose(together.standard_error[name], error, rtol=0, atol=ROUNDING)
        assert float(together.mean_standard_error[name]) == pytest.approx(mean_error, abs=ROUNDING)
    assert together.blocks == (4 if count == 2 else 0)


def test_chosen_quantities_are_those_of_all():
    network = gf.Network.sample(gf.GatedRNN(2.0, alpha_z=1.0), 5, seed=2)
    options: dict[str, Any] = {"burn_in": 0.0, "max_lag": 1.0, "blocks": 2, **QUIET}
    every = correlation_functions(network, 5.0, **options)
    some = correlation_functions(network, 5.0, quantities=("phi", "eta_r", "z"), **options)
    assert tuple(some.covariance) == ("phi", "eta_r", "z")
    for name, values in some.covariance.items():
        np.testing.assert_allclose(values, every.covariance[name], rtol=0, atol=ROUNDING)


def test_it_starts_as_simulate_does_and_the_seed_decides():
    """Of a linear unit at rest without input, C is the square of the start times its decay."""
    options: dict[str, Any] = {"burn_in": 0.0, "max_lag": 0.0, "blocks": 2, **QUIET}
    found = correlation_functions([leaking(5)] * 2, 5.0, seed=3, save_every=1, **options)
    for number in range(2):
        run = gf.simulate(leaking(5), 5.0, seed=3 + number)
        expected = np.mean(run.states[:-1, 0] ** 2)
        assert found.by_network["h"][number, 0] == pytest.approx(expected, rel=ROUNDING)


def test_single_precision_sums_in_double():
    rng = np.random.default_rng(3)
    cell, couplings = gf.VanillaRNN(1.5), {"h": rng.standard_normal((8, 8)) / np.sqrt(8)}
    networks = [
        gf.Network.of_couplings(cell, couplings, dtype=dtype) for dtype in ("float32", "float64")
    ]
    start = rng.standard_normal((1, 8))
    options: dict[str, Any] = {"burn_in": 0.0, "max_lag": 1.0, "initial": start, **QUIET}
    single, double = (correlation_functions(each, 5.0, **options) for each in networks)
    error = np.max(np.abs(single.covariance["h"] - double.covariance["h"]))
    assert 1e-10 < error < 1e-5
    assert single.covariance["h"].dtype == np.float64


# --- failures and refusals


def test_divergence_is_a_status_and_an_error():
    network = gf.Network.of_couplings(Growing(), {"u": np.zeros((2, 2))})
    options: dict[str, Any] = {"burn_in": 0, "max_lag": 1, "initial": np.full((1, 2), 2.0), **QUIET}
    with pytest.raises(NumericalFailureError, match="correlation_functions left the finite"):
        correlation_functions(network, 40, **options)
    # Its output stays finite: the state tells.
    found = correlation_functions(network, 40, quantities=("y_u",), throw=False, **options)
    assert found.status is Status.DIVERGED and np.all(np.isfinite(found.covariance["y_u"]))


def test_progress_is_shown_and_changes_nothing(capsys):
    options: dict[str, Any] = {"burn_in": 1.0, "max_lag": 1.0, "seed": 1}
    shown = correlation_functions(leaking(3), 10.0, progress=True, **options)
    drawn = capsys.readouterr().err
    assert "correlation_functions" in drawn and "218/218" in drawn
    hidden = correlation_functions(leaking(3), 10.0, progress=False, **options)
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(shown.covariance["h"], hidden.covariance["h"])


def test_results_become_datasets():
    found = correlation_functions(
        [leaking(3)] * 3, 4.0, burn_in=0.0, max_lag=1.0, quantities=("h", "phi"), **QUIET
    )
    dataset = found.to_dataset()
    assert dataset["covariance_h"].dims == ("lag",)
    assert dataset["by_network_phi"].dims == ("network", "lag")
    assert dataset["mean_h"].dims == () and dataset.attrs["n"] == 3
    np.testing.assert_array_equal(dataset["lag"], found.lags)


NETWORK: Any = gf.Network.of_couplings(gf.VanillaRNN(0.5), {"h": np.zeros((2, 2))})
TURNING = gf.Network.of_couplings(Turning(0.1), {"u": np.zeros((2, 2))})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"networks": []}, "networks = .*a Network or a sequence"),
        ({"networks": [1]}, "networks = .*a Network or a sequence"),
        ({"networks": [NETWORK, leaking(3)]}, "networks = .*n=2.*n=3.*one size"),
        ({"networks": [NETWORK, TURNING]}, "networks = .*one kind of cell"),
        ({"t_max": 0.0}, "t_max = 0.0.*at least"),
        ({"burn_in": -1.0}, "burn_in = -1.0.*not negative"),
        ({"max_lag": 2.5}, "max_lag = 2.5.*less than a block, here 2.5"),
        ({"blocks": 1}, "blocks = 1.*at least 2"),
        ({"dt": 0.0}, "dt = 0.0.*positive"),
        ({"method": "tsit5"}, "method = 'tsit5'.*'euler'"),
        ({"save_every": 0}, "save_every = 0"),
        ({"quantities": "h"}, "quantities = 'h'.*sequence"),
        ({"quantities": ()}, "quantities = .*some of"),
        ({"quantities": ("h", "eta")}, r"quantities = \['eta'\].*'eta_h'"),
        ({"inputs": {"x": 1.0}}, r"inputs = \['x'\].*'h'"),
        ({"initial": np.zeros((2, 2))}, "initial.shape"),
        ({"seed": -1}, "seed = -1"),
        ({"networks": TURNING, "dt": 0.1}, "for a map.*dt=0.1"),
        ({"networks": TURNING, "t_max": 10.5}, "t_max .steps of a map. = 10.5"),
    ],
)
def test_bad_input_is_refused(options, says):
    given: Any = {"networks": NETWORK, "t_max": 10.0, "burn_in": 0.0, "max_lag": 1.0, **options}
    with pytest.raises(InvalidInputError, match=says):
        correlation_functions(**given, **QUIET)


def test_lags_of_maps_are_steps(turning):
    assert turning[1].is_map and turning[1].to_dataset()["lag"].attrs["units"] == "step"
    flow = correlation_functions(leaking(2), 10.0, burn_in=0.0, max_lag=1.0, **QUIET)
    assert not flow.is_map and flow.to_dataset()["lag"].attrs["units"] == "time constant"


def test_unknown_names_of_a_result_are_refused():
    found = correlation_functions(NETWORK, 10.0, burn_in=0.0, max_lag=1.0, **QUIET)
    for method in (found.relaxation_time, found.integral_time):
        with pytest.raises(InvalidInputError, match="name = 'x'.*'h', 'eta_h', 'y_h', 'phi'"):
            method("x")
