r"""The linear response of single units to their fields, and its second moments M(lambda).

Everything here is unrolled over the few components and fields, with the units as the one long
axis; entries that are zero for every unit cost nothing, since they are never formed.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.types import Array, Complex, Float, HostArray

Entries = list[list[Any]]
"""A matrix for every unit: rows of arrays (M,), None where it is zero for all."""

_CHUNK = 16


class UnitResponse(eqx.Module):
    r"""The units' response :math:`Y(\lambda) = R(\lambda - A)^{-1}L + Q`, gains absorbed.

    Attributes
    ----------
    entries
        The entries of A (upper triangular), L, R, Q that are not zero for every unit, (number, M).
    weights
        (M,), summing to one.
    places
        For each of A, L, R, Q the (row, column) of its entries.
    sizes
        Numbers d of components and K of fields.
    """

    entries: tuple[Any, ...]
    weights: Any
    places: tuple[tuple[tuple[int, int], ...], ...] = eqx.field(static=True)
    sizes: tuple[int, int] = eqx.field(static=True)

    @classmethod
    def of_arrays(cls, A: Any, L: Any, R: Any, Q: Any, *, weights: Any) -> UnitResponse:
        """Build it from blocks with the unit axis last, A upper triangular."""
        entries, places = [], []
        for block in (A, L, R, Q):
            found = tuple((int(i), int(j)) for i, j in np.argwhere(np.any(block != 0, axis=-1)))
            rows = [block[place] for place in found]
            shape = (len(found), block.shape[-1])
            entries.append(np.array(rows, block.dtype).reshape(shape))
            places.append(found)
        return cls(tuple(entries), np.asarray(weights), tuple(places), (len(L), len(R)))

    def restricted(self, fields: Sequence[int]) -> UnitResponse:
        """Return the response with only some of the fields."""
        chosen = list(fields)
        entries, places = [self.entries[0]], [self.places[0]]
        for number, by_row, by_column in ((1, False, True), (2, True, False), (3, True, True)):
            kept = [
                (index, place)
                for index, place in enumerate(self.places[number])
                if (not by_row or place[0] in chosen) and (not by_column or place[1] in chosen)
            ]
            entries.append(self.entries[number][[index for index, _ in kept]])
            places.append(
                tuple(
                    (chosen.index(i) if by_row else i, chosen.index(j) if by_column else j)
                    for _, (i, j) in kept
                )
            )
        return UnitResponse(
            tuple(entries), self.weights, tuple(places), (self.sizes[0], len(chosen))
        )

    def poles(self) -> Complex[HostArray, "component sample"]:
        """Return the eigenvalues of every unit's A."""
        found = np.zeros((self.sizes[0], len(self.weights)), complex)
        for place, values in zip(self.places[0], self.entries[0], strict=True):
            if place[0] == place[1]:
                found[place[0]] = values
        return found


def second_moments(response: UnitResponse, points: Any) -> Float[HostArray, "point field field"]:
    r"""Return :math:`M_{ab}(\lambda) = \langle|Y_{ab}(\lambda)|^2\rangle` at points of the plane.

    Parameters
    ----------
    response
        The units' response.
    points
        Complex numbers (P,).

    Returns
    -------
    array
        (P, K, K), infinite at the units' own poles.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. A18-A34.
    """
    points = np.asarray(points, complex)
    padded = np.full(-(-points.size // _CHUNK) * _CHUNK, points[0] if points.size else 0, complex)
    padded[: points.size] = points
    with jax.enable_x64(True):
        chunks = [
            np.asarray(_second_moments(response, jnp.asarray(chunk)))
            for chunk in padded.reshape(-1, _CHUNK)
        ]
    fields = response.sizes[1]
    found = np.concatenate([np.zeros((0, fields, fields)), *chunks])[: points.size]
    return np.where(np.isnan(found), np.inf, found)


@eqx.filter_jit
def _second_moments(response, points):
    def at(point):
        Y = unit_response(response, point)[0]
        zero = jnp.zeros(())
        rows = [
            [zero if y is None else jnp.sum(response.weights * abs_square(y)) for y in row]
            for row in Y
        ]
        return jnp.stack([jnp.stack(row) for row in rows])

    return jax.lax.map(at, points)


def unit_response(response: UnitResponse, point: Array) -> tuple[Entries, Entries, Array]:
    r"""Return Y, its derivative by lambda, and tr (lambda - A)^-1, for every unit; traceable.

    Parameters
    ----------
    response
        The units' response.
    point
        lambda, a complex scalar.

    Returns
    -------
    Y, derivative, trace
        Entries (K, K) twice, and an array (M,). What is not used costs nothing under jit.
    """
    d, fields = response.sizes
    shapes = ((d, d), (d, fields), (fields, d), (fields, fields))
    A, L, R, Q = (
        _entries(places, values, shape)
        for places, values, shape in zip(response.places, response.entries, shapes, strict=True)
    )
    ones = jnp.ones_like(response.weights)
    inverse = [1 / (point * ones if A[c][c] is None else point - A[c][c]) for c in range(d)]

    def resolve(column):
        """Solve (lambda - A) x = column by back substitution."""
        x: list[Any] = [None] * d
        for c in reversed(range(d)):
            known = [times(A[c][e], x[e]) for e in range(c + 1, d)]
            x[c] = times(total([column[c], *known]), inverse[c])
        return x

    once = [resolve([L[c][b] for c in range(d)]) for b in range(fields)]
    twice = [resolve(column) for column in once]
    Y = [
        [total([Q[a][b], *(times(R[a][c], once[b][c]) for c in range(d))]) for b in range(fields)]
        for a in range(fields)
    ]
    derivative = [
        [times(-1.0, total([times(R[a][c], twice[b][c]) for c in range(d)])) for b in range(fields)]
        for a in range(fields)
    ]
    return Y, derivative, functools.reduce(jnp.add, inverse)


def _entries(places, values, shape) -> Entries:
    rows: Entries = [[None] * shape[1] for _ in range(shape[0])]
    for (i, j), value in zip(places, values, strict=True):
        rows[i][j] = value
    return rows


def times(first: Any, second: Any) -> Any:
    """Multiply two entries; None is zero."""
    return None if first is None or second is None else first * second


def total(terms: Sequence[Any]) -> Any:
    """Add entries; None is zero."""
    present = [term for term in terms if term is not None]
    return functools.reduce(lambda a, b: a + b, present) if present else None


def abs_square(value: Array) -> Array:
    """Return |value|^2, without a square root."""
    return jnp.real(value) ** 2 + jnp.imag(value) ** 2
