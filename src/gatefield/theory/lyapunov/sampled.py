"""The largest Lyapunov exponent of mean-field theory, from perturbations along sampled paths."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell
from gatefield.core.checks import as_number, check_count, check_seed
from gatefield.core.types import Float, HostArray
from gatefield.numerics.anderson import Anderson
from gatefield.numerics.periodic import drawn_path, multiplicity, power, spectrum_of
from gatefield.numerics.threads import in_threads
from gatefield.theory.dmft.paths import (
    CHUNK,
    PathPlan,
    Rows,
    changes,
    chunks,
    field_spectra,
    forcing,
    one_step,
    outputs_of,
)
from gatefield.theory.dmft.redraw import redraw
from gatefield.theory.dmft.result import MeanField
from gatefield.theory.rmt import UnitEnsemble, spectral_boundary

_PLAIN = 4
_LARGEST_MOVE = 0.25
_WEIGHT = 4.0  # of lambda beside amplitudes of norm one
_PART = 0.1  # of a change of the spectrum in the change of lambda that follows, at most
# Keeps the perturbations' noise apart from that of the paths.
_STREAM = 0x74616E67


class SampledExponent(NamedTuple):
    """The exponent of each batch of a sampled solution.

    Attributes
    ----------
    exponents
        Per unit of the units' time constant (flows) or per step (maps), natural log.
    residuals
        Size of the last change of each: of the exponent, or a tenth of that of the spectrum's
        square root, relative to its norm, if that is larger.
    converged
        Whether every residual fell below the tolerance.
    """

    exponents: Float[HostArray, " batch"]
    residuals: Float[HostArray, " batch"]
    converged: bool


def sampled_exponent(
    solution: MeanField, *, tolerance: float = 1e-4, max_sweeps: int = 60, seed: int = 0
) -> SampledExponent:
    r"""Find the growth rate of perturbations along the paths of a sampled mean-field solution.

    With perturbations scaled by :math:`e^{-\lambda t}`,

    .. math:: \dot v = (A - \lambda)\,v + L\,w, \qquad \delta y = R\,v + Q\,w, \qquad
        \langle w^a w^{a\prime} \rangle
        = \mathrm{gain}_a^2 \langle \delta y^a\, \delta y^{a\prime} \rangle

    (maps: :math:`v' = e^{-\lambda}(A v + L w)`), with independent Gaussian w^a. One sweep round the
    period maps the power spectrum X of the outputs' perturbations to mu X; X and the lambda at
    which mu = 1 are found together by Anderson acceleration, with the noise of w held fixed. Where
    nothing moves, perturbations of different frequency do not mix, and lambda is the leading edge
    of the units' random-matrix theory.

    Parameters
    ----------
    solution
        Of method "sampled".
    tolerance
        Largest residual, in the unit of the exponent.
    max_sweeps
        Largest number of sweeps of a batch.
    seed
        Draws the noise of w.

    Returns
    -------
    SampledExponent
        One exponent for each batch, whose scatter is the sampling error.

    Assumptions
    -----------
    N to infinity. The bias that sampling leaves is O(1/M).

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Appendix D.
    """
    tolerance = as_number("tolerance", tolerance, positive=True)
    max_sweeps, seed = check_count("max_sweeps", max_sweeps), check_seed(seed)
    fields = np.stack([solution.spectra[name] for name in solution.cell.field_names])
    moves = bool(np.any(fields[..., 1:])) or any(
        each.variance > 0 and not each.is_static for each in solution.inputs.values()
    )
    with jax.enable_x64(True):
        key = jax.random.fold_in(jax.random.key(seed), _STREAM)

    def solved(batch: int) -> tuple[float, float]:
        plan, rows, state = redraw(solution, batch)
        if not moves:
            return _edge(solution.cell, plan, rows, state)
        noise = plan.noise(jax.random.fold_in(key, batch), len(plan.cell.field_names))
        rate, residual = _exponent(plan, rows, state, noise, tolerance, max_sweeps)
        if rate == -np.inf:
            # No unit sends perturbations to others: what is left is a lone unit, at one moment.
            rate, _ = _edge(solution.cell, plan, rows, state)
        return rate, residual

    exponents, residuals = np.array(in_threads(solved, range(fields.shape[1]))).T
    return SampledExponent(exponents, residuals, bool(np.all(residuals < tolerance)))


def _exponent(
    plan: PathPlan,
    rows: Rows,
    state: Rows,
    noise: list[HostArray],
    tolerance: float,
    max_sweeps: int,
) -> tuple[float, float]:
    """Return lambda and the residual of one batch, from amplitudes of norm one and lambda = 0."""
    rate, residual = 0.0, np.inf
    weights = np.tile(np.sqrt(multiplicity(plan.steps // 2 + 1)), (len(plan.groups), 1))
    amplitude = np.sqrt(np.tile(spectrum_of(np.exp(-plan.lags())), (len(plan.groups), 1)))
    amplitude /= np.linalg.norm(weights * amplitude)
    tangent = [np.zeros_like(row) for row in state]
    accelerate = Anderson(np.append(weights, _WEIGHT))
    for count in range(max_sweeps):
        mapped, after = tangent_sweep(plan, rows, state, noise, amplitude**2, tangent, rate)
        size = np.linalg.norm(weights * np.sqrt(mapped))
        if size == 0:
            return -np.inf, np.inf
        if not np.isfinite(size):
            # So far below the exponent that perturbations overflow within a period.
            rate, tangent = rate + _LARGEST_MOVE, [np.zeros_like(row) for row in state]
            continue
        image, moved = np.sqrt(mapped) / size, np.log(size) / 2
        change = np.linalg.norm(weights * (image - amplitude))
        residual = float(max(abs(moved), _PART * change))
        if residual < tolerance and count > _PLAIN:
            return float(rate + moved), residual
        tangent = [row / np.asarray(size, row.dtype) for row in after]
        if count < _PLAIN:
            amplitude, rate = image, rate + (moved if count > 1 else 0.0)
            continue
        proposed = accelerate(np.append(amplitude, rate), np.append(image, rate + moved))
        amplitude = proposed[:-1].reshape(amplitude.shape)
        amplitude /= np.linalg.norm(weights * amplitude)
        rate += float(np.clip(proposed[-1] - rate, -_LARGEST_MOVE, _LARGEST_MOVE))
    return rate, residual


def _edge(cell: AbstractCell, plan: PathPlan, rows: Rows, state: Rows) -> tuple[float, float]:
    """Return the leading edge of the spectrum of units that do not move."""
    count = len(plan.cell.field_names)
    drive = np.repeat(plan.means()[:, None], plan.samples, axis=1)
    for place, row in zip(plan.driven, rows[count:], strict=True):
        drive[place] += row[0]
    fields = np.stack([row[0] for row in rows[:count]])
    units = UnitEnsemble.of_samples(cell, np.stack(state), fields, drive=drive)
    edge = float(spectral_boundary(units).leading_edge)
    if plan.scheme == "map":
        edge = float(np.log(edge)) if edge > 0 else -np.inf
    return edge, 0.0


def tangent_sweep(
    plan: PathPlan,
    rows: Rows,
    state: Rows,
    noise: list[HostArray],
    outputs: Float[HostArray, "output frequency"],
    tangent: Rows,
    rate: float,
) -> tuple[Float[HostArray, "output frequency"], Rows]:
    """Drive perturbations once round the period; return the spectra of the outputs' perturbations.

    Parameters
    ----------
    plan, rows, state
        The paths, from `redraw`.
    noise
        White noise of each perturbation field.
    outputs
        Spectra of the distinct outputs' perturbations that drive.
    tangent
        Perturbation of each component at the start, (M,).
    rate
        lambda.
    """
    driving = [
        drawn_path(w, spectrum)
        for w, spectrum in zip(noise, field_spectra(plan, outputs), strict=True)
    ]
    paths = [np.empty((plan.steps, plan.samples), plan.dtype) for _ in plan.groups]
    firsts = tuple(group[0] for group in plan.groups)
    count, number = len(rows), plan.dtype
    means, dt, rate_ = plan.means(), np.asarray(plan.dt, number), np.asarray(rate, number)
    for first, pieces in chunks(plan, [*rows, *driving]):
        state, tangent, sent = _advance(
            plan.cell,
            state,
            tangent,
            pieces[:count],
            pieces[count:],
            means,
            dt,
            rate_,
            plan.scheme,
            plan.driven,
            firsts,
        )
        for path, part in zip(paths, sent, strict=True):
            path[first : first + CHUNK] = part
    return np.stack([power(path) for path in paths]), tangent


@eqx.filter_jit
def _advance(cell, state, tangent, rows, driving, means, dt, rate, scheme, driven, firsts):
    """Run one chunk of paths and their perturbations; return their ends, and delta y."""
    fields = len(cell.field_names)

    def perturbed(function, s, v, at, w):
        silent = tuple(jnp.zeros_like(row) for row in at[fields:])
        return jax.jvp(
            lambda a, b: function(cell, a, b, means, driven), (s, at), (v, (*w, *silent))
        )

    def velocity(both, forces):
        (s, v), (force, push) = both, forces
        value, slope = perturbed(changes, s, v, force, push)
        if scheme == "map":
            return value, tuple(jnp.exp(-rate) * each for each in slope)
        return value, tuple(a - rate * b for a, b in zip(slope, v, strict=True))

    def step(both, number):
        force, push = forcing(rows, number, scheme), forcing(driving, number, scheme)

        def at(i):
            return force(i), push(i)

        s, v = both
        _, sent = perturbed(outputs_of, s, v, force(0), push(0))
        return one_step(velocity, both, at, dt, scheme), [sent[first] for first in firsts]

    (state, tangent), sent = jax.lax.scan(step, (tuple(state), tuple(tangent)), jnp.arange(CHUNK))
    return list(state), list(tangent), sent
