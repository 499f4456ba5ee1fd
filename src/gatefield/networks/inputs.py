"""External input: named drives that are constant, per unit, or functions of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractMap
from gatefield.core.checks import check_names
from gatefield.core.errors import refuse
from gatefield.core.types import Array, Drives
from gatefield.networks.network import Network

Inputs = Mapping[str, Any]


class Drive(eqx.Module):
    """The drives of a network as a function of time: a constant part, some rows replaced."""

    constant: Array
    varying: tuple[tuple[int, Callable[[Any], Any]], ...]

    def __call__(self, time: Any) -> Drives:
        """Return the drives (drives, N) at a time (flows) or step (maps)."""
        drive = self.constant
        for row, function in self.varying:
            value = jnp.asarray(function(time), drive.dtype)
            drive = drive.at[row].set(jnp.broadcast_to(value, drive.shape[1:]))
        return drive


def drive_of(network: Network, inputs: Inputs | None) -> Drive:
    """Check external inputs and return them as one function of time.

    Parameters
    ----------
    network
        Names the drives and the number of units.
    inputs
        For each driven name a number, an array (N,), or a function of time (of the step number,
        for maps) that returns either and that JAX can trace.

    Returns
    -------
    Drive

    Raises
    ------
    InvalidInputError
        For a name that the cell does not have, a wrong shape, or values that are not finite.
    """
    names, n = network.cell.drive_names, network.n
    inputs = {} if inputs is None else inputs
    if not isinstance(inputs, Mapping):
        remedy = f"For instance {{{names[0] if names else 'name'!r}: 0.5}}."
        refuse("inputs", type(inputs).__name__, "a mapping from drive names", remedy)
    check_names("inputs", inputs, names)
    constant = np.zeros((len(names), n), network.dtype)
    varying = []
    for name, value in inputs.items():
        row, label = names.index(name), f"inputs[{name!r}]"
        if callable(value):
            kind = int if isinstance(network.cell, AbstractMap) else network.dtype
            try:
                answer = jax.eval_shape(lambda t, f=value: jnp.asarray(f(t)), jnp.zeros((), kind))
            except (TypeError, ValueError, jax.errors.JAXTypeError) as error:
                remedy = f"Use jax.numpy and jnp.where ({type(error).__name__})."
                refuse(label, value, "a function of time that JAX can trace", remedy)
            shape = answer.shape
            if jnp.issubdtype(answer.dtype, jnp.complexfloating):
                refuse(label, answer, "a function with real values", "Take the real part.")
            varying.append((row, value))
        else:
            value = np.asarray(value)
            shape = value.shape
            real = np.issubdtype(value.dtype, np.number) and not np.iscomplexobj(value)
            if not real or not np.all(np.isfinite(value)):
                refuse(label, inputs[name], "finite numbers", "Check where the input comes from.")
        if shape not in ((), (n,)):
            remedy = "One value, or one for each unit; for a series pass a function of time."
            refuse(f"{label}.shape", shape, f"() or ({n},)", remedy)
        if not callable(value):
            constant[row] = value
    return Drive(jnp.asarray(constant), tuple(varying))
