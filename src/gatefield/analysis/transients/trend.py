"""How median transients change with the size of networks."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import numpy as np

from gatefield.analysis.transients.survival import check_confidence, log_rank
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Bool, Float, HostArray, Int

_RESAMPLES = 400


class TransientTrend(AbstractResult):
    r"""Growth of the median transient with N: what a power law and an exponential make of it.

    Attributes
    ----------
    sizes
        N of which a median is known, ascending: half of the runs ended, and not all diverged.
    medians
        Of each.
    power, power_interval
        Slope of :math:`\ln` median against :math:`\ln N`, least squares: 1 where transients grow in
        proportion to N, 0 where they do not grow.
    rate, rate_interval
        Slope of :math:`\ln` median against N: transients grow as :math:`e^{\mathrm{rate}\,N}`.
    ratio, ratio_interval
        Median at the largest N over that at the smallest.
    p_value
        Probability that lengths of one distribution would differ as much as those at the smallest
        and at the largest of all N, known median or not (log-rank test).
    confidence
        Of the intervals, from runs drawn anew with replacement (bootstrap). Infinite where a median
        is then not reached.
    is_map
        Whether medians are steps.
    """

    sizes: Int[HostArray, " size"] = eqx.field(metadata=quantity("size"))
    medians: Float[HostArray, " size"] = eqx.field(metadata=quantity("size", unit="time constant"))
    power: Float[HostArray, ""] = eqx.field(metadata=quantity())
    power_interval: Float[HostArray, "2"] = eqx.field(metadata=quantity("side"))
    rate: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / unit"))
    rate_interval: Float[HostArray, "2"] = eqx.field(metadata=quantity("side", unit="1 / unit"))
    ratio: Float[HostArray, ""] = eqx.field(metadata=quantity())
    ratio_interval: Float[HostArray, "2"] = eqx.field(metadata=quantity("side"))
    p_value: Float[HostArray, ""] = eqx.field(metadata=quantity())
    confidence: float = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)

    @property
    def grows(self) -> bool:
        """Whether the median surely is longer at the largest N than at the smallest."""
        return bool(self.ratio_interval[0] > 1)


def transient_trend(
    sizes: Int[HostArray, " size"],
    lengths: Sequence[Float[HostArray, " run"]],
    ended: Sequence[Bool[HostArray, " run"]],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    is_map: bool = False,
) -> TransientTrend:
    """Fit both laws to the medians at several sizes.

    Parameters
    ----------
    sizes
        N, ascending.
    lengths, ended
        Of the runs at each size, as in `survival_curve`.
    confidence
        Of the intervals.
    seed
        Draws the runs anew.
    is_map
        Whether times are steps.

    Returns
    -------
    TransientTrend
        NaN throughout if fewer than two medians are known.

    Assumptions
    -----------
    Runs are independent. Neither law is meant to hold far beyond the sizes that were run.
    """
    confidence = check_confidence(confidence)
    medians = np.array([kaplan_meier_medians(*one) for one in zip(lengths, ended, strict=True)])
    known = np.isfinite(medians)
    chosen = np.asarray(sizes)[known]
    edge = (1 - confidence) / 2
    p_value = log_rank((lengths[0], ended[0]), (lengths[-1], ended[-1]))
    if known.sum() < 2:
        slopes, intervals = np.full(3, np.nan), np.full((3, 2), np.nan)
    else:
        slopes = _slopes(chosen, medians[known])
        rng = np.random.default_rng(seed)
        again = []
        for place in np.flatnonzero(known).tolist():
            size = lengths[place].size
            which = rng.integers(0, size, (_RESAMPLES, size))
            again.append(kaplan_meier_medians(lengths[place][which], ended[place][which]))
        drawn = [_slopes(chosen, row) for row in np.transpose(again)]
        # No interpolation: infinities may be among them.
        ends = np.quantile(drawn, [edge, 1 - edge], axis=0, method="inverted_cdf")
        intervals = ends.T
    return TransientTrend(
        sizes=chosen,
        medians=medians[known],
        power=np.asarray(slopes[0]),
        power_interval=intervals[0],
        rate=np.asarray(slopes[1]),
        rate_interval=intervals[1],
        ratio=np.asarray(slopes[2]),
        ratio_interval=intervals[2],
        p_value=np.asarray(p_value),
        confidence=confidence,
        is_map=is_map,
    )


def kaplan_meier_medians(
    times: Float[HostArray, "... run"], ended: Bool[HostArray, "... run"]
) -> Float[HostArray, "..."]:
    """Return the medians of many sets of runs at once, as `SurvivalCurve.median` has them.

    NaN of sets without runs.
    """
    if not times.shape[-1]:
        return np.full(times.shape[:-1], np.nan)
    # Of equal times those that ended come first: the others were watched for as long.
    order = np.lexsort((~ended, times), axis=-1)
    times, ended = (np.take_along_axis(each, order, axis=-1) for each in (times, ended))
    at_risk = np.arange(times.shape[-1], 0, -1)
    left = np.cumprod(np.where(ended, 1 - 1 / at_risk, 1.0), axis=-1)
    padded = np.concatenate([times, np.full((*times.shape[:-1], 1), np.inf)], axis=-1)
    # Half within rounding, as in `first_time`.
    first = np.sum(left > 0.5 + 1e-12, axis=-1, keepdims=True)
    return np.take_along_axis(padded, first, axis=-1)[..., 0]


def _slopes(sizes: HostArray, medians: HostArray) -> HostArray:
    """Return power, rate and ratio; infinity where a median is."""
    if not np.all(np.isfinite(medians)):
        return np.full(3, np.inf)
    # A median of zero, of runs that start at rest, has no logarithm.
    logs = np.log(np.maximum(medians, np.finfo(float).tiny))
    power, rate = (np.polyfit(x, logs, 1)[0] for x in (np.log(sizes), sizes.astype(float)))
    return np.array([power, rate, np.exp(logs[-1] - logs[0])])
