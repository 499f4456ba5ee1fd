"""The candidate's gain in a state that is not zero: by static theory, or by the dynamical one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import brentq

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.checks import check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.initialise.sources import Source, with_sources
from gatefield.initialise.statistics import InputStatistics
from gatefield.theory.dmft import MeanField, solve_dmft
from gatefield.theory.lyapunov import mean_field_lyapunov
from gatefield.theory.rmt import spectral_boundary
from gatefield.theory.static import solve_static

_STEP, _STEPS = 1.25, 14  # brackets reach from 1/20 to 20 times the gain at the zero state
_SILENT = 1e-10
_TOLERANCE, _SWEEPS = 5e-4, 200
_SHORTEST, _LONGEST = 128.0, 2048.0


def static_gain(
    make: Callable[[float], AbstractCell], sources: list[Source], edge: float, start: float
) -> float:
    """Return the gain at which the least active fixed point has a leading edge.

    Parameters
    ----------
    make
        Returns the cell of a gain; scalar parameters.
    sources
        Static ones.
    edge
        The leading edge.
    start
        Where the search begins.

    Raises
    ------
    NumericalFailureError
        If no gain has this edge, or theory finds no solution.
    """
    critical = 1.0 if isinstance(make(start), AbstractMap) else 0.0

    def excess(gain: float) -> float:
        cell, inputs = with_sources(make(gain), sources)
        given: dict[str, Any] = {
            "input_mean": {name: each.mean for name, each in inputs.items()},
            "input_variance": {name: each.variance for name, each in inputs.items()},
        }
        state = solve_static(cell, samples=1024, replicates=2, **given)[0]
        if edge == critical:
            return float(np.log(state.radius))
        return float(spectral_boundary(state, samples=2048).leading_edge) - edge

    return _root(excess, start, 1e-9)


def moving_gain(
    make: Callable[[float], AbstractCell],
    sources: list[Source],
    target: float,
    quantity: str,
    start: float,
    *,
    samples: int = 500,
    seed: int = 0,
) -> float:
    """Return the gain at which the dynamical mean field has an exponent, or a leading edge.

    Parameters
    ----------
    make
        Returns the cell of a gain; scalar parameters.
    sources
        What drives it.
    target, quantity
        Value of "lyapunov" or "leading_edge".
    start
        Where the search begins.
    samples, seed
        Paths in each of four batches, and what draws them: the same for every gain.

    Raises
    ------
    NumericalFailureError
        If no gain has this value, or the mean field did not converge.
    """

    def excess(gain: float) -> float:
        state = mean_field(make(gain), sources, samples=samples, seed=seed)
        if quantity == "leading_edge":
            return float(spectral_boundary(state, samples=2048).leading_edge) - target
        found = mean_field_lyapunov(state, seed=seed, tolerance=_TOLERANCE, max_sweeps=_SWEEPS)
        return float(found.exponent) - target

    # The exponent has a sampling error of some 1e-3, which no finer root would serve.
    return _root(excess, start, 5e-4)


def mean_field(
    cell: AbstractCell,
    sources: list[Source],
    *,
    samples: int = 500,
    seed: int = 0,
) -> MeanField:
    """Return the stationary mean field of a driven cell; the same draws for every cell."""
    own, inputs = with_sources(cell, sources)
    # One period for all gains, so that nothing is compiled anew: eight of the longest times.
    times = [source.input.correlation_time for source in sources if not source.input.is_static]
    longest = max([1.0, *times])
    period = float(min(_LONGEST, 2 ** math.ceil(math.log2(max(_SHORTEST, 8 * longest)))))
    return solve_dmft(
        own,
        inputs=inputs,
        samples=check_count("samples", samples, at_least=2),
        batches=4,
        period=period,
        seed=check_seed(seed),
        progress=False,
    )


def output_statistics(state: MeanField, features: int) -> InputStatistics:
    r"""Return the statistics of a layer's output, which the layer above reads.

    A unit's output has a part that stays, of mean square :math:`C(\infty)`, and one that moves, of
    variance :math:`C(0) - C(\infty)`; its correlation time is that of an exponential of the same
    correlation at the first lag.

    Parameters
    ----------
    state
        The mean field of the layer.
    features
        Number of units N.

    Returns
    -------
    InputStatistics
    """
    correlation = np.asarray(state.covariance["h"], float)
    # The second half of the lags: a mean, since the last one alone is as noisy as any.
    lasting = float(np.clip(np.mean(correlation[len(correlation) // 2 :]), 0.0, correlation[0]))
    moving = float(correlation[0]) - lasting
    if moving <= _SILENT:
        lasting, moving, time = float(correlation[0]), 0.0, math.inf
    else:
        first = (float(np.interp(1.0, state.lags, correlation)) - lasting) / moving
        time = -1 / math.log(first) if 0 < first < 1 else 0.01
    return InputStatistics(np.full(features, math.sqrt(lasting)), np.full(features, moving), time)


def _root(excess: Callable[[float], float], start: float, tolerance: float) -> float:
    """Return the gain where a function that rises with it is zero, from a bracket around start."""
    low = high = math.log(start)
    step = math.log(_STEP)
    value = excess(start)
    if not math.isfinite(value):
        raise NumericalFailureError(f"The theory has no value at a gain of {start:.4g}.")
    if value == 0:
        return start
    rising, other = value < 0, value
    for _ in range(_STEPS):
        low, high = (high, high + step) if rising else (low - step, low)
        other = excess(math.exp(high if rising else low))
        if (other > 0) == rising:
            found: Any = brentq(lambda u: excess(math.exp(u)), low, high, xtol=tolerance)
            return math.exp(found)
    ends = sorted((start, math.exp(high if rising else low)))
    raise NumericalFailureError(
        f"No gain between {ends[0]:.3g} and {ends[1]:.3g} meets the target (last miss {other:.3g})."
        " Weaken the inputs or biases, or choose another target."
    )


def check_scalar(cell: AbstractCell) -> None:
    """Refuse biases of each unit's own where a theory of distributions is needed."""
    for name, value in vars(cell).items():
        if not isinstance(value, str) and np.ndim(value) > 0:
            remedy = "Pass numbers, and random biases as a GaussianInput to their drive."
            refuse(f"{name}.shape", np.shape(value), "() with inputs or biases", remedy)
