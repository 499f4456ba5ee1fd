"""Arrays of files that torch.save wrote: weights alone, nothing in the file is run."""

from __future__ import annotations

import importlib
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from gatefield.bridge.stored import Stored
from gatefield.bridge.weights import is_weight
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray

ENDINGS = (".pt", ".pth", ".bin", ".ckpt")
"""Endings of the files that are read here."""

_OLDEST = (2, 6)  # before, weights_only=True could be led to run code (CVE-2025-32434)
_NESTS = ("state_dict", "model_state_dict", "model")  # where checkpoints keep the weights
_DEEPEST = 4
_EXPECTED = "a state dict of PyTorch"
_SAVE = "Where it was written, use torch.save(module.state_dict(), path)."
_ARCHIVE = b"PK\x03\x04"  # how a zip archive begins, which torch.save has written since 1.6
_SHOWN = 160  # characters of an error of PyTorch's


def torch_weights(file: Path) -> Stored:
    """Return the tensors of a state dict, or of the one that a checkpoint holds.

    The file is read by ``torch.load(file, weights_only=True)``: numbers, and none of the code that
    a pickle may carry. PyTorch is imported here and nowhere else.

    Parameters
    ----------
    file
        A file that exists.

    Returns
    -------
    Stored
        Keys of nested dictionaries are joined by dots; those under which checkpoints usually keep
        a model ("state_dict", "model_state_dict", "model") are left out.

    Raises
    ------
    InvalidInputError
        Where PyTorch is not installed or older than 2.6, for files that hold more than weights, or
        that are damaged or compressed.
    """
    size = _checked_size(file)
    torch = _torch(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats; the error that follows says as much
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes of a damaged file lead to
        _refuse_file(file, error)
    tensors = _tensors(torch, loaded, file)

    def dtype(key: str) -> str:
        tensor = tensors[key]
        plain = tensor.layout == torch.strided and not (tensor.is_quantized or tensor.is_meta)
        known = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16"}
        known[torch.bfloat16] = "BF16"
        return known.get(tensor.dtype, str(tensor.dtype)) if plain else f"{tensor.layout} tensor"

    def array(key: str) -> HostArray:
        tensor = tensors[key]
        # A tensor of stride 0 may repeat one number as often as its shape says.
        if tensor.numel() * tensor.element_size() > size:
            shape = tuple(tensor.shape)
            refuse(f"{key}.shape", shape, f"no more numbers than {file.name} holds", _SAVE)
        return tensor.detach().double().numpy()

    return Stored(list(tensors), dtype, array)


def _checked_size(file: Path) -> int:
    """Return the bytes of a file, and refuse an archive that would unpack to more of them."""
    size = file.stat().st_size
    with file.open("rb") as raw:
        if raw.read(len(_ARCHIVE)) != _ARCHIVE:
            return size
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except Exception as error:  # as above: zipfile raises more than its BadZipFile
        _refuse_file(file, error)
    if any("/code/" in entry.filename for entry in entries):
        remedy = f"This is a TorchScript archive, a program. {_SAVE}"
        refuse("path", str(file), _EXPECTED, remedy)
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > size:
        # torch.save stores without compression: such a file is none of its own.
        remedy = f"It holds {size} bytes that unpack to {unpacked}. {_SAVE}"
        refuse("path", str(file), f"{_EXPECTED}, not compressed", remedy)
    return size


def _torch(file: Path) -> Any:
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        remedy = (
            "Only PyTorch reads this format: install it (pip install torch), or convert the file "
            "where it is installed by safetensors.torch.save_file(module.state_dict(), path)."
        )
        refuse("path", str(file), "a safetensors file, since PyTorch is not installed", remedy)
    version = re.match(r"(\d+)\.(\d+)", str(torch.__version__))
    if version is None or (int(version[1]), int(version[2])) < _OLDEST:
        remedy = "Older ones could be led to run code. Update it, or write a safetensors file."
        refuse("torch.__version__", str(torch.__version__), "2.6 or later", remedy)
    return torch


def _tensors(torch: Any, loaded: Any, file: Path) -> dict[str, Any]:
    """Return the tensors of a dictionary, or of the ones that it holds, by their joined keys."""
    if not isinstance(loaded, Mapping):
        # Not by its repr: lists of lists of one list take gigabytes to print.
        refuse(f"content of {file.name}", f"a {type(loaded).__name__}", _EXPECTED, _SAVE)
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Mapping[Any, Any], int]] = [("", loaded, 0)]
    seen: set[int] = set()
    while waiting:
        prefix, level, deep = waiting.pop()
        if id(level) in seen:
            continue  # a pickle can hold one dictionary any number of times
        seen.add(id(level))
        named = {key: value for key, value in level.items() if isinstance(key, str)}
        own = {key: value for key, value in named.items() if isinstance(value, torch.Tensor)}
        found |= {prefix + key: value for key, value in own.items()}
        if deep == _DEEPEST or any(is_weight(key.rpartition(".")[2]) for key in own):
            continue
        inner = {key: value for key, value in named.items() if isinstance(value, Mapping)}
        kept = [inner[key] for key in _NESTS if key in inner and _holds_weights(inner[key])][:1]
        if kept:
            waiting.append((prefix, kept[0], deep + 1))
        else:
            waiting += [(f"{prefix}{key}.", value, deep + 1) for key, value in inner.items()]
    return found


def _holds_weights(level: Mapping[Any, Any]) -> bool:
    """Return whether a dictionary, or one that it holds, has a key of recurrent weights."""
    waiting, seen = [level], set()
    while waiting:
        inner = waiting.pop()
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        if any(isinstance(key, str) and is_weight(key.rpartition(".")[2]) for key in inner):
            return True
        waiting += [value for value in inner.values() if isinstance(value, Mapping)]
    return False


def _refuse_file(file: Path, error: Exception) -> NoReturn:
    text = str(error)
    code = re.search(r"GLOBAL ([\w.]+)", text)
    if code is not None:
        what = f"more than weights ({code[1]}), which could run code: nothing was run"
        remedy = f"It holds {what}. {_SAVE}"
    else:
        first = next(iter(text.strip().splitlines()), "") or type(error).__name__
        remedy = f"It cannot be read ({first[:_SHOWN]})."
    refuse("path", str(file), _EXPECTED, remedy)
