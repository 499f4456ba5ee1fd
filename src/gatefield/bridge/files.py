"""Recurrent modules from safetensors files, without the framework that wrote them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from safetensors import SafetensorError, safe_open

from gatefield.bridge.weights import is_weight, layered_network, shape_of
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray
from gatefield.networks import LayeredNetwork

_SHOWN = 12  # names in a message
_PICKLED = (b"PK\x03\x04", b"\x80")  # what torch.save writes: an archive, or the pickle itself
_REAL = ("F64", "F32", "F16", "BF16")


def from_file(
    path: str | os.PathLike[str],
    prefix: str = "",
    *,
    kind: str | None = None,
    nonlinearity: str | None = None,
    dtype: str | None = None,
) -> LayeredNetwork:
    """Return the layers of a recurrent module whose weights a safetensors file holds.

    The names are those of PyTorch's state_dict: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0,
    then _l1, ... for further layers and _reverse for the second direction, after a prefix such as
    "encoder.rnn.". Nothing is executed: a safetensors file has names, shapes and numbers alone.

    Parameters
    ----------
    path
        The file, as `safetensors.torch.save_file(model.state_dict(), path)` writes it.
    prefix
        What stands before the names, with or without its last dot. May be left out where the file
        holds one recurrent module.
    kind
        "RNN", "GRU" or "LSTM"; by default weight_hh of N columns tells by its N, 3 N or 4 N rows.
    nonlinearity
        "tanh" (default) or "relu" of an RNN, which the file does not tell.
    dtype
        "float64" or "float32"; by default "float64" where the weights are in double precision.

    Returns
    -------
    LayeredNetwork

    Raises
    ------
    InvalidInputError
        For a file that is not there or of another format (a pickle, say), an ambiguous or unknown
        prefix, weights that are missing, of wrong shape or not finite, or another architecture.

    Assumptions
    -----------
    The module applied no dropout between layers when it ran: the file does not tell.

    References
    ----------
    The documentation of torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM, and of safetensors.
    """
    file = _checked(path)
    try:
        with safe_open(file, framework="numpy") as stored:
            keys = list(stored.keys())
            prefix = _chosen(keys, prefix, file)
            where = f"{file.name}: {prefix or 'module'}".rstrip(".")
            shape = shape_of([name for owner, name in map(_owner, keys) if owner == prefix], where)
            kinds = {name: stored.get_slice(prefix + name).get_dtype() for name in shape.names()}
            for name, found in kinds.items():
                if found not in _REAL:
                    remedy = "Save the weights before they are quantised."
                    refuse(f"dtype of {prefix}{name}", found, f"one of {', '.join(_REAL)}", remedy)
            weights = {name: _array(stored, prefix + name) for name in kinds}
    except (OSError, SafetensorError) as error:
        _refuse_file(file, error)
    double = "F64" in kinds.values()
    return layered_network(
        weights,
        where=where,
        dtype=dtype if dtype is not None else "float64" if double else "float32",
        kind=kind,
        nonlinearity=nonlinearity,
    )


def _checked(path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        refuse("path", path, "the path of a safetensors file", "Pass a string or a Path.")
    file = Path(path).expanduser()
    if not file.is_file():
        refuse("path", str(path), "a file", "Check the spelling and the folder.")
    return file


def _owner(key: str) -> tuple[str, str]:
    """Return the prefix of a key with its last dot, and the name behind it."""
    head, dot, name = key.rpartition(".")
    return head + dot, name


def _array(stored: Any, key: str) -> HostArray:
    # NumPy knows bfloat16 since JAX was imported, with `networks`.
    return np.asarray(stored.get_tensor(key)).astype(np.float64)


def _chosen(keys: list[str], prefix: str, file: Path) -> str:
    """Return the prefix of the module that is meant."""
    if not isinstance(prefix, str):
        refuse("prefix", prefix, "a string", "For instance 'encoder.rnn'.")
    modules = sorted({owner for owner, name in map(_owner, keys) if is_weight(name)})
    if not modules:
        remedy = "Its keys must end in weight_ih_l0, weight_hh_l0, ..., as PyTorch names them."
        refuse(f"keys of {file.name}", sorted(keys), "weights of a recurrent module", remedy)
    asked = prefix if not prefix or prefix.endswith(".") else f"{prefix}."
    if asked in modules:
        return asked
    if prefix or len(modules) > 1:
        refuse("prefix", prefix, f"one of {_some(modules)}", f"{file.name} holds these.")
    return modules[0]


def _some(names: list[str]) -> str:
    listed = ", ".join(repr(name) for name in sorted(names)[:_SHOWN])
    return listed + (f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


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
            "safetensors.torch.save_file(module.state_dict(), path)."
        )
    refuse("path", str(file), "a safetensors file", remedy)
