"""One quantity of one network, measured: eigenvalues, exponents and gradients of its own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.analysis.fixed_points import find_fixed_points
from gatefield.analysis.gradients import network_gradients
from gatefield.analysis.lyapunov import lyapunov_spectrum
from gatefield.cells import AbstractMap
from gatefield.core.checks import as_number, check_choice, check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.types import Float, HostArray
from gatefield.initialise.quantities import QUANTITIES
from gatefield.networks import Network, Series, jacobian, linearise, simulate
from gatefield.networks.inputs import drive_of
from gatefield.networks.network import as_state, change, compilable
from gatefield.networks.noise import InputPath
from gatefield.numerics.beyond_poles import highest_on_line

BURN_IN = 100.0
_NEWTON, _FIXED = 60, 1e-11
_SNAPSHOTS = 8
_DURATION = {"lyapunov": 400.0, "dimension": 150.0}
_READOUTS = 4
_START = 0.1  # standard deviation of the state from which runs towards fixed points start


def measure(
    network: Network,
    quantity: str,
    *,
    state: Any = None,
    moving: bool = False,
    inputs: Mapping[str, Any] | None = None,
    horizon: float | None = None,
    quantile: float = 0.5,
    burn_in: float = BURN_IN,
    t_max: float | None = None,
    dt: float | None = None,
    seed: int = 0,
) -> float:
    """Measure a quantity of one network, by the definitions of `QUANTITIES`.

    Parameters
    ----------
    network
        Any network, drawn, or of a trained model's couplings.
    quantity
        One of `QUANTITIES`.
    state
        Where it is measured, (d, N). By default the fixed point that Newton's method finds from the
        zero state, or with ``moving`` a state of a run after ``burn_in``.
    moving
        Whether the network moves: what belongs to a state is then averaged over several states of a
        run, and exponents are those of the run.
    inputs
        External input as in `simulate`; constant where the network does not move. Functions of time
        must last for ``burn_in`` and the measurement.
    horizon
        Of "gradient_growth", in units of the units' time constant; steps for maps.
    quantile
        Of "gate_time", over units.
    burn_in
        Time in which a moving network settles.
    t_max
        Duration of the measurement of exponents; by default 400, of all exponents 150.
    dt
        Step of a flow's runs, by default 0.05, and for exponents and gradients 0.1; shorter for
        inputs that vary faster. Maps have none.
    seed
        Draws initial states, frames and readouts.

    Returns
    -------
    float
        NaN if the measurement did not succeed.

    Raises
    ------
    InvalidInputError
        For an unknown quantity, or options that do not fit the network.
    """
    check_choice("quantity", quantity, QUANTITIES)
    quantile = as_number("quantile", quantile, positive=True)
    seed = check_seed(seed)
    if quantity in ("lyapunov", "dimension") and moving:
        return _exponents(network, quantity, state, inputs, burn_in, t_max, dt, seed)
    if quantity == "gradient_growth":
        if horizon is None:
            refuse("horizon", None, "how far back gradients are followed", "For instance 50.")
        at = _single(network, state, moving, inputs, burn_in, dt, seed)
        later = shifted(inputs, burn_in) if moving else inputs
        return _growth(network, at, horizon, later, dt, seed)
    if moving and state is None:
        count = 3 if quantity in ("radius", "leading_edge", "memory_time") else _SNAPSHOTS
        states, times = snapshots(network, inputs, burn_in, count, seed, dt)
    else:
        at = _single(network, state, moving, inputs, burn_in, dt, seed)
        states, times = at[None], np.zeros(1, int)
    return of_states(network, quantity, states, times, inputs, quantile)


def of_states(
    network: Network,
    quantity: str,
    states: Float[HostArray, "snapshot component unit"],
    times: HostArray,
    inputs: Mapping[str, Any] | None = None,
    quantile: float = 0.5,
) -> float:
    """Return what belongs to states: pooled over them, or the mean of what each one has."""
    if not np.all(np.isfinite(states)):
        return math.nan
    is_map = isinstance(network.cell, AbstractMap)
    if quantity == "variance":
        return float(np.var(states[:, 0]))
    if quantity == "gate_time":
        pooled = [
            unit_times(linearise(network, one, inputs=inputs, time=when).A, is_map)
            for one, when in zip(states, times.tolist(), strict=True)
        ]
        return float(np.quantile(np.concatenate(pooled), quantile))
    each = []
    for one, when in zip(states, times.tolist(), strict=True):
        if quantity == "radius":
            each.append(_radius(network, linearise(network, one, inputs=inputs, time=when)))
        else:
            matrix = jacobian(network, one, inputs=inputs, time=when).as_matrix()
            values = np.linalg.eigvals(np.asarray(matrix, float))
            each.append(float(np.max(np.abs(values) if is_map else np.real(values))))
    mean = float(np.mean(each))
    if quantity in ("memory_time", "lyapunov"):
        with np.errstate(divide="ignore"):
            rate = float(np.log(mean)) if is_map else mean
        if quantity == "lyapunov":
            return rate
        return -1 / rate if rate < 0 else math.inf
    return mean


def unit_times(A: Any, is_map: bool) -> Float[HostArray, " unit"]:
    """Return the time in which each unit alone forgets, from its block d rule / d state (N, d, d).

    -1/a of flows and -1/ln|a| of maps, where a is the block's slowest eigenvalue; infinite where it
    does not decay.
    """
    A = np.asarray(A, float)
    values = np.linalg.eigvals(A) if A.shape[-1] > 1 else A[..., 0]
    return times_of((np.abs(values) if is_map else np.real(values)).max(axis=-1), is_map)


def times_of(heights: Any, is_map: bool) -> Any:
    """Return -1/height of real parts, -1/ln(height) of moduli; infinite where nothing decays."""
    with np.errstate(divide="ignore"):
        rates = np.log(heights) if is_map else np.asarray(heights)
        return np.where(rates < 0, -1 / np.where(rates < 0, rates, -1.0), np.inf)


def fixed_point(
    network: Network,
    *,
    inputs: Mapping[str, Any] | None = None,
    initial: Any = None,
    burn_in: float = BURN_IN,
    seed: int = 0,
) -> Float[HostArray, "component unit"]:
    """Return a fixed point: Newton's method from a state, by default the zero state.

    Where that fails, a run of length ``burn_in`` from a small random state precedes it.

    Raises
    ------
    NumericalFailureError
        If neither reaches one.
    """
    start = np.zeros((len(network.cell.state_names), network.n)) if initial is None else initial
    with jax.enable_x64(True):
        start = np.asarray(as_state("initial", network, start), float)
    found = newton(network, start, inputs)
    if found is not None:
        return found
    rng = np.random.default_rng(seed)
    noise = start + _START * rng.standard_normal(start.shape)
    run = simulate(network, burn_in, inputs=inputs, initial=noise, save_every=10**9, progress=False)
    found = newton(network, run.final, inputs)
    if found is not None:
        return found
    searched = find_fixed_points(
        network, 0, inputs=inputs, initial=run.final, seed=seed, progress=False
    )
    if len(searched.states):
        return np.asarray(searched.states[0], float)
    raise NumericalFailureError(
        "fixed_point: Newton's method reached none from the given state, nor from a run. Expected "
        "a fixed point near it. Measure with moving=True if the network moves."
    )


@eqx.filter_jit
def _changed(network, state, drive):
    return change(network, state, drive)


def newton(network: Network, state: HostArray, inputs: Any = None) -> HostArray | None:
    """Run damped Newton steps; return None where they do not converge."""
    is_map = isinstance(network.cell, AbstractMap)
    with jax.enable_x64(True):
        bare, drives = compilable(network), drive_of(network, inputs)(0)

    def speed(s: HostArray) -> HostArray:
        with jax.enable_x64(True):
            moved = _changed(bare, jnp.asarray(s, network.dtype), drives)
        return np.asarray(moved, float) - (s if is_map else 0.0)

    velocity = speed(state)
    size = np.sqrt(np.mean(velocity**2))
    exact = _FIXED if network.dtype == np.float64 else 1e-6
    for _ in range(_NEWTON):
        if size < exact:
            return state
        matrix = np.asarray(jacobian(network, state, inputs=inputs).as_matrix(), float)
        if is_map:
            matrix = matrix - np.eye(len(matrix))
        try:
            move = np.linalg.solve(matrix, velocity.ravel()).reshape(state.shape)
        except np.linalg.LinAlgError:
            return None
        part = 1.0
        while part > 1e-3:
            tried = state - part * move
            after = speed(tried)
            new = np.sqrt(np.mean(after**2))
            if new < size * (1 - part / 4):
                break
            part /= 2
        else:
            return None
        state, velocity, size = tried, after, new
    return None


def snapshots(
    network: Network, inputs: Any, burn_in: float, count: int, seed: int, dt: float | None = None
) -> tuple[Float[HostArray, "snapshot component unit"], HostArray]:
    """Return states of a run after ``burn_in``, equally spaced over as long again, and their times.

    Times are steps of a map.
    """
    is_map = isinstance(network.cell, AbstractMap)
    total = 2 * burn_in
    every = int(total / count) if is_map else max(1, round(total / count / (dt or 0.05)))
    run = simulate(
        network,
        math.ceil(total) if is_map else total,
        dt=dt,
        inputs=inputs,
        seed=seed,
        save_every=every,
        progress=False,
        throw=False,
    )
    kept = run.times >= burn_in * (1 - 1e-9)
    times = run.times[kept]
    return np.asarray(run.states[kept], float), times.astype(int) if is_map else times


def shifted(inputs: Mapping[str, Any] | None, time: float) -> dict[str, Any] | None:
    """Return inputs counted from a later time on."""
    if inputs is None:
        return None

    def later(value: Any) -> Any:
        if isinstance(value, InputPath):
            return value.later(time)
        if isinstance(value, Series):
            return Series(np.asarray(value.values)[int(time) :])
        if callable(value):
            function: Callable[[Any], Any] = value
            return lambda t: function(t + (int(time) if float(time).is_integer() else time))
        return value

    return {name: later(value) for name, value in inputs.items()}


def _single(network, state, moving, inputs, burn_in, dt, seed) -> HostArray:
    if state is not None:
        with jax.enable_x64(True):
            return np.asarray(as_state("state", network, state), float)
    if not moving:
        return fixed_point(network, inputs=inputs, burn_in=burn_in, seed=seed)
    run = simulate(
        network,
        burn_in,
        dt=dt,
        inputs=inputs,
        seed=seed,
        save_every=10**9,
        progress=False,
        throw=False,
    )
    return np.asarray(run.final, float)


def _radius(network: Network, unit: Any) -> float:
    """Return the spectral radius of the loop through couplings and units, on the stability edge."""
    A, L, R, Q = (np.asarray(getattr(unit, name), float) for name in "ALRQ")

    def response(point: complex) -> HostArray:
        return R @ np.linalg.solve(point * np.eye(A.shape[-1]) - A, L.astype(complex)) + Q

    own = unit.gains**2 * np.mean(unit.relative_gains**2, axis=0)

    def log_radius(points: HostArray) -> HostArray:
        second = [np.mean(np.abs(response(point)) ** 2, axis=0) * own for point in points]
        with np.errstate(divide="ignore"):
            return np.log(np.max(np.abs(np.linalg.eigvals(np.stack(second))), axis=1))

    edge = 1.0 if unit.is_map else 0.0
    place = highest_on_line(log_radius, np.linalg.eigvals(A), edge, unit.is_map)[1]
    point = complex(np.exp(1j * place) if unit.is_map else 1j * place)
    Y = response(point)
    Y = np.real(Y) if point.imag == 0 else Y
    n, groups = network.n, network.wiring.groups
    rows = []
    for reads in groups:
        row = []
        for group, stacked in zip(groups, network.couplings, strict=True):
            matrices = np.asarray(stacked, float).reshape(len(group), n, n)
            pairs = zip(group, matrices, strict=True)
            row.append(sum(Y[:, reads[0], field, None] * matrix for field, matrix in pairs))
        rows.append(row)
    return float(np.max(np.abs(np.linalg.eigvals(np.block(rows)))))


def _exponents(network, quantity, state, inputs, burn_in, t_max, dt, seed) -> float:
    is_map = isinstance(network.cell, AbstractMap)
    duration = _DURATION[quantity] if t_max is None else as_number("t_max", t_max, positive=True)
    if is_map:
        duration, burn_in = check_count("t_max", math.ceil(duration)), math.ceil(burn_in)
    found = lyapunov_spectrum(
        network,
        1 if quantity == "lyapunov" else None,
        t_max=duration,
        burn_in=burn_in,
        dt=None if is_map else dt or 0.1,
        inputs=inputs,
        initial=state,
        seed=seed,
        progress=False,
        throw=False,
    )
    if quantity == "lyapunov":
        return float(found.exponents[0])
    return float(found.kaplan_yorke_dimension) / network.n


def _growth(network, state, horizon, inputs, dt, seed) -> float:
    is_map = isinstance(network.cell, AbstractMap)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = network_gradients(
            network,
            state,
            horizon,
            readouts=_READOUTS,
            inputs=inputs,
            dt=None if is_map else dt or 0.1,
            seed=seed,
            progress=False,
            throw=False,
        )
    total = np.sum([np.asarray(values) for values in found.adjoint_variance.values()], axis=0)
    if not (np.isfinite(total[-1]) and total[-1] > 0 and total[0] > 0):
        return math.nan
    return 0.5 * float(np.log(total[-1] / total[0]))
