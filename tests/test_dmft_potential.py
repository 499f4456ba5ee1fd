"""The potential method: energy conditions by other quadratures, limits, folds, refusals."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from dmft_reference import Plain, average_two
from scipy.integrate import quad

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.numerics.hermite import sigmoid_series, tanh_series, two_point
from gatefield.theory.dmft import GaussianInput, potential_solutions, solve_dmft
from gatefield.theory.dmft.gated_form import gated_form
from gatefield.theory.dmft.potential import moving_states, orbit

# THEORY.md section 4: alpha*_DMFT(g) and C_h(0) there, tau_r -> 0.
FOLDS = {
    1.70: (42.86289926, 0.00632237),
    1.80: (14.88958181, 0.01201155),
    1.90: (7.83848478, 0.01310902),
}


def roots(cell: Any, inputs: Any = None) -> np.ndarray:
    """Return C_h(0) of every solution."""
    return np.array([one.variance for one in potential_solutions(cell, inputs)])


# ---------------------------------------------------------------- the energy condition


def hermite_energy(c0: float, gain: float, alpha: float) -> float:
    """Return int_0^C0 (C_sr C_phi - C) dC over C0^2, by Hermite series and Legendre nodes (G7)."""
    y, weight = np.polynomial.legendre.leggauss(60)
    y, weight = (y + 1) / 2, weight / 2
    C = c0 * (1 - y**4)
    with jax.enable_x64(True):
        phi = tanh_series(gain * np.sqrt(c0), terms=400)
        squares = np.asarray(two_point(phi, np.append(C / c0, 1.0)))
        gate = sigmoid_series(alpha * np.sqrt(squares[-1]), terms=1200)
        product = squares[:-1] * np.asarray(two_point(gate, squares[:-1] / squares[-1]))
    return float((4 * y**3 * weight) @ (product - C)) / c0


@pytest.mark.parametrize(
    ("gain", "alpha", "count"), [(3.0, 2.0, 1), (2.2, 8.0, 1), (1.8, 20.0, 2)], ids=str
)
def test_energy_vanishes_by_hermite_series(gain, alpha, count):
    found = potential_solutions(gf.GatedRNN(gain, alpha_r=alpha))
    assert len(found) == count
    for one in found:
        assert hermite_energy(one.variance, gain, alpha) == pytest.approx(0.0, abs=1e-12)
        # Nothing else is near: the energy changes sign there.
        low, high = (hermite_energy(one.variance * f, gain, alpha) for f in (0.99, 1.01))
        assert low * high < 0 and min(abs(low), abs(high)) > 1e-6
        assert one.plateau == 0 and one.energy < 1e-12


BIASED: dict[str, tuple[Any, dict[str, GaussianInput]]] = {
    "vanilla": (gf.VanillaRNN(2.0, beta=0.3), {}),
    "tiny": (gf.GatedRNN(3.0, alpha_r=2.0, beta_h=1e-3), {}),
    "three": (gf.GatedRNN(3.0, alpha_r=2.0, beta_h=0.2, beta_r=-0.3, beta_z=0.5), {}),
    "input-h": (gf.VanillaRNN(1.2), {"h": GaussianInput(variance=1e-3)}),
    "input-all": (
        gf.GatedRNN(3.0, alpha_r=2.0, beta_z=0.5),
        {name: GaussianInput(variance=0.01) for name in "hzr"},
    ),
    "inside": (
        gf.GatedRNN(3.0, alpha_z=2.0, alpha_r=2.0, beta_h=0.1, input_gating="update"),
        {"h": GaussianInput(variance=0.01), "z": GaussianInput(variance=0.1)},
    ),
}


@pytest.mark.parametrize("name", BIASED)
def test_energy_vanishes_above_the_plateau(name):
    """f = C_sz (C_sr C_phi - C) + V_h is zero on the plateau, and so is its integral above."""
    cell, inputs = BIASED[name]
    plain = Plain(cell)
    V = {key: inputs[key].variance if key in inputs else 0.0 for key in "hzr"}
    inside = getattr(cell, "input_gating", "none") == "update"

    def force(C, c0):
        phi = average_two(plain.phi, plain.phi, np.append(C, c0), c0)
        gate_z, gate_r = (
            average_two(gate, gate, phi + V[key], phi[-1] + V[key])[:-1]
            for key, gate in (("z", plain.gate_z), ("r", plain.gate_r))
        )
        drive = gate_r * phi[:-1]
        return gate_z * (drive + V["h"] - C) if inside else gate_z * (drive - C) + V["h"]

    (one,) = potential_solutions(cell, inputs)
    c0, plateau = one.variance, one.plateau
    assert 0 < plateau < c0
    assert abs(force(np.array([plateau]), c0)[0]) < 1e-13 * c0
    assert force(np.array([plateau * 1.001]), c0)[0] < 0
    y, weight = np.polynomial.legendre.leggauss(40)
    y, weight = (y + 1) / 2, weight / 2
    span = c0 - plateau
    values = force(plateau + span * (1 - y**4), c0)
    assert span * (4 * y**3 * weight) @ values == pytest.approx(0.0, abs=1e-13 * c0**2)


def test_vanilla_solutions_of_both_methods_agree():
    """Without gates the potential method is exact: the lag equations say the same."""
    for cell in (gf.VanillaRNN(1.3), gf.VanillaRNN(2.5, beta=0.4)):
        found = solve_dmft(cell)
        (one,) = potential_solutions(cell)
        assert float(found.covariance["h"][0]) == pytest.approx(one.variance, rel=1e-12)
        assert float(found.covariance["h"][-1]) == pytest.approx(one.plateau, abs=1e-12)


def test_orbit_starts_newtons_method_closely():
    """To about 1e-3 of C0, so that a few steps suffice; exact for the vanilla network."""
    form = gated_form(gf.VanillaRNN(2.0, beta=0.2), {})
    found = solve_dmft(gf.VanillaRNN(2.0, beta=0.2))
    lags = np.linspace(0, 40, 30)
    (state,) = moving_states(form)
    np.testing.assert_allclose(
        orbit(form, state, lags), found.at("h", lags), rtol=0, atol=2e-3 * state.variance
    )


# ---------------------------------------------------------------- limits


def test_steep_activations_tend_to_steps():
    """C0 -> 2 - 4/pi for the vanilla network, a quarter of it behind half-open gates.

    F = (2/pi) arcsin(C/C0), so that C0^2/2 = C0 int_0^1 F = C0 (1 - 2/pi). What a finite gain lacks
    is of second order in 1/g: the first order, at C = C0, is integrated.
    """
    limit = 2 * (1 - 2 / np.pi)
    gains = np.array([1e2, 1e3, 1e4])
    for factor, cell in ((1.0, gf.VanillaRNN), (0.25, gf.GatedRNN)):
        lack = np.array([roots(cell(g))[-1] for g in gains]) / (factor * limit) - 1
        np.testing.assert_allclose(lack[:-1] / lack[1:], 100, rtol=0.02)
        assert abs(lack[-1]) < 1e-7


def test_steep_gates_tend_to_steps():
    """g, alpha_r -> infinity: C0 = 2 int_0^1 F (1 + (2/pi) arcsin F)/4, F = (2/pi) arcsin rho."""

    def product(rho):
        phi = 2 / np.pi * np.arcsin(rho)
        return phi * (1 + 2 / np.pi * np.arcsin(phi)) / 4

    limit = 2 * quad(product, 0, 1, epsabs=1e-13)[0]
    gains = np.array([1e3, 1e4, 1e5])
    lack = np.array([roots(gf.GatedRNN(g, alpha_r=g))[-1] for g in gains]) / limit - 1
    # Of first order in 1/g, for C_r(0) = 1 - sqrt(2/pi)/b.
    np.testing.assert_allclose(lack[:-1] / lack[1:], 10, rtol=0.03)
    assert abs(lack[-1]) < 1e-3


def test_just_above_the_continuous_transition():
    """C0 = eps/8 for the gated network at g = 2 + eps, eps for the vanilla one at 1 + eps."""
    for eps in (1e-3, 1e-5, 1e-7):
        for value, expected in (
            (roots(gf.GatedRNN(2 + eps)), eps / 8),
            (roots(gf.VanillaRNN(1 + eps)), eps),
        ):
            assert value.size == 1
            # Appendix I: the next order is 5 eps/12 of the first, or twice that.
            assert value[0] / expected - 1 == pytest.approx(0.0, abs=eps + 1e-8)


@pytest.mark.parametrize("cell", [gf.VanillaRNN(0.99), gf.GatedRNN(1.99), gf.VanillaRNN(0.0)])
def test_nothing_moves_below(cell):
    assert potential_solutions(cell) == ()


# ---------------------------------------------------------------- beside the fold


@pytest.mark.parametrize("gain", FOLDS)
def test_two_solutions_meet_at_the_fold(gain):
    """Eqs. G8-G9: none below alpha*, two above, 1e-6 beside it as well as far away."""
    place, middle = FOLDS[gain]
    assert roots(gf.GatedRNN(gain, alpha_r=place * (1 - 1e-6))).size == 0
    excess = np.array([1e-2, 1e-4, 1e-6])
    pairs = np.array([roots(gf.GatedRNN(gain, alpha_r=place * (1 + each))) for each in excess])
    assert pairs.shape == (3, 2)
    apart = (pairs[:, 1] - pairs[:, 0]) / np.sqrt(excess) / middle
    # Corrections are of relative order alpha - alpha*, and 1e-8/1e-6 by the digits of alpha*.
    np.testing.assert_allclose(apart[:2], apart[2], rtol=0.03)
    assert pairs[2].mean() == pytest.approx(middle, rel=1e-5)
    assert roots(gf.GatedRNN(gain, alpha_r=1e3)).size == 2


def test_small_biases_keep_both_solutions():
    """As beta_h -> 0 both approach those without bias, though their plateaus nearly vanish."""
    exact = roots(gf.GatedRNN(1.8, alpha_r=20.0))
    near, nearer = (roots(gf.GatedRNN(1.8, alpha_r=20.0, beta_h=b)) for b in (2e-3, 1e-3))
    # Even in the bias: a quarter at half of it.
    np.testing.assert_allclose((near - exact) / (nearer - exact), 4.0, rtol=0.02)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("cell", "inputs", "says"),
    [
        (gf.GRU(), {}, "GatedRNN or VanillaRNN"),
        (gf.VanillaRNN(np.array([1.0, 2.0])), {}, "shared"),
        (gf.VanillaRNN(2.0), {"h": GaussianInput(variance=0.1, correlation_time=1.0)}, "constant"),
        (gf.VanillaRNN(2.0), {"x": 0.1}, "'h'"),
        (gf.VanillaRNN(2.0), {"h": np.sin}, "GaussianInput"),
        (gf.GatedRNN(2.0, alpha_z=1.0), {"h": 0.1}, "varying update gate"),
    ],
    ids=["gru", "per-unit", "moving-input", "name", "function", "update-gate"],
)
def test_what_has_no_potential_is_refused(cell, inputs, says):
    with pytest.raises(InvalidInputError, match=says):
        potential_solutions(cell, inputs)
    with pytest.raises(InvalidInputError, match="cell"):
        potential_solutions(3.0, {})  # pyright: ignore[reportArgumentType]
