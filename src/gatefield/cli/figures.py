"""The command ``gatefield figures``: a figure of the paper computed anew."""

from __future__ import annotations

import json

from rich.console import Console

from gatefield.cli import phases
from gatefield.cli.config import FiguresConfig, PhasesConfig
from gatefield.cli.written import write_results
from gatefield.figures import FIGURES, load
from gatefield.io import check_writable


def run(name: str | None, config: FiguresConfig, console: Console | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    name
        One of `FIGURES`; None lists them.
    config
        The options.
    console
        Where to print; by default standard output.

    Returns
    -------
    int
        0; for fig07 that of ``gatefield phases``.

    Raises
    ------
    InvalidInputError
        For another name, or a folder that cannot be written to.
    """
    console = Console() if console is None else console
    if name is None:
        for each, title in FIGURES.items():
            console.print(f"{each}  {title}", highlight=False, soft_wrap=True)
        return 0
    module = load(name)
    folder = check_writable(config.output)
    if name == "fig07":
        return phases.run(_phases(config), console)
    with Console(stderr=True).status(name) as status:
        result = module.compute(quick=config.quick, seed=config.seed, report=status.update)
    for line in result.lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    asked = json.dumps({"figure": name, **config.model_dump()})
    drawn = module.figure(result)
    write_results(console, folder / name, drawn, config.formats, result.datasets(), config=asked)
    return 0


def _phases(config: FiguresConfig) -> PhasesConfig:
    small = {"g_points": 80, "alpha_points": 80, "n": 200, "networks": 3} if config.quick else {}
    shared = config.model_dump(include={"seed", "output", "formats"})
    return PhasesConfig.model_validate({**shared, **small, "name": "fig07"})
