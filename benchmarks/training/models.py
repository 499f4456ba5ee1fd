"""The four networks: one layer and a linear readout, with weights as PyTorch stacks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

DT = 0.5
"""Euler step of the continuous gated RNN per step of the task, in its units' time constants."""

Weights = Mapping[str, Any]
"""weight_ih (G N, features), weight_hh (G N, N), readout (outputs, N), readout_bias; and biases.

These are bias_ih and bias_hh as in PyTorch, and one bias, (3 N,), of the gated RNN.
"""


class Model(NamedTuple):
    """A network's fields in the order of their rows, and its rule.

    Attributes
    ----------
    kind
        gatefield's name of the cell.
    fields
        Names of the blocks of rows.
    start
        Function of zeros (B, N) that gives the state before the first step.
    rule
        Function of weights, state and drive (B, G N) that gives state and activity (B, N).
    """

    kind: str
    fields: tuple[str, ...]
    start: Callable[[Any], Any]
    rule: Callable[[Weights, Any, Any], tuple[Any, Any]]


def _vanilla(weights: Weights, h: Any, drive: Any):
    h = jnp.tanh(drive + h @ weights["weight_hh"].T + weights["bias_hh"])
    return h, h


def _gru(weights: Weights, h: Any, drive: Any):
    recurrent = h @ weights["weight_hh"].T + weights["bias_hh"]
    (r, z, n), (of_r, of_z, of_n) = (jnp.split(part, 3, -1) for part in (recurrent, drive))
    keep = jax.nn.sigmoid(z + of_z)
    candidate = jnp.tanh(of_n + jax.nn.sigmoid(r + of_r) * n)
    h = candidate + keep * (h - candidate)
    return h, h


def _lstm(weights: Weights, state: Any, drive: Any):
    h, c = state
    i, f, g, o = jnp.split(drive + h @ weights["weight_hh"].T + weights["bias_hh"], 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _gated(weights: Weights, state: Any, drive: Any):
    """Take an Euler step of gatefield's GatedRNN; its gains g_h, alpha_z, alpha_r are in weights.

    With x = g_h h and so on for the gates, the gains multiply the couplings and the input. The
    input to h stands inside the update gate's bracket (``input_gating="update"``).
    """
    h, z, r = state
    n = h.shape[-1]
    of_h, of_z, of_r = jnp.split(drive, 3, -1)
    b_h, b_z, b_r = jnp.split(weights["bias"], 3, -1)
    active = jnp.tanh(h + b_h)
    to_h = (active * jax.nn.sigmoid(r + b_r)) @ weights["weight_hh"][:n].T
    to_z, to_r = jnp.split(active @ weights["weight_hh"][n:].T, 2, -1)
    h = h + DT * jax.nn.sigmoid(z + b_z) * (to_h + of_h - h)
    z, r = z + DT * (to_z + of_z - z), r + DT * (to_r + of_r - r)
    return (h, z, r), jnp.tanh(h + b_h)


MODELS = {
    "vanilla": Model("RNN", ("h",), lambda zero: zero, _vanilla),
    "gru": Model("GRU", ("r", "z", "n"), lambda zero: zero, _gru),
    "lstm": Model("LSTM", ("i", "f", "g", "o"), lambda zero: (zero, zero), _lstm),
    "gated": Model("gated", ("h", "z", "r"), lambda zero: (zero, zero, zero), _gated),
}


def activity(model: str, weights: Weights, inputs: Any) -> Any:
    """Return what each unit sends to the readout.

    Parameters
    ----------
    model
        One of `MODELS`.
    weights
        Its weights.
    inputs
        (T, B, features).

    Returns
    -------
    Array
        (T, B, N).
    """
    known = MODELS[model]
    drive = inputs @ weights["weight_ih"].T + weights.get("bias_ih", 0.0)
    zero = jnp.zeros((inputs.shape[1], weights["weight_hh"].shape[1]), drive.dtype)

    def step(state: Any, now: Any):
        return known.rule(weights, state, now)

    return jax.lax.scan(step, known.start(zero), drive)[1]


def answers(model: str, weights: Weights, inputs: Any, last: int) -> Any:
    """Return the readout of the last steps, (last, B, outputs)."""
    return activity(model, weights, inputs)[-last:] @ weights["readout"].T + weights["readout_bias"]
