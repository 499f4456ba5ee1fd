"""The edge of the spectrum at the zero state in closed form, also of units with biases of own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from gatefield.cells import GRU, LSTM, AbstractCell, ElmanRNN, GatedRNN
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray


class ZeroState(NamedTuple):
    """Each unit's own eigenvalue and its response to the candidate's couplings of unit gain.

    The boundary is where gain^2 <strength^2 / |lambda - kept|^2> = 1 over units.
    """

    kept: Float[HostArray, " unit"]
    strength: Float[HostArray, " unit"]


def zero_state(cell: AbstractCell) -> ZeroState:
    r"""Return what the units of a cell do about the state zero, where the candidate has no bias.

    Only the candidate's couplings act there, since all others multiply the state or a candidate of
    zero:

    ============  =============  ====================
    cell          kept           strength
    ============  =============  ====================
    ElmanRNN      0              1
    GRU           z              (1 - z) r
    LSTM          f              i o
    GatedRNN      -sigma_z       sigma_z sigma_r
    ============  =============  ====================

    The strength of rectified units is :math:`1/\sqrt 2`: at any state of either sign half of them
    respond, whatever its size.

    Parameters
    ----------
    cell
        Scalar or per-unit biases; its gains play no part.

    Returns
    -------
    ZeroState
    """
    if isinstance(cell, ElmanRNN):
        kept, strength = 0.0, 1.0 if cell.activation == "tanh" else np.sqrt(0.5)
    elif isinstance(cell, GRU):
        kept = expit(cell.bias_z)
        strength = expit(-cell.bias_z) * expit(cell.bias_r)
    elif isinstance(cell, LSTM):
        kept = expit(cell.bias_f)
        strength = expit(cell.bias_i) * expit(cell.bias_o)
    elif isinstance(cell, GatedRNN):
        rate = expit(cell.beta_z)
        kept, strength = -rate, rate * expit(cell.beta_r)
    else:
        refuse("cell", cell, "an ElmanRNN, GRU, LSTM or GatedRNN", "Use gf.spectral_boundary.")
    kept, strength = np.broadcast_arrays(*np.atleast_1d(kept, strength))
    return ZeroState(kept, strength)


def gain_at_zero(cell: AbstractCell, edge: float) -> float:
    r"""Return the candidate's gain at which the leading edge at the zero state has a value.

    .. math:: \mathrm{gain}^2 \left\langle\frac{s_i^2}{(\lambda - k_i)^2}\right\rangle = 1

    at :math:`\lambda = \mathrm{edge}`, with kept part k and strength s of `zero_state`. At the edge
    of stability (1 for maps, 0 for flows) this is :math:`g_n^2\langle r^2\rangle = 1` for the GRU,
    :math:`g_h^2\langle\sigma_r^2\rangle = 1` for the gated RNN, and, with i = 1 - f,
    :math:`g_g^2\langle o^2\rangle = 1` for the LSTM: the gate that keeps the state drops out.

    Parameters
    ----------
    cell
        With scalar or per-unit biases.
    edge
        Largest modulus (maps) or rightmost real part (flows) of the spectrum.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        If the slowest unit alone is slower than that.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. 5-6 at the zero fixed point.
    """
    units = zero_state(cell)
    slowest = float(np.max(units.kept))
    if isinstance(cell, GatedRNN):
        slowest = max(slowest, float(np.max(-1 / cell.tau_z)), float(np.max(-1 / cell.tau_r)))
    if not edge > slowest:
        remedy = "Its gates alone keep the state for longer: lower the bias that keeps it."
        refuse("value", edge, f"a leading edge above {slowest:.6g}, the slowest unit's", remedy)
    return float(1 / np.sqrt(np.mean((units.strength / (edge - units.kept)) ** 2)))
