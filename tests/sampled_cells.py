"""Linear cells, whose mean-field theory is solved by hand."""

from __future__ import annotations

from typing import Any, ClassVar

import gatefield as gf


class LinearFlow(gf.AbstractFlow):
    """dx/dt = -x + J x + I."""

    gain: Any

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("a",)
    drive_names: ClassVar[tuple[str, ...]] = ("x",)

    def gains(self):
        return {"a": self.gain}

    def outputs(self, state, fields, drive):
        return {"a": state["x"]}

    def rule(self, state, fields, drive):
        return {"x": fields["a"] - state["x"] + drive["x"]}


class LinearMap(gf.AbstractMap):
    """x' = keep x + J x + I."""

    keep: Any
    gain: Any

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("a",)
    drive_names: ClassVar[tuple[str, ...]] = ("x",)

    def gains(self):
        return {"a": self.gain}

    def outputs(self, state, fields, drive):
        return {"a": state["x"]}

    def rule(self, state, fields, drive):
        return {"x": self.keep * state["x"] + fields["a"] + drive["x"]}
