"""The largest exponent of networks against mean-field theory, as networks grow."""

from __future__ import annotations

import numpy as np
import pytest

import gatefield as gf


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "dt"),
    [
        (gf.VanillaRNN(3.0), 0.1),
        (gf.GatedRNN(4.0, alpha_r=3.0), 0.1),
    ],
    ids=["vanilla", "gated"],
)
def test_networks_meet_mean_field_theory_as_they_grow(cell, dt):
    """Eight networks of each size: what separates them from theory is a / N, and nothing else."""
    theory = gf.mean_field_lyapunov(gf.solve_dmft(cell)).exponent
    deviations, errors = [], []
    for n in (100, 200, 400):
        networks = [gf.Network.sample(cell, n, seed=100 * n + seed) for seed in range(8)]
        found = gf.lyapunov_spectra(
            networks, 1, t_max=150.0, burn_in=60.0, frame_burn_in=20.0, dt=dt, progress=False
        )
        deviations.append(found.mean[0] - theory)
        errors.append(found.standard_errors[0])
    deviations, errors = np.array(deviations), np.array(errors)
    inverse = np.array([1 / 100, 1 / 200, 1 / 400])
    design = np.stack([np.ones(3), inverse], axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    limit, slope = covariance @ design.T @ (deviations / errors)
    assert abs(limit) < 3 * np.sqrt(covariance[0, 0]) < theory / 5
    rest = (deviations - limit - slope * inverse) / errors
    assert abs(rest @ rest) < 10.8  # chi-square of one degree of freedom, p = .001
    assert abs(deviations[-1]) < abs(deviations[0]) / 2
