"""The resolvent of a large random Jacobian, inside and outside the support."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gatefield.core.types import Bool, Complex, Float, HostArray
from gatefield.theory.rmt.born import solve_born
from gatefield.theory.rmt.ensemble import UnitEnsemble
from gatefield.theory.rmt.response import second_moments
from gatefield.theory.rmt.support import SupportFunction, field_groups, perron

ACCURATE = 1e-8
"""Residual of the Born equations from which on a point counts as solved."""

_OFF_POLES = 1e-6  # relative: nearer to a unit's own eigenvalue rounding errors show
_NEXT_TO_POLES = 1e-10  # where couplings are so weak that their support is smaller still
_HUGE = 1e11  # spectral radius of M
_EDGE = 1e-10  # this close to the edge nothing is left of the density's digits
_SAME = 44  # bits in which poles agree that are one
_ATOM_RADIUS, _SMALL_ATOM_RADIUS = 1e-5, 1e-9
_ATOM_POINTS, _ATOMS = 16, 16
_SLOWEST = 1e-100
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
        sizes = np.abs(self.poles)
        # Beside zero itself, the slowest rate sets the scale; below the smallest nothing is told.
        sizes = np.where(sizes > 0, sizes, np.min(sizes[sizes > 0], initial=np.inf))
        sizes = np.where(np.isinf(sizes), 1.0, sizes)
        several = (self.pole_weights > 1.5 * self.largest_weight) | (self.poles.size == 1)
        most = np.flatnonzero(several & (sizes > _SLOWEST))
        chosen: list[int] = []
        for index in most[np.argsort(-self.pole_weights[most])]:
            apart = np.abs(self.poles[chosen] - self.poles[index]) > 3 * _ATOM_RADIUS * sizes[index]
            if np.all(apart) and len(chosen) < _ATOMS:
                chosen.append(int(index))
        most, places = np.array(chosen, int), self.poles[chosen]
        turn = np.exp(2j * np.pi * (np.arange(_ATOM_POINTS) + 0.5) / _ATOM_POINTS)
        arms = sizes[most, None] * turn
        # A circle in the support; a smaller one where weak couplings spread less than that.
        wide, narrow = (
            np.any(
                self._radius((places[:, None] + radius * arms).ravel()).reshape(arms.shape) > 1, 1
            )
            for radius in (_ATOM_RADIUS, _SMALL_ATOM_RADIUS)
        )
        arms = arms * np.where(narrow & ~wide, _SMALL_ATOM_RADIUS, _ATOM_RADIUS)[:, None]
        found = self((places[:, None] + arms).ravel())
        enclosed = np.mean(found.resolvent.reshape(arms.shape) * arms, axis=1).real
        # What is spread smoothly over the small disc is no atom.
        area = np.pi * np.abs(arms[:, 0]) ** 2
        masses = enclosed - np.mean(found.density.reshape(arms.shape), axis=1) * area
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
            distance = np.abs(points[chunk, None] - self.poles)
            near = distance < _OFF_POLES * size
            lost = start + np.flatnonzero(near.any(axis=1))
            if lost.size:
                step = (1 + 1j) * np.max(near * size, axis=1)[lost - start]
                wide, narrow = (points[lost] + part * step for part in (_OFF_POLES, _NEXT_TO_POLES))
                # Digits are lost where the response is huge; weak couplings make it so later.
                weak = ~(self._radius(wide) > 1) & (self._radius(narrow) > 1)
                huge = ~(self._radius(points[lost]) < _HUGE)
                huge |= np.any(distance[lost - start] < 1e-12 * size, axis=1)
                moved[lost] = np.where(huge, np.where(weak, narrow, wide), points[lost])
            trace[chunk] = (self.pole_weights / (moved[chunk, None] - self.poles)).sum(axis=1)
        return moved, trace

    def _radius(self, points: np.ndarray) -> np.ndarray:
        """Return the spectral radius of M, infinite at poles and zero without couplings."""
        radius = np.zeros(points.size)
        for part in self.parts:
            radius = np.maximum(radius, np.exp(SupportFunction(part)(points)))
        return radius


def _rounded(poles: np.ndarray) -> np.ndarray:
    """Return complex numbers without their last bits, so that equal ones are."""
    exponent = np.frexp(np.abs(poles))[1]
    parts = [
        np.ldexp(np.round(np.ldexp(x, _SAME - exponent)), exponent - _SAME)
        for x in (np.real(poles), np.imag(poles))
    ]
    return parts[0] + 1j * parts[1]
