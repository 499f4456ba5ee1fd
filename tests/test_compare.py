"""The harness itself, and the five regions of the phase diagram on simulated networks."""

from __future__ import annotations

import numpy as np
import pytest

import gatefield as gf
from gatefield import compare
from gatefield.analysis import perturbation_growth
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status


def test_deviation_is_in_standard_errors():
    result = compare.compare(1.0, [2.0, 3.0, 4.0])
    # mean 3, standard deviation 1, error 1/sqrt(3).
    assert float(result.standard_error) == pytest.approx(1 / np.sqrt(3))
    assert float(result.deviation) == pytest.approx(2 * np.sqrt(3))
    assert compare.compare(1.0, [2.0, 3.0, 4.0], theory_error=2.0).agrees


def test_harness_rejects_a_wrong_theory_and_accepts_a_right_one():
    samples = np.random.default_rng(0).normal(0.5, 0.1, 200)
    assert compare.compare(0.5, samples).agrees
    assert not compare.compare(0.55, samples).agrees


def test_deviations_of_true_means_are_standard_normal():
    rng = np.random.default_rng(1)
    deviations = [float(compare.compare(0.0, rng.normal(size=50)).deviation) for _ in range(400)]
    # Student's distribution with 49 degrees of freedom: standard deviation sqrt(49/47).
    assert np.std(deviations) == pytest.approx(np.sqrt(49 / 47), abs=4 / np.sqrt(2 * 400))


def test_sizes_are_extrapolated():
    rng = np.random.default_rng(2)
    samples = {n: 1.0 + 5.0 / n + rng.normal(0, 0.5 / n, 20) for n in (100, 200, 400)}
    assert compare.compare_sizes(1.0, samples).agrees
    assert not compare.compare(1.0, samples[100]).agrees
    assert not compare.compare_sizes(1.01, samples).agrees


def test_harness_refuses_too_little():
    with pytest.raises(InvalidInputError, match="at least"):
        compare.compare(0.0, [1.0, 2.0])
    with pytest.raises(InvalidInputError, match="two sizes"):
        compare.compare_sizes(0.0, {10: [1.0, 2.0, 3.0]})


def test_perturbation_growth_of_a_linear_network_is_its_leading_real_part():
    # g = 0 leaves dh/dt = -h: the rate is -1, up to the fourth-order error of the step.
    network = gf.Network.sample(gf.VanillaRNN(g=0.0), 20)
    growth = perturbation_growth(network, np.ones((1, 20)), 10.0, dt=0.05)
    exact = np.log(1 - 0.05 + 0.05**2 / 2 - 0.05**3 / 6 + 0.05**4 / 24) / 0.05
    assert float(growth.rate) == pytest.approx(exact, abs=1e-12)


def test_perturbation_growth_at_a_fixed_point_is_the_leading_eigenvalue():
    network = gf.Network.sample(gf.GatedRNN(1.5, alpha_r=2.0), 60, seed=3)
    zero = np.zeros((3, 60))
    leading = np.linalg.eigvals(gf.jacobian(network, zero).as_matrix()).real.max()
    growth = perturbation_growth(network, zero, 400.0, discard=20, blocks=20)
    assert float(growth.rate) == pytest.approx(leading, abs=5e-3)


def test_nonzero_fixed_points_solve_the_network():
    network = gf.Network.sample(gf.GatedRNN(3.0, alpha_r=1.0), 60, seed=1)
    found = compare.nonzero_fixed_points(network, starts=20)
    assert len(found) > 0
    j = {name: network.coupling(name) for name in "hzr"}
    for h in found:
        active = np.tanh(3.0 * h)
        gate = 1 / (1 + np.exp(-1.0 * (j["r"] @ active)))
        np.testing.assert_allclose(j["h"] @ (active * gate), h, atol=1e-9)


def test_majority_must_be_odd():
    with pytest.raises(InvalidInputError, match="odd"):
        compare.check_region(1.5, 1.0, networks=2)


@pytest.mark.slow
@pytest.mark.parametrize("region", [1, 2, 3, 4, 5])
def test_networks_do_what_the_region_says(region):
    check = compare.check_region(*compare.REPRESENTATIVES[region], n=400, networks=3)
    assert int(check.region) == region
    assert bool(check.agrees), check.observation


def test_growth_that_leaves_the_finite_numbers_says_so():
    # Steps of 0.05 on a time constant of 0.001 are far beyond the stability of Runge-Kutta.
    network = gf.Network.sample(gf.GatedRNN(1.5, tau_z=1e-3), 5)
    with pytest.raises(NumericalFailureError, match="Reduce dt"):
        perturbation_growth(network, np.ones((3, 5)), 10.0)
    result = perturbation_growth(network, np.ones((3, 5)), 10.0, throw=False)
    assert result.status is Status.DIVERGED
    with pytest.raises(InvalidInputError, match="one state"):
        perturbation_growth(network, np.ones((2, 3, 5)), 10.0)
