"""The command line called from tests: what it printed, how it ended, what it wrote."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

import pytest
import xarray as xr

from gatefield.cli import main


class Ran(NamedTuple):
    """Exit code, standard output, standard error."""

    code: int
    text: str
    error: str


def run(*arguments: str) -> Ran:
    """Run ``gatefield`` with these arguments."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
    return Ran(int(ended.value.code or 0), out.getvalue(), error.getvalue())


def group(path: Path, name: str | None = None) -> xr.Dataset:
    """Return a group of a netCDF file, the root by default."""
    with xr.open_dataset(path, group=name, engine="h5netcdf") as data:
        return data.load()
