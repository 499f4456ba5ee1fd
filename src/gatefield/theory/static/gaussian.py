"""Static mean-field theory of the gated RNN in closed form: its fixed points are Gaussian."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import GatedRNN, VanillaRNN
from gatefield.core.checks import concrete
from gatefield.core.errors import InvalidInputError, refuse
from gatefield.core.types import Array, Bool, Float
from gatefield.theory.static.conditions import StaticConditions
from gatefield.theory.static.moments import activation_moments, gate_moments

MAX_BRANCHES = 5
_SMALLEST, _LINEAR = 1e-32, 1e-6  # below _LINEAR the map is its linear part: few points suffice
_POINTS_LINEAR, _POINTS = 32, 96
_REFINEMENTS = 30
_ROUNDING = 1e-13
_SHUT = 1e-6
_BISECTIONS = 45


class Gates(NamedTuple):
    """A gated RNN's static equations in terms of the arguments of tanh and of the gates.

    The argument of tanh has mean ``h_mean`` and variance g^2 D_h + ``h_bias``; ``h_input`` is the
    variance that static input adds to h. Likewise for the output and update gates.
    """

    g: Any
    h_mean: Any
    h_bias: Any
    h_input: Any
    alpha_r: Any
    r_mean: Any
    r_bias: Any
    r_input: Any
    alpha_z: Any
    z_mean: Any
    z_bias: Any
    z_input: Any


class StaticPoint(NamedTuple):
    """Order parameters at a variance D_h: a solution only where ``mapped`` equals it."""

    mapped: Array
    activity: Array
    gate_square: Array
    open_fraction: Array
    radius: Array


class Branches(NamedTuple):
    """All solutions, ascending, padded to `MAX_BRANCHES`; ``found`` marks the true ones."""

    variance: Float[Array, " branch"]
    found: Bool[Array, " branch"]


def gates_of(cell: GatedRNN | VanillaRNN, given: StaticConditions) -> Gates:
    """Translate a cell and its static conditions into `Gates`.

    Raises
    ------
    InvalidInputError
        If a static input to h is integrated outside an update gate that varies: then
        h* = eta + I / s_z is not Gaussian.
    """
    mean, variance, bias = given.input_mean, given.input_variance, given.bias_variance
    if isinstance(cell, VanillaRNN):
        # A gate whose argument is 1e3 is open to the last bit.
        shut = (0.0, 1e3, 0.0, 0.0)
        h_mean = cell.beta + cell.g * mean["h"]
        return Gates(cell.g, h_mean, bias["h"], variance["h"], *shut, *shut)
    rate = 1.0
    if cell.input_gating == "none":
        alpha_z, driven = concrete(cell.alpha_z), concrete(variance["h"] + abs(mean["h"]))
        jitters = concrete(bias["z"])
        varies = (alpha_z is None or np.any(alpha_z > 0)) or (
            jitters is None or np.any(jitters > 0)
        )
        if (driven is None or np.any(driven > 0)) and varies:
            raise InvalidInputError(
                "input_gating = 'none' with alpha_z > 0 and a static input to h: expected a "
                "Gaussian fixed point, but h* = eta + I_h / s_z(z) is not. Build the cell with "
                "input_gating='update', or use method='sampled'."
            )
        rate = jax.nn.sigmoid(cell.beta_z)
        shut = concrete(rate)
        if shut is not None and np.any(shut < _SHUT) and (driven is None or np.any(driven > 0)):
            refuse("beta_z", cell.beta_z, "a gate that opens", "Input would drive h far.")
    return Gates(
        g=cell.g_h,
        h_mean=cell.beta_h + cell.g_h * mean["h"] / rate,
        h_bias=bias["h"],
        h_input=variance["h"] / rate**2,
        alpha_r=cell.alpha_r,
        r_mean=cell.beta_r + cell.alpha_r * mean["r"],
        r_bias=bias["r"],
        r_input=variance["r"],
        alpha_z=cell.alpha_z,
        z_mean=cell.beta_z + cell.alpha_z * mean["z"],
        z_bias=bias["z"],
        z_input=variance["z"],
    )


def static_point(gates: Gates, variance: Any) -> StaticPoint:
    r"""Evaluate the static mean-field map and the radius at a variance D_h.

    .. math::

        D_h = \langle\phi^2\rangle_{D_h}\langle\sigma_r^2\rangle_{D_r} + \mathrm{var} I_h, \quad
        \rho^2 = \langle\phi'^2\rangle
        (\langle\sigma_r^2\rangle + \langle\phi^2\rangle\langle\sigma_r'^2\rangle)

    with :math:`D_r = \langle\phi^2\rangle + \mathrm{var} I_r` and likewise for z.

    Parameters
    ----------
    gates
        Scalars.
    variance
        D_h, a scalar.

    Returns
    -------
    StaticPoint

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 6, C26-C30.
    """
    phi = activation_moments(gates.h_mean, gates.g**2 * variance + gates.h_bias)
    r_variance = gates.alpha_r**2 * (phi.square + gates.r_input) + gates.r_bias
    r = gate_moments(gates.r_mean, r_variance)
    z_variance = gates.alpha_z**2 * (phi.square + gates.z_input) + gates.z_bias
    z = gate_moments(gates.z_mean, z_variance)
    response = r.square + phi.square * gates.alpha_r**2 * r.slope_square
    return StaticPoint(
        mapped=phi.square * r.square + gates.h_input,
        activity=phi.square,
        gate_square=r.square,
        open_fraction=z.mean,
        radius=gates.g * jnp.sqrt(phi.slope_square * response),
    )


def _excess(gates: Gates, log_variance: Any) -> Array:
    """Return mapped / D_h - 1, whose zeros are the nonzero solutions."""
    variance = jnp.exp(log_variance)
    phi = activation_moments(gates.h_mean, gates.g**2 * variance + gates.h_bias)
    r_variance = gates.alpha_r**2 * (phi.square + gates.r_input) + gates.r_bias
    r = gate_moments(gates.r_mean, r_variance)
    return (phi.square * r.square + gates.h_input) / variance - 1


def static_branches(gates: Gates) -> Branches:
    """Find every solution of the static equations; traceable, and differentiable in the gates.

    The excess mapped/D - 1 is scanned in ln D from 1e-32 upwards, extrema that nearly touch zero
    are refined so that close pairs are found, each change of sign is bisected, and one Newton step
    at the end carries the implicit derivatives.

    Parameters
    ----------
    gates
        Scalars, possibly traced.

    Returns
    -------
    Branches
        Ascending variances D_h, padded with zeros.
    """
    fixed = jax.lax.stop_gradient(gates)
    excess = jax.vmap(lambda u: _excess(fixed, u))
    highest = jnp.log(1.01 + fixed.h_input)
    grid = jnp.concatenate(
        [
            jnp.linspace(np.log(_SMALLEST), np.log(_LINEAR), _POINTS_LINEAR, endpoint=False),
            np.log(_LINEAR) + (highest - np.log(_LINEAR)) * jnp.linspace(0.0, 1.0, _POINTS),
        ]
    )
    values = excess(grid)
    touching = [_refined_extremum(fixed, grid, sign * values, sign) for sign in (1.0, -1.0)]
    grid = jnp.sort(jnp.concatenate([grid, jnp.stack(touching)]))
    values = excess(grid)
    # At the critical gain the excess vanishes to rounding over many decades: such points take the
    # sign of the first one above them that has any.
    sign = jnp.where(jnp.abs(values) > _ROUNDING, jnp.sign(values), 0.0)
    places = jnp.arange(sign.size)
    upper = jax.lax.cummin(jnp.where(sign != 0, places, sign.size - 1), reverse=True)
    sign = sign[upper]
    crosses = sign[:-1] * sign[1:] < 0
    # The first MAX_BRANCHES - 1 crossings; one place is kept for the zero solution.
    (places,) = jnp.nonzero(crosses, size=MAX_BRANCHES - 1, fill_value=-1)
    found = places >= 0
    roots = _bisect(fixed, grid[places], grid[places + 1], sign[places])
    roots = jax.vmap(lambda u: _with_derivatives(gates, u))(roots)
    sources = jnp.abs(fixed.h_mean) + fixed.h_bias + fixed.h_input
    # Sources too weak for the grid leave a solution below it, as good as zero.
    lowest = jnp.where(sources == 0, 0.0, static_point(gates, 0.0).mapped)
    at_zero = (sources == 0) | (sign[0] <= 0)
    variance = jnp.concatenate([lowest[None], jnp.where(found, roots, jnp.inf)])
    found = jnp.concatenate([at_zero[None], found])
    order = jnp.argsort(jnp.where(found, variance, jnp.inf))
    return Branches(jnp.where(found, variance, 0.0)[order], found[order])


def _refined_extremum(gates, grid, values, sign):
    """Return where the highest local maximum below zero (of sign * excess) stands, refined."""
    inner = values[1:-1]
    candidate = (inner >= values[:-2]) & (inner >= values[2:]) & (inner < 0)
    peak = jnp.argmax(jnp.where(candidate, inner, -jnp.inf)) + 1
    golden = (np.sqrt(5) - 1) / 2

    def shrink(_, bounds):
        low, high = bounds
        left, right = high - golden * (high - low), low + golden * (high - low)
        up = sign * _excess(gates, left) < sign * _excess(gates, right)
        return jnp.where(up, left, low), jnp.where(up, high, right)

    low, high = jax.lax.fori_loop(0, _REFINEMENTS, shrink, (grid[peak - 1], grid[peak + 1]))
    return (low + high) / 2


def _bisect(gates, low, high, low_values):
    """Halve the brackets of several crossings at once."""
    excess = jax.vmap(lambda u: _excess(gates, u))

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        same = jnp.sign(excess(middle)) == jnp.sign(low_values)
        return jnp.where(same, middle, low), jnp.where(same, high, middle)

    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (low, high))
    return (low + high) / 2


def _with_derivatives(gates, log_variance):
    """Attach the implicit derivatives to a root, by one Newton step whose slope is fixed."""
    u = jax.lax.stop_gradient(log_variance)
    slope = jax.lax.stop_gradient(jax.grad(_excess, argnums=1)(gates, u))
    value = _excess(gates, u)
    # At a fold the slope vanishes and derivatives are infinite; the value itself must stay finite.
    safe = jnp.where(jnp.abs(slope) > 1e-9, slope, jnp.inf)
    newton = value / safe
    return jnp.exp(
        u - jnp.where(jnp.abs(newton) < 1e-3, newton, newton - jax.lax.stop_gradient(newton))
    )
