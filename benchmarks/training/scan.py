"""Trainability over the phase plane, beside the theory's lines: python -m benchmarks.training.scan.

The adding problem in a few hundred steps, for gated RNNs whose couplings have the gains g_h and
alpha_r (alpha_z = 0). The lines are of the network at the start and without input: where the
leading edge of its silent state's spectrum is marginal (zero, of maps one), and where mean-field
theory's largest exponent is zero.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from benchmarks.training.initialisations import of_cell
from benchmarks.training.results import write_json
from benchmarks.training.study import FOLDER
from benchmarks.training.tasks import Task, parsed
from benchmarks.training.train import Settings, train
from matplotlib.figure import Figure
from tqdm import tqdm

import gatefield as gf
from gatefield.core.results import Status
from gatefield.plotting.style import save_figure, style

SEEDS = (1, 2, 3)


class Plane(NamedTuple):
    """A phase plane that is trained over.

    Attributes
    ----------
    title
        Of the task.
    settings
        The budget.
    model
        One of `models.MODELS`.
    across, up
        Names of both axes.
    columns, rows
        Their values.
    cell
        Function of both that gives gatefield's cell.
    """

    title: str
    settings: Settings
    model: str
    across: str
    up: str
    columns: tuple[float, ...]
    rows: tuple[float, ...]
    cell: Callable[[float, float], Any]


def _gated(g_h: float, alpha_r: float) -> gf.GatedRNN:
    return gf.GatedRNN(g_h, alpha_r=alpha_r)


PLANES = {
    "gated": Plane(
        "adding-50",
        Settings(steps=600, every=100, rate=1e-2),
        "gated",
        "g_h",
        "alpha_r",
        (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0),
        (0.0, 1.0, 2.0, 4.0, 8.0),
        _gated,
    ),
}


def trained(plane: Plane, column: float, row: float, seed: int) -> float:
    """Return the last test's loss over chance, from one start in the plane."""
    task: Task = parsed(plane.title)
    own = plane.settings
    weights = of_cell(plane.cell(column, row), plane.model, task, own.hidden, seed)
    return float(train(task, plane.model, weights, own, seed=seed).loss[-1] / task.chance)


def edge(plane: Plane, column: float, row: float) -> float:
    """Return how far the silent state's leading edge lies above that of marginal stability."""
    state = gf.solve_static(plane.cell(column, row))[0]
    marginal = 0.0 if plane.model == "gated" else 1.0
    return float(gf.spectral_boundary(state).leading_edge) - marginal


def exponent(plane: Plane, column: float, row: float) -> float:
    """Return mean-field theory's largest exponent, per step or time constant.

    Where the silent state is stable theory finds that state. Units slower than the paths of the
    sampled theory leave it without an answer: not a number.
    """
    state = gf.solve_dmft(plane.cell(column, row), progress=False, throw=False)
    found = gf.mean_field_lyapunov(state, throw=False)
    known = state.status is Status.OK and found.status is Status.OK
    return float(found.exponent) if known else float("nan")


def scan(
    plane: Plane, seeds: Iterable[int], path: Path, *, progress: bool = True
) -> dict[str, Any]:
    """Train from every point, and ask theory at each; what the file holds already is not redone.

    Returns
    -------
    dict
        "loss,column,row,seed": the last test's loss over chance; "edge,column,row" and
        "exponent,column,row": theory's.
    """
    held: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    budget = plane.settings._asdict()
    if held.setdefault("settings", budget) != budget:
        raise ValueError(f"{path} holds a scan with {held['settings']}: move it away.")
    asked: dict[str, Callable[[], float]] = {}
    for point in product(plane.columns, plane.rows):
        name = f"{point[0]},{point[1]}"
        asked[f"edge,{name}"] = partial(edge, plane, *point)
        asked[f"exponent,{name}"] = partial(exponent, plane, *point)
        for seed in seeds:
            asked[f"loss,{name},{seed}"] = partial(trained, plane, *point, seed)
    for name in tqdm(asked, disable=not progress):
        if name not in held:
            held[name] = float(f"{asked[name]():.4g}")
            write_json(path, held, indent=0)
    return held


def grid_of(plane: Plane, held: Mapping[str, Any], quantity: str) -> np.ndarray:
    """Return the median over seeds at each point, (rows, columns)."""

    def at(column: float, row: float) -> float:
        start = f"{quantity},{column},{row},"
        found = [value for name, value in held.items() if f"{name},".startswith(start)]
        return float(np.median(np.array(found, dtype=float)))  # null is not a number

    return np.array([[at(column, row) for column in plane.columns] for row in plane.rows])


def figure_of(plane: Plane, held: Mapping[str, Any]) -> Figure:
    """Draw the losses as a map, with theory's lines where edge and exponent cross zero."""
    with style():
        figure, ax = plt.subplots(figsize=(4.2, 3.2), layout="constrained")
        across, up = np.arange(len(plane.columns)), np.arange(len(plane.rows))
        loss = grid_of(plane, held, "loss")
        shown = ax.pcolormesh(across, up, np.log10(loss), cmap="viridis_r", vmin=-2, vmax=0)
        for quantity, look in (("edge", "--"), ("exponent", "-")):
            values = grid_of(plane, held, quantity)
            if np.nanmin(values) < 0 < np.nanmax(values):
                ax.contour(across, up, values, levels=[0], colors="red", linestyles=look)
            ax.plot([], [], color="red", linestyle=look, label=f"{quantity} = 0, theory")
        ax.set_xticks(across, [f"{value:g}" for value in plane.columns])
        ax.set_yticks(up, [f"{value:g}" for value in plane.rows])
        ax.set_xlabel(plane.across)
        ax.set_ylabel(plane.up)
        steps = held["settings"]["steps"]
        ax.set_title(f"{plane.model}, {plane.title}, {steps} steps")
        figure.legend(loc="outside lower center", ncols=2)
        figure.colorbar(shown, ax=ax, label="log10 of loss / chance")
    return figure


def main() -> None:
    """Scan the planes asked for, and draw them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("planes", nargs="*", default=list(PLANES), help=", ".join(PLANES))
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"default {FOLDER}")
    chosen = parser.parse_args()
    for name in chosen.planes:
        plane = PLANES[name]
        stem = chosen.folder / "scan" / name
        held = scan(plane, SEEDS, stem.with_suffix(".json"))
        print(f"{name}: {save_figure(figure_of(plane, held), stem, ('png',))[0]}")


if __name__ == "__main__":
    main()
