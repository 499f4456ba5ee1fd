"""The quantities that design, verification, initialisers and diagnosis speak of, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gatefield.cells import GRU, LSTM, AbstractCell, AbstractMap, ElmanRNN, GatedRNN, VanillaRNN
from gatefield.core.checks import check_choice


class Quantity(NamedTuple):
    """One quantity of a network in a state.

    Attributes
    ----------
    name
        As targets call it.
    meaning
        One phrase.
    unit
        "1", "time", "1/time" or "e-folds"; time is the unit's time constant, or a step of a map
        (`in_units`).
    positive
        Whether only positive values make sense; a leading edge is positive for maps alone.
    least
        Size below which deviations are told relative to it, not to the target.
    """

    name: str
    meaning: str
    unit: str
    positive: bool
    least: float

    def in_units(self, is_map: bool) -> str:
        """Return the unit in words; a map's leading edge is a modulus, and has none."""
        if is_map and self.name == "leading_edge":
            return "1"
        return self.unit.replace("time", "step" if is_map else "time constant")


QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        each.name: each
        for each in (
            Quantity(
                "leading_edge",
                "rightmost real part of the Jacobian's spectrum; of maps its largest modulus",
                "1/time",
                False,
                0.05,
            ),
            Quantity(
                "radius",
                "radius that crosses one where the state loses stability (Eq. 6)",
                "1",
                True,
                1e-3,
            ),
            Quantity(
                "gate_time",
                "quantile over units of the time in which a unit alone forgets",
                "time",
                True,
                1e-3,
            ),
            Quantity(
                "memory_time",
                "time in which the slowest mode of the spectrum decays",
                "time",
                True,
                1e-3,
            ),
            Quantity("lyapunov", "largest Lyapunov exponent", "1/time", False, 0.05),
            Quantity(
                "dimension", "Kaplan-Yorke dimension of the attractor over N", "1", True, 0.01
            ),
            Quantity(
                "gradient_growth",
                "e-folds of the gradient's norm over the horizon",
                "e-folds",
                False,
                0.5,
            ),
            Quantity(
                "variance",
                "variance over units of the first component of the state",
                "1",
                True,
                1e-6,
            ),
        )
    }
)


def is_positive(name: str, cell: AbstractCell) -> bool:
    """Return whether a quantity of this cell has positive values only."""
    quantity = QUANTITIES[check_choice("quantity", name, QUANTITIES)]
    return quantity.positive or (name == "leading_edge" and isinstance(cell, AbstractMap))


def deviation(name: str, value: float, target: float) -> float:
    r"""Return how far a quantity is from its target: a fraction of the target's size.

    .. math:: \frac{|\mathrm{value} - \mathrm{target}|}{\max(|\mathrm{target}|, \mathrm{least})}

    Times are compared by rates where either is infinite: the deviation is then 1.

    Parameters
    ----------
    name
        One of `QUANTITIES`.
    value, target
        Of this quantity.

    Returns
    -------
    float
        Infinite where the value is not a number.
    """
    quantity = QUANTITIES[check_choice("quantity", name, QUANTITIES)]
    if math.isnan(value):
        return math.inf
    if math.isinf(value) or math.isinf(target):
        return 0.0 if value == target else 1.0
    return abs(value - target) / max(abs(target), quantity.least)


def bias_names(cell: AbstractCell) -> dict[str, str]:
    """Return the biases that a design can spread over units: their short name and their field.

    Parameters
    ----------
    cell
        Any cell; those of one's own have none.

    Returns
    -------
    dict
        Such as ``{"r": "bias_r", "z": "bias_z", "n": "bias_n"}`` of the GRU.
    """
    if isinstance(cell, GRU):
        return {name: f"bias_{name}" for name in ("r", "z", "n")}
    if isinstance(cell, LSTM):
        return {name: f"bias_{name}" for name in ("i", "f", "g", "o")}
    if isinstance(cell, GatedRNN):
        return {name: f"beta_{name}" for name in ("h", "z", "r")}
    if isinstance(cell, VanillaRNN):
        return {"h": "beta"}
    if isinstance(cell, ElmanRNN):
        return {"h": "bias"}
    return {}
