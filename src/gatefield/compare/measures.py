"""What is read off a stationary correlation function: theory's numbers beside networks'."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gatefield.analysis import CorrelationFunctions
from gatefield.compare.harness import FEWEST, Comparison, compare
from gatefield.core.types import Float, HostArray
from gatefield.numerics.relaxation import relaxation_time
from gatefield.theory.dmft import MeanField

_ROUNDING = 1e-9  # of C(0): closer than this nothing is told apart


class Measure(NamedTuple):
    """One number of a correlation function.

    Attributes
    ----------
    quantity, name
        Whose correlation function, and which number of it.
    theory, error
        Theory's number with its error, which is infinite where the number is not determined.
    networks
        Each network's.
    """

    quantity: str
    name: str
    theory: float
    error: float
    networks: Float[HostArray, " network"]

    @property
    def comparison(self) -> Comparison | None:
        """Theory beside the networks; None where there are too few, or a number is not finite."""
        finite = np.isfinite([self.theory, self.error, *self.networks]).all()
        if self.networks.size < FEWEST or not finite:
            return None
        title = f"{self.name} of {self.quantity}"
        return compare(self.theory, self.networks, theory_error=self.error, name=title)

    @property
    def spread(self) -> float:
        """Standard error of the networks' mean; NaN where there are too few."""
        count = self.networks.size
        return float(self.networks.std(ddof=1) / np.sqrt(count)) if count >= FEWEST else np.nan


def last_lag(theory: MeanField) -> float:
    """Return the largest lag at which theory knows its covariances; infinite but for sampled paths.

    Parameters
    ----------
    theory
        A stationary mean field. Paths are periodic: those of a moving state have no later lags.
    """
    moving = theory.method == "sampled" and theory.fluctuates
    return float(theory.lags[-1]) if moving else np.inf


def correlation_measures(
    name: str,
    theory: MeanField,
    networks: CorrelationFunctions | None,
    lags: Float[HostArray, " lag"],
    at: float | None = None,
) -> list[Measure]:
    """Return C(0), C at a later lag and, where theory's C falls, the relaxation time.

    The relaxation time is taken on the same lags in both: until C has fallen to 1/e of the way to
    its last value there.

    Parameters
    ----------
    name
        The quantity.
    theory
        A stationary mean field, known at all the lags.
    networks
        What networks gave at the first of these lags and on; None for theory alone.
    lags
        Ascending from 0, in units of the units' time constant (steps of a map).
    at
        The later lag, of which the nearest of ``lags`` is taken; the last one by default.

    Returns
    -------
    list of Measure
        Two, or three with the relaxation time.
    """
    curve, sampling = theory.at(name, lags), theory.error_at(name, lags)
    errors = np.hypot(sampling, (_ROUNDING + float(theory.truncation)) * abs(curve[0]))
    rows = np.zeros((0, lags.size)) if networks is None else networks.by_network[name]
    rows = rows[:, : lags.size]
    later = lags.size - 1 if at is None else int(np.argmin(np.abs(lags - at)))
    found = [
        Measure(name, label, float(curve[k]), float(errors[k]), rows[:, k])
        for label, k in (("C(0)", 0), (f"C({lags[later]:g})", later))
    ]
    decay = relaxation_time(lags, curve)
    if decay == 0:
        return found
    slope = np.gradient(curve, lags)
    here = min(int(np.searchsorted(lags, decay)), lags.size - 1)
    # Where the curve is flat its crossing is not determined: no time to compare.
    blur = float(errors[here] / abs(slope[here])) if slope[here] != 0 else np.inf
    times = np.array([relaxation_time(lags, row) for row in rows])
    return [*found, Measure(name, "relaxation time", decay, blur, times)]
