"""Modules of PyTorch for the tests of initialisers, and the Jacobian of one step of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch")
# Small matrices: threads of several test processes would wait for each other.
torch.set_num_threads(1)

KINDS = ("RNN", "GRU", "LSTM")
ORDER = {"RNN": "h", "GRU": "rzn", "LSTM": "ifgo"}


def made(kind, n, features=3, **options):
    """Return a layer in double precision."""
    return getattr(torch.nn, kind)(features, n, **{"dtype": torch.float64, **options})


def generator(seed):
    """Return a generator of PyTorch."""
    return torch.Generator().manual_seed(seed)


def step_jacobian(module, state=None, x=None):
    """Return the derivative of a layer's next state by its state, both (d N,), h before c."""
    n, lstm = module.hidden_size, isinstance(module, torch.nn.LSTM)
    size = (1 + lstm) * n
    start = torch.zeros(size) if state is None else state
    x = torch.zeros(module.input_size) if x is None else x
    # One copy of the state for each row of the Jacobian, as a batch: a single backward pass.
    start = start.to(module.weight_hh_l0).expand(size, size).clone().requires_grad_()
    x = x.to(start).expand(1, size, -1)
    parts = tuple(part.contiguous()[None] for part in start.split(n, dim=1))
    last = module(x, parts if lstm else parts[0])[1]
    ends = torch.cat([part[0] for part in last], dim=1) if lstm else last[0]
    return torch.autograd.grad(ends, start, torch.eye(size, dtype=ends.dtype))[0].numpy()


def radius(module, state=None, x=None):
    """Return the spectral radius of the module's own Jacobian, by default at the zero state."""
    return np.max(np.abs(np.linalg.eigvals(step_jacobian(module, state, x))))
