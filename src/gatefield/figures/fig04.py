"""Figure 4 of the paper: the discontinuous transition, where fixed points appear before chaos."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gatefield.cells import GatedRNN
from gatefield.compare import Station, stations, theory_states
from gatefield.figures.base import FigureResult, Report, silent
from gatefield.figures.lines import (
    Size,
    coexisting_rows,
    line_table,
    plot_line,
    rows_of,
    station_text,
    stations_table,
)
from gatefield.phases import fixed_point_line
from gatefield.plotting import STATE_LINES, style
from gatefield.theory.dynamical_fold import lagged_fold, potential_fold
from gatefield.theory.static import solve_static

GAIN = 1.8
"""The g_h at which alpha_r is raised."""
LARGEST = 30.0
_END = 2.0  # the zero fixed point loses stability here
_STATIC, _FAST, _SLOW, _LINE = "#1b7f3b", "#c77d8a", "#b3123a", "#b3123a"
# Just above the gains at which the lines diverge: sqrt(2), sqrt(8/3), and for tau_r = 1 the 1.619
# of `theory.dynamical_fold.lagged.lower_end`.
_LOWEST = {"fixed_points": 1.415, "fast": 1.634, "slow": 1.625}
_BELOW_LEGEND = 0.68  # of the height of panel (e)


# Chaos beside a stable fixed point lasts some hundred time constants in networks of some hundred
# units: longer runs would end at rest.
_ALPHAS = (4.0, 8.0, 11.0, 13.0, 16.0, 18.0, 21.0, 25.0, 29.0)
FULL = Size((400, 800), 6, 14, _ALPHAS, 100.0, 60.0)
QUICK = Size((200, 400), 4, 5, (6.0, 11.0, 16.0, 20.0, 28.0), 60.0, 40.0)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    r"""Compute Figure 4: fixed points (Eq. 12), then chaos (Eq. 13), appear as alpha_r rises.

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
        Tables "fixed_points" (a), "static_line" (b), "fast" and "slow" (c, d: tau_r -> 0 and 1),
        "theory" and "networks" (e).

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 4, Eqs. 12-13, G3-G18.
    """
    size = size or (QUICK if quick else FULL)
    report("(a) fixed points")
    fixed = _fixed_points()
    report("(b), (c), (d) critical lines")
    static = _static_line()
    fast, slow = _dynamical_line("fast"), _dynamical_line("slow")
    critical = {
        "fixed_points": float(fixed_point_line(GAIN)),
        "fast": float(potential_fold(GAIN).alpha_r),
        "slow": float(lagged_fold(GAIN, 1.0).alpha_r),
    }
    report("(e) theory")
    theory = _exponents(critical["slow"], size).assign_attrs(**critical)
    found = stations(
        {alpha: GatedRNN(GAIN, alpha_r=alpha) for alpha in size.values},
        size.sizes,
        networks=size.networks,
        t_max=size.t_max,
        burn_in=size.burn_in,
        seed=seed,
        report=lambda text: report(f"(e) alpha_r = {text}"),
    )
    tables = {
        "fixed_points": fixed,
        "static_line": static,
        "fast": fast,
        "slow": slow,
        "theory": theory,
        "networks": stations_table("alpha_r", found),
    }
    lines = (
        *_static_lines(fixed, static, critical),
        *_dynamical_lines(fast, slow, critical),
        _exponent_line(theory, found),
    )
    return FigureResult({}, {}, tables, lines)


def figure(result: FigureResult) -> Figure:
    """Draw Figure 4.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Panels (a) to (e).
    """
    tables = result.tables
    critical = tables["theory"].attrs
    with style():
        drawn = plt.figure(figsize=(11.0, 6.4))
        axes = drawn.subplot_mosaic("abc;dee")
        _draw_fixed_points(axes["a"], tables["fixed_points"], critical)
        _draw_lines(axes["b"], tables, ("static_line",))
        axes["b"].set_title("(b)  unstable fixed points appear")
        _draw_lines(axes["c"], tables, ("slow", "fast", "static_line"))
        axes["c"].set_title("(c)  chaos appears")
        _draw_variances(axes["d"], tables)
        _draw_exponents(axes["e"], tables, critical)
    return drawn


def _fixed_points() -> xr.Dataset:
    """Return every fixed-point variance along alpha_r, ascending, NaN where there is none."""
    critical = float(fixed_point_line(GAIN))
    # The branches meet as a square root.
    above = critical + (LARGEST - critical) * np.linspace(1e-3, 1, 40) ** 2
    alphas = np.concatenate([np.linspace(0, critical, 12)[:-1], above])
    columns = np.full((2, 3, alphas.size), np.nan)
    for place, alpha in enumerate(alphas):
        for number, one in enumerate(solve_static(GatedRNN(GAIN, alpha_r=alpha))):
            columns[:, number, place] = float(one.variance["h"]), float(one.radius)
    dims = ("branch", "alpha_r")
    return xr.Dataset(
        {"variance": (dims, columns[0]), "radius": (dims, columns[1])},
        {"alpha_r": alphas},
        {"g_h": GAIN},
    )


def _gains(name: str, number: int) -> np.ndarray:
    """Return gains between the ends of a line, closer together at both."""
    part = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, number + 2)[1:-1])
    return _LOWEST[name] + (_END - _LOWEST[name]) * part


def _static_line() -> xr.Dataset:
    gains = _gains("fixed_points", 60)
    alphas = fixed_point_line(gains)
    variances = []
    for gain, alpha in zip(gains, alphas, strict=True):
        # A little above the fold, so that rounding does not decide whether there is a branch.
        branches = solve_static(GatedRNN(gain, alpha_r=alpha * (1 + 1e-6)))
        variances.append(np.mean([float(one.variance["h"]) for one in branches[1:]]))
    columns = {"g_h": gains, "alpha_r": alphas, "variance": np.array(variances)}
    return xr.Dataset({name: ("point", values) for name, values in columns.items()})


def _dynamical_line(name: str) -> xr.Dataset:
    gains = _gains(name, 40)
    found = potential_fold(gains) if name == "fast" else lagged_fold(gains, 1.0)
    good = np.asarray(found.converged) & np.isfinite(found.alpha_r)
    columns = {"g_h": gains, "alpha_r": found.alpha_r, "variance": found.variance_h}
    return xr.Dataset({key: ("point", np.asarray(each)[good]) for key, each in columns.items()})


def _exponents(critical: float, size: Size) -> xr.Dataset:
    alphas = critical + (LARGEST - critical) * np.linspace(0.03, 1, size.lines) ** 2
    cells = {float(alpha): GatedRNN(GAIN, alpha_r=alpha) for alpha in alphas}
    ends = (0.0, LARGEST)
    resting = [theory_states(GatedRNN(GAIN, alpha_r=alpha))[0] for alpha in ends]
    rows = rows_of("rest", ends, resting) + coexisting_rows(cells, critical)
    return line_table("alpha_r", rows, g_h=GAIN)


def _draw_fixed_points(ax: Axes, table: xr.Dataset, critical: dict[str, Any]) -> None:
    alphas = table["alpha_r"]
    for branch in table["branch"].values:
        one = table.sel(branch=branch)
        # Eq. 6: stable below radius 1; only the zero fixed point is.
        dash = "-" if branch == 0 else "--"
        ax.plot(alphas, one["variance"], color="black" if branch == 0 else _STATIC, linestyle=dash)
    ax.axvline(critical["fixed_points"], color=_STATIC, lw=0.9, ls=":")
    ax.set_xlabel(r"output-gate gain $\alpha_r$")
    ax.set_ylabel(r"variance $\Delta_h$ of fixed points")
    ax.set_xlim(0, LARGEST)
    ax.set_title(rf"(a)  fixed points, $g_h = {GAIN:g}$")
    handles = [
        Line2D([], [], color="black", label="stable"),
        Line2D([], [], color=_STATIC, ls="--", label="unstable"),
    ]
    ax.legend(handles=handles, loc="center right")


_LINES: dict[str, tuple[str, str, Any]] = {
    "static_line": (_STATIC, r"fixed points, $\alpha^*_{\mathrm{FP}}$", "-"),
    "fast": (_FAST, r"chaos, $\alpha^*_{\mathrm{DMFT}}$, $\tau_r \to 0$", "--"),
    "slow": (_SLOW, r"chaos, $\alpha^*_{\mathrm{DMFT}}$, $\tau_r = 1$", "-"),
}


def _draw_lines(ax: Axes, tables: Any, names: tuple[str, ...]) -> None:
    for name in names:
        colour, label, dash = _LINES[name]
        thin = 1.0 if name == "static_line" and len(names) > 1 else 1.8
        table = tables[name]
        ax.plot(table["g_h"], table["alpha_r"], color=colour, ls=dash, lw=thin, label=label)
    ends = {"static_line": (8, _STATIC, -3), "slow": (12, _SLOW, 4)}
    for name in names:
        if name in ends:
            square, colour, place = ends[name]
            root, limit = rf"$\sqrt{{{square}}}$", (_END, np.sqrt(square))
            ax.plot(*limit, "o", color=colour, ms=4, clip_on=False, zorder=5)
            look: dict[str, Any] = {"textcoords": "offset points", "va": "center", "size": 8}
            ax.annotate(root, limit, xytext=(5, place), color=colour, **look)
    ax.set_yscale("log")
    ax.set_ylim(2, 300)
    ax.set_xlim(1.4, _END)
    ax.set_xlabel(r"activation gain $g_h$")
    ax.set_ylabel(r"critical $\alpha_r$")
    ax.legend(loc="upper right")


def _draw_variances(ax: Axes, tables: Any) -> None:
    labels = {
        "static_line": r"fixed points, $\Delta_h$",
        "slow": r"chaos, $C_h(0)$, $\tau_r = 1$",
        "fast": r"chaos, $C_h(0)$, $\tau_r \to 0$",
    }
    for name, label in labels.items():
        colour, _, dash = _LINES[name]
        ax.plot(tables[name]["g_h"], tables[name]["variance"], color=colour, ls=dash, label=label)
    ax.set_xlim(1.4, _END)
    # Room for the legend above everything.
    ax.set_ylim(0, 1.45 * ax.get_ylim()[1])
    ax.set_xlabel(r"activation gain $g_h$")
    ax.set_ylabel("variance at the transition")
    ax.set_title("(d)  how large the states are born")
    ax.legend(loc="upper left")


def _draw_exponents(ax: Axes, tables: Any, critical: dict[str, Any]) -> None:
    plot_line("alpha_r", tables["theory"], tables["networks"], ax=ax, colour=_LINE)
    n = int(tables["networks"]["n"][-1])
    ax.set_xlim(0, LARGEST)
    low, high = ax.get_ylim()
    ax.set_ylim(low, low + (high - low) / _BELOW_LEGEND)
    verticals = {"fixed_points": (_STATIC, ":"), "fast": (_FAST, "--"), "slow": (_SLOW, "--")}
    for name, (colour, dash) in verticals.items():
        ax.axvline(critical[name], ymax=_BELOW_LEGEND, color=colour, lw=1.1, ls=dash, zorder=0)
    line: dict[str, Any] = {"color": _LINE}
    dots: dict[str, Any] = {**line, "marker": "o", "ls": "", "ms": 4.5}
    handles = [
        Line2D([], [], **line, label="theory, moving state"),
        Line2D([], [], **line, ls=STATE_LINES["divides"], label="theory, unstable state"),
        Line2D([], [], color="black", ls=STATE_LINES["rest"], label="theory, fixed point"),
        Line2D([], [], **dots, label=rf"networks, $N = {n}$"),
        Line2D([], [], **dots, mfc="white", label="networks that came to rest"),
        Line2D([], [], color=_STATIC, lw=1.1, ls=":", label=r"$\alpha^*_{\mathrm{FP}}$"),
        Line2D(
            [],
            [],
            color=_FAST,
            lw=1.1,
            ls="--",
            label=r"$\alpha^*_{\mathrm{DMFT}}$, $\tau_r \to 0$",
        ),
        Line2D(
            [], [], color=_SLOW, lw=1.1, ls="--", label=r"$\alpha^*_{\mathrm{DMFT}}$, $\tau_r = 1$"
        ),
    ]
    ax.set_xlabel(r"output-gate gain $\alpha_r$")
    ax.set_title(rf"(e)  the exponent jumps, $g_h = {GAIN:g}$, $\alpha_z = 0$, $\tau_r = 1$")
    ax.legend(handles=handles, loc="upper left", ncols=3)


def _static_lines(fixed: xr.Dataset, static: xr.Dataset, critical: dict[str, float]) -> list[str]:
    radius = fixed["radius"].sel(branch=slice(1, None))
    unstable = bool((radius > 1).where(np.isfinite(radius), True).all())
    last = float(static["alpha_r"][-1])
    return [
        f"(a) g_h = {GAIN:g}: two more fixed points from alpha_r = {critical['fixed_points']:.6f} "
        f"on, {'all unstable' if unstable else 'NOT all unstable'} (Eq. 6: radius "
        f"{float(radius.min()):.3f} to {float(radius.max()):.3f}); the zero one is stable, radius "
        f"{float(fixed['radius'].sel(branch=0)[-1]):.3f}",
        f"(b) alpha*_FP falls to {last:.4f} at g_h = {float(static['g_h'][-1]):.4f}; theory's "
        f"limit at g_h = 2 is sqrt(8) = {np.sqrt(8):.4f}; it rises beyond "
        f"{float(static['alpha_r'][0]):.3g} towards g_h = sqrt(2)",
    ]


def _dynamical_lines(fast: xr.Dataset, slow: xr.Dataset, critical: dict[str, float]) -> list[str]:
    lines = []
    for name, table, gate in (("fast", fast, "tau_r -> 0"), ("slow", slow, "tau_r = 1")):
        below = fixed_point_line(table["g_h"].values)
        order = "above" if bool(np.all(table["alpha_r"].values > below)) else "NOT above"
        biggest = int(np.argmax(table["variance"].values))
        lines.append(
            f"(c), (d) {gate}: chaos at g_h = {GAIN:g} from alpha_r = {critical[name]:.6f} on; the "
            f"line is everywhere {order} alpha*_FP, falls to {float(table['alpha_r'][-1]):.4f} at "
            f"g_h = {float(table['g_h'][-1]):.4f} (limit sqrt(12) = {np.sqrt(12):.4f}); C_h(0) at "
            f"the transition is largest at g_h = {float(table['g_h'][biggest]):.3f}: "
            f"{float(table['variance'][biggest]):.5f}"
        )
    return lines


def _exponent_line(theory: xr.Dataset, found: list[Station]) -> str:
    moving = theory["exponent"].values[theory["kind"].values == "moving"]
    start = (
        f"(e) theory jumps from {GAIN / 4 - 0.5:.4f} to {moving[0]:.4f} at alpha_r = "
        f"{theory.attrs['slow']:.4f}, tau_r = 1"
    )
    return "\n    ".join([start, *(station_text(one, "alpha_r") for one in found)])
