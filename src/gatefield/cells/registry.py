"""The cells that every tool is tested on; a new cell joins by one call of `register`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gatefield.cells.base import AbstractCell, check_cell
from gatefield.cells.elman import ElmanRNN
from gatefield.cells.gated import GatedRNN
from gatefield.cells.gru import GRU
from gatefield.cells.lstm import LSTM
from gatefield.cells.vanilla import VanillaRNN
from gatefield.cells.wiring import wiring
from gatefield.core.errors import refuse

_EXAMPLES: dict[str, AbstractCell] = {}


def register(name: str, example: AbstractCell) -> None:
    """Add a cell to the registry, with example parameters on which the tools can be driven.

    Parameters
    ----------
    name
        A new name, in lower case.
    example
        An instance of the cell; its `outputs`, `rule` and `gains` are checked here.

    Raises
    ------
    InvalidInputError
        If the name is taken, the example is not a cell, or its methods miss a name.
    """
    _add_own()
    if not isinstance(name, str) or name in _EXAMPLES:
        refuse("name", name, "a name that is not taken", f"Registered: {sorted(_EXAMPLES)}.")
    wiring(check_cell(example))
    _EXAMPLES[name] = example


def registered_cells() -> Mapping[str, AbstractCell]:
    """Return the registered example cells by name."""
    _add_own()
    return MappingProxyType(_EXAMPLES)


def _add_own() -> None:
    # At first use, not at import: the checks trace the cells, and an import must not start JAX.
    if "gated-rnn" in _EXAMPLES:
        return
    own = {
        "gated-rnn": GatedRNN(g_h=2.5, alpha_z=2.0, alpha_r=1.5, beta_h=0.1, tau_z=1.5),
        "vanilla-rnn": VanillaRNN(g=1.5, beta=0.1),
        "gru": GRU(gain_r=1.5, gain_z=2.0, gain_n=2.5, bias_z=0.5, bias_hn=0.2),
        "gru-reset-before": GRU(gain_r=2.0, gain_z=1.0, gain_n=3.0, reset="before"),
        "lstm": LSTM(gain_i=1.0, gain_f=1.5, gain_g=2.5, gain_o=1.0, bias_f=1.0),
        "elman-rnn": ElmanRNN(gain=1.5, bias=0.1),
    }
    _EXAMPLES.update(own)
