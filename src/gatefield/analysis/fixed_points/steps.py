"""Steps towards zeros and minima of the speed, for batches of states; the speed never grows."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from gatefield.cells import AbstractMap, unit_blocks
from gatefield.core.types import Array, Drives, Float, States
from gatefield.networks.network import Network, change, coupling_fields

_LENGTHS = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.015625)
# Of the damping: the first lets it vanish fast beside a solution, where steps become Newton's.
FACTORS = (0.01, 1.0, 10.0)


class Step(NamedTuple):
    """The best of several trial steps from each state.

    Attributes
    ----------
    states
        Where it leads.
    merits, before
        Mean squared velocity there and at the old state.
    lengths
        Root mean square of the full (least damped) step; infinite where it does not exist.
    factors
        By which of `FACTORS` its damping was multiplied; 1 for Newton's.
    """

    states: Float[Array, "state component unit"]
    merits: Float[Array, " state"]
    before: Float[Array, " state"]
    lengths: Float[Array, " state"]
    factors: Float[Array, " state"]


@eqx.filter_jit
def velocity(network: Network, drive: Drives, state: States) -> States:
    """Return dx/dt of a flow, F(x) - x of a map."""
    after = change(network, state, drive)
    return after - state if isinstance(network.cell, AbstractMap) else after


@eqx.filter_jit
def newton_steps(network: Network, drive: Drives, states: Array) -> Step:
    r"""Return the best of the shortened Newton steps :math:`x - a (\partial v/\partial x)^{-1} v`.

    Parameters
    ----------
    network
        As `compilable` returns it.
    drive
        The constant drives, (drives, N).
    states
        (S, d, N).

    Returns
    -------
    Step
    """

    def one(x):
        v = velocity(network, drive, x)
        move = -jnp.linalg.solve(velocity_matrix(network, drive, x), v.ravel()).reshape(x.shape)
        exists = jnp.all(jnp.isfinite(move))
        move = jnp.where(exists, move, 0.0)
        trials = x + jnp.asarray(_LENGTHS)[:, None, None] * move
        best, merit = _best(network, drive, trials)
        length = jnp.where(exists, jnp.sqrt(jnp.mean(move**2)), jnp.inf)
        return Step(trials[best], merit, jnp.mean(v**2), length, jnp.ones(()))

    return jax.vmap(one)(states)


@eqx.filter_jit
def damped_steps(
    network: Network, drive: Drives, states: Array, damping: Array, exact: bool
) -> Step:
    r"""Return the best of some damped steps down the mean squared velocity q.

    .. math:: p = -(H + \mu s)^{-1} \nabla q, \qquad s = \langle |H_{ii}| \rangle

    Parameters
    ----------
    network, drive, states
        As in `newton_steps`.
    damping
        mu of each state; it is tried times each of `FACTORS`.
    exact
        Whether H is the Hessian of q, or the Gauss-Newton matrix (Levenberg and Marquardt).

    Returns
    -------
    Step
        Its length is finite only where H with the least damping is positive definite.
    """

    def merit(x):
        return jnp.mean(velocity(network, drive, x.reshape(states.shape[1:])) ** 2)

    def one(x, mu):
        flat = x.ravel()
        if exact:
            slope, curved = jax.grad(merit)(flat), jax.jacfwd(jax.grad(merit))(flat)
        else:
            matrix = velocity_matrix(network, drive, x)
            v = velocity(network, drive, x).ravel()
            slope, curved = 2 * matrix.T @ v / v.size, 2 * matrix.T @ matrix / v.size
        scale = jnp.mean(jnp.abs(jnp.diag(curved)))

        def damped(factor):
            whole = curved + factor * mu * scale * jnp.eye(flat.size)
            lower = jnp.linalg.cholesky(whole)  # NaN where it is not positive definite
            return -jax.scipy.linalg.cho_solve((lower, True), slope)

        moves = jax.vmap(damped)(jnp.asarray(FACTORS))
        exist = jnp.all(jnp.isfinite(moves), axis=1)
        moves = jnp.where(exist[:, None], moves, 0.0)
        trials = x + moves.reshape(-1, *x.shape)
        best, reached = _best(network, drive, trials)
        length = jnp.where(exist[0], jnp.sqrt(jnp.mean(moves[0] ** 2)), jnp.inf)
        return Step(trials[best], reached, merit(flat), length, jnp.asarray(FACTORS)[best])

    return jax.vmap(one)(states, damping)


def _best(network: Network, drive: Drives, trials: Array) -> tuple[Any, Any]:
    merits = jax.vmap(lambda x: jnp.mean(velocity(network, drive, x) ** 2))(trials)
    merits = jnp.where(jnp.isfinite(merits), merits, jnp.inf)
    best = jnp.argmin(merits)
    return best, merits[best]


@eqx.filter_jit
def velocity_matrix(network: Network, drive: Drives, state: States) -> Float[Array, "all all"]:
    """Return the derivative of the velocity, (d N, d N), component by component."""
    blocks = unit_blocks(network.cell, state, coupling_fields(network, state, drive), drive)
    d, n = state.shape
    by_field = {}
    for group, stacked in zip(network.wiring.groups, network.couplings, strict=True):
        by_field |= dict(zip(group, stacked.reshape(-1, n, n), strict=True))
    # Columns of matrices are scaled rather than multiplied by diagonal matrices, which would cost
    # more than Newton's linear system. Only outputs of later stages read fields.
    received: dict[int, list[Array]] = {}
    for stage in network.wiring.stages:
        fields = [field for place in stage for field in network.wiring.groups[place]]
        rows = {}
        for field in fields:
            rows[field] = [by_field[field] * blocks.R[:, field, e] for e in range(d)]
            for earlier, brought in received.items():
                scale = blocks.Q[:, field, earlier, None]
                rows[field] = [
                    row + by_field[field] @ (scale * other)
                    for row, other in zip(rows[field], brought, strict=True)
                ]
        received |= rows
    own = blocks.A - jnp.eye(d) if isinstance(network.cell, AbstractMap) else blocks.A
    return jnp.block(
        [
            [
                jnp.diag(own[:, c, e])
                + sum(blocks.L[:, c, a, None] * rows[e] for a, rows in received.items())
                for e in range(d)
            ]
            for c in range(d)
        ]
    )
