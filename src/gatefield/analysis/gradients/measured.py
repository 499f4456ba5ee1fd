"""Gradients through the runs of networks: the public entry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.analysis.gradients.backward import differentiated, plan_of
from gatefield.analysis.gradients.losses import Terminal, checked_loss
from gatefield.analysis.gradients.result import NetworkGradients, saved_steps
from gatefield.analysis.gradients.segment import Run
from gatefield.analysis.gradients.source import source_of
from gatefield.analysis.pulses import check_network, progress_bar
from gatefield.cells import AbstractMap
from gatefield.cells.parameters import check_parameter_names
from gatefield.core.checks import as_number, check_choice, check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.networks import GaussianInput, LayeredNetwork, Network
from gatefield.networks.inputs import drive_of
from gatefield.networks.network import as_state, compilable
from gatefield.networks.readouts import check_source
from gatefield.networks.series import check_series
from gatefield.numerics.steppers import STEPPERS

_STEP = 0.05  # as `simulate`


# A run that diverged is reported by its status, not by warnings of the sums over it.
@np.errstate(over="ignore", invalid="ignore")
def network_gradients(
    network: Network | LayeredNetwork,
    state: Any,
    horizon: float,
    *,
    terminal: Terminal | None = None,
    source: Mapping[str, GaussianInput] | None = None,
    loss: Any = "readout",
    readouts: int = 1,
    inputs: Any = None,
    dt: float | None = None,
    method: str | None = None,
    save_every: int | None = None,
    segment: int | None = None,
    keep_gradients: bool = False,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> NetworkGradients:
    r"""Differentiate a loss at the end of a network's run by all that the run depends on.

    .. math:: L = \sum_{c,i} w_{c,i}\, s_{c,i}(T) + \int_0^T c(t)\cdot s(t)\, dt, \qquad
        w_{c,i} \sim N(0, \mathrm{terminal}_c)

    by reverse-mode differentiation of the steps that were taken: the states, every coupling, and
    every parameter of the cell as if each unit had its own.

    Parameters
    ----------
    network
        Any network; its precision is that of the gradients. A `LayeredNetwork` of a single forward
        layer is taken with its sequence of inputs.
    state
        Where the run starts, (d, N); relax the network to its attractor first.
    horizon
        Duration T in units of the units' own time constant; number of steps for maps.
    terminal
        Variance of the readout by state component; by default 1 for the first component, or none
        where there is a source. Or the readouts w themselves, (d, N) or (readouts, d, N).
    source
        Readouts c along the run by state component, a `GaussianInput` of mean zero for each. Flows:
        trapezoidal weights; maps: the sum over steps 1 to T.
    loss
        "readout", as above; "quadratic", sum_c terminal_c |s_c(T)|^2 / 2, by default of the first
        component, whose adjoint at the end depends on the couplings; or a function of the last
        state (d, N) that JAX differentiates. The source is added to each.
    readouts
        Number of independent readouts, over whose squares results are averaged.
    inputs
        External input as in `simulate`; for a `LayeredNetwork` its sequence (T, features).
    dt
        Step of a flow (default 0.05); the largest one not above it that divides ``horizon``.
    method
        "rk4" (default for flows) or "euler". Maps have none.
    save_every
        Keep the adjoint variance every so many steps, and at both ends; by default at most 200.
    segment
        Steps between checkpoints; by default about the root of their number.
    keep_gradients
        Whether to return the gradients themselves, too.
    seed
        Draws the readouts.
    progress
        True shows a progress bar, False none; by default one appears on a terminal after 3 s.
    throw
        Raise if the run fails; otherwise the failure is the result's status.

    Returns
    -------
    NetworkGradients

    Raises
    ------
    InvalidInputError
        For inputs, shapes or options that do not fit, a loss that reads nothing out, or a parameter
        of the cell called "J_" and a field.
    NumericalFailureError
        If ``throw`` and a state, an adjoint or a gradient is not finite.

    Assumptions
    -----------
    A gain scales the couplings it stands for: dL/dgain_i = sum_j (dL/dJ_ij) J_ij / gain_i. Where it
    is zero the couplings do not tell, and parameters on which it depends are left out.

    Notes
    -----
    The forward pass keeps states at checkpoints alone; the backward pass repeats one segment after
    the other. Every evaluation of the fields therefore costs two products with the couplings and,
    for each readout, one with their transposes; the outer products that make up dL/dJ are summed
    by one matrix product for each segment.
    """
    network, inputs = _single_layer(network, inputs)
    is_map = isinstance(network.cell, AbstractMap)
    method = _checked_method(is_map, method, dt)
    horizon = as_number("horizon", horizon, positive=True)
    if is_map:
        steps, step = check_count("horizon (steps of a map)", horizon), 1.0
        check_series("horizon", inputs, steps)
    else:
        step = as_number("dt", _STEP if dt is None else dt, positive=True)
        steps = max(1, math.ceil(horizon / step * (1 - 1e-12)))
        step = horizon / steps
    seed = check_seed(seed)
    check_parameter_names(network.cell)
    sources = check_source(source, network.cell.state_names)
    goal = checked_loss(loss, terminal, sources, readouts, seed, network)
    saved = saved_steps(steps, save_every)
    segment = None if segment is None else min(check_count("segment", segment), steps)
    names, shown, drawn_by = network.cell.state_names, repr(network.cell), network.seed
    with jax.enable_x64(True):
        start = as_state("state", network, state)
        network = compilable(network)
        delta = jnp.asarray(step, network.dtype)
        run = Run(network, drive_of(network, inputs), delta, method, jnp.asarray(steps))
        plan = plan_of(network, steps, segment, goal.readouts, method)
        along = source_of(sources, names, step, readouts=goal.readouts, seed=seed, is_map=is_map)
        with progress_bar("network_gradients", steps * (1 + plan.batches), progress) as bar:
            found = differentiated(run, start, plan, goal, along, keep_gradients, bar)
    status = Status.OK if found.finite else Status.DIVERGED
    if throw and status is not Status.OK:
        raise NumericalFailureError(
            "network_gradients left the finite numbers. Reduce dt or the horizon, or use float64; "
            "throw=False returns what was found."
        )
    settings = {
        "cell": shown,
        "n": network.n,
        "network_seed": drawn_by,
        "horizon": horizon,
        "terminal": goal.weights,
        "source": {name: repr(given) for name, given in sources.items()},
        "readouts": goal.readouts,
        "seed": seed,
        "segment": plan.segment,
        "dtype": str(network.dtype),
    }
    return NetworkGradients(
        times=saved * step,
        adjoint_variance={name: found.squares[saved, c] for c, name in enumerate(names)},
        gradient_variance=found.gradient_variance,
        shared_gradient_variance=found.shared_gradient_variance,
        losses=found.losses,
        initial_adjoint=found.initial_adjoint,
        coupling_gradients=found.coupling_gradients,
        parameter_gradients=found.parameter_gradients,
        component_names=names,
        loss=goal.name,
        is_map=is_map,
        dt=step,
        method=method,
        settings=tuple(settings.items()),
        status=status,
    )


def _single_layer(network: Any, inputs: Any) -> tuple[Network, Any]:
    """Return a network and its inputs by drive, also of a layer with its sequence of inputs."""
    if not isinstance(network, LayeredNetwork):
        return check_network(network), inputs
    layer, *others = network.layers
    if others or layer.reverse:
        expected = "a Network, or the LayeredNetwork of a single forward layer"
        remedy = "For several layers use gatefield.bridge.torch_gradients, on the torch module."
        refuse("network", network, expected, remedy)
    if isinstance(inputs, Mapping):
        return layer.network, inputs  # what `layer_inputs` returned
    if inputs is None:
        remedy = "The sequence that the module reads; zeros for none."
        refuse("inputs", None, f"a sequence (T, {network.features})", remedy)
    return layer.network, next(iter(network.layer_inputs(inputs)))


def _checked_method(is_map: bool, method: str | None, dt: float | None) -> str:
    if is_map:
        if method not in (None, "map") or dt is not None:
            given = f"method={method!r}, dt={dt!r}"
            refuse("for a map", given, "neither method nor dt", "Maps advance step by step.")
        return "map"
    return check_choice("method", "rk4" if method is None else method, STEPPERS)
