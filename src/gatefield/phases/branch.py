r"""The branches of the static theory as explicit curves in the (g_h, alpha_r) plane.

With :math:`b^2 = g_h^2 D_h` the variance that h gives to tanh's argument, every average is a
function of b and alpha_r alone, and the self-consistency equation gives the gain that belongs to
them: :math:`g_h(b, \alpha_r)`. No root needs to be found: for fixed alpha_r all branches of the
solution are one curve in b, folds are extrema of g_h along it, and stability is read off point by
point.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.scipy.special import log_ndtr

from gatefield.core.types import Array, HostArray
from gatefield.phases.surroundings import Surroundings
from gatefield.theory.static.moments import activation_moments, gate_moments


class BranchPoint(NamedTuple):
    """A solution of the static theory.

    Attributes
    ----------
    log_gain
        ln g_h.
    log_radius
        ln rho; the fixed point is stable where it is negative.
    log_marginal
        ln(rho^2 <s_z>) for alpha_z -> infinity; marginally stable where it is negative.
    variance
        D_h.
    activity
        <phi^2>.
    """

    log_gain: Array | HostArray
    log_radius: Array | HostArray
    log_marginal: Array | HostArray
    variance: Array | HostArray
    activity: Array | HostArray


def static_branch(log_b: Any, alpha_r: Any, around: Surroundings) -> BranchPoint:
    r"""Return the solution with a given b = g_h sqrt(D_h), at a given alpha_r.

    .. math::

        g_h^2 = \frac{b^2}{\langle\phi^2\rangle\langle\sigma_r^2\rangle + \mathrm{var} I_h}

    where tanh's argument has variance :math:`b^2 + \mathrm{var}\beta_h`.

    Parameters
    ----------
    log_b
        ln b, a scalar.
    alpha_r
        Gain of the output gate, a scalar.
    around
        Biases and inputs.

    Returns
    -------
    BranchPoint

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 6, 8, C26-C30.
    """
    phi = activation_moments(around.beta_h, jnp.exp(2 * log_b) + around.h_bias)
    r_variance = alpha_r**2 * (phi.square + around.r_input) + around.r_bias
    r = gate_moments(around.beta_r, r_variance)
    variance = phi.square * r.square + around.h_input
    log_gain = log_b - jnp.log(variance) / 2
    response = phi.slope_square * (r.square + phi.square * alpha_r**2 * r.slope_square)
    log_radius = log_gain + jnp.log(response) / 2
    log_open = log_ndtr(around.z_offset / jnp.sqrt(phi.square + around.z_input))
    log_marginal = 2 * log_radius + log_open
    return BranchPoint(log_gain, log_radius, log_marginal, variance, phi.square)
