"""The discontinuous transition to chaos as a line in the phase diagram."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.core.checks import as_parameter
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.types import Float, HostArray
from gatefield.theory.dynamical_fold import lagged_fold, potential_fold

_ROUGH = 1e4  # so close to its lower end the line is given with fewer digits, not refused


def dynamical_line(g_h: Any, tau_r: float = 0.0) -> Float[HostArray, "..."]:
    r"""Return the alpha_r at which a chaotic state appears beside the stable zero fixed point.

    The line is the fold of the fluctuating solution of dynamical mean-field theory. For
    :math:`\tau_r \to 0` it exists for :math:`\sqrt{8/3} < g_h < 2`; a slower gate moves the lower
    end towards :math:`\sqrt 2` (1.619 at tau_r = 1). It tends to :math:`\sqrt{12}` as
    :math:`g_h \to 2` for every tau_r.

    Parameters
    ----------
    g_h
        Gains, any shape.
    tau_r
        Time constant of the output gate, in units of the units' own. 0 is the limit that the paper
        takes (potential method, accurate to 1e-8); positive values solve the full lag equations.

    Returns
    -------
    array
        Critical alpha_r; infinity where there is no transition. Accurate to 1e-8; within 1e-4 of
        the lower end, where alpha_r exceeds 1e4, to about 1e-4.

    Raises
    ------
    InvalidInputError
        For gains that are not positive and finite, a negative tau_r, or an empty grid.
    NumericalFailureError
        If a point did not converge.

    Assumptions
    -----------
    No biases, no inputs, alpha_z = 0; for alpha_z up to about 10 the line does not move (G3).

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 13, G3-G18.
    """
    gains = np.asarray(as_parameter("g_h", g_h, positive=True))
    if gains.size == 0:
        refuse("g_h", g_h, "at least one value", "Pass a number or a grid with points.")
    lag = np.asarray(as_parameter("tau_r", tau_r, nonnegative=True))
    if lag.ndim:
        refuse("tau_r", tau_r, "one number", "Loop over the values.")
    fold = lagged_fold(gains, float(lag)) if lag > 0 else potential_fold(gains)
    alpha = np.asarray(fold.alpha_r)
    failed = ~np.asarray(fold.converged) & (alpha < _ROUGH)
    if failed.any():
        raise NumericalFailureError(
            f"dynamical line at g_h = {gains[failed][:5].tolist()}, tau_r = {lag:g}: expected a "
            "converged solution. theory.dynamical_fold.lagged_fold returns residuals and "
            "truncation errors; try more lags, or move away from the line's ends."
        )
    return alpha
