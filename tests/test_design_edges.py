"""Where the spectrum ends for units that oscillate: off the real axis, at the units' own poles."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import gatefield as gf
from gatefield.initialise import measure
from gatefield.initialise.free import free_parameters
from gatefield.initialise.moving import Moving
from gatefield.initialise.predictor import Options, Predictor
from gatefield.numerics.beyond_poles import highest_on_line, outermost

TURN = 0.9 * np.exp(1.3j)
SPIRAL = -0.1 + 50j


class Rotating(gf.AbstractMap):
    """Two components that turn by 1.3 rad and shrink by 0.9 in each step; the first is coupled."""

    gain: float

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"u": self.gain}

    def outputs(self, state, fields, drive):
        return {"u": jnp.tanh(state["x"])}

    def rule(self, state, fields, drive):
        return turned(state, fields, TURN)


class Ringing(gf.AbstractFlow):
    """Two components that ring at an angular frequency of 50 and decay at a rate of 0.1."""

    gain: float

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"u": self.gain}

    def outputs(self, state, fields, drive):
        return {"u": jnp.tanh(state["x"])}

    def rule(self, state, fields, drive):
        return turned(state, fields, SPIRAL)


def turned(state, fields, pole):
    return {
        "x": pole.real * state["x"] - pole.imag * state["y"] + fields["u"],
        "y": pole.imag * state["x"] + pole.real * state["y"],
    }


def exact_edge(pole: complex, gain: float, is_map: bool) -> float:
    """Return the outermost eigenvalue at zero, over the disc of the couplings' eigenvalues nu.

    Of each network det(lambda - A) = nu (lambda - Re pole), a square equation; the outermost root
    belongs to a nu on the disc's edge.
    """

    def root(angle: float) -> float:
        nu = gain * np.exp(1j * angle)
        roots = np.roots([1, -2 * pole.real - nu, abs(pole) ** 2 + nu * pole.real])
        return float(np.max(np.abs(roots) if is_map else np.real(roots)))

    grid = np.linspace(0, 2 * np.pi, 721)
    best = grid[int(np.argmax([root(angle) for angle in grid]))]
    found: Any = minimize_scalar(
        lambda a: -root(a),
        bounds=(best - 0.01, best + 0.01),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return max(-float(found.fun), root(best))


def log_response(pole: complex, gain: float):
    """Return f = ln(gain^2 |Y|^2) of units that are all alike."""

    def function(points):
        Y = (points - pole.real) / ((points - pole) * (points - np.conj(pole)))
        return 2 * np.log(gain * np.abs(Y))

    return function


CASES = {
    "a map, far from its pole": (TURN, 0.14493, True),
    "a map, beside its pole": (TURN, 0.004, True),
    "a flow beyond the axis": (SPIRAL, 0.6, False),
    "a flow, beside its pole": (SPIRAL, 0.01, False),
    "a flow that rings slowly": (-0.1 + 0.3j, 0.4, False),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_edge_of_units_that_oscillate(case):
    pole, gain, is_map = CASES[case]
    edge = outermost(log_response(pole, gain), [pole, np.conj(pole)], is_map)
    assert not edge.is_pole
    assert edge.value == pytest.approx(exact_edge(pole, gain, is_map), abs=1e-9)
    if is_map:
        assert abs(edge.point) == pytest.approx(edge.value, rel=1e-12)
    else:
        assert edge.point.real == edge.value


def test_the_narrowest_of_many_resonances_sets_edge_and_radius():
    # One of forty units, at an odd place, decays a hundred times more slowly than the others.
    frequencies = np.linspace(1.0, 40.0, 40) + 0.3 * np.sin(np.arange(40))
    rates = np.where(np.arange(40) == 23, 1e-3, 0.1)
    poles = -rates + 1j * frequencies

    def function(points):
        Y = 1 / (points[:, None] - poles) + 1 / (points[:, None] - poles.conj())
        return np.log(0.01 * np.mean(np.abs(Y) ** 2, axis=1))

    slow = frequencies[23]
    fine = np.sort(np.concatenate([np.linspace(0, 60, 60_001), slow + np.linspace(-1, 1, 20_001)]))
    highest = np.max(function(1j * fine))
    value, place = highest_on_line(function, poles, 0.0, False)
    # The fine line has points 1e-4 apart, a tenth of the width: its top is 0.3 per cent low.
    assert highest <= value + 1e-9 and value == pytest.approx(highest, abs=3e-3)
    assert abs(place - slow) < 1e-3
    edge = outermost(function, poles, False)
    # Alone the unit's island would end 0.1 |Y| / sqrt(40) = 1 from its pole.
    assert edge.value == pytest.approx(0.1 / np.sqrt(40) - 1e-3, rel=0.02)
    assert np.max(function(edge.value + 1j * fine)) == pytest.approx(0.0, abs=1e-4)


def test_uncoupled_units_end_at_their_slowest_pole():
    edge = outermost(lambda points: np.full(points.shape, -np.inf), [0.2, -0.7], True)
    assert edge.is_pole and edge.value == 0.7


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gain"), [(Rotating, 0.14493), (Ringing, 0.6)])
def test_theory_and_slopes_for_units_that_oscillate(kind: Any, gain: float):
    cell: Any = kind(0.1)
    is_map, pole = (True, TURN) if kind is Rotating else (False, SPIRAL)
    moving = Moving(100, 2, 1.0, 1e-2, 0, 50, 1)
    options = Options("auto", "fixed point", 10.0, 0.5, 16, 0, moving)
    free = free_parameters(cell, {"gain": (1e-3, 5.0)})
    found: Any = Predictor(cell, free, (), ("leading_edge", "radius"), options).at(np.array([gain]))
    edge = exact_edge(pole, gain, is_map)
    assert found.values["leading_edge"] == pytest.approx(edge, abs=1e-9)
    static = gf.solve_static(kind(gain), samples=64)[0]
    boundary = gf.spectral_boundary(static, samples=64)
    assert found.values["leading_edge"] == pytest.approx(float(boundary.leading_edge), abs=1e-6)
    step = 1e-4
    ends = [exact_edge(pole, gain + sign * step, is_map) for sign in (1, -1)]
    # Central differences, with a minimiser's 1e-9 of the edge over the step.
    slope = (ends[0] - ends[1]) / (2 * step)
    assert found.slopes["leading_edge"][0] == pytest.approx(slope, rel=1e-4)
    # The loop is linear in the gain.
    line = (
        np.exp(1j * np.linspace(0, np.pi, 20_001)) if is_map else 1j * np.linspace(45, 55, 20_001)
    )
    radius = np.exp(np.max(log_response(pole, gain)(line)) / 2)
    assert found.values["radius"] == pytest.approx(radius, rel=1e-6)
    assert found.slopes["radius"][0] == pytest.approx(radius / gain, rel=1e-6)
    network = gf.Network.sample(kind(gain), 300, seed=0)
    # The couplings' outermost eigenvalue scatters by about N^(-1/2) of their radius.
    slack = abs(edge - exact_edge(pole, gain * (1 - 2 / np.sqrt(300)), is_map))
    assert measure(network, "leading_edge") == pytest.approx(edge, abs=slack)


def test_static_theory_sees_a_narrow_resonance():
    gain = 0.16
    [state] = gf.solve_static(Ringing(gain))
    near = 1j * np.linspace(49.5, 50.5, 200_001)
    highest = np.exp(0.5 * np.max(log_response(SPIRAL, gain)(near)))  # 0.8, five times the gain
    assert state.radius == pytest.approx(highest, rel=1e-8)
    assert state.stable
