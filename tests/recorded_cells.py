"""Cells whose recordings are known: they turn, hear an input, or grow without bound."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp

import gatefield as gf


class Turning(gf.AbstractMap):
    """(x, y) turned by a fixed angle at each step; x is sent, and heard by nobody."""

    angle: Any

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"u": 1.0}

    def outputs(self, state, fields, drive):
        return {"u": state["x"]}

    def observables(self, state, fields, drive):
        return {"square": state["x"] ** 2 + state["y"] ** 2, "heard": fields["u"] - 2.0}

    def rule(self, state, fields, drive):
        c, s = jnp.cos(self.angle), jnp.sin(self.angle)
        x, y = state["x"], state["y"]
        return {"x": c * x - s * y, "y": s * x + c * y}


class Hearing(gf.AbstractFlow):
    """dx/dt = -x, and an input that only an observable notices."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ("i",)

    def gains(self):
        return {"u": 1.0}

    def outputs(self, state, fields, drive):
        return {"u": state["x"] + drive["i"]}

    def observables(self, state, fields, drive):
        return {"input": drive["i"]}

    def rule(self, state, fields, drive):
        return {"x": -state["x"]}


class Growing(gf.AbstractMap):
    """x' = x^3: infinite after some steps."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"u": 1.0}

    def outputs(self, state, fields, drive):
        return {"u": jnp.tanh(state["x"])}

    def rule(self, state, fields, drive):
        return {"x": state["x"] ** 3}
