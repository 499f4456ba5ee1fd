"""The look of gatefield's figures, applied only inside a block."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from gatefield.core.checks import check_choice
from gatefield.io import whole_file

FORMATS = ("png", "pdf", "svg")
"""File formats that `save_figure` writes."""


def style() -> AbstractContextManager[None]:
    """Return a context in which matplotlib draws in gatefield's style."""
    sheet = resources.files("gatefield.plotting") / "gatefield.mplstyle"
    return plt.style.context(str(sheet))


def save_figure(figure: Figure, stem: str | Path, formats: tuple[str, ...]) -> list[Path]:
    """Write a figure in several formats, each file whole or not at all.

    Parameters
    ----------
    figure
        What to write.
    stem
        Path without ending.
    formats
        Some of `FORMATS`.

    Returns
    -------
    list of Path

    Raises
    ------
    InvalidInputError
        For an unknown format or a folder that cannot be written to.
    """
    paths = []
    for ending in formats:
        check_choice("format", ending, FORMATS)
        path = Path(f"{stem}.{ending}")
        with style(), whole_file(path) as temporary:
            figure.savefig(temporary, format=ending)
        paths.append(path)
    return paths
