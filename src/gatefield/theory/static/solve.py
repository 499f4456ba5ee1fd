"""`solve_static`: every static mean-field solution of a cell, in closed form or sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell, GatedRNN, VanillaRNN
from gatefield.cells.base import check_cell
from gatefield.core.checks import check_choice, check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.theory.static.conditions import StaticConditions, static_conditions
from gatefield.theory.static.gaussian import (
    MAX_BRANCHES,
    gates_of,
    static_branches,
    static_point,
)
from gatefield.theory.static.result import StaticGrid, StaticMeanField
from gatefield.theory.static.sampled import sampled_branches


def solve_static(
    cell: AbstractCell,
    *,
    input_mean: Mapping[str, Any] | None = None,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
    method: str = "auto",
    samples: int = 4096,
    replicates: int = 8,
    seed: int = 0,
    throw: bool = True,
) -> tuple[StaticMeanField, ...]:
    r"""Return every solution of the static mean-field theory, in ascending order.

    For the gated RNN, with Gaussian h, z, r,

    .. math::

        D_h = \langle\phi^2\rangle\langle\sigma_r^2\rangle + \mathrm{var} I_h, \quad
        D_{z,r} = \langle\phi^2\rangle + \mathrm{var} I_{z,r}, \quad
        \rho^2 = \langle\phi'^2\rangle
        (\langle\sigma_r^2\rangle + \langle\phi^2\rangle\langle\sigma_r'^2\rangle) ;

    a fixed point is stable iff :math:`\rho < 1`. One, two or three solutions exist.

    Parameters
    ----------
    cell
        Any cell with scalar parameters.
    input_mean, input_variance
        Mean and variance over units of static Gaussian input, by drive name.
    bias_variance
        Variance over units of the random part of the biases, by name (h, z, r; closed form only).
    method
        "gaussian", the closed form of GatedRNN and VanillaRNN; "sampled", quasi-random samples for
        any cell; "auto", the closed form where it exists.
    samples, replicates, seed
        For the sampled method: samples in each of several independent sets, and their seed.
    throw
        Raise if a solution did not converge; otherwise its status says so.

    Returns
    -------
    tuple of StaticMeanField
        Ascending in activity; the zero fixed point first where there is one.

    Raises
    ------
    InvalidInputError
        For unknown names, negative variances, per-unit parameters, or a closed form that does not
        apply.
    NumericalFailureError
        If ``throw`` and a solution did not converge, or none was found.

    Assumptions
    -----------
    Fixed points of large random networks with independent Gaussian couplings. alpha_z plays no part
    in the gated RNN's solutions or their stability.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 6, C26-C30.
    """
    check_cell(cell)
    given = static_conditions(cell.drive_names, input_mean, input_variance, bias_variance)
    if any(np.shape(value) != () for value in jax.tree.leaves(given)):
        refuse("inputs", given, "one number for each name", "solve_static_grid takes arrays.")
    _check_scalars(cell, "solve_static_grid takes arrays; random biases go into bias_variance.")
    closed = isinstance(cell, (GatedRNN, VanillaRNN))
    check_choice("method", method, ("auto", "gaussian", "sampled"))
    if method == "gaussian" and not closed:
        refuse("method", method, f"'sampled' for {type(cell).__name__}", "Only gRNN and vanilla.")
    seed = check_seed(seed)
    with jax.enable_x64(True):
        if closed and method != "sampled":
            branches = _gaussian(cell, given)
        else:
            if any(float(value) > 0 for value in given.bias_variance.values()):
                remedy = "Static input adds to the same argument: use input_variance."
                refuse("bias_variance", bias_variance, "zero for sampled cells", remedy)
            sizes = {"samples": samples, "replicates": replicates}
            sizes = {name: check_count(name, value, at_least=2) for name, value in sizes.items()}
            branches = sampled_branches(cell, given, **sizes, seed=seed)
    failed = [branch for branch in branches if branch.status is not Status.OK]
    if throw and not branches:
        raise NumericalFailureError(
            "solve_static found no solution: the activity is below 1e-12 or above 10 in variance. "
            "Rescale gains and inputs; throw=False returns the empty tuple."
        )
    if throw and failed:
        raise NumericalFailureError(
            f"solve_static: {len(failed)} of {len(branches)} solutions did not converge (residuals "
            f"{[float(branch.residual) for branch in failed]}). throw=False returns them."
        )
    return branches


def solve_static_grid(
    cell: GatedRNN,
    *,
    input_mean: Mapping[str, Any] | None = None,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
) -> StaticGrid:
    """Solve the static mean-field theory at every point of a grid of gated RNN parameters.

    Parameters
    ----------
    cell
        A GatedRNN whose parameters are arrays that broadcast against each other, for instance
        ``GatedRNN(g_h=g[:, None], alpha_r=alpha[None, :])``.
    input_mean, input_variance, bias_variance
        As in `solve_static`; values may be arrays of the grid, too.

    Returns
    -------
    StaticGrid
        Number of solutions, their variances and radii; the branch axis last.

    Raises
    ------
    InvalidInputError
        If the shapes do not broadcast, the grid has no points, or the closed form does not apply.
    """
    if not isinstance(cell, GatedRNN):
        refuse("cell", cell, "a GatedRNN", "Loop over solve_static for other cells.")
    given = static_conditions(cell.drive_names, input_mean, input_variance, bias_variance)
    with jax.enable_x64(True):
        gates = gates_of(cell, given)
        try:
            shape = np.broadcast_shapes(*(np.shape(leaf) for leaf in gates))
        except ValueError:
            shapes = sorted({np.shape(leaf) for leaf in gates})
            refuse("parameter shapes", shapes, "shapes that broadcast", "Add axes by [:, None].")
        if 0 in shape:
            refuse("grid shape", shape, "at least one point", "Pass values on every axis.")
        flat = [jnp.asarray(np.broadcast_to(leaf, shape)).ravel() for leaf in gates]
        found = jax.jit(_grid_branches)(type(gates)(*flat))
    variance, radius, exists = (np.asarray(a).reshape(*shape, MAX_BRANCHES) for a in found)
    return StaticGrid(exists.sum(-1), variance, radius, exists)


def _grid_branches(gates):
    def one(point):
        branches = static_branches(point)
        radius = jax.vmap(lambda D: static_point(point, D).radius)(branches.variance)
        return branches.variance, jnp.where(branches.found, radius, 0.0), branches.found

    # Point by point: one point fills the vector units, and its intermediates stay in the cache.
    return jax.lax.map(one, gates)


@jax.jit
def _solved(gates):
    branches = static_branches(gates)
    points = jax.vmap(lambda D: static_point(gates, D))(branches.variance)
    return branches, points


def _gaussian(cell, given: StaticConditions) -> tuple[StaticMeanField, ...]:
    gates = gates_of(cell, given)
    branches, points = jax.tree.map(np.asarray, _solved(gates))
    one = np.ones(())
    solutions = []
    for index in np.flatnonzero(branches.found):
        variance, activity = branches.variance[index], points.activity[index]
        residual = np.abs(points.mapped[index] - variance) / max(1.0, float(variance))
        variances = {"h": variance, "z": activity + gates.z_input, "r": activity + gates.r_input}
        fields = {"h": variance - gates.h_input, "z": activity, "r": activity}
        means = {name: np.asarray(given.input_mean[name], float) for name in cell.drive_names}
        if isinstance(cell, GatedRNN) and cell.input_gating == "none":
            means["h"] = means["h"] * (1 + np.exp(-cell.beta_z))
        names = cell.state_names
        solutions.append(
            StaticMeanField(
                variance={name: np.asarray(variances[name]) for name in names},
                mean={name: means[name] for name in names},
                field_variance={name: np.asarray(fields[name]) for name in cell.field_names},
                radius=points.radius[index],
                stable=np.asarray(points.radius[index] < 1),
                open_fraction=points.open_fraction[index] * one,
                residual=residual,
                standard_error=np.zeros(()),
                cell=cell,
                conditions=given,
                method="gaussian",
                status=Status.OK if residual <= 1e-10 else Status.NOT_CONVERGED,
            )
        )
    return tuple(solutions)


def _check_scalars(cell: AbstractCell, remedy: str) -> None:
    for name, value in vars(cell).items():
        if np.shape(value) != ():
            refuse(f"cell.{name}.shape", np.shape(value), "() for every parameter", remedy)
