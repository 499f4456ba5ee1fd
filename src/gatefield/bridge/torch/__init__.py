"""Modules of PyTorch: read as networks, and initialised by theory; torch itself is not imported.

Whoever passes a module has imported it. `GatedRNN`, which is a module, imports it when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gatefield.bridge.torch.initialisers import (
    chrono_,
    critical_,
    from_cell_,
    from_design_,
    marginal_,
    orthogonal_,
)
from gatefield.bridge.torch.read import from_torch

if TYPE_CHECKING:
    from gatefield.bridge.torch.gated import GatedRNN

__all__ = [
    "GatedRNN",
    "chrono_",
    "critical_",
    "from_cell_",
    "from_design_",
    "from_torch",
    "marginal_",
    "orthogonal_",
]


def __getattr__(name: str) -> Any:
    """Import the one name that needs torch when it is first used."""
    if name != "GatedRNN":
        raise AttributeError(f"module 'gatefield.bridge.torch' has no attribute {name!r}")
    value = importlib.import_module("gatefield.bridge.torch.gated").GatedRNN
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *__all__})
