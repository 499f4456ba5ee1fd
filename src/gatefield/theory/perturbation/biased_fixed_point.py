r"""The fixed point that weak biases and inputs make near the gain where zero loses stability.

With s0 = s_r(0), g_c = 1/s0, eps = g_h - g_c, v the variance that h gives to tanh's argument, S the
square that biases and inputs give to it, and kappa = alpha_r^2 (1 - s0) (2 - 3 s0),

    <phi^2> = X - 2 v^2 + O(S v) ,   <s_r^2> = s0^2 (1 + kappa X) + O(v^2) ,   X = v + S ,

so that the static equation is (2 - kappa) v^2 - 2 eps s0 v - S = 0 up to third order in v, eps and
sqrt(S).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from gatefield.core.checks import as_number, as_parameter
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray
from gatefield.theory.perturbation.expansion import warn_if_large
from gatefield.theory.static.conditions import static_conditions

_LARGEST = 0.25


class BiasedFixedPoint(AbstractResult):
    """The fixed point near the critical gain, to leading order in its small parameter.

    Attributes
    ----------
    g_h
        Gain of the activation, broadcast against the biases.
    small
        The larger of |eps| s0 and sqrt(S): D_h is right up to terms of its second order.
    variance
        D_h.
    radius
        rho, right up to terms of second order; the fixed point is stable below one.
    """

    g_h: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    small: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    variance: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    radius: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))


class WeakSources(NamedTuple):
    """The numbers that the expansions around the critical gain are made of.

    Attributes
    ----------
    gate
        s0 = s_r(0).
    square
        S: what biases and inputs add to the mean square of tanh's argument.
    rise
        kappa: relative rise of <s_r^2> with <phi^2>.
    feedback
        alpha_r^2 (1 - s0)^2: how much the gate's own response adds to rho^2 per <phi^2>.
    """

    gate: float
    square: Float[HostArray, "..."]
    rise: Float[HostArray, "..."]
    feedback: Float[HostArray, "..."]


def weak_sources(
    alpha_r: Any,
    beta_h: Any,
    beta_r: Any,
    input_variance: Mapping[str, Any] | None,
    bias_variance: Mapping[str, Any] | None,
) -> WeakSources:
    r"""Check biases and inputs and return what the expansions need.

    .. math::

        S = \beta_h^2 + \mathrm{var}\beta_h + \mathrm{var} I_h / s_0^2

    Raises
    ------
    InvalidInputError
        For random biases or inputs of the gates, for which g_c itself depends on alpha_r.
    """
    given = static_conditions(("h", "z", "r"), None, input_variance, bias_variance)
    for label, values in (
        ("input_variance", given.input_variance),
        ("bias_variance", given.bias_variance),
    ):
        for name in "zr":
            if np.any(np.asarray(values[name]) > 0):
                remedy = "phases.stability_line takes it."
                refuse(f"{label}[{name!r}]", values[name], "zero in this expansion", remedy)
    opening = as_number("beta_r", beta_r)
    # 1/(1 + e^-x) in a form that does not overflow.
    gate = float(0.5 * (1 + np.tanh(opening / 2)))
    shut = float(0.5 * (1 - np.tanh(opening / 2)))
    alphas = np.asarray(as_parameter("alpha_r", alpha_r, nonnegative=True))
    bias = np.asarray(as_parameter("beta_h", beta_h))
    square = bias**2 + given.bias_variance["h"] + given.input_variance["h"] / gate**2
    rise = alphas**2 * shut * (2 - 3 * gate)
    return WeakSources(gate, np.asarray(square), rise, alphas**2 * shut**2)


def biased_fixed_point(
    g_h: Any,
    *,
    alpha_r: Any = 0.0,
    beta_h: Any = 0.0,
    beta_r: Any = 0.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
) -> BiasedFixedPoint:
    r"""Return the fixed point of weak biases near the gain g_c = 1/s_r(0).

    .. math::

        D_h = \frac{s_0}{K}\left[\epsilon + \sqrt{\epsilon^2 + K S}\right], \quad
        K = \frac{2 - \alpha_r^2(1-s_0)(2-3s_0)}{s_0^2}, \quad \epsilon = g_h - 1/s_0, \\
        \rho = 1 + \epsilon s_0 - \left[2 - \alpha_r^2(1-s_0)(3-4s_0)\right]\frac{D_h}{2 s_0^2}

    with :math:`S = \beta_h^2 + \mathrm{var}\beta_h + \mathrm{var}I_h/s_0^2`: at beta_h = eps the
    variance grows linearly with the bias.

    Parameters
    ----------
    g_h
        Gains near g_c, on either side.
    alpha_r, beta_h
        Gain of the output gate, bias of the activation; they broadcast against g_h.
    beta_r
        Bias of the output gate, one number.
    input_variance, bias_variance
        Variances of static input to h and of its random bias, by name ("h").

    Returns
    -------
    BiasedFixedPoint

    Raises
    ------
    InvalidInputError
        Where K <= 0, so that the transition is discontinuous (at beta_r = 0: alpha_r >= sqrt(8)).

    Warns
    -----
    OutsideDomainWarning
        Where D_h / s0^2 exceeds 0.25: there D_h may be wrong by a quarter.

    Assumptions
    -----------
    |eps| s0 << 1, S << 1, K of order one; inputs to h inside the update gate's bracket. Of several
    fixed points the one that continues from small gains.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. H2-H3, I17-I23.
    """
    sources = weak_sources(alpha_r, beta_h, beta_r, input_variance, bias_variance)
    gains = np.asarray(as_parameter("g_h", g_h, positive=True))
    bend = 2 - sources.rise
    if not np.all(bend > 0):
        expected = "gains with alpha_r^2 (1 - s0)(2 - 3 s0) < 2"
        refuse("alpha_r", alpha_r, expected, "The transition is discontinuous: use solve_static.")
    shift = gains * sources.gate - 1
    try:
        shapes = np.broadcast_shapes(np.shape(shift), np.shape(sources.square), np.shape(bend))
    except ValueError:
        shapes = [np.shape(each) for each in (gains, alpha_r, beta_h)]
        refuse("shapes", shapes, "shapes that broadcast", "Add axes by [:, None].")
    root = np.sqrt(shift**2 + bend * sources.square)
    # Below the critical gain the two parts nearly cancel: then the other form of the root.
    tiny = np.where(root > 0, root, 1.0)
    v = np.where(shift >= 0, (shift + root) / bend, sources.square / (tiny + np.abs(shift)))
    v = np.broadcast_to(v, shapes)
    warn_if_large("fixed point near the critical gain at D_h / s0^2", v, _LARGEST)
    return BiasedFixedPoint(
        g_h=np.broadcast_to(gains, shapes),
        small=np.maximum(np.abs(shift), np.sqrt(sources.square)) + np.zeros(shapes),
        variance=v * sources.gate**2,
        radius=1 + shift - (bend - sources.feedback) * v / 2,
    )
