r"""Correlation functions drawn on axes: theory's line over the spread of networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gatefield.analysis import CorrelationFunctions
from gatefield.compare import last_lag
from gatefield.core.errors import refuse
from gatefield.plotting.names import symbol, time_unit
from gatefield.plotting.style import style
from gatefield.theory.dmft import MeanField

THEORY, NETWORKS = "black", "#d62839"
_SINGLE = "#9aa5b1"
_COLUMNS = 3
_PANEL = (3.6, 2.9)  # inches


def plot_correlation(
    name: str,
    theory: MeanField | None = None,
    networks: CorrelationFunctions | None = None,
    *,
    ax: Axes | None = None,
    max_lag: float | None = None,
    legend: bool = True,
    label: str = "theory",
    colour: str = THEORY,
) -> Axes:
    """Draw one correlation function: theory's line with its error, the networks around it.

    Parameters
    ----------
    name
        The quantity, such as "h" or "phi".
    theory
        A stationary mean field; its band is one standard error. Sampled paths have no later lags
        than they were solved for: there the line ends.
    networks
        What networks gave: each a thin line, their mean a thick one with its standard error.
    ax
        Where to draw; by default new axes.
    max_lag
        Largest lag, in units of the units' time constant; by default the networks', or five
        relaxation times of theory.
    legend
        Whether to name what is drawn.
    label
        Name of theory's line.
    colour
        Of theory's line and band.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If there is nothing to draw, or no such quantity.
    """
    given = [each for each in (theory, networks) if each is not None]
    if not given:
        refuse("theory, networks", None, "at least one of them", "Pass a MeanField.")
    for each in given:
        if name not in each.covariance:
            refuse("name", name, f"one of {', '.join(each.covariance)}", "Check the spelling.")
    if ax is None:
        ax = plt.subplots()[1]
    last = _last(name, given[-1]) if max_lag is None else max_lag
    if networks is not None:
        kept = networks.lags <= last * (1 + 1e-9)
        lags = networks.lags[kept]
        for number, row in enumerate(networks.by_network[name]):
            what = "single networks" if number == 0 else "_"
            ax.plot(lags, row[kept], color=_SINGLE, linewidth=0.7, label=what, zorder=1)
        mean, error = networks.covariance[name][kept], networks.standard_error[name][kept]
        ax.plot(lags, mean, color=NETWORKS, linewidth=2.6, alpha=0.75, label="their mean", zorder=2)
        ax.fill_between(lags, mean - error, mean + error, color=NETWORKS, alpha=0.2, lw=0, zorder=1)
    if theory is not None:
        lags = _dense(theory, last)
        values, error = theory.at(name, lags), theory.error_at(name, lags)
        ax.plot(lags, values, color=colour, linewidth=1.4, label=label, zorder=4)
        if np.any(error > 0):
            ax.fill_between(
                lags, values - error, values + error, color=colour, alpha=0.25, lw=0, zorder=3
            )
    _frame(ax, name, last, given[0].is_map)
    if legend:
        ax.legend(loc="best")
    return ax


def correlation_figure(
    names: Sequence[str],
    theory: MeanField | None = None,
    networks: CorrelationFunctions | None = None,
    *,
    max_lag: float | None = None,
    title: str = "",
) -> Figure:
    """Draw several correlation functions, a panel for each, under one legend.

    Parameters
    ----------
    names
        The quantities.
    theory, networks, max_lag
        As in `plot_correlation`.
    title
        Above everything.

    Returns
    -------
    Figure
    """
    columns = min(len(names), _COLUMNS)
    rows = -(-len(names) // columns)
    with style():
        size = (max(columns * _PANEL[0], 4.4), rows * _PANEL[1] + 0.8)
        drawn, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
        for ax, name in zip(axes.flat, names, strict=False):
            plot_correlation(name, theory, networks, ax=ax, max_lag=max_lag, legend=False)
        for ax in axes.flat[len(names) :]:
            ax.remove()
        handles, labels = axes[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        if title:
            drawn.suptitle(title, fontsize=10)
    return drawn


def _last(name: str, given: MeanField | CorrelationFunctions) -> float:
    if isinstance(given, CorrelationFunctions):
        return float(given.lags[-1])
    return float(np.clip(5 * given.relaxation_time(name), given.lags[1], given.lags[-1]))


def _dense(theory: MeanField, last: float) -> Any:
    """Return lags for a smooth line; maps have whole ones only."""
    last = min(last, last_lag(theory))
    if theory.is_map:
        return np.arange(np.floor(last + 1e-9) + 1.0)
    return np.linspace(0.0, last, 301)


def _frame(ax: Axes, name: str, last: float, is_map: bool) -> None:
    ax.set_xlim(0, last)
    low, high = ax.get_ylim()
    # A covariance that hardly moves is drawn flat, not as its own rounding.
    middle, least = 0.5 * (low + high), 0.05 * max(abs(low), abs(high))
    if high - low < least:
        ax.set_ylim(middle - least, middle + least)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(rf"lag $\tau$ ({time_unit(is_map)}s)")
    ax.set_ylabel(rf"$C_{{{symbol(name)}}}(\tau)$")
