"""Gradients through recurrent modules of PyTorch, by its own automatic differentiation."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from gatefield.analysis.gradients.losses import readout_vectors
from gatefield.analysis.gradients.result import NetworkGradients, saved_steps
from gatefield.analysis.pulses import progress_bar
from gatefield.bridge.torch import from_torch
from gatefield.bridge.weights import ROWS
from gatefield.core.checks import as_parameter, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.core.types import HostArray
from gatefield.networks import LayeredNetwork

_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def torch_gradients(
    module: Any,
    inputs: Any,
    *,
    initial: Any = None,
    terminal: Any = None,
    readouts: int = 1,
    save_every: int | None = None,
    keep_gradients: bool = False,
    dtype: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> NetworkGradients:
    r"""Differentiate readouts of a module's last state by `torch.autograd`.

    .. math:: L = \sum_{c,i} w_{c,i}\, s_{c,i}(T), \qquad w_{c,i} \sim N(0, \mathrm{terminal}_c)

    where s(T) is the state of the last layer after the whole sequence. The result is that of
    `network_gradients`, here from PyTorch's own code and for any number of layers.

    Parameters
    ----------
    module
        A torch.nn.RNN, torch.nn.GRU or torch.nn.LSTM in one direction, without projections. It is
        left as it is: weights are copied, no gradient is written into them.
    inputs
        The sequence (T, features).
    initial
        (layers, d, N), as `LayeredRun.final`; (d, N) will do for a single layer. Zeros by default.
    terminal
        Variance of the readout by component of the last layer, "h" (and "c" of an LSTM), one for
        "h" by default; or the readouts themselves, (d, N) or (readouts, d, N).
    readouts, save_every, keep_gradients, seed, progress, throw
        As in `network_gradients`: the same seed draws the same readouts.
    dtype
        "float64" or "float32"; by default as in `from_torch`.

    Returns
    -------
    NetworkGradients
        Names are those of `network_gradients`: "J_r" is the block of weight_hh that feeds the field
        r, "bias_r" either of its two biases (their gradients are equal), "bias_n" of a GRU its b_in
        and "bias_hn" its b_hn. Of a module of several layers every name, of components, couplings
        and parameters, has its layer before it, "layer0.J_r" for the lowest one, and
        ``initial_adjoint`` has all layers' components.

    Raises
    ------
    InvalidInputError
        For other modules, or shapes and options that do not fit.
    NumericalFailureError
        If ``throw`` and a state or a gradient is not finite.

    Assumptions
    -----------
    The adjoint is by the state of all layers between two steps: that of a lower layer has no part
    from what it sent upwards within the step. All activations of the run are kept. Couplings of
    zero do not tell the gradient by their gain, which is then left out.

    References
    ----------
    The documentation of torch.autograd, torch.nn.RNN, torch.nn.GRU and torch.nn.LSTM.
    """
    network = from_torch(module, dtype=dtype)
    if module.bidirectional:
        remedy = "Train one in one direction: a reverse layer has its own end, at the first input."
        refuse("module.bidirectional", True, "False", remedy)
    cell = next(iter(network.layers)).network.cell
    depth, d, n = network.depth, len(cell.state_names), network.n
    signal = np.asarray(as_parameter("inputs", inputs))
    if signal.ndim != 2 or signal.shape[1] != network.features or not len(signal):
        expected = f"(T, {network.features}): steps, features"
        refuse("inputs.shape", signal.shape, expected, "Pass one sequence, without a batch.")
    start = np.asarray(
        as_parameter("initial", np.zeros((depth, d, n)) if initial is None else initial)
    )
    if start.shape not in ((depth, d, n), (d, n)[: 2 * (depth == 1)]):
        expected = f"({depth}, {d}, {n}): layers, components, units"
        refuse("initial.shape", start.shape, expected, "One state for each layer.")
    seed, steps = check_seed(seed), len(signal)
    saved = saved_steps(steps, save_every)
    vectors, weights = readout_vectors(terminal, cell.state_names, n, readouts, seed)
    torch: Any = sys.modules["torch"]
    bar = progress_bar("torch_gradients", steps * (1 + len(vectors)), progress)
    # Whether the caller records or not: nothing of it reaches the caller's tensors.
    with bar, torch.inference_mode(False), torch.enable_grad():
        run = _Run(network, module, signal, start.reshape(depth, d, n))
        bar.update(steps)
        totals = _Totals(keep_gradients)
        for vector in vectors:
            totals.add(*run.pull_back(vector))
            bar.update(steps)
    names = tuple(prefix + name for prefix in _prefixes(depth) for name in cell.state_names)
    squares = totals.squares[::-1] / len(vectors)
    mean_squares = {name: np.asarray(each / len(vectors)) for name, each in totals.variance.items()}
    losses = np.einsum("rdn,dn->r", vectors, run.final)
    named = (*mean_squares.values(), *totals.shared.values())
    finite = all(np.all(np.isfinite(each)) for each in (squares, losses, *named))
    status = Status.OK if finite else Status.DIVERGED
    if throw and status is not Status.OK:
        raise NumericalFailureError(
            "torch_gradients left the finite numbers. Shorten the sequence, or use float64; "
            "throw=False returns what was found."
        )
    settings = {
        "module": repr(module),
        "n": n,
        "horizon": steps,
        "terminal": weights,
        "readouts": len(vectors),
        "seed": seed,
        "dtype": str(network.dtype),
    }
    return NetworkGradients(
        times=saved.astype(np.float64),
        adjoint_variance={name: squares[saved, c] for c, name in enumerate(names)},
        gradient_variance=mean_squares,
        shared_gradient_variance={
            name: np.asarray(each / len(vectors)) for name, each in totals.shared.items()
        },
        losses=losses,
        initial_adjoint=np.stack(totals.initial),
        coupling_gradients={n: np.stack(v) for n, v in totals.kept.items() if v[0].ndim == 2},
        parameter_gradients={n: np.stack(v) for n, v in totals.kept.items() if v[0].ndim == 1},
        component_names=names,
        loss="readout",
        is_map=True,
        dt=1.0,
        method="map",
        settings=tuple(settings.items()),
        status=status,
    )


def _prefixes(depth: int) -> list[str]:
    return [""] if depth == 1 else [f"layer{level}." for level in range(depth)]


class _Totals:
    """Sums over readouts of mean squares, and the gradients where they are kept."""

    def __init__(self, keep: bool):
        self.keep, self.squares = keep, np.zeros(())
        self.variance: dict[str, HostArray] = {}
        self.shared: dict[str, HostArray] = {}
        self.kept: dict[str, list[HostArray]] = {}
        self.initial: list[HostArray] = []

    def add(self, adjoint: HostArray, gradients: dict[str, HostArray]) -> None:
        """Add a readout's adjoint (time, layers d, N) and gradients."""
        self.squares = self.squares + np.mean(adjoint**2, axis=-1)
        self.initial.append(adjoint[0])
        for name, values in gradients.items():
            self.variance[name] = np.asarray(self.variance.get(name, 0.0) + np.mean(values**2))
            if values.ndim == 1:
                shared = np.sum(values) ** 2 / len(values)
                self.shared[name] = np.asarray(self.shared.get(name, 0.0) + shared)
            if self.keep:
                self.kept.setdefault(name, []).append(values)


class _Run:
    """A copy of a module, run step by step so that each state can be differentiated by."""

    def __init__(self, network: LayeredNetwork, module: Any, signal: HostArray, start: HostArray):
        torch: Any = sys.modules["torch"]
        self.torch, self.network = torch, network
        self.kind = next(kind for kind in ROWS if isinstance(module, getattr(torch.nn, kind)))
        self.dtype = getattr(torch, str(network.dtype))
        options = {"nonlinearity": module.nonlinearity} if self.kind == "RNN" else {}
        # Built without values, so that the user's random numbers stay what they are.
        self.copy = getattr(torch.nn, self.kind)(
            network.features, network.n, network.depth, dtype=self.dtype, device="meta", **options
        ).to_empty(device="cpu")
        with torch.no_grad():
            for name, weight in self.copy.named_parameters():
                # A module without biases is one whose biases are zero.
                given = getattr(module, name) if module.bias or "weight" in name else 0.0
                weight.copy_(torch.as_tensor(given))
        steps = torch.as_tensor(signal, dtype=self.dtype)
        states = [torch.tensor(start, dtype=self.dtype).transpose(0, 1)]  # (d, layers, N)
        states[0].requires_grad_()
        for step in steps:
            parts = tuple(part.contiguous() for part in states[-1].unbind(0))
            _, last = self.copy(step[None], parts if self.kind == "LSTM" else parts[0])
            states.append(torch.stack(last if isinstance(last, tuple) else (last,)))
        self.states = states

    @property
    def final(self) -> HostArray:
        """The last layer's state at the end, (d, N)."""
        return self.states[-1][:, -1].detach().double().numpy()

    def pull_back(self, vector: HostArray) -> tuple[HostArray, dict[str, HostArray]]:
        """Return the adjoint (time, layers d, N) and the gradients by name of one readout."""
        torch = self.torch
        readout = torch.as_tensor(vector, dtype=self.dtype)
        weights = dict(self.copy.named_parameters())
        loss = torch.sum(readout * self.states[-1][:, -1])
        found = torch.autograd.grad(loss, [*self.states, *weights.values()], retain_graph=True)
        count = len(self.states)
        adjoint = torch.stack(found[:count]).transpose(1, 2).flatten(1, 2).double().numpy()
        by_weight = {
            name: gradient.double().numpy()
            for name, gradient in zip(weights, found[count:], strict=True)
        }
        named: dict[str, HostArray] = {}
        for level, prefix in enumerate(_prefixes(self.network.depth)):
            own = {part: by_weight[f"{part}_l{level}"] for part in _PARTS}
            named |= {prefix + name: each for name, each in self._by_name(level, own).items()}
        return adjoint, named

    def _by_name(self, level: int, own: dict[str, HostArray]) -> dict[str, HostArray]:
        """Return a layer's gradients under the names of its cell."""
        fields = ROWS[self.kind]
        split = {
            part: dict(zip(fields, np.split(array, len(fields)), strict=True))
            for part, array in own.items()
        }
        network = self.network.layers[level].network
        named = {f"J_{name}": split["weight_hh"][name] for name in fields}
        for name in fields:
            gain = "gain" if self.kind == "RNN" else f"gain_{name}"
            size = float(network.cell.gains()[name])
            # Zero couplings do not tell in which direction a gain would scale them.
            if size > 0:
                rows = np.sum(named[f"J_{name}"] * network.coupling(name), axis=1)
                named[gain] = rows / size
            bias = "bias" if self.kind == "RNN" else f"bias_{name}"
            named[bias] = split["bias_ih"][name]
        if self.kind == "GRU":
            named["bias_hn"] = split["bias_hh"]["n"]
        return named
