"""What integrators keep and what resets erase, drawn on axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatefield.analysis.integrator import IntegratorMemory, LineAttractor
from gatefield.analysis.reset import Erasure
from gatefield.core.checks import check_choice
from gatefield.core.errors import refuse
from gatefield.plotting.style import style

SLOW, FAST, RANDOM = "#b3001b", "black", "#3d5a98"
_PULSE: dict[str, Any] = {"color": "#7a7a7a", "linestyle": "--", "linewidth": 0.9, "zorder": 0}
_HEADROOM = 0.45
_ERASED = {
    "correlation": "correlation with the state before",
    "size": "size relative to before",
    "overlap": "overlap with the state before",
}


def shades(count: int, darkest: tuple[float, float, float] = (0.7, 0.0, 0.105)) -> list[Any]:
    """Return that many shades of a colour, from light to dark."""
    white = np.ones(3)
    weights = np.linspace(0.35, 1.0, count) if count > 1 else np.ones(1)
    return [tuple(white + weight * (np.array(darkest) - white)) for weight in weights]


def plot_integrator_memory(
    found: IntegratorMemory, *, ax: Axes | None = None, mode: int = 0, legend: bool = True
) -> Axes:
    """Draw what a network keeps of a pulse along a slow mode, a fast one, and at random.

    Parameters
    ----------
    found
        From `integrator_memory`: every strength along the slow mode (shades of red), the largest
        one along the fast mode (dashed) and in the first random direction (dotted).
    ax
        Where to draw; by default new axes.
    mode
        Which slow mode.
    legend
        Whether to name what is drawn.

    Returns
    -------
    Axes
    """
    if ax is None:
        ax = plt.subplots()[1]
    slow = found.kind("slow")
    if not 0 <= mode < slow.size:
        refuse("mode", mode, f"a number from 0 to {slow.size - 1}", "Ask for more modes.")
    order = np.argsort(found.strengths)
    for place, colour in zip(order, shades(order.size), strict=True):
        values = found.projections[slow[mode], place]
        label = f"slow mode, strength {found.strengths[place]:g}"
        ax.plot(found.times, values, color=colour, label=label, zorder=3)
    last = order[-1]
    others = [("fast", FAST, "--", "fast mode"), ("random", RANDOM, ":", "random direction")]
    for kind, colour, dash, label in others:
        if kind in found.kinds:
            values = found.projections[found.kind(kind)[0], last]
            look = {"color": colour, "linestyle": dash, "linewidth": 1.5, "zorder": 4}
            ax.plot(found.times, values, label=f"{label}, {found.strengths[last]:g}", **look)
    for time in (0.0, found.duration):
        ax.axvline(time, **_PULSE)
    ax.axhline(0.0, color="#c8c8c8", linewidth=0.7, zorder=0)
    ax.set_xlabel(f"time ({found.time_unit}s)")
    ax.set_ylabel("projection of the excess activity")
    if legend:
        # Lines cross the whole panel: the legend gets room of its own above them.
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + _HEADROOM * (high - low))
        ax.legend(loc="upper right", ncols=2)
    return ax


def plot_line_attractor(found: LineAttractor, *, ax: Axes | None = None) -> Axes:
    """Draw the dimension of what is kept of random inputs, against time after the pulse.

    Parameters
    ----------
    found
        From `line_attractor`.
    ax
        Where to draw; by default new axes.

    Returns
    -------
    Axes
    """
    if ax is None:
        ax = plt.subplots()[1]
    ax.plot(found.times, found.dimension, color=RANDOM, label="of what is kept")
    label = f"modes within {found.slow:g} of {1 if found.is_map else 0}"
    ax.axhline(float(found.slow_count), color=SLOW, linestyle="--", lw=1.2, label=label)
    ax.set_ylim(0, None)
    ax.set_xlabel(f"time after the pulse ({found.time_unit}s)")
    ax.set_ylabel("dimension")
    ax.legend(loc="best")
    return ax


def integrator_figure(
    memory: IntegratorMemory, attractor: LineAttractor, *, title: str = ""
) -> Figure:
    """Draw projections, and overlap and dimension of what is kept of random inputs.

    Parameters
    ----------
    memory, attractor
        Of one network.
    title
        Above everything.

    Returns
    -------
    Figure
    """
    with style():
        drawn, axes = plt.subplots(1, 3, figsize=(11.5, 3.8), width_ratios=(1.5, 1, 1))
        plot_integrator_memory(memory, ax=axes[0])
        for values, label, dash in (
            (attractor.overlap, "overlap with itself at the end", "-"),
            (attractor.within, "part in the slow subspace", "--"),
        ):
            axes[1].plot(attractor.times, values, color=RANDOM, linestyle=dash, label=label)
        axes[1].set_ylim(0, max(1.05, 1.05 * float(np.nanmax(attractor.overlap))))
        axes[1].set_xlabel(f"time after the pulse ({attractor.time_unit}s)")
        axes[1].set_ylabel("excess activity, random inputs")
        axes[1].legend(loc="lower left")
        plot_line_attractor(attractor, ax=axes[2])
        if title:
            drawn.suptitle(title, fontsize=10)
    return drawn


def plot_erasure(
    found: Erasure,
    measure: str = "correlation",
    *,
    ax: Axes | None = None,
    labels: Sequence[str] | None = None,
    colours: Sequence[Any] | None = None,
    legend: bool = True,
) -> Axes:
    """Draw how much of the memories is left over time, a line for each pulse.

    Parameters
    ----------
    found
        From `reset_by_pulse` or its relatives.
    measure
        "correlation", "size" or "overlap", averaged over memories.
    ax
        Where to draw; by default new axes.
    labels, colours
        Of each pulse, the control first.
    legend
        Whether to name the pulses.

    Returns
    -------
    Axes
    """
    check_choice("measure", measure, _ERASED)
    if ax is None:
        ax = plt.subplots()[1]
    count = found.strengths.size
    if labels is None:
        labels = ["no pulse", *(f"{strength:g}" for strength in found.strengths[1:])]
    if colours is None:
        colours = ["#7a7a7a", *shades(count - 1)]
    for name, given in (("labels", labels), ("colours", colours)):
        if len(given) != count:
            refuse(f"len({name})", len(given), f"{count}, one for each pulse", "Name them all.")
    values = {"correlation": found.correlation, "size": found.size, "overlap": found.overlap}
    for pulse in range(count):
        mean = values[measure][pulse].mean(axis=0)
        ax.plot(found.times, mean, color=colours[pulse], label=labels[pulse])
    for time in {0.0, *found.durations[1:]}:
        ax.axvline(time, **_PULSE)
    ax.set_xlabel(f"time ({found.time_unit}s)")
    ax.set_ylabel(_ERASED[measure])
    if legend:
        ax.legend(loc="best")
    return ax


def plot_traces(found: Erasure, pulse: int, *, ax: Axes | None = None) -> Axes:
    """Draw the first units of the first memory under one pulse; the pulse is shaded.

    Parameters
    ----------
    found
        From `reset_by_pulse` or its relatives.
    pulse
        Which pulse; 0 is the control.
    ax
        Where to draw; by default new axes.

    Returns
    -------
    Axes
    """
    if not 0 <= pulse < found.strengths.size:
        refuse("pulse", pulse, f"a number from 0 to {found.strengths.size - 1}", "Count from 0.")
    if ax is None:
        ax = plt.subplots()[1]
    if found.durations[pulse]:
        ax.axvspan(0.0, found.durations[pulse], color="#f3d9dc", lw=0, zorder=0)
    for unit, values in enumerate(found.traces[pulse].T):
        ax.plot(found.times, values, color=plt.get_cmap("tab10")(unit % 10), linewidth=1.2)
    ax.set_xlabel(f"time ({found.time_unit}s)")
    ax.set_ylabel(f"${found.component}_i$")
    return ax


def erasure_figure(found: Erasure, *, axis: str = "strength", title: str = "") -> Figure:
    """Draw what a series of pulses leaves, and the traces of units under some of them.

    Parameters
    ----------
    found
        From `reset_by_output_gate` or `reset_by_update_gate`.
    axis
        "strength" or "duration": what differs between pulses.
    title
        Above everything.

    Returns
    -------
    Figure
    """
    check_choice("axis", axis, ("strength", "duration"))
    by_strength = axis == "strength"
    given = found.strengths if by_strength else found.durations
    with style():
        drawn, axes = plt.subplots(1, 4, figsize=(13.5, 3.6), width_ratios=(1.3, 1.1, 1, 1))
        labels = ["no pulse", *(f"{axis} {each:g}" for each in given[1:])]
        measure = "correlation" if by_strength else "size"
        plot_erasure(found, measure, ax=axes[0], labels=labels)
        order = np.argsort(np.abs(given), kind="stable")
        last = found.correlation[..., -1] if by_strength else found.at_end("size")
        axes[1].plot(np.abs(given)[order], last[order], ".", color="#9aa5b1", markersize=4)
        axes[1].plot(np.abs(given)[order], last[order].mean(axis=1), "o-", color=SLOW, lw=1.2)
        unit = "" if by_strength else f" ({found.time_unit}s)"
        axes[1].set_xlabel(f"{axis} of the pulse{unit}")
        axes[1].set_ylabel("correlation at the end" if by_strength else "size when the pulse ends")
        axes[1].set_ylim(min(0.0, 1.1 * float(np.nanmin(last))), 1.05)
        for ax, pulse in zip(axes[2:], (0, given.size - 1), strict=True):
            plot_traces(found, pulse, ax=ax)
            ax.set_title(labels[pulse], fontsize=9)
        axes[3].sharey(axes[2])
        if title:
            drawn.suptitle(title, fontsize=10)
    return drawn
