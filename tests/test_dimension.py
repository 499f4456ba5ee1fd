"""Participation ratios of data whose covariance is known."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

import gatefield as gf
from gatefield.analysis import participation_dimension
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.networks import GaussianInput

ROUNDING = 1e-12


class Turning(gf.AbstractMap):
    """(x, y) turned by a fixed angle at each step."""

    angle: Any

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"u": 1.0}

    def outputs(self, state, fields, drive):
        return {"u": state["x"]}

    def rule(self, state, fields, drive):
        c, s = jnp.cos(self.angle), jnp.sin(self.angle)
        return {
            "x": c * state["x"] - s * state["y"],
            "y": s * state["x"] + c * state["y"],
        }


def ratio(eigenvalues):
    """Return the participation ratio of a covariance from its eigenvalues."""
    return np.sum(eigenvalues) ** 2 / np.sum(np.square(eigenvalues))


# --- fewer times than units


@pytest.mark.parametrize(("times", "n"), [(200, 400), (400, 40)], ids=["T < N", "T > N"])
@pytest.mark.parametrize("decay", [0.0, 0.02], ids=["white", "coloured"])
@pytest.mark.parametrize("centre", [True, False], ids=["centred", "about zero"])
def test_gaussian_data_of_known_covariance(times, n, decay, centre):
    """Independent times; the naive value obeys 1/D + 1/T, which is what the pairs must not."""
    eigenvalues = np.exp(-decay * np.arange(n))
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.standard_normal((n, n)))[0]
    data = (rng.standard_normal((times, n)) * np.sqrt(eigenvalues)) @ turned
    data = data + (3.0 * rng.standard_normal(n) if centre else 0.0)
    expected = ratio(eigenvalues)
    found = participation_dimension(data, centre=centre, separation=1)
    assert abs(found.value - expected) < 4 * found.standard_error
    biased = 1 / (1 / expected + 1 / times)
    # Next order of the bias: 1/T of the ratio itself; and the estimate's own scatter.
    assert abs(found.naive - biased) < 2 / times * biased + 4 * found.standard_error
    assert expected - found.naive > (expected - biased) / 2
    assert float(found.per_unit) == pytest.approx(float(found.value) / n, rel=1e-15)
    assert (found.n, found.times, found.blocks) == (n, times, 10)


def test_the_error_is_the_scatter_of_repetitions():
    """80 repetitions: scatter over error, chi-square of 79 degrees, and of 9 for each error."""
    rng = np.random.default_rng(1)
    eigenvalues = 1 / np.arange(1, 31)
    found = [
        participation_dimension(
            rng.standard_normal((400, 30)) * np.sqrt(eigenvalues), separation=1, centre=False
        )
        for _ in range(80)
    ]
    values = np.array([each.value for each in found])
    reported = np.mean([float(each.standard_error) ** 2 for each in found])
    low, high = chi2.ppf([1e-4, 1 - 1e-4], 79) / 79
    assert low < np.var(values, ddof=1) / reported < high
    mean_error = np.std(values, ddof=1) / np.sqrt(80)
    # A ratio of averages has a bias of second order: the squared relative error of the error bar.
    bias = 2 * reported / ratio(eigenvalues)
    assert abs(values.mean() - ratio(eigenvalues)) < 4 * mean_error + bias


def test_times_that_remember_need_pairs_of_separate_blocks():
    """Units of one correlation time tau: about T/(2 tau) times count, and the truth is N."""
    process = GaussianInput(variance=1.0, correlation_time=2.0)
    path: Any = process.realise(100, 1999.0, dt=1.0, seed=2)
    data = np.asarray(path.values)[:2000]
    found = participation_dimension(data)
    assert abs(found.value - 100) < 4 * found.standard_error
    # tr S^2 is too large by (tr S)^2 over T tanh(1/(2 tau)), the number of independent times for
    # products of two values, which decay as exp(-2 |t| / tau).
    biased = 1 / (1 / 100 + 1 / (2000 * np.tanh(1 / 2.0)))
    assert abs(found.naive - biased) < 4 * found.standard_error


def test_both_ways_to_multiply_agree():
    """Blocks shorter than N multiply times, longer ones units: double the units, same ratio."""
    rng = np.random.default_rng(3)
    data = rng.standard_normal((60, 5))
    few = participation_dimension(data, blocks=6)
    # Each unit five times over: S becomes a block matrix of it, (5 tr S)^2 / 25 tr S^2.
    many = participation_dimension(np.tile(data, 5), blocks=6)
    assert float(many.value) == pytest.approx(float(few.value), rel=ROUNDING)
    assert float(many.naive) == pytest.approx(float(few.naive), rel=ROUNDING)
    assert float(many.standard_error) == pytest.approx(float(few.standard_error), rel=1e-10)


def test_pairs_written_out():
    """All pairs at least three blocks apart, each block's covariance by numpy.cov."""
    data = np.random.default_rng(4).standard_normal((35, 4))
    found = participation_dimension(data, blocks=5, separation=3)
    parts = [np.cov(data[7 * k : 7 * k + 7].T, bias=True) for k in range(5)]

    def value(pairs):
        above = sum(np.trace(parts[a]) * np.trace(parts[b]) for a, b in pairs)
        return above / sum(np.trace(parts[a] @ parts[b]) for a, b in pairs)

    pairs = [(0, 3), (0, 4), (1, 4)]
    assert float(found.value) == pytest.approx(value(pairs), rel=ROUNDING)
    left = np.array([value([pair for pair in pairs if k not in pair]) for k in range(5)])
    error = np.sqrt(4 / 5 * np.sum((left - left.mean()) ** 2))
    assert float(found.standard_error) == pytest.approx(error, rel=1e-10)
    whole = np.cov(data.T)
    expected = np.trace(whole) ** 2 / np.trace(whole @ whole)
    assert float(found.naive) == pytest.approx(expected, rel=ROUNDING)


# --- low dimensions


def test_a_limit_cycle_has_dimension_two():
    """Even phases: two directions of equal variance. Blocks of whole periods: exact."""
    n, period = 9, 12
    network = gf.Network.of_couplings(Turning(2 * np.pi / period), {"u": np.zeros((n, n))})
    phases = 2 * np.pi * np.arange(n) / n
    start = np.stack([np.cos(phases), np.sin(phases)])
    run = gf.simulate(network, 10 * period - 1 + 5, initial=start)
    for component in (None, "x", "y"):
        found = participation_dimension(run, component, burn_in=5)
        assert float(found.value) == pytest.approx(2.0, abs=ROUNDING)
        assert float(found.naive) == pytest.approx(2.0, abs=ROUNDING)
        assert float(found.standard_error) < 1e-10 and found.times == 10 * period


def test_a_cycle_of_uneven_phases():
    """x_i = cos(t + p_i) = cos t cos p_i - sin t sin p_i: the ratio of a 2 by 2 matrix."""
    phases = np.random.default_rng(5).uniform(0, 2, 20)
    times = 2 * np.pi / 40 * np.arange(400)
    data = 5.0 + np.cos(times[:, None] + phases)
    span = np.stack([np.cos(phases), np.sin(phases)])
    expected = ratio(np.linalg.eigvalsh(span @ span.T))
    found = participation_dimension(data)
    assert float(found.value) == pytest.approx(expected, rel=ROUNDING)


def test_one_direction_is_one_dimension_and_rest_is_none():
    moving = np.sin(np.arange(60.0))[:, None] * np.array([1.0, -2.0, 0.5])
    assert float(participation_dimension(moving).value) == pytest.approx(1.0, abs=ROUNDING)
    for still in (np.full((60, 3), 0.1), np.zeros((60, 3))):
        found = participation_dimension(still)
        assert (float(found.value), float(found.standard_error), float(found.naive)) == (0, 0, 0)
        assert found.status is Status.OK


def test_blocks_without_a_common_direction_do_not_tell():
    """Each block along its own axis: tr S_a S_b = 0 for all pairs, and D is unbounded."""
    turned = np.linalg.qr(np.random.default_rng(6).standard_normal((4, 4)))[0]
    data = np.concatenate([np.sin(np.arange(12.0))[:, None] * axis for axis in turned])
    found = participation_dimension(data, blocks=4, separation=1)
    assert found.status is Status.NOT_CONVERGED
    assert np.isinf(found.value) and np.isinf(found.standard_error) and np.isinf(found.per_unit)
    # All times together: four directions, each with a fourth of the times.
    parts = data.reshape(4, 12, 4)
    whole = parts - data.mean(axis=0)
    eigenvalues = np.linalg.eigvalsh(np.cov(whole.reshape(48, 4).T))
    assert float(found.naive) == pytest.approx(ratio(eigenvalues), rel=ROUNDING)


def test_the_error_is_not_known_where_one_block_decides():
    """Two of three blocks share a direction: without either, nothing is left to tell."""
    wave = np.sin(np.arange(12.0))[:, None]
    data = np.concatenate([wave * np.array(axis) for axis in ([1.0, 0], [1.0, 0], [0, 1.0])])
    found = participation_dimension(data, blocks=3, separation=1)
    assert found.status is Status.NOT_CONVERGED and np.isinf(found.standard_error)
    # Traces equal: three pairs above, one of them below.
    assert float(found.value) == pytest.approx(3.0, rel=ROUNDING)


def test_a_run_that_comes_to_rest_does_not_tell():
    data = np.zeros((40, 3))
    data[:10] = np.sin(np.arange(10.0))[:, None]
    found = participation_dimension(data, blocks=4)
    assert found.status is Status.NOT_CONVERGED
    assert float(found.value) == 0 and np.isinf(found.standard_error)


# --- refusals


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"states": np.zeros(10)}, "states.shape.*time, unit"),
        ({"states": np.zeros((19, 2))}, "times = 19.*at least 20"),
        ({"states": np.full((20, 2), np.nan)}, "(?s)states = .*finite"),
        ({"component": "h"}, "for an array.*component='h'.*Slice"),
        ({"burn_in": 1.0}, "for an array.*burn_in=1.0"),
        ({"blocks": 2}, "blocks = 2"),
        ({"blocks": 4, "separation": 3}, "separation = 3.*at most blocks - 2 = 2"),
        ({"separation": 0}, "separation = 0"),
    ],
    ids=["flat", "short", "nan", "component", "burn-in", "blocks", "too far", "itself"],
)
def test_bad_input_is_refused(options, says):
    given: Any = {"states": np.zeros((40, 2)), **options}
    with pytest.raises(InvalidInputError, match=says):
        participation_dimension(**given)


def test_trajectories_that_do_not_fit_are_refused():
    network = gf.Network.of_couplings(Turning(0.1), {"u": np.zeros((2, 2))})
    with pytest.raises(InvalidInputError, match="component = 'h'.*one of 'x', 'y'"):
        participation_dimension(gf.simulate(network, 40), "h")
    with pytest.raises(InvalidInputError, match="one run"):
        participation_dimension(gf.simulate(network, 40, samples=2))
    with pytest.raises(InvalidInputError, match="times = 1"):
        participation_dimension(gf.simulate(network, 40), burn_in=40)
