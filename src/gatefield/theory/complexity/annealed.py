r"""The growth of the mean number of fixed points, with their distribution left free.

The paper takes fixed points for typical states of the static mean-field theory (its second
approximation, Eqs. J19-J23). But each is counted with the weight :math:`|\det(1 - J Y)|`, which is
exponentially large in N, too: it favours units that respond strongly. With u of every unit
distributed as P, the exponent is

.. math::

    f[P] = \Big\langle \ln\frac{\prod_a N(u_a; 0, g_a^2 q_a)}{P(u)}\Big\rangle_P
    + \tfrac12\,\mathrm{ext}_{s,t}\Big[\langle\ln\det(1 + ZZ^T)\rangle_P - \sum_a s_a t_a\Big],
    \qquad q_a = \langle y_a^2\rangle_P .

It equals the paper's C where P is the Gaussian of the static theory, for which the first average
vanishes; but that is not its maximum.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell
from gatefield.core.checks import check_count, check_ok, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.theory.complexity.determinant import entries_of, log_det, log_determinant
from gatefield.theory.complexity.units import (
    FieldUnits,
    drawn_units,
    has_quadrature,
    quadrature_units,
)
from gatefield.theory.static import StaticMeanField

_MAX_STEP = 0.5  # in the logarithms
_TOLERANCE = 1e-11
_MAX_ITERATIONS = 200
_GONE = 1e-3  # of its start: a variance that fell so far is on its way to the zero fixed point


class AnnealedComplexity(AbstractResult):
    r"""Exponent of the mean number of fixed points, and how they are distributed.

    Attributes
    ----------
    value
        f: the mean number grows as exp(N f). Negative where a network rarely has such points.
    output_moments
        :math:`q_a = \langle y_a^2\rangle` at the fixed points counted, by field name.
    field_variance
        :math:`\langle u_a^2\rangle` there; not gain^2 times the former, since u is not Gaussian.
    tilt
        Lagrange multipliers mu_a: u has the density
        :math:`\propto N(u; 0, g^2 q)\,\exp(\sum_a\mu_a y_a^2)\sqrt{\det(1 + ZZ^T)}`.
    log_s, log_t
        Order parameters of the determinant, by field.
    residual
        Largest relative violation of the equations.
    mean_field
        The static solution that gave the cell, the averages and the start. Of a result that was
        followed to another cell it is no solution there: its status is NOT_CONVERGED.
    status
        OK, or NOT_CONVERGED.
    """

    value: Float[HostArray, ""] = eqx.field(metadata=quantity())
    output_moments: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    field_variance: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    tilt: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    log_s: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    log_t: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    residual: Float[HostArray, ""] = eqx.field(metadata=quantity())
    mean_field: StaticMeanField
    status: Status = eqx.field(static=True)


def annealed_complexity(
    source: StaticMeanField | AnnealedComplexity,
    *,
    cell: AbstractCell | None = None,
    samples: int = 2**14,
    seed: int = 0,
    throw: bool = True,
) -> AnnealedComplexity:
    r"""Return the exponent of the mean number of fixed points, and their distribution.

    Parameters
    ----------
    source
        A static mean-field solution other than the zero fixed point, at which Newton's method
        starts; or an earlier result, which is followed to ``cell``. Follow it to reach parameters
        where the static theory has no solution: the mean number may grow there all the same.
    cell
        A cell with other values of its parameters, by default the source's.
    samples, seed
        Quasi-random units where the cell has no closed form.
    throw
        Raise if the equations were not solved; otherwise the status says so.

    Returns
    -------
    AnnealedComplexity

    Raises
    ------
    InvalidInputError
        For a source that is not OK, the zero fixed point, cells of another kind, or inputs and
        biases that differ from unit to unit: they are no part of what is counted.
    NumericalFailureError
        If ``throw`` and Newton's method failed, or ended at the zero fixed point.

    Assumptions
    -----------
    Large N; the mean over networks, which few networks with many points may dominate: the typical
    number grows no faster. A stationary point of f near the source; that it is the highest is not
    proved.
    """
    samples, seed = check_count("samples", samples, at_least=2), check_seed(seed)
    if not isinstance(source, StaticMeanField | AnnealedComplexity):
        remedy = "gf.solve_static returns the solutions."
        refuse("source", source, "a StaticMeanField or an AnnealedComplexity", remedy)
    check_ok("source", source)
    start = None if isinstance(source, StaticMeanField) else source
    base = source if isinstance(source, StaticMeanField) else source.mean_field
    if cell is not None and type(cell) is not type(base.cell):
        refuse("cell", cell, f"a {type(base.cell).__name__}, as the source's", "Solve it anew.")
    given = base.conditions
    if any(np.any(x > 0) for x in (*given.input_variance.values(), *given.bias_variance.values())):
        refuse("conditions", given, "no inputs or biases that vary", "Use gf.complexity.")
    kept = base if cell is None else replace(base, cell=cell, status=Status.NOT_CONVERGED)
    base = replace(kept, status=Status.OK)  # its averages are where units are weighed, no more
    if max(float(each) for each in base.field_variance.values()) == 0:
        remedy = "It is one point in every network: take another solution."
        refuse("source", "the zero fixed point", "a solution with activity", remedy)
    units = quadrature_units(base) if has_quadrature(base) else drawn_units(base, samples, seed)
    K = len(units.names)
    if start is None:
        log_q = np.log(units.variances / units.gains**2)
        first = _outer(units)
    elif start.tilt.size == K:
        log_q = np.log([float(start.output_moments[name]) for name in units.names])
        first = np.concatenate([start.tilt, start.log_s, start.log_t])
    else:
        refuse("cell", cell, "the same fields at work as in the source", "Solve it anew.")
    with jax.enable_x64(True):
        begin = jnp.asarray(np.concatenate([log_q, first]))
        found = _solve(*_arguments(units), start=begin)
        x, value, spread, residual = (np.asarray(each) for each in found)
    log_q, tilt, log_s, log_t = x.reshape(4, K)
    gone = np.min(np.exp(log_q) * units.gains**2 / units.variances) < _GONE
    solved = bool(residual < 1e-8 and np.isfinite(value) and not gone)
    if throw and not solved:
        raise NumericalFailureError(
            f"annealed_complexity: Newton's method ended with residual {float(residual):.2g}"
            f"{', at the zero fixed point' if gone else ''}. Start from the solution of largest "
            "variance, or follow a neighbouring result by cell=; throw=False returns this one."
        )
    return AnnealedComplexity(
        value=value,
        output_moments=dict(zip(units.names, map(np.asarray, np.exp(log_q)), strict=True)),
        field_variance=dict(zip(units.names, map(np.asarray, spread), strict=True)),
        tilt=tilt,
        log_s=log_s,
        log_t=log_t,
        residual=residual,
        mean_field=kept,
        status=Status.OK if solved else Status.NOT_CONVERGED,
    )


def _outer(units: FieldUnits) -> HostArray:
    """Return mu = 0 and the determinant's order parameters at the static solution."""
    scaled = np.ones(len(units.names), bool)
    at = log_determinant(units.responses, units.weights, scaled, np.ones(1))
    # Fields outside every loop leave the determinant alone: any small s and t will do.
    orders = [np.where(np.isfinite(each[0]), each[0], -40.0) for each in (at.log_s, at.log_t)]
    return np.concatenate([np.zeros(len(units.names)), *orders])


def _arguments(units: FieldUnits) -> tuple[Any, Any, Any, Any, Any]:
    standard = units.fields**2 / units.gains[:, None] ** 2
    return (
        entries_of(units.responses),
        units.outputs**2,
        standard,
        units.weights,
        units.variances / units.gains**2,
    )


@eqx.filter_jit
def _solve(Y, squares, fields, weights, base, start):
    """Solve for (ln q, mu, ln s, ln t) by Newton's method; return it, f, <u^2>, the residual."""
    K = len(Y)
    gauge = jnp.concatenate([jnp.zeros(2 * K), jnp.ones(K), -jnp.ones(K)])

    def log_weights(x):
        log_q, mu, log_s, log_t = x.reshape(4, K)
        q = jnp.exp(log_q)
        gaussian = -((1 / q - 1 / base) @ fields) / 2
        return gaussian + mu @ (squares - q[:, None]) + log_det(Y, log_s, log_t) / 2

    def normalisation(x):
        log_w = log_weights(x)
        top = jnp.max(log_w)
        return top + jnp.log(jnp.sum(weights * jnp.exp(log_w - top)))

    def equations(x):
        log_q, mu, log_s, log_t = x.reshape(4, K)
        q = jnp.exp(log_q)
        slope = jax.grad(normalisation)(x).reshape(4, K)
        own = slope[0] - 0.5  # of f by ln q: the spread of u
        sums = jnp.tile(log_s + log_t, 2)
        orders = jnp.log(2 * slope[2:].ravel() + 1e-300) - sums
        found = jnp.concatenate([own, jnp.log1p(slope[1] / q), orders])
        return found + gauge * jnp.sum(gauge * (x - start))

    def step(carry):
        x, _, count = carry
        value = equations(x)
        # Fields outside every loop leave s and t free.
        move = jnp.linalg.lstsq(jax.jacfwd(equations)(x), value)[0]
        move = move / jnp.maximum(1.0, jnp.max(jnp.abs(move)) / _MAX_STEP)
        return x - move, jnp.max(jnp.abs(value)), count + 1

    def going(carry):
        return (carry[1] > _TOLERANCE) & (carry[2] < _MAX_ITERATIONS)

    x, residual, _ = jax.lax.while_loop(going, step, (start, jnp.asarray(jnp.inf), 0))
    log_q, _, log_s, log_t = x.reshape(4, K)
    value = normalisation(x) + jnp.sum(jnp.log(base) - log_q) / 2
    value = value - jnp.sum(jnp.exp(log_s + log_t)) / 2
    log_w = log_weights(x)
    w = weights * jnp.exp(log_w - jnp.max(log_w))
    spread = fields @ w / jnp.sum(w)
    return x, value, spread, jnp.where(jnp.isfinite(residual), residual, jnp.inf)
