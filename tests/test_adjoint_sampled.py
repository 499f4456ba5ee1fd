"""The adjoint of states that move: exact recursions, twice the Lyapunov exponent, and networks."""

import math
from typing import Any, cast

import numpy as np
import pytest

import gatefield as gf
from gatefield.core.errors import (
    InvalidInputError,
    NumericalFailureError,
    OutsideDomainWarning,
)
from gatefield.core.results import Status
from gatefield.theory.adjoint import solve_adjoint

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


LINE = np.linspace(-8, 8, 801)
DENSITY = np.exp(-(LINE**2) / 2) / np.sum(np.exp(-(LINE**2) / 2))


def slope_correlation(g, variance, covariance):
    """Return the mean of phi'(x) phi'(y), phi = tanh(g x), for Gaussians, by sums on a line.

    The trapezoidal rule converges exponentially; Gauss-Hermite sums do not resolve the slope.
    """
    common, own = np.sqrt(abs(covariance)), np.sqrt(max(variance - abs(covariance), 0.0))

    def inner(sign):
        return (g / np.cosh(g * (own * LINE + sign * common * LINE[:, None])) ** 2) @ DENSITY

    return float(DENSITY @ (inner(1) * inner(np.sign(covariance))))


def vanilla_adjoint(solution, horizon, dt):
    """Return E a^2 of the vanilla network from (1 + d_s)(1 + d_s') C = <phi' phi'> C, cell by cell.

    Each cell of the grid is integrated by e^-s and the trapezoidal rule for the right-hand side.
    """
    steps, g = round(horizon / dt), float(solution.cell.g)
    covariance = solution.at("h", dt * np.arange(steps + 1))
    P = [slope_correlation(g, covariance[0], each) for each in covariance]
    decay, k = math.exp(-dt), (1 - math.exp(-dt)) ** 2 / 4
    C = np.zeros((steps + 1, steps + 1))
    C[0] = C[:, 0] = np.exp(-dt * np.arange(steps + 1))
    for i in range(1, steps + 1):
        for j in range(1, i + 1):
            before = C[i - 1, j - 1]
            right = P[i - j] * before + P[abs(i - 1 - j)] * C[i - 1, j] + P[i - j + 1] * C[i, j - 1]
            moved = decay * (C[i - 1, j] + C[i, j - 1]) - decay**2 * before + k * right
            C[i, j] = C[j, i] = moved / (1 - k * P[i - j])
    return np.diag(C)


@pytest.mark.slow
def test_the_vanilla_network_in_chaos_follows_its_own_equation():
    solution = gf.solve_dmft(gf.VanillaRNN(2.0))
    coarse = vanilla_adjoint(solution, 5.0, 0.1)[-1]
    fine = vanilla_adjoint(solution, 5.0, 0.05)[-1]
    exact = fine + (fine - coarse) / 3  # second order
    options: dict[str, Any] = {"samples": 2000, "batches": 24, "seed": 3}
    found = solve_adjoint(solution, 5.0, method="sampled", **options)
    error = float(found.adjoint_standard_error["h"][-1])
    assert abs(found.adjoint_variance["h"][-1] - exact) < 4 * error
    assert error < 0.08 * exact
    assert found.method == "sampled"


def test_lag_equations_of_the_vanilla_network_are_those():
    solution = gf.solve_dmft(gf.VanillaRNN(2.0))
    coarse = vanilla_adjoint(solution, 5.0, 0.1)[-1]
    fine = vanilla_adjoint(solution, 5.0, 0.05)[-1]
    found = solve_adjoint(solution, 5.0, method="lag equations")
    # What is left after extrapolation is of order dt^4.
    assert found.adjoint_variance["h"][-1] == pytest.approx(fine + (fine - coarse) / 3, rel=2e-5)
    assert float(found.truncation) < 1e-5


def test_lag_equations_grow_at_twice_the_largest_lyapunov_exponent():
    solution = gf.solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, beta_h=0.2))
    found = solve_adjoint(solution, 60.0, method="lag equations")
    twice = 2 * float(gf.mean_field_lyapunov(solution).exponent)
    # What the second mode leaves at 30 time constants.
    assert found.growth_rate == pytest.approx(twice, rel=1e-2)


@pytest.mark.slow
def test_lag_equations_agree_with_sampled_units_of_a_gated_network():
    solution = gf.solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, tau_r=1.5, beta_h=0.2, beta_r=0.3))
    options: dict[str, Any] = {
        "terminal": {"h": 1.0, "z": 0.5, "r": 0.3},
        "source": {"h": gf.GaussianInput(variance=0.2, correlation_time=2.0)},
    }
    exact = solve_adjoint(solution, 6.0, method="lag equations", **options)
    sampled = solve_adjoint(
        solution, 6.0, method="sampled", samples=2000, batches=12, seed=5, **options
    )
    for name in "hzr":
        value = np.interp(sampled.times[-1], exact.times, exact.adjoint_variance[name])
        error = sampled.adjoint_standard_error[name][-1]
        # Runge and Kutta's steps of 0.2 miss 2e-4 of what decays at rate 1 for 6 time constants.
        assert abs(sampled.adjoint_variance[name][-1] - value) < 4 * error + 4e-4 * value, name
    assert {"J_h", "J_z", "J_r", "beta_h", "beta_r"} == set(exact.gradient_variance)
    for name, value in exact.gradient_variance.items():
        error = sampled.gradient_standard_error[name]
        assert abs(sampled.gradient_variance[name] - value) < 4 * error + 1e-3 * value, name
        assert error < 0.1 * value, name


def test_what_lag_equations_do_not_know_is_sampled():
    solution = gf.solve_dmft(gf.VanillaRNN(2.0))
    found = solve_adjoint(solution, 2.0, samples=200, batches=3)
    assert found.method == "lag equations"
    assert set(found.gradient_variance) == {"J_h", "beta", "g"}
    assert float(found.gradient_standard_error["beta"]) == 0
    assert float(found.gradient_standard_error["g"]) > 0


def exact_map(gain):
    """Return q = <h^2> and chi = gain^2 <phi'^2> of h' = tanh(u), <u^2> = gain^2 q."""
    q = 1.0
    for _ in range(500):
        u = gain * math.sqrt(q) * NODES
        q = float(WEIGHTS @ np.tanh(u) ** 2)
    return q, float(gain**2 * WEIGHTS @ (1 - np.tanh(gain * math.sqrt(q) * NODES) ** 2) ** 2)


@pytest.mark.parametrize("gain", [0.8, 2.0])
def test_the_elman_network_multiplies_by_chi_each_step(gain):
    # a_n = J^T phi'(u_n) a_n+1: each step back multiplies by gain^2 <phi'^2>, exactly.
    cell, horizon = gf.ElmanRNN(gain=gain), 8
    _, chi = exact_map(gain)
    found = solve_adjoint(
        gf.solve_dmft(cell, dtype="float64"), horizon, method="sampled", samples=2000, batches=16
    )
    expected = chi**found.times
    error = found.adjoint_standard_error["h"]
    assert np.array_equal(found.times, np.arange(9))
    assert np.all(np.abs(found.adjoint_variance["h"] - expected) < 4 * error + 1e-3 * expected)
    if gain > 1:
        # b_n = phi' a_n+1 decorrelates between steps, and so do the outputs.
        q, _ = exact_map(gain)
        coupling = q * sum(chi**k for k in range(1, 9)) / gain**2
        own = float(found.gradient_standard_error["J_h"])
        assert abs(found.gradient_variance["J_h"] - coupling) < 4 * own + 1e-2 * coupling


def test_growth_tends_to_twice_the_largest_lyapunov_exponent():
    # Of the Elman map the exponent is ln(chi) / 2 exactly, and so are adjoints at every step.
    cell = gf.ElmanRNN(gain=2.0)
    solution = gf.solve_dmft(cell, dtype="float64")
    found = solve_adjoint(solution, 20, samples=2000, batches=8)
    _, chi = exact_map(2.0)
    twice = 2 * float(gf.mean_field_lyapunov(solution).exponent)
    assert twice == pytest.approx(math.log(chi), abs=0.02)
    assert abs(found.growth_rate - math.log(chi)) < 4 * found.growth_standard_error + 2e-3


def test_a_source_with_a_memory_is_integrated_along_the_trajectory():
    # Without coupling a' = -a + c back in time, <c c'> = e^-|s - s'| / 2:
    # E a^2 = integral of e^-(x + y) e^-|x - y| / 2 over x, y < t.
    state = gf.solve_static(gf.VanillaRNN(0.0))[0]
    source = {"h": gf.GaussianInput(variance=0.5, correlation_time=1.0)}
    found = solve_adjoint(state, 3.0, source=source, samples=4000, batches=16, dt=0.1)
    t = np.linspace(0, 3.0, 1201)
    kernel = 0.5 * np.exp(-np.add.outer(t, t) - np.abs(np.subtract.outer(t, t)))
    expected = np.trapezoid(np.trapezoid(kernel, t), t)
    error = float(found.adjoint_standard_error["h"][-1])
    # Between its nodes the source is a straight line: its variance is low by dt / 4 there.
    assert abs(found.adjoint_variance["h"][-1] - expected) < 4 * error + 0.01 * expected


def test_sources_of_short_memory_are_resolved():
    state = gf.solve_static(gf.VanillaRNN(0.0))[0]
    source = {"h": gf.GaussianInput(variance=1.0, correlation_time=0.1)}
    found = solve_adjoint(state, 1.0, source=source, samples=2000, batches=8)
    t = np.linspace(0, 1.0, 2001)
    kernel = np.exp(-np.add.outer(t, t) - np.abs(np.subtract.outer(t, t)) / 0.1)
    expected = np.trapezoid(np.trapezoid(kernel, t), t)
    error = float(found.adjoint_standard_error["h"][-1])
    settings: dict[str, Any] = dict(found.settings)
    assert settings["dt"] <= 0.01
    assert abs(found.adjoint_variance["h"][-1] - expected) < 4 * error + 0.01 * expected


def test_steps_too_long_for_the_units_are_refused(moving_vanilla):
    with pytest.raises(InvalidInputError, match="at most 1"):
        solve_adjoint(moving_vanilla, 3.0, method="sampled", dt=2.0)


@pytest.mark.slow
def test_fast_gates_are_stepped_finely_enough():
    solution = gf.solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, tau_r=0.05))
    options: dict[str, Any] = {"terminal": {"r": 1.0}}
    exact = solve_adjoint(solution, 0.5, method="lag equations", **options)
    sampled = solve_adjoint(
        solution, 0.5, method="sampled", samples=1000, batches=16, seed=5, **options
    )
    error = float(sampled.gradient_standard_error["J_r"])
    difference = abs(sampled.gradient_variance["J_r"] - exact.gradient_variance["J_r"])
    # A step of one time constant would miss six per cent.
    assert error < 0.01 * exact.gradient_variance["J_r"]
    assert difference < 4 * error + 2e-3 * exact.gradient_variance["J_r"]


def test_paths_shorter_than_their_memory_warn(moving_vanilla):
    with pytest.warns(OutsideDomainWarning, match="units that relax"):
        solve_adjoint(moving_vanilla, 1e-3, method="sampled", samples=100, batches=2)


def test_each_seed_has_its_own_result_and_the_same_one_again():
    solution = gf.solve_dmft(gf.VanillaRNN(2.0))
    options: dict[str, Any] = {"samples": 100, "batches": 2}
    first, again, other = (
        solve_adjoint(solution, 2.0, method="sampled", seed=seed, **options).adjoint_variance["h"]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_the_result_says_of_itself():
    solution = gf.solve_dmft(gf.VanillaRNN(2.0))
    found = solve_adjoint(solution, 4.0, method="sampled", samples=200, batches=3)
    dataset = found.to_dataset()
    assert found.horizon == pytest.approx(4.0)
    assert found.batch_growth.shape == (3,)
    assert set(found.gradient_variance) == {"J_h", "g", "beta"}
    assert dict(found.settings)["scheme"] == "rk4"
    assert any("growth" in str(name) for name in dataset.variables)


def test_adjoints_that_overflow_have_a_status():
    solution = gf.solve_dmft(gf.ElmanRNN(gain=50.0))
    options: dict[str, Any] = {"samples": 100, "batches": 2}
    with np.errstate(all="ignore"):
        found = solve_adjoint(solution, 600, throw=False, **options)
        assert found.status is Status.DIVERGED
        with pytest.raises(NumericalFailureError, match="Shorten the horizon"):
            solve_adjoint(solution, 600, **options)


def test_too_few_units_for_a_horizon_are_no_solution():
    solution = gf.solve_dmft(gf.GatedRNN(3.0))
    options: dict[str, Any] = {"method": "sampled", "samples": 60, "batches": 2}
    found = solve_adjoint(solution, 40.0, throw=False, **options)
    assert found.status is Status.NOT_CONVERGED
    with pytest.raises(NumericalFailureError, match="Raise samples"):
        solve_adjoint(solution, 40.0, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": -1.0}, "horizon = -1.0"),
        ({"terminal": {"x": 1.0}}, "terminal"),
        ({"terminal": {"h": 0.0}}, "a positive variance, or a source"),
        ({"terminal": 1.0}, "variances by component"),
        ({"source": {"h": 1.0}}, "a GaussianInput"),
        ({"source": {"h": gf.GaussianInput(variance=1.0, mean=1.0)}}, "mean"),
        ({"method": "fixed point"}, "'lag equations' or 'sampled'"),
        ({"method": "closed"}, "method = 'closed'"),
        ({"samples": 1}, "samples = 1"),
        ({"batches": 1}, "batches = 1"),
        ({"horizon": 1e6, "method": "sampled"}, "paths of 32768 points"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_options_are_refused(options, message, moving_vanilla):
    arguments = {"horizon": 2.0, **options}
    with pytest.raises(InvalidInputError, match=message.replace("(", r"\(")):
        solve_adjoint(moving_vanilla, **arguments)


@pytest.fixture(scope="module")
def moving_vanilla():
    return gf.solve_dmft(gf.VanillaRNN(2.0))


def test_what_is_no_solution_is_refused():
    with pytest.raises(InvalidInputError, match="a MeanField or StaticMeanField"):
        solve_adjoint(cast(Any, gf.VanillaRNN(2.0)), 1.0)


def test_the_horizon_of_a_map_counts_steps():
    solution = gf.solve_dmft(gf.ElmanRNN(gain=2.0))
    with pytest.raises(InvalidInputError, match="whole number of steps"):
        solve_adjoint(solution, 2.5)


def test_gains_of_zero_have_no_gradient_to_report():
    found = solve_adjoint(gf.solve_static(gf.GRU(gain_r=0.0, bias_n=0.3))[-1], 3)
    assert "gain_r" not in found.gradient_variance
    assert "gain_n" in found.gradient_variance
