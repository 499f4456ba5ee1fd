"""Cells whose transients are known: units that decay, swing, choose, or never rest."""

from __future__ import annotations

from typing import Any, ClassVar

from lone_cells import Cycle, Lone, Lorenz

import gatefield as gf


class Decay(Lone):
    """dx/dt = -rate (x - place)."""

    rate: float = 1.0
    place: float = 0.0

    def rule(self, state, fields, drive) -> Any:
        return {"x": self.rate * (self.place + drive["x"] - state["x"])}


class Pair(Lone):
    """dx/dt = -x, dy/dt = -2y."""

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")

    def rule(self, state, fields, drive) -> Any:
        return {"x": -state["x"], "y": -2.0 * state["y"]}


class Swing(Lone):
    """(x, y) turns by 3 and shrinks by .2 per unit of time: x comes back after it was small."""

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")

    def rule(self, state, fields, drive) -> Any:
        x, y = state["x"], state["y"]
        return {"x": -0.2 * x - 3.0 * y, "y": 3.0 * x - 0.2 * y}


class Choice(Lone):
    """Stable at 0 and +-1, with basins that meet at +-1/2."""

    def rule(self, state, fields, drive) -> Any:
        square = state["x"] ** 2
        return {"x": -4.0 * state["x"] * (square - 0.25) * (square - 1.0)}


class MovedCycle(Lone):
    """A limit cycle around (0.1, 0.1): zero is no fixed point."""

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")

    def rule(self, state, fields, drive) -> Any:
        return Cycle().rule({name: state[name] - 0.1 for name in "xy"}, fields, drive)


class MovedLorenz(Lone):
    """Lorenz's equations around (0.1, 0.1, 0.1): zero is no fixed point."""

    state_names: ClassVar[tuple[str, ...]] = ("x", "y", "z")

    def rule(self, state, fields, drive) -> Any:
        return Lorenz().rule({name: state[name] - 0.1 for name in "xyz"}, fields, drive)


class Halving(gf.AbstractMap):
    """x' = x / 2, or place + (x - place) / 2."""

    place: float = 0.0

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ("x",)

    def gains(self):
        return {"x": 0.0}

    def outputs(self, state, fields, drive):
        return {"x": state["x"]}

    def rule(self, state, fields, drive) -> Any:
        return {"x": self.place + (state["x"] - self.place) / 2 + drive["x"]}
