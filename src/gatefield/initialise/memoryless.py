"""The Elman network's edge in closed form: its units keep nothing, so one time is enough."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.types import HostArray

_NODES = np.linspace(-9.0, 9.0, 721)
_WEIGHTS = np.exp(-(_NODES**2) / 2)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_LARGEST = 1e8


def moments(activation: str, means: HostArray, variance: float) -> tuple[float, float]:
    """Return <f(x)^2> and <f'(x)^2> over units, x normal about each unit's mean."""
    deviation = np.sqrt(variance)
    if activation == "tanh":
        values = np.tanh(means[:, None] + deviation * _NODES)
        # 1 - tanh^2 loses its digits where it is small, and there it does not count.
        slopes = 1 - values**2
        square, slope = (float(np.mean((part**2) @ _WEIGHTS)) for part in (values, slopes))
        return square, slope
    if variance == 0:
        open_units = means > 0
        return float(np.mean(np.where(open_units, means, 0.0) ** 2)), float(np.mean(open_units))
    ratio = means / deviation
    density = np.exp(-(ratio**2) / 2) / np.sqrt(2 * np.pi)
    square = (means**2 + variance) * ndtr(ratio) + means * deviation * density
    return float(np.mean(square)), float(np.mean(ndtr(ratio)))


def elman_gain(activation: str, biases: Any, variance: float, edge: float) -> float:
    r"""Return the gain of an Elman network whose Jacobian has a spectral radius, with input.

    A unit's argument x is normal of variance :math:`V = g^2\langle f^2\rangle + \sigma_I^2` about
    its bias, and perturbations grow by

    .. math:: e^{2\lambda} = g^2\langle f'(x)^2\rangle = \mathrm{radius}^2

    at each step: the spectral radius of the Jacobian is the exponential of the largest exponent,
    whatever the input's correlation time, since a unit keeps nothing from one step to the next.

    Parameters
    ----------
    activation
        f: "tanh" or "relu".
    biases
        With the means of the inputs, a number or (N,).
    variance
        Of the input to a unit, :math:`\sigma_I^2`.
    edge
        Spectral radius.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        If the radius is not positive.
    NumericalFailureError
        If no gain has it: a rectified network runs away at the gain that it would need.
    """
    if not edge > 0:
        refuse("value", edge, "a positive spectral radius", "It is 1 at the edge of stability.")
    means = np.atleast_1d(np.asarray(biases, float))
    if activation == "relu" and not np.any(means):
        # Half of the units respond at any activity, also where none is stationary.
        return float(np.sqrt(2) * edge)

    def excess(log_extra: float) -> float:
        extra = np.exp(log_extra)
        square, slope = moments(activation, means, variance + extra)
        if square == 0:
            # Far below their threshold: then rectified units respond with less than their slope.
            return math.inf
        return np.log(extra / square * slope) - 2 * np.log(edge)

    low, high = np.log(1e-12), np.log(_LARGEST)
    if not excess(low) < 0 < excess(high):
        remedy = {
            "tanh": "Choose another, or make the inputs weaker.",
            "relu": "It is stationary under positive biases and inputs at radii below 1 only, and "
            "under negative biases alone at rest only. Choose a smaller value, or no biases.",
        }
        raise NumericalFailureError(
            f"value = {edge:g}: no gain gives an Elman network ({activation}) this spectral radius "
            f"with these inputs and biases. {remedy[activation]}"
        )
    root: Any = brentq(excess, low, high, xtol=1e-12)
    extra = math.exp(root)
    return float(np.sqrt(extra / moments(activation, means, variance + extra)[0]))
