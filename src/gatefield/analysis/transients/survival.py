"""Statistics of times that are known for some runs only to exceed what was watched."""

from __future__ import annotations

import warnings
from typing import Any

import equinox as eqx
import numpy as np
from scipy import stats

from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Bool, Float, HostArray, Int


class SurvivalCurve(AbstractResult):
    r"""Share of runs that have not come to rest by a time, by Kaplan and Meier.

    .. math:: S(t) = \prod_{t_i \le t} \Big(1 - \frac{d_i}{n_i}\Big)

    with d_i runs that end at t_i and n_i that were watched until then.

    Attributes
    ----------
    times
        0, and the times at which runs ended or were given up, ascending, (time,).
    probability
        S from each time until the next, (time,).
    low, high
        Band of the given confidence at each time, from Greenwood's variance of ln(-ln S); NaN where
        the formula gives none, once all runs have ended.
    at_risk
        Runs that had not ended before each time.
    confidence
        Of the band at each single time.
    is_map
        Whether times are steps.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    probability: Float[HostArray, " time"] = eqx.field(metadata=quantity("time"))
    low: Float[HostArray, " time"] = eqx.field(metadata=quantity("time"))
    high: Float[HostArray, " time"] = eqx.field(metadata=quantity("time"))
    at_risk: Int[HostArray, " time"] = eqx.field(metadata=quantity("time"))
    confidence: float = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)

    @property
    def median(self) -> float:
        """The first time by which half of the runs have ended; infinity if they have not."""
        return first_time(self.times, self.probability, 0.5)

    @property
    def median_interval(self) -> tuple[float, float]:
        """Times at which a half is within the band (Brookmeyer and Crowley); infinity if open."""
        # Where all have ended there is no band: the upper end is then known only from before.
        high = np.where(np.isnan(self.high), 1.0, self.high)
        low = np.where(np.isnan(self.low), 0.0, self.low)
        return first_time(self.times, low, 0.5), first_time(self.times, high, 0.5)

    @property
    def spread(self) -> float:
        """Distance of the quartiles over the median; infinity if three quarters have not ended.

        Transients that end at random, with the same chance at each moment, have ln 3 / ln 2 = 1.58;
        those that all networks share have none.
        """
        early, late = (first_time(self.times, self.probability, each) for each in (0.75, 0.25))
        return (late - early) / self.median if np.isfinite(late) and self.median > 0 else np.inf


def first_time(times: HostArray, shares: HostArray, share: float) -> float:
    """Return the first time at which no more than a share is left; infinity if there is none."""
    # Within rounding: products such as 3/4 2/3 miss a half by 1e-16.
    below = np.flatnonzero(np.asarray(shares) <= share + 1e-12)
    return float(times[below[0]]) if below.size else np.inf


def check_confidence(value: Any) -> float:
    """Return a confidence level between 0 and 1.

    Raises
    ------
    InvalidInputError
        If it is none.
    """
    if not isinstance(value, int | float | np.floating) or not 0 < value < 1:
        refuse("confidence", value, "a number between 0 and 1", "For instance 0.95.")
    return float(value)


def censored(times: Float[HostArray, " run"], ended: Bool[HostArray, " run"]) -> stats.CensoredData:
    """Return times in SciPy's form: those of runs that had not ended are lower bounds."""
    return stats.CensoredData(uncensored=times[ended], right=times[~ended])


def survival_curve(
    times: Float[HostArray, " run"],
    ended: Bool[HostArray, " run"],
    *,
    confidence: float = 0.95,
    is_map: bool = False,
) -> SurvivalCurve:
    """Estimate the survival curve of runs, some of which were given up before they ended.

    Parameters
    ----------
    times
        When each run ended or was given up.
    ended
        Which of them ended.
    confidence
        Of the band.
    is_map
        Whether times are steps.

    Returns
    -------
    SurvivalCurve

    Raises
    ------
    InvalidInputError
        If there are no runs, or the confidence is not between 0 and 1.

    Assumptions
    -----------
    Runs are independent, and were given up for reasons that have nothing to do with when they would
    have ended.
    """
    confidence = check_confidence(confidence)
    if times.size == 0:
        refuse("times", times, "at least one run", "Ask for more networks.")
    found = stats.ecdf(censored(times, ended)).sf
    with warnings.catch_warnings():
        # There is no band once all have ended: NaN says so.
        warnings.filterwarnings("ignore", "The confidence interval is undefined", RuntimeWarning)
        band = found.confidence_interval(confidence, method="log-log")
    start = np.ones(1)
    grid = np.asarray(found.quantiles, float)
    # Before the first run ended the formula is 0/0; nothing is uncertain there.
    whole = found.probabilities == 1
    low, high = (np.where(whole, 1.0, side.probabilities) for side in (band.low, band.high))
    at_risk = np.array([np.sum(times >= time) for time in (0.0, *grid)])
    return SurvivalCurve(
        times=np.concatenate([[0.0], grid]),
        probability=np.concatenate([start, found.probabilities]),
        low=np.concatenate([start, low]),
        high=np.concatenate([start, high]),
        at_risk=at_risk,
        confidence=confidence,
        is_map=is_map,
    )


def log_rank(
    first: tuple[Float[HostArray, " run"], Bool[HostArray, " run"]],
    second: tuple[Float[HostArray, " run"], Bool[HostArray, " run"]],
) -> float:
    """Return the probability that equal distributions would differ so much (log-rank test).

    NaN where there is nothing to compare: no runs on one side, or none that ended.
    """
    compared = all(times.size for times, _ in (first, second))
    if not compared or not any(ended.any() for _, ended in (first, second)):
        return float("nan")
    return float(stats.logrank(censored(*first), censored(*second)).pvalue)
