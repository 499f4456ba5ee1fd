"""Periodic paths, sweeps of units along them, and the acceleration of sweeps."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from scipy.special import expit

import gatefield as gf
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.anderson import Anderson
from gatefield.numerics.periodic import covariance_of, drawn_path, power, spectrum_of
from gatefield.theory.dmft.paths import PathPlan, sweep


def test_a_spectrum_and_its_covariance_belong_together():
    """Round a period: two-sided exponential, its transform by hand, and paths drawn from it."""
    lags = 0.1 * np.arange(129)
    covariance = 0.3 + np.exp(-lags)
    spectrum = spectrum_of(covariance)
    by_hand = [
        covariance[0]
        + 2 * np.sum(covariance[1:-1] * np.cos(2 * np.pi * k * np.arange(1, 128) / 256))
        + covariance[-1] * (-1) ** k
        for k in (0, 1, 7)
    ]
    np.testing.assert_allclose(spectrum[[0, 1, 7]], by_hand, rtol=1e-12)
    np.testing.assert_allclose(covariance_of(spectrum), covariance, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_drawn_paths_have_exactly_the_spectrum_and_are_independent(dtype):
    """Rows are orthonormal at each frequency: powers and covariances hold to rounding."""
    with jax.enable_x64(True):
        plan = PathPlan.of_cell(
            gf.VanillaRNN(), {}, samples=16, steps=256, dt=0.1, scheme="rk4", dtype=dtype
        )
        noise = plan.noise(jax.random.key(3), 3)
    spectrum = spectrum_of(0.3 + np.exp(-plan.lags()))
    paths = [drawn_path(row, spectrum) for row in noise]
    rounding = 30 * np.finfo(dtype).eps
    for path in paths:
        assert path.shape == (256, 16) and path.dtype == dtype
        np.testing.assert_allclose(power(path), spectrum, rtol=rounding)
        # No part that stays the same has a mean over samples.
        assert abs(path.mean()) < rounding
    cross = np.mean(paths[0] * paths[1])
    assert abs(cross) < rounding * spectrum[0]
    assert np.std(paths[0][0]) > 0.5


def numpy_sweep(p, spectra, noise, state, dt):
    """Return the outputs' powers of the gated RNN, by Euler's method, in plain NumPy."""
    n = 2 * (spectra.shape[1] - 1)
    eta = [np.fft.irfft(np.sqrt(n * spectra[k])[:, None] * noise[k], n, axis=0) for k in range(3)]
    h, z, r = state
    sent = np.empty((2, n, h.size))
    for k in range(n):
        phi = np.tanh(p["g_h"] * h + p["beta_h"])
        sent[:, k] = phi * expit(p["alpha_r"] * r), phi
        dh = expit(p["alpha_z"] * z) * (eta[0][k] - h)
        dz, dr = (eta[1][k] + 0.3 - z) / p["tau_z"], eta[2][k] - r
        h, z, r = h + dt * dh, z + dt * dz, r + dt * dr
    return (np.abs(np.fft.rfft(sent, axis=1)) ** 2).mean(-1) / n, (h, z, r)


def test_a_sweep_is_that_of_plain_numpy():
    """The same noise, by Euler's method: equal up to rounding over 256 contracting steps."""
    p: dict[str, Any] = {"g_h": 2.0, "alpha_z": 3.0, "alpha_r": 2.0, "beta_h": 0.2, "tau_z": 0.7}
    inputs = {"z": GaussianInput(variance=0.0, mean=0.3)}
    options: dict[str, Any] = {"samples": 16, "steps": 256, "dt": 0.1, "dtype": "float64"}
    state = list(np.random.default_rng(0).standard_normal((3, 16)))
    with jax.enable_x64(True):
        plan = PathPlan.of_cell(gf.GatedRNN(**p), inputs, scheme="euler", **options)
        lags = plan.lags()
        outputs = spectrum_of(np.stack([0.1 * np.exp(-lags), 0.4 * np.exp(-lags / 3)]))
        noise = plan.noise(jax.random.key(1), 3)
        found, end = sweep(plan, noise, outputs, state)
    expected, last = numpy_sweep(p, outputs[[0, 1, 1]], noise, state, 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(np.stack(end), np.stack(last), rtol=0, atol=1e-12)


def test_anderson_solves_a_linear_problem_within_its_dimension():
    """x = A x + b with three slow modes: exact after four images, where plain steps need 500."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    rates = np.zeros(20)
    rates[:3] = 0.98, 0.9, -0.7
    A, b = basis @ np.diag(rates) @ basis.T, 1 + rng.standard_normal(20)
    accelerate, x = Anderson(np.ones(20)), np.zeros(20)
    for _ in range(8):
        x = accelerate(x, A @ x + b)
    np.testing.assert_allclose(x, np.linalg.solve(np.eye(20) - A, b), rtol=1e-8)


@pytest.mark.parametrize("factors", [(0.95, 0.9), (1.05, 1.02)], ids=["falling", "growing"])
def test_anderson_keeps_the_direction_of_a_decay_or_a_growth(factors):
    """Zero solves x = A x: a growing iteration is not thrown there, a falling one is led there."""
    accelerate, x = Anderson(np.ones(2)), np.array([1.0, 0.5])
    sizes = [float(np.linalg.norm(x))]
    for _ in range(12):
        x = accelerate(x, np.array(factors) * x)
        sizes.append(float(np.linalg.norm(x)))
    growing = factors[0] > 1
    assert all(
        (after >= before) == growing for before, after in zip(sizes, sizes[1:], strict=False)
    )
    if not growing:
        assert sizes[-1] < 1e-3 * 0.95**12
