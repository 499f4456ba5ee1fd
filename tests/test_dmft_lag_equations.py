"""The lag equations: published numbers, shooting, plain quadrature, limits that are known."""

from __future__ import annotations

from typing import Any, cast

import jax
import numpy as np
import pytest
from dmft_reference import Plain, average, average_two, plain_residuals, second_difference
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import gatefield as gf
from gatefield.core.results import Status
from gatefield.numerics.gaussian import gaussian_average_two
from gatefield.numerics.hermite import tanh_series
from gatefield.theory.dmft import (
    GaussianInput,
    MeanField,
    mean_field_branches,
    potential_solutions,
    solve_dmft,
)
from gatefield.theory.dmft.lag_equations import Frame, grid_of, is_covariance, values_at

# Reference values for dt -> 0: C_h(0), C_phi(0), C_h(5), C_h(10) at g_h = 3, tau = 1.
REFERENCES = {
    0.0: (0.08307626, 0.342093, 0.076027, 0.060151),
    2.0: (0.10790876, 0.388983, 0.079145, 0.038320),
}
DIGITS = (0.5e-8, 0.5e-6, 0.5e-6, 0.5e-6)


def variance(found: MeanField) -> float:
    return float(found.covariance["h"][0])


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("alpha_r", REFERENCES)
def test_covariances_have_the_reference_values(alpha_r):
    found = solve_dmft(gf.GatedRNN(3.0, alpha_r=alpha_r))
    values = [variance(found), float(found.covariance["phi"][0]), *found.at("h", [5.0, 10.0])]
    for value, expected, digit in zip(values, REFERENCES[alpha_r], DIGITS, strict=True):
        assert abs(value - expected) <= digit * (1 + 1e-6)
    assert found.status is Status.OK and found.method == "lag equations"
    assert found.fluctuates and not found.is_map
    # Rounding: the smallest residual that double precision allows on a few hundred unknowns.
    assert float(found.residual) < 1e-11 and float(found.truncation) < 1e-11
    assert not jax.config.read("jax_enable_x64")


def test_vanilla_variance_has_the_reference_value():
    """THEORY.md section 7: g = 2 has C_h(0) = .48120135."""
    assert variance(solve_dmft(gf.VanillaRNN(2.0))) == pytest.approx(0.48120135, abs=0.5e-8)


# ---------------------------------------------------------------- shooting


def shot(gain: float, lags: np.ndarray) -> tuple[float, np.ndarray]:
    """Return C0 and C at lags of the vanilla network by Hermite series and an initial-value solver.

    C'' = C - F(C; C0), F = sum of b_n^2 (C/C0)^n; the energy condition fixes C0.
    """

    def squares(c0):
        with jax.enable_x64(True):
            return np.square(tanh_series(gain * np.sqrt(c0), terms=600).coefficients)

    def energy(c0):
        b2 = squares(c0)
        return c0 / 2 - b2 @ (1 / (np.arange(b2.size) + 1))

    c0: Any = brentq(energy, 0.05, 1.0, xtol=1e-15)
    force = np.polynomial.Polynomial(squares(c0))
    run = solve_ivp(
        lambda _, y: (y[1], y[0] - force(y[0] / c0)),
        (0, lags[-1]),
        (c0, 0.0),
        method="DOP853",
        t_eval=lags,
        rtol=1e-13,
        atol=1e-15,
    )
    return float(c0), run.y[0]


@pytest.mark.parametrize("gain", [1.5, 2.5])
def test_vanilla_orbit_is_that_of_shooting(gain):
    """An initial value at the top of the hill, Hermite series, no collocation, no scale mixtures.

    Errors grow as exp(t) at most, from 1e-13 on: 1e-8 at t = 10.
    """
    lags = np.linspace(0, 10, 41)
    c0, expected = shot(gain, lags)
    found = solve_dmft(gf.VanillaRNN(gain))
    assert variance(found) == pytest.approx(c0, rel=1e-12)
    np.testing.assert_allclose(found.at("h", lags), expected, rtol=0, atol=1e-8 * c0)
    np.testing.assert_allclose(found.at("h", lags[:13]), expected[:13], rtol=0, atol=1e-11 * c0)


def test_energy_is_conserved_along_the_vanilla_orbit():
    """C'^2/2 = C^2/2 - int_0^C F(c; C0) dc with Gaussian quadrature for F."""
    gain = 2.0
    found = solve_dmft(gf.VanillaRNN(gain))
    c0 = variance(found)
    y, weight = np.polynomial.legendre.leggauss(24)
    lags = np.array([0.0, 1.0, 3.0, 8.0, 20.0])
    with jax.enable_x64(True):

        def two_point(c):
            return gaussian_average_two(
                lambda x: jax.numpy.tanh(gain * x), lambda x: jax.numpy.tanh(gain * x), c, c0
            )

        many = jax.jit(lambda c: jax.lax.map(two_point, c))
        C = found.at("h", lags)
        nodes = C[:, None] * (0.5 * (1 + y))
        force = np.asarray(many(nodes.ravel())).reshape(nodes.shape)
    potential = C**2 / 2 - C * (force @ (0.5 * weight))
    step = 1e-3
    slope = (found.at("h", lags + step) - found.at("h", np.abs(lags - step))) / (2 * step)
    # The difference errs by step^2 C'''/6 < 1e-7 C0; the energy itself is far smaller than C0^2.
    np.testing.assert_allclose(slope**2 / 2, potential, rtol=1e-6, atol=1e-12)
    assert abs(potential[0]) < 1e-12
    assert potential[1] > 1e-3 * c0**2


# ---------------------------------------------------------------- residuals by plain quadrature

NONE = GaussianInput(variance=0.0)
CELLS: dict[str, tuple[Any, dict[str, GaussianInput], str]] = {
    "vanilla-bias": (gf.VanillaRNN(2.0, beta=0.3), {}, "auto"),
    "gated": (gf.GatedRNN(3.0, alpha_r=2.0), {}, "auto"),
    "slow-gate": (gf.GatedRNN(3.0, alpha_r=2.0, tau_r=4.0, beta_z=1.0), {}, "auto"),
    "biases": (gf.GatedRNN(3.0, alpha_r=2.0, beta_h=0.2, beta_r=-0.3, tau_r=0.5), {}, "auto"),
    "separable": (gf.GatedRNN(3.0, alpha_z=1.0, alpha_r=2.0, tau_z=2.0), {}, "separable"),
    "inputs": (
        gf.GatedRNN(3.0, alpha_r=2.0, beta_z=-0.5),
        {
            "h": GaussianInput(variance=0.01, correlation_time=2.0),
            "z": GaussianInput(variance=0.3),
            "r": GaussianInput(variance=0.5, correlation_time=0.5),
        },
        "auto",
    ),
    "inside": (
        gf.GatedRNN(3.0, alpha_z=1.0, alpha_r=2.0, input_gating="update"),
        {"h": GaussianInput(variance=0.02), "z": GaussianInput(variance=0.1, correlation_time=3.0)},
        "separable",
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_solutions_solve_the_equations(name):
    """Second differences of `at`, and two-point functions by the trapezoid rule."""
    cell, inputs, method = CELLS[name]
    found = solve_dmft(cell, inputs=inputs, method=method)

    def V(lags):
        each = [inputs.get(key, NONE) for key in "hzr"]
        return np.array([one.second_moment(lags) for one in each])

    lags = np.array([0.3, 1.0, 2.5, 6.0, 15.0, 40.0])
    residuals = plain_residuals(found, lags, V)
    # Differences of sixth order: 0.05^6 C''''''''/560 < 1e-10 C(0), and rounding 1e-15/0.05^2.
    assert np.max(np.abs(residuals)) < 2e-9
    # Flat at lag 0, as a stationary covariance of a differentiable process is.
    step = 1e-4
    for key in set("hzr") & set(found.names):
        rise = (found.at(key, [step])[0] - found.at(key, [0.0])[0]) / step
        bend = abs(second_difference(lambda t, key=key: found.at(key, t), np.zeros(1), 0.05)[0])
        assert abs(rise) < step * bend


@pytest.mark.parametrize("name", ["vanilla-bias", "biases", "separable"])
def test_every_quantity_is_that_of_its_gaussian_arguments(name):
    """Covariances and means of phi, gates, outputs and fields, by the trapezoid rule."""
    cell, _, method = CELLS[name]
    found = solve_dmft(cell, method=method)
    plain, lags = Plain(cell), np.array([0.0, 0.7, 4.0, 25.0])
    C = {key: found.at(key, lags) for key in set("hzr") & set(found.names)}
    phi = average_two(plain.phi, plain.phi, C["h"], C["h"][0])
    expected = {"h": C["h"], "phi": phi}
    mean = {"h": 0.0, "phi": average(plain.phi, C["h"][0])}
    if "r" in C:
        gate_z = average_two(plain.gate_z, plain.gate_z, C["z"], C["z"][0])
        gate_r = average_two(plain.gate_r, plain.gate_r, C["r"], C["r"][0])
        expected |= {"sigma_z": gate_z, "sigma_r": gate_r, "eta_z": phi, "eta_r": phi}
        expected |= {"y_z": phi, "y_r": phi, "z": C["z"], "r": C["r"]}
        mean |= {"sigma_z": average(plain.gate_z, C["z"][0]), "z": 0.0, "r": 0.0}
        mean |= {"sigma_r": average(plain.gate_r, C["r"][0]), "eta_z": 0.0, "eta_r": 0.0}
        mean |= {"y_z": mean["phi"], "y_r": mean["phi"]}
    sent = phi * (expected["sigma_r"] if "r" in C else 1.0)
    expected |= {"eta_h": sent, "y_h": sent}
    mean |= {"eta_h": 0.0, "y_h": mean["phi"] * mean.get("sigma_r", 1.0)}
    assert set(found.names) == set(expected)
    for key, values in expected.items():
        # Interpolating a product of polynomials is as accurate as its factors.
        np.testing.assert_allclose(found.at(key, lags), values, rtol=0, atol=1e-10)
        assert float(found.mean[key]) == pytest.approx(mean[key], abs=1e-12)
        assert np.all(found.standard_error[key] == 0)


def test_means_of_constant_inputs():
    """A constant input only shifts: h by I / s_z(0), z and r by I, and the biases with them."""
    shifted = gf.GatedRNN(3.0, alpha_r=2.0, beta_z=0.4)
    rate = 1 / (1 + np.exp(-0.4))
    found = solve_dmft(shifted, inputs={"h": 0.1, "r": GaussianInput(variance=0.0, mean=-0.2)})
    plain = solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, beta_z=0.4, beta_h=0.3 / rate, beta_r=-0.4))
    lags = np.array([0.0, 1.0, 9.0])
    for name, mean in (("h", 0.1 / rate), ("r", -0.2)):
        assert float(found.mean[name]) == pytest.approx(mean, rel=1e-14)
        np.testing.assert_allclose(found.at(name, lags) - mean**2, plain.at(name, lags), rtol=1e-9)
    np.testing.assert_allclose(found.at("phi", lags), plain.at("phi", lags), rtol=1e-9)


# ---------------------------------------------------------------- between the lags


def test_interpolation_loses_nothing():
    """Off the nodes, against shooting; monotone cubics would err by 1e-4."""
    lags = np.array([0.037, 0.41, 1.7, 2.9, 4.4])
    c0, expected = shot(2.0, lags)
    found = solve_dmft(gf.VanillaRNN(2.0))
    assert np.min(np.abs(found.lags[:, None] - lags)) > 1e-3
    np.testing.assert_allclose(found.at("h", lags), expected, rtol=0, atol=1e-10 * c0)
    nodes = found.at("h", found.lags)
    np.testing.assert_allclose(nodes, found.covariance["h"], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(found.at("h", -lags), found.at("h", lags))
    assert found.at("h", [1e9])[0] == pytest.approx(found.covariance["h"][-1], abs=1e-15)
    assert found.at("h", lags.reshape(5, 1)).shape == (5, 1)
    assert found.at("h", 1.0).shape == ()


def test_values_between_lags_are_those_of_a_polynomial():
    """Any polynomial of arcsinh(t/L) below the number of lags is reproduced."""
    frame = Frame(0.7, 30.0, 12)
    lags, points = grid_of(frame).lags, np.array([0.0, 0.01, 0.5, 3.0, 29.9, 30.0])
    curve = np.polynomial.Polynomial(np.random.default_rng(1).normal(size=12))
    span = np.arcsinh(30.0 / 0.7)
    found = values_at(frame, curve(np.arcsinh(lags / 0.7) / span), points)
    np.testing.assert_allclose(found, curve(np.arcsinh(points / 0.7) / span), rtol=1e-11)


def test_functions_with_negative_spectra_are_no_covariances():
    """exp(-t^p) has a spectrum that is nowhere negative for p <= 2, not for p > 2 (Schoenberg)."""
    frame = Frame(1.0, 40.0, 80)
    lags = grid_of(frame).lags
    for power, valid in ((1.0, True), (1.5, True), (2.0, True), (3.0, False), (4.0, False)):
        C = np.exp(-(lags**power))
        assert is_covariance(frame, np.stack([C, 0.3 + C, np.ones_like(C)])) is valid
    oscillates = np.exp(-0.1 * lags) * np.cos(0.5 * lags)
    assert is_covariance(frame, oscillates[None])
    assert not is_covariance(frame, (1.1 - np.exp(-lags))[None])


# ---------------------------------------------------------------- limits


def test_open_gates_leave_the_vanilla_network():
    """At a bias of 30 the gates lack 1e-13 of one."""
    vanilla, gated = gf.VanillaRNN(2.0), gf.GatedRNN(2.0, beta_z=30.0, beta_r=30.0)
    one, two = solve_dmft(vanilla), solve_dmft(gated)
    lags = np.linspace(0, 30, 7)
    for name in ("h", "phi", "eta_h"):
        np.testing.assert_allclose(one.at(name, lags), two.at(name, lags), rtol=0, atol=2e-12)


def test_time_constants_scale():
    """With s_z = s_z(0) alone, time counts in units of 1/s_z(0): C_h(t) = C(s_z t) at tau s_z."""
    rate = 1 / (1 + np.exp(1.2))
    slow = solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, beta_z=-1.2, tau_r=1 / rate))
    fast = solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, beta_z=30.0, tau_r=1.0))
    lags = np.linspace(0, 20, 9)
    np.testing.assert_allclose(slow.at("h", lags / rate), fast.at("h", lags), rtol=0, atol=1e-11)


def test_fast_gates_tend_to_the_potential_method():
    """C_r = C_phi + tau^2 C_phi'': the difference is of second order in tau_r."""
    limit = potential_solutions(gf.GatedRNN(3.0, alpha_r=2.0))[0].variance
    steps = np.array([0.1, 0.05, 0.025])
    each = [variance(solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, tau_r=tau))) for tau in steps]
    scaled = (np.array(each) - limit) / steps**2
    # The next order is tau^4: what is left of it falls by four at each step.
    assert (scaled[1] - scaled[0]) / (scaled[2] - scaled[1]) == pytest.approx(4.0, rel=0.1)
    assert scaled[-1] == pytest.approx(scaled[-2], rel=2e-3)
    tiny = solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, tau_r=1e-5))
    assert variance(tiny) == pytest.approx(limit, rel=1e-11)


def test_separable_theory_tends_to_the_exact_one():
    """C_sz = 1/4 + alpha_z^2 C_z/16 + ...: the difference is of second order in alpha_z."""
    exact = variance(solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0)))
    gains = np.array([0.2, 0.1, 0.05])
    each = [
        variance(solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, alpha_z=a), method="separable"))
        for a in gains
    ]
    scaled = (np.array(each) - exact) / gains**2
    assert (scaled[1] - scaled[0]) / (scaled[2] - scaled[1]) == pytest.approx(4.0, rel=0.05)
    assert abs(scaled[-1]) > 1e-5


@pytest.mark.parametrize(("name", "order"), [("beta_h", 2), ("beta_r", 1), ("beta_z", 1)])
def test_small_biases_change_little(name, order):
    """Even in beta_h, smooth in the others; other two-point functions serve biases."""
    exact = variance(solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0)))
    biases = np.array([1e-2, 1e-3])
    each = [
        variance(solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, **{name: value}))) for value in biases
    ]
    change = np.array(each) - exact
    assert change[0] / change[1] == pytest.approx(10.0**order, rel=0.02)
    if order == 1:
        # Odd to first order, also through zero.
        other = variance(solve_dmft(gf.GatedRNN(3.0, alpha_r=2.0, **{name: cast(Any, -1e-3)})))
        assert other - exact == pytest.approx(-change[1], rel=0.01)


# ---------------------------------------------------------------- beside the dynamical transition


def moving_pair(gain: float, alpha_r: float, tau_r: float) -> np.ndarray:
    """Return C_h(0) of the moving states beside the zero fixed point."""
    zero, *found = mean_field_branches(gf.GatedRNN(gain, alpha_r=alpha_r, tau_r=tau_r))
    assert not zero.fluctuates and variance(zero) == 0
    assert all(each.fluctuates and each.status is Status.OK for each in found)
    return np.array([variance(each) for each in found])


def test_states_merge_at_the_dynamical_transition():
    """Apart as sqrt(alpha - alpha*) around C_h(0) of the fold.

    The fold is that of `gatefield.theory.dynamical_fold.lagged_fold(1.8, tau_r=0.1)`, a bordered
    system of its own (half a minute of compilation).
    """
    place, middle = 14.884832561916195, 0.012019628074526181
    excess = np.array([1e-2, 1e-4])
    pairs = np.array([moving_pair(1.8, place * (1 + each), 0.1) for each in excess])
    assert pairs.shape == (2, 2)
    apart = (pairs[:, 1] - pairs[:, 0]) / np.sqrt(excess)
    # Corrections are of relative order alpha - alpha*.
    assert apart[0] == pytest.approx(apart[1], rel=2 * excess[0])
    # The mean moves linearly, a hundred times less at the second.
    shift = pairs.mean(axis=1) / middle - 1
    assert abs(shift[1]) < 1e-3 and shift[0] / shift[1] == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize(("gain", "place"), [(1.7, 38.23274), (1.8, 14.54170)], ids=str)
def test_slow_gates_move_the_transition(gain, place):
    """THEORY.md section 4, tau_r = 1: below the fold for tau_r -> 0, where the search starts."""
    assert potential_solutions(gf.GatedRNN(gain, alpha_r=place * 1.001)) == ()
    assert moving_pair(gain, place * 1.001, 1.0).size == 2
    assert moving_pair(gain, place * 0.999, 1.0).size == 0
