"""Figure 8 of the paper: Eq. 5 against the exact spectral curve of states that move."""

from __future__ import annotations

import math
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.spatial import KDTree

from gatefield.cells import GatedRNN
from gatefield.compare import StateSpectrum, reached_state, state_spectrum
from gatefield.figures.base import FigureResult, Report, silent
from gatefield.figures.spectra import OUTSIDE, without_motion
from gatefield.networks import Network
from gatefield.numerics.threads import in_turn
from gatefield.plotting import plot_spectrum, style
from gatefield.plotting.spectrum import draw_boundary
from gatefield.theory.rmt import SpectralBoundary, spectral_boundary
from gatefield.theory.static import solve_static

PANELS = {"a": (2.5, 5.0, 0.0), "b": (2.5, 5.0, 1.0), "c": (3.0, 15.0, 5.0)}
"""(g_h, alpha_z, alpha_r): the last one is deep in chaos."""
APART = 0.05
"""Largest distance between curves that nearly coincide, as a fraction of the extent."""
_STEP = 0.1
_SPACING = 5e-4  # of the extent: between the points of curves whose distance is taken
_LOOKS = {
    "closed": ("Eq. 5, static variance", {"color": "#1f6fd1", "linestyle": "--"}),
    "still": (r"the units, with $D_t = 0$", {"color": "#e08a00", "linestyle": ":"}),
}


class Size(NamedTuple):
    """Units of each network, and the time at which its state is taken."""

    n: int
    t_max: float = 100.0


FULL, QUICK = Size(1000), Size(300)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    r"""Compute Figure 8: the exact curve (A34), Eq. 5, and the exact curve without D_t.

    :math:`D_t = (-h + u_h)\sigma_z'(z)`, the term that states have which move, is left out in the
    third curve: what Eq. 5 misses by it is told from what it misses by the static variance.

    Parameters
    ----------
    quick
        Small networks.
    seed
        Of every network.
    report
        Called with what is being computed.
    size
        Overrides ``quick``.

    Returns
    -------
    FigureResult
        Spectra "a" to "c", boundaries "closed_a" (Eq. 5) and "still_a" (no D_t) and so on, and
        the table "curves".

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 8, Eqs. 5, A34-A36.
    """
    size = size or (QUICK if quick else FULL)

    def one(panel: str) -> StateSpectrum:
        g_h, alpha_z, alpha_r = PANELS[panel]
        cell = GatedRNN(g_h, alpha_z=alpha_z, alpha_r=alpha_r)
        network = Network.sample(cell, size.n, seed=seed)
        return state_spectrum(network, reached_state(network, size.t_max, dt=_STEP, seed=seed))

    def said(done: int) -> None:
        report(f"{done} of {len(PANELS)} networks")

    found = in_turn(one, list(PANELS), size=3 * size.n, report=said)
    spectra = dict(zip(PANELS, found, strict=True))
    boundaries = {}
    for panel, each in spectra.items():
        boundaries[f"closed_{panel}"] = spectral_boundary(solve_static(each.network.cell)[-1])
        boundaries[f"still_{panel}"] = spectral_boundary(without_motion(each.units))
    table = _table(spectra, boundaries)
    lines = tuple(_line(panel, spectra[panel], table.sel(panel=panel)) for panel in PANELS)
    return FigureResult(spectra, boundaries, {"curves": table}, lines)


def apart(first: SpectralBoundary, second: SpectralBoundary) -> float:
    """Return the largest distance from a point of one boundary to the other (Hausdorff's).

    Of the curves themselves, wherever their vertices are; NaN where one of them has no curve.
    """
    if not (first.curves and second.curves):
        return math.nan
    corners = np.concatenate([*first.curves, *second.curves])
    spacing = _SPACING * max(np.ptp(np.real(corners)), np.ptp(np.imag(corners)))
    one, two = (_along(each, spacing) for each in (first, second))
    return max(float(KDTree(a).query(b)[0].max()) for a, b in ((one, two), (two, one)))


def _along(boundary: SpectralBoundary, spacing: float) -> np.ndarray:
    """Return points (P, 2) along every segment of the closed curves, no farther apart than that."""
    parts = []
    for curve in boundary.curves:
        for start, end in zip(curve, np.roll(curve, -1), strict=True):
            number = max(1, math.ceil(abs(end - start) / spacing))
            parts.append(start + (end - start) * np.arange(number) / number)
    points = np.concatenate(parts)
    return np.stack([np.real(points), np.imag(points)], axis=1)


def figure(result: FigureResult) -> Figure:
    """Draw Figure 8.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Three panels.
    """
    with style():
        drawn, axes = plt.subplots(1, len(PANELS), figsize=(11.5, 4.4), sharex=True, sharey=True)
        for ax, (panel, (g_h, alpha_z, alpha_r)) in zip(axes, PANELS.items(), strict=True):
            one = result.spectra[panel]
            plot_spectrum(one.boundary, one.eigenvalues, ax=ax, legend=False)
            for name, (label, look) in _LOOKS.items():
                boundary = result.boundaries[f"{name}_{panel}"]
                draw_boundary(ax, boundary, label=label, zorder=6, **look)
            ax.set_title(
                rf"({panel})  $g_h = {g_h:g}$, $\alpha_z = {alpha_z:g}$, $\alpha_r = {alpha_r:g}$"
            )
            if panel != "a":
                ax.set_ylabel("")
        handles, labels = axes[0].get_legend_handles_labels()
        labels = ["the units, exact (A34)" if each == "theory" else each for each in labels]
        drawn.legend(
            handles, labels, loc="outside upper center", ncols=4, markerscale=3, fontsize=9
        )
    return drawn


def _table(
    spectra: dict[str, StateSpectrum], boundaries: dict[str, SpectralBoundary]
) -> xr.Dataset:
    """Return the measures of each curve in each panel."""
    names = ("exact", "closed", "still")
    columns: dict[str, list] = {
        name: [] for name in ("leading_edge", "largest_imaginary", "imaginary_intercept")
    }
    columns |= {"outside": [], "apart": []}
    for panel, one in spectra.items():
        curves = {"exact": one.boundary}
        curves |= {name: boundaries[f"{name}_{panel}"] for name in names[1:]}
        for column, values in columns.items():
            if column == "outside":
                values.append([np.mean(~b.contains(one.eigenvalues)) for b in curves.values()])
            elif column == "apart":
                values.append([apart(one.boundary, b) for b in curves.values()])
            else:
                values.append([float(getattr(b, column)) for b in curves.values()])
    motion = [float(np.sqrt(np.mean(one.units.A[:, 0, 1] ** 2))) for one in spectra.values()]
    drawn = [one.boundary.vertices_real for one in spectra.values()]
    extent = [float(np.ptp(real)) if real.size else math.nan for real in drawn]
    return xr.Dataset(
        {
            **{name: (("panel", "curve"), np.array(values)) for name, values in columns.items()},
            "network_edge": ("panel", [one.leading_edge for one in spectra.values()]),
            "network_imaginary": ("panel", [one.largest_imaginary for one in spectra.values()]),
            "motion": ("panel", motion, {"description": "root mean square of D_t over units"}),
            "extent": ("panel", extent),
        },
        {"panel": list(spectra), "curve": list(names)},
    )


def _line(panel: str, one: StateSpectrum, row: xr.Dataset) -> str:
    g_h, alpha_z, alpha_r = PANELS[panel]

    def of(name: str, form: str = ".4f") -> str:
        return " | ".join(format(float(value), form) for value in row[name])

    outside, allowed = one.outside, OUTSIDE * math.sqrt(1000 / one.network.n)
    limit = "at most" if outside <= allowed else "MORE than the"
    return (
        f"({panel}) g_h = {g_h:g}, alpha_z = {alpha_z:g}, alpha_r = {alpha_r:g}: "
        f"{_closeness(row)}; rms D_t = {float(row['motion']):.3f}; outside the exact curve: "
        f"{outside:.2%} of the eigenvalues, {limit} {allowed:.1%} expected\n"
        f"    exact | Eq. 5 | exact with D_t = 0: leading edge {of('leading_edge')} "
        f"(network {float(row['network_edge']):.4f}), largest Im {of('largest_imaginary', '.3f')} "
        f"(network {float(row['network_imaginary']):.3f}),\n"
        f"    intercept {of('imaginary_intercept')}, eigenvalues outside {of('outside', '.2%')}"
    )


def _closeness(row: xr.Dataset) -> str:
    """Say how far Eq. 5 is from the exact curve, or that there is nothing to compare."""
    if np.isnan(row["extent"]):
        return "the units give no curve, only single points, to compare Eq. 5 with"
    ratio = float(row["apart"].sel(curve="closed") / row["extent"])
    if math.isnan(ratio):
        return "Eq. 5 gives no curve, only single points, to compare with the exact one"
    close = "nearly coincide" if ratio <= APART else "DIFFER"
    return f"Eq. 5 and the exact curve {close}, {ratio:.1%} of the extent apart"
