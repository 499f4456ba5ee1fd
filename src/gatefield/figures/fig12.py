"""Figure 12 of the paper: fixed points that biases make, and when they are stable."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gatefield.cells import GatedRNN
from gatefield.figures.base import FigureResult, Report, silent
from gatefield.figures.biased_points import (
    BiasedPoint,
    PointsSize,
    biased_points,
    branch_line,
    points_line,
    points_table,
)
from gatefield.plotting import style, value_colours
from gatefield.theory.perturbation import biased_fixed_point
from gatefield.theory.static import solve_static, solve_static_grid

GAIN, GATE = 2.5, 5.0
"""g_h and alpha_r of all panels but (e): beta_h destabilises first and stabilises then."""
BETA_R, BETA_H = (-3.0, -1.2, 0.0), (0.0, 0.05, 0.3, 0.8, 1.8)
"""Values of the lines of (a), (b) and of (c), (d)."""
LINEAR = ((0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (1.2, -0.8), (2.0, 1.0))
"""(alpha_r, beta_r) of panel (e)."""
_RANGE_H, _RANGE_R = 2.0, (-3.0, 1.0)
_LARGEST_EPS = 0.14
_JUMP = 0.05
_STABLE = "#e08a00"

FULL, QUICK = PointsSize(61, 600, 5, 200.0), PointsSize(25, 240, 5, 120.0)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: PointsSize | None = None
) -> FigureResult:
    r"""Compute Figure 12: variance and leading edge of fixed points with biases.

    The paper's parameters are not known to us: g_h = 2.5 and alpha_r = 5 show what its text
    describes, a bias of the activation that destabilises first and stabilises then.

    Parameters
    ----------
    quick
        Small networks, and few of them.
    seed
        Of the first network.
    report
        Called with what is being computed.
    size
        Overrides ``quick``.

    Returns
    -------
    FigureResult
        Tables "along_beta_h" (a, b), "along_beta_r" (c, d), "linear" (e), "plane" (f), "networks".

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 12, App. H, Eqs. H1-H3.
    """
    size = size or (QUICK if quick else FULL)
    report("(a) to (d) branches")
    by_h, by_r = _along_beta_h(size.points), _along_beta_r(size.points)
    report("(e) small biases")
    linear = _linear()
    report("(f) plane")
    plane = _plane(size.points)
    cells = [
        ({"beta_h": h, "beta_r": r}, GatedRNN(GAIN, alpha_r=GATE, beta_h=h, beta_r=r))
        for r in BETA_R
        for h in BETA_H[1:]
    ]
    points = biased_points(cells, size, seed=seed, report=report)
    tables = {
        "along_beta_h": by_h,
        "along_beta_r": by_r,
        "linear": linear,
        "plane": plane,
        "networks": points_table(points),
    }
    return FigureResult({}, {}, tables, tuple(_lines(tables, points)))


def _biases(count: int) -> np.ndarray:
    """Return values of beta_h above zero, closer together where small ones matter."""
    return _RANGE_H * (np.arange(1, count + 1) / count) ** 1.5


def _along_beta_h(count: int) -> xr.Dataset:
    values = _biases(count)
    rows = [
        branch_line(
            "beta_h",
            list(values),
            lambda h, r=r: GatedRNN(GAIN, alpha_r=GATE, beta_h=h, beta_r=r),
        )
        for r in BETA_R
    ]
    return xr.concat(rows, xr.DataArray(list(BETA_R), dims="beta_r", name="beta_r"))


def _along_beta_r(count: int) -> xr.Dataset:
    values = np.linspace(*_RANGE_R, count)
    rows = [
        branch_line(
            "beta_r",
            list(values),
            lambda r, h=h: GatedRNN(GAIN, alpha_r=GATE, beta_h=h, beta_r=r),
        )
        for h in BETA_H
    ]
    return xr.concat(rows, xr.DataArray(list(BETA_H), dims="beta_h", name="beta_h"))


def _linear() -> xr.Dataset:
    """Return D_h at beta_h = eps = g_h - g_c: the expansion, and the solution."""
    eps = np.linspace(0.0, _LARGEST_EPS, 15)[1:]
    columns = np.empty((2, len(LINEAR), eps.size))
    for row, (alpha, beta_r) in enumerate(LINEAR):
        gains = 1 + np.exp(-beta_r) + eps
        gate: dict[str, Any] = {"alpha_r": alpha, "beta_r": beta_r}
        columns[0, row] = biased_fixed_point(gains, beta_h=eps, **gate).variance
        for place, (g, each) in enumerate(zip(gains, eps, strict=True)):
            solved = solve_static(GatedRNN(g, beta_h=each, **gate))[0]
            columns[1, row, place] = float(solved.variance["h"])
    dims = ("set", "eps")
    alphas, betas = zip(*LINEAR, strict=True)
    return xr.Dataset(
        {
            "expansion": (dims, columns[0]),
            "solved": (dims, columns[1]),
            "alpha_r": ("set", list(alphas)),
            "beta_r": ("set", list(betas)),
        },
        {"eps": eps},
    )


def _plane(count: int) -> xr.Dataset:
    """Return D_h and rho of the lowest fixed point over the plane of both biases."""
    h = _biases(count)
    r = np.linspace(*_RANGE_R, count)
    cell = GatedRNN(GAIN, alpha_r=GATE, beta_h=h[None, :], beta_r=r[:, None])
    found = solve_static_grid(cell)
    dims = ("beta_r", "beta_h")
    return xr.Dataset(
        {"variance": (dims, found.variance[..., 0]), "radius": (dims, found.radius[..., 0])},
        {"beta_h": h, "beta_r": r},
        {"g_h": GAIN, "alpha_r": GATE},
    )


def figure(result: FigureResult) -> Figure:
    """Draw Figure 12.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Panels (a) to (f).
    """
    tables = result.tables
    with style():
        drawn, axes = plt.subplots(2, 3, figsize=(11.5, 6.6))
        networks = tables["networks"]
        for column, name, other in ((0, "along_beta_h", "beta_r"), (1, "along_beta_r", "beta_h")):
            _draw_branches(axes[0, column], axes[1, column], tables[name], other, networks)
        for ax, letter in zip(axes[:, :2].T.ravel(), "abcd", strict=True):
            what = "fixed points" if letter in "ac" else "their leading edge"
            ax.set_title(f"({letter})  {what}, $g_h = {GAIN:g}$, $\\alpha_r = {GATE:g}$")
        _draw_linear(axes[0, 2], tables["linear"])
        _draw_plane(axes[1, 2], tables["plane"], networks)
    return drawn


def _draw_branches(above: Axes, below: Axes, table: xr.Dataset, other: str, networks) -> None:
    along = "beta_h" if other == "beta_r" else "beta_r"
    symbols = {"beta_h": r"\beta_h", "beta_r": r"\beta_r"}
    values = table[other].values
    for colour, value in zip(value_colours(values.size), values, strict=True):
        line = table.sel({other: value})
        stable = line["radius"].values < 1
        jumps = np.diff(line["variance"].values) > _JUMP
        for quantity, ax in (("variance", above), ("edge", below)):
            numbers = line[quantity].values
            # Where another branch takes over, the line ends.
            whole = np.where(np.append(False, jumps), np.nan, numbers)
            ax.plot(table[along], whole, color=colour, ls=(0, (2, 1.2)), lw=1.2, zorder=1)
            ax.plot(table[along], np.where(stable, numbers, np.nan), color=colour, zorder=2)
        chosen = networks.isel(point=np.flatnonzero(networks[other].values == value))
        resting = chosen["resting"].values
        places = np.repeat(chosen[along].values[:, None], resting.shape[1], axis=1)
        for quantity, ax in (("variance", above), ("rate", below)):
            dots = np.where(resting, chosen[quantity].values, np.nan)
            ax.plot(places.ravel(), dots.ravel(), "o", color=colour, ms=3.2, mec="white", mew=0.4)
    below.axhline(0, color="#888888", lw=0.8, zorder=0)
    above.set_ylabel(r"variance $\Delta_h$ of fixed points")
    below.set_ylabel("leading edge (1 / time constant)")
    for ax in (above, below):
        ax.set_xlabel(rf"${symbols[along]}$")
        ax.set_xlim(0 if other == "beta_r" else _RANGE_R[0], table[along].values.max())
    handles = [
        Line2D([], [], color=colour, label=rf"${symbols[other]} = {value:g}$")
        for colour, value in zip(value_colours(values.size), values, strict=True)
    ]
    grey: dict[str, Any] = {"color": "#555555"}
    if other == "beta_r":
        below.legend(
            handles=[
                Line2D([], [], **grey, label="stable"),
                Line2D([], [], **grey, ls=(0, (2, 1.2)), lw=1.2, label="unstable"),
                Line2D([], [], **grey, marker="o", ls="", ms=3.2, label="networks at rest"),
            ],
            loc="upper right",
        )
    low, high = above.get_ylim()
    above.set_ylim(min(low, 0), high * 1.35)
    above.legend(handles=handles, loc="upper left", ncols=2)


def _draw_linear(ax: Axes, table: xr.Dataset) -> None:
    colours = value_colours(table.sizes["set"])
    for number, colour in enumerate(colours):
        one = table.isel(set=number)
        label = rf"$\alpha_r = {float(one['alpha_r']):g}$, $\beta_r = {float(one['beta_r']):g}$"
        eps = np.append(0.0, table["eps"].values)
        ax.plot(eps, np.append(0.0, one["expansion"].values), color=colour, label=label)
        ax.plot(table["eps"][1::2], one["solved"][1::2], "o", color=colour, mfc="white", ms=4.5)
    ax.set_xlim(0, None)
    ax.set_ylim(0, None)
    ax.set_xlabel(r"$\beta_h = \epsilon = g_h - g_c$")
    ax.set_ylabel(r"variance $\Delta_h$")
    ax.set_title("(e)  Eqs. H2-H3 (lines), solved (circles)")
    ax.legend(loc="upper left")


def _draw_plane(ax: Axes, plane: xr.Dataset, networks: xr.Dataset) -> None:
    h, r = plane["beta_h"].values, plane["beta_r"].values
    drawn = ax.pcolormesh(
        h, r, plane["variance"].values, cmap="Blues", shading="nearest", rasterized=True
    )
    bar = ax.figure.colorbar(drawn, ax=ax)
    bar.set_label(r"$\Delta_h$")
    ax.contour(h, r, plane["radius"].values, [1.0], colors=[_STABLE], linewidths=2)
    rested = networks["resting"].mean("network").values > 0.5
    for which, face, label in ((rested, "black", "at rest"), (~rested, "white", "moving")):
        ax.plot(
            networks["beta_h"].values[which],
            networks["beta_r"].values[which],
            "o",
            color="black",
            mfc=face,
            ms=5,
            ls="",
            clip_on=False,
            label=f"networks {label}",
        )
    ax.set_xlabel(r"$\beta_h$")
    ax.set_ylabel(r"$\beta_r$")
    ax.set_title(r"(f)  $\Delta_h$; $\rho = 1$ on the orange line", fontsize=9.5)
    ax.set_xlim(0, h[-1])
    ax.set_ylim(r[0], r[-1])
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, handletextpad=0.2)


def _crossings(values: np.ndarray, radius: np.ndarray) -> list[float]:
    """Return where the radius passes one, by linear interpolation."""
    over = radius - 1
    places = np.flatnonzero(over[:-1] * over[1:] < 0)
    share = over[places] / (over[places] - over[places + 1])
    return [float(each) for each in values[places] + share * (values[places + 1] - values[places])]


def _lines(tables: dict[str, xr.Dataset], points: list[BiasedPoint]) -> list[str]:
    by_h, by_r, linear = tables["along_beta_h"], tables["along_beta_r"], tables["linear"]
    lines = []
    for r in BETA_R:
        one = by_h.sel(beta_r=r)
        values, radius = one["beta_h"].values, one["radius"].values
        found = ", ".join(f"{each:.3f}" for each in _crossings(values, radius))
        changes = f"stability changes at beta_h = {found}" if found else "and so it stays"
        rising = "rises" if np.all(np.diff(one["variance"]) > 0) else "does NOT always rise"
        lines.append(
            f"(a), (b) beta_r = {r:g}: D_h {rising} with beta_h; "
            f"{'stable' if radius[0] < 1 else 'unstable'} at first, {changes}"
        )
    for h in BETA_H:
        one = by_r.sel(beta_h=h)
        edge, active = one["edge"].values, one["variance"].values > 0
        moved = "moves right" if np.all(np.diff(edge) > 0) else "does NOT always move right"
        told = f"(c), (d) beta_h = {h:g}: the leading edge {moved} as beta_r rises"
        if h == 0:
            least = float(one["radius"].values[active].min())
            claim = "none is stable" if least > 1 else "some are STABLE"
            told += f"; of its nonzero fixed points {claim} (smallest rho {least:.3f})"
        lines.append(told)
    ratio = (linear["expansion"] / linear["solved"] - 1).values
    middle = int(np.argmin(np.abs(linear["eps"].values - 0.05)))
    apart = f"{np.abs(ratio[:, middle]).max():.1%} at eps = {float(linear['eps'][middle]):g}"
    lines.append(
        f"(e) expansion and solution differ by at most {np.abs(ratio[:, 0]).max():.1%} at eps = "
        f"{float(linear['eps'][0]):g}, {apart}, {np.abs(ratio[:, -1]).max():.1%} at "
        f"{float(linear['eps'][-1]):g}: D_h is linear in the bias to leading order"
    )
    lines.append(points_line("(a)-(d), (f)", points))
    return lines
