"""Several independent inputs to one drive, and one input to several: cells with further drives."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from gatefield.cells import AbstractCell, AbstractFlow, AbstractMap
from gatefield.core.checks import as_number, check_names
from gatefield.core.errors import refuse
from gatefield.core.types import Unit
from gatefield.initialise.statistics import InputStatistics
from gatefield.networks import GaussianInput


class Source(NamedTuple):
    """One Gaussian input and the drives that it adds to, with their signs."""

    input: GaussianInput
    targets: tuple[tuple[str, float], ...]


def sources_of(cell: AbstractCell, inputs: Any, weight_variance: float | None) -> list[Source]:
    """Return what drives a cell, one source for each independent input.

    Parameters
    ----------
    cell
        Names the drives.
    inputs
        `InputStatistics`, or by drive a `GaussianInput`, a constant, or a tuple of inputs.
    weight_variance
        Variance of an input weight, which `InputStatistics` need.

    Raises
    ------
    InvalidInputError
        For a drive that the cell does not have, other inputs, statistics without the variance, or
        the variance without statistics.
    """
    if weight_variance is not None and not isinstance(inputs, InputStatistics):
        remedy = "Other inputs are what a unit receives: they know no weights."
        refuse("weight_variance", weight_variance, "None without InputStatistics", remedy)
    if inputs is None:
        return []
    if isinstance(inputs, InputStatistics):
        if weight_variance is None:
            remedy = "Pass the variance of an input weight: 1/(3 N) of PyTorch's default."
            refuse("weight_variance", None, "a number with InputStatistics", remedy)
        inputs = inputs.drives(cell, weight_variance)
    if not isinstance(inputs, Mapping):
        remedy = "For instance {'h': GaussianInput(variance=0.1, correlation_time=2.0)}."
        refuse("inputs", inputs, "InputStatistics, or inputs by drive name", remedy)
    check_names("inputs", inputs, cell.drive_names)
    found = []
    for drive, given in inputs.items():
        for each in given if isinstance(given, tuple) else (given,):
            if not isinstance(each, GaussianInput):
                each = GaussianInput(mean=as_number(f"inputs[{drive!r}]", each), variance=0.0)
            found.append(Source(each, ((drive, 1.0),)))
    return found


def with_sources(
    cell: AbstractCell, sources: list[Source]
) -> tuple[AbstractCell, dict[str, GaussianInput]]:
    """Return a cell with one drive for each source, and the inputs by their names.

    Sources that have a drive to themselves keep it; a cell for which all do is returned as it is.
    """
    inputs: dict[str, GaussianInput] = {}
    further: list[tuple[str, tuple[tuple[str, float], ...]]] = []
    for source in sources:
        drive = source.targets[0][0]
        if source.targets == ((drive, 1.0),) and drive not in inputs:
            inputs[drive] = source.input
        else:
            name = f"further_{len(further)}"
            further.append((name, source.targets))
            inputs[name] = source.input
    kind: Any = _sourced(type(cell), tuple(further))
    return (kind(cell) if further else cell), inputs


@functools.cache
def _sourced(kind: type[AbstractCell], further: tuple[Any, ...]) -> type[AbstractCell]:
    base: Any = AbstractMap if issubclass(kind, AbstractMap) else AbstractFlow

    def summed(drive: Unit) -> Unit:
        total = {name: drive[name] for name in kind.drive_names}
        for name, targets in further:
            for target, sign in targets:
                total[target] = total[target] + sign * drive[name]
        return total

    class Sourced(base):
        inner: Any

        state_names: ClassVar[tuple[str, ...]] = kind.state_names
        field_names: ClassVar[tuple[str, ...]] = kind.field_names
        drive_names: ClassVar[tuple[str, ...]] = kind.drive_names + tuple(
            name for name, _ in further
        )

        def gains(self):
            return self.inner.gains()

        def outputs(self, state, fields, drive):
            return self.inner.outputs(state, fields, summed(drive))

        def rule(self, state, fields, drive):
            return self.inner.rule(state, fields, summed(drive))

    return Sourced
