r"""Fixed points that appear in pairs just above g_h = sqrt(2), where alpha_r tends to infinity.

The output gate is nearly a step, <s_r^2> = 1/2 - 1/(a sqrt(2 pi)) + O(1/a^3) for an argument of
standard deviation a = alpha_r g_h sqrt(D_h), so that the static equation becomes

    g_h^2/2 - 1 = g_h^4 D_h + g_h / (alpha_r sqrt(2 pi D_h)) ,

a cubic in sqrt(D_h).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.theory.perturbation.expansion import (
    FoldExpansion,
    PairExpansion,
    broadcast_gains,
    gains_between,
    warn_if_large,
)

_LARGEST = 0.2


def fixed_point_fold_near_sqrt_2(g_h: Any) -> FoldExpansion:
    r"""Return where two fixed points appear just above g_h = sqrt(2).

    .. math::

        D_h^* = \frac{\mu}{3 g_h^4}\,(1 + O(\mu)), \quad
        \alpha_r^* = \frac{1}{2\sqrt{2\pi}\, g_h^3 D_h^{*3/2}}\,(1 + O(\mu)), \quad
        \mu = g_h^2/2 - 1

    Parameters
    ----------
    g_h
        Gains above sqrt(2), any shape.

    Returns
    -------
    FoldExpansion
        ``small`` is mu.

    Raises
    ------
    InvalidInputError
        For gains that are not between sqrt(2) and 2, where alone the line exists.

    Warns
    -----
    OutsideDomainWarning
        Where mu exceeds 0.2: there the expansion is wrong by up to a quarter.

    Assumptions
    -----------
    mu << 1, so that D_h << 1 and alpha_r >> 1 with alpha_r sqrt(D_h) >> 1; no biases, no inputs.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G2, I27-I28.
    """
    gains = gains_between(g_h, np.sqrt(2), 2.0, "sqrt(2) < g_h < 2")
    mu = _distance(gains)
    warn_if_large("fixed-point line near sqrt(2) at g_h^2/2 - 1", mu, _LARGEST)
    variance, alphas = _fold(gains, mu)
    return FoldExpansion(gains, mu, alphas, variance)


def fixed_point_pair_near_sqrt_2(g_h: Any, alpha_r: Any) -> PairExpansion:
    r"""Return both nonzero fixed-point variances just above g_h = sqrt(2).

    .. math::

        \frac{g_h^2}{2} - 1 = g_h^4 D_h + \frac{g_h}{\alpha_r\sqrt{2\pi D_h}}, \quad
        \sqrt{D_h} = 2\sqrt{\frac{\mu}{3 g_h^4}}
        \cos\left[\tfrac13\arccos\left(-\frac{\alpha_r^*}{\alpha_r}\right)
        - \left\{0, \tfrac{2\pi}{3}\right\}\right]

    Parameters
    ----------
    g_h, alpha_r
        Gains that broadcast against each other.

    Returns
    -------
    PairExpansion
        ``small`` is mu; relative errors are of its first order at fixed alpha_r / alpha_r^* > 1.

    Raises
    ------
    InvalidInputError
        For gains g_h that are not between sqrt(2) and 2, or alpha_r not positive.

    Warns
    -----
    OutsideDomainWarning
        Where mu exceeds 0.2: there the expansion is wrong by up to a quarter.

    Assumptions
    -----------
    As `fixed_point_fold_near_sqrt_2`. The smaller solution is right as long as it keeps
    alpha_r sqrt(D_h) >> 1, that is for alpha_r not far above the line.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G2, I27-I28.
    """
    gains = gains_between(g_h, np.sqrt(2), 2.0, "sqrt(2) < g_h < 2")
    gains, alphas = broadcast_gains(gains, alpha_r)
    mu = _distance(gains)
    warn_if_large("fixed points near sqrt(2) at g_h^2/2 - 1", mu, _LARGEST)
    variance, critical = _fold(gains, mu)
    exists = alphas >= critical
    angle = np.arccos(-np.minimum(critical / alphas, 1.0)) / 3
    upper, lower = (
        np.where(exists, 4 * variance * np.cos(angle - turn) ** 2, 0.0)
        for turn in (0.0, 2 * np.pi / 3)
    )
    return PairExpansion(gains, alphas, mu, exists, lower, upper)


def _distance(gains):
    return (gains / np.sqrt(2) - 1) * (gains / np.sqrt(2) + 1)


def _fold(gains, mu):
    variance = mu / (3 * gains**4)
    return variance, 1 / (2 * np.sqrt(2 * np.pi) * gains**3 * variance**1.5)
