"""Figures of transients: which share of runs still moves, and how the median grows with N."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

from gatefield.analysis.transients import SurvivalCurve, TransientLengths
from gatefield.core.types import HostArray
from gatefield.plotting.names import time_unit
from gatefield.plotting.style import style


def size_colours(count: int) -> HostArray:
    """Return colours for sizes of networks, the largest darkest."""
    return plt.get_cmap("viridis_r")(np.linspace(0.25, 0.95, count))


def plot_survival(
    curve: SurvivalCurve,
    *,
    ax: Axes | None = None,
    label: str = "",
    colour: Any = "black",
    linestyle: Any = "-",
    band: bool = True,
) -> Axes:
    """Draw the share of runs that have not come to rest, with its confidence band.

    Parameters
    ----------
    curve
        From `TransientLengths.survival`.
    ax
        Where to draw; by default new axes.
    label, colour, linestyle
        Of the curve.
    band
        Whether the band is drawn.

    Returns
    -------
    Axes
    """
    if ax is None:
        ax = plt.subplots()[1]
    ax.step(
        curve.times,
        curve.probability,
        where="post",
        color=colour,
        linestyle=linestyle,
        label=label or None,
        zorder=3,
    )
    if band:
        known = np.isfinite(curve.low) & np.isfinite(curve.high)
        look: dict[str, Any] = {"color": colour, "alpha": 0.18, "lw": 0, "zorder": 1}
        low, high = curve.low[known], curve.high[known]
        ax.fill_between(curve.times[known], low, high, step="post", **look)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel(_time_label(curve.is_map))
    ax.set_ylabel("share of networks not at rest")
    return ax


def plot_transient_medians(
    found: TransientLengths,
    *,
    ax: Axes | None = None,
    label: str = "",
    colour: Any = "black",
    confidence: float = 0.95,
    fit: bool = True,
) -> Axes:
    """Draw the median transient against N on logarithmic axes, with its confidence interval.

    Medians that are not reached are drawn as an arrow from the longest time that was watched.

    Parameters
    ----------
    found
        From `transient_lengths`.
    ax
        Where to draw; by default new axes.
    label, colour
        Of the medians.
    confidence
        Of the intervals.
    fit
        Whether the power law through the medians is drawn.

    Returns
    -------
    Axes
    """
    if ax is None:
        ax = plt.subplots()[1]
    sizes = found.sizes.astype(float)
    medians, t_max = found.medians, float(found.t_max)
    intervals = found.median_intervals(confidence)
    draw_medians(ax, sizes, medians, intervals, t_max, label=label, colour=colour)
    trend = found.trend(confidence=confidence) if fit and np.isfinite(medians).sum() > 1 else None
    if trend is not None and np.isfinite(trend.power):
        logs = np.log(trend.sizes)
        line = np.log(trend.medians).mean() + float(trend.power) * (logs - logs.mean())
        ax.plot(trend.sizes, np.exp(line), color=colour, lw=1.0, ls="--", zorder=2)
    ax.set_xscale("log")
    ax.set_yscale("log")
    plain_sizes(ax, found.sizes)
    plain_times(ax.yaxis)
    ax.set_xlabel(r"number of units $N$")
    ax.set_ylabel(_time_label(found.is_map, "median transient"))
    return ax


def draw_medians(
    ax: Axes,
    places: HostArray,
    medians: HostArray,
    intervals: HostArray,
    t_max: float,
    *,
    label: str = "",
    colour: Any = "black",
    linestyle: Any = "",
) -> None:
    """Draw medians with their intervals; those that are not reached as arrows from ``t_max``."""
    reached = np.isfinite(medians)
    shown = np.where(reached, medians, np.nan)
    # An open end is drawn to the longest time.
    ends = np.where(np.isfinite(intervals), intervals, t_max)
    ends[:, 1] = np.maximum(ends[:, 1], np.where(reached, medians, t_max))
    bars = np.clip(np.abs(ends.T - np.where(reached, medians, t_max)), 0, None)
    ax.errorbar(
        places,
        shown,
        yerr=np.where(reached, bars, np.nan),
        fmt="o",
        linestyle=linestyle,
        color=colour,
        markersize=4.5,
        capsize=2,
        linewidth=1.2,
        label=label or None,
        zorder=3,
    )
    ax.plot(places[~reached], np.full((~reached).sum(), t_max), "^", color=colour, mfc="white")


def transient_figure(
    found: TransientLengths, *, title: str = "", confidence: float = 0.95
) -> Figure:
    """Draw survival curves of every size, and medians against N.

    Parameters
    ----------
    found
        From `transient_lengths`.
    title
        Above everything.
    confidence
        Of bands and intervals.

    Returns
    -------
    Figure
    """
    with style():
        drawn, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.8))
        colours = size_colours(found.sizes.size)
        for n, colour in zip(found.sizes, colours, strict=True):
            curve = found.survival(int(n), confidence=confidence)
            plot_survival(curve, ax=left, label=f"$N = {n}$", colour=colour)
        left.set_xlim(0, _longest(found))
        left.legend(loc="best")
        plot_transient_medians(found, ax=right, confidence=confidence)
        drawn.suptitle(title, fontsize=9)
    return drawn


def plain_sizes(ax: Axes, sizes: HostArray) -> None:
    """Label a logarithmic axis of sizes by the sizes themselves."""
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(sizes.min() / 1.25, sizes.max() * 1.25)


def plain_times(axis: Axis) -> None:
    """Label a logarithmic axis of times by numbers such as 50, 100, 200."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_locator(NullLocator())


def _longest(found: TransientLengths) -> float:
    lengths = found.lengths[np.isfinite(found.lengths)]
    return 1.03 * float(lengths.max()) if lengths.size and lengths.max() > 0 else 1.0


def _time_label(is_map: bool, name: str = "time") -> str:
    return f"{name} ({time_unit(is_map)}s)"
