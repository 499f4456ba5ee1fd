"""Initialisers for modules of Equinox: each returns a new module, since modules are immutable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx

from gatefield.bridge import recipe_cells
from gatefield.bridge.drawn import draw_weights, generator_of
from gatefield.bridge.equinox.modules import slots_of, with_weights

Module = TypeVar("Module", bound=eqx.Module)


def critical(
    module: Module,
    *,
    key: Any,
    value: float | None = None,
    quantity: str | None = None,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Module:
    r"""Return a module at the edge of stability, or at a distance from it.

    Without inputs the spectral radius of the Jacobian at the zero state is then 1: g_n = 2 for a
    GRU and g_g = 2 for an LSTM without biases. The gated RNN's g_h is 2 without biases.

    Parameters
    ----------
    module, key, couplings, input_gain
        As in `from_cell`.
    value, quantity
        The target: "leading_edge", the spectral radius of the Jacobian of one step (of
        `GatedRNN` the flow's rightmost real part), or "lyapunov", the largest exponent per step (or
        time constant). By default the edge of stability: radius 1 at the zero state without
        ``inputs``, exponent 0 with them.
    inputs
        What the module will read: `InputStatistics`, or data (T, features) or (samples, T,
        features). They enter by the input weights that are drawn.
    **parameters
        Further parameters of the cell: biases, the gates' gains. Time constants of a `GatedRNN`
        stay as they are.

    Returns
    -------
    equinox.Module
        Of the module's class.

    Raises
    ------
    InvalidInputError, NumericalFailureError
        As `from_cell` and `critical_cell`.

    Assumptions
    -----------
    N to infinity; a network of N units scatters about the value by some :math:`N^{-1/2}`. Called on
    the host, outside of jit.
    """
    slots, generator = slots_of(module), generator_of(key)
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
    return with_weights(module, slots, drawn)


def marginal(
    module: Module,
    *,
    key: Any,
    horizon: float,
    shortest: float = 2.0,
    growth: float = 0.0,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Module:
    """Return a module of long memory: update-gate biases of many time scales, at the edge.

    Parameters
    ----------
    module, key, couplings, input_gain
        As in `from_cell`.
    horizon, shortest
        90 and 10 per cent quantiles of the time in which a unit alone forgets, in steps, of a
        `GatedRNN` too (each is dt of its time; both are longer than 1 / dt there).
    growth
        e-folds by which perturbations of the zero state grow over the horizon.
    **parameters
        Further parameters of the cell: other biases, and the gates' gains (1 by default).

    Returns
    -------
    equinox.Module
        Of the module's class.

    Raises
    ------
    InvalidInputError, NumericalFailureError
        As `from_cell` and `marginal_cell`.
    """
    slots, generator = slots_of(module), generator_of(key)
    cell = recipe_cells.marginal(
        slots,
        generator,
        horizon=horizon,
        shortest=shortest,
        growth=growth,
        parameters=parameters,
    )
    drawn = draw_weights(slots, cell, generator, couplings=couplings, input_gain=input_gain)
    return with_weights(module, slots, drawn)


def chrono(
    module: Module,
    *,
    key: Any,
    horizon: float,
    couplings: str = "uniform",
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Module:
    """Return a module with chrono biases: forgetting times uniform between 2 and the horizon.

    Parameters
    ----------
    module, key, couplings, input_gain
        As in `from_cell`.
    horizon
        T_max in steps, the longest dependency that is expected; above 2 (of a `GatedRNN`, 2 / dt).
    **parameters
        Further parameters of the cell; gains are 1/sqrt(3) by default, those of Equinox.

    Returns
    -------
    equinox.Module
        Of the module's class.

    Raises
    ------
    InvalidInputError
        As `from_cell` and `gatefield.initialise.recipes.chrono_cell`.

    References
    ----------
    Tallec and Ollivier, arXiv:1804.11188.
    """
    slots, generator = slots_of(module), generator_of(key)
    cell = recipe_cells.chrono(slots, generator, horizon=horizon, parameters=parameters)
    drawn = draw_weights(slots, cell, generator, couplings=couplings, input_gain=input_gain)
    return with_weights(module, slots, drawn)


def orthogonal(
    module: Module,
    *,
    key: Any,
    gain: float = 1.0,
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Module:
    """Return a module whose recurrent matrix of each gate is orthogonal, times a gain.

    Parameters
    ----------
    module, key, input_gain
        As in `from_cell`.
    gain
        Of every gate's matrix; of a `GatedRNN`, whose couplings have gain 1, g_h is twice this.
    **parameters
        Further parameters of the cell; biases are zero by default.

    Returns
    -------
    equinox.Module
        Of the module's class.

    Raises
    ------
    InvalidInputError
        As `from_cell`.

    References
    ----------
    Saxe, McClelland and Ganguli, arXiv:1312.6120.
    """
    slots, generator = slots_of(module), generator_of(key)
    cell = recipe_cells.orthogonal(slots, gain=gain, parameters=parameters)
    drawn = draw_weights(slots, cell, generator, couplings="orthogonal", input_gain=input_gain)
    return with_weights(module, slots, drawn)


def from_design(
    module: Module,
    design: Any,
    *,
    key: Any,
    solution: int = 0,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
) -> Module:
    """Return a module with the cell of a design, its biases drawn where the design spreads them.

    Parameters
    ----------
    module, key, couplings, input_gain
        As in `from_cell`.
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
    equinox.Module
        Of the module's class.

    Raises
    ------
    InvalidInputError
        As `from_cell`, and for what is no design.
    """
    slots, generator = slots_of(module), generator_of(key)
    cell, gains = recipe_cells.designed(
        slots, generator, design, solution=solution, inputs=inputs, input_gain=input_gain
    )
    drawn = draw_weights(slots, cell, generator, couplings=couplings, input_gain=gains)
    return with_weights(module, slots, drawn)
