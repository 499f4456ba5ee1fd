"""What is read out of a state, in theory and in networks alike: at the end, or along a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatefield.core.checks import as_number, check_names
from gatefield.core.errors import refuse
from gatefield.networks.noise import GaussianInput


def check_terminal(
    terminal: Any, names: tuple[str, ...], source: Mapping[str, GaussianInput] | None = None
) -> dict[str, float]:
    """Return the variance of a readout at the end, or its weight, by component.

    Parameters
    ----------
    terminal
        By component; by default 1 for the first component, or none where there is a source.
    names
        The components of the state.
    source
        Readouts along the run, which `check_source` returned.

    Raises
    ------
    InvalidInputError
        For names that are no components, negative numbers, or if nothing is read out.
    """
    if terminal is None:
        terminal = {} if source else {names[0]: 1.0}
    if not isinstance(terminal, Mapping):
        refuse("terminal", terminal, "variances by component", "Pass {name: variance}.")
    check_names("terminal", terminal, names)
    given = {
        name: as_number(f"terminal[{name!r}]", value, nonnegative=True)
        for name, value in terminal.items()
    }
    along = any(float(each.variance) > 0 for each in (source or {}).values())
    if not along and not any(given.values()):
        refuse("terminal", given, "a positive variance, or a source", "Nothing is read out.")
    return given


def check_source(source: Any, names: tuple[str, ...]) -> dict[str, GaussianInput]:
    """Return the readouts along a run by component, none by default.

    Raises
    ------
    InvalidInputError
        For names that are no components, what is no `GaussianInput`, or one with a mean.
    """
    if source is None:
        return {}
    if not isinstance(source, Mapping):
        refuse("source", source, "readouts by component", "Pass {name: GaussianInput(...)}.")
    check_names("source", source, names)
    for name, value in source.items():
        if not isinstance(value, GaussianInput):
            refuse(f"source[{name!r}]", value, "a GaussianInput of mean zero", "Give a variance.")
        if value.mean != 0:
            remedy = "A mean shared by all units is no random readout."
            refuse(f"source[{name!r}].mean", value.mean, "0", remedy)
    return dict(source)
