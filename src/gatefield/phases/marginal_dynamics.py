"""The branch of chaotic states at alpha_z = 0, for marginal stability at their own variance."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax.scipy.special import log_ndtr

from gatefield.phases.branch import BranchPoint
from gatefield.phases.surroundings import Surroundings
from gatefield.theory.dynamical_fold import potential_branch
from gatefield.theory.static.moments import activation_moments, gate_moments


def dynamical_branch(log_b: Any, alpha_r: Any, around: Surroundings) -> BranchPoint:
    r"""Return the time-varying state whose tanh has argument of standard deviation b.

    As `phases.branch.static_branch`, with the gain that the energy condition of dynamical
    mean-field theory gives to the variance :math:`C_h(0)` instead of the static equation.

    Parameters
    ----------
    log_b
        ln b = ln(g_h sqrt(C_h(0))), a scalar.
    alpha_r
        Gain of the output gate, a scalar.
    around
        Only ``z_offset`` and ``z_input`` may differ from zero.

    Returns
    -------
    BranchPoint
        ``variance`` is C_h(0).

    Assumptions
    -----------
    alpha_z = 0, tau_r -> 0, no biases.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 8, G5-G7.
    """
    b = jnp.exp(log_b)
    phi = activation_moments(0.0, b**2)
    r = gate_moments(0.0, alpha_r**2 * phi.square)
    gain = potential_branch(b, alpha_r * jnp.sqrt(phi.square)).g_h
    response = phi.slope_square * (r.square + phi.square * alpha_r**2 * r.slope_square)
    log_radius = jnp.log(gain) + jnp.log(response) / 2
    log_open = log_ndtr(around.z_offset / jnp.sqrt(phi.square + around.z_input))
    log_marginal = 2 * log_radius + log_open
    return BranchPoint(jnp.log(gain), log_radius, log_marginal, (b / gain) ** 2, phi.square)
