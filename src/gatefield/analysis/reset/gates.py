"""Reset by the gates of a gated network: the output gate shut, or the update gate opened."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.analysis.pulses import check_network
from gatefield.analysis.reset.pulses import Pulse, reset_by_pulse
from gatefield.analysis.reset.result import Erasure
from gatefield.cells import AbstractCell, GatedRNN, LinearGatedRNN
from gatefield.cells.base import check_drive
from gatefield.core.checks import as_number, as_parameter, check_choice
from gatefield.core.errors import refuse
from gatefield.networks import Network

_GATES = {"output": ("r", "alpha_r"), "update": ("z", "alpha_z")}
"""The drive of each gate, and the gain by which it responds."""


def reset_by_output_gate(
    network: Network,
    states: Any,
    durations: Any,
    *,
    drive: str = "r",
    depth: float = 50.0,
    after: float = 30.0,
    **options: Any,
) -> Erasure:
    r"""Shut the output gate for a while: the state decays to zero at its own rate.

    .. math:: \dot h = -h + J[h\,\sigma_r], \quad \sigma_r = 0 \;\Rightarrow\; h(d) = e^{-d}\,h(0)

    Parameters
    ----------
    network
        With a drive that shuts the output gate where it is negative.
    states
        The memories, (d, N) or (S, d, N).
    durations
        How long the gate is shut, one number for each pulse.
    drive
        Name of the gate's drive.
    depth
        Input that shuts it, with a negative sign.
    after, options
        As in `reset_by_pulse`.

    Returns
    -------
    Erasure
        ``at_end("size")`` is what is left of each memory when its gate opens again.

    Raises
    ------
    InvalidInputError
        For a gate that does not respond (alpha_r = 0), and as `reset_by_pulse`.

    Assumptions
    -----------
    h(d) = e^-d h(0) is exact for `LinearGatedRNN` as depth alpha_r grows. The gate of a `GatedRNN`
    has a time constant: it takes about tau_r / depth to shut, and r, which has then fallen to
    -depth, some tau_r ln(depth) to open again.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. VI.
    """
    check_gate(check_network(network).cell, drive, "output")
    depth = as_number("depth", depth, positive=True)
    lasts = _list("durations", durations, positive=True)
    pulses = [Pulse(drive, -depth, float(each)) for each in lasts]
    return reset_by_pulse(network, states, pulses, after=after, **options)


def reset_by_update_gate(
    network: Network,
    states: Any,
    strengths: Any,
    *,
    duration: float = 5.0,
    drive: str = "z",
    after: float = 30.0,
    **options: Any,
) -> Erasure:
    r"""Open the update gate for a while: units whose state was held move on, and scramble it.

    Parameters
    ----------
    network
        With a drive to the update gate: of a `GatedRNN`, in its marginally stable state (large
        alpha_z). Of a GRU, whose z keeps, pass negative strengths.
    states
        The memories, (d, N) or (S, d, N).
    strengths
        Input I_z of each pulse.
    duration
        Of every pulse.
    drive
        Name of the gate's drive.
    after, options
        As in `reset_by_pulse`.

    Returns
    -------
    Erasure
        ``correlation`` of each state with what it was before, ``threshold()`` the strength that
        erases half, ``identified`` what a decoder still finds.

    Raises
    ------
    InvalidInputError
        For a gate that does not respond (alpha_z = 0), and as `reset_by_pulse`.

    Assumptions
    -----------
    The paper speaks of a threshold, I_z beyond Eq. 8 with <sigma_z> raised, above which the network
    is chaotic. A pulse that is shorter than chaos takes to grow erases gradually: every unit whose
    gate opens moves to where its field sends it, chaos or not.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. VI, Fig. 6.
    """
    check_gate(check_network(network).cell, drive, "update")
    duration = as_number("duration", duration, positive=True)
    pulses = [Pulse(drive, float(each), duration) for each in _list("strengths", strengths)]
    return reset_by_pulse(network, states, pulses, after=after, **options)


def check_gate(cell: AbstractCell, drive: str, gate: str) -> None:
    """Refuse a drive that the cell does not have, or a gate that does not respond to it.

    Parameters
    ----------
    cell
        The cell; of the package's own gated ones the gain of the gate is checked.
    drive
        Name of the gate's drive.
    gate
        "update" or "output".

    Raises
    ------
    InvalidInputError
        If there is no such drive, or the gate's gain is zero.
    """
    check_drive(cell, drive)
    own, gain = _GATES[check_choice("gate", gate, _GATES)]
    known = isinstance(cell, (GatedRNN, LinearGatedRNN)) and drive == own
    if known and not np.all(np.asarray(getattr(cell, gain, 1.0)) > 0):
        remedy = "Its gate does not respond to input: raise the gain."
        refuse(f"cell.{gain}", getattr(cell, gain), "a positive gain", remedy)


def _list(name: str, values: Any, **sign: bool) -> np.ndarray:
    found = np.atleast_1d(as_parameter(name, values, **sign))
    if found.ndim != 1 or not found.size:
        refuse(f"{name}.shape", found.shape, "a list of numbers", "Pass for instance [1.0, 2.0].")
    return found
