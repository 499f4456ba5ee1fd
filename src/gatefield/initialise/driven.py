"""The candidate's gain where no closed form tells it: by static theory, or by the dynamical one."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from gatefield.cells import AbstractCell, AbstractFlow, AbstractMap, ElmanRNN
from gatefield.cells.base import over_units, stacked_outputs
from gatefield.core.checks import check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.initialise.sources import Source, with_sources
from gatefield.initialise.statistics import InputStatistics
from gatefield.networks import GaussianInput
from gatefield.theory.dmft import MeanField, solve_dmft
from gatefield.theory.lyapunov import mean_field_lyapunov
from gatefield.theory.rmt import UnitEnsemble, spectral_boundary
from gatefield.theory.rmt.response import second_moments
from gatefield.theory.static import solve_static

_STEP, _REACH = 1.25, 20.0  # brackets reach from 1/20 to 20 times the gain at the zero state
_LONGEST_STEP = 2.0  # of a secant: what moves may end where the gain is much larger
_CLOSE = 1e-3  # of the target, at a root: a function that jumps over it has none
_SILENT = 1e-10
_TOLERANCE, _SWEEPS = 5e-4, 200
_SHORTEST, _LONGEST = 128.0, 2048.0
_MOST_STEPS = 32768  # of the paths of solve_dmft
_FAST = 40.0  # times shorter than the fastest unit: then only an input's power counts


def gain_at_start(make: Callable[[float], AbstractCell], edge: float, start: float) -> float:
    r"""Return the gain at which the Jacobian at zero, under biases, has a leading edge.

    .. math:: \rho\left(\mathrm{gain}_a^2 \langle |Y_{ab}(\lambda)|^2\rangle\right) = 1,
        \qquad \lambda = \mathrm{edge}

    with the response Y of units at zero to their fields, and the spectral radius of the matrix over
    fields; solved for the candidate's gain.

    Parameters
    ----------
    make
        Returns the cell of a gain; scalar or per-unit biases.
    edge
        Largest modulus (maps) or rightmost real part (flows).
    start
        Where the search begins.

    Raises
    ------
    InvalidInputError
        For rectified units, whose slope at zero depends on the sign of what is to come.
    NumericalFailureError
        If no gain has this edge: with biases other couplings than the candidate's count, too.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eq. A34.
    """
    cell = make(start)
    if isinstance(cell, ElmanRNN) and cell.activation == "relu":
        refuse("at", "start", "'state' for rectified units with biases", "They have a kink there.")

    def excess(gain: float) -> float:
        # Units at zero have real eigenvalues, so that the outermost point lies on the real axis.
        moments = second_moments(_at_zero(make(gain)).response(), [edge])[0]
        return math.log(np.max(np.abs(np.linalg.eigvals(moments))))

    return _root(excess, start, 1e-12, enough=0.0)


def _at_zero(cell: AbstractCell) -> UnitEnsemble:
    """Return the units at zero, which may send something there (the gated RNN's do)."""
    count = max(np.size(value) for value in vars(cell).values() if not isinstance(value, str))
    state, silent, drive = (
        np.zeros((len(names), count))
        for names in (cell.state_names, cell.field_names, cell.drive_names)
    )
    with jax.enable_x64(True):
        zeros = (jnp.asarray(each) for each in (state, silent, drive))
        sent = np.asarray(over_units(stacked_outputs, cell, *zeros))
    # Second moments of the response are even in the fields: one of their size stands for all.
    size = [
        np.sqrt(np.mean(row**2)) * np.broadcast_to(cell.gains()[name], count)
        for name, row in zip(cell.field_names, sent, strict=True)
    ]
    return UnitEnsemble.of_samples(cell, state, np.stack(size))


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

    return _root(excess, start, 1e-9, enough=0.0)


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
    return _root(excess, start, _TOLERANCE, enough=_TOLERANCE)


def mean_field(
    cell: AbstractCell,
    sources: list[Source],
    *,
    samples: int = 500,
    seed: int = 0,
) -> MeanField:
    """Return the stationary mean field of a driven cell; the same draws for every cell."""
    taus = [float(value) for name, value in vars(cell).items() if name.startswith("tau")]
    shortest = min([1.0, *taus])
    if isinstance(cell, AbstractFlow):
        sources = [_followed(source, shortest / _FAST) for source in sources]
    own, inputs = with_sources(cell, sources)
    # One period for all gains, so that nothing is compiled anew: eight of the longest times.
    times = [source.input.correlation_time for source in sources if not source.input.is_static]
    longest = max([1.0, *times])
    period = float(min(_LONGEST, 2 ** math.ceil(math.log2(max(_SHORTEST, 8 * longest)))))
    if isinstance(cell, AbstractFlow):
        period = min(period, _MOST_STEPS * min([0.2, shortest, *times]))
    return solve_dmft(
        own,
        inputs=inputs,
        samples=check_count("samples", samples, at_least=2),
        batches=4,
        period=period,
        seed=check_seed(seed),
        progress=False,
    )


def _followed(source: Source, shortest: float) -> Source:
    """Return an input that paths of moderate steps follow: a faster one is slowed at equal power.

    Every drive of the gated RNN is integrated, so that of an input far faster than the unit only
    the power counts; what a unit makes of it changes by less than 1 / _FAST.
    """
    given = source.input
    if given.is_static or given.correlation_time >= shortest:
        return source
    variance = given.variance * given.correlation_time / shortest
    slowed = GaussianInput(mean=given.mean, variance=variance, correlation_time=shortest)
    return source._replace(input=slowed)


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


def _root(
    excess: Callable[[float], float], start: float, tolerance: float, *, enough: float
) -> float:
    """Return the gain where a function that rises with it is zero, from a bracket around start.

    Values of no more than ``enough`` count as zero: each may cost a solution of sampled theory.
    """
    here = math.log(start)

    @functools.cache  # ends of a bracket are asked for again
    def value_at(u: float) -> float:
        found = excess(math.exp(u))
        if not math.isfinite(found):
            raise NumericalFailureError(f"The theory has no value at a gain of {math.exp(u):.4g}.")
        return 0.0 if abs(found) <= enough else found

    value, move = value_at(here), math.log(_STEP)
    way = 1 if value < 0 else -1
    while value != 0:
        there = here + way * move
        if abs(there - math.log(start)) > math.log(_REACH):
            ends = sorted((start, math.exp(here)))
            raise NumericalFailureError(
                f"No gain between {ends[0]:.3g} and {ends[1]:.3g} meets the target (last miss "
                f"{value:.3g}). Weaken the inputs or biases, or choose another target."
            )
        other = value_at(there)
        if other * value <= 0:
            return _between(value_at, here, there, tolerance)
        slope = (other - value) / (there - here)
        here, value = there, other
        # Somewhat beyond where the secant leads, for a bracket.
        ahead = 1.25 * abs(value / slope) if slope > 0 else math.inf
        move = min(max(ahead, math.log(_STEP)), math.log(_LONGEST_STEP))
    return math.exp(here)


def _between(value_at: Callable[[float], float], low: float, high: float, tolerance: float):
    root: Any = brentq(value_at, low, high, xtol=tolerance)
    if abs(value_at(root)) > _CLOSE + 10 * abs(tolerance):
        raise NumericalFailureError(
            f"The state changes abruptly at a gain of {math.exp(root):.4g}, and none meets the "
            "target. Weaken the inputs or biases, or choose another target."
        )
    return math.exp(root)


def check_scalar(cell: AbstractCell) -> None:
    """Refuse biases of each unit's own where a theory of distributions is needed."""
    for name, value in vars(cell).items():
        if not isinstance(value, str) and np.ndim(value) > 0:
            remedy = "Pass numbers, and random biases as a GaussianInput to their drive."
            refuse(f"{name}.shape", np.shape(value), "() with inputs or biases", remedy)
