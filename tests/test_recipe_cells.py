"""What initialisers of every framework ask recipes for, and refuse before they ask."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import gatefield as gf
from gatefield.bridge import drawn, recipe_cells
from gatefield.bridge.drawn import Slots, weights_by
from gatefield.core.errors import InvalidInputError
from gatefield.initialise import Design, DesignSolution, InputStatistics

N, FEATURES, DT = 6, 4, 0.1
GATES = {"beta_h": (N,), "beta_z": (N,), "beta_r": (N,), "tau_z": (), "tau_r": ()}


def slots(kind="GRU", *, biased=True, **given):
    parameters = {"gated": GATES, "GRU": {f"bias_{field}": (N,) for field in ("r", "z", "n", "hn")}}
    own: dict[str, Any] = {
        "kind": kind,
        "units": N,
        "features": FEATURES,
        "parameters": parameters[kind] if biased else {},
        "without": "Build it with biases.",
        "fixed": {"reset": "after"} if kind == "GRU" else {"input_gating": "none"},
        "kept": {} if kind == "GRU" else {"tau_z": 1.0, "tau_r": 2.0},
        "own_variance": 1 / (3 * N),
        "own_law": "uniform",
        "dt": 1.0 if kind == "GRU" else DT,
    }
    return Slots(**{**own, **given})


def use(recipe, *layers, couplings="normal", input_gain=None, **options):
    rng = np.random.default_rng(0)
    return weights_by(recipe, layers, rng, couplings=couplings, input_gain=input_gain, **options)


CRITICAL: dict[str, Any] = {"quantity": None, "inputs": None, "parameters": {}, "seed": 0}
MARGINAL: dict[str, Any] = {"shortest": 2.0, "parameters": {}}


@pytest.fixture
def asked(monkeypatch):
    """Return the list of what was asked of critical_cell, which is not solved."""
    calls: list[dict[str, Any]] = []

    def noted(kind, **options):
        calls.append({"kind": kind, **options})
        return gf.GRU(gain_n=1.0 + len(calls)) if kind == "GRU" else gf.GatedRNN()

    monkeypatch.setattr(recipe_cells, "critical_cell", noted)
    return calls


@pytest.mark.parametrize("correlation", [0.0, 0.6], ids=["white", "correlated"])
def test_a_flow_receives_data_held_for_its_step(asked, correlation):
    """The noise power of steps of dt with correlation rho^k is dt (1 + rho) / (1 - rho)."""
    time = -1 / math.log(correlation) if correlation else 1e-3
    data = InputStatistics(np.full(FEATURES, 0.5), np.arange(1.0, 1 + FEATURES), time)
    use(recipe_cells.critical, slots("gated"), **{**CRITICAL, "inputs": data}, input_gain=0.6)
    (call,) = asked
    power = 2 * call["inputs"].correlation_time
    expected = DT * (1 + correlation) / (1 - correlation)
    assert power == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(call["inputs"].variance, data.variance)
    np.testing.assert_array_equal(call["inputs"].mean, data.mean)
    assert call["weight_variance"] == pytest.approx(0.36 / FEATURES, rel=1e-15)
    assert (call["quantity"], call["tau_z"], call["tau_r"]) == ("lyapunov", 1.0, 2.0)


def test_a_map_receives_data_as_they_are_and_both_directions_the_same(asked):
    data = InputStatistics(np.zeros(FEATURES), np.ones(FEATURES), 3.0)
    both = [slots(name=name) for name in ("layer 0", "layer 0, reverse")]
    options = {**CRITICAL, "inputs": data, "value": 0.1, "at": "state"}
    cells, _ = recipe_cells.critical(both, np.random.default_rng(0), None, **options)
    (call,) = asked
    assert call["inputs"] is data and call["weight_variance"] == 1 / (3 * N)
    assert (call["value"], call["at"], call["reset"]) == (0.1, "state", "after")
    assert cells[0] is cells[1]


REFUSED: dict[str, Any] = {
    "features": ({"inputs": InputStatistics(np.zeros(3), np.ones(3))}, {}, "inputs.features = 3"),
    "drives": (
        {"inputs": InputStatistics(np.zeros(FEATURES), np.ones(FEATURES))},
        {"input_gain": {"z": 1.0}},
        "one number with inputs",
    ),
    "a negative gain": ({}, {"input_gain": -1.0}, "input_gain of 'r'"),
    "a law": ({}, {"couplings": "cauchy"}, "couplings"),
    "another reset": ({"parameters": {"reset": "before"}}, {}, "reset = 'before'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_before_anything_is_solved(asked, case):
    options, drawing, words = REFUSED[case]
    with pytest.raises(InvalidInputError, match=words):
        use(recipe_cells.critical, slots(), **{**CRITICAL, **options}, **drawing)
    assert not asked


def test_biases_that_are_lacking_are_refused_before_anything_is_solved(asked):
    bare = slots(biased=False)
    with pytest.raises(InvalidInputError, match=r"bias_z = 1.0.*Build it with biases"):
        use(recipe_cells.critical, bare, **{**CRITICAL, "parameters": {"bias_z": 1.0}})
    assert not asked
    with pytest.raises(InvalidInputError, match="bias_z = 'drawn'"):
        use(recipe_cells.marginal, bare, **MARGINAL, horizon=50.0, times="uniform")


def test_nothing_is_drawn_if_the_last_layer_is_refused(monkeypatch):
    monkeypatch.setattr(drawn, "draw_weights", lambda *_, **__: pytest.fail("it was drawn"))
    with pytest.raises(InvalidInputError, match="layer 1 has 6 units"):
        use(
            recipe_cells.given,
            slots(),
            slots(name="layer 1", depth=1),
            cell=[gf.GRU(), gf.GRU(bias_z=np.ones(3))],
        )


@pytest.mark.parametrize("kind", ["GRU", "gated"])
def test_horizons_count_steps(kind):
    """Uniform times end at the horizon, and start at the shortest, in steps of dt."""
    layer = slots(kind, units=2000)
    cells, _ = recipe_cells.marginal(
        [layer],
        np.random.default_rng(1),
        None,
        horizon=400.0,
        shortest=30.0,
        times="uniform",
        parameters={},
    )
    cell: Any = cells[0]
    steps = (
        -1 / np.log(1 / (1 + np.exp(-cell.bias_z)))
        if isinstance(cell, gf.GRU)
        else (1 + np.exp(-cell.beta_z)) / DT
    )
    # The ends of 2,000 uniform numbers: farther than 7 / 2000 of the range once in 1,000.
    room = 7 * 370 / 2000
    assert 30 <= steps.min() < 30 + room and 400 - room < steps.max() <= 400


def blank(kind, **given):
    """Return a result of a design, every field empty that is not given: a search takes long."""
    return kind(**{**{field.name: () for field in dataclasses.fields(kind)}, **given})


def test_a_design_holds_for_modules_of_its_step():
    found = blank(DesignSolution, cell=gf.GatedRNN(2.0), spread={})
    moving = gf.GaussianInput(variance=0.5, correlation_time=0.05)
    layer, rng = slots("gated"), np.random.default_rng(0)
    data = InputStatistics(np.zeros(FEATURES), np.ones(FEATURES), 0.01)
    for dt in (None, DT, 0.2):
        design = blank(Design, solutions=(found,), inputs={"h": moving}, dt=dt)
        options = {"design": design, "solution": 0, "inputs": data}
        if dt == 0.2:
            with pytest.raises(InvalidInputError, match="module.dt = 0.1: expected 0.2, the des"):
                recipe_cells.designed([layer], rng, None, **options)
            continue
        (cell,), gains = recipe_cells.designed([layer], rng, None, **options)
        # Each of the features has variance 1, and a unit is to receive 0.5 of their mean.
        assert gains == {"h": pytest.approx(math.sqrt(0.5)), "z": 0.0, "r": 0.0}
        assert isinstance(cell, gf.GatedRNN) and float(cell.g_h) == 2.0
