r"""Averages over one and two Gaussian variables, exact to rounding also for switch-like functions.

Gauss-Hermite rules fail for a function that varies on a scale of 1e-3 standard deviations, such as
a gate of gain 1e3. The rule here is the trapezoid in t after the substitution

.. math:: x = m + w \sinh(t) \sqrt{1 + d^2/\cosh^2 t}

whose nodes cluster around the two centres :math:`m \pm w d` down to the scale w = 1e-5 and spread
exponentially away from them. The integrand is analytic in a strip of t whose width does not depend
on the function's own scale, so the error falls exponentially in the number of nodes, equally fast
for every gain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.types import Array

Function = Callable[[Any], Any]

_SCALE = 1e-5
_REACH = 9.0  # exp(-9^2 / 2) = 3e-18: nothing is left beyond nine standard deviations.
_WITHIN = (-6.5, 6.5)  # Features beyond weigh below 1e-12; nodes must still resolve exp(-x^2/2).
_SPACING = 0.08


def clustered_rule(centre: Any, *, spacing: float = _SPACING) -> tuple[Array, Array]:
    """Return nodes and weights for averages over N(0, 1), clustered around one centre.

    Parameters
    ----------
    centre
        Where the function may vary sharply, a scalar in standard deviations. Centres outside
        +-6.5 are drawn in: what varies there has no weight.
    spacing
        Spacing of the trapezoid rule; halving it squares the error.

    Returns
    -------
    nodes, weights
        The average of f is ``sum(weights * f(nodes))``.
    """
    # The rule's accuracy does not depend on where exactly its nodes lie: no gradient through them.
    middle = jnp.clip(jax.lax.stop_gradient(jnp.asarray(centre)), *_WITHIN)
    sinh, cosh = _hyperbolic(spacing)
    x = middle + _SCALE * jnp.asarray(sinh, _precision(middle))
    return _weighted(x, _SCALE * spacing * jnp.asarray(cosh, x.dtype))


def clustered_rule_two(
    first: Any, second: Any, *, spacing: float = _SPACING
) -> tuple[Array, Array]:
    """Return nodes and weights as `clustered_rule` does, clustered around two centres."""
    first, second = jax.lax.stop_gradient((jnp.asarray(first), jnp.asarray(second)))
    first, second = jnp.clip(first, *_WITHIN), jnp.clip(second, *_WITHIN)
    middle, d = (first + second) / 2, jnp.abs(second - first) / 2 / _SCALE
    # Two centres share the range of t, each is passed at half the rate: the steps are halved.
    sinh, cosh = (jnp.asarray(a, _precision(middle)) for a in _hyperbolic(spacing / 2))
    stretch = jnp.sqrt(1 + (d / cosh) ** 2)
    x = middle + _SCALE * sinh * stretch
    slope = cosh * (stretch - (sinh / cosh) ** 2 * (d / cosh) ** 2 / stretch)
    return _weighted(x, _SCALE * spacing / 2 * slope)


def _hyperbolic(step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return sinh(t) and cosh(t) on the trapezoid's points: constants, whatever the centres."""
    count = int(np.ceil(np.arcsinh(2 * _REACH / _SCALE) / step))
    t = np.arange(-count, count + 1) * step
    return np.sinh(t), np.cosh(t)


def _weighted(x: Array, width: Array) -> tuple[Array, Array]:
    weights = jnp.exp(-(x**2) / 2) * width
    return x, weights / jnp.sum(weights)


def _precision(value: Array) -> Any:
    return jnp.result_type(value, float)


def gaussian_average(
    function: Function, variance: Any, *, mean: Any = 0.0, centre: Any = 0.0
) -> Array:
    r"""Average a function of one Gaussian variable, :math:`\langle f(x)\rangle_{x\sim N(m, D)}`.

    Parameters
    ----------
    function
        Elementwise function, analytic but for one sharp feature (a tanh or sigmoid of any gain, a
        step); it may return an array whose last axis is its argument's.
    variance
        D >= 0, scalar.
    mean
        m, scalar.
    centre
        Where the sharp feature stands, in the units of x: -bias/gain for tanh(gain x + bias).

    Returns
    -------
    array
        The average, in the precision of the arguments; differentiable in everything that
        ``function``, ``variance`` and ``mean`` depend on.

    Assumptions
    -----------
    Absolute accuracy 1e-10 or better in float64 for gains times sqrt(D) up to 1e4. Evaluate inside
    ``jax.enable_x64(True)``; results in float32 have its rounding.
    """
    deviation = _safe_sqrt(variance)
    place = (centre - mean) / jnp.maximum(deviation, 1e-300)
    nodes, weights = clustered_rule(place)
    average = jnp.sum(weights * function(mean + deviation * nodes), axis=-1)
    # sqrt(D) has no derivative at zero, the average has: f + D f''/2 carries it there.
    at_mean = jnp.reshape(jnp.asarray(mean, nodes.dtype), 1)
    bent = _derivative(_derivative(function))(at_mean)
    start = (function(at_mean) + jnp.asarray(variance) / 2 * bent)[..., 0]
    return jnp.where(jnp.asarray(variance) > 0, average, start)


def gaussian_average_two(
    first: Function,
    second: Function,
    covariance: Any,
    variance: Any,
    *,
    centres: Sequence[Any] = (0.0, 0.0),
) -> Array:
    r"""Average a product over two equal-variance Gaussians, :math:`\langle f(x)\,g(y)\rangle`.

    With x, y of variance D and covariance C: :math:`x = \sqrt{|C|}\,v + \sqrt{D-|C|}\,a`,
    :math:`y = \pm\sqrt{|C|}\,v + \sqrt{D-|C|}\,b`, so that the average is
    :math:`\langle\,\langle f\rangle_a \langle g\rangle_b\,\rangle_v`, nested averages of one
    variable.

    Parameters
    ----------
    first, second
        f and g, elementwise functions as in `gaussian_average`.
    covariance
        C, scalar with |C| <= D; values outside are drawn in.
    variance
        D, scalar.
    centres
        Where the sharp features of f and of g stand.

    Returns
    -------
    array
        The average; differentiable in everything the functions depend on. For the derivatives by
        C and D use `derivative_by_covariance` and `derivative_by_variance`: they stay accurate
        where the square roots above are singular.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. G3-G4.
    """
    variance = jnp.asarray(variance)
    shared = jnp.clip(covariance, -variance, variance)
    sign = jnp.where(shared < 0, -1.0, 1.0)
    common, own = _safe_sqrt(jnp.abs(shared)), _safe_sqrt(variance - jnp.abs(shared))
    scale = jnp.maximum(common, 1e-300)
    nodes, weights = clustered_rule_two(centres[0] / scale, sign * centres[1] / scale)

    def smooth(function, centre, means):
        def average(mean):
            return gaussian_average(function, own**2, mean=mean, centre=centre)

        return jax.vmap(average)(means)

    inner = smooth(first, centres[0], common * nodes)
    outer = smooth(second, centres[1], sign * common * nodes)
    return jnp.sum(weights * inner * outer)


def derivative_by_covariance(
    first: Function,
    second: Function,
    covariance: Any,
    variance: Any,
    *,
    centres: Sequence[Any] = (0.0, 0.0),
) -> Array:
    r"""Return d<f(x) g(y)>/dC = <f'(x) g'(y)> (Price's theorem).

    Parameters and references as in `gaussian_average_two`; f and g must be differentiable by JAX.
    """
    slopes = (_derivative(first), _derivative(second))
    return gaussian_average_two(*slopes, covariance, variance, centres=centres)


def derivative_by_variance(
    first: Function,
    second: Function,
    covariance: Any,
    variance: Any,
    *,
    centres: Sequence[Any] = (0.0, 0.0),
) -> Array:
    r"""Return d<f(x) g(y)>/dD = (<f''(x) g(y)> + <f(x) g''(y)>)/2 at fixed covariance C.

    Both variances move together (Price's theorem). Parameters and references as in
    `gaussian_average_two`; f and g must be twice differentiable by JAX.
    """
    left = gaussian_average_two(
        _derivative(_derivative(first)), second, covariance, variance, centres=centres
    )
    right = gaussian_average_two(
        first, _derivative(_derivative(second)), covariance, variance, centres=centres
    )
    return (left + right) / 2


def _derivative(function: Function) -> Function:
    """Return the elementwise derivative of an elementwise function."""
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def _safe_sqrt(value: Any) -> Array:
    """Return sqrt(max(value, 0)) with derivative zero, not infinity, at zero."""
    value = jnp.asarray(value)
    positive = value > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, value, 1.0)), 0.0)
