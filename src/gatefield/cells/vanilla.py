"""The vanilla RNN: the limit of the gated RNN whose gates are open."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp

from gatefield.cells.base import AbstractFlow
from gatefield.core.checks import as_parameter
from gatefield.core.types import Unit


class VanillaRNN(AbstractFlow):
    r"""The classical random network, :math:`\dot h = -h + J\tanh(g h + \beta) + I`.

    In the variable x = g h it is the standard form dx/dt = -x + J' tanh(x) with J' of variance
    g^2/N; it turns chaotic at g = 1.

    Parameters
    ----------
    g
        Gain.
    beta
        Bias inside the activation function, a scalar or per unit (N,).

    Raises
    ------
    InvalidInputError
        For parameters that are not finite, or a negative gain.

    References
    ----------
    Sompolinsky, Crisanti and Sommers, Phys. Rev. Lett. 61, 259 (1988).
    """

    g: Any
    beta: Any

    state_names: ClassVar[tuple[str, ...]] = ("h",)
    field_names: ClassVar[tuple[str, ...]] = ("h",)
    drive_names: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(self, g: Any = 1.0, *, beta: Any = 0.0):
        self.g = as_parameter("g", g, nonnegative=True)
        self.beta = as_parameter("beta", beta)

    def gains(self) -> Unit:
        """Return unit gain: g acts inside the activation function."""
        return {"h": 1.0}

    def outputs(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return tanh(g h + beta)."""
        return {"h": jnp.tanh(self.g * state["h"] + self.beta)}

    def observables(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return phi(h) = tanh(g h + beta)."""
        return {"phi": jnp.tanh(self.g * state["h"] + self.beta)}

    def rule(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return dh/dt."""
        return {"h": fields["h"] - state["h"] + drive["h"]}
