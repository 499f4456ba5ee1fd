"""What a layer receives: how strong its input is, what of it varies, and how slowly."""

from __future__ import annotations

import equinox as eqx
import numpy as np

from gatefield.core.results import quantity
from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.correlate import autocorrelation, correlation_time, participation
from gatefield.diagnosis.part import MapPart
from gatefield.diagnosis.runs import LayerRun


class Drives(MapPart):
    """What the layer receives from its input weights W x, without biases.

    Attributes
    ----------
    names
        The cell's drives: the order of the axis "drive".
    mean
        Mean over units, steps and sequences.
    variance
        Variance over units, steps and sequences: the sum of the next two.
    static_variance
        Variance over units of the mean over steps: what acts like further biases.
    varying_variance
        Mean over units of the variance over steps.
    correlation_time
        Steps in which the correlation of the varying part falls to 1/e; 0 where nothing varies.
    dimension
        Participation ratio of the varying part across units: 1 if all units see one signal.
    lags, correlation
        Correlation of the varying part of each drive, averaged over units.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    mean: Float[HostArray, " drive"] = eqx.field(metadata=quantity("drive"))
    variance: Float[HostArray, " drive"] = eqx.field(metadata=quantity("drive"))
    static_variance: Float[HostArray, " drive"] = eqx.field(metadata=quantity("drive"))
    varying_variance: Float[HostArray, " drive"] = eqx.field(metadata=quantity("drive"))
    correlation_time: Float[HostArray, " drive"] = eqx.field(
        metadata=quantity("drive", unit="time constant")
    )
    dimension: Float[HostArray, " drive"] = eqx.field(metadata=quantity("drive"))
    lags: Float[HostArray, " lag"] = eqx.field(metadata=quantity("lag", unit="time constant"))
    correlation: Float[HostArray, "drive lag"] = eqx.field(metadata=quantity("drive", "lag"))


def drives_of(run: LayerRun) -> Drives:
    """Describe the drives of a layer along its inputs.

    Parameters
    ----------
    run
        The layer's run.

    Returns
    -------
    Drives
    """
    rows, lags = [], np.zeros(1)
    for values in run.received.values():
        own = values.mean(axis=(0, 1), dtype=float)
        varying = values - own
        lags, correlation = autocorrelation(varying)
        rows.append(
            {
                "mean": own.mean(),
                "static_variance": own.var(),
                "varying_variance": float(np.mean(np.square(varying))),
                "correlation_time": correlation_time(lags, correlation),
                "dimension": participation(varying),
                "correlation": correlation,
            }
        )
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Drives(
        names=tuple(run.received),
        variance=columns["static_variance"] + columns["varying_variance"],
        lags=lags,
        **columns,
    )
