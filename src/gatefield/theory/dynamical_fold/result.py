"""The result that both solvers of the dynamical transition return."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from gatefield.core.checks import as_parameter
from gatefield.core.results import AbstractResult, quantity

UPPER_GAIN = 2.0
"""The zero fixed point loses stability here (Eq. 6): no transition beside it exists beyond."""

LARGEST_TRUNCATION = 1e-5
"""A fold whose `truncation` is larger is not called converged."""


class DynamicalFold(AbstractResult):
    """The discontinuous dynamical transition alpha*_DMFT(g_h) at alpha_z = 0, without biases.

    At ``alpha_r`` two non-zero solutions of the mean-field theory meet; above it chaos coexists
    with the stable zero fixed point.

    Attributes
    ----------
    g_h : (...)
        Gain of the activation, dimensionless.
    tau_r : (...)
        Time constant of the output gate, in units of the unit's own time constant.
    alpha_r : (...)
        Gain of the output gate at the transition, dimensionless; infinite where the line does not
        exist, that is for g_h >= 2 and below the lower end (`lower_end`).
    variance_h, variance_r : (...)
        C_h(0) and C_r(0) at the transition; zero where the line does not exist.
    residual : (...)
        Largest residual of the equations before the last Newton step, dimensionless.
    truncation : (...)
        Estimated relative error of ``alpha_r`` that the finite numbers of nodes cause: the size of
        one further Newton step with finer rules.
    converged : (...)
        Whether Newton's method ended within its tolerance and ``truncation`` is at most 1e-5.
        Where not, the other fields hold the last finite iterate: do not use them. True where the
        line is known not to exist.
    """

    g_h: Float[np.ndarray, "..."] = eqx.field(metadata=quantity("..."))
    tau_r: Float[np.ndarray, "..."] = eqx.field(metadata=quantity("...", unit="time constant"))
    alpha_r: Float[np.ndarray, "..."] = eqx.field(metadata=quantity("..."))
    variance_h: Float[np.ndarray, "..."] = eqx.field(metadata=quantity("..."))
    variance_r: Float[np.ndarray, "..."] = eqx.field(metadata=quantity("..."))
    residual: Float[np.ndarray, "..."] = eqx.field(metadata=quantity("..."))
    truncation: Float[np.ndarray, "..."] = eqx.field(metadata=quantity("..."))
    converged: Bool[np.ndarray, "..."] = eqx.field(metadata=quantity("..."))


def absent(g_h: np.ndarray, tau_r: np.ndarray) -> dict[str, np.ndarray]:
    """Return the fields of a `DynamicalFold` for gains at which the line does not exist."""
    fields = {
        name: np.zeros(g_h.shape) for name in ("variance_h", "variance_r", "residual", "truncation")
    }
    return {
        "g_h": g_h,
        "tau_r": np.broadcast_to(tau_r, g_h.shape).copy(),
        "alpha_r": np.full(g_h.shape, np.inf),
        "converged": np.ones(g_h.shape, bool),
        **fields,
    }


def checked_gain(g_h: object) -> np.ndarray:
    """Return g_h as a float64 host array, refusing what is not finite and positive."""
    return np.array(as_parameter("g_h", g_h, positive=True), dtype=np.float64)
