"""Where the spectrum ends: the outermost zero of f, by rays from the units' own eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from gatefield.core.types import Complex, Float, HostArray

Function = Callable[[Complex[HostArray, " point"]], Float[HostArray, " point"]]

_RAYS = 17
_STEPS = np.concatenate([2.0 ** -np.arange(40, 8, -2.0), np.geomspace(2.0**-8, 1.0, 33)])
_MOST = 1e6
_NEAR = 1e-9
_ROOT: Any = {"xtol": 1e-14, "rtol": 1e-13}


class Edge(NamedTuple):
    """The outermost point of a spectrum.

    Attributes
    ----------
    value
        Its real part (flows) or modulus (maps).
    point
        Where it is, in the upper half plane.
    is_pole
        Whether it is a unit's own eigenvalue, beyond which nothing is spread.
    """

    value: float
    point: complex
    is_pole: bool


def outermost(function: Function, pole: complex, is_map: bool) -> Edge:
    """Return the outermost zero of f beyond the outermost eigenvalue of a single unit.

    Parameters
    ----------
    function
        f of complex points: positive inside the support, at large distance negative.
    pole
        The unit's eigenvalue of largest modulus (maps) or real part (flows).
    is_map
        Which of both is looked for.

    Returns
    -------
    Edge
        The pole itself where the support does not reach beyond it.
    """
    least = abs(pole) if is_map else float(np.real(pole))
    reach = 1.0
    while True:
        places = np.linspace(0.0, np.pi, _RAYS) if is_map else _heights(reach)
        far = np.array([_point(least + reach, place, is_map) for place in places])
        if np.all(function(far) < 0) or reach > _MOST:
            break
        reach *= 4
    steps = reach * _STEPS
    # Far out it falls along every ray; the first ray has the fine steps beside the pole.
    grid = np.array([[_point(least + s, place, is_map) for s in steps] for place in places])
    inside = function(grid.ravel()).reshape(grid.shape) > 0
    last = np.where(inside.any(axis=1), inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1), -1)
    if last.max() < 0:
        return Edge(least, pole, True)

    def crossing(place: float, start: int) -> float:
        """Return the farthest zero on a ray, looked for about a step of the scan."""
        low, high = max(start - 2, 0), min(start + 2, len(steps) - 1)

        def along(log_step: float) -> float:
            value = function(np.array([_point(least + np.exp(log_step), place, is_map)]))[0]
            return float(np.clip(value, -50.0, 50.0))

        ends = np.log(steps[[low, high]])
        if along(ends[1]) > 0 or along(ends[0]) < 0:
            return -np.inf
        root: Any = brentq(along, *ends, **_ROOT)
        return least + float(np.exp(root))

    top = int(last.max())
    rays = np.flatnonzero(last >= top - 1)
    found = {int(ray): crossing(float(places[ray]), int(last[ray])) for ray in rays}
    best = max(found, key=lambda ray: found[ray])
    value, place = found[best], float(places[best])
    if 0 < best < len(places) - 1 or (best > 0 and not is_map):
        refined: Any = minimize_scalar(
            lambda place: -_finite(crossing(place, top)),
            bounds=(places[best - 1], places[min(best + 1, len(places) - 1)]),
            method="bounded",
            options={"xatol": 1e-8},
        )
        if -refined.fun > value + _NEAR:
            value, place = float(-refined.fun), float(refined.x)
    return Edge(value, _point(value, place, is_map), False)


def _heights(reach: float) -> HostArray:
    return np.concatenate([[0.0], np.geomspace(1e-3, 4.0, _RAYS - 1) * reach])


def _point(height: float, place: float, is_map: bool) -> complex:
    return height * np.exp(1j * place) if is_map else complex(height, place)


def _finite(value: float) -> float:
    return value if np.isfinite(value) else -_MOST
