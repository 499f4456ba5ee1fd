"""Cells whose exponents are known: units that do not meet, and linear networks."""

from __future__ import annotations

from typing import Any, ClassVar

from gatefield.cells import AbstractFlow, AbstractMap


class Lone(AbstractFlow):
    """Units without couplings to speak of: subclasses state a rule."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ("x",)

    def gains(self):
        return {"x": 0.0}

    def outputs(self, state, fields, drive):
        return {"x": state["x"]}

    def rule(self, state, fields, drive) -> Any:
        """dx/dt = -x."""
        return {"x": drive["x"] - state["x"]}


class Lorenz(Lone):
    """Lorenz's equations: .9056, 0, -14.5723 (Sprott 2003)."""

    state_names: ClassVar[tuple[str, ...]] = ("x", "y", "z")

    def rule(self, state, fields, drive):
        x, y, z = state["x"], state["y"], state["z"]
        return {"x": 10.0 * (y - x), "y": x * (28.0 - z) - y, "z": x * y - 8.0 / 3.0 * z}


class Cycle(Lone):
    """dr/dt = r(1 - r^2), d phi/dt = 3: a limit cycle, exponents 0 and -2."""

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")

    def rule(self, state, fields, drive):
        x, y = state["x"], state["y"]
        growth = 1.0 - x * x - y * y
        return {"x": growth * x - 3.0 * y, "y": growth * y + 3.0 * x}


class LinearFlow(Lone):
    """dx/dt = sign J x."""

    sign: float = 1.0

    def rule(self, state, fields, drive):
        return {"x": self.sign * fields["x"] + drive["x"]}


class LinearMap(AbstractMap):
    """x' = J x."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ("x",)

    def gains(self):
        return {"x": 1.0}

    def outputs(self, state, fields, drive):
        return {"x": state["x"]}

    def rule(self, state, fields, drive):
        return {"x": fields["x"] + drive["x"]}
