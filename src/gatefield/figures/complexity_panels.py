"""The panels of the figure of topological against dynamical complexity."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gatefield.figures.base import FigureResult
from gatefield.plotting import STATE_LINES, plot_exponents

GAIN = 1.8
"""The g_h at which alpha_r is raised."""
LARGEST = 30.0
COUNTED = 30.0
"""The alpha_r at which networks' fixed points are counted, and eigenvalues compared."""
_OPAQUE: dict[str, Any] = {"frameon": True, "facecolor": "white", "edgecolor": "none"}
_PAPER, _MEAN, _CHAOS, _GREY = "#1b7f3b", "#1f4e79", "#b3123a", "#666666"


def _verticals(ax: Axes, critical: Any) -> None:
    ax.axvline(critical["fixed_points"], color=_PAPER, lw=1.0, ls=":")
    ax.axvline(critical["slow"], color=_CHAOS, lw=1.0, ls=":")
    ax.axvline(critical["fast"], color=_CHAOS, lw=0.8, ls=(0, (1, 3)))


def draw_topology(ax: Axes, tables: Any, critical: Any) -> None:
    """Draw panel (a): the complexity of both branches, and the mean number's exponent."""
    branches, mean = tables["branches"], tables["mean_number"]
    fold, C = critical["fixed_points"], branches["complexity"]
    alphas = branches["alpha_r"].values
    meeting = float(C.values[:, 0].mean())
    for branch, dash in (("upper", "-"), ("lower", "--")):
        line = np.append(meeting, C.sel(branch=branch).values)
        ax.plot(
            np.append(fold, alphas), line, color=_PAPER, ls=dash, label=f"paper, {branch} branch"
        )
    ax.plot([0, fold, fold], [0, 0, meeting], color=_PAPER, lw=1.2)
    ax.plot(mean["alpha_r"], mean["exponent"], color=_MEAN, label="mean number")
    _verticals(ax, critical)
    ax.axhline(0, color="black", lw=0.6)
    ax.set_xlim(0, LARGEST)
    ax.set_ylabel("growth of fixed points, $\\ln(n) / N$")
    ax.set_title(rf"(a)  topological complexity, $g_h = {GAIN:g}$")
    ax.legend(loc="upper left", **_OPAQUE)


def draw_exponent(ax: Axes, table: xr.Dataset, critical: Any) -> None:
    """Draw panel (b): the largest Lyapunov exponent."""
    rest = GAIN / 4 - 0.5
    look: dict[str, Any] = {"ax": ax, "label": "_"}
    plot_exponents(np.array([0, LARGEST]), np.full(2, rest), colour="black", linestyle="-", **look)
    for kind in ("divides", "moving"):
        chosen = table["kind"].values == kind
        if chosen.any():
            line = table["alpha_r"].values[chosen], table["exponent"].values[chosen]
            plot_exponents(*line, colour=_CHAOS, linestyle=STATE_LINES[kind], **look)
    _verticals(ax, critical)
    handles = [
        Line2D([], [], color=_CHAOS, label="chaos"),
        Line2D([], [], color=_CHAOS, ls=STATE_LINES["divides"], label="unstable state"),
        Line2D([], [], color="black", label="zero fixed point, stable"),
        Line2D([], [], color=_PAPER, ls=":", lw=1.0, label=r"$\alpha^*_{\mathrm{FP}}$"),
        Line2D(
            [], [], color=_CHAOS, ls=":", lw=1.0, label=r"$\alpha^*_{\mathrm{DMFT}}$, $\tau_r = 1$"
        ),
        Line2D(
            [],
            [],
            color=_CHAOS,
            ls=(0, (1, 3)),
            lw=0.8,
            label=r"$\alpha^*_{\mathrm{DMFT}}$, $\tau_r \to 0$",
        ),
    ]
    ax.set_xlabel(r"output-gate gain $\alpha_r$")
    ax.set_title("(b)  dynamical complexity")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.5 * (high - low))
    ax.legend(handles=handles, loc="upper left", ncols=2, **_OPAQUE)


def draw_counts(ax: Axes, result: FigureResult) -> None:
    """Draw panel (c): numbers of fixed points against N."""
    counts, expected = result.tables["counts"], result.tables["expected"]
    paper: Any = result.results["distribution"]
    annealed: Any = result.results["annealed"]
    n = expected["n"].values.astype(float)
    value, error = expected["value"].values, expected["standard_error"].values
    ax.errorbar(n, value, yerr=error, color=_GREY, marker="s", ms=3.5, lw=1.0, label="exact mean")
    found = counts["found"].values
    sizes = counts["n"].values.astype(float)
    ends = np.exp(counts["log_mean_interval"].values.T * sizes)
    mean = found.mean(axis=1)
    bars = np.abs(ends - mean)
    look: dict[str, Any] = {"fmt": "o", "color": "black", "ms": 5, "capsize": 2, "zorder": 4}
    ax.errorbar(sizes, mean, yerr=bars, label="networks, searched", **look)
    for slope, colour, name in (
        (float(paper.value), _PAPER, "slope of the paper"),
        (float(annealed.value), _MEAN, "slope of the mean number"),
    ):
        ax.plot(
            n, value[-1] * np.exp(slope * (n - n[-1])), color=colour, ls="--", lw=1.1, label=name
        )
    ax.set_yscale("log")
    ax.set_xlabel("units $N$")
    ax.set_ylabel("fixed points")
    ax.set_title(rf"(c)  how many, $\alpha_r = {COUNTED:g}$")
    ax.legend(loc="upper left")


def draw_distribution(ax: Axes, result: FigureResult) -> None:
    """Draw panel (d): moduli of eigenvalues against F(r)."""
    theory: Any = result.results["distribution"]
    moduli = result.tables["eigenvalues"]["modulus"].values
    inside = np.arange(1, moduli.size + 1) / moduli.size
    ax.step(moduli, inside, where="post", color=_GREY, lw=1.0, label=f"{moduli.size} eigenvalues")
    radii, part = np.append(0, theory.radii), np.append(np.nan, theory.distribution)
    ax.plot(radii, part, color=_PAPER, label="theory")
    ax.axvline(1.0, color="black", lw=0.8, ls=":")
    ax.axvline(float(theory.radius), color=_PAPER, lw=0.8, ls=":")
    ax.set_xlabel("radius $r$")
    ax.set_ylabel("part of the eigenvalues within $r$, $F(r)$")
    ax.set_title(r"(d)  eigenvalues of $J^h(\phi'\sigma_r + \phi\,\sigma_r' J^r \phi')$")
    ax.set_ylim(0, 1.04)
    ax.legend(loc="lower right")
