"""The gated recurrent unit, as PyTorch defines it and as Cho et al. did."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from gatefield.cells.base import AbstractMap
from gatefield.core.checks import as_parameter, check_choice
from gatefield.core.types import Unit


class GRU(AbstractMap):
    r"""The GRU with random recurrent weights; drives are the input's parts W_i x.

    .. math::

        r = \sigma(u_r + b_r + I_r), \quad z = \sigma(u_z + b_z + I_z), \quad h' = (1 - z)\,n + z\,h

    with, for ``reset="after"`` (PyTorch), :math:`n = \tanh(r(u_n + b_{hn}) + b_n + I_n)`, where
    :math:`u_n = J^n h`, and for ``reset="before"`` (Cho et al.)
    :math:`n = \tanh(u_n + b_{hn} + b_n + I_n)`, where :math:`u_n = J^n[r h]`: this output reads an
    earlier field. z keeps the state; the paper's update gate is 1 - z.

    Parameters
    ----------
    gain_r, gain_z, gain_n
        Gains of the couplings: J^a has entries of variance gain_a^2 / N. PyTorch's default
        initialisation is gain 1/sqrt(3) for all.
    bias_r, bias_z, bias_n
        Biases, scalars or per unit (N,): the sums of PyTorch's two for r and z, b_in for n.
    bias_hn
        PyTorch's b_hn, which its reset gate multiplies.
    reset
        "after" (PyTorch) or "before" (Cho et al.) the product with J^n.

    Raises
    ------
    InvalidInputError
        For parameters that are not finite, negative gains, or an unknown ``reset``.

    References
    ----------
    Cho et al., arXiv:1406.1078; the documentation of torch.nn.GRU.
    """

    gain_r: Any
    gain_z: Any
    gain_n: Any
    bias_r: Any
    bias_z: Any
    bias_n: Any
    bias_hn: Any
    reset: str = eqx.field(static=True)

    state_names: ClassVar[tuple[str, ...]] = ("h",)
    field_names: ClassVar[tuple[str, ...]] = ("r", "z", "n")
    drive_names: ClassVar[tuple[str, ...]] = ("r", "z", "n")

    def __init__(
        self,
        *,
        gain_r: Any = 1.0,
        gain_z: Any = 1.0,
        gain_n: Any = 1.0,
        bias_r: Any = 0.0,
        bias_z: Any = 0.0,
        bias_n: Any = 0.0,
        bias_hn: Any = 0.0,
        reset: str = "after",
    ):
        self.gain_r = as_parameter("gain_r", gain_r, nonnegative=True)
        self.gain_z = as_parameter("gain_z", gain_z, nonnegative=True)
        self.gain_n = as_parameter("gain_n", gain_n, nonnegative=True)
        self.bias_r = as_parameter("bias_r", bias_r)
        self.bias_z = as_parameter("bias_z", bias_z)
        self.bias_n = as_parameter("bias_n", bias_n)
        self.bias_hn = as_parameter("bias_hn", bias_hn)
        self.reset = check_choice("reset", reset, ("after", "before"))

    def gains(self) -> Unit:
        """Return the gains of the three coupling matrices."""
        return {"r": self.gain_r, "z": self.gain_z, "n": self.gain_n}

    def reset_gate(self, fields: Unit, drive: Unit) -> Any:
        """Return r."""
        return jax.nn.sigmoid(fields["r"] + self.bias_r + drive["r"])

    def update_gate(self, fields: Unit, drive: Unit) -> Any:
        """Return z, which keeps h where it is one."""
        return jax.nn.sigmoid(fields["z"] + self.bias_z + drive["z"])

    def observables(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return both gates."""
        return {
            "reset_gate": self.reset_gate(fields, drive),
            "update_gate": self.update_gate(fields, drive),
        }

    def outputs(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return h for every field; r h for the field n where the reset comes before."""
        h = state["h"]
        candidate = self.reset_gate(fields, drive) * h if self.reset == "before" else h
        return {"r": h, "z": h, "n": candidate}

    def rule(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return the next h."""
        h = state["h"]
        keep = self.update_gate(fields, drive)
        recurrent = fields["n"] + self.bias_hn
        if self.reset == "after":
            recurrent = self.reset_gate(fields, drive) * recurrent
        candidate = jnp.tanh(recurrent + self.bias_n + drive["n"])
        return {"h": (1.0 - keep) * candidate + keep * h}
