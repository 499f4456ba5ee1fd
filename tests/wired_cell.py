"""A cell wired as a test asks for."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx

import gatefield as gf

GOOD = lambda x, u: {"a": x, "b": x, "c": x}  # noqa: E731


class Wired(gf.AbstractFlow):
    """A cell with fields a, b, c whose methods are given to it."""

    sends: Any = eqx.field(static=True)
    changes: Any = eqx.field(static=True, default=lambda state, fields: {"x": -state["x"]})
    scales: Any = eqx.field(static=True, default=lambda: {"a": 1.0, "b": 1.0, "c": 1.0})

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("a", "b", "c")
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return self.scales()

    def outputs(self, state, fields, drive):
        return self.sends(state["x"], fields)

    def rule(self, state, fields, drive):
        return self.changes(state, fields)
