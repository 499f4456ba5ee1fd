"""Searches in batches: padding changes nothing, an interrupt ends them, many starts are drawn."""

from __future__ import annotations

import numpy as np
import pytest

import gatefield as gf
from gatefield.analysis.fixed_points import iterate
from gatefield.networks import Network


@pytest.mark.parametrize("slow", [None, 0.3], ids=str)
def test_padding_and_batches_change_nothing(monkeypatch, slow):
    network = Network.sample(gf.VanillaRNN(3.0), 8, seed=2)
    options = {"starts": 21, "slow": slow, "max_steps": 60}
    whole = gf.find_fixed_points(network, **options)
    # Batches of 4: the last of 21 is padded by three copies, of which nothing may be counted.
    monkeypatch.setattr(iterate, "_together", lambda _: 4)
    parts = gf.find_fixed_points(network, **options)
    assert len(whole.found) == len(parts.found) > 1
    assert np.array_equal(whole.found, parts.found)
    assert np.array_equal(whole.is_slow, parts.is_slow)
    # Newton's method ends at rounding; minima of the speed are known to the root of it.
    assert np.allclose(whole.states, parts.states, atol=1e-6)
    assert np.array_equal(whole.unstable, parts.unstable)


def test_padding_repeats_the_first_and_covers_few_shapes():
    small = Network.sample(gf.VanillaRNN(3.0), 8, seed=2)
    large = Network.sample(gf.VanillaRNN(3.0), 120, seed=2)
    chosen = np.array([5, 7, 9])
    assert iterate._padded(chosen, small).size == iterate._together(small)
    # Where each matrix costs much, to the next power of four only.
    assert list(iterate._padded(chosen, large)) == [5, 7, 9, 5]
    assert list(iterate._padded(chosen[:1], large)) == [5]


def test_an_interrupt_is_passed_on(monkeypatch):
    real, calls = iterate.newton_steps, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(iterate, "newton_steps", interrupted)
    network = Network.sample(gf.VanillaRNN(3.0), 8, seed=2)
    with pytest.raises(KeyboardInterrupt):
        gf.find_fixed_points(network, 8)
    assert len(calls) == 3
    # Nothing is left behind: the next search gives what it would have given.
    monkeypatch.setattr(iterate, "newton_steps", real)
    again, fresh = (gf.find_fixed_points(network, 8) for _ in range(2))
    assert np.array_equal(again.states, fresh.states) and len(again.found) > 0


def test_more_starts_than_a_maps_runs_have_steps():
    """Half of the starts are states of trajectories of 100 steps: 4 runs have 400 of them."""
    network = Network.sample(gf.ElmanRNN(gain=0.5), 3, seed=1)
    found = gf.find_fixed_points(network, 900)
    assert int(found.found.sum()) == 900 and len(found.found) == 1
    assert float(np.max(np.abs(found.states))) < 1e-12
