"""Arrays of safetensors files, which hold names, shapes and numbers alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
from safetensors import SafetensorError, safe_open

from gatefield.bridge.stored import Stored
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray

_PICKLED = (b"PK\x03\x04", b"\x80")  # what torch.save writes: an archive, or the pickle itself


@contextlib.contextmanager
def safetensors_weights(file: Path) -> Iterator[Stored]:
    """Open a safetensors file, whose arrays can be read inside the block.

    Raises
    ------
    InvalidInputError
        For a file of another format, or a damaged one.
    """
    try:
        with safe_open(file, framework="numpy") as opened:

            def array(key: str) -> HostArray:
                # NumPy knows bfloat16 since JAX was imported, with `networks`.
                return np.asarray(opened.get_tensor(key)).astype(np.float64)

            yield Stored(
                list(opened.keys()), lambda key: str(opened.get_slice(key).get_dtype()), array
            )
    except (OSError, SafetensorError) as error:
        _refuse_file(file, error)


def _refuse_file(file: Path, error: Exception) -> NoReturn:
    try:
        with file.open("rb") as raw:
            pickled = raw.read(4).startswith(_PICKLED)
    except OSError:
        pickled = False
    remedy = f"It cannot be read ({error})."
    if pickled:
        remedy = (
            "This is a pickle, which can run code when it is read. Where it was written, use "
            "safetensors.torch.save_file(module.state_dict(), path); or name it .pt, and its "
            "weights alone are read, without running anything."
        )
    refuse("path", str(file), "a safetensors file", remedy)
