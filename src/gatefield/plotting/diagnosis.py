"""The parts of a layer's diagnosis that tell where it stands, drawn on axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator, NullLocator

from gatefield.core.checks import check_choice
from gatefield.core.errors import refuse
from gatefield.core.types import Complex, HostArray
from gatefield.diagnosis import (
    Couplings,
    Ensemble,
    Exponents,
    SlowPoints,
    Spectra,
)
from gatefield.plotting.exponent_spectra import plot_exponent_spectrum
from gatefield.plotting.names import symbol
from gatefield.plotting.panel import REFERENCE, axes_or_new
from gatefield.plotting.spectrum import DOTS, OUTLINE, STABILITY, frame, mark_stability

_FAR = 1.0  # e-folds of the radius at which the colours of the plane end
_RASTER = 500  # dots, above which they are pixels


def plot_coupling_eigenvalues(
    couplings: Couplings, field: str, *, ax: Axes | None = None, legend: bool = True
) -> Axes:
    """Draw the eigenvalues of one recurrent block, and the disc that random entries would fill.

    Parameters
    ----------
    couplings
        The part of a diagnosis.
    field
        Name of the coupling field.
    ax
        Where to draw; by default new axes.
    legend
        Whether to name what is drawn.

    Returns
    -------
    Axes
        With a circle at the gain of the bulk, a dashed one beyond which eigenvalues are outliers,
        and a ring around each outlier.

    Raises
    ------
    InvalidInputError
        For an unknown field.
    """
    check_choice("field", field, couplings.field_names)
    place = couplings.field_names.index(field)
    values, out = couplings.eigenvalues[place], int(couplings.outliers[place])
    ax = axes_or_new(ax)
    _dots(ax, values)
    beyond = values[:out]
    if out:
        look: dict[str, Any] = {"markersize": 7, "markerfacecolor": "none", "color": OUTLINE}
        ax.plot(np.real(beyond), np.imag(beyond), "o", label="outliers", zorder=4, **look)
    gain, edge = float(couplings.bulk_gain[place]), float(couplings.edge[place])
    ax.add_patch(Circle((0, 0), gain, fill=False, color=OUTLINE, linewidth=1.3, zorder=3))
    ax.add_patch(Circle((0, 0), edge, fill=False, color=OUTLINE, linewidth=0.8, linestyle=":"))
    frame(ax)
    if legend:
        circles = [
            Line2D([], [], color=OUTLINE, linewidth=1.3, label=f"circular law, gain {gain:.3g}"),
            Line2D([], [], color=OUTLINE, linewidth=0.8, ls=":", label="edge with finite N"),
        ]
        _legend_above(ax, f"${symbol(f'J_{field}')}$", circles)
    return ax


def plot_layer_jacobian(
    spectra: Spectra, place: int = -1, *, ax: Axes | None = None, legend: bool = True
) -> Axes:
    """Draw the Jacobian's eigenvalues at a state of the run, with theory's boundary over them.

    Parameters
    ----------
    spectra
        The part of a diagnosis.
    place
        Which of the states ``spectra.whole``; by default the last.
    ax
        Where to draw; by default new axes.
    legend
        Whether to name what is drawn.

    Returns
    -------
    Axes
        Of equal scales, with the unit circle, where stability ends.

    Raises
    ------
    InvalidInputError
        If there is no such state.
    """
    count = len(spectra.whole)
    if not -count <= place < count:
        refuse("place", place, f"from {-count} to {count - 1}", "No spectrum was computed there.")
    state = int(spectra.whole[place])
    ax = axes_or_new(ax)
    _dots(ax, spectra.eigenvalues[place])
    mark_stability(ax, is_map=True)
    for curve in spectra.boundary(state):
        closed = np.append(curve, curve[:1])
        ax.plot(np.real(closed), np.imag(closed), color=OUTLINE, linewidth=1.4, zorder=5)
    frame(ax)
    if legend:
        edge = Line2D([], [], color=OUTLINE, linewidth=1.4, label="theory for its own units")
        circle = Line2D([], [], color=STABILITY, linewidth=0.9, ls="--", label="unit circle")
        _legend_above(ax, f"Jacobian at step {int(spectra.steps[state])}", [edge, circle])
    return ax


def plot_layer_exponents(exponents: Exponents, *, ax: Axes | None = None) -> Axes:
    """Draw the Lyapunov exponents that are finite against their rank, with their standard errors.

    Parameters
    ----------
    exponents
        The part of a diagnosis.
    ax
        Where to draw; by default new axes.

    Returns
    -------
    Axes
        With a line at zero; the title tells the Kaplan-Yorke dimension.
    """
    ax = axes_or_new(ax)
    given: dict[str, Any] = {"label": "layer", "colour": DOTS, "unit": "step"}
    plot_exponent_spectrum(
        exponents.exponents[None], exponents.standard_errors[None], ax=ax, **given
    )
    if len(exponents.exponents) == 1:
        ax.plot([1.0], exponents.exponents, "o", color=DOTS, markersize=4)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    known = np.isfinite(exponents.dimension)
    size = exponents.dimension if known else exponents.dimension_above
    ax.set_title(f"dimension {'' if known else '> '}{float(size):.3g}", loc="left")
    return ax


def plot_slow_points(points: SlowPoints, *, ax: Axes | None = None) -> Axes:
    """Draw fixed and slow points: the leading eigenvalue's modulus against the size.

    Parameters
    ----------
    points
        The part of a diagnosis.
    ax
        Where to draw; by default new axes.

    Returns
    -------
    Axes
        With a line at one, where stability ends; larger dots were found more often.
    """
    ax = axes_or_new(ax)
    ax.axhline(1.0, **REFERENCE)
    groups = {
        "stable": (points.stable & ~points.is_slow, "#1b7f3b", "o"),
        "unstable": (~points.stable & ~points.is_slow, DOTS, "o"),
        "slow": (points.is_slow, "#8d5fa8", "s"),
    }
    for name, (which, colour, mark) in groups.items():
        if not np.any(which):
            continue
        area = 14 + 20 * np.sqrt(points.found[which])
        ax.scatter(
            points.sizes[which],
            points.leading_edges[which],
            s=area,
            color=colour,
            marker=mark,
            alpha=0.75,
            linewidths=0,
            label=f"{name} ({int(np.sum(which))})",
        )
    ax.set_xlabel("size of the state (root mean square)")
    ax.set_ylabel(r"largest $|\lambda|$")
    ax.margins(0.25)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    if len(points.is_slow):
        _legend_above(ax, "fixed and slow points", [], markerscale=0.6)
    return ax


def plot_phase_place(ensemble: Ensemble, *, ax: Axes | None = None, colorbar: bool = True) -> Axes:
    """Draw where a layer is on the phase plane of its matched random ensemble.

    Parameters
    ----------
    ensemble
        The part of a diagnosis.
    ax
        Where to draw; by default new axes.
    colorbar
        Whether to add a colour scale.

    Returns
    -------
    Axes
        The radius of the static theory over gain and bias, white where it is one; its critical
        line; the layer as a star; and a diamond, with its standard error, at the gain at which
        random networks would be at the edge: along the layer's own inputs, where these vary.
    """
    ax = axes_or_new(ax)
    inside = np.isfinite(ensemble.radius) & (ensemble.radius > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        folds = np.where(inside, np.log(ensemble.radius), np.nan)
    ax.set_facecolor("#e6e6e6")  # where theory failed
    mesh = ax.pcolormesh(
        ensemble.gains,
        ensemble.biases,
        np.clip(folds, -_FAR, _FAR).T,
        cmap="RdBu_r",
        norm=TwoSlopeNorm(0.0, -_FAR, _FAR),
        shading="gouraud" if inside.all() else "nearest",
        rasterized=True,
    )
    ax.plot(ensemble.line_gains, ensemble.line_biases, color=OUTLINE, label="radius 1, theory")
    star: dict[str, Any] = {"markersize": 13, "color": "#f4c542", "markeredgecolor": OUTLINE}
    ax.plot([ensemble.gain], [ensemble.bias], "*", label="this layer", zorder=6, **star)
    if ensemble.gains[0] <= ensemble.critical_gain <= ensemble.gains[-1]:
        look: dict[str, Any] = {"color": OUTLINE, "markerfacecolor": "white", "markersize": 6}
        place = [ensemble.critical_gain], [ensemble.bias]
        if ensemble.critical_error > 0:
            ax.errorbar(*place, xerr=[ensemble.critical_error], fmt="none", ecolor=OUTLINE)
        ax.plot(*place, "D", label="edge, random networks", **look)
    if np.all(ensemble.gains > 0):
        ax.set_xscale("log")
        marks = 2.0 ** np.arange(-8, 9)
        marks = marks[(marks >= ensemble.gains[0]) & (marks <= ensemble.gains[-1])]
        ax.set_xticks(marks, [f"{each:g}" for each in marks])
        ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(f"${symbol(ensemble.gain_name)}$")
    ax.set_ylabel(f"${symbol(ensemble.bias_name)}$")
    if colorbar:
        figure: Any = ax.figure
        bar = figure.colorbar(mesh, ax=ax, shrink=0.9, extend="both")
        marks = np.array([0.5, 0.7, 1.0, 1.4, 2.0])
        bar.set_ticks(np.log(marks).tolist(), labels=[f"{each:g}" for each in marks])
        bar.set_label("radius (stable below 1)")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def _legend_above(ax: Axes, title: str, more: list[Line2D], **look: Any) -> None:
    handles = [*ax.get_legend_handles_labels()[0], *more]
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0}
    ax.legend(handles=handles, title=title, alignment="left", **place, **look)


def _dots(ax: Axes, values: Complex[HostArray, " mode"]) -> None:
    size = float(np.clip(120 / np.sqrt(max(values.size, 1)), 1.8, 6.0))
    look: dict[str, Any] = {"color": DOTS, "markersize": size, "markeredgewidth": 0, "alpha": 0.8}
    raster = values.size > _RASTER
    ax.plot(np.real(values), np.imag(values), ".", rasterized=raster, label="eigenvalues", **look)
