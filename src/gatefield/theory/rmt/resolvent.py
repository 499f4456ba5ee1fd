"""The resolvent of a large random Jacobian, inside and outside the support."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gatefield.core.types import Bool, Complex, Float, HostArray
from gatefield.theory.rmt.born import solve_born
from gatefield.theory.rmt.ensemble import UnitEnsemble
from gatefield.theory.rmt.response import second_moments
from gatefield.theory.rmt.support import field_groups, perron

ACCURATE = 1e-8
"""Residual of the Born equations from which on a point counts as solved."""

_OFF_POLES = 1e-6  # relative: nearer to a unit's own eigenvalue rounding errors show
_CHUNK = 256


class Resolvent(NamedTuple):
    """Resolvent g, density and residual at P points, and which of them are in the support."""

    resolvent: Complex[HostArray, " point"]
    density: Float[HostArray, " point"]
    residual: Float[HostArray, " point"]
    inside: Bool[HostArray, " point"]


class ResolventSolver:
    """Solves the Born equations of one ensemble of units, at any points.

    Parameters
    ----------
    ensemble
        The units. What does not depend on the point is prepared once.
    """

    def __init__(self, ensemble: UnitEnsemble) -> None:
        response = ensemble.response()
        self.components = ensemble.components
        self.parts = [response.restricted(group) for group in field_groups(response)]
        poles = response.poles()
        weights = np.broadcast_to(response.weights, poles.shape)
        self.poles, which = np.unique(poles.ravel(), return_inverse=True)
        """Distinct eigenvalues of the units' A ..."""
        self.pole_weights = np.bincount(which.ravel(), weights.ravel())
        """... and the sum of the weights of the units that have each."""

    def __call__(self, points: Complex[HostArray, " point"]) -> Resolvent:
        """Return resolvent, density, residual and membership at complex points (P,)."""
        points, resolvent = self._own_trace(points)
        density, residual = np.zeros(points.size), np.zeros(points.size)
        inside = np.zeros(points.size, bool)
        for part in self.parts:
            found = perron(second_moments(part, points))
            within = found.radius > 1
            inside |= within
            if not within.any():
                continue
            left, right, radius = (each[within] for each in (found.left, found.right, found.radius))
            born = solve_born(part, points[within], left, right, radius)
            resolvent[within] += born.resolvent
            density[within] += born.density
            residual[within] = np.maximum(residual[within], born.residual)
        return Resolvent(resolvent / self.components, density / self.components, residual, inside)

    def _own_trace(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points, moved off the units' eigenvalues, and <tr (lambda - A)^-1> there."""
        size = np.abs(self.poles)
        size = _OFF_POLES * np.where(size > 0, size, np.max(size) or 1.0)
        moved, trace = points.copy(), np.empty(points.size, complex)
        for start in range(0, points.size, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            near = np.abs(points[chunk, None] - self.poles) < size
            moved[chunk] += (1 + 1j) * np.max(near * size, axis=1)
            trace[chunk] = (self.pole_weights / (moved[chunk, None] - self.poles)).sum(axis=1)
        return moved, trace
