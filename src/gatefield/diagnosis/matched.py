"""The matched random ensemble of a layer: scalar gains, Gaussian biases, Gaussian inputs."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gatefield.cells import GRU, LSTM, AbstractCell, ElmanRNN
from gatefield.core.errors import refuse
from gatefield.diagnosis.biases import Biases
from gatefield.diagnosis.couplings import Couplings
from gatefield.diagnosis.drives import Drives
from gatefield.diagnosis.gates import RunStatistics
from gatefield.initialise.sources import Source
from gatefield.networks import GaussianInput

_WHITE = 0.1  # steps, the shortest correlation time: a map cannot tell it from zero


class Axes(NamedTuple):
    """What the plane of a kind of cell is drawn over.

    Attributes
    ----------
    gain
        Parameter of the candidate's gain.
    bias
        Bias of the gate that keeps the state; without gates the bias itself.
    gate
        The observable that keeps the state, empty without gates.
    field
        The candidate's coupling field.
    """

    gain: str
    bias: str
    gate: str
    field: str


AXES = {
    GRU: Axes("gain_n", "bias_z", "update_gate", "n"),
    LSTM: Axes("gain_g", "bias_f", "forget_gate", "g"),
    ElmanRNN: Axes("gain", "bias", "", "h"),
}


class Matched(NamedTuple):
    """An ensemble of random networks of which a layer might be one.

    Attributes
    ----------
    cell
        With shared gains and mean biases.
    mean, static, varying, time
        By drive: mean of the input, variance of its constant part with the biases' own, variance
        of the rest, and the correlation time of that in steps.
    parameters
        All numbers by name, as `Ensemble.parameters`.
    """

    cell: AbstractCell
    mean: dict[str, float]
    static: dict[str, float]
    varying: dict[str, float]
    time: dict[str, float]
    parameters: dict[str, np.ndarray]

    @property
    def axes(self) -> Axes:
        """What the plane is drawn over."""
        return AXES[type(self.cell)]

    @property
    def moves(self) -> bool:
        """Whether some input varies in time."""
        return any(value > 0 for value in self.varying.values())

    def sources(self) -> list[Source]:
        """Return the inputs, one for each independent part of each drive."""
        found = []
        for name in self.cell.drive_names:
            constant = GaussianInput(mean=self.mean[name], variance=self.static[name])
            found.append(Source(constant, ((name, 1.0),)))
            if self.varying[name] > 0:
                rest = GaussianInput(variance=self.varying[name], correlation_time=self.time[name])
                found.append(Source(rest, ((name, 1.0),)))
        return found

    def frozen(self) -> dict[str, float]:
        """Return the variance of each drive with all of it taken as constant."""
        return {name: self.static[name] + self.varying[name] for name in self.static}

    def with_values(self, **values: float) -> AbstractCell:
        """Return the cell with other parameters."""
        return type(self.cell)(**{**vars(self.cell), **values})


def matched_ensemble(
    cell: AbstractCell,
    couplings: Couplings,
    biases: Biases,
    drives: Drives,
    run: RunStatistics,
) -> Matched:
    r"""Return the ensemble with a layer's gains, bias statistics and input statistics.

    Random biases add to the same argument as the input: their variances are added to its static
    part. PyTorch's b_hn stands behind the reset gate, and counts by :math:`\langle r^2\rangle`.

    Parameters
    ----------
    cell
        The layer's.
    couplings, biases, drives, run
        The parts of its diagnosis.

    Returns
    -------
    Matched

    Raises
    ------
    InvalidInputError
        For a cell whose candidate and gates are not known here.
    """
    if type(cell) not in AXES:
        expected = ", ".join(sorted(kind.__name__ for kind in AXES))
        refuse("cell", cell, f"one of {expected}", "Its ensemble is not known.")
    values: dict[str, Any] = {}
    gains = dict(zip(couplings.field_names, couplings.gain, strict=True))
    means = dict(zip(biases.names, biases.mean, strict=True))
    spreads = dict(zip(biases.names, biases.spread, strict=True))
    for name, value in vars(cell).items():
        if name.startswith("gain"):
            field = name.removeprefix("gain").removeprefix("_") or couplings.field_names[0]
            values[name] = float(gains[field])
        elif name in means:
            values[name] = float(means[name])
        else:
            values[name] = value
    parts = {key: {} for key in ("mean", "static", "varying", "time")}
    rows = {key: dict(zip(drives.names, getattr(drives, key), strict=True)) for key in _COLUMNS}
    for name in drives.names:
        own = spreads.get(f"bias_{name}", spreads.get("bias", 0.0))
        time = float(rows["correlation_time"][name])
        static, varying = (float(rows[key][name]) for key in _COLUMNS[1:3])
        if math.isinf(time):
            static, varying = static + varying, 0.0
        parts["mean"][name] = float(rows["mean"][name])
        parts["static"][name] = static + float(own) ** 2
        parts["varying"][name] = varying
        parts["time"][name] = max(time, _WHITE)
    if isinstance(cell, GRU):
        parts["static"]["n"] += _reset_square(cell, run) * float(spreads["bias_hn"]) ** 2
    shown = {key: value for key, value in values.items() if not isinstance(value, str)}
    shown |= {f"spread_{_short(name)}": value for name, value in spreads.items()}
    for key, values_of in parts.items():
        shown |= {f"input_{key}_{name}": value for name, value in values_of.items()}
    return Matched(
        cell=type(cell)(**values),
        parameters={key: np.asarray(value, float) for key, value in shown.items()},
        **parts,
    )


_COLUMNS = ("mean", "static_variance", "varying_variance", "correlation_time")


def _reset_square(cell: GRU, run: RunStatistics) -> float:
    if cell.reset == "before":
        return 1.0
    place = run.gate_names.index("reset_gate")
    return float(run.gate_mean[place] ** 2 + run.gate_spread[place] ** 2)


def _short(name: str) -> str:
    return name.removeprefix("bias").removeprefix("_") or "h"
