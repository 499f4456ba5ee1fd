r"""Moving states that appear in pairs just below g_h = 2, where the line tends to sqrt(12).

With v = g_h^2 C_h(0), C_h = C_h(0) rho and k = alpha_r^2/4, the two-point functions are

    F_phi = v rho (1 - 2 v + 5 v^2) + (2/3) v^3 rho^3 ,
    F_sr  = [ 1 + k C_r (1 - 2 k v) ] / 4 ,   C_r = F_phi + tau_r^2 F_phi'' ,

up to terms that count for less. The energy condition (Eq. G7) at g_h = 2 - eps becomes

    eps = (2 k/3 - 2) v - (4 k^2/3 + 8 k/3 - 16/3 + tau_r^2/8) v^2 + O(v^3) ,

where the part of tau_r comes from the covariance on the leading orbit, rho = sech^2(t sqrt(v/8)) at
k = 3: it holds next to alpha_r = sqrt(12) only, which is where a fold is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.core.checks import as_number
from gatefield.theory.perturbation.expansion import (
    FoldExpansion,
    PairExpansion,
    broadcast_gains,
    gains_between,
    quadratic_pair,
    warn_if_large,
)

_LARGEST_FOLD, _LARGEST_PAIR = 0.2, 0.015
_ENDS = "sqrt(8/3) < g_h < 2"


def moving_fold_near_2(g_h: Any, tau_r: float = 0.0) -> FoldExpansion:
    r"""Return where a pair of moving states appears just below g_h = 2.

    .. math::

        \alpha_r^* = \sqrt{12} + \sqrt{(44 + \tfrac38\tau_r^2)\epsilon} + O(\epsilon), \quad
        C_h(0)^* = \tfrac14\sqrt{\frac{3\epsilon}{44 + \frac38\tau_r^2}}
        \,(1 + O(\sqrt\epsilon)), \quad \epsilon = 2 - g_h

    Parameters
    ----------
    g_h
        Gains below 2, any shape.
    tau_r
        Time constant of the output gate, in units of the unit's own; 0 is the paper's limit.

    Returns
    -------
    FoldExpansion
        ``small`` is sqrt(eps); the error of alpha_r is of its second order, the relative one of
        the variance of its first.

    Raises
    ------
    InvalidInputError
        For gains that are not between sqrt(8/3) and 2.

    Warns
    -----
    OutsideDomainWarning
        Where sqrt(eps) exceeds 0.2: there the variance is wrong by about a quarter.

    Assumptions
    -----------
    eps << 1 and tau_r^2 sqrt(eps) << 1; alpha_z = 0, no biases, no inputs, N -> infinity.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G16-G18, which give sqrt(12); the
    next order is derived in this module.
    """
    gains = gains_between(g_h, np.sqrt(8 / 3), 2.0, _ENDS)
    bend = 44 / 3 + as_number("tau_r", tau_r, nonnegative=True) ** 2 / 8
    eps = 2.0 - gains
    small = np.sqrt(eps)
    warn_if_large("dynamical line near g_h = 2 at sqrt(2 - g_h)", small, _LARGEST_FOLD)
    alphas = np.sqrt(12) + np.sqrt(3 * bend * eps)
    return FoldExpansion(gains, small, alphas, np.sqrt(eps / bend) / 4)


def moving_pair_near_2(g_h: Any, alpha_r: Any, tau_r: float = 0.0) -> PairExpansion:
    r"""Return the variances of both moving states just below g_h = 2.

    .. math::

        \left(\frac{\alpha_r^4}{12} + \frac{2\alpha_r^2}{3} - \frac{16}{3}
        + \frac{\tau_r^2}{8}\right) v^2
        - \left(\frac{\alpha_r^2}{6} - 2\right) v + \epsilon = 0, \quad v = 4 C_h(0)

    Parameters
    ----------
    g_h, alpha_r
        Gains that broadcast against each other.
    tau_r
        Time constant of the output gate.

    Returns
    -------
    PairExpansion
        ``small`` is the larger root v; relative errors are of its first order. The larger state is
        chaotic, the smaller one separates it from the fixed point.

    Raises
    ------
    InvalidInputError
        For gains g_h that are not between sqrt(8/3) and 2, or alpha_r not positive.

    Warns
    -----
    OutsideDomainWarning
        Where v exceeds 0.015: there a variance is wrong by about a quarter.

    Assumptions
    -----------
    As `moving_fold_near_2`, and v << 1: alpha_r is near sqrt(12), by an amount of order sqrt(eps).

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G16-G18.
    """
    gains = gains_between(g_h, np.sqrt(8 / 3), 2.0, _ENDS)
    lag = as_number("tau_r", tau_r, nonnegative=True)
    gains, alphas = broadcast_gains(gains, alpha_r)
    bend = alphas**4 / 12 + 2 * alphas**2 / 3 - 16 / 3 + lag**2 / 8
    exists, lower, upper = quadratic_pair(alphas**2 / 6 - 2, bend, 2.0 - gains)
    warn_if_large("moving states near g_h = 2 at v = 4 C_h(0)", upper, _LARGEST_PAIR)
    return PairExpansion(gains, alphas, upper, exists, lower / 4, upper / 4)
