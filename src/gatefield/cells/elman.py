"""The Elman network, as PyTorch's nn.RNN defines it."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from gatefield.cells.base import AbstractMap
from gatefield.core.checks import as_parameter, check_choice
from gatefield.core.types import Unit


class ElmanRNN(AbstractMap):
    r"""The recurrent network without gates, :math:`h' = f(J h + b + I)`; the drive is W x.

    With f = tanh it has the fixed points of `VanillaRNN` at the same gain, by h = tanh(g h_v + b).

    Parameters
    ----------
    gain
        Gain of the couplings: J has entries of variance gain^2 / N. PyTorch's default
        initialisation is gain 1/sqrt(3).
    bias
        The sum of PyTorch's two biases, a scalar or per unit (N,).
    activation
        f: "tanh" or "relu".

    Raises
    ------
    InvalidInputError
        For parameters that are not finite, a negative gain, or an unknown ``activation``.

    References
    ----------
    Elman, Cognitive Science 14, 179 (1990); the documentation of torch.nn.RNN.
    """

    gain: Any
    bias: Any
    activation: str = eqx.field(static=True)

    state_names: ClassVar[tuple[str, ...]] = ("h",)
    field_names: ClassVar[tuple[str, ...]] = ("h",)
    drive_names: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(self, gain: Any = 1.0, bias: Any = 0.0, *, activation: str = "tanh"):
        self.gain = as_parameter("gain", gain, nonnegative=True)
        self.bias = as_parameter("bias", bias)
        self.activation = check_choice("activation", activation, ("tanh", "relu"))

    def gains(self) -> Unit:
        """Return the gain of the coupling matrix."""
        return {"h": self.gain}

    def outputs(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return h."""
        return {"h": state["h"]}

    def rule(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return the next h."""
        apply = jnp.tanh if self.activation == "tanh" else jax.nn.relu
        return {"h": apply(fields["h"] + self.bias + drive["h"])}
