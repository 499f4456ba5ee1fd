r"""What the moving state becomes just above the continuous transition, g_h = 2 + eps (Appendix I).

All for the gated RNN without biases and input, at alpha_z = 0 and tau_r = 1; errors are of the next
order in eps. An alpha_z of order one leaves C_h as it is to this order: in the separable form of
the theory, 4 C'' = (1 + alpha_z^2 C_phi / 4) (C - C_phi C_sr), it multiplies what vanishes at the
transition.
"""

from __future__ import annotations

import equinox as eqx
import numpy as np

from gatefield.core.checks import as_number
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray
from gatefield.theory.perturbation.expansion import warn_if_large

DISCONTINUOUS = float(np.sqrt(12.0))
"""From this alpha_r on the transition at g_h = 2 is not continuous."""
_LARGEST, _LARGEST_RATIO = 0.12, 0.15
_NONE_LEFT = 2.4  # eps at which the two terms of C_h(0) without output gate cancel


class NearCriticalState(AbstractResult):
    """Leading order of the moving state at g_h = 2 + eps.

    Attributes
    ----------
    variance
        C_h(0).
    time
        t0, in units of the unit's own time constant.
    exponent
        Largest Lyapunov exponent, per unit time.
    power
        1 or 2: C_h is the variance times sech(tau / t0) to this power.
    """

    variance: Float[HostArray, ""] = eqx.field(metadata=quantity())
    time: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant"))
    exponent: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    power: int = eqx.field(static=True)

    def covariance(self, lags: Float[HostArray, " lag"]) -> Float[HostArray, " lag"]:
        """Return C_h at the lags."""
        return self.variance / np.cosh(np.asarray(lags) / self.time) ** self.power


def near_critical_state(g_h: float, alpha_r: float = 0.0) -> NearCriticalState:
    r"""Return the moving state of the gated RNN just above g_h = 2, to leading order.

    .. math::

        \alpha_r = 0:&\quad C_h = C_0\,\mathrm{sech}(\tau/t_0),\;
            C_0 = \epsilon/8 - 5\epsilon^2/96,\; t_0 = 4\sqrt3/\epsilon,\;
            \lambda = \epsilon^2/16, \\
        0 < \alpha_r < \sqrt{12}:&\quad C_h = C_0\,\mathrm{sech}^2(\tau/t_0),\;
            C_0 = \frac{3\epsilon}{2(12-\alpha_r^2)},\;
            t_0 = \frac{4}{\alpha_r}\sqrt{\frac{12-\alpha_r^2}{\epsilon}},\;
            \lambda = \frac{5\alpha_r^2\epsilon}{16(12-\alpha_r^2)} .

    Parameters
    ----------
    g_h
        Gain of the activation, above 2.
    alpha_r
        Gain of the output gate, below sqrt(12).

    Returns
    -------
    NearCriticalState

    Raises
    ------
    InvalidInputError
        For g_h <= 2, or alpha_r >= sqrt(12), where the transition is discontinuous; without output
        gate also for g_h >= 4.4, where the variance would not be positive.

    Warns
    -----
    OutsideDomainWarning
        Where eps/(1 - alpha_r^2/12)^2 or, for alpha_r > 0, eps/alpha_r^2 is not small: variance,
        time or exponent may be wrong by a quarter and more.

    Assumptions
    -----------
    eps << (1 - alpha_r^2/12)^2; for alpha_r > 0 also eps << alpha_r^2: the two forms do not
    commute. C_h holds for
    alpha_z of order one, too (Eq. I46), checked in the separable form only; the exponent is that of
    alpha_z = 0.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. I29-I46.
    """
    eps = as_number("g_h", g_h, positive=True) - 2.0
    alpha = as_number("alpha_r", alpha_r, nonnegative=True)
    if eps <= 0:
        refuse("g_h", g_h, "a gain above 2", "Below, no state moves continuously.")
    if alpha >= DISCONTINUOUS:
        refuse("alpha_r", alpha_r, "below sqrt(12) = 3.4641", "The transition is discontinuous.")
    if alpha == 0 and eps >= _NONE_LEFT:
        refuse("g_h", g_h, "a gain near 2, below 4.4", "Solve the equations: solve_dmft.")
    # Errors grow faster towards sqrt(12) than the leading order itself does.
    small = eps / (1 - alpha**2 / DISCONTINUOUS**2) ** 2
    what = "moving state near g_h = 2 at"
    warn_if_large(f"{what} (g_h - 2)/(1 - alpha_r^2/12)^2", np.asarray(small), _LARGEST)
    if alpha > 0:
        ratio = np.asarray(eps / alpha**2)
        warn_if_large(f"{what} (g_h - 2)/alpha_r^2", ratio, _LARGEST_RATIO)
    if alpha == 0:
        variance, time, power = eps / 8 - 5 * eps**2 / 96, 4 * np.sqrt(3) / eps, 1
        exponent = eps**2 / 16
    else:
        rest = 12 - alpha**2
        variance, time, power = 1.5 * eps / rest, 4 / alpha * np.sqrt(rest / eps), 2
        exponent = 5 * alpha**2 * eps / (16 * rest)
    return NearCriticalState(np.asarray(variance), np.asarray(time), np.asarray(exponent), power)
