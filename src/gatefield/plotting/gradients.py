"""Gradients drawn on axes: adjoints back in time, sizes by parameter, and how fast they grow."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from gatefield.compare import GradientComparison
from gatefield.core.checks import check_choice, check_names
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray
from gatefield.plotting.names import symbol, time_unit
from gatefield.theory.adjoint import AdjointMeanField

THEORY, NETWORKS = "black", "#d62839"
_MARKS = 12  # times at which networks are drawn
_ZERO: dict[str, Any] = {"color": "#7a7a7a", "linewidth": 0.9, "linestyle": ":", "zorder": 0}


def plot_adjoint(
    theory: AdjointMeanField | None = None,
    networks: GradientComparison | None = None,
    *,
    component: str | None = None,
    ax: Axes | None = None,
    colour: str = THEORY,
    network_colour: str | None = None,
    label: str = "theory",
    network_label: str = "networks",
) -> Axes:
    r"""Draw the adjoint's mean square against time before the end, on a logarithmic scale.

    Parameters
    ----------
    theory
        Its line, with a band of one standard error.
    networks
        Means of the largest networks in theory's state, as dots with standard errors.
    component
        One component of the state; by default their sum, :math:`N^{-1}|a|^2`.
    ax
        Where to draw; by default new axes.
    colour, network_colour
        Of the line, and of the dots, which are red by default.
    label, network_label
        For the legend.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If there is nothing to draw, or no such component.
    """
    first = theory if theory is not None else networks
    if first is None:
        refuse("theory, networks", None, "at least one of them", "Pass an AdjointMeanField.")
    names = first.adjoint if isinstance(first, GradientComparison) else first.adjoint_variance
    if component is not None:
        check_names("component", [component], names)
    chosen = list(names) if component is None else [component]
    if ax is None:
        ax = plt.subplots()[1]
    if theory is not None:
        value = np.sum([theory.adjoint_variance[name] for name in chosen], axis=0)
        # Components of one march rise and fall together.
        error = np.sum([theory.adjoint_standard_error[name] for name in chosen], axis=0)
        ax.plot(theory.times, value, color=colour, linewidth=1.5, label=label, zorder=3)
        if np.any(error > 0):
            low = np.maximum(value - error, 1e-3 * value)
            ax.fill_between(theory.times, low, value + error, color=colour, alpha=0.22, lw=0)
    if networks is not None:
        _draw_networks(networks, chosen, ax, network_colour or NETWORKS, network_label)
    ax.set_yscale("log")
    ax.set_xlim(0, first.times[-1])
    ax.set_xlabel(f"time before the end ({time_unit(first.is_map)}s)")
    squared = r"|a|^2" if component is None else rf"|a_{{{component}}}|^2"
    ax.set_ylabel(rf"$\langle {squared} \rangle / N$")
    return ax


def _draw_networks(
    networks: GradientComparison, chosen: list[str], ax: Axes, colour: str, label: str
) -> None:
    mask = networks.belongs[-1]
    if not mask.any():
        return
    rows = np.sum([networks.adjoint[name][-1, mask] for name in chosen], axis=0)
    last = rows.shape[1] - 1
    places = np.unique(np.round(np.linspace(0, last, _MARKS)).astype(int))
    mean = rows.mean(axis=0)[places]
    error = rows.std(axis=0, ddof=min(1, len(rows) - 1))[places] / np.sqrt(len(rows))
    ax.errorbar(
        networks.times[places],
        mean,
        # A bar that reaches zero has no end on this scale.
        yerr=[np.minimum(error, 0.95 * mean), error],
        fmt="o",
        color=colour,
        markersize=3.6,
        capsize=1.5,
        linewidth=0.9,
        label=label,
        zorder=4,
    )


def plot_gradient_ratios(
    networks: GradientComparison,
    *,
    ax: Axes | None = None,
    colour: str = NETWORKS,
    label: str = "networks / theory",
    shift: float = 0.0,
) -> Axes:
    """Draw mean squared gradients of networks over theory's, by coupling matrix and parameter.

    Parameters
    ----------
    networks
        Theory and networks; extrapolated in 1/N where there are several sizes.
    ax
        Where to draw; by default new axes.
    colour, label
        Of the dots, whose bars are the standard errors of both sides together.
    shift
        To the right, where several are drawn beside each other.

    Returns
    -------
    Axes

    Raises
    ------
    InvalidInputError
        If there are too few networks to compare.
    """
    every = networks.comparisons()
    found = {name: one for name, one in every.items() if name in networks.gradients}
    if not found:
        refuse("networks", "no comparison", "at least three networks in the state", "Measure more.")
    if ax is None:
        ax = plt.subplots()[1]
    ratio = np.array([float(one.measured / one.theory) for one in found.values()])
    error = np.array(
        [
            float(np.hypot(one.standard_error, one.theory_error * one.measured / one.theory))
            / float(one.theory)
            for one in found.values()
        ]
    )
    ax.axhline(1.0, **_ZERO)
    ax.errorbar(
        np.arange(len(found)) + shift,
        ratio,
        yerr=error,
        fmt="o",
        color=colour,
        markersize=4.2,
        capsize=2,
        linewidth=1.0,
        label=label,
    )
    ax.set_xticks(np.arange(len(found)), [gradient_symbol(name) for name in found])
    if any(name.startswith(("gain_", "bias_")) for name in found):
        ax.tick_params(axis="x", labelrotation=45)
    ax.set_xlim(-0.6, len(found) - 0.4)
    ax.set_ylabel("mean squared gradient,\nnetworks / theory")
    return ax


def gradient_symbol(name: str) -> str:
    """Return the name of a coupling matrix or a parameter as mathematics.

    Parameters
    ----------
    name
        Such as "J_h" or "alpha_z".
    """
    if name.startswith("J_"):
        return rf"$J^{{{name[2:]}}}$"
    if name.startswith(("gain_", "bias_")):
        kind, _, field = name.partition("_")
        return rf"$\mathrm{{{kind}}}_{{{field}}}$"
    return rf"${symbol(name)}$"


def plot_growth(
    values: Any,
    rates: Any,
    errors: Any = None,
    *,
    ax: Axes | None = None,
    label: str = "theory",
    colour: str = THEORY,
    look: str = "line",
    linestyle: Any = "-",
    unit: str = "time constant",
) -> Axes:
    r"""Draw growth rates of :math:`|a|^2` against a parameter.

    Parameters
    ----------
    values
        The parameter, (point,).
    rates
        Per ``unit``, (point,); NaN leaves a gap.
    errors
        Standard errors, (point,); none by default.
    ax
        Where to draw; by default new axes.
    label, colour, linestyle
        Of the line or the dots.
    look
        "line", "squares" (open) for theory at single points, or "dots" for networks.
    unit
        Of time: "time constant", or "step" for maps.

    Returns
    -------
    Axes
        With a line at zero, where gradients keep their size.

    Raises
    ------
    InvalidInputError
        If the shapes do not fit.
    """
    check_choice("unit", unit, ("time constant", "step"))
    check_choice("look", look, ("line", "squares", "dots"))
    x, y = np.asarray(values, float), np.asarray(rates, float)
    if x.ndim != 1 or y.shape != x.shape:
        refuse("rates.shape", y.shape, f"{x.shape}", "One rate for each value.")
    if ax is None:
        ax = plt.subplots()[1]
    ax.axhline(0.0, **_ZERO)
    if look == "line":
        ax.plot(x, y, color=colour, linestyle=linestyle, linewidth=1.5, label=label, zorder=2)
        if errors is not None:
            wide: Float[HostArray, " point"] = np.asarray(errors, float)
            ax.fill_between(x, y - wide, y + wide, color=colour, alpha=0.22, lw=0)
    else:
        filled = "white" if look == "squares" else colour
        ax.errorbar(
            x,
            y,
            yerr=errors,
            fmt="s" if look == "squares" else "o",
            color=colour,
            markerfacecolor=filled,
            markersize=5.5 if look == "squares" else 4.2,
            capsize=2,
            linewidth=1.0,
            label=label,
            zorder=3 if look == "squares" else 4,
        )
    ax.set_ylabel(rf"growth rate of $|a|^2$ (per {unit})")
    return ax
