"""Networks run side by side, each under constant input of its own, from one time to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractMap
from gatefield.core.checks import as_number
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray
from gatefield.networks import LayeredNetwork, Network
from gatefield.networks.inputs import drive_of
from gatefield.networks.network import change, compilable
from gatefield.numerics.steppers import STEPPERS

_STEP = 0.1
_ROUNDING = 1e-9  # relative, of times beside steps
_ABOVE = 1e3
"""Least displacement by input, in units of the rounding of the state that it moves.

Some 100 steps round by ten such units, and left eigenvectors longer than one multiply these: of a
thousand a few per cent are then not the input's.
"""


def check_network(network: Any) -> Network:
    """Return a single network, refuse a stack of layers or anything else.

    Raises
    ------
    InvalidInputError
        If it is no `Network`.
    """
    if isinstance(network, LayeredNetwork):
        remedy = "Pass network.layers[k].network, and as inputs what that layer receives."
        refuse("network", network, "the Network of one layer", remedy)
    if not isinstance(network, Network):
        refuse("network", type(network).__name__, "a Network", "Build one by Network.sample.")
    return network


def constant_drives(network: Network, inputs: Mapping[str, Any] | None) -> HostArray:
    """Return the drives (drive, N) of inputs that do not depend on time.

    Raises
    ------
    InvalidInputError
        For a function of time, or as `simulate` does.
    """
    for name, value in inputs.items() if isinstance(inputs, Mapping) else ():
        if callable(value):
            expected = "a number or an array (N,): input that is constant in time"
            refuse(f"inputs[{name!r}]", value, expected, "Freeze it at its value at one time.")
    with jax.enable_x64(True):
        return np.asarray(drive_of(network, inputs).constant)


def step_of(network: Network, dt: float | None) -> float:
    """Return the time step: 1 for a map, which has no other; 0.1 by default for a flow.

    Raises
    ------
    InvalidInputError
        If a map is given one, or it is not positive.
    """
    if isinstance(network.cell, AbstractMap):
        if dt is not None:
            refuse("dt", dt, f"none for {type(network.cell).__name__}, a map", "Leave it out.")
        return 1.0
    return as_number("dt", _STEP if dt is None else dt, positive=True)


def whole_steps(name: str, times: Any, step: float, *, of: str = "dt") -> Any:
    """Return times as numbers of steps, refusing those that are not whole ones.

    Parameters
    ----------
    name
        Of the times, for the message.
    times
        A number or an array.
    step
        What they are multiples of.
    of
        Its name: "dt" or "every".

    Raises
    ------
    InvalidInputError
        If a time is no multiple.
    """
    counts = np.asarray(times, float) / step
    found = np.round(counts)
    if np.any(np.abs(counts - found) > _ROUNDING * np.maximum(1.0, counts)):
        what = {"dt": "the time step", "every": "the time between records"}[of]
        remedy = f"Round to multiples, or choose another {of} where there is a choice."
        refuse(name, times, f"multiples of {step:g}, {what}", remedy)
    return found.astype(int)


def check_above_rounding(
    name: str,
    strengths: Any,
    duration: float,
    network: Network,
    state: Float[HostArray, "component unit"],
) -> None:
    """Refuse input whose displacement, strength times duration, drowns in the state's rounding.

    Parameters
    ----------
    name
        Of the strengths, for the message.
    strengths
        Euclidean norms of the input, a number or an array.
    duration
        How long it lasts.
    network
        Tells the precision.
    state
        What the input moves.

    Raises
    ------
    InvalidInputError
        If the smallest displacement is below a thousand times eps |state|.
    """
    limits = np.finfo(network.dtype)
    size = np.linalg.norm(state)
    least = _ABOVE * max(float(limits.eps) * size, float(limits.tiny)) / duration
    if np.min(strengths) < least:
        expected = (
            f"at least {least:.1e}, so that {duration:g} of it move a state of norm {size:.2g} "
            f"well beyond the rounding of {limits.dtype}"
        )
        refuse(name, strengths, expected, "Raise it, or compute in a wider dtype.")


def run_side_by_side(
    network: Network,
    states: Float[HostArray, "sample component unit"],
    drives: Float[HostArray, "sample drive unit"],
    counts: Sequence[int],
    step: float,
    *,
    pushes: Float[HostArray, "sample component unit"] | None = None,
    bar: tqdm | None = None,
) -> Float[HostArray, "time sample component unit"]:
    """Run a batch of states, each under its own constant input, and record it.

    Parameters
    ----------
    network
        The network, the same for all.
    states
        Where each begins.
    drives
        The input to each, by the cell's drives.
    counts
        Steps from one record to the next, in turn.
    step
        Time step of a flow (classical Runge-Kutta); maps ignore it.
    pushes
        Further input, added to ds/dt (flows) or to the next state (maps): past every gate.
    bar
        Shows the steps done.

    Returns
    -------
    array
        One record for each of ``counts``; the beginning is not recorded.

    Notes
    -----
    All samples meet the couplings in one matrix product.
    """
    is_map = isinstance(network.cell, AbstractMap)
    records = np.empty((len(counts), *states.shape), network.dtype)
    with jax.enable_x64(True):
        network = compilable(network)
        state = jnp.asarray(states, network.dtype)
        drive = jnp.asarray(drives, network.dtype)
        push = jnp.zeros_like(state) if pushes is None else jnp.asarray(pushes, network.dtype)
        dt = jnp.asarray(step, network.dtype)
        for place, count in enumerate(counts):
            state = _advance(network, state, drive, push, jnp.asarray(count), dt, is_map)
            records[place] = np.asarray(state)
            if bar is not None:
                bar.update(int(count))
    return records


@eqx.filter_jit
def _advance(network, states, drives, pushes, count, dt, is_map):
    def one(state, drive, push):
        def velocity(_, x):
            return change(network, x, drive) + push

        return velocity(None, state) if is_map else STEPPERS["rk4"](velocity, 0.0, state, dt)

    def step(_, x):
        return jax.vmap(one)(x, drives, pushes)

    return jax.lax.fori_loop(0, count, step, states)


def progress_bar(name: str, total: int, progress: bool | None) -> tqdm:
    """Return a bar of steps: on a terminal after 3 s, unless ``progress`` says otherwise."""
    return tqdm(
        total=total,
        disable=None if progress is None else not progress,
        delay=3.0 if progress is None else 0.0,
        desc=name,
        unit="step",
    )
