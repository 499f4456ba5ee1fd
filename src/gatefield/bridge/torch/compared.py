"""`chrono_` and `orthogonal_`: what others do, for comparison."""

from __future__ import annotations

from typing import Any

from gatefield.bridge.torch.blocks import Block, blocks_of, torch_of
from gatefield.bridge.torch.critical import fixed_of
from gatefield.bridge.torch.draws import check_generator, seed_from
from gatefield.bridge.torch.write import CELLS, from_cell_
from gatefield.cells import AbstractCell
from gatefield.core.checks import as_number
from gatefield.initialise.recipes import chrono_cell, plain_gains


def chrono_(
    module: Any,
    *,
    horizon: float,
    couplings: str = "uniform",
    input_gain: float | None = None,
    layers: Any = None,
    generator: Any = None,
    **parameters: Any,
) -> Any:
    r"""Initialise a gated module of PyTorch by chrono biases, in place.

    .. math:: b \sim \ln U(1, T_{\max} - 1): \quad b_f = -b_i = b \text{ (LSTM)}, \quad
        b_z = b \text{ (GRU, whose z keeps the state)}, \quad \beta_z = -b \text{ (GatedRNN)}

    All else is as PyTorch draws it, but for the other biases, which are zero.

    Parameters
    ----------
    module
        As in `from_cell_`, with gates and biases.
    horizon
        T_max in steps, the longest dependency that is expected; above 2 (of `GatedRNN`, 2 / dt).
    couplings, input_gain, layers, generator
        As in `from_cell_`; the generator also draws the biases.
    **parameters
        Further parameters of the cell, such as gains.

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        For what does not fit; nothing is written then.

    References
    ----------
    Tallec and Ollivier, arXiv:1804.11188.
    """
    torch = torch_of(module)
    blocks = blocks_of(module, layers)
    check_generator(generator, torch)
    horizon = as_number("horizon", horizon, positive=True)
    cells = [
        chrono_cell(
            block.kind,
            units=block.units,
            horizon=horizon * block.dt,
            seed=seed_from(torch, generator),
            **{**fixed_of(block), **parameters},
        )
        for block in blocks
    ]
    return from_cell_(
        module,
        cells,
        couplings=couplings,
        input_gain=input_gain,
        layers=layers,
        generator=generator,
    )


def orthogonal_(
    module: Any,
    *,
    gain: float = 1.0,
    input_gain: float | None = None,
    layers: Any = None,
    generator: Any = None,
    **parameters: Any,
) -> Any:
    r"""Initialise a module of PyTorch with orthogonal recurrent blocks, in place.

    .. math:: W_{hh}^a = \mathrm{gain}\; Q^a, \qquad Q^a \text{ uniform over the orthogonal group}

    for each gate a of its own; input weights are as PyTorch draws them, biases are zero.

    Parameters
    ----------
    module
        As in `from_cell_`.
    gain
        Of all recurrent blocks; of `GatedRNN`, whose couplings have gain 1, that of the activation
        is twice this (at gain 1 the zero state is at its edge).
    input_gain, layers, generator
        As in `from_cell_`.
    **parameters
        Further parameters of the cell, such as biases.

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        For what does not fit; nothing is written then.

    References
    ----------
    Saxe, McClelland and Ganguli, arXiv:1312.6120; Le, Jaitly and Hinton, arXiv:1504.00941.
    """
    gain = as_number("gain", gain, nonnegative=True)
    cells = [_plain(block, gain, parameters) for block in blocks_of(module, layers)]
    return from_cell_(
        module,
        cells,
        couplings="orthogonal",
        input_gain=input_gain,
        layers=layers,
        generator=generator,
    )


def _plain(block: Block, gain: float, parameters: dict[str, Any]) -> AbstractCell:
    gains = plain_gains(block.kind, gain)
    if block.kind == "gated":
        gains["g_h"] *= gain
    return CELLS[block.kind](**{**gains, **fixed_of(block), **parameters})
