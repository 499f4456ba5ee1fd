"""Cells whose fixed points are known, and how points are compared."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from lone_cells import Lone

QUIET: dict[str, Any] = {"progress": False}
# Rounding of sums of tens of terms of order one, over eigenvalues of the Jacobian above 0.01.
EXACT = 1e-12


class DoubleWell(Lone):
    """dx/dt = x - x^3 + I."""

    def rule(self, state, fields, drive):
        return {"x": state["x"] - state["x"] ** 3 + drive["x"]}


class Ghost(Lone):
    """dx/dt = mu + x^2: beside a saddle-node bifurcation, without fixed points for mu > 0."""

    mu: Any = 1e-3

    def rule(self, state, fields, drive):
        return {"x": self.mu + state["x"] ** 2}


class Twisted(Lone):
    """Two components; fixed points at x = 0, +-2 with y = 3 x, one of them a spiral."""

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")

    def rule(self, state, fields, drive):
        x, y = state["x"], state["y"]
        return {"x": y - 3.0 * x + x * (4.0 - x * x), "y": 3.0 * x - y}


def rows_of(points: Any) -> np.ndarray:
    """Return points as rows, sorted by their numbers (rounded, so that rounding sorts nothing)."""
    flat = np.asarray(points).reshape(len(points), -1)
    return flat[np.lexsort(np.round(flat, 6).T)]


class Receding(Lone):
    """dx/dt = exp(-x): the speed falls to zero where there is no fixed point."""

    def rule(self, state, fields, drive):
        return {"x": jnp.exp(-state["x"])}
