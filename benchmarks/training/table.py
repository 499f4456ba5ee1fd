"""Tables and learning curves of the training study: python -m benchmarks.training.table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.training.curves import curves_figure
from benchmarks.training.initialisations import INITIALISATIONS
from benchmarks.training.page import PAGE, fill
from benchmarks.training.study import FOLDER
from benchmarks.training.summary import FEWEST, Found, Seeds, first, gathered

from gatefield.plotting.style import save_figure

OURS, OTHERS = ("critical", "marginal", "even"), ("default", "orthogonal", "chrono")


def median_steps(found: Seeds) -> str:
    """Say after how many steps half the seeds had reached the threshold, and how many did at all.

    A run that did not has an unknown number above the budget: a median among such runs is only
    known to be above it. Fewer than `FEWEST` seeds are told one by one.
    """
    known = np.isfinite(found.reached)
    each = [
        f"{step:.0f}" if np.isfinite(step) else f"> {found.steps[-1]}" for step in found.reached
    ]
    if len(each) < FEWEST:
        ends = [" (relapsed)" if back else "" for back in found.relapsed]
        return ", ".join(map(str.__add__, each, ends))
    # The upper one of an even number: both middle ones must be known to lie between them.
    middle = each[int(np.argsort(found.reached)[len(each) // 2])]
    relapsed = f", {found.relapsed.sum()} relapsed" if found.relapsed.any() else ""
    return f"{middle} ({known.sum()}/{len(each)}{relapsed})"


def final_loss(found: Seeds) -> str:
    """Say the median and the range over seeds of the last test's loss."""
    last = found.loss[:, -1]
    if len(last) < FEWEST:
        return ", ".join(map(_short, last))
    return f"{_short(np.median(last))} ({_short(last.min())} to {_short(last.max())})"


def _short(value: Any) -> str:
    return f"{value:.2g}" if np.isfinite(value) else "diverged"


def lines_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of markdown."""
    rule = "|---" * len(head) + "|"
    return "\n".join([f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)])


def markdown(found: Found) -> str:
    """Return the tables: steps to the threshold, losses at the end, and who was first."""
    names = [name for name in INITIALISATIONS if any(name in row.seeds for row in found.values())]
    steps = (
        f"Steps to the first test below the threshold: median from {FEWEST} seeds on "
        "(seeds that reached it; relapsed: of these above it at the end)"
    )
    loss = "Loss of the last test over chance: median (least to largest)"
    parts = [
        _by_name(steps, names, found, median_steps),
        _by_name(loss, names, found, final_loss),
        _comparison(found),
    ]
    return "\n\n".join(parts) + "\n"


def _by_name(title: str, names: Sequence[str], found: Found, entry: Callable[[Seeds], str]) -> str:
    rows = []
    for (task, model), row in found.items():
        counts = sorted({len(one.loss) for one in row.seeds.values()})
        number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        about = [task.title, model, f"{row.settings.rate:g}", f"{row.settings.steps}", number]
        cells = [entry(row.seeds[name]) if name in row.seeds else "" for name in names]
        rows.append([*about, *cells])
    return f"**{title}**\n\n" + lines_of(
        ["task", "network", "rate", "budget", "seeds", *names], rows
    )


def _comparison(found: Found) -> str:
    rows = []
    for (task, model), row in found.items():
        cells = []
        for ours in OURS:
            shares = [_share(row.seeds, ours, other) for other in OTHERS]
            cells.append(" / ".join(shares) if ours in row.seeds else "")
        rows.append([task.title, model, *cells])
    title = f"Share of pairs of seeds in which a recipe was below first: of {' / '.join(OTHERS)}"
    return f"**{title}**\n\n" + lines_of(["task", "network", *OURS], rows)


def _share(by_name: Mapping[str, Seeds], ours: str, other: str) -> str:
    known = [by_name[name] for name in (ours, other) if name in by_name]
    enough = len(known) == 2 and min(len(one.loss) for one in known) >= FEWEST
    return f"{first(*known):.2g}" if enough else "-"


def main() -> None:
    """Print the tables, and draw the figure beside the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"default {FOLDER}")
    parser.add_argument("--figure", type=Path, help="stem of the figure, default FOLDER/curves")
    parser.add_argument("--fill", action="store_true", help=f"put the tables into {PAGE}, too")
    chosen = parser.parse_args()
    found = gathered(chosen.folder)
    if not found:
        parser.error(f"{chosen.folder} holds no runs: python -m benchmarks.training.study first")
    print(markdown(found))
    if chosen.fill:
        fill(PAGE, "tables", markdown(found))
    stem = chosen.figure or chosen.folder / "curves"
    print(f"figure: {save_figure(curves_figure(found), stem, ('png',))[0]}")


if __name__ == "__main__":
    main()
