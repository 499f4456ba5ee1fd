"""Families of critical lines on axes: one colour for each value, a dash for each kind of line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gatefield.core.types import HostArray
from gatefield.phases import LineFamily
from gatefield.plotting.names import symbol
from gatefield.plotting.style import style

_DASHES: dict[str, Any] = {"stability": "-", "marginal": "--", "fold": (0, (1, 1.4))}
_NAMES = {
    "stability": r"stable fixed point ends, $\rho = 1$",
    "marginal": r"marginal for $\alpha_z \to \infty$ below",
    "fold": "further fixed points appear",
}
_SYMBOLS = {
    "input_variance_h": r"\mathrm{var}\,I_h",
    "input_variance_r": r"\mathrm{var}\,I_r",
    "bias_variance_h": r"\mathrm{var}\,\beta_h",
    "bias_variance_r": r"\mathrm{var}\,\beta_r",
}


def value_colours(count: int) -> list[Any]:
    """Return one colour for each of several ordered values, dark to bright."""
    return [plt.get_cmap("viridis")(place) for place in np.linspace(0.0, 0.85, max(count, 1))]


def varied_symbol(vary: str) -> str:
    """Return what a `LineFamily` is drawn for as mathematics, without dollar signs."""
    return _SYMBOLS.get(vary) or symbol(vary)


def plot_line_family(
    family: LineFamily,
    *,
    kinds: Sequence[str] = ("stability", "marginal"),
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    """Draw critical lines in the (g_h, alpha_r) plane for every value of a bias or an input.

    Parameters
    ----------
    family
        The lines.
    kinds
        Of "stability" (solid), "marginal" (dashed), "fold" (dotted).
    ax
        Where to draw; by default new axes.
    legend
        Whether to name values and kinds of lines.

    Returns
    -------
    Axes
    """
    if ax is None:
        ax = plt.subplots()[1]
    colours = value_colours(family.values.size)
    for kind in kinds:
        rows: HostArray = getattr(family, kind)
        for colour, gains in zip(colours, rows, strict=True):
            shown = np.where(np.isfinite(gains) & (gains > 0), gains, np.nan)
            ax.plot(shown, family.alpha_r, color=colour, linestyle=_DASHES[kind])
    ax.set_xlabel(r"activation gain $g_h$")
    ax.set_ylabel(r"output-gate gain $\alpha_r$")
    if legend:
        ax.legend(handles=family_handles(family, kinds), loc="best")
    return ax


def family_handles(family: LineFamily, kinds: Sequence[str] = ("stability",)) -> list[Line2D]:
    """Return what the legend of a family shows: its values, and its kinds if there are several."""
    name = varied_symbol(family.vary)
    colours = value_colours(family.values.size)
    handles = [
        Line2D([], [], color=colour, label=rf"${name} = {value:g}$")
        for colour, value in zip(colours, family.values, strict=True)
    ]
    if len(kinds) > 1:
        handles += [
            Line2D([], [], color="#555555", linestyle=_DASHES[kind], label=_NAMES[kind])
            for kind in kinds
        ]
    return handles


def line_family_figure(
    family: LineFamily,
    *,
    kinds: Sequence[str] = ("stability", "marginal"),
    checks: Sequence[tuple[float, float, bool]] = (),
) -> Figure:
    """Draw a family of critical lines, with points where networks were simulated.

    Parameters
    ----------
    family, kinds
        As in `plot_line_family`.
    checks
        (g_h, alpha_r, agrees) of points asked about: a circle where networks did what theory says
        for every value, a cross where they did not.

    Returns
    -------
    Figure
    """
    with style():
        drawn, ax = plt.subplots(figsize=(5.6, 4.6))
        plot_line_family(family, kinds=kinds, ax=ax)
        for g_h, alpha_r, agrees in checks:
            marker, face = ("o", "white") if agrees else ("X", "#ffd400")
            ax.plot(g_h, alpha_r, marker, color="black", mfc=face, ms=7, zorder=5)
    return drawn
