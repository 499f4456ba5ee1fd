"""Growth of one small perturbation along a trajectory: the largest Lyapunov exponent, roughly."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractMap
from gatefield.core.checks import as_number, check_count, check_seed
from gatefield.core.errors import NumericalFailureError
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.networks import Network
from gatefield.networks.inputs import Inputs, drive_of
from gatefield.networks.network import as_state, compilable
from gatefield.networks.simulate import one_step


class PerturbationGrowth(AbstractResult):
    """Growth rate of a perturbation, natural log, per unit time (flows) or per step (maps).

    Attributes
    ----------
    rate, standard_error
        Mean rate over the blocks of the run, and its error from their scatter.
    block_rates
        Rate within each block.
    is_map
        Whether rates are per step.
    status
        OK, or DIVERGED if the trajectory or the perturbation left the finite numbers.
    """

    rate: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    standard_error: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    block_rates: Float[HostArray, " block"] = eqx.field(
        metadata=quantity("block", unit="1 / time constant")
    )
    is_map: bool = eqx.field(static=True)
    status: Status = eqx.field(static=True)


@eqx.filter_jit
def _blocks(network, drive, state, direction, dt, method, steps, count):
    step = one_step(network, drive, dt, method)

    def advance(number, pair):
        return jax.jvp(lambda x: step(number, x), (pair[0],), (pair[1],))

    def block(carry, index):
        state, tangent = jax.lax.fori_loop(index * steps, (index + 1) * steps, advance, carry)
        size = jnp.linalg.norm(tangent)
        return (state, tangent / size), jnp.log(size)

    return jax.lax.scan(block, (state, direction), jnp.arange(count))[1]


def perturbation_growth(
    network: Network,
    state: Any,
    t_max: float,
    *,
    dt: float = 0.05,
    inputs: Inputs | None = None,
    blocks: int = 20,
    discard: int = 4,
    seed: int = 0,
    throw: bool = True,
) -> PerturbationGrowth:
    """Follow a random infinitesimal perturbation along a trajectory and return its growth rate.

    The tangent is the exact derivative of the integrator's step (Runge-Kutta 4, or the map).

    Parameters
    ----------
    network
        Any network.
    state
        Where the trajectory starts, (d, N); relax the network to its attractor first.
    t_max
        Duration in units of the units' time constant, or number of steps of a map.
    dt
        Step of a flow.
    inputs
        External input as in `simulate`.
    blocks, discard
        Number of blocks, and how many of them to leave out while the direction settles.
    seed
        Draws the initial direction.
    throw
        Raise if the run fails; otherwise the failure is the result's status.

    Returns
    -------
    PerturbationGrowth

    Raises
    ------
    InvalidInputError
        For shapes or numbers that do not fit.
    NumericalFailureError
        If ``throw`` and the run left the finite numbers.

    Assumptions
    -----------
    Over long times the rate is the largest Lyapunov exponent; over one run it fluctuates by a few
    standard errors, since blocks are not independent.
    """
    blocks = check_count("blocks", blocks, at_least=2)
    discard = check_count("discard", discard, at_least=0)
    seed = check_seed(seed)
    duration = as_number("t_max", t_max, positive=True)
    is_map = isinstance(network.cell, AbstractMap)
    step = 1.0 if is_map else as_number("dt", dt, positive=True)
    steps = max(1, round(duration / step / blocks))
    with jax.enable_x64(True):
        network = compilable(network)
        start = as_state("state", network, state)
        direction = jax.random.normal(jax.random.key(seed), start.shape, start.dtype)
        direction = direction / jnp.linalg.norm(direction)
        drive, method = drive_of(network, inputs), "map" if is_map else "rk4"
        delta = jnp.asarray(step, network.dtype)
        count = jnp.asarray(steps)
        logs = np.asarray(
            _blocks(network, drive, start, direction, delta, method, count, blocks + discard)
        )
    rates = logs[discard:].astype(float) / (steps * step)
    error = rates.std(ddof=1) / np.sqrt(blocks)
    status = Status.OK if np.all(np.isfinite(rates)) else Status.DIVERGED
    if throw and status is not Status.OK:
        raise NumericalFailureError(
            "perturbation_growth left the finite numbers. Reduce dt; throw=False returns blocks."
        )
    return PerturbationGrowth(np.asarray(rates.mean()), np.asarray(error), rates, is_map, status)
