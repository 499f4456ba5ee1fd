"""What dynamical mean-field theory returns: correlation functions of everything in a unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
from scipy.interpolate import PchipInterpolator

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.checks import check_choice
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import ArrayLike, Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.relaxation import relaxation_time
from gatefield.theory.dmft.lag_equations import Frame, values_at

_CONSTANT = 1e-5  # of C(0): a smaller change is rounding of single precision
_NO_MEAN = 1e-3  # of an output's second moment: the scatter of its mean over a few hundred units


class MeanField(AbstractResult):
    r"""A stationary solution of dynamical mean-field theory (Eqs. C19-C25), N to infinity.

    Names are those of `gatefield.cells.quantity_names`: the components of the state ("h"), the
    coupling fields ("eta_h"), the outputs that these receive ("y_h"), and the cell's observables
    ("phi", "sigma_z"). A covariance is the second moment :math:`\langle q(t)\,q(t+\tau)\rangle`
    over units; where means or static parts exist it does not decay to zero.

    Attributes
    ----------
    lags
        tau >= 0, ascending from 0, in units of the units' time constant (steps of a map); evenly
        spaced for "sampled", denser at 0 for the lag equations.
    covariance
        Second moment of each quantity at each lag, by name.
    standard_error
        Its sampling error: over independent batches for "sampled", zero for the lag equations.
    mean, mean_standard_error
        Mean over units of each quantity, by name.
    residual
        Largest violation of self-consistency, relative to each covariance at lag 0.
    truncation
        Estimated relative error from finite numbers of lags (lag equations) or from the step and
        the finite period (sampled).
    history
        Residual of each sweep (the largest over batches), or of each iterate of Newton's method;
        the last is that of the solution.
    spectra
        For "sampled": power spectrum of each field in each batch, by field name (batch,
        frequency), from which `units` draws paths; empty for the lag equations.
    cell
        The cell that was solved.
    inputs
        The Gaussian inputs, by drive name.
    method
        "lag equations" (exact), "separable" (approximation, C22-C24) or "sampled" (exact up to
        sampling).
    status
        OK; NOT_CONVERGED if the residual or the truncation stayed above tolerance, if no period
        was long enough, if some batches move and others do not, or if the solution is no
        covariance; DIVERGED if paths were not finite.
    settings
        What made the solution. "sampled": samples, batches, step, period, tolerances, seed, and
        the longest relaxation time by which the period was chosen; lag equations: the half line.
    """

    lags: Float[HostArray, " lag"] = eqx.field(metadata=quantity("lag", unit="time constant"))
    covariance: dict[str, Float[HostArray, " lag"]] = eqx.field(metadata=quantity("lag"))
    standard_error: dict[str, Float[HostArray, " lag"]] = eqx.field(metadata=quantity("lag"))
    mean: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    mean_standard_error: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    residual: Float[HostArray, ""] = eqx.field(metadata=quantity())
    truncation: Float[HostArray, ""] = eqx.field(metadata=quantity())
    history: Float[HostArray, " sweep"] = eqx.field(metadata=quantity("sweep"))
    spectra: dict[str, Float[HostArray, "batch frequency"]] = eqx.field(
        metadata=quantity("batch", "frequency")
    )
    cell: AbstractCell
    inputs: dict[str, GaussianInput]
    method: str = eqx.field(static=True)
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantities."""
        return tuple(self.covariance)

    @property
    def is_map(self) -> bool:
        """Whether lags count steps."""
        return isinstance(self.cell, AbstractMap)

    @property
    def fluctuates(self) -> bool:
        """Whether the state moves; if not, it is a fixed point and every covariance is constant.

        A quantity counts as constant whose covariance varies by less than 1e-6 of the variance over
        units (1e-4 if sampled, in single precision).
        """
        least = 1e-4 if self.method == "sampled" else 1e-6
        return any(
            values[0] - values.min()
            > least * abs(values[0] - self.mean[name] ** 2) + 1e-12 * abs(values[0])
            for name, values in self.covariance.items()
        )

    def relaxation_time(
        self, name: str = "h", *, level: float = float(np.exp(-1)), plateau: float | None = None
    ) -> float:
        r"""Return the lag at which a covariance has fallen to a fraction of its start.

        .. math:: c(\tau) = \frac{C(\tau) - C_\infty}{C(0) - C_\infty} < \mathrm{level}

        Parameters
        ----------
        name
            A quantity.
        level
            The fraction, between 0 and 1; by default 1/e.
        plateau
            :math:`C_\infty`. By default the last value where the lag equations were solved. For
            "sampled" it is the square of the mean where nothing can stay the same (no input is
            static, no output has a mean); otherwise the mean over the last 10 per cent of the lags.

        Returns
        -------
        float
            In units of the lags; 0 if the covariance is constant, infinity if it does not fall so
            far within the lags.

        Raises
        ------
        InvalidInputError
            For another name, or a level or plateau that is no such number.

        Assumptions
        -----------
        The lags of sampled solutions end at a quarter of the period, 2.5 relaxation times if the
        period is just long enough. Where the plateau must be read off there, an exponential decay
        then seems 15 per cent too fast: give a longer period, or the plateau.
        """
        check_choice("name", name, self.names)
        values = self.covariance[name]
        if plateau is None:
            if self.method == "sampled" and np.ptp(values) <= _CONSTANT * abs(values[0]):
                return 0.0
            plateau = self._plateau(name)
        return relaxation_time(self.lags, values, level=level, plateau=plateau)

    def at(
        self, name: str, lags: Float[ArrayLike, "..."] | Sequence[float]
    ) -> Float[HostArray, "..."]:
        """Return a covariance at other lags; it is even in the lag.

        Solutions of the lag equations are polynomials in arcsinh(lag / scale): those of h, z, r
        lose nothing, those of functions as steep as tanh(1000 h) or sigmoid(1000 r) are exact to
        4e-5. Sampled ones are interpolated by monotone cubics.

        Parameters
        ----------
        name
            A quantity.
        lags
            Of any shape. Beyond the last lag a solution of the lag equations stays on its plateau,
            and one that does not move stays what it is.

        Returns
        -------
        array
            Of the shape of the lags.

        Raises
        ------
        InvalidInputError
            For another name, or lags beyond the last one of a sampled solution that moves.
        """
        points = self._within(name, lags)
        settings: dict[str, Any] = dict(self.settings)
        if "scale" in settings:
            frame = Frame(settings["scale"], settings["horizon"], settings["count"])
            values = values_at(frame, self.covariance[name], points.ravel())
            return values.reshape(points.shape)
        return PchipInterpolator(self.lags, self.covariance[name])(points)

    def error_at(
        self, name: str, lags: Float[ArrayLike, "..."] | Sequence[float]
    ) -> Float[HostArray, "..."]:
        """Return the standard error of `at`, interpolated linearly; zero for the lag equations.

        Parameters, errors and shape as in `at`.
        """
        points = self._within(name, lags)
        return np.asarray(np.interp(points, self.lags, self.standard_error[name]))

    def _within(self, name: str, lags: Any) -> Float[HostArray, "..."]:
        """Return |lags|, none beyond the last one where the covariance is known."""
        check_choice("name", name, self.names)
        points, last = np.abs(np.asarray(lags, float)), float(self.lags[-1])
        if self.method == "sampled" and self.fluctuates:
            beyond = points[points > last * (1 + 1e-9)]  # rounding of multiples of the step
            if beyond.size:
                remedy = "Raise period or max_period: the lags end at a quarter of the period."
                refuse("lags", float(beyond.max()), f"lags up to {last:.6g}", remedy)
        return np.minimum(points, last)

    def _plateau(self, name: str) -> float | None:
        """Return C(infinity) where it is known."""
        if self.method != "sampled":
            return float(self.covariance[name][-1])
        static = any(each.is_static and each.variance > 0 for each in self.inputs.values())
        biased = any(
            self.mean[f"y_{field}"] ** 2 > _NO_MEAN * self.covariance[f"y_{field}"][0]
            for field in self.cell.field_names
        )
        return None if static or biased else float(self.mean[name] ** 2)


class TransientMeanField(AbstractResult):
    r"""Two-time correlations of a network that starts from independent random states.

    Attributes
    ----------
    times
        Times t, in units of the units' time constant; step numbers for maps.
    covariance
        Second moment :math:`\langle q(t)\,q(t')\rangle` over units, (time, time), by name.
    standard_error
        Its sampling error, over independent batches.
    mean, mean_standard_error
        Mean over units at each time, by name.
    cell
        The cell.
    status
        OK; DIVERGED if paths were not finite.
    settings
        What made the solution: samples, batches, step, seed, initial variance.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    covariance: dict[str, Float[HostArray, "time time"]] = eqx.field(
        metadata=quantity("time", "other_time")
    )
    standard_error: dict[str, Float[HostArray, "time time"]] = eqx.field(
        metadata=quantity("time", "other_time")
    )
    mean: dict[str, Float[HostArray, " time"]] = eqx.field(metadata=quantity("time"))
    mean_standard_error: dict[str, Float[HostArray, " time"]] = eqx.field(metadata=quantity("time"))
    cell: AbstractCell
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantities."""
        return tuple(self.covariance)
