"""Self-consistent spectra of one batch of sampled units on a given period."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gatefield.core.types import Float, HostArray
from gatefield.numerics.anderson import Anderson
from gatefield.numerics.periodic import covariance_of, multiplicity
from gatefield.theory.dmft.beginning import zero_is_a_state
from gatefield.theory.dmft.paths import PathPlan, Rows, sweep

_ZERO = 1e-10  # of the first outputs: below it they count as zero,
_FADING = 1e-7  # below this if they fall
_FREEZING = 1e-3  # part of the power that may move where it falls from sweep to sweep
_FALL = 0.8  # of the sweep before: a fall by so much, twice, is no scatter
_CONSTANT = 1e-10  # part of the power that moves: less is rounding of single precision


class Converged(NamedTuple):
    """Where the sweeps of one batch ended.

    Attributes
    ----------
    outputs
        Power spectrum of each distinct output, from the last sweep.
    state
        The components where the period starts.
    history
        Residual of each sweep, relative to each C(0).
    frozen
        Whether nothing moves: only the zero frequency remains.
    finite
        False where values were not finite; the spectra are the last finite ones.
    """

    outputs: Float[HostArray, "output frequency"]
    state: Rows
    history: tuple[float, ...]
    frozen: bool
    finite: bool

    @property
    def is_zero(self) -> bool:
        """Whether every output is exactly zero."""
        return not np.any(self.outputs)


def converge(
    plan: PathPlan,
    noise: list[HostArray],
    outputs: Float[HostArray, "output frequency"],
    state: Rows,
    *,
    target: float,
    max_sweeps: int,
    frozen: bool = False,
    plain: int = 0,
    workers: int = 1,
) -> Converged:
    """Sweep until the outputs have the spectra that drive them, with the noise held fixed.

    Parameters
    ----------
    plan, noise
        The paths.
    outputs
        Spectra of the distinct outputs to start from.
    state
        Components to start from.
    target
        Residual, relative to each C(0), at which to stop.
    max_sweeps
        Largest number of sweeps.
    frozen
        Whether the start is known not to move.
    plain
        Number of sweeps before the first that is accelerated.
    workers
        Threads of each Fourier transform.

    Returns
    -------
    Converged
    """
    history: list[float] = []
    accelerate, falling = None, 0
    # The paths depend smoothly on the amplitude, also where it vanishes; not so on the power.
    amplitude, mapped = np.sqrt(outputs), outputs
    scale = min(1.0, float(covariance_of(outputs)[:, 0].max()))
    can_vanish = not plan.driven and zero_is_a_state(plan)
    for count in range(max_sweeps):
        used = amplitude**2
        mapped, after = sweep(plan, noise, used, state, workers)
        if not (np.all(np.isfinite(mapped)) and all(np.all(np.isfinite(row)) for row in after)):
            return Converged(used, state, tuple(history), frozen, False)
        state = after
        moving = _moving(used), _moving(mapped)
        if frozen:
            mapped[:, 1:] = 0.0
        before, now = covariance_of(used), covariance_of(mapped)
        if can_vanish and _vanishes(before[:, 0].max(), now[:, 0].max(), scale):
            silent = [np.zeros_like(row) for row in state]
            return Converged(np.zeros_like(used), silent, (*history, 0.0), True, True)
        history.append(residual(before, now))
        if count < plain:
            amplitude = np.sqrt(mapped)
            continue
        falling = falling + 1 if moving[1] < min(_FALL * moving[0], _FREEZING) else 0
        if not frozen and (falling > 1 or max(moving) < _CONSTANT):
            frozen, accelerate, mapped[:, 1:] = True, None, 0.0
        elif history[-1] < target:
            return Converged(mapped, state, tuple(history), frozen, True)
        if accelerate is None:
            # The squared norm of the amplitudes is then the sum of all C(0), each over itself.
            size = np.maximum(now[:, :1], 1e-300)
            accelerate = Anderson(np.sqrt(multiplicity(mapped.shape[1]) / size))
        amplitude = accelerate(amplitude, np.sqrt(mapped))
    # Those of the last sweep, whose residual is known: the amplitude is a proposal for the next.
    return Converged(mapped, state, tuple(history), frozen, True)


def residual(before: HostArray, now: HostArray) -> float:
    """Return the largest difference of covariances (output, lag), relative to each at lag 0."""
    if not (np.all(np.isfinite(now)) and np.all(np.isfinite(before))):
        return np.inf
    size = np.maximum(now[:, 0], 1e-300)
    return float(np.max(np.max(np.abs(now - before), axis=-1) / size))


def _vanishes(before: float, now: float, scale: float) -> bool:
    return now <= _ZERO * scale or now < before <= _FADING * scale


def _moving(spectrum: HostArray) -> float:
    """Return the largest part of an output's power that is not at zero frequency."""
    total = spectrum @ multiplicity(spectrum.shape[1])
    return float(np.max(1 - spectrum[:, 0] / np.maximum(total, 1e-300)))
