"""Critical lines for several values of a bias or of an input's variance (Fig. 13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.core.checks import as_parameter, check_choice
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray
from gatefield.phases.lines import fixed_point_line, marginal_line, stability_line

VARIED = {
    "beta_h": "bias of the activation",
    "beta_r": "bias of the output gate",
    "bias_variance_h": "variance of random biases of the activation",
    "bias_variance_r": "variance of random biases of the output gate",
    "input_variance_h": "variance of a static input to h",
    "input_variance_r": "variance of a static input to r",
}
"""What a family of lines can be drawn for."""


class LineFamily(AbstractResult):
    """Critical lines in the (g_h, alpha_r) plane, one of each kind for each value.

    Attributes
    ----------
    values
        Values of ``vary``.
    alpha_r
        Gains of the output gate.
    stability
        The g_h above which the fixed point is unstable, rho = 1.
    marginal
        The g_h below which the state is marginally stable for alpha_z -> infinity (static
        variance); 0 where there is none.
    fold
        The g_h above which a pair of fixed points exists beside the one of small gains; infinite
        where there is none.
    vary
        What differs from line to line, of `VARIED`.
    """

    values: Float[HostArray, " value"] = eqx.field(metadata=quantity("value"))
    alpha_r: Float[HostArray, " alpha_r"] = eqx.field(metadata=quantity("alpha_r"))
    stability: Float[HostArray, "value alpha_r"] = eqx.field(metadata=quantity("value", "alpha_r"))
    marginal: Float[HostArray, "value alpha_r"] = eqx.field(metadata=quantity("value", "alpha_r"))
    fold: Float[HostArray, "value alpha_r"] = eqx.field(metadata=quantity("value", "alpha_r"))
    vary: str = eqx.field(static=True)


def surroundings_of(vary: str, value: float, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return biases and variances as the lines take them, with one of `VARIED` set.

    Parameters
    ----------
    vary, value
        A name of `VARIED`, and its value.
    fixed
        The rest, as keyword arguments of `stability_line`.

    Returns
    -------
    dict
        Keyword arguments of `stability_line`.

    Raises
    ------
    InvalidInputError
        For another name, or if the rest has a value of what is varied.
    """
    check_choice("vary", vary, VARIED)
    name, _, drive = vary.rpartition("_")
    of_beta = vary.startswith("beta")
    others = fixed if of_beta else fixed.get(name) or {}
    own = vary if of_beta else drive
    if own in others:
        given = vary if of_beta else f"{name}[{drive!r}]"
        refuse(given, others[own], "no value beside those of the lines", "Leave it out.")
    chosen = {**others, own: value}
    return chosen if of_beta else {**fixed, name: chosen}


def line_family(
    vary: str,
    values: Any,
    *,
    alpha_r: Any = None,
    z_offset: Any = 0.0,
    **fixed: Any,
) -> LineFamily:
    r"""Compute critical lines for several values of a bias or of an input's variance.

    Parameters
    ----------
    vary
        What differs from line to line, of `VARIED`.
    values
        Its values, (V,).
    alpha_r
        Gains of the output gate along each line; by default 120 values over [0, 20].
    z_offset
        Shift of the update gate's threshold, for the marginal lines as in `marginal_line`.
    fixed
        ``beta_h``, ``beta_r``, ``input_variance``, ``bias_variance`` of all lines, as in
        `stability_line`, without what is varied.

    Returns
    -------
    LineFamily

    Raises
    ------
    InvalidInputError
        For another name, values that make no sense, or a fixed value of what is varied.

    Assumptions
    -----------
    As `stability_line` and `marginal_line`.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), App. H 1, Fig. 13; Fig. 7.
    """
    check_choice("vary", vary, VARIED)
    chosen = np.asarray(as_parameter(vary, values), float)
    if chosen.ndim != 1 or chosen.size == 0:
        refuse(vary, values, "a list of numbers", "One value for each line.")
    alphas = np.linspace(0.0, 20.0, 120) if alpha_r is None else alpha_r
    alphas = np.asarray(as_parameter("alpha_r", alphas, nonnegative=True), float)
    if alphas.ndim != 1 or alphas.size == 0:
        refuse("alpha_r", alpha_r, "a list of numbers", "Pass the gains along the lines.")
    rows = []
    for value in chosen:
        options = surroundings_of(vary, float(value), fixed)
        rows.append(
            (
                stability_line(alpha_r=alphas, **options),
                marginal_line(alpha_r=alphas, z_offset=z_offset, **options),
                fixed_point_line(alpha_r=alphas, **options),
            )
        )
    stability, marginal, fold = (np.array(each) for each in zip(*rows, strict=True))
    return LineFamily(chosen, alphas, stability, marginal, fold, vary)
