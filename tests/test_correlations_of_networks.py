"""Correlation functions under random input and of random networks: honest errors, known values."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, f

import gatefield as gf
from gatefield import compare
from gatefield.analysis import correlation_functions
from gatefield.networks import GaussianInput

ROUNDING = 1e-12
QUIET: dict[str, Any] = {"progress": False}


class Copying(gf.AbstractMap):
    """x' = I."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ("i",)

    def gains(self):
        return {"u": 1.0}

    def outputs(self, state, fields, drive):
        return {"u": 0.0 * state["x"]}

    def rule(self, state, fields, drive):
        return {"x": drive["i"]}


def leaking(n):
    """Return dh/dt = -h + I: a network without gain."""
    return gf.Network.of_couplings(gf.VanillaRNN(0.0), {"h": np.zeros((n, n))})


# --- random input


def driven_covariance(lags, variance, tau):
    """Return C_h of dh/dt = -h + I, C_I = variance exp(-|t| / tau), in closed form."""
    lags = np.abs(lags)
    return variance * tau / (tau**2 - 1) * (tau * np.exp(-lags / tau) - np.exp(-lags))


def test_a_driven_leak_has_its_closed_form():
    """20 networks of 200 units, and what the input's interpolation between steps takes away."""
    tau, variance, dt = 2.5, 1.4, 0.05
    process = GaussianInput(variance=variance, correlation_time=tau, mean=0.3)
    found = correlation_functions(
        [leaking(200)] * 20,
        20.0,
        burn_in=15.0,
        max_lag=8.0,
        dt=dt,
        save_every=10,
        inputs={"h": process},
        **QUIET,
    )
    # Linear interpolation lowers the variance between samples by up to 1 - e^(-dt/tau) = 2 per
    # cent, but slow frequencies by (w dt)^2/12 alone, w^2 being 1/tau here.
    bias = dt**2 / 12 / tau * variance
    for row, lag in enumerate(found.lags):
        expected = 0.3**2 + driven_covariance(lag, variance, tau)
        values = found.by_network["h"][:, row]
        assert compare.compare(expected, values, theory_error=bias, name=f"lag {lag}").agrees
    deviation = (float(found.mean["h"]) - 0.3) / float(found.mean_standard_error["h"])
    assert abs(deviation) < 4


def test_a_copying_map_has_the_covariance_of_its_input():
    """Samples at each step: interpolated ones would have less variance, and more one step on."""
    process = GaussianInput(variance=1.4, correlation_time=1.5)
    networks = [gf.Network.of_couplings(Copying(), {"u": np.zeros((100, 100))})] * 20
    options: dict[str, Any] = {"burn_in": 1, "max_lag": 3, "inputs": {"i": process}, **QUIET}
    found = correlation_functions(networks, 100, **options)
    for lag in range(4):
        theory = 1.4 * np.exp(-lag / 1.5)
        assert compare.compare(theory, found.by_network["x"][:, lag], name=f"lag {lag}").agrees


def test_block_errors_are_the_scatter_of_repetitions():
    """40 runs of 10 units, 8 blocks of 60 time units each: an F statistic of 39 and 280."""
    tau, count = 0.5, 40
    process = GaussianInput(variance=1.0, correlation_time=tau)
    options: dict[str, Any] = {"burn_in": 8.0, "max_lag": 1.0, "dt": 0.1, "blocks": 8, **QUIET}
    runs = [
        correlation_functions(
            leaking(10), 8 * 60.0, seed=seed, save_every=5, inputs={"h": process}, **options
        )
        for seed in range(count)
    ]
    for lag in range(3):
        values = np.array([run.covariance["h"][lag] for run in runs])
        reported = np.mean([run.standard_error["h"][lag] ** 2 for run in runs])
        low, high = f.ppf([1e-4, 1 - 1e-4], count - 1, 7 * count)
        assert low < np.var(values, ddof=1) / reported < high
    means = np.array([float(run.mean["h"]) for run in runs])
    reported = np.mean([float(run.mean_standard_error["h"]) ** 2 for run in runs])
    low, high = f.ppf([1e-4, 1 - 1e-4], count - 1, 7 * count)
    assert low < np.var(means, ddof=1) / reported < high


def test_inputs_are_drawn_for_each_network_and_drive():
    """Static inputs of N units: the square at rest is N chi-square; no two are the same."""
    n = 100
    cell = gf.GatedRNN(0.0, input_gating="update")
    networks = [gf.Network.sample(cell, n, seed=1)] * 6
    static = GaussianInput(variance=2.0)
    options: dict[str, Any] = {
        "burn_in": 80.0,
        "max_lag": 0.0,
        "dt": 0.5,
        "quantities": ("h", "z", "r"),
        **QUIET,
    }
    inputs = dict.fromkeys("hzr", static)
    found = correlation_functions(networks, 2.0, inputs=inputs, seed=4, **options)
    values = np.concatenate([found.by_network[name][:, 0] for name in "hzr"])
    assert np.unique(values).size == 18
    low, high = chi2.ppf([1e-6, 1 - 1e-6], n) / n
    assert np.all((low < values / 2) & (values / 2 < high))
    again = correlation_functions(networks, 2.0, inputs=inputs, seed=4, **options)
    other = correlation_functions(networks, 2.0, inputs=inputs, seed=5, **options)
    np.testing.assert_array_equal(found.by_network["r"], again.by_network["r"])
    assert np.all(found.by_network["r"] != other.by_network["r"])


def test_inputs_may_depend_on_the_network():
    found = correlation_functions(
        [leaking(3)] * 3,
        4.0,
        burn_in=40.0,
        max_lag=0.0,
        inputs=lambda number: {"h": 1.0 + number},
        **QUIET,
    )
    np.testing.assert_allclose(found.by_network["h"][:, 0], [1, 4, 9], rtol=ROUNDING)


# --- published numbers


def test_vanilla_networks_have_the_variance_of_the_theory():
    """THEORY 7 gives .48120135 at g = 2; here from energy conservation: V(C_0) = V(0).

    With V(C) = <Phi(x) Phi(y)> - C^2/2, Phi = ln cosh(g x) / g, which C'' = -dV/dC conserves.
    """
    x = np.linspace(-12, 12, 4001)
    weights = np.exp(-(x**2) / 2) / np.sum(np.exp(-(x**2) / 2))

    def gain(variance):
        area = np.log(np.cosh(2 * np.sqrt(variance) * x)) / 2
        return weights @ area**2 - (weights @ area) ** 2 - variance**2 / 2

    theory = brentq(gain, 0.1, 1.0, xtol=1e-12)
    assert theory == pytest.approx(0.48120135, abs=1e-8)
    networks = [gf.Network.sample(gf.VanillaRNN(2.0), 400, seed=seed) for seed in range(50, 62)]
    found = correlation_functions(
        networks, 200.0, burn_in=50.0, max_lag=0.0, dt=0.2, quantities=("h",), **QUIET
    )
    # At N = 400 the bias of order 1/N is below the error of 2 per cent.
    assert compare.compare(theory, found.by_network["h"][:, 0]).agrees


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alpha_r", "expected"),
    [(0.0, (0.08307626, 0.076027, 0.060151)), (2.0, (0.10790876, 0.079145, 0.038320))],
    ids=["ungated", "gated"],
)
def test_gated_networks_have_the_covariance_of_the_theory(alpha_r, expected):
    """THEORY 6, g = 3, at lags 0, 5 and 10, extrapolated over sizes."""
    cell = gf.GatedRNN(3.0, alpha_r=alpha_r)
    values: list[dict[int, Any]] = [{}, {}, {}]
    for n, count in ((200, 16), (400, 10)):
        networks = [gf.Network.sample(cell, n, seed=seed) for seed in range(50, 50 + count)]
        found = correlation_functions(
            networks,
            250.0,
            burn_in=100.0,
            max_lag=10.0,
            dt=0.25,
            save_every=20,
            quantities=("h",),
            **QUIET,
        )
        for row in range(3):
            values[row][n] = found.by_network["h"][:, row]
    for row, theory in enumerate(expected):
        assert compare.compare_sizes(theory, values[row], name=f"C_h({5 * row})").agrees
