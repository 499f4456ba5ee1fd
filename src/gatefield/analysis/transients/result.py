"""What `transient_lengths` returns: how long each run took, and the statistics of that."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

from gatefield.analysis.transients.runs import Outcome
from gatefield.analysis.transients.survival import (
    SurvivalCurve,
    check_confidence,
    survival_curve,
)
from gatefield.analysis.transients.trend import TransientTrend, transient_trend
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Bool, Float, HostArray, Int

OUTCOMES = {
    Outcome.REST: "at rest at the target",
    Outcome.OTHER_FIXED_POINT: "at rest elsewhere",
    Outcome.REGULAR: "moving, not chaotic",
    Outcome.CHAOTIC: "chaotic at t_max",
    Outcome.DIVERGED: "diverged",
}
"""How runs end, in words."""


class TransientLengths(AbstractResult):
    """Times until networks of several sizes came to rest.

    Time is in units of the units' time constant (flows) or in steps (maps).

    Attributes
    ----------
    sizes
        Numbers of units N, ascending.
    lengths
        (size, network): when a run came within the threshold of the target to stay there; of
        others how long they are known to have lasted (``t_max``, or the time at which they came to
        rest elsewhere); NaN of runs that diverged.
    outcomes
        (size, network): 0 at rest at the target, 1 at rest elsewhere, 2 moving at ``t_max`` but not
        chaotic (no perturbation grows: a cycle, slow motion, or on its way to rest), 3 chaotic at
        ``t_max``, 4 diverged. `counts` has them in words.
    speeds
        (size, network): root mean square of dx/dt at the end.
    growth
        (size, network): mean growth rate of a perturbation after ``t_max``, of runs that still
        moved then; negative where chaos ended meanwhile.
    seeds
        (size, network): what drew couplings and first state:
        ``Network.sample(cell, n, seed=seed)`` and ``simulate(..., seed=seed)`` make the run again.
    t_max, threshold
        Longest time that was watched, and the distance that counts as rest.
    is_map
        Whether times are steps.
    status
        OK, or DIVERGED if a run did.
    settings
        What made the runs.
    """

    sizes: Int[HostArray, " size"] = eqx.field(metadata=quantity("size"))
    lengths: Float[HostArray, "size network"] = eqx.field(
        metadata=quantity("size", "network", unit="time constant")
    )
    outcomes: Int[HostArray, "size network"] = eqx.field(metadata=quantity("size", "network"))
    speeds: Float[HostArray, "size network"] = eqx.field(
        metadata=quantity("size", "network", unit="1 / time constant")
    )
    growth: Float[HostArray, "size network"] = eqx.field(
        metadata=quantity("size", "network", unit="1 / time constant")
    )
    seeds: Int[HostArray, "size network"] = eqx.field(metadata=quantity("size", "network"))
    t_max: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant"))
    threshold: Float[HostArray, ""] = eqx.field(metadata=quantity())
    is_map: bool = eqx.field(static=True)
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    @property
    def ended(self) -> Bool[HostArray, "size network"]:
        """Which runs came to rest at the target; of others the length is a lower bound."""
        return self.outcomes == Outcome.REST

    def counts(self, n: int | None = None) -> dict[str, int]:
        """Return how many runs ended in which way, of one size or of all."""
        chosen = self.outcomes if n is None else self.outcomes[self._place(n)]
        return {name: int(np.sum(chosen == code)) for code, name in OUTCOMES.items()}

    def survival(self, n: int, *, confidence: float = 0.95) -> SurvivalCurve:
        """Return the share of runs of one size that have not come to rest, with its band.

        Runs that did not come to rest at the target count until they were given up: until
        ``t_max``, or until they came to rest elsewhere (as if they could have gone on). Those that
        diverged are left out.

        Raises
        ------
        InvalidInputError
            If no networks of n units were run, or all of them diverged.
        """
        place = self._place(n)
        times, ended = self._runs(place)
        if not times.size:
            remedy = "Reduce dt, or ask for another size."
            refuse("n", n, "a size of which a run stayed finite (all diverged)", remedy)
        return survival_curve(times, ended, confidence=confidence, is_map=self.is_map)

    @property
    def medians(self) -> Float[HostArray, " size"]:
        """Median length of each size (Kaplan and Meier).

        Infinity if half had not ended, NaN if all diverged.
        """
        return np.array([np.nan if one is None else one.median for one in self._curves()])

    def median_intervals(self, confidence: float = 0.95) -> Float[HostArray, "size side"]:
        """Return the confidence interval of each median (Brookmeyer and Crowley), (size, 2).

        NaN if all runs of a size diverged.
        """
        unknown = (np.nan, np.nan)
        curves = self._curves(confidence)
        return np.array([unknown if one is None else one.median_interval for one in curves])

    def trend(self, *, confidence: float = 0.95, seed: int = 0) -> TransientTrend:
        """Return how the median grows with N, by a power law and by an exponential.

        Parameters
        ----------
        confidence
            Of the intervals.
        seed
            Draws the runs anew, for the intervals.
        """
        runs = [self._runs(place) for place in range(self.sizes.size)]
        lengths, ended = zip(*runs, strict=True)
        return transient_trend(
            self.sizes, lengths, ended, confidence=confidence, seed=seed, is_map=self.is_map
        )

    def _curves(self, confidence: float = 0.95) -> list[SurvivalCurve | None]:
        """Return the curve of each size, None where all runs diverged."""
        confidence = check_confidence(confidence)
        left = np.any(self.outcomes != Outcome.DIVERGED, axis=1)
        pairs = zip(self.sizes, left, strict=True)
        return [self.survival(int(n), confidence=confidence) if good else None for n, good in pairs]

    def _runs(self, place: int) -> tuple[HostArray, HostArray]:
        good = self.outcomes[place] != Outcome.DIVERGED
        return self.lengths[place][good], self.ended[place][good]

    def _place(self, n: int) -> int:
        found = np.flatnonzero(self.sizes == n)
        if not found.size:
            refuse("n", n, f"one of {', '.join(map(str, self.sizes))}", "Run networks of it.")
        return int(found[0])
