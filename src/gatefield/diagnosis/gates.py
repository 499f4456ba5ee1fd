"""The layer's run: its activity and how far its gates are open."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import ElmanRNN, quantity_names
from gatefield.cells.base import cast, over_units
from gatefield.cells.observables import stacked_quantities
from gatefield.core.results import quantity
from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.biases import LEVELS
from gatefield.diagnosis.correlate import participation
from gatefield.diagnosis.part import MapPart
from gatefield.diagnosis.runs import LayerRun, spread_over
from gatefield.networks.network import compilable, coupling_fields

SATURATED, CLOSED, OPEN = 0.95, 0.05, 0.95
_BINS = 40
_SHOWN = 200  # steps of a sequence at which means are kept
_BATCH = 32  # states that are sent through the couplings together


class RunStatistics(MapPart):
    """The layer's run along the inputs: its activity, the first state component, and its gates.

    Attributes
    ----------
    steps
        Steps of the sequence in the order of the layer's own steps, at most 200 of them.
    activity_mean, activity_variance
        Over units (and sequences), at each of these steps.
    mean, variance
        Over units, steps and sequences.
    saturated
        Share of units and steps with an activity beyond 0.95 in modulus (for tanh; NaN for relu).
    dimension
        Participation ratio of the activity across units.
    gate_names
        The gates, the order of the axis "gate"; none for networks without gates.
    opening
        Mean of each gate over units and sequences at each of the steps.
    gate_mean, gate_spread
        Mean and standard deviation over units, steps and sequences.
    gate_closed, gate_open
        Share of units and steps with a gate below 0.05, above 0.95.
    levels, gate_quantiles
        Quantiles over units, steps and sequences.
    bins, gate_histogram
        Edges of the bins from 0 to 1, and the share of values in each.
    """

    steps: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    activity_mean: Float[HostArray, " time"] = eqx.field(metadata=quantity("time"))
    activity_variance: Float[HostArray, " time"] = eqx.field(metadata=quantity("time"))
    mean: Float[HostArray, ""] = eqx.field(metadata=quantity())
    variance: Float[HostArray, ""] = eqx.field(metadata=quantity())
    saturated: Float[HostArray, ""] = eqx.field(metadata=quantity())
    dimension: Float[HostArray, ""] = eqx.field(metadata=quantity())
    gate_names: tuple[str, ...] = eqx.field(static=True)
    opening: Float[HostArray, "gate time"] = eqx.field(metadata=quantity("gate", "time"))
    gate_mean: Float[HostArray, " gate"] = eqx.field(metadata=quantity("gate"))
    gate_spread: Float[HostArray, " gate"] = eqx.field(metadata=quantity("gate"))
    gate_closed: Float[HostArray, " gate"] = eqx.field(metadata=quantity("gate"))
    gate_open: Float[HostArray, " gate"] = eqx.field(metadata=quantity("gate"))
    levels: Float[HostArray, " level"] = eqx.field(metadata=quantity("level"))
    gate_quantiles: Float[HostArray, "gate level"] = eqx.field(metadata=quantity("gate", "level"))
    bins: Float[HostArray, " edge"] = eqx.field(metadata=quantity("edge"))
    gate_histogram: Float[HostArray, "gate bin"] = eqx.field(metadata=quantity("gate", "bin"))


def run_statistics(run: LayerRun, moments: int) -> RunStatistics:
    """Describe a layer's activity and gates along its inputs.

    Parameters
    ----------
    run
        The layer's run.
    moments
        At most about so many pairs of step and sequence are looked at for the gates.

    Returns
    -------
    RunStatistics
    """
    activity = run.states[:, 1:, 0]
    sequences, length, _ = activity.shape
    steps = spread_over(length, min(_SHOWN, max(1, moments // sequences)))
    names, gates = _gates(run, steps)
    smooth = not isinstance(run.network.cell, ElmanRNN) or run.network.cell.activation == "tanh"
    shown = activity[:, steps].astype(float)
    flat = gates.reshape(len(names), sequences * len(steps) * activity.shape[2])
    edges = np.linspace(0, 1, _BINS + 1)
    counts = [np.histogram(np.clip(each, 0, 1), edges)[0] / each.size for each in flat]
    return RunStatistics(
        steps=steps.astype(float),
        activity_mean=shown.mean(axis=(0, 2)),
        activity_variance=shown.var(axis=(0, 2)),
        mean=np.asarray(activity.mean(dtype=float)),
        variance=np.asarray(activity.var(dtype=float)),
        saturated=np.asarray(np.mean(np.abs(activity) > SATURATED) if smooth else np.nan),
        dimension=np.asarray(participation(activity - activity.mean(axis=(0, 1)))),
        gate_names=names,
        opening=gates.mean(axis=(1, 3)).reshape(len(names), len(steps)),
        gate_mean=flat.mean(axis=1),
        gate_spread=flat.std(axis=1),
        gate_closed=np.mean(flat < CLOSED, axis=1),
        gate_open=np.mean(flat > OPEN, axis=1),
        levels=np.array(LEVELS),
        gate_quantiles=np.quantile(flat, LEVELS, axis=1).T.reshape(len(names), len(LEVELS)),
        bins=edges,
        gate_histogram=np.array(counts).reshape(len(names), _BINS),
    )


def _gates(
    run: LayerRun, steps: HostArray
) -> tuple[tuple[str, ...], Float[HostArray, "gate sequence time unit"]]:
    """Return the cell's observables at these steps, by the states from which they start."""
    cell = run.network.cell
    first = len(cell.state_names) + 2 * len(cell.field_names)
    names = quantity_names(cell)[first:]
    sequences, n = len(run.states), run.network.n
    if not names:
        return (), np.zeros((0, sequences, len(steps), n))
    states = run.states[:, steps].reshape(-1, len(cell.state_names), n)
    drives = np.stack([run.received[name][:, steps] for name in cell.drive_names], axis=2)
    drives = drives.reshape(-1, len(cell.drive_names), n)
    found = np.empty((len(states), len(names), n))
    with jax.enable_x64(True):
        network = compilable(run.network)
        for start in range(0, len(states), _BATCH):
            part = slice(start, start + _BATCH)
            missing = max(0, start + _BATCH - len(states))
            pad = ((0, missing), (0, 0), (0, 0))
            here, now = (jnp.asarray(np.pad(each[part], pad)) for each in (states, drives))
            values = np.asarray(_observed(network, here, now, first))
            found[part] = values[: _BATCH - missing]
    return names, np.moveaxis(found, 1, 0).reshape(len(names), sequences, len(steps), n)


@eqx.filter_jit
def _observed(network, states, drives, first):
    cell = cast(network.cell, network.dtype)

    def one(state, drive):
        fields = coupling_fields(network, state, drive)
        return over_units(stacked_quantities, cell, state, fields, drive)[first:]

    return jax.vmap(one)(states, drives)
