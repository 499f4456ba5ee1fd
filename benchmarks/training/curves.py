"""The learning curves as a figure."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from benchmarks.training.initialisations import INITIALISATIONS
from benchmarks.training.summary import FEWEST, LEARNED, Found, Seeds
from matplotlib.figure import Figure

from gatefield.plotting.style import style

COLUMNS, LABELS = 3, (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
COLOURS = dict(zip(INITIALISATIONS, plt.get_cmap("tab10").colors, strict=False))  # pyright: ignore


def curves_figure(found: Found) -> Figure:
    """Draw medians over seeds with the range from least to largest; few seeds one by one."""
    lines = -(-len(found) // COLUMNS)
    with style():
        figure, axes = plt.subplots(
            lines,
            COLUMNS,
            figsize=(2.3 * COLUMNS + 0.3, 1.8 * lines + 0.5),
            squeeze=False,
            layout="constrained",
        )
        drawn: dict[str, Any] = {}
        for ax, ((task, model), row) in zip(axes.flat, found.items(), strict=False):
            ax.set_title(f"{model}, {task.title}")
            ax.axhline(LEARNED[task.name], color="grey", linestyle=":", linewidth=0.8)
            for name, one in row.seeds.items():
                drawn[name] = _draw(ax, one, COLOURS[name])
            ax.set_yscale("log")
            ax.set_ylim(top=2.0)
            ax.set_yticks(LABELS, [f"{label:g}" for label in LABELS])
            ax.yaxis.set_minor_formatter("")
            ax.set_ylim(bottom=max(LABELS[0], ax.dataLim.y0 / 1.2))
            ax.set_xlabel("steps")
        for ax in axes.flat[len(found) :]:
            ax.set_visible(False)
        for first in axes[:, 0]:
            first.set_ylabel("loss / chance")
        names = [name for name in INITIALISATIONS if name in drawn]
        figure.legend(
            [drawn[name] for name in names], names, loc="outside lower center", ncols=len(names)
        )
    return figure


def _draw(ax: Any, one: Seeds, colour: Any) -> Any:
    finite = np.where(np.isfinite(one.loss), one.loss, 1e3)  # diverged: above the panel
    if len(finite) < FEWEST:
        return ax.plot(one.steps, finite.T, color=colour)[0]
    ax.fill_between(one.steps, finite.min(0), finite.max(0), color=colour, alpha=0.15, linewidth=0)
    return ax.plot(one.steps, np.median(finite, axis=0), color=colour)[0]
