"""Cells: per-unit rules, of which a network is made of N copies."""

from gatefield.cells.base import AbstractCell, AbstractFlow, AbstractMap
from gatefield.cells.elman import ElmanRNN
from gatefield.cells.gated import GatedRNN
from gatefield.cells.gru import GRU
from gatefield.cells.linear_gated import LinearGatedRNN
from gatefield.cells.linearise import UnitBlocks, unit_blocks
from gatefield.cells.lstm import LSTM
from gatefield.cells.observables import quantity_names
from gatefield.cells.registry import register, registered_cells
from gatefield.cells.vanilla import VanillaRNN
from gatefield.cells.wiring import Wiring, wiring

__all__ = [
    "GRU",
    "LSTM",
    "AbstractCell",
    "AbstractFlow",
    "AbstractMap",
    "ElmanRNN",
    "GatedRNN",
    "LinearGatedRNN",
    "UnitBlocks",
    "VanillaRNN",
    "Wiring",
    "quantity_names",
    "register",
    "registered_cells",
    "unit_blocks",
    "wiring",
]
