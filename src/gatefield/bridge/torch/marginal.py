"""`marginal_`: a module of many time scales at the edge of stability."""

from __future__ import annotations

from typing import Any

from gatefield.bridge.torch.blocks import blocks_of, torch_of
from gatefield.bridge.torch.critical import fixed_of
from gatefield.bridge.torch.draws import check_generator, seed_from
from gatefield.bridge.torch.write import from_cell_
from gatefield.core.checks import as_number
from gatefield.initialise.recipes import marginal_cell


def marginal_(
    module: Any,
    *,
    horizon: float,
    shortest: float = 2.0,
    growth: float = 0.0,
    couplings: str = "normal",
    input_gain: float | None = None,
    layers: Any = None,
    generator: Any = None,
    **parameters: Any,
) -> Any:
    r"""Initialise a gated module of PyTorch with long memory by its update gate, in place.

    The biases that keep the state are spread so that gate times run from ``shortest`` to
    ``horizon`` (their 10 and 90 per cent quantiles), and the candidate's gain puts the Jacobian's
    spectrum at the edge of stability: `gatefield.initialise.marginal_cell`.

    Parameters
    ----------
    module
        As in `from_cell_`, with gates and biases.
    horizon, shortest
        In steps, of `GatedRNN` too (each is dt of its time; both are longer than 1 / dt there).
    growth
        e-folds by which perturbations of the zero state grow over the horizon.
    couplings, input_gain, layers, generator
        As in `from_cell_`; the generator also draws the biases.
    **parameters
        Further parameters of the cell: other biases, and the gates' gains (1 by default).

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        For what does not fit; nothing is written then.
    """
    torch = torch_of(module)
    blocks = blocks_of(module, layers)
    check_generator(generator, torch)
    horizon = as_number("horizon", horizon, positive=True)
    shortest = as_number("shortest", shortest, positive=True)
    cells = [
        marginal_cell(
            block.kind,
            units=block.units,
            horizon=horizon * block.dt,
            shortest=shortest * block.dt,
            growth=growth,
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
