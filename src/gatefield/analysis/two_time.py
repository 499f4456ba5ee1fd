"""Correlations of simulated networks at pairs of times after a random start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.analysis.recording import NetworkInputs, check_finite, progress_bar, recording
from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.checks import as_number, as_parameter
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.networks import Network


class TwoTimeCorrelations(AbstractResult):
    """Second moments at pairs of times after a random start, averaged over units and networks.

    Attributes
    ----------
    times
        In units of the units' own time constant; steps for maps.
    covariance
        <q(t) q(t')> by the quantity's name.
    standard_error
        Of ``covariance``, from the scatter of the networks.
    by_network
        What each network gave.
    cell
        The cell, of the first network.
    n
        Number of units N.
    settings
        What made the result.
    status
        OK, or DIVERGED if a state was not finite.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    covariance: dict[str, Float[HostArray, "time other_time"]] = eqx.field(
        metadata=quantity("time", "other_time")
    )
    standard_error: dict[str, Float[HostArray, "time other_time"]] = eqx.field(
        metadata=quantity("time", "other_time")
    )
    by_network: dict[str, Float[HostArray, "network time other_time"]] = eqx.field(
        metadata=quantity("network", "time", "other_time")
    )
    cell: AbstractCell
    n: int = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)
    status: Status = eqx.field(static=True)

    @property
    def is_map(self) -> bool:
        """Whether times count steps."""
        return isinstance(self.cell, AbstractMap)


# A run that diverged is reported by its status, not by warnings of the sums over it.
@np.errstate(over="ignore", invalid="ignore")
def two_time_correlations(
    networks: Sequence[Network],
    times: Any,
    *,
    initial_variance: float = 1.0,
    dt: float | None = None,
    method: str | None = None,
    quantities: Sequence[str] | None = None,
    inputs: NetworkInputs | None = None,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> TwoTimeCorrelations:
    r"""Start networks from independent Gaussian states and correlate each quantity at two times.

    .. math:: C_q(t, t') = \frac{1}{N} \sum_i q_i(t)\, q_i(t'), \qquad
        s_i(0) \sim N(0, \mathrm{initial\_variance})

    for every component s_i of every unit, averaged over networks: what transient mean-field theory
    predicts.

    Parameters
    ----------
    networks
        At least two, of one kind of cell and one size.
    times
        (time,), increasing from 0 on, in units of the units' own time constant; step numbers for
        maps. They are rounded to multiples of ``dt``; the result has the rounded ones.
    initial_variance
        Variance of every component at time 0, not negative.
    dt, method, quantities, inputs, seed, progress, throw
        As in `correlation_functions`.

    Returns
    -------
    TwoTimeCorrelations

    Raises
    ------
    InvalidInputError
        For names, shapes or numbers that do not fit, or times that rounding makes equal.
    NumericalFailureError
        If ``throw`` and a state is not finite.

    Assumptions
    -----------
    Errors are the standard deviation over networks over the root of their number; the bias of order
    1/N by which networks differ from mean-field theory remains.
    """
    plan = recording(
        networks, dt=dt, method=method, inputs=inputs, quantities=quantities, seed=seed
    )
    if len(plan.networks) < 2:
        refuse("networks", networks, "at least two networks", "Their scatter gives the errors.")
    given = np.asarray(as_parameter("times", times, nonnegative=True))
    if given.ndim != 1 or not given.size:
        refuse("times.shape", given.shape, "(time,)", "Pass a sequence of times.")
    steps = np.round(given / plan.dt).astype(int)
    if np.any(np.diff(steps) <= 0):
        expected = f"increasing, at least dt = {plan.dt:g} apart"
        refuse("times", times, expected, "Sort them, or lower dt.")
    variance = as_number("initial_variance", initial_variance, nonnegative=True)
    n, count = plan.networks[0].n, len(steps)
    ends = [*range(plan.fit, count, plan.fit), count]
    products = np.empty((len(plan.quantities), len(plan.networks), count, count))
    finite = True
    total = int(steps[-1]) * len(plan.networks)
    with progress_bar(total, progress, "two_time_correlations") as bar:
        for number in range(len(plan.networks)):
            start = np.sqrt(variance) * plan.start(number)
            pieces = list(plan.run(number, start, steps, ends, bar))
            finite = finite and pieces[-1][1]
            values = np.concatenate([rows for rows, _ in pieces]).astype(float)
            for row in range(len(plan.quantities)):
                products[row, number] = values[:, row] @ values[:, row].T / n
    check_finite("two_time_correlations", finite, throw)
    error = products.std(axis=1, ddof=1) / np.sqrt(len(plan.networks))
    names = plan.quantities
    return TwoTimeCorrelations(
        times=plan.dt * steps,
        covariance=dict(zip(names, products.mean(axis=1), strict=True)),
        standard_error=dict(zip(names, error, strict=True)),
        by_network=dict(zip(names, products, strict=True)),
        cell=plan.networks[0].cell,
        n=n,
        settings=plan.settings(initial_variance=variance),
        status=Status.OK if finite else Status.DIVERGED,
    )
