"""The paths of a sampled solution once more: what exponents and random-matrix theory start from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gatefield.core.types import HostArray
from gatefield.numerics.threads import in_threads
from gatefield.theory.dmft.beginning import batch_noise, batch_state, path_key
from gatefield.theory.dmft.paths import PathPlan, Rows, driving_rows, once_round
from gatefield.theory.dmft.result import MeanField
from gatefield.theory.static.sampled import SampledUnits

SETTLED = 1e-3
"""Change of the state over a period, relative to its size, below which units have settled: what
is left of it fades within a relaxation time."""

_ROUNDS = 8  # units that relax within a period settle in seven


def settled(plan: PathPlan, rows: Rows, state: Rows) -> tuple[Rows, float]:
    """Return the state that comes back after a period, and how far it is from doing so.

    Units that forget are there after one round; others get a few.
    """

    def size(state):
        return np.sqrt(sum(np.mean(np.square(row, dtype=np.float64)) for row in state))

    drift = np.inf
    for _ in range(_ROUNDS):
        after, _ = once_round(plan, state, rows)
        moved = size([a - b for a, b in zip(after, state, strict=True)])
        state, drift = after, float(moved / max(size(after), 1e-300))
        if not drift > SETTLED:
            break
    return state, drift


class Redrawn(NamedTuple):
    """One batch of a solution, drawn again.

    Attributes
    ----------
    plan
        What was drawn.
    rows
        Fields and then random inputs along the period, (time, sample) each.
    state
        The components where the period starts, settled on the periodic path.
    """

    plan: PathPlan
    rows: Rows
    state: Rows


def redraw(solution: MeanField, batch: int) -> Redrawn:
    """Return the fields and the state of one batch of a sampled solution; in double precision mode.

    Parameters
    ----------
    solution
        Of method "sampled".
    batch
        Which batch.

    Returns
    -------
    Redrawn

    Assumptions
    -----------
    Units forget where they started within a few periods; else their state is another of the same
    ensemble.
    """
    given: dict[str, Any] = dict(solution.settings)
    options = {name: given[name] for name in ("samples", "steps", "dt", "scheme", "dtype")}
    plan = PathPlan.of_cell(solution.cell, solution.inputs, **options)
    key = path_key(given["seed"])
    fields = np.stack([solution.spectra[name][batch] for name in solution.cell.field_names])
    rows = driving_rows(plan, batch_noise(plan, key, batch), fields)
    start = given["start"] if np.any(fields) or plan.driven else 0.0
    return Redrawn(plan, rows, settled(plan, rows, batch_state(plan, key, batch, start))[0])


def sampled_snapshots(solution: MeanField, *, samples: int = 4096, seed: int = 0) -> SampledUnits:
    """Return units (state, fields, drive) at random moments of a sampled solution.

    Parameters
    ----------
    solution
        Of method "sampled".
    samples
        Number S of units. Up to the solution's samples times batches they are independent; beyond,
        the same units are taken at several moments, evenly spaced.
    seed
        Draws the moments.

    Returns
    -------
    SampledUnits
        (d, S), (K, S) and (drives, S), on the host.
    """
    given: dict[str, Any] = dict(solution.settings)
    used = min(given["batches"], -(-samples // given["samples"]))
    moments = -(-samples // (used * given["samples"]))
    shift = int(np.random.default_rng(seed).integers(given["steps"]))
    times = (shift + np.arange(moments) * given["steps"] // moments) % given["steps"]

    def taken(batch: int) -> list[HostArray]:
        plan, rows, state = redraw(solution, batch)
        _, path = once_round(plan, state, rows)
        kept, at = [row[times] for row in path], [row[times] for row in rows]
        count = len(plan.cell.field_names)
        drive = np.repeat(plan.means()[:, None, None], moments, 1).repeat(plan.samples, 2)
        for place, row in zip(plan.driven, at[count:], strict=True):
            drive[place] += row
        return [np.stack(kept), np.stack(at[:count]), drive]

    drawn = in_threads(taken, range(used))
    pieces = [np.concatenate([one[k] for one in drawn], axis=1) for k in range(3)]
    flat = [piece.reshape(piece.shape[0], -1)[:, :samples].astype(np.float64) for piece in pieces]
    return SampledUnits(*flat)
