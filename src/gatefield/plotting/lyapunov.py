"""Largest Lyapunov exponents drawn on axes: along a line of parameters, and as a bound state."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from gatefield.core.checks import check_choice
from gatefield.core.errors import refuse

THEORY, NETWORKS, POTENTIAL, MODE = "black", "#d62839", "#3d5a98", "#d62839"
_ZERO: dict[str, Any] = {"color": "#7a7a7a", "linewidth": 0.9, "linestyle": ":", "zorder": 0}


def plot_exponents(
    values: Any,
    exponents: Any,
    errors: Any = None,
    *,
    ax: Axes | None = None,
    label: str = "theory",
    colour: str = THEORY,
    linestyle: Any = "-",
    unit: str = "time constant",
) -> Axes:
    """Draw theory's largest exponent against a parameter, with a band of one standard error.

    Parameters
    ----------
    values
        The parameter, (point,).
    exponents
        Per ``unit``, (point,); NaN leaves a gap.
    errors
        Standard errors, (point,); none by default.
    ax
        Where to draw; by default new axes.
    label, colour, linestyle
        Of the line.
    unit
        Of time: "time constant", or "step" for maps.

    Returns
    -------
    Axes
        With a line where chaos begins, at zero.

    Raises
    ------
    InvalidInputError
        If the shapes do not fit.
    """
    x, y = np.asarray(values, float), np.asarray(exponents, float)
    if x.ndim != 1 or y.shape != x.shape:
        refuse("exponents.shape", y.shape, f"{x.shape}", "One exponent for each value.")
    if ax is None:
        ax = plt.subplots()[1]
    ax.axhline(0.0, **_ZERO)
    ax.plot(x, y, color=colour, linestyle=linestyle, linewidth=1.6, label=label, zorder=3)
    # A line through a single point would not be seen.
    there = np.pad(np.isfinite(y), 1)
    alone = there[1:-1] & ~there[:-2] & ~there[2:]
    ax.plot(x[alone], y[alone], "_", color=colour, markersize=9, zorder=3)
    if errors is not None and np.any(np.nan_to_num(errors) > 0):
        wide = np.asarray(errors, float)
        ax.fill_between(x, y - wide, y + wide, color=colour, alpha=0.25, lw=0, zorder=2)
    _name_exponent(ax, unit)
    return ax


def plot_measured_exponents(
    values: Any,
    rates: Any,
    *,
    ax: Axes | None = None,
    label: str = "networks",
    colour: str = NETWORKS,
    hollow: bool = False,
    unit: str = "time constant",
) -> Axes:
    """Draw the exponents of networks: their mean with its standard error, each as a faint dot.

    Parameters
    ----------
    values
        The parameter, (point,).
    rates
        Per ``unit``, (point, network); NaN where there is no network.
    ax
        Where to draw; by default new axes.
    label, colour
        Of the dots.
    hollow
        Whether the dots are empty, for networks that came to rest.
    unit
        Of time: "time constant", or "step" for maps.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If the shapes do not fit.
    """
    x, y = np.asarray(values, float), np.asarray(rates, float)
    if x.ndim != 1 or y.ndim != 2 or y.shape[0] != x.size:
        refuse("rates.shape", y.shape, f"({x.size}, networks)", "One row for each value.")
    if ax is None:
        ax = plt.subplots()[1]
    ax.axhline(0.0, **_ZERO)
    count = np.isfinite(y).sum(axis=1)
    present = count > 0
    _name_exponent(ax, unit)
    if not present.any():
        return ax
    x, y, count = x[present], y[present], count[present]
    mean = np.nanmean(y, axis=1)
    spread = np.sqrt(np.nansum((y - mean[:, None]) ** 2, axis=1) / np.maximum(count - 1, 1))
    single: dict[str, Any] = {"color": colour, "markersize": 3.5, "alpha": 0.4, "zorder": 4}
    ax.plot(np.repeat(x, y.shape[1]), y.ravel(), ".", markeredgewidth=0, **single)
    ax.errorbar(
        x,
        mean,
        yerr=spread / np.sqrt(count),
        fmt="o",
        color=colour,
        markerfacecolor="white" if hollow else colour,
        markersize=4.5,
        capsize=2,
        linewidth=1.1,
        zorder=5,
        label=label,
    )
    return ax


def _name_exponent(ax: Axes, unit: str) -> None:
    check_choice("unit", unit, ("time constant", "step"))
    ax.set_ylabel(rf"exponent $\lambda_{{\max}}$ (per {unit})")


def plot_schroedinger(
    lags: Any,
    potential: Any,
    mode: Any,
    energy: float,
    *,
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    r"""Draw the perturbation's covariance as a bound state: potential, its level, its function.

    .. math:: [-\partial_\tau^2 + W(\tau)]\, X_h = E_0 X_h, \qquad E_0 = 1 - (1 + \lambda)^2

    Parameters
    ----------
    lags
        tau >= 0, (lag,), in units of the units' time constant; even functions are drawn on both
        sides.
    potential
        :math:`W = 1 - C_{\phi'}`, (lag,).
    mode
        X_h, 1 at lag 0, (lag,); drawn upon its level, as high as the potential is deep.
    energy
        E_0; below zero the network is chaotic.
    ax
        Where to draw; by default new axes.
    legend
        Whether to name what is drawn.

    Returns
    -------
    Axes
    """
    t, wall, wave = (np.asarray(each, float) for each in (lags, potential, mode))
    if not t.shape == wall.shape == wave.shape:
        refuse("mode.shape", wave.shape, f"{t.shape}", "Potential and mode at every lag.")
    if ax is None:
        ax = plt.subplots()[1]
    both = np.concatenate([-t[:0:-1], t])
    wall, wave = (np.concatenate([each[:0:-1], each]) for each in (wall, wave))
    ax.axhline(0.0, **_ZERO, label=r"first excited level, $E_1 = 0$")
    depth = 0.6 * np.ptp(wall)
    ax.plot(both, wall, color=POTENTIAL, label=r"potential $W(\tau) = 1 - C_{\phi'}(\tau)$")
    inside = np.where(wall < energy, energy, np.nan)
    ax.plot(both, inside, color=MODE, linewidth=1.0, label=r"level $E_0 = 1 - (1 + \lambda)^2$")
    raised = energy + depth * wave
    ax.fill_between(both, energy, raised, color=MODE, alpha=0.15, lw=0)
    ax.plot(both, raised, color=MODE, linewidth=1.6, label=r"ground state $X_h(\tau)$")
    ax.set_xlim(both[0], both[-1])
    ax.set_xlabel(r"lag $\tau$ (time constants)")
    ax.set_ylabel("energy")
    if legend:
        ax.legend(loc="best")
    return ax
