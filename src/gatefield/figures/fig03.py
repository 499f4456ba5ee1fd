"""Figure 3 of the paper, panels (c) and (d): the largest exponent through both transitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.optimize import root_scalar

from gatefield.cells import GatedRNN
from gatefield.compare import Station, stations, theory_states
from gatefield.core.types import HostArray
from gatefield.figures.base import FigureResult, Report, silent
from gatefield.figures.lines import (
    Row,
    Size,
    coexisting_rows,
    line_table,
    plot_line,
    rows_of,
    station_text,
    stations_table,
)
from gatefield.phases import dynamical_line
from gatefield.plotting import STATE_LINES, style

ALPHAS = (0.0, 2.0, 20.0)
"""Output-gate gains: continuous transitions, and the discontinuous one."""
CRITICAL = 2.0
"""The zero fixed point loses stability here (Eq. 6)."""
LOWEST, HIGHEST = 1.5, 4.0
_BRACKET = (1.65, 1.95)  # of the g_h at which chaos appears for the last alpha_r
_BESIDE = 1.99  # up to here two moving states are sought beside the stable fixed point
_APART = 0.012  # between the networks of each alpha_r at one g_h
_COLOURS = {0.0: "#2a9d8f", 2.0: "#3d5a98", 20.0: "#c8553d"}


FULL = Size((300, 900), 5, 16, (1.6, 1.7, 1.85, 2.3, 3.0, 3.9), 120.0, 80.0)
QUICK = Size((150, 300), 3, 6, (1.6, 1.9, 2.5, 3.5), 100.0, 60.0)
"""Theory's line has ``lines`` values of g_h on each side of the transition."""


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    r"""Compute panels (c) and (d) of Figure 3: theory's lines, and networks.

    At a stable fixed point the exponent is the leading edge of the Jacobian's spectrum,
    :math:`(g_h/2 - 1)/2`; in moving states it solves Eqs. 10-11, exactly since alpha_z = 0.

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
        Tables "theory_0", "networks_0" and so on, by alpha_r.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 3, Eqs. 6, 10-11.
    """
    size = size or (QUICK if quick else FULL)
    tables: dict[str, xr.Dataset] = {}
    lines = ["(a), (b): Lyapunov spectra cannot be computed yet; (c), (d): alpha_z = 0, tau_r = 1"]
    report("the discontinuous transition")
    fold = _fold()
    for alpha in ALPHAS:
        report(f"theory at alpha_r = {alpha:g}")
        table = _jump(alpha, fold, size) if alpha == ALPHAS[-1] else _smooth(alpha, size)
        tables[f"theory_{alpha:g}"] = table
        found = stations(
            {gain: GatedRNN(gain, alpha_r=alpha) for gain in size.values},
            size.sizes,
            networks=size.networks,
            t_max=size.t_max,
            burn_in=size.burn_in,
            seed=seed,
            report=lambda text, alpha=alpha: report(f"alpha_r = {alpha:g}, g_h = {text}"),
        )
        tables[f"networks_{alpha:g}"] = stations_table("g_h", found)
        lines.append(_line(alpha, table, found))
    return FigureResult({}, {}, tables, tuple(lines))


def figure(result: FigureResult) -> Figure:
    """Draw panels (c) and (d) of Figure 3.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        (c) all gains, (d) around the transitions.
    """
    with style():
        drawn, axes = plt.subplots(1, 2, figsize=(9.6, 4.3), width_ratios=(1.25, 1))
        for ax in axes:
            for number, alpha in enumerate(ALPHAS):
                tables = (result.tables[f"{kind}_{alpha:g}"] for kind in ("theory", "networks"))
                look: dict[str, Any] = {"colour": _COLOURS[alpha], "shift": (number - 1) * _APART}
                plot_line("g_h", *tables, ax=ax, **look)
            jump = result.tables[f"theory_{ALPHAS[-1]:g}"].attrs
            ends = (jump["fixed_point"], jump["chaos"])
            ax.vlines(jump["fold"], *ends, color=_COLOURS[ALPHAS[-1]], lw=0.9, ls=":")
            ax.axvline(CRITICAL, color="#7a7a7a", linewidth=0.9, linestyle=":", zorder=0)
            ax.set_xlabel(r"activation gain $g_h$")
        axes[0].set_xlim(LOWEST, HIGHEST)
        axes[0].set_title(r"(c)  transitions to chaos, $\alpha_z = 0$")
        axes[1].set_xlim(1.55, 2.25)
        axes[1].set_ylim(-0.125, 0.19)
        axes[1].set_ylabel("")
        axes[1].set_title("(d)  a closer look: where two states coexist")
        n = int(result.tables["networks_0"]["n"][-1])
        colours = [
            Line2D([], [], color=_COLOURS[alpha], label=rf"$\alpha_r = {alpha:g}$")
            for alpha in reversed(ALPHAS)
        ]
        black: dict[str, Any] = {"color": "black"}
        dots: dict[str, Any] = {"marker": "o", "ls": "", "ms": 4.5, **black}
        kinds = [
            Line2D([], [], **black, label="theory, moving state"),
            Line2D([], [], **black, ls=STATE_LINES["divides"], label="theory, unstable state"),
            Line2D([], [], **black, ls=STATE_LINES["rest"], label="theory, stable fixed point"),
            Line2D([], [], **dots, label=rf"networks, $N = {n}$"),
            Line2D([], [], **dots, mfc="white", label="networks that came to rest"),
        ]
        drawn.legend(handles=[*colours, *kinds], loc="outside lower center", ncols=4)
    return drawn


def _fold() -> float:
    """Return the g_h at which chaos appears for the last alpha_r."""

    def above(gain: float) -> float:
        return float(dynamical_line(gain, 1.0)) - ALPHAS[-1]

    return float(root_scalar(above, bracket=_BRACKET, xtol=1e-10).root)


def _smooth(alpha: float, size: Size) -> xr.Dataset:
    """Return theory's line where chaos starts from the fixed point, continuously."""
    below = np.linspace(LOWEST, CRITICAL, size.lines)[:-1]
    # Close above the transition the states are small and slow: there the line starts at zero.
    above = CRITICAL + (HIGHEST - CRITICAL) * np.linspace(0, 1, size.lines + 1)[1:] ** 1.5
    rows = _resting(alpha, below) + _moving(alpha, above) + [("moving", CRITICAL, 0.0, 0.0)]
    return line_table("g_h", rows, alpha_r=alpha)


def _jump(alpha: float, fold: float, size: Size) -> xr.Dataset:
    """Return theory's lines where two moving states appear beside the stable fixed point."""
    rows = _resting(alpha, np.linspace(LOWEST, CRITICAL, size.lines)[:-1])
    rows += _moving(alpha, np.linspace(CRITICAL, HIGHEST, size.lines)[1:])
    # At the fold both states change as a square root.
    gains = fold + (_BESIDE - fold) * np.linspace(0.03, 1, size.lines) ** 2
    beside = {float(gain): GatedRNN(gain, alpha_r=alpha) for gain in gains}
    rows += coexisting_rows(beside, fold)
    # The smaller state shrinks into the fixed point as that loses stability.
    rows.append(("divides", CRITICAL, 0.0, 0.0))
    chaos = min((gain, exponent) for kind, gain, exponent, _ in rows if kind == "moving")[1]
    attributes = {"fold": fold, "fixed_point": fold / 4 - 0.5, "chaos": chaos}
    return line_table("g_h", rows, alpha_r=alpha, **attributes)


def _resting(alpha: float, gains: HostArray) -> list[Row]:
    states = [theory_states(GatedRNN(gain, alpha_r=alpha))[0] for gain in gains]
    # The leading edge is zero where the fixed point loses stability (Eq. 6).
    return [*rows_of("rest", gains, states), ("rest", CRITICAL, 0.0, 0.0)]


def _moving(alpha: float, gains: HostArray) -> list[Row]:
    states = [theory_states(GatedRNN(gain, alpha_r=alpha))[-1] for gain in gains]
    return rows_of("moving", gains, states)


def _line(alpha: float, table: xr.Dataset, found: Sequence[Station]) -> str:
    start = f"(c), (d) alpha_r = {alpha:g}: "
    if "fold" in table.attrs:
        jump = table.attrs
        start += (
            f"theory jumps at g_h = {jump['fold']:.5f} from {jump['fixed_point']:.4f} (the fixed "
            f"point, stable up to {CRITICAL:g}) to {jump['chaos']:.4f}"
        )
    else:
        start += f"theory passes zero continuously at g_h = {CRITICAL:g}"
    return "\n    ".join([start, *(station_text(one, "g_h") for one in found)])
