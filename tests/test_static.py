"""Static mean-field theory: reference numbers, independent solutions, gradients, and networks."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.theory.static import (
    Gates,
    gates_of,
    static_branches,
    static_conditions,
    static_point,
)

# The fold of section 4, where two fixed points appear: alpha*_FP(g).
FOLDS = {
    1.45: 266.2141126,
    1.5: 74.43308086,
    1.7: 13.02961199,
    1.8: 8.15697750,
    1.9: 5.38101388,
}
QUICK: dict[str, Any] = {"method": "sampled", "samples": 512, "replicates": 4}


# --- an independent solution: plain trapezoid averages and SciPy's root finder

_NODES = np.linspace(-10, 10, 4001)
_WEIGHTS = np.exp(-(_NODES**2) / 2) / np.sum(np.exp(-(_NODES**2) / 2))


def mean_of(function, mean, variance):
    """Average over N(mean, variance); exact to rounding for functions wider than 0.05."""
    return float(_WEIGHTS @ function(mean + np.sqrt(variance) * _NODES))


def independent(variance, p):
    """Return the right-hand side of the equation for D_h, and what else THEORY 3 defines.

    p holds the parameters by name; I_x, V_x, B_x are input mean, input variance, bias variance.
    """
    of = lambda name: p.get(name, 0.0)  # noqa: E731
    g, a_r, a_z = of("g_h"), of("alpha_r"), of("alpha_z")
    arg_h = (of("beta_h") + g * of("I_h"), g**2 * variance + of("B_h"))
    phi2 = mean_of(lambda x: np.tanh(x) ** 2, *arg_h)
    slope2 = g**2 * mean_of(lambda x: np.cosh(x) ** -4.0, *arg_h)
    arg_r = (of("beta_r") + a_r * of("I_r"), a_r**2 * (phi2 + of("V_r")) + of("B_r"))
    s2 = mean_of(lambda x: expit(x) ** 2, *arg_r)
    s_slope2 = a_r**2 * mean_of(lambda x: (expit(x) * expit(-x)) ** 2, *arg_r)
    arg_z = (of("beta_z") + a_z * of("I_z"), a_z**2 * (phi2 + of("V_z")) + of("B_z"))
    return {
        "mapped": phi2 * s2 + of("V_h"),
        "radius": np.sqrt(slope2 * (s2 + phi2 * s_slope2)),
        "open": mean_of(expit, *arg_z),
        "activity": phi2,
        # M at lambda = 0 has M_hh, and M_hr M_rh, whose larger eigenvalue is (a + ...)/2.
        "a": slope2 * s2,
        "b": slope2 * phi2 * s_slope2,
    }


def root_of(function, low, high):
    return brentq(function, low, high, xtol=1e-14, full_output=True)[0]


def independent_roots(p):
    """Bracket every nonzero solution on a fine logarithmic grid, and refine it."""
    excess = lambda u: independent(np.exp(u), p)["mapped"] / np.exp(u) - 1  # noqa: E731
    grid = np.linspace(np.log(1e-8), np.log(1.01 + p.get("V_h", 0.0)), 300)
    values = [excess(u) for u in grid]
    return [
        float(np.exp(root_of(excess, grid[i], grid[i + 1])))
        for i in range(len(grid) - 1)
        if values[i] * values[i + 1] < 0
    ]


def solve(p, **options):
    """Call `solve_static` with parameters named as in `independent`, h inputs inside the gate."""
    names = ("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r")
    cell = gf.GatedRNN(**{name: p[name] for name in names if name in p}, input_gating="update")
    given = {
        label: {name[2]: value for name, value in p.items() if name.startswith(letter)}
        for label, letter in (
            ("input_mean", "I_"),
            ("input_variance", "V_"),
            ("bias_variance", "B_"),
        )
    }
    return gf.solve_static(cell, **given, **options)


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


# --- gradients


def gates_at(p):
    """Return `Gates` from numbers by name, zero where not given."""
    return Gates(**{name: np.float64(p.get(name, 0.0)) for name in Gates._fields})


GENERIC = {
    "g": 1.9,
    "h_mean": 0.1,
    "h_bias": 0.05,
    "h_input": 0.04,
    "alpha_r": 4.0,
    "r_mean": 0.2,
    "r_bias": 0.3,
    "r_input": 0.1,
    "alpha_z": 1.5,
    "z_mean": -0.3,
    "z_bias": 0.2,
    "z_input": 0.4,
}
BRANCHES = jax.jit(static_branches)
SLOPES = jax.jit(jax.grad(lambda gates, branch: static_branches(gates).variance[branch]))
POINT = jax.jit(static_point)
POINT_SLOPES = jax.jit(jax.jacrev(static_point, argnums=(0, 1)))


def difference(function, step):
    """Five-point central difference of a function of one number."""
    near = function(step) - function(-step)
    far = function(2 * step) - function(-2 * step)
    return (8 * near - far) / (12 * step)


@pytest.mark.parametrize("name", Gates._fields)
def test_implicit_gradients_of_the_solution(name):
    """dD/dp; step 2e-3: truncation 1e-11 times fifth derivatives, rounding 1e-11."""
    with jax.enable_x64(True):
        got = float(getattr(SLOPES(gates_at(GENERIC), 0), name))

        def variance(move):
            branches = BRANCHES(gates_at({**GENERIC, name: GENERIC[name] + move}))
            assert np.sum(branches.found) == 1
            return float(branches.variance[0])

        expected = difference(variance, 2e-3)
    assert got == pytest.approx(expected, rel=1e-6, abs=1e-8)
    # Only the update gate plays no part.
    assert (got == 0.0) if name.startswith(("z_", "alpha_z")) else (abs(got) > 1e-4)


@pytest.mark.parametrize("name", ["g", "alpha_r", "r_mean", "r_bias", "r_input"])
def test_implicit_gradients_of_three_branches(name):
    """As above with three solutions: zero stays, the others move; steps of 2 per cent at most."""
    p = {"g": 1.8, "alpha_r": 12.0, "r_mean": 0.01, "r_bias": 0.1, "r_input": 1e-3}
    step = {"r_bias": 1e-3, "r_input": 1e-5}.get(name, 1e-3)
    with jax.enable_x64(True):
        got = [float(getattr(SLOPES(gates_at(p), branch), name)) for branch in range(3)]

        def variances(move):
            branches = BRANCHES(gates_at({**p, name: p[name] + move}))
            assert np.sum(branches.found) == 3
            return np.asarray(branches.variance[:3])

        expected = difference(variances, step)
    assert got[0] == 0.0
    # Steps are a few per cent of the distance to the fold, where derivatives diverge.
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-9)
    assert got[1] * got[2] < 0


@pytest.mark.parametrize("name", [*Gates._fields, "variance"])
def test_gradients_of_the_order_parameters(name):
    """Every output of `static_point` by every parameter and by D_h, at a generic point."""
    p = {**GENERIC, "variance": 0.3}

    def at(values):
        point = POINT(gates_at(values), np.float64(values["variance"]))
        return np.array([float(entry) for entry in point])

    with jax.enable_x64(True):
        slopes = POINT_SLOPES(gates_at(p), np.float64(p["variance"]))
        got = [
            float(entry[1] if name == "variance" else getattr(entry[0], name)) for entry in slopes
        ]
        expected = difference(lambda move: at({**p, name: p[name] + move}), 2e-3)
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-9)


def test_the_gradient_by_a_random_bias_starts_from_zero_variance():
    """alpha_r = 0, so that the gate's argument does not vary: d<s^2>/dB = <(s^2)''>/2 (Price)."""
    p = {"g": 3.0, "r_mean": 0.5}
    s = expit(0.5)
    curvature = 2 * (s * (1 - s)) ** 2 + 2 * s * s * (1 - s) * (1 - 2 * s)
    with jax.enable_x64(True):
        slopes = POINT_SLOPES(gates_at(p), np.float64(0.1))
    assert float(slopes.gate_square[0].r_bias) == pytest.approx(curvature / 2, abs=1e-10)


def test_gradients_pass_through_the_cell():
    """jax.grad from the parameter of a GatedRNN to D_h, through `gates_of`."""
    given = static_conditions(("h", "z", "r"), None, None, None)

    def variance(g):
        return static_branches(gates_of(gf.GatedRNN(g, alpha_r=2.0), given)).variance[1]

    with jax.enable_x64(True):
        got = float(jax.jit(jax.grad(variance))(3.0))
    expected = difference(
        lambda move: independent_roots({"g_h": 3 + move, "alpha_r": 2.0})[0], 1e-2
    )
    assert got == pytest.approx(expected, rel=1e-6)  # h^4 = 1e-8 times fifth derivatives


# --- grids


def test_a_grid_is_its_points():
    g, alpha = np.array([1.5, 1.8, 2.5]), np.array([0.0, 10.0, 20.0, 100.0])
    grid = gf.solve_static_grid(gf.GatedRNN(g[:, None], alpha_r=alpha[None, :]))
    assert grid.count.shape == (3, 4) and grid.variance.shape[:2] == (3, 4)
    # One solution below the line of section 4, three above it (1.5: 74.4; 1.8: 8.2), two at g > 2.
    np.testing.assert_array_equal(grid.count, [[1, 1, 1, 3], [1, 3, 3, 3], [2, 2, 2, 2]])
    for i in range(3):
        for j in range(4):
            points = gf.solve_static(gf.GatedRNN(g[i], alpha_r=alpha[j]))
            found = grid.found[i, j]
            for values, name in ((grid.variance, "variance"), (grid.radius, "radius")):
                expected = [
                    float(point.variance["h"] if name == "variance" else point.radius)
                    for point in points
                ]
                np.testing.assert_allclose(values[i, j][found], expected, rtol=1e-12, atol=1e-15)
                np.testing.assert_array_equal(values[i, j][~found], 0.0)


def test_inputs_may_vary_over_a_grid():
    """Section 9: at g = 1.8, alpha_r = 12 static input destabilises from .012 to .83 (sigma_I)."""
    sigma = np.array([0.004, 0.008, 0.011, 0.013, 0.03, 0.1, 0.3, 0.6, 0.82, 0.84, 1.0, 1.5])
    cell = gf.GatedRNN(1.8, alpha_r=12.0, input_gating="update")
    grid = gf.solve_static_grid(cell, input_variance={"h": sigma**2})
    # The window of instability is that of the lowest solution as the input grows.
    stable = (sigma < 0.012) | (sigma > 0.83)
    np.testing.assert_array_equal(grid.radius[:, 0] < 1, stable)
    np.testing.assert_array_equal(grid.count[sigma > 0.83], 1)


def test_grids_refuse():
    with pytest.raises(InvalidInputError, match=r"broadcast.*\[:, None\]"):
        gf.solve_static_grid(gf.GatedRNN(np.ones(3), alpha_r=np.ones(4)))
    with pytest.raises(InvalidInputError, match="at least one point"):
        gf.solve_static_grid(gf.GatedRNN(np.ones(0)))
    wrong: Any = gf.GRU()
    with pytest.raises(InvalidInputError, match="a GatedRNN"):
        gf.solve_static_grid(wrong)
    with pytest.raises(InvalidInputError, match="negative"):
        gf.solve_static_grid(gf.GatedRNN(), input_variance={"z": [0.1, -0.1]})


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
