"""Critical lines for several biases and inputs: the statements of Appendix H 1, by numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gatefield as gf
from gatefield import phases
from gatefield.compare import settle
from gatefield.core.errors import InvalidInputError
from gatefield.phases import line_family, surroundings_of
from gatefield.theory.static import solve_static_grid

ALPHAS = np.array([0.0, 1.0, 2.0, 5.0, 10.0])
MARGINAL = 6.546  # THEORY section 4, alpha_r = 0, static variance


def test_without_biases_the_lines_are_known():
    """Eq. H1: 1/s_r(0) for every alpha_r; section 4 for the marginal line and the fold."""
    family = line_family("beta_r", [-1.0, 0.0, 2.0], alpha_r=ALPHAS)
    expected = (1 + np.exp(-np.array([-1.0, 0.0, 2.0])))[:, None] + 0 * ALPHAS
    np.testing.assert_allclose(family.stability, expected, rtol=1e-10)
    assert float(family.marginal[1, 0]) == pytest.approx(MARGINAL, abs=5e-4)
    # The line of section 4, asked the other way: alpha* = 5.38101388 at g_h = 1.9.
    other = line_family("beta_h", [0.0], alpha_r=[5.38101388])
    assert float(other.fold[0, 0]) == pytest.approx(1.9, abs=1e-8)


@pytest.mark.parametrize("vary", ["beta_h", "input_variance_h", "bias_variance_h"])
def test_at_alpha_r_0_biases_and_inputs_stabilise(vary):
    family = line_family(vary, [0.0, 0.01, 0.1, 0.5], alpha_r=[0.0])
    assert family.stability[0, 0] == pytest.approx(2.0, abs=1e-12)
    assert np.all(np.diff(family.stability[:, 0]) > 0)


@pytest.mark.parametrize("vary", ["beta_h", "input_variance_h", "bias_variance_h"])
def test_just_below_g_2_biases_and_inputs_bring_the_line_to_finite_alpha_r(vary):
    """Without them no alpha_r destabilises zero at g_h < 2."""
    around: dict[str, Any] = surroundings_of(vary, 0.04, {})
    critical = phases.stability_line([1.9, 1.7], **around)
    assert np.all(np.isinf(phases.stability_line([1.9, 1.7])))
    assert np.all(np.isfinite(critical)) and critical[0] < critical[1]


def test_an_open_output_gate_makes_lines_depend_less_on_alpha_r():
    family = line_family("beta_r", [-1.0, 0.0, 1.0, 2.0, 3.0], alpha_r=ALPHAS, beta_h=0.2)
    spread = np.ptp(family.stability, axis=1) / family.stability.mean(axis=1)
    assert np.all(np.diff(spread) < 0)
    # Negative beta_r stabilises: larger g_h at every alpha_r.
    assert np.all(np.diff(family.stability, axis=0) < 0)


def test_larger_alpha_r_and_beta_r_need_a_larger_bias():
    """Along g_h = 2.4 the bias from which on the fixed point is stable."""

    def needed(**parameters: Any) -> float:
        biases = np.linspace(0.0, 3.0, 301)
        cell = gf.GatedRNN(2.4, beta_h=biases, **parameters)
        unstable = solve_static_grid(cell).radius[:, 0] >= 1
        return float(biases[np.flatnonzero(unstable)[-1]]) if unstable.any() else 0.0

    by_alpha = [needed(alpha_r=each) for each in (0.0, 1.0, 2.0, 5.0)]
    by_beta = [needed(alpha_r=2.0, beta_r=each) for each in (-0.5, 0.0, 0.5, 1.0)]
    assert np.all(np.diff(by_alpha) > 0.05) and np.all(np.diff(by_beta) > 0.05)


def test_beyond_alpha_r_2_a_bias_destabilises_first():
    """Against the text, which calls a larger beta_h stabilising: so it is only when it is large."""
    family = line_family("beta_h", [0.0, 0.2, 1.0], alpha_r=[5.0])
    before, weak, strong = family.stability[:, 0]
    assert before == pytest.approx(2.0, abs=1e-12)
    assert weak < 1.8 and strong > 2.2
    # The same by the radius of solved fixed points at g_h = 1.9.
    radii = [float(gf.solve_static(gf.GatedRNN(1.9, alpha_r=5.0, beta_h=b))[0].radius)
             for b in (0.0, 0.2, 1.0)]  # fmt: skip
    assert radii[0] < 1 < radii[1] and radii[2] < 1


def test_without_bias_no_nonzero_fixed_point_is_stable():
    """App. H: at beta_h = 0 varying beta_r cannot give stable nonzero fixed points."""
    cell = gf.GatedRNN(
        g_h=np.linspace(1.2, 5.0, 8)[:, None, None],
        alpha_r=np.array([0.5, 2.0, 5.0, 15.0])[None, :, None],
        beta_r=np.linspace(-2.0, 2.0, 9)[None, None, :],
    )
    found = solve_static_grid(cell)
    active = found.found & (found.variance > 0)
    assert active.sum() > 100
    assert found.radius[active].min() > 1


def test_a_bias_may_destabilise_and_then_stabilise():
    """The parameters of Fig. 12: one bias unstable between two that are stable."""
    radii = [
        float(gf.solve_static(gf.GatedRNN(2.5, alpha_r=5.0, beta_r=-1.2, beta_h=b))[0].radius)
        for b in (0.05, 0.3, 1.8)
    ]
    assert radii[0] < 0.7 and 1.15 < radii[1] < 1.25 and radii[2] < 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("vary", "value", "stable", "unstable", "alpha_r"),
    [
        ("beta_h", 0.2, 1.3, 2.1, 5.0),
        ("beta_r", 1.0, 0.8, 1.8, 2.0),
        ("input_variance_h", 0.04, 1.6, 3.4, 2.0),
        ("bias_variance_h", 0.16, 1.4, 2.8, 4.0),
    ],
)
def test_networks_on_both_sides_of_a_line(vary, value, stable, unstable, alpha_r):
    """Five networks of 400 units: at rest where rho < 1, moving where rho > 1.

    Radii are 15 per cent from one and more, while those of networks of this size scatter by some
    per cent (leading edges by 0.04 at N = 1000).
    """
    around: dict[str, Any] = surroundings_of(vary, value, {})
    critical = phases.stability_line(alpha_r=alpha_r, **around)
    assert stable < critical < unstable
    biases = {name: around.pop(name) for name in ("beta_h", "beta_r") if name in around}
    for g_h, rests in ((stable, True), (unstable, False)):
        cell = gf.GatedRNN(g_h, alpha_r=alpha_r, input_gating="update", **biases)
        radius = float(gf.solve_static(cell, **around)[0].radius)
        assert abs(radius - 1) > 0.12 or vary == "beta_r"
        found = settle(cell, n=400, networks=5, t_max=150.0, dt=0.2, **around)
        assert (found.resting.mean() > 0.5) == rests
        if rests:
            assert np.all(found.rate < 0)


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        (("beta_z", [0.0]), {}, "vary"),
        (("beta_h", 0.1), {}, "a list of numbers"),
        (("beta_h", []), {}, "a list of numbers"),
        (("beta_h", [0.1]), {"alpha_r": -1.0}, "alpha_r"),
        (("input_variance_h", [-0.1]), {"alpha_r": [1.0]}, "not negative"),
        (("beta_h", [0.0, 0.1]), {"beta_h": 0.5}, "beta_h = 0.5: expected no value"),
        (
            ("bias_variance_r", [0.1]),
            {"bias_variance": {"h": 0.2, "r": 0.3}},
            r"bias_variance\['r'\] = 0.3: expected no value",
        ),
    ],
    ids=["name", "scalar", "empty", "alpha", "variance", "fixed bias", "fixed variance"],
)
def test_what_makes_no_sense_is_refused(arguments, options, says):
    with pytest.raises(InvalidInputError, match=says):
        line_family(*arguments, **options)
