"""Branches tabulated over b and alpha_r: where to look for a critical point, to a millionth.

The averages over h depend on b alone and those over the output gate on its argument's variance
alone. Each is computed once, exactly, along its own axis; the table over the plane then costs an
interpolation per point. Critical points found in it are only starts: `phases.lines` refines them
on the exact branch.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import expit, log_ndtr

from gatefield.core.types import HostArray
from gatefield.phases.branch import BranchPoint, static_branch
from gatefield.phases.surroundings import Surroundings
from gatefield.theory.static.moments import activation_moments, gate_moments

_LOG_VARIANCE = np.linspace(np.log(1e-6), np.log(1e16), 800)


@jax.jit
def _activation(beta, variance):
    return jax.vmap(lambda v: activation_moments(beta, v))(variance)


@jax.jit
def _gate(beta):
    return jax.vmap(lambda u: gate_moments(beta, jnp.exp(u)))(jnp.asarray(_LOG_VARIANCE))


@functools.lru_cache(maxsize=16)
def _gate_splines(beta_r: float) -> tuple[CubicSpline, CubicSpline]:
    """Return splines in ln variance of (<s^2> - s(beta)^2) / variance and of ln <s'^2>."""
    moments = _gate(beta_r)
    variance = np.exp(_LOG_VARIANCE)
    # The deviation from the value at zero variance decides where folds begin: keep its digits.
    rise = (np.asarray(moments.square) - expit(beta_r) ** 2) / variance
    slope = np.log(np.maximum(np.asarray(moments.slope_square), 1e-300))
    return CubicSpline(_LOG_VARIANCE, rise), CubicSpline(_LOG_VARIANCE, slope)


def static_table(log_b: HostArray, alphas: HostArray, around: Surroundings) -> BranchPoint:
    """Return the static branch at every pair (alpha_r, b), rows alpha_r, to about 1e-6.

    Parameters
    ----------
    log_b, alphas
        Values of ln b and of alpha_r.
    around
        Biases and inputs.

    Returns
    -------
    BranchPoint
        Host arrays (alphas, b), as `static_branch` defines them.
    """
    phi = _activation(around.beta_h, jnp.asarray(np.exp(2 * log_b) + around.h_bias))
    activity, slope = (np.asarray(values)[None, :] for values in phi)
    gain = np.asarray(alphas)[:, None]
    r_variance = np.maximum(gain**2 * (activity + around.r_input) + around.r_bias, 1e-300)
    place = np.clip(np.log(r_variance), _LOG_VARIANCE[0], _LOG_VARIANCE[-1])
    rise, log_slope = _gate_splines(around.beta_r)
    gate_square = expit(around.beta_r) ** 2 + r_variance * rise(place)
    variance = activity * gate_square + around.h_input
    log_gain = log_b[None, :] - np.log(np.maximum(variance, 1e-300)) / 2
    response = slope * (gate_square + activity * gain**2 * np.exp(log_slope(place)))
    # A saturated tanh responds less than the smallest number; it is stable all the same.
    log_radius = log_gain + np.log(np.maximum(response, 1e-300)) / 2
    log_marginal = 2 * log_radius + log_ndtr(around.z_offset / np.sqrt(activity + around.z_input))
    return BranchPoint(log_gain, log_radius, log_marginal, variance, activity + 0 * gain)


@functools.partial(jax.jit, static_argnums=3)
def _exact(log_b, alphas, around, branch):
    along = jax.vmap(branch, in_axes=(0, None, None))
    return jax.lax.map(lambda alpha: along(log_b, alpha, around), alphas)


def branch_table(
    log_b: HostArray, alphas: HostArray, around: Surroundings, branch: Any
) -> BranchPoint:
    """Return any branch at every pair (alpha_r, b): interpolated if static, else evaluated."""
    if branch is static_branch:
        return static_table(log_b, alphas, around)
    points = _exact(jnp.asarray(log_b), jnp.asarray(alphas), around, branch)
    return BranchPoint(*(np.asarray(values) for values in points))
