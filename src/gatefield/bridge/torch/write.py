"""`from_cell_`: the one writer, which draws a cell's couplings into a module."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatefield.bridge.torch.blocks import Block, blocks_of, torch_of
from gatefield.bridge.torch.draws import COUPLINGS, check_generator, coupling, normal, uniform
from gatefield.cells import GRU, LSTM, AbstractCell, ElmanRNN, GatedRNN
from gatefield.cells.base import check_cell
from gatefield.core.checks import as_number, check_choice, check_names
from gatefield.core.errors import refuse

CELLS: dict[str, type[AbstractCell]] = {
    "RNN": ElmanRNN,
    "GRU": GRU,
    "LSTM": LSTM,
    "gated": GatedRNN,
}


def from_cell_(
    module: Any,
    cell: AbstractCell | Sequence[AbstractCell],
    *,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    layers: Any = None,
    generator: Any = None,
) -> Any:
    r"""Write a cell into a module of PyTorch, in place: couplings of its gains, and its biases.

    .. math:: (W_{hh}^a)_{ij} \text{ of variance } \mathrm{gain}_a^2 / N, \qquad
        (W_{ih}^a)_{ij} \text{ of variance } \mathrm{input\_gain}^2 / \mathrm{features}

    Parameters
    ----------
    module
        A torch.nn.RNN, GRU or LSTM, one of their cells, or `GatedRNN` of this package; any depth,
        directions, precision and device, with biases or without.
    cell
        A cell of the module's kind, for every block, or one for each block that is initialised, in
        the order of PyTorch's h_n. Parameters of shape (N,) are per unit.
    couplings
        "normal", "uniform" or "orthogonal", all of the same variance.
    input_gain
        Gain of the input weights, which are normal, one for all drives or by drive; those of drives
        that are not named are as in PyTorch, uniform on :math:`\pm 1/\sqrt N`.
    layers
        A depth or several; the others keep their weights. By default all.
    generator
        A torch.Generator; same seed, same weights, whatever the module's precision and device.

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        For another module, a cell of another kind, or biases where the module has none. Nothing is
        written then.

    Assumptions
    -----------
    Our biases stand in bias_ih; bias_hh is zero but for the GRU's b_hn, which its reset gate
    multiplies. PyTorch orders the gates r, z, n and i, f, g, o, and its z keeps the state.
    """
    torch = torch_of(module)
    blocks = blocks_of(module, layers)
    cells = list(cell) if isinstance(cell, Sequence) else [cell] * len(blocks)
    if len(cells) != len(blocks):
        refuse("cell", f"{len(cells)} cells", f"one, or {len(blocks)}", "One for each block.")
    check_choice("couplings", couplings, COUPLINGS)
    check_generator(generator, torch)
    gains = input_gains(blocks[0], input_gain)
    for block, own in zip(blocks, cells, strict=True):
        check_fits(block, own)
    with torch.no_grad():
        for block, own in zip(blocks, cells, strict=True):
            _write(block, own, couplings, gains, torch, generator)
    return module


def input_gains(block: Block, given: Any) -> dict[str, float]:
    """Return the gains of the input weights that are given, by drive."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        given = dict.fromkeys(block.inputs, given)
    check_names("input_gain", given, block.inputs)
    return {
        name: as_number(f"input_gain of {name!r}", gain, nonnegative=True)
        for name, gain in given.items()
    }


def check_fits(block: Block, cell: Any) -> None:
    """Refuse a cell that the block cannot be."""
    known = CELLS[block.kind]
    if not isinstance(check_cell(cell), known):
        refuse("cell", cell, f"a gatefield.{known.__name__}", f"{block.name} is of this kind.")
    own = vars(cell)
    if own.get("reset", "after") != "after":
        refuse("cell.reset", own["reset"], "'after'", "PyTorch resets after the product.")
    for name, value in block.fixed.items():
        if isinstance(value, str) and own[name] != value:
            refuse(f"cell.{name}", own[name], f"{value!r}, as the module's", "Make them agree.")
    shortest = min(
        (float(np.min(own[name])) for name in ("tau_z", "tau_r") if name in own), default=1.0
    )
    if block.dt > shortest:
        remedy = "Euler's method needs a shorter step: build the module with a smaller dt."
        refuse("module.dt", block.dt, f"at most {shortest:g}, the cell's shortest time", remedy)
    for name, value in own.items():
        if isinstance(value, str):
            continue
        shape = np.shape(value)
        tensor = block.parameters.get(name)
        allowed = [(), (block.units,)] if tensor is None else [(), tuple(tensor.shape)]
        if shape not in allowed:
            expected = " or ".join(map(str, dict.fromkeys(allowed)))
            refuse(f"cell.{name}.shape", shape, expected, f"{block.name} has {block.units} units.")
        if tensor is None and name.startswith("bias") and np.any(np.asarray(value) != 0):
            remedy = "Build the module with bias=True, which this initialisation needs."
            refuse(f"cell.{name}", value, "0 for a module of bias=False", remedy)


def _write(
    block: Block, cell: AbstractCell, law: str, given: dict[str, float], torch: Any, generator: Any
) -> None:
    gains = cell.gains()
    for field, matrix in block.couplings.items():
        scale = torch.tensor(np.reshape(np.asarray(gains[field], float), (-1, 1)))
        drawn = coupling(law, block.units, torch, generator)
        matrix.copy_(scale.to(drawn.device) * drawn)
    for drive, matrix in block.inputs.items():
        shape = tuple(matrix.shape)
        if drive in given:
            scale = given[drive] / math.sqrt(block.features)
            matrix.copy_(normal(shape, torch, generator) * scale)
        else:
            matrix.copy_(uniform(shape, 1 / math.sqrt(block.units), torch, generator))
    for name, tensor in block.parameters.items():
        value = np.broadcast_to(np.asarray(getattr(cell, name), float), tuple(tensor.shape))
        tensor.copy_(torch.tensor(value.copy()))
    for tensor in block.zeroed:
        tensor.zero_()
