"""`complexity`: how many fixed points a branch of the static theory stands for (Appendix J)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gatefield.cells import GatedRNN
from gatefield.core.checks import check_choice, check_count, check_names, check_ok, check_seed
from gatefield.core.errors import NumericalFailureError, OutsideDomainWarning, refuse
from gatefield.core.results import Status
from gatefield.core.types import Float, HostArray
from gatefield.theory.complexity.determinant import (
    field_loops,
    log_determinant,
    spectral_radius,
)
from gatefield.theory.complexity.result import Complexity
from gatefield.theory.complexity.units import (
    FieldUnits,
    drawn_units,
    has_quadrature,
    quadrature_units,
)
from gatefield.theory.static import StaticMeanField

_NODES = 24  # of the integral over ln r: its error is below 1e-15 wherever it was looked at
_SOLVED = 1e-9
_SWITCH = 100.0  # alpha_z sqrt(D_z): most update gates are then shut to more than ten digits


class _Found(NamedTuple):
    value: float
    radius: float
    distribution: Float[HostArray, " radius"]
    radii: Float[HostArray, " radius"]
    modes: int
    integral: float
    residual: float


def complexity(
    static_mean_field: StaticMeanField,
    *,
    points: int = 48,
    scaled: Sequence[str] | None = None,
    method: str = "auto",
    samples: int = 4096,
    batches: int = 8,
    seed: int = 0,
    throw: bool = True,
) -> Complexity:
    r"""Return the topological complexity of a branch of the static mean-field theory.

    At fixed points the fields obey u = J y(u), with :math:`Y_{ab} = g_a\,dy_a/du_b` for each unit
    (:math:`Y = Q - R A^{-1} L`; for maps A - 1 in place of A). By the Kac-Rice formula their number
    grows as exp(N C),

    .. math:: C = \frac1N \ln|\det(1 - J Y)| = m \int_1^\rho \frac{1 - F(r)}{r}\,dr ,

    where a part F(r) of the m N eigenvalues of J Y that are not zero has moduli below r. With
    :math:`K(r) = [\sum_a s_a y_a y_a^T + r^2\,\mathrm{diag}(1/t)]^{-1}`, y_a the rows of Y,

    .. math::

        t_a = \langle y_a^T K y_a\rangle, \quad
        s_a = 1/t_a - r^2 \langle K_{aa}\rangle/t_a^2, \quad
        m\,(1 - F) = \sum_a s_a t_a .

    The value comes from the potential of these equations at r = 1, the integral is computed beside
    it.

    Parameters
    ----------
    static_mean_field
        From `solve_static`, of any cell; the zero fixed point has complexity zero.
    points
        Number of radii at which F is computed.
    scaled
        Names of the fields that stand with r; the others are eliminated first. By default those
        that the paper takes, "h" for the gated RNN, and all fields for other cells. C does not
        depend on it, F and rho do.
    method
        "quadrature" (GatedRNN and VanillaRNN in closed form), "sampled" (any cell), "auto".
    samples, batches, seed
        Quasi-random units of each batch, number of batches, seed of the first.
    throw
        Raise if the equations were not solved; otherwise the status says so.

    Returns
    -------
    Complexity

    Raises
    ------
    InvalidInputError
        For solutions that did not converge, unknown fields, or fields without which the others
        have a radius above one by themselves.
    NumericalFailureError
        If ``throw`` and the equations were not solved.

    Warns
    -----
    OutsideDomainWarning
        For update gates that are switches: at alpha_z = infinity fixed points are no longer
        isolated.

    Assumptions
    -----------
    Large N. The argument is not rigorous: it takes fixed points for typical states of the static
    theory, although each is counted with a weight that is exponentially large, too. The mean
    number in networks grows faster: see `annealed_complexity`. The update gate plays no part.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Appendix J, Eqs. J1-J32.
    """
    if not isinstance(static_mean_field, StaticMeanField):
        remedy = "gf.solve_static returns the solutions: pass one of them."
        refuse("static_mean_field", static_mean_field, "a StaticMeanField", remedy)
    check_ok("static_mean_field", static_mean_field)
    points, seed = check_count("points", points, at_least=2), check_seed(seed)
    samples = check_count("samples", samples, at_least=2)
    batches = check_count("batches", batches, at_least=2)
    cell, closed = static_mean_field.cell, has_quadrature(static_mean_field)
    check_choice("method", method, ("auto", "quadrature", "sampled"))
    if method == "quadrature" and not closed:
        remedy = "Only GatedRNN and VanillaRNN solved in closed form have it."
        refuse("method", method, f"'sampled' for {type(cell).__name__}", remedy)
    chosen = tuple(("h",) if isinstance(cell, GatedRNN) else cell.field_names)
    if scaled is not None:
        check_names("scaled", scaled, cell.field_names)
        chosen = tuple(scaled)
    _warn_of_switches(static_mean_field)
    if closed and method != "sampled":
        sets = [quadrature_units(static_mean_field)]
    else:
        sets = [drawn_units(static_mean_field, samples, seed + 1000 * k) for k in range(batches)]
    silent = max(float(each) for each in static_mean_field.field_variance.values()) == 0
    found = [_counted(units, chosen, points, silent) for units in sets]
    mean = {name: np.mean([getattr(f, name) for f in found], axis=0) for name in _Found._fields}
    error = {
        name: np.std([getattr(f, name) for f in found], ddof=1) / np.sqrt(len(found))
        if len(found) > 1
        else 0.0
        for name in ("value", "radius")
    }
    residual = max(f.residual for f in found)
    solved = residual < _SOLVED and np.isfinite(mean["value"])
    if throw and not solved:
        raise NumericalFailureError(
            f"complexity: the equations of the determinant were solved to {residual:.2g} only. "
            "throw=False returns the result."
        )
    return Complexity(
        value=np.asarray(mean["value"]),
        radius=np.asarray(mean["radius"]),
        radii=mean["radii"],
        distribution=mean["distribution"],
        modes=np.asarray(float(max(f.modes for f in found))),
        integral=np.asarray(mean["integral"]),
        standard_error=np.asarray(error["value"]),
        radius_error=np.asarray(error["radius"]),
        residual=np.asarray(residual),
        cell=cell,
        scaled=chosen,
        method="quadrature" if len(found) == 1 else "sampled",
        status=Status.OK if solved else Status.NOT_CONVERGED,
    )


def _counted(units: FieldUnits, chosen: tuple[str, ...], points: int, silent: bool) -> _Found:
    mask = np.array([name in chosen for name in units.names])
    M = units.second_moments
    loops = field_loops(M)
    radius = max((spectral_radius(M[np.ix_(g, g)], mask[g]) for g in loops), default=0.0)
    if not np.isfinite(radius):
        remedy = "Scale all fields, or more of them."
        refuse("scaled", chosen, "fields without which the others have a radius below one", remedy)
    modes = _modes(units, mask, loops)
    radii = radius * np.arange(1, points + 1) / points
    if radius == 0:
        return _Found(0.0, 0.0, np.ones(points), radii, modes, 0.0, 0.0)

    def at(places: HostArray):
        return log_determinant(units.responses, units.weights, mask, places)

    inner = at(radii)
    distribution = 1 - inner.beyond / max(modes, 1)
    residual = float(np.max(inner.residual))
    # The zero fixed point is one point in every network, whatever its radius.
    if radius <= 1 or silent:
        return _Found(0.0, radius, distribution, radii, modes, 0.0, residual)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    log_radius = np.log(radius)
    outer = at(np.exp((nodes + 1) / 2 * log_radius))
    here = at(np.ones(1))
    integral = float(np.sum(weights * outer.beyond) * log_radius / 2)
    worst = max(residual, float(np.max(outer.residual)), float(here.residual[0]))
    return _Found(float(here.logarithm[0]), radius, distribution, radii, modes, integral, worst)


def _modes(units: FieldUnits, mask: HostArray, loops: list[HostArray]) -> int:
    """Return how many eigenvalues of J Y, of the scaled fields, are not zero, for each unit."""
    found = 0
    for group in loops:
        if np.all(mask[group]):
            Y = np.moveaxis(units.responses[np.ix_(group, group)], -1, 0)
            found += int(np.max(np.linalg.matrix_rank(Y)))
        else:
            found += int(np.sum(mask[group]))
    return found


def _warn_of_switches(solution: StaticMeanField) -> None:
    cell = solution.cell
    if not isinstance(cell, GatedRNN):
        return
    sharpness = float(cell.alpha_z) * float(np.sqrt(solution.variance["z"]))
    if sharpness > _SWITCH:
        warnings.warn(
            f"alpha_z sqrt(D_z) = {sharpness:.3g}: expected at most {_SWITCH:g}. Where update "
            "gates are switches fixed points are not isolated in practice, and a count of them "
            "means little.",
            OutsideDomainWarning,
            stacklevel=3,
        )
