"""Run the grid of the training study: python -m benchmarks.training.study.

Finished runs are skipped: called again, an interrupted study goes on where it was.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from benchmarks.training.initialisations import INITIALISATIONS, exists
from benchmarks.training.models import MODELS
from benchmarks.training.results import Run, hash_of, is_done, path_of, write
from benchmarks.training.tasks import parsed
from benchmarks.training.train import Settings, train
from tqdm import tqdm

FOLDER = Path("benchmarks/training/results")
SEEDS = range(1, 6)
"""Seed 0 chose horizons, rates and budgets, and is not shown."""
PLAN = {
    ("adding-20", "vanilla"): Settings(steps=2000),
    ("copy-5", "vanilla"): Settings(steps=5000),
    ("digits-64", "vanilla"): Settings(steps=1000),
    ("adding-400", "gru"): Settings(steps=1000),
    ("adding-200", "lstm"): Settings(steps=1500),
    ("adding-100", "gated"): Settings(steps=1200, rate=1e-2),
    ("copy-50", "gru"): Settings(steps=3000, rate=1e-2),
    ("copy-50", "gated"): Settings(steps=3000, rate=1e-2),
    ("digits-256", "gated"): Settings(steps=1500),
}
"""Tasks and networks, each with the budget that all its initialisations share."""


def grid(
    plan: Mapping[tuple[str, str], Settings], initialisations: Iterable[str], seeds: Iterable[int]
) -> dict[Run, Settings]:
    """Return the runs with their settings, those of the first seed first."""
    names = list(initialisations)
    return {
        Run(parsed(title), model, name, seed): settings
        for seed in seeds
        for (title, model), settings in plan.items()
        for name in names
        if exists(name, model)
    }


def start(run: Run, settings: Settings) -> dict[str, np.ndarray]:
    """Return the weights that a run begins with."""
    return INITIALISATIONS[run.initialisation](run.task, run.model, settings.hidden, run.seed)


def one(folder: Path, run: Run, settings: Settings) -> str:
    """Do one run and write its curve; return how it ended in words."""
    weights = start(run, settings)
    drawn = hash_of(weights)
    if is_done(folder, run, settings, drawn):  # by another study in the same folder, meanwhile
        return f"{run.name}: was done meanwhile"
    curve = train(run.task, run.model, weights, settings, seed=run.seed)
    write(folder, run, settings, drawn, curve)
    return f"{run.name}: loss {curve.loss[-1] / run.task.chance:.3g} of chance"


def study(
    runs: Mapping[Run, Settings],
    folder: Path,
    *,
    workers: int = 1,
    progress: bool = True,
) -> int:
    """Do the runs that are not done yet.

    Parameters
    ----------
    runs
        All of them, with their settings.
    folder
        Where the curves are written.
    workers
        Processes, each with one thread.
    progress
        Whether to show it.

    Returns
    -------
    int
        How many were done by this call.
    """
    missing = {run: own for run, own in runs.items() if not _is_done(folder, run, own)}
    bar = tqdm(total=len(runs), initial=len(runs) - len(missing), disable=not progress, unit="run")
    with bar:
        if workers == 1:
            for run, settings in missing.items():
                bar.set_postfix_str(run.name)
                bar.write(one(folder, run, settings))
                bar.update()
            return len(missing)
        # Threads of one product would only wait for those of the other processes. JAX has threads
        # of its own, too, which no fork survives.
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            jobs = [pool.submit(one, folder, *item) for item in missing.items()]
            try:
                for job in as_completed(jobs):
                    bar.write(job.result())
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return len(missing)


def _is_done(folder: Path, run: Run, settings: Settings) -> bool:
    # Weights are drawn for files that are there alone.
    there = path_of(folder, run).exists()
    return there and is_done(folder, run, settings, hash_of(start(run, settings)))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"default {FOLDER}")
    tasks = sorted({title.partition("-")[0] for title, _ in PLAN})
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=tasks)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    names = list(INITIALISATIONS)
    parser.add_argument("--initialisations", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    chosen = parser.parse_args()
    plan = {
        (title, model): settings
        for (title, model), settings in PLAN.items()
        if title.partition("-")[0] in chosen.tasks and model in chosen.models
    }
    runs = grid(plan, chosen.initialisations, chosen.seeds)
    done = study(runs, chosen.folder, workers=chosen.workers)
    print(f"{done} of {len(runs)} runs done now, the others before; curves in {chosen.folder}")


if __name__ == "__main__":
    main()
