"""The adjoint at fixed points in closed form: products of two resolvents, on a contour."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cells.base import over_units, stacked_outputs, stacked_rule
from gatefield.cells.parameters import (
    parameter_names,
    per_gain,
    stacked_gains,
    with_parameters,
)
from gatefield.core.errors import refuse
from gatefield.core.types import Complex, Float, HostArray
from gatefield.theory.rmt import SpectralBoundary
from gatefield.theory.static.sampled import SampledUnits

_BEYOND = 6.0  # exponents that the circle may gain over the leading edge within the horizon
_POINTS = 4.5  # per unit of radius times horizon: what is left out is then below 1e-10
_FEWEST, _MOST = 64, 2048
_ROUNDING = 1e-15
_MARGIN = 0.3  # of the distance between the leading edge and the spectrum's other end, at most


class TwoPoint(NamedTuple):
    """Covariances of the adjoint's transforms at pairs of points of the contour.

    Attributes
    ----------
    terminal, source
        What a terminal adjoint, and a constant source, give: (upper half, point) by name.
    """

    terminal: dict[str, Complex[HostArray, "half point"]]
    source: dict[str, Complex[HostArray, "half point"]]


class FixedPointAdjoint(NamedTuple):
    """Closed-form adjoint: covariances between times, and of what is integrated over the horizon.

    Attributes
    ----------
    covariance
        Of a and b by name, (time, time).
    fields, parameters
        Second moment of b's integral over the horizon, by field, and of the gradient by each
        parameter of a unit's own.
    truncation
        Largest relative error of the quadrature, estimated with a third of its points.
    """

    covariance: dict[str, Float[HostArray, "time time"]]
    fields: dict[str, float]
    parameters: dict[str, float]
    truncation: float


def fixed_point_adjoint(
    cell: AbstractCell,
    units: SampledUnits,
    boundary: SpectralBoundary,
    *,
    times: Float[HostArray, " time"],
    horizon: float,
    terminal: Float[HostArray, " component"],
    source: Float[HostArray, " component"],
    dt: float | None = None,
) -> FixedPointAdjoint:
    r"""Return the adjoint at a fixed point, from the units' linear responses.

    With :math:`G_i(\lambda) = (\lambda - A_i^T)^{-1}` and
    :math:`Y_i = R_i (\lambda - A_i)^{-1} L_i + Q_i` the transform of b has at a pair of points the
    covariance

    .. math:: C_a(\lambda, \lambda') = S_a + \sum_c \mathrm{gain}_c^2
        \langle Y_{ca}(\lambda) Y_{ca}(\lambda')\rangle\, C_c(\lambda, \lambda'), \qquad
        S_a = \sum_e \sigma_e^2 \langle (L^T G)_{ae}(\lambda)\,(L^T G)_{ae}(\lambda')\rangle ,

    and a(t) is :math:`(2\pi i)^{-1}\oint e^{\lambda t} \hat a\, d\lambda` round the spectrum (maps:
    :math:`\lambda^n`). At the zero fixed point of the gated RNN without biases this gives
    :math:`E a_h^2 = e^{-2st} I_0(2\kappa t)`, s = 1/2, kappa = g_h/4.

    Parameters
    ----------
    cell
        With scalar parameters.
    units
        Units at the fixed point.
    boundary
        Of the Jacobian's spectrum.
    times, horizon
        Times before the end, and how far back the integrals reach (steps for maps).
    terminal, source
        Variances by component of the terminal adjoint and of a source that is constant in time.
    dt
        Step of Euler's method, whose sums are then exact; None for continuous time and maps.

    Raises
    ------
    InvalidInputError
        For a horizon that needs more than 2048 points of the contour.
    """
    is_map = isinstance(cell, AbstractMap)
    units = _distinct(units)
    with jax.enable_x64(True):
        blocks = _Blocks(
            *(np.asarray(each) for each in _blocks(cell, *(jnp.asarray(each) for each in units)))
        )
    contour = _contour(boundary, np.linalg.eigvals(blocks.A), horizon, is_map)
    functions = _time_functions(times, horizon, dt, is_map)
    names = [f"a_{name}" for name in cell.state_names] + [f"b_{name}" for name in cell.field_names]
    own = {name: f"parameter {name}" for name in parameter_names(cell)}
    names += own.values()
    gains = np.array([float(cell.gains()[name]) for name in cell.field_names])
    found = _two_point(blocks, contour.points, gains, terminal, source, names)
    whole = _integrated(found, contour, functions, 1)
    third = _integrated(found, contour, functions, 3)
    sizes = {name: np.max(np.abs(value)) for name, value in whole.items()}
    errors = [
        np.max(np.abs(whole[name] - third[name])) / size for name, size in sizes.items() if size > 0
    ]
    count = len(cell.state_names) + len(cell.field_names)
    return FixedPointAdjoint(
        covariance={name: whole[name][:-1, :-1] for name in names[:count]},
        fields={name: float(whole[f"b_{name}"][-1, -1]) for name in cell.field_names},
        parameters={name: float(whole[key][-1, -1]) for name, key in own.items()},
        truncation=max(float(max(errors, default=0.0)) ** 3, _ROUNDING),
    )


class _Contour(NamedTuple):
    points: Complex[HostArray, " point"]
    weights: Complex[HostArray, " point"]


class _Blocks(NamedTuple):
    """Linear response of each unit, and of what its parameters bring, the unit axis first."""

    A: Any
    L: Any
    R: Any
    Q: Any
    rule: Any  # d rule / d parameter, (M, d, P)
    sent: Any  # d outputs / d parameter, (M, K, P)
    scaled: Any  # what a parameter's gain does to each field, over the field's gain, (M, K, P)


@eqx.filter_jit
def _blocks(cell, state, fields, drive):
    theta = jnp.stack(
        [jnp.zeros(()), *(jnp.asarray(each, float) for each in jax.tree.leaves(cell))]
    )

    def one(s, u, x):
        def sent(s, u, theta):
            unit = with_parameters(cell, theta[1:])
            return stacked_rule(unit, s, u, x), stacked_outputs(unit, s, u, x)

        (A, R), (L, Q), (by_rule, by_sent) = (
            jax.jacfwd(sent, argnums=number)(s, u, theta) for number in range(3)
        )
        by_gain = jax.jacfwd(lambda theta: stacked_gains(with_parameters(cell, theta[1:])))(theta)
        scaled = per_gain(cell, u)[:, None] * by_gain
        return A, L, R, Q, by_rule[:, 1:], by_sent[:, 1:], scaled[:, 1:]

    return jax.vmap(one, in_axes=-1)(state, fields, drive)


def _distinct(units: SampledUnits) -> SampledUnits:
    """Return one unit where all are the same."""
    alike = all(np.ptp(row) == 0 for each in units for row in each)
    return SampledUnits(*(each[:, :1] for each in units)) if alike else units


def _contour(
    boundary: SpectralBoundary,
    poles: Complex[HostArray, "sample component"],
    horizon: float,
    is_map: bool,
) -> _Contour:
    """Return points and weights on a circle round the spectrum, close to its leading edge."""
    inside = np.concatenate(
        [
            boundary.vertices_real + 1j * boundary.vertices_imag,
            boundary.isolated_real + 1j * boundary.isolated_imag,
            np.unique(np.round(poles.ravel(), 9)),
        ]
    )
    if is_map:
        centre, least = 0.0, float(np.max(np.abs(inside)))
        radius = least * math.exp(min(0.5, _BEYOND / horizon)) + 1e-3
        needed = _POINTS * horizon + _FEWEST
        slack = math.log(radius / max(least, 1e-12))
        needed = max(needed, 25 / slack)
    else:
        edge = float(np.max(np.real(inside)))
        width = edge - float(np.min(np.real(inside)))
        margin = min(_BEYOND / horizon, max(_MARGIN * width, 0.1))
        right = edge + margin
        # The circle passes through the right end and leaves every point at a margin.
        reach = right - np.real(inside)
        aside = np.abs(np.imag(inside)) + margin / 2
        radius = float(np.max((reach**2 + aside**2) / (2 * reach))) + margin / 2
        radius = max(radius, (width + 2 * margin) / 2)
        centre = right - radius
        needed = max(_POINTS * radius * horizon, 25 * radius / margin) + _FEWEST
    if needed > _MOST:
        remedy = "Shorten it, or use method='sampled'."
        most = horizon * _MOST / needed
        refuse("horizon", horizon, f"at most about {most:.3g} in closed form", remedy)
    # Every third point makes a circle of conjugate pairs, too.
    number = 6 * math.ceil(needed / 6)
    unit = np.exp(2j * np.pi * (np.arange(number) + 0.5) / number)
    return _Contour(centre + radius * unit, radius * unit / number)


def _time_functions(
    times: Float[HostArray, " time"], horizon: float, dt: float | None, is_map: bool
) -> Callable[[HostArray], tuple[HostArray, HostArray]]:
    """Return the function points -> (point, time + 1), of the terminal adjoint and of a source.

    Its last column sums over the horizon as the gradients do.
    """

    def continuous(points: HostArray) -> tuple[HostArray, HostArray]:
        grown, once = np.exp(points[:, None] * times), np.expm1(points * horizon) / points
        entered = np.expm1(points[:, None] * times) / points[:, None]
        source = np.column_stack([entered, (once - horizon) / points])
        return np.column_stack([grown, once]), source

    if dt is None and not is_map:
        return continuous
    weight = 1.0 if dt is None else dt
    steps, count = np.rint(times / weight).astype(int), round(horizon / weight)

    def discrete(points: HostArray) -> tuple[HostArray, HostArray]:
        # One step multiplies by mu; what a step sends is summed with the step's weight.
        mu = points if is_map else 1 + weight * points
        powers = mu[:, None] ** np.arange(count + 1)
        # The loss counts a map's steps 1 ... T; of a flow's both ends count half.
        loss = np.full(count + 1, weight)
        loss[0], loss[-1] = (1.0, 0.0) if is_map else (weight / 2, weight / 2)
        source = np.empty_like(powers)
        source[:, 0] = loss[0]
        for number in range(1, count + 1):
            source[:, number] = mu * source[:, number - 1] + loss[number]

        def kept(each: HostArray) -> HostArray:
            return np.column_stack([each[:, steps], weight * each[:, :-1].sum(axis=1)])

        return kept(powers), kept(source)

    return discrete


def _two_point(blocks, points, gains, terminal, source, names) -> TwoPoint:
    """Return the covariances of all quantities' transforms at all pairs of points."""
    count, d, fields = blocks.L.shape
    resolvent = np.linalg.inv(
        points[:, None, None, None] * np.eye(d) - blocks.A.swapaxes(1, 2)
    )  # (point, M, d, d)
    by_field = resolvent @ blocks.R.swapaxes(1, 2)  # of a, (point, M, d, K)
    beta = (
        blocks.L.swapaxes(1, 2) @ resolvent,
        (blocks.L.swapaxes(1, 2) @ by_field + blocks.Q.swapaxes(1, 2)),
    )
    rule, sent, scaled = (each.swapaxes(1, 2) for each in (blocks.rule, blocks.sent, blocks.scaled))
    gradient = (
        rule @ resolvent + scaled @ beta[0],
        rule @ by_field + sent + scaled @ beta[1],
    )

    # Points come in conjugate pairs: the first of two is in the upper half alone.
    pairs = len(points) // 2, len(points)

    def averaged(transfer, row, column):
        """Return the mean over units of one entry at both points of every pair."""
        entry = transfer[:, :, row, column]
        if not np.any(entry):
            return None
        upper = entry[: len(points) // 2]
        if np.all(entry**2 == entry[:, :1] ** 2):
            # Alike, or of both signs alike.
            return np.outer(upper[:, 0], entry[:, 0])
        return upper @ entry.T / count

    def driven(transfer, row, variances):
        terms = (
            variance * mean
            for column, variance in enumerate(variances)
            if variance > 0 and (mean := averaged(transfer, row, column)) is not None
        )
        return sum(terms, np.zeros(pairs, complex))

    matrix = np.zeros((*pairs, fields, fields), complex)
    for a in range(fields):
        for c in range(fields):
            mean = averaged(beta[1], a, c)
            if mean is not None and gains[c] > 0:
                matrix[..., a, c] = gains[c] ** 2 * mean
    found: list[dict[str, HostArray]] = []
    for variances in (terminal, source):
        if not np.any(variances):
            found.append({})
            continue
        first = np.stack([driven(beta[0], a, variances) for a in range(fields)], axis=-1)
        C = np.linalg.solve(np.eye(fields) - matrix, first[..., None])[..., 0]
        each = {}
        parts = ((resolvent, by_field), beta, gradient)
        rows = [(part, row) for part in parts for row in range(part[0].shape[2])]
        for name, (part, row) in zip(names, rows, strict=True):
            value = driven(part[0], row, variances)
            for c in range(fields):
                mean = averaged(part[1], row, c)
                if mean is not None and gains[c] > 0:
                    value = value + gains[c] ** 2 * mean * C[..., c]
            each[name] = value
        found.append(each)
    return TwoPoint(*found)


def _integrated(
    found: TwoPoint, contour: _Contour, functions: Callable, every: int
) -> dict[str, HostArray]:
    """Integrate both points round the circle, with every so many of its points, by conjugates."""
    first = every // 2
    points, weights = contour.points[first::every], every * contour.weights[first::every]
    columns = [weights[:, None] * each for each in functions(points)]
    total: dict[str, HostArray] = {}
    for by_name, f in zip(found, columns, strict=True):
        for name, value in by_name.items():
            kept = value[first::every, first::every]
            part = 2 * np.real(f[: len(kept)].T @ kept @ f)
            total[name] = total[name] + part if name in total else part
    return total


def mean_squared_outputs(cell: AbstractCell, units: SampledUnits) -> dict[str, float]:
    """Return the second moment over units of what each field receives."""
    with jax.enable_x64(True):
        sent = over_units(stacked_outputs, cell, *(jnp.asarray(each) for each in units))
        values = np.mean(np.asarray(sent) ** 2, axis=-1)
    return dict(zip(cell.field_names, values.tolist(), strict=True))
