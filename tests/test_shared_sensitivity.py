"""Gradients by a parameter that all units share: against closed forms and networks."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from gradient_networks import (
    Decay,
    Power,
    Taken,
    Words,
    Wrapped,
    agree,
    gradients,
    mean_and_error,
    sensitivities,
    started,
)
from scipy.special import comb

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.networks.noise import GaussianInput
from gatefield.theory.adjoint import solve_shared_sensitivity

# Sixteen batches, whose scatter gives standard errors to 18 per cent.
MANY: dict[str, Any] = {"samples": 2000, "batches": 16, "burn_in": 0.0}


def parts(steps, keep, gain):
    """Return (n k) keep^(n-k) gain^k, of which (keep + gain J)^n is made, n <= steps."""
    n, k = np.arange(steps + 1)[:, None], np.arange(steps + 1)
    return comb(n, k) * keep ** np.where(n >= k, n - k, 0) * gain**k


def slopes(steps, keep, gain):
    """Return <v_n^2> of x_n = (keep + gain J)^n x_0, by keep and by gain: J^k x are orthogonal."""
    n, k = np.arange(steps + 1)[:, None], np.arange(steps + 1)
    both = parts(steps, keep, gain)
    by_keep = both * np.maximum(n - k, 0) / keep
    by_gain = both * k / gain
    return {"keep": np.sum(by_keep**2, axis=1), "gain": np.sum(by_gain**2, axis=1)}


# --- closed forms


def test_linear_map():
    """v_n = d/dtheta (keep + gain J)^n x_0; a weight of 3 and a start of variance 2 multiply it."""
    options = {**MANY, "terminal": {"x": 3.0}, "initial_variance": 2.0}
    solution = solve_shared_sensitivity(Power(0.8, keep=0.5), 8, **options)
    np.testing.assert_array_equal(solution.times, np.arange(9))
    assert solution.is_map and solution.status is Status.OK and solution.terminal == {"x": 3.0}
    for name, expected in slopes(8, 0.5, 0.8).items():
        found, error = solution.shared_gradient_variance[name], solution.standard_error[name]
        assert found[0] == error[0] == 0.0
        agree(found[1:], error[1:], 6 * expected[1:])
        np.testing.assert_allclose(3 * solution.sensitivity_variance[name][0], found, rtol=1e-12)


def test_flow_by_eulers_method():
    """dx/dt = -x + J tanh'(0) x: VanillaRNN at g x << 1 is linear, keep = 1 - dt, gain = dt g."""
    cell, dt = gf.VanillaRNN(1.5), 0.1
    options = {**MANY, "dt": dt, "scheme": "euler", "initial_variance": 1e-8}
    solution = solve_shared_sensitivity(cell, 3.0, parameters="g", **options)
    assert list(solution.shared_gradient_variance) == ["g"]
    expected = 1e-8 * dt**2 * slopes(30, 1 - dt, dt * 1.5)["gain"]
    found, error = solution.shared_gradient_variance["g"], solution.standard_error["g"]
    agree(found[1:], error[1:], expected[1:])


def test_outputs_that_read_fields_and_fields_that_share_an_output():
    """v_n = sum_m M^(n-1-m) M' M^m x_0 with M = J^b J^a + J^a + J^c: words of free matrices.

    <v_n^2> = n p^(n-1) <M', M'> + n (n-1) p^(n-2) <M, M'>^2, with p = <M, M>.
    """
    a, b, c = 0.8, 0.5, 0.7
    solution = solve_shared_sensitivity(Words(a, b, c), 5, **MANY)
    p, n = a**2 * b**2 + a**2 + c**2, np.arange(1, 6)
    products = {
        "gain_a": (b**2 + 1, a * b**2 + a),
        "gain_b": (a**2, a**2 * b),
        "gain_c": (1.0, c),
    }
    for name, (own, mixed) in products.items():
        expected = n * p ** (n - 1.0) * own + n * (n - 1) * p ** (n - 2.0) * mixed**2
        found, error = solution.shared_gradient_variance[name], solution.standard_error[name]
        agree(found[1:], error[1:], expected)


def test_a_window_begins_after_the_burn_in():
    """x' = gain J x: <x^2> is gain^(2 burn-in) where theta begins to act on it."""
    options = {**MANY, "burn_in": 4}
    solution = solve_shared_sensitivity(Power(0.8), 5, parameters=["gain"], **options)
    n = np.arange(1, 6)
    found, error = solution.shared_gradient_variance["gain"], solution.standard_error["gain"]
    agree(found[1:], error[1:], (n * 0.8 ** (n - 1.0)) ** 2 * 0.8**8)


def test_a_gain_of_zero():
    """x' = keep x + J x at gain 0: v_n = n keep^(n-1) J x_0, though no field acts."""
    solution = solve_shared_sensitivity(Power(0.0, keep=0.5), 5, **MANY)
    n = np.arange(1, 6)
    found, error = solution.shared_gradient_variance["gain"], solution.standard_error["gain"]
    agree(found[1:], error[1:], (n * 0.5 ** (n - 1.0)) ** 2)


def test_random_input():
    """Without gain x_n = keep^n x_0 + I (1 + keep + ... + keep^(n-1)), differentiated by keep."""
    inputs, keep, n = {"x": GaussianInput(variance=3.0)}, 0.5, np.arange(1, 6)
    options = {**MANY, "parameters": "keep"}
    solution = solve_shared_sensitivity(Power(0.0, keep=keep), 5, inputs=inputs, **options)
    brought = np.array([sum(k * keep ** (k - 1.0) for k in range(count)) for count in n])
    expected = (n * keep ** (n - 1.0)) ** 2 + 3 * brought**2
    found, error = solution.shared_gradient_variance["keep"], solution.standard_error["keep"]
    agree(found[1:], error[1:], expected)


@pytest.mark.parametrize(("scheme", "order"), [("euler", 1), ("adams-bashforth", 2)])
@pytest.mark.parametrize("burn_in", [0.0, 1.0], ids=["at-once", "burned-in"])
def test_convergence_order(scheme, order, burn_in):
    """Errors at dt, dt/2, dt/4 fall by 2^order; no sampling enters where nothing is coupled.

    x(t) = (b/k)(1 - e^(-kt)) and v = dx/dk of a rate that changes at the burn-in's end.
    """
    k, b, t = 0.7, 1.3, 2.0

    def end(rate):
        before = b / k * (1 - np.exp(-k * burn_in))
        return before * np.exp(-rate * t) + b / rate * (1 - np.exp(-rate * t))

    # Central differences: an error of order 1e-10.
    expected = (end(k + 1e-5) - end(k - 1e-5)) / 2e-5
    errors = []
    for dt in (0.1, 0.05, 0.025):
        options: dict[str, Any] = {"samples": 300, "batches": 2, "initial_variance": 0.0}
        options |= {"dt": dt, "scheme": scheme, "burn_in": burn_in, "parameters": "k"}
        solution = solve_shared_sensitivity(Decay(k, b), t, **options)
        found = solution.shared_gradient_variance["k"][-1]
        errors.append(np.sqrt(found) - abs(expected))
    orders = np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))
    # The next term of the error series is smaller by dt, with a factor of order one.
    np.testing.assert_allclose(orders[1], order, rtol=0, atol=0.2)


def test_seeds():
    cell = Power(0.8, keep=0.5)
    first, again, other = (
        solve_shared_sensitivity(cell, 3, seed=seed, **MANY).shared_gradient_variance["gain"]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.all(first[1:] != other[1:])


# --- networks

GATED = gf.GatedRNN(1.5, alpha_z=1.0, alpha_r=1.0, beta_h=0.2)
BEFORE = gf.GRU(gain_r=2.0, gain_z=1.5, gain_n=1.5, bias_z=0.5, bias_n=0.3, reset="before")
NETWORKS: dict[str, tuple[gf.AbstractCell, tuple[str, ...], int, float, int]] = {
    "gated": (GATED, ("g_h", "alpha_z", "beta_r", "tau_z"), 60, 0.1, 20),
    "gru": (BEFORE, ("gain_r", "gain_n", "bias_z"), 8, 1.0, 10),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NETWORKS)
def test_networks(case):
    """Sixteen networks of as many units as a batch has, whose law is the same."""
    cell, names, steps, dt, before = NETWORKS[case]
    options: dict[str, Any] = {"samples": 400, "batches": 16, "parameters": names}
    if not isinstance(cell, gf.AbstractMap):
        options |= {"dt": dt, "scheme": "euler"}
    solution = solve_shared_sensitivity(cell, steps * dt, burn_in=before * dt, **options)
    with jax.enable_x64(True):
        runs = [started(cell, 400, seed, dt=dt, burn_in=before) for seed in range(16)]
        for name in names:
            expected, spread = mean_and_error([sensitivities(run, steps, name) for run in runs])
            found, error = solution.shared_gradient_variance[name], solution.standard_error[name]
            # The first step of h knows nothing of the gates' time constants.
            picked = np.array([2, steps // 4, steps // 2, steps])
            expected, spread = expected[picked - 1, 0], spread[picked - 1, 0]
            agree(found[picked], error[picked], expected, spread, largest=0.2)


@pytest.mark.slow
def test_the_sum_over_units_is_not_the_diagonal():
    """Gated, g_h = 1.5, alpha = 1, T = 10: units' gradients are correlated, and add up to more.

    With a theta of its own for each unit, the mean squared gradient is a third of the shared one.
    """
    cell = gf.GatedRNN(1.5, alpha_z=1.0, alpha_r=1.0)
    options: dict[str, Any] = {**MANY, "samples": 400, "dt": 0.1, "scheme": "euler"}
    solution = solve_shared_sensitivity(cell, 10.0, parameters="g_h", **options)
    with jax.enable_x64(True):
        runs = [started(cell, 400, seed, dt=0.1, burn_in=0) for seed in range(16)]
        shared = [sensitivities(run, 100, "g_h")[-1, 0] for run in runs]
        own = [gradients(run, 100, "readout", seed)[1]["g_h"] for seed, run in enumerate(runs)]
    expected, spread = mean_and_error(shared)
    found, error = solution.shared_gradient_variance["g_h"][-1], solution.standard_error["g_h"][-1]
    agree(found, error, expected, spread, largest=0.15)
    diagonal, error = mean_and_error(own)
    assert diagonal + 4.5 * error < found / 2


# --- failure


def test_divergence_is_reported():
    """x' = 1e10 x passes the largest double at step 31, its sensitivity, squared, half way."""
    cell = Power(0.0, keep=1e10)
    options = {**MANY, "parameters": "keep"}
    with pytest.raises(NumericalFailureError, match=r"'diverged'.*throw=False"):
        solve_shared_sensitivity(cell, 40, **options)
    solution = solve_shared_sensitivity(cell, 40, throw=False, **options)
    assert solution.status is Status.DIVERGED
    found = solution.shared_gradient_variance["keep"]
    # v_2 = 2 keep x_0 and v_3 = 3 keep^2 x_0.
    np.testing.assert_allclose(found[3] / found[2], (1.5e10) ** 2, rtol=1e-12)
    assert not np.isfinite(found[-1])


def test_dataset():
    dataset = solve_shared_sensitivity(Power(0.8, keep=0.5), 3, **MANY).to_dataset()
    assert dataset["time"].attrs["units"] == "step"
    assert dataset.sizes["time"] == 4


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "no-cell": ("cell = ", {"cell": "gru"}),
    "per-unit": (r"cell.keep.shape = \(3,\).*GaussianInput", {"cell": Power(1.0, np.ones(3))}),
    "per-unit-part": (
        r"cell.part.keep.shape = \(3,\).*GaussianInput",
        {"cell": Wrapped(part=Power(1.0, np.ones(3)))},
    ),
    "taken": ("parameter of Taken = 'J_x'.*Rename", {"cell": Taken()}),
    "parameter": ("parameters = .*'g_h'.*'gain', 'keep'", {"parameters": "g_h"}),
    "number": ("parameters = 3: expected a parameter's name", {"parameters": 3}),
    "numbers": ("parameters = .*: expected a parameter's name", {"parameters": ["gain", 3]}),
    "none": (r"parameters = \[\]: expected at least one", {"parameters": []}),
    "too-few-samples": ("number of steps = 51.*horizon and burn_in", {"burn_in": 47}),
    "fraction": ("horizon .steps of a map. = 4.5", {"horizon": 4.5}),
    "burn-in": ("burn_in .steps of a map. = 0.5", {"burn_in": 0.5}),
    "negative": ("burn_in = -1", {"burn_in": -1}),
    "one-batch": ("batches = 1", {"batches": 1}),
    "map-with-dt": ("dt = 0.1: expected None", {"dt": 0.1}),
    "terminal": ("terminal = 2.0.*by component", {"terminal": 2.0}),
    "unknown": ("terminal = .*'h'", {"terminal": {"h": 1.0}}),
    "nothing": ("terminal = .*Nothing is read out", {"terminal": {"x": 0.0}}),
}


@pytest.mark.parametrize("case", WRONG)
def test_refusals(case):
    message, wrong = WRONG[case]
    options = {"cell": Power(1.0), "horizon": 4, "samples": 100, "burn_in": 0, **wrong}
    with pytest.raises(InvalidInputError, match=message):
        solve_shared_sensitivity(options.pop("cell"), options.pop("horizon"), **options)
