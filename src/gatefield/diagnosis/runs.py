"""The runs of a stack of layers along sequences, layer by layer in each layer's own order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gatefield.core.checks import as_parameter
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.types import Float, HostArray, Int
from gatefield.networks import Layer, LayeredNetwork, Network, Series, simulate

UNDRIVEN = 200
"""Steps of the run without inputs, and of the burn-in before it."""

_DIVERGED = "The states left the finite numbers along these inputs. Rescale the inputs."
_LONG = 640  # steps from which on a sequence is not repeated


class Sequences(NamedTuple):
    """The inputs of a diagnosis.

    Attributes
    ----------
    values
        (S, T, features).
    initial
        (S, layers, d, N): where the layers start.
    discarded
        Steps at the beginning that are run but not looked at.
    notes
        What was left out.
    """

    values: Float[HostArray, "sequence time feature"]
    initial: Float[HostArray, "sequence layer component unit"]
    discarded: int
    notes: tuple[str, ...]


class LayerRun(NamedTuple):
    """One layer along all sequences, in the order of its own steps.

    Attributes
    ----------
    network
        The layer's network.
    received
        By drive name what it receives, (S, T, N).
    states
        (S, T + 1, d, N): entry t is the state before step t.
    """

    network: Network
    received: dict[str, Float[HostArray, "sequence time unit"]]
    states: Float[HostArray, "sequence time component unit"]

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return len(self.states)

    @property
    def length(self) -> int:
        """Steps of each."""
        return self.states.shape[1] - 1

    def inputs(self, sequence: int) -> dict[str, Series]:
        """Return what the layer receives along one sequence, as `jacobian` takes it."""
        return {name: Series(values[sequence]) for name, values in self.received.items()}

    def mean_input(self) -> dict[str, Float[HostArray, " unit"]]:
        """Return each unit's mean input over steps and sequences."""
        return {name: values.mean(axis=(0, 1)) for name, values in self.received.items()}


def checked_inputs(
    stack: Any, inputs: Any, whose: str = "the model"
) -> Float[HostArray, "sequence time feature"] | None:
    """Return inputs as (S, T, features), None where there are none.

    Parameters
    ----------
    stack, inputs
        As in `diagnose`.
    whose
        Whose features they are, for the message.

    Raises
    ------
    InvalidInputError
        For what is no stack of layers, or inputs of another shape or that are not finite.
    """
    if not isinstance(stack, LayeredNetwork):
        remedy = "Build it by Network.from_torch(module) or Network.from_file(path)."
        refuse("stack", type(stack).__name__, "a LayeredNetwork", remedy)
    if inputs is None:
        return None
    values = np.asarray(as_parameter("inputs", inputs))
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or values.shape[2] != stack.features or not values.size:
        features = stack.features
        expected = f"(T, {features}) or (samples, T, {features}), features of {whose}"
        remedy = "Pass what the module itself reads: batches first, the features last."
        refuse("inputs.shape", np.shape(inputs), expected, remedy)
    if values.shape[1] < 2:
        refuse("steps of inputs", values.shape[1], "at least 2", "Pass longer sequences.")
    return values


def sequences_of(
    stack: LayeredNetwork,
    given: Float[HostArray, "sequence time feature"] | None,
    *,
    most: int,
    steps: int,
    seed: int,
) -> Sequences:
    """Return the sequences that are run, and where the layers start.

    Parameters
    ----------
    stack
        The layers.
    given
        (S, T, features); None for no input, from random states after a burn-in.
    most, steps
        Limits of the number of sequences (taken at even distances) and of their steps.
    seed
        Draws the initial states of runs without input.
    """
    cell = stack.layers[0].network.cell
    shape = (len(stack.layers), len(cell.state_names), stack.n)
    if given is None:
        length = UNDRIVEN + min(UNDRIVEN, steps)
        start = np.random.default_rng(seed).standard_normal((1, *shape))
        note = (
            f"No inputs were given: the input is zero, the states are those of {length - UNDRIVEN} "
            f"steps after {UNDRIVEN} from one random start."
        )
        return Sequences(np.zeros((1, length, stack.features)), start, UNDRIVEN, (note,))
    notes = []
    chosen = given[spread_over(len(given), most)]
    if len(chosen) < len(given):
        notes.append(f"{len(chosen)} of {len(given)} sequences were run.")
    if chosen.shape[1] > steps:
        notes.append(f"Of each sequence the first {steps} of {chosen.shape[1]} steps were run.")
        chosen = chosen[:, :steps]
    return Sequences(chosen, np.zeros((len(chosen), *shape)), 0, tuple(notes))


def joined(sequences: Sequences, most: int) -> tuple[Float[HostArray, "time feature"], str]:
    """Return one long sequence, all sequences end to end, and a note on how it was made.

    Parameters
    ----------
    sequences
        They are repeated if they last for fewer than 640 steps in all.
    most
        At most so many steps are returned.
    """
    values = sequences.values[:, sequences.discarded :]
    flat = values.reshape(-1, values.shape[2])
    if not np.any(flat):
        return np.zeros((most, flat.shape[1])), ""
    steps = min(most, max(len(flat), _LONG))
    if len(flat) < steps:
        note = f"The {len(flat)} steps of input were repeated {steps / len(flat):.3g} times."
        return np.tile(flat, (-(-steps // len(flat)), 1))[:steps], note
    used = -(-steps // values.shape[1])
    note = f"{used} sequences were joined end to end, states carried over." if used > 1 else ""
    return flat[:steps], note


def received_along(
    stack: LayeredNetwork, values: HostArray, start: HostArray
) -> tuple[dict[str, Series], ...]:
    """Return what each layer receives along a sequence.

    Raises
    ------
    NumericalFailureError
        If the states of a lower layer diverge, with what helps in a diagnosis.
    """
    try:
        return stack.layer_inputs(values, start)
    except NumericalFailureError:
        raise NumericalFailureError(_DIVERGED) from None


def layer_runs(stack: LayeredNetwork, sequences: Sequences) -> list[LayerRun]:
    """Run all layers along all sequences.

    Raises
    ------
    NumericalFailureError
        If a state diverges.
    """
    received: list[list[dict[str, HostArray]]] = [[] for _ in stack.layers]
    states: list[list[HostArray]] = [[] for _ in stack.layers]
    skip = sequences.discarded
    for values, start in zip(sequences.values, sequences.initial, strict=True):
        each = received_along(stack, values, start)
        for place, (layer, own) in enumerate(zip(stack.layers, each, strict=True)):
            run = simulate(
                layer.network,
                len(values),
                inputs=own,
                initial=start[place],
                progress=False,
                throw=False,
            )
            received[place].append({k: np.asarray(v.values)[skip:] for k, v in own.items()})
            states[place].append(run.states[skip:])
    return [
        _collected(layer, *both)
        for layer, *both in zip(stack.layers, received, states, strict=True)
    ]


def spread_over(length: int, count: int) -> Int[HostArray, " place"]:
    """Return at most so many places of a range, at even distances, its middle if only one."""
    if count >= length:
        return np.arange(length)
    return np.floor((np.arange(count) + 0.5) * length / count).astype(int)


def _collected(layer: Layer, received: list, states: list) -> LayerRun:
    drives = {name: np.stack([each[name] for each in received]) for name in received[0]}
    found = np.stack(states)
    if not np.all(np.isfinite(found)):
        raise NumericalFailureError(_DIVERGED)
    return LayerRun(layer.network, drives, found)
