"""What data do to the units of a layer: the statistics of a network's input."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.cells import AbstractCell
from gatefield.core.checks import as_number, as_parameter
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray
from gatefield.networks import GaussianInput

Drives = dict[str, GaussianInput | tuple[GaussianInput, ...]]


class InputStatistics(eqx.Module):
    """Mean, variance and correlation time of the features that a network reads.

    Parameters
    ----------
    mean, variance
        Of each feature over time and samples, (features,).
    correlation_time
        Time over which the features' correlation falls to 1/e, in steps (of a flow in time
        constants: `held`); infinity if they are constant in time.

    Raises
    ------
    InvalidInputError
        For values that are not finite, negative variances, shapes that differ, or a correlation
        time that is not positive.
    """

    mean: Float[HostArray, " feature"]
    variance: Float[HostArray, " feature"]
    correlation_time: float

    def __init__(self, mean: Any, variance: Any, correlation_time: float = math.inf):
        self.mean = np.atleast_1d(as_parameter("mean", mean))
        self.variance = np.atleast_1d(as_parameter("variance", variance, nonnegative=True))
        if self.mean.ndim != 1 or self.mean.shape != self.variance.shape:
            shapes = (self.mean.shape, self.variance.shape)
            refuse("mean and variance", shapes, "two of shape (features,)", "One of each.")
        endless = isinstance(correlation_time, float) and math.isinf(correlation_time)
        self.correlation_time = (
            math.inf
            if endless and correlation_time > 0
            else as_number("correlation_time", correlation_time, positive=True)
        )

    @classmethod
    def of(cls, data: Any) -> InputStatistics:
        r"""Return the statistics of data.

        The correlation time is that of an exponential with the measured correlation at the first
        lag, :math:`-1/\ln\rho_1`, where :math:`\rho_1` is the features' autocorrelation, weighted
        by their variance.

        Parameters
        ----------
        data
            (T, features), or (samples, T, features).

        Returns
        -------
        InputStatistics
            White data (:math:`\rho_1 \le 0`) get the correlation time 0.01, which is white for a
            map.

        Raises
        ------
        InvalidInputError
            For another shape, a single step, or values that are not finite.

        Assumptions
        -----------
        The data are stationary. Correlations that do not fall exponentially, as of periodic data,
        are not described by one time.
        """
        values = np.asarray(as_parameter("data", data), float)
        if values.ndim == 2:
            values = values[None]
        if values.ndim != 3 or values.shape[1] < 2 or values.size == 0:
            expected = "(T, features) or (samples, T, features) with two steps or more"
            refuse("data.shape", np.shape(data), expected, "Put the features last.")
        mean = values.mean(axis=(0, 1))
        centred = values - mean
        variance = np.mean(centred**2, axis=(0, 1))
        total = float(variance.sum())
        if total == 0:
            return cls(mean, variance)
        next_to = float(np.mean(centred[:, 1:] * centred[:, :-1], axis=(0, 1)).sum())
        return cls(mean, variance, _time(next_to / total))

    @property
    def features(self) -> int:
        """Number of features."""
        return self.mean.size

    def held(self, dt: float) -> InputStatistics:
        r"""Return the statistics of the same data in a flow's time, each step held for dt.

        Data of correlation :math:`\rho^{|k|}` between steps, held, have the noise power

        .. math:: \int C(t)\, dt = dt \sum_k \rho^{|k|} = dt\, \frac{1 + \rho}{1 - \rho},
            \qquad \rho = e^{-1/\mathrm{correlation\ time}},

        (C falls linearly from one multiple of dt to the next), and noise of exponential correlation
        has 2 tau. Power is what a unit slower than its input averages over, so that

        .. math:: \tau = \frac{dt}{2}\, \frac{1 + \rho}{1 - \rho} .

        For long correlations this is dt times their number of steps, for white data dt/2.

        Parameters
        ----------
        dt
            Time for which a step is held, in the flow's time constants.

        Returns
        -------
        InputStatistics
            Its correlation time is in time constants; what is constant stays so.

        Raises
        ------
        InvalidInputError
            If dt is not positive.

        Assumptions
        -----------
        Units slow beside dt: the variance of a linear unit :math:`\dot x = -a x + I` under white
        data is :math:`\tau/(a(1 + a\tau))` here, and for steps of Euler's method, exactly,
        :math:`dt^2/(1 - (1 - a\,dt)^2)`, which is larger by a dt of itself.
        """
        dt = as_number("dt", dt, positive=True)
        # coth(1/(2 T)) is (1 + rho)/(1 - rho), without its loss of digits at long times.
        time = dt / 2 / math.tanh(0.5 / self.correlation_time) if self.moves else math.inf
        return InputStatistics(self.mean, self.variance, time)

    @property
    def moves(self) -> bool:
        """Whether the features vary in time, rather than from unit to unit alone."""
        return math.isfinite(self.correlation_time)

    def drives(self, cell: AbstractCell, weight_variance: float) -> Drives:
        """Return what every drive of a layer receives through random input weights.

        A weight of variance v turns features of mean m and variance s into a part that varies in
        time, of variance v sum(s) over units, and a constant of each unit, of variance v sum(m^2).

        Parameters
        ----------
        cell
            Names the drives: each has weights of its own.
        weight_variance
            Variance of a single weight: 1/(3 H) of PyTorch's default with H units.

        Returns
        -------
        dict
            A `GaussianInput` for each drive, or the varying and the static one as a tuple where
            there are both; empty where nothing comes.

        Raises
        ------
        InvalidInputError
            For a negative variance.

        Assumptions
        -----------
        Weights of mean zero, independent of the couplings. The drives of a unit are then
        uncorrelated, but the inputs of different units vary together where features are few: theory
        has them independent.
        """
        scale = as_number("weight_variance", weight_variance, nonnegative=True)
        varying = scale * float(self.variance.sum())
        static = scale * float(np.sum(self.mean**2))
        if not self.moves:
            varying, static = 0.0, static + varying
        parts = []
        if varying > 0:
            time = self.correlation_time
            parts.append(GaussianInput(variance=varying, correlation_time=time))
        if static > 0:
            parts.append(GaussianInput(variance=static))
        if not parts:
            return {}
        given = parts[0] if len(parts) == 1 else tuple(parts)
        return {name: given for name in cell.drive_names}

    def __repr__(self) -> str:
        """Show sums and the correlation time, not every feature."""
        return (
            f"InputStatistics({self.features} features, variance {self.variance.sum():.4g}, "
            f"squared mean {np.sum(self.mean**2):.4g}, correlation time {self.correlation_time:g})"
        )


def _time(correlation: float) -> float:
    if correlation <= 0:
        return 0.01
    return math.inf if correlation >= 1 else -1 / math.log(correlation)
