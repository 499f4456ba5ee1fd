"""Two-point functions of any nonlinearity of one variable, as Hermite series.

With orthonormal Hermite polynomials h_n and b_n = < f(x) h_n(x) > over a standard normal x,

    F(rho) = < f(x) f(y) > = sum_n b_n^2 rho^n ,   <x^2> = <y^2> = 1 ,  <x y> = rho  (Mehler) .

What a finite sum leaves out is known exactly at rho = 1, where it is largest: <f^2> - sum b_n^2
(Parseval). For a step of width 1/gain the terms fall as exp(-pi sqrt(n) / gain) only, so steep
gates of tanh or sigmoid form are better served by `gatefield.numerics.scale_mixture` (without a
bias) and `gatefield.numerics.biased_two_point`; this file serves every other nonlinearity, and as
an independent check.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

TERMS = 1200
STEP = 0.02
# Beyond, sqrt(density) is below the rounding of float64 relative to its maximum.
_HALF_WIDTH = 12.4


class HermiteSeries(eqx.Module):
    """Hermite coefficients of a nonlinearity, and what the finite series leaves out.

    Attributes
    ----------
    coefficients : (term,)
        b_n = < f(x) h_n(x) >, n = 0, 1, ...
    tail : ()
        <f^2> - sum b_n^2 >= 0 up to rounding: the error of F at rho = 1, and its bound elsewhere.
    """

    coefficients: Float[Array, " term"]
    tail: Float[Array, ""]


@functools.lru_cache(maxsize=4)
def hermite_table(terms: int = TERMS, step: float = STEP) -> tuple[np.ndarray, np.ndarray]:
    """Return a uniform grid and the matrix that turns values on it into Hermite coefficients.

    b_n = sum_k f(x_k) sqrt(p(x_k)) psi_n(x_k) step,  psi_n = h_n sqrt(p),  p the normal density.

    Parameters
    ----------
    terms
        Number of coefficients.
    step
        Distance of the grid points, in standard deviations. The trapezoid rule is exact to
        rounding while both f and psi_n, which oscillates with wave number sqrt(n), are resolved:
        step (sqrt(terms) + 12 gain) < 2 pi for tanh(gain x).

    Returns
    -------
    grid, matrix
        Points (point,) and matrix (term, point), float64 host arrays, built once.
    """
    count = int(np.ceil(_HALF_WIDTH / step))
    grid = step * np.arange(-count, count + 1)
    root = (2.0 * np.pi) ** -0.25 * np.exp(-0.25 * grid**2)
    functions = np.empty((terms, grid.size))
    functions[0] = root
    if terms > 1:
        functions[1] = grid * root
    # Upwards, the recurrence of the normalised functions neither over- nor underflows, and is
    # stable wherever they oscillate; beyond, they are negligible.
    for n in range(1, terms - 1):
        functions[n + 1] = (grid * functions[n] - np.sqrt(n) * functions[n - 1]) / np.sqrt(n + 1)
    return grid, functions * (root * step)


def hermite_series(
    function: Callable[[Array], Array], *, terms: int = TERMS, step: float = STEP
) -> HermiteSeries:
    """Hermite series of a nonlinearity of a standard normal variable.

    b_n = < f(x) h_n(x) >,  tail = <f^2> - sum_n b_n^2.

    Parameters
    ----------
    function
        f, applied to an array of points; gain and standard deviation absorbed, dimensionless.
    terms
        Number of coefficients.
    step
        Grid step of `hermite_table`, in standard deviations.

    Returns
    -------
    HermiteSeries
        Coefficients and tail, differentiable in whatever ``function`` closes over.

    Assumptions
    -----------
    f is smooth on the scale of ``step`` and grows more slowly than exp(x^2/4).

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G3-G4 (the functional F_psi).
    """
    grid, matrix = hermite_table(terms, step)
    points = jnp.asarray(grid)
    values = function(points)
    coefficients = jnp.asarray(matrix, values.dtype) @ values
    density = np.exp(-0.5 * grid**2) / np.sqrt(2.0 * np.pi) * step
    square = jnp.asarray(density, values.dtype) @ values**2
    return HermiteSeries(coefficients, square - jnp.sum(coefficients**2))


def tanh_series(
    gain: ArrayLike, bias: ArrayLike = 0.0, *, terms: int = TERMS, step: float = STEP
) -> HermiteSeries:
    """Return the Hermite series of tanh(gain x + bias), for scalars gain and bias.

    The tail is of order exp(-pi sqrt(terms) / gain): 1e-8 at a gain of 6 with 1200 terms.
    """
    return hermite_series(lambda x: jnp.tanh(gain * x + bias), terms=terms, step=step)


def sigmoid_series(
    gain: ArrayLike, bias: ArrayLike = 0.0, *, terms: int = TERMS, step: float = STEP
) -> HermiteSeries:
    """Return the Hermite series of 1 / (1 + exp(-gain x - bias)), for scalars gain and bias.

    The tail is of order exp(-2 pi sqrt(terms) / gain): 1e-8 at a gain of 12 with 1200 terms.
    """
    return hermite_series(lambda x: jax.nn.sigmoid(gain * x + bias), terms=terms, step=step)


def two_point(series: HermiteSeries, correlation: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Two-point function F(rho) = sum_n b_n^2 rho^n.

    Parameters
    ----------
    series
        Coefficients of the nonlinearity.
    correlation : (...)
        rho in [-1, 1], dimensionless.

    Returns
    -------
    array (...)
        F(rho); the error is at most ``series.tail`` times |rho|^terms.
    """
    square = series.coefficients**2
    rho = jnp.asarray(correlation, square.dtype)
    return cast(Array, jnp.polyval(square[::-1], rho, unroll=16))


def two_point_slope(
    series: HermiteSeries, correlation: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Slope of the two-point function, dF/drho = < f'(x) f'(y) > = sum_n n b_n^2 rho^(n-1).

    Parameters
    ----------
    series
        Coefficients of the nonlinearity.
    correlation : (...)
        rho in [-1, 1], dimensionless.

    Returns
    -------
    array (...)
        dF/drho. Near rho = 1 it converges more slowly than F by one power of n.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G10-G12.
    """
    square = series.coefficients**2
    weighted = (square * jnp.arange(square.size))[1:]
    rho = jnp.asarray(correlation, square.dtype)
    return cast(Array, jnp.polyval(weighted[::-1], rho, unroll=16))
