"""How gradients grow or vanish backwards along the inputs."""

from __future__ import annotations

import equinox as eqx
import numpy as np

from gatefield.analysis.gradients import network_gradients
from gatefield.core.results import Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.part import MapPart
from gatefield.diagnosis.runs import LayerRun, spread_over
from gatefield.networks import Series
from gatefield.numerics.growth import growth_rate


class Gradients(MapPart):
    r"""How a readout's gradient grows backwards along the inputs.

    Attributes
    ----------
    times
        Steps before the end of the run, ascending from 0.
    adjoint_variance
        By state component the mean over units, readouts and sequences of (dL/ds_i)^2 at each, for
        L a random readout of the first component at the end.
    growth
        E-folds of the gradient's norm over the horizon, :math:`\frac12 \ln [E a^2(T) / E a^2(0)]`
        with the components' mean squares added: negative where gradients vanish.
    rate
        E-folds per step over the second half of the horizon.
    horizon
        Number of steps T.
    readouts
        Number of readouts that were averaged, shared out among the sequences.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    adjoint_variance: dict[str, Float[HostArray, " time"]] = eqx.field(metadata=quantity("time"))
    growth: Float[HostArray, ""] = eqx.field(metadata=quantity())
    rate: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    horizon: int = eqx.field(static=True)
    readouts: int = eqx.field(static=True)


def gradients_of(
    run: LayerRun, *, horizon: int, readouts: int, seed: int = 0
) -> tuple[Gradients, Status, tuple[str, ...]]:
    """Carry random readouts of the last state back along the sequences.

    Parameters
    ----------
    run
        The layer's run.
    horizon
        Steps that are gone back, at most the sequence's.
    readouts
        Number of random readouts of the first state component; sequences share them.
    seed
        Draws them.

    Returns
    -------
    Gradients
    Status
        DIVERGED if a gradient is not finite.
    tuple of str
        Notes.
    """
    steps = min(horizon, run.length)
    first = run.length - steps
    sequences = spread_over(run.sequences, readouts)
    each = readouts // len(sequences)
    found = []
    for place, sequence in enumerate(sequences):
        inputs = {name: Series(values[sequence, first:]) for name, values in run.received.items()}
        found.append(
            network_gradients(
                run.network,
                run.states[sequence, first],
                steps,
                inputs=inputs,
                readouts=each,
                seed=seed + place,
                progress=False,
                throw=False,
            )
        )
    status = next((one.status for one in found if one.status is not Status.OK), Status.OK)
    mean = {
        name: np.mean([one.adjoint_variance[name] for one in found], axis=0)
        for name in found[0].adjoint_variance
    }
    total = np.sum(list(mean.values()), axis=0)
    # A gradient that vanishes altogether has lost infinitely many e-folds.
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.log(total[-1] / total[0]) / 2
    notes = []
    if len(sequences) < run.sequences:
        notes.append(f"Along {len(sequences)} of {run.sequences} sequences.")
    if steps < run.length:
        notes.append(f"Over the last {steps} of {run.length} steps.")
    if status is not Status.OK:
        notes.append("The gradients left the finite numbers.")
    return (
        Gradients(
            times=found[0].times,
            adjoint_variance=mean,
            growth=np.asarray(growth),
            rate=np.asarray(growth_rate(found[0].times, total) / 2),
            horizon=steps,
            readouts=each * len(sequences),
        ),
        status,
        tuple(notes),
    )
