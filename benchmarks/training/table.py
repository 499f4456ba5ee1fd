"""Table and learning curves of the training study: python -m benchmarks.training.table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from benchmarks.training.initialisations import INITIALISATIONS
from benchmarks.training.models import MODELS
from benchmarks.training.results import all_runs, read
from benchmarks.training.study import FOLDER
from benchmarks.training.tasks import Task
from benchmarks.training.train import Curve
from matplotlib.figure import Figure

from gatefield.plotting.style import save_figure, style

LEARNED = {"adding": 0.1, "copy": 0.5, "digits": 0.5}
"""Share of chance below which a test's loss counts as learned, chosen before the grid was run."""
COLOURS = dict(zip(INITIALISATIONS, plt.get_cmap("tab10").colors, strict=False))  # pyright: ignore


class Seeds(NamedTuple):
    """All seeds of one task, model and initialisation.

    Attributes
    ----------
    steps
        Of the tests.
    loss
        (seeds, tests), in units of chance.
    reached
        (seeds,): steps to the first test below `LEARNED`, infinite where none is.
    """

    steps: np.ndarray
    loss: np.ndarray
    reached: np.ndarray


def seeds(task: Task, curves: Sequence[Curve]) -> Seeds:
    """Return the seeds' curves together."""
    loss = np.array([curve.loss for curve in curves]) / task.chance
    below = loss <= LEARNED[task.name]
    steps = curves[0].steps
    return Seeds(steps, loss, np.where(below.any(1), steps[below.argmax(1)], np.inf))


def gathered(folder: Path) -> dict[tuple[Task, str], dict[str, Seeds]]:
    """Return all that a folder holds, by task and model and then by initialisation."""
    curves: dict[tuple[Task, str, str], list[Curve]] = {}
    for run in all_runs(folder):
        found = read(folder, run)
        if found is not None:
            curves.setdefault((run.task, run.model, run.initialisation), []).append(found[1])
    result: dict[tuple[Task, str], dict[str, Seeds]] = {}
    for (task, model, initialisation), of_seeds in curves.items():
        result.setdefault((task, model), {})[initialisation] = seeds(task, of_seeds)
    order = {name: place for place, name in enumerate(MODELS)}
    keys = sorted(result, key=lambda key: (key[0].name, order[key[1]], key[0].horizon))
    return {key: result[key] for key in keys}


def median_steps(found: Seeds) -> str:
    """Say after how many steps half the seeds had learned, and how many did at all.

    A run that did not learn has an unknown number above the budget: a median among such runs is
    only known to be above it.
    """
    learned = np.isfinite(found.reached)
    # The upper one of an even number: both middle ones must be known to lie between them.
    middle = np.sort(found.reached)[len(found.reached) // 2]
    text = f"{middle:.0f}" if np.isfinite(middle) else f"> {found.steps[-1]}"
    return f"{text} ({learned.sum()}/{len(learned)})"


def final_loss(found: Seeds) -> str:
    """Say the median and the range over seeds of the last test's loss."""
    last = found.loss[:, -1]
    return f"{_short(np.median(last))} ({_short(last.min())} to {_short(last.max())})"


def _short(value: Any) -> str:
    return f"{value:.2g}" if np.isfinite(value) else "diverged"


def markdown(found: dict[tuple[Task, str], dict[str, Seeds]]) -> str:
    """Return both tables: steps until learned, and losses at the end."""
    names = [name for name in INITIALISATIONS if any(name in row for row in found.values())]
    parts = []
    for title, entry in (
        ("Steps until learned: median (seeds that did)", median_steps),
        ("Loss of the last test over chance: median (least to largest)", final_loss),
    ):
        lines = [f"**{title}**", "", "| task | network | budget | " + " | ".join(names) + " |"]
        lines.append("|---" * (3 + len(names)) + "|")
        for (task, model), row in found.items():
            budget = f"{max(one.steps[-1] for one in row.values())}"
            cells = [entry(row[name]) if name in row else "" for name in names]
            lines.append("| " + " | ".join([task.title, model, budget, *cells]) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def curves_figure(found: dict[tuple[Task, str], dict[str, Seeds]]) -> Figure:
    """Draw the learning curves: medians over seeds, with the range from least to largest."""
    tasks = list(dict.fromkeys(task.name for task, _ in found))
    models = list(dict.fromkeys(model for _, model in found))
    with style():
        figure, axes = plt.subplots(
            len(tasks),
            len(models),
            figsize=(2.4 * len(models) + 0.6, 2.1 * len(tasks) + 0.5),
            squeeze=False,
            layout="constrained",
        )
        for ax in axes.flat:
            ax.set_visible(False)
        drawn: dict[str, Any] = {}
        for (task, model), row in found.items():
            ax = axes[tasks.index(task.name), models.index(model)]
            ax.set_visible(True)
            ax.set_title(f"{model}, {task.title}")
            ax.axhline(LEARNED[task.name], color="grey", linestyle=":", linewidth=0.8)
            for name, one in row.items():
                drawn[name] = _draw(ax, one, COLOURS[name])
            ax.set_yscale("log")
            ax.set_ylim(top=2.0)
            ax.set_xlabel("steps")
        for row in axes:
            row[0].set_ylabel("loss / chance")
        names = [name for name in INITIALISATIONS if name in drawn]
        figure.legend(
            [drawn[name] for name in names], names, loc="outside lower center", ncols=len(names)
        )
    return figure


def _draw(ax: Any, one: Seeds, colour: Any) -> Any:
    finite = np.where(np.isfinite(one.loss), one.loss, 1e3)  # diverged: above the panel
    ax.fill_between(one.steps, finite.min(0), finite.max(0), color=colour, alpha=0.15, linewidth=0)
    return ax.plot(one.steps, np.median(finite, axis=0), color=colour)[0]


def main() -> None:
    """Print the tables, and draw the figure beside the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"default {FOLDER}")
    parser.add_argument("--figure", type=Path, help="stem of the figure, default FOLDER/curves")
    chosen = parser.parse_args()
    found = gathered(chosen.folder)
    if not found:
        parser.error(f"{chosen.folder} holds no runs: python -m benchmarks.training.study first")
    print(markdown(found))
    stem = chosen.figure or chosen.folder / "curves"
    print(f"figure: {save_figure(curves_figure(found), stem, ('png',))[0]}")


if __name__ == "__main__":
    main()
