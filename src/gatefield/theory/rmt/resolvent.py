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
_NEXT_TO_POLES = 1e-10  # where couplings are so weak that their support is smaller still
_EDGE = 1e-10  # this close to the edge nothing is left of the density's digits
_SAME = 44  # bits in which poles agree that are one
_ATOM_RADIUS, _ATOM_POINTS, _ATOMS = 1e-5, 16, 16
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
        self.largest_weight = float(response.weights.max())
        self.poles, which = np.unique(_rounded(poles.ravel()), return_inverse=True)
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
            within = found.radius > 1 + _EDGE
            inside |= within
            if not within.any():
                continue
            left, right, radius = (each[within] for each in (found.left, found.right, found.radius))
            born = solve_born(part, points[within], left, right, radius)
            resolvent[within] += born.resolvent
            density[within] += born.density
            residual[within] = np.maximum(residual[within], born.residual)
        return Resolvent(resolvent / self.components, density / self.components, residual, inside)

    def atoms(self) -> tuple[Complex[HostArray, " atom"], Float[HostArray, " atom"]]:
        """Return points at which a fraction of the eigenvalues sits exactly, and that fraction."""
        most = np.argsort(-self.pole_weights)[:_ATOMS]
        several = self.pole_weights[most] > 1.5 * self.largest_weight
        most = most[several] if self.poles.size > 1 else most
        places = self.poles[most]
        arms = np.exp(2j * np.pi * (np.arange(_ATOM_POINTS) + 0.5) / _ATOM_POINTS)
        arms = _ATOM_RADIUS * self._sizes()[most, None] * arms
        found = self((places[:, None] + arms).ravel())
        enclosed = np.mean(found.resolvent.reshape(arms.shape) * arms, axis=1).real
        # What is spread smoothly over the small disc is no atom.
        spread = (
            np.mean(found.density.reshape(arms.shape), axis=1) * np.pi * np.abs(arms[:, 0]) ** 2
        )
        masses = enclosed - spread
        real = masses > 1e-3 * self.largest_weight / self.components
        return places[real], masses[real]

    def _sizes(self) -> np.ndarray:
        size = np.abs(self.poles)
        return np.where(size > 0, size, np.max(size) or 1.0)

    def _own_trace(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points, moved off the units' eigenvalues, and <tr (lambda - A)^-1> there."""
        size = self._sizes()
        moved, trace = points.copy(), np.empty(points.size, complex)
        for start in range(0, points.size, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            near = np.abs(points[chunk, None] - self.poles) < _OFF_POLES * size
            step = (1 + 1j) * np.max(near * size, axis=1)
            moved[chunk] += _OFF_POLES * step
            lost = np.flatnonzero(step)
            if lost.size:
                beside = points[chunk][lost] + _NEXT_TO_POLES * step[lost]
                outside = ~self._inside(moved[chunk][lost]) & self._inside(beside)
                moved[chunk][lost[outside]] = beside[outside]
            trace[chunk] = (self.pole_weights / (moved[chunk, None] - self.poles)).sum(axis=1)
        return moved, trace

    def _inside(self, points: np.ndarray) -> np.ndarray:
        inside = np.zeros(points.size, bool)
        for part in self.parts:
            inside |= perron(second_moments(part, points)).radius > 1
        return inside


def _rounded(poles: np.ndarray) -> np.ndarray:
    """Return complex numbers without their last bits, so that equal ones are."""
    exponent = np.frexp(np.abs(poles))[1]
    parts = [
        np.ldexp(np.round(np.ldexp(x, _SAME - exponent)), exponent - _SAME)
        for x in (poles.real, poles.imag)
    ]
    return parts[0] + 1j * parts[1]
