"""Statistics of lengths of which some are only known to exceed what was watched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from gatefield.analysis.transients.survival import survival_curve
from gatefield.analysis.transients.trend import kaplan_meier_medians, transient_trend
from gatefield.core.errors import InvalidInputError

TIMES = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
ENDED = np.array([True, False, True, True, False])
LATE = 1.5  # of the mean: runs are given up there


def exponential(rng: Any, count: int, mean: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return lengths of mean ``mean``, given up at 1.5 times that, and which of them ended."""
    full = rng.exponential(mean, count)
    return np.minimum(full, LATE * mean), full <= LATE * mean


def test_the_curve_of_kaplan_and_meier():
    curve = survival_curve(TIMES, ENDED)
    assert np.array_equal(curve.times, [0, 1, 2, 3, 4, 5])
    # Of 5, then 3, then 2 runs one ends; those given up at 2 and 5 count until then.
    assert np.allclose(curve.probability, [1, 4 / 5, 4 / 5, 8 / 15, 4 / 15, 4 / 15])
    assert np.array_equal(curve.at_risk, [5, 5, 4, 3, 2, 1])
    assert curve.median == 4.0


def test_the_band_is_greenwoods():
    curve = survival_curve(TIMES, ENDED, confidence=0.9)
    z = stats.norm.ppf(0.95)
    for place, share, variance in (
        (1, 4 / 5, 1 / (5 * 4)),
        (3, 8 / 15, 1 / (5 * 4) + 1 / (3 * 2)),
    ):
        width = z * np.sqrt(variance) / abs(np.log(share))
        assert np.isclose(curve.low[place], share ** np.exp(width))
        assert np.isclose(curve.high[place], share ** np.exp(-width))
    assert curve.low[0] == curve.high[0] == 1 and curve.confidence == 0.9


def test_before_the_first_has_ended_nothing_is_uncertain():
    curve = survival_curve(TIMES, np.array([False, False, True, True, True]))
    assert np.array_equal(curve.low[:3], [1, 1, 1]) and np.array_equal(curve.high[:3], [1, 1, 1])


def test_medians_that_are_not_reached():
    none = survival_curve(TIMES, np.zeros(5, bool))
    assert none.median == np.inf and none.median_interval == (np.inf, np.inf)
    assert np.all(none.probability == 1) and none.spread == np.inf
    few = survival_curve(TIMES, np.array([True, True, False, False, False]))
    assert few.median == np.inf and few.median_interval[0] < np.inf


def test_where_all_have_ended_the_upper_end_is_known_from_before_only():
    two = survival_curve(np.array([1.0, 2.0]), np.ones(2, bool))
    assert two.median == 1.0 and two.median_interval[1] == np.inf
    many = survival_curve(np.arange(1.0, 41.0), np.ones(40, bool))
    assert many.median == 20.0 and many.median_interval[0] < 20 < many.median_interval[1] < 40


def test_median_of_exponential_lengths():
    curve = survival_curve(*exponential(np.random.default_rng(1), 4000, 100.0))
    # Error of a median: 1 / (2 f sqrt(n)) with the density f = 1 / (2 mean) there.
    assert abs(curve.median - 100 * np.log(2)) < 4 * 100 / np.sqrt(4000)
    low, high = curve.median_interval
    assert low < curve.median < high
    # 1.96 errors to each side, to 1 part in the fourth root of n.
    assert abs((high - low) / (2 * 1.96 * 100 / np.sqrt(4000)) - 1) < 4000**-0.25
    # The last quarter ends at 1.39 means, before runs were given up. Errors of quartiles as above.
    assert abs(curve.spread - np.log(3) / np.log(2)) < 0.2


def test_intervals_of_the_median_hold_as_often_as_they_say():
    rng, count = np.random.default_rng(2), 600
    inside = 0
    for _ in range(count):
        low, high = survival_curve(*exponential(rng, 40)).median_interval
        inside += low <= np.log(2) <= high
    # Four standard deviations of the count; and steps of one run in 40 at each end.
    assert abs(inside / count - 0.95) < 4 * np.sqrt(0.95 * 0.05 / count) + 1 / 80


def test_lengths_that_all_share():
    curve = survival_curve(np.full(20, 7.0), np.ones(20, bool))
    assert curve.median == 7.0 and curve.spread == 0.0


def test_medians_of_many_sets_are_those_of_the_curves():
    rng = np.random.default_rng(7)
    times = rng.integers(1, 8, (40, 13)).astype(float)  # with ties, also of ended and given up
    ended = rng.random((40, 13)) < 0.6
    expected = [survival_curve(*each).median for each in zip(times, ended, strict=True)]
    assert np.array_equal(kaplan_meier_medians(times, ended), expected)
    assert 0 < np.isinf(expected).sum() < 40


def laws(factor: Any, sizes: Any = (200, 400, 800), count: int = 60) -> Any:
    """Return the trend of exponential lengths, the same but for a factor that depends on N."""
    base, ended = exponential(np.random.default_rng(3), count)
    every = [factor(n) * base for n in sizes]
    return transient_trend(np.array(sizes), every, [ended] * len(sizes))


def test_powers_and_exponentials_are_found():
    found = laws(lambda n: n**1.5)
    assert np.isclose(found.power, 1.5) and np.isclose(found.ratio, 4**1.5)
    assert found.power_interval[0] < 1.5 < found.power_interval[1] and found.grows
    found = laws(lambda n: np.exp(0.004 * n))
    assert np.isclose(found.rate, 0.004) and np.isclose(found.ratio, np.exp(2.4))
    assert found.rate_interval[0] < 0.004 < found.rate_interval[1]


def test_no_growth():
    found = laws(lambda n: 30.0)
    assert abs(found.power) < 1e-12 and np.isclose(found.ratio, 1) and not found.grows
    assert np.isclose(found.p_value, 1)


def test_error_of_a_power():
    """Errors of ln median are 1 / (ln 2 sqrt(n)) for exponential lengths."""
    rng, count = np.random.default_rng(4), 400
    first, second = exponential(rng, count), exponential(rng, count, 2.0)
    found = transient_trend(
        np.array([100, 200]), (first[0], second[0]), (first[1], second[1])
    )  # fmt: skip
    error = np.sqrt(2) / (np.log(2) * np.sqrt(count)) / np.log(2)
    assert abs(found.power - 1) < 4 * error
    low, high = found.power_interval
    # Drawn anew, medians scatter by what they do to one part in the fourth root of n, twice.
    assert abs((high - low) / (2 * 1.96 * error) - 1) < 2 * count**-0.25
    again = transient_trend(np.array([100, 200]), (first[0], second[0]), (first[1], second[1]))
    assert np.array_equal(again.power_interval, found.power_interval)


def test_the_log_rank_test_is_mantels():
    rng = np.random.default_rng(5)
    (a, a_ended), (b, b_ended) = exponential(rng, 30), exponential(rng, 20, 2.0)
    excess = variance = 0.0
    for time in np.sort(np.concatenate([a[a_ended], b[b_ended]])):
        here, there = np.sum(a >= time), np.sum(b >= time)
        share = here / (here + there)
        excess += np.sum(a[a_ended] == time) - share
        variance += share * (1 - share)
    expected = 2 * stats.norm.sf(abs(excess) / np.sqrt(variance))
    found = transient_trend(np.array([10, 20]), (a, b), (a_ended, b_ended))
    assert 1e-4 < expected < 0.5 and np.isclose(found.p_value, expected)


def test_medians_that_are_unknown_are_left_out():
    base, ended = exponential(np.random.default_rng(6), 40)
    given_up = np.zeros(40, bool)
    lengths = (base, 2 * base, np.full(40, 5.0))
    found = transient_trend(np.array([1, 2, 4]), lengths, (ended, ended, given_up))
    assert np.array_equal(found.sizes, [1, 2]) and np.isclose(found.power, 1)
    assert found.p_value < 1e-6  # the largest size counts, known median or not
    none = transient_trend(np.array([1, 4]), lengths[::2], (ended, given_up))
    assert np.isnan(none.power) and np.all(np.isnan(none.ratio_interval)) and not none.grows
    silent = transient_trend(np.array([1, 4]), lengths[::2], (given_up, given_up))
    assert np.isnan(silent.p_value)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, "0.9"], ids=str)
def test_confidence_is_refused(confidence):
    with pytest.raises(InvalidInputError, match="confidence"):
        survival_curve(TIMES, ENDED, confidence=confidence)
    with pytest.raises(InvalidInputError, match="confidence"):
        transient_trend(np.array([1]), [TIMES], [ENDED], confidence=confidence)


def test_sets_without_runs_have_no_median():
    none = np.zeros((3, 0))
    assert np.isnan(kaplan_meier_medians(none, none.astype(bool))).tolist() == [True] * 3


def test_nothing_to_estimate():
    with pytest.raises(InvalidInputError, match="at least one run"):
        survival_curve(np.zeros(0), np.zeros(0, bool))
