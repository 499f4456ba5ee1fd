"""Initialisers for modules of Flax nnx, in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatefield.bridge import recipe_cells
from gatefield.bridge.drawn import draw_weights, generator_of
from gatefield.bridge.flax.modules import key_of, slots_of, write_


def critical_(
    module: Any,
    *,
    key: Any = None,
    rngs: Any = None,
    value: float | None = None,
    quantity: str | None = None,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Any:
    r"""Put a module at the edge of stability, or at a distance from it.

    Without inputs the spectral radius of the Jacobian at the zero state is 1: the gain is 1 for a
    SimpleCell, g_n = 2 for a GRU and g_g = 2 for an LSTM without biases.

    Parameters
    ----------
    module, key, rngs, couplings, input_gain
        As in `from_cell_`.
    value, quantity
        The target: "leading_edge", the spectral radius of the Jacobian of one step, or
        "lyapunov", the largest exponent per step. By default the edge of stability: radius 1 at
        the zero state without ``inputs``, exponent 0 with them.
    inputs
        What the module will read: `InputStatistics`, or data (T, features) or (samples, T,
        features). They enter by the input weights that are drawn.
    **parameters
        Further parameters of the cell: biases, the gates' gains.

    Returns
    -------
    flax.nnx.Module
        The module itself.

    Raises
    ------
    InvalidInputError, NumericalFailureError
        As `from_cell_` and `critical_cell`.

    Assumptions
    -----------
    N to infinity; a network of N units scatters about the value by some :math:`N^{-1/2}`. Called on
    the host, outside of jit.
    """
    slots, generator = slots_of(module), generator_of(key_of(key, rngs))
    cell = recipe_cells.critical(
        slots,
        generator,
        value=value,
        quantity=quantity,
        inputs=inputs,
        input_gain=input_gain,
        parameters=parameters,
    )
    drawn = draw_weights(slots, cell, generator, couplings=couplings, input_gain=input_gain)
    return write_(module, drawn)


def marginal_(
    module: Any,
    *,
    key: Any = None,
    rngs: Any = None,
    horizon: float,
    shortest: float = 2.0,
    growth: float = 0.0,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Any:
    """Give a module long memory: update-gate biases of many time scales, at the edge.

    Parameters
    ----------
    module, key, rngs, couplings, input_gain
        As in `from_cell_`.
    horizon, shortest
        90 and 10 per cent quantiles of the time in which a unit alone forgets, in steps.
    growth
        e-folds by which perturbations of the zero state grow over the horizon.
    **parameters
        Further parameters of the cell: other biases, and the gates' gains (1 by default).

    Returns
    -------
    flax.nnx.Module
        The module itself.

    Raises
    ------
    InvalidInputError, NumericalFailureError
        As `from_cell_` and `marginal_cell`.
    """
    slots, generator = slots_of(module), generator_of(key_of(key, rngs))
    cell = recipe_cells.marginal(
        slots,
        generator,
        horizon=horizon,
        shortest=shortest,
        growth=growth,
        parameters=parameters,
    )
    drawn = draw_weights(slots, cell, generator, couplings=couplings, input_gain=input_gain)
    return write_(module, drawn)


def chrono_(
    module: Any,
    *,
    key: Any = None,
    rngs: Any = None,
    horizon: float,
    couplings: str = "uniform",
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Any:
    """Give a module chrono biases: forgetting times uniform between 2 and the horizon.

    Parameters
    ----------
    module, key, rngs, couplings, input_gain
        As in `from_cell_`.
    horizon
        T_max in steps, the longest dependency that is expected; above 2.
    **parameters
        Further parameters of the cell; gains are 1/sqrt(3) by default, those of PyTorch.

    Returns
    -------
    flax.nnx.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        As `from_cell_` and `gatefield.initialise.recipes.chrono_cell`.

    References
    ----------
    Tallec and Ollivier, arXiv:1804.11188.
    """
    slots, generator = slots_of(module), generator_of(key_of(key, rngs))
    cell = recipe_cells.chrono(slots, generator, horizon=horizon, parameters=parameters)
    drawn = draw_weights(slots, cell, generator, couplings=couplings, input_gain=input_gain)
    return write_(module, drawn)


def orthogonal_(
    module: Any,
    *,
    key: Any = None,
    rngs: Any = None,
    gain: float = 1.0,
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Any:
    """Make the recurrent matrix of each gate of a module orthogonal, times a gain.

    Parameters
    ----------
    module, key, rngs, input_gain
        As in `from_cell_`.
    gain
        Of every gate's matrix.
    **parameters
        Further parameters of the cell; biases are zero by default.

    Returns
    -------
    flax.nnx.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        As `from_cell_`.

    References
    ----------
    Saxe, McClelland and Ganguli, arXiv:1312.6120.
    """
    slots, generator = slots_of(module), generator_of(key_of(key, rngs))
    cell = recipe_cells.orthogonal(slots, gain=gain, parameters=parameters)
    drawn = draw_weights(slots, cell, generator, couplings="orthogonal", input_gain=input_gain)
    return write_(module, drawn)


def from_design_(
    module: Any,
    design: Any,
    *,
    key: Any = None,
    rngs: Any = None,
    solution: int = 0,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
) -> Any:
    """Write the cell of a design into a module, its biases drawn where the design spreads them.

    Parameters
    ----------
    module, key, rngs, couplings, input_gain
        As in `from_cell_`.
    design
        What `gf.design` returns, or one of its solutions.
    solution
        Which of its solutions, from 0, the best one.
    inputs
        What the module will read: `InputStatistics` or data. The input weights then get the
        variance at which each drive has the second moment that it had in the design; only for a
        `Design`, which knows its inputs.

    Returns
    -------
    flax.nnx.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        As `from_cell_`, and for what is no design.
    """
    slots, generator = slots_of(module), generator_of(key_of(key, rngs))
    cell, gains = recipe_cells.designed(
        slots, generator, design, solution=solution, inputs=inputs, input_gain=input_gain
    )
    drawn = draw_weights(slots, cell, generator, couplings=couplings, input_gain=gains)
    return write_(module, drawn)
