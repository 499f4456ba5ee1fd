"""Static mean-field theory from samples of units, and networks at their own fixed points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from static_reference import QUICK, independent, independent_roots, solve

import gatefield as gf
from gatefield.core.results import Status

# --- the sampled method


@pytest.fixture(scope="module")
def sampled():
    """Return the sampled solutions of one driven gated RNN for six seeds, and its parameters."""
    p = {
        "g_h": 1.5,
        "alpha_r": 1.0,
        "alpha_z": 1.0,
        "beta_h": 0.3,
        "V_h": 0.3,
        "V_z": 0.2,
        "V_r": 0.4,
        "I_z": 0.3,
    }
    return p, [solve(p, seed=seed, **QUICK) for seed in range(6)]


def test_sampled_variances_are_those_of_the_closed_form(sampled):
    """Within four standard errors of six independently scrambled point sets (Student: 1 %)."""
    p, solutions = sampled
    assert [len(branches) for branches in solutions] == [1] * 6
    (closed,) = solve(p)
    for name in "hzr":
        for which in ("variance", "mean", "field_variance"):
            values = [float(getattr(branches[0], which)[name]) for branches in solutions]
            error = np.std(values, ddof=1) / np.sqrt(6)
            expected = float(getattr(closed, which)[name])
            assert abs(np.mean(values) - expected) < 4 * error + 1e-12, (which, name)
            assert error < 1e-2
    assert all(branches[0].status is Status.OK for branches in solutions)


def test_sampled_radius_is_that_of_the_response_matrix(sampled):
    """At lambda = 0 M has mu^2 = a mu + b, while rho^2 = a + b: both cross one together.

    The reported standard error covers the distance to the exact value, and is confirmed by the
    scatter over seeds (a ratio of two estimates with 3 and 5 degrees of freedom: a factor of 4).
    """
    p, solutions = sampled
    (root,) = independent_roots(p)
    terms = independent(root, p)
    mu = (terms["a"] + np.sqrt(terms["a"] ** 2 + 4 * terms["b"])) / 2
    radii = np.array([float(branches[0].radius) for branches in solutions])
    errors = np.array([float(branches[0].standard_error) for branches in solutions])
    error = np.std(radii, ddof=1)
    assert abs(radii.mean() - np.sqrt(mu)) < 4 * error / np.sqrt(6)
    assert 1 / 4 < np.sqrt(np.mean(errors**2)) / error < 4
    assert abs(np.sqrt(terms["a"] + terms["b"]) - 1) > 0.1 and all(radii < 1)


def test_sampled_open_fraction_is_that_of_the_update_gate(sampled):
    """The docstring: the mean of the update gate (1 only for cells that have none)."""
    p, solutions = sampled
    expected = independent(independent_roots(p)[0], p)["open"]
    got = [float(branches[0].open_fraction) for branches in solutions]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-2)


def test_sampled_branches_and_stability_are_those_of_the_closed_form():
    """Three branches, one stable; D_h within four standard errors of six point sets."""
    p = {"g_h": 1.8, "alpha_r": 10.0}
    closed = solve(p)
    solutions = [solve(p, seed=seed, **QUICK) for seed in range(6)]
    for ours in solutions:
        assert len(ours) == len(closed) == 3
        assert [bool(branch.stable) for branch in ours] == [True, False, False]
        # At zero M is that of the vanilla network: its radius is g s_r(0), exactly.
        assert float(ours[0].variance["h"]) == 0.0
        assert float(ours[0].radius) == pytest.approx(0.9, abs=1e-12)
    for index in (1, 2):
        values = [float(ours[index].variance["h"]) for ours in solutions]
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert abs(np.mean(values) - float(closed[index].variance["h"])) < 4 * error


# --- networks at their own fixed points


def settled(cell, inputs, seed, t_max, *, n=500):
    """Let a network with drawn static inputs come to rest; return it, its state and its inputs."""
    rng = np.random.default_rng(seed)
    gains = cell.gains()
    couplings = {
        name: rng.standard_normal((n, n)) * (float(gains[name]) / np.sqrt(n))
        for name in cell.field_names
    }
    network = gf.Network.of_couplings(cell, couplings)
    drawn = {name: np.sqrt(v) * rng.standard_normal(n) for name, v in inputs.items()}
    # A fixed point is one of RK4 for every step.
    options: dict[str, Any] = {"dt": 0.5} if isinstance(cell, gf.AbstractFlow) else {"dt": None}
    before_last = round(t_max / (options["dt"] or 1)) - 1
    run = gf.simulate(network, t_max, inputs=drawn, seed=seed, save_every=before_last, **options)
    # At rest far below the statistical errors of 1e-3 that follow.
    assert np.max(np.abs(run.states[-1] - run.states[-2])) < 1e-5
    return network, run.final, drawn


def compare(values, expected, errors=4.0):
    """Check a mean over networks against theory: within four standard errors (Student, 7 degrees:

    0.5 per cent); corrections of order 1/N are smaller than the errors of order N^(-1/2).
    """
    values = np.asarray(values)
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - expected) < errors * error, (values.mean(), error, expected)
    # The comparison means something: the error is a few per cent.
    assert error < 0.05 * abs(expected), error / expected


SEEDS = range(8)


def test_fixed_points_of_networks_have_the_static_variances():
    """g = 1.5 with biases and gated static input: <h^2>, <z^2>, <r^2> and the open fraction."""
    p = {
        "g_h": 1.5,
        "alpha_r": 1.0,
        "alpha_z": 1.0,
        "beta_h": 0.3,
        "beta_z": 0.5,
        "V_h": 0.3,
        "V_r": 0.4,
    }
    (theory,) = solve(p)
    assert bool(theory.stable)
    cell = theory.cell
    states = [settled(cell, {"h": 0.3, "r": 0.4}, seed, 120.0)[1] for seed in SEEDS]
    for row, name in enumerate("hzr"):
        compare([np.mean(state[row] ** 2) for state in states], float(theory.variance[name]))
    opened = [np.mean(expit(state[1] + 0.5)) for state in states]
    compare(opened, float(theory.open_fraction))


def test_an_ungated_input_to_networks_with_a_constant_gate():
    """alpha_z = 0, I_h outside: h* = eta + I / s_z."""
    cell = gf.GatedRNN(1.4, alpha_r=2.0, beta_z=1.0)
    (theory,) = gf.solve_static(cell, input_variance={"h": 0.05})
    assert bool(theory.stable)
    states = [settled(cell, {"h": 0.05}, seed, 120.0)[1] for seed in SEEDS]
    compare([np.mean(state[0] ** 2) for state in states], float(theory.variance["h"]))


@pytest.mark.slow
def test_an_ungated_input_to_networks_with_a_moving_gate():
    """alpha_z > 0, I_h outside: not Gaussian, where only the sampled theory applies.

    The moving term D_t of the Jacobian stays at the fixed point; the networks are stable as the
    theory says. Its own error, over four seeds, is added to that of the networks.
    """
    cell = gf.GatedRNN(1.2, alpha_z=0.7, alpha_r=1.0)
    inputs = {"h": 0.05}
    theory = [
        gf.solve_static(cell, input_variance=inputs, seed=seed, **QUICK)[0] for seed in range(4)
    ]
    assert all(bool(branch.stable) for branch in theory)
    states = [settled(cell, inputs, seed, 120.0)[1] for seed in SEEDS]
    for row, name in enumerate("hzr"):
        expected = np.mean([float(branch.variance[name]) for branch in theory])
        compare([np.mean(state[row] ** 2) for state in states], expected)


@pytest.mark.parametrize(("g", "stable"), [(1.5, True), (5.0, False)], ids=["stable", "unstable"])
def test_stability_is_that_of_the_dense_jacobian(g, stable):
    """Zero fixed point, N = 200: -s_z + s_z g s_r J^h, edge -1/2 + g/4 with scatter N^(-1/2)."""
    cell = gf.GatedRNN(g, alpha_z=1.0, alpha_r=2.0, tau_z=2.0)
    zero = gf.solve_static(cell)[0]
    assert bool(zero.stable) == stable
    network = gf.Network.sample(cell, 200, seed=1)
    edge = np.linalg.eigvals(gf.jacobian(network, np.zeros((3, 200))).as_matrix()).real.max()
    assert (edge < 0) == stable
    # Below zero the slowest of -1/2 + g/4 and the z gate's -1/tau_z = -1/2 leads.
    assert edge == pytest.approx(max(-0.5 + g / 4, -0.5), abs=g / 4 * 3 / np.sqrt(200))


def test_stability_of_a_driven_fixed_point_is_that_of_the_dense_jacobian():
    """A settled network at N = 200, and the response matrix whose radius the theory predicts.

    J R (-A)^-1 L has the spectral radius sqrt(mu) of `independent`, with scatter of N^(-1/2).
    """
    p = {"g_h": 1.5, "alpha_r": 2.0, "alpha_z": 1.0, "beta_h": 0.2, "V_h": 0.1}
    (theory,) = solve(p)
    network, state, inputs = settled(theory.cell, {"h": 0.1}, 1, 200.0, n=200)
    operator = gf.jacobian(network, state, inputs=inputs)
    edge = np.linalg.eigvals(operator.as_matrix()).real.max()
    assert bool(theory.stable) and edge < 0
    blocks = gf.linearise(network, state, inputs=inputs)
    response = np.einsum("nkd,nde,nel->nkl", blocks.R, np.linalg.inv(-blocks.A), blocks.L)
    # Fields z and r have the same row of R; z answers nothing at rest: (h, r) suffice.
    J_h, J_r = network.coupling("h"), network.coupling("r")
    full = np.block(
        [
            [J_h * response[:, 0, 0], J_h * response[:, 0, 2]],
            [J_r * response[:, 2, 0], J_r * response[:, 2, 2]],
        ]
    )
    measured = np.abs(np.linalg.eigvals(full)).max()
    terms = independent(float(theory.variance["h"]), p)
    mu = (terms["a"] + np.sqrt(terms["a"] ** 2 + 4 * terms["b"])) / 2
    assert measured == pytest.approx(np.sqrt(mu), rel=3 / np.sqrt(200))


DRIVEN = {
    "gru": (
        gf.GRU(gain_r=1.0, gain_z=1.0, gain_n=0.9, bias_z=0.5, bias_hn=0.3),
        {"r": 0.4, "z": 0.3, "n": 0.5},
    ),
    "gru-reset-before": (
        gf.GRU(gain_r=1.0, gain_z=1.0, gain_n=0.9, bias_z=0.5, bias_hn=0.3, reset="before"),
        {"r": 0.4, "z": 0.3, "n": 0.5},
    ),
    "lstm": (
        gf.LSTM(gain_i=1.0, gain_f=0.5, gain_g=1.2, gain_o=1.0, bias_f=0.5, bias_g=0.2),
        {"i": 0.3, "f": 0.1, "g": 0.5, "o": 0.1},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIVEN)
def test_maps_come_to_rest_as_the_sampled_theory_says(name):
    """Variances and means of every component over eight driven networks of 500 units; stability.

    The theory's own error, of 4 x 512 quasi-random points, is below a tenth of the networks'.
    """
    cell, inputs = DRIVEN[name]
    (theory,) = gf.solve_static(cell, input_variance=inputs, **QUICK)
    assert bool(theory.stable) and float(theory.radius) < 0.9
    states = [settled(cell, inputs, seed, 300)[1] for seed in SEEDS]
    for row, component in enumerate(cell.state_names):
        variances = [np.var(state[row]) for state in states]
        compare(variances, float(theory.variance[component]))
        means = np.array([np.mean(state[row]) for state in states])
        error = np.std(means, ddof=1) / np.sqrt(len(means))
        assert abs(means.mean() - float(theory.mean[component])) < 4 * error


@pytest.mark.parametrize("gain", [0.6, 1.6])
def test_stability_of_the_zero_state_of_the_gru(gain):
    """h' = (1 - z) n + z h with z = r = 1/2 at zero: eigenvalues 1/2 + J/4, radius of J the gain.

    On the unit circle M(1) = (gain/4)^2 / (1 - 1/2)^2: the radius is gain / 2 exactly.
    """
    (zero,) = gf.solve_static(gf.GRU(gain_r=1.0, gain_z=1.0, gain_n=gain), **QUICK)[:1]
    assert float(zero.variance["h"]) == 0.0
    assert float(zero.radius) == pytest.approx(gain / 2, abs=1e-12)
