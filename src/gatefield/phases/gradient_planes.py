"""Planes of parameters of the gated RNN in which gradients vanish, keep their size or explode."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gatefield.cells import GatedRNN
from gatefield.core.checks import check_count
from gatefield.core.types import Float, HostArray


class GradientPlane(NamedTuple):
    """A plane: its cell, and two parameters with their values, as `gradient_map` takes them."""

    cell: GatedRNN
    x: tuple[str, Float[HostArray, " x"]]
    y: tuple[str, Float[HostArray, " y"]]


_GAIN = 3.0  # of the plane of biases: chaos without them
_ENDS = {
    "g_h:alpha_z": ((0.8, 4.0), (0.0, 6.0)),
    "g_h:alpha_r": ((0.8, 4.0), (0.0, 20.0)),
    "g_h:beta_z": ((0.8, 4.0), (-4.0, 2.0)),
    "beta_h:beta_z": ((0.0, 1.5), (-4.0, 2.0)),
}
GRADIENT_PLANES = tuple(_ENDS)
"""Names of the planes: the parameter along x, a colon, the one along y."""


def gradient_planes(points: int = 9) -> dict[str, GradientPlane]:
    """Return the planes of the gated RNN where gates decide what becomes of gradients.

    Parameters
    ----------
    points
        Values of each parameter, evenly spaced.

    Returns
    -------
    dict
        (g_h, alpha_z), (g_h, alpha_r), (g_h, beta_z), and (beta_h, beta_z) at g_h = 3, by name;
        all else is zero. ``gradient_map(*plane, horizon=...)`` computes one.

    Raises
    ------
    InvalidInputError
        For fewer than two points.
    """
    count = check_count("points", points, at_least=2)
    found = {}
    for name, (first, second) in _ENDS.items():
        across, along = name.split(":")
        x, y = np.linspace(*first, count), np.linspace(*second, count)
        found[name] = GradientPlane(GatedRNN(_GAIN), (across, x), (along, y))
    return found
