"""How a design searches: without derivatives, where theory fails, and by branch and quantile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import ive
from scipy.stats import norm

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.initialise import predictor as predictor_module
from gatefield.initialise.free import free_parameters
from gatefield.initialise.moving import Moving
from gatefield.initialise.prediction import Prediction, chosen_branch
from gatefield.initialise.predictor import Options, Predictor
from gatefield.initialise.request import checked_request
from gatefield.initialise.search import Objective, failing, search
from gatefield.initialise.verify import measured_in_networks

MOVING = Moving(100, 2, 1.0, 1e-2, 0, 50, 1)
BARE: Any = {
    **dict.fromkeys(("inputs", "weight_variance", "dt", "horizon", "quantile", "tolerance")),
    **dict.fromkeys(("starts", "samples", "batches", "start", "n", "networks")),
    **{"branch": "auto", "state": "auto", "verify": True, "seed": 0},
}


class Known:
    """A theory in closed form, in place of a predictor."""

    def __init__(self, function):
        self.function, self.cell = function, gf.ElmanRNN()

    def at(self, values, slopes=True):
        found = self.function(values)
        return None if found is None else Prediction(found, {}, True, 1)


def objective(function, targets, bounds) -> Any:
    known: Any = Known(function)
    return Objective(known, free_parameters(gf.ElmanRNN(), bounds), targets)


# --- the search itself


def test_two_parameters_are_refined_without_derivatives():
    # radius = gain (1 + bias^2), variance = gain bias: 1.25 and 0.5 at gain 1, bias 0.5.
    def theory(values):
        gain, bias = values
        return {"radius": gain * (1 + bias**2), "variance": gain * bias}

    targets = {"radius": 1.25, "variance": 0.5}
    asked = objective(theory, targets, {"gain": (0.2, 2.0), "bias": (0.05, 0.9)})
    own = np.array([0.3, 0.3])
    best = search(asked, asked.free, own, starts=4, seed=0, implicit=False)[0]
    # COBYQA ends at a trust region of 1e-4 of the bounds.
    np.testing.assert_allclose(asked.free.values(best.place), [1.0, 0.5], atol=2e-3)
    assert asked.evaluations <= 4 + 2 * 60


@pytest.mark.parametrize(
    ("lost", "gone", "fails"),
    [((), (), False), ((0.5,), (), False), ((0.25, 0.5), (), True), ((0.5,), (0.25, 0.75), True)],
    ids=["never", "at one of three", "at two of three", "where there is a state"],
)
def test_networks_stand_in_where_an_exponent_fails_at_most_places(lost, gone, fails):
    def theory(values):
        place = float(values[0])
        if place in gone:
            return None
        return {"lyapunov": np.nan if place in lost else place}

    assert failing(objective(theory, {"lyapunov": 0.1}, {"bias": (0.0, 1.0)}), "lyapunov") is fails


def test_without_any_state_nothing_is_decided():
    assert not failing(objective(lambda _: None, {"lyapunov": 0.1}, {"bias": (0, 1)}), "lyapunov")


def test_a_design_whose_exponent_fails_is_made_by_networks_and_says_so(monkeypatch):
    def predicted(cell, spread, sources, names, *, from_networks, **options):
        # Theory of the exponent fails everywhere; networks would measure g - 2.
        return {"lyapunov": float(cell.g) - 2 if from_networks else np.nan}

    monkeypatch.setattr(predictor_module, "predict_moving", predicted)
    found = gf.design(
        gf.VanillaRNN(), {"lyapunov": 0.25}, {"g": (1.0, 3.0)}, verify=False, progress=False
    )
    assert found.best.parameters["g"] == pytest.approx(2.25, abs=1e-6)
    assert found.status is Status.OK
    assert "Predicted by 2 networks of 150 units, not by theory: lyapunov." in found.explain()
    assert found.best.prediction_error == {}


# --- branches, quantiles, growth


def predictor(cell, free, names, **changes) -> Any:
    options = Options("auto", "fixed point", 5.0, 0.5, 64, 0, MOVING)._replace(**changes)
    return Predictor(cell, free_parameters(cell, free), (), names, options)


def test_branches_by_activity_and_stability():
    assert chosen_branch([0.9, 1.2, 0.8], "auto") == 0
    assert chosen_branch([1.3, 1.2, 0.8], "auto") == 2
    assert chosen_branch([1.3, 1.2, 1.1], "auto") == 0
    assert chosen_branch([1.3, 1.2, 1.1], "stable") is None
    assert chosen_branch([1.3, 1.2, 0.8], "stable") == 2
    assert chosen_branch([1.3, 0.9], "lowest") == 0
    assert chosen_branch([0.9, 1.3], "highest") == 1
    assert chosen_branch([], "highest") is None


@pytest.mark.slow
def test_branches_of_a_bistable_network():
    cell, free = gf.GatedRNN(alpha_r=20.0), {"g_h": (0.5, 4.0)}
    at = np.array([1.8])
    static = gf.solve_static(gf.GatedRNN(1.8, alpha_r=20.0))
    found = {
        branch: predictor(cell, free, ("radius", "variance"), branch=branch).at(at).values
        for branch in ("auto", "stable", "lowest", "highest")
    }
    # At zero sigma_r is 1/2, so the radius is g/2: stable, and least active.
    for branch in ("auto", "stable", "lowest"):
        assert found[branch]["variance"] == 0.0
        assert found[branch]["radius"] == pytest.approx(0.9, rel=1e-12)
    assert found["highest"]["variance"] == pytest.approx(float(static[-1].variance["h"]), rel=1e-9)
    assert found["highest"]["radius"] == pytest.approx(float(static[-1].radius), rel=1e-9)
    # Beyond g = 2 nothing is stable: only "stable" has no value.
    names = ("radius",)
    assert predictor(cell, free, names, branch="stable").at(np.array([2.5])) is None
    unstable = predictor(cell, free, names, branch="auto").at(np.array([2.5]))
    assert unstable.values["radius"] == pytest.approx(1.25, rel=1e-12) and not unstable.stable


def test_quantile_of_the_gate_times_in_theory_and_in_networks():
    # At the zero state the time of a unit is 1 + exp(-beta), beta normal about -1.
    cell, spread = gf.GatedRNN(0.5, beta_z=-1.0), 0.7
    free = {"spread_z": (0.0, 2.0)}
    found = predictor(cell, free, ("gate_time",), quantile=0.9).at(np.array([spread])).values
    exact = 1 + np.exp(1.0 + spread * norm.ppf(0.9))
    assert found["gate_time"] == pytest.approx(exact, rel=1e-9)
    options: Any = {"n": 300, "networks": 4, "seed": 0, "moving": False, "horizon": 1.0}
    networks = measured_in_networks(
        cell, {"z": spread}, (), ("gate_time",), quantile=0.9, **options
    )
    # A quantile of 1,200 normal numbers has an error of 1.71/sqrt(1200) of their deviation.
    error = spread * 1.71 / np.sqrt(1200) * (exact - 1)
    assert abs(networks.mean["gate_time"] - exact) < 3.5 * error


@pytest.mark.slow
def test_growth_of_gradients_at_the_zero_state():
    # da/dt = -a + g J^T a from a random vector: <a^2>(T) = exp(-2 T) I_0(2 g T).
    cell, free = gf.VanillaRNN(0.8), {"g": (0.1, 0.95)}
    found = predictor(cell, free, ("gradient_growth",)).at(np.array([0.8]))
    exact = 0.5 * (np.log(ive(0, 2 * 0.8 * 5)) + 2 * 0.8 * 5) - 5
    assert found.values["gradient_growth"] == pytest.approx(exact, abs=1e-4)
    ends = [np.log(ive(0, 10 * g)) / 2 + 5 * g for g in (0.8 - 1e-4, 0.8 + 1e-4)]
    # One-sided differences of 1e-4 of the range, of a second derivative of order ten.
    slope = (ends[1] - ends[0]) / 2e-4
    assert found.slopes["gradient_growth"][0] == pytest.approx(slope, abs=2e-3)


# --- exponents at fixed points, and data for a flow


def test_a_positive_exponent_is_nobodys_at_a_fixed_point():
    with pytest.raises(InvalidInputError, match="'moving' for a positive lyapunov"):
        gf.design(gf.VanillaRNN(), {"lyapunov": 0.1}, {"g": (0.5, 4)}, state="fixed point")
    options: Any = {"verify": False, "progress": False}
    found = gf.design(gf.VanillaRNN(), {"lyapunov": -0.1}, {"g": (0.5, 4)}, **options)
    # At the stable zero state the exponent is the edge, g - 1.
    assert found.best.parameters["g"] == pytest.approx(0.9, abs=1e-6)
    with pytest.raises(NumericalFailureError, match="no stable solution"):
        gf.design(gf.VanillaRNN(), {"lyapunov": -0.1}, {"g": (1.5, 4)}, branch="lowest", **options)


def request(cell, targets, **given):
    return checked_request(cell, targets, **{**BARE, **given})


def test_data_of_a_flow_are_held_for_its_step():
    data = gf.InputStatistics([0.0], [2.0], correlation_time=3.0)
    found = request(gf.GatedRNN(), {"variance": 0.1}, inputs=data, dt=0.2)
    rho = np.exp(-1 / 3)
    time = 0.1 * (1 + rho) / (1 - rho)
    assert len(found.sources) == len(gf.GatedRNN().drive_names)
    for each in found.sources:
        assert each.input.correlation_time == pytest.approx(time, rel=1e-12)
    assert found.dt == 0.2 and found.state == "moving"
    with pytest.raises(InvalidInputError, match="dt = None"):
        request(gf.GatedRNN(), {"variance": 0.1}, inputs=data)
    own = request(gf.GRU(), {"variance": 0.1}, inputs=data)
    assert {each.input.correlation_time for each in own.sources} == {3.0} and own.dt is None


STATISTICS = gf.InputStatistics([0.0], [2.0], correlation_time=3.0)
IDLE: dict[str, tuple[dict[str, Any], str]] = {
    "dt of a map": ({"inputs": STATISTICS, "dt": 0.1}, "dt = 0.1"),
    "dt without data": ({"dt": 0.1}, "dt = 0.1"),
    "weights without data": ({"weight_variance": -5.0}, "weight_variance = -5"),
    "a branch that moves": ({"state": "moving", "branch": "highest"}, "branch"),
    "start at rest": ({"start": 1.0}, "start = 1"),
    "batches at rest": ({"batches": 4}, "batches = 4"),
}


@pytest.mark.parametrize("case", sorted(IDLE))
def test_options_that_would_do_nothing_are_refused(case):
    given, message = IDLE[case]
    with pytest.raises(InvalidInputError, match=message):
        request(gf.GRU(), {"radius": 1.0}, **given)


def test_options_without_effect_are_told():
    found = request(gf.GRU(), {"radius": 1.0}, quantile=0.9, horizon=5, n=100, verify=False)
    assert found.idle == ("horizon", "quantile", "n")
    both = {"gate_time": 5.0, "gradient_growth": 1.0}
    assert request(gf.GRU(), both, quantile=0.9, horizon=5, n=100).idle == ()
    done = gf.design(
        gf.VanillaRNN(), {"radius": 0.9}, {"g": (0.5, 2)}, starts=2, samples=8, verify=False
    )
    assert "Without effect here: starts, samples." in done.explain()
