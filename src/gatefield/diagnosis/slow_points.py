"""Fixed and slow points of a layer under its mean input, and their stability."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

from gatefield.analysis import leading_modes
from gatefield.analysis.fixed_points import FixedPoints, find_fixed_points
from gatefield.core.results import Status, quantity
from gatefield.core.types import Bool, Float, HostArray, Int
from gatefield.diagnosis.effort import Limits
from gatefield.diagnosis.part import MapPart
from gatefield.diagnosis.runs import LayerRun, spread_over
from gatefield.networks import simulate

SLOW = 1e-3
"""Speed up to which a minimum of the speed counts as a slow point."""

_SETTLE = 400  # steps under the mean input from which searches begin
_REACHED = 1e-6  # speed of a point that was found by iteration alone
_SAME = 1e-3
_DESCENT = 512  # d N up to which slow points are searched, too


class SlowPoints(MapPart):
    """Fixed and slow points of the layer under its mean input.

    Attributes
    ----------
    is_slow
        Which are slow points: minima of the speed that are no zeros.
    speeds
        Root mean square of F(x) - x at each.
    sizes
        Root mean square of the state at each.
    leading_edges
        Largest modulus of the Jacobian's eigenvalues there; stable below one.
    unstable
        Number of eigenvalues beyond the unit circle (-1 where not counted).
    stable
        Whether all are within it.
    found
        How many searches ended at each.
    searches
        Number of searches.
    converged
        Share of them that ended at one of the points.
    """

    is_slow: Bool[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    speeds: Float[HostArray, " point"] = eqx.field(
        metadata=quantity("point", unit="1 / time constant")
    )
    sizes: Float[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    leading_edges: Float[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    unstable: Int[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    stable: Bool[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    found: Int[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    searches: int = eqx.field(static=True)
    converged: Float[HostArray, ""] = eqx.field(metadata=quantity())


def slow_points_of(
    run: LayerRun, limits: Limits, *, seed: int = 0
) -> tuple[SlowPoints, Status, tuple[str, ...]]:
    """Search for points at which a layer stands still, or nearly, under its mean input.

    Searches begin at states of the run, and where the map leads from some of them under the mean
    input. Large layers are not searched by Newton's method: only the stable points that the map
    itself reaches are then found.

    Parameters
    ----------
    run
        The layer's run.
    limits
        Number and length of searches.
    seed
        Draws further starts.

    Returns
    -------
    SlowPoints
    Status
        OK also where no point was found.
    tuple of str
        Notes.
    """
    network = run.network
    size = network.n * len(network.cell.state_names)
    inputs: dict[str, Any] = run.mean_input()
    visited = np.stack(
        [
            run.states[place % run.sequences, step]
            for place, step in enumerate(spread_over(run.length + 1, limits.relaxations))
        ]
    )
    settled = simulate(
        network, _SETTLE, inputs=inputs, initial=visited, save_every=_SETTLE, progress=False
    ).final
    if size > limits.largest:
        note = (
            f"d N = {size} is too large for Newton's method: only stable points that the map "
            f"reaches within {_SETTLE} steps are found."
        )
        return _iterated(run, settled, inputs), Status.OK, (note,)
    slow = SLOW if size <= _DESCENT else None
    more = max(0, limits.starts - len(visited))
    initial = np.concatenate([settled, visited])[: max(limits.starts, 2)]
    found = find_fixed_points(
        network,
        more // 2,
        inputs=inputs,
        initial=initial,
        max_steps=limits.newton_steps,
        slow=slow,
        seed=seed,
        progress=False,
    )
    notes = []
    if slow is None:
        notes.append(f"Fixed points alone: with d N = {size} minima of the speed take too long.")
    if not len(found.states):
        notes.append("No search ended at a point.")
    return _described(found), Status.OK, tuple(notes)


def _described(found: FixedPoints) -> SlowPoints:
    searches: Any = dict(found.settings)["searches"]
    return SlowPoints(
        is_slow=found.is_slow,
        speeds=found.speeds,
        sizes=np.sqrt(np.mean(found.states**2, axis=(1, 2))),
        leading_edges=found.leading_edges,
        unstable=found.unstable,
        stable=found.stable,
        found=found.found,
        searches=int(searches),
        converged=found.converged,
    )


def _iterated(run: LayerRun, states: HostArray, inputs: dict[str, Any]) -> SlowPoints:
    """Return the distinct states that one more step does not move, with their leading edges."""
    after = simulate(run.network, 1, inputs=inputs, initial=states, progress=False).final
    speeds = np.sqrt(np.mean((after - states) ** 2, axis=(1, 2)))
    kept: list[int] = []
    counts: list[int] = []
    for place in np.argsort(speeds):
        if speeds[place] > _REACHED:
            break
        apart = [np.sqrt(np.mean((states[place] - states[other]) ** 2)) for other in kept]
        if apart and min(apart) < _SAME:
            counts[int(np.argmin(apart))] += 1
        else:
            kept.append(int(place))
            counts.append(1)
    edges = [_edge(run, states[place], inputs) for place in kept]
    stable = np.array(edges) < 1
    return SlowPoints(
        is_slow=np.zeros(len(kept), bool),
        speeds=speeds[kept],
        sizes=np.sqrt(np.mean(states[kept] ** 2, axis=(1, 2))),
        leading_edges=np.array(edges),
        unstable=np.where(stable, 0, -1),
        stable=stable,
        found=np.array(counts, int),
        searches=len(states),
        converged=np.asarray(sum(counts) / len(states)),
    )


def _edge(run: LayerRun, state: HostArray, inputs: dict[str, Any]) -> float:
    modes = leading_modes(run.network, state, 4, inputs=inputs, tolerance=1e-4, throw=False)
    size = np.abs(modes.eigenvalues)
    known = modes.status is Status.OK and size.size > 0
    return float(size.max()) if known else np.nan
