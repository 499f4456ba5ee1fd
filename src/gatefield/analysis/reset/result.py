"""What a reset erased."""

from __future__ import annotations

import equinox as eqx
import numpy as np

from gatefield.core.checks import as_number
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Bool, Float, HostArray, Int

_CLEAR = 0.1
"""Least correlation, beyond two standard errors, by which a memory exceeds what others share."""


class Erasure(AbstractResult):
    """What was left of stored states after pulses of input; pulse 0 is the control without one.

    Attributes
    ----------
    times
        From the onset of the pulses; the first is 0.
    correlation
        Pearson's correlation over units of a state with itself at onset: (pulse, memory, time);
        NaN where a state does not vary over units.
    size
        Root mean square over units, relative to that at onset.
    overlap
        x(t) x(0) / |x(0)|^2: one for what is kept, zero for what is gone, whether by decay or by
        scrambling.
    separation
        Mean distance between the states of two memories, relative to that at onset: (pulse, time);
        NaN for a single one.
    identified
        Fraction of states that correlate more with themselves at onset than with any other memory:
        what a decoder of nearest templates finds. Chance is one over their number.
    background
        Mean correlation with the other memories at onset, (pulse, time): what a state shares with
        any other one, hence no memory; NaN for a single one.
    strengths, durations
        Of each pulse: root mean square of its input over units, with the sign of its mean, and time
        that it lasts.
    traces
        One component of the first ``shown`` units of the first memory: (pulse, time, shown).
    component, is_map, settings
        Which component was measured, and settings.
    status
        OK, or DIVERGED if a state is not finite.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    correlation: Float[HostArray, "pulse memory time"] = eqx.field(
        metadata=quantity("pulse", "memory", "time")
    )
    size: Float[HostArray, "pulse memory time"] = eqx.field(
        metadata=quantity("pulse", "memory", "time")
    )
    overlap: Float[HostArray, "pulse memory time"] = eqx.field(
        metadata=quantity("pulse", "memory", "time")
    )
    separation: Float[HostArray, "pulse time"] = eqx.field(metadata=quantity("pulse", "time"))
    identified: Float[HostArray, "pulse time"] = eqx.field(metadata=quantity("pulse", "time"))
    background: Float[HostArray, "pulse time"] = eqx.field(metadata=quantity("pulse", "time"))
    strengths: Float[HostArray, " pulse"] = eqx.field(metadata=quantity("pulse"))
    durations: Float[HostArray, " pulse"] = eqx.field(
        metadata=quantity("pulse", unit="time constant")
    )
    traces: Float[HostArray, "pulse time shown"] = eqx.field(
        metadata=quantity("pulse", "time", "shown")
    )
    component: str = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)
    status: Status = eqx.field(static=True)

    @property
    def memories(self) -> int:
        """Number of stored states."""
        return self.correlation.shape[1]

    def index_at(self, time: float) -> Int[HostArray, ""]:
        """Return the index of the record at a time.

        Raises
        ------
        InvalidInputError
            If nothing was recorded at that time.
        """
        time = as_number("time", time, nonnegative=True)
        index = int(np.argmin(np.abs(self.times - time)))
        if not np.isclose(self.times[index], time, rtol=1e-9, atol=1e-9):
            listed = f"one of {self.times[:3]} to {self.times[-1]:g}"
            refuse("time", time, listed, "Ask for a recorded time.")
        return np.asarray(index)

    def at_end(self, name: str = "size") -> Float[HostArray, "pulse memory"]:
        """Return "size", "correlation" or "overlap" at the end of each pulse."""
        values = {"size": self.size, "correlation": self.correlation, "overlap": self.overlap}
        if name not in values:
            refuse("name", name, f"one of {', '.join(values)}", "Check the spelling.")
        ends = [int(self.index_at(duration)) for duration in self.durations]
        return np.array([values[name][pulse, :, end] for pulse, end in enumerate(ends)])

    @property
    def kept(self) -> Bool[HostArray, ""]:
        """Whether the control still holds its memories at the last time.

        Its mean correlation must exceed zero and the ``background`` by 0.1 and two standard errors
        over memories: without that there is nothing for a pulse to erase.
        """
        last = self.correlation[0, :, -1]
        scatter = np.std(last, ddof=1) / np.sqrt(last.size) if last.size > 1 else 0.0
        shared = np.maximum(np.nan_to_num(self.background[0, -1]), 0.0)
        return np.asarray(last.mean() - shared > _CLEAR + 2.0 * scatter)

    def erased(self) -> Float[HostArray, " pulse"]:
        """Return 1 - c/c_0, c a pulse's mean correlation at the last time and c_0 the control's.

        NaN where the control holds no memory (see `kept`).
        """
        last = self.correlation[..., -1].mean(axis=1)
        return 1.0 - last / (last[0] if self.kept else np.nan)

    def threshold(self, fraction: float = 0.5) -> float:
        """Return the strength from which on that fraction is erased, by linear interpolation.

        Pulses of each sign are taken in the order of their size, from the control on; of two
        strengths of opposite sign the smaller is returned, with its sign. NaN if none erases so
        much, or if the control holds no memory (see `kept`).
        """
        fraction = as_number("fraction", fraction, positive=True)
        lost, found = self.erased(), []
        for sign in (1.0, -1.0):
            rows = np.flatnonzero((sign * self.strengths >= 0) & np.isfinite(lost))
            rows = rows[np.argsort(sign * self.strengths[rows], kind="stable")]
            above = np.flatnonzero(lost[rows] >= fraction)
            if above.size:  # never the control, which comes first and has lost nothing
                low, high = rows[above[0] - 1], rows[above[0]]
                part = (fraction - lost[low]) / (lost[high] - lost[low])
                step = self.strengths[high] - self.strengths[low]
                found.append(float(self.strengths[low] + part * step))
        return min(found, key=abs, default=float("nan"))
