"""The adjoint where the theory closes in correlation functions: no samples, no error bars."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import VanillaRNN
from gatefield.core.types import Array, Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.theory.adjoint.paths import SAVES
from gatefield.theory.dmft import MeanField
from gatefield.theory.dmft.gated_form import COMPONENTS, TwoPointFunction, gated_form

_FIRST_STEP = 0.2
_TOLERANCE = 1e-5
_MOST_STEPS = 32 * SAVES


class LagAdjoint(NamedTuple):
    """The adjoint of the gated or the vanilla RNN at a constant update rate.

    Attributes
    ----------
    times
        (time,) before the end.
    covariance
        Of a and b by name, (time, time).
    integrals
        Mean squared gradients by name: couplings, and biases of phi and of the output gate.
    truncation
        Relative error, from the last two grids.
    """

    times: Float[HostArray, " time"]
    covariance: dict[str, Float[HostArray, "time time"]]
    integrals: dict[str, float]
    truncation: float


def lag_adjoint(
    solution: MeanField,
    horizon: float,
    terminal: Float[HostArray, " component"],
    source: dict[str, GaussianInput],
) -> LagAdjoint:
    r"""Solve the adjoint's own two-time equations for a solution of the lag equations.

    At alpha_z = 0 the update rate is s_0 for all, h and r are independent Gaussian processes, and
    with C_h, C_r, C_z the correlation functions of the components of a

    .. math::

        (\partial_s + s_0)(\partial_{s'} + s_0)\,C_h = C_{\phi'} \left[s_0^2\, C_{\sigma_r} C_h
            + C_r/\tau_r^2 + C_z/\tau_z^2\right], \quad
        (\tau_r\partial_s + 1)(\tau_r\partial_{s'} + 1)\,C_r
            = \tau_r^2 s_0^2\, C_\phi C_{\sigma_r'} C_h ,

    where the functions of the forward state depend on s - s' alone. They are integrated cell by
    cell of a square grid, by exponentials on the left and the trapezoidal rule on the right, on
    finer and finer grids (with Richardson's extrapolation).

    Parameters
    ----------
    solution
        Of method "lag equations".
    horizon
        In units of the units' time constant.
    terminal
        Variance of the terminal adjoint, by component.
    source
        What enters along the trajectory, by component.

    Returns
    -------
    LagAdjoint
    """
    steps = SAVES
    coarse = _on_grid(solution, horizon, steps, terminal, source)
    refined, truncation = coarse, np.inf
    while truncation > _TOLERANCE and 2 * steps <= _MOST_STEPS:
        steps *= 2
        fine = _on_grid(solution, horizon, steps, terminal, source)
        better = {name: fine[name] + (fine[name] - coarse[name]) / 3 for name in fine}
        if steps > 2 * SAVES or horizon / SAVES <= _FIRST_STEP:
            truncation = max(
                float(np.max(np.abs(better[name] - refined[name])))
                / max(float(np.max(np.abs(better[name]))), 1e-300)
                for name in better
            )
        coarse, refined = fine, better
    names = [name for name in refined if np.ndim(refined[name])]
    return LagAdjoint(
        times=np.linspace(0.0, horizon, SAVES + 1),
        covariance={name: refined[name] for name in names},
        integrals={name: float(refined[name]) for name in refined if name not in names},
        truncation=truncation,
    )


def closes(solution: Any) -> bool:
    """Return whether the adjoint of a solution closes in correlation functions."""
    return isinstance(solution, MeanField) and solution.method == "lag equations"


class _Kernels(NamedTuple):
    """Functions of the lag that the march multiplies by, and what it starts from.

    Attributes
    ----------
    phi, both, gate
        C_phi', C_phi' C_sr and C_phi C_sr', (lag,).
    source
        Covariance of what enters, (component, lag).
    rates, terminal
        Decay rate and terminal variance of each component.
    factors
        What each integral multiplies the components' b by, (integral, component, lag).
    """

    phi: Any
    both: Any
    gate: Any
    source: Any
    rates: Any
    terminal: Any
    factors: Any


def _on_grid(solution, horizon, steps, terminal, source) -> dict[str, Any]:
    """Return covariances at the saved times and integrals, from one grid."""
    dt = horizon / steps
    lags = dt * np.arange(steps + 1)
    form = gated_form(solution.cell, solution.inputs)
    vanilla = isinstance(solution.cell, VanillaRNN)
    components = COMPONENTS[:1] if vanilla else COMPONENTS
    C = np.zeros((3, steps + 1))
    for place, name in enumerate(components):
        C[place] = solution.at(name, lags) - form.shift[place] ** 2
    found = form.correlators(*C)
    rate = form.gate_z.average(0.0)
    rates = np.array([rate, 1 / form.tau[1], 1 / form.tau[2]])[: len(components)]
    silent = np.zeros(steps + 1)
    slope = _slope_by_argument(form.phi, C[0], found.phi[1])
    gate_slope = _slope_by_argument(form.gate_r, C[2], found.gate_r[1])
    factors = {
        f"J_{name}": [
            solution.at(f"y_{name}", lags) if name == other else silent for other in components
        ]
        for name in solution.cell.field_names
    }
    if vanilla:
        factors["beta"] = [slope * found.gate_r[0]]
    else:
        factors["beta_h"] = [slope * found.gate_r[0], slope, slope]
        factors["beta_r"] = [found.phi[0] * gate_slope, silent, silent]
    kernels = _Kernels(
        phi=found.phi[1],
        both=found.phi[1] * found.gate_r[0],
        gate=found.phi[0] * found.gate_r[1],
        source=np.stack(
            [source[name].second_moment(lags) if name in source else silent for name in components]
        ),
        rates=rates,
        terminal=np.asarray(terminal, float),
        factors=np.stack([np.stack(rows) for rows in factors.values()]),
    )
    with jax.enable_x64(True):
        given = jax.tree.map(jnp.asarray, kernels)
        rows, sums = (np.asarray(each) for each in _march(given, jnp.asarray(dt), steps // SAVES))
    places = np.arange(SAVES + 1)
    # Row i + j of the saved diagonals holds at place i the pair of times i, j.
    kept = rows[np.add.outer(places, places), :, places[:, None]]
    result: dict[str, Any] = {}
    for place, name in enumerate(components):
        result[f"a_{name}"] = kept[:, :, place]
        result[f"b_{name}"] = rates[place] ** 2 * kept[:, :, place]
    return result | dict(zip(factors, sums, strict=True))


def _slope_by_argument(function: TwoPointFunction, C: HostArray, by_covariance: HostArray):
    """Return the two-point function of the slope of tanh or sigmoid by its own argument."""
    if function.gain > 0:
        return by_covariance / function.gain**2
    value = np.tanh(function.bias) if function.shape == "tanh" else 1 / (1 + np.exp(-function.bias))
    slope = 1 - value**2 if function.shape == "tanh" else value * (1 - value)
    return np.full(C.shape, slope**2)


@eqx.filter_jit
def _march(kernels: _Kernels, dt: Array, stride: int) -> tuple[Array, Array]:
    """March both times away from the end, diagonal by diagonal of the square.

    Returns the components on every ``stride``-th diagonal, (diagonal, component, place), and the
    integrals.
    """
    count, size = kernels.source.shape
    steps, i = size - 1, jnp.arange(size)
    weights = jnp.full(size, dt).at[jnp.array([0, -1])].divide(2)
    rates = kernels.rates[:, None]
    decay = jnp.exp(-rates * dt)
    cell = ((1 - decay) / rates) ** 2 / 4
    squares = kernels.rates**2

    def diagonal(carry, k):
        before, last, force, last_force, sums = carry
        j = k - i
        inside, lag = (j >= 0) & (j <= steps), jnp.clip(jnp.abs(i - j), 0, steps)
        both, phi, gate = kernels.both[lag], kernels.phi[lag], kernels.gate[lag]
        around = force[:, :-1] + force[:, 1:] + last_force[:, :-1] + kernels.source[:, lag]
        known = decay * (before[:, :-1] + before[:, 1:]) - decay**2 * last[:, :-1] + cell * around
        # The corner that is solved for drives itself: two coupled linear equations.
        own, right = cell[0] * both * squares[0], known[0]
        if count > 1:
            through, loop = cell[0] * phi, cell[2] * gate * squares[0]
            right = right + through * (known[1] * squares[1] + known[2] * squares[2])
            own = own + through * squares[2] * loop
        h = right / (1 - own)
        values = jnp.stack([h, known[1], known[2] + loop * h] if count > 1 else [h])
        edge = kernels.terminal[:, None] * decay ** jnp.maximum(i, j)
        values = jnp.where((i == 0) | (j == 0), edge, values)
        values = jnp.where(inside, values, 0.0)
        # z and r drive h; h drives r, and z not at a constant update rate.
        h, from_gates = squares[0] * values[0], jnp.sum(squares[1:, None] * values[1:], axis=0)
        pushed = jnp.stack([both * h + phi * from_gates, 0 * h, gate * h][:count])
        pushed = jnp.where(inside, pushed + kernels.source[:, lag], 0.0)
        both_weights = jnp.where(inside, weights * weights[jnp.clip(j, 0, steps)], 0.0)
        sent = squares[:, None] * values * both_weights
        sums = sums + jnp.sum(kernels.factors[:, :, lag] * sent, axis=(1, 2))
        shifted = [jnp.pad(each, ((0, 0), (1, 0))) for each in (values, pushed)]
        return (shifted[0], before, shifted[1], force, sums), values[:, ::stride]

    empty = jnp.zeros((count, size + 1))
    start = (empty, empty, empty, empty, jnp.zeros(len(kernels.factors)))
    carry, rows = jax.lax.scan(diagonal, start, jnp.arange(2 * steps + 1))
    return rows[::stride], carry[-1]
