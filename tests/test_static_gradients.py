"""Static mean-field theory: gradients through the solution, and grids of parameters."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from scipy.special import expit
from static_reference import independent_roots

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.theory.static import (
    Gates,
    gates_of,
    static_branches,
    static_conditions,
    static_point,
)

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
@pytest.mark.slow
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
@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
