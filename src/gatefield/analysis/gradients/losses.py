"""What is differentiated at the end of a run: linear readouts, a quadratic loss, or one's own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.checks import as_parameter, check_choice, check_count
from gatefield.core.errors import refuse
from gatefield.core.types import Array, Float, HostArray
from gatefield.networks import GaussianInput, Network
from gatefield.networks.readouts import check_terminal

# Keeps the readouts apart from all else that the same seed may draw.
_STREAM = 0x7465726D

Terminal = Mapping[str, float] | Any
"""Variance of the readout by state component, or the readouts themselves, ([R,] d, N)."""


class Ending(NamedTuple):
    """The loss at the end of a run: its values (R,), and its gradients (R, d, N) by the state."""

    losses: Float[HostArray, " readout"]
    gradients: Float[HostArray, "readout component unit"]


class Loss(NamedTuple):
    """A loss that was checked.

    Attributes
    ----------
    name
        "readout", "quadratic" or "own".
    readouts
        Number of readouts R.
    ending
        What the loss and its gradients are at a last state.
    weights
        By component: variances of readouts, factors of a quadratic loss.
    """

    name: str
    readouts: int
    ending: Callable[[HostArray], Ending]
    weights: dict[str, float]


def checked_loss(
    loss: Any,
    terminal: Terminal | None,
    source: Mapping[str, GaussianInput],
    readouts: int,
    seed: int,
    network: Network,
) -> Loss:
    """Check the loss at the end of a run.

    Parameters
    ----------
    loss
        "readout", "quadratic", or a function of the last state (d, N) that JAX can differentiate.
    terminal
        As `network_gradients` takes it.
    source
        Readouts along the run, checked.
    readouts, seed
        How many are drawn, from which seed.
    network
        Names the components.

    Raises
    ------
    InvalidInputError
        For what does not fit.
    """
    readouts = check_count("readouts", readouts)
    names, n = network.cell.state_names, network.n
    if callable(loss):
        if terminal is not None:
            refuse("terminal", terminal, "None beside a loss of your own", "Write it into the loss")
        _single(readouts, "a loss of your own")
        return Loss("own", 1, functools.partial(_own, loss, str(network.dtype)), {})
    check_choice("loss", loss, ("readout", "quadratic"))
    if loss == "readout":
        vectors, weights = readout_vectors(terminal, names, n, readouts, seed, source)
        return Loss("readout", len(vectors), functools.partial(_linear, vectors), weights)
    _single(readouts, "a quadratic loss")
    if terminal is not None and not isinstance(terminal, Mapping):
        remedy = "Factors by the names of components."
        refuse("terminal", type(terminal).__name__, "a mapping for a quadratic loss", remedy)
    # Whoever asks for it by name wants it, also beside a source.
    weights = check_terminal(terminal, names, None if terminal is None else source)
    factors = np.array([weights.get(name, 0.0) for name in names])[:, None]
    return Loss("quadratic", 1, functools.partial(_quadratic, factors), weights)


def readout_vectors(
    terminal: Terminal | None,
    names: tuple[str, ...],
    n: int,
    readouts: int,
    seed: int,
    source: Mapping[str, GaussianInput] | None = None,
) -> tuple[Float[HostArray, "readout component unit"], dict[str, float]]:
    """Return readouts (R, d, N), given or drawn, and the variances that they were drawn with.

    Each is drawn from a key of its own, so that more of them begin with the same.

    Parameters
    ----------
    terminal
        Variances by component, or the readouts, or None.
    names, n
        The components, and the number of units.
    readouts, seed
        How many are drawn, from which seed.
    source
        Readouts along the run, beside which there need be none at its end.

    Raises
    ------
    InvalidInputError
        For what does not fit.
    """
    readouts = check_count("readouts", readouts)
    if terminal is not None and not isinstance(terminal, Mapping):
        vectors = np.asarray(as_parameter("terminal", terminal))
        if vectors.ndim not in (2, 3) or vectors.shape[-2:] != (len(names), n) or not len(vectors):
            expected = f"({len(names)}, {n}) or (readouts, {len(names)}, {n}): components, units"
            refuse("terminal.shape", vectors.shape, expected, "Or pass variances by component.")
        vectors = vectors.reshape(-1, len(names), n)
        if readouts not in (1, len(vectors)):
            refuse("readouts", readouts, f"{len(vectors)}, those given", "Leave it out.")
        return vectors, {}
    weights = check_terminal(terminal, names, source)
    with jax.enable_x64(True):
        keys = readout_keys(seed, _STREAM, readouts, len(names))
        normal = np.asarray(_normal(keys, n))
    deviations = np.sqrt([weights.get(name, 0.0) for name in names])
    return normal * deviations[:, None], weights


@functools.partial(jax.jit, static_argnames="n")
def _normal(keys, n):
    return jax.vmap(jax.vmap(lambda key: jax.random.normal(key, (n,))))(keys)


def readout_keys(seed: int, stream: int, readouts: int, components: int) -> Array:
    """Return a key for each readout and component, (R, d), of a stream of random numbers."""
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    key = jax.random.fold_in(jax.random.key(seed), stream)
    by_readout = fold(key, jnp.arange(readouts))
    return jax.vmap(fold, in_axes=(0, None))(by_readout, jnp.arange(components))


def _single(readouts: int, what: str) -> None:
    if readouts != 1:
        refuse("readouts", readouts, f"1 for {what}, which draws nothing", "Leave it out.")


def _linear(vectors, state) -> Ending:
    return Ending(np.einsum("rdn,dn->r", vectors, state.astype(np.float64)), vectors)


def _quadratic(factors, state) -> Ending:
    wide = state.astype(np.float64)
    return Ending(np.array([np.sum(factors * wide**2) / 2]), (factors * wide)[None])


def _own(loss, dtype, state) -> Ending:
    try:
        value, gradient = jax.value_and_grad(loss)(jnp.asarray(state, dtype))
    except (TypeError, ValueError, jax.errors.JAXTypeError) as error:
        remedy = f"Use jax.numpy and return a scalar ({type(error).__name__}: {error})."
        refuse("loss", loss, "a real function of the last state (d, N) for JAX", remedy)
    return Ending(np.asarray(value, np.float64)[None], np.asarray(gradient, np.float64)[None])
