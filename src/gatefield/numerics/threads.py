"""Independent pieces of work side by side: compiled JAX functions leave Python free meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import jax

_BESIDE_OTHERS = 8_000  # rows: larger matrices are diagonalised one after the other
_PRODUCTS_ALONE = 1_000  # rows: larger matrices are multiplied one after the other

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_threads(function: Callable[[Any], Result], pieces: Iterable[Any]) -> list[Result]:
    """Apply a function to every piece in double precision, on all cores.

    Parameters
    ----------
    function
        Returns host arrays; what it compiles should be compiled for every piece alike.
    pieces
        Its arguments.

    Returns
    -------
    list
        The results, in the order of the pieces.
    """
    pieces = list(pieces)

    def run(piece):
        # The context is each thread's own.
        with jax.enable_x64(True):
            return function(piece)

    if len(pieces) < 2:
        return [run(piece) for piece in pieces]
    first = run(pieces[0])  # alone, so that it is compiled once
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return [first, *pool.map(run, pieces[1:])]


def in_turn(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    size: int,
    lapack: bool = True,
    report: Callable[[int], None] | None = None,
) -> list[Result]:
    """Apply a function to each job, several at a time where that pays, and keep the order.

    Parameters
    ----------
    function
        Works on one job.
    jobs
        The jobs.
    size
        Rows of the matrices that are worked on: large ones go one after the other.
    lapack
        Whether they are diagonalised by LAPACK, rather than multiplied by compiled functions, whose
        products use all cores from some hundred rows on.
    report
        Called with the number of jobs done after each of them.

    Returns
    -------
    list
    """
    report = report or (lambda _: None)
    found: dict[int, Result] = {}
    # Alone, so that what is compiled for all of them is compiled once.
    for number, job in enumerate(jobs[:1]):
        found[number] = function(job)
        report(1)
    for number, done in _several(function, jobs[1:], _workers(size, lapack)):
        found[number + 1] = done
        report(len(found))
    return [found[number] for number in range(len(jobs))]


def _several(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[int, Result]]:
    if workers == 1:
        yield from ((number, function(job)) for number, job in enumerate(jobs))
        return
    pool = ThreadPoolExecutor(workers)
    try:
        pending = {pool.submit(function, job): number for number, job in enumerate(jobs)}
        while pending:
            for done in wait(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(done), done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _workers(size: int, lapack: bool) -> int:
    if not lapack:
        return 1 if size > _PRODUCTS_ALONE else os.cpu_count() or 1
    # LAPACK gains little from threads of its own, and several such teams block each other: networks
    # share the processors only where each keeps to one thread, as the command line arranges.
    alone = size > _BESIDE_OTHERS or os.environ.get("OPENBLAS_NUM_THREADS") != "1"
    return 1 if alone else os.cpu_count() or 1
