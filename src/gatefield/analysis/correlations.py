"""Stationary correlation functions of simulated networks, as mean-field theory averages them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
import scipy.fft

from gatefield.analysis.recording import (
    FEWEST,
    NetworkInputs,
    Recording,
    check_finite,
    progress_bar,
    recording,
)
from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.checks import as_number, check_choice, check_count
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.networks import Network
from gatefield.numerics.relaxation import integral_time, relaxation_time

_SPACING = 0.1
_UNITS_AT_ONCE = 256


class CorrelationFunctions(AbstractResult):
    """Stationary second moments of networks, averaged over units and time.

    Attributes
    ----------
    lags
        In units of the units' own time constant; steps for maps.
    covariance
        <q(t) q(t + lag)> by the quantity's name; the mean is not subtracted, as in mean-field
        theory.
    standard_error
        Of ``covariance``: from the scatter of at least three networks, otherwise of time blocks.
    by_network
        What each network gave.
    mean, mean_standard_error
        <q(t)>, and its standard error alike.
    cell
        The cell, of the first network.
    n
        Number of units N.
    blocks
        Number of time blocks behind the errors; 0 where they are from the scatter of networks.
    settings
        What made the result.
    status
        OK, or DIVERGED if a state was not finite.
    """

    lags: Float[HostArray, " lag"] = eqx.field(metadata=quantity("lag", unit="time constant"))
    covariance: dict[str, Float[HostArray, " lag"]] = eqx.field(metadata=quantity("lag"))
    standard_error: dict[str, Float[HostArray, " lag"]] = eqx.field(metadata=quantity("lag"))
    by_network: dict[str, Float[HostArray, "network lag"]] = eqx.field(
        metadata=quantity("network", "lag")
    )
    mean: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    mean_standard_error: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    cell: AbstractCell
    n: int = eqx.field(static=True)
    blocks: int = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)
    status: Status = eqx.field(static=True)

    @property
    def is_map(self) -> bool:
        """Whether lags count steps."""
        return isinstance(self.cell, AbstractMap)

    def relaxation_time(
        self, name: str, *, level: float = float(np.exp(-1)), plateau: float | None = None
    ) -> float:
        """Return when a quantity's covariance has fallen to a fraction of its start.

        Level and plateau are those of `gatefield.numerics.relaxation.relaxation_time`.
        """
        check_choice("name", name, self.covariance)
        return relaxation_time(self.lags, self.covariance[name], level=level, plateau=plateau)

    def integral_time(self, name: str, *, plateau: float | None = None) -> float:
        """Return the integral of a quantity's normalised covariance over the lags.

        The plateau is that of `gatefield.numerics.relaxation.integral_time`.
        """
        check_choice("name", name, self.covariance)
        return integral_time(self.lags, self.covariance[name], plateau=plateau)


# A run that diverged is reported by its status, not by warnings of the sums over it.
@np.errstate(over="ignore", invalid="ignore")
def correlation_functions(
    networks: Network | Sequence[Network],
    t_max: float,
    *,
    burn_in: float,
    max_lag: float,
    dt: float | None = None,
    method: str | None = None,
    save_every: int | None = None,
    quantities: Sequence[str] | None = None,
    inputs: NetworkInputs | None = None,
    initial: Any = None,
    blocks: int = 4,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> CorrelationFunctions:
    r"""Simulate networks and average products of each quantity at two times over units and time.

    .. math:: C_q(\tau) = \frac{1}{N} \sum_i \frac{1}{T_\tau} \sum_t q_i(t)\, q_i(t + \tau)

    with all T_tau pairs of recorded times that lie so far apart, by fast Fourier transforms with
    zero padding. Runs are recorded in pieces: memory does not grow with ``t_max``, but for inputs
    that are drawn.

    Parameters
    ----------
    networks
        A network, or several of one kind of cell and one size.
    t_max
        Duration that is averaged over, after ``burn_in``, in units of the units' own time constant;
        number of steps for maps. Durations and lags are rounded to whole recorded steps.
    burn_in
        Duration before it that is discarded.
    max_lag
        Largest lag.
    dt, method
        Step of a flow (default 0.05) and "rk4" (default) or "euler". Maps have none.
    save_every
        Steps between recorded times; by default about 0.1 time units, each step of a map.
    quantities
        Names of what to correlate; by default all: the components of the state, the coupling fields
        ``eta_<field>``, the outputs ``y_<field>`` and the cell's observables.
    inputs
        As in `simulate`, or a function of the network's number that returns such a mapping. A value
        may be a `GaussianInput`, which is drawn for each network.
    initial
        One state (d, N) from which every network starts; by default each starts from the standard
        normal state that ``simulate`` draws for seed + number.
    blocks
        Number of time blocks for the errors where there are fewer than three networks.
    seed
        Draws initial states and inputs.
    progress
        True shows a progress bar, False none; by default one appears on a terminal after 3 s.
    throw
        Raise if a run fails; otherwise the failure is the result's status.

    Returns
    -------
    CorrelationFunctions

    Raises
    ------
    InvalidInputError
        For names, shapes or numbers that do not fit, or lags as long as a block.
    NumericalFailureError
        If ``throw`` and a state is not finite.

    Assumptions
    -----------
    The networks are stationary after ``burn_in``. From three networks on, errors are the standard
    deviation of the networks' values over the root of their number, and cover all that differs from
    network to network; for fewer, they come from the scatter of time blocks alone, need blocks that
    are long beside the relaxation time and the lag, and do not know how other couplings would
    differ. Neither contains the bias of order 1/N by which networks differ from mean-field theory:
    compare sizes (`gatefield.compare.compare_sizes`).
    """
    plan = recording(
        networks, dt=dt, method=method, inputs=inputs, quantities=quantities, seed=seed
    )
    every = _save_every(plan, save_every)
    spacing = every * plan.dt
    saved = _whole(plan, "t_max", t_max, spacing, at_least=1)
    discarded = _whole(plan, "burn_in", burn_in, plan.dt, at_least=0)
    lags = _whole(plan, "max_lag", max_lag, spacing, at_least=0)
    few = len(plan.networks) < FEWEST
    parts = check_count("blocks", blocks, at_least=2) if few else 1
    if lags >= saved // parts:
        expected = f"less than a block, here {saved // parts * spacing:g}"
        refuse("max_lag", max_lag, expected, "Raise t_max, or lower max_lag or blocks.")
    steps = discarded + every * np.arange(saved)
    starts = [plan.start(number, initial) for number in range(len(plan.networks))]
    edges = np.linspace(0, saved, parts + 1).astype(int)
    sums = np.zeros((len(plan.networks), parts, len(plan.quantities), lags + 1))
    totals = np.zeros(sums.shape[:-1])
    finite = True
    total = int(steps[-1]) * len(plan.networks)
    with progress_bar(total, progress, "correlation_functions") as bar:
        for number, start in enumerate(starts):
            ended = _accumulate(
                plan, number, start, steps, edges, sums[number], totals[number], bar
            )
            finite = finite and ended
    check_finite("correlation_functions", finite, throw)
    n = plan.networks[0].n
    # Pairs whose later time lies in each block: what `_accumulate` has summed there.
    pairs = np.clip(edges[1:, None] - np.maximum(edges[:-1, None], np.arange(lags + 1)), 0, None)
    moments = sums.sum(1) / (n * pairs.sum(0))
    means = totals.sum(1) / (n * saved)
    errors = _errors(moments, sums / (n * pairs[:, None, :]))
    mean_errors = _errors(means, totals / (n * np.diff(edges)[:, None]))
    names = plan.quantities
    return CorrelationFunctions(
        lags=spacing * np.arange(lags + 1),
        covariance=dict(zip(names, moments.mean(0), strict=True)),
        standard_error=dict(zip(names, errors, strict=True)),
        by_network=dict(zip(names, np.moveaxis(moments, 1, 0), strict=True)),
        mean=dict(zip(names, map(np.asarray, means.mean(0)), strict=True)),
        mean_standard_error=dict(zip(names, map(np.asarray, mean_errors), strict=True)),
        cell=plan.networks[0].cell,
        n=n,
        blocks=parts if few else 0,
        settings=plan.settings(t_max=saved * spacing, burn_in=discarded * plan.dt),
        status=Status.OK if finite else Status.DIVERGED,
    )


def _save_every(plan: Recording, save_every: int | None) -> int:
    if save_every is not None:
        return check_count("save_every", save_every)
    return 1 if plan.is_map else max(1, round(_SPACING / plan.dt))


def _whole(plan: Recording, name: str, value: Any, unit: float, *, at_least: int) -> int:
    """Return a duration in whole units, rounded for flows."""
    duration = as_number(name, value, nonnegative=True)
    if plan.is_map:
        check_count(f"{name} (steps of a map)", duration, at_least=at_least)
    count = round(duration / unit)
    if count < at_least:
        refuse(name, value, f"at least {at_least * unit:g}", "Choose a longer one.")
    return count


def _accumulate(plan, number, state, steps, edges, sums, totals, bar) -> bool:
    """Run one network and add to each block's sums of products and of values; return if finite."""
    lags, n = sums.shape[-1] - 1, plan.networks[0].n
    # Pieces shorter than the lags would transform the past more often than the present.
    size = max(plan.fit, lags)
    ends = [
        min(start + size, high)
        for low, high in zip(edges[:-1], edges[1:], strict=True)
        for start in range(low, high, size)
    ]
    past = np.zeros((lags, len(plan.quantities), n), plan.networks[0].dtype)
    done, finite = 0, True
    for rows, here in plan.run(number, state, steps, ends, bar):
        finite = finite and here
        block = int(np.searchsorted(edges, done, side="right")) - 1
        sums[block] += _lagged_sums(past, rows)
        totals[block] += rows.sum(axis=(0, 2), dtype=float)
        past = np.concatenate([past, rows])[len(rows) :]
        done += len(rows)
    return finite


def _lagged_sums(
    past: Float[HostArray, "lag quantity unit"], rows: Float[HostArray, "time quantity unit"]
) -> Float[HostArray, "quantity every_lag"]:
    """Sum q(t) q(t - lag) over the units and the times of ``rows``, for lags 0 to len(past)."""
    lags, n = len(past), rows.shape[-1]
    fast_length: Any = scipy.fft.next_fast_len
    length = int(fast_length(lags + len(rows), real=True))
    sums = np.empty((rows.shape[1], lags + 1))
    for row in range(rows.shape[1]):
        spectrum = np.zeros(length // 2 + 1, complex)
        for start in range(0, n, _UNITS_AT_ONCE):
            units = slice(start, start + _UNITS_AT_ONCE)
            late = rows[:, row, units].T.astype(float)
            early = np.concatenate([past[:, row, units].T, late], axis=1)
            products = np.conj(np.fft.rfft(late, length)) * np.fft.rfft(early, length)
            spectrum += products.sum(axis=0)
        # Entry k has q(t) times the value that stands k - lags after it.
        sums[row] = np.fft.irfft(spectrum, length)[lags::-1]
    return sums


def _errors(values: HostArray, in_blocks: HostArray) -> HostArray:
    """Return the standard error of the mean over networks, (network, ...)."""
    count = len(values)
    if count >= FEWEST:
        return values.std(axis=0, ddof=1) / np.sqrt(count)
    parts = in_blocks.shape[1]
    own = in_blocks.var(axis=1, ddof=1) / parts
    return np.sqrt(own.sum(axis=0)) / count
