"""The phase diagram drawn on axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from scipy.ndimage import distance_transform_edt

from gatefield.compare import RegionCheck
from gatefield.phases import PhaseDiagram

_SHADES = ListedColormap(["#f7f6f2", "#d3e8cd", "#f0bf93", "#cddbec"])
_LINES: dict[str, tuple[str, Any, str]] = {
    "fixed_point_line": ("#1b7f3b", "-", "unstable fixed points appear"),
    "dynamical_line": ("#b3123a", "-", r"chaos appears, $\tau_r$ = {tau_r:g}"),
    "dynamical_line_fast_gate": ("#b3123a", ":", r"chaos appears, $\tau_r \to 0$"),
    "marginal_line": ("#41337a", "--", r"marginal for $\alpha_z \to \infty$ below"),
}


def plot_phase_diagram(
    diagram: PhaseDiagram,
    *,
    checks: Iterable[RegionCheck] = (),
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    """Draw regions and critical lines of a phase diagram.

    Parameters
    ----------
    diagram
        What to draw.
    checks
        Points where networks were simulated: a filled circle where they did what theory says, a
        cross where they did not.
    ax
        Where to draw; by default new axes.
    legend
        Whether to name the lines.

    Returns
    -------
    Axes
    """
    if ax is None:
        ax = plt.subplots()[1]
    g, alpha = diagram.g_h, diagram.alpha_r
    norm = BoundaryNorm(np.arange(0.5, 5), _SHADES.N)
    ax.pcolormesh(
        g,
        alpha,
        diagram.moderate_region,
        cmap=_SHADES,
        norm=norm,
        shading="nearest",
        rasterized=True,
    )
    if diagram.marginal.any() and min(diagram.marginal.shape) > 1:
        filled = diagram.marginal.astype(float)
        ax.contourf(g, alpha, filled, [0.5, 1.5], colors="none", hatches=["////"])
    for name, (colour, dash, _) in _LINES.items():
        values = getattr(diagram, name)
        if name == "dynamical_line_fast_gate" and diagram.tau_r == 0:
            continue
        shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        if name == "marginal_line":
            shown = np.where(diagram.marginal.any(axis=0), shown, np.nan)
        ax.plot(g, shown, color=colour, linestyle=dash)
    ax.plot(diagram.stability_line, alpha, color="black")
    finite = np.isfinite(diagram.input_line)
    ax.plot(diagram.input_line[finite], alpha[finite], color="#e2571e", linestyle=(0, (5, 2)))
    checks = list(checks)
    for check in checks:
        inside = g.min() <= check.g_h <= g.max() and alpha.min() <= check.alpha_r <= alpha.max()
        if inside:
            good = bool(check.agrees)
            marker, face = ("o", "white") if good else ("X", "#ffd400")
            ax.plot(check.g_h, check.alpha_r, marker, color="black", mfc=face, ms=7, zorder=5)
    _label_regions(ax, diagram)
    if g.size > 1:
        ax.set_xlim(g.min(), g.max())
    if alpha.size > 1:
        ax.set_ylim(alpha.min(), alpha.max())
    ax.set_xlabel(r"activation gain $g_h$")
    ax.set_ylabel(r"output-gate gain $\alpha_r$")
    if legend:
        handles = legend_handles(diagram, checked=bool(checks))
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
    return ax


def legend_handles(diagram: PhaseDiagram, *, checked: bool = False) -> list:
    """Return what the legend of a phase diagram shows: its lines, its hatching, its marks."""
    variance = diagram.line_input_variance
    handles: list = [Line2D([], [], color="black", label=r"stable fixed point ends ($\rho = 1$)")]
    handles.append(
        Line2D(
            [],
            [],
            color="#e2571e",
            linestyle=(0, (5, 2)),
            label=rf"the same with input, var $I_h$ = {variance:g}",
        )
    )
    for name, (colour, dash, label) in _LINES.items():
        if np.isfinite(getattr(diagram, name)).any():
            if name == "dynamical_line_fast_gate" and diagram.tau_r == 0:
                continue
            text = label.format(tau_r=diagram.tau_r)
            handles.append(Line2D([], [], color=colour, linestyle=dash, label=text))
    if diagram.marginal.any():
        text = r"5: marginally stable for $\alpha_z \to \infty$"
        handles.append(Patch(facecolor="white", edgecolor="black", hatch="////", label=text))
    if checked:
        text = "networks did what theory says (X: did not)"
        handles.append(Line2D([], [], marker="o", color="black", mfc="white", ls="", label=text))
    return handles


def _label_regions(ax: Axes, diagram: PhaseDiagram) -> None:
    """Write each region's number where it has most room."""
    halo = [withStroke(linewidth=3, foreground="white")]
    cells = diagram.region.size
    for region in np.unique(diagram.region):
        inside = diagram.region == region
        if inside.sum() < 0.002 * cells:
            continue
        row, column = _roomiest(inside)
        ax.text(
            diagram.g_h[column],
            diagram.alpha_r[row],
            str(region),
            fontsize=14,
            fontweight="bold",
            ha="center",
            va="center",
            path_effects=halo,
        )


def _roomiest(inside: np.ndarray) -> tuple[int, int]:
    """Return the place inside a mask that is farthest from its outside."""
    # Padding counts the frame as outside; without it labels would sit on the axes.
    distance = np.asarray(distance_transform_edt(np.pad(inside, 1)))[1:-1, 1:-1]
    row, column = np.unravel_index(np.argmax(distance), inside.shape)
    return int(row), int(column)
