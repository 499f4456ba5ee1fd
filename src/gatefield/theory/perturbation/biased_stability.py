r"""How weak biases and inputs move the line rho = 1, near the gain where zero loses stability.

On the line eps s0 = [2 - kappa - alpha_r^2 (1 - s0)^2] v / 2 (`biased_fixed_point`); put into the
static equation, that leaves alpha_r^2 (1 - s0)^2 v^2 = S. Without output gate the square drops out
and the third order of both equations, (4/3) v^3 = S, decides. Their sum is right for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray
from gatefield.theory.perturbation.biased_fixed_point import weak_sources
from gatefield.theory.perturbation.expansion import warn_if_large

_LARGEST = 0.1
_NEWTON = 60


class BiasedStability(AbstractResult):
    """The line rho = 1 near the critical gain, to leading order in the bias.

    Attributes
    ----------
    g_h
        Gain at which the fixed point loses stability.
    small
        v = D_h / s0^2 on the line: the error of g_h is of its second order.
    variance
        D_h there, with a relative error of first order in ``small``.
    """

    g_h: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    small: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    variance: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))


def biased_stability(
    alpha_r: Any,
    *,
    beta_h: Any = 0.0,
    beta_r: Any = 0.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
) -> BiasedStability:
    r"""Return the gain at which the fixed point of weak biases or inputs loses stability.

    .. math::

        g_h^* = \frac{1}{s_0} + \frac{2 - \alpha_r^2(1-s_0)(3-4s_0)}{2 s_0}\,v + O(v^2), \quad
        \alpha_r^2(1-s_0)^2 v^2 + \tfrac43 v^3 = S

    At beta_r = 0 and alpha_r > 0 this is :math:`g_h^* = 2 + (4/\alpha_r - \alpha_r)\sqrt S`: weak
    biases and inputs stabilise for alpha_r < 2 and destabilise beyond. Without output gate
    :math:`g_h^* = 2 + 2 (3S/4)^{1/3}`.

    Parameters
    ----------
    alpha_r, beta_h
        Gain of the output gate and bias of the activation; they broadcast against each other.
    beta_r
        Bias of the output gate, one number.
    input_variance, bias_variance
        Variances of static input to h and of its random bias, by name ("h").

    Returns
    -------
    BiasedStability

    Raises
    ------
    InvalidInputError
        For random biases or inputs of the gates, or where the branch of fixed points ends in a
        fold before rho reaches one: for s0 < 1/2 where alpha_r^2 (1 - s0)(1 - 2 s0) >= 2.

    Warns
    -----
    OutsideDomainWarning
        Where v max(1, alpha_r^2/4) exceeds 0.1: there g_h^* - g_c may be wrong by a quarter.

    Assumptions
    -----------
    v << 1; inputs to h inside the update gate's bracket.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Sec. VII A, App. H 1 (the lines of Figs. 7
    and 13, by numbers); the expansion is derived in this module from Eqs. I11-I16.
    """
    sources = weak_sources(alpha_r, beta_h, beta_r, input_variance, bias_variance)
    s0, feedback = sources.gate, sources.feedback
    if np.any(2 - sources.rise + feedback <= 0):
        expected = "gains with alpha_r^2 (1 - s0)(1 - 2 s0) < 2"
        refuse("alpha_r", alpha_r, expected, "The branch folds before: use phases.stability_line.")
    try:
        square, feedback = np.broadcast_arrays(sources.square, feedback)
    except ValueError:
        shapes = [np.shape(alpha_r), np.shape(beta_h)]
        refuse("shapes", shapes, "shapes that broadcast", "Add axes by [:, None].")
    # Either term alone bounds the root from above, and from there Newton's method falls to it.
    v = np.cbrt(0.75 * square)
    with np.errstate(divide="ignore", invalid="ignore"):
        v = np.where(feedback > 0, np.minimum(v, np.sqrt(square / feedback)), v)
    for _ in range(_NEWTON):
        slope = 2 * feedback * v + 4 * v**2
        v = v - (feedback * v**2 + 4 * v**3 / 3 - square) / np.where(slope > 0, slope, 1.0)
    steep = np.maximum(1.0, np.asarray(alpha_r, float) ** 2 / 4)
    what = "critical line of weak biases at (D_h / s0^2) max(1, alpha_r^2/4)"
    warn_if_large(what, steep * v, _LARGEST)
    gains = (1 + (2 - sources.rise - feedback) * v / 2) / s0
    return BiasedStability(gains, v, v * s0**2)
