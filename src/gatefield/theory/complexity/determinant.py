r"""The mean logarithm of a random determinant, :math:`N^{-1}\ln|\det(r - J Y)|`, at large N.

With positive s, t (one for each field) and :math:`Z = \sqrt s\,Y\sqrt t`, the logarithm is

.. math:: \tfrac12\,\mathrm{ext}_{s,t}\;\Big[\langle\ln\det(1 + ZZ^T)\rangle - \sum_a s_a t_a\Big]

beside its value K ln r outside the support: the Born equations of `gatefield.theory.rmt.born`
at a real point. Its derivative by ln r tells how many eigenvalues of J Y are larger than r.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse.csgraph import connected_components

from gatefield.core.types import Array, Float, HostArray
from gatefield.theory.rmt.response import Entries, times, total

_MAX_STEP = 2.0  # in the logarithms
_TOLERANCE = 1e-12
_MAX_ITERATIONS = 60
_NEGLIGIBLE = 1e-14  # of the largest entry of M
_EDGE = 1e-10  # this close to the edge nothing is left of the digits of s and t


class Determinant(NamedTuple):
    """The determinant at P radii.

    Attributes
    ----------
    logarithm
        Its logarithm divided by N, less K ln r.
    beyond
        Eigenvalues of modulus above the radius, divided by N.
    log_s, log_t
        The solution, (P, K); minus infinity where the logarithm is zero.
    residual
        Largest relative violation of the equations.
    """

    logarithm: Float[HostArray, " radius"]
    beyond: Float[HostArray, " radius"]
    log_s: Float[HostArray, "radius field"]
    log_t: Float[HostArray, "radius field"]
    residual: Float[HostArray, " radius"]


def entries_of(Y: Float[HostArray, "field field sample"]) -> Entries:
    """Return responses as rows of arrays, None where all units have zero."""
    return [[entry if np.any(entry) else None for entry in row] for row in Y]


def log_det(Y: Entries, log_s: Any, log_t: Any) -> Array:
    r"""Return :math:`\ln\det(1 + ZZ^T)` of every unit, traceable.

    The columns of (Z; 1) are made orthogonal: the determinant is the product of their squared
    lengths, and unlike by elimination nothing cancels where Z is large.

    Parameters
    ----------
    Y
        Real entries.
    log_s, log_t
        (K,).

    Returns
    -------
    array
        (M,).
    """
    every = range(len(Y))
    ones = jnp.ones(())
    columns = [
        [times(jnp.exp((log_s[a] + log_t[b]) / 2), Y[a][b]) for a in every]
        + [ones if a == b else None for a in every]
        for b in every
    ]
    found: Any = 0.0
    for b in every:
        size = total([times(entry, entry) for entry in columns[b]])
        found = found + jnp.log(size)
        for c in range(b + 1, len(Y)):
            pairs = zip(columns[b], columns[c], strict=True)
            overlap = total([times(first, second) for first, second in pairs])
            part = times(overlap, 1 / size)
            columns[c] = [
                total([entry, times(times(-1.0, part), first)])
                for first, entry in zip(columns[b], columns[c], strict=True)
            ]
    return found


def spectral_radius(M: Float[HostArray, "field field"], scaled: HostArray) -> float:
    r"""Return the radius rho beyond which J Y has no eigenvalues, of the scaled fields.

    Parameters
    ----------
    M
        :math:`M_{ab} = \langle Y_{ab}^2\rangle`.
    scaled
        Mask of the fields that stand with r; the others are eliminated.

    Returns
    -------
    float
        Infinite where the eliminated fields have a radius of one or more by themselves.
    """
    if not np.any(scaled):
        return 0.0 if np.max(np.abs(np.linalg.eigvals(M))) < 1 else float("inf")
    inner = M[np.ix_(scaled, scaled)]
    if not np.all(scaled):
        own = M[np.ix_(~scaled, ~scaled)]
        if np.max(np.abs(np.linalg.eigvals(own))) >= 1:
            return float("inf")
        through = np.linalg.solve(np.eye(len(own)) - own, M[np.ix_(~scaled, scaled)])
        inner = inner + M[np.ix_(scaled, ~scaled)] @ through
    return float(np.sqrt(np.max(np.abs(np.linalg.eigvals(inner)))))


def field_loops(M: Float[HostArray, "field field"]) -> list[HostArray]:
    """Return the groups of fields that respond to themselves through one another.

    The determinant factorises over them; fields in no group leave it alone.
    """
    linked = M > _NEGLIGIBLE * np.max(M, initial=0.0)
    number, labels = connected_components(linked, directed=True, connection="strong")
    groups = [np.flatnonzero(labels == k) for k in range(number)]
    return [group for group in groups if np.any(linked[np.ix_(group, group)])]


def log_determinant(
    Y: Float[HostArray, "field field sample"],
    weights: Float[HostArray, " sample"],
    scaled: HostArray,
    radii: Float[HostArray, " radius"],
) -> Determinant:
    r"""Return :math:`N^{-1}\ln|\det(S(r) - J Y)|`, S = r for scaled fields and 1 for others.

    Parameters
    ----------
    Y, weights
        Responses of the units (K, K, M), and their weights.
    scaled
        Mask (K,) of the fields that stand with r.
    radii
        Positive, (P,).

    Returns
    -------
    Determinant
    """
    radii = np.asarray(radii, float)
    shape = (radii.size, len(Y))
    found = Determinant(
        np.zeros(radii.size),
        np.zeros(radii.size),
        np.full(shape, -np.inf),
        np.full(shape, -np.inf),
        np.zeros(radii.size),
    )
    M = np.einsum("abn,abn,n->ab", Y, Y, weights)
    for group in field_loops(M):
        own, mask = M[np.ix_(group, group)], scaled[group]
        inside = np.flatnonzero(radii < (1 - _EDGE) * spectral_radius(own, mask))
        if inside.size == 0:
            continue
        shifts = np.where(mask, -2 * np.log(radii[inside, None]), 0.0)
        starts = np.array([_start(np.exp(shift)[:, None] * own) for shift in shifts])
        entries = entries_of(Y[np.ix_(group, group)])
        with jax.enable_x64(True):
            solved = [np.asarray(each) for each in _solve(entries, weights, shifts, starts)]
        x, logarithm, residual = solved
        count = len(group)
        found.log_s[np.ix_(inside, group)] = x[:, :count]
        found.log_t[np.ix_(inside, group)] = x[:, count:]
        found.logarithm[inside] += logarithm
        found.beyond[inside] += np.sum(
            np.exp(x[:, :count] + x[:, count:]), axis=1, where=mask[None, :]
        )
        found.residual[inside] = np.maximum(found.residual[inside], residual)
    return found


def _start(M: HostArray) -> HostArray:
    """Return (ln s, ln t) from the Perron vectors of M, to which they tend at its edge."""
    values, right = np.linalg.eig(M)
    values_left, left = np.linalg.eig(M.T)
    radius = float(np.max(np.real(values)))
    right, left = (
        np.abs(vectors[:, np.argmax(np.real(each))])
        for each, vectors in ((values, right), (values_left, left))
    )
    amplitude = (1 - 1 / radius) / np.sum(left * right)
    return np.log(np.concatenate([left, right]) + 1e-300) + np.log(amplitude) / 2


@eqx.filter_jit
def _solve(Y, weights, shifts, starts):
    """Solve the Born equations by Newton's method in ln s, ln t; s is multiplied by exp(shift)."""
    fields = len(Y)
    gauge = jnp.concatenate([jnp.ones(fields), -jnp.ones(fields)])

    def average(x, shift):
        return jnp.sum(weights * log_det(Y, x[:fields] + shift, x[fields:]))

    def equations(x, shift, first):
        sums = jnp.tile(x[:fields] + x[fields:], 2)
        value = jnp.log(jax.grad(average)(x, shift)) - sums
        # s and t are known up to a common factor.
        return value + gauge * jnp.sum(gauge * (x - first))

    def at(pair):
        shift, start = pair

        def step(carry):
            x, _, count = carry
            value = equations(x, shift, start)
            move = jnp.linalg.solve(jax.jacfwd(equations)(x, shift, start), value)
            move = move / jnp.maximum(1.0, jnp.max(jnp.abs(move)) / _MAX_STEP)
            return x - move, jnp.max(jnp.abs(value)), count + 1

        def going(carry):
            return (carry[1] > _TOLERANCE) & (carry[2] < _MAX_ITERATIONS)

        x, residual, _ = jax.lax.while_loop(going, step, (start, jnp.asarray(jnp.inf), 0))
        products = jnp.sum(jnp.exp(x[:fields] + x[fields:]))
        return (
            x,
            (average(x, shift) - products) / 2,
            jnp.where(jnp.isfinite(residual), residual, jnp.inf),
        )

    return jax.lax.map(at, (shifts, starts))
