"""Initialisers of PyTorch's modules, in place; each ends in a cell, which one writer draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gatefield.bridge import recipe_cells
from gatefield.bridge.drawn import weights_by
from gatefield.bridge.torch.blocks import blocks_of, torch_of, write_
from gatefield.bridge.torch.draws import numpy_generator
from gatefield.cells import AbstractCell
from gatefield.core.errors import refuse
from gatefield.initialise import Design, DesignSolution


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
        A torch.Generator; same seed, same weights, whatever the module's precision and device. Two
        words of it seed NumPy's, as those of a key of JAX do for modules of Equinox and Flax.

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
    return _initialised(
        module,
        recipe_cells.given,
        layers,
        generator,
        couplings=couplings,
        input_gain=input_gain,
        cell=cell,
    )


def critical_(
    module: Any,
    *,
    value: float | None = None,
    quantity: str | None = None,
    at: str | None = None,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | None = None,
    layers: Any = None,
    generator: Any = None,
    seed: int = 0,
    **parameters: Any,
) -> Any:
    """Put a module at the edge of stability, or at a distance from it, layer by layer, in place.

    The cell of each layer is that of `gatefield.initialise.critical_cell`, which has the equations
    and whose options are those that are not named here.

    Parameters
    ----------
    module, couplings, input_gain, layers, generator
        As in `from_cell_`; with ``inputs`` the input gain is one number, and layers are all.
    quantity
        By default "leading_edge" without inputs, and "lyapunov" with them.
    inputs
        What the module reads: `InputStatistics`, or data (T, features) or (samples, T, features).
        A layer above reads what theory says of the one below.
    value, at
        As in `critical_cell`, by default the edge of stability.
    seed
        Of theory's samples; the generator draws weights and biases.
    **parameters
        Biases and gains of the gates, as in `critical_cell`.

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    InvalidInputError, NumericalFailureError
        As `from_cell_` and `critical_cell`; nothing is written then.

    Assumptions
    -----------
    N to infinity; with inputs, features enough for units to be driven independently.
    """
    if inputs is not None and layers is not None:
        remedy = "The statistics of a layer's input follow from the layers below it."
        refuse("layers", layers, "None with inputs", remedy)
    return _initialised(
        module,
        recipe_cells.critical,
        layers,
        generator,
        couplings=couplings,
        input_gain=input_gain,
        value=value,
        quantity=quantity,
        at=at,
        inputs=inputs,
        seed=seed,
        parameters=parameters,
    )


def marginal_(
    module: Any,
    *,
    horizon: float,
    shortest: float = 2.0,
    times: str = "uniform",
    growth: float = 0.0,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    layers: Any = None,
    generator: Any = None,
    **parameters: Any,
) -> Any:
    """Give a gated module long memory by its update gate, at the edge of stability, in place.

    The cell of each layer is that of `gatefield.initialise.marginal_cell`, which has the equations
    and whose options are those that are not named here.

    Parameters
    ----------
    module, couplings, input_gain, layers, generator
        As in `from_cell_`; the generator also draws the biases.
    horizon, shortest
        In steps, of `GatedRNN` too (each is dt of its time; both are longer than 1 / dt there).
    times, growth
        As in `marginal_cell`.
    **parameters
        Other biases and gains, as in `marginal_cell`.

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        As `from_cell_` and `marginal_cell`; nothing is written then.
    """
    return _initialised(
        module,
        recipe_cells.marginal,
        layers,
        generator,
        couplings=couplings,
        input_gain=input_gain,
        horizon=horizon,
        shortest=shortest,
        times=times,
        growth=growth,
        parameters=parameters,
    )


def chrono_(
    module: Any,
    *,
    horizon: float,
    couplings: str = "uniform",
    input_gain: float | Mapping[str, float] | None = None,
    layers: Any = None,
    generator: Any = None,
    **parameters: Any,
) -> Any:
    """Give a gated module chrono biases, in place; other biases are zero.

    The cell of each layer is that of `gatefield.initialise.chrono_cell`, whose options are those
    that are not named here.

    Parameters
    ----------
    module, couplings, input_gain, layers, generator
        As in `from_cell_`; the generator also draws the biases.
    horizon
        In steps, above 2; of `GatedRNN` above 2 / dt.
    **parameters
        Gains and other biases, as in `chrono_cell`.

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        As `from_cell_` and `chrono_cell`; nothing is written then.
    """
    return _initialised(
        module,
        recipe_cells.chrono,
        layers,
        generator,
        couplings=couplings,
        input_gain=input_gain,
        horizon=horizon,
        parameters=parameters,
    )


def orthogonal_(
    module: Any,
    *,
    gain: float = 1.0,
    input_gain: float | Mapping[str, float] | None = None,
    layers: Any = None,
    generator: Any = None,
    **parameters: Any,
) -> Any:
    r"""Make the recurrent block of each gate orthogonal, in place; biases are zero.

    .. math:: W_{hh}^a = \mathrm{gain}\; Q^a, \qquad Q^a \text{ uniform over the orthogonal group}

    Parameters
    ----------
    module, input_gain, layers, generator
        As in `from_cell_`.
    gain
        Of all blocks; of `GatedRNN`, whose couplings have gain 1, g_h is twice this (at gain 1 the
        zero state is at its edge).
    **parameters
        Further parameters of the cell, such as biases.

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        As `from_cell_`; nothing is written then.

    References
    ----------
    Saxe, McClelland and Ganguli, arXiv:1312.6120; Le, Jaitly and Hinton, arXiv:1504.00941.
    """
    return _initialised(
        module,
        recipe_cells.orthogonal,
        layers,
        generator,
        couplings="orthogonal",
        input_gain=input_gain,
        gain=gain,
        parameters=parameters,
    )


def from_design_(
    module: Any,
    design: Design | DesignSolution,
    *,
    solution: int = 0,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    layers: Any = None,
    generator: Any = None,
) -> Any:
    """Write a solution of `gf.design` into a module of PyTorch, in place.

    Parameters
    ----------
    module, couplings, input_gain, layers, generator
        As in `from_cell_`; the generator also draws biases that are spread over units.
    design
        From `gf.design`, or one of its solutions.
    solution
        Which of its solutions, from 0, the best one.
    inputs
        What the module reads: `InputStatistics` or data. The input weights of the first layer then
        get the variance at which each drive has the second moment that it had in the design. Only
        for a `Design`, which knows its inputs.

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
    return _initialised(
        module,
        recipe_cells.designed,
        layers,
        generator,
        couplings=couplings,
        input_gain=input_gain,
        design=design,
        solution=solution,
        inputs=inputs,
    )


def _initialised(
    module: Any, recipe: Callable[..., Any], layers: Any, generator: Any, **options: Any
) -> Any:
    torch = torch_of(module)
    blocks = blocks_of(module, layers)
    slots = [block.slots for block in blocks]
    write_(blocks, weights_by(recipe, slots, numpy_generator(generator, torch), **options), torch)
    return module
