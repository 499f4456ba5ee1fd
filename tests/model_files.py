"""Models in safetensors files, as ``gatefield lyapunov --model`` reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from safetensors.numpy import save_file

FEATURES, STEPS = 3, 200
ROWS = {"RNN": 1, "GRU": 3, "LSTM": 4}


def weights(kind, n=8, depth=1, both=False, scale=3.0, prefix="", dtype: Any = np.float64, seed=1):
    """Return random weights under PyTorch's names."""
    rng, named = np.random.default_rng(seed), {}
    for layer in range(depth):
        for suffix in ("", "_reverse")[: 1 + both]:
            columns = n * (1 + both) if layer else FEATURES
            parts = {"weight_ih": (columns,), "weight_hh": (n,), "bias_ih": (), "bias_hh": ()}
            for part, shape in parts.items():
                size = scale if part == "weight_hh" else 0.5
                array = size * rng.normal(size=(ROWS[kind] * n, *shape)) / np.sqrt(n)
                named[f"{prefix}{part}_l{layer}{suffix}"] = array.astype(dtype)
    return named


def linear(*recurrent):
    """Return layers without biases and with weights of these matrices, at rest on zero input."""
    named = {}
    for layer, matrix in enumerate(recurrent):
        features = len(matrix) if layer else FEATURES
        named[f"weight_ih_l{layer}"] = np.ones((len(matrix), features))
        named[f"weight_hh_l{layer}"] = np.asarray(matrix, float)
    return named


def saved(folder, arrays, name="model.safetensors") -> str:
    save_file(arrays, folder / name)
    return str(folder / name)
