"""Recurrent modules from files of weights: safetensors, and state dicts of PyTorch."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gatefield.bridge.safetensors_file import safetensors_weights
from gatefield.bridge.stored import REAL, Stored
from gatefield.bridge.torch_file import ENDINGS, torch_weights
from gatefield.bridge.weights import is_weight, layered_network, shape_of
from gatefield.core.errors import refuse
from gatefield.networks import LayeredNetwork

_SHOWN = 12  # names in a message
# What parametrisations, weight norm and pruning leave of a weight; `owner` is the module.
_COMPUTED = re.compile(
    r"(?P<owner>(?:.*\.)?)(?:parametrizations\.(?:weight|bias)_(?:ih|hh)(?:_l\d+(?:_reverse)?)?\..+"
    r"|(?:weight|bias)_(?:ih|hh)(?:_l\d+(?:_reverse)?)?_(?:g|v|u|orig|mask))"
)
_LENGTH_BYTES = 8  # of the header of a safetensors file, before its first brace


def from_file(
    path: str | os.PathLike[str],
    prefix: str = "",
    *,
    kind: str | None = None,
    nonlinearity: str | None = None,
    dtype: str | None = None,
) -> LayeredNetwork:
    """Return the layers of a recurrent module whose weights a file holds.

    The names are those of PyTorch's state_dict: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0,
    then _l1, ... for further layers and _reverse for the second direction, after a prefix such as
    "encoder.rnn."; an nn.RNNCell, nn.GRUCell or nn.LSTMCell has the same names without _l0. Nothing
    in the file is executed: a safetensors file has names, shapes and numbers alone, and of a file
    that torch.save wrote PyTorch (2.6 or later, imported for this) reads the weights alone.

    Parameters
    ----------
    path
        The file, as `safetensors.torch.save_file(model.state_dict(), path)` writes it; or, if its
        name ends in .pt, .pth, .bin or .ckpt, `torch.save(model.state_dict(), path)`, or a
        checkpoint that holds the state dict under "state_dict", "model_state_dict" or "model".
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
        For a file that is not there, damaged, compressed or of another format, a pickle that holds
        more than weights, an ambiguous or unknown prefix, weights that are missing, parametrised,
        of wrong shape or not finite, or another architecture.

    Assumptions
    -----------
    The module applied no dropout between layers when it ran: the file does not tell.

    References
    ----------
    The documentation of torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM, and of safetensors.
    """
    file = _checked(path)
    with _opened(file) as stored:
        prefix = _chosen(stored.keys, prefix, file)
        where = f"{file.name}: {prefix or 'module'}".rstrip(".")
        own = [name for owner, name in map(_owner, stored.keys) if owner == prefix]
        _check_computed(stored.keys, prefix, where)
        names = shape_of(own, where).names()
        kinds = {name: stored.dtype(prefix + name) for name in names}
        for name, found in kinds.items():
            if found not in REAL:
                remedy = "Save the weights before they are quantised."
                refuse(f"dtype of {prefix}{name}", found, f"one of {', '.join(REAL)}", remedy)
        weights = {name: stored.array(prefix + name) for name in names}
    double = "F64" in kinds.values()
    return layered_network(
        weights,
        where=where,
        dtype=dtype if dtype is not None else "float64" if double else "float32",
        kind=kind,
        nonlinearity=nonlinearity,
    )


def modules_in_file(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the prefixes of the recurrent modules that a file holds, in order of their names.

    Parameters
    ----------
    path
        As in `from_file`.

    Returns
    -------
    tuple of str
        Each a ``prefix`` of `from_file`.

    Raises
    ------
    InvalidInputError
        For files that cannot be read, or that hold none.
    """
    file = _checked(path)
    with _opened(file) as stored:
        return tuple(_modules(stored.keys)) or (_chosen(stored.keys, "", file),)


def _checked(path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        refuse(
            "path", path, "the path of a safetensors or PyTorch file", "Pass a string or a Path."
        )
    file = Path(path).expanduser()
    if not file.is_file():
        refuse("path", str(path), "a file", "Check the spelling and the folder.")
    return file


def _owner(key: str) -> tuple[str, str]:
    """Return the prefix of a key with its last dot, and the name behind it."""
    head, dot, name = key.rpartition(".")
    return head + dot, name


def _modules(keys: Iterable[str]) -> list[str]:
    """Return the prefixes of recurrent modules, also of those whose weights are computed."""
    computed = {match["owner"] for match in map(_COMPUTED.fullmatch, keys) if match is not None}
    return sorted({owner for owner, name in map(_owner, keys) if is_weight(name)} | computed)


def _check_computed(keys: Iterable[str], prefix: str, where: str) -> None:
    """Refuse a module of which the file has what its weights are computed from."""
    matches = [match for match in map(_COMPUTED.fullmatch, keys) if match is not None]
    found = [match[0] for match in matches if match["owner"] == prefix]
    if found:
        remedy = (
            "Make them plain before saving: torch.nn.utils.parametrize.remove_parametrizations, "
            "or torch.nn.utils.prune.remove where they are pruned."
        )
        refuse(where, found, "weights, not what a parametrisation computes them from", remedy)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Stored]:
    """Open a file by its ending; weights named as a pickle may be a safetensors file all the same.

    What is no state dict by its name is never handed to PyTorch.
    """
    if file.suffix.lower() in ENDINGS and not _is_safetensors(file):
        yield torch_weights(file)
        return
    with safetensors_weights(file) as stored:
        yield stored


def _is_safetensors(file: Path) -> bool:
    with file.open("rb") as raw:
        return raw.read(_LENGTH_BYTES + 1)[_LENGTH_BYTES:] == b"{"


def _chosen(keys: Sequence[str], prefix: str, file: Path) -> str:
    """Return the prefix of the module that is meant."""
    if not isinstance(prefix, str):
        refuse("prefix", prefix, "a string", "For instance 'encoder.rnn'.")
    modules = _modules(keys)
    if not modules:
        remedy = (
            "Its keys must end in weight_ih_l0, weight_hh_l0, ... (without _l0 for a cell), as "
            "PyTorch names them. Other architectures are not known."
        )
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
