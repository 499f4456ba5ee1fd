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
    """Return the largest distance from a point of one boundary to the other (Hausdorff's)."""
    one, two = (np.stack([b.vertices_real, b.vertices_imag], axis=1) for b in (first, second))
    if not (one.size and two.size):
        return math.nan
    return max(float(KDTree(a).query(b)[0].max()) for a, b in ((one, two), (two, one)))


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
    extent = [float(np.ptp(one.boundary.vertices_real)) for one in spectra.values()]
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
    allowed = OUTSIDE * math.sqrt(1000 / one.network.n)

    def of(name: str, form: str = ".4f") -> str:
        return " | ".join(format(float(value), form) for value in row[name])

    distance = float(row["apart"].sel(curve="closed") / row["extent"])
    close = "nearly coincide" if distance <= APART else "DIFFER"
    network = "holds" if float(row["outside"].sel(curve="exact")) <= allowed else "FAILS"
    return (
        f"({panel}) g_h = {g_h:g}, alpha_z = {alpha_z:g}, alpha_r = {alpha_r:g}: "
        f"Eq. 5 and the exact curve {close}, {distance:.1%} of the extent apart; rms D_t = "
        f"{float(row['motion']):.3f}; the exact curve {network}\n"
        f"    exact | Eq. 5 | exact with D_t = 0: leading edge {of('leading_edge')} "
        f"(network {float(row['network_edge']):.4f}), largest Im {of('largest_imaginary', '.3f')} "
        f"(network {float(row['network_imaginary']):.3f}),\n"
        f"    intercept {of('imaginary_intercept')}, eigenvalues outside {of('outside', '.2%')}"
    )
