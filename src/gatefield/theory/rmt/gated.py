r"""Closed form of the spectral curve of the gated RNN's Gaussian fixed points (Eq. 5).

The average over the update gate has poles as close to the real axis as one likes. With
:math:`\omega = \lambda/(1+\lambda)` and :math:`\delta = \pi - |\arg\omega|`,

.. math::

    \Big\langle\Big|\frac{\sigma}{\lambda+\sigma}\Big|^2\Big\rangle
    = \frac{\langle k(x)\rangle}{|1+\lambda|^2}, \quad
    k(x) = \frac{e^x/4}{\sinh^2(x/2) + \sin^2(\delta/2)}, \quad x \sim N(m - \ln|\omega|, v),

whose poles are :math:`\pm i\delta + 2\pi i n`. The trapezoid rule on points that straddle zero,
plus the exact contribution of the nearest pair of poles, is accurate to rounding for every lambda.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import log_ndtr, ndtr

from gatefield.cells import GatedRNN, VanillaRNN
from gatefield.core.checks import as_number
from gatefield.core.errors import refuse
from gatefield.core.types import Complex, Float, HostArray
from gatefield.theory.static import Gates, StaticMeanField, gates_of
from gatefield.theory.static.moments import activation_moments, gate_moments

LogGain = Callable[[Any], Float[HostArray, "..."]]

_CHUNK = 2048
_REACH = 11.0  # standard deviations: exp(-60) is left, also where k is 1e9 times larger beyond
_FINE, _COARSE = 0.5, 0.4  # spacing per standard deviation, and at most
_WIDE = 4.0  # standard deviations above this leave a smooth tail, averaged in closed form
_NEAREST = 2.5  # poles farther than this contribute exp(-2 pi 2.5/0.4): nothing
_FAR = 1e4  # standard deviations between the mean and the poles: they contribute nothing
_LARGEST = 1e300
_SMALLEST = 1e-280  # variances below square to nothing
_TAIL = 42.0  # beyond, k equals its own tail to rounding


class FixedPointMoments(NamedTuple):
    r"""Averages over units at a fixed point, of which Eq. 5 is made.

    Attributes
    ----------
    direct
        :math:`\langle\phi'^2\rangle\langle\sigma_r^2\rangle`, derivatives by h.
    through_gate
        :math:`\langle\phi'^2\rangle\langle\phi^2\rangle\langle\sigma_r'^2\rangle`: the loop through
        the output gate.
    tau_r
        Time constant of that gate.
    z_mean, z_variance
        Of the argument :math:`\alpha_z z + \beta_z` of the update gate, random biases included.
    """

    direct: float
    through_gate: float
    tau_r: float
    z_mean: float
    z_variance: float


def fixed_point_moments(mean_field: StaticMeanField) -> FixedPointMoments:
    """Return the averages that the spectral curve of a Gaussian fixed point needs.

    Parameters
    ----------
    mean_field
        Of a GatedRNN or VanillaRNN, solved in closed form; any inputs and random biases.

    Returns
    -------
    FixedPointMoments
        A vanilla network has ``through_gate`` = 0 and an update gate that is open.

    Raises
    ------
    InvalidInputError
        For another cell, or a solution from samples.
    """
    if not isinstance(mean_field, StaticMeanField):
        refuse("mean_field", mean_field, "a StaticMeanField", "It comes from solve_static.")
    cell = mean_field.cell
    if mean_field.method != "gaussian" or not isinstance(cell, (GatedRNN, VanillaRNN)):
        refuse(
            "mean_field",
            f"{mean_field.method} solution of {type(cell).__name__}",
            "the closed form (method='gaussian') of a GatedRNN or VanillaRNN",
            "spectral_boundary takes any other solution.",
        )
    with jax.enable_x64(True):
        given = gates_of(cell, mean_field.conditions)
        gates = Gates(*(float(np.asarray(value)) for value in given))
        found = _moments(gates, float(mean_field.variance["h"]))
        direct, through_gate, activity = (float(value) for value in found)
    return FixedPointMoments(
        direct=direct,
        through_gate=through_gate,
        tau_r=float(cell.tau_r) if isinstance(cell, GatedRNN) else 1.0,
        z_mean=gates.z_mean,
        z_variance=gates.alpha_z**2 * (activity + gates.z_input) + gates.z_bias,
    )


@jax.jit
def _moments(gates, variance):
    phi = activation_moments(gates.h_mean, gates.g**2 * variance + gates.h_bias)
    r = gate_moments(gates.r_mean, gates.alpha_r**2 * (phi.square + gates.r_input) + gates.r_bias)
    slope = gates.g**2 * phi.slope_square
    through_gate = slope * phi.square * gates.alpha_r**2 * r.slope_square
    return slope * r.square, through_gate, phi.square


def gated_edge(mean_field: StaticMeanField) -> LogGain:
    r"""Return the function whose zero line is the boundary of the spectrum at fixed points.

    .. math::

        \ln\Big[\Big\langle\Big|\frac{\sigma_z}{\lambda+\sigma_z}\Big|^2\Big\rangle
        \langle\phi'^2\rangle\Big(\langle\sigma_r^2\rangle
        + \frac{\langle\phi^2\rangle\langle\sigma_r'^2\rangle}{|1+\tau_r\lambda|^2}\Big)\Big]

    Parameters
    ----------
    mean_field
        Of a GatedRNN or VanillaRNN, solved in closed form; any inputs and random biases.

    Returns
    -------
    function
        Of complex numbers lambda (any shape, in units of 1/time constant), giving real host arrays
        of that shape: positive inside the support, negative outside, +inf at poles (the segment
        [-1, 0] if the update gate varies, without its ends; -1/tau_r if the output gate does) and
        -inf everywhere if nothing is coupled. At lambda = 0 it is 2 ln(rho).

    Raises
    ------
    InvalidInputError
        For another cell or a solution from samples; the function, for |lambda| above 1e300.

    Assumptions
    -----------
    Fixed points of large networks with independent Gaussian couplings: h, z, r are independent
    Gaussians. Besides the eigenvalues in this support, N lie at -1/tau_z exactly, and eigenvalues
    of units that send nothing (a vanishing slope of phi) at minus their rate. In a state that
    moves, the bracket of the h equation does not vanish and this is not the boundary.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 5 and A36.
    """
    moments = fixed_point_moments(mean_field)

    def log_gain(points: Any) -> Float[HostArray, "..."]:
        points = _in_range(points)
        if moments.direct + moments.through_gate == 0:
            return np.full(points.shape, -np.inf)
        update = log_update_response(points, moments.z_mean, moments.z_variance)
        with np.errstate(divide="ignore", over="ignore"):
            delay = 2 * np.log(np.abs(1 + moments.tau_r * points))
            # Both gates of an uncoupled term may be shut to the last bit: ln 0 is meant.
            through = np.log(moments.through_gate)
            through = through - delay if moments.through_gate > 0 else through
            return update + np.logaddexp(np.log(moments.direct), through)

    return log_gain


def log_update_response(points: Any, mean: float, variance: float) -> Float[HostArray, "..."]:
    r"""Return :math:`\ln\langle|\sigma(u)/(\lambda+\sigma(u))|^2\rangle` for u ~ N(mean, variance).

    Parameters
    ----------
    points
        lambda, complex, any shape.
    mean, variance
        Of the gate's argument.

    Returns
    -------
    array
        Real, of the shape of ``points``; +inf where the average diverges: on the open segment
        (-1, 0), or at -sigma(mean) if the variance is zero.

    Raises
    ------
    InvalidInputError
        For points that are not finite or above 1e300, a negative variance, or a mean that is no
        finite number.

    Assumptions
    -----------
    Accurate to 1e-12 for variances up to 1e8, except for what the rounding of the arguments does:
    ln|lambda/(1+lambda)| is known to 1e-16 times its size, which moves poles by as much in u.
    """
    points = _in_range(points)
    mean = as_number("mean", mean)
    variance = as_number("variance", variance, nonnegative=True)
    flat = points.ravel()
    if variance < _SMALLEST:
        return _fixed_gate(flat, mean).reshape(points.shape)
    average = _wide if variance > _WIDE**2 else _narrow
    values = np.zeros(flat.shape)
    for first in range(0, flat.size, _CHUNK):
        part = slice(first, first + _CHUNK)
        values[part] = _averaged(flat[part], mean, variance, average)
    return values.reshape(points.shape)


def _in_range(points: Any) -> Complex[HostArray, "..."]:
    try:
        points = np.asarray(points, complex)
    except (TypeError, ValueError):
        refuse("points", points, "complex numbers", "Pass one number or an array.")
    # Written so that it refuses values that are no numbers, too.
    if not np.all((np.abs(np.real(points)) <= _LARGEST) & (np.abs(np.imag(points)) <= _LARGEST)):
        refuse("points", points, f"numbers up to {_LARGEST:g}", "Far out nothing is left.")
    return points


def _fixed_gate(points, mean):
    gate, log_gate = np.exp(-np.logaddexp(0, -mean)), -np.logaddexp(0, -mean)
    with np.errstate(divide="ignore"):
        value = 2 * (log_gate - np.log(np.abs(points + gate)))
    # A gate shut below the smallest number still has response one at lambda = 0.
    return np.where(points == 0, 0.0, value)


def _averaged(points, mean, variance, average):
    # The response is the same at the complex conjugate.
    x, y = points.real, np.abs(points.imag)
    at_end = (y == 0) & ((x == 0) | (x == -1))
    safe = np.where(at_end, 1.0, x + 1j * y)
    x, y = np.real(safe), np.imag(safe)
    one_plus = np.log(np.abs(1 + safe))
    # Each angle is exact next to the segment, and there the two have the same sign.
    distance = np.abs(np.arctan2(-y, -x) - np.arctan2(y, 1 + x))
    shift = mean - np.log(np.abs(safe)) + one_plus
    diverges = distance == 0
    distance = np.where(diverges, np.pi, distance)
    value = average(shift, distance, variance) - 2 * one_plus
    value = np.where(diverges, np.inf, value)
    # At lambda = -1 the response is exp(2u), at 0 it is one.
    return np.where(at_end, np.where(points.real == 0, 0.0, 2 * (mean + variance)), value)


def _narrow(mean, distance, variance):
    """Return ln<k> with nodes that cover all that has weight."""
    deviation = np.sqrt(variance)
    step = min(_FINE * deviation, _COARSE)
    half = int(np.ceil(_REACH * deviation / step)) + 1
    # Left of zero k is exp(2x), which moves the weight to mean + 2 variance, but not beyond zero.
    centre = np.where(mean > 0, mean, np.minimum(mean + 2 * variance, 0.0))
    near = np.abs(mean) < _FAR * deviation
    place = np.where(near, np.floor(centre / step), 0.0)
    # Offsets from the mean, so that nothing is lost where it is large next to the deviation.
    start = np.where(near, (place + 0.5) * step - mean, centre - mean)
    offset = start[:, None] + step * np.arange(-half, half + 1)
    x = np.where(near[:, None], (place[:, None] + 0.5 + np.arange(-half, half + 1)) * step, 0.0)
    x = np.where(near[:, None], x, mean[:, None] + offset)
    size = np.abs(x)
    # hypot, since the squares of small numbers vanish.
    denominator = np.hypot(np.expm1(-size), 2 * np.exp(-size / 2) * np.sin(distance / 2)[:, None])
    exponent = 2 * np.minimum(x, 0.0) - 2 * np.log(denominator) - offset**2 / (2 * variance)
    highest = np.max(exponent, axis=1)
    summed = np.sum(np.exp(exponent - highest[:, None]), axis=1)
    log_sum = highest + np.log(summed) + np.log(step / deviation) - np.log(2 * np.pi) / 2
    log_pole, cosine = _nearest_poles(mean, distance, variance, step)
    top = np.maximum(log_sum, log_pole)
    return top + np.log(np.exp(log_sum - top) + cosine * np.exp(log_pole - top))


def _wide(mean, distance, variance):
    """Return ln<k>, all but the neighbourhood of zero in closed form.

    k is 1 far to the right and exp(2x) far to the left of zero. What is left of it after
    subtracting Phi(x) + exp(2x) Phi(-x), Phi the normal distribution function, is local.
    """
    deviation = np.sqrt(variance)
    x = (np.arange(-round(_TAIL / _COARSE), round(_TAIL / _COARSE)) + 0.5) * _COARSE
    t, tilt = np.exp(-np.abs(x)), np.exp(2 * np.minimum(x, 0.0))
    k = tilt / (np.expm1(-np.abs(x)) ** 2 + 4 * t * np.sin(distance / 2)[:, None] ** 2)
    local = k - (ndtr(x) + np.exp(2 * x) * ndtr(-x))
    spread = np.sqrt(variance + 1)
    right = log_ndtr(mean / spread)
    left = 2 * (mean + variance) + log_ndtr(-(mean + 2 * variance) / spread)
    log_pole, cosine = _nearest_poles(mean, distance, variance, _COARSE)
    top = np.maximum(np.maximum(left, right), log_pole)
    normal = -((x - mean[:, None]) ** 2) / (2 * variance) - top[:, None]
    near = np.sum(np.exp(normal) * local, axis=1) * _COARSE / (deviation * np.sqrt(2 * np.pi))
    far = np.exp(left - top) + np.exp(right - top)
    return top + np.log(far + near + cosine * np.exp(log_pole - top))


def _nearest_poles(mean, distance, variance, step):
    r"""Return ln of the size, and the cosine, of what the poles at +-i delta add to the rule.

    .. math::

        2\,\mathrm{Re}\frac{2\pi i\,\mathrm{Res}}{1 + e^{2\pi\delta/h}} =
        \frac{2\pi}{\sin\delta}\,\frac{e^{(\delta^2-m^2)/2v}}{\sqrt{2\pi v}}\,
        \frac{\cos(\delta + \delta m/v)}{1 + e^{2\pi\delta/h}}

    for points (j + 1/2) h. Poles beyond the saddle of the Gaussian's own error add nothing.
    """
    deviation = np.sqrt(variance)
    counts = (distance < min(_NEAREST, 2 * np.pi * variance / step)) & (
        np.abs(mean) < _FAR * deviation
    )
    distance, mean = np.where(counts, distance, 1.0), np.where(counts, mean, 0.0)
    exponent = np.where(counts, (distance**2 - mean**2) / (2 * variance), 0.0)
    size = np.log(2 * np.pi / np.sin(distance)) - np.log(2 * np.pi * variance) / 2
    size = size + exponent - np.logaddexp(0, 2 * np.pi * distance / step)
    angle = np.where(counts, distance * (1 + mean / variance), 0.0)
    return np.where(counts, size, -np.inf), np.cos(angle)
