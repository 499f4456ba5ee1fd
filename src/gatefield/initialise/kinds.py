"""The kinds of cell that recipes make: which gain they choose, and which gate keeps the state."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from gatefield.cells import GRU, LSTM, AbstractCell, AbstractMap, ElmanRNN, GatedRNN
from gatefield.core.checks import as_number, check_choice, check_names
from gatefield.core.errors import refuse


class Kind(NamedTuple):
    """One kind of cell.

    Attributes
    ----------
    cell
        Its class.
    gain
        The gain that a recipe chooses: that of the candidate's couplings.
    candidate
        Biases of the candidate: where they are zero, the zero state is a fixed point.
    memory
        Biases that set how long a unit remembers, with the sign by which a longer memory enters.
        The LSTM's input gate is tied to its forget gate, i = 1 - f, which makes it a leaky unit.
    """

    cell: Any
    gain: str
    candidate: tuple[str, ...]
    memory: tuple[tuple[str, float], ...]

    @property
    def is_map(self) -> bool:
        """Whether times count steps."""
        return issubclass(self.cell, AbstractMap)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "RNN": Kind(ElmanRNN, "gain", ("bias",), ()),
        "GRU": Kind(GRU, "gain_n", ("bias_n", "bias_hn"), (("bias_z", 1.0),)),
        "LSTM": Kind(LSTM, "gain_g", ("bias_g",), (("bias_f", 1.0), ("bias_i", -1.0))),
        "gated": Kind(GatedRNN, "g_h", ("beta_h",), (("beta_z", -1.0),)),
    }
)


def kind_of(name: Any) -> Kind:
    """Return a kind by its name: "RNN", "GRU", "LSTM" or "gated"."""
    return KINDS[check_choice("kind", name, KINDS)]


def made(kind: Kind, parameters: Mapping[str, Any], gain: float) -> AbstractCell:
    """Return a cell of given parameters, and of the gain that the recipe chooses.

    Raises
    ------
    InvalidInputError
        For a parameter that the cell does not have, or that is the recipe's to choose.
    """
    known = set(vars(kind.cell())) - {kind.gain}
    check_names(f"parameters of a {kind.cell.__name__}", parameters, sorted(known))
    gates = {} if kind.is_map else {"alpha_z": 1.0, "alpha_r": 1.0}
    return kind.cell(**{**gates, **parameters, kind.gain: gain})


def is_silent(kind: Kind, cell: AbstractCell) -> bool:
    """Return whether the zero state is a fixed point without input."""
    return not any(np.any(np.asarray(getattr(cell, name)) != 0) for name in kind.candidate)


def logit_of_time(time: Any, is_map: bool) -> Any:
    r"""Return the argument x of the gate at which a unit alone forgets within a time.

    .. math:: -1/\ln\sigma(x) = t \text{ (maps, the gate keeps)}, \qquad
        1/\sigma(-x) = t \text{ (flows, the gate updates)}

    Parameters
    ----------
    time
        t, in steps of a map, or in units of a flow's time constant (above 1).
    is_map
        Which of the two.
    """
    time = np.asarray(time, float)
    return -np.log(np.expm1(1 / time)) if is_map else np.log(time - 1)


def check_time(name: str, value: Any, kind: Kind) -> float:
    """Return a positive time; of flows one above the unit's own time constant."""
    time = as_number(name, value, positive=True)
    if not kind.is_map:
        if not time > 1:
            refuse(name, value, "a time above 1", "A unit alone forgets in 1 at least.")
    return time
