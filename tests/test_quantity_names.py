"""The names of what can be correlated in a unit."""

from __future__ import annotations

from typing import ClassVar

import pytest

import gatefield as gf
from gatefield.cells import quantity_names
from gatefield.core.errors import InvalidInputError


def test_names_come_in_the_order_of_the_quantities():
    assert quantity_names(gf.VanillaRNN(1.0)) == ("h", "eta_h", "y_h", "phi")


@pytest.mark.parametrize(
    ("states", "fields", "own", "doubled"),
    [
        (("h", "y_h"), ("h",), (), "y_h"),
        (("h", "eta_h"), ("h",), (), "eta_h"),
        (("x", "y"), ("u",), ("x",), "x"),
        (("x", "y"), ("u",), ("y_u",), "y_u"),
    ],
    ids=["output", "field", "observable and state", "observable and output"],
)
def test_names_must_differ(states, fields, own, doubled):
    class Named(gf.AbstractMap):
        state_names: ClassVar[tuple[str, ...]] = states
        field_names: ClassVar[tuple[str, ...]] = fields
        drive_names: ClassVar[tuple[str, ...]] = ()

        def gains(self):
            return dict.fromkeys(fields, 1.0)

        def outputs(self, state, fields, drive):
            return dict.fromkeys(fields, state[states[0]])

        def observables(self, state, fields, drive):
            return dict.fromkeys(own, state[states[0]])

        def rule(self, state, fields, drive):
            return state

    told = rf"quantities of Named = \['{doubled}'\].*each name once.*Rename"
    with pytest.raises(InvalidInputError, match=told):
        quantity_names(Named())
