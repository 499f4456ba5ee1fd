"""Units of a mean-field state at one moment: their moments, and the boundary they give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

import gatefield as gf
from gatefield.theory.dmft import GaussianInput, mean_field_units, solve_dmft

DRIVEN = {
    "h": GaussianInput(variance=0.02, mean=0.1, correlation_time=2.0),
    "z": GaussianInput(variance=0.3),
    "r": GaussianInput(variance=0.2, mean=-0.1),
}


@pytest.mark.parametrize("inputs", [{}, DRIVEN], ids=["alone", "driven"])
def test_units_have_the_moments_of_the_solution(inputs):
    """<h^2>, <h dh/dt> = 0, <(field + input)^2>, independence: quasi-random sums of 2^14 units."""
    cell = gf.GatedRNN(3.0, alpha_r=5.0, beta_z=0.3, tau_r=0.5)
    found = solve_dmft(cell, inputs=inputs)
    units = mean_field_units(found, samples=2**14, seed=3)
    assert units.state.shape == units.fields.shape == units.drive.shape == (3, 2**14)
    rate = expit(0.3)
    pulls = units.fields + units.drive / np.array([[rate], [1.0], [1.0]])
    V = np.array([found.inputs[name].variance if inputs else 0.0 for name in "hzr"])
    V[0] /= rate**2
    means = [float(found.mean[name]) for name in "hzr"]
    C0 = [float(found.covariance[name][0]) - m**2 for name, m in zip("hzr", means, strict=True)]
    sent = [float(found.covariance[f"eta_{name}"][0]) for name in "hzr"]
    # Sobol' sums of 2^14 points err by a few 1e-4 of a variance.
    np.testing.assert_allclose(units.state.mean(axis=1), means, atol=1e-3)
    np.testing.assert_allclose(units.state.var(axis=1), C0, rtol=2e-3)
    np.testing.assert_allclose(pulls.mean(axis=1), means, atol=1e-3)
    np.testing.assert_allclose(pulls.var(axis=1), sent + V, rtol=2e-3)
    np.testing.assert_allclose(units.drive.var(axis=1), V * [rate**2, 1, 1], rtol=2e-3)
    moved = units.state - np.array(means)[:, None]
    imbalance = pulls - units.state
    everything = np.concatenate([moved, imbalance])
    correlation = np.corrcoef(everything)
    np.testing.assert_allclose(correlation, np.eye(6), atol=5e-3)
    again = mean_field_units(found, samples=2**14, seed=3)
    np.testing.assert_array_equal(units.state, again.state)
    assert np.any(mean_field_units(found, samples=2**14, seed=4).state != units.state)


def test_units_of_a_fixed_point_do_not_move():
    cell = gf.GatedRNN(1.2, alpha_r=1.0, beta_h=0.5)
    found = solve_dmft(cell)
    units = mean_field_units(found, samples=256)
    np.testing.assert_allclose(units.fields, units.state, atol=1e-6)
    # A mean whose square rounds differently as a power and as a product.
    held = solve_dmft(gf.GatedRNN(1.0), inputs={"z": 1.885376393636725})
    assert np.all(mean_field_units(held, samples=64).state[1] == 1.885376393636725)
    (static,) = gf.solve_static(cell)
    edge = gf.spectral_boundary(found, samples=2**14).leading_edge
    # Averages over units against the closed form.
    assert float(edge) == pytest.approx(float(gf.spectral_boundary(static).leading_edge), abs=1e-3)


def test_boundary_of_a_moving_state_is_near_that_of_networks():
    """THEORY.md section 5: one network of N = 1000 at g = 3, alpha_r = 5 has .2091 and .784.

    Edges scatter by a few hundredths; what is left out by a wrong formula (the bracket D_t) is
    larger: see the table there.
    """
    found = solve_dmft(gf.GatedRNN(3.0, alpha_r=5.0))
    boundary = gf.spectral_boundary(found)
    assert float(boundary.leading_edge) == pytest.approx(0.2091, abs=0.02)
    assert float(boundary.largest_imaginary) == pytest.approx(0.784, abs=0.01)
    finer = gf.spectral_boundary(found, samples=2**14, seed=1)
    assert float(finer.leading_edge) == pytest.approx(float(boundary.leading_edge), abs=1e-4)


@pytest.mark.slow
def test_boundary_of_a_moving_state_contains_a_networks_eigenvalues():
    """N = 500, no sampling of the network's own: at most 1.5 per cent outside (THEORY.md, 5)."""
    cell = gf.GatedRNN(3.0, alpha_r=5.0)
    boundary = gf.spectral_boundary(solve_dmft(cell))
    network = gf.Network.sample(cell, 500, seed=1)
    state = gf.simulate(network, 100.0, seed=1).states[-1]
    eigenvalues = np.linalg.eigvals(np.asarray(gf.jacobian(network, state).as_matrix()))
    inside = np.asarray(boundary.contains(eigenvalues))
    assert np.mean(~inside) <= 0.015
    # Not empty: they fill it, to N^(-1/2).
    assert np.max(eigenvalues.imag) == pytest.approx(float(boundary.largest_imaginary), abs=0.045)
    assert np.max(eigenvalues.real) == pytest.approx(float(boundary.leading_edge), abs=0.06)
