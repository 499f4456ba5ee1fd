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
from gatefield.initialise.verdicts import LEAST_NETWORKS, verdict_of_trend
from gatefield.networks import GaussianInput


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
        Sampling error of theory's values, where it is known: zero in closed form, of sampled theory
        or of networks that stand in for it, the scatter between sets of samples.
    error
        Largest deviation of a predicted value from its target, relative to the target's size.
    measured, standard_error
        Means over simulated networks, and their standard errors; empty if it was not verified.
    extrapolated, extrapolated_error
        Where the mean over networks misses: twice it less the mean over other networks of half the
        size, which is the limit of large networks for terms of order 1/N, and its standard error.
    unmeasured
        Why a quantity could not be measured in every network; its mean is then NaN.
    networks
        How many there were.
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
    extrapolated: dict[str, float] = eqx.field(metadata=quantity())
    extrapolated_error: dict[str, float] = eqx.field(metadata=quantity())
    unmeasured: dict[str, str]
    networks: int = eqx.field(static=True)
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

    def agrees(self) -> dict[str, bool | None]:
        """Return by quantity whether networks meet the target; None where that cannot be told.

        They do if their mean, or where it misses its limit of large networks on the target's side
        (`extrapolated`), is within 5 per cent of the target and the 95 per cent interval of the
        mean. Fewer than four networks tell nothing, nor do values within an interval wider
        than a quarter of the target.
        """
        found = {}
        for name, value in self.measured.items():
            limit = None
            if name in self.extrapolated:
                limit = self.extrapolated[name], self.extrapolated_error[name]
            error = self.standard_error[name]
            found[name] = verdict_of_trend(
                name, value, self.target[name], error, self.networks, limit
            )
        return found

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
    dt
        Time of a flow for which a step of the data is held that the inputs describe; None without
        such data.
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
    dt: float | None = eqx.field(static=True, default=None)

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
            line = f"{count} solution{'s' * (count > 1)} found that meet all targets by theory"
            wrong = [name for name, told in best.agrees().items() if told is False]
            lost = [name for name in best.measured if name in best.unmeasured]
            if wrong:
                line += f"; networks CONTRADICT it: {', '.join(wrong)}"
            if lost:
                line += f"; not measured in networks: {', '.join(lost)}"
            lines.append(line + ".")
        else:
            lines.append("The targets cannot be met within the bounds. The nearest cell found:")
        lines.append(f"  {best.cell!r}")
        if best.spread:
            shown = ", ".join(f"{name} {value:.4g}" for name, value in best.spread.items())
            lines.append(f"  random biases, standard deviation: {shown}")
        lines += [_line(best, name, miss) for name, miss in best.misses().items()]
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


def _line(one: DesignSolution, name: str, miss: float) -> str:
    """Return what theory and networks say of one target."""
    line = f"  {name}: target {one.target[name]:.5g}, predicted {one.predicted[name]:.5g}"
    error = one.prediction_error.get(name, 0.0)
    line += f" +- {error:.2g}" if error > 0 else ""
    line += f" (off by {100 * miss:.2g} per cent)"
    if name not in one.measured:
        return line
    if name in one.unmeasured:
        return f"{line}, networks: {one.unmeasured[name]}"
    line += f", networks {one.measured[name]:.4g}"
    if math.isfinite(one.standard_error[name]):
        line += f" +- {one.standard_error[name]:.2g}"
    if name in one.extrapolated:
        limit, error = one.extrapolated[name], one.extrapolated_error[name]
        line += f", for large ones {limit:.4g} +- {error:.2g}"
    told = one.agrees()[name]
    if told is None:
        why = "too few networks" if one.networks < LEAST_NETWORKS else "their errors are too large"
        grow = math.isinf(one.measured[name])
        line += f": not told, {'their slowest modes do not decay' if grow else why}"
    elif not told:
        line += ": NOT within 5 per cent and the errors"
    return line


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
