"""Where a long run stands, in a file: written whole or not at all, read only for the same run."""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gatefield
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray
from gatefield.networks.inputs import Drive
from gatefield.networks.tangent import Frame

_WHOLE = 1 << 17  # numbers of an array that are all read


class Standing(NamedTuple):
    """Where a run stands.

    Attributes
    ----------
    phase
        "relax", "align" (of the frame) or "measure".
    number
        The next step.
    interval
        Steps between orthonormalisations.
    state, frame
        (d, N) and (k, d, N).
    logs
        Of the measured blocks, (block, k).
    departure, precision_error
        As in `LyapunovSpectrum`, so far.
    """

    phase: str
    number: int
    interval: int
    state: Float[HostArray, "component unit"]
    frame: Frame
    logs: Float[HostArray, "block exponent"]
    departure: float
    precision_error: float


def fingerprint(*parts: Any) -> str:
    """Return what tells trees of arrays, numbers and texts apart."""
    digest = hashlib.sha256(gatefield.__version__.encode())
    leaves, tree = jax.tree.flatten(parts)
    digest.update(str(tree).encode())
    for leaf in leaves:
        digest.update(_told(leaf))
    return digest.hexdigest()


def fingerprint_of_drive(drive: Drive, *, is_map: bool) -> str:
    """Return what tells external inputs apart, functions of time by what they compute."""
    time = jnp.zeros((), int if is_map else drive.constant.dtype)
    traced = jax.make_jaxpr(drive)(time)
    return fingerprint(str(traced.jaxpr), traced.consts)


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


def write(path: Path, mark: str, standing: Standing) -> None:
    """Write to a file of its own and put that in the place of the old one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with beside.open("wb") as file:
            np.savez(file, mark=np.array(mark), **standing._asdict())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        message = f"no checkpoint could be written to {path} ({error.strerror or error})"
        warnings.warn(f"{message}: the run goes on.", RuntimeWarning, stacklevel=2)
    finally:
        beside.unlink(missing_ok=True)


def read(path: Path, mark: str) -> Standing | None:
    """Return where the run stands, None if it has not begun.

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
            found = {name: stored[name] for name in ("mark", *Standing._fields)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        refuse("checkpoint", str(path), "a file that lyapunov_spectrum wrote", remedy)
    if str(found.pop("mark")) != mark:
        refuse("checkpoint", str(path), "a run of this network with these options", remedy)
    kinds = {"phase": str, "number": int, "interval": int}
    kinds |= {"departure": float, "precision_error": float, "frame": jnp.array}
    return Standing(**{name: kinds.get(name, np.asarray)(value) for name, value in found.items()})


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
