"""Static mean-field theory: reference numbers, independent solutions, options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from static_reference import independent, independent_roots, root_of, solve

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status

# The fold of section 4, where two fixed points appear: alpha*_FP(g).
FOLDS = {
    1.45: 266.2141126,
    1.5: 74.43308086,
    1.7: 13.02961199,
    1.8: 8.15697750,
    1.9: 5.38101388,
}


CASES: dict[str, dict[str, float]] = {
    "no-gate": {"g_h": 3.0},
    "three-branches": {"g_h": 1.8, "alpha_r": 10.0},
    "biases": {
        "g_h": 2.4,
        "alpha_r": 3.0,
        "alpha_z": 2.0,
        "beta_h": 0.2,
        "beta_r": -0.5,
        "beta_z": 0.7,
    },
    "two-stable": {"g_h": 1.7, "alpha_r": 16.0, "beta_h": 0.02, "alpha_z": 5.0},
    "inputs": {"g_h": 1.8, "alpha_r": 6.0, "alpha_z": 4.0, "V_h": 0.1, "V_r": 0.3, "V_z": 0.2},
    "means": {"g_h": 2.0, "alpha_r": 2.0, "alpha_z": 1.5, "I_h": 0.4, "I_r": -0.6, "I_z": 0.9},
    "random-biases": {
        "g_h": 2.0,
        "alpha_r": 2.0,
        "alpha_z": 1.0,
        "B_h": 0.3,
        "B_r": 0.5,
        "B_z": 0.8,
    },
    "everything": {
        "g_h": 2.2,
        "alpha_r": 4.0,
        "alpha_z": 3.0,
        "beta_h": 0.1,
        "beta_r": 0.3,
        "beta_z": -0.4,
        "I_h": 0.2,
        "I_r": 0.1,
        "I_z": -0.3,
        "V_h": 0.05,
        "V_r": 0.1,
        "V_z": 0.2,
        "B_h": 0.15,
        "B_r": 0.25,
        "B_z": 0.35,
    },
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.slow
def test_branches_against_an_independent_solution(case):
    """Every solution's variances, radius and open fraction; roots agree to the finder's 1e-11."""
    p = CASES[case]
    roots = independent_roots(p)
    has_zero = not any(p.get(name) for name in ("beta_h", "I_h", "V_h", "B_h"))
    branches = solve(p)
    assert len(branches) == len(roots) + has_zero
    for branch, root in zip(branches, [0.0] * has_zero + roots, strict=True):
        expected = independent(root, p)
        assert float(branch.variance["h"]) == pytest.approx(root, rel=1e-10, abs=1e-14)
        assert float(branch.radius) == pytest.approx(expected["radius"], abs=1e-9)
        assert bool(branch.stable) == (expected["radius"] < 1)
        assert float(branch.open_fraction) == pytest.approx(expected["open"], abs=1e-9)
        for name in "zr":
            assert float(branch.field_variance[name]) == pytest.approx(
                expected["activity"], abs=1e-10
            )
            assert float(branch.variance[name]) == pytest.approx(
                expected["activity"] + p.get(f"V_{name}", 0.0), abs=1e-10
            )
        assert float(branch.field_variance["h"]) == pytest.approx(
            root - p.get("V_h", 0.0), abs=1e-10
        )
        for name in "hzr":
            assert float(branch.mean[name]) == p.get(f"I_{name}", 0.0)
        assert branch.status is Status.OK and float(branch.residual) < 1e-12
        assert branch.method == "gaussian" and float(branch.standard_error) == 0.0


# --- reference numbers


def test_reference_point_of_section_3():
    zero, nonzero = gf.solve_static(gf.GatedRNN(3.0))
    assert float(nonzero.variance["h"]) == pytest.approx(0.0881504492, abs=1e-10)
    assert float(nonzero.radius) ** 2 == pytest.approx(1.13932322, abs=1e-8)
    assert float(zero.radius) == pytest.approx(1.5, abs=1e-14)
    assert not bool(nonzero.stable) and not bool(zero.stable)


@pytest.mark.parametrize(
    ("alpha_r", "radii"),
    [(8.1573, (1.160, 1.162)), (10.0, (1.117, 1.260)), (30.0, (1.098, 1.734))],
    ids=["8.1573", "10", "30"],
)
def test_radii_of_section_10(alpha_r, radii):
    """g = 1.8: the zero solution is stable, lower and upper branch are not."""
    branches = gf.solve_static(gf.GatedRNN(1.8, alpha_r=alpha_r))
    assert [bool(branch.stable) for branch in branches] == [True, False, False]
    got = [float(branch.radius) for branch in branches]
    np.testing.assert_allclose(got, [0.9, *radii], rtol=0, atol=5e-4)  # half the last digit


@pytest.mark.parametrize("g", FOLDS)
def test_a_close_pair_appears_at_the_fold(g):
    """One solution below alpha*_FP(g), three above: 1e-8 of it away, where the digits end."""
    for factor, count in ((1 - 1e-8, 1), (1 + 1e-8, 3)):
        branches = gf.solve_static(gf.GatedRNN(g, alpha_r=factor * FOLDS[g]))
        assert len(branches) == count
    # A square-root fold: the pair's ln D differ by sqrt(distance), of order 1e-4.
    low, high = (float(branch.variance["h"]) for branch in branches[1:])
    assert 1e-6 < high / low - 1 < 1e-2


@pytest.mark.parametrize("g", [0.5, 1.9, 2.1, 4.0])
@pytest.mark.parametrize("beta_r", [0.0, 1.2, -2.0])
def test_radius_of_the_zero_solution(g, beta_r):
    """rho = g s_r(0), whatever the gains of the gates; hence g = 2 is critical without a bias."""
    zero = gf.solve_static(gf.GatedRNN(g, alpha_r=3.0, alpha_z=7.0, beta_r=beta_r))[0]
    assert float(zero.variance["h"]) == 0.0
    assert float(zero.radius) == pytest.approx(g * expit(beta_r), rel=1e-13)
    assert bool(zero.stable) == (g * expit(beta_r) < 1)


def test_the_number_of_branches():
    """One below sqrt 2 and below the line, three above the fold, two above g = 2."""
    counts = [
        len(gf.solve_static(gf.GatedRNN(g, alpha_r=alpha_r)))
        for g, alpha_r in ((0.0, 5.0), (1.4, 1e3), (1.8, 5.0), (1.8, 12.0), (2.1, 0.0), (2.1, 12.0))
    ]
    assert counts == [1, 1, 1, 3, 2, 2]


@pytest.mark.parametrize(("alpha_r", "count"), [(0.0, 1), (1.0, 1), (5.0, 2)], ids=["0", "1", "5"])
@pytest.mark.slow
def test_exactly_at_the_critical_gain(alpha_r, count):
    """g = 2: mapped/D - 1 = c D with c of the sign of alpha_r - sqrt 8, zero at D = 0 alone.

    Below sqrt 8 zero is the only solution; above, the upper branch of g < 2 remains.
    """
    branches = gf.solve_static(gf.GatedRNN(2.0, alpha_r=alpha_r))
    variances = [float(branch.variance["h"]) for branch in branches]
    assert len(variances) == count and variances[0] == 0.0
    if count == 2:
        near = gf.solve_static(gf.GatedRNN(2.0 + 1e-9, alpha_r=alpha_r))[-1]
        # The branch moves by order one times the change of g.
        assert variances[1] == pytest.approx(float(near.variance["h"]), abs=1e-7)
        assert variances[1] > 1e-3
    assert len(gf.solve_static(gf.VanillaRNN(1.0))) == 1


def test_a_bias_that_is_zero_but_for_rounding():
    """np.arange(-.3, .3, .1)[3] is 5.6e-17: the solution is that of no bias."""
    bias = np.arange(-0.3, 0.3, 0.1)[3]
    assert 0 < bias < 1e-16
    (branch,) = gf.solve_static(gf.GatedRNN(1.5, alpha_r=2.0, beta_h=bias))
    assert float(branch.variance["h"]) < 1e-30
    assert float(branch.radius) == pytest.approx(0.75, abs=1e-12)


def test_small_biases_near_the_critical_gain():
    """Section 10: D_h = s0 [eps + sqrt(eps^2 + K beta_h^2)] / K; the error falls with eps."""
    alpha_r, beta_r = 0.6, 0.4
    s0 = expit(beta_r)
    K = (2 - alpha_r**2 * (1 - s0) * (2 - 3 * s0)) / s0**2
    ratios = []
    for eps in (4e-3, 2e-3, 1e-3):
        branch = gf.solve_static(
            gf.GatedRNN(1 / s0 + eps, alpha_r=alpha_r, beta_r=beta_r, beta_h=0.7 * eps)
        )[-1]
        expected = s0 * (eps + np.sqrt(eps**2 + K * (0.7 * eps) ** 2)) / K
        ratios.append(abs(float(branch.variance["h"]) / expected - 1))
    assert ratios[0] < 0.05
    # Halving eps halves the relative error, up to its own correction of order eps.
    for coarse, fine in zip(ratios[:-1], ratios[1:], strict=True):
        assert fine / coarse == pytest.approx(0.5, abs=0.05)


def test_a_steep_activation():
    """To order g^-3: <tanh^2> = 1 - 2/(g sqrt(2 pi D)), <sech^4> = 4/(3 g sqrt(2 pi D))."""
    g = 1000.0
    branch = gf.solve_static(gf.GatedRNN(g))[-1]
    D = root_of(lambda D: (1 - 2 / (g * np.sqrt(2 * np.pi * D))) / 4 - D, 0.01, 0.5)
    assert float(branch.variance["h"]) == pytest.approx(D, abs=10 / g**3)
    rho = np.sqrt(g**2 * 4 / (3 * g * np.sqrt(2 * np.pi * D)) / 4)
    assert float(branch.radius) == pytest.approx(rho, rel=10 / g**2)


def test_vanilla_rnn_is_the_gated_one_with_open_gates():
    """Biases, inputs and random biases alike; beta = 60 opens a gate to the last bit."""
    given: dict[str, Any] = {
        "input_mean": {"h": 0.3},
        "input_variance": {"h": 0.2},
        "bias_variance": {"h": 0.1},
    }
    gated = gf.GatedRNN(1.6, beta_h=0.2, beta_z=60, beta_r=60)
    (ours,) = gf.solve_static(gf.VanillaRNN(1.6, beta=0.2), **given)
    (theirs,) = gf.solve_static(gated, **given)
    for quantity in ("radius", "open_fraction"):
        assert float(getattr(ours, quantity)) == pytest.approx(float(getattr(theirs, quantity)))
    assert set(ours.variance) == {"h"}
    assert float(ours.variance["h"]) == pytest.approx(float(theirs.variance["h"]), rel=1e-13)
    p = {"g_h": 1.6, "beta_h": 0.2, "I_h": 0.3, "V_h": 0.2, "B_h": 0.1, "beta_r": 60.0}
    assert float(ours.variance["h"]) == pytest.approx(independent_roots(p)[0], rel=1e-10)


def test_the_update_gate_plays_no_part():
    """alpha_z, beta_z and input to z change the open fraction alone (Eq. 6)."""
    plain = gf.solve_static(gf.GatedRNN(2.5, alpha_r=2.0))
    cell = gf.GatedRNN(2.5, alpha_r=2.0, alpha_z=9.0, beta_z=-1.0)
    gated = gf.solve_static(cell, input_variance={"z": 2.0})
    for ours, theirs in zip(gated, plain, strict=True):
        assert float(ours.variance["h"]) == float(theirs.variance["h"])
        assert float(ours.radius) == float(theirs.radius)
        assert float(ours.open_fraction) < 0.5 == float(theirs.open_fraction)


# --- where the input stands


def test_an_ungated_static_input_needs_a_constant_update_gate():
    """THEORY 1: h* = eta + I / s_z is not Gaussian where s_z varies: refused, with the way out."""
    cell = gf.GatedRNN(1.5, alpha_z=1.0)
    driven: list[dict[str, Any]] = [
        {"input_variance": {"h": 0.1}},
        {"input_mean": {"h": 0.1}},
    ]
    for given in driven:
        for method in ("auto", "gaussian"):
            with pytest.raises(InvalidInputError) as error:
                gf.solve_static(cell, method=method, **given)
            for part in ("input_gating = 'none'", "alpha_z > 0", "'update'", "'sampled'"):
                assert part in str(error.value)
    with pytest.raises(InvalidInputError, match="not"):
        gf.solve_static(gf.GatedRNN(1.5), input_variance={"h": 0.1}, bias_variance={"z": 0.5})
    # Input to the gates alone is no obstacle.
    assert len(gf.solve_static(cell, input_variance={"z": 0.1, "r": 0.1})) == 1


def test_an_ungated_static_input_with_a_constant_update_gate():
    """alpha_z = 0: h* = eta + I / s_z, that is, an input of I / s_z inside."""
    s_z = expit(-0.8)
    given: dict[str, Any] = {"input_mean": {"h": 0.1}, "input_variance": {"h": 0.04}}
    (outside,) = gf.solve_static(gf.GatedRNN(1.5, alpha_r=2.0, beta_z=-0.8), **given)
    (expected,) = solve({"g_h": 1.5, "alpha_r": 2.0, "I_h": 0.1 / s_z, "V_h": 0.04 / s_z**2})
    assert float(outside.variance["h"]) == pytest.approx(float(expected.variance["h"]), rel=1e-12)
    assert float(outside.mean["h"]) == pytest.approx(0.1 / s_z, rel=1e-14)
    assert float(outside.radius) == pytest.approx(float(expected.radius), rel=1e-12)


# --- options


def test_options_are_checked():
    with pytest.raises(InvalidInputError, match="method = 'gauss': expected one of"):
        gf.solve_static(gf.GatedRNN(), method="gauss")
    with pytest.raises(InvalidInputError, match="'sampled' for GRU"):
        gf.solve_static(gf.GRU(), method="gaussian")
    with pytest.raises(InvalidInputError, match=r"input_variance = \['q'\]"):
        gf.solve_static(gf.GatedRNN(), input_variance={"q": 1.0})
    with pytest.raises(InvalidInputError, match=r"bias_variance\['h'\] = -1.0.*not negative"):
        gf.solve_static(gf.GatedRNN(), bias_variance={"h": -1.0})
    with pytest.raises(InvalidInputError, match=r"input_mean\['h'\] = nan.*finite"):
        gf.solve_static(gf.GatedRNN(), input_mean={"h": float("nan")})
    with pytest.raises(InvalidInputError, match=r"cell\.g_h\.shape = \(3,\).*solve_static_grid"):
        gf.solve_static(gf.GatedRNN(np.ones(3)))
    with pytest.raises(InvalidInputError, match="bias_variance.*use input_variance"):
        gf.solve_static(gf.GRU(), bias_variance={"n": 0.1})
    counts: list[tuple[str, Any]] = [("samples", 1), ("replicates", 1), ("samples", 10.5)]
    for name, value in counts:
        with pytest.raises(InvalidInputError, match=f"{name} = {value}: expected an integer"):
            gf.solve_static(gf.GRU(), method="sampled", **{name: value})
    with pytest.raises(InvalidInputError, match="seed = -1: expected an integer"):
        gf.solve_static(gf.GRU(), method="sampled", seed=-1)
