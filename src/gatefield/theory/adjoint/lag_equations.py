"""The adjoint where the theory closes in correlation functions: no samples, no error bars."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gatefield.cells import VanillaRNN
from gatefield.core.types import Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.theory.adjoint.paths import SAVES
from gatefield.theory.dmft import MeanField
from gatefield.theory.dmft.gated_form import COMPONENTS, TwoPointFunction, gated_form

_FIRST_STEP = 0.2
_TOLERANCE = 1e-5
_MOST_STEPS = 8 * SAVES * 4


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
    """Functions of the lag in steps that the march multiplies by, and the rates it decays with."""

    phi: HostArray  # C_phi'
    both: HostArray  # C_phi' C_sr
    gate: HostArray  # C_phi C_sr'
    source: dict[str, HostArray]
    rates: dict[str, float]


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
    kernels = _Kernels(
        phi=found.phi[1],
        both=found.phi[1] * found.gate_r[0],
        gate=found.phi[0] * found.gate_r[1],
        source={name: one.second_moment(lags) for name, one in source.items()},
        rates={"h": rate, "z": 1 / form.tau[1], "r": 1 / form.tau[2]},
    )
    weights = np.full(steps + 1, dt)
    weights[[0, -1]] /= 2
    outputs = {name: solution.at(f"y_{name}", lags) for name in solution.cell.field_names}
    slope = _slope_by_argument(form.phi, C[0], found.phi[1])
    gate_slope = _slope_by_argument(form.gate_r, C[2], found.gate_r[1])
    factors = {
        **{f"J_{name}": ({name: values},) for name, values in outputs.items()},
        "beta" if vanilla else "beta_h": (
            {"h": slope * found.gate_r[0]} | ({} if vanilla else {"r": slope, "z": slope}),
        ),
    }
    if not vanilla:
        factors["beta_r"] = ({"h": found.phi[0] * gate_slope},)
    return _march(kernels, steps, dt, terminal, components, weights, factors)


def _slope_by_argument(function: TwoPointFunction, C: HostArray, by_covariance: HostArray):
    """Return the two-point function of the slope of tanh or sigmoid by its own argument."""
    if function.gain > 0:
        return by_covariance / function.gain**2
    value = np.tanh(function.bias) if function.shape == "tanh" else 1 / (1 + np.exp(-function.bias))
    slope = 1 - value**2 if function.shape == "tanh" else value * (1 - value)
    return np.full(C.shape, slope**2)


def _march(kernels, steps, dt, terminal, components, weights, factors) -> dict[str, Any]:
    """March both times forward, diagonal by diagonal of the square; keep what is asked for."""
    rates = {name: kernels.rates[name] for name in components}
    decay = {name: np.exp(-rate * dt) for name, rate in rates.items()}
    cell = {name: ((1 - decay[name]) / rates[name]) ** 2 / 4 for name in components}
    edge = {
        name: terminal[place] * np.exp(-rates[name] * dt * np.arange(steps + 1))
        for place, name in enumerate(components)
    }
    gates = [name for name in components if name != "h"]
    stride = steps // SAVES
    kept = {name: np.zeros((SAVES + 1, SAVES + 1)) for name in components}
    sums = dict.fromkeys(factors, 0.0)
    before = {name: np.zeros(steps + 2) for name in components}  # shifted by one: index i + 1
    last = {name: np.zeros(steps + 2) for name in components}
    force = {name: np.zeros(steps + 2) for name in components}
    last_force = {name: np.zeros(steps + 2) for name in components}
    for k in range(2 * steps + 1):
        i = np.arange(max(0, k - steps), min(k, steps) + 1)
        j = k - i
        lag = np.abs(i - j)
        known = {}
        for name in components:
            e, around = decay[name], force[name][i] + force[name][i + 1] + last_force[name][i]
            known[name] = (
                e * (before[name][i] + before[name][i + 1])
                - e**2 * last[name][i]
                + cell[name] * around
            )
            if name in kernels.source:
                known[name] = known[name] + cell[name] * kernels.source[name][lag]
        s0 = rates["h"]
        # The corner that is solved for drives itself: two coupled linear equations.
        own = cell["h"] * kernels.both[lag] * s0**2
        right = known["h"]
        if gates:
            through = cell["h"] * kernels.phi[lag]
            loop = cell["r"] * kernels.gate[lag] * s0**2
            right = right + through * (known["r"] * rates["r"] ** 2 + known["z"] * rates["z"] ** 2)
            own = own + through * rates["r"] ** 2 * loop
        values = {"h": right / (1 - own)}
        if gates:
            values |= {"r": known["r"] + loop * values["h"], "z": known["z"]}
        border = (i == 0) | (j == 0)
        values = {
            name: np.where(border, edge[name][np.maximum(i, j)], values[name])
            for name in components
        }
        pushed = {"h": kernels.both[lag] * s0**2 * values["h"]}
        if gates:
            pushed["h"] = pushed["h"] + kernels.phi[lag] * (
                values["r"] * rates["r"] ** 2 + values["z"] * rates["z"] ** 2
            )
            pushed |= {"r": kernels.gate[lag] * s0**2 * values["h"], "z": 0 * values["z"]}
        for name in kernels.source:
            pushed[name] = pushed[name] + kernels.source[name][lag]
        for name in components:
            last[name], before[name] = before[name], np.zeros(steps + 2)
            before[name][i + 1] = values[name]
            last_force[name], force[name] = force[name], np.zeros(steps + 2)
            force[name][i + 1] = pushed[name]
        at = (i % stride == 0) & (j % stride == 0)
        for name in components:
            kept[name][i[at] // stride, j[at] // stride] = values[name][at]
        both = weights[i] * weights[j]
        for name, (parts,) in factors.items():
            for part, kernel in parts.items():
                sums[name] += float(both @ (kernel[lag] * rates[part] ** 2 * values[part]))
    covariances = {f"a_{name}": value for name, value in kept.items()}
    covariances |= {f"b_{name}": rates[name] ** 2 * value for name, value in kept.items()}
    return covariances | sums
