"""Inverse design at fixed points: known solutions, gradients, misses that are named, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.initialise.free import free_parameters
from gatefield.initialise.moving import Moving
from gatefield.initialise.predictor import Options, Predictor
from gatefield.initialise.quantities import QUANTITIES, bias_names, deviation
from gatefield.initialise.search import Objective

NAMES = ("leading_edge", "radius", "gate_time", "memory_time", "variance")
QUIET: dict[str, Any] = {"progress": False, "verify": False, "starts": 3}


def predictor(cell, free, inputs=(), samples=512, names=NAMES):
    moving = Moving(100, 2, 1.0, 1e-2, 0, 50, 1)
    options = Options("auto", "fixed point", 10.0, 0.5, samples, 0, moving)
    return Predictor(cell, free_parameters(cell, free), inputs, names, options)


def relaxed_variance(g: float, beta: float) -> float:
    """Return D = <tanh^2(sqrt(D) g x + beta)> of the vanilla network, by iteration on a grid."""
    x = np.linspace(-9, 9, 2001)
    weights = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    D = 0.5
    for _ in range(400):
        D = float(weights @ np.tanh(g * np.sqrt(D) * x + beta) ** 2)
    return D


# --- known solutions


def test_gated_variance_is_the_published_one():
    # THEORY, section 3: g_h = 3, alpha_z = alpha_r = 0 has D_h = 0.0881504492 (not stable).
    found = gf.design(
        gf.GatedRNN(), {"variance": 0.0881504492}, {"g_h": (2.2, 6.0)}, branch="highest", **QUIET
    )
    assert found.status is Status.OK and len(found.solutions) == 1
    # Ten digits of D, whose logarithm has a slope of order one in g.
    assert found.best.parameters["g_h"] == pytest.approx(3.0, abs=1e-8)
    cell: Any = found.cell
    assert float(cell.g_h) == found.best.parameters["g_h"]


@pytest.mark.slow
def test_two_parameters_meet_two_targets_in_closed_form():
    # At the zero state the edge is s (g s_r - 1), s = sigma(beta_z), s_r = 1/2; the time is 1/s.
    targets = {"leading_edge": -0.02, "gate_time": 20.0}
    found = gf.design(gf.GatedRNN(), targets, {"g_h": (0.1, 5), "beta_z": (-6, 6)}, **QUIET)
    assert found.best.error < 1e-8
    assert found.best.parameters["beta_z"] == pytest.approx(-np.log(19.0), abs=1e-6)
    assert found.best.parameters["g_h"] == pytest.approx(2 * (1 - 20 * 0.02), abs=1e-6)


def test_both_solutions_of_a_variance_are_reported():
    # A bias and its negative give the same variance: two roots of D(beta) = 0.3.
    expected: Any = brentq(lambda beta: relaxed_variance(0.8, beta) - 0.3, 0.1, 2.0, xtol=1e-10)
    found = gf.design(gf.VanillaRNN(0.8), {"variance": 0.3}, {"beta": (-2.0, 1.5)}, **QUIET)
    assert sorted(one.parameters["beta"] for one in found.solutions) == pytest.approx(
        [-expected, expected], abs=1e-6
    )
    assert "2 solutions" in found.explain()
    # The nearest to the given cell first; its bias of zero is nearer to neither, but for rounding.
    assert all(one.met for one in found.solutions)


def test_random_biases_enter_as_static_variance():
    # 1 = g <tanh'^2>^(1/2) with argument variance g^2 D + spread^2, D = <tanh^2>.
    found = gf.design(
        gf.VanillaRNN(),
        {"radius": 0.9, "variance": 0.2},
        {"g": (0.5, 4.0), "spread_h": (0.0, 3.0)},
        **QUIET,
    )
    best = found.best
    g, spread = best.parameters["g"], best.spread["h"]
    x = np.linspace(-9, 9, 2001)
    weights = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    active = np.tanh(np.sqrt(g**2 * 0.2 + spread**2) * x)
    assert float(weights @ active**2) == pytest.approx(0.2, abs=1e-7)
    assert g * np.sqrt(float(weights @ (1 - active**2) ** 2)) == pytest.approx(0.9, abs=1e-7)
    biased: Any = best.with_biases(20_000, seed=3)
    drawn = np.asarray(biased.beta)
    assert drawn.shape == (20_000,)
    # The standard deviation of 20,000 normal numbers is known to 0.5 per cent.
    assert np.std(drawn) == pytest.approx(spread, rel=0.025)
    again: Any = best.with_biases(20_000, seed=3)
    assert np.array_equal(drawn, np.asarray(again.beta))


def test_edge_and_gate_time_of_the_gru_at_zero():
    # z = sigma(b_z) and half of the candidate passes r = 1/2: edge z + (1 - z) g / 2, -1/ln z.
    free = {"gain_n": (0.1, 5), "bias_z": (-5, 5)}
    found = gf.design(
        gf.GRU(), {"leading_edge": 1.0, "gate_time": 50.0}, free, samples=512, **QUIET
    )
    keep = np.exp(-1 / 50)
    assert found.best.parameters["bias_z"] == pytest.approx(np.log(keep / (1 - keep)), abs=1e-6)
    assert found.best.parameters["gain_n"] == pytest.approx(2.0, abs=1e-6)
    assert found.best.state == "fixed point" and not found.best.at_bound


# --- what cannot be met


def test_unreachable_target_is_named_with_its_bound():
    free = {"g_h": (0.1, 3.0), "beta_z": (-3.0, 3.0)}
    targets = {"gate_time": 100.0, "radius": 0.7}
    with pytest.raises(NumericalFailureError, match="gate_time: target 100"):
        gf.design(gf.GatedRNN(), targets, free, **QUIET)
    found = gf.design(gf.GatedRNN(), targets, free, throw=False, **QUIET)
    assert found.status is Status.NOT_CONVERGED and not found.met
    # The slowest gate within the bounds has 1/s = 1 + exp(3).
    assert found.best.predicted["gate_time"] == pytest.approx(1 + np.exp(3.0), rel=1e-6)
    assert dict(found.best.at_bound) == {"beta_z": "lower"}
    assert next(iter(found.best.misses())) == "gate_time"
    assert "beta_z is at its lower bound -3." in found.explain()
    assert found.best.predicted["radius"] == pytest.approx(0.7, rel=1e-3)


def test_targets_that_exclude_each_other_are_said_to():
    # At zero bias the edge is the radius less one in units of the rate: no parameters mend it.
    found = gf.design(
        gf.VanillaRNN(),
        {"radius": 0.5, "leading_edge": -0.2},
        {"g": (0.1, 5.0)},
        throw=False,
        **QUIET,
    )
    assert not found.met and not found.best.at_bound
    assert "exclude each other" in found.explain()


# --- gradients


@pytest.mark.parametrize(
    ("name", "theta"),
    [
        ("gated", [1.5, 0.5]),
        ("gru", [1.2, 0.5]),
    ],
)
def test_implicit_gradients_are_those_of_finite_differences(name, theta):
    if name == "gated":
        cell = gf.GatedRNN(beta_h=0.3, alpha_z=1.0, beta_z=-1.0)
        free = {"g_h": (0.1, 5), "alpha_r": (0.1, 3)}
    else:
        cell = gf.GRU(bias_n=0.2, bias_z=1.0)
        free = {"gain_n": (0.1, 5), "spread_z": (0, 2)}
    theory: Any = predictor(cell, free)
    theta = np.array(theta)
    found = theory.at(theta)
    step = 1e-4
    for k in range(2):
        ends = [theory.at(theta + sign * step * np.eye(2)[k]).values for sign in (1, -1)]
        for quantity in NAMES:
            difference = (ends[0][quantity] - ends[1][quantity]) / (2 * step)
            # Central differences: the step's square beside third derivatives of order 100.
            assert found.slopes[quantity][k] == pytest.approx(difference, rel=1e-5, abs=1e-7)


def test_values_are_those_of_the_static_theory():
    free = {"g_h": (0.1, 5), "alpha_r": (0.1, 3)}
    theory: Any = predictor(gf.GatedRNN(beta_h=0.3, alpha_z=1.0, beta_z=-1.0), free)
    found = theory.at(np.array([1.5, 0.5])).values
    cell = gf.GatedRNN(1.5, beta_h=0.3, alpha_z=1.0, beta_z=-1.0, alpha_r=0.5)
    (static,) = gf.solve_static(cell)
    assert found["variance"] == pytest.approx(float(static.variance["h"]), rel=1e-12)
    assert found["radius"] == pytest.approx(float(static.radius), rel=1e-12)
    edge = float(gf.spectral_boundary(static).leading_edge)
    assert found["leading_edge"] == pytest.approx(edge, rel=1e-9)
    assert found["memory_time"] == pytest.approx(-1 / edge, rel=1e-9)


def test_residuals_have_the_derivatives_that_they_state():
    theory = predictor(gf.VanillaRNN(), {"g": (0.1, 5.0), "beta": (-1, 1)}, names=NAMES)
    targets = {name: 1.0 for name in NAMES if name not in ("gate_time",)}
    objective = Objective(theory, theory.free, targets | {"leading_edge": -0.4})
    place = np.array([0.5, 0.8])
    slopes = objective.at(place)[1]
    for k in range(2):
        ends = [objective.at(place + sign * 1e-5 * np.eye(2)[k])[0] for sign in (1, -1)]
        np.testing.assert_allclose(slopes[:, k], (ends[0] - ends[1]) / 2e-5, rtol=1e-5, atol=1e-7)


# --- refusals


REFUSED = {
    "an unknown quantity": ({"raduis": 1.0}, {"gain": (0.1, 5)}, {}, "raduis"),
    "a negative time": ({"gate_time": -1.0}, {"gain": (0.1, 5)}, {}, "positive"),
    "an unknown parameter": ({"radius": 1.0}, {"gian": (0.1, 5)}, {}, "gian"),
    "an unknown spread": ({"radius": 1.0}, {"spread_q": (0.1, 5)}, {}, "spread_q"),
    "descending bounds": ({"radius": 1.0}, {"gain": (5, 0.1)}, {}, "low below high"),
    "a negative gain": ({"radius": 1.0}, {"gain": (-1, 5)}, {}, "bound"),
    "nothing free": ({"radius": 1.0}, {}, {}, "free"),
    "no horizon": ({"gradient_growth": 0.0}, {"gain": (0.1, 5)}, {}, "horizon"),
    "a fixed point that is driven": (
        {"radius": 1.0},
        {"gain": (0.1, 5)},
        {
            "inputs": {"h": gf.GaussianInput(variance=1.0, correlation_time=2.0)},
            "state": "fixed point",
        },
        "moving",
    ),
    "an unknown branch": ({"radius": 1.0}, {"gain": (0.1, 5)}, {"branch": "best"}, "branch"),
    "a full quantile": ({"radius": 1.0}, {"gain": (0.1, 5)}, {"quantile": 1.0}, "quantile"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_does_not_fit_is_refused(case):
    targets, free, options, message = REFUSED[case]
    with pytest.raises(InvalidInputError, match=message):
        gf.design(gf.ElmanRNN(), targets, free, **options)


# --- small parts


def test_deviation_is_relative_but_for_small_targets():
    assert deviation("gate_time", 55.0, 50.0) == pytest.approx(0.1)
    assert deviation("lyapunov", 0.01, 0.0) == pytest.approx(0.01 / QUANTITIES["lyapunov"].least)
    assert deviation("memory_time", np.inf, 20.0) == 1.0
    assert deviation("radius", np.nan, 1.0) == np.inf


def test_biases_of_every_cell_have_short_names():
    assert bias_names(gf.LSTM())["f"] == "bias_f"
    assert bias_names(gf.GatedRNN()) == {"h": "beta_h", "z": "beta_z", "r": "beta_r"}


def test_input_statistics_of_data():
    rng = np.random.default_rng(0)
    count, time = 40_000, 5.0
    keep = np.exp(-1 / time)
    noise = rng.standard_normal((count, 2))
    data = np.zeros((count, 2))
    for k in range(1, count):
        data[k] = keep * data[k - 1] + np.sqrt(1 - keep**2) * noise[k]
    found = gf.InputStatistics.of(2.0 * data + np.array([1.0, -3.0]))
    # 40,000 steps of time 5 are 4,000 independent ones: errors of 1.6 per cent of each moment.
    np.testing.assert_allclose(found.mean, [1.0, -3.0], atol=0.16)
    np.testing.assert_allclose(found.variance, 4.0, rtol=0.1)
    assert found.correlation_time == pytest.approx(time, rel=0.1)
    parts: Any = found.drives(gf.GRU(), 0.01)["z"]
    varying, static = parts
    assert varying.variance == pytest.approx(0.01 * found.variance.sum())
    assert varying.correlation_time == found.correlation_time
    assert static.is_static and static.variance == pytest.approx(0.01 * np.sum(found.mean**2))
    lone: Any = gf.InputStatistics([1.0], [0.5]).drives(gf.ElmanRNN(), 2.0)["h"]
    assert lone.is_static and lone.variance == 3.0
    with pytest.raises(InvalidInputError, match="shape"):
        gf.InputStatistics.of(np.zeros(5))
