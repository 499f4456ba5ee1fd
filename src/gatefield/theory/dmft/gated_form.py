r"""Networks whose mean-field theory closes in correlation functions: the gated and the vanilla RNN.

With x = h, z, r and Gaussian inputs of covariance V_x the separable theory reads

.. math::

    -\ddot C_h + C_{\sigma_z} C_h = C_{\sigma_z} C_{\sigma_r} C_\phi + V_h, \qquad
    -\tau_x^2 \ddot C_x + C_x = C_\phi + V_x \quad (x = z, r),

exact where the update gate is constant (alpha_z = 0); where the gate acts on the input to h, too
(input_gating="update"), :math:`C_{\sigma_z} V_h` stands for V_h. This file turns a cell and its
inputs into these equations; what solves them is in `lag_equations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from gatefield.cells import AbstractCell, GatedRNN, VanillaRNN
from gatefield.core.checks import as_number, check_names
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.biased_two_point import (
    sigmoid_average,
    sigmoid_two_point_biased,
    tanh_average,
    tanh_two_point_biased,
)
from gatefield.numerics.scale_mixture import sigmoid_two_point, tanh_two_point

COMPONENTS = ("h", "z", "r")
_OPEN = 40.0  # a bias at which the sigmoid is one to rounding
_TINY = 1e-30  # a variance below is one at which everything is linear to rounding
_LENGTHS = tuple(96 * 12**k for k in range(5))


class TwoPointFunction(eqx.Module):
    """F(C, C0) = < f(x) f(y) > of one nonlinearity, f = tanh or the sigmoid of gain x + bias.

    Attributes
    ----------
    gain, bias
        Of the argument, dimensionless.
    shape
        "tanh" or "sigmoid".
    kind
        "constant" (gain zero), "odd" (no bias: scale mixtures) or "biased".
    """

    gain: float
    bias: float
    shape: str = eqx.field(static=True)
    kind: str = eqx.field(static=True)

    @classmethod
    def of(cls, shape: str, gain: float, bias: float) -> TwoPointFunction:
        """Choose the fastest exact form."""
        kind = "constant" if gain == 0 else "odd" if bias == 0 else "biased"
        return cls(float(gain), float(bias), shape, kind)

    def __call__(
        self, covariance: Float[HostArray, "..."], variance: float | Float[HostArray, "..."]
    ) -> tuple[HostArray, HostArray, HostArray]:
        """Return F and its derivatives by the covariance and by the variance, elementwise."""
        covariance, variance = np.broadcast_arrays(np.asarray(covariance, float), variance)
        if self.kind == "constant":
            values = np.full(covariance.shape, self.average(0.0) ** 2)
            return values, np.zeros_like(values), np.zeros_like(values)
        # A few lengths serve all, so that little is compiled.
        count = covariance.size
        length = next(size for size in _LENGTHS if size >= count)
        fill = ((0, length - count),)
        padded = (np.pad(each.ravel(), fill, mode="edge") for each in (covariance, variance))
        with jax.enable_x64(True):
            c, c0 = (jnp.asarray(each) for each in padded)
            gain, bias = jnp.asarray(self.gain), jnp.asarray(self.bias)
            found = _value_and_slopes(c, jnp.maximum(c0, _TINY), gain, bias, self.shape, self.kind)
        value, slope, by_variance = (
            np.asarray(each)[:count].reshape(covariance.shape) for each in found
        )
        return value, slope, by_variance

    def average(self, variance: float) -> float:
        """Return < f(x) > for the variance of x."""
        with jax.enable_x64(True):
            if self.kind == "biased":
                function = tanh_average if self.shape == "tanh" else sigmoid_average
                return float(function(variance, self.gain, self.bias))
            function = jnp.tanh if self.shape == "tanh" else jax.nn.sigmoid
            return float(function(jnp.asarray(self.bias, float)))


@eqx.filter_jit
def _value_and_slopes(covariance, variance, gain, bias, shape, kind):
    def function(c, c0):
        # At lag 0, C = C0: drawn in without a share of the slope, which a tie would halve.
        c = c + jax.lax.stop_gradient(jnp.clip(c, -c0, c0) - c)
        if kind == "odd":
            two_point = tanh_two_point if shape == "tanh" else sigmoid_two_point
            return two_point(c / c0, gain * jnp.sqrt(c0))
        two_point = tanh_two_point_biased if shape == "tanh" else sigmoid_two_point_biased
        return two_point(c, c0, gain, bias)

    one, zero = jnp.ones_like(covariance), jnp.zeros_like(covariance)
    value, slope = jax.jvp(function, (covariance, variance), (one, zero))
    by_variance = jax.jvp(function, (covariance, variance), (zero, one))[1]
    return value, slope, by_variance


class Correlators(NamedTuple):
    """C_phi, C_sz and C_sr at each lag with their derivatives: (value, by C, by C(0))."""

    phi: tuple[HostArray, HostArray, HostArray]
    gate_z: tuple[HostArray, HostArray, HostArray]
    gate_r: tuple[HostArray, HostArray, HostArray]


class GatedForm(NamedTuple):
    """The equations of one cell under its inputs; component order h, z, r.

    Attributes
    ----------
    phi, gate_z, gate_r
        Two-point functions of activation, update gate and output gate.
    tau
        Time constants (1, tau_z, tau_r).
    shift
        Mean of h, z, r that constant inputs cause; contained in the biases above.
    input_variance, input_time
        Variance and correlation time of the input to h, z, r.
    inside
        Whether the input to h is gated by the update gate.
    """

    phi: TwoPointFunction
    gate_z: TwoPointFunction
    gate_r: TwoPointFunction
    tau: tuple[float, float, float]
    shift: tuple[float, float, float]
    input_variance: tuple[float, float, float]
    input_time: tuple[float, float, float]
    inside: bool

    @property
    def exact(self) -> bool:
        """Whether the update gate is constant, so that h is Gaussian."""
        return self.gate_z.kind == "constant"

    @property
    def static_input(self) -> bool:
        """Whether every input is constant in time (or absent)."""
        pairs = zip(self.input_variance, self.input_time, strict=True)
        return all(variance == 0 or np.isinf(time) for variance, time in pairs)

    def input(self, lags: Float[HostArray, " lag"]) -> tuple[HostArray, ...]:
        """Return the covariances V_h, V_z, V_r of the inputs."""
        return tuple(
            variance * np.exp(-np.asarray(lags) / time)
            for variance, time in zip(self.input_variance, self.input_time, strict=True)
        )

    def correlators(self, C_h: HostArray, C_z: HostArray, C_r: HostArray) -> Correlators:
        """Return the correlators of phi and of both gates; lag 0 stands first."""
        return Correlators(
            self.phi(C_h, float(C_h[0])),
            self.gate_z(C_z, float(C_z[0])),
            self.gate_r(C_r, float(C_r[0])),
        )


def gaussian_inputs(
    cell: AbstractCell, inputs: Mapping[str, GaussianInput | float] | None
) -> dict[str, GaussianInput]:
    """Check inputs and return them as `GaussianInput` by drive name; zero ones are left out."""
    inputs = {} if inputs is None else inputs
    if not isinstance(inputs, Mapping):
        remedy = "For instance {'h': GaussianInput(variance=0.04)}."
        refuse("inputs", type(inputs).__name__, "a mapping from drive names", remedy)
    check_names("inputs", inputs, cell.drive_names)
    found: dict[str, GaussianInput] = {}
    for name, value in inputs.items():
        if callable(value) and not isinstance(value, GaussianInput):
            remedy = "solve_transient takes functions of time."
            refuse(f"inputs[{name!r}]", value, "a GaussianInput or a number", remedy)
        one = (
            value
            if isinstance(value, GaussianInput)
            else GaussianInput(mean=as_number(f"inputs[{name!r}]", value), variance=0.0)
        )
        if float(one.mean) != 0 or float(one.variance) > 0:
            found[name] = one
    return found


def has_gated_form(cell: AbstractCell) -> bool:
    """Whether a cell's theory closes in correlation functions, at least approximately."""
    if not isinstance(cell, GatedRNN | VanillaRNN):
        return False
    return all(np.ndim(value) == 0 for value in vars(cell).values() if not isinstance(value, str))


def gated_form(cell: AbstractCell, inputs: dict[str, GaussianInput]) -> GatedForm:
    """Return the equations of a gated or vanilla RNN under Gaussian inputs.

    Parameters
    ----------
    cell
        A GatedRNN or VanillaRNN with shared parameters.
    inputs
        By drive name.

    Raises
    ------
    InvalidInputError
        For another cell, parameters per unit, or a mean input to h that stands outside a gate
        which varies: its mean response is then not a number.
    """
    if not has_gated_form(cell) or not isinstance(cell, GatedRNN | VanillaRNN):
        remedy = "Use method='sampled', which serves every cell."
        refuse("cell", cell, "a GatedRNN or VanillaRNN with shared parameters", remedy)
    if isinstance(cell, GatedRNN):
        gated = cell
    else:
        gated = GatedRNN(g_h=cell.g, beta_h=cell.beta, beta_z=_OPEN, beta_r=_OPEN)
    given = [inputs.get(name) for name in COMPONENTS]
    mean = [0.0 if one is None else float(one.mean) for one in given]
    variance = [0.0 if one is None else float(one.variance) for one in given]
    time = [np.inf if one is None else float(one.correlation_time) for one in given]
    inside = gated.input_gating == "update"
    if not inside and float(gated.alpha_z) > 0 and (mean[0] != 0 or variance[0] > 0):
        remedy = "Use method='sampled', input_gating='update', or alpha_z = 0."
        refuse("inputs['h']", given[0], "none outside a varying update gate", remedy)
    beta_z = float(gated.beta_z) + float(gated.alpha_z) * mean[1]
    rate = 1.0 if inside else float(expit(beta_z))
    shift_h = mean[0] / rate if mean[0] else 0.0
    return GatedForm(
        phi=TwoPointFunction.of(
            "tanh", float(gated.g_h), float(gated.beta_h) + float(gated.g_h) * shift_h
        ),
        gate_z=TwoPointFunction.of("sigmoid", float(gated.alpha_z), beta_z),
        gate_r=TwoPointFunction.of(
            "sigmoid", float(gated.alpha_r), float(gated.beta_r) + float(gated.alpha_r) * mean[2]
        ),
        tau=(1.0, float(gated.tau_z), float(gated.tau_r)),
        shift=(shift_h, mean[1], mean[2]),
        input_variance=(variance[0], variance[1], variance[2]),
        input_time=(time[0], time[1], time[2]),
        inside=inside,
    )


def rate_and_drive(
    form: GatedForm, found: Correlators, V_h: HostArray
) -> tuple[HostArray, HostArray]:
    """Return C_sz and the right-hand side of the equation of C_h."""
    rate = found.gate_z[0]
    recurrent = rate * found.phi[0] * found.gate_r[0]
    return rate, recurrent + (rate * V_h if form.inside else V_h)
