"""Correlation functions: dynamical mean-field theory against networks of growing size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.analysis.correlations import correlation_functions
from gatefield.analysis.two_time import two_time_correlations
from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cells.base import check_cell
from gatefield.compare.harness import FEWEST, Comparison, compare, compare_sizes
from gatefield.core.checks import as_number, as_parameter, check_count, check_names, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray, Int
from gatefield.networks import Network
from gatefield.theory.dmft import MeanField, TransientMeanField, solve_transient


class CorrelationCheck(AbstractResult):
    """Second moments of theory beside those of networks, at chosen lags or pairs of times.

    Attributes
    ----------
    theory, theory_error
        What theory predicts and its sampling error, (quantity, point).
    measured
        What each network of each size gave, (size, network, quantity, point).
    sizes
        Numbers of units.
    quantities
        Names of the quantities, in order.
    points
        What each point is, in words: a lag, or two times.
    cell
        The cell.
    """

    theory: Float[HostArray, "quantity point"] = eqx.field(metadata=quantity("quantity", "point"))
    theory_error: Float[HostArray, "quantity point"] = eqx.field(
        metadata=quantity("quantity", "point")
    )
    measured: Float[HostArray, "size network quantity point"] = eqx.field(
        metadata=quantity("size", "network", "quantity", "point")
    )
    sizes: Int[HostArray, " size"] = eqx.field(metadata=quantity("size"))
    quantities: tuple[str, ...] = eqx.field(static=True)
    points: tuple[str, ...] = eqx.field(static=True)
    cell: AbstractCell

    def comparisons(self, *, threshold: float = 4.0) -> tuple[Comparison, ...]:
        """Compare every quantity at every point: extrapolated in 1/N where there are sizes.

        Parameters
        ----------
        threshold
            How many standard errors still agree.

        Returns
        -------
        tuple of Comparison
        """
        found = []
        for row, name in enumerate(self.quantities):
            for column, point in enumerate(self.points):
                values = self.measured[:, :, row, column]
                options: dict[str, Any] = {
                    "theory_error": float(self.theory_error[row, column]),
                    "threshold": threshold,
                    "name": f"C_{name}({point})",
                }
                theory = float(self.theory[row, column])
                if len(self.sizes) > 1:
                    sizes = (int(n) for n in self.sizes)
                    each = dict(zip(sizes, values, strict=True))
                    found.append(compare_sizes(theory, each, **options))
                else:
                    found.append(compare(theory, values[0], **options))
        return tuple(found)

    def overall(self, *, threshold: float = 4.0) -> Comparison:
        """Compare the mean difference, each relative to its quantity's largest second moment.

        Points of one network are correlated, so that many of them may deviate at once; this is one
        number for each network, and one comparison, against zero.

        Parameters
        ----------
        threshold
            How many standard errors still agree.

        Returns
        -------
        Comparison
            The theory's own errors count as fully correlated between points.
        """
        scale = np.maximum(np.abs(self.theory).max(axis=1, keepdims=True), 1e-300)
        each = ((self.measured - self.theory) / scale).mean(axis=(-2, -1))
        error = float((self.theory_error / scale).mean())
        options: dict[str, Any] = {
            "theory_error": error,
            "threshold": threshold,
            "name": "mean relative difference",
        }
        if len(self.sizes) > 1:
            sizes = (int(n) for n in self.sizes)
            return compare_sizes(0.0, dict(zip(sizes, each, strict=True)), **options)
        return compare(0.0, each[0], **options)


Report = Callable[[int], None]


def check_correlations(
    solution: MeanField,
    *,
    lags: Sequence[float] = (0.0, 2.0, 5.0, 10.0),
    quantities: Sequence[str] | None = None,
    sizes: Sequence[int] = (250, 500, 1000),
    networks: int = 8,
    t_max: float = 200.0,
    burn_in: float = 100.0,
    dt: float | None = None,
    method: str | None = None,
    seed: int = 0,
    report: Report | None = None,
) -> CorrelationCheck:
    """Simulate networks of several sizes and put their stationary correlations beside theory's.

    Parameters
    ----------
    solution
        A stationary mean field; its cell and inputs are simulated.
    lags
        Lags at which to compare, in units of the units' time constant (steps of a map).
    quantities
        Names; by default the components of the state and the outputs.
    sizes, networks
        Numbers of units, and networks of each.
    t_max, burn_in
        Duration that is averaged over, and before it discarded.
    dt, method
        Integration of a flow, as in `simulate`.
    seed
        Of the first network.
    report
        Called with each size that is done.

    Returns
    -------
    CorrelationCheck

    Raises
    ------
    InvalidInputError
        For a solution that is not OK, lags beyond those of a sampled one, or names or numbers that
        do not fit.

    Assumptions
    -----------
    The networks have reached the state that the solution describes: where several exist, or
    relaxation takes longer than ``burn_in``, they need not.
    """
    if not isinstance(solution, MeanField):
        refuse("solution", type(solution).__name__, "a MeanField", "Call solve_dmft first.")
    _check_status(solution, "Solve it again, more closely.")
    cell, is_map = solution.cell, solution.is_map
    names = _names(cell, quantities, solution.names)
    wanted = np.asarray(as_parameter("lags", lags, nonnegative=True), float)
    theory = np.stack([solution.at(name, wanted) for name in names])
    error = np.stack([solution.error_at(name, wanted) for name in names])
    measured = []
    for size in _sizes(sizes):
        found = correlation_functions(
            _networks(cell, size, networks, seed),
            t_max,
            burn_in=burn_in,
            max_lag=float(np.ceil(wanted.max() + (0.0 if is_map else 0.2))),
            dt=dt,
            method=method,
            quantities=names,
            inputs=dict(solution.inputs),
            seed=check_seed(seed),
            progress=False,
        )
        each = [
            [np.interp(wanted, found.lags, row) for row in found.by_network[name]] for name in names
        ]
        measured.append(np.moveaxis(np.array(each), 0, 1))
        if report is not None:
            report(size)
    points = tuple(f"{lag:g}" for lag in wanted)
    return _check(cell, theory, error, measured, sizes, names, points)


def check_transient(
    cell: AbstractCell,
    *,
    times: Sequence[float] = (0.0, 2.0, 5.0, 10.0),
    quantities: Sequence[str] | None = None,
    sizes: Sequence[int] = (125, 250, 500),
    networks: int = 16,
    initial_variance: float = 1.0,
    samples: int = 4000,
    batches: int = 4,
    dt: float = 0.05,
    seed: int = 0,
    report: Report | None = None,
    solution: TransientMeanField | None = None,
) -> CorrelationCheck:
    """Start networks of several sizes at random and put their two-time moments beside theory's.

    Both sides start from independent Gaussian states and take the same steps, Euler's for flows, so
    that nothing but sampling and the size of the networks separates them, whatever the cell does.

    Parameters
    ----------
    cell
        Any cell with shared parameters.
    times
        Increasing times at whose pairs the moments are compared, in units of the units' time
        constant (steps of a map); rounded to whole steps.
    quantities
        Names; by default the components of the state and the outputs.
    sizes, networks
        Numbers of units, and networks of each.
    initial_variance
        Variance of every component at time 0.
    samples, batches
        Of `solve_transient`.
    dt
        Step of a flow.
    seed
        Of the first network, and of the theory's samples.
    report
        Called with each size that is done.
    solution
        The theory, if it was solved before, for the same cell and with the same options.

    Returns
    -------
    CorrelationCheck

    Raises
    ------
    InvalidInputError
        For names or numbers that do not fit, or a solution of another cell, without the times, or
        that is not OK.
    """
    check_cell(cell)
    is_map = isinstance(cell, AbstractMap)
    step = 1.0 if is_map else as_number("dt", dt, positive=True)
    steps = _steps(times, step)
    wanted = step * steps
    stepping: dict[str, Any] = {} if is_map else {"dt": step}
    if solution is None:
        # Time 0 alone has no spacing, and theory makes at least one step.
        spacing = step * max(1, int(np.gcd.reduce(steps)))
        solution = solve_transient(
            cell,
            step * max(1, int(steps[-1])),
            initial_variance=initial_variance,
            samples=samples,
            batches=batches,
            save_every=spacing,
            seed=seed,
            progress=False,
            **({} if is_map else {"scheme": "euler", **stepping}),
        )
    _check_transient(solution, cell, wanted, step)
    names = _names(cell, quantities, solution.names)
    places = [int(np.argmin(np.abs(solution.times - t))) for t in wanted]
    pairs = [(a, b) for a in range(len(wanted)) for b in range(a, len(wanted))]

    def picked(table):
        return np.stack([[table[name][places[a], places[b]] for a, b in pairs] for name in names])

    measured = []
    for size in _sizes(sizes):
        found = two_time_correlations(
            _networks(cell, size, networks, seed),
            wanted,
            initial_variance=initial_variance,
            quantities=names,
            seed=check_seed(seed),
            progress=False,
            **({} if is_map else {"method": "euler", **stepping}),
        )
        each = [[[m[a, b] for a, b in pairs] for m in found.by_network[name]] for name in names]
        measured.append(np.moveaxis(np.array(each), 0, 1))
        if report is not None:
            report(size)
    points = tuple(f"{wanted[a]:g}, {wanted[b]:g}" for a, b in pairs)
    theory, error = picked(solution.covariance), picked(solution.standard_error)
    return _check(cell, theory, error, measured, sizes, names, points)


def _check(cell, theory, error, measured, sizes, names, points) -> CorrelationCheck:
    return CorrelationCheck(
        theory=theory,
        theory_error=error,
        measured=np.array(measured),
        sizes=np.array(sizes),
        quantities=names,
        points=points,
        cell=cell,
    )


def _check_status(solution: MeanField | TransientMeanField, remedy: str) -> None:
    if solution.status is not Status.OK:
        refuse("solution.status", solution.status.value, f"{Status.OK.value!r}", remedy)


def _check_transient(solution: Any, cell: AbstractCell, times: HostArray, step: float) -> None:
    """Refuse a solution that is not the theory of these networks at these times."""
    if not isinstance(solution, TransientMeanField):
        remedy = "Call solve_transient first."
        refuse("solution", type(solution).__name__, "a TransientMeanField", remedy)
    _check_status(solution, "Reduce dt.")
    if not bool(eqx.tree_equal(solution.cell, cell)):
        refuse("solution.cell", solution.cell, f"{cell!r}", "Solve the cell that is simulated.")
    off = np.abs(solution.times[:, None] - times).min(axis=0)
    if np.any(off > 0.5 * step):
        worst = float(times[np.argmax(off)])
        remedy = "Save these times by save_every, or leave the solution out."
        refuse("times", worst, "times that the solution has saved", remedy)


def _steps(times: Sequence[float], step: float) -> Int[HostArray, " time"]:
    wanted = np.asarray(as_parameter("times", times, nonnegative=True), float)
    if wanted.ndim != 1 or wanted.size == 0:
        refuse("times.shape", wanted.shape, "(time,)", "Pass a sequence of times.")
    steps = np.round(wanted / step).astype(int)
    if np.any(np.diff(steps) <= 0):
        refuse("times", times, f"increasing, at least {step:g} apart", "Sort them, or lower dt.")
    return steps


def _names(cell: AbstractCell, given: Sequence[str] | None, known: Sequence[str]):
    if given is None:
        return (*cell.state_names, *dict.fromkeys(f"y_{name}" for name in cell.field_names))
    check_names("quantities", given, known)
    return tuple(given)


def _sizes(sizes: Sequence[int]) -> list[int]:
    if len(sizes) == 0:
        refuse("sizes", sizes, "at least one number of units", "For instance (250, 500).")
    return [check_count("sizes", size, at_least=2) for size in sizes]


def _networks(cell: AbstractCell, size: int, networks: int, seed: int) -> list[Network]:
    count = check_count("networks", networks, at_least=FEWEST)
    # Other sizes draw other networks: their errors must be independent for the fit in 1/N.
    first = check_seed(seed) + 10_000 * size
    return [Network.sample(cell, size, seed=first + number) for number in range(count)]
