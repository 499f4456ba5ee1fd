"""Static mean-field theory of any cell, by quasi-random samples of its Gaussian fields."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from gatefield.cells import AbstractCell, AbstractMap, GatedRNN, unit_blocks
from gatefield.cells.base import over_units, stacked_outputs, stacked_rule
from gatefield.cells.parameters import stacked_gains
from gatefield.core.errors import refuse
from gatefield.core.results import Status
from gatefield.core.types import Array, Float, HostArray
from gatefield.numerics.beyond_poles import highest_on_line
from gatefield.theory.static.conditions import StaticConditions
from gatefield.theory.static.result import StaticMeanField

_NEWTON_UNIT = 20
_NEWTON_FIELDS = 30
_SEARCH_SAMPLES = 512  # enough to find the branches; each is then polished on the full sets
_STARTS = np.geomspace(1e-6, 10.0, 8)
_CHUNK = 32  # points of the edge in one compiled call


class SampledUnits(NamedTuple):
    """Units drawn from a static mean-field solution: one column for each."""

    state: Float[HostArray, "component sample"]
    fields: Float[HostArray, "field sample"]
    drive: Float[HostArray, "drive sample"]


class Samples(NamedTuple):
    """Standard normal samples for the fields and the drives, and the drives' mean and scale."""

    fields: Float[Array, "field sample"]
    drives: Float[Array, "drive sample"]


def standard_samples(cell: AbstractCell, count: int, seed: int) -> Samples:
    """Return scrambled Sobol points, mapped to independent standard normals."""
    k, i = len(cell.field_names), len(cell.drive_names)
    sobol = stats.qmc.Sobol(k + i, scramble=True, rng=np.random.default_rng(seed))
    points = sobol.random_base2(int(np.ceil(np.log2(count))))
    normal = stats.norm.ppf(np.clip(points, 1e-15, 1 - 1e-15)).T
    return Samples(jnp.asarray(normal[:k]), jnp.asarray(normal[k:]))


def sampled_units(solution: StaticMeanField, *, samples: int, seed: int) -> SampledUnits:
    """Draw quasi-random units from a static mean-field solution, of either method.

    Parameters
    ----------
    solution
        Whose fields are Gaussian with variances ``solution.field_variance``.
    samples, seed
        Number of units (rounded up to a power of two) and seed.

    Returns
    -------
    SampledUnits
        Each at the fixed point of its rule, on the host.

    Raises
    ------
    InvalidInputError
        With random biases, which no drive carries.
    """
    cell, given = solution.cell, solution.conditions
    if any(np.any(value > 0) for value in given.bias_variance.values()):
        remedy = "Static input adds to the same argument: use input_variance."
        refuse("bias_variance", given.bias_variance, "zero where units are sampled", remedy)
    with jax.enable_x64(True):
        drawn = standard_samples(cell, samples, seed)
        variances = np.array([solution.field_variance[name] for name in cell.field_names])
        deviations = jnp.asarray(np.sqrt(variances))
        if solution.method == "gaussian":
            found = _gaussian_units(cell, given, drawn, deviations)
        else:
            found = _units_at(cell, given, drawn, deviations)
        return SampledUnits(*(np.asarray(each) for each in found))


def _gaussian_units(cell, given, samples, deviations):
    """Return units whose state is field plus input, also where a shut gate would never show it."""
    fields = deviations[:, None] * samples.fields
    drive = _drive(given, cell.drive_names, samples)
    outside = isinstance(cell, GatedRNN) and cell.input_gating == "none"
    rate = jax.nn.sigmoid(cell.beta_z) if outside else 1.0
    scale = jnp.array([1 / rate] + [1.0] * (len(cell.drive_names) - 1))
    return fields + scale[:, None] * drive, fields, drive


@eqx.filter_jit
def _units_at(cell, given, samples, deviations):
    fields = deviations[:, None] * samples.fields
    drive = _drive(given, cell.drive_names, samples)
    return _unit_fixed_points(cell, fields, drive), fields, drive


def _unit_fixed_points(cell, fields, drive):
    """Solve rule(s, u) = 0 (flows) or = s (maps) for every sample, by Newton from s = 0."""
    is_map = isinstance(cell, AbstractMap)

    def solve(unit, u, x):
        def residual(s):
            return stacked_rule(unit, s, u, x) - (s if is_map else 0.0)

        def step(carry):
            s, _, count = carry
            move = jnp.linalg.solve(jax.jacfwd(residual)(s), residual(s))
            return s - move, jnp.max(jnp.abs(move)), count + 1

        def moving(carry):
            return (carry[1] > 1e-13) & (carry[2] < _NEWTON_UNIT)

        start = (jnp.zeros(len(cell.state_names)), jnp.asarray(jnp.inf), 0)
        return jax.lax.while_loop(moving, step, start)[0]

    return over_units(solve, cell, fields, drive)


def _drive(given: StaticConditions, names, samples: Samples) -> Array:
    rows = [
        given.input_mean[name] + jnp.sqrt(given.input_variance[name]) * samples.drives[index]
        for index, name in enumerate(names)
    ]
    return jnp.stack(rows) if rows else samples.drives


@eqx.filter_jit
def _output_moments(cell, given, samples, log_moments):
    """Return <y_a^2> of each field's output when the outputs have moments exp(log_moments)."""
    fields, drive, state = _state_at(cell, given, samples, log_moments)
    return jnp.mean(over_units(stacked_outputs, cell, state, fields, drive) ** 2, axis=-1)


@eqx.filter_jit
def _state_at(cell, given, samples, log_moments):
    gains = stacked_gains(cell)
    state, fields, drive = _units_at(cell, given, samples, gains * jnp.exp(log_moments / 2))
    return fields, drive, state


@eqx.filter_jit
def _solve_from(cell, given, samples, starts):
    """Newton's method in the logarithms of the output moments, from several starts at once."""

    def residual(w):
        return jnp.log(_output_moments(cell, given, samples, w) + 1e-300) - w

    def step(carry):
        w, size, count = carry
        value = residual(w)
        # lstsq, since fields that share an output repeat a row.
        move = jnp.clip(jnp.linalg.lstsq(jax.jacfwd(residual)(w), value)[0], -2.0, 2.0)
        return w - jnp.nan_to_num(move), jnp.max(jnp.abs(value)), count + 1

    def moving(carry):
        return (carry[1] > 1e-12) & (carry[2] < _NEWTON_FIELDS) & (jnp.min(carry[0]) > -30)

    def run(w):
        w = jax.lax.while_loop(moving, step, (w, jnp.asarray(jnp.inf), 0))[0]
        return w, jnp.max(jnp.abs(residual(w)))

    return jax.lax.map(run, starts)


def sampled_branches(
    cell: AbstractCell, given: StaticConditions, *, samples: int, replicates: int, seed: int
) -> tuple[StaticMeanField, ...]:
    r"""Find the static mean-field solutions of any cell.

    The fields are independent Gaussians, :math:`u^a \sim N(0, \mathrm{gain}_a^2\langle y_a^2
    \rangle)`; each sampled unit sits at the fixed point of its rule, and the moments of its outputs
    are made self-consistent by Newton's method from many starts.

    Parameters
    ----------
    cell
        Any cell with scalar parameters.
    given
        Static inputs.
    samples, replicates, seed
        Number of quasi-random samples, of independent sets for the error, and the seed.

    Returns
    -------
    tuple of StaticMeanField
        Ascending in activity.

    Assumptions
    -----------
    Each unit's rule has one fixed point for given fields (or Newton from zero finds the right one).
    """
    sets = [standard_samples(cell, samples, seed + 1000 * k) for k in range(replicates)]
    count = len(cell.field_names)
    search = standard_samples(cell, min(_SEARCH_SAMPLES, samples), seed)
    starts = np.tile(np.log(_STARTS)[:, None], (1, count))
    solutions = _distinct(cell, given, search, starts)
    if float(jnp.max(_output_moments(cell, given, search, jnp.full(count, -jnp.inf)))) < 1e-20:
        solutions = [np.full(count, -np.inf), *solutions]
    return tuple(_describe(cell, given, sets, solution) for solution in solutions)


def _distinct(cell, given, samples, starts):
    found, residuals = _solve_from(cell, given, samples, jnp.asarray(starts))
    good = np.asarray(found)[np.asarray(residuals) < 1e-8]
    # Solutions that run off to ever smaller moments are the zero solution, treated apart.
    good = good[np.all(good > np.log(1e-12), axis=1)]
    unique: list[np.ndarray] = []
    for candidate in good[np.argsort(good.sum(axis=1))]:
        if not any(np.allclose(candidate, known, atol=1e-5) for known in unique):
            unique.append(candidate)
    return unique


def _describe(cell, given, sets, solution) -> StaticMeanField:
    radii, rows, residuals, opened = [], [], [], []
    for samples in sets:
        if np.all(np.isfinite(solution)):
            found, residual = _solve_from(cell, given, samples, jnp.asarray(solution)[None])
            moments, residual = found[0], float(residual[0])
        else:
            moments, residual = jnp.asarray(solution), 0.0
        fields, drive, state = _state_at(cell, given, samples, moments)
        radii.append(_edge_radius(cell, unit_blocks(cell, state, fields, drive)))
        rows.append((state.mean(-1), state.var(-1), jnp.mean(fields**2, -1)))
        residuals.append(residual)
        is_gated = isinstance(cell, GatedRNN)
        opened.append(np.mean(cell.update_gate(state[1])) if is_gated else 1.0)
    mean, variance, field_variance = (
        np.mean([np.asarray(r[k]) for r in rows], 0) for k in range(3)
    )
    radius = np.asarray(np.mean(radii))
    named = lambda names, values: dict(zip(names, map(np.asarray, values), strict=True))  # noqa: E731
    okay = max(residuals) < 1e-6 and np.isfinite(radius)
    return StaticMeanField(
        variance=named(cell.state_names, variance),
        mean=named(cell.state_names, mean),
        field_variance=named(cell.field_names, field_variance),
        radius=radius,
        stable=np.asarray(radius < 1),
        open_fraction=np.asarray(np.mean(opened)),
        residual=np.asarray(max(residuals)),
        standard_error=np.asarray(np.std(radii, ddof=1) / np.sqrt(len(radii))),
        cell=cell,
        conditions=given,
        method="sampled",
        status=Status.OK if okay else Status.NOT_CONVERGED,
    )


@jax.jit
def _second_moments(blocks, points):
    """Return M(lambda), the mean squares of the units' responses, at each point."""
    d = blocks.A.shape[-1]

    def at(point):
        resolvent = jnp.linalg.solve(point * jnp.eye(d) - blocks.A, blocks.L.astype(complex))
        response = jnp.einsum("nkd,ndl->nkl", blocks.R, resolvent) + blocks.Q
        return jnp.mean(jnp.abs(response) ** 2, axis=0)

    return jax.lax.map(at, points)


def _edge_radius(cell: AbstractCell, blocks: Any) -> float:
    """Return the square root of M's largest spectral radius on the stability edge.

    That is the unit circle (maps) or the imaginary axis (flows).
    """
    gains = np.array([float(cell.gains()[name]) for name in cell.field_names])

    def log_radius(points):
        padded = np.resize(points, -(-points.size // _CHUNK) * _CHUNK).reshape(-1, _CHUNK)
        moments = [np.asarray(_second_moments(blocks, part)) for part in padded]
        scaled = np.concatenate(moments)[: points.size] * gains**2
        scaled = np.nan_to_num(scaled, nan=1e300, posinf=1e300)
        with np.errstate(divide="ignore"):
            return np.log(np.max(np.abs(np.linalg.eigvals(scaled)), axis=1))

    is_map = isinstance(cell, AbstractMap)
    poles = np.linalg.eigvals(np.asarray(blocks.A))
    return np.exp(highest_on_line(log_radius, poles, 1.0 if is_map else 0.0, is_map)[0] / 2)
