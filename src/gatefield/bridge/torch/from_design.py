"""`from_design_`: the solution of an inverse design as a module's weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gatefield.bridge.torch.blocks import blocks_of, torch_of
from gatefield.bridge.torch.draws import check_generator, seed_from
from gatefield.bridge.torch.passing import statistics_of
from gatefield.bridge.torch.write import from_cell_
from gatefield.core.checks import check_count
from gatefield.core.errors import refuse
from gatefield.initialise.result import Design, DesignSolution


def from_design_(
    module: Any,
    design: Design | DesignSolution,
    *,
    solution: int = 0,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | None = None,
    layers: Any = None,
    generator: Any = None,
) -> Any:
    r"""Write a solution of `gf.design` into a module of PyTorch, in place.

    Parameters
    ----------
    module
        As in `from_cell_`, of the design's kind of cell.
    design
        From `gf.design`, or one of its solutions.
    solution
        Which of its solutions, from 0, the best one.
    inputs
        What the module will read: `InputStatistics` or data, as in `critical_`. The input weights
        of the first layer then get the variance at which each drive has the second moment that it
        had in the design. Only for a `Design`, which knows its inputs.
    couplings, input_gain, layers, generator
        As in `from_cell_`; the generator also draws biases that are spread over units.

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        For what does not fit, or a number of a solution that the design does not have; nothing is
        written then.
    """
    torch = torch_of(module)
    blocks = blocks_of(module, layers)
    check_generator(generator, torch)
    if isinstance(design, Design):
        place = check_count("solution", solution, at_least=0)
        if place >= len(design.solutions):
            expected = f"below {len(design.solutions)}, the number of solutions"
            refuse("solution", solution, expected, "They count from 0.")
        chosen = design.solutions[place]
    elif isinstance(design, DesignSolution):
        chosen = design
    else:
        remedy = "Pass what gf.design returned, or write a cell by from_cell_."
        refuse("design", design, "a Design or one of its solutions", remedy)
    gains: Any = input_gain
    if inputs is not None:
        if input_gain is not None or not isinstance(design, Design):
            remedy = "The inputs of the design fix the input weights: pass one of the two."
            refuse("inputs", inputs, "None with input_gain or a bare solution", remedy)
        if any(block.depth > 0 for block in blocks):
            refuse("layers", layers, "0 with inputs", "Deeper layers read the layer below.")
        gains = _input_gains(design, statistics_of(inputs), blocks[0].features)
    cells = [chosen.with_biases(block.units, seed_from(torch, generator)) for block in blocks]
    return from_cell_(
        module, cells, couplings=couplings, input_gain=gains, layers=layers, generator=generator
    )


def _input_gains(design: Design, statistics: Any, features: int) -> dict[str, float]:
    if statistics.features != features:
        remedy = "One mean and variance for each feature."
        refuse("inputs.features", statistics.features, f"{features}", remedy)
    moment = float(np.sum(statistics.variance + statistics.mean**2))
    if not moment > 0:
        refuse("inputs", statistics, "inputs that are not all zero", "Pass input_gain instead.")
    gains = {}
    for drive in design.cell.drive_names:
        given = design.inputs.get(drive, ())
        parts = given if isinstance(given, tuple) else (given,)
        wanted = sum(float(part.second_moment(0.0)) for part in parts)
        gains[drive] = math.sqrt(wanted / moment * features)
    return gains
