"""Adaptive integration of flows, by diffrax."""

from __future__ import annotations

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.results import Status
from gatefield.core.types import Array
from gatefield.networks.inputs import Drive
from gatefield.networks.network import Network, change

ADAPTIVE = {"tsit5": diffrax.Tsit5, "dopri8": diffrax.Dopri8}
"""The adaptive methods by the name that `gatefield.simulate` takes."""


@eqx.filter_jit
def _solve(network, drive, state, times, method, rtol, atol, max_steps):
    def velocity(time, x, args):
        if x.ndim == 3:
            return jax.vmap(change, in_axes=(None, 0, None))(network, x, drive(time))
        return change(network, x, drive(time))

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        ADAPTIVE[method](),
        times[0],
        times[-1],
        None,
        state,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=max_steps,
        throw=False,
    )
    return solution.ys, solution.stats["num_steps"], diffrax.is_okay(solution.result)


def integrate(
    network: Network,
    drive: Drive,
    state: Array,
    times: np.ndarray,
    method: str,
    rtol: float,
    atol: float,
    max_steps: int,
    bar: Any,
) -> tuple[np.ndarray, Status]:
    """Integrate a flow adaptively and return its states at the given times.

    A batch advances with one common step, controlled by the norm over all samples.

    Parameters
    ----------
    network, drive, state
        What to integrate, from which state (d, N) or batch (S, d, N).
    times
        Times at which to save, ascending, the first being the initial state's.
    method
        A name in `ADAPTIVE`.
    rtol, atol
        Tolerances of the step-size control.
    max_steps
        Bound on the number of internal steps, for the whole run.
    bar
        Progress bar, advanced by the share of the time that is done.

    Returns
    -------
    states, status
        (..., time, component, unit) on the host; MAX_STEPS if the bound was hit.
    """
    states = np.full((len(times), *state.shape), np.nan, network.dtype)
    states[0] = state
    left, status = max_steps, Status.OK
    # In segments of equal length, so that the run is compiled once and can be watched.
    size = max(1, -(-(len(times) - 1) // 20))
    for start in range(0, len(times) - 1, size):
        part = times[start : start + size + 1]
        known = len(part)
        padded = np.append(part, np.full(size + 1 - known, part[-1]))
        ys, used, okay = _solve(
            network, drive, state, jnp.asarray(padded), method, rtol, atol, max_steps
        )
        left -= int(used)
        if not bool(okay) or left < 0:
            return np.moveaxis(states, 0, -3), Status.MAX_STEPS
        found = np.asarray(ys)
        states[start + 1 : start + known] = found[1:known]
        state = jnp.asarray(found[known - 1])
        bar.update(round(bar.total * (part[-1] - part[0]) / (times[-1] - times[0])))
    return np.moveaxis(states, 0, -3), status
