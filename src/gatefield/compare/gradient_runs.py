"""Networks that reach a mean-field state, and the gradients of a loss at the end of their runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gatefield.analysis.gradients import NetworkGradients, network_gradients
from gatefield.cells import AbstractMap
from gatefield.compare.exponents import QUIET, RESTS
from gatefield.compare.states import reached_state
from gatefield.core.types import Bool, Float, HostArray
from gatefield.networks import GaussianInput, Network
from gatefield.numerics.threads import in_turn
from gatefield.theory.adjoint import AdjointMeanField
from gatefield.theory.dmft import MeanField
from gatefield.theory.static import StaticMeanField

STEP = 0.1
"""Of flows by default: Runge and Kutta's steps then err by 1e-5 where rates are about one."""
_INPUT_SEEDS = 1_000_003


class GradientRuns(NamedTuple):
    """What networks of one size gave, one row for each.

    Attributes
    ----------
    adjoint
        Mean squares over units by component, (network, time), at theory's times.
    gradients
        Mean squares by coupling matrix and parameter, (network,).
    before, after
        Mean square of the first component at both ends of the horizon.
    moved
        Mean squared difference between its two ends.
    """

    adjoint: dict[str, Float[HostArray, "network time"]]
    gradients: dict[str, Float[HostArray, " network"]]
    before: Float[HostArray, " network"]
    after: Float[HostArray, " network"]
    moved: Float[HostArray, " network"]


def gradient_runs(
    theory: AdjointMeanField,
    n: int,
    *,
    networks: int,
    burn_in: float,
    dt: float | None,
    readouts: int,
    dtype: str,
    seed: int,
    report: Callable[[int], None] | None = None,
) -> GradientRuns:
    """Let networks run to theory's state, then differentiate what their next stretch depends on.

    Parameters
    ----------
    theory
        Gives cell, inputs, horizon and readouts.
    n, networks
        Units of each, and how many.
    burn_in
        Time before the horizon, from random states.
    dt
        Step of a flow; that of theory if it is Euler's.
    readouts
        Drawn for each network, averaged over.
    dtype
        Precision.
    seed
        Of the first network.
    report
        Called with the number of networks done.

    Returns
    -------
    GradientRuns
    """
    state, inputs = theory.mean_field, inputs_of(theory.mean_field)
    cell, horizon = state.cell, theory.horizon
    stepping: dict[str, Any] = {}
    if not isinstance(cell, AbstractMap):
        settings = dict(state.settings) if isinstance(state, MeanField) else {}
        euler = settings.get("scheme") == "euler"
        spacing = settings["dt"] if euler else STEP if dt is None else dt
        stepping = {"dt": spacing, "method": "euler" if euler else "rk4"}
    step = {name: value for name, value in stepping.items() if name == "dt"}
    spacing = stepping.get("dt", 1.0)

    def one(number: int) -> tuple[NetworkGradients, HostArray, HostArray]:
        network = Network.sample(cell, n, seed=seed + number, dtype=dtype)
        early: dict[str, Any] = {
            name: each.realise(
                n,
                burn_in + horizon + 2 * spacing,
                dt=spacing,
                seed=seed + number + (k + 1) * _INPUT_SEEDS,
            )
            for k, (name, each) in enumerate(inputs.items())
        }
        late = {
            name: path if isinstance(path, np.ndarray) else path.later(burn_in)
            for name, path in early.items()
        }
        start = reached_state(network, burn_in, inputs=early, seed=seed + number, **step)
        end = reached_state(network, horizon, inputs=late, initial=start, **step)
        found = network_gradients(
            network,
            start,
            horizon,
            terminal=theory.terminal,
            source=theory.source or None,
            inputs=late,
            readouts=readouts,
            seed=seed + number,
            progress=False,
            **stepping,
        )
        return found, np.asarray(start[0], float), np.asarray(end[0], float)

    rows = in_turn(one, range(networks), size=n, lapack=False, report=report)
    measured = [row[0] for row in rows]
    starts, ends = np.stack([row[1] for row in rows]), np.stack([row[2] for row in rows])
    return GradientRuns(
        adjoint={
            name: np.stack(
                [_at(theory.times, each.times, each.adjoint_variance[name]) for each in measured]
            )
            for name in cell.state_names
        },
        gradients={
            name: np.array([float(each.gradient_variance[name]) for each in measured])
            for name in theory.gradient_variance
        },
        before=np.mean(starts**2, axis=1),
        after=np.mean(ends**2, axis=1),
        moved=np.mean((ends - starts) ** 2, axis=1),
    )


def inputs_of(state: MeanField | StaticMeanField) -> Mapping[str, GaussianInput]:
    """Return the input that a mean-field state was solved with, by drive.

    Parameters
    ----------
    state
        A stationary or a static mean field.
    """
    if isinstance(state, MeanField):
        return state.inputs
    given = state.conditions
    found = {
        name: GaussianInput(variance=float(variance), mean=float(given.input_mean[name]))
        for name, variance in given.input_variance.items()
    }
    return {name: one for name, one in found.items() if one.variance > 0 or one.mean != 0}


def belongs(theory: AdjointMeanField, runs: GradientRuns) -> Bool[HostArray, " network"]:
    """Return which networks were in theory's state throughout the horizon.

    A network at rest has left a state that moves, and so has one that moves a fixed point.

    Parameters
    ----------
    theory
        Names the state.
    runs
        Of networks of the same cell.
    """
    state = theory.mean_field
    name = state.cell.state_names[0]
    if isinstance(state, MeanField) and _moves(state):
        size = float(state.covariance[name][0])
        last = min(theory.horizon, float(state.lags[-1]))
        apart = 2 * (size - float(state.at(name, last)))
        return (runs.after >= RESTS * size) & (runs.moved >= RESTS * apart)
    static = isinstance(state, StaticMeanField)
    size = _mean_square(state) if static else float(state.covariance[name][0])
    if size < QUIET**2:
        return (runs.before < QUIET) & (runs.after < QUIET)
    return (runs.before >= RESTS * size) & (runs.moved < QUIET * size)


def _mean_square(state: StaticMeanField) -> float:
    name = state.cell.state_names[0]
    return float(state.variance[name] + state.mean[name] ** 2)


def _moves(state: MeanField) -> bool:
    driven = any(each.variance > 0 and not each.is_static for each in state.inputs.values())
    return driven or state.fluctuates


def _at(wanted: HostArray, times: HostArray, values: HostArray) -> HostArray:
    """Interpolate what decays or grows: its logarithm where it has one."""
    if np.all(values > 0):
        return np.exp(np.interp(wanted, times, np.log(values)))
    return np.interp(wanted, times, values)
