"""The cells that the initialisers of JAX modules write, by recipe or by design."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from gatefield.bridge.drawn import CELLS, Slots, check_fits
from gatefield.cells import AbstractCell
from gatefield.core.checks import as_number, check_count
from gatefield.core.errors import refuse
from gatefield.initialise import Design, DesignSolution, InputStatistics
from gatefield.initialise.recipes import chrono_cell, critical_cell, marginal_cell, plain_gains


def critical(
    slots: Slots,
    generator: np.random.Generator,
    *,
    value: float | None,
    quantity: str | None,
    inputs: Any,
    input_gain: Any,
    parameters: dict[str, Any],
) -> AbstractCell:
    """Return `critical_cell` of the module's kind, under what its own input weights let in."""
    _check_room(slots, parameters)
    own: dict[str, Any] = _own(slots, parameters)
    if inputs is not None:
        statistics = _checked(slots, statistics_of(inputs))
        own["weight_variance"] = _weight_variance(slots, input_gain)
        # Data count steps; the time of a flow runs by dt in each.
        time = statistics.correlation_time * slots.dt
        own["inputs"] = InputStatistics(statistics.mean, statistics.variance, time)
    if quantity is None:
        quantity = "leading_edge" if inputs is None else "lyapunov"
    return critical_cell(slots.kind, value=value, quantity=quantity, seed=_seed(generator), **own)


def marginal(
    slots: Slots,
    generator: np.random.Generator,
    *,
    horizon: float,
    shortest: float,
    growth: float,
    parameters: dict[str, Any],
) -> AbstractCell:
    """Return `marginal_cell` of the module's kind and number of units, times being steps."""
    _check_room(slots, parameters, memory=True)
    return marginal_cell(
        slots.kind,
        units=slots.units,
        horizon=as_number("horizon", horizon, positive=True) * slots.dt,
        shortest=as_number("shortest", shortest, positive=True) * slots.dt,
        growth=growth,
        seed=_seed(generator),
        **_own(slots, parameters),
    )


def chrono(
    slots: Slots, generator: np.random.Generator, *, horizon: float, parameters: dict[str, Any]
) -> AbstractCell:
    """Return `chrono_cell` of the module's kind and number of units, times being steps."""
    _check_room(slots, parameters, memory=True)
    return chrono_cell(
        slots.kind,
        units=slots.units,
        horizon=as_number("horizon", horizon, positive=True) * slots.dt,
        seed=_seed(generator),
        **_own(slots, parameters),
    )


def orthogonal(slots: Slots, *, gain: float, parameters: dict[str, Any]) -> AbstractCell:
    """Return a cell of equal gains without biases but those given."""
    _check_room(slots, parameters)
    gain = as_number("gain", gain, nonnegative=True)
    gains = plain_gains(slots.kind, gain)
    if slots.kind == "gated":
        gains["g_h"] *= gain
    return CELLS[slots.kind](**{**gains, **_own(slots, parameters)})


def designed(
    slots: Slots,
    generator: np.random.Generator,
    design: Any,
    *,
    solution: int,
    inputs: Any,
    input_gain: Any,
) -> tuple[AbstractCell, Any]:
    """Return the cell of a design, its biases drawn from its spread, and the input gain.

    Raises
    ------
    InvalidInputError
        For what is no design, a solution that it does not have, or inputs that do not fit.
    """
    if isinstance(design, Design):
        place = check_count("solution", solution, at_least=0)
        if place >= len(design.solutions):
            expected = f"below {len(design.solutions)}, the number of solutions"
            refuse("solution", solution, expected, "They count from 0.")
        chosen = design.solutions[place]
    elif isinstance(design, DesignSolution):
        chosen = design
    else:
        remedy = "Pass what gf.design returns; for a cell use from_cell."
        refuse("design", f"a {type(design).__name__}", "a Design or one of its solutions", remedy)
    check_fits(slots, chosen.cell)
    if inputs is not None:
        if input_gain is not None or not isinstance(design, Design):
            remedy = "The inputs of the design fix the input weights: pass one of the two."
            refuse("inputs", inputs, "None with input_gain or a bare solution", remedy)
        input_gain = _gains_of(design, _checked(slots, statistics_of(inputs)))
    return chosen.with_biases(slots.units, seed=_seed(generator)), input_gain


def _gains_of(design: Design, statistics: InputStatistics) -> dict[str, float]:
    """Return the input gains by which each drive has the second moment that the design took."""
    moment = float(np.sum(statistics.variance + statistics.mean**2))
    if not moment > 0:
        refuse("inputs", statistics, "inputs that are not all zero", "Pass input_gain instead.")
    gains = {}
    for drive in design.cell.drive_names:
        given = design.inputs.get(drive, ())
        parts = given if isinstance(given, tuple) else (given,)
        wanted = sum(float(part.second_moment(0.0)) for part in parts)
        gains[drive] = float(np.sqrt(wanted / moment * statistics.features))
    return gains


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**31))


def _own(slots: Slots, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what is asked for over what the module has, under what its class decides."""
    for name in slots.fixed.keys() & parameters.keys():
        if parameters[name] != slots.fixed[name]:
            remedy = "It is a property of the module."
            refuse(name, parameters[name], f"{slots.fixed[name]!r}, as the module's", remedy)
    return {**slots.kept, **parameters, **slots.fixed}


def _weight_variance(slots: Slots, input_gain: Any) -> float:
    gains = slots.input_gains(input_gain)
    if not gains:
        return slots.own_variance
    drives = CELLS[slots.kind].drive_names
    if len(gains) < len(drives) or len(set(gains.values())) > 1:
        refuse("input_gain", input_gain, "one number with inputs", "Pass a float.")
    return gains[drives[0]] ** 2 / slots.features


def _checked(slots: Slots, statistics: InputStatistics) -> InputStatistics:
    if statistics.features != slots.features:
        remedy = "Take the statistics of the data that the module reads."
        refuse("inputs.features", statistics.features, f"{slots.features}, the module's", remedy)
    return statistics


def statistics_of(inputs: Any) -> InputStatistics:
    """Return the statistics of data (T, features) or (samples, T, features); statistics pass."""
    return inputs if isinstance(inputs, InputStatistics) else InputStatistics.of(inputs)


def _check_room(slots: Slots, parameters: dict[str, Any], *, memory: bool = False) -> None:
    """Refuse biases that the module lacks before anything is solved."""
    wanted = {
        name: value
        for name, value in parameters.items()
        if name.startswith("bias") and np.any(np.asarray(value) != 0)
    }
    if memory and slots.kind in ("GRU", "LSTM"):
        wanted["bias_z" if slots.kind == "GRU" else "bias_f"] = "drawn"
    known = {field.name for field in dataclasses.fields(CELLS[slots.kind])}
    for name, value in wanted.items():
        if name in known - set(slots.parameters):
            refuse(name, value, "none, since the module has no such bias", slots.without)
