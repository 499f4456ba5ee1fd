"""Stacks of recurrent layers, each a network driven by the layer below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.cells import AbstractMap
from gatefield.core.checks import as_parameter, check_count, check_names
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray
from gatefield.networks.network import Network
from gatefield.networks.series import Series
from gatefield.networks.simulate import simulate

LayerInputs = dict[str, Series]


class Layer(eqx.Module):
    r"""One layer in one direction: a network, and the weights by which it receives its input.

    .. math:: I^a(n) = W^a x(n)

    Parameters
    ----------
    network
        Of a map, whose first state component is the layer's output.
    input_weights
        For each drive of the cell W^a, (N, features).
    depth
        0 for layers that read the input, k for those that read the outputs of depth k - 1.
    reverse
        Whether the layer runs from the end of the sequence to its beginning.

    Raises
    ------
    InvalidInputError
        For flows, or weights that are missing, not finite or of another shape.
    """

    network: Network
    input_weights: dict[str, HostArray]
    depth: int = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)

    def __init__(
        self,
        network: Network,
        input_weights: Mapping[str, Any],
        *,
        depth: int = 0,
        reverse: bool = False,
    ):
        if not isinstance(network, Network) or not isinstance(network.cell, AbstractMap):
            refuse("network", network, "a Network of a map", "Flows have no sequences of steps.")
        if not isinstance(input_weights, Mapping):
            kind = type(input_weights).__name__
            refuse("input_weights", kind, "a mapping by drive name", "One matrix for each.")
        check_names("input_weights", input_weights, network.cell.drive_names, every=True)
        self.network, self.input_weights = network, {}
        self.depth, self.reverse = check_count("depth", depth, at_least=0), bool(reverse)
        features = None
        for name in network.cell.drive_names:
            label = f"input_weights[{name!r}]"
            given = np.asarray(as_parameter(label, input_weights[name]))
            columns = given.shape[-1] if features is None and given.ndim == 2 else features
            if given.shape != (network.n, columns) or not columns:
                expected = f"({network.n}, features), the same for every drive"
                refuse(f"{label}.shape", given.shape, expected, "One row for each unit.")
            features = columns
            self.input_weights[name] = given.astype(network.dtype)

    @property
    def features(self) -> int:
        """Number of features that the layer reads."""
        return next(iter(self.input_weights.values())).shape[1]

    def received(self, signal: Float[HostArray, "time feature"]) -> LayerInputs:
        """Return what the layer receives from a sequence, in the order of its own steps."""
        ordered = self._in_own_order(signal)
        return {
            name: Series((ordered @ weights.T).astype(self.network.dtype))
            for name, weights in self.input_weights.items()
        }

    def states(
        self, received: LayerInputs, initial: Any
    ) -> Float[HostArray, "time component unit"]:
        """Run the layer, and return its states after each input, in the order of the inputs."""
        steps = next(iter(received.values())).steps
        run = simulate(self.network, steps, inputs=received, initial=initial)
        return self._in_own_order(run.states[1:])

    def _in_own_order(self, sequence: HostArray) -> HostArray:
        return sequence[::-1] if self.reverse else sequence


class LayeredRun(AbstractResult):
    """What a stack of layers did with a sequence.

    Attributes
    ----------
    times
        Steps of the sequence, (T,), from 0.
    outputs
        (T, features): the first state component of the last layers, forward before reverse.
    states
        (layer, T, d, N): the state of each layer after it read the input of that step; layers in
        the order of PyTorch's h_n.
    component_names
        Names of the components, in their order.
    reverse
        For each layer whether it ran from the end of the sequence to its beginning.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    outputs: Float[HostArray, "time feature"] = eqx.field(metadata=quantity("time", "feature"))
    states: Float[HostArray, "layer time component unit"] = eqx.field(
        metadata=quantity("layer", "time", "component", "unit")
    )
    component_names: tuple[str, ...] = eqx.field(static=True)
    reverse: tuple[bool, ...] = eqx.field(static=True)

    @property
    def is_map(self) -> bool:
        """Whether times count steps: they do."""
        return True

    @property
    def final(self) -> Float[HostArray, "layer component unit"]:
        """Each layer's state after its own last step, PyTorch's h_n (and c_n)."""
        ends = [0 if reverse else -1 for reverse in self.reverse]
        return np.stack([states[end] for states, end in zip(self.states, ends, strict=True)])


class LayeredNetwork(eqx.Module):
    r"""The layers of a recurrent module; `Network.from_torch` and `Network.from_file` return it.

    Where all layers run forward, the next state of layer k depends on the states of the layers
    up to k alone:

    .. math:: h^k(n + 1) = F_k\big(h^k(n), h^{k-1}(n + 1)\big)

    The Jacobian of the stack is therefore block triangular, with the layers' own Jacobians on its
    diagonal: its eigenvalues, and its Lyapunov exponents, are those of the layers, each under the
    input that it receives. `layer_inputs` returns that input::

        for layer, received in zip(stack.layers, stack.layer_inputs(inputs)):
            gf.jacobian(layer.network, state, inputs=received, time=step)

    Parameters
    ----------
    layers
        By depth, forward before reverse, which is the order of PyTorch's h_n; all of one kind of
        cell and one number of units.

    Raises
    ------
    InvalidInputError
        If depths have gaps, a direction occurs twice, layers are of different kinds or sizes, or
        one does not read as many features as there are.

    Assumptions
    -----------
    Exponents of the stack are those of its layers where these are regular, as along almost every
    stationary sequence. Above a reverse layer there is no state that evolves step by step: there
    the exponents are those of each layer under a given input.
    """

    layers: tuple[Layer, ...]

    def __init__(self, layers: Iterable[Layer]):
        self.layers = tuple(layers)
        if not self.layers or not all(isinstance(layer, Layer) for layer in self.layers):
            refuse("layers", layers, "at least one Layer", "Build each by Layer(network, weights).")
        order = [(layer.depth, layer.reverse) for layer in self.layers]
        depths = sorted({depth for depth, _ in order})
        if order != sorted(set(order)) or depths != list(range(len(depths))):
            expected = "depths 0, 1, ... in order, each direction once, forward before reverse"
            refuse("(depth, reverse) of layers", order, expected, "Sort them.")
        first = self.layers[0].network
        for layer in self.layers:
            network = layer.network
            if type(network.cell) is not type(first.cell) or network.n != first.n:
                expected = f"{type(first.cell).__name__}s of {first.n} units, as the first layer"
                remedy = "Hand the outputs of one LayeredNetwork to the next."
                refuse("layers", network, expected, remedy)
            if network.dtype != first.dtype:
                remedy = "Build all in one precision."
                refuse("layers", network, f"networks of {first.dtype}, as the first", remedy)
            level = [other for other in self.layers if other.depth == layer.depth - 1]
            features = len(level) * first.n if level else self.features
            if layer.features != features:
                remedy = "A layer reads all outputs of the depth below it."
                name = f"features of the layers of depth {layer.depth}"
                refuse(name, layer.features, f"{features}", remedy)

    @property
    def features(self) -> int:
        """Number of features of the input."""
        return self.layers[0].features

    @property
    def depth(self) -> int:
        """Number of depths: PyTorch's num_layers."""
        return self.layers[-1].depth + 1

    @property
    def n(self) -> int:
        """Number of units N of each layer."""
        return self.layers[0].network.n

    @property
    def dtype(self) -> np.dtype:
        """Precision of the layers."""
        return self.layers[0].network.dtype

    def run(self, inputs: Any, initial: Any = None) -> LayeredRun:
        """Run all layers along a sequence, as PyTorch does.

        Parameters
        ----------
        inputs
            (T, features).
        initial
            (layers, d, N), as `LayeredRun.final`; by default zeros, as in PyTorch.

        Returns
        -------
        LayeredRun

        Raises
        ------
        InvalidInputError
            For inputs or initial states of another shape, or that are not finite.
        NumericalFailureError
            If a state diverges.
        """
        _, states, outputs = self._carried(inputs, initial, depths=self.depth)
        return LayeredRun(
            times=np.arange(len(outputs), dtype=np.float64),
            outputs=outputs,
            states=np.stack(states),
            component_names=self.layers[0].network.cell.state_names,
            reverse=tuple(layer.reverse for layer in self.layers),
        )

    def layer_inputs(self, inputs: Any, initial: Any = None) -> tuple[LayerInputs, ...]:
        """Return the external input that each layer receives along a sequence.

        Parameters
        ----------
        inputs, initial
            As in `run`.

        Returns
        -------
        tuple of dictionaries
            For each layer, by drive name, a `Series` of T steps in the order of the layer's own
            steps (a reverse layer's first step reads the last input): the ``inputs`` of `simulate`,
            `jacobian` and `lyapunov_spectrum` for ``layer.network``. These must not run for more
            than T steps, burn-ins included.

        Raises
        ------
        InvalidInputError, NumericalFailureError
            As in `run`.
        """
        return tuple(self._carried(inputs, initial, depths=self.depth - 1)[0])

    def _carried(
        self, inputs: Any, initial: Any, *, depths: int
    ) -> tuple[list[LayerInputs], list[HostArray], HostArray]:
        """Run so many depths; return what each layer receives, their states, the last outputs."""
        signal = np.asarray(as_parameter("inputs", inputs))
        if signal.ndim != 2 or signal.shape[1] != self.features or not len(signal):
            expected = f"(T, {self.features}): steps, features"
            refuse("inputs.shape", signal.shape, expected, "Pass one sequence, without a batch.")
        cell = self.layers[0].network.cell
        shape = (len(self.layers), len(cell.state_names), self.n)
        starts = np.asarray(
            as_parameter("initial", np.zeros(shape) if initial is None else initial)
        )
        if starts.shape != shape:
            expected = f"{shape}: layers, components, units"
            refuse("initial.shape", starts.shape, expected, "One state for each layer.")
        received, states = [], []
        for depth in range(self.depth):
            level = [layer for layer in self.layers if layer.depth == depth]
            received += [layer.received(signal) for layer in level]
            if depth < depths:
                first = len(states)
                states += [
                    layer.states(received[place], starts[place])
                    for place, layer in enumerate(level, start=first)
                ]
                signal = np.concatenate([own[:, 0] for own in states[first:]], axis=1)
        return received, states, signal

    def __repr__(self) -> str:
        """Show kind and sizes, not the matrices."""
        cell = type(self.layers[0].network.cell).__name__
        reverse = ", bidirectional" if any(layer.reverse for layer in self.layers) else ""
        return (
            f"LayeredNetwork({cell}, features={self.features}, n={self.n}, depth={self.depth}"
            f"{reverse}, dtype={self.dtype})"
        )
