"""Numbers read off correlation functions, and how numbers with errors are written."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import gatefield as gf
from gatefield.analysis import CorrelationFunctions
from gatefield.cli.config import fields
from gatefield.compare import FEWEST, correlation_measures, last_lag, with_error
from gatefield.core.results import Status

LAGS = np.linspace(0.0, 20.0, 401)
SLOPE = 0.02  # the sampling error's change with the lag


def mean_field(covariance, method="sampled") -> gf.MeanField:
    zero = np.zeros(())
    return gf.MeanField(
        lags=LAGS,
        covariance={"h": covariance},
        standard_error={"h": 0.01 + SLOPE * LAGS},
        mean={"h": zero},
        mean_standard_error={"h": zero},
        residual=zero,
        truncation=np.asarray(1e-3),
        history=np.zeros(1),
        spectra={},
        cell=gf.VanillaRNN(2.0),
        inputs={},
        method=method,
        status=Status.OK,
        settings=(),
    )


def networks(rows) -> CorrelationFunctions:
    zero = {"h": np.zeros(())}
    return CorrelationFunctions(
        lags=LAGS,
        covariance={"h": rows.mean(0)},
        standard_error={"h": rows.std(0)},
        by_network={"h": rows},
        mean=zero,
        mean_standard_error=zero,
        cell=gf.VanillaRNN(2.0),
        n=10,
        blocks=0,
        settings=(),
        status=Status.OK,
    )


def test_measures_are_values_with_theirs_of_networks():
    rows = np.exp(-0.5 * LAGS) * np.array([[0.9], [1.0], [1.4]])
    theory = mean_field(2.0 * np.exp(-LAGS))
    start, later, decay = correlation_measures("h", theory, networks(rows), LAGS, at=3.02)
    assert [one.name for one in (start, later, decay)] == ["C(0)", "C(3)", "relaxation time"]
    assert start.theory == 2.0 and np.isclose(later.theory, 2.0 * np.exp(-3.0), rtol=1e-12)
    # Sampling error, and the truncation relative to C(0), in squares; 1e-9 of rounding beside them.
    assert np.isclose(start.error, np.hypot(0.01, 0.002), rtol=1e-5)
    assert np.isclose(later.error, np.hypot(0.01 + 3 * SLOPE, 0.002), rtol=1e-5)
    assert np.array_equal(start.networks, [0.9, 1.0, 1.4])
    assert np.isclose(start.spread, np.std([0.9, 1.0, 1.4], ddof=1) / np.sqrt(3))
    found = start.comparison
    assert found is not None
    assert np.isclose(float(found.deviation), -0.9 / np.hypot(start.spread, start.error))
    # exp(-t) falls to 1/e at 1, but for the mean of its last tenth and chords .05 long.
    assert abs(decay.theory - 1.0) < 0.05**2 / 8 + 1e-7
    assert np.all(np.abs(decay.networks - 2.0) < 1e-3)
    # dC/dt = -2/e there; the gradient is central over .1.
    assert np.isclose(decay.error, np.hypot(0.01 + SLOPE, 0.002) * np.e / 2, rtol=0.03)


def test_a_constant_has_no_relaxation_time():
    rows = np.exp(-0.5 * LAGS) * np.ones((3, 1))
    found = correlation_measures("h", mean_field(np.full(401, 0.3)), networks(rows), LAGS)
    assert [one.name for one in found] == ["C(0)", "C(20)"]


def test_two_networks_are_not_compared():
    theory = mean_field(2.0 * np.exp(-LAGS))
    rows = np.exp(-LAGS) * np.array([[0.9], [1.0]])
    start, *_ = correlation_measures("h", theory, networks(rows), LAGS)
    assert start.comparison is None and np.isnan(start.spread)
    alone, *_ = correlation_measures("h", theory, None, LAGS)
    assert alone.networks.shape == (0,)


def test_the_last_lag_is_that_of_sampled_paths():
    moving = mean_field(np.exp(-LAGS))
    assert last_lag(moving) == 20.0
    assert last_lag(mean_field(np.full(401, 0.3))) == np.inf
    assert last_lag(dataclasses.replace(moving, method="lag equations")) == np.inf


def test_the_fewest_networks_are_the_same_everywhere():
    assert fields.FEWEST == FEWEST == 3


@pytest.mark.parametrize(
    ("value", "error", "written"),
    [
        (0.11752362, 0.0012345, "0.1175 +- 0.0012"),
        (39.91, 1.24, "39.9 +- 1.2"),
        (1234.5, 99.6, "1234 +- 100"),
        (0.5, 5e-5, "0.500000 +- 0.000050"),
        (-0.5, 1e-9, "-0.5"),
        (0.11245811, 0.0, "0.112458"),
        (0.3, np.nan, "0.3"),
        (np.nan, 0.0, "nan"),
        (8.6e-11, 5.2e-11, "8.6e-11 +- 5.2e-11"),
        (-3.14159e-6, 2.5e-9, "-3.1416e-06 +- 2.5e-09"),
        (2e-9, 5e-6, "2e-09 +- 5.0e-06"),
        (0.0, 2e-12, "0e+00 +- 2.0e-12"),
        (8e-5, 0.02, "0.000 +- 0.020"),
    ],
)
def test_numbers_are_written_to_two_digits_of_their_error(value, error, written):
    assert with_error(value, error) == written
