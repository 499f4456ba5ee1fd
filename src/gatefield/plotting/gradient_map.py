"""Maps of what becomes of gradients: the growth rate in colour, the band of kept sizes as lines."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gatefield.core.errors import refuse
from gatefield.phases import GradientMap
from gatefield.phases.gradient_points import KINDS
from gatefield.plotting.names import symbol
from gatefield.plotting.style import style

_UNKNOWN = "#9a9a9a"
_EDGES = {"vanish": "#0b3c5d", "explode": "#7a0c1e"}


def plot_gradient_map(
    found: GradientMap,
    *,
    ax: Axes | None = None,
    limit: float | None = None,
    colourbar: bool = True,
) -> Axes:
    """Draw the growth rate of squared gradients over two parameters.

    Blue where they shrink back in time, red where they grow; the lines bound where they keep their
    size over the horizon. Dots mark states that move, hatching points that are not known.

    Parameters
    ----------
    found
        The map, at least two values of each parameter.
    ax
        Where to draw; by default new axes.
    limit
        Rate at the ends of the colours; by default the largest that occurs.
    colourbar
        Whether to draw one.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        For a map of a single row or column.
    """
    if min(found.x.size, found.y.size) < 2:
        shape = (found.y.size, found.x.size)
        refuse("found", shape, "two values of each parameter", "Compute more.")
    if ax is None:
        ax = plt.subplots()[1]
    rates = found.growth_rate
    if limit is None:
        finite = np.abs(rates[np.isfinite(rates)])
        limit = max(float(finite.max(initial=0.0)), 1e-12)
    ax.set_facecolor(_UNKNOWN)
    drawn = ax.pcolormesh(
        found.x,
        found.y,
        np.ma.masked_invalid(rates),
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        shading="nearest",
        rasterized=True,
    )
    _draw_band(ax, found)
    moving = found.kind == KINDS.index("moving")
    across, along = np.meshgrid(found.x, found.y)
    look: dict[str, Any] = {"color": "black", "markersize": 3.0, "clip_on": False}
    ax.plot(across[moving], along[moving], ".", zorder=4, **look)
    # Half a cell beyond the values there may be none, as of gains below zero.
    ax.set_xlim(found.x[0], found.x[-1])
    ax.set_ylim(found.y[0], found.y[-1])
    ax.set_xlabel(rf"${symbol(found.x_name)}$")
    ax.set_ylabel(rf"${symbol(found.y_name)}$")
    if colourbar:
        label = f"growth rate of $|a|^2$, per {found.time_unit}"
        plt.colorbar(drawn, ax=ax, label=label, extend="both")
    return ax


def map_handles(found: GradientMap) -> list[Any]:
    """Return what the legend of a map shows: the band's edges, moving states, unknown points."""
    factor, horizon = float(np.exp(found.band / 2)), float(found.horizon)
    handles: list[Any] = [
        Line2D([], [], color=_EDGES["vanish"], linestyle="--",
               label=rf"$|a|$ falls by {factor:.3g} over {horizon:g}"),
        Line2D([], [], color=_EDGES["explode"], linestyle="-",
               label=rf"$|a|$ grows by {factor:.3g} over {horizon:g}"),
        Line2D([], [], color="black", marker=".", markersize=4, linestyle="", label="moving state"),
    ]  # fmt: skip
    if np.any(np.isnan(found.growth_rate)):
        handles.append(Patch(facecolor=_UNKNOWN, label="no state that converged"))
    return handles


def gradient_map_figure(found: GradientMap, *, title: str = "") -> Figure:
    """Draw a gradient map with its legend.

    Parameters
    ----------
    found
        The map.
    title
        Above everything.

    Returns
    -------
    Figure
    """
    with style():
        drawn, ax = plt.subplots(figsize=(5.6, 4.4))
        plot_gradient_map(found, ax=ax)
        ax.set_title(title, fontsize=9)
        drawn.legend(handles=map_handles(found), loc="outside lower center", ncols=2)
    return drawn


def _draw_band(ax: Axes, found: GradientMap) -> None:
    """Draw where ln |a|^2 has changed by the band, down and up."""
    change = np.ma.masked_invalid(found.log_growth)
    for level, name, dash in ((-1, "vanish", "--"), (1, "explode", "-")):
        edge = level * float(found.band)
        if change.count() and change.min() < edge < change.max():
            ax.contour(
                found.x,
                found.y,
                change,
                [edge],
                colors=_EDGES[name],
                linestyles=dash,
                linewidths=1.4,
            )
