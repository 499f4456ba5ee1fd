"""Transient mean-field theory against closed forms."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import comb, iv

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.networks.noise import GaussianInput
from gatefield.theory.dmft.transient import solve_transient

ROUNDING = 1e-12
# Sixteen batches, whose scatter gives standard errors to 18 per cent.
MANY: dict[str, Any] = {"samples": 1000, "batches": 16}


class Linear(gf.AbstractFlow):
    """dx/dt = -x + J x + I, of which everything is known."""

    gain: Any = 1.0

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ("x",)

    def gains(self):
        return {"x": self.gain}

    def outputs(self, state, fields, drive):
        return {"x": state["x"]}

    def rule(self, state, fields, drive):
        return {"x": fields["x"] - state["x"] + drive["x"]}


class LinearMap(Linear, gf.AbstractMap):
    """x' = keep x + J x + I."""

    keep: Any = 0.0

    def rule(self, state, fields, drive):
        return {"x": self.keep * state["x"] + fields["x"] + drive["x"]}


class Constant(gf.AbstractFlow):
    """dx/dt = -x + u, where every unit always sends 1: u is constant and Gaussian."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"x": 2.0}

    def outputs(self, state, fields, drive):
        return {"x": 1.0 + 0.0 * state["x"]}

    def rule(self, state, fields, drive):
        return {"x": fields["x"] - state["x"]}


class Chained(gf.AbstractMap):
    """x' = (J^b J^a + J^a + J^c) x: the output for b is the field a, and c reads what a reads."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("a", "b", "c")
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"a": 0.8, "b": 0.5, "c": 0.7}

    def outputs(self, state, fields, drive):
        x = state["x"]
        return {"a": x, "b": fields["a"], "c": x}

    def rule(self, state, fields, drive):
        return {"x": fields["a"] + fields["b"] + fields["c"]}


def agree(found, errors, expected):
    """Check numbers against exact ones: within 4.5 standard errors, which are below 10 per cent.

    Student's distribution of 15 degrees passes 4.5 in 1 of 2,400 comparisons, of which a test makes
    some tens, strongly correlated.
    """
    found, errors, expected = (np.asarray(each) for each in (found, errors, expected))
    assert np.all(errors > 0) and np.max(errors / np.max(np.abs(expected))) < 0.1
    np.testing.assert_array_less(np.abs(found - expected), 4.5 * errors)


def powers(count, keep, gain):
    """Return the parts (n k) keep^(n-k) gain^k of (keep + J)^n, n < count, in J^k / gain^k.

    <J^k v . J^l v> = gain^(2k) |v|^2 for k = l and 0 otherwise: parts @ parts.T are the moments.
    """
    n, k = np.arange(count)[:, None], np.arange(count)
    return comb(n, k) * keep ** np.where(n >= k, n - k, 0) * gain**k


# --- exact cases


@pytest.mark.parametrize(
    ("scheme", "dt"), [("euler", 0.1), ("adams-bashforth", 0.05)], ids=["euler", "adams-bashforth"]
)
@pytest.mark.slow
def test_linear_flow(scheme, dt):
    """<x(t) x(t')> = e^(-t-t') I_0(2 gain sqrt(t t')); Euler's method has a closed form, too.

    The second-order error of 1e-3, from a step of 0.05, is far below the standard errors.
    """
    solution = solve_transient(Linear(1.5), 3.0, dt=dt, scheme=scheme, save_every=0.5, **MANY)
    t = np.arange(0, 3.1, 0.5)
    np.testing.assert_allclose(solution.times, t, rtol=0, atol=ROUNDING)
    if scheme == "euler":
        parts = powers(31, 1 - dt, dt * 1.5)[::5]
        expected = parts @ parts.T
    else:
        expected = np.exp(-t - t[:, None]) * iv(0, 3.0 * np.sqrt(t * t[:, None]))
    for name, factor in (("x", 1.0), ("y_x", 1.0), ("eta_x", 1.5**2)):
        agree(solution.covariance[name], solution.standard_error[name], factor * expected)
    assert np.all(np.abs(solution.mean["x"]) < 4.5 * solution.mean_standard_error["x"])
    assert solution.status is Status.OK and solution.names == ("x", "eta_x", "y_x")


@pytest.mark.slow
def test_single_precision():
    """Outputs that are dependent beyond rounding, dt = 0.02, must not spoil the basis."""
    options = {**MANY, "dt": 0.02, "scheme": "euler", "dtype": "float32"}
    solution = solve_transient(Linear(1.5), 2.4, save_every=0.8, **options)
    parts = powers(121, 0.98, 0.02 * 1.5)[::40]
    agree(solution.covariance["x"], solution.standard_error["x"], parts @ parts.T)


def test_linear_map():
    """x_n = (keep + J)^n x_0: <x_n x_m> = sum_k (n k) (m k) keep^(n+m-2k) gain^(2k)."""
    cell = LinearMap(0.8, keep=0.5)
    solution = solve_transient(cell, 8, initial_variance=2.0, **MANY)
    np.testing.assert_array_equal(solution.times, np.arange(9))
    parts = powers(9, 0.5, 0.8)
    agree(solution.covariance["x"], solution.standard_error["x"], 2.0 * parts @ parts.T)


@pytest.mark.slow
def test_outputs_that_read_fields_and_fields_that_share_an_output():
    """Independent couplings: <x_n^2> = (0.8^2 0.5^2 + 0.8^2 + 0.7^2)^n, and <x_n x_m> = 0."""
    solution = solve_transient(Chained(), 4, **MANY)
    growth = 1.29 ** np.arange(5)
    factors = {"x": 1.0, "eta_a": 0.64, "y_b": 0.64, "eta_b": 0.16, "eta_c": 0.49}
    for name, factor in factors.items():
        found, error = solution.covariance[name], solution.standard_error[name]
        agree(np.diag(found), np.diag(error), factor * growth)
        off = ~np.eye(5, dtype=bool)
        assert np.all(np.abs(found[off]) < 4.5 * error[off])


@pytest.mark.slow
def test_without_gain_every_unit_decays():
    """Euler's factor (1 - dt) per step, on whatever start was drawn; gated: each rate its own."""
    cell = gf.GatedRNN(0.0, beta_z=0.7, tau_z=2.0, tau_r=0.5)
    start = {"h": 1.0, "z": 4.0, "r": 0.0}
    options: dict[str, Any] = {"dt": 0.1, "scheme": "euler", **MANY}
    solution = solve_transient(cell, 2.0, initial_variance=start, **options)
    rates = {"h": 1 / (1 + np.exp(-0.7)), "z": 1 / 2.0, "r": 1 / 0.5}
    for name, rate in rates.items():
        drawn = solution.covariance[name][0, 0]
        # Chi-square of 16000 degrees.
        assert abs(drawn - start[name]) <= 4 * start[name] * np.sqrt(2 / 16000)
        factor = (1 - 0.1 * rate) ** np.arange(21)
        expected = drawn * factor * factor[:, None]
        np.testing.assert_allclose(solution.covariance[name], expected, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(solution.covariance["eta_h"], np.zeros((21, 21)))


def test_a_constant_output_brings_a_constant_field():
    """Nothing new is ever sent: u stays as first drawn, N(0, 4), and x = u (1 - (1 - dt)^n)."""
    options: dict[str, Any] = {"dt": 0.1, "scheme": "euler", **MANY}
    solution = solve_transient(Constant(), 2.0, initial_variance=0.0, **options)
    drawn = solution.covariance["eta_x"][0, 0]
    agree([drawn], [solution.standard_error["eta_x"][0, 0]], [4.0])
    expected = np.full((21, 21), drawn)
    np.testing.assert_allclose(solution.covariance["eta_x"], expected, rtol=ROUNDING)
    rise = 1 - 0.9 ** np.arange(21)
    expected = drawn * rise * rise[:, None]
    np.testing.assert_allclose(solution.covariance["x"], expected, rtol=0, atol=ROUNDING)


# --- order of convergence


@pytest.mark.parametrize(("scheme", "order"), [("euler", 1), ("adams-bashforth", 2)])
@pytest.mark.slow
def test_convergence_order(scheme, order):
    """Errors at dt, dt/2, dt/4 fall by 2^order, up to order dt; no sampling error enters.

    Without gain the mean is e^(-t) mean(0) + (cos t + sin t - e^(-t)) / 2 for the input cos t.
    """
    t, errors = 2.0, []
    for dt in (0.2, 0.1, 0.05):
        found = solve_transient(Linear(0.0), t, inputs={"x": jnp.cos}, dt=dt, scheme=scheme, **MANY)
        forced = (np.cos(t) + np.sin(t) - np.exp(-t)) / 2
        errors.append(found.mean["x"][-1] - np.exp(-t) * found.mean["x"][0] - forced)
    orders = np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))
    # The next term of the error series is smaller by dt, with a factor of order one.
    np.testing.assert_allclose(orders[1], order, rtol=0, atol=2 * 0.1)
    assert abs(orders[1] - order) < abs(orders[0] - order)


# --- external input


def driven_covariance(keep, variance, steps, dt):
    """Return <x_n x_m> of x' = (1 - dt) x + dt I, I' = keep I + noise, by an exact recursion."""
    A = np.array([[1 - dt, dt], [0.0, keep]])
    moments = np.diag([1.0, variance])
    found = np.empty((steps + 1, steps + 1))
    for n in range(steps + 1):
        cross = moments
        for m in range(n, steps + 1):
            found[n, m] = found[m, n] = cross[0, 0]
            cross = A @ cross
        moments = A @ moments @ A.T + np.diag([0.0, variance * (1 - keep**2)])
    return found


@pytest.mark.parametrize("time", [0.5, np.inf], ids=["fluctuating", "static"])
def test_random_input(time):
    """Linear units under an Ornstein-Uhlenbeck input, or constants of their own.

    By the mean of 0.5 the second moment has a part 0.25 (1 - (1 - dt)^n) (1 - (1 - dt)^m).
    """
    given = GaussianInput(variance=3.0, mean=0.5, correlation_time=time)
    options: dict[str, Any] = {"dt": 0.1, "scheme": "euler", **MANY}
    solution = solve_transient(Linear(0.0), 2.0, inputs={"x": given}, **options)
    rise = 0.5 * (1 - 0.9 ** np.arange(21))
    expected = driven_covariance(np.exp(-0.1 / time), 3.0, 20, 0.1) + rise * rise[:, None]
    agree(solution.covariance["x"], solution.standard_error["x"], expected)
    # The initial mean is zero with an error of its own.
    assert np.all(np.abs(solution.mean["x"] - rise) < 4.5 * solution.mean_standard_error["x"])


@pytest.mark.slow
def test_an_input_that_is_new_at_every_step():
    """x' = A x + I, A = 0.5 + J, with I independent in time: sums of <A^k v . A^l v> = G_kl |v|^2.

    Every output is new to all earlier ones, 71 of them: the history outgrows its first room.
    """
    given = GaussianInput(variance=1.0, correlation_time=1e-3)
    solution = solve_transient(LinearMap(0.4, keep=0.5), 70, inputs={"x": given}, **MANY)
    parts = powers(71, 0.5, 0.4)
    G = parts @ parts.T
    expected = G.copy()
    for n in range(71):
        for m in range(71):
            expected[n, m] += sum(G[n - 1 - k, m - 1 - k] for k in range(min(n, m)))
    found, error = solution.covariance["x"], solution.standard_error["x"]
    agree(np.diag(found), np.diag(error), np.diag(expected))
    # Student's distribution passes 8 in 1 of 10^6 of 2485 comparisons.
    assert np.all(np.abs(found - expected) < 8 * error)


def test_maps_are_driven_by_the_step_number():
    """x' = I(n) with I(n) = n^2, or a number."""
    options: dict[str, Any] = {"initial_variance": 0.0, **MANY}
    squares = solve_transient(LinearMap(0.0), 4, inputs={"x": lambda n: n**2}, **options)
    np.testing.assert_array_equal(squares.mean["x"], [0, 0, 1, 4, 9])
    constant = solve_transient(LinearMap(0.0), 4, inputs={"x": 1.5}, **options)
    np.testing.assert_array_equal(constant.mean["x"], [0, 1.5, 1.5, 1.5, 1.5])
    np.testing.assert_array_equal(constant.mean_standard_error["x"], np.zeros(5))


# --- errors


@pytest.mark.slow
def test_standard_errors_are_those_of_networks_of_that_size():
    """x' = J x, M = 64: a batch's <x_0^2> scatters by 2/M, its <x_1^2> by (1 + 2/M)^2 - 1.

    |x_1|^2 is |x_0|^2 times an independent chi-square over M. A standard deviation from 400 batches
    has an error of 1 / sqrt(800), more by the kurtosis of (12 / M) / 4.
    """
    options: dict[str, Any] = {"samples": 64, "batches": 400}
    solution = solve_transient(LinearMap(1.0), 1, **options)
    found = np.diag(solution.standard_error["x"])
    expected = np.sqrt(np.array([2 / 64, (1 + 2 / 64) ** 2 - 1]) / 400)
    np.testing.assert_allclose(found, expected, rtol=4 / np.sqrt(800) * 1.2)
    mean_error = solution.mean_standard_error["x"]
    np.testing.assert_allclose(mean_error, 1 / np.sqrt(64 * 400), rtol=4 / np.sqrt(800) * 1.2)


def test_seeds():
    first, again, other = (
        solve_transient(LinearMap(1.0), 4, seed=seed, **MANY).covariance["x"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.all(first != other)


# --- times


def test_saved_times():
    """The step divides t_max; the last time is saved where it is no multiple of save_every."""
    options: dict[str, Any] = {"scheme": "euler", **MANY}
    every = solve_transient(Linear(1.0), 1.0, dt=0.15, **options)
    np.testing.assert_allclose(every.times, np.arange(8) / 7, rtol=0, atol=ROUNDING)
    some = solve_transient(Linear(1.0), 1.0, dt=0.15, save_every=3 / 7, **options)
    np.testing.assert_allclose(some.times, np.array([0, 3, 6, 7]) / 7, rtol=0, atol=ROUNDING)
    # What is saved does not depend on what else is.
    picked = every.covariance["x"][np.ix_([0, 3, 6, 7], [0, 3, 6, 7])]
    np.testing.assert_allclose(some.covariance["x"], picked, rtol=ROUNDING)


def test_long_runs_save_two_hundred_times():
    solution = solve_transient(Linear(0.0), 45.0, dt=0.1, scheme="euler", **MANY)
    np.testing.assert_allclose(solution.times, 0.3 * np.arange(151), rtol=0, atol=ROUNDING)


# --- failure


def test_divergence_is_reported():
    """x' = 1e10 x passes the largest double at step 31; x^2 half way."""
    cell = LinearMap(0.0, keep=1e10)
    with pytest.raises(NumericalFailureError, match="status 'diverged'.*throw=False"):
        solve_transient(cell, 40, **MANY)
    solution = solve_transient(cell, 40, throw=False, **MANY)
    assert solution.status is Status.DIVERGED
    np.testing.assert_allclose(
        solution.covariance["x"][3, 3], 1e60 * solution.covariance["x"][0, 0], rtol=1e-12
    )
    assert np.all(np.isnan(solution.covariance["x"][-1]))


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "no-cell": ("cell = ", {"cell": "gru"}),
    "per-unit": (r"cell.keep.shape = \(3,\).*GaussianInput", {"cell": LinearMap(1.0, np.ones(3))}),
    "too-few-samples": ("number of steps = 51: expected at most.*50.*samples", {"t_max": 51}),
    "fraction": ("steps of a map", {"t_max": 4.5}),
    "one-batch": ("batches = 1", {"batches": 1}),
    "map-with-dt": ("dt = 0.1: expected None", {"dt": 0.1}),
    "map-with-scheme": ("scheme = 'euler': expected one of 'map'", {"scheme": "euler"}),
    "rk4": ("scheme = 'rk4'.*'adams-bashforth'", {"cell": Linear(), "scheme": "rk4"}),
    "dt": ("dt = 0", {"cell": Linear(), "dt": 0}),
    "dtype": ("dtype = 'float16'", {"dtype": "float16"}),
    "save-every": ("save_every = -1", {"save_every": -1}),
    "variance": ("initial_variance = -1", {"initial_variance": -1}),
    "variance-of-one": (r"initial_variance\['x'\] = -1", {"initial_variance": {"x": -1}}),
    "variance-missing": ("Add x", {"initial_variance": {}}),
    "inputs": ("inputs = 'float'", {"inputs": 0.5}),
    "unknown-input": ("inputs = .*'h'", {"inputs": {"h": 0.5}}),
    "unknown-noise": ("inputs = .*'h'", {"inputs": {"h": GaussianInput(variance=1.0)}}),
    "per-unit-input": (r"inputs\['x'\].shape.*GaussianInput", {"inputs": {"x": np.ones(100)}}),
    "per-unit-function": (
        r"inputs\['x'\].shape = \(100,\)",
        {"inputs": {"x": lambda n: jnp.ones(100) * n}},
    ),
    "untraceable": (r"inputs\['x'\].*jax.numpy", {"inputs": {"x": lambda n: np.cos(float(n))}}),
    "infinite-input": (r"inputs\['x'\].*finite", {"inputs": {"x": np.inf}}),
    "seed": ("seed = -1", {"seed": -1}),
}


@pytest.mark.parametrize("case", WRONG)
def test_refusals(case):
    message, wrong = WRONG[case]
    options = {"cell": LinearMap(1.0), "t_max": 4, "samples": 100, "batches": 2, **wrong}
    with pytest.raises(InvalidInputError, match=message):
        solve_transient(options.pop("cell"), options.pop("t_max"), **options)
