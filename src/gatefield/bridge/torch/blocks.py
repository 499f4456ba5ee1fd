"""The recurrent layers of a module of PyTorch: what they have room for, and views to write by."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from gatefield.bridge.drawn import Slots, Weights, biases_of
from gatefield.bridge.weights import ROWS, Shape
from gatefield.core.checks import check_count
from gatefield.core.errors import refuse

GATED = "gatefield.bridge.torch.gated"
_RESET = {"reset": "after"}  # after the product, as PyTorch does
_GATED_NUMBERS = ("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r")


class Block(NamedTuple):
    """One layer in one direction: what it has room for, and views into the module's own tensors.

    ``couplings`` and ``inputs`` are by field, ``parameters`` by the cell's parameter (empty without
    biases); ``zeroed`` are PyTorch's second biases.
    """

    slots: Slots
    couplings: Mapping[str, Any]
    inputs: Mapping[str, Any]
    parameters: Mapping[str, Any]
    zeroed: tuple[Any, ...]


def torch_of(module: Any) -> Any:
    """Return torch, which whoever passes a module has imported."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        refuse("module", f"a {type(module).__name__}", "a torch.nn.Module", "Build one first.")
    return torch


def blocks_of(module: Any, layers: Any = None) -> list[Block]:
    """Return the blocks of a module, in the order of PyTorch's h_n.

    Parameters
    ----------
    module
        A torch.nn.RNN, GRU or LSTM, one of their cells, or `gatefield.bridge.torch.GatedRNN`.
    layers
        A depth or several, from 0; by default all.

    Raises
    ------
    InvalidInputError
        For other modules, projections, weights that are computed (parametrised), on no device or
        not real, and depths that the module does not have.
    """
    torch = torch_of(module)
    kind, single = _kind_of(module, torch)
    if kind == "gated":
        weights = [f"{part}_{field}" for part in "JW" for field in "hzr"]
        _check_weights(module, weights + list(_GATED_NUMBERS), torch)
        found = [_gated(module)]
    else:
        if getattr(module, "proj_size", 0):
            remedy = "Train without projections: their output is no state of the units."
            refuse("module.proj_size", module.proj_size, "0", remedy)
        depth = 1 if single else module.num_layers
        shape = Shape(depth, not single and module.bidirectional, bool(module.bias))
        suffixes = [(0, False, "")] if single else shape.suffixes()
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if shape.bias else 2]
        _check_weights(module, [part + end for _, _, end in suffixes for part in parts], torch)
        found = [_block(module, kind, shape.bias, *place) for place in suffixes]
    return found if layers is None else _chosen(found, layers)


def _chosen(found: list[Block], layers: Any) -> list[Block]:
    wanted = {
        check_count("layers", depth, at_least=0)
        for depth in (layers if isinstance(layers, (list, tuple, set, range)) else [layers])
    }
    depths = {block.slots.depth for block in found}
    if not wanted or not wanted <= depths:
        refuse("layers", layers, f"depths among {sorted(depths)}", "They count from 0.")
    return [block for block in found if block.slots.depth in wanted]


def write_(blocks: list[Block], drawn: list[Weights], torch: Any) -> None:
    """Write weights into the module's tensors, in their own precision and on their own device."""
    with torch.no_grad():
        for block, weights in zip(blocks, drawn, strict=True):
            for views, values in (
                (block.couplings, weights.couplings),
                (block.inputs, weights.inputs),
                (block.parameters, weights.parameters),
            ):
                for name, tensor in views.items():
                    tensor.copy_(torch.tensor(values[name]))
            for tensor in block.zeroed:
                tensor.zero_()


def _kind_of(module: Any, torch: Any) -> tuple[str, bool]:
    """Return the kind of cell, and whether the module is one of PyTorch's single cells."""
    for kind in ROWS:
        if isinstance(module, getattr(torch.nn, kind)):
            return kind, False
        if isinstance(module, getattr(torch.nn, f"{kind}Cell")):
            return kind, True
    gated = sys.modules.get(GATED)
    if gated is not None and isinstance(module, gated.GatedRNN):
        return "gated", False
    known = tuple(getattr(torch.nn, kind + end) for kind in ROWS for end in ("", "Cell"))
    known += () if gated is None else (gated.GatedRNN,)
    parts = [name for name, part in module.named_modules() if isinstance(part, known)]
    remedy = f"Pass one of its parts: {', '.join(parts)}." if parts else "Other cells are unknown."
    expected = "an nn.RNN, nn.GRU or nn.LSTM, one of their cells, or a GatedRNN of gatefield"
    refuse("module", f"a {type(module).__name__}", expected, remedy)


def _check_weights(module: Any, names: list[str], torch: Any) -> None:
    for name in names:
        tensor = module._parameters.get(name)
        if not isinstance(tensor, torch.nn.Parameter):
            remedy = (
                "Initialise it before it is parametrised, or remove the parametrisation "
                "(torch.nn.utils.parametrize.remove_parametrizations)."
            )
            refuse(f"module.{name}", "computed from other parameters", "a parameter", remedy)
        if tensor.is_meta or not tensor.is_floating_point():
            remedy = "Give it memory by module.to_empty(device=...), then initialise it."
            refuse(f"module.{name}", f"{tensor.dtype} on {tensor.device}", "real numbers", remedy)


def _block(module: Any, kind: str, bias: bool, depth: int, reverse: bool, end: str) -> Block:
    fields = ROWS[kind]
    recurrent, received = (getattr(module, part + end) for part in ("weight_hh", "weight_ih"))
    n, features = recurrent.shape[1], received.shape[1]

    def rows(tensor: Any) -> dict[str, Any]:
        return {field: tensor[k * n : (k + 1) * n] for k, field in enumerate(fields)}

    parameters, zeroed = {}, []
    if bias:
        first, second = (rows(getattr(module, part + end)) for part in ("bias_ih", "bias_hh"))
        names = biases_of(kind)
        parameters = {names[field]: first[field] for field in fields}
        if kind == "GRU":
            # The one second bias that is no mere summand: the reset gate multiplies it.
            parameters["bias_hn"] = second.pop("n")
        zeroed = list(second.values())
    fixed = _RESET if kind == "GRU" else {}
    if kind == "RNN":
        fixed = {"activation": module.nonlinearity}
    slots = _slots(kind, n, features, parameters, fixed)
    name = f"layer {depth}" + ", reverse" * reverse
    return Block(
        slots=slots._replace(name=name, depth=depth),
        couplings=rows(recurrent),
        inputs=rows(received),
        parameters=parameters,
        zeroed=tuple(zeroed),
    )


def _gated(module: Any) -> Block:
    times = {name: getattr(module, name) for name in ("tau_z", "tau_r")}
    parameters = {name: getattr(module, name) for name in _GATED_NUMBERS} | times
    fixed = {"input_gating": module.input_gating}
    slots = _slots("gated", module.hidden_size, module.input_size, parameters, fixed)
    kept = {name: float(time) for name, time in times.items()}
    return Block(
        slots=slots._replace(name="the gated RNN", kept=kept, dt=module.dt),
        couplings={field: getattr(module, f"J_{field}") for field in "hzr"},
        inputs={field: getattr(module, f"W_{field}") for field in "hzr"},
        parameters=parameters,
        zeroed=(),
    )


def _slots(
    kind: str, n: int, features: int, parameters: Mapping[str, Any], fixed: Mapping[str, Any]
) -> Slots:
    return Slots(
        kind=kind,
        units=n,
        features=features,
        parameters={name: tuple(tensor.shape) for name, tensor in parameters.items()},
        without="Build the module with bias=True, which this initialisation needs.",
        fixed=fixed,
        kept={},
        own_variance=1 / (3 * n),
        own_law="uniform",
    )
