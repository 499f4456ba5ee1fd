"""The command ``gatefield figures``: figures of the paper computed anew, one or all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import xarray as xr
from rich.console import Console

from gatefield import __version__
from gatefield.cli import phases
from gatefield.cli.config import FiguresConfig, PhasesConfig
from gatefield.cli.gallery import write_gallery
from gatefield.cli.written import write_results
from gatefield.core.checks import check_names
from gatefield.figures import FIGURES, load
from gatefield.io import check_writable

ALL = "all"


def run(names: Sequence[str], config: FiguresConfig, console: Console | None = None) -> int:
    """Run the command and return its exit status.

    Figures that the folder holds already, made with the same options by the same version, are not
    computed again, so that a run that was interrupted goes on where it ended.

    Parameters
    ----------
    names
        Of `FIGURES`, or "all"; none lists them.
    config
        The options.
    console
        Where to print; by default standard output.

    Returns
    -------
    int
        0; with fig07 that of ``gatefield phases``.

    Raises
    ------
    InvalidInputError
        For another name, or a folder that cannot be written to.
    """
    console = Console() if console is None else console
    if not names:
        for each, title in {**FIGURES, ALL: "each of these, and a page that shows them"}.items():
            console.print(f"{each}  {title}", highlight=False, soft_wrap=True)
        return 0
    check_names("figures", names, (*FIGURES, ALL))
    chosen = list(FIGURES) if ALL in names else list(dict.fromkeys(names))
    folder = check_writable(config.output)
    status = 0
    for name in chosen:
        if not config.again and _is_there(folder, name, config):
            console.print(
                f"{name} is in {folder} already, made with these options: --again computes it anew",
                highlight=False,
                soft_wrap=True,
            )
            continue
        if len(chosen) > 1:
            console.print(f"\n{name}: {FIGURES[name]}", highlight=False, soft_wrap=True)
        status = max(status, _one(name, folder, config, console))
    if ALL in names:
        page = write_gallery(folder, chosen, quick=config.quick)
        console.print(f"Wrote {page}", highlight=False, soft_wrap=True)
    return status


def _one(name: str, folder: Path, config: FiguresConfig, console: Console) -> int:
    if name == "fig07":
        return phases.run(_phases(config), console)
    module = load(name)
    with Console(stderr=True).status(name) as status:
        result = module.compute(quick=config.quick, seed=config.seed, report=status.update)
    for line in result.lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    write_results(
        console,
        folder / name,
        module.figure(result),
        config.formats,
        result.datasets(),
        config=_asked(name, config),
        attrs={"lines": "\n".join(result.lines)},
    )
    return 0


def _asked(name: str, config: FiguresConfig) -> str:
    """Return what decides the numbers, as JSON."""
    if name == "fig07":
        return _phases(config).model_dump_json()
    return json.dumps({"figure": name, "quick": config.quick, "seed": config.seed})


def _is_there(folder: Path, name: str, config: FiguresConfig) -> bool:
    """Whether figure and data are there, and were made with the same options and version."""
    path = folder / f"{name}.nc"
    if not all(path.with_suffix(f".{kind}").exists() for kind in ("nc", *config.formats)):
        return False
    try:
        with xr.open_dataset(path, engine="h5netcdf") as root:
            made = root.attrs.get("config"), root.attrs.get("gatefield_version")
            # Figure 7 is written once before its networks are simulated, and once after.
            complete = "lines" in root.attrs
    except OSError:  # no netCDF file: it is written anew
        return False
    return complete and made == (_asked(name, config), __version__)


def _phases(config: FiguresConfig) -> PhasesConfig:
    small = {"g_points": 80, "alpha_points": 80, "n": 200, "networks": 3} if config.quick else {}
    shared = config.model_dump(include={"seed", "output", "formats"})
    return PhasesConfig.model_validate({**shared, **small, "name": "fig07"})
