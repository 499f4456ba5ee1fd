"""Figure 3 of the paper: Lyapunov spectra, dimension, the largest exponent at transitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.optimize import root_scalar

from gatefield.cells import GatedRNN
from gatefield.compare import Station, compare, stations, theory_states
from gatefield.core.types import HostArray
from gatefield.figures.base import FigureResult, Report, silent, verdict
from gatefield.figures.exponent_spectra import (
    NEAR,
    SpectrumSize,
    near_zero,
    plot_dimensions,
    plot_spectra,
    raised_ranks,
    spectra_along,
    spectra_table,
    steps_text,
)
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
ALPHAS_Z = (0.0, 5.0, 20.0)
"""Update-gate gains of panel (a), at alpha_r = 2."""
GAIN, BESIDE_Z = 3.0, 2.0
"""g_h of panels (a) and (b), and alpha_r of panel (a)."""
CRITICAL = 2.0
"""The zero fixed point loses stability here (Eq. 6)."""
LOWEST, HIGHEST = 1.5, 4.0
_BRACKET = (1.65, 1.95)  # of the g_h at which chaos appears for the last alpha_r
_BESIDE = 1.99  # up to here two moving states are sought beside the stable fixed point
_APART = 0.012  # between the networks of each alpha_r at one g_h
_COLOURS = {0.0: "#2a9d8f", 2.0: "#3d5a98", 20.0: "#c8553d"}
_COLOURS_Z = ("#b8a9d0", "#8d5fa8", "#4a2a6a")
_SUM = -2.5  # of the exponents over N: the trace -s_z - 1/tau_z - 1/tau_r, s_z = 1/2 (alpha_z = 0)

FULL = Size((300, 900), 5, 16, (1.6, 1.7, 1.85, 2.3, 3.0, 3.9), 120.0, 80.0)
QUICK = Size((150, 300), 3, 6, (1.6, 1.9, 2.5, 3.5), 100.0, 60.0)
"""Theory's line has ``lines`` values of g_h on each side of the transition."""
FULL_SPECTRA = SpectrumSize(200, 4, (1.7, 1.9, 2.3, 2.8, 3.4, 4.0), 200.0, 100.0)
QUICK_SPECTRA = SpectrumSize(80, 3, (1.9, 2.5, 3.5), 100.0, 60.0)
"""The values are g_h of panel (c)."""


def compute(
    *,
    quick: bool = False,
    seed: int = 0,
    report: Report = silent,
    size: Size | None = None,
    spectra: SpectrumSize | None = None,
) -> FigureResult:
    r"""Compute Figure 3: Lyapunov spectra and dimensions of networks, then theory's lines.

    Panels (a) to (c) are networks alone; theory gives the first exponent for alpha_z = 0. Panel
    (d): at a stable fixed point the exponent is the leading edge of the Jacobian's spectrum,
    :math:`(g_h/2 - 1)/2`; in moving states it solves Eqs. 10-11, exactly since alpha_z = 0.

    Parameters
    ----------
    quick
        Small networks, and few of them.
    seed
        Of the first network.
    report
        Called with what is being computed.
    size, spectra
        Of panel (d), and of panels (a) to (c); they override ``quick``.

    Returns
    -------
    FigureResult
        Tables "spectra_alpha_z", "spectra_alpha_r", "dimensions_0" and so on by alpha_r, "theory_0"
        and "networks_0" alike.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 3, Eqs. 6, 9-11.
    """
    size = size or (QUICK if quick else FULL)
    spectra = spectra or (QUICK_SPECTRA if quick else FULL_SPECTRA)
    options: dict[str, Any] = {"seed": seed, "report": report}
    tables = _spectra(spectra, options)
    lines = _spectra_lines(tables)
    lines.append("(d): alpha_z = 0, tau_r = 1")
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
    """Draw Figure 3.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        (a) spectra by alpha_z, (b) by alpha_r, (c) dimensions, (d) the largest exponent for all
        gains, and around the transitions.
    """
    with style():
        drawn = plt.figure(figsize=(11.0, 8.0))
        parts: Any = drawn.subfigures(2, 1, height_ratios=(1, 1.15))
        above, below = parts
        _draw_spectra(above.subplots(1, 3), result)
        axes = below.subplots(1, 2, width_ratios=(1.25, 1))
        _draw_transitions(axes, result)
        below.legend(handles=_handles(result), loc="outside lower center", ncols=4)
    return drawn


def _draw_spectra(axes: Sequence[Axes], result: FigureResult) -> None:
    """Draw panels (a) to (c)."""
    tables = result.tables
    plot_spectra(tables["spectra_alpha_z"], "alpha_z", _COLOURS_Z, ax=axes[0])
    colours = [_COLOURS[alpha] for alpha in ALPHAS]
    plot_spectra(tables["spectra_alpha_r"], "alpha_r", colours, ax=axes[1])
    theory = tables["spectra_alpha_r"]["theory"].values
    look: dict[str, Any] = {"s": 18, "marker": "D", "facecolor": "white", "zorder": 5}
    axes[1].scatter(0 * theory, theory, edgecolor=colours, clip_on=False, **look)
    axes[1].scatter([], [], edgecolor="black", label="theory, largest", **look)
    for number, alpha in enumerate(ALPHAS):
        table = tables[f"dimensions_{alpha:g}"]
        own: dict[str, Any] = {"colour": _COLOURS[alpha], "label": rf"$\alpha_r = {alpha:g}$"}
        plot_dimensions(table, "g_h", ax=axes[2], shift=(number - 1) * _APART, **own)
    n = tables["spectra_alpha_z"].attrs["n"]
    axes[0].set_title(rf"(a)  update gate: $g_h = {GAIN:g}$, $\alpha_r = {BESIDE_Z:g}$")
    axes[1].set_title(rf"(b)  output gate: $g_h = {GAIN:g}$, $\alpha_z = 0$")
    axes[2].set_title(rf"(c)  dimension (Eq. 9), $\alpha_z = 0$, $N = {n}$")
    axes[2].axvline(CRITICAL, color="#7a7a7a", linewidth=0.9, linestyle=":", zorder=0)
    axes[2].set_xlabel(r"activation gain $g_h$")
    axes[2].set_ylabel("Kaplan-Yorke dimension / $N$")
    for ax in axes[:2]:
        ax.set_xlim(0, None)
    for ax in axes:
        ax.legend(loc="best")


def _draw_transitions(axes: Sequence[Axes], result: FigureResult) -> None:
    """Draw panel (d), and a closer look at it."""
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
    axes[0].set_title(r"(d)  transitions to chaos, $\alpha_z = 0$")
    axes[1].set_xlim(1.55, 2.25)
    axes[1].set_ylim(-0.125, 0.19)
    axes[1].set_ylabel("")
    axes[1].set_title("(d)  a closer look: where two states coexist")


def _handles(result: FigureResult) -> list[Line2D]:
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
    return [*colours, *kinds]


def _spectra(size: SpectrumSize, options: dict[str, Any]) -> dict[str, xr.Dataset]:
    """Return the tables of panels (a) to (c)."""
    by_z = {each: GatedRNN(GAIN, alpha_z=each, alpha_r=BESIDE_Z) for each in ALPHAS_Z}
    by_r = {each: GatedRNN(GAIN, alpha_r=each) for each in ALPHAS}
    along_z = spectra_along("alpha_z", by_z, size, **options)
    # One cell belongs to both panels.
    known = {BESIDE_Z: along_z[0.0]}
    along_r = spectra_along("alpha_r", by_r, size, known=known, **options)
    tables = {
        "spectra_alpha_z": spectra_table("alpha_z", along_z),
        "spectra_alpha_r": spectra_table("alpha_r", along_r),
    }
    largest = [float(theory_states(cell)[-1].exponent) for cell in by_r.values()]
    tables["spectra_alpha_r"]["theory"] = ("alpha_r", largest, {"units": "1 / time constant"})
    for alpha in ALPHAS:
        cells = {gain: GatedRNN(gain, alpha_r=alpha) for gain in size.values}
        # No dimension comes near N; Eq. 9 needs no exponents beyond it.
        found = spectra_along("g_h", cells, size, k=size.n, **options)
        tables[f"dimensions_{alpha:g}"] = spectra_table("g_h", found)
    return tables


def _spectra_lines(tables: dict[str, xr.Dataset]) -> list[str]:
    """Say for panels (a) to (c) what agrees with the paper's text, and what does not."""
    by_z, by_r = tables["spectra_alpha_z"], tables["spectra_alpha_r"]
    n = by_z.attrs["n"]
    near = steps_text(by_z["alpha_z"].values, near_zero(by_z), rising="more near zero")
    lines = [f"(a) N = {n}, exponents within {NEAR:g} of zero, over N: {near}"]
    largest = by_r["exponents"].values[..., 0]
    told = steps_text(by_r["alpha_r"].values, largest, rising="lambda_1 rises")
    theory = ", ".join(f"{each:.4f}" for each in by_r["theory"].values)
    lines.append(f"(b) lambda_1: {told}\n    theory, N -> inf: {theory}")
    up, down = raised_ranks(by_r, "alpha_r")
    lines.append(
        f"(b) from alpha_r = {ALPHAS[0]:g} to {ALPHAS[-1]:g}, of all exponents {up:.0%} rise and "
        f"{down:.0%} fall: not all can rise, since their sum is fixed by the trace"
    )
    for alpha, row in zip(ALPHAS, by_r["exponents"].values, strict=True):
        # Self-couplings J_ii answer to the state, which adds a sum of order 1.
        found = compare(_SUM, row.sum(axis=-1) / n, theory_error=1 / n, name="sum / N")
        lines.append(
            f"    alpha_r = {alpha:g}: sum / N = {float(found.measured):.4f} beside {_SUM:g} "
            f"(+- 1/N for self-couplings): {verdict(found.agrees)}"
        )
    for place, gain in enumerate(tables["dimensions_0"]["g_h"].values):
        dimensions = [
            tables[f"dimensions_{alpha:g}"]["kaplan_yorke_dimension"].values[place] / n
            for alpha in ALPHAS
        ]
        told = steps_text(np.array(ALPHAS), np.array(dimensions), rising="higher with alpha_r")
        moving = [int(np.sum(each > 0)) for each in dimensions]
        lines.append(
            f"(c) dimension / N at g_h = {gain:g}, alpha_r: {told}; above zero in "
            f"{', '.join(map(str, moving))} of {len(dimensions[0])} networks"
        )
    return lines


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
    start = f"(d) alpha_r = {alpha:g}: "
    if "fold" in table.attrs:
        jump = table.attrs
        start += (
            f"theory jumps at g_h = {jump['fold']:.5f} from {jump['fixed_point']:.4f} (the fixed "
            f"point, stable up to {CRITICAL:g}) to {jump['chaos']:.4f}"
        )
    else:
        start += f"theory passes zero continuously at g_h = {CRITICAL:g}"
    return "\n    ".join([start, *(station_text(one, "g_h") for one in found)])
