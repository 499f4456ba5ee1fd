"""The phase diagram of the gated RNN in the (g_h, alpha_r) plane (Fig. 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.core.checks import as_number, as_parameter
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Bool, Float, HostArray, Int
from gatefield.phases.dynamical import dynamical_line
from gatefield.phases.lines import fixed_point_line, marginal_line, stability_line
from gatefield.phases.surroundings import Surroundings, surroundings

REGIONS = {
    1: "one stable fixed point",
    2: "stable fixed point, unstable ones proliferate; activity dies out quickly",
    3: "chaos beside a stable fixed point; long transients",
    4: "chaotic attractor",
    5: "chaotic side, marginally stable for alpha_z -> infinity",
}
"""The regions of the paper's Fig. 7."""


class PhaseDiagram(AbstractResult):
    """Regions and critical lines over a grid of g_h and alpha_r.

    Attributes
    ----------
    g_h, alpha_r
        The grid's axes.
    region
        1 to 5 (see `REGIONS`), rows alpha_r, columns g_h; 5 lies on the chaotic side, over 3 and 4.
    moderate_region
        1 to 4: the region at moderate alpha_z, without the overlay of 5.
    marginal
        Where region 5 is.
    fixed_point_line, dynamical_line, dynamical_line_fast_gate, marginal_line
        Critical alpha_r for each g_h; infinity where a line does not exist. The dynamical line is
        that of the diagram's tau_r, which decides region 3; the fast gate's is for tau_r -> 0.
    stability_line
        Critical g_h for each alpha_r.
    input_line
        Critical g_h for each alpha_r in the presence of a static input to h of variance
        ``line_input_variance`` (on top of the diagram's own): the red line of Fig. 7.
    line_input_variance
        That variance.
    tau_r
        Time constant of the output gate.
    around
        Biases, inputs and offsets of the diagram.
    notes
        What the diagram does not say, in words.
    """

    g_h: Float[HostArray, " g_h"] = eqx.field(metadata=quantity("g_h"))
    alpha_r: Float[HostArray, " alpha_r"] = eqx.field(metadata=quantity("alpha_r"))
    region: Int[HostArray, "alpha_r g_h"] = eqx.field(metadata=quantity("alpha_r", "g_h"))
    moderate_region: Int[HostArray, "alpha_r g_h"] = eqx.field(metadata=quantity("alpha_r", "g_h"))
    marginal: Bool[HostArray, "alpha_r g_h"] = eqx.field(metadata=quantity("alpha_r", "g_h"))
    fixed_point_line: Float[HostArray, " g_h"] = eqx.field(metadata=quantity("g_h"))
    dynamical_line: Float[HostArray, " g_h"] = eqx.field(metadata=quantity("g_h"))
    dynamical_line_fast_gate: Float[HostArray, " g_h"] = eqx.field(metadata=quantity("g_h"))
    marginal_line: Float[HostArray, " g_h"] = eqx.field(metadata=quantity("g_h"))
    stability_line: Float[HostArray, " alpha_r"] = eqx.field(metadata=quantity("alpha_r"))
    input_line: Float[HostArray, " alpha_r"] = eqx.field(metadata=quantity("alpha_r"))
    line_input_variance: float = eqx.field(static=True)
    tau_r: float = eqx.field(static=True)
    around: Surroundings = eqx.field(static=True)
    notes: tuple[str, ...] = eqx.field(static=True)

    def region_at(self, g_h: float, alpha_r: float) -> int:
        """Return the region of the grid point nearest to a pair of gains inside the grid."""
        for name, value, axis in (("g_h", g_h, self.g_h), ("alpha_r", alpha_r, self.alpha_r)):
            if not axis.min() <= value <= axis.max():
                expected = f"a value in [{axis.min():g}, {axis.max():g}]"
                refuse(name, value, expected, "Ask phases.classify for points off the grid.")
        row = np.argmin(np.abs(self.alpha_r - alpha_r))
        return int(self.region[row, np.argmin(np.abs(self.g_h - g_h))])


def phase_diagram(
    g_h: Any = None,
    alpha_r: Any = None,
    *,
    tau_r: float = 1.0,
    beta_h: Any = 0.0,
    beta_r: Any = 0.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
    z_offset: Any = 0.0,
    line_input_variance: Any = 0.04,
) -> PhaseDiagram:
    r"""Compute the phase diagram of the gated RNN: regions 1-5 and all critical lines.

    Parameters
    ----------
    g_h, alpha_r
        The grid's axes, each strictly increasing; by default 200 values over [1.2, 7] and [0, 40].
    tau_r
        Time constant of the output gate, which moves the dynamical line; 0 is the paper's limit.
    beta_h, beta_r, input_variance, bias_variance, z_offset
        Biases and static inputs of the whole diagram, as in `stability_line` and `marginal_line`.
    line_input_variance
        Variance of the static input for which the red line is drawn.

    Returns
    -------
    PhaseDiagram

    Raises
    ------
    InvalidInputError
        For an empty or unordered grid, or parameters that do not make sense.

    Assumptions
    -----------
    N -> infinity and moderate alpha_z (up to about 10), for which no line but that of region 5
    depends on it. Gains exactly on the stability line count as unstable. Inputs to h inside the
    update gate's bracket. With biases or inputs region 3 is not told from region 2: the theory
    gives the dynamical line only without them.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. VII, Fig. 7, Fig. 13.
    """
    gains = _axis("g_h", g_h, np.linspace(1.2, 7.0, 200), positive=True)
    alphas = _axis("alpha_r", alpha_r, np.linspace(0.0, 40.0, 200), positive=False)
    extra = as_number("line_input_variance", line_input_variance, positive=True)
    lag = as_number("tau_r", tau_r, nonnegative=True)
    around = surroundings(beta_h, beta_r, input_variance, bias_variance, z_offset)
    biases = {
        "beta_h": beta_h,
        "beta_r": beta_r,
        "input_variance": input_variance,
        "bias_variance": bias_variance,
    }
    driven = {**biases, "input_variance": {**(input_variance or {}), "h": around.h_input + extra}}
    stable = stability_line(alpha_r=alphas, **biases)
    fold = fixed_point_line(gains, **biases)
    marginal = marginal_line(gains, **biases, z_offset=z_offset)
    notes = []
    if around._replace(z_input=0.0, z_offset=0.0).is_plain:
        fast = dynamical_line(gains)
        dynamical = dynamical_line(gains, lag) if lag > 0 else fast
    else:
        fast = dynamical = np.full(gains.shape, np.inf)
        notes.append(
            "With biases or inputs the dynamical line is not known: region 2 may contain region 3."
        )
    moderate = _regions(gains, alphas, stable, fold, dynamical)
    is_marginal = (moderate >= 3) & (alphas[:, None] < marginal[None, :])
    return PhaseDiagram(
        g_h=gains,
        alpha_r=alphas,
        region=np.where(is_marginal, 5, moderate),
        moderate_region=moderate,
        marginal=is_marginal,
        fixed_point_line=fold,
        dynamical_line=dynamical,
        dynamical_line_fast_gate=fast,
        marginal_line=marginal,
        stability_line=stable,
        input_line=stability_line(alpha_r=alphas, **driven),
        line_input_variance=extra,
        tau_r=lag,
        around=around,
        notes=tuple(notes),
    )


def classify(g_h: float, alpha_r: float, *, tau_r: float = 1.0, **conditions: Any) -> int:
    """Return the region (1 to 5, see `REGIONS`) of one pair of gains.

    Parameters
    ----------
    g_h, alpha_r
        The two gains.
    tau_r, conditions
        As the keywords of `phase_diagram`.

    Returns
    -------
    int

    Raises
    ------
    InvalidInputError
        As `phase_diagram`.
    """
    point = phase_diagram([g_h], [alpha_r], tau_r=tau_r, **conditions)
    return int(point.region[0, 0])


def _axis(name: str, values: Any, default: np.ndarray, *, positive: bool) -> np.ndarray:
    sign = {"positive": True} if positive else {"nonnegative": True}
    axis = np.asarray(as_parameter(name, default if values is None else values, **sign))
    if axis.ndim != 1 or axis.size == 0:
        refuse(f"{name}.shape", axis.shape, "a list of at least one value", "Pass the grid's axis.")
    if np.any(np.diff(axis) <= 0):
        refuse(name, values, "strictly increasing values", "Sort them and drop repetitions.")
    return axis


def _regions(gains, alphas, stable, fold, dynamical) -> np.ndarray:
    """Compare every grid point with the lines."""
    g, alpha = gains[None, :], alphas[:, None]
    region = np.ones((alphas.size, gains.size), int)
    region[alpha > fold[None, :]] = 2
    region[alpha > dynamical[None, :]] = 3
    region[g >= stable[:, None]] = 4
    return region
