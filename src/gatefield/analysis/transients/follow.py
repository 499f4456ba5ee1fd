"""The compiled loop that watches one run: how far from its target, how fast, since when."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.types import Array, HostArray
from gatefield.networks.inputs import Drive
from gatefield.networks.network import Network
from gatefield.networks.simulate import one_step


class Watch(NamedTuple):
    """Where a run stands: scalars and one state, whatever its length.

    Attributes
    ----------
    state
        (d, N).
    number
        Steps done.
    distance
        Root mean square distance from the target.
    entered
        When the distance last fell to the threshold, in steps (of flows with a fraction); infinity
        before the first time.
    inside, calm
        For how many steps the run has been within the threshold, and as slow as at rest.
    speed
        Root mean square of dx/dt (flows) or of F(x) - x (maps) in the last step.
    """

    state: Any
    number: Any
    distance: Any
    entered: Any
    inside: Any
    calm: Any
    speed: Any


class Bounds(NamedTuple):
    """What ends a run: numbers that differ between runs, so that nothing is compiled anew.

    Attributes
    ----------
    stretch
        Number of the step at which to look up from the work.
    last
        Number of steps of the longest run; one that is inside or calm then is followed on.
    hold
        Steps that a run must stay inside, or calm, to count as ended.
    threshold
        Of the distance.
    still
        Speed at rest, relative to 1 + the root mean square of the state.
    dt
        Step of a flow.
    """

    stretch: Any
    last: Any
    hold: Any
    threshold: Any
    still: Any
    dt: Any


def rms(values: Array) -> Array:
    """Return the root mean square of all entries."""
    return jnp.sqrt(jnp.mean(jnp.square(values)))


def begun(state: HostArray, target: HostArray, component: int | None, threshold: float) -> Watch:
    """Return a run at its first state, on the host."""
    apart = np.asarray(state - target, np.float64)
    chosen = apart if component is None else apart[component]
    distance = np.sqrt(np.mean(np.square(chosen))).astype(state.dtype)
    entered = np.asarray(0.0 if distance <= threshold else np.inf)
    none = np.zeros((), np.int64)
    return Watch(state, none, distance, entered, none, none, np.zeros_like(distance))


@eqx.filter_jit
def follow(
    network: Network,
    drive: Drive,
    target: Array,
    component: int | None,
    watch: Watch,
    bounds: Bounds,
    method: str,
) -> Watch:
    """Advance a run until it ends or the stretch is over."""
    step = one_step(network, drive, bounds.dt, method)
    goal = _part(target, component)

    def goes_on(now: Watch) -> Array:
        early = (now.number < bounds.last) | (now.inside > 0) | (now.calm > 0)
        settled = (now.inside >= bounds.hold) | (now.calm >= bounds.hold)
        return early & ~settled & (now.number < bounds.stretch) & jnp.isfinite(now.speed)

    def further(now: Watch) -> Watch:
        after = step(now.number, now.state)
        speed = rms(after - now.state)
        if method != "map":
            speed = speed / bounds.dt
        distance = rms(_part(after, component) - goal)
        within = distance <= bounds.threshold
        crossed = within & ~(now.distance <= bounds.threshold)
        number = now.number + 1
        calm = speed <= bounds.still * (1 + rms(after))
        return Watch(
            after,
            number,
            distance,
            jnp.where(crossed, _crossing(now, distance, bounds, method), now.entered),
            jnp.where(within, now.inside + 1, 0),
            jnp.where(calm, now.calm + 1, 0),
            speed,
        )

    return jax.lax.while_loop(goes_on, further, watch)


def _part(state: Array, component: int | None) -> Array:
    return state if component is None else state[component]


def _crossing(now: Watch, distance: Array, bounds: Bounds, method: str) -> Array:
    """Return when the distance fell to the threshold, in steps; between two of them for flows."""
    if method == "map":
        return (now.number + 1).astype(jnp.float64)
    # Distances decay exponentially: their logarithm is interpolated.
    whole = jnp.log(now.distance / distance)
    part = jnp.log(now.distance / bounds.threshold) / whole
    return now.number.astype(jnp.float64) + part.astype(jnp.float64)
