"""Where a long run stands, in a file: written whole or not at all, read only for the same run."""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

import gatefield
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray

_WHOLE = 1 << 17  # numbers of an array that are all read


def fingerprint(*parts: Any) -> str:
    """Return what tells trees of arrays, numbers and texts apart."""
    digest = hashlib.sha256(gatefield.__version__.encode())
    leaves, tree = jax.tree.flatten(parts)
    digest.update(str(tree).encode())
    for leaf in leaves:
        digest.update(_told(leaf))
    return digest.hexdigest()


def _told(leaf: Any) -> bytes:
    if leaf is None or isinstance(leaf, str | int | float):
        return f"{type(leaf).__name__} {leaf!r};".encode()
    values = np.ascontiguousarray(np.asarray(leaf))
    head = f"{values.dtype} {values.shape};".encode()
    if values.size <= _WHOLE:
        return head + values.tobytes()
    # Of a long array a part and the sum: reading all of it in every call would take too long.
    part = values.ravel()[:: -(-values.size // _WHOLE)]
    return head + part.tobytes() + repr(float(np.sum(values, dtype=np.float64))).encode()


def write(path: Path, mark: str, arrays: Mapping[str, Any]) -> None:
    """Write named arrays to a file of its own and put that in the place of the old one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with beside.open("wb") as file:
            np.savez(file, mark=np.array(mark), **arrays)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        message = f"no checkpoint could be written to {path} ({error.strerror or error})"
        warnings.warn(f"{message}: the run goes on.", RuntimeWarning, stacklevel=2)
    finally:
        beside.unlink(missing_ok=True)


def read(
    path: Path, mark: str, names: Iterable[str], *, of: str, by: str
) -> dict[str, HostArray] | None:
    """Return the named arrays of a file, None if there is no file.

    Parameters
    ----------
    path, mark
        As they were written.
    names
        Of the arrays that are expected.
    of, by
        For messages: what the file must be of, and the function that writes such files.

    Raises
    ------
    InvalidInputError
        If the file is damaged, no checkpoint, or of another run.
    """
    if not path.exists():
        return None
    remedy = "Remove it to begin anew, or name another file."
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found = {name: stored[name] for name in ("mark", *names)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        refuse("checkpoint", str(path), f"a file that {by} wrote", remedy)
    if str(found.pop("mark")) != mark:
        refuse("checkpoint", str(path), f"{of} with these options", remedy)
    return found


def writable(path: str | Path | None) -> Path | None:
    """Return the path of a checkpoint, refusing one that cannot be written to."""
    if path is None:
        return None
    if not isinstance(path, str | os.PathLike):
        refuse("checkpoint", path, "the path of a file", "For instance 'run.npz'.")
    found = Path(path).expanduser()
    if found.is_dir() or not os.access(found.parent, os.W_OK):
        remedy = "Make the folder, or choose another."
        refuse("checkpoint", str(path), "a file in a folder that can be written to", remedy)
    return found
