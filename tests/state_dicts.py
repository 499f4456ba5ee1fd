"""State dicts of PyTorch for tests, and files of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from model_files import weights

N, FEATURES = 4, 3


def torch() -> Any:
    return pytest.importorskip("torch")


def gru(prefix="", kind="GRU", **options) -> dict[str, Any]:
    """Return a state dict, and so not an ordinary dictionary, of tensors in double precision."""
    of_torch = torch()
    arrays = weights(kind, n=N, **options)
    plain = {prefix + name: of_torch.as_tensor(each) for name, each in arrays.items()}
    return type(of_torch.nn.Linear(1, 1).state_dict())(plain)


def saved_state(folder: Path, content: Any, name: str = "model.pt", **options: Any) -> Path:
    """Save an object by torch.save, and return the path."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of modules saved whole, which torch advises against
        torch().save(content, folder / name, **options)
    return folder / name
