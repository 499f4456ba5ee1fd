"""Comparisons of gradients made by hand: theory in closed form, networks as the test gives them."""

from __future__ import annotations

from typing import Any

import numpy as np

import gatefield as gf
from gatefield.compare import GradientComparison
from gatefield.theory.adjoint import AdjointMeanField, solve_adjoint


def resting_theory(horizon: float = 10.0, gain: float = 1.5) -> AdjointMeanField:
    """Return the adjoint at the gated RNN's zero state, where theory is a Bessel function."""
    return solve_adjoint(gf.solve_static(gf.GatedRNN(gain))[0], horizon)


def compared(theory: AdjointMeanField, factors: Any, *, sizes: Any = (100,), **changed: Any):
    """Return a comparison in which networks have theory's values times (size, network) factors."""
    factors = np.asarray(factors, float)
    shape = factors.shape
    fields: dict[str, Any] = {
        "times": theory.times,
        "adjoint": {
            name: factors[..., None] * row for name, row in theory.adjoint_variance.items()
        },
        "gradients": {name: factors * row for name, row in theory.gradient_variance.items()},
        "before": np.zeros(shape),
        "after": np.zeros(shape),
        "moved": np.zeros(shape),
        "belongs": np.ones(shape, bool),
        "sizes": np.array(sizes),
        "at": np.array([theory.horizon]),
        "limit": np.array(-0.25),
        "limit_error": np.array(0.0),
        "rests": True,
        "theory": theory,
        "settings": (),
    }
    return GradientComparison(**{**fields, **changed})
