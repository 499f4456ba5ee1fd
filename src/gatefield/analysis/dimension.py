"""How many directions of state space a network visits: the participation ratio."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

from gatefield.core.checks import as_number, as_parameter, check_choice, check_count
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.networks import Trajectory

_ROUNDING = 64 * np.finfo(float).eps


class ParticipationDimension(AbstractResult):
    """The participation ratio of the covariance across units.

    Attributes
    ----------
    value
        (tr S)^2 / tr S^2, from pairs of separate blocks of time; 0 where nothing varies.
    standard_error
        Of ``value``, by leaving out one block after the other.
    naive
        The same ratio from the covariance of all times together, which sampling makes too small.
    per_unit
        ``value`` over the number of units.
    blocks, separation
        Number of blocks, and how far apart the blocks of a pair are at least.
    n, times
        Number of units and of times.
    status
        OK; NOT_CONVERGED if the run is too short to tell: where blocks share no direction, value or
        error is infinite; where too few of them vary, the value is 0 with an infinite error.
    """

    value: Float[HostArray, ""] = eqx.field(metadata=quantity())
    standard_error: Float[HostArray, ""] = eqx.field(metadata=quantity())
    naive: Float[HostArray, ""] = eqx.field(metadata=quantity())
    per_unit: Float[HostArray, ""] = eqx.field(metadata=quantity())
    blocks: int = eqx.field(static=True)
    separation: int = eqx.field(static=True)
    n: int = eqx.field(static=True)
    times: int = eqx.field(static=True)
    status: Status = eqx.field(static=True)


def participation_dimension(
    states: Any,
    component: str | None = None,
    *,
    burn_in: float = 0.0,
    blocks: int = 10,
    separation: int = 2,
    centre: bool = True,
) -> ParticipationDimension:
    r"""Estimate the participation ratio of the covariance S of units over time.

    .. math:: D = \frac{(\mathrm{tr}\, S)^2}{\mathrm{tr}\, S^2}
        \approx \frac{\sum_{ab} \mathrm{tr}\, S_a\, \mathrm{tr}\, S_b}
        {\sum_{ab} \mathrm{tr}(S_a S_b)}

    over pairs a, b of blocks of time, each with its own covariance. Within one sample of T
    independent times tr S^2 is too large by (tr S)^2 / T, hence D too small: 1/D becomes 1/D + 1/T.
    The errors of blocks that are independent of each other do not correlate, so pairs have no such
    bias.

    Parameters
    ----------
    states
        A `Trajectory` of one run, or an array (time, unit).
    component
        Which component of a trajectory's state; the first by default. None for an array.
    burn_in
        Time (steps of a map) at the beginning of a trajectory that is left out.
    blocks
        Number of blocks of equal length, at least ``separation`` + 2; times left over at the end
        are not used.
    separation
        Pairs are of blocks a and b with \|a - b\| >= separation: 1 also pairs neighbours.
    centre
        Subtract each block's mean; False if the mean of every unit is zero, as in chaotic networks
        that a change of sign leaves as they are.

    Returns
    -------
    ParticipationDimension
        Its status says whether the blocks sufficed.

    Raises
    ------
    InvalidInputError
        For shapes, names or numbers that do not fit, or fewer than two times in a block.

    Assumptions
    -----------
    The states are stationary, and blocks are long beside the relaxation time: shorter ones are not
    independent, and subtracting their means takes slow directions away.
    """
    blocks = check_count("blocks", blocks, at_least=3)
    separation = check_count("separation", separation)
    if separation > blocks - 2:
        refuse("separation", separation, f"at most blocks - 2 = {blocks - 2}", "Use more blocks.")
    values = _values(states, component, burn_in)
    length = len(values) // blocks
    if length < 2:
        remedy = "Record more often or for longer, or use fewer blocks."
        refuse("times", len(values), f"at least {2 * blocks}, two for each block", remedy)
    values = values[: length * blocks]
    n = values.shape[1]
    parts = values.reshape(blocks, length, n)
    # One mean for all first, which is exact and keeps rounding small; then each block's own.
    if centre:
        parts = parts - values.mean(axis=0)
        parts = parts - parts.mean(axis=1, keepdims=True)
    traces = np.sum(parts**2, axis=(1, 2)) / length
    limit = n * (_ROUNDING * np.max(np.abs(values))) ** 2
    if np.all(traces <= limit):
        value, error, naive, found = 0.0, 0.0, 0.0, True
    else:
        # What rounding leaves of a block at rest is no direction.
        moves = traces > limit
        traces, overlaps = traces * moves, _overlaps(parts) * np.outer(moves, moves)
        far = np.abs(np.subtract.outer(np.arange(blocks), np.arange(blocks))) >= separation
        above, below = np.outer(traces, traces) * far, overlaps * far
        value = _ratio(above.sum(), below.sum())
        kept = ~np.eye(blocks, dtype=bool)
        without = np.array(
            [_ratio(above[np.ix_(k, k)].sum(), below[np.ix_(k, k)].sum()) for k in kept]
        )
        found = bool(np.all(np.isfinite([value, *without])) and value > 0)
        spread = np.sum((without - without.mean()) ** 2) if found else np.inf
        error = float(np.sqrt((blocks - 1) / blocks * spread))
        whole = (values - values.mean(axis=0) if centre else values)[None]
        naive = _ratio(np.sum(whole**2) ** 2, _overlaps(whole).item() * whole.shape[1] ** 2)
    return ParticipationDimension(
        np.asarray(value),
        np.asarray(error),
        np.asarray(naive),
        np.asarray(value / n),
        blocks=blocks,
        separation=separation,
        n=n,
        times=len(values),
        status=Status.OK if found else Status.NOT_CONVERGED,
    )


def _values(states: Any, component: str | None, burn_in: float) -> Float[HostArray, "time unit"]:
    if isinstance(states, Trajectory):
        if states.states.ndim != 3:
            refuse("states", states.states.shape, "one run", "Pass the samples one by one.")
        names = states.component_names
        name = names[0] if component is None else check_choice("component", component, names)
        late = states.times >= as_number("burn_in", burn_in, nonnegative=True)
        return states.component(name)[late].astype(float)
    if component is not None or burn_in != 0:
        given = f"component={component!r}, burn_in={burn_in!r}"
        refuse("for an array", given, "neither component nor burn_in", "Slice the array.")
    values = np.asarray(as_parameter("states", states))
    if values.ndim != 2 or values.shape[1] == 0:
        refuse("states.shape", values.shape, "(time, unit)", "Pass one component over time.")
    return values


def _overlaps(parts: Float[HostArray, "block time unit"]) -> Float[HostArray, "block block"]:
    """Return tr(S_a S_b) by whichever product is smaller: of times, or of units."""
    count, length, n = parts.shape
    overlaps = np.empty((count, count))
    if length < n:
        for a in range(count):
            for b in range(a + 1):
                overlaps[a, b] = overlaps[b, a] = np.sum((parts[a] @ parts[b].T) ** 2)
        return overlaps / length**2
    covariances = np.stack([part.T @ part / length for part in parts]).reshape(count, n * n)
    return covariances @ covariances.T


def _ratio(above: float, below: float) -> float:
    """Return D, infinite where the covariances of all pairs are orthogonal to rounding."""
    if above == 0:
        return 0.0
    return float(above / below) if below > _ROUNDING * above else np.inf
