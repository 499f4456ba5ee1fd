"""The linear network whose output gate can be shut (Sec. VI)."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from gatefield.cells.base import AbstractFlow
from gatefield.core.checks import as_parameter
from gatefield.core.types import Unit


class LinearGatedRNN(AbstractFlow):
    r"""The linear network with an output gate, which is at once what its field and input say.

    .. math::

        \dot h = -h + J^h[h\,\sigma_r(r)] + I_h, \qquad r = J^r\phi(h) + I_r,
        \qquad \phi(h) = \tanh(g\,h), \quad \sigma_r(r) = 1/(1 + e^{-\alpha_r r - \beta_r})

    With the gate open it is linear: eigenvalues of J^h at one are memories. With the gate shut h
    decays to zero at rate one, whatever the memory.

    Parameters
    ----------
    g
        Gain of the activation that the gate reads.
    alpha_r, beta_r
        Gain and bias of the gate, scalars or per unit (N,); a positive bias opens it.

    Raises
    ------
    InvalidInputError
        For parameters that are not finite, or a negative gain.

    Assumptions
    -----------
    It is for networks of given couplings: random ones of unit gain have eigenvalues up to
    sigma_r - 1 + O(N^-1/2), and a linear network with one above zero grows without bound.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. VI.
    """

    g: Any
    alpha_r: Any
    beta_r: Any

    state_names: ClassVar[tuple[str, ...]] = ("h",)
    # r first: what the unit sends to h reads it.
    field_names: ClassVar[tuple[str, ...]] = ("r", "h")
    drive_names: ClassVar[tuple[str, ...]] = ("h", "r")

    def __init__(self, g: Any = 1.0, *, alpha_r: Any = 1.0, beta_r: Any = 0.0):
        self.g = as_parameter("g", g, nonnegative=True)
        self.alpha_r = as_parameter("alpha_r", alpha_r, nonnegative=True)
        self.beta_r = as_parameter("beta_r", beta_r)

    def output_gate(self, r: Any) -> Any:
        """Return s_r(r), the factor on what the unit sends to h."""
        return jax.nn.sigmoid(self.alpha_r * r + self.beta_r)

    def gains(self) -> Unit:
        """Return unit gains."""
        return {"r": 1.0, "h": 1.0}

    def outputs(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return phi(h) for the gate, and h s_r for the field h."""
        gate = self.output_gate(fields["r"] + drive["r"])
        return {"r": jnp.tanh(self.g * state["h"]), "h": state["h"] * gate}

    def observables(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return phi(h) and the gate."""
        gate = self.output_gate(fields["r"] + drive["r"])
        return {"phi": jnp.tanh(self.g * state["h"]), "sigma_r": gate}

    def rule(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return dh/dt."""
        return {"h": fields["h"] - state["h"] + drive["h"]}
