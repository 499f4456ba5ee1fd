"""The largest exponent: which networks belong to which state of theory, and what they are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gatefield as gf
from gatefield.compare import Rates, belonging, judged, network_rates, state_kinds, theory_states
from gatefield.compare.exponents import STEPPING, error_of, stepping_error
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.networks import GaussianInput

JUMPED = 0.11752362  # exponent at g_h = 1.8, alpha_r = 20: THEORY section 7


@pytest.fixture(scope="module")
def coexisting():
    """Return the states at g_h = 1.8, alpha_r = 20: at rest, unstable, moving."""
    return theory_states(gf.GatedRNN(1.8, alpha_r=20.0))


def rates_of(before, after, rate) -> Rates:
    return Rates(np.array(rate), np.full(len(rate), 0.01), np.array(before), np.array(after))


def test_kinds_of_coexisting_states(coexisting):
    assert state_kinds(coexisting) == ["rest", "divides", "moving"]
    assert state_kinds(coexisting[1:]) == ["moving", "moving"]
    assert state_kinds(coexisting[::2]) == ["rest", "moving"]


def test_networks_belong_to_the_state_they_were_in(coexisting):
    # C_h(0) = .0273 in the moving state: the last two are at rest, the third decays in between.
    rates = rates_of([0.03, 0.02, 0.03, 1e-5, 1e-6], [0.02, 0.03, 1e-5, 1e-7, 0.0], [0.1] * 5)
    at_rest, unstable, moving = belonging(coexisting, rates)
    assert list(moving) == [True, True, False, False, False]
    assert list(at_rest) == [False, False, False, True, True]
    assert not unstable.any()


def test_alone_a_fixed_point_has_the_networks_that_rest():
    states = theory_states(gf.GatedRNN(1.8))
    rates = rates_of([0.1] * 4, [1e-5, 1e-4, 2e-3, 0.1], [-0.05] * 4)
    (mask,) = belonging(states, rates)
    assert list(mask) == [True, True, False, False]
    assert judged(states, {10: rates}) == [None]  # two networks make no standard error


def test_networks_are_judged_beside_their_state(coexisting):
    rates = rates_of([0.03] * 4, [0.03] * 4, [0.10, 0.11, 0.12, 0.13])
    at_rest, unstable, moving = judged(coexisting, {100: rates})
    assert at_rest is None and unstable is None and moving is not None
    error = np.std([0.10, 0.11, 0.12, 0.13], ddof=1) / 2
    assert np.isclose(float(moving.deviation), (0.115 - JUMPED) / error, rtol=1e-4)


def test_nothing_is_judged_where_theory_failed():
    options: dict[str, Any] = {"samples": 40, "batches": 2, "max_sweeps": 1, "max_period": 20.0}
    solution = gf.solve_dmft(
        gf.VanillaRNN(1.5), method="sampled", progress=False, throw=False, **options
    )
    assert solution.status is not Status.OK
    state = gf.mean_field_lyapunov(solution, throw=False)
    rates = rates_of([0.3] * 3, [0.3] * 3, [0.1, 0.11, 0.12])
    assert judged([state], {100: rates}) == [None]


def test_rates_of_units_without_couplings():
    # dh/dt = -h: every perturbation falls as exp(-t), to the error of a step of .1 (9e-7).
    said = []
    found = network_rates(
        gf.VanillaRNN(0.0), n=10, networks=2, t_max=4.0, burn_in=3.0, report=said.append
    )
    assert np.allclose(found.rate, -1.0, atol=1e-5)
    assert np.allclose(found.after, found.before * np.exp(-8.0), rtol=1e-4)
    assert said == ["1 of 2 networks", "2 of 2 networks"]


@pytest.mark.parametrize("dt", [0.1, 0.4])
def test_the_error_of_the_steps_covers_what_they_miss(dt):
    """exp(-dt) by its first five terms, per time: what a rate of -1 becomes."""
    step = 1 - dt + dt**2 / 2 - dt**3 / 6 + dt**4 / 24
    missed = abs(np.log(step) / dt + 1)
    assert missed < stepping_error(dt) < 20 * missed
    assert stepping_error(dt / 10) == STEPPING


def test_large_steps_enter_the_comparison(coexisting):
    assert np.isclose(error_of(coexisting[-1], 0.3), 0.3, rtol=1e-6)
    values = [0.10, 0.11, 0.12, 0.13]
    rates = rates_of([0.03] * 4, [0.03] * 4, values)._replace(stepping=0.05)
    moving = judged(coexisting, {100: rates})[-1]
    assert moving is not None
    error = np.hypot(np.std(values, ddof=1) / 2, 0.05)
    assert np.isclose(float(moving.deviation), (0.115 - JUMPED) / error, rtol=1e-4)


def test_the_input_goes_on_after_the_burn_in():
    """dh/dt = -h + I in one run over both durations, with the path that the seed draws."""
    process = GaussianInput(variance=1.0, correlation_time=3.0)
    options: dict[str, Any] = {"n": 40, "networks": 1, "t_max": 2.0, "burn_in": 3.0, "seed": 4}
    found = network_rates(gf.VanillaRNN(0.0), inputs={"h": process}, **options)
    network = gf.Network.sample(gf.VanillaRNN(0.0), 40, seed=4)
    path = process.realise(40, 5.0, dt=0.1, seed=4)
    # The initial state is drawn in single precision there.
    start = gf.simulate(
        gf.Network.sample(gf.VanillaRNN(0.0), 40, seed=4, dtype="float32"), 0.1, dt=0.1, seed=4
    ).states[0]
    run = gf.simulate(network, 5.0, dt=0.1, inputs={"h": path}, initial=start, progress=False)
    squares = np.mean(run.component("h") ** 2, axis=-1)
    # Rounding of 50 steps in single precision.
    assert np.isclose(found.before[0], squares[30], rtol=1e-5)
    assert np.isclose(found.after[0], squares[50], rtol=1e-5)


@pytest.mark.parametrize(
    ("cell", "options", "told"),
    [
        (gf.GRU(), {"dt": 0.1}, "dt = 0.1.*None for a map"),
        (gf.VanillaRNN(1.0), {"dt": 0.0}, "dt = 0.0.*positive"),
        (gf.VanillaRNN(1.0), {"burn_in": 0.0}, "burn_in = 0.0.*positive"),
    ],
    ids=["map", "no step", "no burn-in"],
)
def test_bad_numbers_are_refused(cell, options, told):
    given: dict[str, Any] = {"n": 5, "networks": 1, "t_max": 2, "burn_in": 1, **options}
    with pytest.raises(InvalidInputError, match=told):
        network_rates(cell, **given)
