"""Initialisers of Flax's nnx modules, in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gatefield.bridge import recipe_cells
from gatefield.bridge.drawn import generator_of, weights_by
from gatefield.bridge.flax.modules import key_of, slots_of, write_
from gatefield.cells import AbstractCell
from gatefield.initialise import Design, DesignSolution


def from_cell_(
    module: Any,
    cell: AbstractCell,
    *,
    key: Any = None,
    rngs: Any = None,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
) -> Any:
    r"""Write a cell into a module of Flax nnx, in place: couplings of its gains, and its biases.

    .. math:: J^a_{ij} \text{ of variance } \mathrm{gain}_a^2 / N, \qquad
        W^a_{ij} \text{ of variance } \mathrm{input\_gain}^2 / \mathrm{features}

    Parameters
    ----------
    module
        A flax.nnx.SimpleCell, GRUCell, LSTMCell or OptimizedLSTMCell, or a flax.nnx.RNN of one; its
        precision is kept.
    cell
        A cell of the module's kind. Parameters of shape (N,) are per unit.
    key, rngs
        A key of JAX, or flax.nnx.Rngs, of which the next key of "params" is taken: one of the two.
        Same key, same weights, whatever the module's precision.
    couplings
        "normal", "orthogonal" or "uniform", all of the same variance.
    input_gain
        Gain of the input weights, which are normal, one for all drives or by drive; 1 by default,
        as Flax's own.

    Returns
    -------
    flax.nnx.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        For another module, a cell of another kind, a bias that the module has not, or a key without
        a value: initialisers run on the host, outside of jit. Nothing is written then.

    Assumptions
    -----------
    Flax orders the gates r, z, n and i, f, g, o, and its z keeps the state. Its GRUCell has no bias
    b_hn, though its documentation shows one.
    """
    return _initialised(
        module,
        recipe_cells.given,
        key,
        rngs,
        couplings=couplings,
        input_gain=input_gain,
        cell=cell,
    )


def critical_(
    module: Any,
    *,
    key: Any = None,
    rngs: Any = None,
    value: float | None = None,
    quantity: str | None = None,
    at: str | None = None,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    seed: int = 0,
    **parameters: Any,
) -> Any:
    """Put a module at the edge of stability, or at a distance from it, in place.

    Its cell is that of `gatefield.initialise.critical_cell`, which has the equations and whose
    options are those that are not named here.

    Parameters
    ----------
    module, key, rngs, couplings, input_gain
        As in `from_cell_`; with ``inputs`` the input gain is one number.
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
    flax.nnx.Module
        The module itself.

    Raises
    ------
    InvalidInputError, NumericalFailureError
        As `from_cell_` and `critical_cell`.

    Assumptions
    -----------
    N to infinity; with inputs, features enough for units to be driven independently.
    """
    return _initialised(
        module,
        recipe_cells.critical,
        key,
        rngs,
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
    key: Any = None,
    rngs: Any = None,
    horizon: float,
    shortest: float = 2.0,
    times: str = "uniform",
    growth: float = 0.0,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Any:
    """Give a module long memory by its update gate, at the edge of stability, in place.

    Its cell is that of `gatefield.initialise.marginal_cell`, which has the equations and whose
    options are those that are not named here.

    Parameters
    ----------
    module, key, rngs, couplings, input_gain
        As in `from_cell_`; the key also draws the biases.
    horizon, shortest
        In steps.
    times, growth
        As in `marginal_cell`.
    **parameters
        Other biases and gains, as in `marginal_cell`.

    Returns
    -------
    flax.nnx.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        As `from_cell_` and `marginal_cell`.
    """
    return _initialised(
        module,
        recipe_cells.marginal,
        key,
        rngs,
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
    key: Any = None,
    rngs: Any = None,
    horizon: float,
    couplings: str = "uniform",
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Any:
    """Give a module chrono biases, in place; its other biases are zero.

    Its cell is that of `gatefield.initialise.chrono_cell`, whose options are those that are not
    named here.

    Parameters
    ----------
    module, key, rngs, couplings, input_gain
        As in `from_cell_`; the key also draws the biases.
    horizon
        In steps, above 2.
    **parameters
        Gains and other biases, as in `chrono_cell`.

    Returns
    -------
    flax.nnx.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        As `from_cell_` and `chrono_cell`.
    """
    return _initialised(
        module,
        recipe_cells.chrono,
        key,
        rngs,
        couplings=couplings,
        input_gain=input_gain,
        horizon=horizon,
        parameters=parameters,
    )


def orthogonal_(
    module: Any,
    *,
    key: Any = None,
    rngs: Any = None,
    gain: float = 1.0,
    input_gain: float | Mapping[str, float] | None = None,
    **parameters: Any,
) -> Any:
    """Make the recurrent block of each gate orthogonal, in place; biases are zero.

    Parameters
    ----------
    module, key, rngs, input_gain
        As in `from_cell_`.
    gain
        Of all blocks.
    **parameters
        Further parameters of the cell, such as biases.

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
    return _initialised(
        module,
        recipe_cells.orthogonal,
        key,
        rngs,
        couplings="orthogonal",
        input_gain=input_gain,
        gain=gain,
        parameters=parameters,
    )


def from_design_(
    module: Any,
    design: Design | DesignSolution,
    *,
    key: Any = None,
    rngs: Any = None,
    solution: int = 0,
    inputs: Any = None,
    couplings: str = "normal",
    input_gain: float | Mapping[str, float] | None = None,
) -> Any:
    """Write a solution of `gf.design` into a module, in place.

    Parameters
    ----------
    module, key, rngs, couplings, input_gain
        As in `from_cell_`; the key also draws biases that are spread over units.
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
    flax.nnx.Module
        The module itself.

    Raises
    ------
    InvalidInputError
        As `from_cell_`, and for what is no design.
    """
    return _initialised(
        module,
        recipe_cells.designed,
        key,
        rngs,
        couplings=couplings,
        input_gain=input_gain,
        design=design,
        solution=solution,
        inputs=inputs,
    )


def _initialised(
    module: Any, recipe: Callable[..., Any], key: Any, rngs: Any, **options: Any
) -> Any:
    slots, generator = slots_of(module), generator_of(key_of(key, rngs))
    (drawn,) = weights_by(recipe, [slots], generator, **options)
    return write_(module, drawn)
