"""Figures of the largest exponent: theory's states with their networks, at a point or a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gatefield.compare import Station, state_kinds
from gatefield.core.errors import refuse
from gatefield.core.results import Status
from gatefield.core.types import HostArray
from gatefield.plotting.lyapunov import NETWORKS, plot_exponents, plot_measured_exponents
from gatefield.plotting.names import symbol
from gatefield.plotting.style import style

STATE_LINES: dict[str, Any] = {"rest": (0, (1, 1.2)), "divides": "--", "moving": "-"}
"""Line styles of a stable fixed point, an unstable moving state, and the one that is reached."""
_NAMES = {
    "rest": "theory, stable fixed point",
    "divides": "theory, unstable state",
    "moving": "theory, moving state",
}


def exponent_line_figure(found: Sequence[Station], name: str, *, title: str = "") -> Figure:
    """Draw the exponent against a parameter: resting and moving states, networks as dots.

    Parameters
    ----------
    found
        Points of the line, ascending; networks of one size at some of them.
    name
        The parameter.
    title
        Above everything.

    Returns
    -------
    Figure

    Raises
    ------
    InvalidInputError
        If there are no points.
    """
    if not found:
        refuse("found", found, "at least one point of the line", "Call stations first.")
    values = np.array([one.value for one in found])
    lines, unit = _lines(found), found[0].states[0].time_unit
    with style():
        drawn, ax = plt.subplots(figsize=(5.4, 4.0))
        for kind, dash in STATE_LINES.items():
            exponents, errors = lines[kind]
            if np.isfinite(exponents).any():
                look: dict[str, Any] = {"label": _NAMES[kind], "linestyle": dash, "unit": unit}
                plot_exponents(values, exponents, errors, ax=ax, **look)
        _draw_networks(found, ax, unit)
        ax.set_xlabel(rf"${symbol(name)}$")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="best")
        ax.set_title(title, fontsize=9)
    return drawn


def exponent_figure(one: Station, *, title: str = "") -> Figure:
    """Draw the exponents of single networks beside theory's.

    Parameters
    ----------
    one
        Theory's states, and networks if there are some: the largest are drawn.
    title
        Above everything.

    Returns
    -------
    Figure
    """
    with style():
        drawn, ax = plt.subplots(figsize=(4.6, 3.6))
        count = one.largest.rate.size if one.rates else 1
        ends = np.array([0.5, count + 0.5])
        for kind, state in zip(state_kinds(one.states), one.states, strict=True):
            both = [np.full(2, float(each)) for each in (state.exponent, state.standard_error)]
            look: dict[str, Any] = {"label": _NAMES[kind], "linestyle": STATE_LINES[kind]}
            if state.status is Status.OK:
                plot_exponents(ends, *both, ax=ax, unit=state.time_unit, **look)
        if one.rates:
            ax.errorbar(
                np.arange(1, count + 1),
                one.largest.rate,
                yerr=one.largest.error,
                fmt="o",
                color=NETWORKS,
                markersize=4.5,
                capsize=2,
                label="networks",
            )
        ax.set_xlim(*ends)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("network")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="best")
        ax.set_title(title, fontsize=9)
    return drawn


def _lines(found: Sequence[Station]) -> dict[str, tuple[HostArray, HostArray]]:
    """Return exponents and errors along the line, by kind of state; NaN where there is none."""
    lines = {kind: np.full((2, len(found)), np.nan) for kind in STATE_LINES}
    for place, one in enumerate(found):
        for kind, state in zip(state_kinds(one.states), one.states, strict=True):
            if state.status is Status.OK:
                lines[kind][:, place] = float(state.exponent), float(state.standard_error)
    return {kind: (both[0], both[1]) for kind, both in lines.items()}


def _draw_networks(found: Sequence[Station], ax: Axes, unit: str) -> None:
    done = [one for one in found if one.rates]
    if not done:
        return
    values = np.array([one.value for one in done])
    rates = np.array([one.largest.rate for one in done])
    moved = np.array([one.moving for one in done])
    look: dict[str, Any] = {"ax": ax, "unit": unit}
    plot_measured_exponents(values, np.where(moved, rates, np.nan), **look)
    if not moved.all():
        rest = np.where(moved, np.nan, rates)
        plot_measured_exponents(values, rest, hollow=True, label="networks, came to rest", **look)
