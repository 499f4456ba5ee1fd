"""The largest exponent against the strength of a static input."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatefield.compare import InputResponse
from gatefield.plotting.exponents import STATE_LINES
from gatefield.plotting.lyapunov import plot_exponents, plot_measured_exponents
from gatefield.plotting.names import symbol
from gatefield.plotting.style import style

_WINDOW = "#f3c9a5"


def plot_input_response(
    found: InputResponse,
    *,
    ax: Axes | None = None,
    colour: str | None = None,
    theory: bool = True,
    networks: bool = True,
    windows: bool = True,
) -> Axes:
    """Draw theory's exponent against the strength of the input, with networks as dots.

    Parameters
    ----------
    found
        From `compare.input_response`.
    ax
        Where to draw; by default new axes.
    colour
        Of lines and dots; by default black and red.
    theory
        Whether theory's lines are drawn.
    networks
        Whether the largest networks are drawn: hollow where they came to rest.
    windows
        Whether the strengths without stable fixed point are shaded.

    Returns
    -------
    Axes
    """
    if ax is None:
        ax = plt.subplots()[1]
    look: dict[str, Any] = {"ax": ax, "unit": found.time_unit}
    if colour is not None:
        look["colour"] = colour
    strengths, many = found.strengths, found.strengths.size > 1
    if windows:
        for lower, upper in zip(found.lower, found.upper, strict=True):
            shown = (max(lower, strengths[0]), min(upper, strengths[-1]))
            label = "no stable fixed point"
            if shown[0] < shown[1]:
                ax.axvspan(*shown, color=_WINDOW, alpha=0.45, lw=0, zorder=-1, label=label)
    if theory:
        plot_exponents(strengths, found.exponent, found.standard_error, label="theory", **look)
    if theory and np.isfinite(found.resting).any():
        label = "theory, stable fixed point"
        plot_exponents(strengths, found.resting, linestyle=STATE_LINES["rest"], label=label, **look)
    if networks and found.sizes.size:
        rates, active = found.rates[int(np.argmax(found.sizes))], found.active
        moved, rested = np.where(active, rates, np.nan), np.where(active, np.nan, rates)
        plot_measured_exponents(strengths, moved, **look)
        plot_measured_exponents(
            strengths, rested, hollow=True, label="networks, came to rest", **look
        )
    if many:
        ax.set_xlim(strengths[0], strengths[-1])
    ax.set_xlabel(rf"strength of input $\sigma_{{I_{symbol(found.drive)}}}$")
    return ax


def input_response_figure(found: InputResponse, *, title: str = "") -> Figure:
    """Draw an input response on a page of its own.

    Parameters
    ----------
    found
        From `compare.input_response`.
    title
        Above everything.

    Returns
    -------
    Figure
    """
    with style():
        drawn, ax = plt.subplots(figsize=(5.6, 4.0))
        plot_input_response(found, ax=ax)
        ax.legend(loc="best", fontsize=8)
        ax.set_title(title, fontsize=9)
    return drawn
