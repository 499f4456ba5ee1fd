"""Parameters of the gated RNN that a command chooses where none were told."""

from __future__ import annotations

from typing import Any

from gatefield.cells import AbstractCell
from gatefield.cli.cell import cell_of


def cell_with_defaults(config: Any, **defaults: float) -> AbstractCell:
    """Return the cell that was asked for; a gated RNN with these values where none were given.

    Parameters
    ----------
    config
        A `CellConfig`.
    defaults
        Parameters of the gated RNN.

    Returns
    -------
    AbstractCell

    Raises
    ------
    InvalidInputError
        As `cell_of`.
    """
    given = {**config.assignments(), **config.gated()}
    missing = {key: value for key, value in defaults.items() if key not in given}
    if config.cell in ("gated", "gated-rnn") and missing:
        config = config.model_copy(update=missing)
    return cell_of(config)
