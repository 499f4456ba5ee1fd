"""A frame of perturbations carried along a trajectory, orthonormalised at intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.types import Array, Float, HostArray, States
from gatefield.networks.inputs import Drive
from gatefield.networks.network import Network
from gatefield.networks.simulate import one_step
from gatefield.networks.tangent import Frame, step_with_tangent
from gatefield.numerics.orthonormal import (
    Orthonormalised,
    departure_from_orthonormality,
    householder_rows,
    orthonormal_rows,
)


class Path(NamedTuple):
    """What decides a step: network, external input, step size, method."""

    network: Network
    drive: Drive
    dt: Any
    method: str


class Carried(NamedTuple):
    """Where a run stands: the state, the frame's orthonormal rows, the number of the next step."""

    state: States
    frame: Frame
    number: Any


class Growth(NamedTuple):
    """What a stretch of a run gave.

    Attributes
    ----------
    logs
        Natural logarithm of the growth of each row beyond those before it, (k,), float64.
    ratio
        Smallest over largest growth within one interval, at worst.
    departure
        Largest entry of |Q Q^T - 1| at the end.
    """

    logs: Float[HostArray, " exponent"]
    ratio: float
    departure: float


@eqx.filter_jit
def relax(path: Path, state: States, number: Any, steps: Any) -> States:
    """Advance the state alone by ``steps`` steps, from step ``number`` on."""
    step = one_step(path.network, path.drive, path.dt, path.method)
    return jax.lax.fori_loop(number, number + steps, step, state)


def advance(
    path: Path, low: Path | None, carried: Carried, *, intervals: int, steps: int
) -> tuple[Carried, Growth]:
    """Advance by ``intervals`` times ``steps`` steps, orthonormalising after each interval.

    Parameters
    ----------
    path
        Where the state goes.
    low
        The same in the precision of the frame, where that is another.
    carried
        Where the run stands; its arrays are used up.
    intervals, steps
        Numbers of intervals, and of steps within each.
    """
    rows = carried.frame.shape[0]
    logs, ratio, left = np.zeros(rows), 1.0, intervals
    while left > 0:
        done = _advanced((path, low), carried, jnp.asarray(left), jnp.asarray(steps))
        carried, left = done.carried, left - int(done.intervals)
        grown, lowest = np.asarray(done.logs), float(done.ratio)
        if not bool(done.safe):
            frame, lengths = _rescued(carried.frame)
            carried = carried._replace(frame=frame)
            lengths = np.asarray(done.last) * np.asarray(lengths, np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):
                if steps == 1:
                    # What is left of a direction is rounding: the map loses it.
                    floor = rows * np.finfo(np.asarray(frame).dtype).eps
                    lengths = np.where(lengths < floor * np.max(lengths), 0.0, lengths)
                grown = grown + np.log(lengths)
                lowest = float(np.minimum(lowest, np.min(lengths) / np.max(lengths)))
        logs, ratio = logs + grown, min(ratio, lowest)
    return carried, Growth(logs, ratio, float(_departure(carried.frame)))


@eqx.filter_jit
def factored(
    path: Path, carried: Carried, steps: Any
) -> tuple[Carried, Float[Array, "exponent exponent"]]:
    """Advance by one interval; return the lower triangular L of (pushed rows) = L (new rows)."""
    rows = carried.frame.shape[0]
    with_tangent = step_with_tangent(path.network, path.drive, path.dt, path.method, rows)

    def one(_, carry):
        after, push = with_tangent(carry.number, carry.state)
        return Carried(after, push(carry.frame), carry.number + 1)

    pushed = jax.lax.fori_loop(0, steps, one, carried)
    flat = pushed.frame.reshape(rows, -1)
    new, _ = householder_rows(flat)
    factor = jnp.tril(flat @ new.T)
    return pushed._replace(frame=new.reshape(pushed.frame.shape)), factor


class _Advanced(NamedTuple):
    carried: Carried
    intervals: Array
    logs: Float[Array, " exponent"]
    ratio: Float[Array, ""]
    last: Float[Array, " exponent"]
    safe: Array


@eqx.filter_jit(donate="all-except-first")
def _advanced(paths: tuple[Path, Path | None], carried: Carried, intervals: Any, steps: Any):
    """Advance until all is done, or rows are too skew for products.

    The logarithms are those of intervals that ended well.
    """
    path, low = paths
    within = path if low is None else low
    rows, shape = carried.frame.shape[0], carried.frame.shape
    step = one_step(path.network, path.drive, path.dt, path.method)
    with_tangent = step_with_tangent(within.network, within.drive, within.dt, within.method, rows)

    def one(_, now):
        after, push = with_tangent(now.number, now.state.astype(within.network.dtype))
        after = after if low is None else step(now.number, now.state)
        return Carried(after, push(now.frame), now.number + 1)

    def interval(now: _Advanced) -> _Advanced:
        pushed = jax.lax.fori_loop(0, steps, one, now.carried)
        found: Orthonormalised = orthonormal_rows(pushed.frame.reshape(rows, -1))
        lengths = found.lengths.astype(jnp.float64)
        ratio = jnp.minimum(now.ratio, jnp.min(lengths) / jnp.max(lengths))
        return _Advanced(
            pushed._replace(frame=found.rows.reshape(shape)),
            now.intervals + 1,
            jnp.where(found.safe, now.logs + jnp.log(lengths), now.logs),
            jnp.where(found.safe, ratio, now.ratio),
            lengths,
            found.safe,
        )

    zeros = jnp.zeros(rows, jnp.float64)
    start = _Advanced(
        carried, jnp.asarray(0), zeros, jnp.asarray(1.0, jnp.float64), zeros, jnp.asarray(True)
    )
    return jax.lax.while_loop(lambda now: (now.intervals < intervals) & now.safe, interval, start)


@eqx.filter_jit
def _rescued(frame: Frame) -> tuple[Frame, Float[Array, " exponent"]]:
    flat, lengths = householder_rows(frame.reshape(frame.shape[0], -1))
    return flat.reshape(frame.shape), lengths


@eqx.filter_jit
def _departure(frame: Frame) -> Float[Array, ""]:
    return departure_from_orthonormality(frame.reshape(frame.shape[0], -1))
