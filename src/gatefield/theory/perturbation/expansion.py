"""What every expansion returns and checks: its small parameter, and a warning where it is large."""

from __future__ import annotations

import warnings
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.core.checks import as_parameter
from gatefield.core.errors import OutsideDomainWarning, refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Bool, Float, HostArray


class FoldExpansion(AbstractResult):
    """A critical line near one of its ends, to the order that the function says.

    Attributes
    ----------
    g_h
        Gain of the activation.
    small
        The parameter that the errors of ``alpha_r`` and ``variance`` shrink with.
    alpha_r
        Gain of the output gate at which two solutions meet.
    variance
        Their variance of h there: D_h of fixed points, C_h(0) of moving states.
    """

    g_h: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    small: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    alpha_r: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    variance: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))


class PairExpansion(AbstractResult):
    """The two nonzero solutions beyond a critical line, near one of its ends.

    Attributes
    ----------
    g_h, alpha_r
        The gains, broadcast against each other.
    small
        The parameter that relative errors shrink with.
    exists
        Whether alpha_r is at or above the line, so that there are two solutions.
    lower, upper
        Their variances of h: D_h of fixed points, C_h(0) of moving states; zero where there is
        none.
    """

    g_h: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    alpha_r: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    small: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    exists: Bool[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    lower: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    upper: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))


def gains_between(g_h: Any, low: float, high: float, ends: str) -> Float[HostArray, "..."]:
    """Return gains g_h as an array, refusing those that are not inside an interval.

    Parameters
    ----------
    g_h
        Gains, any shape.
    low, high
        The ends, which are excluded.
    ends
        The interval in words.
    """
    gains = np.asarray(as_parameter("g_h", g_h, positive=True))
    if not np.all((gains > low) & (gains < high)):
        remedy = "Outside, the line does not exist; phases returns infinity there."
        refuse("g_h", g_h, f"gains with {ends}", remedy)
    return gains


def broadcast_gains(
    gains: HostArray, alpha_r: Any
) -> tuple[Float[HostArray, "..."], Float[HostArray, "..."]]:
    """Return g_h and a positive alpha_r, broadcast against each other."""
    alphas = np.asarray(as_parameter("alpha_r", alpha_r, positive=True))
    try:
        gains, alphas = np.broadcast_arrays(gains, alphas)
    except ValueError:
        shapes = gains.shape, alphas.shape
        refuse(
            "shapes of g_h and alpha_r", shapes, "shapes that broadcast", "Add axes by [:, None]."
        )
    return gains.copy(), alphas.copy()


def warn_if_large(what: str, small: HostArray, largest: float) -> None:
    """Warn where the parameter of an expansion is not small.

    Parameters
    ----------
    what
        The expansion and its parameter, as words before the value.
    small
        Its values.
    largest
        Beyond it, errors of a quarter and more were measured.
    """
    worst = float(np.max(small, initial=0.0))
    if worst > largest:
        warnings.warn(
            f"{what} = {worst:.3g}: expected at most {largest:g}, beyond which the expansion "
            "may be wrong by a quarter and more. Solve the equations: solve_static, phases.",
            OutsideDomainWarning,
            stacklevel=3,
        )


def quadratic_pair(
    slope: HostArray, bend: HostArray, eps: HostArray
) -> tuple[Bool[HostArray, "..."], Float[HostArray, "..."], Float[HostArray, "..."]]:
    """Return whether bend v^2 - slope v + eps = 0 has positive roots, and both (else zero)."""
    inside = slope**2 - 4 * bend * eps
    exists = (inside >= 0) & (slope > 0) & (bend > 0)
    upper = np.where(exists, slope + np.sqrt(np.where(exists, inside, 0.0)), 1.0)
    # The product of the roots: no digits cancel.
    lower = np.where(exists, 2 * eps / upper, 0.0)
    return exists, lower, np.where(exists, upper / np.where(exists, 2 * bend, 1.0), 0.0)
