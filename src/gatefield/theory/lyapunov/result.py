"""What the theory of the largest Lyapunov exponent returns."""

from __future__ import annotations

import math

import equinox as eqx
import numpy as np

from gatefield.core.errors import NumericalFailureError
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.theory.dmft import MeanField

_ROUNDING = 1e-9  # leading edges at a transition are zero to this


class MeanFieldLyapunov(AbstractResult):
    """The largest Lyapunov exponent of a mean-field solution, natural log.

    Attributes
    ----------
    exponent
        Per unit of the units' time constant (flows) or per step (maps). At a fixed point it is the
        leading edge of the Jacobian's spectrum (for maps its logarithm).
    standard_error
        Sampling error over independent batches; zero for "operator" and "leading edge".
    truncation
        For "operator": error of the discretisation, the larger of what a coarser grid changes and
        (for inputs constant in time) the exponent found in the odd sector, where zero is exact.
        NaN for the others.
    batch_exponents
        For "sampled": the exponent of each batch.
    lags, mode
        For "operator": the lags, and the growing perturbation's covariance X_h there, 1 at lag 0.
    method
        "operator" (Eqs. 10-11), "sampled", or "leading edge".
    approximate
        Whether the separable approximation entered (alpha_z > 0).
    status
        OK, or why there is no exponent: that of the mean field, or NOT_CONVERGED.
    settings
        Of "sampled": seed, tolerance, max_sweeps.
    mean_field
        The solution whose exponent this is.
    """

    exponent: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    standard_error: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    truncation: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    batch_exponents: Float[HostArray, " batch"] = eqx.field(
        metadata=quantity("batch", unit="1 / time constant")
    )
    lags: Float[HostArray, " lag"] = eqx.field(metadata=quantity("lag", unit="time constant"))
    mode: Float[HostArray, " lag"] = eqx.field(metadata=quantity("lag"))
    method: str = eqx.field(static=True)
    approximate: bool = eqx.field(static=True)
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)
    mean_field: MeanField

    @property
    def is_map(self) -> bool:
        """Whether rates are per step."""
        return self.mean_field.is_map

    @property
    def chaotic(self) -> bool:
        """Whether the exponent is positive by more than three of its errors.

        Raises
        ------
        NumericalFailureError
            If the exponent is not known: the status is not OK.
        """
        if self.status is not Status.OK:
            raise NumericalFailureError(
                f"chaotic: the exponent has status {self.status.value!r}. Solve it again."
            )
        truncation = max(float(np.nan_to_num(self.truncation)), _ROUNDING)
        return bool(self.exponent > 3 * math.hypot(float(self.standard_error), truncation))
