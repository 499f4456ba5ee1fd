"""The support of the spectrum: where the spectral radius of M(lambda) exceeds one."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from scipy.linalg import matrix_balance
from scipy.sparse.csgraph import connected_components

from gatefield.core.types import Float, HostArray
from gatefield.theory.rmt.response import UnitResponse, second_moments

_NEGLIGIBLE = 1e-14  # of the largest entry of M, balanced: what a fixed point's rounding leaves


class Perron(NamedTuple):
    """Spectral radius of M(lambda), and its left and right Perron vectors, at P points."""

    radius: Float[HostArray, " point"]
    left: Float[HostArray, "point field"]
    right: Float[HostArray, "point field"]


def field_groups(response: UnitResponse) -> tuple[tuple[int, ...], ...]:
    """Return the groups of fields that respond to themselves through one another.

    The determinant of 1 - J Y factorises over them; fields in no group (the update gate's at a
    fixed point) leave the spectrum alone.
    """
    poles = response.poles()
    size = np.max(np.abs(poles)) + 1
    # Two points away from anything special: an entry may vanish at one.
    points = size * np.array([1.2345 + 0.9876j, -0.4321 + 1.4321j])
    M = second_moments(response, points).max(axis=0)
    # Balancing takes away the fields' units, which M's entries carry.
    balanced = np.abs(matrix_balance(M, permute=False)[0])
    linked = balanced > _NEGLIGIBLE * balanced.max()
    number, labels = connected_components(linked, directed=True, connection="strong")
    groups = [np.flatnonzero(labels == k).tolist() for k in range(number)]
    return tuple(sorted(tuple(g) for g in groups if np.any(linked[np.ix_(g, g)])))


class SupportFunction(eqx.Module):
    """The function ln(spectral radius of M(lambda)): positive inside the support, zero at its edge.

    Attributes
    ----------
    response
        The units' response.
    """

    response: UnitResponse

    def __call__(self, points: Any) -> Float[HostArray, " point"]:
        """Return its values at complex points (P,); +inf at the units' own eigenvalues."""
        points = np.asarray(points, complex)
        M = second_moments(self.response, points)
        finite = np.all(np.isfinite(M), axis=(1, 2))
        found = np.full(points.shape, np.inf)
        radius = np.max(np.abs(np.linalg.eigvals(M[finite])), axis=1, initial=0.0)
        with np.errstate(divide="ignore"):
            found[finite] = np.log(radius)
        return found


def perron(M: Float[HostArray, "point field field"]) -> Perron:
    """Return spectral radius and Perron vectors of nonnegative matrices."""
    values, right = np.linalg.eig(M)
    top = np.argmax(np.real(values), axis=1)
    values_left, left = np.linalg.eig(np.swapaxes(M, 1, 2))
    top_left = np.argmax(np.real(values_left), axis=1)
    rows = np.arange(len(M))
    pick = lambda vectors, place: np.abs(vectors[rows, :, place])  # noqa: E731
    return Perron(np.real(values[rows, top]), pick(left, top_left), pick(right, top))
