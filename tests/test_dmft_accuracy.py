"""What solutions of the lag equations say of their own accuracy, and the line they stand on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatefield as gf
from gatefield.core.results import Status
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.half_line import barycentric, chebyshev
from gatefield.theory.dmft import lag_equations, moving, solve_dmft
from gatefield.theory.dmft.gated_form import gated_form
from gatefield.theory.dmft.lag_equations import newton, relax
from gatefield.theory.dmft.packing import unpacked


def test_the_truncation_bounds_the_error_of_every_component(monkeypatch):
    """Against a half line of twice as many lags.

    The truncation is that of 64 lags, the solution has 96, and is better.
    """
    cell, lags = gf.GatedRNN(100.0, alpha_r=100.0), np.geomspace(1e-3, 60.0, 60)
    found = solve_dmft(cell)
    monkeypatch.setattr(moving, "LAGS", 160)
    monkeypatch.setattr(moving, "_FINER", 192)
    finer = solve_dmft(cell)
    errors = {
        name: np.max(np.abs(found.at(name, lags) - finer.at(name, lags))) / finer.at(name, 0.0)
        for name in "hzr"
    }
    assert 0 < max(errors.values()) < float(found.truncation) < 1e-6
    assert float(finer.truncation) < float(found.truncation) / 10


@pytest.mark.parametrize("time", [0.05, 0.02, 1e-3])
def test_inputs_faster_than_the_network_are_resolved(time):
    """Input to z alone; z drives nothing at alpha_z = 0.

    C_z - C_r is the filtered input, V t (t e^(-lag/t) - e^-lag)/(t^2 - 1), whatever C_h is. A half
    line made for C_h alone would err by 1e-3 at t = 1e-3, and see only 3e-5 of it.
    """
    given = {"z": GaussianInput(variance=0.5, correlation_time=time)}
    found = solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0), inputs=given)
    lags = found.lags
    exact = 0.5 * time * (time * np.exp(-lags / time) - np.exp(-lags)) / (time**2 - 1)
    error = np.max(np.abs(found.covariance["z"] - found.covariance["r"] - exact))
    assert error / found.covariance["z"][0] < float(found.truncation) + 1e-11 < 1e-6
    # C_h knows nothing of it (THEORY.md section 6).
    assert found.covariance["h"][0] == pytest.approx(0.10790876, abs=0.5e-8)


def test_a_component_that_is_not_resolved_is_noticed(monkeypatch):
    """The same at t = 0.02 on a half line made for C_h alone: C_h(0) is right, C_z(0) is not."""
    monkeypatch.setattr(moving, "_core", lambda form, C, frame: 5.65)
    given = {"z": GaussianInput(variance=0.5, correlation_time=0.02)}
    found = solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0), inputs=given, throw=False)
    assert found.covariance["h"][0] == pytest.approx(0.10790876, abs=0.5e-8)
    assert found.status is Status.NOT_CONVERGED and float(found.truncation) > 1e-4


def test_the_residual_is_that_of_the_state_returned(monkeypatch):
    """After too few steps: its distance from what a sweep of the linear equations makes of it."""
    cell = gf.GatedRNN(3.0, alpha_r=2.0)
    _, frame, C = unpacked(solve_dmft(cell))
    form = gated_form(cell, {})
    monkeypatch.setattr(lag_equations, "_NEWTON", 1)
    start = C * np.array([[1.1], [1.0], [1.0]])
    after, history = newton(form, frame, start)
    assert len(history) == 2 and history[1] < 0.5 * history[0]
    for state, reported in zip((start, after), history, strict=True):
        # Rounding of the two routes: 1e-12 of C(0) by the condition of second derivatives.
        assert relax(form, frame, state, sweeps=1)[1] == pytest.approx(reported, abs=1e-10)


@pytest.mark.parametrize(("count", "status"), [(64, Status.OK), (8, Status.NOT_CONVERGED)], ids=str)
def test_gates_that_move_alone_are_judged_alike(count, status, monkeypatch):
    """C_r = V t (t e^(-lag/t) - e^-lag)/(t^2 - 1): too few lags are noticed by comparison."""
    monkeypatch.setattr(moving, "LAGS", count)
    monkeypatch.setattr(moving, "_FINER", count + 4)
    cell, time = gf.GatedRNN(1.5, alpha_r=2.0), 0.3
    given = {"r": GaussianInput(variance=0.4, correlation_time=time)}
    found = solve_dmft(cell, inputs=given, throw=False)
    exact = 0.4 * time * (time * np.exp(-found.lags / time) - np.exp(-found.lags)) / (time**2 - 1)
    error = np.max(np.abs(found.covariance["r"] - exact)) / exact[0]
    assert found.status is status and not np.any(found.covariance["h"])
    assert 0 < error < 3 * float(found.truncation) + 1e-12
    assert (float(found.truncation) > 1e-4) is (status is not Status.OK)


@pytest.mark.parametrize("kind", [np, jnp], ids=["numpy", "jax"])
def test_barycentric_interpolation_reproduces_polynomials(kind):
    """Of a degree below the number of nodes, at nodes and between, on a shifted line too."""
    curve = np.polynomial.Polynomial(np.random.default_rng(3).normal(size=9))
    x = 0.5 * (1 + chebyshev(9)[0])
    points = np.array([0.0, 1e-9, 0.3, x[4], 0.99, 1.0])
    with jax.enable_x64(True):
        matrix = barycentric(x, kind.asarray(points))
        assert isinstance(matrix, jax.Array) is (kind is jnp)
        values = np.asarray(matrix) @ curve(x)
    np.testing.assert_allclose(values, curve(points), rtol=1e-12)
