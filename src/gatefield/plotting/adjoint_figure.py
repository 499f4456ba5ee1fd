"""A figure of one state's gradients: the adjoint back in time, and what it makes of parameters."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatefield.compare import GradientComparison
from gatefield.plotting.gradients import gradient_symbol, plot_adjoint
from gatefield.plotting.style import style
from gatefield.theory.adjoint import AdjointMeanField


def adjoint_figure(
    theory: AdjointMeanField, networks: GradientComparison | None = None, *, title: str = ""
) -> Figure:
    """Draw adjoint variances against time before the end, and mean squared gradients by name.

    Parameters
    ----------
    theory
        The prediction.
    networks
        Networks beside it: their means with standard errors, at theory's times.
    title
        Above everything.

    Returns
    -------
    Figure
    """
    with style():
        drawn, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.9))
        _draw_adjoints(left, theory, networks)
        _draw_gradients(right, theory, networks)
        drawn.suptitle(title, fontsize=9)
    return drawn


def _draw_adjoints(ax: Axes, theory: AdjointMeanField, networks: GradientComparison | None) -> None:
    shown = [name for name, values in theory.adjoint_variance.items() if np.any(values > 0)]
    for place, name in enumerate(shown):
        look: dict[str, Any] = {"colour": f"C{place}", "network_colour": f"C{place}"}
        labels = {"label": f"$a_{name}$, theory", "network_label": f"$a_{name}$, networks"}
        plot_adjoint(theory, networks, component=name, ax=ax, **look, **labels)
    ax.legend(loc="best")


def _draw_gradients(
    ax: Axes, theory: AdjointMeanField, networks: GradientComparison | None
) -> None:
    shown = {name: float(each) for name, each in theory.gradient_variance.items() if each > 0}
    places = np.arange(len(shown))
    errors = [float(theory.gradient_standard_error[name]) for name in shown]
    ax.errorbar(
        list(shown.values()), places, xerr=errors, fmt="D", color="black", ms=4.5, label="theory"
    )
    if networks is not None and networks.belongs[-1].any():
        kept = [networks.gradients[name][-1][networks.belongs[-1]] for name in shown]
        means = [each.mean() for each in kept]
        spread = [each.std(ddof=1) / np.sqrt(each.size) if each.size > 1 else 0.0 for each in kept]
        ax.errorbar(
            means, places + 0.2, xerr=spread, fmt="o", color="C0", ms=4, capsize=2,
            label="networks",
        )  # fmt: skip
    if shown:
        ax.set_xscale("log")
    ax.set_yticks(places, [gradient_symbol(name) for name in shown])
    ax.set_xlabel("mean squared gradient")
    ax.legend(loc="best")
