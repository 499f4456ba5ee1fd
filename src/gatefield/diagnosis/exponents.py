"""Lyapunov exponents of a layer along its inputs, and what they say of its attractor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import numpy as np

from gatefield.analysis.lyapunov import lyapunov_spectrum
from gatefield.core.results import Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.part import MapPart
from gatefield.networks import Network, Series

_BLOCKS = 16
_SINGLE = 300  # exponents times units, in thousands, beyond which the frame is float32


class Followed(NamedTuple):
    """What a layer receives along the sequence of the exponents, and where it starts.

    Attributes
    ----------
    inputs
        By drive name, all of one length.
    initial
        (d, N).
    """

    inputs: Mapping[str, Series]
    initial: Float[HostArray, "component unit"]


class Exponents(MapPart):
    """Lyapunov exponents of the layer along its inputs, natural log, per step.

    Attributes
    ----------
    exponents, standard_errors
        Descending; the largest ones only where ``complete`` is false.
    complete
        Whether these are all d N.
    steps
        Steps of the measurement.
    dimension
        Kaplan-Yorke dimension; NaN if more exponents are needed, see ``dimension_above``.
    dimension_above
        The dimension is at least this: equal to it where it is known.
    entropy_rate
        Sum of the positive exponents, in nats per step; a lower bound where ``entropy_complete`` is
        false.
    entropy_complete
        Whether all positive exponents are known.
    positive
        Number of exponents that are positive by more than three standard errors.
    """

    exponents: Float[HostArray, " rank"] = eqx.field(
        metadata=quantity("rank", unit="1 / time constant")
    )
    standard_errors: Float[HostArray, " rank"] = eqx.field(
        metadata=quantity("rank", unit="1 / time constant")
    )
    complete: bool = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    dimension: Float[HostArray, ""] = eqx.field(metadata=quantity())
    dimension_above: Float[HostArray, ""] = eqx.field(metadata=quantity())
    entropy_rate: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    entropy_complete: bool = eqx.field(static=True)
    positive: int = eqx.field(static=True)


def exponents_of(
    network: Network,
    followed: Followed,
    most: int,
    *,
    seed: int = 0,
) -> tuple[Exponents, Status, tuple[str, ...]]:
    """Measure exponents along the inputs that a layer receives.

    Parameters
    ----------
    network
        The layer's.
    followed
        Inputs and start: a tenth of the steps lets the state settle, a tenth the frame.
    most
        Number of exponents, from the largest.
    seed
        Draws the frame.

    Returns
    -------
    Exponents
    Status
        DIVERGED if the run diverged.
    tuple of str
        Notes.

    References
    ----------
    `gatefield.lyapunov_spectrum` for method and errors; Krishnamurthy, Can and Schwab, PRX 12,
    011011 (2022), Eq. 9, for the dimension.
    """
    size = network.n * len(network.cell.state_names)
    count = min(most, size)
    lasts = min(each.steps for each in followed.inputs.values())
    found = lyapunov_spectrum(
        network,
        None if count == size else count,
        inputs=dict(followed.inputs),
        initial=followed.initial,
        blocks=min(_BLOCKS, max(2, lasts // 10)),
        frame_dtype="float32" if count * size > 1000 * _SINGLE else "float64",
        seed=seed,
        progress=False,
        throw=False,
    )
    dimension, entropy = found.kaplan_yorke_dimension, found.entropy_rate
    values, notes = found.exponents, []
    above = dimension
    if not np.isfinite(dimension):
        above = float(values.size)
        notes.append(
            f"The sum of the first {values.size} exponents is not negative: the dimension is at "
            f"least {values.size}, of at most {size}."
        )
    complete = bool(np.isfinite(entropy))
    if not complete:
        entropy = float(np.sum(np.maximum(values, 0.0)))
        notes.append(f"All {values.size} exponents are positive: more may be, with more entropy.")
    if found.status is Status.DIVERGED:
        notes.append("The run diverged.")
    return (
        Exponents(
            exponents=values,
            standard_errors=found.standard_errors,
            complete=found.complete,
            steps=int(round(float(found.block_time) * len(found.block_exponents))),
            dimension=np.asarray(dimension),
            dimension_above=np.asarray(above),
            entropy_rate=np.asarray(entropy),
            entropy_complete=complete,
            positive=found.positive,
        ),
        Status.DIVERGED if found.status is Status.DIVERGED else Status.OK,
        tuple(notes),
    )
