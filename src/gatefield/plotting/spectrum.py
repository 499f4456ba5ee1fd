"""Spectra of Jacobians drawn on axes: eigenvalues, theory's boundary, the density."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import distance_transform_edt

from gatefield.core.checks import as_parameter
from gatefield.core.errors import refuse
from gatefield.plotting.style import style
from gatefield.theory.rmt import SpectralBoundary, SpectralDensityGrid

DOTS, OUTLINE, STABILITY, ATOM = "#d62839", "black", "#7a7a7a", "#1b7f3b"
_RANGE = 1e-6  # faintest density shown, of the highest
_FAINTEST = 0.02  # quantile of the density from which on colours differ
_MARGIN = 0.05
_PANEL = 4.0  # inches, the width of one


def plot_spectrum(
    boundary: SpectralBoundary,
    eigenvalues: Any = None,
    *,
    ax: Axes | None = None,
    legend: bool = True,
    label: str = "theory",
) -> Axes:
    """Draw eigenvalues, and theory's boundary over them.

    Parameters
    ----------
    boundary
        Theory's boundary; eigenvalues that sit at points are diamonds.
    eigenvalues
        Complex numbers of any shape; none are drawn by default.
    ax
        Where to draw; by default new axes.
    legend
        Whether to name what is drawn.
    label
        Name of the boundary.

    Returns
    -------
    Axes
        Of equal scales, with the end of stability: a line at 0, for maps the unit circle.

    Raises
    ------
    InvalidInputError
        If ``boundary`` is none.
    """
    if not isinstance(boundary, SpectralBoundary):
        refuse("boundary", boundary, "a SpectralBoundary", "It comes from spectral_boundary.")
    if ax is None:
        ax = plt.subplots()[1]
    if eigenvalues is not None:
        values = np.asarray(eigenvalues, complex).ravel()
        as_parameter("eigenvalues", np.abs(values))
        size = float(np.clip(120 / np.sqrt(max(values.size, 1)), 1.6, 5.0))
        ax.plot(
            np.real(values),
            np.imag(values),
            ".",
            color=DOTS,
            markersize=size,
            markeredgewidth=0,
            alpha=0.8,
            rasterized=values.size > 500,
            zorder=2,
            label="eigenvalues",
        )
    mark_stability(ax, boundary.is_map)
    draw_boundary(ax, boundary, label=label)
    if boundary.isolated_real.size:
        sits = boundary.isolated_real, boundary.isolated_imag
        ax.plot(*sits, "D", **_ATOM, markersize=3, label="single points")
    frame(ax)
    if legend:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, markerscale=3)
    return ax


def plot_spectral_density(
    grid: SpectralDensityGrid,
    boundary: SpectralBoundary | None = None,
    *,
    ax: Axes | None = None,
    legend: bool = True,
    colorbar: bool = True,
) -> Axes:
    """Draw the density of eigenvalues on a logarithmic colour scale.

    Parameters
    ----------
    grid
        The density; points at which many eigenvalues sit are diamonds.
    boundary
        Drawn over it, if given.
    ax
        Where to draw; by default new axes.
    legend
        Whether to name the points, with the fraction of all eigenvalues at each.
    colorbar
        Whether to add a colour scale.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If ``grid`` is no grid.
    """
    if not isinstance(grid, SpectralDensityGrid):
        refuse("grid", grid, "a SpectralDensityGrid", "It comes from spectral_density_grid.")
    if ax is None:
        ax = plt.subplots()[1]
    inside = grid.density > 0
    if inside.any():
        highest = float(grid.density.max())
        lowest = max(float(np.quantile(grid.density[inside], _FAINTEST)), highest * _RANGE)
        # Cells that the boundary cuts have no density in their middle: they take their neighbour's,
        # and the boundary itself cuts the picture.
        shown = np.ma.masked_less_equal(grid.density, 0)
        cut = boundary is not None and boundary.vertices_real.size > 0
        shown = grid.density[_nearest(inside)] if cut else shown
        mesh = ax.pcolormesh(
            grid.real,
            grid.imag,
            np.ma.clip(shown, lowest, highest),
            norm=LogNorm(lowest, max(highest, 1.01 * lowest)),
            cmap="magma_r",
            shading="nearest",
            rasterized=True,
        )
        if cut and boundary is not None:
            mesh.set_clip_path(_outline(boundary), ax.transData)
        if colorbar:
            figure: Any = ax.figure
            figure.colorbar(mesh, ax=ax, label="density of eigenvalues", shrink=0.85)
    mark_stability(ax, grid.is_map)
    if boundary is not None:
        draw_boundary(ax, boundary, label="theory")
    for x, y, mass in zip(grid.atom_real, grid.atom_imag, grid.atom_mass, strict=True):
        name = f"{mass:.1%} of eigenvalues at {_place(x, y)}"
        ax.plot([x], [y], "D", **_ATOM, markersize=3 + 6 * np.sqrt(mass), label=name)
    frame(ax)
    if legend and grid.atom_mass.size:
        handles, labels = ax.get_legend_handles_labels()
        chosen = [(h, n) for h, n in zip(handles, labels, strict=True) if "eigenvalues at" in n]
        ax.legend(*zip(*chosen[:2], strict=True), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


_ATOM: dict[str, Any] = {
    "color": ATOM,
    "markerfacecolor": "white",
    "markeredgewidth": 1.3,
    "linestyle": "",
    "zorder": 6,
}


def draw_boundary(ax: Axes, boundary: SpectralBoundary, **look: Any) -> None:
    """Draw every curve of a boundary as one line, with a light rim that keeps it visible."""
    gap = np.array([np.nan + 0j])
    parts = [np.concatenate([curve, curve[:1], gap]) for curve in boundary.curves if curve.size]
    path = np.concatenate(parts) if parts else gap
    given = {"color": OUTLINE, "linewidth": 1.4, "zorder": 5} | look
    rim = [withStroke(linewidth=given["linewidth"] + 1.6, foreground="white", alpha=0.8)]
    ax.plot(np.real(path), np.imag(path), path_effects=rim, **given)


def _outline(boundary: SpectralBoundary) -> Path:
    """Return the boundary as one path, whose holes run clockwise and stay empty."""
    curves = [curve for curve in boundary.curves if curve.size]
    parts = [Path(np.stack([np.real(c), np.imag(c)], axis=1), closed=False) for c in curves]
    return Path.make_compound_path(*parts)


def _nearest(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return for each cell the indices of the nearest one in the mask."""
    indices: Any = distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return tuple(indices)


def mark_stability(ax: Axes, is_map: bool) -> None:
    """Mark where stability ends: the imaginary axis of flows, the unit circle of maps."""
    look: dict[str, Any] = {"color": STABILITY, "linewidth": 0.9, "linestyle": "--", "zorder": 1}
    if is_map:
        ax.add_patch(Circle((0, 0), 1.0, fill=False, **look))
    else:
        ax.axvline(0.0, **look)


def frame(ax: Axes) -> None:
    """Give equal scales to both axes, and name them."""
    # Meshes would keep the axes from growing beyond them.
    ax.use_sticky_edges = False
    ax.margins(_MARGIN)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.set_aspect("equal")
    ax.set_xlabel(r"Re $\lambda$")
    ax.set_ylabel(r"Im $\lambda$")


def _place(x: float, y: float) -> str:
    return f"{x:.3g}" if abs(y) < 1e-9 else f"{x:.3g} {y:+.3g}i"


def spectrum_figure(
    boundary: SpectralBoundary,
    eigenvalues: Any = None,
    grid: SpectralDensityGrid | None = None,
    *,
    title: str = "",
) -> Figure:
    """Draw eigenvalues with theory's boundary, and the density beside them.

    Parameters
    ----------
    boundary, eigenvalues
        As in `plot_spectrum`.
    grid
        The density; None leaves it out.
    title
        Above everything.

    Returns
    -------
    Figure
    """
    with style():
        number = 1 if grid is None else 2
        drawn, axes = plt.subplots(1, number, squeeze=False, sharex=True, sharey=True)
        left = plot_spectrum(boundary, eigenvalues, ax=axes[0, 0])
        if grid is not None:
            right = plot_spectral_density(grid, boundary, ax=axes[0, 1])
            right.set_ylabel("")
        width, height = np.ptp(left.get_xlim()), np.ptp(left.get_ylim())
        tall = float(np.clip(_PANEL * height / width, 0.5 * _PANEL, 1.4 * _PANEL))
        drawn.set_size_inches(0.8 + number * _PANEL + (0.7 if number == 2 else 0), tall + 1.2)
        if title:
            drawn.suptitle(title, fontsize=10)
    return drawn
