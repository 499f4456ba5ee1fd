r"""Static theory of any cell with implicit gradients, on fixed quasi-random samples of its units.

The unknowns are the logarithms w of the second moments of the cell's distinct outputs, which
satisfy :math:`\ln\langle y_g^2\rangle(\theta, w) = w_g`. Each sampled unit sits at the fixed
point of its rule; its derivatives, those of w by the parameters and those of every quantity follow
from the implicit function theorem.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import unit_blocks
from gatefield.cells.parameters import stacked_gains
from gatefield.initialise.measured import times_of
from gatefield.initialise.prediction import Prediction, chosen_branch, memory
from gatefield.initialise.sampled_family import SampledFamily, solved
from gatefield.numerics.beyond_poles import highest_on_line, outermost

_NEWTON, _STARTS = 30, np.log([1e-5, 3e-2, 10.0])
_NOTHING = -30.0  # of the logarithm: smaller moments are the zero solution
_CHUNK = 16


class _Probe(NamedTuple):
    """Where M is evaluated, and the vectors by which its and A's eigenvalues are followed."""

    points: Any  # leading edge, and edge of stability, (2,)
    left: Any  # (2, group)
    right: Any
    units: Any  # whose own eigenvalues count: two at the quantile, and the slowest, (3,)
    unit_left: Any  # (3, component)
    unit_right: Any


def _responses(blocks, groups, gains, point):
    """Return the matrix T (group, group), whose spectral radius crosses one at the boundary."""
    A, L = (jnp.moveaxis(block, 0, -1) for block in (blocks.A, blocks.L))
    d = A.shape[0]
    if d == 1:
        inner = [L[0] / (point - A[0, 0])]
    elif d == 2:
        p, q = point - A[0, 0], point - A[1, 1]
        b, c = A[0, 1], A[1, 0]
        inner = [(q * L[0] + b * L[1]) / (p * q - b * c), (c * L[0] + p * L[1]) / (p * q - b * c)]
    else:
        solved = jnp.linalg.solve(point * jnp.eye(d) - blocks.A, blocks.L.astype(complex))
        inner = list(jnp.moveaxis(solved, 0, -1))
    rows = []
    for group in groups:
        R = jnp.moveaxis(blocks.R[:, group[0]], 0, -1)
        Y = sum(R[c] * inner[c] for c in range(d)) + blocks.Q[:, group[0]].T
        second = gains**2 * jnp.mean(jnp.real(Y) ** 2 + jnp.imag(Y) ** 2, axis=-1)
        rows.append(jnp.stack([sum(second[field] for field in read) for read in groups]))
    return jnp.stack(rows)


@eqx.filter_jit
def _solve(model: SampledFamily, theta, starts):
    """Run Newton's method for w from several starts."""

    def run(w):
        def step(carry):
            w, _, count = carry
            value = model.residual(theta, w)
            slope = jax.jacfwd(lambda w: model.residual(theta, w))(w)
            move = jnp.clip(jnp.nan_to_num(solved(slope, value)), -2.0, 2.0)
            return w - move, jnp.max(jnp.abs(value)), count + 1

        def moving(carry):
            return (carry[1] > 1e-12) & (carry[2] < _NEWTON) & (jnp.min(carry[0]) > _NOTHING)

        w = jax.lax.while_loop(moving, step, (w, jnp.asarray(jnp.inf), 0))[0]
        return w, jnp.max(jnp.abs(model.residual(theta, w)))

    silent = model.sent(theta, jnp.full(len(model.groups), -jnp.inf))
    return jax.lax.map(run, starts), jnp.max(silent)


@eqx.filter_jit
def _blocks(model: SampledFamily, theta, w):
    cell, state, fields, drive = model.units(theta, w)
    return unit_blocks(cell, state, fields, drive), stacked_gains(cell), state[0]


@eqx.filter_jit
def _at_points(blocks, groups, gains, points):
    return jax.lax.map(lambda point: _responses(blocks, groups, gains, point), points)


@eqx.filter_jit
def _observed(model: SampledFamily, theta, w, probe: _Probe):
    """Return the derivatives of residuals and observables by (theta, w)."""

    def observe(joint):
        theta, w = joint[: model.family.count], joint[model.family.count :]
        cell, state, fields, drive = model.units(theta, w)
        blocks, gains = unit_blocks(cell, state, fields, drive), stacked_gains(cell)
        seen = [model.residual(theta, w), jnp.var(state[0])[None]]
        for k in range(2):
            T = _responses(blocks, model.groups, gains, probe.points[k])
            seen.append((probe.left[k] @ T @ probe.right[k])[None])
        for k in range(3):
            value = probe.unit_left[k] @ blocks.A[probe.units[k]] @ probe.unit_right[k]
            seen.append(jnp.stack([jnp.real(value), jnp.imag(value)]))
        return jnp.concatenate(seen)

    return jax.jacfwd(observe)(jnp.concatenate([theta, w]))


class _State(NamedTuple):
    """A solution at one set of parameters, on the host."""

    w: Any
    zero: bool
    blocks: Any
    gains: Any
    first: Any
    radius: float
    radius_point: complex


def solutions(model: SampledFamily, theta: Any) -> list[_State]:
    """Return every solution that was found, ascending in activity."""
    groups = len(model.groups)
    theta = jnp.asarray(theta, float)
    starts = jnp.asarray(np.tile(_STARTS[:, None], (1, groups)))
    (found, residuals), silent = _solve(model, theta, starts)
    good = np.asarray(found)[np.asarray(residuals) < 1e-8]
    good = good[np.all(good > np.log(1e-12), axis=1)]
    unique: list[Any] = [np.full(groups, -np.inf)] if float(silent) < 1e-20 else []
    for candidate in good[np.argsort(good.sum(axis=1))]:
        if not any(np.allclose(candidate, known, atol=1e-6) for known in unique):
            unique.append(candidate)
    return [_state(model, theta, w) for w in unique]


def _state(model: SampledFamily, theta, w) -> _State:
    blocks, gains, first = _blocks(model, theta, jnp.asarray(w))
    function, edge = _log_radius(model, blocks, gains), 1.0 if model.is_map else 0.0
    value, place = highest_on_line(function, _poles(blocks), edge, model.is_map)
    point = np.exp(1j * place) if model.is_map else 1j * place
    zero = bool(np.all(np.isneginf(w)))
    return _State(w, zero, blocks, gains, np.asarray(first), float(np.exp(value)), complex(point))


def _poles(blocks) -> Any:
    """Return the eigenvalues of each unit's own block, (unit, component)."""
    A = np.asarray(blocks.A)
    return np.linalg.eigvals(A) if A.shape[-1] > 1 else A[..., 0].astype(complex)


def _log_radius(model: SampledFamily, blocks, gains):
    """Return half of the logarithm of T's spectral radius as a function of host points."""

    def function(points):
        with np.errstate(divide="ignore"):
            return np.log(_radius(_evaluated(model, blocks, gains, points))) / 2

    return function


def _evaluated(model: SampledFamily, blocks, gains, points):
    """Return T at host points, (point, group, group)."""
    count = -(-points.size // _CHUNK) * _CHUNK
    padded = np.full(count, points[0], complex)
    padded[: points.size] = points
    parts = [
        np.asarray(_at_points(blocks, model.groups, gains, jnp.asarray(part)))
        for part in padded.reshape(-1, _CHUNK)
    ]
    return np.concatenate(parts)[: points.size]


def _radius(T):
    return np.max(np.abs(np.linalg.eigvals(np.nan_to_num(T, nan=1e300, posinf=1e300))), axis=1)


def predict(
    model: SampledFamily,
    theta: Any,
    names: tuple[str, ...],
    *,
    branch: str,
    quantile: float,
) -> Prediction | None:
    """Return quantities at values of the free parameters, with implicit gradients.

    Parameters
    ----------
    model
        The cells.
    theta
        Values (parameter,).
    names
        Quantities among `STATIC`.
    branch, quantile
        As in `design`.

    Returns
    -------
    Prediction or None
        None where the static theory has no solution of that branch.
    """
    with jax.enable_x64(True):
        found = solutions(model, theta)
        place = chosen_branch([each.radius for each in found], branch)
        if place is None:
            return None
        state = found[place]
        values, slopes = _quantities(model, jnp.asarray(theta, float), state, names, quantile)
    return Prediction(values, slopes, state.radius < 1, len(found))


def _quantities(model, theta, state: _State, names, quantile):
    A, poles = np.asarray(state.blocks.A), _poles(state.blocks)
    heights = np.abs(poles) if model.is_map else np.real(poles)
    own, which = heights.max(axis=1), heights.argmax(axis=1)
    slowest = int(np.argmax(own))
    times = times_of(own, model.is_map)
    order = np.argsort(times)
    middle = quantile * (len(order) - 1)
    below, part = int(np.floor(middle)), middle - np.floor(middle)
    chosen = np.array([order[below], order[min(below + 1, len(order) - 1)], slowest])

    log_radius = _log_radius(model, state.blocks, state.gains)
    edge = None
    if any(name in names for name in ("leading_edge", "memory_time")):
        edge = outermost(log_radius, poles, model.is_map)
    at_edge = complex(edge.point) if edge is not None and not edge.is_pole else state.radius_point
    points = np.array([at_edge, state.radius_point])
    T = _evaluated(model, state.blocks, state.gains, points)
    left, right = _perron(T)
    eigen = [_unit_vectors(A[unit], poles[unit, which[unit]]) for unit in chosen]
    probe = _Probe(
        jnp.asarray(points),
        jnp.asarray(left),
        jnp.asarray(right),
        jnp.asarray(chosen),
        jnp.asarray(np.stack([pair[0] for pair in eigen])),
        jnp.asarray(np.stack([pair[1] for pair in eigen])),
    )
    w = jnp.asarray(state.w if not state.zero else np.full(len(model.groups), -np.inf))
    rows = np.asarray(_observed(model, theta, w, probe))
    total = _total(rows, len(model.groups), model.family.count, state.zero)
    variance, edge_row, radius_row = total[0], total[1], total[2]
    own_rows = total[3::2] + 1j * total[4::2]
    values: dict[str, float] = {}
    slopes: dict[str, Any] = {}
    if "variance" in names:
        values["variance"], slopes["variance"] = float(np.var(state.first)), variance
    if "radius" in names:
        slope = radius_row / (2 * state.radius) if state.radius > 0 else radius_row
        values["radius"], slopes["radius"] = state.radius, slope
    if "gate_time" in names:
        slope = [
            _time_slope(poles[unit, which[unit]], row, model.is_map)
            for unit, row in zip(chosen[:2], own_rows[:2], strict=True)
        ]
        pair = times[chosen[:2]]
        values["gate_time"] = float((1 - part) * pair[0] + part * pair[1])
        slopes["gate_time"] = (1 - part) * slope[0] + part * slope[1]
    if edge is not None:
        if edge.is_pole:
            pole = poles[slowest, which[slowest]]
            slope = np.real(own_rows[2] * (np.conj(pole) / abs(pole) if model.is_map else 1.0))
        else:
            slope = -edge_row / _outward(log_radius, edge.point, T[0], model.is_map)
        if "leading_edge" in names:
            values["leading_edge"], slopes["leading_edge"] = edge.value, slope
        if "memory_time" in names:
            values["memory_time"], slopes["memory_time"] = memory(edge.value, slope, model.is_map)
    return values, slopes


def _total(rows, groups: int, count: int, zero: bool):
    """Return the derivatives of the observables by the parameters, the moments following."""
    by_theta, by_w = rows[groups:, :count], rows[groups:, count:]
    if zero:
        return by_theta
    follow = -np.linalg.lstsq(rows[:groups, count:], rows[:groups, :count], rcond=None)[0]
    return by_theta + by_w @ follow


def _outward(log_radius, point: complex, T, is_map: bool) -> float:
    """Return the derivative of the eigenvalue of T outward, by a central difference."""
    direction = point / abs(point) if is_map else 1.0
    step = 1e-6 * max(abs(point), 1e-3)
    ahead, behind = log_radius(np.array([point + step * direction, point - step * direction]))
    size = float(_radius(T[None])[0])
    return 2 * size * float(ahead - behind) / (2 * step)


def _perron(T):
    """Return left and right Perron vectors, normalised to left . right = 1."""
    values, right = np.linalg.eig(T)
    top = np.argmax(np.abs(values), axis=1)
    values_left, left = np.linalg.eig(np.swapaxes(T, 1, 2))
    top_left = np.argmax(np.abs(values_left), axis=1)
    rows = np.arange(len(T))
    u, v = np.abs(left[rows, :, top_left]), np.abs(right[rows, :, top])
    product = np.sum(u * v, axis=1, keepdims=True)
    return u / np.where(product > 0, product, 1.0), v


def _unit_vectors(A, pole: complex):
    """Return left and right eigenvectors of a unit's own block, with left . right = 1."""
    if A.shape[0] == 1:
        return np.ones(1, complex), np.ones(1, complex)
    values, right = np.linalg.eig(A)
    place = int(np.argmin(np.abs(values - pole)))
    values_left, left = np.linalg.eig(A.T)
    place_left = int(np.argmin(np.abs(values_left - pole)))
    u, v = left[:, place_left].astype(complex), right[:, place].astype(complex)
    product = u @ v
    return u / (product if abs(product) > 1e-12 else 1.0), v


def _time_slope(pole: complex, row, is_map: bool):
    if is_map:
        if pole == 0:
            return np.zeros(row.shape)
        return np.real(row / pole) / np.log(abs(pole)) ** 2
    return np.real(row) / np.real(pole) ** 2
