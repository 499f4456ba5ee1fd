"""Initialisers of Equinox's modules: each returns a new module, since modules are immutable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import equinox as eqx

from gatefield.bridge import recipe_cells
from gatefield.bridge.drawn import generator_of, weights_by
from gatefield.bridge.equinox.modules import slots_of, with_weights
from gatefield.cells import AbstractCell
from gatefield.initialise import Design, DesignSolution

Module = TypeVar("Module", bound=eqx.Module)


def from_cell(
    module: Module,
    cell: AbstractCell,
    *,
    key: Any,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
) -> Module:
    r"""Return a module of Equinox with a cell's couplings and biases; the given one stays.

    .. math:: (W_{hh}^a)_{ij} \text{ of variance } \mathrm{gain}_a^2 / N, \qquad
        (W_{ih}^a)_{ij} \text{ of variance } \mathrm{input\_gain}^2 / \mathrm{features}

    Parameters
    ----------
    module
        An equinox.nn.GRUCell, equinox.nn.LSTMCell or `GatedRNN` of this package, with biases or
        without; its precision is kept.
    cell
        A cell of the module's kind. Parameters of shape (N,) are per unit.
    key
        A key of JAX; same key, same weights, whatever the module's precision.
    couplings
        "normal", "orthogonal" or "uniform", all of the same variance.
    input_gain
        Gain of the input weights, which are normal, one for all drives or by drive; those of drives
        that are not named are as in Equinox, uniform on :math:`\pm 1/\sqrt N`.

    Returns
    -------
    equinox.Module
        Of the module's class.

    Raises
    ------
    InvalidInputError
        For another module, a cell of another kind, biases where the module has none, or a key
        without a value: initialisers run on the host, outside of jit.

    Assumptions
    -----------
    Equinox orders the gates r, z, n and i, f, g, o, as PyTorch does, and its z keeps the state.
    `bias` is the sum of PyTorch's two but for the GRU's `bias_n`, PyTorch's b_hn, which the reset
    gate multiplies.
    """
    return _initialised(
        module, recipe_cells.given, key, couplings=couplings, input_gain=input_gain, cell=cell
    )


def critical(
    module: Module,
    *,
    key: Any,
    value: float | None = None,
    quantity: str | None = None,
    at: str | None = None,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    seed: int = 0,
    **parameters: Any,
) -> Module:
    """Return a module at the edge of stability, or at a distance from it.

    Its cell is that of `gatefield.initialise.critical_cell`, which has the equations and whose
    options are those that are not named here. Time constants of a `GatedRNN` stay unless given.

    Parameters
    ----------
    module, key, couplings, input_gain
        As in `from_cell`; with ``inputs`` the input gain is one number.
    quantity
        By default "leading_edge" without inputs, and "lyapunov" with them.
    inputs
        What the module reads: `InputStatistics`, or data (T, features) or (samples, T, features).
    value, at
        As in `critical_cell`, by default the edge of stability.
    seed
        Of theory's samples; the key draws weights and biases.
    **parameters
        Biases and gains of the gates, as in `critical_cell`.

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
    N to infinity; with inputs, features enough for units to be driven independently.
    """
    return _initialised(
        module,
        recipe_cells.critical,
        key,
        couplings=couplings,
        input_gain=input_gain,
        value=value,
        quantity=quantity,
        at=at,
        inputs=inputs,
        seed=seed,
        parameters=parameters,
    )


def marginal(
    module: Module,
    *,
    key: Any,
    horizon: float,
    shortest: float = 2.0,
    times: str = "uniform",
    growth: float = 0.0,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Module:
    """Return a module of long memory by its update gate, at the edge of stability.

    Its cell is that of `gatefield.initialise.marginal_cell`, which has the equations and whose
    options are those that are not named here.

    Parameters
    ----------
    module, key, couplings, input_gain
        As in `from_cell`; the key also draws the biases.
    horizon, shortest
        In steps, of a `GatedRNN` too (each is dt of its time; both are longer than 1 / dt there).
    times, growth
        As in `marginal_cell`.
    **parameters
        Other biases and gains, as in `marginal_cell`.

    Returns
    -------
    equinox.Module
        Of the module's class.

    Raises
    ------
    InvalidInputError
        As `from_cell` and `marginal_cell`.
    """
    return _initialised(
        module,
        recipe_cells.marginal,
        key,
        couplings=couplings,
        input_gain=input_gain,
        horizon=horizon,
        shortest=shortest,
        times=times,
        growth=growth,
        parameters=parameters,
    )


def chrono(
    module: Module,
    *,
    key: Any,
    horizon: float,
    couplings: str = "uniform",
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Module:
    """Return a module with chrono biases; its other biases are zero.

    Its cell is that of `gatefield.initialise.chrono_cell`, whose options are those that are not
    named here.

    Parameters
    ----------
    module, key, couplings, input_gain
        As in `from_cell`; the key also draws the biases.
    horizon
        In steps, above 2; of a `GatedRNN` above 2 / dt.
    **parameters
        Gains and other biases, as in `chrono_cell`.

    Returns
    -------
    equinox.Module
        Of the module's class.

    Raises
    ------
    InvalidInputError
        As `from_cell` and `chrono_cell`.
    """
    return _initialised(
        module,
        recipe_cells.chrono,
        key,
        couplings=couplings,
        input_gain=input_gain,
        horizon=horizon,
        parameters=parameters,
    )


def orthogonal(
    module: Module,
    *,
    key: Any,
    gain: float = 1.0,
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Module:
    """Return a module whose recurrent block of each gate is orthogonal; biases are zero.

    Parameters
    ----------
    module, key, input_gain
        As in `from_cell`.
    gain
        Of all blocks; of a `GatedRNN`, whose couplings have gain 1, g_h is twice this.
    **parameters
        Further parameters of the cell, such as biases.

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
    return _initialised(
        module,
        recipe_cells.orthogonal,
        key,
        couplings="orthogonal",
        input_gain=input_gain,
        gain=gain,
        parameters=parameters,
    )


def from_design(
    module: Module,
    design: Design | DesignSolution,
    *,
    key: Any,
    solution: int = 0,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
) -> Module:
    """Return a module with a solution of `gf.design`.

    Parameters
    ----------
    module, key, couplings, input_gain
        As in `from_cell`; the key also draws biases that are spread over units.
    design
        From `gf.design`, or one of its solutions.
    solution
        Which of its solutions, from 0, the best one.
    inputs
        What the module reads: `InputStatistics` or data. The input weights then get the variance at
        which each drive has the second moment that it had in the design. Only for a `Design`, which
        knows its inputs.

    Returns
    -------
    equinox.Module
        Of the module's class.

    Raises
    ------
    InvalidInputError
        As `from_cell`, and for what is no design.
    """
    return _initialised(
        module,
        recipe_cells.designed,
        key,
        couplings=couplings,
        input_gain=input_gain,
        design=design,
        solution=solution,
        inputs=inputs,
    )


def _initialised(module: Module, recipe: Callable[..., Any], key: Any, **options: Any) -> Module:
    slots = slots_of(module)
    (drawn,) = weights_by(recipe, [slots], generator_of(key), **options)
    return with_weights(module, slots, drawn)
