r"""Fixed points that appear in pairs just below g_h = 2, where the line tends to sqrt(8).

With v the variance of tanh's argument and g_h = 2 - eps, the static equation divided by v is

    eps = (alpha_r^2/4 - 2) v - B v^2 + O(v^3),   B = alpha_r^4/8 + alpha_r^2 - 17/3 .
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.theory.perturbation.expansion import (
    FoldExpansion,
    PairExpansion,
    broadcast_gains,
    gains_between,
    quadratic_pair,
    warn_if_large,
)

UPPER_ALPHA = float(np.sqrt(8.0))
"""The critical alpha_r tends to it as g_h -> 2."""
_BEND = 31 / 3  # B at alpha_r^2 = 8
_LARGEST_FOLD, _LARGEST_PAIR = 0.3, 0.02


def fixed_point_fold_near_2(g_h: Any) -> FoldExpansion:
    r"""Return where two fixed points appear just below g_h = 2.

    .. math::

        \alpha_r^* = \sqrt 8 + \sqrt{62\epsilon/3} + O(\epsilon), \quad
        D_h^* = \tfrac14\sqrt{3\epsilon/31}\,(1 + O(\sqrt\epsilon)), \quad \epsilon = 2 - g_h

    Parameters
    ----------
    g_h
        Gains below 2, any shape.

    Returns
    -------
    FoldExpansion
        ``small`` is sqrt(eps); the error of alpha_r is of its second order, the relative one of
        the variance of its first.

    Raises
    ------
    InvalidInputError
        For gains that are not between sqrt(2) and 2, where alone the line exists.

    Warns
    -----
    OutsideDomainWarning
        Where sqrt(eps) exceeds 0.3: there the variance is wrong by about a quarter.

    Assumptions
    -----------
    eps << 1, no biases, no inputs, N -> infinity. Time constants and alpha_z play no part.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G1, I24-I26.
    """
    gains = gains_between(g_h, np.sqrt(2), 2.0, "sqrt(2) < g_h < 2")
    eps = 2.0 - gains
    small = np.sqrt(eps)
    warn_if_large("fixed-point line near g_h = 2 at sqrt(2 - g_h)", small, _LARGEST_FOLD)
    alphas = UPPER_ALPHA + np.sqrt(2 * _BEND * eps)
    return FoldExpansion(gains, small, alphas, np.sqrt(eps / _BEND) / 4)


def fixed_point_pair_near_2(g_h: Any, alpha_r: Any) -> PairExpansion:
    r"""Return both nonzero fixed-point variances just below g_h = 2.

    .. math::

        B v^2 - \left(\frac{\alpha_r^2}{4} - 2\right) v + \epsilon = 0, \quad v = 4 D_h, \quad
        B = \frac{\alpha_r^4}{8} + \alpha_r^2 - \frac{17}{3}

    Parameters
    ----------
    g_h, alpha_r
        Gains that broadcast against each other.

    Returns
    -------
    PairExpansion
        ``small`` is the larger root v; relative errors are of its first order.

    Raises
    ------
    InvalidInputError
        For gains g_h that are not between sqrt(2) and 2, or alpha_r not positive.

    Warns
    -----
    OutsideDomainWarning
        Where v exceeds 0.02: there a variance is wrong by about a quarter.

    Assumptions
    -----------
    As `fixed_point_fold_near_2`, and v << 1: alpha_r is near sqrt(8), by an amount of order
    sqrt(eps). Farther above only the smaller solution stays near the expansion.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G1, I24-I26.
    """
    gains = gains_between(g_h, np.sqrt(2), 2.0, "sqrt(2) < g_h < 2")
    gains, alphas = broadcast_gains(gains, alpha_r)
    bend = alphas**4 / 8 + alphas**2 - 17 / 3
    exists, lower, upper = quadratic_pair(alphas**2 / 4 - 2, bend, 2.0 - gains)
    warn_if_large("fixed points near g_h = 2 at v = 4 D_h", upper, _LARGEST_PAIR)
    return PairExpansion(gains, alphas, upper, exists, lower / 4, upper / 4)
