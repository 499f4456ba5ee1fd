"""What the adjoint mean-field theory returns: how large gradients are, and how they grow."""

from __future__ import annotations

import equinox as eqx
import numpy as np

from gatefield.cells import AbstractMap
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.growth import growth_rate
from gatefield.theory.dmft import MeanField
from gatefield.theory.static import StaticMeanField


class AdjointMeanField(AbstractResult):
    r"""Mean squared gradients of a random linear readout, N to infinity.

    With :math:`a_{c,i} = dL / ds_{c,i}` for components c of the units i, and
    :math:`b^a_i = dL / du^a_i` for their fields.

    Attributes
    ----------
    times
        Time BEFORE the end of the horizon, ascending from 0, in units of the units' time constant
        (steps for maps).
    adjoint_variance, adjoint_standard_error
        :math:`N^{-1} \sum_i a_{c,i}^2` at each time, by component.
    covariance, standard_error
        Correlation functions :math:`\langle a_c(t)\,a_c(t')\rangle` by "a_" and the component, and
        :math:`\langle b^a(t)\,b^a(t')\rangle` by "b_" and the field, (time, time).
    gradient_variance, gradient_standard_error
        "J_" and the field: :math:`N^{-2} \sum_{ij} (dL/dJ^a_{ij})^2`. A parameter's name:
        :math:`N^{-1} \sum_i (dL/d\theta_i)^2`, each unit with a parameter of its own. (That of one
        parameter shared by all units is not its sum: `solve_shared_sensitivity`.)
    batch_growth
        Growth rate of each batch of a sampled solution, or of each part of a closed form's units;
        empty where nothing is drawn.
    truncation
        Relative error of the closed form's quadrature, or of the lag equations' grid; zero for
        sampled solutions.
    terminal
        Variance of the terminal adjoint, by component.
    source
        What enters along the trajectory, by component.
    method
        "fixed point" (closed form), "lag equations" (exact; parameters with a standard error were
        sampled), or "sampled" (exact up to sampling).
    mean_field
        The solution that the gradients belong to.
    status
        OK; DIVERGED if values are not finite; NOT_CONVERGED if the truncation exceeds 1e-6 (1e-3
        for the lag equations), or if samples are too few for the horizon: adjoints went along more
        directions than half their number.
    settings
        What made it: horizon, and for "sampled" samples, batches, step, seed.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    adjoint_variance: dict[str, Float[HostArray, " time"]] = eqx.field(metadata=quantity("time"))
    adjoint_standard_error: dict[str, Float[HostArray, " time"]] = eqx.field(
        metadata=quantity("time")
    )
    covariance: dict[str, Float[HostArray, "time time"]] = eqx.field(
        metadata=quantity("time", "other_time")
    )
    standard_error: dict[str, Float[HostArray, "time time"]] = eqx.field(
        metadata=quantity("time", "other_time")
    )
    gradient_variance: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    gradient_standard_error: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    batch_growth: Float[HostArray, " batch"] = eqx.field(
        metadata=quantity("batch", unit="1 / time constant")
    )
    truncation: Float[HostArray, ""] = eqx.field(metadata=quantity())
    terminal: dict[str, float] = eqx.field(static=True)
    source: dict[str, GaussianInput]
    method: str = eqx.field(static=True)
    mean_field: MeanField | StaticMeanField
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)

    @property
    def is_map(self) -> bool:
        """Whether times count steps."""
        return isinstance(self.mean_field.cell, AbstractMap)

    @property
    def horizon(self) -> float:
        """How far back the gradients reach."""
        return float(self.times[-1])

    @property
    def total_variance(self) -> Float[HostArray, " time"]:
        r""":math:`N^{-1} |a|^2` at each time: the sum of `adjoint_variance` over components."""
        return np.sum([each for each in self.adjoint_variance.values()], axis=0)

    @property
    def growth_rate(self) -> float:
        r"""Growth rate of :math:`|a|^2` back in time, over the second half of the horizon.

        The slope of the logarithm by least squares, natural log, per unit of the units' time
        constant (maps: per step); positive where gradients explode. In a state that moves it tends
        to twice the largest Lyapunov exponent; at a fixed point to twice the leading edge, from
        below by 1/(2t): the prefactor there is :math:`t^{-1/2}`. NaN if the adjoint vanishes
        entirely, or if the second half holds a single time (a map's horizon of 1).
        """
        return growth_rate(self.times, self.total_variance)

    @property
    def growth_standard_error(self) -> float:
        """Sampling error of `growth_rate`; zero where nothing is drawn."""
        if self.batch_growth.size == 0:
            return 0.0
        return float(self.batch_growth.std(ddof=1) / np.sqrt(self.batch_growth.size))
