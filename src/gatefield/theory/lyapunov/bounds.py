r"""Bounds of the largest exponent from correlation functions, in the spirit of Appendix F.

The operator of `gatefield.theory.lyapunov.operator` has a positive kernel. Any trial function
therefore bounds its growth rate from below, and raising its coefficients to their largest values,
at lag 0, bounds it from above. (Footnote 55 of the paper calls the lower bound an upper one.)
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from scipy.optimize import brentq, minimize_scalar

from gatefield.core.checks import check_ok
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray
from gatefield.theory.dmft import MeanField
from gatefield.theory.dmft.lag_equations import Frame, sharpened, values_at
from gatefield.theory.dmft.packing import unpacked

_LAGS = 128  # of the correlators
_NODES = 4001  # of the averages, evenly spaced in arcsinh(t / L)


class LyapunovBounds(AbstractResult):
    r"""Bounds of the largest exponent, per unit time, and the times that make them.

    Attributes
    ----------
    lower_uniform
        From a constant trial function, the paper's Eqs. F12 and F40 in the limit of long times: it
        needs the long-time mean of :math:`C_{\phi'}` and is trivial without biases and input.
    lower_gaussian
        From a Gaussian trial function of the best width; rigorous.
    width
        That width w, in units of the time constant.
    upper
        From the coefficients at lag 0; rigorous.
    relaxation_times
        By name, int_0^inf (C(tau) - C(inf)) / (C(0) - C(inf)) of the correlators that enter
        (Eqs. F9, F41-F43): "direct" is :math:`C_{\sigma_r}C_{\phi'}`, "gated" is
        :math:`(C_\phi C_{\sigma_r'}C_{\phi'})^{1/2}`.
    """

    lower_uniform: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    lower_gaussian: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    width: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant"))
    upper: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    relaxation_times: dict[str, Float[HostArray, ""]] = eqx.field(
        metadata=quantity(unit="time constant")
    )


def lyapunov_bounds(solution: MeanField) -> LyapunovBounds:
    r"""Bound the largest exponent of a moving state of the lag equations.

    With :math:`A(\tau) = C_{\sigma_r}C_{\phi'}`, :math:`S(\tau) =
    (C_\phi C_{\sigma_r'} C_{\phi'})^{1/2}`, averages over a Gaussian of width w in the lag and
    :math:`k = 1/4w^2`,

    .. math::

        (1 + \lambda/s_0)^2 \ge \tfrac12\left(\langle A\rangle
            + \sqrt{\langle A\rangle^2 + 4\langle S\rangle^2}\right) - k/s_0^2 ,

    for the vanilla network :math:`\lambda \ge (\langle C_{\phi'}\rangle - 1/4w^2)^{1/2} - 1`, and
    from above the same root without k at lag 0, with :math:`(1+\tau_r\lambda)^2` dividing S^2.

    Parameters
    ----------
    solution
        From `gatefield.solve_dmft` by "lag equations", moving.

    Returns
    -------
    LyapunovBounds

    Raises
    ------
    InvalidInputError
        For a fixed point, a sampled or a separable solution, or one that is not OK.

    Assumptions
    -----------
    alpha_z = 0. With an output gate the lower bounds are for :math:`s_0\tau_r = 1`; for other
    :math:`\tau_r` they leave the gated loop out (S = 0), which only lowers them.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Appendix F.
    """
    check_ok("solution", solution)
    if solution.method != "lag equations" or not solution.fluctuates:
        remedy = "Solve a moving state at alpha_z = 0."
        refuse("solution", solution.method, "a moving solution of the lag equations", remedy)
    form, frame, C = unpacked(solution)
    frame, C = sharpened(form, frame, C, _LAGS)
    found = form.correlators(*C)
    (phi, slope, _), (gate, gate_slope, _) = found.phi, found.gate_r
    rate = float(np.sqrt(found.gate_z[0][0]))
    direct = gate * slope
    product = phi * gate_slope * slope
    matched = abs(rate * form.tau[2] - 1.0) < 1e-12
    loop = np.sqrt(np.maximum(product, 0.0)) if matched else np.zeros_like(product)

    def from_below(a: float, s: float, k: float) -> float:
        square = 0.5 * (a + np.sqrt(a * a + 4 * s * s)) - k / rate**2
        return float(rate * (np.sqrt(max(square, 0.0)) - 1.0))

    stretch = np.linspace(0.0, np.arcsinh(frame.horizon / frame.scale), _NODES)
    lags, steps = frame.scale * np.sinh(stretch), frame.scale * np.cosh(stretch)
    dense = values_at(frame, np.stack([direct, loop]), lags)

    def gaussian(log_width: float) -> float:
        width = np.exp(log_width)
        weight = steps * np.exp(-0.5 * (lags / width) ** 2)
        a, s = np.trapezoid(weight * dense, stretch, axis=1) / np.trapezoid(weight, stretch)
        return from_below(float(a), float(s), 0.25 / width**2)

    span = np.log(0.1 * frame.scale), np.log(lags[-1] / 8)
    best: Any = minimize_scalar(lambda v: -gaussian(v), bounds=span, method="bounded")
    times = {"direct": _integral_time(frame, direct)}
    if np.any(product):
        times["gated"] = _integral_time(frame, np.sqrt(np.maximum(product, 0.0)))
    return LyapunovBounds(
        lower_uniform=np.asarray(from_below(float(direct[-1]), float(loop[-1]), 0.0)),
        lower_gaussian=np.asarray(gaussian(best.x)),
        width=np.asarray(float(np.exp(best.x))),
        upper=np.asarray(_upper(float(direct[0]), float(product[0]), rate, form.tau[2])),
        relaxation_times={name: np.asarray(value) for name, value in times.items()},
    )


def _integral_time(frame: Frame, values: HostArray) -> float:
    fall = values[0] - values[-1]
    if fall <= 1e-12 * abs(values[0]):
        return 0.0
    stretch = np.linspace(0.0, np.arcsinh(frame.horizon / frame.scale), _NODES)
    normal = (values_at(frame, values, frame.scale * np.sinh(stretch)) - values[-1]) / fall
    return float(np.trapezoid(normal * frame.scale * np.cosh(stretch), stretch))


def _upper(direct: float, product: float, rate: float, tau: float) -> float:
    def excess(growth):
        return (1 + growth / rate) ** 2 - direct - product / (1 + tau * growth) ** 2

    low = -min(rate, 1 / tau) * (1 - 1e-9)
    high = rate
    while excess(high) < 0:
        high *= 2
    if excess(low) >= 0:
        return low
    root: Any = brentq(excess, low, high, xtol=1e-14)
    return float(root)
