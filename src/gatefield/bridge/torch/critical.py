"""`critical_`: a module at the edge of stability, layer by layer under its inputs."""

from __future__ import annotations

import math
from typing import Any

from gatefield.bridge.torch.blocks import Block, blocks_of, torch_of
from gatefield.bridge.torch.draws import check_generator
from gatefield.bridge.torch.passing import layer_statistics, statistics_of
from gatefield.bridge.torch.write import from_cell_, input_gains
from gatefield.cells import AbstractCell
from gatefield.core.errors import refuse
from gatefield.initialise.recipes import critical_cell
from gatefield.initialise.statistics import InputStatistics


def critical_(
    module: Any,
    *,
    value: float | None = None,
    quantity: str | None = None,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | None = None,
    layers: Any = None,
    generator: Any = None,
    seed: int = 0,
    **parameters: Any,
) -> Any:
    r"""Initialise a module of PyTorch at the edge of stability, in place.

    The candidate's couplings get the gain that `gatefield.initialise.critical_cell` computes; the
    other weights are drawn as `from_cell_` says.

    Parameters
    ----------
    module
        As in `from_cell_`.
    value, quantity
        The target: "leading_edge", the spectral radius of the Jacobian of one step (of
        `GatedRNN` the flow's rightmost real part), or "lyapunov", the largest exponent per step (or
        time constant). By default the edge of stability: radius 1 at the zero state without
        ``inputs``, exponent 0 with them.
    inputs
        What the module will read: `InputStatistics`, or data (T, features) or (samples, T,
        features). A layer above reads what theory says of the layer below.
    couplings, input_gain, layers, generator
        As in `from_cell_`; the input gain is one number. With ``inputs`` all layers are
        initialised.
    seed
        For sampled theory, with ``inputs``.
    **parameters
        Further parameters of the cell: biases, and the gates' gains (1 by default), such as
        ``bias_z=1.0, gain_z=0.5``.

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        For what does not fit; nothing is written then.
    NumericalFailureError
        If no gain meets the target.

    Assumptions
    -----------
    As in `critical_cell`: N to infinity. With ``inputs`` features are many enough that units are
    driven independently.
    """
    torch_of(module)
    blocks = blocks_of(module, layers)
    check_generator(generator, torch_of(module))
    own = {"value": value, "seed": seed}
    if inputs is None:
        own["quantity"] = "leading_edge" if quantity is None else quantity
        cells = [_critical(block, parameters, **own) for block in blocks]
    else:
        if layers is not None:
            remedy = "The statistics of a layer's input follow from the layers below it."
            refuse("layers", layers, "None with inputs", remedy)
        own["quantity"] = "lyapunov" if quantity is None else quantity
        cells = _driven(blocks, statistics_of(inputs), input_gain, parameters, own)
    return from_cell_(
        module,
        cells,
        couplings=couplings,
        input_gain=input_gain,
        layers=layers,
        generator=generator,
    )


def _critical(block: Block, parameters: dict[str, Any], **options: Any) -> AbstractCell:
    return critical_cell(block.kind, **options, **{**fixed_of(block), **parameters})


def fixed_of(block: Block) -> dict[str, Any]:
    """Return the parameters of a cell that the module decides."""
    taus = {name: float(block.parameters[name]) for name in block.parameters if "tau" in name}
    return {**block.fixed, **taus}


def _driven(
    blocks: list[Block],
    statistics: InputStatistics,
    input_gain: Any,
    parameters: dict[str, Any],
    own: dict[str, Any],
) -> list[AbstractCell]:
    cells: list[AbstractCell] = []
    below = -1
    for place, block in enumerate(blocks):
        if block.depth == below:
            # Both directions of a depth read the same.
            cells.append(cells[-1])
            continue
        below = block.depth
        if statistics.features != block.features:
            remedy = "One mean and variance for each feature."
            refuse("inputs.features", statistics.features, f"{block.features}", remedy)
        gains = set(input_gains(block, input_gain).values())
        if len(gains) > 1 or (gains and len(input_gains(block, input_gain)) < len(block.inputs)):
            refuse("input_gain", input_gain, "one number with inputs", "Pass a float.")
        variance = gains.pop() ** 2 / block.features if gains else 1 / (3 * block.units)
        drive = {"inputs": in_own_time(statistics, block), "weight_variance": variance}
        cells.append(_critical(block, parameters, **own, **drive))
        above = [other for other in blocks[place:] if other.depth > block.depth]
        if above:
            features = above[0].features
            statistics = layer_statistics(cells[-1], statistics, variance, features, own["seed"])
    return cells


def in_own_time(statistics: InputStatistics, block: Block) -> InputStatistics:
    """Return statistics whose time is the cell's own, not counted in steps."""
    if math.isinf(statistics.correlation_time):
        return statistics
    time = statistics.correlation_time * block.dt
    return InputStatistics(statistics.mean, statistics.variance, time)
