"""Arrays from .npy files that a command was given: numbers alone, nothing unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from gatefield.core.errors import refuse
from gatefield.core.types import HostArray

_UNREADABLE = (OSError, ValueError, EOFError, MemoryError, OverflowError, zipfile.BadZipFile)


def read_array(name: str, path: str) -> HostArray:
    """Return the array of a .npy file.

    Parameters
    ----------
    name
        The option, for messages.
    path
        The file.

    Returns
    -------
    array
        Finite real numbers in double precision, of any shape.

    Raises
    ------
    InvalidInputError
        For a file that is not there, of another format, with several arrays, or with what is not
        finite or no number.
    """
    read = _array(name, path)
    if read.dtype.kind not in "fiu":
        refuse(name, f"array of {read.dtype}", "real numbers", "Convert it by astype(float).")
    if not np.all(np.isfinite(read)):
        refuse(name, "values that are not finite", "finite numbers", f"Check where {path} is from.")
    return read.astype(np.float64)


def _array(name: str, path: str) -> HostArray:
    file = Path(path).expanduser()
    if not file.is_file():
        refuse(name, path, "a file", "Check the spelling and the folder.")
    try:
        # NumPy leaves files of its own open where they are damaged.
        with file.open("rb") as raw:
            read = np.load(raw, allow_pickle=False)
    except _UNREADABLE as error:
        # NumPy takes every other format for a pickle, and recommends to run it.
        why = "not of this format" if "pickle" in str(error) else str(error)
        if "Object arrays" in str(error):
            why = "it holds Python objects"
        remedy = f"It cannot be read ({why}). Write it by numpy.save(path, array)."
        refuse(name, path, "a .npy file with numbers", remedy)
    if not isinstance(read, np.ndarray):
        names = ", ".join(read.files)
        remedy = f"This is an archive of {names}: save one of them by numpy.save(path, array)."
        refuse(name, path, "a .npy file with one array", remedy)
    return read
