"""The biases of each gate over the units."""

from __future__ import annotations

import equinox as eqx
import numpy as np

from gatefield.cells import AbstractCell
from gatefield.core.results import quantity
from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.part import MapPart

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Levels of all quantiles of a diagnosis."""


class Biases(MapPart):
    """The biases, by the names of the cell's parameters (the sums of PyTorch's two).

    Attributes
    ----------
    names
        For instance "bias_r", "bias_z", "bias_n", "bias_hn": the order of the axis "bias".
    mean, spread
        Mean and standard deviation over units.
    levels
        Levels of the quantiles.
    quantiles
        Quantiles over units.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    mean: Float[HostArray, " bias"] = eqx.field(metadata=quantity("bias"))
    spread: Float[HostArray, " bias"] = eqx.field(metadata=quantity("bias"))
    levels: Float[HostArray, " level"] = eqx.field(metadata=quantity("level"))
    quantiles: Float[HostArray, "bias level"] = eqx.field(metadata=quantity("bias", "level"))


def biases_of(cell: AbstractCell, n: int) -> Biases:
    """Describe every parameter of a cell that is called a bias.

    Parameters
    ----------
    cell
        Any cell.
    n
        Number of units: a shared bias counts for each.

    Returns
    -------
    Biases
    """
    named = {key: value for key, value in vars(cell).items() if key.startswith("bias")}
    values = np.array(
        [np.broadcast_to(np.asarray(each, float), (n,)) for each in named.values()]
    ).reshape(len(named), n)
    return Biases(
        names=tuple(named),
        mean=values.mean(axis=1),
        spread=values.std(axis=1),
        levels=np.array(LEVELS),
        quantiles=np.quantile(values, LEVELS, axis=1).T,
    )
