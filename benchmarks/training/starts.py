"""What the study's networks are like before training: python -m benchmarks.training.starts.

gatefield's diagnosis of the weights that runs began with, along sequences of their task: how many
units keep for as long as the task asks, and what the Jacobian, the largest Lyapunov exponent and
the gradients say. PyTorch's modules alone, which `gf.diagnose` reads.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from benchmarks.training.initialisations import INITIALISATIONS
from benchmarks.training.models import MODELS
from benchmarks.training.page import PAGE, fill
from benchmarks.training.results import Run, hash_of, write_json
from benchmarks.training.study import FOLDER, PLAN, grid, start
from benchmarks.training.summary import Found, gathered
from benchmarks.training.table import lines_of, median_steps
from benchmarks.training.tasks import Task, parsed, sampler
from tqdm import tqdm

import gatefield as gf
from gatefield.bridge.weights import layered_network

SEEDS = (1, 2, 3)
SEQUENCES, STATES = 2, 3
"""Sequences of the task that the network runs along, and states of each that are looked at."""
FILE = Path("starts") / "starts.json"
ROWS = (
    ("adding-400", "gru"),
    ("adding-200", "lstm"),
    ("copy-50", "gru"),
    ("adding-20", "vanilla"),
    ("copy-5", "vanilla"),
)


class Start(NamedTuple):
    """One network before training, along its task's sequences of horizon T.

    Attributes
    ----------
    units
        Share of units, over states of the run, that forget by their own gate within T/4 to 2 T
        steps: -1 / ln|A| with the slowest eigenvalue A of a unit's own block of the Jacobian.
    slow
        Eigenvalues of the Jacobian whose time -1 / ln|lambda| is T/4 or more; mean over states.
    edge
        Largest modulus of these eigenvalues, median over states.
    exponent
        Largest Lyapunov exponent, per step.
    growth
        E-folds by which the norm of a readout's gradient changes over T steps back.
    """

    units: float
    slow: float
    edge: float
    exponent: float
    growth: float


def stack_of(model: str, weights: Mapping[str, Any]) -> gf.LayeredNetwork:
    """Return a model of the study as gatefield reads PyTorch's module."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    own = {f"{name}_l0": np.asarray(weights[name], dtype=float) for name in names}
    return layered_network(own, where=model, dtype="float64", kind=MODELS[model].kind)


def forgetting_times(stack: gf.LayeredNetwork, sequences: np.ndarray, states: int) -> np.ndarray:
    """Return (states, N): each unit's own time at states spread over each sequence, in steps."""
    network = stack.layers[0].network
    silent = np.zeros((len(network.cell.state_names), stack.n))
    found = []
    for values in sequences:
        inputs = stack.layer_inputs(values, silent[None])[0]
        run = gf.simulate(network, len(values), inputs=inputs, initial=silent, progress=False)
        for step in np.linspace(0, len(values) - 1, states, dtype=int):
            units = gf.linearise(network, run.states[step], inputs=inputs, time=int(step))
            found.append(times_of(np.abs(np.linalg.eigvals(units.A)).max(-1)))
    return np.array(found)


def times_of(moduli: np.ndarray) -> np.ndarray:
    """Return -1 / ln(modulus), infinite from one on."""
    with np.errstate(divide="ignore"):
        return np.where(moduli < 1, -1 / np.log(np.minimum(moduli, 1)), np.inf)


def measured(run: Run, weights: Mapping[str, Any]) -> Start:
    """Diagnose the weights of a run along sequences of its task."""
    task: Task = run.task
    inputs = sampler(task)(jax.random.key(run.seed), SEQUENCES, False)[0]
    sequences = np.swapaxes(np.asarray(inputs, dtype=float), 0, 1)
    stack = stack_of(run.model, weights)
    parts = ("spectra", "exponents", "gradients")
    found = gf.diagnose(stack, sequences, effort="quick", stages=parts, progress=False).layers[0]
    spectra, exponents, gradients = found.spectra, found.exponents, found.gradients
    if spectra is None or exponents is None or gradients is None:
        raise ValueError(f"{run.name} could not be diagnosed: {found.stages}")
    times = forgetting_times(stack, sequences, STATES)
    within = (times >= task.horizon / 4) & (times <= 2 * task.horizon)
    modes = times_of(np.abs(spectra.eigenvalues))
    return Start(
        units=float(within.mean()),
        slow=float((modes >= task.horizon / 4).sum(-1).mean()),
        edge=float(np.median(spectra.leading_edges)),
        exponent=float(exponents.exponents[0]),
        growth=float(gradients.growth),
    )


def starts(runs: Iterable[Run], path: Path, *, progress: bool = True) -> dict[str, list[Start]]:
    """Measure the starts that the file does not hold yet, or holds of other weights.

    Returns
    -------
    dict
        By "task.model.initialisation", one of each seed.
    """
    held: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    found: dict[str, list[Start]] = {}
    for run in tqdm(list(runs), disable=not progress):
        settings = PLAN[run.task.title, run.model]
        weights = start(run, settings)
        drawn = hash_of(weights)
        if held.get(run.name, {}).get("start") != drawn:
            values = measured(run, weights)._asdict()
            held[run.name] = {"start": drawn} | {k: float(f"{v:.5g}") for k, v in values.items()}
            write_json(path, held, indent=0)
        # JSON's null is a number that is not known, its text an infinite one.
        values = np.array([held[run.name][name] for name in Start._fields], dtype=float)
        found.setdefault(run.name.rpartition(".")[0], []).append(Start(*values.tolist()))
    return found


def markdown(found: Mapping[str, Sequence[Start]], curves: Found) -> str:
    """Return the table: medians over seeds with their range, beside the steps to the threshold."""
    rows = []
    for title, of_seeds in found.items():
        horizon, model, name = title.split(".")
        row = curves.get((parsed(horizon), model))
        learned = None if row is None else row.seeds.get(name)
        steps = "" if learned is None else median_steps(learned)
        values = np.array(of_seeds)
        cells = [
            f"{middle:.3g} ({least:.3g} to {largest:.3g})"
            for middle, least, largest in zip(
                np.median(values, 0), values.min(0), values.max(0), strict=True
            )
        ]
        rows.append([horizon, model, name, *cells, steps])
    columns = ["share of units", "slow modes", "edge", "exponent", "gradient, e-folds"]
    return lines_of(["task", "network", "start", *columns, "steps to threshold"], rows)


def runs_of() -> list[Run]:
    """Return the runs whose starts are measured, by row and by initialisation."""
    names = list(INITIALISATIONS)
    rows = [parsed(title) for title, _ in ROWS]
    runs = grid({row: PLAN[row] for row in ROWS}, names, SEEDS)
    return sorted(runs, key=lambda run: (rows.index(run.task), names.index(run.initialisation)))


def main() -> None:
    """Measure the starts and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"default {FOLDER}")
    parser.add_argument("--fill", action="store_true", help=f"put the table into {PAGE}, too")
    chosen = parser.parse_args()
    found = starts(runs_of(), chosen.folder / FILE)
    text = markdown(found, gathered(chosen.folder))
    print(text)
    if chosen.fill:
        fill(PAGE, "starts", text)


if __name__ == "__main__":
    main()
