"""Brute-force counts of fixed points where their number is known, and how complete they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import gatefield as gf
from gatefield.compare.counts import FixedPointCounts, count_fixed_points
from gatefield.core.errors import InvalidInputError


def test_stable_networks_have_one():
    told = []
    found = count_fixed_points(gf.VanillaRNN(0.5), 5, networks=3, rounds=2, report=told.append)
    assert told == [1, 2, 3]
    assert np.all(found.found == 1) and np.all(found.index == 1)
    assert float(found.log_mean) == 0 and float(found.mean_log) == 0
    assert np.all(found.log_mean_interval == 0) and np.all(found.mean_square == 0)
    assert found.share_once == 0 and found.complete == 1 and np.all(found.missing == 0)
    # A round that finds nothing new after the first ends it.
    assert np.all(found.searches == 512)


def test_two_units_against_a_scan():
    """h = J tanh(g h) of two units, counted by the sign changes of a function of one variable."""
    g, seed = 6.0, 3
    found = count_fixed_points(gf.VanillaRNN(g), 2, networks=4, rounds=4, seed=seed)
    for k in range(4):
        J = gf.Network.sample(gf.VanillaRNN(g), 2, seed=seed + k).coupling("h")
        # y_0 in terms of y_1: h_0 = J_00 y_0 + J_01 y_1 with h_0 = artanh(y_0)/g, scanned in y_0.
        y = np.tanh(np.linspace(-18, 18, 2_000_001))
        other = (np.arctanh(y) / g - J[0, 0] * y) / J[0, 1]
        inside = np.abs(other) < 1 - 1e-15
        rest = np.where(inside, J[1, 0] * y + J[1, 1] * other, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            rest = rest - np.arctanh(other) / g
        finite = np.isfinite(rest[:-1]) & np.isfinite(rest[1:])
        crossings = int(np.sum((np.sign(rest[:-1]) * np.sign(rest[1:]) < 0) & finite))
        # The zero point falls on a node of the scan: its two neighbours have opposite signs.
        crossings += int(np.sum(rest[1:-1] == 0))
        assert found.found[k] == crossings
    assert np.all(found.index == 1)


def test_maps_and_several_fields():
    found = count_fixed_points(gf.GRU(gain_r=2, gain_z=1, gain_n=8), 4, networks=4, rounds=4)
    # Without biases a point's mirror image need not be one, but zero is; the degree is one.
    assert np.all(found.found % 2 == 1) and np.all(found.index == 1)
    assert found.found.max() > 1


def test_the_estimate_of_what_is_missing():
    found = count_fixed_points(gf.VanillaRNN(8), 20, networks=3, rounds=1)
    assert found.share_once > 0.1
    assert np.all(found.missing[found.once > 1] > 0)
    assert np.all(found.searches == 256)
    assert isinstance(found, FixedPointCounts)
    assert np.exp(20 * float(found.log_mean)) == pytest.approx(np.mean(found.found))
    assert np.exp(20 * float(found.mean_log)) == pytest.approx(stats.gmean(found.found))


def test_refusals():
    with pytest.raises(InvalidInputError, match="at most 600"):
        count_fixed_points(gf.GatedRNN(3), 300)
    with pytest.raises(InvalidInputError, match="networks"):
        count_fixed_points(gf.VanillaRNN(3), 5, networks=2)
