"""The discontinuous transition to chaos as a line in the phase diagram."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.core.errors import as_parameter, refuse
from gatefield.core.types import Float, HostArray
from gatefield.theory.dynamical_fold import lagged_fold, potential_fold


def dynamical_line(g_h: Any, tau_r: float = 0.0) -> Float[HostArray, "..."]:
    r"""Return the alpha_r at which a chaotic state appears beside the stable zero fixed point.

    The line is the fold of the fluctuating solution of dynamical mean-field theory; it exists for
    :math:`\sqrt{8/3} < g_h < 2` and tends to :math:`\sqrt{12}` as :math:`g_h \to 2`.

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
        Critical alpha_r; infinity where there is no transition.

    Raises
    ------
    InvalidInputError
        For gains that are not positive and finite, a negative tau_r, or an empty grid.

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
    return np.asarray(fold.alpha_r)
