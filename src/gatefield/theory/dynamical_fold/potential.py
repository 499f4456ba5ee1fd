"""The dynamical transition for tau_r -> 0, where C_h(t) moves in a potential (energy condition).

With time in units of the unit's own time constant, alpha_z = 0 and no biases,

    -4 C_h'' + C_h = F_phi(C_h, C0) F_sr(C_r, C_r(0)) ,   C_r = C_phi = F_phi(C_h, C0) .

Multiplying by C_h' and integrating from t = 0, where C_h' = 0, to infinity gives the energy
condition. In rho = C_h / C0, b = g_h sqrt(C0) and a = alpha_r sqrt(C_r(0)) it can be solved for
both gains,

    g_h^2 = b^2 / ( 2 int_0^1 F_phi(rho; b) F_sr( F_phi(rho; b)/F_phi(1; b); a ) drho ) ,
    alpha_r = a / sqrt( F_phi(1; b) ) ,

so that every pair (b, a) is a solution and the transition is where g_h is least along b at fixed
alpha_r: two equations in (ln b, ln alpha_r), solved by Newton's method.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from gatefield.numerics.scale_mixture import NODES, sigmoid_two_point, tanh_two_point
from gatefield.theory.dynamical_fold.result import (
    LARGEST_TRUNCATION,
    UPPER_GAIN,
    DynamicalFold,
    absent,
    checked_gain,
)

LOWER_GAIN = float(np.sqrt(8.0 / 3.0))
"""Lower end of the line for tau_r -> 0 (Eq. G15), where alpha_r diverges as 4 pi / (3 - 8/g^2)."""

ENERGY_NODES = 32
_FINER = {"energy_nodes": 40, "nodes": NODES + 2}
_MAX_STEPS = 25
# Chebyshev coefficients of ln(alpha_r cos^2) and ln(b^2 / (sin cos^2)) in 4 theta/pi - 1, fitted to
# the line (`first_guess`). They save two of three Newton steps and do not enter the result.
_GUESS_ALPHA = (
    1.98926500,
    0.64291433,
    -0.10301948,
    0.00122076,
    0.00055617,
    0.00013802,
    -0.00006146,
    0.00001260,
    -0.00000144,
)
_GUESS_SQUARE = (
    -2.17023242,
    -0.42341641,
    0.08362112,
    0.02630361,
    -0.00070981,
    -0.00065085,
    0.00020005,
    -0.00001395,
    -0.00001210,
    0.00000505,
    -0.00000112,
)


class PotentialBranch(NamedTuple):
    """Gains at which the mean-field theory has the solution (b, a)."""

    g_h: Float[Array, "..."]
    alpha_r: Float[Array, "..."]


@functools.lru_cache(maxsize=16)
def energy_rule(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights for integrals over rho in [0, 1], clustered at rho = 1.

    A steep gate leaves a square root at rho = 1, rounded on the scale 1/a^2. With 1 - rho = y^4 and
    Gauss-Legendre nodes in y, 32 nodes integrate the energy to 1e-13 for every a up to 1e6.
    """
    y, weight = np.polynomial.legendre.leggauss(count)
    y, weight = 0.5 * (y + 1.0), 0.5 * weight
    return 1.0 - y**4, weight * 4.0 * y**3


def potential_branch(
    b: Float[ArrayLike, "..."],
    a: Float[ArrayLike, "..."],
    *,
    energy_nodes: int = ENERGY_NODES,
    nodes: int = NODES,
) -> PotentialBranch:
    """Gains (g_h, alpha_r) whose mean-field theory has the fluctuating solution (b, a).

    g_h^2 = b^2 / ( 2 int_0^1 F_phi(rho; b) F_sr(F_phi(rho; b)/F_phi(1; b); a) drho ),
    alpha_r = a / sqrt(F_phi(1; b)).

    Parameters
    ----------
    b : (...)
        g_h sqrt(C_h(0)) > 0, dimensionless.
    a : (...)
        alpha_r sqrt(C_r(0)) >= 0, dimensionless.
    energy_nodes
        Nodes of `energy_rule`.
    nodes
        Nodes of the two-point functions.

    Returns
    -------
    PotentialBranch
        g_h and alpha_r, broadcast over b and a; C_h(0) = (b/g_h)^2, C_r(0) = F_phi(1; b). Pure and
        differentiable; in float64 accurate to 1e-12 for b up to 1e2 and a up to 1e6.

    Assumptions
    -----------
    alpha_z = 0, tau_r -> 0, no biases.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G5-G7.
    """
    b, a = jnp.broadcast_arrays(jnp.asarray(b), jnp.asarray(a))
    dtype = jnp.result_type(b, a, float)
    b, a = b.astype(dtype), a.astype(dtype)
    rho, weight = energy_rule(energy_nodes)
    rho = jnp.asarray(np.append(rho, 1.0), dtype)
    phi = tanh_two_point(rho, b[..., None], nodes=nodes)
    phi, variance_r = phi[..., :-1], phi[..., -1:]
    gate = sigmoid_two_point(phi / variance_r, a[..., None], nodes=nodes)
    energy = 2.0 * (phi * gate) @ jnp.asarray(weight, dtype)
    return PotentialBranch(b / jnp.sqrt(energy), a / jnp.sqrt(variance_r[..., 0]))


def _fold_equations(
    unknowns: Array, log_gain: Array, energy_nodes: int = ENERGY_NODES, nodes: int = NODES
) -> Array:
    """Return ln g - target and d ln g / d ln b at fixed alpha_r, for (ln b, ln alpha_r)."""

    def log_g(log_b: Array) -> Array:
        b = jnp.exp(log_b)
        a = jnp.exp(unknowns[1]) * jnp.sqrt(tanh_two_point(1.0, b, nodes=nodes))
        return jnp.log(potential_branch(b, a, energy_nodes=energy_nodes, nodes=nodes).g_h)

    value, slope = jax.jvp(log_g, (unknowns[0],), (jnp.ones_like(log_gain),))
    return jnp.stack([value - log_gain, slope])


def first_guess(g_h: Array) -> tuple[Array, Array]:
    """Return (b, alpha_r) close to the line, to about 1e-6.

    With 8 (1/g^2 - 1/4) = sin^2(theta), alpha_r cos^2(theta) and b^2/(sin(theta) cos^2(theta)) are
    smooth from end to end, theta in [0, pi/2]. At g = 2 - eps expanding the energy condition gives
    b^2 = sqrt(3 eps/44) and alpha_r = sqrt(12) + sqrt(44 eps); at the lower end
    alpha_r = 4 pi/(3 - 8/g^2) and b^2 = pi/(3 alpha_r).
    """
    upper = 2.0 * (2.0 - g_h) * (2.0 + g_h) / g_h**2
    lower = 3.0 * (g_h - LOWER_GAIN) * (g_h + LOWER_GAIN) / g_h**2
    place = (4.0 / np.pi) * jnp.arctan2(jnp.sqrt(upper), jnp.sqrt(lower)) - 1.0
    polynomials = jnp.cos(jnp.arange(len(_GUESS_SQUARE)) * jnp.arccos(place))
    alpha = jnp.exp(polynomials[: len(_GUESS_ALPHA)] @ jnp.asarray(_GUESS_ALPHA)) / lower
    square = jnp.exp(polynomials @ jnp.asarray(_GUESS_SQUARE)) * jnp.sqrt(upper) * lower
    return jnp.sqrt(square), alpha


def _tolerance(g_h: Array) -> Array:
    """Return the tolerance in ln alpha_r; rounding of g_h alone limits it close to the ends.

    d alpha_r / d g grows as the square root of 1/(2 - g) at one end, as 1/(g - g_0) at the other.
    """
    return 1e-12 + 1e-14 / (jnp.sqrt(2.0 - g_h) * (g_h - LOWER_GAIN))


@jax.jit
def _solve(g_h: Array) -> Array:
    """Return b, alpha_r, C_r(0), residual, truncation and convergence (0 or 1) for one gain."""
    log_gain = jnp.log(g_h)

    def equations(unknowns: Array) -> tuple[Array, Array]:
        value = _fold_equations(unknowns, log_gain)
        return value, value

    def newton_step(jacobian: Array, value: Array) -> Array:
        step = -jnp.linalg.solve(jacobian, value)
        return step * jnp.minimum(1.0, 0.5 / jnp.maximum(jnp.max(jnp.abs(step)), 0.5))

    def body(carry: tuple) -> tuple:
        unknowns, step, _, _, count = carry
        unknowns = jnp.where(jnp.all(jnp.isfinite(step)), unknowns + step, unknowns)
        jacobian, value = jax.jacfwd(equations, has_aux=True)(unknowns)
        return unknowns, newton_step(jacobian, value), value, jacobian, count + 1

    def done(step: Array) -> Array:
        # ln alpha_r is stationary in ln b at the fold, so that an error in ln b counts squared.
        return (jnp.abs(step[1]) <= _tolerance(g_h)) & (jnp.abs(step[0]) <= 1e-5)

    def unfinished(carry: tuple) -> Array:
        # The first round only evaluates: compiling one Jacobian instead of two halves the wait.
        return (carry[-1] == 0) | ((carry[-1] < _MAX_STEPS) & ~done(carry[1]))

    start = jnp.log(jnp.stack(first_guess(g_h)))
    carry = (start, jnp.zeros(2), jnp.zeros(2), jnp.eye(2), 0)
    unknowns, step, value, jacobian, _ = lax.while_loop(unfinished, body, carry)
    finer = newton_step(jacobian, _fold_equations(unknowns, log_gain, **_FINER) - value)
    # The step that passed the test is known, so it is taken: the residual is the one before it.
    b, alpha = jnp.exp(jnp.where(done(step), unknowns + step, unknowns))
    residual = jnp.max(jnp.abs(value))
    truncation = jnp.where(jnp.isfinite(finer[1]), jnp.abs(finer[1]), jnp.inf)
    good = done(step) & (truncation <= LARGEST_TRUNCATION)
    return jnp.stack([b, alpha, tanh_two_point(1.0, b), residual, truncation, good])


def potential_fold(g_h: npt.ArrayLike) -> DynamicalFold:
    """Dynamical transition alpha*_DMFT(g_h) of the gated network for tau_r -> 0.

    Fcal(C0) = int_0^C0 [ C - F_phi(C, C0) F_sr(F_phi(C, C0), F_phi(C0, C0)) ] dC = 0 and
    dFcal/dC0 = 0, solved for alpha_r and C0.

    Parameters
    ----------
    g_h : (...)
        Gain of the activation, finite and positive, dimensionless.

    Returns
    -------
    DynamicalFold
        Host arrays of the shape of g_h. The line exists for sqrt(8/3) < g_h < 2 only, and
        ``alpha_r`` is infinite elsewhere. It tends to sqrt(12) + sqrt(44 (2 - g_h)) as g_h -> 2,
        and to 4 pi / (3 - 8/g_h^2) as g_h -> sqrt(8/3).

    Raises
    ------
    InvalidInputError
        A ValueError, if a gain is not finite and positive.

    Assumptions
    -----------
    alpha_z = 0, tau_r -> 0, no biases, no input, N -> infinity.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G7-G9; ends: Eqs. G13-G18.
    """
    gain = checked_gain(g_h)
    fields = absent(gain, np.zeros(()))
    inside = (gain > LOWER_GAIN) & (gain < UPPER_GAIN)
    if not np.any(inside):
        return DynamicalFold(**fields)
    with jax.enable_x64(True):
        # One compiled scalar solver, called in turn: no recompilation for another number of gains,
        # and the work of one gain stays in the cache (twice as fast as the same under vmap).
        rows = [np.asarray(_solve(jnp.asarray(value, jnp.float64))) for value in gain[inside]]
    b, alpha, variance_r, residual, truncation, done = np.stack(rows, axis=1)
    fields["alpha_r"][inside] = alpha
    fields["variance_h"][inside] = (b / gain[inside]) ** 2
    fields["variance_r"][inside] = variance_r
    fields["residual"][inside] = residual
    fields["truncation"][inside] = truncation
    fields["converged"][inside] = done.astype(bool)
    return DynamicalFold(**fields)
