"""What a static theory says of one set of parameters: values of quantities, and their slopes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gatefield.core.types import Float, HostArray

STATIC = ("leading_edge", "radius", "gate_time", "memory_time", "variance")
"""Quantities that a static theory gives with implicit gradients."""

BRANCHES = ("auto", "stable", "lowest", "highest")


class Prediction(NamedTuple):
    """Values of quantities at one set of parameters, with their derivatives.

    Attributes
    ----------
    values
        By quantity.
    slopes
        Derivative of each value by every free parameter, (parameter,).
    stable
        Whether the fixed points are.
    branches
        How many solutions the static theory has here.
    """

    values: dict[str, float]
    slopes: dict[str, Float[HostArray, " parameter"]]
    stable: bool
    branches: int


def chosen_branch(radii: list[float], branch: str) -> int | None:
    """Return which of several solutions, ascending in activity, is meant.

    Parameters
    ----------
    radii
        Radius of each: those below one are stable.
    branch
        "auto": the least active stable one, or where none is stable the least active of all;
        "stable": the least active stable one; "lowest", "highest": by activity alone.

    Returns
    -------
    int or None
        None where there is none.
    """
    if not radii:
        return None
    if branch == "lowest":
        return 0
    if branch == "highest":
        return len(radii) - 1
    stable = [place for place, radius in enumerate(radii) if radius < 1]
    if stable:
        return stable[0]
    return 0 if branch == "auto" else None


def memory(edge: float, slope: HostArray, is_map: bool) -> tuple[float, HostArray]:
    """Return the decay time of the slowest mode, infinite at or beyond the edge, and its slope."""
    if is_map:
        if edge <= 0:
            return 0.0, np.zeros_like(slope)
        edge, slope = math.log(edge), slope / edge
    if edge >= 0:
        return math.inf, np.zeros_like(slope)
    return -1 / edge, slope / edge**2
