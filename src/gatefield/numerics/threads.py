"""Independent pieces of work side by side: compiled JAX functions leave Python free meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax

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
