"""Fixed points and slow points of networks: stability against size, speeds, unstable directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gatefield.analysis.fixed_points import FixedPoints
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray
from gatefield.plotting.names import time_unit
from gatefield.plotting.style import style

_FIXED, _SLOW, _THEORY = "#1f4e79", "#c77d2b", "#b3123a"


def plot_fixed_points(
    found: Sequence[FixedPoints], *, ax: Axes, theory: Sequence[float] = ()
) -> Axes:
    """Draw the leading edge of each point's Jacobian against the point's size, and return the axes.

    Parameters
    ----------
    found
        Of one or more networks of one cell.
    ax
        Where to draw.
    theory
        Sizes that mean-field theory expects, drawn as lines.

    Returns
    -------
    Axes
    """
    _check(found)
    is_map = found[0].is_map
    sizes = np.concatenate([_sizes(one) for one in found])
    edges = np.concatenate([one.leading_edges for one in found])
    slow = np.concatenate([one.is_slow for one in found])
    look: dict[str, Any] = {"s": 18, "linewidths": 0.9}
    if np.any(~slow):
        label = "fixed points"
        ax.scatter(sizes[~slow], edges[~slow], color=_FIXED, alpha=0.7, label=label, **look)
    if np.any(slow):
        label = "slow points"
        ax.scatter(
            sizes[slow], edges[slow], facecolors="none", edgecolors=_SLOW, label=label, **look
        )
    for number, size in enumerate(theory):
        label = "theory, size" if number == 0 else "_"
        ax.axvline(size, color=_THEORY, linestyle="--", linewidth=1.0, label=label)
    ax.axhline(1.0 if is_map else 0.0, color="black", linewidth=0.7)
    ax.set_xlabel("size of the point (root mean square)")
    unit = "" if is_map else f" (1 / {time_unit(False)})"
    ax.set_ylabel(("largest modulus" if is_map else "leading edge") + unit)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="best")
    return ax


def plot_unstable_directions(found: Sequence[FixedPoints], *, ax: Axes) -> Axes:
    """Draw how many fixed points have how many unstable directions, and return the axes."""
    _check(found)
    unstable = np.concatenate([one.unstable[~one.is_slow] for one in found])
    highest = int(np.max(unstable, initial=1))
    # Wide enough for a few dozen bars, whatever the number of directions.
    width = max(1, -(-(highest + 1) // 30))
    edges = np.arange(0, highest + width + 1, width) - 0.5
    ax.hist(unstable, bins=edges.tolist(), color=_FIXED, edgecolor="white", linewidth=0.5)
    ax.set_xlabel("unstable directions")
    ax.set_ylabel("fixed points")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    return ax


def plot_speeds(found: Sequence[FixedPoints], *, ax: Axes) -> Axes:
    """Draw a histogram of the slow points' speeds, and return the axes."""
    _check(found)
    speeds = np.concatenate([one.speeds[one.is_slow] for one in found])
    if speeds.size:
        low, high = np.log10(speeds.min()), np.log10(speeds.max())
        bins = np.logspace(low - 0.05, high + 0.05, 16)
        ax.hist(speeds, bins=bins.tolist(), color=_SLOW, edgecolor="white", linewidth=0.5)
    else:
        ax.text(0.5, 0.5, "no slow points", ha="center", transform=ax.transAxes)
    ax.set_xscale("log")
    ax.set_xlabel(f"speed (1 / {time_unit(found[0].is_map)})")
    ax.set_ylabel("slow points")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def fixed_points_figure(
    found: Sequence[FixedPoints], *, theory: Sequence[float] = (), title: str = ""
) -> Figure:
    """Draw the points of networks: edges against sizes, unstable directions, speeds of slow points.

    Parameters
    ----------
    found
        Of one or more networks of one cell; at least one.
    theory
        Sizes that mean-field theory expects.
    title
        Above everything.

    Returns
    -------
    Figure
        With a third panel where slow points were searched.
    """
    _check(found)
    slow = any(dict(one.settings).get("slow") is not None for one in found)
    with style():
        drawn, axes = plt.subplots(1, 2 + slow, figsize=(4.2 * (2 + slow), 3.6), squeeze=False)
        plot_fixed_points(found, ax=axes[0, 0], theory=theory)
        plot_unstable_directions(found, ax=axes[0, 1])
        if slow:
            plot_speeds(found, ax=axes[0, 2])
        drawn.suptitle(title, fontsize=9)
    return drawn


def _sizes(found: FixedPoints) -> HostArray:
    return np.sqrt(np.mean(found.states**2, axis=(1, 2)))


def _check(found: Sequence[FixedPoints]) -> None:
    if not found:
        refuse("found", found, "the points of at least one network", "Call find_fixed_points.")
