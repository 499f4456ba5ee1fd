r"""The lag equations of C_h, C_z, C_r on a half line, by Newton's method and by relaxation.

On M lags t_0 = 0 < ... < t = T, with C'(0) = 0 and C'(T) = 0 (on a plateau, which is zero without
biases and static input), the unknowns are the three functions of `gated_form`. Two-point functions
and their derivatives come from JAX, elementwise; the linear algebra of a few hundred unknowns stays
on the host, so that nothing is compiled for a new grid or parameter.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from gatefield.core.types import Float, HostArray
from gatefield.numerics.half_line import HalfLine, barycentric, chebyshev, half_line
from gatefield.theory.dmft.gated_form import Correlators, GatedForm, rate_and_drive

_NEWTON = 40  # steps at most; a rough start is damped at first
_ROUNDED = 1e-13  # distance, relative to C(0), that is rounding
_STUCK = 1e-8  # below it the distance may stop falling, where rounding is amplified
_DECAYS, _GATE_TIMES = 34.0, 12.0  # T: e^-34 of the tail and e^-12 of the slowest gate remain
_SLOWEST_TAIL = 1e-7  # rate, per time constant, below which a longer half line would not help


class Frame(NamedTuple):
    """Scale L, length T and number of lags of a half line."""

    scale: float
    horizon: float
    count: int


class LagSolution(NamedTuple):
    """C_h, C_z, C_r about their means on a frame, and how well they solve the equations.

    Attributes
    ----------
    frame, lags
        The half line and its lags.
    C
        (3, lag) in the order h, z, r.
    residual
        Largest distance of a covariance from what its own correlators drive, relative to its C(0).
    history
        The same for each iterate; the last is the solution's.
    truncation
        Largest change of a covariance, relative to its C(0), from the half line on which it was
        found to a finer and longer one.
    converged
        Whether the residual is at rounding and the solution is a covariance that moves.
    """

    frame: Frame
    lags: Float[HostArray, " lag"]
    C: Float[HostArray, "component lag"]
    residual: float
    history: tuple[float, ...]
    truncation: float
    converged: bool


def grid_of(frame: Frame) -> HalfLine[HostArray]:
    """Return the lags and the differentiation matrices of a frame, on the host."""
    with jax.enable_x64(True):
        grid = half_line(
            jnp.asarray(frame.scale, float), jnp.asarray(frame.horizon, float), frame.count
        )
        return HalfLine(*(np.asarray(part) for part in grid))


def values_at(
    frame: Frame, C: Float[HostArray, "... lag"], points: Float[HostArray, " point"]
) -> Float[HostArray, "... point"]:
    """Return functions on a frame at other lags, by the polynomial in arcsinh(t / L) they are.

    Beyond the frame the last value is kept.
    """
    place = np.arcsinh(np.minimum(points, frame.horizon) / frame.scale)
    place = 2.0 * place / np.arcsinh(frame.horizon / frame.scale) - 1.0
    return C @ barycentric(chebyshev(frame.count)[0], place).T


def residual_and_jacobian(
    form: GatedForm,
    grid: HalfLine[HostArray],
    C: Float[HostArray, "component lag"],
    strength: float = 1.0,
) -> tuple[HostArray, HostArray, HostArray]:
    """Return the 3 M residuals, their (3 M, 3 M) Jacobian and their slope by the strength.

    The strength multiplies the variance of the couplings that drive h.
    """
    size = grid.lags.size
    C_h, C_z, C_r = C
    found = form.correlators(C_h, C_z, C_r)
    by_strength = np.zeros((3, size))
    by_strength[0, 1:-1] = -(found.gate_z[0] * found.phi[0] * found.gate_r[0])[1:-1]
    found = found._replace(gate_r=tuple(strength * part for part in found.gate_r))
    V = form.input(grid.lags)
    rate, drive = rate_and_drive(form, found, V[0])
    phi, phi_c, phi_0 = found.phi
    gate, gate_c, gate_0 = found.gate_r
    _, rate_c, rate_0 = found.gate_z
    excess = C_h - phi * gate - (V[0] if form.inside else 0.0)
    parts = [
        -grid.second @ C_h + rate * C_h - drive,
        *(-(form.tau[k] ** 2) * (grid.second @ C[k]) + C[k] - phi - V[k] for k in (1, 2)),
    ]
    jacobian = np.zeros((3, size, 3, size))

    def add(row, column, by_c, by_0):
        jacobian[row, np.arange(size), column, np.arange(size)] += by_c
        jacobian[row, :, column, 0] += by_0

    for k in range(3):
        jacobian[k, :, k, :] = -(form.tau[k] ** 2) * grid.second
    add(0, 0, rate - rate * gate * phi_c, -rate * gate * phi_0)
    add(0, 1, excess * rate_c, excess * rate_0)
    add(0, 2, -rate * phi * gate_c, -rate * phi * gate_0)
    for k in (1, 2):
        add(k, k, 1.0, 0.0)
        add(k, 0, -phi_c, -phi_0)
    for k in range(3):
        # Flat at both ends: even in the lag, and on the plateau.
        for place in (0, -1):
            parts[k][place] = grid.first[place] @ C[k]
            jacobian[k, place] = 0.0
            jacobian[k, place, k] = grid.first[place]
    return np.concatenate(parts), jacobian.reshape(3 * size, 3 * size), by_strength.ravel()


def newton(
    form: GatedForm, frame: Frame, start: Float[HostArray, "component lag"]
) -> tuple[HostArray, tuple[float, ...]]:
    """Return the last iterate of Newton's method, and of each one max |C - driven C| / C(0).

    Driven C is the solution of the linear equations with C's own correlators on the right: what the
    residual itself says is blurred by the rounding of second derivatives, this is not.
    """
    grid, C = grid_of(frame), np.array(start, float)
    history: list[float] = []
    if not (np.all(np.isfinite(C)) and np.all(np.isfinite(grid.second))):
        return C, (np.inf,)
    for steps in range(_NEWTON + 1):
        values, jacobian, _ = residual_and_jacobian(form, grid, C)
        scale = np.repeat(np.maximum(np.abs(C[:, :1]), 1e-300), grid.lags.size, axis=1).ravel()
        rate = form.gate_z(C[1], float(C[1, 0]))[0]
        distance = [
            scipy.linalg.lu_solve(factors, part)
            for factors, part in zip(
                _linear(form, grid, rate), values.reshape(C.shape), strict=True
            )
        ]
        error = float(np.max(np.abs(np.ravel(distance) / scale)))
        history.append(error if np.isfinite(error) else np.inf)
        stuck = len(history) > 4 and history[-1] > 0.5 * history[-3] and history[-1] < _STUCK
        # What is returned is the iterate that was measured last.
        if not np.isfinite(error) or error < _ROUNDED or stuck or steps == _NEWTON:
            break
        try:
            step = np.linalg.solve(jacobian * scale, -values) * scale
        except np.linalg.LinAlgError:
            break
        step = step.reshape(C.shape)
        largest = np.max(np.abs(step) / np.maximum(C[:, :1], 1e-300))
        C = C + step * min(1.0, 0.5 / max(largest, 1e-300))
    return C, tuple(history)


def strength_at(
    form: GatedForm, frame: Frame, start: Float[HostArray, "component lag"], variance: float
) -> tuple[HostArray, float]:
    """Return the solution with C_h(0) given and the strength of couplings that it needs.

    Along a branch the strength passes through its extremum where two states merge, so that C_h(0)
    leads from one to the other. The strength is not a number where Newton's method fails.
    """
    grid, strength = grid_of(frame), 1.0
    C = np.array(start, float) * (variance / start[0, 0])
    size = C.size
    for _ in range(_NEWTON // 2):
        values, jacobian, slope = residual_and_jacobian(form, grid, C, strength)
        bordered = np.zeros((size + 1, size + 1))
        bordered[:size, :size], bordered[:size, size], bordered[size, 0] = jacobian, slope, 1.0
        values = np.append(values, C[0, 0] - variance)
        scale = np.append(np.repeat(np.maximum(C[:, 0], 1e-300), grid.lags.size), 1.0)
        if not np.all(np.isfinite(bordered)):
            break
        try:
            step = np.linalg.solve(bordered * scale, -values)
        except np.linalg.LinAlgError:
            break
        largest = float(np.max(np.abs(step)))
        step *= scale * min(1.0, 0.5 / max(largest, 1e-300))
        C, strength = C + step[:size].reshape(C.shape), strength + float(step[size])
        if largest < 1e-9:
            return C, strength
    return C, np.nan


def _linear(
    form: GatedForm, grid: HalfLine[HostArray], rate: HostArray
) -> list[tuple[HostArray, HostArray]]:
    """Return the factors of the three operators rate - tau^2 d^2, flat at both ends."""
    found = []
    for tau, restoring in zip(
        form.tau, (rate, np.ones_like(rate), np.ones_like(rate)), strict=True
    ):
        matrix = -(tau**2) * grid.second + np.diag(restoring)
        matrix[0], matrix[-1] = grid.first[0], grid.first[-1]
        found.append(scipy.linalg.lu_factor(matrix))
    return found


def relax(
    form: GatedForm,
    frame: Frame,
    start: Float[HostArray, "component lag"],
    *,
    sweeps: int = 300,
    tolerance: float = 1e-4,
) -> tuple[HostArray, float]:
    """Iterate C <- solution of the linear equations driven by C's own correlators.

    This is what averaging over ever more sampled paths does, so that it leads to the state that a
    network reaches from a start of that size.

    Parameters
    ----------
    form, frame
        Equations and half line.
    start
        C_h, C_z, C_r.
    sweeps, tolerance
        Ends when C changes by less than the tolerance, relative to C(0), or after so many sweeps.

    Returns
    -------
    C, change
        The last iterate and its last relative change.
    """
    grid, C = grid_of(frame), np.array(start, float)
    V = form.input(grid.lags)
    factors = None
    change = np.inf
    for _ in range(sweeps):
        found: Correlators = form.correlators(*C)
        rate, drive = rate_and_drive(form, found, V[0])
        if factors is None or not form.exact:
            factors = _linear(form, grid, rate)
        drives = np.stack([drive, found.phi[0] + V[1], found.phi[0] + V[2]])
        drives[:, [0, -1]] = 0.0
        new = np.stack([scipy.linalg.lu_solve(*each) for each in zip(factors, drives, strict=True)])
        new[:, 0] = np.maximum(new[:, 0], 0.0)
        change = float(np.max(np.abs(new - C) / np.maximum(C[:, :1], 1e-300)))
        C = new
        if change < tolerance or C[0, 0] < 1e-13:
            break
    return C, change


def tail_rate(form: GatedForm, C: Float[HostArray, "component lag"]) -> float:
    """Return the slowest rate at which the covariances approach their plateau; 0 if they do not."""
    ends = C[:, [0, -1]]
    found = form.correlators(*ends)
    (phi, phi_c, _), (rate, rate_c, _), (gate, gate_c, _) = (
        tuple(part[-1] for part in each) for each in found
    )
    inputs = list(zip(form.input_variance, form.input_time, strict=True))
    static = [variance if np.isinf(time) else 0.0 for variance, time in inputs]
    excess = ends[0, -1] - phi * gate - (static[0] if form.inside else 0.0)
    matrix = np.array(
        [
            [rate - rate * gate * phi_c, excess * rate_c, -rate * phi * gate_c],
            [-phi_c, 1.0, 0.0],
            [-phi_c, 0.0, 1.0],
        ]
    )
    squares = np.linalg.eigvals(matrix / np.square(form.tau)[:, None])
    rates = np.real(np.sqrt(squares.astype(complex)))
    moving = [1 / time for variance, time in inputs if variance > 0 and np.isfinite(time)]
    return float(min([rates.min(), *moving]))


def horizon_of(form: GatedForm, C: Float[HostArray, "component lag"]) -> float:
    """Return a length at which the covariances have reached their plateau to rounding."""
    return horizon_after(form, tail_rate(form, C))


def horizon_after(form: GatedForm, rate: float) -> float:
    """Return a length after which nothing is left of a tail of the given rate, nor of the gates."""
    return _DECAYS / max(rate, _SLOWEST_TAIL) + _GATE_TIMES * max(form.tau)


def scale_of(C: Float[HostArray, " lag"], lags: Float[HostArray, " lag"]) -> float:
    """Return twice the lag at which C has fallen by a tenth of its way: the size of its core."""
    fall = (C[0] - C) / max(C[0] - C[-1], 1e-300)
    return float(np.interp(0.1, np.maximum.accumulate(fall), lags)) * 2.0


def sharpened(
    form: GatedForm, frame: Frame, C: Float[HostArray, "component lag"], count: int
) -> tuple[Frame, Float[HostArray, "component lag"]]:
    """Return the covariances on a half line that also resolves the slopes of their correlators.

    Those of steep functions fall within a lag of 1/gain, where C_h itself has hardly changed.
    """
    lags = np.concatenate([[0.0], np.geomspace(1e-9 * frame.scale, frame.horizon, 95)])
    scale = frame.scale
    for _, slope, _ in form.correlators(*values_at(frame, C, lags)):
        if np.ptp(slope) > 1e-9 * slope[0]:
            core = lags[np.argmax(slope < 0.5 * (slope[0] + slope[-1]))]
            scale = min(scale, 3.0 * float(core))
    new = Frame(scale, frame.horizon, count)
    return new, values_at(frame, C, grid_of(new).lags)


def is_covariance(
    frame: Frame, C: Float[HostArray, "component lag"], tolerance: float = 1e-5
) -> bool:
    """Whether each function's power spectrum, its plateau apart, is nowhere negative.

    The spectrum is the cosine transform of the function minus its last value, piecewise linear
    between points evenly spaced in arcsinh(t / L); what it may go below zero is a fraction of its
    maximum.
    """
    if np.any(np.abs(C) > C[:, :1] * (1 + 1e-9)):
        return False
    span = np.arcsinh(frame.horizon / frame.scale)
    dense = frame.scale * np.sinh(np.linspace(0.0, span, 2000))
    values = values_at(frame, C, dense) - C[:, -1:]
    shortest = frame.scale * np.sinh(span * (np.pi / frame.count) ** 2)
    omega = np.concatenate([[0.0], np.geomspace(0.3 / dense[-1], 10.0 / shortest, 160)])
    slope = np.diff(values, axis=1) / np.diff(dense)
    cosine = np.cos(omega[1:, None] * dense)
    spectrum = slope @ np.diff(cosine, axis=1).T / omega[1:] ** 2
    spectrum = np.concatenate([np.trapezoid(values, dense, axis=1)[:, None], spectrum], axis=1)
    size = np.max(np.abs(spectrum), axis=1, keepdims=True)
    constant = C[:, 0] - C.min(axis=1) <= 1e-9 * C[:, 0]  # what is left is rounding
    return bool(np.all((spectrum >= -tolerance * size) | constant[:, None]))
