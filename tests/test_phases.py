"""Critical lines against published limits, reference numbers and independent computations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize

import gatefield as gf
from gatefield import phases
from gatefield.core.errors import InvalidInputError

# THEORY section 4; the inner maximum was refined there, so all digits hold.
FIXED_POINT_LINE = {
    1.45: 266.2141126,
    1.5: 74.43308086,
    1.7: 13.02961199,
    1.8: 8.15697750,
    1.9: 5.38101388,
}


@pytest.mark.slow
def test_fixed_point_line_meets_reference_numbers():
    gains = np.array(list(FIXED_POINT_LINE))
    expected = np.array(list(FIXED_POINT_LINE.values()))
    # The references are given to about ten digits.
    np.testing.assert_allclose(phases.fixed_point_line(gains), expected, rtol=2e-9)


def _static_excess(variance: float, g: float, alpha: float) -> float:
    """Mapped / D - 1 by adaptive quadrature: nothing of the package takes part."""

    def average(function):
        weight = lambda x: function(x) * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)  # noqa: E731
        return 2 * integrate.quad(weight, 0, 12, epsabs=1e-13, epsrel=1e-12, limit=200)[0]

    activity = average(lambda x: np.tanh(g * np.sqrt(variance) * x) ** 2)
    steep = alpha * np.sqrt(activity)
    # s(x)^2 + s(-x)^2 = (1 + tanh(x/2)^2)/2: the even part is smooth enough for quad.
    gate = average(lambda x: (1 + np.tanh(steep * x / 2) ** 2) / 4)
    return activity * gate / variance - 1


def test_fixed_point_line_is_the_maximum_of_an_independent_map():
    g = 1.65
    alpha = float(phases.fixed_point_line(g))

    def best(a):
        found: Any = optimize.minimize_scalar(
            lambda u: -_static_excess(np.exp(u), g, a),
            bounds=(-7, -1),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return -found.fun

    # Below the line the map stays below the diagonal, above it passes: the maximum crosses zero.
    assert best(alpha * (1 - 1e-6)) < 0 < best(alpha * (1 + 1e-6))


def test_fixed_point_line_exists_between_sqrt_2_and_2_only():
    inside = np.array([np.sqrt(2) + 1e-3, 1.6, 2 - 1e-4])
    outside = np.array([0.5, np.sqrt(2) - 1e-6, 2.0, 2.5])
    assert np.isfinite(phases.fixed_point_line(inside)).all()
    assert np.isinf(phases.fixed_point_line(outside)).all()


def test_fixed_point_line_tends_to_sqrt_8_with_the_predicted_slope():
    # alpha* = sqrt(8) + sqrt(62 eps / 3) + O(eps): the remainder must shrink like eps.
    eps = np.array([4e-3, 1e-3, 2.5e-4])
    remainder = phases.fixed_point_line(2 - eps) - np.sqrt(8) - np.sqrt(62 * eps / 3)
    orders = np.log(remainder[:-1] / remainder[1:]) / np.log(4)
    np.testing.assert_allclose(orders, 1.0, atol=0.1)


def test_fixed_point_line_diverges_at_sqrt_2_as_predicted():
    # alpha* = 1 / (2 sqrt(2 pi) g^3 D^(3/2)), D = (g^2/2 - 1)/(3 g^4); corrections vanish with D.
    g = np.sqrt(2) + np.array([1e-2, 1e-3, 1e-4])
    variance = (g**2 / 2 - 1) / (3 * g**4)
    leading = 1 / (2 * np.sqrt(2 * np.pi) * g**3 * variance**1.5)
    excess = np.abs(phases.fixed_point_line(g) / leading - 1)
    assert np.all(np.diff(excess) < 0)
    assert excess[-1] < 1e-3


@pytest.mark.parametrize("alpha", [3.0, 8.0, 40.0, 500.0])
@pytest.mark.slow
def test_fixed_point_line_asked_both_ways(alpha):
    g = phases.fixed_point_line(alpha_r=alpha)
    np.testing.assert_allclose(phases.fixed_point_line(g), alpha, rtol=1e-7)


def test_zero_fixed_point_loses_stability_at_the_inverse_gate():
    for beta_r in (-1.0, 0.0, 2.0):
        gate = 1 / (1 + np.exp(-beta_r))
        critical = phases.stability_line(alpha_r=[0.0, 5.0, 100.0], beta_r=beta_r)
        np.testing.assert_allclose(critical, 1 / gate, rtol=1e-10)
    np.testing.assert_array_equal(phases.stability_line([1.9, 2.1]), [np.inf, 0.0])


@pytest.mark.slow
def test_input_windows_of_chaos_at_low_gain():
    # THEORY section 9: at g = 1.8 static input destabilises within these standard deviations.
    for alpha, (low, high) in {6.0: (0.028, 0.36), 12.0: (0.012, 0.83)}.items():
        for deviation, unstable in [
            (0.9 * low, False),
            (1.1 * low, True),
            (0.97 * high, True),
            (1.03 * high, False),
        ]:
            critical = phases.stability_line(alpha_r=alpha, input_variance={"h": deviation**2})
            assert (critical < 1.8) == unstable, (alpha, deviation)


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    alpha=st.floats(0.0, 30.0),
    variance=st.floats(1e-3, 1.0),
    beta_h=st.floats(-1.0, 1.0),
    beta_r=st.floats(-2.0, 2.0),
    bias=st.floats(0.0, 0.5),
)
def test_radius_is_one_on_the_stability_line(alpha, variance, beta_h, beta_r, bias):
    conditions: dict[str, Any] = {
        "input_variance": {"h": variance},
        "bias_variance": {"r": bias},
    }
    critical = float(
        phases.stability_line(alpha_r=alpha, beta_h=beta_h, beta_r=beta_r, **conditions)
    )
    cell = gf.GatedRNN(critical, alpha_r=alpha, beta_h=beta_h, beta_r=beta_r, input_gating="update")
    radii = [float(branch.radius) for branch in gf.solve_static(cell, **conditions)]
    # solve_static scans and bisects in D_h, the line follows the branch in b: two algorithms.
    assert min(abs(radius - 1) for radius in radii) < 1e-7


@pytest.mark.slow
def test_stability_line_asked_both_ways():
    conditions = {"input_variance": {"h": 0.04}}
    alpha = np.array([0.5, 3.0, 12.0])
    g = phases.stability_line(alpha_r=alpha, **conditions)
    np.testing.assert_allclose(phases.stability_line(g, **conditions), alpha, rtol=1e-7)
    # Above the line's start at alpha_r = 0 the fixed point is unstable for every alpha_r.
    start = float(phases.stability_line(alpha_r=0.0, **conditions))
    assert phases.stability_line(start + 0.1, **conditions) == 0.0


@pytest.mark.slow
def test_marginal_line_by_both_methods():
    # THEORY section 4: 6.546 at the static variance, 6.022 at the variance of the chaotic state.
    static, dynamical = (
        float(phases.marginal_line(alpha_r=0.0, method=method)) for method in ("static", "dmft")
    )
    assert static == pytest.approx(6.546, abs=5e-4)
    assert dynamical == pytest.approx(6.022, abs=5e-4)


@pytest.mark.slow
def test_marginal_line_is_where_the_radius_meets_the_open_gates():
    g = phases.marginal_line(alpha_r=2.0)
    upper = gf.solve_static(gf.GatedRNN(float(g), alpha_r=2.0))[-1]
    assert float(upper.radius) ** 2 / 2 == pytest.approx(1.0, abs=1e-8)
    np.testing.assert_allclose(phases.marginal_line(g), 2.0, rtol=1e-7)


def test_opening_the_update_gate_shrinks_the_marginal_region():
    # <s_z> grows with the offset, so rho^2 <s_z> = 1 is met at a lower gain (Sec. VI of the paper).
    lines = [float(phases.marginal_line(alpha_r=0.0, z_offset=z)) for z in (-0.3, 0.0, 0.3)]
    assert lines[0] > lines[1] > lines[2] > 2.0


def test_marginal_line_ends_where_no_active_state_is_marginal():
    assert phases.marginal_line(1.5) == 0.0
    assert phases.marginal_line(7.0) == 0.0


def test_diagram_has_all_regions_where_theory_puts_them():
    diagram = gf.phase_diagram(np.linspace(1.3, 7, 40), np.linspace(0, 40, 41), tau_r=0.0)
    assert set(np.unique(diagram.region)) == {1, 2, 3, 4, 5}
    for (g, alpha), region in {
        (1.4, 20.0): 1,
        (1.8, 5.0): 1,
        (1.8, 12.0): 2,
        (1.8, 30.0): 3,
        (3.0, 10.0): 4,
        (3.0, 1.0): 5,
        (6.9, 0.5): 4,
    }.items():
        assert phases.classify(g, alpha, tau_r=0.0) == region, (g, alpha)
    assert not np.isnan(diagram.fixed_point_line).any()


def test_diagram_agrees_with_the_solver_point_by_point():
    rng = np.random.default_rng(7)
    for g, alpha in zip(rng.uniform(1.3, 2.6, 25), rng.uniform(0, 30, 25), strict=True):
        region = phases.classify(g, alpha, tau_r=0.0)
        branches = gf.solve_static(gf.GatedRNN(g, alpha_r=alpha))
        if not branches[0].stable:
            assert region in (4, 5)
        elif len(branches) == 3:
            assert region in (2, 3, 5)
        else:
            assert region == 1


def test_diagram_with_biases_says_what_it_does_not_know():
    diagram = gf.phase_diagram([1.5, 3.0], [0.0, 5.0], beta_h=0.1)
    assert "not known" in diagram.notes[0]
    assert np.isinf(diagram.dynamical_line).all()
    mirrored = gf.phase_diagram([1.5, 3.0], [0.0, 5.0], beta_h=-0.1)
    np.testing.assert_array_equal(diagram.region, mirrored.region)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: phases.fixed_point_line(), "exactly one of g_h and alpha_r"),
        (lambda: phases.fixed_point_line(1.8, alpha_r=3.0), "exactly one of g_h and alpha_r"),
        (lambda: phases.stability_line([]), "at least one value"),
        (lambda: phases.stability_line(np.nan), "finite"),
        (lambda: phases.stability_line(1.0, input_variance={"h": -1.0}), "not negative"),
        (lambda: phases.stability_line(1.0, input_variance={"q": 1.0}), "'h', 'z', 'r'"),
        (lambda: phases.marginal_line(3.0, method="guess"), "'static', 'dmft'"),
        (lambda: phases.marginal_line(3.0, method="dmft", beta_h=0.1), "'static'"),
        (lambda: gf.phase_diagram([], [1.0]), "at least one value"),
        (lambda: gf.phase_diagram([2.0, 1.0], [1.0]), "increasing"),
        (lambda: gf.phase_diagram([1.0], [1.0], line_input_variance=0.0), "positive"),
        (lambda: phases.dynamical_line(1.8, -1.0), "not negative"),
        (lambda: phases.dynamical_line([]), "at least one value"),
    ],
    ids=[
        "neither",
        "both",
        "empty",
        "nan",
        "negative-variance",
        "unknown-name",
        "unknown-method",
        "dmft-with-bias",
        "empty-grid",
        "unordered-grid",
        "no-input",
        "negative-lag",
        "empty-gains",
    ],
)
def test_bad_input_is_refused_with_the_expectation(call, told):
    with pytest.raises(InvalidInputError, match="expected") as caught:
        call()
    assert told in str(caught.value)


@pytest.mark.parametrize("variance", [10.0, 1e3])
def test_strong_inputs_need_strong_gains_and_the_line_knows_them(variance):
    conditions: dict[str, Any] = {"input_variance": {"h": variance}}
    critical = float(phases.stability_line(alpha_r=0.0, **conditions))
    for gain, stable in ((0.99 * critical, True), (1.01 * critical, False)):
        cell = gf.GatedRNN(gain, input_gating="update")
        assert bool(gf.solve_static(cell, **conditions)[0].stable) == stable
        assert (phases.classify(gain, 0.0, tau_r=0.0, **conditions) == 1) == stable


def test_the_zero_fixed_point_is_unstable_from_2_on_for_every_gate():
    np.testing.assert_array_equal(phases.stability_line(alpha_r=[0.0, 1e3, 1e7]), 2.0)
    # rho = 1 exactly counts as unstable, here as in solve_static.
    assert phases.classify(2.0, 0.0, tau_r=0.0) != 1
    assert not gf.solve_static(gf.GatedRNN(2.0))[0].stable


def test_random_input_to_the_gate_moves_the_stability_of_zero():
    # rho^2 = g^2 <s_r^2>, which random arguments raise above 1/4.
    conditions: dict[str, Any] = {"input_variance": {"r": 0.1}}
    g = float(phases.stability_line(alpha_r=8.0, **conditions))
    weight = lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    square = integrate.quad(
        lambda x: weight(x) / (1 + np.exp(-8 * np.sqrt(0.1) * x)) ** 2, -12, 12, epsabs=1e-13
    )[0]
    assert g == pytest.approx(1 / np.sqrt(square), rel=1e-9)
    assert phases.stability_line(g, **conditions) == pytest.approx(8.0, rel=1e-7)


def test_gains_beyond_the_table_are_refused_not_guessed():
    with pytest.raises(InvalidInputError, match="1e\\+07"):
        phases.fixed_point_line(alpha_r=[20.0, 1e12])
