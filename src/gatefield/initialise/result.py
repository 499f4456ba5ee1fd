"""What `design` returns: cells that meet targets, and how closely."""

from __future__ import annotations

import dataclasses
import math

import equinox as eqx
import numpy as np

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.checks import check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.initialise.quantities import bias_names, deviation
from gatefield.networks import GaussianInput

WITHIN = 0.05
"""Relative deviation of a measured value that verification accepts."""
_SIGMAS = 2.0


class DesignSolution(AbstractResult):
    """One cell that meets the targets, or comes near them.

    Attributes
    ----------
    cell
        With scalar parameters.
    spread
        Standard deviation over units of each random bias, by the bias's short name; only those that
        are not zero. `with_biases` draws them.
    parameters
        The free parameters' values, by name.
    target, predicted
        The targets, and theory's values, by quantity.
    prediction_error
        Sampling error of theory's values; zero where they are in closed form.
    error
        Largest deviation of a predicted value from its target, relative to the target's size.
    measured, standard_error
        Means over simulated networks, and their standard errors; empty if it was not verified.
    finite_size
        What halving the networks changes in the means, where they alone do not agree with the
        target: for terms of order 1/N, the size of what is left at N units.
    met
        Whether every predicted value is within the tolerance of its target.
    at_bound
        Free parameters that stand at a bound, with "lower" or "upper".
    state
        "fixed point" or "moving": the state in which the quantities were predicted.
    """

    cell: AbstractCell
    spread: dict[str, float] = eqx.field(metadata=quantity())
    parameters: dict[str, float] = eqx.field(metadata=quantity())
    target: dict[str, float] = eqx.field(metadata=quantity())
    predicted: dict[str, float] = eqx.field(metadata=quantity())
    prediction_error: dict[str, float] = eqx.field(metadata=quantity())
    error: float = eqx.field(metadata=quantity())
    measured: dict[str, float] = eqx.field(metadata=quantity())
    standard_error: dict[str, float] = eqx.field(metadata=quantity())
    finite_size: dict[str, float] = eqx.field(metadata=quantity())
    met: bool = eqx.field(static=True)
    at_bound: tuple[tuple[str, str], ...] = eqx.field(static=True)
    state: str = eqx.field(static=True)

    @property
    def is_map(self) -> bool:
        """Whether times count steps."""
        return isinstance(self.cell, AbstractMap)

    def misses(self) -> dict[str, float]:
        """Return the deviation of each predicted value from its target, largest first."""
        found = {
            name: deviation(name, self.predicted[name], target)
            for name, target in self.target.items()
        }
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def agrees(self) -> dict[str, bool]:
        """Return by quantity whether networks meet the target.

        They do if their mean is within 5 per cent of it, or within two standard errors and
        `finite_size`.
        """
        return {
            name: agree(
                name,
                value,
                self.target[name],
                self.standard_error[name],
                self.finite_size.get(name, 0.0),
            )
            for name, value in self.measured.items()
        }

    def with_biases(self, n: int, seed: int = 0) -> AbstractCell:
        """Return the cell with random biases of its own for each unit.

        Parameters
        ----------
        n
            Number of units N.
        seed
            Same seed, same biases.

        Returns
        -------
        AbstractCell
            With biases (N,) where `spread` is not zero, normal about the cell's own; the cell
            itself where nothing is spread.

        Raises
        ------
        InvalidInputError
            For a number or a seed that does not fit.
        """
        return spread_cell(self.cell, self.spread, n, seed)


class Design(AbstractResult):
    """The solutions of an inverse design, best first.

    Attributes
    ----------
    solutions
        Distinct ones that meet all targets, the one closest to the given cell first; where there is
        none, the nearest miss alone.
    status
        OK, or NOT_CONVERGED if no solution meets all targets.
    free
        Bounds of the free parameters, by name.
    inputs
        What drives the cells, by drive name; several independent inputs to one drive are a tuple.
    note
        What the search says of its result: how many starts led where, and what is degenerate.
    settings
        What made it: starts, samples, branch, state, seed, tolerance, horizon, networks.
    """

    solutions: tuple[DesignSolution, ...]
    status: Status = eqx.field(static=True)
    free: dict[str, tuple[float, float]]
    inputs: dict[str, GaussianInput | tuple[GaussianInput, ...]]
    note: str = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)

    @property
    def best(self) -> DesignSolution:
        """The first solution."""
        return self.solutions[0]

    @property
    def cell(self) -> AbstractCell:
        """The best solution's cell."""
        return self.best.cell

    @property
    def met(self) -> bool:
        """Whether the targets are met by theory."""
        return self.status is Status.OK

    def explain(self) -> str:
        """Return a text: what was found, what misses by how much, and which bounds are active."""
        best, lines = self.best, []
        if self.met:
            count = len(self.solutions)
            lines.append(f"{count} solution{'s' * (count > 1)} found that meet all targets.")
        else:
            lines.append("The targets cannot be met within the bounds. The nearest cell found:")
        lines.append(f"  {best.cell!r}")
        if best.spread:
            shown = ", ".join(f"{name} {value:.4g}" for name, value in best.spread.items())
            lines.append(f"  random biases, standard deviation: {shown}")
        for name, miss in best.misses().items():
            line = (
                f"  {name}: target {best.target[name]:.5g}, predicted {best.predicted[name]:.5g}"
                f" (off by {100 * miss:.2g} per cent)"
            )
            if name in best.measured:
                line += f", networks {best.measured[name]:.4g} +- {best.standard_error[name]:.2g}"
                if not best.agrees()[name]:
                    line += ": NOT within 5 per cent or the errors"
                elif best.finite_size.get(name, 0.0) > 0:
                    line += f", finite size {best.finite_size[name]:.2g}"
            lines.append(line)
        for name, side in best.at_bound:
            low, high = self.free[name]
            lines.append(f"  {name} is at its {side} bound {high if side == 'upper' else low:g}.")
        if not self.met:
            why = "the targets exclude each other" if len(best.target) > 1 else "it is out of reach"
            lines.append(
                "  Widen that bound, free more parameters, or change a target."
                if best.at_bound
                else f"  No bound is active: {why}. Free more parameters or change a target."
            )
        return "\n".join([*lines, self.note] if self.note else lines)


def agree(name: str, value: float, target: float, error: float, finite_size: float) -> bool:
    """Return whether a measured value is within 5 per cent of its target, or within its errors."""
    if deviation(name, value, target) <= WITHIN:
        return True
    allowed = _SIGMAS * error + finite_size
    return bool(math.isfinite(allowed) and abs(value - target) <= allowed)


def spread_cell(cell: AbstractCell, spread: dict[str, float], n: int, seed: int) -> AbstractCell:
    """Return a cell with normal biases (N,) of given standard deviations, by their short names.

    Raises
    ------
    InvalidInputError
        For a bias that the cell does not have.
    """
    n, seed = check_count("n", n), check_seed(seed)
    fields = bias_names(cell)
    changed = {}
    for name, deviation_ in spread.items():
        if name not in fields:
            refuse("spread", name, f"one of {tuple(fields)}", "The cell has no such bias.")
        place = tuple(fields).index(name)
        # Not [seed, 0], which is the stream of seed itself.
        noise = np.random.default_rng([seed, 1 + place]).standard_normal(n)
        changed[fields[name]] = getattr(cell, fields[name]) + deviation_ * noise
    if not changed:
        return cell
    known = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)}
    kind = type(cell)
    return kind(**{**known, **changed})
