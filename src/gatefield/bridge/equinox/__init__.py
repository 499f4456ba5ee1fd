"""Equinox: initialisers that return new modules, the gated RNN as a module, and the way back."""

from gatefield.bridge.equinox.gated import GatedRNN
from gatefield.bridge.equinox.initialisers import (
    chrono,
    critical,
    from_cell,
    from_design,
    marginal,
    orthogonal,
)
from gatefield.bridge.equinox.read import from_equinox

__all__ = [
    "GatedRNN",
    "chrono",
    "critical",
    "from_cell",
    "from_design",
    "from_equinox",
    "marginal",
    "orthogonal",
]
