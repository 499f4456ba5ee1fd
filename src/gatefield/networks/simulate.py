"""Simulation of networks: fixed steps, maps, and the choice between them and adaptive steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractMap
from gatefield.core.checks import as_number, check_choice, check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.core.types import Array
from gatefield.networks.adaptive import ADAPTIVE, integrate
from gatefield.networks.inputs import Drive, Inputs, drive_of
from gatefield.networks.network import Network, as_states, change, compilable
from gatefield.networks.series import check_series
from gatefield.networks.trajectory import Trajectory
from gatefield.numerics.steppers import STEPPERS

_DEFAULT_STEP = 0.05
_CHUNK_BYTES = 64 * 2**20


def simulate(
    network: Network,
    t_max: float,
    *,
    dt: float | None = None,
    method: str | None = None,
    inputs: Inputs | None = None,
    initial: Any = None,
    samples: int | None = None,
    seed: int = 0,
    save_every: int = 1,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    max_steps: int = 1_000_000,
    progress: bool | None = None,
    throw: bool = True,
) -> Trajectory:
    """Run a network and return its trajectory.

    Parameters
    ----------
    network
        The network; its precision is the simulation's.
    t_max
        Duration, in units of the units' own time constant; number of steps for maps.
    dt
        Step of a flow (default 0.05); the largest step not above it that divides ``t_max`` is
        taken. For adaptive methods, the interval between saved states. Maps have none.
    method
        "rk4" (default for flows, fourth order), "euler", or the adaptive "tsit5" and "dopri8".
        Maps have none.
    inputs
        External input by drive name: a number, an array (N,), or a function of time (of the step
        number, for maps) that returns either.
    initial
        Initial state (d, N), or a batch of them (S, d, N); by default standard normal.
    samples
        Number S of standard normal initial states to run as a batch; by default one, unbatched.
    seed
        Draws the initial states.
    save_every
        Save every k-th step, and always the initial and the last state.
    rtol, atol
        Tolerances of adaptive methods.
    max_steps
        Bound on the internal steps of adaptive methods.
    progress
        True shows a progress bar, False none; by default one appears on a terminal after 3 s.
    throw
        Raise if the run fails; otherwise the failure is the result's status.

    Returns
    -------
    Trajectory
        ``times`` (T,), ``states`` (T, d, N) or (S, T, d, N), on the host.

    Raises
    ------
    InvalidInputError
        For inputs, shapes or options that do not fit.
    NumericalFailureError
        If ``throw`` and a state is not finite or an adaptive solve ran out of steps.

    Notes
    -----
    Within a batch each distinct output enters one matrix product for all samples.
    """
    is_map = isinstance(network.cell, AbstractMap)
    method = _checked_method(is_map, method, dt)
    t_max = as_number("t_max", t_max, positive=True)
    rtol, atol = as_number("rtol", rtol, positive=True), as_number("atol", atol, positive=True)
    max_steps = check_count("max_steps", max_steps)
    save_every = check_count("save_every", save_every)
    if is_map:
        steps = check_count("t_max (steps of a map)", t_max)
        step = 1.0
        check_series("t_max", inputs, steps)
    else:
        step = as_number("dt", _DEFAULT_STEP if dt is None else dt, positive=True)
        steps = max(1, int(np.ceil(t_max / step * (1 - 1e-12))))
        step = t_max / steps
    shown = repr(network.cell)
    with jax.enable_x64(True):
        drawn_by, network = network.seed, compilable(network)
        state = _initial_states(network, initial, samples, seed)
        drive = drive_of(network, inputs)
        # The last step is saved even where it is no multiple of save_every.
        saved = np.unique(np.append(np.arange(0, steps + 1, save_every), steps))
        bar = tqdm(
            total=steps,
            disable=None if progress is None else not progress,
            delay=3.0 if progress is None else 0.0,
            desc="simulate",
            unit="step",
        )
        with bar:
            if method in ADAPTIVE:
                states, status = integrate(
                    network, drive, state, saved * step, method, rtol, atol, max_steps, bar
                )
            else:
                states = _advance(network, drive, state, saved, step, method, bar)
                status = Status.OK
    if status is Status.OK and not np.all(np.isfinite(states[..., -1, :, :])):
        status = Status.DIVERGED
    if throw and status is not Status.OK:
        hint = "Reduce dt, or raise max_steps or the tolerances of an adaptive method."
        raise NumericalFailureError(
            f"simulate ended with status {status.value!r}. {hint} throw=False returns the states."
        )
    settings = {
        "cell": shown,
        "n": network.n,
        "network_seed": drawn_by,
        "method": method,
        "dt": step,
        "seed": seed,
        "dtype": str(network.dtype),
    }
    names = network.cell.state_names
    return Trajectory(saved * step, states, status, names, tuple(settings.items()))


def _checked_method(is_map: bool, method: str | None, dt: float | None) -> str:
    if is_map:
        if method not in (None, "map") or dt is not None:
            given = f"method={method!r}, dt={dt!r}"
            refuse("for a map", given, "neither method nor dt", "Maps advance step by step.")
        return "map"
    return check_choice("method", "rk4" if method is None else method, (*STEPPERS, *ADAPTIVE))


def _initial_states(network: Network, initial: Any, samples: int | None, seed: int) -> Array:
    if initial is not None:
        if samples is not None:
            refuse("samples", samples, "None where initial is given", "Pass a batch as initial.")
        return as_states("initial", network, initial)
    key = jax.random.key(check_seed(seed))
    batch = () if samples is None else (check_count("samples", samples),)
    shape = (*batch, len(network.cell.state_names), network.n)
    return jax.random.normal(key, shape, network.dtype)


def one_step(network: Network, drive: Drive, dt: Any, method: str) -> Callable[[Any, Array], Array]:
    """Return the function (step number, state) -> next state of a fixed-step method or a map.

    Parameters
    ----------
    network
        A network whose cell has the couplings' precision.
    drive
        The external input as a function of time.
    dt
        Step of a flow; ignored for maps.
    method
        "euler", "rk4", or "map".

    Returns
    -------
    function
        Acts on a state (d, N), or on a batch (S, d, N) with one matrix product for all samples.
    """
    if method == "map":

        def advance(number, state):
            return change(network, state, drive(number))
    else:

        def advance(number, state):
            def velocity(time, x):
                return change(network, x, drive(time))

            return STEPPERS[method](velocity, number.astype(state.dtype) * dt, state, dt)

    def step(number, state):
        if state.ndim == 3:
            return jax.vmap(advance, in_axes=(None, 0))(number, state)
        return advance(number, state)

    return step


@eqx.filter_jit
def _run_chunk(network, drive, state, first, counts, used, dt, method):
    """Advance by counts[i] steps and save, for the first ``used`` entries of counts."""
    step = one_step(network, drive, dt, method)
    buffer = jnp.zeros((counts.shape[0], *state.shape), state.dtype)

    def save(index, carry):
        state, number, buffer = carry
        end = number + counts[index]
        state = jax.lax.fori_loop(number, end, step, state)
        return state, end, jax.lax.dynamic_update_index_in_dim(buffer, state, index, 0)

    return jax.lax.fori_loop(0, used, save, (state, first, buffer))


def _advance(network, drive, state, saved, step, method, bar) -> np.ndarray:
    """Run between saved steps in chunks, so that a run can be watched and interrupted."""
    counts = np.diff(saved)
    states = np.empty((len(saved), *state.shape), network.dtype)
    states[0] = state
    # One chunk holds as many saved states as fit the buffer, but at most 1/50 of the run.
    fit = _CHUNK_BYTES // max(1, state.size * state.dtype.itemsize)
    size = int(np.clip(min(fit, -(-len(counts) // 50)), 1, len(counts)))
    dt = jnp.asarray(step, network.dtype)
    for start in range(0, len(counts), size):
        part = counts[start : start + size]
        padded = jnp.asarray(np.pad(part, (0, size - len(part))))
        first = jnp.asarray(saved[start])
        used = jnp.asarray(len(part))
        state, _, buffer = _run_chunk(network, drive, state, first, padded, used, dt, method)
        states[start + 1 : start + 1 + len(part)] = np.asarray(buffer)[: len(part)]
        bar.update(int(part.sum()))
    return np.moveaxis(states, 0, -3)
