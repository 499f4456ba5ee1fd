"""The largest Lyapunov exponent along sampled mean-field paths."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from sampled_cells import LinearFlow, LinearMap
from scipy.special import expit

import gatefield as gf
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.periodic import spectrum_of
from gatefield.theory.dmft.redraw import redraw
from gatefield.theory.dmft.sampled import solve_sampled
from gatefield.theory.lyapunov.sampled import sampled_exponent, tangent_sweep


def small(cell, **changes):
    """Solve with few samples, or as changed."""
    options: dict[str, Any] = {"inputs": {}, "samples": 200, "batches": 2, "progress": False}
    return solve_sampled(cell, **(options | changes))


def near(found, expected, *, errors=5.0, known=0.0):
    """Check the mean over batches: within five standard errors (Student, 5 degrees: 0.4 %)."""
    error = found.exponents.std(ddof=1) / np.sqrt(found.exponents.size)
    value = found.exponents.mean()
    assert found.converged and np.all(found.residuals < 1e-4)
    assert abs(value - expected) < errors * np.hypot(error, known), (value, error)
    return error


# --- fixed points


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        # s0 (rho - 1) with s0 = s_z(0) = 1/2, rho = g s_r(0) = 1/2.
        pytest.param(gf.GatedRNN(1.0), -0.25, id="gated"),
        pytest.param(gf.VanillaRNN(0.5), -0.5, id="vanilla"),
        pytest.param(gf.VanillaRNN(0.0), -1.0, id="uncoupled"),
        # Eigenvalues z + (1 - z) r J = 1/2 + J/4 at zero.
        pytest.param(gf.GRU(), np.log(0.75), id="gru"),
    ],
)
def test_the_zero_state_has_the_leading_edge(cell, expected):
    found = sampled_exponent(small(cell))
    np.testing.assert_allclose(found.exponents, expected, rtol=0, atol=1e-9)
    assert found.converged


def test_a_state_held_by_static_input_has_the_leading_edge():
    """x = J x + I at rest: -1 + J, whatever the input; maps: ln(keep + gain)."""
    inputs = {"x": GaussianInput(variance=0.5, mean=0.3)}
    options: dict[str, Any] = {"inputs": inputs}
    flow = sampled_exponent(small(LinearFlow(0.6), **options))
    np.testing.assert_allclose(flow.exponents, -0.4, rtol=0, atol=1e-6)
    discrete = sampled_exponent(small(LinearMap(0.3, 0.5), **options))
    np.testing.assert_allclose(discrete.exponents, np.log(0.8), rtol=0, atol=1e-6)


# --- sweeps of perturbations


def test_a_sweep_of_a_linear_flow_is_its_response():
    r"""X -> g^2 X / |lambda + 1 + i w|^2 for dx/dt = -x + g J x: the noise is orthonormal.

    The step's error is (w dt)^4 / 120 at the frequencies w < 3 compared here, below 1e-3.
    """
    given = {"x": GaussianInput(variance=0.5, correlation_time=2.0)}
    found = small(LinearFlow(0.6), inputs=given, dtype="float64")
    with jax.enable_x64(True):
        plan, rows, state = redraw(found, 0)
        noise = plan.noise(jax.random.key(5), 1)
        start = spectrum_of(np.exp(-plan.lags()))[None]
        tangent = [np.zeros(plan.samples)]
        for _ in range(2):
            image, tangent = tangent_sweep(plan, rows, state, noise, start, tangent, -0.3)
    w = 2 * np.pi * np.arange(start.shape[1]) / plan.period
    low = w < 3
    expected = 0.6**2 * start[0] / np.abs(0.7 + 1j * w) ** 2
    np.testing.assert_allclose(image[0][low], expected[low], rtol=1e-3)


def numpy_sweep(p, rows, pushes, state, tangent, rate):
    """Return perturbed outputs of a GRU with reset before, in plain NumPy, derivatives by hand."""
    h, v = state, tangent
    sent = np.empty((2, *rows[0].shape))
    for k in range(len(rows[0])):
        u_r, u_z, u_n = (row[k] for row in rows)
        w_r, w_z, w_n = (push[k] for push in pushes)
        r, z, n = expit(u_r), expit(u_z + p["bias_z"]), np.tanh(u_n)
        sent[:, k] = v, r * v + r * (1 - r) * w_r * h
        v = np.exp(-rate) * (z * v + (h - n) * z * (1 - z) * w_z + (1 - z) * (1 - n**2) * w_n)
        h = (1 - z) * n + z * h
    return (np.abs(np.fft.rfft(sent, axis=1)) ** 2).mean(-1) / len(rows[0]), v


def test_a_sweep_of_a_map_is_that_of_plain_numpy():
    """An output that reads a field (Q not zero); equal up to rounding over 256 steps."""
    p = {"bias_z": 0.5}
    cell = gf.GRU(gain_n=3.0, reset="before", **p)
    found = small(cell, samples=16, dtype="float64", tolerance=1e-2)
    with jax.enable_x64(True):
        plan, rows, state = redraw(found, 1)
        noise = plan.noise(jax.random.key(7), 3)
        X = spectrum_of(np.stack([np.exp(-plan.lags()), 0.5 * np.exp(-plan.lags() / 4)]))
        tangent = [np.linspace(-1, 1, 16)]
        image, end = tangent_sweep(plan, rows, state, noise, X, tangent, 0.05)
    n = plan.steps
    scales = (X[0], X[0], 9 * X[1])
    pushes = [
        np.fft.irfft(np.sqrt(n * S)[:, None] * w, n, axis=0)
        for S, w in zip(scales, noise, strict=True)
    ]
    expected, last = numpy_sweep(p, rows, pushes, state[0], tangent[0], 0.05)
    np.testing.assert_allclose(image, expected, rtol=1e-9)
    np.testing.assert_allclose(end[0], last, rtol=0, atol=1e-10)


# --- chaos


@pytest.fixture(scope="module")
def vanilla():
    """Return the vanilla network at g = 2."""
    return small(gf.VanillaRNN(2.0), samples=1000, batches=6)


def test_the_vanilla_network(vanilla):
    """lambda = .11245811 (THEORY section 7)."""
    assert near(sampled_exponent(vanilla), 0.11245811) < 0.005


def test_another_seed_of_the_perturbations_changes_little(vanilla):
    """Same paths: what the perturbations' own noise adds is less than the paths' scatter."""
    first, other = (sampled_exponent(vanilla, seed=seed).exponents for seed in (0, 1))
    assert not np.array_equal(first, other)
    assert abs(np.mean(first - other)) < 5 * np.std(first - other, ddof=1) / np.sqrt(6)
    np.testing.assert_array_equal(first, sampled_exponent(vanilla, seed=0).exponents)


def test_too_few_sweeps_are_said_to_be(vanilla):
    found = sampled_exponent(vanilla, max_sweeps=6)
    assert not found.converged and np.any(found.residuals > 1e-4)
    assert np.all(np.isfinite(found.exponents))


def test_perturbations_that_nothing_sends_do_not_converge():
    """gain 0 under moving input: no perturbation reaches another unit."""
    given = {"x": GaussianInput(variance=0.5, correlation_time=2.0)}
    found = sampled_exponent(small(LinearFlow(0.0), inputs=given))
    assert not found.converged
    np.testing.assert_allclose(found.exponents, -1.0, rtol=0, atol=1e-6)


def test_moving_input_to_a_linear_flow_leaves_its_edge():
    """-1 + g, whatever the input; the spectrum of a period of 205 has its top only at w = 0.

    Near it the image falls as (w / (1 + lambda))^2 = (2 pi / 205 / 0.6)^2 = 0.3 per cent at the
    next frequency: by residuals of 1e-4 the spectrum has not become one line, and lambda lies
    lower by less than that over four.
    """
    given = {"x": GaussianInput(variance=0.5, correlation_time=2.0)}
    solution = small(LinearFlow(0.6), inputs=given)
    found = sampled_exponent(solution, max_sweeps=40)
    np.testing.assert_allclose(found.exponents, -0.4, rtol=0, atol=3e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alpha_z", "alpha_r", "expected", "known"),
    [
        pytest.param(0.0, 0.0, 0.02337311, 0.0, id="no-gates"),
        pytest.param(0.0, 2.0, 0.07101677, 0.0, id="output-gate"),
        # Another code's value, with its own error.
        pytest.param(2.0, 1.0, 0.038, 0.002, id="both-gates"),
    ],
)
def test_the_gated_network(alpha_z, alpha_r, expected, known):
    """THEORY section 7, g = 3."""
    cell = gf.GatedRNN(3.0, alpha_z=alpha_z, alpha_r=alpha_r)
    solution = small(cell, samples=1000, batches=6)
    assert near(sampled_exponent(solution), expected, known=known) < 0.003
