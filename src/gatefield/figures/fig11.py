"""Figure 11 of the paper: how long chaos lasts beside a stable fixed point, against N."""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatefield.analysis.transients import TransientLengths, transient_lengths
from gatefield.cells import GatedRNN
from gatefield.figures.base import FigureResult, Report, silent
from gatefield.figures.transient_lines import claim_lines, length_line, region
from gatefield.networks import Network, simulate
from gatefield.phases import fixed_point_line
from gatefield.plotting import plot_survival, plot_transient_medians, style
from gatefield.plotting.transients import draw_medians, plain_times, size_colours
from gatefield.theory.dmft import solve_transient
from gatefield.theory.dynamical_fold import lagged_fold, potential_fold

GAIN = 1.8
"""The g_h at which alpha_r is raised: below 2 the zero state is stable."""
THRESHOLD = 0.01
"""Root mean square of h at rest."""
SHOWN = {"c": 9.0, "d": 20.0}
"""alpha_r of the traces and survival curves: regions 2 and 3."""
_STEP = 0.1
_THEORY_STEP = 0.2
_STATIC, _CHAOS, _FAST = "#1b7f3b", "#b3123a", "#c77d8a"
_TRACES = 3  # of each size


class Size(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    sizes, networks
        Units of the networks, and how many of each.
    alphas
        Gains of the output gate; those of `SHOWN` must be among them.
    t_max
        Longest time that is watched.
    theory
        For gains below the dynamical line, how long infinite networks are followed.
    samples, batches
        Of sampled theory.
    trace
        Duration of the traces.
    """

    sizes: tuple[int, ...]
    networks: int
    alphas: tuple[float, ...]
    t_max: float
    theory: dict[float, float]
    samples: int
    batches: int
    trace: float


FULL = Size(
    (200, 400, 800),
    40,
    (6.0, 9.0, 11.0, 13.0, 16.0, 20.0),
    1500.0,
    {6.0: 100.0, 9.0: 130.0, 11.0: 180.0},
    6000,
    4,
    400.0,
)
QUICK = Size((200, 600), 40, (6.0, 9.0, 13.0, 20.0), 600.0, {9.0: 130.0}, 2000, 4, 300.0)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    r"""Compute Figure 11: times to rest against alpha_r and N, on both sides of the critical lines.

    The captions of the figure are not at hand; g_h, alpha_r and sizes are chosen so that regions 1,
    2 and 3 are met: :math:`\alpha^*_{\mathrm{FP}} = 8.157` and, for tau_r = 1,
    :math:`\alpha^*_{\mathrm{DMFT}} = 14.54`.

    That transients do not scale with N below the dynamical line holds for large N. Two sets of
    networks, together 100 each of 200 and 400 units and 70 of 800, had medians of 66, 76, 78 at
    alpha_r = 9 and 80, 91, 99 at 11, which tend to the times at which mean-field theory comes to
    rest, 86(2) and 103(2). Over these N that is a growth as N^0.12 (0.05 to 0.19) and N^0.16 (0.04
    to 0.23), which a single set of 40 does not show. The scatter shrinks with N, and the log-rank
    test cannot tell 200 from 800 units (p = 0.7 and 0.8). Above the line it can (p = 4e-5 and
    2e-15): 128, 177, 240 at 16 or N^0.45 (0.21 to 0.64), and 164, 315, 759 at 20 or N^1.10 (0.81 to
    1.27), where the lengths scatter as those of events that happen at random. Next to the line, at
    13, medians of 88, 100, 131 grow as N^0.29 (0.11 to 0.45): there both sides look alike. Of 200
    units a few networks in a hundred end at fixed points of their own or on cycles.

    Parameters
    ----------
    quick
        Few networks, of two sizes.
    seed
        Of the networks.
    report
        Called with what is being computed.
    size
        Overrides ``quick``.

    Returns
    -------
    FigureResult
        A result "alpha_r_9" for each gain, tables "medians", "theory" and "traces".

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 11, Sec. V B 3, App. G 2.
    """
    size = size or (QUICK if quick else FULL)
    critical = {
        "fixed_points": float(fixed_point_line(GAIN)),
        "fast": float(potential_fold(GAIN).alpha_r),
        "slow": float(lagged_fold(GAIN, 1.0).alpha_r),
    }
    found: dict[float, TransientLengths] = {}
    for alpha in size.alphas:
        report(f"networks at alpha_r = {alpha:g}")
        found[alpha] = transient_lengths(
            GatedRNN(GAIN, alpha_r=alpha),
            size.sizes,
            networks=size.networks,
            t_max=size.t_max,
            threshold=THRESHOLD,
            dt=_STEP,
            dtype="float32",
            seed=seed,
            progress=False,
        )
    theory = _theory(size, seed, report)
    traces = _traces(found, size, report)
    lines = (
        _critical_line(critical),
        *(length_line(alpha, one, critical, theory) for alpha, one in found.items()),
        *claim_lines(found, critical, theory),
    )
    tables = {"medians": _medians(found, critical), "theory": theory, "traces": traces}
    results = {f"alpha_r_{alpha:g}": one for alpha, one in found.items()}
    return FigureResult({}, {}, tables, lines, results)


def figure(result: FigureResult) -> Figure:
    """Draw Figure 11.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Panels (a) to (e).
    """
    table, traces = result.tables["medians"], result.tables["traces"]
    found: dict[float, Any] = {
        float(alpha): result.results[f"alpha_r_{alpha:g}"] for alpha in table["alpha_r"].values
    }
    with style():
        drawn = plt.figure(figsize=(11.0, 6.8))
        axes = drawn.subplot_mosaic("aab;cde")
        _draw_medians(axes["a"], table, result.tables["theory"])
        _draw_growth(axes["b"], found, table.attrs)
        for panel, alpha in SHOWN.items():
            _draw_traces(axes[panel], traces.sel(alpha_r=alpha), panel)
        _draw_survival(axes["e"], found)
    return drawn


def crossing(times: np.ndarray, sizes: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Return when a decaying size last falls to the threshold, and the standard error of that.

    NaN if it does not, or starts below.
    """
    above = np.flatnonzero(sizes > THRESHOLD)
    if not above.size or above[-1] + 1 >= times.size:
        return np.nan, np.nan
    first, second = above[-1], above[-1] + 1
    fall = np.log(sizes[first] / sizes[second])
    part = np.log(sizes[first] / THRESHOLD) / fall
    spacing = times[second] - times[first]
    return float(times[first] + part * spacing), float(errors[second] / sizes[second] / fall) * (
        float(spacing)
    )


def _theory(size: Size, seed: int, report: Report) -> xr.Dataset:
    """Return when infinite networks come to rest, for gains at which they do."""
    rows = []
    for alpha, duration in size.theory.items():
        report(f"mean-field theory at alpha_r = {alpha:g}")
        one = solve_transient(
            GatedRNN(GAIN, alpha_r=alpha),
            duration,
            samples=size.samples,
            batches=size.batches,
            dt=_THEORY_STEP,
            save_every=1.0,
            dtype="float32",
            seed=seed,
            progress=False,
        )
        rms = np.sqrt(np.diag(one.covariance["h"]))
        rows.append(crossing(one.times, rms, np.diag(one.standard_error["h"]) / (2 * rms)))
    columns = np.array(rows, float).reshape(-1, 2)
    units = {"units": "time constant"}
    return xr.Dataset(
        {"time": ("alpha_r", columns[:, 0], units), "error": ("alpha_r", columns[:, 1], units)},
        {"alpha_r": list(size.theory)},
    )


def _medians(found: dict[float, TransientLengths], critical: dict[str, float]) -> xr.Dataset:
    first = next(iter(found.values()))
    intervals = np.array([one.median_intervals() for one in found.values()])
    spreads = [[one.survival(int(n)).spread for n in one.sizes] for one in found.values()]
    units = {"units": "time constant"}
    dims = ("alpha_r", "size")
    return xr.Dataset(
        {
            "median": (dims, np.array([one.medians for one in found.values()]), units),
            "low": (dims, intervals[..., 0], units),
            "high": (dims, intervals[..., 1], units),
            "spread": (dims, np.array(spreads), {"description": "quartiles over median"}),
        },
        {"alpha_r": list(found), "size": first.sizes},
        {**critical, "g_h": GAIN, "t_max": float(first.t_max)},
    )


def _traces(found: dict[float, TransientLengths], size: Size, report: Report) -> xr.Dataset:
    """Return root mean squares of h against time, for the first networks of both extreme sizes."""
    ends = sorted({min(size.sizes), max(size.sizes)})
    rows, times = [], np.zeros(0)
    for alpha in SHOWN.values():
        report(f"traces at alpha_r = {alpha:g}")
        one, cell = found[alpha], GatedRNN(GAIN, alpha_r=alpha)
        for n in ends:
            place = int(np.flatnonzero(one.sizes == n)[0])
            for seed in one.seeds[place, :_TRACES].tolist():
                network = Network.sample(cell, n, seed=seed, dtype="float32")
                path = simulate(
                    network, size.trace, dt=_STEP, save_every=5, seed=seed, progress=False
                )
                times = path.times
                rows.append(np.sqrt(np.mean(path.component("h").astype(float) ** 2, axis=-1)))
    shape = (len(SHOWN), len(ends), -1, times.size)
    return xr.Dataset(
        {"rms": (("alpha_r", "size", "network", "time"), np.array(rows).reshape(shape))},
        {"alpha_r": list(SHOWN.values()), "size": ends, "time": times},
    )


def _critical_line(critical: dict[str, float]) -> str:
    return (
        f"(a) g_h = {GAIN:g}, alpha_z = 0, tau_r = 1: unstable fixed points from alpha_r = "
        f"{critical['fixed_points']:.4f} on, chaos of infinite networks from "
        f"{critical['slow']:.4f} on ({critical['fast']:.4f} for tau_r -> 0); rest is rms h < "
        f"{THRESHOLD:g}"
    )


def _draw_medians(ax: Axes, table: xr.Dataset, theory: xr.Dataset) -> None:
    alphas, t_max = table["alpha_r"].values, table.attrs["t_max"]
    colours = size_colours(table.sizes["size"])
    # Side by side, so that intervals do not cover each other.
    shifts = 0.12 * (np.arange(table.sizes["size"]) - (table.sizes["size"] - 1) / 2)
    for n, colour, shift in zip(table["size"].values, colours, shifts, strict=True):
        one = table.sel(size=n)
        bars = np.stack([one["low"].values, one["high"].values], axis=1)
        look: dict[str, Any] = {"label": f"$N = {n}$", "colour": colour, "linestyle": "-"}
        draw_medians(ax, alphas + shift, one["median"].values, bars, t_max, **look)
    look = {"fmt": "D", "color": "black", "mfc": "white", "markersize": 5, "zorder": 4}
    shown = theory["time"].values, theory["error"].values
    if np.isfinite(shown[0]).any():
        name = r"mean-field theory, $N \to \infty$"
        ax.errorbar(theory["alpha_r"], shown[0], yerr=shown[1], label=name, **look)
    ax.set_yscale("log")
    verticals = {
        "fixed_points": (_STATIC, ":", r"$\alpha^*_{\mathrm{FP}}$"),
        "slow": (_CHAOS, "--", r"$\alpha^*_{\mathrm{DMFT}}$, $\tau_r = 1$"),
        "fast": (_FAST, "--", r"$\alpha^*_{\mathrm{DMFT}}$, $\tau_r \to 0$"),
    }
    for name, (colour, dash, label) in verticals.items():
        ax.axvline(table.attrs[name], color=colour, lw=1.2, ls=dash, label=label, zorder=0)
    plain_times(ax.yaxis)
    ax.set_xlabel(r"output-gate gain $\alpha_r$")
    ax.set_ylabel("median transient (time constants)")
    ax.set_title(rf"(a)  time to rest, $g_h = {GAIN:g}$")
    ax.legend(loc="upper left", ncols=2)


def _draw_growth(ax: Axes, found: dict[float, Any], critical: dict[str, Any]) -> None:
    alphas = list(found)
    for alpha in alphas:
        same = [one for one in alphas if region(one, critical) == region(alpha, critical)]
        place = 0.5 if len(same) == 1 else same.index(alpha) / (len(same) - 1)
        shades = {1: "Greys", 2: "Blues", 3: "Reds"}[region(alpha, critical)]
        colour = plt.get_cmap(shades)(0.5 + 0.4 * place)
        power = float(found[alpha].trend().power)
        name = rf"$\alpha_r = {alpha:g}$: $N^{{{power:.2f}}}$"
        plot_transient_medians(found[alpha], ax=ax, label=name, colour=colour)
    handles, labels = ax.get_legend_handles_labels()
    ax.set_title("(b)  growth with $N$")
    low, high = ax.get_ylim()
    # Room for the legend above everything.
    ax.set_ylim(low, high * (high / low) ** 0.55)
    ax.legend(handles[::-1], labels[::-1], loc="upper left", ncols=2, fontsize=7)


def _draw_traces(ax: Axes, traces: xr.Dataset, panel: str) -> None:
    colours = size_colours(traces.sizes["size"])
    for n, colour in zip(traces["size"].values, colours, strict=True):
        for row in range(traces.sizes["network"]):
            one = traces["rms"].sel(size=n).isel(network=row)
            label = f"$N = {n}$" if row == 0 else None
            ax.plot(traces["time"], one, color=colour, lw=1.0, label=label)
    ax.axhline(THRESHOLD, color="#7a7a7a", lw=0.9, ls=":")
    ax.set_yscale("log")
    ax.set_ylim(0.3 * THRESHOLD, 4.0)
    ax.set_xlim(0, float(traces["time"][-1]))
    ax.set_xlabel("time (time constants)")
    ax.set_ylabel(r"rms of $h$")
    alpha = float(traces["alpha_r"])
    side = {"c": "below", "d": "above"}[panel]
    ax.set_title(rf"({panel})  {side} the line, $\alpha_r = {alpha:g}$")
    ax.legend(loc="upper right", ncols=2)


def _draw_survival(ax: Axes, found: dict[float, Any]) -> None:
    for alpha, dash in zip(SHOWN.values(), ("--", "-"), strict=True):
        one = found[alpha]
        colours = size_colours(one.sizes.size)
        for n, colour in zip(one.sizes, colours, strict=True):
            # Colours are those of panel (a).
            label = rf"$\alpha_r = {alpha:g}$" if n == one.sizes[-1] else ""
            curve = one.survival(int(n))
            plot_survival(curve, ax=ax, label=label, colour=colour, linestyle=dash)
    ax.set_xscale("log")
    plain_times(ax.xaxis)
    ends = [one.lengths[np.isfinite(one.lengths)] for one in (found[a] for a in SHOWN.values())]
    ax.set_xlim(0.8 * min(each.min() for each in ends), 1.05 * max(each.max() for each in ends))
    ax.set_xlabel("time (time constants)")
    ax.set_title("(e)  networks not yet at rest, $N$ as in (a)")
    ax.legend(loc="upper right")
