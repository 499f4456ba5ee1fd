"""The dynamical transition against published numbers, its ends, and independent solvers."""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_bvp

from gatefield.numerics.hermite import HermiteSeries, sigmoid_series, tanh_series, two_point
from gatefield.theory.dynamical_fold import (
    lagged_fold,
    lower_end,
    potential_branch,
    potential_fold,
)

GAINS = np.array([1.70, 1.80, 1.90])
# THEORY.md section 4: Hermite series, clustered nodes (potential); Chebyshev collocation (lags).
POTENTIAL = np.array([42.86289926, 14.88958181, 7.83848478])
VARIANCE = np.array([0.00632237, 0.01201155, 0.01310902])
LAGGED = np.array([38.23274, 14.54170, 7.80229])


@pytest.fixture
def double():
    """Compute in float64 for calls of kernels; host-level functions do so themselves."""
    with jax.enable_x64(True):
        yield


# ---------------------------------------------------------------- tau_r -> 0: the energy condition


@pytest.mark.slow
def test_potential_line_has_the_reference_values():
    """Every digit of the references, and no floating flag left behind."""
    fold = potential_fold(GAINS)
    np.testing.assert_allclose(fold.alpha_r, POTENTIAL, atol=0.51e-8, rtol=0)
    np.testing.assert_allclose(fold.variance_h, VARIANCE, atol=0.51e-8, rtol=0)
    assert fold.converged.all()
    assert fold.residual.max() < 1e-14
    assert fold.truncation.max() < 1e-12
    assert not jax.config.read("jax_enable_x64")


def energy(variance, gain, alpha):
    """Return Fcal(C0) (Eq. G7) in its original variables, by Hermite series and Legendre nodes."""
    y, weight = np.polynomial.legendre.leggauss(60)
    y, weight = (y + 1) / 2, weight / 2
    covariance = variance * (1 - y**4)
    phi = tanh_series(gain * np.sqrt(variance), terms=200)
    squares = np.asarray(two_point(phi, np.append(covariance / variance, 1.0)))
    gate = sigmoid_series(alpha * np.sqrt(squares[-1]), terms=1200)
    product = squares[:-1] * np.asarray(two_point(gate, squares[:-1] / squares[-1]))
    return np.sum(weight * 4 * y**3 * variance * (covariance - product))


@pytest.mark.parametrize("gain", GAINS)
def test_fold_makes_the_energy_and_its_slope_vanish(double, gain):
    """Eqs. G8-G9 with two-point functions that share nothing with the solver's."""
    fold = potential_fold(gain)
    c0, gate = float(fold.variance_h), float(fold.alpha_r)
    scale = c0**2 / 2
    assert energy(c0, gain, gate) / scale == pytest.approx(0.0, abs=1e-12)
    step = 1e-3 * c0
    slope = (energy(c0 + step, gain, gate) - energy(c0 - step, gain, gate)) / (2 * step)
    curve = (energy(c0 + step, gain, gate) + energy(c0 - step, gain, gate)) / step**2
    # A central difference errs by the third derivative, of the size of the curvature over C0.
    assert abs(slope) < 1e-5 * abs(curve) * c0
    # Below the transition the energy keeps its sign in C0, above it has two zeros.
    scan = c0 * np.linspace(0.3, 2.5, 45)
    for factor, zeros in ((0.999, 0), (1.001, 2)):
        values = [energy(value, gain, factor * gate) for value in scan]
        fine = [energy(value, gain, factor * gate) for value in c0 * np.linspace(0.9, 1.1, 41)]
        assert max(np.count_nonzero(np.diff(np.sign(v))) for v in (values, fine)) == zeros


def test_branch_reproduces_the_mean_field_without_gate_gain(double):
    """THEORY.md section 6: g = 3, alpha_r = 0 has C_h(0) = 0.08307626 and C_phi(0) = 0.342093."""
    branch = potential_branch(3.0 * np.sqrt(0.08307626), 0.0)
    assert float(branch.g_h) == pytest.approx(3.0, abs=2e-7)
    assert float(branch.alpha_r) == 0.0
    step = 1e-3  # alpha_r = a / sqrt(C_phi(0)) gives C_phi(0)
    variance_r = (step / float(potential_branch(3.0 * np.sqrt(0.08307626), step).alpha_r)) ** 2
    assert variance_r == pytest.approx(0.342093, abs=1e-6)


def test_branch_has_the_limit_of_two_steps(double):
    """b, a -> infinity: g^2 = b^2 / (2 int F (1 + (2/pi) arcsin F)/4), F = (2/pi) arcsin rho."""

    def product(rho):
        phi = 2 / np.pi * np.arcsin(rho)
        return phi * (1 + 2 / np.pi * np.arcsin(phi)) / 4

    integral = quad(product, 0, 1, epsabs=1e-12)[0]
    steep = np.array([1e3, 1e4, 1e5])
    error = np.asarray(potential_branch(steep, steep).g_h) / steep * np.sqrt(2 * integral) - 1
    # C_r(0) = 1 - sqrt(2/pi)/b makes the corrections of first order in 1/b.
    np.testing.assert_allclose(error[:-1] / error[1:], 10, rtol=0.02)
    assert abs(error[-1]) < 2e-6


@pytest.mark.slow
def test_branch_is_accurate_from_weak_to_steep(double):
    """Four times the nodes change nothing, b from 1e-3 to 1e2 and a from 0 to 1e3."""
    b = np.array([1e-3, 0.1, 1.0, 10.0, 100.0])[:, None]
    a = np.array([0.0, 0.1, 1.0, 10.0, 1e3])
    coarse, fine = potential_branch(b, a), potential_branch(b, a, energy_nodes=128, nodes=20)
    np.testing.assert_allclose(coarse.g_h, fine.g_h, rtol=1e-12)
    np.testing.assert_allclose(coarse.alpha_r, fine.alpha_r, rtol=1e-12)
    # Fewer nodes do: the statement is not empty.
    rough = potential_branch(b, a, energy_nodes=6, nodes=4)
    assert np.max(np.abs(rough.g_h / fine.g_h - 1)) > 1e-7
    single = potential_branch(b.astype(np.float32), a.astype(np.float32))
    assert single.g_h.dtype == single.alpha_r.dtype == np.float32
    np.testing.assert_allclose(single.g_h, fine.g_h, rtol=1e-6)


def test_branch_is_differentiable_under_jit_and_vmap(double):
    """Derivatives of both gains by b and a, against finite differences; finite at a = 0."""

    def gains(z):
        return jnp.stack(potential_branch(z[0], z[1]))

    points = np.array([[0.3, 2.0], [1.5, 30.0], [0.3, 0.0]])
    jacobian = jax.jit(jax.vmap(jax.jacfwd(gains)))(points)
    assert np.all(np.isfinite(jacobian))
    step = 1e-5
    for point, found in zip(points, jacobian, strict=True):
        for i, move in enumerate(step * np.eye(2)):
            expected = (gains(point + move) - gains(point - move)) / (2 * step)
            np.testing.assert_allclose(found[:, i], expected, rtol=1e-7, atol=1e-8)


def test_upper_end_tends_to_sqrt12():
    """alpha_r = sqrt(12) + sqrt(44 eps) + O(eps), C0 = sqrt(3 eps/44)/4 at g = 2 - eps (G18)."""
    eps = np.array([1e-4, 1e-6, 1e-8])
    fold = potential_fold(2 - eps)
    excess = (fold.alpha_r - np.sqrt(12)) / np.sqrt(44 * eps) - 1
    # The remainder is of relative order sqrt(eps): ten times smaller at each step.
    np.testing.assert_allclose(excess[:-1] / excess[1:], 10, rtol=0.03)
    ratio = fold.variance_h / (np.sqrt(3 * eps / 44) / 4) - 1
    np.testing.assert_allclose(ratio[:-1] / ratio[1:], 10, rtol=0.03)
    assert excess[-1] < 2e-4


def test_lower_end_diverges_at_sqrt_8_over_3():
    """alpha_r (3 - 8/g^2) -> 4 pi and alpha_r g^2 C0 -> pi/3 (G15, next order)."""
    gain = np.sqrt(8 / 3) + np.array([1e-3, 1e-5, 1e-7])
    fold = potential_fold(gain)
    error = np.abs(fold.alpha_r * (3 - 8 / gain**2) / (4 * np.pi) - 1)
    assert fold.converged.all()
    assert np.all(error[1:] < error[:-1] / 5)
    assert error[-1] < 3e-4
    np.testing.assert_allclose((fold.alpha_r * gain**2 * fold.variance_h)[-1], np.pi / 3, rtol=1e-3)
    assert np.all(np.diff(fold.alpha_r) > 0)


def test_line_is_infinite_outside_and_falls_inside():
    """No transition for g <= sqrt(8/3) or g >= 2; alpha_r falls monotonically between."""
    outside = potential_fold([[0.5, 1.5, 1.6329], [2.0, 2.5, 50.0]])
    assert np.all(np.isposinf(outside.alpha_r))
    assert np.all(outside.variance_h == 0) and np.all(outside.variance_r == 0)
    assert outside.converged.all()
    line = potential_fold(np.linspace(1.634, 1.999, 60))
    assert line.converged.all()
    assert np.all(np.diff(line.alpha_r) < 0)
    assert line.truncation.max() < 1e-10


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_results_have_the_shape_of_the_gain(shape):
    """Every field, for scalars and arrays."""
    fold = potential_fold(np.full(shape, 1.8))
    for name in ("g_h", "tau_r", "alpha_r", "variance_h", "variance_r", "residual", "truncation"):
        assert getattr(fold, name).shape == shape
        assert getattr(fold, name).dtype == np.float64
    assert fold.converged.shape == shape and fold.converged.dtype == bool
    np.testing.assert_allclose(fold.alpha_r, POTENTIAL[1], atol=1e-8)


# ---------------------------------------------------------------- finite tau_r: the lag equations


@pytest.mark.slow
def test_lagged_line_has_the_reference_values():
    """tau_r = 1, to the digits given."""
    fold = lagged_fold(GAINS, 1.0)
    np.testing.assert_allclose(fold.alpha_r, LAGGED, atol=0.51e-5, rtol=0)
    assert fold.converged.all()
    assert fold.truncation.max() < 1e-11
    assert fold.residual.max() < 1e-9


def test_collocation_without_lag_agrees_with_the_energy_condition():
    """tau_r = 0 in the boundary-value problem against the integral: different discretisations."""
    gain = np.array([1.64, 1.7, 1.8, 1.9, 1.99, 1.9999])
    lagged, potential = lagged_fold(gain, 0.0), potential_fold(gain)
    np.testing.assert_allclose(lagged.alpha_r, potential.alpha_r, rtol=1e-9)
    # At the fold the variances are the soft direction: rounding counts more.
    np.testing.assert_allclose(lagged.variance_h, potential.variance_h, rtol=1e-7)
    np.testing.assert_allclose(lagged.variance_r, potential.variance_r, rtol=1e-7)


def test_fast_gates_approach_the_potential_as_tau_squared():
    """alpha(tau_r) - alpha(0) is even in tau_r: halving tau_r divides it by four."""
    start = potential_fold(GAINS).alpha_r
    change = [lagged_fold(GAINS, tau).alpha_r - start for tau in (0.1, 0.05, 0.025)]
    first, second = change[0] / change[1], change[1] / change[2]
    np.testing.assert_allclose(second, 4.0, atol=0.01)
    # What is missing from 4 is itself of order tau_r^2.
    np.testing.assert_allclose((4 - first) / (4 - second), 4.0, rtol=0.02)
    assert np.all(change[0] < 0)


@pytest.mark.parametrize("tau_r", [1.0, 10.0])
@pytest.mark.slow
def test_number_of_lags_and_length_converge(tau_r):
    """Half as many lags more change nothing; the estimate of the error bounds the change."""
    gain = np.array([lower_end(tau_r) + 3e-3, 1.75, 1.98])
    coarse, fine = (lagged_fold(gain, tau_r, lags=lags) for lags in (64, 96))
    np.testing.assert_allclose(coarse.alpha_r, fine.alpha_r, rtol=2e-8)
    np.testing.assert_allclose(coarse.alpha_r[1:], fine.alpha_r[1:], rtol=1e-10)
    change = np.abs(coarse.alpha_r / fine.alpha_r - 1)
    assert np.all(change < 1.5 * coarse.truncation + 1e-11)


def test_lower_end_agrees_with_another_solver():
    """The limit b -> 0, a -> infinity by scipy's solve_bvp: g^2 and c are its free parameters."""
    tau = 1.0

    def slope(t, y, p):
        u, du, v, dv = y
        gate = (1 + 2 / np.pi * np.arcsin(np.clip(v, -1, 1))) / 4
        return np.stack([du, (u - p[0] * gate * u) / 4, dv, (v - p[1] * u) / tau**2])

    def ends(left, right, p):
        return np.array([left[0] - 1, left[1], left[2] - 1, left[3], right[0], right[2]])

    t = 60 * np.linspace(0, 1, 300) ** 2
    u = 1 / np.cosh(t / 4) ** 2
    start = np.stack([u, np.gradient(u, t), u, np.gradient(u, t)])
    solution = solve_bvp(slope, ends, t, start, p=[2.65, 1.1], tol=1e-8, max_nodes=20000)
    assert solution.status == 0
    assert lower_end(tau) == pytest.approx(np.sqrt(solution.p[0]), abs=1e-6)


def test_lower_end_moves_from_sqrt_8_over_3_towards_sqrt2():
    """Slow gates widen the interval of the dynamical line, but not beyond the fixed points'."""
    ends = np.array([lower_end(tau) for tau in (0.0, 0.1, 1.0, 10.0, 100.0)])
    assert ends[0] == pytest.approx(np.sqrt(8 / 3), rel=1e-15)
    assert np.all(np.diff(ends) < 0)
    assert np.all(ends > np.sqrt(2))
    excess = ends[-1] - np.sqrt(2)
    assert lower_end(1000.0) - np.sqrt(2) < 0.5 * excess
    fold = lagged_fold([ends[2] - 1e-6, ends[2] + 1e-2, 2.0], 1.0)
    assert np.isposinf(fold.alpha_r[[0, 2]]).all()
    assert 300 < fold.alpha_r[1] < 500 and fold.converged.all()


def test_upper_end_does_not_depend_on_tau():
    """As g -> 2 all times diverge: alpha_r -> sqrt(12) + sqrt(44 eps) for every tau_r."""
    eps = 1e-8
    fold = lagged_fold(2 - eps, [0.0, 1.0, 10.0])
    expected = np.sqrt(12) + np.sqrt(44 * eps)
    # Remainder: of order eps^(1/2) relative to the second term, times 1 + tau_r.
    np.testing.assert_allclose(fold.alpha_r, expected, atol=5e-4)
    assert np.abs(fold.alpha_r[0] - expected) < 1e-6
    assert fold.converged.all()


def test_slow_gates_are_solved():
    """tau_r = 100 throughout; scalar and array arguments broadcast."""
    fold = lagged_fold(np.array([[1.55], [1.8], [1.95]]), [30.0, 100.0])
    assert fold.alpha_r.shape == fold.tau_r.shape == (3, 2)
    assert fold.converged.all() and fold.truncation.max() < 1e-8
    # A slow gate averages its input: away from the lower end a larger gain must make up for it.
    assert np.all(fold.alpha_r[1:, 1] > fold.alpha_r[1:, 0])
    assert np.all(fold.variance_r[1:, 1] < fold.variance_r[1:, 0])


def test_under_resolved_folds_are_not_called_converged():
    """Where the estimate of the error is large the result says so."""
    fold = lagged_fold(lower_end(1.0) + 1e-5, 1.0)
    assert not bool(fold.converged)
    assert float(fold.truncation) > 1e-5
    assert np.isfinite(float(fold.alpha_r))


# ---------------------------------------------------------------- refusals and hygiene


@pytest.mark.parametrize("solver", [potential_fold, lambda g: lagged_fold(g, 1.0)])
@pytest.mark.parametrize("gain", [0.0, -1.8, np.nan, np.inf, [1.8, np.nan]])
def test_unusable_gains_are_refused(solver, gain):
    """The message names the argument, what was expected and the remedy."""
    with pytest.raises(ValueError, match="g_h = .*expected"):
        solver(gain)


@pytest.mark.parametrize("tau_r", [-1.0, np.nan, np.inf])
def test_unusable_time_constants_are_refused(tau_r):
    """By both functions that take one."""
    with pytest.raises(ValueError, match="tau_r = .*expected"):
        lagged_fold(1.8, tau_r)
    with pytest.raises(ValueError, match="tau_r = .*expected"):
        lower_end(tau_r)


def test_too_few_lags_are_refused():
    """A grid that cannot resolve anything is an error, not a result."""
    with pytest.raises(ValueError, match="lags = 4: expected"):
        lagged_fold(1.8, 1.0, lags=4)


def test_import_starts_no_backend():
    """With a platform that does not exist, starting a backend would fail."""
    code = "import gatefield.theory.dynamical_fold, gatefield.numerics.hermite"
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "JAX_PLATFORMS": "none_such", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_series_is_a_pytree(double):
    """Results pass through jit."""
    series = jax.jit(lambda gain: tanh_series(gain, terms=40))(0.5)
    assert isinstance(series, HermiteSeries)
    assert float(two_point(series, 0.5)) == pytest.approx(
        float(two_point(tanh_series(0.5, terms=40), 0.5)), rel=1e-14
    )
