"""The long short-term memory, as PyTorch defines it."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from gatefield.cells.base import AbstractMap
from gatefield.core.checks import as_parameter
from gatefield.core.types import Unit


class LSTM(AbstractMap):
    r"""The LSTM with random recurrent weights; drives are the input's parts W_i x.

    .. math::

        c' = f c + i g, \quad h' = o \tanh(c'), \quad
        i, f, o = \sigma(u_a + b_a + I_a), \quad g = \tanh(u_g + b_g + I_g), \quad u_a = J^a h

    Parameters
    ----------
    gain_i, gain_f, gain_g, gain_o
        Gains of the couplings: J^a has entries of variance gain_a^2 / N. PyTorch's default
        initialisation is gain 1/sqrt(3) for all.
    bias_i, bias_f, bias_g, bias_o
        Biases (the sums of PyTorch's two), scalars or per unit (N,).

    Raises
    ------
    InvalidInputError
        For parameters that are not finite, or negative gains.

    References
    ----------
    Hochreiter and Schmidhuber, Neural Computation 9, 1735 (1997); documentation of torch.nn.LSTM.
    """

    gain_i: Any
    gain_f: Any
    gain_g: Any
    gain_o: Any
    bias_i: Any
    bias_f: Any
    bias_g: Any
    bias_o: Any

    state_names: ClassVar[tuple[str, ...]] = ("h", "c")
    field_names: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    drive_names: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")

    def __init__(
        self,
        *,
        gain_i: Any = 1.0,
        gain_f: Any = 1.0,
        gain_g: Any = 1.0,
        gain_o: Any = 1.0,
        bias_i: Any = 0.0,
        bias_f: Any = 0.0,
        bias_g: Any = 0.0,
        bias_o: Any = 0.0,
    ):
        self.gain_i = as_parameter("gain_i", gain_i, nonnegative=True)
        self.gain_f = as_parameter("gain_f", gain_f, nonnegative=True)
        self.gain_g = as_parameter("gain_g", gain_g, nonnegative=True)
        self.gain_o = as_parameter("gain_o", gain_o, nonnegative=True)
        self.bias_i = as_parameter("bias_i", bias_i)
        self.bias_f = as_parameter("bias_f", bias_f)
        self.bias_g = as_parameter("bias_g", bias_g)
        self.bias_o = as_parameter("bias_o", bias_o)

    def gains(self) -> Unit:
        """Return the gains of the four coupling matrices."""
        return {"i": self.gain_i, "f": self.gain_f, "g": self.gain_g, "o": self.gain_o}

    def gates(self, fields: Unit, drive: Unit) -> Unit:
        """Return the input, forget and output gates."""
        return {
            "input_gate": jax.nn.sigmoid(fields["i"] + self.bias_i + drive["i"]),
            "forget_gate": jax.nn.sigmoid(fields["f"] + self.bias_f + drive["f"]),
            "output_gate": jax.nn.sigmoid(fields["o"] + self.bias_o + drive["o"]),
        }

    def observables(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return the three gates."""
        return self.gates(fields, drive)

    def outputs(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return h for every field."""
        h = state["h"]
        return {"i": h, "f": h, "g": h, "o": h}

    def rule(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return the next h and c."""
        gates = self.gates(fields, drive)
        candidate = jnp.tanh(fields["g"] + self.bias_g + drive["g"])
        memory = gates["forget_gate"] * state["c"] + gates["input_gate"] * candidate
        return {"h": gates["output_gate"] * jnp.tanh(memory), "c": memory}
