"""Recurrent modules of PyTorch as networks; torch is not imported: who has a module has it."""

from __future__ import annotations

import sys
from typing import Any

from gatefield.bridge.weights import ROWS, Shape, layered_network
from gatefield.core.errors import refuse
from gatefield.networks import LayeredNetwork


def from_torch(module: Any, *, dtype: str | None = None) -> LayeredNetwork:
    r"""Return the layers of a torch.nn.RNN, torch.nn.GRU or torch.nn.LSTM.

    With the module's weights, for every layer and direction,

    .. math:: u^a = W_{hh}^a h, \qquad I^a(n) = W_{ih}^a x(n),

    and both bias vectors in the cell. Weights are copied: training on does not change the result.

    Parameters
    ----------
    module
        The module itself, not a model that contains it; one or more layers, in one direction or
        both, with biases or without.
    dtype
        "float64" or "float32"; by default that of a module in double precision is "float64", of any
        other "float32".

    Returns
    -------
    LayeredNetwork

    Raises
    ------
    InvalidInputError
        For other modules, an LSTM with projections, a module in training mode whose dropout acts,
        or weights that are not finite.

    Assumptions
    -----------
    The module computes what its class documents: hooks and overridden methods are not seen.

    References
    ----------
    The documentation of torch.nn.RNN, torch.nn.GRU and torch.nn.LSTM.
    """
    kind = _kind_of(module)
    if getattr(module, "proj_size", 0):
        remedy = "Train without projections: their output is no state of the units."
        refuse("module.proj_size", module.proj_size, "0", remedy)
    if module.training and module.dropout > 0 and module.num_layers > 1:
        remedy = "Call module.eval(), which switches it off, or set module.dropout = 0."
        refuse("module.dropout", module.dropout, "0 in training mode", remedy)
    shape = Shape(module.num_layers, module.bidirectional, module.bias)
    # By attribute, not by the state_dict: parametrised weights are computed when they are read.
    tensors = {name: getattr(module, name) for name in shape.names()}
    for name, tensor in tensors.items():
        if tensor.is_meta or not tensor.is_floating_point():
            remedy = "Load the trained weights first."
            refuse(f"module.{name}", f"{tensor.dtype} on {tensor.device}", "real numbers", remedy)
    double = any(tensor.element_size() == 8 for tensor in tensors.values())
    return layered_network(
        {name: tensor.detach().cpu().double().numpy() for name, tensor in tensors.items()},
        where="module",
        dtype=dtype if dtype is not None else "float64" if double else "float32",
        kind=kind,
        nonlinearity=module.nonlinearity if kind == "RNN" else None,
    )


def _kind_of(module: Any) -> str:
    torch: Any = sys.modules.get("torch")
    kinds = {} if torch is None else {kind: getattr(torch.nn, kind) for kind in ROWS}
    for kind, known in kinds.items():
        if isinstance(module, known):
            return kind
    parts = []
    if torch is not None and isinstance(module, torch.nn.Module):
        known = tuple(kinds.values())
        parts = [name for name, part in module.named_modules() if isinstance(part, known)]
    remedy = "Other cells are unknown."
    if parts:
        remedy = f"Pass one of its parts: {', '.join(parts)}."
    elif type(module).__module__ == "gatefield.bridge.torch.gated":
        remedy = "Call its method network()."
    expected = "a torch.nn.RNN, torch.nn.GRU or torch.nn.LSTM"
    refuse("module", f"a {type(module).__name__}", expected, remedy)
