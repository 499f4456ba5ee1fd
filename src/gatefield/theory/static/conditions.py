"""The static surroundings of a network: random inputs and random biases, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx

from gatefield.core.checks import as_parameter, check_names
from gatefield.core.errors import refuse
from gatefield.core.types import Unit


class StaticConditions(eqx.Module):
    """Static Gaussian inputs and biases, independent from unit to unit.

    Attributes
    ----------
    input_mean, input_variance
        Mean and variance of the static input to each drive of the cell.
    bias_variance
        Variance of the random part of each bias; its mean is the cell's own bias.
    """

    input_mean: Unit
    input_variance: Unit
    bias_variance: Unit


def static_conditions(
    names: tuple[str, ...],
    input_mean: Mapping[str, Any] | None,
    input_variance: Mapping[str, Any] | None,
    bias_variance: Mapping[str, Any] | None,
) -> StaticConditions:
    """Check the conditions, and fill in zero for every name that is not given.

    Raises
    ------
    InvalidInputError
        For an unknown name, a value that is not finite, or a negative variance.
    """

    def filled(label, given, nonnegative):
        given = {} if given is None else given
        if not isinstance(given, Mapping):
            refuse(label, given, "a mapping by drive name", f"For instance {{{names[0]!r}: 0.1}}.")
        check_names(label, given, names)
        return {
            name: as_parameter(f"{label}[{name!r}]", given.get(name, 0.0), nonnegative=nonnegative)
            for name in names
        }

    return StaticConditions(
        filled("input_mean", input_mean, False),
        filled("input_variance", input_variance, True),
        filled("bias_variance", bias_variance, True),
    )
