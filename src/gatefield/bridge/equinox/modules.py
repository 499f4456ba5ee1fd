"""The modules of Equinox: what they have room for, and the same modules with other weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.bridge.drawn import Slots, Weights, biases_of
from gatefield.bridge.equinox.gated import PARAMETERS, GatedRNN
from gatefield.bridge.weights import ROWS
from gatefield.core.errors import refuse

CLASSES: dict[type, str] = {eqx.nn.GRUCell: "GRU", eqx.nn.LSTMCell: "LSTM", GatedRNN: "gated"}
"""The kind of each class of module that is known."""


def slots_of(module: Any) -> Slots:
    """Return what a module has room for.

    Raises
    ------
    InvalidInputError
        For other modules, and weights that are missing, stacked or not real.
    """
    kind = _kind_of(module)
    n, features = module.hidden_size, module.input_size
    if kind == "gated":
        parameters = {name: () if name[:4] != "beta" else (n,) for name in PARAMETERS}
        names = [f"{part}_{field}" for part in "JW" for field in "hzr"]
        shapes = {name: (n, n if name[0] == "J" else features) for name in names}
        shapes |= parameters
        parameters |= {"tau_z": (), "tau_r": ()}
        fixed = {"input_gating": module.input_gating}
        kept = {"tau_z": module.tau_z, "tau_r": module.tau_r}
    else:
        fields = ROWS[kind]
        rows = len(fields) * n
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, features), "weight_hh": (rows, n)}
        parameters = {}
        if module.use_bias:
            parameters = dict.fromkeys(biases_of(kind).values(), (n,))
            shapes["bias"] = (rows,)
            if kind == "GRU":
                parameters["bias_hn"] = shapes["bias_n"] = (n,)
        fixed = {"reset": "after"} if kind == "GRU" else {}
        kept = {}
    for name, shape in shapes.items():
        _check_array(name, getattr(module, name), shape)
    return Slots(
        kind=kind,
        units=n,
        features=features,
        parameters=parameters,
        without="Build the module with use_bias=True, which this initialisation needs.",
        fixed=fixed,
        kept=kept,
        own_variance=1 / (3 * n),
        own_law="uniform",
        dt=module.dt if kind == "gated" else 1.0,
    )


def with_weights(module: Any, slots: Slots, drawn: Weights) -> Any:
    """Return the module with other weights, in its own precision and on its own device."""
    new: dict[str, Any] = {}
    if slots.kind == "gated":
        new |= {f"J_{field}": matrix for field, matrix in drawn.couplings.items()}
        new |= {f"W_{field}": matrix for field, matrix in drawn.inputs.items()}
        new |= {name: drawn.parameters[name] for name in PARAMETERS}
        module = _with_time_constants(module, drawn)
    else:
        fields = ROWS[slots.kind]
        new["weight_hh"] = np.concatenate([drawn.couplings[field] for field in fields])
        new["weight_ih"] = np.concatenate([drawn.inputs[field] for field in fields])
        if drawn.parameters:
            names = biases_of(slots.kind)
            biases = [drawn.parameters[names[field]] for field in fields]
            new["bias"] = np.concatenate(biases)
            if slots.kind == "GRU":
                new["bias_n"] = drawn.parameters["bias_hn"]
    return _replaced(module, new)


def _with_time_constants(module: GatedRNN, drawn: Weights) -> GatedRNN:
    # They are no leaves of the tree: a new module takes them.
    with jax.enable_x64(True):
        return GatedRNN(
            module.input_size,
            module.hidden_size,
            dt=module.dt,
            tau_z=drawn.parameters["tau_z"].item(),
            tau_r=drawn.parameters["tau_r"].item(),
            input_gating=module.input_gating,
            dtype=module.J_h.dtype,
            key=jax.random.key(0),
        )


def _replaced(module: Any, new: Mapping[str, Any]) -> Any:
    # Outside of this context JAX would round what goes into a module of double precision.
    with jax.enable_x64(True):
        values = [jnp.asarray(value, getattr(module, name).dtype) for name, value in new.items()]
        return eqx.tree_at(lambda tree: [getattr(tree, name) for name in new], module, values)


def _kind_of(module: Any) -> str:
    for known, kind in CLASSES.items():
        if isinstance(module, known):
            return kind
    remedy = "Other cells are unknown."
    if isinstance(module, eqx.Module):
        known = tuple(CLASSES)
        leaves = jax.tree_util.tree_leaves_with_path(
            module, is_leaf=lambda part: isinstance(part, known)
        )
        parts = [jax.tree_util.keystr(path) for path, part in leaves if isinstance(part, known)]
        if parts:
            remedy = f"Pass one of its parts: {', '.join(f'module{part}' for part in parts)}."
    expected = "an equinox.nn.GRUCell, equinox.nn.LSTMCell or GatedRNN of gatefield"
    refuse("module", f"a {type(module).__name__}", expected, remedy)


def _check_array(name: str, value: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(value, (jax.Array, np.ndarray)):
        remedy = "Build the module with its weights."
        refuse(f"module.{name}", f"a {type(value).__name__}", "an array", remedy)
    if value.shape != shape:
        remedy = "Of a stack of modules take one by jax.tree.map(lambda x: x[0], ...)."
        refuse(f"module.{name}.shape", value.shape, f"{shape}", remedy)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        refuse(f"module.{name}.dtype", value.dtype, "real numbers", "Other units are not known.")
