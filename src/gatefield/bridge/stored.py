"""Arrays of a file by key, whatever wrote it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gatefield.core.types import HostArray

REAL = ("F64", "F32", "F16", "BF16")
"""Types of weights that are read, under the names of the safetensors format."""


class Stored(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    keys
        Names of the arrays.
    dtype
        Returns the type of one, one of `REAL` for weights.
    array
        Returns one in double precision.
    """

    keys: Sequence[str]
    dtype: Callable[[str], str]
    array: Callable[[str], HostArray]
