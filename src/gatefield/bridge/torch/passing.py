"""The statistics of what a layer reads: of data, and of the layer below it by theory."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.cells import AbstractCell
from gatefield.initialise.driven import mean_field, output_statistics
from gatefield.initialise.sources import sources_of
from gatefield.initialise.statistics import InputStatistics


def statistics_of(inputs: Any) -> InputStatistics:
    """Return the statistics of data, arrays or tensors; statistics themselves pass."""
    if isinstance(inputs, InputStatistics):
        return inputs
    if hasattr(inputs, "detach"):
        inputs = inputs.detach().cpu().double().numpy()
    return InputStatistics.of(np.asarray(inputs))


def layer_statistics(
    cell: AbstractCell,
    inputs: InputStatistics,
    weight_variance: float,
    features: int,
    seed: int,
) -> InputStatistics:
    """Return what theory predicts of a driven layer's output.

    Parameters
    ----------
    cell
        Of the layer, with scalar parameters.
    inputs, weight_variance
        What it reads, and the variance of an input weight.
    features
        Number of outputs that the layer above reads.
    seed
        Of the sampled theory.
    """
    state = mean_field(cell, sources_of(cell, inputs, weight_variance), seed=seed)
    return output_statistics(state, features)
