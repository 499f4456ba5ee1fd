"""Strengths of a static input at which no fixed point is stable: where inputs induce chaos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.cells import AbstractCell, GatedRNN, VanillaRNN
from gatefield.cells.base import check_drive
from gatefield.core.checks import as_number, check_count
from gatefield.core.errors import InvalidInputError, NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Bool, Float, HostArray
from gatefield.theory.static import solve_static, solve_static_grid

_POINTS = {"at once": 241, "gaussian": 49, "sampled": 13}  # each of the last ones costs seconds
_PASSES, _WITHIN = 5, 25  # an interval shrinks by 24 in each
_LARGEST, _LARGEST_SAMPLED = 10.0, 2.0  # sampled solutions are searched up to a variance of 10


class InputWindows(AbstractResult):
    r"""Intervals of the strength of a static random input in which no fixed point is stable.

    Attributes
    ----------
    lower, upper
        Ends of each interval, standard deviations :math:`\sigma_I` of the input over units; an
        upper end of infinity says that the interval goes on beyond ``largest``.
    resolution
        How far an end may lie from where it is.
    largest
        The largest strength that was looked at.
    cell, drive
        What was driven, and where.
    """

    lower: Float[HostArray, " window"] = eqx.field(metadata=quantity("window"))
    upper: Float[HostArray, " window"] = eqx.field(metadata=quantity("window"))
    resolution: Float[HostArray, ""] = eqx.field(metadata=quantity())
    largest: Float[HostArray, ""] = eqx.field(metadata=quantity())
    cell: AbstractCell
    drive: str = eqx.field(static=True)

    def contains(self, strengths: Any) -> Bool[HostArray, "..."]:
        """Say for each strength whether it lies in one of the intervals.

        Raises
        ------
        InvalidInputError
            For strengths beyond those that were looked at.
        """
        given = np.asarray(strengths, float)[..., None]
        if not np.all((given >= 0) & (given <= self.largest)):
            remedy = "Ask unstable_inputs for a larger `largest`."
            refuse("strengths", strengths, f"between 0 and {float(self.largest):g}", remedy)
        return np.any((given >= self.lower) & (given <= self.upper), axis=-1)


def unstable_inputs(
    cell: AbstractCell,
    drive: str = "h",
    *,
    smallest: float = 1e-3,
    largest: float | None = None,
    points: int | None = None,
    seed: int = 0,
) -> InputWindows:
    r"""Find the strengths of static random input at which no fixed point is stable.

    .. math:: \min_{\text{branches}}\ \rho(\sigma_I) \ge 1, \qquad I_i \sim N(0, \sigma_I^2)

    The static theory is solved on a geometric grid of strengths, and every change between
    neighbours is narrowed down.

    Parameters
    ----------
    cell
        Any cell with scalar parameters.
    drive
        The driven name.
    smallest, largest
        Range of strengths besides zero; the largest is 10, or 2 where the static theory is sampled.
    points
        Of the grid: 241 for the gated RNN, 49 for the vanilla network, 13 where the static theory
        is sampled. Windows narrower than its spacing are missed.
    seed
        Of the sampled theory.

    Returns
    -------
    InputWindows

    Raises
    ------
    InvalidInputError
        For a cell without drives, an unknown drive, or a range that is none.
    NumericalFailureError
        If the static theory has no solution at some strength.

    Assumptions
    -----------
    Fixed points, N -> infinity. That none is stable means that the network moves; for the gated RNN
    it is chaotic then. Beside a stable fixed point chaos may exist, too (region 3), and is not seen
    here: `input_response` looks at the moving state itself. The closed form for the gated RNN
    holds for inputs within the update gate's bracket (``input_gating="update"``).

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Secs. V B 4 and VII A, Fig. 5.
    """
    check_drive(cell, drive)
    stable, way = _stability_of(cell, drive, seed)
    if largest is None:
        largest = _LARGEST_SAMPLED if way == "sampled" else _LARGEST
    smallest = as_number("smallest", smallest, positive=True)
    largest = as_number("largest", largest, positive=True)
    if smallest >= largest:
        expected = "two positive numbers, ascending"
        refuse("smallest, largest", (smallest, largest), expected, "For instance 1e-3 and 10.")
    number = check_count("points", _POINTS[way] if points is None else points, at_least=2)
    grid = np.concatenate([[0.0], np.geomspace(smallest, largest, number)])
    here = stable(grid)
    edges = np.flatnonzero(here[1:] != here[:-1])
    found = [_narrowed(stable, grid[k], grid[k + 1], way) for k in edges]
    ends = [one[0] for one in found]
    lower = ([] if here[0] else [0.0]) + [
        end for end, k in zip(ends, edges, strict=True) if here[k]
    ]
    upper = [end for end, k in zip(ends, edges, strict=True) if not here[k]]
    upper += [] if here[-1] else [np.inf]
    resolution = max((one[1] for one in found), default=0.0)
    ends_at = np.asarray(largest)
    return InputWindows(
        np.array(lower), np.array(upper), np.asarray(resolution), ends_at, cell, drive
    )


def _stability_of(
    cell: AbstractCell, drive: str, seed: int
) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """Return whether a stable fixed point exists at strengths, and how that is found out."""

    def one_by_one(strengths: np.ndarray) -> np.ndarray:
        answers = []
        for strength in strengths:
            given = {drive: strength**2}
            branches = solve_static(cell, input_variance=given, seed=seed, throw=False)
            if not branches:
                raise NumericalFailureError(
                    f"solve_static found no solution at strength {strength:g}: the activity is "
                    "beyond its range. Lower `largest`."
                )
            answers.append(any(bool(branch.stable) for branch in branches))
        return np.array(answers)

    if isinstance(cell, VanillaRNN):
        return one_by_one, "gaussian"
    if not isinstance(cell, GatedRNN):
        return one_by_one, "sampled"
    gated = cell

    def gridded(strengths: np.ndarray) -> np.ndarray:
        # The grid's shape is that of a parameter and the variances alike.
        gains = np.broadcast_to(np.asarray(gated.g_h, float), strengths.shape)
        many = eqx.tree_at(lambda one: one.g_h, gated, gains)
        found = solve_static_grid(many, input_variance={drive: strengths**2})
        return np.any(found.found & (found.radius < 1), axis=-1)

    try:
        gridded(np.array([0.1]))
    except InvalidInputError:  # the closed form does not apply: h is not Gaussian
        return one_by_one, "sampled"
    return gridded, "at once"


def _narrowed(
    stable: Callable[[np.ndarray], np.ndarray], low: float, high: float, way: str
) -> tuple[float, float]:
    """Return where stability changes between two strengths, and half the interval that is left."""
    first = bool(stable(np.array([low]))[0])
    # Many at once where that costs no more than one; halves where each costs.
    passes, within = (_PASSES, _WITHIN) if way == "at once" else (7, 3)
    for _ in range(passes):
        inner = np.linspace(low, high, within)
        changed = np.flatnonzero(stable(inner[1:-1]) != first)
        place = int(changed[0]) + 1 if changed.size else within - 1
        low, high = float(inner[place - 1]), float(inner[place])
    return 0.5 * (low + high), 0.5 * (high - low)
