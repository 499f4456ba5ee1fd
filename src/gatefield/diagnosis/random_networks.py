"""Random networks of a layer's own gains, biases and inputs: only the couplings are drawn anew."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from gatefield.core.types import Float, HostArray, Int
from gatefield.diagnosis.effort import Limits
from gatefield.diagnosis.exponents import Followed
from gatefield.diagnosis.runs import LayerRun, spread_over
from gatefield.diagnosis.spectra import edge_at
from gatefield.diagnosis.timescales import gate_times
from gatefield.networks import Network
from gatefield.networks.network import change, compilable

FEWEST = 4
"""Networks below which nothing is said of their scatter."""

LEVEL = 0.01
"""Share of random networks that lie farther from the mean of the others than `allowance`."""

_DRAWS, _STARTS = 7001, 7002  # apart from the streams of other parts of the same seed
_SETTLED = 5  # a fifth of the steps precedes the measurement of an exponent


def drawn(
    network: Network, place: int, seed: int, units: Int[HostArray, " unit"] | None = None
) -> Network:
    """Return a network of new Gaussian couplings, of the same gains and the units' own biases.

    Parameters
    ----------
    network
        A layer's.
    place
        Which draw of this seed.
    seed
        Of all draws.
    units
        The units that are kept; by default all.
    """
    rng = np.random.default_rng([seed, _DRAWS, place])
    n = network.n if units is None else len(units)
    couplings = {
        name: gain / np.sqrt(n) * rng.standard_normal((n, n), np.float32)
        for name, gain in zip(network.cell.field_names, network.gains(), strict=True)
    }
    cell = network.cell
    if units is not None:
        kept = {key: _of_units(value, units) for key, value in vars(cell).items()}
        cell = type(cell)(**kept)
    return Network.of_couplings(cell, couplings, dtype=str(network.dtype))


def largest_exponent(
    network: Network,
    drives: Float[HostArray, "time drive unit"],
    initial: Float[HostArray, "component unit"],
    field: str | None = None,
    factor: float = 1.0,
) -> float:
    """Return the largest Lyapunov exponent per step, one field's couplings times a factor.

    The first fifth of the steps lets state and tangent settle. NaN if the run diverges.
    """
    names = network.cell.field_names
    factors = np.array([factor if name == field else 1.0 for name in names])
    tangent = np.random.default_rng(_DRAWS).standard_normal(initial.shape)
    with jax.enable_x64(True):
        given = (factors, drives, initial, tangent)
        arrays = (jnp.asarray(each, network.dtype) for each in given)
        growth = np.asarray(_growth(compilable(network), *arrays), float)
    measured = growth[len(growth) // _SETTLED :]
    return float(np.mean(measured)) if not np.any(np.isnan(measured)) else np.nan


def stacked(network: Network, followed: Followed) -> Float[HostArray, "time drive unit"]:
    """Return what a network receives in one array."""
    rows = [np.asarray(followed.inputs[name].values) for name in network.cell.drive_names]
    return np.stack(rows, axis=1)


def affordable(run: LayerRun, followed: Followed, limits: Limits) -> int:
    """Return how many random networks may be run beside a layer within the limits."""
    n, cell = run.network.n, run.network.cell
    # A run along all sequences, one with a tangent, and about 5 (d N)^3 for all eigenvalues.
    steps = run.sequences * run.length + 2 * min(each.steps for each in followed.inputs.values())
    spectra = 5.0 * limits.whole * (n * len(cell.state_names)) ** 3
    each = len(cell.field_names) * n**2 * steps + spectra
    return int(min(limits.networks, limits.network_work / each))


def measured_in(
    run: LayerRun, followed: Followed, *, networks: int, limits: Limits, driven: bool, seed: int
) -> dict[str, Float[HostArray, " network"]]:
    """Measure random networks along a layer's inputs as the layer itself is measured.

    Parameters
    ----------
    run
        The layer's run.
    followed
        What the layer receives along the sequence of the exponents.
    networks
        Number of networks.
    limits
        The states at which eigenvalues are computed.
    driven
        Whether there are inputs; without them each network settles from a random state.
    seed
        Draws the couplings.

    Returns
    -------
    dict
        One value for each network by the names of `Ensemble.measured`.
    """
    drives, rows = stacked(run.network, followed), []
    steps = spread_over(run.length, limits.states)
    full = spread_over(len(steps), limits.whole)
    for place in range(networks):
        network = drawn(run.network, place, seed)
        states = _states(network, run, place, seed, driven)
        if not np.all(np.isfinite(states)):
            continue
        other = LayerRun(network, run.received, states)
        initial = followed.initial if driven else states[0, -1]
        edges = [
            edge_at(other, int(step), index % run.sequences, index in full).edge
            for index, step in enumerate(steps)
        ]
        with np.errstate(over="ignore", invalid="ignore"):
            variance = float(states[:, 1:, 0].var(dtype=float))
        rows.append(
            {
                "leading_edge": float(np.median(edges)),
                "lyapunov": largest_exponent(network, drives, initial),
                "variance": variance,
                "gate_time": float(np.median(gate_times(other))),
            }
        )
    if len(rows) < networks:
        return {}
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def allowance(values: Float[HostArray, " network"]) -> float:
    r"""Return how far from the mean of some networks one more lies at most, by 99 in a hundred.

    .. math:: t_{n - 1}(0.995)\, s\, \sqrt{1 + 1/n}

    with the standard deviation s of the n values.

    Assumptions
    -----------
    Normally distributed values.
    """
    count = len(values)
    quantile = float(scipy.stats.t.isf(LEVEL / 2, count - 1))
    return quantile * float(np.std(values, ddof=1)) * float(np.sqrt(1 + 1 / count))


def _of_units(value: Any, units: HostArray) -> Any:
    return np.asarray(value)[units] if np.ndim(value) else value


def _states(network: Network, run: LayerRun, place: int, seed: int, driven: bool) -> HostArray:
    """Run a network along the layer's inputs, from where the layer starts or a random state."""
    rows = np.stack([run.received[name] for name in network.cell.drive_names], axis=2)
    starts = run.states[:, 0]
    if not driven:
        # The layer's own state says nothing of where another network would settle.
        rows = np.concatenate([rows, rows], axis=1)
        starts = np.random.default_rng([seed, _STARTS, place]).standard_normal(starts.shape)
    with jax.enable_x64(True):
        given = (jnp.asarray(each, network.dtype) for each in (rows, starts))
        after = np.asarray(_run(compilable(network), *given))
    return np.concatenate([starts[:, None], after], axis=1)[:, -run.length - 1 :]


@eqx.filter_jit
def _run(network, drives, starts):
    def one(sequence, start):
        def step(state, drive):
            after = change(network, state, drive)
            return after, after

        return jax.lax.scan(step, start, sequence)[1]

    return jax.vmap(one)(drives, starts)


@eqx.filter_jit
def _growth(network, factors, drives, start, tangent):
    """Return the logarithm of a tangent's growth in each step."""
    stacked = tuple(
        jnp.repeat(factors[jnp.array(group)], network.n)[:, None] * each
        for group, each in zip(network.wiring.groups, network.couplings, strict=True)
    )
    scaled = eqx.tree_at(lambda tree: tree.couplings, network, stacked)

    def step(carry, drive):
        state, moving = carry
        after, moved = jax.jvp(lambda at: change(scaled, at, drive), (state,), (moving,))
        size = jnp.linalg.norm(moved)
        return (after, moved / jnp.where(size > 0, size, 1.0)), jnp.log(size)

    return jax.lax.scan(step, (start, tangent / jnp.linalg.norm(tangent)), drives)[1]
