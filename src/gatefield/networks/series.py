"""A given sequence as external input of a map, one row for each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.errors import refuse
from gatefield.core.types import Array, Float


class Series(eqx.Module):
    r"""A given sequence as the input of a map: what `simulate` takes as a function of the step.

    .. math:: I(n) = \mathrm{values}_{\min(n, T - 1)}

    Parameters
    ----------
    values
        (T, N): the input of every unit at steps 0 to T - 1; or (T,), the same for all units.

    Raises
    ------
    InvalidInputError
        If values are not finite real numbers, or not of one or two axes.

    Assumptions
    -----------
    Runs take at most ``steps`` steps: beyond its end a series stays at its last value.
    `check_series` refuses longer runs.
    """

    values: Float[Array, "time ..."]

    def __init__(self, values: Any):
        host = np.asarray(values)
        if not np.issubdtype(host.dtype, np.number) or np.iscomplexobj(host):
            refuse("values", f"array of {host.dtype}", "real numbers", "Take the real part.")
        if host.ndim not in (1, 2) or host.size == 0:
            refuse("values.shape", host.shape, "(T, N) or (T,)", "Put the steps first.")
        if not np.all(np.isfinite(host)):
            remedy = "Check where the input comes from."
            refuse("values", "values that are not finite", "finite numbers", remedy)
        single = host.dtype == np.float32
        with jax.enable_x64(True):
            self.values = jnp.asarray(host, np.float32 if single else np.float64)

    def __call__(self, step: Any) -> Array:
        """Return the input at a step: (N,), or a number."""
        return jnp.take(self.values, step, axis=0, mode="clip")

    @property
    def steps(self) -> int:
        """Number of steps T that it lasts."""
        return self.values.shape[0]


def check_series(name: str, inputs: Mapping[str, Any] | None, steps: int) -> None:
    """Refuse a run of more steps than a `Series` among its inputs lasts.

    Parameters
    ----------
    name
        What sets the run's length, for the message.
    inputs
        External input by drive name, as in `simulate`.
    steps
        All steps that the run takes, from step 0.

    Raises
    ------
    InvalidInputError
        If a series is shorter.
    """
    for drive, value in (inputs or {}).items():
        if isinstance(value, Series) and value.steps < steps:
            expected = f"at most {value.steps} steps in all, the length of inputs[{drive!r}]"
            refuse(name, steps, expected, "Shorten the run, or pass a longer series.")
