"""Flax nnx, which is not imported: in-place initialisers for its modules, and the way back."""

from gatefield.bridge.flax.initialisers import (
    chrono_,
    critical_,
    from_cell_,
    from_design_,
    marginal_,
    orthogonal_,
)
from gatefield.bridge.flax.read import from_flax

__all__ = [
    "chrono_",
    "critical_",
    "from_cell_",
    "from_design_",
    "from_flax",
    "marginal_",
    "orthogonal_",
]
