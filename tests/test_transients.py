"""Times to rest of networks whose transients are known exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lone_cells import Cycle, Lorenz
from recorded_cells import Growing
from scipy.optimize import brentq
from transient_cells import Choice, Decay, Halving, MovedCycle, MovedLorenz, Pair, Swing

import gatefield as gf
from gatefield.analysis.transients import TransientLengths, transient_lengths
from gatefield.analysis.transients.runs import Outcome
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status


def lengths_of(cell: Any, sizes: Any = (4,), **options: Any) -> TransientLengths:
    given: dict[str, Any] = {"networks": 3, "t_max": 30.0, "hold": 5.0, "progress": False}
    return transient_lengths(cell, sizes, **{**given, **options})


def start(found: TransientLengths, cell: Any, place: int, network: int) -> np.ndarray:
    """Return where a run began, as `simulate` has it from the run's seed."""
    seed = int(found.seeds[place, network])
    drawn = gf.Network.sample(cell, int(found.sizes[place]), seed=seed)
    return gf.simulate(drawn, 1.0, seed=seed).states[0]


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def each(found: TransientLengths):
    """Return (place, network) of all runs."""
    return list(np.ndindex(found.lengths.shape))


def test_uncoupled_decay_takes_the_logarithm_of_its_start():
    cell = Decay()
    found = lengths_of(cell, (3, 5), threshold=0.02)
    assert np.all(found.outcomes == Outcome.REST) and found.status is Status.OK
    for place, network in each(found):
        expected = np.log(rms(start(found, cell, place, network)) / 0.02)
        # Runge-Kutta decays by a rate that is off by dt^4 / 120.
        assert abs(found.lengths[place, network] - expected) < 2 * expected * 0.05**4 / 120


def test_a_network_without_gain_decays_by_the_open_half_of_its_gate():
    cell = gf.GatedRNN(0.0)
    found = lengths_of(cell, (6,), networks=2)
    for place, network in each(found):
        # dh/dt = -h / 2, whatever z and r do.
        expected = 2 * np.log(rms(start(found, cell, place, network)[0]) / 0.01)
        assert abs(found.lengths[place, network] - expected) < 2 * expected * 0.025**4 / 120


@pytest.mark.parametrize(("component", "rows", "rate"), [("y", [1], 2.0), (None, [0], 1.0)],
                         ids=["second", "first by default"])  # fmt: skip
def test_the_component_that_is_watched(component, rows, rate):
    found = lengths_of(Pair(), (4,), component=component, dt=0.01)
    for place, network in each(found):
        first = start(found, Pair(), place, network)[rows]
        assert np.isclose(found.lengths[place, network], np.log(rms(first) / 0.01) / rate)


def test_all_components_together():
    found = lengths_of(Pair(), (4,), component="all", dt=0.01)
    for place, network in each(found):
        x, y = (rms(row) ** 2 for row in start(found, Pair(), place, network))

        def excess(time, x=x, y=y):
            return (x * np.exp(-2 * time) + y * np.exp(-4 * time)) / 2 - 0.01**2

        # Within a step the logarithm is nearly straight: its curvature is below 1.
        assert abs(found.lengths[place, network] - brentq(excess, 0, 30)) < 0.01**2


def test_who_leaves_again_has_not_come_to_rest():
    """The distance swings: the last time counts, not the first."""
    # It is small for less than half a turn of 3 per unit of time, 1.05.
    found = lengths_of(Swing(), (2,), networks=8, t_max=60.0, dt=0.01, hold=1.2)
    again = 0
    for place, network in each(found):
        x, y = start(found, Swing(), place, network)
        times = np.arange(0.0, 60.0, 1e-3)[:, None]
        path = np.exp(-0.2 * times) * (x * np.cos(3 * times) - y * np.sin(3 * times))
        small = np.sqrt(np.mean(path**2, axis=-1)) <= 0.01
        # Interpolated within a step.
        assert abs(found.lengths[place, network] - times[~small][-1]) < 0.01
        again += small[: np.flatnonzero(~small)[-1]].sum() * 1e-3 > 1.2
    assert again > 0


def test_maps_count_steps():
    found = lengths_of(Halving(), t_max=40)
    assert found.is_map and found.time_unit == "step"
    for place, network in each(found):
        size = rms(start(found, Halving(), place, network))
        assert found.lengths[place, network] == np.ceil(np.log2(size / 0.01))


def test_those_that_start_at_rest():
    found = lengths_of(Decay(), spread=0.001)
    assert np.all(found.lengths == 0) and np.all(found.ended)


def test_a_cycle_never_rests_and_is_not_chaos():
    found = lengths_of(Cycle(), t_max=12.0, growth_time=30.0)
    assert np.all(found.outcomes == Outcome.REGULAR) and np.all(found.lengths == 12.0)
    # Along the cycle perturbations stay as they are; exp(-2 t) of the rest is soon gone.
    assert np.all(np.abs(found.growth) < 0.05)
    assert np.all(np.isinf(found.medians)) and np.all(found.median_intervals() == np.inf)
    assert np.isnan(found.trend().power)


def test_chaos_is_told_apart():
    found = lengths_of(Lorenz(), (2,), networks=2, t_max=20.0, dt=0.01, growth_time=40.0)
    assert np.all(found.outcomes == Outcome.CHAOTIC) and np.all(found.lengths == 20.0)
    # Its exponent is .906; over 40 units of time single runs scatter by some .05.
    assert np.all(np.abs(found.growth - 0.906) < 0.3)
    assert found.counts(2)["chaotic at t_max"] == 2
    brief = lengths_of(Lorenz(), (2,), networks=2, t_max=20.0, dt=0.01, growth_time=1.0)
    # In one unit of time e^.9 only: nothing that regular motion could not do.
    assert np.all(brief.outcomes == Outcome.REGULAR)


def test_other_fixed_points_are_told_apart():
    found = lengths_of(Choice(), (2,), networks=20, spread=0.6)
    outcomes = found.outcomes[0]
    cell = gf.VanillaRNN(0.0)  # of the same shape, so that starts are the same
    starts = [0.6 * start(found, cell, 0, network) for network in range(20)]
    inside = np.array([np.all(np.abs(one) < 0.5) for one in starts])
    assert 0 < inside.sum() < 20
    assert np.array_equal(outcomes == Outcome.REST, inside)
    assert np.array_equal(outcomes == Outcome.OTHER_FIXED_POINT, ~inside)
    # At +-1 the speed falls at the rate 6, at 0 at the rate 1, to 1e-5 relative to 1 + size.
    assert np.all(found.lengths < 30) and np.all(found.speeds[0][~inside] < 2e-5)


@pytest.mark.parametrize("cell", [Decay(place=0.7), Halving(place=0.7)], ids=["flow", "map"])
def test_where_zero_is_no_fixed_point_the_run_finds_its_own(cell):
    found = lengths_of(cell, (4,), t_max=40.0)
    given = lengths_of(cell, (4,), t_max=40.0, target=lambda network: np.full((1, network.n), 0.7))
    for place, network in each(found):
        apart = rms(start(found, cell, place, network) - 0.7)
        expected = np.log(apart / 0.01) if not found.is_map else np.ceil(np.log2(apart / 0.01))
        # The place is found to the speed at rest, 1e-5, over 5 more time units: 1e-7.
        assert abs(found.lengths[place, network] - expected) < 1e-4
    assert np.allclose(found.lengths, given.lengths, rtol=0, atol=1e-4)


@pytest.mark.parametrize("cell", [Decay(place=0.7), Halving(place=0.7)], ids=["flow", "map"])
def test_who_slows_down_past_the_end_has_ended_before(cell):
    """The fixed point is known long after the threshold was passed, at a speed of 1e-5."""
    long = lengths_of(cell, t_max=40.0, hold=2.0)
    last = float(np.ceil(long.lengths.max()))
    # To fall from .01 to 1e-5 takes 6.9 units of time, ten steps.
    short = lengths_of(cell, t_max=last, hold=2.0, growth_time=20.0)
    assert np.all(short.outcomes == Outcome.REST) and np.all(np.isnan(short.growth))
    # Steps differ by a few per cent, and the place that is found by 1e-5.
    assert np.allclose(short.lengths, long.lengths, rtol=0, atol=2e-3)
    # Who passes it later is still known to have taken longer.
    brief = lengths_of(cell, t_max=2.0, hold=2.0, growth_time=20.0)
    assert np.all(brief.outcomes == Outcome.REGULAR) and np.all(brief.lengths == 2.0)
    # The rate at which any perturbation shrinks: 1, or ln 2 in a step.
    rate = np.log(2) if short.is_map else 1.0
    assert np.allclose(brief.growth, -rate, rtol=1e-4)


@pytest.mark.parametrize(
    ("cell", "outcome", "rate", "error", "followed"),
    [
        (MovedCycle(), Outcome.REGULAR, 0.0, 0.05, 10 * 12 + 40),
        (MovedLorenz(), Outcome.CHAOTIC, 0.906, 0.3, 12),  # known for what it is
    ],
    ids=["cycle", "chaos"],
)
def test_who_never_rests_is_given_up_where_zero_is_no_fixed_point(
    tmp_path, cell, outcome, rate, error, followed
):
    options: dict[str, Any] = {"t_max": 12.0, "growth_time": 40.0, "dt": 0.01, "networks": 1}
    found = lengths_of(cell, (2,), checkpoint=tmp_path / "runs.npz", **options)
    with np.load(tmp_path / "runs.npz") as stored:
        assert stored["number"] == pytest.approx(followed / 0.01)
    assert np.all(found.outcomes == outcome) and np.all(found.lengths == 12.0)
    assert np.all(np.abs(found.growth - rate) < error)  # errors as above


def test_constant_input_moves_the_fixed_point():
    driven = lengths_of(Decay(), inputs={"x": 0.7})
    # The same numbers but for the order in which three are added.
    assert np.allclose(driven.lengths, lengths_of(Decay(place=0.7)).lengths, rtol=0, atol=1e-9)


def test_who_enters_just_before_the_end_is_watched_for_longer():
    found = lengths_of(Decay())
    exact = np.sort(found.lengths.ravel())
    # No step of .05 ends between the two.
    between = 0.05 * np.ceil(exact[2] / 0.05)
    short = lengths_of(Decay(), t_max=float(between), growth_time=2.0)
    assert np.array_equal(short.ended, found.lengths <= between)
    assert np.allclose(short.lengths[short.ended], exact[: short.ended.sum()].take(
        np.argsort(np.argsort(short.lengths[short.ended]))
    ), rtol=0, atol=1e-9)  # fmt: skip
    assert np.all(short.lengths[~short.ended] == float(short.t_max))


def test_networks_depend_neither_on_other_sizes_nor_on_how_many_there_are():
    first, again = lengths_of(Decay(), (4, 6)), lengths_of(Decay(), (4, 6))
    assert np.array_equal(first.lengths, again.lengths)
    more = lengths_of(Decay(), (6,), networks=5)
    assert np.array_equal(more.lengths[0, :3], first.lengths[1])
    assert not np.any(lengths_of(Decay(), (4, 6), seed=1).lengths == first.lengths)
    assert np.unique(first.seeds).size == 6


def test_runs_that_diverge():
    with pytest.raises(NumericalFailureError, match="2 of 2 runs diverged"):
        lengths_of(Growing(), (40,), networks=2)
    found = lengths_of(Growing(), (40,), networks=2, throw=False)
    assert found.status is Status.DIVERGED and np.all(np.isnan(found.lengths))
    assert found.counts()["diverged"] == 2


def test_a_size_of_which_all_runs_diverged_has_no_median():
    found = lengths_of(Growing(), (40, 50), networks=2, throw=False)
    assert np.array_equal(found.medians, [np.nan, np.nan], equal_nan=True)
    assert found.median_intervals().shape == (2, 2) and np.all(np.isnan(found.median_intervals()))
    trend = found.trend()
    assert trend.sizes.size == 0 and np.isnan(trend.power) and np.isnan(trend.p_value)
    with pytest.raises(InvalidInputError, match="n = 40: expected a size of which a run stayed"):
        found.survival(40)
    with pytest.raises(InvalidInputError, match="confidence"):
        found.median_intervals(2.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sizes": ()}, "sizes"),
        ({"sizes": (4, 4)}, "each size once"),
        ({"sizes": (1,)}, "at least 2"),
        ({"networks": 0}, "networks"),
        ({"t_max": -1.0}, "t_max"),
        ({"threshold": 0.0}, "threshold"),
        ({"component": "h"}, "component"),
        ({"inputs": {"x": np.ones(3)}}, "a number"),
        ({"inputs": {"y": 1.0}}, "inputs"),
        ({"target": np.zeros((1, 3))}, "target"),
        ({"target": lambda network: np.ones((1, network.n))}, "speed 1"),
        ({"method": "tsit5"}, "method"),
        ({"dtype": "float16"}, "dtype"),
        ({"cell": Halving(), "dt": 0.1}, "neither method nor dt"),
        ({"cell": "gru"}, "cell"),
        ({"checkpoint": 3}, "checkpoint"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals(options, told):
    given = {"cell": Decay(), "sizes": (3,), **options}
    with pytest.raises(InvalidInputError, match=told):
        lengths_of(given.pop("cell"), given.pop("sizes"), **given)


def test_a_size_that_was_not_run():
    with pytest.raises(InvalidInputError, match="n = 5: expected one of 4"):
        lengths_of(Decay()).survival(5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        gf.registered_cells()["gated-rnn"],
        gf.registered_cells()["gru"],
        gf.LSTM(gain_i=1.0, gain_f=1.0, gain_g=1.0, gain_o=1.0, bias_f=0.5, bias_g=0.3),
        gf.registered_cells()["vanilla-rnn"],
    ],
    ids=["gated-rnn", "gru", "lstm", "vanilla-rnn"],
)
def test_lengths_are_those_of_simulated_trajectories(cell):
    """Any cell, with biases too: the distance passes the threshold there, and stays below."""
    found = lengths_of(cell, (6,), networks=3, t_max=200.0, hold=10.0, growth_time=20.0)
    assert found.ended.any()
    for place, network in each(found):
        seed = int(found.seeds[place, network])
        drawn = gf.Network.sample(cell, 6, seed=seed)
        path = gf.simulate(drawn, 260.0, seed=seed)
        h = path.states[:, 0]
        apart = np.sqrt(np.mean((h - h[-1]) ** 2, axis=-1))
        outside = path.times[apart > 0.01]
        if not found.ended[place, network]:
            assert outside[-1] > 200.0
            continue
        # The next step of a map, somewhere within the next step of a flow.
        later = found.lengths[place, network] - outside[-1]
        assert later == 1 if found.is_map else 0 < later <= 0.05 + 1e-6
