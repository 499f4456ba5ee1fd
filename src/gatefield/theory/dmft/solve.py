"""`solve_dmft`: the stationary dynamical mean field of any cell, by the method that fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatefield.cells import AbstractCell
from gatefield.cells.base import check_cell
from gatefield.core.checks import as_number, check_choice, check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.networks.noise import GaussianInput
from gatefield.theory.dmft.frozen import (
    frozen_mean_field,
    frozen_states,
    is_stable,
    lost_mean_field,
)
from gatefield.theory.dmft.gated_form import (
    GatedForm,
    gated_form,
    gaussian_inputs,
    has_gated_form,
)
from gatefield.theory.dmft.lag_equations import LagSolution
from gatefield.theory.dmft.moving import follow, lag_solutions
from gatefield.theory.dmft.packing import moving_mean_field, warn_outside
from gatefield.theory.dmft.result import MeanField
from gatefield.theory.dmft.sampled import solve_sampled
from gatefield.theory.static import StaticMeanField

METHODS = ("auto", "lag equations", "separable", "sampled")
_LEAST_START = 1e-6  # of C_h(0), where relaxation starts


def solve_dmft(
    cell: AbstractCell,
    *,
    inputs: Mapping[str, GaussianInput | float] | None = None,
    method: str = "auto",
    start: float = 1.0,
    samples: int = 1000,
    batches: int = 8,
    dt: float | None = None,
    period: float | None = None,
    max_period: float = 3200.0,
    tolerance: float = 1e-3,
    max_sweeps: int = 100,
    scheme: str = "rk4",
    dtype: str = "float32",
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> MeanField:
    r"""Solve the stationary dynamical mean-field theory of a cell.

    A unit is driven by Gaussian fields whose covariance is that of its own outputs,

    .. math:: \langle\eta^a(t)\,\eta^a(t+\tau)\rangle
        = \mathrm{gain}_a^2 \langle y^a(t)\,y^a(t+\tau)\rangle ,

    with independent fields a. For the gated RNN (Eqs. C19-C25) at alpha_z = 0 and for the vanilla
    network this closes in the correlation functions ("lag equations", exact, within a second); for
    alpha_z > 0 an approximation does ("separable", C22-C24). For every other case units are sampled
    and their paths iterated until fields and outputs agree ("sampled", exact up to sampling).

    Parameters
    ----------
    cell
        Any cell with shared (scalar) parameters.
    inputs
        Gaussian input by drive name, `GaussianInput` or a constant.
    method
        "auto" takes the lag equations where they are exact (and ``scheme`` is not "euler"), and
        samples otherwise.
    start
        Variance of the states from which the network starts. Where several states exist (a chaotic
        one beside a stable fixed point, say) it decides which is returned.
    samples, batches
        For "sampled": paths in each of several independent batches, whose scatter is the error.
    dt
        For "sampled": step of a flow; by default from the cell's own rates.
    period, max_period
        For "sampled": length of the periodic paths, in time constants or steps. By default doubled
        until it is ten relaxation times, but not beyond ``max_period`` or 32768 steps. A
        given period that needs more steps is refused.
    tolerance, max_sweeps
        For "sampled": largest residual relative to each C(0), and number of sweeps.
    scheme
        For "sampled": "rk4", or "euler" to compare with networks stepped by Euler's method.
    dtype
        For "sampled": precision of the paths.
    seed
        For "sampled": draws the noise.
    progress
        For "sampled": True shows a progress bar, None on a terminal after some seconds.
    throw
        Raise if the solution is not OK; otherwise its status says so.

    Returns
    -------
    MeanField
        Covariances of every state, field, output and observable.

    Raises
    ------
    InvalidInputError
        For an option that does not fit the cell.
    NumericalFailureError
        If ``throw`` and no solution converged.

    Warns
    -----
    OutsideDomainWarning
        If "separable" is used where :math:`\alpha_z\sqrt{C_z(0)} > 1`: correlation times are then
        wrong by tens of per cent, and more beyond.

    Assumptions
    -----------
    N to infinity, independent Gaussian couplings, a stationary state. For large alpha_z at
    alpha_r = 0 there is none that can be reached: the state depends on history, and
    `solve_transient` follows it.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. C19-C25.
    """
    check_cell(cell)
    given = gaussian_inputs(cell, inputs)
    start = as_number("start", start, nonnegative=True)
    options: dict[str, Any] = {
        "samples": check_count("samples", samples, at_least=2),
        "batches": check_count("batches", batches, at_least=2),
        "dt": None if dt is None else as_number("dt", dt, positive=True),
        "period": None if period is None else as_number("period", period, positive=True),
        "max_period": as_number("max_period", max_period, positive=True),
        "tolerance": as_number("tolerance", tolerance, positive=True),
        "max_sweeps": check_count("max_sweeps", max_sweeps),
        "scheme": check_choice("scheme", scheme, ("rk4", "euler")),
        "dtype": check_choice("dtype", dtype, ("float32", "float64")),
        "seed": check_seed(seed),
    }
    check_choice("method", method, METHODS)
    # Only paths can be stepped as Euler's method does.
    own = "sampled" if (method, scheme) == ("auto", "euler") else resolved_method(cell, method)
    if own == "sampled":
        found = solve_sampled(cell, inputs=given, start=start, progress=progress, **options)
    else:
        if scheme == "euler":
            remedy = "Use method='sampled', or 'auto'."
            refuse("scheme", scheme, f"'rk4' for {method!r}, where time is continuous", remedy)
        form = checked_form(cell, given, method)
        found = _chosen(cell, given, form, start)[0]
        warn_outside(found)
    return _raised(found, throw)


def follow_dmft(
    cells: Sequence[AbstractCell],
    *,
    inputs: Mapping[str, GaussianInput | float] | None = None,
    method: str = "auto",
    start: float = 1.0,
) -> tuple[MeanField, ...]:
    """Solve the lag equations along a line of parameters, each from the one before (continuation).

    Parameters
    ----------
    cells
        Gated or vanilla RNNs whose parameters change in small steps.
    inputs, method, start
        As in `solve_dmft`; sampled solutions are not continued.

    Returns
    -------
    tuple of MeanField
        One for each cell. A moving state is followed while it exists; where it ends, and at first,
        the state that ``start`` leads to is taken. A status other than OK is not raised.

    Raises
    ------
    InvalidInputError
        For cells whose theory does not close in correlation functions.
    """
    start = as_number("start", start, nonnegative=True)
    before: LagSolution | None = None
    results = []
    for cell in cells:
        check_cell(cell)
        given = gaussian_inputs(cell, inputs)
        form = checked_form(cell, given, method)
        now = None if before is None else follow(form, before)
        if now is None or not now.converged:
            result, now = _chosen(cell, given, form, start)
        else:
            result = moving_mean_field(cell, given, form, now)
        warn_outside(result)
        results.append(result)
        before = now
    return tuple(results)


def mean_field_branches(
    cell: AbstractCell,
    *,
    inputs: Mapping[str, GaussianInput | float] | None = None,
    method: str = "auto",
) -> tuple[MeanField, ...]:
    """Return the states of a gated or vanilla RNN: stable fixed points, then moving ones.

    Parameters
    ----------
    cell, inputs, method
        As in `solve_dmft`, for cells whose theory closes in correlation functions.

    Returns
    -------
    tuple of MeanField
        Stable fixed points, then every moving state that was found, each kind ascending. Of two
        moving states beside a stable fixed point the smaller is unstable: starts below it end in
        the fixed point.

    Raises
    ------
    InvalidInputError
        For another cell.
    """
    check_cell(cell)
    given = gaussian_inputs(cell, inputs)
    form = checked_form(cell, given, method)
    frozen = [each for each in frozen_states(cell, given, form) if is_stable(each)]
    moving = [
        moving_mean_field(cell, given, form, each)
        for each in lag_solutions(form, 1.0, paired=bool(frozen))
    ]
    for each in moving:
        warn_outside(each)
    return (*(frozen_mean_field(cell, given, form, each) for each in frozen), *moving)


def resolved_method(cell: AbstractCell, method: str) -> str:
    """Return the method that "auto" stands for."""
    if method != "auto":
        return method
    if not has_gated_form(cell):
        return "sampled"
    alpha_z = float(getattr(cell, "alpha_z", 0.0))
    return "lag equations" if alpha_z == 0 else "sampled"


def checked_form(cell: AbstractCell, inputs: dict[str, GaussianInput], method: str) -> GatedForm:
    """Return the gated form, refusing the exact method where it is not exact."""
    check_choice("method", method, ("auto", "lag equations", "separable"))
    form = gated_form(cell, inputs)
    if method in ("auto", "lag equations") and not form.exact:
        remedy = "Use 'separable' for an approximation, or solve_dmft with 'sampled'."
        refuse("method", method, "another one for alpha_z > 0", remedy)
    return form


def _chosen(
    cell: AbstractCell, inputs: dict[str, GaussianInput], form: GatedForm, start: float
) -> tuple[MeanField, LagSolution | None]:
    """Return the state to which a start of the given variance leads, and how it moves if it does.

    That is the largest state with no unstable one between it and the start: unstable fixed points
    and the smaller of two moving states divide the starts.
    """
    frozen = frozen_states(cell, inputs, form)
    stable = any(is_stable(each) for each in frozen)
    moving = lag_solutions(form, max(start, _LEAST_START), paired=stable)
    dividing = len(moving) - 1 if stable else 0
    attract: list[tuple[float, StaticMeanField | LagSolution]] = [
        (float(each.C[0, 0]), each) for each in moving[dividing:]
    ]
    attract += [(float(each.variance["h"]), each) for each in frozen if is_stable(each)]
    attract.sort(key=lambda pair: pair[0])
    held = [float(each.C[0, 0]) for each in moving[:dividing]]
    if stable and len(moving) == 1:
        # What divides the starts was not found: those below the moving state are left at rest.
        held.append(float(moving[0].C[0, 0]) * (1 - 1e-9))
    held += [float(each.variance["h"]) for each in frozen if not is_stable(each)]
    reached = [
        each for size, each in attract if all(start > other for other in held if other < size)
    ]
    chosen = (reached or [each for _, each in attract] or [None])[-1 if reached else 0]
    if isinstance(chosen, LagSolution):
        return moving_mean_field(cell, inputs, form, chosen), chosen
    if chosen is not None:
        return frozen_mean_field(cell, inputs, form, chosen), None
    return lost_mean_field(cell, inputs, form, frozen), None


def _raised(found: MeanField, throw: bool) -> MeanField:
    if throw and found.status is not Status.OK:
        remedies = {
            "sampled": "Raise max_sweeps, samples or max_period, or reduce dt",
            "lag equations": "Try another start, or method='sampled'",
            "separable": "Try another start, or method='sampled'",
        }
        raise NumericalFailureError(
            f"solve_dmft ended with status {found.status.value!r} (residual "
            f"{float(found.residual):.3g}). {remedies[found.method]}; throw=False returns it."
        )
    return found
