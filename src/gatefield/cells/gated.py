"""The gated RNN of the paper (Eqs. 1-2)."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from gatefield.cells.base import AbstractFlow
from gatefield.core.checks import as_parameter, check_choice
from gatefield.core.types import Unit


class GatedRNN(AbstractFlow):
    r"""The paper's gated RNN: an update gate z that sets the rate, an output gate r.

    .. math::

        \dot h = \sigma_z(z)\,(-h + J^h[\phi(h)\sigma_r(r)]) + I_h, \quad
        \tau_z \dot z = -z + J^z\phi(h) + I_z, \quad
        \tau_r \dot r = -r + J^r\phi(h) + I_r

    with :math:`\phi(x) = \tanh(g_h x + \beta_h)` and
    :math:`\sigma_k(x) = 1/(1 + e^{-\alpha_k x - \beta_k})`; couplings have variance 1/N.

    Parameters
    ----------
    g_h
        Gain of the activation function.
    alpha_z, alpha_r
        Gains of the update and output gates.
    beta_h, beta_z, beta_r
        Biases, scalars or per unit (N,). A positive bias opens the gate (the convention of machine
        learning and of the paper's Appendix H; its Sec. II prints the opposite sign).
    tau_z, tau_r
        Time constants of the gates, in units of the unit's own.
    input_gating
        "none": I_h stands outside the bracket and is integrated (Fig. 2). "update": I_h stands
        inside, gated by the update gate (Appendices C, H), so that a static Gaussian input leaves
        fixed points Gaussian.

    Raises
    ------
    InvalidInputError
        For parameters that are not finite, a time constant that is not positive, or an unknown
        ``input_gating``.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 1-2.
    """

    g_h: Any
    alpha_z: Any
    alpha_r: Any
    beta_h: Any
    beta_z: Any
    beta_r: Any
    tau_z: Any
    tau_r: Any
    input_gating: str = eqx.field(static=True)

    state_names: ClassVar[tuple[str, ...]] = ("h", "z", "r")
    field_names: ClassVar[tuple[str, ...]] = ("h", "z", "r")
    drive_names: ClassVar[tuple[str, ...]] = ("h", "z", "r")

    def __init__(
        self,
        g_h: Any = 1.0,
        *,
        alpha_z: Any = 0.0,
        alpha_r: Any = 0.0,
        beta_h: Any = 0.0,
        beta_z: Any = 0.0,
        beta_r: Any = 0.0,
        tau_z: Any = 1.0,
        tau_r: Any = 1.0,
        input_gating: str = "none",
    ):
        self.g_h = as_parameter("g_h", g_h, nonnegative=True)
        self.alpha_z = as_parameter("alpha_z", alpha_z, nonnegative=True)
        self.alpha_r = as_parameter("alpha_r", alpha_r, nonnegative=True)
        self.beta_h = as_parameter("beta_h", beta_h)
        self.beta_z = as_parameter("beta_z", beta_z)
        self.beta_r = as_parameter("beta_r", beta_r)
        self.tau_z = as_parameter("tau_z", tau_z, positive=True)
        self.tau_r = as_parameter("tau_r", tau_r, positive=True)
        self.input_gating = check_choice("input_gating", input_gating, ("none", "update"))

    def activation(self, h: Any) -> Any:
        """Return phi(h) = tanh(g_h h + beta_h)."""
        return jnp.tanh(self.g_h * h + self.beta_h)

    def update_gate(self, z: Any) -> Any:
        """Return s_z(z), the rate at which h is updated."""
        return jax.nn.sigmoid(self.alpha_z * z + self.beta_z)

    def output_gate(self, r: Any) -> Any:
        """Return s_r(r), the factor on what the unit sends to h."""
        return jax.nn.sigmoid(self.alpha_r * r + self.beta_r)

    def gains(self) -> Unit:
        """Return unit gains: g_h and the alphas already scale the fields."""
        return {"h": 1.0, "z": 1.0, "r": 1.0}

    def outputs(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return phi(h) s_r(r) for the field h, and phi(h) for the gates."""
        active = self.activation(state["h"])
        return {"h": active * self.output_gate(state["r"]), "z": active, "r": active}

    def observables(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return phi(h) and both gates."""
        return {
            "phi": self.activation(state["h"]),
            "sigma_z": self.update_gate(state["z"]),
            "sigma_r": self.output_gate(state["r"]),
        }

    def rule(self, state: Unit, fields: Unit, drive: Unit) -> Unit:
        """Return dh/dt, dz/dt, dr/dt."""
        rate = self.update_gate(state["z"])
        relaxation = fields["h"] - state["h"]
        if self.input_gating == "update":
            change = rate * (relaxation + drive["h"])
        else:
            change = rate * relaxation + drive["h"]
        return {
            "h": change,
            "z": (fields["z"] + drive["z"] - state["z"]) / self.tau_z,
            "r": (fields["r"] + drive["r"] - state["r"]) / self.tau_r,
        }
