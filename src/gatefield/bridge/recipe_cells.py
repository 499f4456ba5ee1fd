"""The cells that initialisers write into the layers of a module, by recipe or by design.

A recipe takes what the layers of one module have room for (they are alike but for their features),
NumPy's generator and the input gain, and returns a cell for each layer and the input gain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatefield.bridge.drawn import InputGain, Slots, check_fits
from gatefield.cells import AbstractCell
from gatefield.core.checks import as_number, check_count, check_names
from gatefield.core.errors import refuse
from gatefield.initialise import Design, DesignSolution, InputStatistics
from gatefield.initialise.driven import mean_field, output_statistics
from gatefield.initialise.kinds import KINDS
from gatefield.initialise.recipes import chrono_cell, critical_cell, marginal_cell, plain_gains
from gatefield.initialise.sources import sources_of

Cells = tuple[list[AbstractCell], InputGain]


def given(slots: Sequence[Slots], _: Any, input_gain: InputGain, *, cell: Any) -> Cells:
    """Return one cell for every layer, or one for each."""
    cells = list(cell) if isinstance(cell, Sequence) else [cell] * len(slots)
    if len(cells) != len(slots):
        refuse("cell", f"{len(cells)} cells", f"one, or {len(slots)}", "One for each layer.")
    return cells, input_gain


def critical(
    slots: Sequence[Slots],
    _: Any,
    input_gain: InputGain,
    *,
    quantity: str | None,
    inputs: Any,
    parameters: Mapping[str, Any],
    **options: Any,
) -> Cells:
    """Return `critical_cell` of each layer, under what its own input weights let in."""
    own = _own(slots[0], parameters)
    if quantity is None:
        quantity = "leading_edge" if inputs is None else "lyapunov"
    options = {"quantity": quantity, **options, **own}
    if inputs is None:
        return [critical_cell(slots[0].kind, **options)] * len(slots), input_gain
    statistics = statistics_of(inputs)
    _check_features(slots[0], statistics)
    cells: list[AbstractCell] = []
    for place, each in enumerate(slots):
        if place and each.depth == slots[place - 1].depth:
            # Both directions of a depth read the same.
            cells.append(cells[-1])
            continue
        # Data count steps; a flow holds each for dt of its time.
        received = statistics if KINDS[each.kind].is_map else statistics.held(each.dt)
        drive = {"inputs": received, "weight_variance": _weight_variance(each, input_gain)}
        cells.append(critical_cell(each.kind, **options, **drive))
        above = [other for other in slots[place:] if other.depth > each.depth]
        if above:
            state = mean_field(cells[-1], sources_of(cells[-1], **drive), seed=options["seed"])
            statistics = output_statistics(state, above[0].features)
    return cells, input_gain


def marginal(
    slots: Sequence[Slots],
    generator: np.random.Generator,
    input_gain: InputGain,
    *,
    horizon: float,
    shortest: float,
    parameters: Mapping[str, Any],
    **options: Any,
) -> Cells:
    """Return `marginal_cell` of each layer's kind and number of units, times being steps."""
    own = _own(slots[0], parameters, memory=True)
    times = {
        "horizon": _steps("horizon", horizon, slots[0], 1.0),
        "shortest": _steps("shortest", shortest, slots[0], 1.0),
    }
    cells = [
        marginal_cell(
            each.kind,
            units=each.units,
            seed=_seed(generator),
            **{name: time * each.dt for name, time in times.items()},
            **options,
            **own,
        )
        for each in slots
    ]
    return cells, input_gain


def chrono(
    slots: Sequence[Slots],
    generator: np.random.Generator,
    input_gain: InputGain,
    *,
    horizon: float,
    parameters: Mapping[str, Any],
) -> Cells:
    """Return `chrono_cell` of each layer's kind and number of units, times being steps."""
    own = _own(slots[0], parameters, memory=True)
    horizon = _steps("horizon", horizon, slots[0], 2.0)
    cells = [
        chrono_cell(
            each.kind, units=each.units, horizon=horizon * each.dt, seed=_seed(generator), **own
        )
        for each in slots
    ]
    return cells, input_gain


def orthogonal(
    slots: Sequence[Slots],
    _: Any,
    input_gain: InputGain,
    *,
    gain: float,
    parameters: Mapping[str, Any],
) -> Cells:
    """Return a cell of equal gains without biases but those given."""
    own = _own(slots[0], parameters)
    gain = as_number("gain", gain, nonnegative=True)
    gains = plain_gains(slots[0].kind, gain)
    if slots[0].kind == "gated":
        gains["g_h"] *= gain
    return [slots[0].cell(**{**gains, **own})] * len(slots), input_gain


def designed(
    slots: Sequence[Slots],
    generator: np.random.Generator,
    input_gain: InputGain,
    *,
    design: Any,
    solution: int,
    inputs: Any,
) -> Cells:
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
        remedy = "Pass what gf.design returns; from_cell (from_cell_ in place) writes a cell."
        refuse("design", f"a {type(design).__name__}", "a Design or one of its solutions", remedy)
    for each in slots:
        check_fits(each, chosen.cell)
        if isinstance(design, Design) and design.dt is not None and each.dt != design.dt:
            remedy = "It is for data whose steps are held for that time: build the module with it."
            refuse("module.dt", each.dt, f"{design.dt:g}, the design's", remedy)
    if inputs is not None:
        if input_gain is not None or not isinstance(design, Design):
            remedy = "The inputs of the design fix the input weights: pass one of the two."
            refuse("inputs", inputs, "None with input_gain or a bare solution", remedy)
        if any(each.depth > 0 for each in slots):
            depths = sorted({each.depth for each in slots})
            refuse("layers", depths, "0 with inputs", "Deeper layers read the layer below.")
        statistics = statistics_of(inputs)
        _check_features(slots[0], statistics)
        input_gain = _gains_of(design, statistics)
    return [chosen.with_biases(each.units, seed=_seed(generator)) for each in slots], input_gain


def statistics_of(inputs: Any) -> InputStatistics:
    """Return the statistics of data (T, features) or (samples, T, features); statistics pass."""
    if isinstance(inputs, InputStatistics):
        return inputs
    if hasattr(inputs, "detach"):
        # A tensor of PyTorch, of any device and precision.
        inputs = inputs.detach().cpu().double().numpy()
    return InputStatistics.of(inputs)


def _gains_of(design: Design, statistics: InputStatistics) -> dict[str, float]:
    """Return the input gains by which each drive has the second moment that the design took."""
    moment = float(np.sum(statistics.variance + statistics.mean**2))
    if not moment > 0:
        refuse("inputs", statistics, "inputs that are not all zero", "Pass input_gain instead.")
    gains = {}
    for drive in design.cell.drive_names:
        taken = design.inputs.get(drive, ())
        parts = taken if isinstance(taken, tuple) else (taken,)
        wanted = sum(float(part.second_moment(0.0)) for part in parts)
        gains[drive] = float(np.sqrt(wanted / moment * statistics.features))
    return gains


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**31))


def _own(slots: Slots, parameters: Mapping[str, Any], *, memory: bool = False) -> dict[str, Any]:
    """Return what is asked for over what the module has, under what its class decides.

    What the module has no room for is refused here, before anything is solved.
    """
    known = [field.name for field in dataclasses.fields(slots.cell)]
    check_names(f"parameters of a {slots.cell.__name__}", parameters, known)
    for name in slots.fixed.keys() & parameters.keys():
        if parameters[name] != slots.fixed[name]:
            remedy = "It is a property of the module."
            refuse(name, parameters[name], f"{slots.fixed[name]!r}, as the module's", remedy)
    wanted = {
        name: value
        for name, value in parameters.items()
        if name.startswith("bias") and np.any(np.asarray(value) != 0)
    }
    if memory:
        wanted |= {name: "drawn" for name, _ in KINDS[slots.kind].memory}
    lacking = set(known) - set(slots.parameters)
    for name, value in wanted.items():
        if name in lacking:
            refuse(name, value, "none, since the module has no such bias", slots.without)
    return {**slots.kept, **parameters, **slots.fixed}


def _steps(name: str, value: Any, slots: Slots, least: float) -> float:
    """Return a time in steps; one of a flow is more than some of its units' time constants."""
    steps = as_number(name, value, positive=True)
    if not KINDS[slots.kind].is_map and steps * slots.dt <= least:
        remedy = f"A step is {slots.dt:g} of a unit's time constant, in which it forgets at least."
        refuse(name, value, f"more than {least / slots.dt:g} steps", remedy)
    return steps


def _weight_variance(slots: Slots, input_gain: InputGain) -> float:
    gains = slots.input_gains(input_gain)
    if not gains:
        return slots.own_variance
    if len(gains) < len(slots.cell.drive_names) or len(set(gains.values())) > 1:
        refuse("input_gain", input_gain, "one number with inputs", "Pass a float.")
    return next(iter(gains.values())) ** 2 / slots.features


def _check_features(slots: Slots, statistics: InputStatistics) -> None:
    if statistics.features != slots.features:
        remedy = "Take the statistics of the data that the module reads."
        refuse("inputs.features", statistics.features, f"{slots.features}, the module's", remedy)
