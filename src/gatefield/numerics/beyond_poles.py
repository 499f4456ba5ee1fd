"""Where the support ends beyond all poles: one convex function of the distance to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from gatefield.core.types import Complex, Float, HostArray

Function = Callable[[Complex[HostArray, " point"]], Float[HostArray, " point"]]

_PART = 0.35  # of the distance to the nearest pole: the spacing of places on a line
_MOST = 2000  # places on a line
_NEAREST = 256  # poles whose own places are looked at in any case
_BEYOND = 4.0  # times the extent of the poles: farther out f falls
_PEAKS, _MARGIN = 3, 0.5
_ACROSS, _ROUNDS = 9, 7
_HIGHEST = 100.0  # of f: there it is as good as infinite
_REACH = 1e6
_CLOSEST = 2.0**-40  # of the leading pole: closer to it nothing is looked for
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


def outermost(function: Function, poles: Any, is_map: bool) -> Edge:
    r"""Return the outermost zero of f beyond the outermost eigenvalue of single units.

    f, the logarithm of the spectral radius of a matrix of mean squares of analytic functions, is
    subharmonic beyond the poles. By Hadamard's three-lines (circles) theorem

    .. math:: g(x) = \max_y f(x + iy), \qquad g(\ln s) = \max_\vartheta f(s e^{i\vartheta})

    are then convex, and since they fall far out they have one zero at most. Each maximum is looked
    for on places whose spacing is a part of the distance to the nearest pole.

    Parameters
    ----------
    function
        f of complex points in the upper half plane: positive inside the support, negative far away,
        with f(conj z) = f(z).
    poles
        Eigenvalues of the single units; either one or both of a conjugate pair.
    is_map
        Whether the largest modulus is looked for, or the largest real part.

    Returns
    -------
    Edge
        The outermost pole itself where the support does not reach beyond it; infinite where it ends
        at no distance (a loop of instantaneous responses alone exceeds one).

    Assumptions
    -----------
    Resonances of units that are farther apart than 2000 of their widths may be missed, but for
    those of the 256 poles nearest to the edge.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 5, A34-A36.
    """
    poles = _upper(poles)
    heights = np.abs(poles) if is_map else np.real(poles)
    lead, first = float(heights.max()), complex(poles[int(np.argmax(heights))])
    closest = _CLOSEST * max(1.0, abs(lead))

    def excess(log_distance: float) -> float:
        height = lead + float(np.exp(log_distance))
        return highest_on_line(function, poles, height, is_map)[0]

    step = float(np.log(4.0))
    outer = 0.0
    while excess(outer) > 0 and outer < np.log(_REACH):
        outer += step
    if outer >= np.log(_REACH) and excess(outer) > 0:
        return Edge(np.inf, first, True)
    inner = outer - step
    while excess(inner) < 0:
        outer, inner = inner, inner - step
        if inner < np.log(closest):
            return Edge(lead, first, True)
    root: Any = brentq(excess, inner, outer, **_ROOT)
    value = lead + float(np.exp(root))
    place = highest_on_line(function, poles, value, is_map)[1]
    return Edge(value, complex(_points(value, np.array([place]), is_map)[0]), False)


def highest_on_line(
    function: Function, poles: Any, height: float, is_map: bool
) -> tuple[float, float]:
    """Return the largest f on a vertical line (flows) or a circle (maps), and its place.

    Parameters
    ----------
    function, poles, is_map
        As in `outermost`.
    height
        Real part of the line, or the circle's radius.

    Returns
    -------
    value, place
        f there (at most 100), and the imaginary part or the angle.
    """
    poles = _upper(poles)
    places = _places(poles, height, is_map)

    def at(places: HostArray) -> HostArray:
        values = function(_points(height, places.ravel(), is_map))
        return np.clip(np.asarray(values, float), -np.inf, _HIGHEST).reshape(places.shape)

    values = at(places)
    best = float(values.max())
    top = int(np.argmax(values))
    # Values of f are the same on both sides of the real axis.
    left = np.concatenate([values[1:2], values[:-1]])
    right = np.concatenate([values[1:], values[-2:-1]])
    peaks = np.flatnonzero((values >= left) & (values >= right) & (values > best - _MARGIN))
    peaks = peaks[np.argsort(-values[peaks], kind="stable")][:_PEAKS]
    peaks = peaks[peaks > 0]
    if not np.isfinite(best) or best >= _HIGHEST or not peaks.size:
        return best, float(places[top])
    centre = places[peaks]
    # As wide as a resonance: what the nearest pole leaves, but no wider than the places.
    points = _points(height, centre, is_map)
    width = np.min(np.abs(points[:, None] - poles), axis=1) / (height if is_map else 1.0)
    spread = np.minimum(width, centre - places[peaks - 1])
    place, rows = float(places[top]), np.arange(peaks.size)
    part = np.linspace(-1, 1, _ACROSS)
    for number in range(_ROUNDS):
        across = centre[:, None] + spread[:, None] * part
        found = at(across)
        middle = np.argmax(found, axis=1)
        if found.max() > best:
            best, place = float(found.max()), float(across.ravel()[np.argmax(found)])
        if number < _ROUNDS - 1:
            centre, spread = across[rows, middle], spread / 3
            continue
        middle = np.clip(middle, 1, _ACROSS - 2)
        before, at_top, after = (found[rows, middle + shift] for shift in (-1, 0, 1))
        bent = 2 * at_top - before - after
        with np.errstate(divide="ignore", invalid="ignore"):
            raised = np.where(bent > 0, at_top + (before - after) ** 2 / (8 * bent), at_top)
        # Beyond the rounding of three values a parabola raises the top by no more than they differ.
        best = max(best, float(np.max(np.minimum(raised, 2 * at_top - np.minimum(before, after)))))
    return best, place


def _places(poles: HostArray, height: float, is_map: bool) -> HostArray:
    """Return places on a line, closer together where poles are near."""
    heights, sides = (np.abs, np.angle) if is_map else (np.real, np.imag)
    if is_map:
        span, scale = np.pi, max(height, 1e-300)
    else:
        extent = float(np.max(np.abs(poles - height)))
        span, scale = float(np.max(np.imag(poles))) + _BEYOND * (extent or 1.0), 1.0
    found, place = [], 0.0
    while place < span:
        found.append(place)
        point = height * np.exp(1j * place) if is_map else complex(height, place)
        distance = float(np.min(np.abs(poles - point)))
        place += max(_PART * distance / scale, span / _MOST)
    places = np.array([*found, span])
    if len(found) < _MOST // 2:
        return places
    near = np.argsort(np.abs(heights(poles) - height), kind="stable")[:_NEAREST]
    return np.unique(np.concatenate([places, sides(poles[near])]))


def _points(height: float, places: HostArray, is_map: bool) -> HostArray:
    found = height * np.exp(1j * places) if is_map else height + 1j * places
    return np.real(found) + 1j * np.abs(np.imag(found))


def _upper(poles: Any) -> HostArray:
    poles = np.asarray(poles, complex).ravel()
    return np.real(poles) + 1j * np.abs(np.imag(poles))
