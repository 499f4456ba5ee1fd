"""Random input: independent from unit to unit, Gaussian, stationary, static or with a memory."""

from __future__ import annotations

import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.checks import as_number, check_count, check_seed, concrete
from gatefield.core.errors import refuse
from gatefield.core.types import Array, Float, HostArray

# Keeps the paths apart from the couplings and the initial states, which the same seed may draw.
_STREAM = 0x6E6F6973


class InputPath(eqx.Module):
    """A sampled input as a function of time: what `simulate` takes; made by `GaussianInput`.

    Attributes
    ----------
    values
        (time, unit), at the times 0, dt, 2 dt, ...
    dt
        Spacing, in units of the unit's time constant; 1 for maps, whose time counts steps.
    start
        What is added to a time before the samples are looked up.
    """

    values: Float[Array, "time unit"]
    dt: float = eqx.field(static=True)
    start: Float[Array, ""]

    def __call__(self, time: Any) -> Float[Array, " unit"]:
        """Return the input (N,) at a time, linear between samples; NaN where none were drawn.

        NaN makes a run fail that lasts longer than the path, where a held value would pass.
        """
        if concrete(time) is None:
            return self._at(time)
        with jax.enable_x64(True):
            return self._at(time)

    def later(self, time: float) -> InputPath:
        """Return the rest of the path from a time on, which becomes time 0.

        Parameters
        ----------
        time
            In units of the unit's time constant (steps for maps), not negative.

        Returns
        -------
        InputPath
            To go on with a run that ended then. `simulate` compiles nothing anew for it.

        Raises
        ------
        InvalidInputError
            For a time at which the path has ended.
        """
        shift = as_number("time", time, nonnegative=True)
        end = (self.values.shape[0] - 1) * self.dt - float(self.start)
        if shift >= end:
            refuse("time", time, f"a time below {end:g}, where the path ends", "Draw a longer one.")
        with jax.enable_x64(True):
            return InputPath(self.values, self.dt, self.start + shift)

    def _at(self, time: Any) -> Array:
        place = (jnp.asarray(time) + self.start) / self.dt
        last = self.values.shape[0] - 1
        before = jnp.clip(jnp.floor(place).astype(int), 0, last - 1)
        part = place - before
        value = (1 - part) * self.values[before] + part * self.values[before + 1]
        return jnp.where((place >= 0) & (place <= last), value, jnp.nan)


class GaussianInput(eqx.Module):
    r"""A random input to each unit: independent from unit to unit, stationary, Gaussian.

    .. math:: \langle I_i(t)\, I_i(t + \tau) \rangle = \mathrm{mean}^2
        + \mathrm{variance}\; e^{-|\tau| / \mathrm{correlation\_time}}

    Parameters
    ----------
    variance
        Not negative.
    mean
        Common to all units.
    correlation_time
        Positive, in units of the unit's time constant (steps for maps); infinity, the default,
        gives every unit its own constant.

    Raises
    ------
    InvalidInputError
        For a mean that is not finite, a negative variance, or a correlation time that is not
        positive.
    """

    mean: float
    variance: float
    correlation_time: float

    def __init__(self, *, variance: float, mean: float = 0.0, correlation_time: float = math.inf):
        self.mean = as_number("mean", mean)
        self.variance = as_number("variance", variance, nonnegative=True)
        given = concrete(correlation_time)
        real = given is not None and given.shape == () and given.dtype.kind == "f"
        endless = real and bool(given == math.inf)
        self.correlation_time = (
            math.inf if endless else as_number("correlation_time", correlation_time, positive=True)
        )

    @property
    def is_static(self) -> bool:
        """Whether the input does not depend on time."""
        return math.isinf(self.correlation_time)

    def second_moment(self, lags: Any) -> Any:
        """Return <I(t) I(t + lag)> at the lags, as an array of their kind (NumPy or JAX)."""
        numpy: Any = jnp if isinstance(lags, jax.Array) else np
        lags = numpy.abs(lags)
        # A static input is treated apart, since an infinite lag divided by an infinite time is NaN.
        decay = (
            numpy.ones_like(lags) if self.is_static else numpy.exp(-lags / self.correlation_time)
        )
        return self.mean**2 + self.variance * decay

    def realise(
        self, n: int, t_max: float, *, dt: float = 0.05, seed: int = 0
    ) -> Float[HostArray, " unit"] | InputPath:
        r"""Draw the input of n units, for ``simulate(inputs={name: ...})``.

        Exact samples of the Ornstein-Uhlenbeck process, from its stationary distribution on,

        .. math:: x_{k+1} = e^{-dt/\tau_c} x_k + \sqrt{1 - e^{-2 dt/\tau_c}}\, w_k, \quad
            w_k \sim N(0, 1).

        Parameters
        ----------
        n
            Number of units N.
        t_max
            How long it must last, in units of the unit's time constant (steps for maps). Other
            lengths start with the same path.
        dt
            Spacing of the samples; take 1 for maps, which then meet them exactly. 8 N t_max / dt
            bytes are needed.
        seed
            Same seed, same input.

        Returns
        -------
        array or InputPath
            (N,) if static, else a function of time, linear between the samples. Another path of
            the same size makes `simulate` compile nothing anew.

        Raises
        ------
        InvalidInputError
            For numbers that do not fit.

        Assumptions
        -----------
        dt is short beside the correlation time: between two samples the variance is lower, in the
        middle by variance (1 - exp(-dt / correlation_time)) / 2.
        """
        n, seed = check_count("n", n), check_seed(seed)
        t_max, dt = as_number("t_max", t_max, positive=True), as_number("dt", dt, positive=True)
        deviation = math.sqrt(self.variance)
        with jax.enable_x64(True):
            key = jax.random.fold_in(jax.random.key(seed), _STREAM)
            if self.is_static:
                return self.mean + deviation * np.asarray(jax.random.normal(key, (n,)))
            # One sample beyond the end, so that a last time that was rounded up has its input, too.
            count = math.ceil(t_max / dt * (1 - 1e-12)) + 2
            keep = math.exp(-dt / self.correlation_time)
            kick = math.sqrt(-math.expm1(-2 * dt / self.correlation_time))
            values = _paths(key, self.mean, deviation, keep, kick, n, count)
            return InputPath(values, dt, jnp.zeros(()))


@functools.partial(jax.jit, static_argnames=("n", "count"))
def _paths(key, mean, deviation, keep, kick, n, count):
    """Return (count, n) samples; those of a step depend on the key and on earlier steps alone."""

    def advance(x, number):
        fresh = jax.random.normal(jax.random.fold_in(key, number), (n,))
        x = jnp.where(number == 0, fresh, keep * x + kick * fresh)
        return x, mean + deviation * x

    return jax.lax.scan(advance, jnp.zeros(n), jnp.arange(count))[1]
