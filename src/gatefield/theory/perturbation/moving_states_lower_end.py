r"""The dynamical line near its lower end g_h = sqrt(8/3), where C_h(0) and 1/alpha_r vanish.

The output gate is nearly a step. With v = g_h^2 C_h(0), a = alpha_r sqrt(v) and rho the
autocorrelation of h,

    F_phi = v rho (1 - 2 v) + O(v^3) ,
    F_sr  = 1/4 + arcsin(rho)/(2 pi) - pi rho / (6 a^2 sqrt(1 - rho^2)) + ... ,

where the rounding of the gate within 1 - rho ~ 1/a^2 adds 2 zeta(3)/(sqrt(2 pi) a^3) to the
integral over rho. The energy condition (Eq. G7) becomes

    mu = 3 - 8/g_h^2 = 6 v + 2 pi^2 / (3 a^2) - 32 zeta(3) / (sqrt(2 pi) a^3) + O(v^2) ,

whose least value over v at given alpha_r is the fold: mu = 0 (Eq. G15) where v and 1/alpha_r
vanish.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import zeta

from gatefield.theory.perturbation.expansion import FoldExpansion, gains_between, warn_if_large

_LARGEST = 0.6
_SHIFT = float(6 * np.sqrt(12) * zeta(3) / (np.pi**3 * np.sqrt(2 * np.pi)))


def moving_fold_near_lower_end(g_h: Any) -> FoldExpansion:
    r"""Return where a pair of moving states appears just above g_h = sqrt(8/3).

    .. math::

        \alpha_r^* = \frac{4\pi}{\mu}\,(1 - c\sqrt\mu + O(\mu)), \quad
        g_h^2 C_h(0)^* = \frac{\mu}{12}\,(1 - \tfrac12 c\sqrt\mu + O(\mu)), \quad
        c = \frac{6\sqrt{12}\,\zeta(3)}{\pi^3\sqrt{2\pi}} = 0.3215, \quad \mu = 3 - 8/g_h^2

    Parameters
    ----------
    g_h
        Gains above sqrt(8/3), any shape.

    Returns
    -------
    FoldExpansion
        ``small`` is mu; both quantities vanish with it (alpha_r inversely), and their relative
        errors are of its first order.

    Raises
    ------
    InvalidInputError
        For gains that are not between sqrt(8/3) and 2, where alone the line exists.

    Warns
    -----
    OutsideDomainWarning
        Where mu exceeds 0.6: there alpha_r is wrong by about a quarter.

    Assumptions
    -----------
    mu << 1 and tau_r -> 0: a slower gate moves the lower end itself (1.619 at tau_r = 1, see
    `theory.dynamical_fold.lower_end`). alpha_z = 0, no biases, no inputs, N -> infinity.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. G13-G15; the powers and coefficients
    are derived in this module.
    """
    gains = gains_between(g_h, np.sqrt(8 / 3), 2.0, "sqrt(8/3) < g_h < 2")
    mu = 3 * (1 - np.sqrt(8 / 3) / gains) * (1 + np.sqrt(8 / 3) / gains)
    warn_if_large("dynamical line near sqrt(8/3) at 3 - 8/g_h^2", mu, _LARGEST)
    alphas = 4 * np.pi / mu * (1 - _SHIFT * np.sqrt(mu))
    variance = mu / 12 * (1 - _SHIFT * np.sqrt(mu) / 2) / gains**2
    return FoldExpansion(gains, mu, alphas, variance)
