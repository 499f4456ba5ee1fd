"""Gradients: the adjoint mean-field theory beside networks that were differentiated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.cells import AbstractCell
from gatefield.compare.gradient_comparison import GradientComparison
from gatefield.compare.gradient_runs import belongs, gradient_runs
from gatefield.compare.harness import FEWEST
from gatefield.core.checks import (
    as_number,
    as_parameter,
    check_choice,
    check_count,
    check_ok,
    check_seed,
)
from gatefield.core.errors import refuse
from gatefield.core.results import Status
from gatefield.core.types import Float, HostArray
from gatefield.networks import GaussianInput
from gatefield.theory.adjoint import AdjointMeanField, solve_adjoint
from gatefield.theory.dmft import MeanField, solve_dmft
from gatefield.theory.lyapunov import mean_field_lyapunov
from gatefield.theory.rmt import spectral_boundary
from gatefield.theory.static import StaticMeanField

PARTS = (0.25, 0.5, 1.0)
"""Of the horizon: where adjoints are compared by default."""


def compare_gradients(
    cell: AbstractCell,
    *,
    horizon: float | None = None,
    n: int = 500,
    networks: int = 8,
    sizes: Sequence[int] | None = None,
    burn_in: float = 100.0,
    at: Sequence[float] | None = None,
    terminal: Mapping[str, float] | None = None,
    source: Mapping[str, GaussianInput] | None = None,
    inputs: Mapping[str, GaussianInput | float] | None = None,
    theory: AdjointMeanField | None = None,
    samples: int = 1000,
    batches: int = 8,
    dt: float | None = None,
    readouts: int = 4,
    limit: bool = True,
    dtype: str = "float32",
    seed: int = 0,
    report: Callable[[str], None] | None = None,
) -> GradientComparison:
    r"""Predict the gradients of a random readout, and differentiate networks of the same cell.

    Parameters
    ----------
    cell
        Any cell with shared parameters.
    horizon
        How far back gradients are followed, in units of the units' time constant; steps for maps.
    n, networks
        Units of each network, and how many.
    sizes
        Numbers of units, instead of ``n``: means are then extrapolated in 1/N.
    burn_in
        Time from a random state to the horizon's beginning.
    at
        Times before the end at which adjoints are compared; by default a quarter of the horizon,
        half of it, and all.
    terminal, source
        The readout, as in `solve_adjoint`.
    inputs
        As in `solve_dmft`.
    theory
        The prediction if there is one already, of the same cell; horizon, readout and inputs are
        its own.
    samples, batches
        Of theory, where it is sampled.
    dt
        Step of the networks' flow, 0.1 by default; for a theory of Euler's method its own.
    readouts
        Drawn for each network, averaged over.
    limit
        Whether to solve for the largest exponent, too.
    dtype
        Precision of the networks.
    seed
        Of the first network, and of theory's samples.
    report
        Called with what is being done.

    Returns
    -------
    GradientComparison

    Raises
    ------
    InvalidInputError
        For a theory of another cell, options that it fixes already, or numbers that do not fit.

    Warns
    -----
    OutsideDomainWarning
        As `solve_adjoint`.

    Assumptions
    -----------
    Theory predicts the arithmetic mean over networks, which few networks dominate once gradients
    have grown for long: in chaos :math:`\ln|a|^2` of single networks has a variance of about T/60
    at N = 1000 (as 1/N), so that the mean of K networks has a relative error of
    :math:`\sqrt{(e^{T/60} - 1)/K}`: 8 networks of N = 1000 give 15 per cent at T = 10 and 45 at
    T = 60. Long horizons want larger networks rather than more.
    """
    check_dtype = check_choice("dtype", dtype, ("float32", "float64"))
    seed, burn_in = check_seed(seed), as_number("burn_in", burn_in, positive=True)
    count = check_count("networks", networks, at_least=FEWEST)
    numbers = _sizes(n, sizes)
    report = report or (lambda _: None)
    if theory is None:
        if horizon is None:
            refuse("horizon", None, "how far back gradients are followed", "For instance 10.")
        report("theory")
        found = solve_dmft(
            cell, inputs=inputs, samples=samples, batches=batches, seed=seed, progress=False
        )
        theory = solve_adjoint(
            found,
            horizon,
            terminal=terminal,
            source=source,
            samples=samples,
            batches=batches,
            seed=seed,
            progress=False,
        )
    else:
        _check_theory(theory, cell, horizon, terminal, source, inputs)
    points = _points(theory, at)
    runs = []
    for size in numbers:

        def said(done: int, size: int = size) -> None:
            report(f"N = {size}: {done} of {count} networks")

        runs.append(
            gradient_runs(
                theory,
                size,
                networks=count,
                burn_in=burn_in,
                dt=dt,
                readouts=check_count("readouts", readouts),
                dtype=check_dtype,
                # Other sizes draw other networks: their errors must be independent for the fit.
                seed=seed + 10_000 * size,
                report=said,
            )
        )
    value, error, rests = _limit(theory, seed) if limit else (np.nan, np.nan, _rests(theory))
    return GradientComparison(
        times=theory.times,
        adjoint={
            name: np.stack([each.adjoint[name] for each in runs]) for name in cell.state_names
        },
        gradients={
            name: np.stack([each.gradients[name] for each in runs])
            for name in theory.gradient_variance
        },
        before=np.stack([each.before for each in runs]),
        after=np.stack([each.after for each in runs]),
        moved=np.stack([each.moved for each in runs]),
        belongs=np.stack([belongs(theory, each) for each in runs]),
        sizes=np.array(numbers),
        at=points,
        limit=np.asarray(value),
        limit_error=np.asarray(error),
        rests=rests,
        theory=theory,
        settings=(
            ("networks", count),
            ("burn_in", burn_in),
            ("dt", dt),
            ("readouts", readouts),
            ("dtype", dtype),
            ("seed", seed),
        ),
    )


def _limit(theory: AdjointMeanField, seed: int) -> tuple[float, float, bool]:
    """Return what the growth rate tends to, its error, and whether theory's state rests."""
    state = theory.mean_field
    if isinstance(state, StaticMeanField):
        boundary = spectral_boundary(state)
        edge = float(boundary.leading_edge)
        return 2 * (float(np.log(edge)) if boundary.is_map else edge), 0.0, True
    found = mean_field_lyapunov(state, seed=seed, throw=False)
    if found.status is not Status.OK:
        return np.nan, np.nan, _rests(theory)
    error = np.hypot(float(found.standard_error), float(np.nan_to_num(found.truncation)))
    return 2 * float(found.exponent), 2 * float(error), _rests(theory)


def _rests(theory: AdjointMeanField) -> bool:
    state = theory.mean_field
    return not isinstance(state, MeanField) or theory.method == "fixed point"


def _sizes(n: int, sizes: Sequence[int] | None) -> list[int]:
    if sizes is None:
        return [check_count("n", n, at_least=2)]
    if len(sizes) == 0:
        refuse("sizes", sizes, "at least one number of units", "For instance (250, 500).")
    return [check_count("sizes", size, at_least=2) for size in sizes]


def _points(theory: AdjointMeanField, at: Sequence[float] | None) -> Float[HostArray, " point"]:
    wanted = theory.horizon * np.array(PARTS) if at is None else at
    points = np.atleast_1d(np.asarray(as_parameter("at", wanted, nonnegative=True), float))
    if points.ndim != 1 or np.any(points > theory.horizon * (1 + 1e-9)):
        refuse("at", at, f"times of at most {theory.horizon:g}, the horizon", "Lengthen it.")
    return theory.times[np.unique(np.abs(theory.times - points[:, None]).argmin(axis=1))]


def _check_theory(
    theory: Any, cell: AbstractCell, horizon: Any, terminal: Any, source: Any, inputs: Any
) -> None:
    """Refuse a theory of something else than these networks."""
    if not isinstance(theory, AdjointMeanField):
        remedy = "Call solve_adjoint first."
        refuse("theory", type(theory).__name__, "an AdjointMeanField", remedy)
    check_ok("theory", theory)
    state = theory.mean_field
    if not bool(eqx.tree_equal(state.cell, cell)):
        refuse("theory.mean_field.cell", state.cell, f"{cell!r}", "Solve the cell at hand.")
    if horizon is not None and not np.isclose(horizon, theory.horizon, rtol=1e-9):
        refuse("horizon", horizon, f"{theory.horizon:g}, theory's", "Leave it out.")
    for name, given in (("terminal", terminal), ("source", source), ("inputs", inputs)):
        if given is not None:
            refuse(name, given, "None beside a theory, which has its own", "Leave it out.")
    if isinstance(state, StaticMeanField):
        biased = any(np.any(each > 0) for each in state.conditions.bias_variance.values())
        if biased:
            remedy = "Pass solve_dmft's state, with static inputs instead of random biases."
            refuse("theory.mean_field", "random biases", "a cell with shared biases", remedy)
