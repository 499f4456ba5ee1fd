"""The largest Lyapunov exponent: every state of theory, and networks that belong to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gatefield.analysis import perturbation_growth
from gatefield.cells import AbstractCell, AbstractMap
from gatefield.compare.harness import FEWEST, Comparison, compare, compare_sizes
from gatefield.compare.states import reached_state
from gatefield.core.checks import as_number
from gatefield.core.errors import refuse
from gatefield.core.results import Status
from gatefield.core.types import Bool, Float, HostArray
from gatefield.networks import GaussianInput, Network
from gatefield.numerics.threads import in_turn
from gatefield.theory.dmft import MeanField, mean_field_branches, solve_dmft
from gatefield.theory.dmft.solve import resolved_method
from gatefield.theory.lyapunov import MeanFieldLyapunov, mean_field_lyapunov

RESTS = 0.03
"""Of the moving state's variance: a network below it has left that state."""
QUIET = 1e-3
"""Mean square below which a network counts as on its way into the zero fixed point."""
STEPPING = 1e-5
"""Error of rates in single precision; steps of 0.1 by Runge and Kutta miss 1e-6 beside it."""
_STEP = 0.1
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
    stepping
        Error of all rates alike, by the step and the precision of the integration.
    """

    rate: Float[HostArray, " network"]
    error: Float[HostArray, " network"]
    before: Float[HostArray, " network"]
    after: Float[HostArray, " network"]
    stepping: float = STEPPING

    @property
    def columns(self) -> dict[str, Float[HostArray, " network"]]:
        """What there is of each network, by name."""
        values = self._asdict()
        return {name: values[name] for name in ("rate", "error", "before", "after")}


def network_rates(
    cell: AbstractCell,
    *,
    n: int,
    networks: int,
    t_max: float,
    burn_in: float,
    dt: float | None = None,
    inputs: Mapping[str, GaussianInput] | None = None,
    seed: int = 0,
    report: Callable[[str], None] | None = None,
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
        Step of a flow, 0.1 by default. Maps have none.
    inputs
        Drawn for each network, once for both durations.
    seed
        Of the first network.
    report
        Called as networks are done.

    Returns
    -------
    Rates

    Raises
    ------
    InvalidInputError
        For a step of a map, or numbers that do not fit.
    """
    is_map = isinstance(cell, AbstractMap)
    if is_map and dt is not None:
        refuse("dt", dt, "None for a map", "Maps advance step by step.")
    burn_in = as_number("burn_in", burn_in, positive=True)
    spacing = 1.0 if is_map else as_number("dt", _STEP if dt is None else dt, positive=True)
    step: dict[str, Any] = {} if is_map else {"dt": spacing}
    # Blocks are rounded to whole steps, at least one.
    longest = t_max * (1 + _DISCARD / _BLOCKS) + spacing * (_BLOCKS + _DISCARD)

    def one(number: int) -> tuple[float, float, float, float]:
        network = Network.sample(cell, n, seed=seed + number, dtype="float32")
        early: dict[str, Any] = {
            name: each.realise(
                n, burn_in + longest, dt=spacing, seed=seed + number + k * _INPUT_SEEDS
            )
            for k, (name, each) in enumerate(dict(inputs or {}).items())
        }
        late = {
            name: path if isinstance(path, np.ndarray) else path.later(burn_in)
            for name, path in early.items()
        }
        start = reached_state(network, burn_in, inputs=early, seed=seed + number, **step)
        end = reached_state(network, t_max, inputs=late, initial=start, **step)
        grown = perturbation_growth(
            network,
            start,
            t_max,
            inputs=late,
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
        report=None if report is None else lambda done: report(f"{done} of {networks} networks"),
    )
    return Rates(*np.array(rows).T, stepping=STEPPING if is_map else stepping_error(spacing))


def stepping_error(dt: float) -> float:
    """Return the error of a flow's rates, whose steps are Runge and Kutta's of fourth order.

    Parameters
    ----------
    dt
        The step. Up to 0.1 single precision decides; beyond, the error is scaled as dt^4, which
        leaves it ten times the 1e-6 that a rate of -1 loses at 0.1 (dt^4 / 120).
    """
    return STEPPING * max(1.0, (dt / _STEP) ** 4)


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
    if resolved_method(cell, method) != "sampled":
        states = mean_field_branches(cell, inputs=inputs, method=method)
    if not states:
        options = {"samples": samples, "batches": batches, "seed": seed, "progress": False}
        found = solve_dmft(cell, inputs=inputs, method=method, start=start, throw=False, **options)
        states = (found,)
    return tuple(mean_field_lyapunov(each, seed=seed, throw=False) for each in states)


def variance_of(found: MeanFieldLyapunov) -> float:
    """Return C(0) of the state's first component."""
    return float(found.mean_field.covariance[found.mean_field.cell.state_names[0]][0])


def state_kinds(states: Sequence[MeanFieldLyapunov]) -> list[str]:
    """Return for each state whether it is at "rest", "moving", or "divides" the starts.

    Parameters
    ----------
    states
        From `theory_states`. The smaller of two moving states beside a fixed point is unstable:
        networks that start below it come to rest.
    """
    kinds = ["moving" if one.mean_field.fluctuates else "rest" for one in states]
    if kinds.count("moving") > 1 and "rest" in kinds:
        kinds[kinds.index("moving")] = "divides"
    return kinds


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
    states: Sequence[MeanFieldLyapunov], rates: Mapping[int, Rates], name: str = "exponent"
) -> list[Comparison | None]:
    """Compare the networks in each state with its exponent, extrapolated in 1/N over sizes.

    Parameters
    ----------
    states
        As in `belonging`.
    rates
        Of networks by their number of units.
    name
        What is compared.

    Returns
    -------
    list of Comparison or None
        None where theory did not converge, or no size has enough networks in the state.
    """
    masks = {n: belonging(states, each) for n, each in rates.items()}
    found: list[Comparison | None] = []
    for number, state in enumerate(states):
        values = {n: each.rate[masks[n][number]] for n, each in rates.items()}
        values = {n: each for n, each in values.items() if each.size >= FEWEST}
        theory = float(state.exponent)
        known = state.status is Status.OK and math.isfinite(theory)
        if not (known and values and np.isfinite(np.concatenate([*values.values()])).all()):
            found.append(None)
            continue
        stepping = max(each.stepping for each in rates.values())
        options: dict[str, Any] = {"theory_error": error_of(state, stepping), "name": name}
        if len(values) > 1:
            found.append(compare_sizes(theory, values, **options))
        else:
            found.append(compare(theory, next(iter(values.values())), **options))
    return found


def error_of(state: MeanFieldLyapunov, stepping: float = STEPPING) -> float:
    """Return what separates theory from networks apart from their scatter.

    Parameters
    ----------
    state
        Its sampling error and truncation count.
    stepping
        Error of the networks' integration.
    """
    truncation = float(np.nan_to_num(state.truncation))
    return math.hypot(float(state.standard_error), truncation, stepping)
