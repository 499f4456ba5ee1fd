"""Which fields share an output, and in which order outputs that read fields must be sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gatefield.cells.base import AbstractCell
from gatefield.core.checks import as_parameter, check_names
from gatefield.core.errors import InvalidInputError, refuse


class Wiring(NamedTuple):
    """How a cell's outputs reach its fields.

    Attributes
    ----------
    groups
        For each distinct output the indices of the fields that read it. Their coupling matrices
        are stacked, so that each distinct output enters one matrix product.
    stages
        Indices of the groups, in the order of sending: an output of a later stage reads fields
        that an earlier stage has brought.
    """

    groups: tuple[tuple[int, ...], ...]
    stages: tuple[tuple[int, ...], ...]


def wiring(cell: AbstractCell) -> Wiring:
    """Read a cell's wiring off its `outputs`, traced once with abstract scalars.

    Parameters
    ----------
    cell
        Any cell, also one whose parameters are traced.

    Returns
    -------
    Wiring
        Groups of fields with a common output, and the stages of sending.

    Raises
    ------
    InvalidInputError
        If `outputs` does not name every field, if `rule` does not name every component, or if the
        output of a field reads that field itself or a later one.
    """
    for name, value in vars(cell).items():
        if np.ndim(value) > 1:
            remedy = "One value, or one for each unit."
            refuse(f"cell.{name}.shape", np.shape(value), "() or (N,)", remedy)
    unit = jax.tree.map(lambda leaf: leaf[0] if np.ndim(leaf) == 1 else leaf, cell)
    names = cell.field_names
    kind = type(cell).__name__
    scalars = [tuple(0.0 for _ in group) for group in (cell.state_names, names, cell.drive_names)]

    def named(state, fields, drive):
        return (
            dict(zip(cell.state_names, state, strict=True)),
            dict(zip(names, fields, strict=True)),
            dict(zip(cell.drive_names, drive, strict=True)),
        )

    def sent(*values):
        return _checked(f"{kind}.outputs", unit.outputs(*named(*values)), names)

    def changed(*values):
        return _checked(f"{kind}.rule", unit.rule(*named(*values)), cell.state_names)

    jax.eval_shape(changed, *scalars)
    gains = cell.gains()
    check_names(f"{kind}.gains", gains, names, every=True)
    for name, gain in gains.items():
        as_parameter(f"{kind}.gains[{name!r}]", gain, nonnegative=True)
    traced = jax.make_jaxpr(sent)(*scalars).jaxpr
    reads = _fields_read(traced, first=len(cell.state_names), count=len(names))
    return Wiring(*_stages(_groups(traced.outvars), reads, kind, names))


def fields_read(cell: AbstractCell) -> tuple[frozenset[int], ...]:
    """Return for each component of a cell's state the indices of the fields that its rule reads.

    Parameters
    ----------
    cell
        Any cell; its rule is traced once with abstract scalars.
    """
    unit = jax.tree.map(lambda leaf: leaf[0] if np.ndim(leaf) == 1 else leaf, cell)
    names = (cell.state_names, cell.field_names, cell.drive_names)

    def changed(*values):
        parts = (dict(zip(*pair, strict=True)) for pair in zip(names, values, strict=True))
        rule = unit.rule(*parts)
        return [rule[name] for name in cell.state_names]

    traced = jax.make_jaxpr(changed)(*(tuple(0.0 for _ in group) for group in names)).jaxpr
    return tuple(_fields_read(traced, first=len(names[0]), count=len(names[1])))


def _checked(label: str, values: Any, names: tuple[str, ...]) -> list[Any]:
    """Return named scalars in order, refusing what is not a mapping of scalars."""
    if not isinstance(values, Mapping):
        refuse(label, type(values).__name__, "a dictionary by name", "Return {name: value, ...}.")
    check_names(label, values, names, every=True)
    for name in names:
        if np.shape(values[name]) != ():
            remedy = "A cell states the rule of one unit: scalars in, scalars out."
            refuse(f"shape of {label}[{name!r}]", np.shape(values[name]), "()", remedy)
    return [values[name] for name in names]


def _groups(outputs) -> tuple[tuple[int, ...], ...]:
    groups: dict[int, list[int]] = {}
    for index, variable in enumerate(outputs):
        groups.setdefault(id(variable), []).append(index)
    return tuple(tuple(group) for group in groups.values())


def _fields_read(traced, *, first: int, count: int) -> list[frozenset[int]]:
    """Return for each output the fields that it depends on, by walking the traced operations."""
    read = [
        frozenset({index - first}) if first <= index < first + count else frozenset()
        for index in range(len(traced.invars))
    ]
    return _reads(traced, read)


def _reads(traced, inputs: list[frozenset[int]]) -> list[frozenset[int]]:
    """Return what each output of traced operations reads, given what their inputs read."""
    known = {id(variable): read for variable, read in zip(traced.invars, inputs, strict=True)}

    def of(atom):
        return known.get(id(atom), frozenset())

    for equation in traced.eqns:
        read = [of(atom) for atom in equation.invars]
        inner = getattr(equation.params.get("jaxpr"), "jaxpr", None)
        if inner is not None and len(inner.invars) == len(read):
            # A jitted function: look inside, since not every result reads every argument.
            results = _reads(inner, read)
        else:
            results = [frozenset().union(*read)] * len(equation.outvars)
        known.update({id(v): r for v, r in zip(equation.outvars, results, strict=True)})
    return [of(variable) for variable in traced.outvars]


def _stages(groups, reads, cell_name, names):
    group_of = {field: index for index, group in enumerate(groups) for field in group}
    stage_of: dict[int, int] = {}
    # Fields read must be earlier, so one pass in field order meets every dependency in time.
    for index in sorted(range(len(groups)), key=lambda g: groups[g][0]):
        earliest = groups[index][0]
        for field in sorted(reads[earliest]):
            if field >= earliest:
                raise InvalidInputError(
                    f"{cell_name}.outputs: the output of field {names[earliest]!r} reads field "
                    f"{names[field]!r}: expected only fields that stand earlier in field_names = "
                    f"{names}. Reorder field_names."
                )
        needed = [stage_of[group_of[field]] for field in reads[earliest]]
        stage_of[index] = 1 + max(needed, default=-1)
    depth = max(stage_of.values(), default=-1) + 1
    stages = tuple(
        tuple(index for index in range(len(groups)) if stage_of[index] == stage)
        for stage in range(depth)
    )
    return groups, stages
