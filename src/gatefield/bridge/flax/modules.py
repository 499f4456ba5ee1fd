"""The modules of Flax nnx: what they have room for, and weights written into them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.bridge.drawn import Slots, Weights, biases_of
from gatefield.bridge.weights import ROWS
from gatefield.core.errors import refuse
from gatefield.core.types import HostArray

CLASSES = {"SimpleCell": "RNN", "GRUCell": "GRU", "LSTMCell": "LSTM", "OptimizedLSTMCell": "LSTM"}
"""The kind of each class of flax.nnx that is known."""

_POINTS = np.array([-3.0, -1.0, -0.2, 0.0, 0.4, 1.5, 4.0], np.float32)
_ROUNDING = 1e-5  # of functions in single precision, whose values are below 5


class Places(NamedTuple):
    """Where a cell of Flax keeps its weights: variables, each with the fields that it stacks.

    Flax multiplies from the left, x W: kernels are (in, fields N), the transposes of couplings.
    """

    couplings: tuple[tuple[Any, tuple[str, ...]], ...]
    inputs: tuple[tuple[Any, tuple[str, ...]], ...]
    biases: tuple[tuple[Any, tuple[str, ...]], ...]


def key_of(key: Any, rngs: Any) -> Any:
    """Return the key that was given, or the next one of nnx.Rngs (or of one of its streams)."""
    if (key is None) == (rngs is None):
        given = "neither" if key is None else "both"
        refuse("key and rngs", given, "one of the two", "Pass rngs=nnx.Rngs(0).")
    if rngs is None:
        return key
    nnx: Any = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(rngs, nnx.Rngs):
        return rngs.params()
    if nnx is not None and isinstance(rngs, nnx.RngStream):
        return rngs()
    refuse("rngs", f"a {type(rngs).__name__}", "flax.nnx.Rngs", "Pass rngs=nnx.Rngs(0).")


def cell_of(module: Any) -> tuple[Any, str]:
    """Return the cell that a module is or runs, and its kind."""
    nnx: Any = sys.modules.get("flax.nnx")
    known = () if nnx is None else tuple(getattr(nnx, name) for name in CLASSES)
    inner = module.cell if nnx is not None and isinstance(module, nnx.RNN) else module
    for each, kind in zip(known, CLASSES.values(), strict=bool(known)):
        if isinstance(inner, each):
            return inner, kind
    parts = []
    if nnx is not None and isinstance(inner, nnx.Module):
        found = [(path, part) for path, part in nnx.iter_graph(inner) if isinstance(part, known)]
        parts = [".".join(["module", *map(str, path)]) for path, _ in found]
    remedy = f"Pass one of its parts: {', '.join(parts)}." if parts else "Other cells are unknown."
    expected = f"a flax.nnx.{', '.join(CLASSES)}, or an RNN of one"
    refuse("module", f"a {type(inner).__name__}", expected, remedy)


def slots_of(module: Any) -> Slots:
    """Return what a module has room for.

    Raises
    ------
    InvalidInputError
        For other modules, other functions than the sigmoid and tanh, a residual connection, and
        weights that are missing or not real.
    """
    cell, kind = cell_of(module)
    fixed = {"reset": "after"} if kind == "GRU" else {}
    if kind == "RNN":
        if cell.residual:
            remedy = "No cell of gatefield adds the state inside its function."
            refuse("module.residual", True, "False", remedy)
        options = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}
        fixed["activation"] = _function("activation_fn", cell.activation_fn, options)
    else:
        _function("activation_fn", cell.activation_fn, {"tanh": np.tanh})
        _function("gate_fn", cell.gate_fn, {"sigmoid": lambda x: 1 / (1 + np.exp(-x))})
    n, features = cell.hidden_features, cell.in_features
    places = places_of(cell, kind)
    for part, ahead in (("couplings", (n,)), ("inputs", (features,)), ("biases", ())):
        for variable, fields in getattr(places, part):
            _check_array(part, variable, (*ahead, len(fields) * n))
    return Slots(
        kind=kind,
        units=n,
        features=features,
        parameters=dict.fromkeys(biases_of(kind).values(), (n,)),
        without="Flax's GRUCell multiplies no bias by its reset gate: leave bias_hn at zero.",
        fixed=fixed,
        kept={},
        own_variance=1 / features,
        own_law="normal",
    )


def places_of(cell: Any, kind: str) -> Places:
    """Return the variables of a cell of Flax."""
    fields = ROWS[kind]
    if hasattr(cell, "dense_h"):
        # The LSTM has its bias beside the couplings, the others beside the input weights.
        biased = cell.dense_h if kind == "LSTM" else cell.dense_i
        return Places(
            ((cell.dense_h.kernel, fields),),
            ((cell.dense_i.kernel, fields),),
            ((biased.bias, fields),),
        )
    recurrent = {field: getattr(cell, f"h{field}") for field in fields}
    received = {field: getattr(cell, "if_" if field == "f" else f"i{field}") for field in fields}
    return Places(
        tuple((part.kernel, (field,)) for field, part in recurrent.items()),
        tuple((part.kernel, (field,)) for field, part in received.items()),
        tuple((part.bias, (field,)) for field, part in recurrent.items()),
    )


def write_(module: Any, drawn: Weights) -> Any:
    """Write weights into a module, in its own precision, and return it."""
    cell, kind = cell_of(module)
    places = places_of(cell, kind)
    names = biases_of(kind)
    new: list[tuple[Any, HostArray]] = []
    for part, source in ((places.couplings, drawn.couplings), (places.inputs, drawn.inputs)):
        for variable, fields in part:
            new.append((variable, np.concatenate([source[a] for a in fields]).T))
    for variable, fields in places.biases:
        new.append((variable, np.concatenate([drawn.parameters[names[a]] for a in fields])))
    # Outside of this context JAX would round what goes into a module of double precision.
    with jax.enable_x64(True):
        for variable, value in new:
            variable[...] = jnp.asarray(value, variable.dtype)
    return module


def _function(name: str, given: Any, options: dict[str, Callable[[Any], Any]]) -> str:
    """Return which function a module applies, by its values."""
    try:
        values = np.asarray(given(jnp.asarray(_POINTS)), np.float64)
    except (TypeError, ValueError):
        values = np.full(_POINTS.shape, np.nan)
    for label, known in options.items():
        same = values.shape == _POINTS.shape
        if same and np.allclose(values, known(_POINTS.astype(float)), rtol=0, atol=_ROUNDING):
            return label
    refuse(f"module.{name}", given, " or ".join(options), "Other functions have no cell here.")


def _check_array(name: str, variable: Any, shape: tuple[int, ...]) -> None:
    value = None if variable is None else variable.get_value()
    if not isinstance(value, (jax.Array, np.ndarray)):
        remedy = "Build the module with its weights."
        refuse(f"module's {name}", f"a {type(value).__name__}", "an array", remedy)
    if value.shape != shape:
        remedy = "Of a stack of modules pass one."
        refuse(f"shape of the module's {name}", value.shape, f"{shape}", remedy)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        refuse(f"dtype of the module's {name}", value.dtype, "real numbers", "Cast them.")
