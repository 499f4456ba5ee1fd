"""Files that are whole or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from gatefield.core.errors import InvalidInputError


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``, and rename it there if the block ends well.

    Parameters
    ----------
    path
        Where the file shall be; its folder is made if need be.

    Raises
    ------
    InvalidInputError
        If the folder cannot be made or written to.
    """
    path = Path(path)
    check_writable(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; a result is as readable as any new file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> Path:
    """Make a folder if need be, and check that files can be written there.

    Raises
    ------
    InvalidInputError
        If it cannot be made, is no folder, or cannot be written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidInputError(
            f"output {str(folder)!r}: expected a folder that can be written to "
            f"({error.strerror or error}). Choose another one."
        ) from None
    return folder


def save_netcdf(path: str | Path, dataset: xr.Dataset, **groups: xr.Dataset) -> Path:
    """Write a dataset, and further ones as groups, to one netCDF file, whole or not at all.

    Parameters
    ----------
    path
        The file, by custom ending in ``.nc``.
    dataset
        The root group.
    groups
        Further groups by name.

    Returns
    -------
    Path
        Where it was written; read a group by ``xarray.open_dataset(path, group=name)``.

    Raises
    ------
    InvalidInputError
        If the folder cannot be written to.
    """
    with whole_file(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")
        for name, group in groups.items():
            group.to_netcdf(temporary, engine="h5netcdf", group=name, mode="a")
    return Path(path)
