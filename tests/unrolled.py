"""Runs of small networks written out unit by unit, which JAX differentiates as a whole."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractMap


class Differentiated(NamedTuple):
    """A loss and its gradients, for one readout."""

    loss: Any
    adjoint: Any  # (steps + 1, d, N), by time from the start
    couplings: dict[str, Any]
    parameters: dict[str, Any]


def unrolled(network, state, readout, *, steps, dt=None, method=None, drive=None):
    """Differentiate readout . s(T) by everything at once; no checkpoint, no stacked matrix."""
    with jax.enable_x64(True):
        cell, n = network.cell, network.n
        couplings = {name: jnp.asarray(network.coupling(name)) for name in cell.field_names}
        leaves, treedef = jax.tree.flatten(cell)
        leaves = [jnp.broadcast_to(jnp.asarray(leaf), (n,)) for leaf in leaves]
        moves = jnp.zeros((steps + 1, *np.shape(state)))
        size = 1.0 if dt is None else dt

        def loss(moves, couplings, leaves):
            units = jax.tree.unflatten(treedef, leaves)

            def velocity(time, rows):
                s = dict(zip(cell.state_names, rows, strict=True))
                value = 0.0 if drive is None else drive(time)
                given = {name: jnp.full(n, value) for name in cell.drive_names}
                fields = {name: jnp.zeros(n) for name in cell.field_names}
                for name in cell.field_names:  # an output reads earlier fields alone
                    sent = jax.vmap(lambda unit, *each: unit.outputs(*each))(
                        units, s, fields, given
                    )
                    fields = fields | {name: couplings[name] @ sent[name]}
                rule = jax.vmap(lambda unit, *each: unit.rule(*each))(units, s, fields, given)
                return jnp.stack([rule[name] for name in cell.state_names])

            now = jnp.asarray(state) + moves[0]
            for step in range(steps):
                if isinstance(cell, AbstractMap):
                    now = velocity(step, now)
                elif method == "euler":
                    now = now + size * velocity(step * size, now)
                else:
                    t = step * size
                    k1 = velocity(t, now)
                    k2 = velocity(t + size / 2, now + size / 2 * k1)
                    k3 = velocity(t + size / 2, now + size / 2 * k2)
                    k4 = velocity(t + size, now + size * k3)
                    now = now + size / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
                now = now + moves[step + 1]
            return jnp.sum(jnp.asarray(readout) * now)

        both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))
        value, (adjoint, by_coupling, by_leaf) = both(moves, couplings, leaves)
        paths, _ = jax.tree_util.tree_flatten_with_path(cell)
        names = [jax.tree_util.keystr(path)[1:] for path, _ in paths]
        by_leaf = dict(zip(names, by_leaf, strict=True))
        for field, gain in cell.gains().items():
            name = next((each for each in names if getattr(cell, each) is gain), None)
            if name is not None:  # a parameter, not a number: rows of J scale with it
                scaled = jnp.sum(by_coupling[field] * couplings[field], axis=1) / gain
                by_leaf[name] = by_leaf[name] + scaled
        host = jax.tree.map(np.asarray, (value, adjoint, by_coupling, by_leaf))
        return Differentiated(*host)
