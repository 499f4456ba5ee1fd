"""Gaussian random inputs: their moments, their paths, and what a simulation makes of them."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatefield as gf
from gatefield.compare import compare
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.networks import GaussianInput

ROUNDING = 1e-13
# Wrong types on purpose, which a type checker would refuse.
Wrong: Any = GaussianInput


class Halving(gf.AbstractMap):
    """x' = x/2 + I."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ("x",)

    def gains(self):
        return {"u": 1.0}

    def outputs(self, state, fields, drive):
        return {"u": 0.0 * state["x"]}

    def rule(self, state, fields, drive):
        return {"x": 0.5 * state["x"] + drive["x"]}


# --- moments


@pytest.mark.parametrize("numpy", [np, jnp], ids=["numpy", "jax"])
def test_second_moment_is_that_of_an_ornstein_uhlenbeck_process(numpy):
    """mean^2 + variance exp(-|lag| / tau), by the digits of e^-1 and e^-2; an array of its kind."""
    process = GaussianInput(variance=2.0, mean=-0.5, correlation_time=1.5)
    with jax.enable_x64(True):
        found = process.second_moment(numpy.array([0.0, 1.5, -1.5, 3.0, np.inf]))
    decay = np.array([1.0, 0.36787944117144233, 0.36787944117144233, 0.1353352832366127, 0.0])
    np.testing.assert_allclose(np.asarray(found), 0.25 + 2.0 * decay, rtol=0, atol=1e-15)
    assert isinstance(found, jax.Array) == (numpy is jnp)


def test_second_moment_of_a_static_input_does_not_decay():
    static = GaussianInput(variance=2.0, mean=-0.5)
    assert static.is_static and not GaussianInput(variance=1.0, correlation_time=1e9).is_static
    np.testing.assert_array_equal(static.second_moment(np.array([0.0, 7.0, np.inf])), 2.25)


def test_static_input_has_its_mean_and_variance():
    """Of 4000 values: mean and variance within four standard errors, sqrt(2/n) for the latter."""
    values = GaussianInput(variance=2.0, mean=-0.5).realise(4000, 10.0, seed=3)
    assert isinstance(values, np.ndarray) and values.dtype == np.float64 and values.shape == (4000,)
    assert compare(-0.5, values).agrees
    assert abs(np.var(values) / 2.0 - 1) < 4 * math.sqrt(2 / 4000)
    # Fourth moment 3 variance^2: the values are Gaussian. Its own variance is 96 variance^4.
    assert abs(np.mean((values + 0.5) ** 4) / 12.0 - 1) < 4 * math.sqrt(96 / 9 / 4000)


@pytest.mark.parametrize(("dt", "correlation_time"), [(0.1, 2.0), (1.0, 0.7)])
def test_samples_have_the_covariance_at_every_time(dt, correlation_time):
    """500 units are 500 independent values of each product: from the first time on, and later."""
    process = GaussianInput(variance=1.7, mean=0.4, correlation_time=correlation_time)
    path = process.realise(500, 20 * dt, dt=dt, seed=1)
    assert not isinstance(path, np.ndarray)
    values = np.asarray(path.values)
    for early, late in ((0, 0), (0, 1), (0, 7), (11, 11), (11, 12), (11, 20)):
        expected = process.second_moment((late - early) * dt)
        assert compare(expected, values[early] * values[late], name=f"{early}, {late}").agrees
    assert compare(0.4, values[20]).agrees


def test_innovations_are_independent_of_the_past():
    """x(t + dt) - e^(-dt/tau) x(t) has variance 1 - e^(-2 dt/tau): 250,000 products with x(t)."""
    path = GaussianInput(variance=1.0, correlation_time=0.8).realise(500, 100.0, dt=0.2, seed=2)
    values = np.asarray(path.values)[:501]  # pyright: ignore[reportAttributeAccessIssue]
    keep = np.exp(-0.25)
    fresh = (values[1:] - keep * values[:-1]) / np.sqrt(1 - keep**2)
    count = fresh.size
    assert abs(np.var(fresh) - 1) < 4 * math.sqrt(2 / count)
    assert abs(np.mean(fresh * values[:-1])) < 4 / math.sqrt(count)
    assert abs(np.mean(fresh[1:] * fresh[:-1])) < 4 / math.sqrt(count)
    assert abs(np.mean(fresh[:, 1:] * fresh[:, :-1])) < 4 / math.sqrt(count)


# --- paths


def test_a_path_is_linear_between_its_samples_and_ends():
    path: Any = GaussianInput(variance=1.0, correlation_time=1.0).realise(3, 1.0, dt=0.25, seed=4)
    values = np.asarray(path.values)
    for place in range(len(values)):
        np.testing.assert_allclose(path(0.25 * place), values[place], rtol=0, atol=1e-15)
    between = 0.3 * values[2] + 0.7 * values[3]
    np.testing.assert_allclose(path(0.25 * 2.7), between, rtol=0, atol=1e-15)
    assert path(1.0).dtype == np.float64 and np.all(np.isfinite(path(1.0 + 1e-9)))
    assert np.all(np.isnan(path(-0.01))) and np.all(np.isnan(path(2.0)))


def test_a_longer_path_starts_with_the_shorter():
    process = GaussianInput(variance=1.0, mean=2.0, correlation_time=3.0)
    short: Any = process.realise(4, 1.0, dt=0.1, seed=5)
    long: Any = process.realise(4, 3.0, dt=0.1, seed=5)
    np.testing.assert_array_equal(short.values, long.values[: short.values.shape[0]])


def test_the_rest_of_a_path_goes_on_where_it_was():
    path: Any = GaussianInput(variance=1.0, correlation_time=1.0).realise(3, 4.0, dt=0.25, seed=4)
    values = np.asarray(path.values)
    rest = path.later(1.5).later(0.3)
    # 1.8 is a fifth of the way from the eighth sample to the ninth.
    between = 0.8 * values[7] + 0.2 * values[8]
    np.testing.assert_allclose(rest(0.0), between, rtol=0, atol=1e-14)
    np.testing.assert_allclose(rest(0.2), values[8], rtol=0, atol=1e-14)
    # Before it there are samples of the past, after 4.25 none.
    np.testing.assert_allclose(rest(-1.8), values[0], rtol=0, atol=1e-14)
    assert np.all(np.isfinite(rest(2.45 - 1e-9))) and np.all(np.isnan(rest(2.46)))
    with pytest.raises(InvalidInputError, match="time = 3.*below 2.45.*longer"):
        rest.later(3)
    with pytest.raises(InvalidInputError, match="time = -1.*not negative"):
        path.later(-1)


def test_runs_go_on_with_the_rest_of_a_path():
    """Two runs of ten and twenty steps are one of thirty."""
    network = gf.Network.of_couplings(gf.VanillaRNN(0.0), {"h": np.zeros((4, 4))})
    path: Any = GaussianInput(variance=1.0, correlation_time=0.5).realise(4, 3.0, dt=0.1, seed=6)
    start = np.ones((1, 4))
    whole = gf.simulate(network, 3.0, dt=0.1, initial=start, inputs={"h": path}).states
    first = gf.simulate(network, 1.0, dt=0.1, initial=start, inputs={"h": path}).final
    late = {"h": path.later(1.0)}
    rest = gf.simulate(network, 2.0, dt=0.1, initial=first, inputs=late).states
    np.testing.assert_allclose(rest, whole[10:], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    "endless", [np.float32(np.inf), np.float64(np.inf), np.array(np.inf), jnp.asarray(np.inf)]
)
def test_infinities_of_every_kind_are_static(endless):
    assert GaussianInput(variance=1.0, correlation_time=endless).is_static


@pytest.mark.parametrize("correlation_time", [math.inf, 2.0], ids=["static", "moving"])
def test_the_seed_decides(correlation_time):
    process = GaussianInput(variance=1.0, correlation_time=correlation_time)
    drawn = [process.realise(200, 1.0, seed=seed) for seed in (7, 7, 8)]
    first, again, other = (
        each if isinstance(each, np.ndarray) else np.asarray(each(0.0)) for each in drawn
    )
    np.testing.assert_array_equal(first, again)
    assert abs(np.mean(first * other)) < 4 / math.sqrt(200)


def test_the_same_seed_draws_no_initial_state():
    """An input that equals the start, as one key for both would make it, is no random input."""
    network = gf.Network.of_couplings(gf.VanillaRNN(0.0), {"h": np.zeros((200, 200))})
    start = gf.simulate(network, 0.1, seed=7).states[0, 0]
    drawn = GaussianInput(variance=1.0).realise(200, 1.0, seed=7)
    assert abs(np.mean(start * np.asarray(drawn))) < 4 / math.sqrt(200)


def test_other_paths_of_one_size_compile_nothing_anew():
    traced = []

    @eqx.filter_jit
    def value(path, time):
        traced.append(1)
        return path(time)

    process: Any = GaussianInput(variance=1.0, correlation_time=1.0)
    found = [value(process.realise(3, 1.0, seed=seed), 0.5) for seed in range(3)]
    value(process.realise(3, 1.0, seed=1).later(0.3), 0.5)
    assert len(traced) == 1
    assert not np.array_equal(found[0], found[1])


# --- in simulations


def test_a_flow_is_driven_by_the_path():
    """dh/dt = -h + I: RK4 on an input that is linear over the step, written out by its stages."""
    dt, steps = 0.1, 30
    path: Any = GaussianInput(variance=1.0, correlation_time=0.5).realise(
        4, dt * steps, dt=dt, seed=6
    )
    values = np.asarray(path.values)
    network = gf.Network.of_couplings(gf.VanillaRNN(0.0), {"h": np.zeros((4, 4))})
    start = np.ones((1, 4))
    run = gf.simulate(network, dt * steps, dt=dt, initial=start, inputs={"h": path})
    h = start[0]
    for step in range(steps):
        first, last = values[step], values[step + 1]
        middle = (first + last) / 2
        k1 = first - h
        k2 = middle - (h + dt / 2 * k1)
        k3 = middle - (h + dt / 2 * k2)
        k4 = last - (h + dt * k3)
        h = h + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        np.testing.assert_allclose(run.states[step + 1, 0], h, rtol=0, atol=ROUNDING)


def test_a_map_meets_the_samples():
    """x' = x/2 + I, and x' = x/2 + I with an I that stays."""
    network = gf.Network.of_couplings(Halving(), {"u": np.zeros((4, 4))})
    path: Any = GaussianInput(variance=1.0, correlation_time=3.0).realise(4, 12, dt=1, seed=6)
    run = gf.simulate(network, 12, initial=np.ones((1, 4)), inputs={"x": path})
    x = np.ones(4)
    for step in range(12):
        x = 0.5 * x + np.asarray(path.values)[step]
        np.testing.assert_allclose(run.states[step + 1, 0], x, rtol=0, atol=ROUNDING)
    still = GaussianInput(variance=1.0).realise(4, 12, seed=6)
    run = gf.simulate(network, 60, initial=np.ones((1, 4)), inputs={"x": still})
    np.testing.assert_allclose(run.final[0], 2 * np.asarray(still), rtol=0, atol=ROUNDING)


def test_a_run_that_outlasts_its_input_fails():
    network = gf.Network.of_couplings(gf.VanillaRNN(0.0), {"h": np.zeros((2, 2))})
    path = GaussianInput(variance=1.0, correlation_time=1.0).realise(2, 1.0, dt=0.05)
    assert np.all(np.isfinite(gf.simulate(network, 1.0, inputs={"h": path}).final))
    with pytest.raises(NumericalFailureError, match="diverged"):
        gf.simulate(network, 2.0, inputs={"h": path})


# --- refusals


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"variance": -1.0}, "variance = -1.0.*not negative"),
        ({"variance": math.nan}, "variance = nan.*finite"),
        ({"variance": 1.0, "mean": math.inf}, "mean = inf.*finite"),
        ({"variance": 1.0, "mean": [0.0, 1.0]}, "mean = .*one number"),
        ({"variance": 1.0, "correlation_time": 0.0}, "correlation_time = 0.0.*positive"),
        ({"variance": 1.0, "correlation_time": -math.inf}, "correlation_time = -inf"),
        ({"variance": 1.0, "correlation_time": "long"}, "correlation_time = 'long'"),
    ],
    ids=["negative", "nan", "endless mean", "two means", "no memory", "minus infinity", "text"],
)
def test_processes_that_are_none_are_refused(options, says):
    with pytest.raises(InvalidInputError, match=says):
        Wrong(**options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": 0}, "n = 0"),
        ({"t_max": 0.0}, "t_max = 0.0.*positive"),
        ({"dt": -0.1}, "dt = -0.1.*positive"),
        ({"seed": 0.5}, "seed = 0.5.*integer"),
    ],
    ids=["no units", "no time", "backwards", "half a seed"],
)
def test_paths_that_cannot_be_drawn_are_refused(options, says):
    process: Any = GaussianInput(variance=1.0, correlation_time=1.0)
    with pytest.raises(InvalidInputError, match=says):
        process.realise(**{"n": 2, "t_max": 1.0, **options})
