"""Expansions against solved equations: errors shrink with the order that each function states.

A wrong coefficient leaves an error of one order less, so that orders test coefficients. Measured
orders miss whole numbers by the next term, relatively of first order in the small parameter: at the
values here less than 0.15, while orders are 1 (or 1/2) apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gatefield as gf
from gatefield import phases
from gatefield.core.errors import InvalidInputError, OutsideDomainWarning
from gatefield.theory import perturbation
from gatefield.theory.dmft import mean_field_branches, potential_solutions
from gatefield.theory.dynamical_fold import lagged_fold, potential_fold

ROOM = 0.15


def orders(errors, small) -> np.ndarray:
    """Return d ln|error| / d ln(small) between neighbours."""
    logs = np.log(np.abs(np.asarray(errors, float))), np.log(np.asarray(small, float))
    return np.diff(logs[0]) / np.diff(logs[1])


def fixed_points(g_h: float, alpha_r: float, **conditions) -> list[float]:
    """Return every D_h, ascending."""
    cell = gf.GatedRNN(g_h, alpha_r=alpha_r)
    return [float(one.variance["h"]) for one in gf.solve_static(cell, **conditions)]


# --- the line of fixed points and its pair


@pytest.mark.slow
def test_fixed_point_fold_near_2():
    """Eq. G1: alpha* up to O(eps), D* up to relative O(sqrt(eps))."""
    eps = np.array([4e-4, 1e-4, 2.5e-5])
    found = perturbation.fixed_point_fold_near_2(2 - eps)
    solved = phases.fixed_point_line(2 - eps)
    np.testing.assert_allclose(orders(found.alpha_r - solved, eps), 1.0, atol=ROOM)
    # The pair is one square root of 1e-9 apart: its mean is the fold's to 1e-9.
    pairs = [fixed_points(2 - e, a * (1 + 1e-9)) for e, a in zip(eps, solved, strict=True)]
    relative = [f / np.mean(p[1:]) - 1 for f, p in zip(found.variance, pairs, strict=True)]
    np.testing.assert_allclose(orders(relative, found.small), 1.0, atol=ROOM)


@pytest.mark.parametrize("above", [1.5, 2.5])
def test_fixed_point_pair_near_2(above):
    """At alpha_r - sqrt(8) in proportion to sqrt(eps) both variances are right to first order."""
    eps = np.array([1e-6, 2.5e-7, 6.25e-8])
    alphas = np.sqrt(8) + above * np.sqrt(62 * eps / 3)
    found = perturbation.fixed_point_pair_near_2(2 - eps, alphas)
    assert found.exists.all()
    solved = np.array([fixed_points(2 - e, a) for e, a in zip(eps, alphas, strict=True)])
    for number, values in ((1, found.lower), (2, found.upper)):
        errors = values / solved[:, number] - 1
        np.testing.assert_allclose(orders(errors, found.small), 1.0, atol=ROOM)


@pytest.mark.slow
def test_fixed_point_fold_near_sqrt_2():
    """Eq. G2: relative errors of alpha* and D* of first order in mu."""
    mu = np.array([8e-3, 4e-3, 2e-3])
    gains = np.sqrt(2 * (1 + mu))
    found = perturbation.fixed_point_fold_near_sqrt_2(gains)
    np.testing.assert_allclose(found.small, mu, rtol=1e-10)
    solved = phases.fixed_point_line(gains)
    np.testing.assert_allclose(orders(found.alpha_r / solved - 1, mu), 1.0, atol=ROOM)
    pairs = [fixed_points(g, a * (1 + 1e-9)) for g, a in zip(gains, solved, strict=True)]
    relative = [f / np.mean(p[1:]) - 1 for f, p in zip(found.variance, pairs, strict=True)]
    np.testing.assert_allclose(orders(relative, mu), 1.0, atol=ROOM)


@pytest.mark.parametrize("above", [1.2, 2.0])
def test_fixed_point_pair_near_sqrt_2(above):
    mu = np.array([1e-3, 5e-4, 2.5e-4])
    gains = np.sqrt(2 * (1 + mu))
    alphas = above * perturbation.fixed_point_fold_near_sqrt_2(gains).alpha_r
    found = perturbation.fixed_point_pair_near_sqrt_2(gains, alphas)
    solved = np.array([fixed_points(g, a) for g, a in zip(gains, alphas, strict=True)])
    for number, values in ((1, found.lower), (2, found.upper)):
        errors = values / solved[:, number] - 1
        np.testing.assert_allclose(orders(errors, mu), 1.0, atol=ROOM)


def test_pairs_solve_their_equations_and_meet_at_the_fold():
    """The cubic and the quadratic of THEORY section 10, put in; at the fold both are one."""
    g, alpha = 1.45, 400.0
    pair = perturbation.fixed_point_pair_near_sqrt_2(g, alpha)
    for d in (float(pair.lower), float(pair.upper)):
        mu = g**4 * d + g / (alpha * np.sqrt(2 * np.pi * d))
        assert mu == pytest.approx(g**2 / 2 - 1, rel=1e-10)
    fold = perturbation.fixed_point_fold_near_sqrt_2(g)
    pair = perturbation.fixed_point_pair_near_sqrt_2(g, float(fold.alpha_r) * (1 + 1e-14))
    # A rounding of 1e-14 opens the square root by 1e-7.
    assert float(pair.lower) == pytest.approx(float(fold.variance), rel=1e-6)
    assert float(pair.upper) == pytest.approx(float(fold.variance), rel=1e-6)
    below = perturbation.fixed_point_pair_near_sqrt_2(g, 0.99 * float(fold.alpha_r))
    assert not below.exists and float(below.lower) == float(below.upper) == 0.0
    alpha, eps = 2.9, 1e-4
    pair = perturbation.fixed_point_pair_near_2(2 - eps, alpha)
    for v in (4 * float(pair.lower), 4 * float(pair.upper)):
        bend = alpha**4 / 8 + alpha**2 - 17 / 3
        assert bend * v**2 - (alpha**2 / 4 - 2) * v + eps == pytest.approx(0, abs=1e-15)


# --- moving states


def test_moving_fold_near_2():
    """Eqs. G16-G18 and the next order, sqrt(44 eps); C_h(0)* = sqrt(3 eps/44)/4."""
    eps = np.array([4e-3, 1e-3, 2.5e-4])
    found, solved = perturbation.moving_fold_near_2(2 - eps), potential_fold(2 - eps)
    np.testing.assert_allclose(orders(found.alpha_r - solved.alpha_r, eps), 1.0, atol=ROOM)
    relative = found.variance / solved.variance_h - 1
    np.testing.assert_allclose(orders(relative, found.small), 1.0, atol=ROOM)


@pytest.mark.slow
def test_a_slower_gate_moves_the_fold_at_the_same_order():
    """tau_r enters the coefficient of sqrt(eps), not the limit sqrt(12): 44 + 3 tau_r^2 / 8."""
    tau, eps = 4.0, np.array([2e-3, 5e-4])
    found, solved = perturbation.moving_fold_near_2(2 - eps, tau), lagged_fold(2 - eps, tau)
    np.testing.assert_allclose(orders(found.alpha_r - solved.alpha_r, eps), 1.0, atol=ROOM)
    # The coefficient of a fast gate leaves an error of order 1/2.
    fast = perturbation.moving_fold_near_2(2 - eps)
    assert orders(fast.alpha_r - solved.alpha_r, eps)[0] < 0.75
    relative = found.variance / solved.variance_h - 1
    np.testing.assert_allclose(orders(relative, found.small), 1.0, atol=ROOM)


@pytest.mark.parametrize("above", [1.5, 2.5])
@pytest.mark.slow
def test_moving_pair_near_2(above):
    eps = np.array([4e-5, 1e-5, 2.5e-6])
    alphas = np.sqrt(12) + above * np.sqrt(44 * eps)
    found = perturbation.moving_pair_near_2(2 - eps, alphas)
    assert found.exists.all()
    solved = np.array(
        [
            [one.variance for one in potential_solutions(gf.GatedRNN(2 - e, alpha_r=a))]
            for e, a in zip(eps, alphas, strict=True)
        ]
    )
    for number, values in enumerate((found.lower, found.upper)):
        errors = values / solved[:, number] - 1
        np.testing.assert_allclose(orders(errors, found.small), 1.0, atol=ROOM)


@pytest.mark.slow
def test_moving_pair_of_a_slower_gate():
    """Solved lag equations at tau_r = 4; the error of the smaller one falls faster, as it may."""
    tau, eps = 4.0, np.array([2.5e-4, 6.25e-5])
    alphas = np.sqrt(12) + 1.5 * np.sqrt(50 * eps)
    found = perturbation.moving_pair_near_2(2 - eps, alphas, tau)
    fast = perturbation.moving_pair_near_2(2 - eps, alphas)
    solved = []
    for e, alpha in zip(eps, alphas, strict=True):
        _, *pair = mean_field_branches(gf.GatedRNN(2 - e, alpha_r=alpha, tau_r=tau))
        solved.append([float(one.covariance["h"][0]) for one in pair])
    lower, upper = np.array(solved).T
    assert orders(found.lower / lower - 1, found.small)[0] > 1 - ROOM
    np.testing.assert_allclose(orders(found.upper / upper - 1, found.small), 1.0, atol=ROOM)
    # A fast gate's coefficient leaves a relative error of order zero.
    assert abs(orders(fast.lower / lower - 1, found.small)[0]) < ROOM


def test_moving_fold_near_its_lower_end():
    """Eq. G15 and what vanishes there: relative errors of first order in mu = 3 - 8/g^2."""
    mu = np.array([1e-2, 2.5e-3, 6.25e-4])
    gains = np.sqrt(8 / (3 - mu))
    found, solved = perturbation.moving_fold_near_lower_end(gains), potential_fold(gains)
    np.testing.assert_allclose(found.small, mu, rtol=1e-9)
    np.testing.assert_allclose(orders(found.alpha_r / solved.alpha_r - 1, mu), 1.0, atol=ROOM)
    relative = found.variance / solved.variance_h - 1
    np.testing.assert_allclose(orders(relative, mu), 1.0, atol=ROOM)
    # Without the rounding of the gate the errors were of order 1/2.
    leading = 4 * np.pi / mu / solved.alpha_r - 1
    np.testing.assert_allclose(orders(leading, mu), 0.5, atol=ROOM)


# --- biases and inputs

BIASED: dict[str, tuple[float, float, dict[str, float], dict[str, float]]] = {
    "no gate": (0.0, 0.0, {}, {}),
    "gate": (2.0, 0.0, {}, {}),
    "shut gate": (1.2, -0.8, {}, {}),
    "open gate": (3.0, 1.0, {}, {}),
    "random": (1.5, 0.5, {"h": 1.0}, {"h": 0.5}),
}


def scaled(variances: dict[str, float], size: float) -> dict[str, float]:
    return {name: value * size**2 for name, value in variances.items()}


@pytest.mark.parametrize("case", BIASED)
@pytest.mark.parametrize("side", [-1.0, 1.0], ids=["below", "above"])
def test_biased_fixed_point(case, side):
    """Eqs. H2-H3 at eps and beta_h in proportion: D_h and rho up to second order, K of order one.

    Where the second order of D_h nearly vanishes (below g_c its parts cancel) the third decides:
    orders are at least 2.
    """
    alpha, beta_r, inputs, biases = BIASED[case]
    sizes = np.array([4e-3, 2e-3, 1e-3])
    critical = 1 + np.exp(-beta_r)
    columns = []
    for size in sizes:
        varied: dict[str, Any] = {
            "input_variance": scaled(inputs, size),
            "bias_variance": scaled(biases, size),
        }
        bias = {"alpha_r": alpha, "beta_h": 0.7 * size, "beta_r": beta_r}
        g = critical + side * size
        found = perturbation.biased_fixed_point(g, **bias, **varied)
        cell = gf.GatedRNN(g, **bias, input_gating="update")
        (solved,) = gf.solve_static(cell, **varied)
        columns.append(
            (
                float(found.variance) - float(solved.variance["h"]),
                float(found.radius) - float(solved.radius),
            )
        )
    variance, radius = np.array(columns).T
    assert np.all(orders(variance, sizes) > 2 - ROOM)
    np.testing.assert_allclose(orders(radius, sizes), 2.0, atol=ROOM)


def test_variance_grows_linearly_with_the_bias_at_beta_h_equal_to_eps():
    """The statement of Fig. 12(e): D_h = s0 (1 + sqrt(1 + K)) eps / K, here s0 = 1/2 and K = 4."""
    eps = np.array([4e-3, 2e-3, 1e-3])
    solved = [
        float(gf.solve_static(gf.GatedRNN(2 + e, alpha_r=2.0, beta_h=e))[0].variance["h"])
        for e in eps
    ]
    np.testing.assert_allclose(orders(solved, eps), 1.0, atol=0.03)
    errors = np.array(solved) - eps * (1 + np.sqrt(5)) / 8
    np.testing.assert_allclose(orders(errors, eps), 2.0, atol=ROOM)
    found = perturbation.biased_fixed_point(2 + eps, alpha_r=2.0, beta_h=eps)
    np.testing.assert_allclose(found.variance, eps * (1 + np.sqrt(5)) / 8, rtol=1e-12)


@pytest.mark.parametrize("case", BIASED)
def test_biased_stability(case):
    """The line of weak biases: g_h* up to second order in v, third without gate."""
    alpha, beta_r, inputs, biases = BIASED[case]
    sizes = np.array([4e-4, 1e-4, 2.5e-5])
    found, solved = [], []
    for size in sizes:
        varied: dict[str, Any] = {
            "input_variance": scaled(inputs, size),
            "bias_variance": scaled(biases, size),
        }
        found.append(perturbation.biased_stability(alpha, beta_h=size, beta_r=beta_r, **varied))
        line = phases.stability_line(alpha_r=alpha, beta_h=size, beta_r=beta_r, **varied)
        solved.append(float(line))
    v = [float(one.small) for one in found]
    errors = np.array([float(one.g_h) for one in found]) - solved
    np.testing.assert_allclose(orders(errors, v), 3.0 if alpha == 0 else 2.0, atol=ROOM)


def test_weak_biases_turn_from_stabilising_to_destabilising_at_alpha_r_2():
    """The sign of 4/alpha_r - alpha_r, in solved lines and in the expansion; closed forms."""
    bias = 1e-4
    alphas = np.array([1.0, 1.9, 2.1, 6.0])
    solved = phases.stability_line(alpha_r=alphas, beta_h=bias) - 2
    found = perturbation.biased_stability(alphas, beta_h=bias).g_h - 2
    assert np.array_equal(solved > 0, alphas < 2) and np.array_equal(found > 0, alphas < 2)
    # Corrections of relative order bias / alpha^3.
    np.testing.assert_allclose(found, (4 / alphas - alphas) * bias, rtol=3e-3)
    none = float(perturbation.biased_stability(0.0, beta_h=bias).g_h)
    assert none == pytest.approx(2 + 2 * (0.75 * bias**2) ** (1 / 3), rel=1e-12)


# --- where they do not hold


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("fixed_point_fold_near_2", (2.0,), "sqrt\\(2\\) < g_h < 2"),
        ("fixed_point_pair_near_2", (1.9, -1.0), "alpha_r"),
        ("fixed_point_pair_near_2", (np.full(2, 1.9), np.full(3, 3.0)), "broadcast"),
        ("fixed_point_fold_near_sqrt_2", (1.41,), "sqrt\\(2\\) < g_h < 2"),
        ("moving_fold_near_2", (2.1,), "sqrt\\(8/3\\) < g_h < 2"),
        ("moving_fold_near_2", (1.99, -1.0), "tau_r"),
        ("moving_fold_near_lower_end", (1.6,), "sqrt\\(8/3\\) < g_h < 2"),
    ],
    ids=["at 2", "alpha", "shapes", "below sqrt(2)", "above 2", "tau", "below the end"],
)
def test_outside_the_line_it_is_refused(name, arguments, says):
    with pytest.raises(InvalidInputError, match=says):
        getattr(perturbation, name)(*arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("fixed_point_fold_near_2", (1.5,), {}),
        ("fixed_point_pair_near_2", (1.999, 3.2), {}),
        ("fixed_point_fold_near_sqrt_2", (1.9,), {}),
        ("fixed_point_pair_near_sqrt_2", (1.9, 10.0), {}),
        ("moving_fold_near_2", (1.7,), {}),
        ("moving_pair_near_2", (1.999, 4.2), {}),
        ("moving_fold_near_lower_end", (1.95,), {}),
        ("biased_fixed_point", (3.0,), {}),
        ("biased_stability", (1.0,), {"beta_h": 0.5}),
    ],
    ids=str,
)
def test_a_large_parameter_is_warned_of(name, arguments, options):
    with pytest.warns(OutsideDomainWarning, match="expected at most"):
        getattr(perturbation, name)(*arguments, **options)


def test_biases_that_the_expansion_does_not_know_are_refused():
    with pytest.raises(InvalidInputError, match="discontinuous"):
        perturbation.biased_fixed_point(2.0, alpha_r=3.0)
    with pytest.raises(InvalidInputError, match="folds before"):
        perturbation.biased_stability(5.0, beta_h=0.01, beta_r=-2.0)
    for option in ("input_variance", "bias_variance"):
        with pytest.raises(InvalidInputError, match="zero in this expansion"):
            perturbation.biased_stability(1.0, beta_h=0.01, **{option: {"r": 0.1}})
