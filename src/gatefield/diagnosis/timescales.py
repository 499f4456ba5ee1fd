"""How long a layer remembers: by its gates, by its spectrum, and by its activity."""

from __future__ import annotations

import equinox as eqx
import numpy as np

from gatefield.core.results import quantity
from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.biases import LEVELS
from gatefield.diagnosis.correlate import autocorrelation, correlation_time
from gatefield.diagnosis.exponents import Exponents
from gatefield.diagnosis.part import MapPart
from gatefield.diagnosis.runs import LayerRun, spread_over
from gatefield.diagnosis.spectra import Spectra
from gatefield.networks import linearise
from gatefield.numerics.relaxation import integral_time

_STATES = 12  # at which gate times are taken


class Timescales(MapPart):
    """How long the layer remembers, by its gates, its spectrum and its activity, in steps.

    Attributes
    ----------
    levels
        Levels of the quantiles.
    gate_time_quantiles
        Over units and states: the time in which a unit forgets at fixed fields, -1 / ln|A| with
        the slowest eigenvalue A of its own block; 0 for networks without gates.
    gate_time
        The median.
    memory_time
        -1 / ln(leading edge) of the network's Jacobian, median over states; infinite if the median
        edge is one or more.
    memory_times
        The same at each state of ``spectra.steps``.
    lyapunov_time
        1 / |lambda_1|: what perturbations need to grow or shrink by a factor e.
    activity_time
        Steps in which the correlation of the activity falls to 1/e (0 where it does not vary).
    activity_integral_time
        Integral of that correlation over the lags, from lag 0.
    lags, activity_correlation
        Correlation of the activity over time, units' own means subtracted.
    """

    levels: Float[HostArray, " level"] = eqx.field(metadata=quantity("level"))
    gate_time_quantiles: Float[HostArray, " level"] = eqx.field(
        metadata=quantity("level", unit="time constant")
    )
    gate_time: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant"))
    memory_time: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant"))
    memory_times: Float[HostArray, " state"] = eqx.field(
        metadata=quantity("state", unit="time constant")
    )
    lyapunov_time: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant"))
    activity_time: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant"))
    activity_integral_time: Float[HostArray, ""] = eqx.field(
        metadata=quantity(unit="time constant")
    )
    lags: Float[HostArray, " lag"] = eqx.field(metadata=quantity("lag", unit="time constant"))
    activity_correlation: Float[HostArray, " lag"] = eqx.field(metadata=quantity("lag"))


def timescales_of(
    run: LayerRun, spectra: Spectra | None, exponents: Exponents | None
) -> Timescales:
    r"""Collect the times of a layer.

    .. math:: t_\mathrm{gate} = -1 / \ln|A|, \qquad t_\mathrm{memory} = -1 / \ln \rho

    with the slowest eigenvalue A of a unit's own block d rule / d s at fixed fields, and the
    largest modulus rho of the Jacobian's eigenvalues.

    Parameters
    ----------
    run
        The layer's run.
    spectra, exponents
        Those parts; what rests on a missing one is NaN.

    Returns
    -------
    Timescales
    """
    times = gate_times(run)
    edges = np.zeros(0) if spectra is None else spectra.leading_edges
    typical = float(np.median(edges)) if edges.size else np.nan
    first = np.nan if exponents is None else abs(float(exponents.exponents[0]))
    activity = run.states[:, 1:, 0]
    lags, correlation = autocorrelation(activity - activity.mean(axis=(0, 1), dtype=float))
    with np.errstate(divide="ignore"):
        slowest = np.asarray(np.float64(1.0) / first)
    return Timescales(
        levels=np.array(LEVELS),
        gate_time_quantiles=np.quantile(times, LEVELS, method="closest_observation"),
        gate_time=np.asarray(np.median(times)),
        memory_time=np.asarray(time_of(typical)),
        memory_times=np.array([time_of(float(edge)) for edge in edges]),
        lyapunov_time=slowest,
        activity_time=np.asarray(correlation_time(lags, correlation)),
        activity_integral_time=np.asarray(integral_time(lags, correlation, plateau=0.0)),
        lags=lags,
        activity_correlation=correlation,
    )


def gate_times(run: LayerRun) -> Float[HostArray, " unit"]:
    """Return each unit's own forgetting time at several states of the run, end to end."""
    found = []
    for place, step in enumerate(spread_over(run.length, _STATES)):
        sequence = place % run.sequences
        state, inputs = run.states[sequence, step], run.inputs(sequence)
        blocks = linearise(run.network, state, inputs=inputs, time=int(step)).A
        slowest = np.max(np.abs(np.linalg.eigvals(blocks)), axis=-1)
        found += [time_of(float(each)) for each in slowest]
    return np.array(found)


def time_of(modulus: float) -> float:
    """Return -1 / ln(modulus): 0 for zero, infinity from one on."""
    if not np.isfinite(modulus):
        return np.nan
    if modulus <= 0:
        return 0.0
    return float(-1 / np.log(modulus)) if modulus < 1 else np.inf
