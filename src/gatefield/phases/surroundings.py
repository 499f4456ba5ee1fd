"""What is held fixed while g_h and alpha_r span the phase diagram."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gatefield.core.checks import as_parameter
from gatefield.core.errors import refuse
from gatefield.theory.static import static_conditions

_NAMES = ("h", "z", "r")


class Surroundings(NamedTuple):
    """Biases, their random parts, and the variances of static random inputs (floats).

    ``z_offset`` shifts the update gate's threshold where alpha_z -> infinity: the gate is open
    where z + z_offset > 0, so that it stands for beta_z / alpha_z plus the mean of I_z.
    """

    beta_h: float
    beta_r: float
    h_bias: float
    r_bias: float
    h_input: float
    r_input: float
    z_input: float
    z_offset: float

    @property
    def has_sources(self) -> bool:
        """Whether h = 0 is no fixed point, because something drives or biases it."""
        return bool(self.beta_h or self.h_bias or self.h_input)

    @property
    def is_plain(self) -> bool:
        """Whether there are neither biases nor inputs: the case of Appendix G."""
        return not any(self)


def surroundings(
    beta_h: Any = 0.0,
    beta_r: Any = 0.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
    z_offset: Any = 0.0,
) -> Surroundings:
    """Check biases and variances and return them as `Surroundings`.

    Raises
    ------
    InvalidInputError
        For values that are not finite numbers, negative variances, or unknown names.
    """
    given = static_conditions(_NAMES, None, input_variance, bias_variance)
    if float(np.max(given.bias_variance["z"])) > 0:
        remedy = "Use input_variance={'z': ...}, in the units of z."
        refuse("bias_variance['z']", bias_variance, "zero where alpha_z -> infinity", remedy)
    values = {
        "beta_h": as_parameter("beta_h", beta_h),
        "beta_r": as_parameter("beta_r", beta_r),
        "bias_variance['h']": given.bias_variance["h"],
        "bias_variance['r']": given.bias_variance["r"],
        "input_variance['h']": given.input_variance["h"],
        "input_variance['r']": given.input_variance["r"],
        "input_variance['z']": given.input_variance["z"],
        "z_offset": as_parameter("z_offset", z_offset),
    }
    for name, value in values.items():
        if np.shape(value) != ():
            refuse(name, value, "one number for the whole diagram", "Loop over the values.")
    return Surroundings(*(float(value) for value in values.values()))
