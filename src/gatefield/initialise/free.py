"""The free parameters of a design: their names, bounds and scale, and the cells they stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell
from gatefield.cells.parameters import check_shared, parameter_names, with_parameters
from gatefield.core.checks import as_number
from gatefield.core.errors import InvalidInputError, refuse
from gatefield.core.types import Float, HostArray
from gatefield.initialise.quantities import bias_names

_DECADE = 10.0  # bounds farther apart than this, both positive, are searched on a logarithmic scale


class Free(NamedTuple):
    """Free parameters, their bounds, and which of them are searched by their logarithm."""

    names: tuple[str, ...]
    low: Float[HostArray, " parameter"]
    high: Float[HostArray, " parameter"]
    logarithmic: tuple[bool, ...]

    def values(self, place: Float[HostArray, " parameter"]) -> Float[HostArray, " parameter"]:
        """Return the parameters at a place in the unit cube."""
        place = np.clip(place, 0.0, 1.0)
        found = self.low + place * (self.high - self.low)
        for k, logarithmic in enumerate(self.logarithmic):
            if logarithmic:
                found[k] = self.low[k] * (self.high[k] / self.low[k]) ** place[k]
        return np.clip(found, self.low, self.high)

    def slopes(self, values: Float[HostArray, " parameter"]) -> Float[HostArray, " parameter"]:
        """Return the derivative of each parameter by its place in the unit cube."""
        found = self.high - self.low
        for k, logarithmic in enumerate(self.logarithmic):
            if logarithmic:
                found[k] = values[k] * np.log(self.high[k] / self.low[k])
        return found

    def place(self, values: Float[HostArray, " parameter"]) -> Float[HostArray, " parameter"]:
        """Return the place of parameters, clipped to the unit cube."""
        values = np.clip(values, self.low, self.high)
        found = (values - self.low) / (self.high - self.low)
        for k, logarithmic in enumerate(self.logarithmic):
            if logarithmic:
                found[k] = np.log(values[k] / self.low[k]) / np.log(self.high[k] / self.low[k])
        return found

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Return the bounds by name."""
        pairs = zip(self.low.tolist(), self.high.tolist(), strict=True)
        return dict(zip(self.names, pairs, strict=True))


def free_parameters(cell: AbstractCell, free: Any) -> Free:
    """Check the free parameters of a design.

    Parameters
    ----------
    cell
        With shared (scalar) parameters.
    free
        Bounds (low, high) by parameter name, or by ``spread_<bias>``.

    Returns
    -------
    Free

    Raises
    ------
    InvalidInputError
        For an unknown name, bounds that are no two ascending finite numbers, or bounds that the
        cell refuses.
    """
    check_shared(cell)
    spreads = tuple(f"spread_{name}" for name in bias_names(cell))
    known = (*parameter_names(cell), *spreads)
    if not isinstance(free, Mapping) or not free:
        remedy = f"For instance {{{known[0]!r}: (0.1, 5)}}."
        refuse("free", free, "a mapping from parameters to bounds", remedy)
    low, high = [], []
    for name, bounds in free.items():
        if name not in known:
            refuse("free", name, f"one of {', '.join(known)}", "Check the spelling.")
        pair = np.shape(bounds) == (2,)
        if not pair:
            refuse(f"free[{name!r}]", bounds, "two numbers (low, high)", "For instance (0.1, 5).")
        ends = [as_number(f"free[{name!r}]", each) for each in bounds]
        if not ends[0] < ends[1]:
            refuse(f"free[{name!r}]", bounds, "low below high", "Set a parameter by the cell.")
        if name in spreads and ends[0] < 0:
            refuse(f"free[{name!r}]", bounds, "standard deviations, not negative", "Raise it.")
        low.append(ends[0])
        high.append(ends[1])
    names = tuple(free)
    logarithmic = tuple(a > 0 and b / a > _DECADE for a, b in zip(low, high, strict=True))
    found = Free(names, np.array(low), np.array(high), logarithmic)
    for values in (found.low, found.high):
        try:
            changed_cell(cell, dict(zip(names, values.tolist(), strict=True)))
        except InvalidInputError as error:
            raise InvalidInputError(f"free: a bound is no value for the cell: {error}") from error
    return found


def changed_cell(cell: AbstractCell, values: Mapping[str, float]) -> AbstractCell:
    """Return the cell with other values of parameters on the host; spreads are left out."""
    own = {name: value for name, value in values.items() if not name.startswith("spread_")}
    fields = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)}
    if set(own) <= set(fields):
        kind = type(cell)
        return kind(**{**fields, **own})
    leaves = dict(zip(parameter_names(cell), jax.tree.leaves(cell), strict=True))
    return with_parameters(cell, [np.asarray(v, float) for v in {**leaves, **own}.values()])


def spreads_of(names: tuple[str, ...], values: Any) -> dict[str, Any]:
    """Return the standard deviation of each free random bias, by the bias's short name."""
    prefix = "spread_"
    pairs = zip(names, values, strict=True)
    return {name[len(prefix) :]: value for name, value in pairs if name.startswith(prefix)}


class Family(eqx.Module):
    """The cells that values of the free parameters stand for; traceable.

    Arrays hold which parameters are free, so that compiled code serves all choices of as many.

    Attributes
    ----------
    cell
        Gives what is not free.
    base
        All parameters and then all spreads of its biases, (all,).
    selection
        One row for each free one, with a one in its place, (parameter, all).
    """

    cell: AbstractCell
    base: Any
    selection: Any

    @classmethod
    def of(cls, cell: AbstractCell, names: tuple[str, ...]) -> Family:
        """Return the family of a cell with these free parameters."""
        known = (*parameter_names(cell), *(f"spread_{name}" for name in bias_names(cell)))
        own = [float(leaf) for leaf in jax.tree.leaves(cell)]
        base = np.array(own + [0.0] * (len(known) - len(own)))
        selection = np.array([[float(name == each) for each in known] for name in names])
        return cls(cell, base, selection)

    @property
    def count(self) -> int:
        """Number of free parameters."""
        return self.selection.shape[0]

    def _all(self, values: Any) -> Any:
        held = 1.0 - jnp.sum(self.selection, axis=0)
        return held * self.base + values @ self.selection

    def at(self, values: Any) -> AbstractCell:
        """Return the cell at values (parameter,), traced or not."""
        own = len(jax.tree.leaves(self.cell))
        return with_parameters(self.cell, list(self._all(values)[:own]))

    def spreads(self, values: Any) -> dict[str, Any]:
        """Return the standard deviation of every random bias at values (parameter,)."""
        own = len(jax.tree.leaves(self.cell))
        return dict(zip(bias_names(self.cell), self._all(values)[own:], strict=True))
