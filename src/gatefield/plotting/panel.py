"""What the panels of a diagnosis share: axes to draw on, and the line of what does not change."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from gatefield.plotting.spectrum import STABILITY

REFERENCE: dict[str, Any] = {
    "color": STABILITY,
    "linewidth": 0.9,
    "linestyle": ":",
    "zorder": 0,
}
"""Look of a line at a value to compare with, such as zero or one."""


def axes_or_new(ax: Axes | None) -> Axes:
    """Return the axes that were given, or new ones."""
    return plt.subplots()[1] if ax is None else ax
