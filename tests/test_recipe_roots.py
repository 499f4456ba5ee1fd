"""The search for a gain: few evaluations, both ways, and no root where a function only jumps."""

from __future__ import annotations

import math

import pytest

from gatefield.core.errors import NumericalFailureError
from gatefield.initialise.driven import _root


def counted(function):
    seen = []

    def excess(gain):
        seen.append(gain)
        return function(gain)

    return excess, seen


@pytest.mark.parametrize("root", [0.2, 2.0, 2.1, 6.9, 30.0])
def test_saturating_functions_need_few_evaluations(root):
    """The exponent rises with the logarithm of the gain ever more slowly; each costs a solution."""
    excess, seen = counted(lambda gain: math.tanh(math.log(gain / root) / 3))
    assert _root(excess, 2.0, 1e-9, enough=0.0) == pytest.approx(root, rel=1e-8)
    assert len(seen) == len(set(seen))
    excess, seen = counted(lambda gain: math.tanh(math.log(gain / root) / 3))
    # What counts as zero moves the root by three times as much in ln gain.
    assert abs(math.log(_root(excess, 2.0, 1e-9, enough=5e-4) / root)) <= 1.6e-3
    assert len(seen) <= 8


def test_jumps_and_functions_without_a_root_are_refused():
    with pytest.raises(NumericalFailureError, match="abruptly at a gain of 3"):
        _root(lambda gain: 0.5 if gain > 3 else -0.5, 2.0, 1e-9, enough=0.0)
    with pytest.raises(NumericalFailureError, match="No gain between 2 and"):
        _root(lambda gain: -1.0, 2.0, 1e-9, enough=0.0)
    with pytest.raises(NumericalFailureError, match="no value at a gain of 2"):
        _root(lambda gain: math.nan, 2.0, 1e-9, enough=0.0)
