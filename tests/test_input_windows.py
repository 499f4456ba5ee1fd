"""Strengths of static input without stable fixed point, against quadrature along the branch."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.optimize import brentq

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.phases import unstable_inputs, windows

X = np.linspace(-12.0, 12.0, 4001)  # the trapezoid rule is exact to rounding for smooth integrands
WEIGHTS = np.exp(-(X**2) / 2) / np.sqrt(2 * np.pi) * (X[1] - X[0])


class Undriven(gf.AbstractFlow):
    """dh/dt = -h + J h, which no input reaches."""

    state_names: ClassVar[tuple[str, ...]] = ("h",)
    field_names: ClassVar[tuple[str, ...]] = ("h",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"h": 1.0}

    def outputs(self, state, fields, drive):
        return {"h": state["h"]}

    def rule(self, state, fields, drive):
        return {"h": -state["h"] + fields["h"]}


def average(function, variance):
    return WEIGHTS @ function(np.sqrt(variance) * X)


def logistic(x):
    return 0.5 * (1 + np.tanh(x / 2))


def gated(g_h, alpha_r):
    """Return functions of D_h: the squared strength of the input, and rho - 1 (THEORY 3)."""

    def parts(variance):
        phi = average(lambda x: np.tanh(g_h * x) ** 2, variance)
        slope = average(lambda x: (g_h / np.cosh(g_h * x) ** 2) ** 2, variance)
        gate = average(lambda x: logistic(alpha_r * x) ** 2, phi)
        steep = average(
            lambda x: (alpha_r * logistic(alpha_r * x) * logistic(-alpha_r * x)) ** 2, phi
        )
        return phi, slope, gate, steep

    def squared(variance):
        phi, _, gate, _ = parts(variance)
        return variance - phi * gate

    def beyond(variance):
        phi, slope, gate, steep = parts(variance)
        return np.sqrt(slope * (gate + phi * steep)) - 1

    return squared, beyond


def ends(squared, beyond):
    """Return the strengths at which rho crosses one along the branch, ascending."""
    grid = np.geomspace(1e-7, 30.0, 2000)
    values = np.array([beyond(variance) for variance in grid])
    places = np.flatnonzero(np.sign(values[1:]) != np.sign(values[:-1]))
    variances = [brentq(beyond, grid[k], grid[k + 1], xtol=1e-15) for k in places]
    return np.sqrt([squared(variance) for variance in variances])


@pytest.mark.parametrize("alpha_r", [6.0, 12.0, 20.0])
@pytest.mark.slow
def test_windows_below_the_continuous_transition(alpha_r):
    """Quiet without input, stable again under strong input; unstable in between.

    THEORY section 9 has .028-.36 and .012-.83 at alpha_r = 6 and 12.
    """
    lower, upper = ends(*gated(1.8, alpha_r))
    found = unstable_inputs(gf.GatedRNN(1.8, alpha_r=alpha_r, input_gating="update"))
    assert found.lower == pytest.approx([lower], rel=1e-6)
    assert found.upper == pytest.approx([upper], rel=1e-6)
    assert found.contains([0.0, 0.5 * lower, 1.01 * lower, 0.99 * upper, 2 * upper]).tolist() == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_above_it_input_ends_the_motion():
    (upper,) = ends(*gated(3.0, 0.0))
    found = unstable_inputs(gf.GatedRNN(3.0, input_gating="update"))
    assert found.lower.tolist() == [0.0]
    assert found.upper == pytest.approx([upper], rel=1e-6)


def test_input_outside_the_gate_acts_twice_as_strongly():
    """At alpha_z = 0 the gate is 1/2, and a fixed point h = u + I / s_z."""
    within, outside = (
        unstable_inputs(gf.GatedRNN(1.8, alpha_r=12.0, input_gating=gating))
        for gating in ("update", "none")
    )
    assert 2 * outside.lower == pytest.approx(within.lower, rel=1e-6)
    assert 2 * outside.upper == pytest.approx(within.upper, rel=1e-6)


def test_ranges_without_change():
    quiet = unstable_inputs(gf.GatedRNN(1.8, alpha_r=4.0, input_gating="update"))
    assert quiet.lower.size == quiet.upper.size == 0
    assert not quiet.contains(np.linspace(0, 5, 11)).any()
    always = unstable_inputs(gf.GatedRNN(3.0, input_gating="update"), largest=0.1)
    assert always.lower.tolist() == [0.0] and always.upper.tolist() == [np.inf]
    assert always.contains(0.1)
    with pytest.raises(InvalidInputError, match="between 0 and 0.1"):
        always.contains(0.2)  # where nobody looked


def test_any_cell_is_solved_point_by_point():
    """The vanilla network at g = 2: D = <tanh^2> + var I, unstable where g^2 <sech^4> > 1."""

    def squared(variance):
        return variance - average(lambda x: np.tanh(2 * x) ** 2, variance)

    def beyond(variance):
        return average(lambda x: (2 / np.cosh(2 * x) ** 2) ** 2, variance) - 1

    (upper,) = ends(squared, beyond)
    found = unstable_inputs(gf.VanillaRNN(2.0), points=13)
    assert float(found.largest) == 10.0  # the closed form is not limited to small variances
    assert found.lower.tolist() == [0.0]
    assert abs(float(found.upper[0]) - upper) <= float(found.resolution)
    assert float(found.resolution) < 0.01 * upper


def test_bad_ranges_and_drives():
    text: Any = "gru"
    cell = gf.GatedRNN(3.0, input_gating="update")
    with pytest.raises(InvalidInputError, match="drive"):
        unstable_inputs(cell, "x")
    with pytest.raises(InvalidInputError, match="ascending"):
        unstable_inputs(cell, smallest=1.0, largest=0.5)
    with pytest.raises(InvalidInputError, match="smallest"):
        unstable_inputs(cell, smallest=text)
    with pytest.raises(InvalidInputError, match="AbstractFlow"):
        unstable_inputs(text)
    with pytest.raises(InvalidInputError, match="has no drives"):
        unstable_inputs(Undriven())
    with pytest.raises(InvalidInputError, match="points"):
        unstable_inputs(cell, points=1)


def test_no_solution_is_an_error(monkeypatch):
    """Where the static theory finds nothing, nothing is said about stability."""
    monkeypatch.setattr(windows, "solve_static", lambda cell, **given: ())
    with pytest.raises(NumericalFailureError, match="largest"):
        unstable_inputs(gf.VanillaRNN(2.0))
