"""Two-point functions of tanh and the sigmoid, as finite sums of arcsine laws.

A logistic variable is a Gaussian one of random width: with S from the Kolmogorov distribution,
tanh(y) = < 2 Phi(y/S) - 1 >_S. Gaussian averages of two error functions follow the arcsine law, so

    < tanh(b x) tanh(b y) > = (2/pi) < arcsin( rho c c' ) >_{S,S'} ,   c = b / sqrt(b^2 + S^2) .

The averages over S and S' are analytic for |Im ln S| < pi/2 whatever b and rho, hence a dozen Gauss
nodes in ln S are enough for every gain, from a linear unit to a step, where Hermite series
(`gatefield.numerics.hermite`) need a number of terms that grows as the square of the gain.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from scipy.linalg import eigh_tridiagonal

NODES = 12


def _kolmogorov_density(s: np.ndarray) -> np.ndarray:
    """Return the density of the Kolmogorov distribution, from the series that converges there."""
    j = np.arange(1, 20)[:, None]
    large = 8.0 * s * np.sum((-1.0) ** (j + 1) * j**2 * np.exp(-2.0 * (j * s) ** 2), axis=0)
    ratio = ((2 * j - 1) * np.pi / s) ** 2 / 8.0
    small = np.sqrt(2.0 * np.pi) / s**2 * np.sum((2.0 * ratio - 1.0) * np.exp(-ratio), axis=0)
    return np.where(s < 1.0, small, large)


@functools.lru_cache(maxsize=16)
def kolmogorov_rule(nodes: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss rule in ln S for averages over the Kolmogorov distribution.

    Parameters
    ----------
    nodes
        Number of nodes. The largest relative error of the two-point functions, over all gains and
        correlations, is 5e-12 with 10 nodes, 7e-14 with 12, and rounding from 14 on.

    Returns
    -------
    widths, weights
        Values of S, and weights that sum to 1; float64 host arrays of shape (nodes,).

    References
    ----------
    L. A. Stefanski, Stat. Probab. Lett. 11, 69 (1991): the logistic law as a normal scale mixture.
    """
    # The density falls doubly exponentially in ln S, so this trapezoid sum is exact to rounding.
    grid = np.arange(np.log(0.1), np.log(6.0), 0.02)
    mass = _kolmogorov_density(np.exp(grid)) * np.exp(grid)
    mass /= mass.sum()
    # Lanczos with full reorthogonalisation gives the recurrence of the orthogonal polynomials.
    basis = [np.sqrt(mass)]
    diagonal, off = [], []
    for _ in range(nodes):
        vector = grid * basis[-1]
        diagonal.append(basis[-1] @ vector)
        for _ in range(2):
            vector = vector - np.stack(basis).T @ (np.stack(basis) @ vector)
        off.append(np.linalg.norm(vector))
        basis.append(vector / off[-1])
    values, vectors = eigh_tridiagonal(np.array(diagonal), np.array(off[:-1]))
    return np.exp(values), vectors[0] ** 2


@functools.lru_cache(maxsize=16)
def _pairs(nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return S^2 + S'^2, S^2 S'^2 and the weight of each unordered pair of nodes."""
    widths, weights = kolmogorov_rule(nodes)
    i, j = np.triu_indices(nodes)
    multiplicity = np.where(i == j, 1.0, 2.0)
    square = widths**2
    return square[i] + square[j], square[i] * square[j], weights[i] * weights[j] * multiplicity


def _radicand(rho: Array, b2: Array, nodes: int) -> Array:
    """Return (b^2+S^2)(b^2+S'^2) - rho^2 b^4 in a form without cancellation, pairs last."""
    plus, times, _ = (jnp.asarray(part, rho.dtype) for part in _pairs(nodes))
    return (1.0 - rho) * (1.0 + rho) * b2 * b2 + plus * b2 + times


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _average(rho: Array, b: Array, nodes: int) -> Array:
    """Return F(rho; b) for arrays of one shape and type."""
    rho, b2 = rho[..., None], jnp.square(b)[..., None]
    weight = jnp.asarray(_pairs(nodes)[2], rho.dtype)
    angle = jnp.arctan(rho * b2 * lax.rsqrt(_radicand(rho, b2, nodes)))
    return (2.0 / np.pi) * (angle @ weight)


def _slope(rho: Array, b: Array, nodes: int) -> Array:
    """Return dF/drho for arrays of one shape and type."""
    rho, b2 = rho[..., None], jnp.square(b)[..., None]
    weight = jnp.asarray(_pairs(nodes)[2], rho.dtype)
    return (2.0 / np.pi) * ((b2 * lax.rsqrt(_radicand(rho, b2, nodes))) @ weight)


def _gain_slope(rho: Array, b: Array, nodes: int) -> Array:
    """Return dF/db for arrays of one shape and type."""
    b2 = jnp.square(b)[..., None]
    plus, times, weight = (jnp.asarray(part, rho.dtype) for part in _pairs(nodes))
    factor = weight * (0.5 * plus * b2 + times) / (b2 * b2 + plus * b2 + times)
    inverse_root = lax.rsqrt(_radicand(rho[..., None], b2, nodes))
    return (4.0 / np.pi) * rho * b * jnp.sum(inverse_root * factor, axis=-1)


# The pairs are summed before the tangents enter: derivatives then cost as much as values, and the
# arctangent is evaluated once. Autodiff of the sum is an order of magnitude slower.
@_average.defjvp
def _average_jvp(nodes: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    rho, b = primals
    change = _slope(rho, b, nodes) * tangents[0] + _gain_slope(rho, b, nodes) * tangents[1]
    return _average(rho, b, nodes), change


def _as_pair(correlation: Any, gain: Any) -> tuple[Array, Array]:
    """Return both arguments as floating arrays of one shape and type."""
    rho, b = jnp.broadcast_arrays(jnp.asarray(correlation), jnp.asarray(gain))
    dtype = jnp.result_type(rho, b, float)
    return rho.astype(dtype), b.astype(dtype)


def tanh_two_point(
    correlation: Float[ArrayLike, "..."], gain: Float[ArrayLike, "..."], *, nodes: int = NODES
) -> Float[Array, "..."]:
    """Two-point function of tanh under a bivariate standard normal law.

    F(rho; b) = < tanh(b x) tanh(b y) >,  <x^2> = <y^2> = 1,  <x y> = rho.

    Parameters
    ----------
    correlation : (...)
        rho in [-1, 1], dimensionless.
    gain : (...)
        b >= 0, finite: the gain times the standard deviation of the argument, dimensionless.
    nodes
        Nodes of `kolmogorov_rule`, for each of the two averages.

    Returns
    -------
    array (...)
        F, differentiable in both arguments. The relative error is 7e-14 with the default nodes,
        so that F keeps its relative accuracy as b -> 0, where F = b^2 rho.

    Assumptions
    -----------
    No bias: the argument of tanh has mean zero. In float64 the gain may reach 1e7.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G3-G4 (the functional F_psi).
    """
    return _average(*_as_pair(correlation, gain), nodes)


def tanh_two_point_slope(
    correlation: Float[ArrayLike, "..."], gain: Float[ArrayLike, "..."], *, nodes: int = NODES
) -> Float[Array, "..."]:
    """Slope of the two-point function of tanh by the correlation.

    dF/drho = b^2 < sech^2(b x) sech^2(b y) >.

    Parameters
    ----------
    correlation : (...)
        rho in [-1, 1], dimensionless.
    gain : (...)
        b >= 0, finite, dimensionless.
    nodes
        Nodes of `kolmogorov_rule`, for each of the two averages.

    Returns
    -------
    array (...)
        dF/drho; at rho = 1 this is b^2 < sech^4(b x) >.

    Assumptions
    -----------
    As for `tanh_two_point`.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G10-G12.
    """
    return _slope(*_as_pair(correlation, gain), nodes)


def sigmoid_two_point(
    correlation: Float[ArrayLike, "..."], gain: Float[ArrayLike, "..."], *, nodes: int = NODES
) -> Float[Array, "..."]:
    """Two-point function of the sigmoid under a bivariate standard normal law.

    < s(a x) s(a y) > = ( 1 + < tanh(a x / 2) tanh(a y / 2) > ) / 4,  s(u) = 1 / (1 + exp(-u)).

    Parameters
    ----------
    correlation : (...)
        rho in [-1, 1], dimensionless.
    gain : (...)
        a >= 0, finite: the gain times the standard deviation of the argument, dimensionless.
    nodes
        Nodes of `kolmogorov_rule`, for each of the two averages.

    Returns
    -------
    array (...)
        The average, between 1/4 and 1/2 for rho >= 0.

    Assumptions
    -----------
    As for `tanh_two_point`.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G3-G4.
    """
    return 0.25 * (1.0 + tanh_two_point(correlation, 0.5 * jnp.asarray(gain), nodes=nodes))
