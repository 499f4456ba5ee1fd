"""Runs as a whole: batches, what is saved of them, how they fail, what is shown meanwhile."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from simulate_cases import ROUNDING, random_couplings

import gatefield as gf
from gatefield.core.errors import NumericalFailureError
from gatefield.core.results import Status

# --- batches


@pytest.mark.parametrize(
    "cell", [gf.GatedRNN(2.0, alpha_z=1.0, alpha_r=1.0), gf.GRU(reset="before")]
)
def test_a_batch_equals_its_members(cell):
    """With an input that depends on time; sums in another order differ by rounding."""
    names = cell.field_names
    network = gf.Network.of_couplings(cell, random_couplings(17, 8, names))
    start = np.random.default_rng(18).standard_normal((3, len(cell.state_names), 8))
    inputs = {names[0]: lambda t: 0.3 * jnp.cos(t)}
    batch = gf.simulate(network, 5, initial=start, inputs=inputs)
    assert batch.states.shape == (3, len(batch.times), *start.shape[1:])
    for sample in range(3):
        single = gf.simulate(network, 5, initial=start[sample], inputs=inputs)
        np.testing.assert_allclose(batch.states[sample], single.states, rtol=0, atol=ROUNDING)
        np.testing.assert_array_equal(batch.times, single.times)
    np.testing.assert_array_equal(batch.final, batch.states[:, -1])


def test_an_adaptive_batch_equals_its_members():
    """One common step: equal within the tolerance 1e-9, grown in 3 time units by less than 100."""
    cell = gf.GatedRNN(2.0, alpha_z=1.0, alpha_r=1.0)
    network = gf.Network.of_couplings(cell, random_couplings(17, 8))
    start = np.random.default_rng(18).standard_normal((2, 3, 8))
    options: dict[str, Any] = {"method": "tsit5", "dt": 1.0, "rtol": 1e-9, "atol": 1e-11}
    batch = gf.simulate(network, 3.0, initial=start, **options)
    for sample in range(2):
        single = gf.simulate(network, 3.0, initial=start[sample], **options)
        np.testing.assert_allclose(batch.states[sample], single.states, rtol=0, atol=1e-7)


# --- what is saved


@pytest.mark.parametrize(
    ("save_every", "steps"),
    [(1, range(11)), (3, [0, 3, 6, 9, 10]), (5, [0, 5, 10]), (10, [0, 10]), (100, [0, 10])],
    ids=["1", "3", "5", "10", "100"],
)
def test_save_every_keeps_the_last_state(save_every, steps):
    """g = 0 with s_z = 1/2: ten Euler steps of 0.1 multiply by 0.95 each."""
    network = gf.Network.of_couplings(gf.GatedRNN(0.0), random_couplings(3, 4))
    start = np.random.default_rng(4).standard_normal((3, 4))
    run = gf.simulate(network, 1.0, dt=0.1, initial=start, method="euler", save_every=save_every)
    steps = np.array(steps)
    np.testing.assert_allclose(run.times, 0.1 * steps, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(run.states[0], start)
    expected = start[0] * 0.95 ** steps[:, None]
    np.testing.assert_allclose(run.component("h"), expected, rtol=0, atol=ROUNDING)


def test_many_saved_states_come_in_order():
    """More saved states than a chunk holds (1/50 of the run), their number no multiple of it."""
    network = gf.Network.of_couplings(gf.GatedRNN(0.0), random_couplings(3, 2))
    start = np.ones((3, 2))
    run = gf.simulate(network, 3.37, dt=0.01, method="euler", initial=start)
    np.testing.assert_allclose(run.times, np.arange(338) * 0.01, rtol=0, atol=ROUNDING)
    expected = 0.995 ** np.arange(338)
    np.testing.assert_allclose(run.component("h")[:, 0], expected, rtol=0, atol=ROUNDING)


def test_the_step_divides_the_duration():
    """The largest step not above dt that divides t_max: 0.3 becomes 1/4."""
    network = gf.Network.of_couplings(gf.VanillaRNN(0.0), {"h": np.eye(2)})
    run = gf.simulate(network, 1.0, dt=0.3, method="euler", initial=np.ones((1, 2)))
    np.testing.assert_allclose(run.times, [0.0, 0.25, 0.5, 0.75, 1.0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(run.final, 0.75**4, rtol=1e-15)
    assert dict(run.settings)["dt"] == 0.25
    # A step that divides t_max up to rounding is taken as it is: 30 steps, not 31.
    assert len(gf.simulate(network, 3.0, dt=0.1, initial=np.ones((1, 2))).times) == 31


def test_a_run_can_be_continued():
    """0..1 and then 0..1 again is 0..2, for equal steps."""
    network = gf.Network.of_couplings(gf.GatedRNN(2.0, alpha_z=1.0), random_couplings(10, 5))
    whole = gf.simulate(network, 2.0, dt=0.1, seed=3)
    first = gf.simulate(network, 1.0, dt=0.1, seed=3)
    second = gf.simulate(network, 1.0, dt=0.1, initial=first.final)
    np.testing.assert_allclose(second.final, whole.final, rtol=0, atol=ROUNDING)


def test_initial_states_are_standard_normal_and_set_by_the_seed():
    """Mean and variance of 3 x 50 x 40 numbers within four standard errors; same seed, same run."""
    network = gf.Network.of_couplings(gf.GatedRNN(0.0), random_couplings(3, 40))
    options: dict[str, Any] = {"dt": 1.0, "method": "euler", "samples": 50}
    first, again = (gf.simulate(network, 1.0, seed=1, **options).states for _ in range(2))
    other = gf.simulate(network, 1.0, seed=2, **options).states
    np.testing.assert_array_equal(first, again)
    assert not np.any(first[:, 0] == other[:, 0])
    start = first[:, 0].ravel()
    assert abs(start.mean()) < 4 / np.sqrt(start.size)
    assert abs(start.var() - 1) < 4 * np.sqrt(2 / start.size)
    # The members of a batch start apart.
    assert len(np.unique(start)) == start.size


def test_settings_tell_what_made_the_run():
    network = gf.Network.of_couplings(gf.VanillaRNN(1.5), {"h": np.eye(3)})
    run = gf.simulate(network, 1.0, seed=4)
    settings = dict(run.settings)
    assert settings["method"] == "rk4" and settings["dt"] == 0.05 and settings["seed"] == 4
    assert settings["n"] == 3 and settings["cell"] == "VanillaRNN(g=1.5, beta=0)"
    assert run.status is Status.OK and run.component_names == ("h",)


# --- failure


class Explosive(gf.AbstractFlow):
    """dx/dt = x^3: infinite at a finite time."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"x": 1.0}

    def outputs(self, state, fields, drive):
        return {"x": state["x"]}

    def rule(self, state, fields, drive):
        return {"x": state["x"] ** 3 + fields["x"]}


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_divergence_is_a_status_and_an_error(method):
    network = gf.Network.of_couplings(Explosive(), {"x": np.zeros((2, 2))})
    start = np.full((1, 2), 2.0)
    run = gf.simulate(network, 5.0, initial=start, method=method, throw=False)
    assert run.status is Status.DIVERGED
    assert np.all(np.isfinite(run.states[0])) and not np.all(np.isfinite(run.final))
    with pytest.raises(NumericalFailureError, match="'diverged'.*Reduce dt"):
        gf.simulate(network, 5.0, initial=start, method=method)


def test_running_out_of_steps_is_a_status_and_an_error():
    """At rtol = 1e-6 tsit5 cannot cross 20 relaxation times in a step: ten do not suffice."""
    network = gf.Network.of_couplings(gf.GatedRNN(2.5, alpha_z=2.0), random_couplings(21, 10))
    options: dict[str, Any] = {"dt": 1.0, "method": "tsit5", "max_steps": 10}
    run = gf.simulate(network, 200.0, throw=False, **options)
    assert run.status is Status.MAX_STEPS
    assert np.all(np.isfinite(run.states[0]))
    with pytest.raises(NumericalFailureError, match="maximum number of steps.*max_steps"):
        gf.simulate(network, 200.0, **options)


# --- progress


@pytest.mark.parametrize("method", ["rk4", "tsit5"])
def test_watching_changes_nothing(method, capsys):
    """The bar is drawn or not; the numbers are the same to the bit."""
    network = gf.Network.of_couplings(gf.GatedRNN(2.0, alpha_z=1.0), random_couplings(10, 5))
    options: dict[str, Any] = {"dt": 0.1, "method": method, "save_every": 3}
    shown = gf.simulate(network, 5.0, progress=True, **options)
    drawn = capsys.readouterr().err
    hidden = gf.simulate(network, 5.0, progress=False, **options)
    assert capsys.readouterr().err == ""
    assert "simulate" in drawn and "50/50" in drawn
    np.testing.assert_array_equal(shown.states, hidden.states)
    np.testing.assert_array_equal(shown.times, hidden.times)
