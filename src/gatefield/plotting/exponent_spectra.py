"""Lyapunov spectra of networks drawn on axes, and how they and the dimension converge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatefield.analysis.lyapunov import LyapunovSpectrum, kaplan_yorke_dimension
from gatefield.core.checks import check_choice, check_count
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray
from gatefield.plotting.names import time_unit
from gatefield.plotting.style import style

NETWORKS, THEORY = "#d62839", "black"
_LARGEST = ("#d62839", "#3d5a98", "#2a9d8f", "#8d5fa8")
_ZERO: dict[str, Any] = {"color": "#7a7a7a", "linewidth": 0.9, "linestyle": ":", "zorder": 0}
_MOST_BARS = 40  # more would hide each other: a band is drawn
_FEW_NETWORKS = 2  # whose scatter is an error
_UNSETTLED = 8  # a part of the run so long from its start is left out of the choice of the range


def plot_exponent_spectrum(
    exponents: Any,
    errors: Any = None,
    *,
    ranks: Any = None,
    ax: Axes | None = None,
    label: str = "networks",
    colour: str = NETWORKS,
    unit: str = "time constant",
) -> Axes:
    """Draw exponents against their rank: each network a thin line, their mean thick.

    Parameters
    ----------
    exponents
        Per ``unit``, descending, (network, exponent). Where one is minus infinity nothing is drawn.
    errors
        Standard errors, (network, exponent): used for a single network. The error of the mean of
        several is that of their scatter.
    ranks
        Where to draw, (exponent,); by default 1, 2, ...
    ax
        Where to draw; by default new axes.
    label, colour
        Of the lines.
    unit
        Of time: "time constant", or "step" for maps.

    Returns
    -------
    Axes
        With a line at zero.

    Raises
    ------
    InvalidInputError
        If the shapes do not fit.
    """
    y = np.asarray(exponents, float)
    if y.ndim != 2 or y.size == 0:
        refuse("exponents.shape", y.shape, "(networks, exponents)", "Add an axis for one network.")
    x = np.arange(1, y.shape[1] + 1) if ranks is None else np.asarray(ranks, float)
    if x.shape != y.shape[1:]:
        refuse("ranks.shape", x.shape, f"({y.shape[1]},)", "One rank for each exponent.")
    wide = None if errors is None else np.asarray(errors, float)
    if wide is not None and wide.shape != y.shape:
        refuse("errors.shape", wide.shape, str(y.shape), "One error for each exponent.")
    check_choice("unit", unit, ("time constant", "step"))
    y = np.where(np.isfinite(y), y, np.nan)
    if ax is None:
        ax = plt.subplots()[1]
    ax.axhline(0.0, **_ZERO)
    several = len(y) >= _FEW_NETWORKS
    if several:
        for row in y:
            ax.plot(x, row, color=colour, linewidth=0.6, alpha=0.4, label="_", zorder=2)
        wide = y.std(axis=0, ddof=1) / np.sqrt(len(y))
    elif wide is not None:
        wide = wide[0]
    _draw_mean(ax, x, y.mean(axis=0), wide, label, colour)
    ax.set_xlabel("rank")
    ax.set_ylabel(rf"exponent $\lambda_i$ (per {unit})")
    return ax


def plot_exponent_convergence(
    spectra: Sequence[LyapunovSpectrum],
    count: int = 3,
    *,
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    """Draw the estimates of the first exponents as the run goes on, each network a line.

    Parameters
    ----------
    spectra
        Of networks of one cell.
    count
        How many exponents, from the largest.
    ax
        Where to draw; by default new axes.
    legend
        Whether to name the exponents.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If there is no spectrum.
    """
    first = _first(spectra)
    count = min(check_count("count", count), first.exponents.size, len(_LARGEST))
    if ax is None:
        ax = plt.subplots()[1]
    ax.axhline(0.0, **_ZERO)
    settled = []
    for one in spectra:
        times, history = _times(one), one.history
        settled.append(history[_start(history) :, :count])
        for place, colour in enumerate(_LARGEST[:count]):
            name = rf"$\lambda_{place + 1}$" if one is first else "_"
            ax.plot(times, history[:, place], color=colour, linewidth=1.0, alpha=0.8, label=name)
    _keep_in_view(ax, np.concatenate(settled))
    unit = time_unit(first.is_map)
    ax.set_xlabel(f"time measured ({unit}s)")
    ax.set_ylabel(f"estimate of $\\lambda_i$\n(per {unit})")
    if legend:
        ax.legend(loc="best", ncols=count)
    return ax


def plot_dimension_convergence(
    spectra: Sequence[LyapunovSpectrum], *, ax: Axes | None = None
) -> Axes:
    """Draw the Kaplan-Yorke dimension (Eq. 9) as the run goes on, with its last error.

    Parameters
    ----------
    spectra
        Of networks of one cell; a line ends where too few exponents are known for Eq. 9.
    ax
        Where to draw; by default new axes.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If there is no spectrum.
    """
    first = _first(spectra)
    if ax is None:
        ax = plt.subplots()[1]
    settled = []
    for one in spectra:
        times, rows = _times(one), one.history
        found = np.array([kaplan_yorke_dimension(row, complete=one.complete) for row in rows])
        settled.append(found[_start(rows) :])
        ax.plot(times, found, color=NETWORKS, linewidth=1.0, alpha=0.8)
        bar: dict[str, Any] = {"color": NETWORKS, "markersize": 3.5, "capsize": 2, "linewidth": 1.1}
        ax.errorbar(times[-1], found[-1], yerr=one.kaplan_yorke_error, fmt="o", **bar)
    together = np.concatenate(settled)
    if np.isfinite(together).any():
        _keep_in_view(ax, together)
        low, high = ax.get_ylim()
        # Of a fixed point it is zero all the time.
        ax.set_ylim(max(0.0, low), max(high, 0.5))
    else:
        told = "not reached:\nthe known exponents have a positive sum"
        ax.text(0.5, 0.5, told, transform=ax.transAxes, ha="center", va="center")
    ax.set_xlabel(f"time measured ({time_unit(first.is_map)}s)")
    ax.set_ylabel("Kaplan-Yorke dimension")
    return ax


def exponent_spectrum_figure(
    spectra: Sequence[LyapunovSpectrum],
    *,
    theory: Sequence[tuple[str, float]] = (),
    title: str = "",
) -> Figure:
    """Draw the spectra of networks of one cell, and how exponents and dimension converged.

    Parameters
    ----------
    spectra
        With equally many exponents.
    theory
        Name and value of each largest exponent that mean-field theory has, drawn as dashed lines.
    title
        Above everything.

    Returns
    -------
    Figure

    Raises
    ------
    InvalidInputError
        If there is no spectrum.
    """
    first = _first(spectra)
    exponents = np.array([one.exponents for one in spectra])
    errors = np.array([one.standard_errors for one in spectra])
    with style():
        places: Any = [["spectrum", "exponents"], ["spectrum", "dimension"]]
        sizes: dict[str, Any] = {"figsize": (9.2, 4.8), "width_ratios": (1.25, 1)}
        drawn, axes = plt.subplot_mosaic(places, **sizes)
        ax = axes["spectrum"]
        unit, several = time_unit(first.is_map), len(spectra) >= _FEW_NETWORKS
        name = f"mean of {len(spectra)} networks" if several else "network"
        plot_exponent_spectrum(exponents, errors, ax=ax, unit=unit, label=name)
        for number, (what, value) in enumerate(theory):
            dashes = (0, (5, 2 + 2 * number))
            label = rf"$\lambda_{{\max}}$ of mean-field theory, {what}"
            ax.axhline(value, color=THEORY, linewidth=1.1, ls=dashes, label=label, zorder=4)
        ax.set_xlim(0, None)
        ax.legend(loc="best")
        plot_exponent_convergence(spectra, ax=axes["exponents"])
        axes["exponents"].set_xlabel("")
        axes["exponents"].sharex(axes["dimension"])
        axes["exponents"].tick_params(labelbottom=False)
        plot_dimension_convergence(spectra, ax=axes["dimension"])
        axes["dimension"].set_xlim(0, None)
        if title:
            drawn.suptitle(title, fontsize=9)
    return drawn


def _first(spectra: Sequence[LyapunovSpectrum]) -> LyapunovSpectrum:
    if not spectra:
        refuse("spectra", spectra, "at least one spectrum", "Call lyapunov_spectrum first.")
    return spectra[0]


def _draw_mean(
    ax: Axes, x: HostArray, mean: HostArray, errors: HostArray | None, label: str, colour: str
) -> None:
    look: dict[str, Any] = {"color": colour, "linewidth": 1.6, "label": label, "zorder": 3}
    if errors is None:
        ax.plot(x, mean, **look)
    elif x.size <= _MOST_BARS:
        ax.errorbar(x, mean, yerr=errors, fmt="o-", markersize=2.5, capsize=2, **look)
    else:
        ax.plot(x, mean, **look)
        ax.fill_between(x, mean - errors, mean + errors, color=colour, alpha=0.3, lw=0, zorder=2)


def _times(one: LyapunovSpectrum) -> HostArray:
    return float(one.block_time) * np.arange(1, len(one.block_exponents) + 1)


def _start(rows: HostArray) -> int:
    return len(rows) // _UNSETTLED


def _keep_in_view(ax: Axes, values: HostArray) -> None:
    """Choose the range by what the run came to: its first blocks scatter far more."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return
    low, high = float(finite.min()), float(finite.max())
    room = 0.15 * (high - low) or 0.05 * max(abs(high), 1e-3)
    ax.set_ylim(low - room, high + room)
