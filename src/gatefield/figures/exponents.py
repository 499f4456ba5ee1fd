"""What figures and commands of the largest exponent share: theory's states, networks' rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gatefield.analysis import perturbation_growth
from gatefield.cells import AbstractCell, AbstractMap
from gatefield.compare import Comparison, compare
from gatefield.core.types import Bool, Float, HostArray
from gatefield.figures.base import Report, silent
from gatefield.networks import GaussianInput, Network, simulate
from gatefield.numerics.threads import in_turn
from gatefield.theory.dmft import MeanField, mean_field_branches, solve_dmft
from gatefield.theory.dmft.solve import gaussian_inputs, resolved_method
from gatefield.theory.lyapunov import MeanFieldLyapunov, mean_field_lyapunov

FEWEST = 3
"""Networks from which a standard error can be had."""
RESTS = 0.03
"""Of the moving state's variance: a network below it has left that state."""
QUIET = 1e-3
"""Mean square below which a network counts as on its way into the zero fixed point."""
STEPPING = 1e-5
"""Error of measured rates from steps of 0.1 by Runge and Kutta (1e-6) in single precision."""
_BLOCKS, _DISCARD = 20, 4
_INPUT_SEEDS = 1_000_003


class Rates(NamedTuple):
    """Largest exponents of networks of one cell, and how active they were.

    Attributes
    ----------
    rate, error
        Of each network, per unit of the units' time constant (maps: per step), and its error from
        the scatter of blocks of time.
    before, after
        Mean square of the state's first component where the measurement begins and ends.
    """

    rate: Float[HostArray, " network"]
    error: Float[HostArray, " network"]
    before: Float[HostArray, " network"]
    after: Float[HostArray, " network"]


def network_rates(
    cell: AbstractCell,
    *,
    n: int,
    networks: int,
    t_max: float,
    burn_in: float,
    dt: float = 0.1,
    inputs: Mapping[str, GaussianInput] | None = None,
    seed: int = 0,
    report: Report = silent,
) -> Rates:
    """Simulate networks from random states and follow a perturbation in each.

    Parameters
    ----------
    cell
        Any cell.
    n, networks
        Units of each, and how many.
    t_max, burn_in
        Duration of the measurement, and before it; steps for maps.
    dt
        Step of a flow.
    inputs
        Drawn for each network.
    seed
        Of the first network.
    report
        Called as networks are done.

    Returns
    -------
    Rates
    """
    is_map = isinstance(cell, AbstractMap)
    step: dict[str, Any] = {} if is_map else {"dt": dt}
    longest = max(burn_in, t_max * (1 + _DISCARD / _BLOCKS) + _BLOCKS) + 1

    def one(number: int) -> tuple[float, float, float, float]:
        network = Network.sample(cell, n, seed=seed + number, dtype="float32")
        drawn: dict[str, Any] = {
            name: each.realise(
                n, longest, dt=1.0 if is_map else dt, seed=seed + number + k * _INPUT_SEEDS
            )
            for k, (name, each) in enumerate(dict(inputs or {}).items())
        }
        options: dict[str, Any] = {**step, "inputs": drawn, "progress": False}
        start = _end(network, burn_in, seed=seed + number, **options)
        end = _end(network, t_max, initial=start, **options)
        grown = perturbation_growth(
            network,
            start,
            t_max,
            inputs=drawn,
            blocks=_BLOCKS,
            discard=_DISCARD,
            seed=seed + number,
            **step,
        )
        before, after = (float(np.mean(np.square(each[0], dtype=float))) for each in (start, end))
        return float(grown.rate), float(grown.standard_error), before, after

    rows = in_turn(
        one,
        range(networks),
        size=n,
        report=lambda done: report(f"{done} of {networks} networks"),
    )
    return Rates(*np.array(rows).T)


def _end(network: Network, duration: float, **options: Any) -> HostArray:
    # Whole and half-way states only: a run is long, and its path is not needed.
    return simulate(network, duration, save_every=10**9, **options).final


def theory_states(
    cell: AbstractCell,
    *,
    inputs: Mapping[str, GaussianInput] | None = None,
    method: str = "auto",
    start: float = 1.0,
    samples: int = 1000,
    batches: int = 8,
    seed: int = 0,
) -> tuple[MeanFieldLyapunov, ...]:
    """Return every state of the mean-field theory with its exponent; one for sampled theory.

    Parameters
    ----------
    cell, inputs, method, start, samples, batches, seed
        As in `solve_dmft`.

    Returns
    -------
    tuple of MeanFieldLyapunov
        Stable fixed points, then moving states, ascending; a status other than OK is kept.
    """
    states: Sequence[MeanField] = ()
    if resolved_method(cell, gaussian_inputs(cell, inputs), method) != "sampled":
        states = mean_field_branches(cell, inputs=inputs, method=method)
    if not states:
        options = {"samples": samples, "batches": batches, "seed": seed, "progress": False}
        found = solve_dmft(cell, inputs=inputs, method=method, start=start, throw=False, **options)
        states = (found,)
    return tuple(mean_field_lyapunov(each, seed=seed, throw=False) for each in states)


def variance_of(found: MeanFieldLyapunov) -> float:
    """Return C(0) of the state's first component."""
    return float(found.mean_field.covariance[found.mean_field.cell.state_names[0]][0])


def unstable_state(states: Sequence[MeanFieldLyapunov]) -> int | None:
    """Return which state divides the starts: the smaller of two moving ones beside a fixed point.

    Parameters
    ----------
    states
        From `theory_states`.
    """
    moving = [k for k, one in enumerate(states) if one.mean_field.fluctuates]
    return moving[0] if len(moving) > 1 and len(moving) < len(states) else None


def belonging(states: Sequence[MeanFieldLyapunov], rates: Rates) -> list[Bool[HostArray, " net"]]:
    """Return for each state which networks were in it throughout the measurement.

    Parameters
    ----------
    states
        From `theory_states`; networks are in the largest, or have left it for the smallest. Where
        theory has the zero fixed point alone, networks in long transients belong nowhere.
    rates
        Of networks of the same cell.

    Returns
    -------
    list of array
        A mask (network,) for each state.
    """
    last, variance = states[-1], variance_of(states[-1])
    if len(states) == 1:
        silent_point = variance == 0 and not last.mean_field.fluctuates
        return [rates.after < QUIET if silent_point else np.ones(rates.rate.shape, bool)]
    masks = [np.zeros(rates.rate.shape, bool)] * len(states)
    least = RESTS * variance
    masks[0] = (rates.before < least) & (rates.after < least)
    masks[-1] = rates.after >= least
    return masks


def judged(
    states: Sequence[MeanFieldLyapunov], rates: Rates, name: str = "exponent"
) -> list[Comparison | None]:
    """Compare the networks in each state with its exponent; None where there are too few.

    Parameters
    ----------
    states, rates
        As in `belonging`.
    name
        What is compared.

    Returns
    -------
    list of Comparison or None
    """
    found: list[Comparison | None] = []
    for state, mask in zip(states, belonging(states, rates), strict=True):
        values, theory = rates.rate[mask], float(state.exponent)
        if mask.sum() < FEWEST or not np.isfinite([theory, *values]).all():
            found.append(None)
            continue
        found.append(compare(theory, values, theory_error=error_of(state), name=name))
    return found


def error_of(state: MeanFieldLyapunov) -> float:
    """Return what separates theory from networks apart from their scatter.

    Parameters
    ----------
    state
        Its sampling error and truncation count, and the steps of the networks' integration.
    """
    truncation = float(np.nan_to_num(state.truncation))
    return math.hypot(float(state.standard_error), truncation, STEPPING)
