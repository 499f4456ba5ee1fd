"""The one harness in which theory meets simulation: deviations in standard errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.analysis.recording import FEWEST
from gatefield.core.checks import as_parameter
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray

__all__ = ["FEWEST", "Comparison", "compare", "compare_sizes"]


class Comparison(AbstractResult):
    """A predicted number beside what independent networks gave.

    Attributes
    ----------
    theory, theory_error
        The prediction and its own standard error (0 where it is exact).
    measured, standard_error
        Mean over networks and its standard error; extrapolated to N -> infinity where the
        comparison was made over sizes.
    deviation
        (measured - theory) / combined standard error.
    threshold
        Deviations up to this size agree.
    name
        What is compared.
    """

    theory: Float[HostArray, ""] = eqx.field(metadata=quantity())
    theory_error: Float[HostArray, ""] = eqx.field(metadata=quantity())
    measured: Float[HostArray, ""] = eqx.field(metadata=quantity())
    standard_error: Float[HostArray, ""] = eqx.field(metadata=quantity())
    deviation: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="standard errors"))
    threshold: float = eqx.field(static=True)
    name: str = eqx.field(static=True)

    @property
    def agrees(self) -> bool:
        """Whether the deviation is within the threshold."""
        return bool(abs(self.deviation) <= self.threshold)

    def __str__(self) -> str:
        """Say it in one line."""
        verdict = "agrees" if self.agrees else "DISAGREES"
        return (
            f"{self.name}: theory {self.theory:.6g}, networks {self.measured:.6g} "
            f"+- {self.standard_error:.2g} ({self.deviation:+.1f} standard errors, {verdict})"
        )


def compare(
    theory: Any,
    samples: Any,
    *,
    theory_error: Any = 0.0,
    threshold: float = 4.0,
    name: str = "quantity",
) -> Comparison:
    r"""Compare a prediction with the values that independent networks gave.

    The deviation is :math:`(\bar x - x_\mathrm{theory}) / \sqrt{s^2/S + e^2}` with the sample
    variance s^2 of S networks and the theory's own error e.

    Parameters
    ----------
    theory
        The predicted number.
    samples
        One value for each independent network, (S,), S >= 3.
    theory_error
        Standard error of the prediction.
    threshold
        How many standard errors still agree. 4 is passed by chance in 1 of 10,000 comparisons of
        Gaussian means; for few networks Student's distribution has heavier tails.
    name
        What is compared, for the report.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInputError
        For fewer than three samples, or values that are not finite.
    """
    values = np.asarray(as_parameter("samples", samples))
    if values.ndim != 1 or values.size < FEWEST:
        refuse("samples.shape", values.shape, f"at least ({FEWEST},)", "Simulate more networks.")
    error = float(values.std(ddof=1) / np.sqrt(values.size))
    return _comparison(theory, theory_error, values.mean(), error, threshold, name)


def compare_sizes(
    theory: Any,
    samples: Mapping[int, Any],
    *,
    theory_error: Any = 0.0,
    threshold: float = 4.0,
    name: str = "quantity",
) -> Comparison:
    r"""Compare a prediction for N -> infinity with networks of several sizes.

    The means are fitted by :math:`x(N) = x_\infty + c/N`, weighted by their standard errors, and
    the intercept is compared.

    Parameters
    ----------
    theory, theory_error, threshold, name
        As in `compare`.
    samples
        For each size N the values of independent networks.

    Returns
    -------
    Comparison
        Of the intercept.

    Raises
    ------
    InvalidInputError
        For fewer than two sizes, or too few samples at one of them.
    """
    if len(samples) < 2:
        refuse("samples", list(samples), "at least two sizes", "Use compare for one size.")
    each = {n: compare(theory, values, name=f"{name} at N = {n}") for n, values in samples.items()}
    sizes = np.array(list(each), float)
    means = np.array([float(one.measured) for one in each.values()])
    errors = np.array([float(one.standard_error) for one in each.values()])
    # Samples that are alike differ by rounding: their errors weigh no more than that.
    rounding = 1e-12 * np.max(np.abs(means)) or 1e-100
    weights = 1 / np.maximum(errors, rounding)
    design = np.stack([np.ones_like(sizes), 1 / sizes], axis=1) * weights[:, None]
    covariance = np.linalg.inv(design.T @ design)
    intercept = (covariance @ design.T @ (means * weights))[0]
    error = float(np.sqrt(covariance[0, 0]))
    return _comparison(theory, theory_error, intercept, error, threshold, name)


def _comparison(theory, theory_error, measured, error, threshold, name) -> Comparison:
    predicted = np.asarray(as_parameter("theory", theory), float)
    own = np.asarray(as_parameter("theory_error", theory_error, nonnegative=True), float)
    combined = float(np.hypot(error, own))
    difference = float(measured - predicted)
    # Identical samples have no spread: then only rounding may separate them from the theory.
    scale = combined if combined > 0 else 1e-12 * max(1.0, abs(float(predicted)))
    return Comparison(
        theory=predicted,
        theory_error=own,
        measured=np.asarray(measured, float),
        standard_error=np.asarray(error),
        deviation=np.asarray(difference / scale),
        threshold=float(threshold),
        name=name,
    )
