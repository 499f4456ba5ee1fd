"""The finished points of a gradient map, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gatefield.core import checkpoints
from gatefield.core.types import HostArray
from gatefield.phases.gradient_points import GradientPoint

Place = tuple[float, float]
"""Values of both parameters at a point."""

_NUMBERS = ("growth_rate", "growth_error", "norm", "norm_error", "kind", "status")


class Stored(NamedTuple):
    """Points as columns; gradients of those that have none are NaN."""

    place: HostArray
    numbers: HostArray
    names: HostArray
    gradients: HostArray
    errors: HostArray


def write(path: Path, mark: str, points: Mapping[Place, GradientPoint]) -> None:
    """Write all points to a file, whole or not at all."""
    names = list(dict.fromkeys(name for one in points.values() for name in one.gradients))

    def table(which: str) -> HostArray:
        rows = [getattr(one, which) for one in points.values()]
        return np.array([[row.get(name, np.nan) for name in names] for row in rows], float)

    stored = Stored(
        place=np.array(list(points), float),
        numbers=np.array([[getattr(one, each) for each in _NUMBERS] for one in points.values()]),
        names=np.array(names, str),
        gradients=table("gradients"),
        errors=table("errors"),
    )
    checkpoints.write(path, mark, stored._asdict())


def read(path: Path, mark: str) -> dict[Place, GradientPoint]:
    """Return the points of a file, none if there is no file.

    Raises
    ------
    InvalidInputError
        If the file is damaged, no checkpoint, or of points with other options.
    """
    of = "points of this cell"
    found = checkpoints.read(path, mark, Stored._fields, of=of, by="gradient_map")
    if found is None:
        return {}
    stored = Stored(**found)
    points = {}
    for row, place in enumerate(stored.place):
        numbers: dict[str, Any] = dict(zip(_NUMBERS, map(float, stored.numbers[row]), strict=True))
        numbers |= {name: int(numbers[name]) for name in ("kind", "status")}
        each = {}
        for name in ("gradients", "errors"):
            values = zip(stored.names, getattr(stored, name)[row], strict=True)
            each[name] = {str(key): float(value) for key, value in values if not np.isnan(value)}
        points[float(place[0]), float(place[1])] = GradientPoint(**numbers, **each)
    return points
