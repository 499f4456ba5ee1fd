"""How every command ends: its figure and its data in files, and a line that names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure
from rich.console import Console

from gatefield.io import provenance, save_netcdf
from gatefield.plotting import save_figure


def write_results(
    console: Console,
    stem: Path,
    drawn: Figure,
    formats: Sequence[str],
    groups: Mapping[str, xr.Dataset],
    *,
    config: str,
    attrs: Mapping[str, str] | None = None,
) -> None:
    """Write a figure and the data it shows, and say where.

    Parameters
    ----------
    console
        Where the files are named.
    stem
        Path of the files without ending.
    drawn, formats
        The figure, and the formats in which it is written.
    groups
        The data by name of the netCDF group.
    config
        What was asked for, as JSON; an attribute beside the provenance.
    attrs
        Further attributes.
    """
    paths = save_figure(drawn, stem, tuple(formats))
    root = xr.Dataset(attrs={**provenance(), "config": config, **(attrs or {})})
    paths.append(save_netcdf(stem.with_name(f"{stem.name}.nc"), root, **groups))
    console.print("Wrote " + ", ".join(str(path) for path in paths), soft_wrap=True)
