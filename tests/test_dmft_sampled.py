"""Sampled stationary mean-field theory: exact cases, references, networks."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from sampled_cells import LinearFlow, LinearMap

import gatefield as gf
from gatefield.compare import check_correlations
from gatefield.core.results import Status
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.periodic import covariance_of
from gatefield.theory.dmft.redraw import redraw, sampled_snapshots
from gatefield.theory.dmft.sampled import solve_sampled


def small(cell, **changes):
    """Solve with few samples, or as changed."""
    options: dict[str, Any] = {"inputs": {}, "samples": 200, "batches": 2, "progress": False}
    return solve_sampled(cell, **(options | changes))


def within(solution, name, lag, expected, *, errors=5.0, bias=0.0):
    """Check one covariance: within five standard errors of its batches, and a known bias.

    Student's distribution with 7 degrees of freedom passes five errors in 0.2 per cent.
    """
    place = round(lag / (solution.lags[1] - solution.lags[0]))
    assert solution.lags[place] == pytest.approx(lag, abs=1e-9)
    value = solution.covariance[name][place]
    error = solution.standard_error[name][place]
    assert abs(value - expected) < errors * error + bias, (name, lag, value, error, expected)
    return error / abs(expected)


# --- exact cases


@pytest.mark.parametrize("gain", [0.0, 0.6])
def test_a_linear_flow_under_coloured_input(gain):
    r"""S_x = 2 V t / [(1 + t^2 w^2)(1 - g^2 + w^2)]: the noise is orthonormal, nothing scatters.

    Leaving out frequencies above pi/dt costs a part of C(0) of order 2 V t/(3 pi t^2) (dt/pi)^3
    = 3e-5 V, and the Runge-Kutta step, whose error falls as dt^3 for so rough an input, as much.
    """
    variance, time, k = 0.5, 2.0, np.sqrt(1 - gain**2)
    errors = []
    for dt in (0.2, 0.1):
        found = small(
            LinearFlow(gain),
            inputs={"x": GaussianInput(variance=variance, correlation_time=time)},
            samples=50,
            batches=2,
            dt=dt,
            period=200.0,
            tolerance=1e-5,
            dtype="float64",
        )
        lags = found.lags
        exact = variance * time * (time * np.exp(-lags / time) - np.exp(-k * lags) / k)
        exact /= time**2 * k**2 - 1
        errors.append(np.max(np.abs(found.covariance["x"] - exact)) / exact[0])
        eta = found.covariance["eta_a"]
        np.testing.assert_allclose(eta, gain**2 * found.covariance["x"], rtol=0, atol=1e-5)
        assert float(found.residual) < 1e-5
        assert abs(float(found.mean["x"])) < 1e-12
    assert errors[0] < 2e-4
    assert errors[1] < errors[0] / 6


@pytest.mark.parametrize("keep", [0.3, -0.3])
def test_a_linear_map_under_white_input(keep):
    """C(0) = V / sqrt((1 + a^2 - g^2)^2 - 4 a^2), the mean of V / (|e^iw - a|^2 - g^2).

    (V / (1 - a^2 - g^2) would take the field, which remembers, for white.)
    """
    gain, variance = 0.5, 0.7
    found = small(
        LinearMap(keep, gain),
        inputs={"x": GaussianInput(variance=variance, correlation_time=0.02)},
        samples=50,
        batches=2,
        tolerance=1e-6,
        dtype="float64",
    )
    w = 2 * np.pi * np.arange(4096) / 4096
    density = variance / (np.abs(np.exp(1j * w) - keep) ** 2 - gain**2)
    exact = [np.mean(density * np.cos(w * lag)) for lag in range(4)]
    root = np.sqrt((1 + keep**2 - gain**2) ** 2 - 4 * keep**2)
    assert exact[0] == pytest.approx(variance / root, rel=1e-12)
    np.testing.assert_allclose(found.covariance["x"][:4], exact, rtol=0, atol=1e-6)
    assert found.status is Status.OK and found.lags[1] == 1.0


def test_the_period_grows_with_the_relaxation_time():
    """Input of correlation time 60 into x: a period of 600, and C as in the case before."""
    given = GaussianInput(variance=0.5, correlation_time=60.0)
    found = small(LinearFlow(0.6), inputs={"x": given}, samples=20)
    lags, k = found.lags, 0.8
    exact = 0.5 * 60 * (60 * np.exp(-lags / 60) - np.exp(-k * lags) / k) / (60**2 * k**2 - 1)
    # The residual that was aimed for, 1e-4, times 1 / (1 - g^2).
    np.testing.assert_allclose(found.covariance["x"], exact, rtol=0, atol=3e-4 * exact[0])
    settings: dict[str, Any] = dict(found.settings)
    assert 600 <= settings["period"] <= 900 and settings["relaxation_time"] >= 60
    assert found.status is Status.OK
    short = small(LinearFlow(0.6), inputs={"x": given}, samples=20, max_period=200.0)
    assert settings["period"] > 3 * short.lags[-1] > 0 and short.status is Status.NOT_CONVERGED


def test_static_input_to_a_linear_flow_freezes_it():
    """x = eta + I: C = (V + mean^2) / (1 - g^2) at every lag."""
    given = GaussianInput(variance=0.5, mean=0.3)
    found = small(LinearFlow(0.6), inputs={"x": given})
    # A tenth of the tolerance of 1e-3 in the residual, times 1 / (1 - g^2).
    expected = (0.5 + 0.09) / 0.64
    np.testing.assert_allclose(found.covariance["x"], expected, rtol=2e-4)
    assert not found.fluctuates and found.status is Status.OK
    assert float(found.mean["x"]) == pytest.approx(0.3, abs=1e-5)
    assert float(found.truncation) == 0.0


@pytest.mark.parametrize(
    "cell", [gf.VanillaRNN(0.8), gf.GatedRNN(1.5), gf.GRU()], ids=["vanilla", "gated", "gru"]
)
def test_quiet_networks_are_exactly_quiet(cell):
    found = small(cell)
    # Recognised, not waited for until amplitudes underflow.
    assert len(found.history) < 40
    for name in (*cell.state_names, f"y_{cell.field_names[0]}"):
        assert not np.any(found.covariance[name]), name
    assert found.status is Status.OK and not found.fluctuates
    for gate in ("sigma_z", "reset_gate"):
        if gate in found.covariance:
            np.testing.assert_allclose(found.covariance[gate], 0.25, rtol=1e-6)


def test_a_start_at_zero_stays_there_and_a_small_one_leaves():
    """Zero solves the equations of a chaotic network, too; any other start leads away from it."""
    cell = gf.VanillaRNN(2.0)
    assert not np.any(small(cell, start=0.0).covariance["h"])
    away = small(cell, start=1e-4)
    within(away, "h", 0.0, 0.48120135, errors=8.0)
    assert away.fluctuates


def test_a_bias_without_couplings_that_move():
    """beta_h = 10 holds phi at one: y_h = 1/2 for every unit, h = eta_h of variance 1/4."""
    found = small(gf.GatedRNN(3.0, beta_h=10.0))
    np.testing.assert_allclose(found.covariance["h"], 0.25, rtol=1e-5)
    assert float(found.mean["phi"]) == pytest.approx(1.0, abs=1e-6)
    assert not found.fluctuates and found.status is Status.OK


# --- references


@pytest.fixture(scope="module")
def vanilla():
    """Return the vanilla network at g = 2: chaotic, and quick to solve."""
    return small(gf.VanillaRNN(2.0), samples=1000, batches=8)


def test_the_vanilla_network(vanilla):
    """C_h(0) = .48120135 (THEORY section 7); the bias, O(1/M), is 0.4 per cent at M = 1000."""
    assert within(vanilla, "h", 0.0, 0.48120135, bias=0.002) < 5e-3
    assert vanilla.status is Status.OK and vanilla.fluctuates
    assert float(vanilla.residual) < 1e-3 and float(vanilla.truncation) < 1e-4
    # <(eta - h) h> = <h dh/dt> = 0 in a stationary state.
    slope = np.gradient(vanilla.covariance["h"][:3], vanilla.lags[1])[0]
    assert abs(slope) < 0.02 * vanilla.covariance["h"][0]
    # dh/dt = eta - h: C_h - C_h'' = C_phi, with C'' by differences of spacing 0.4.
    C, k = vanilla.covariance["h"], 10
    second = (C[k + 2] - 2 * C[k] + C[k - 2]) / (2 * vanilla.lags[1]) ** 2
    assert C[k] - second == pytest.approx(vanilla.covariance["phi"][k], rel=5e-3)


def test_fields_are_those_of_the_outputs(vanilla):
    """The last sweep's outputs have the covariance of the fields within the residual."""
    eta, sent = vanilla.covariance["eta_h"], vanilla.covariance["y_h"]
    assert np.max(np.abs(eta - sent)) < 1e-3 * sent[0]
    np.testing.assert_allclose(sent, vanilla.covariance["phi"], rtol=1e-6)
    mean = np.mean(covariance_of(vanilla.spectra["h"]), axis=0)[: eta.size]
    np.testing.assert_allclose(mean, eta, rtol=0, atol=1e-5)


def test_the_error_bars_cover_the_scatter_over_seeds():
    """Five seeds of four small batches: their scatter is the reported error, within a factor of 3.

    Fisher's distribution of 4 and 15 degrees of freedom passes 9 or 1/9 in one per cent.
    """
    options: dict[str, Any] = {"samples": 100, "batches": 4}
    runs = [small(gf.VanillaRNN(2.0), seed=seed, **options) for seed in range(5)]
    for lag in (0, 25):
        values = [run.covariance["h"][lag] for run in runs]
        error = np.sqrt(np.mean([run.standard_error["h"][lag] ** 2 for run in runs]))
        assert 1 / 3 < np.std(values, ddof=1) / error < 3
    first, again = runs[0], small(gf.VanillaRNN(2.0), seed=0, **options)
    np.testing.assert_array_equal(first.covariance["h"], again.covariance["h"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alpha_r", "h", "phi", "at_5", "at_10"),
    [
        pytest.param(0.0, 0.08307626, 0.342093, 0.076027, 0.060151, id="no-output-gate"),
        pytest.param(2.0, 0.10790876, 0.388983, 0.079145, 0.038320, id="output-gate"),
    ],
)
def test_the_gated_network(alpha_r, h, phi, at_5, at_10):
    """THEORY section 6, to dt -> 0; the bias, O(1/M), is 0.3 per cent of C(0) at M = 2000."""
    found = small(gf.GatedRNN(3.0, alpha_r=alpha_r), samples=2000, batches=6)
    bias = 0.003 * h
    assert within(found, "h", 0.0, h, bias=bias) < 0.01
    assert within(found, "phi", 0.0, phi, bias=0.003 * phi) < 0.01
    within(found, "h", 5.0, at_5, bias=bias)
    within(found, "h", 10.0, at_10, bias=bias)
    # Zero mean by symmetry; gates of alpha_z = 0 do not move.
    assert abs(found.mean["h"]) < 5 * found.mean_standard_error["h"] + 1e-6
    np.testing.assert_allclose(found.covariance["sigma_z"], 0.25, rtol=1e-6)
    settings: dict[str, Any] = dict(found.settings)
    assert settings["period"] >= 10 * settings["relaxation_time"]
    assert [settings[key] for key in ("tolerance", "max_sweeps", "max_period")] == [1e-3, 100, 3200]


@pytest.mark.slow
def test_eulers_method_of_both_gates():
    """Euler paths of dt = .1 (THEORY section 6): another code's values and errors."""
    found = small(
        gf.GatedRNN(3.0, alpha_z=5.0, alpha_r=2.0),
        scheme="euler",
        dt=0.1,
        samples=500,
        batches=6,
    )
    for name, lag, value, error in (
        ("h", 0.0, 0.1117, 0.0012),
        ("phi", 0.0, 0.3936, 0.0020),
        ("h", 5.0, 0.1053, 0.0013),
        ("h", 10.0, 0.0929, 0.0015),
    ):
        own = np.interp(lag, found.lags, found.standard_error[name])
        assert abs(found.at(name, np.array([lag]))[0] - value) < 4 * np.hypot(error, own)
    assert abs(found.relaxation_time("h") - 39.9) < 4 * 1.2 + 4
    assert found.lags[1] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("scheme", "dt"), [pytest.param("rk4", 0.4, id="rk4"), pytest.param("euler", 0.05, id="euler")]
)
def test_steps_are_as_accurate_as_their_order(scheme, dt, vanilla):
    """Against RK4 at dt = 0.2, with the standard errors of both: RK4 at 0.4 is as good.

    Euler's method at dt = 0.05 changes the field's filter by O(dt): C_h(0) by up to 2.5 per cent.
    """
    found = small(gf.VanillaRNN(2.0), scheme=scheme, dt=dt, samples=500, batches=4)
    error = np.hypot(found.standard_error["h"][0], vanilla.standard_error["h"][0])
    allowed = 0.002 if scheme == "rk4" else 0.012
    assert abs(found.covariance["h"][0] - vanilla.covariance["h"][0]) < 5 * error + allowed
    # The step's own error, by halving it, is reported for the Runge-Kutta method.
    assert float(found.truncation) < 1e-3


# --- the same paths again


def test_redrawn_paths_are_the_paths(vanilla):
    """Fields of the stored spectra, and states whose power is that of the solution."""
    with jax.enable_x64(True):
        drawn = redraw(vanilla, 2)
        noise = np.mean(np.square(drawn.rows[0], dtype=float))
    assert drawn.rows[0].shape == (drawn.plan.steps, 1000)
    assert noise == pytest.approx(covariance_of(vanilla.spectra["h"][2])[0], rel=1e-5)
    assert drawn.state[0].shape == (1000,)


def test_snapshots_have_the_moments_of_the_solution(vanilla):
    """4000 units: <h^2> and <eta h>, which are C_h(0), within 5 of their own errors."""
    units = sampled_snapshots(vanilla, samples=4000, seed=1)
    assert units.state.shape == units.fields.shape == units.drive.shape == (1, 4000)
    assert units.state.dtype == np.float64 and not np.any(units.drive)
    h, eta = units.state[0], units.fields[0]
    for values in (h**2, eta * h):
        error = values.std() / np.sqrt(4000)
        assert abs(values.mean() - vanilla.covariance["h"][0]) < 5 * error
    assert np.unique(h).size == 4000
    other = sampled_snapshots(vanilla, samples=4000, seed=2)
    assert not np.allclose(other.state, units.state)


def test_snapshots_beyond_the_samples_take_other_moments(vanilla):
    units = sampled_snapshots(vanilla, samples=17000, seed=0)
    assert units.state.shape == (1, 17000) and np.unique(units.state).size > 16900


def test_snapshots_carry_the_drive():
    """Static and mean input: each unit's drive is its own constant, and enters its state."""
    given = GaussianInput(variance=0.5, mean=0.3)
    found = small(LinearFlow(0.6), inputs={"x": given})
    units = sampled_snapshots(found, samples=400)
    np.testing.assert_allclose(units.state, units.fields + units.drive, rtol=0, atol=1e-3)
    assert units.drive.mean() == pytest.approx(0.3, abs=1e-6)
    assert units.drive.var() == pytest.approx(0.5, rel=1e-5)


# --- networks


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        gf.GRU(gain_r=3.0, gain_z=3.0, gain_n=3.0),
        gf.GRU(gain_r=3.0, gain_z=3.0, gain_n=3.0, reset="before"),
        gf.LSTM(gain_i=3.0, gain_f=3.0, gain_g=3.0, gain_o=3.0),
    ],
    ids=["gru", "gru-before", "lstm"],
)
def test_maps_against_networks(cell):
    """Second moments of states and outputs, extrapolated in 1/N, in standard errors of both."""
    found = small(cell, samples=1000, batches=6)
    check = check_correlations(
        found,
        lags=(0, 2, 8),
        quantities=(cell.state_names[-1], f"y_{cell.field_names[-1]}"),
        sizes=(100, 200),
        networks=8,
        t_max=150,
        burn_in=60,
    )
    assert check.overall().agrees, str(check.overall())
    assert all(each.agrees for each in check.comparisons()), check.comparisons()
