"""Where the measurement of Lyapunov exponents stands."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core import checkpoints
from gatefield.core.checkpoints import fingerprint
from gatefield.core.types import Float, HostArray
from gatefield.networks.inputs import Drive
from gatefield.networks.tangent import Frame


class Standing(NamedTuple):
    """Where a run stands.

    Attributes
    ----------
    phase
        "relax", "align" (of the frame) or "measure".
    number
        The next step.
    interval
        Steps between orthonormalisations.
    state, frame
        (d, N) and (k, d, N).
    logs
        Of the measured blocks, (block, k).
    departure, precision_error
        As in `LyapunovSpectrum`, so far.
    """

    phase: str
    number: int
    interval: int
    state: Float[HostArray, "component unit"]
    frame: Frame
    logs: Float[HostArray, "block exponent"]
    departure: float
    precision_error: float


def fingerprint_of_drive(drive: Drive, *, is_map: bool) -> str:
    """Return what tells external inputs apart, functions of time by what they compute."""
    time = jnp.zeros((), int if is_map else drive.constant.dtype)
    traced = jax.make_jaxpr(drive)(time)
    return fingerprint(str(traced.jaxpr), traced.consts)


def write(path: Path, mark: str, standing: Standing) -> None:
    """Write where the run stands, whole or not at all."""
    checkpoints.write(path, mark, standing._asdict())


def read(path: Path, mark: str) -> Standing | None:
    """Return where the run stands, None if it has not begun.

    Raises
    ------
    InvalidInputError
        If the file is damaged, no checkpoint, or of another run.
    """
    of = "a run of this network"
    found = checkpoints.read(path, mark, Standing._fields, of=of, by="lyapunov_spectrum")
    if found is None:
        return None
    kinds = {"phase": str, "number": int, "interval": int}
    kinds |= {"departure": float, "precision_error": float, "frame": jnp.array}
    return Standing(**{name: kinds.get(name, np.asarray)(value) for name, value in found.items()})
