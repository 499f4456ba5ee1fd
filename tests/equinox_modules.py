"""Modules of Equinox for tests, and their own steps and derivatives."""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

N, FEATURES = 200, 3
KEY = jax.random.key(5)
SHUT = 40.0  # a gate at this argument is off by e^-40
KINDS: dict[str, Any] = {"gru": eqx.nn.GRUCell, "lstm": eqx.nn.LSTMCell}
FIELDS = {"gru": "rzn", "lstm": "ifgo"}


@functools.cache
def made(kind, dtype="float64", **options):
    with jax.enable_x64(True):
        dtype = jnp.dtype(dtype)
        return KINDS[kind](FEATURES, N, dtype=dtype, key=jax.random.key(0), **options)


@eqx.filter_jit
def own_step(module, state, x):
    """Return the next state (d N,) from the module's own call, h before c."""
    if isinstance(module, eqx.nn.GRUCell):
        return module(x, state)
    return jnp.concatenate(module(x, (state[:N], state[N:])))


own_jacobian = eqx.filter_jit(jax.jacfwd(own_step, argnums=1))


def size(kind):
    return N if kind == "gru" else 2 * N


def spectral_radius(module, kind):
    """Return that of the module's own Jacobian at the zero state without input."""
    with jax.enable_x64(True):
        matrix = own_jacobian(module, jnp.zeros(size(kind)), jnp.zeros(FEATURES))
        return np.abs(np.linalg.eigvals(np.asarray(matrix))).max()


def stepped(module, state, x=(0.0,) * FEATURES):
    with jax.enable_x64(True):
        return np.asarray(own_step(module, jnp.asarray(state), jnp.asarray(x)))
