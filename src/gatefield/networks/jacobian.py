"""The Jacobian of a network at any state, per unit, matrix-free and dense."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractMap, unit_blocks
from gatefield.cells.base import cast
from gatefield.cells.linearise import UnitBlocks
from gatefield.core.checks import as_number, as_parameter, check_count
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray
from gatefield.networks.couplings import send, send_back
from gatefield.networks.inputs import Inputs, drive_of
from gatefield.networks.network import Network, as_state, compilable, coupling_fields


class UnitJacobian(AbstractResult):
    """The per-unit blocks of a network's Jacobian A + L (1 - J Q)^-1 J R, on the host.

    Attributes
    ----------
    A, L, R, Q
        (N, d, d), (N, d, K), (N, K, d), (N, K, K): derivatives of rule by state and by field, of
        outputs by state and by field.
    gains
        Gains of the K coupling fields, (K,), for random-matrix theory: root mean squares over units
        where each unit has its own.
    relative_gains
        (N, K): each unit's own gain over that root mean square; ones where all are alike.
    is_map
        Whether the Jacobian is a map's (stable inside the unit circle) or a flow's (left half).
    """

    A: Float[HostArray, "unit component component"] = eqx.field(
        metadata=quantity("unit", "to", "component")
    )
    L: Float[HostArray, "unit component field"] = eqx.field(
        metadata=quantity("unit", "to", "field")
    )
    R: Float[HostArray, "unit field component"] = eqx.field(
        metadata=quantity("unit", "field", "component")
    )
    Q: Float[HostArray, "unit field field"] = eqx.field(metadata=quantity("unit", "field", "read"))
    gains: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    relative_gains: Float[HostArray, "unit field"] = eqx.field(metadata=quantity("unit", "field"))
    is_map: bool = eqx.field(static=True)


class NetworkJacobian(eqx.Module):
    """The Jacobian as a linear operator on perturbations of the state, (d, N) or (d N,).

    The flat order is component by component: all units of the first component first, as in the
    paper's (h, z, r). `linearise` and `jacobian` build it.
    """

    network: Network
    blocks: UnitBlocks

    @property
    def shape(self) -> tuple[int, int]:
        """The operator's shape (d N, d N)."""
        size = self.blocks.A.shape[0] * self.blocks.A.shape[-1]
        return size, size

    def mv(self, perturbation: Any) -> np.ndarray:
        """Return the Jacobian times a perturbation (d, N) or (d N,), in the shape given."""
        return self._apply(_mv, perturbation)

    def rmv(self, perturbation: Any) -> np.ndarray:
        """Return the transposed Jacobian times a vector (d, N) or (d N,), in the shape given."""
        return self._apply(_rmv, perturbation)

    def as_matrix(self) -> Float[HostArray, "all all"]:
        """Return the dense (d N, d N) matrix."""
        with jax.enable_x64(True):
            return np.asarray(_dense(self.network, self.blocks))

    def _apply(self, product, perturbation):
        given = np.asarray(as_parameter("perturbation", perturbation))
        n, d = self.blocks.A.shape[:2]
        if given.shape not in ((d, n), (d * n,)):
            expected = f"({d}, {n}) or ({d * n},)"
            refuse("perturbation.shape", given.shape, expected, "One number for each component.")
        with jax.enable_x64(True):
            rows = jnp.asarray(given, self.network.dtype).reshape(d, n)
            return np.asarray(product(self.network, self.blocks, rows)).reshape(given.shape)


def linearise(
    network: Network, state: Any, *, inputs: Inputs | None = None, time: float = 0.0
) -> UnitJacobian:
    r"""Differentiate the rule of every unit at a state of the network.

    .. math:: D = A + L (1 - J Q)^{-1} J R

    Parameters
    ----------
    network
        Any network.
    state
        (d, N); any state, not only fixed points: where h moves, A carries the term
        (-h + u_h) s_z'(z) of the gated RNN.
    inputs
        External input as in `simulate`.
    time
        Time (step number) at which time-dependent inputs are taken.

    Returns
    -------
    UnitJacobian
        A, L, R, Q for each unit.

    Raises
    ------
    InvalidInputError
        If shapes do not fit or values are not finite.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 3-4.
    """
    blocks = _blocks_at(network, state, inputs, time)[1]
    host = [np.asarray(block) for block in blocks]
    return UnitJacobian(
        *host,
        gains=network.gains(),
        relative_gains=network.relative_gains(),
        is_map=isinstance(network.cell, AbstractMap),
    )


def jacobian(
    network: Network, state: Any, *, inputs: Inputs | None = None, time: float = 0.0
) -> NetworkJacobian:
    """Return the Jacobian of a network at a state, as an operator with mv, rmv and as_matrix.

    Parameters, errors and reference as in `linearise`.

    Returns
    -------
    NetworkJacobian
        Matrix-free products cost one pass through the couplings; `as_matrix` gives (d N, d N).
    """
    return NetworkJacobian(*_blocks_at(network, state, inputs, time))


def _blocks_at(network, state, inputs, time):
    time = as_number("time", time)
    if isinstance(network.cell, AbstractMap):
        time = check_count("time (step of a map)", time, at_least=0)
    with jax.enable_x64(True):
        network = eqx.tree_at(lambda net: net.cell, network, cast(network.cell, network.dtype))
        state = as_state("state", network, state)
        now = jnp.asarray(time, int if isinstance(time, int) else network.dtype)
        return network, _blocks(compilable(network), drive_of(network, inputs), state, now)


@eqx.filter_jit
def _blocks(network, drive, state, time):
    now = drive(time)
    return unit_blocks(network.cell, state, coupling_fields(network, state, now), now)


@jax.jit
def _mv(network, blocks, v):
    """Send the perturbed outputs stage by stage, as the network sends its outputs."""
    from_state = jnp.einsum("nkd,dn->kn", blocks.R, v)
    fields = jnp.zeros_like(from_state)
    for stage in network.wiring.stages:
        sent = from_state + jnp.einsum("nkl,ln->kn", blocks.Q, fields)
        for index in stage:
            group = network.wiring.groups[index]
            fields = fields.at[jnp.array(group)].set(send(network.couplings[index], sent[group[0]]))
    return jnp.einsum("nde,en->dn", blocks.A, v) + jnp.einsum("ndk,kn->dn", blocks.L, fields)


@jax.jit
def _rmv(network, blocks, w):
    """Run the stages of `_mv` backwards, each product transposed."""
    fields = jnp.einsum("ndk,dn->kn", blocks.L, w)
    back = jnp.zeros_like(fields)
    for stage in reversed(network.wiring.stages):
        for index in stage:
            group = network.wiring.groups[index]
            received = send_back(network.couplings[index], fields[jnp.array(group)])
            back = back.at[group[0]].set(received)
            # Only this output's own row: the group's other rows are the same output, sent once.
            fields = fields + blocks.Q[:, group[0], :].T * received
    return jnp.einsum("nde,dn->en", blocks.A, w) + jnp.einsum("nkd,kn->dn", blocks.R, back)


@jax.jit
def _dense(network, blocks):
    n, d = blocks.A.shape[:2]
    count = blocks.L.shape[-1]
    by_field = {}
    for group, stacked in zip(network.wiring.groups, network.couplings, strict=True):
        for place, field in enumerate(group):
            by_field[field] = stacked[place * n : (place + 1) * n]

    # Row a of (1 - J Q)^-1 J R: Q is strictly lower triangular, so forward substitution is exact.
    rows = []
    for field in range(count):
        sent = [jnp.diag(blocks.R[:, field, e]) for e in range(d)]
        for earlier in range(field):
            scale = blocks.Q[:, field, earlier]
            sent = [s + scale[:, None] * rows[earlier][e] for e, s in enumerate(sent)]
        rows.append([by_field[field] @ s for s in sent])
    matrix = [
        [
            jnp.diag(blocks.A[:, c, e])
            + sum(blocks.L[:, c, field, None] * rows[field][e] for field in range(count))
            for e in range(d)
        ]
        for c in range(d)
    ]
    return jnp.block(matrix)
