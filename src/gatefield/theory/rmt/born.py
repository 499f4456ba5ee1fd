r"""The self-consistent Born equations inside the support, and the exact density from them.

With Y(lambda) of `response`, positive t, s (one for each field) and :math:`Z = \sqrt s\,Y\sqrt t`,

.. math::

    G = (1 + ZZ^\dagger)^{-1}, \quad H = (1 + Z^\dagger Z)^{-1}, \quad
    s_a t_a = 1 - \langle G_{aa}\rangle = 1 - \langle H_{aa}\rangle,

which is where the potential :math:`\langle\ln\det(1 + ZZ^\dagger)\rangle - \sum_a s_a t_a` is
stationary in ln s and ln t. Added to :math:`\langle\ln|\det(\lambda - A)|^2\rangle` it is d times
the logarithmic potential of the eigenvalues: its derivative by lambda is the resolvent, its mixed
second derivative pi times the density. Both follow from averages at the solution alone, so neither
needs a difference quotient.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.types import Array, Complex, Float, HostArray
from gatefield.numerics.threads import in_threads
from gatefield.theory.rmt.response import UnitResponse, abs_square, times, total, unit_response

_MAX_STEP = 2.0  # in the logarithms: far from the solution Newton's step is too long
_TOLERANCE = 1e-11
_MAX_ITERATIONS = 100
_CHUNK = 16


class Born(NamedTuple):
    """Solution at each of P points, summed over independent groups of fields.

    Attributes
    ----------
    resolvent
        What the random couplings add to d g(lambda), (P,).
    density
        What they add to d times the density, (P,).
    residual
        Largest relative violation of the equations, (P,); infinite where numbers ran out.
    """

    resolvent: Complex[HostArray, " point"]
    density: Float[HostArray, " point"]
    residual: Float[HostArray, " point"]


def solve_born(
    response: UnitResponse,
    points: Complex[HostArray, " point"],
    left: Float[HostArray, "point field"],
    right: Float[HostArray, "point field"],
    radius: Float[HostArray, " point"],
) -> Born:
    """Solve the Born equations at points inside the support of one group of fields.

    Parameters
    ----------
    response
        Response restricted to fields that form one strongly connected group.
    points
        Where, with ``radius`` above one.
    left, right, radius
        Left and right Perron vectors, and spectral radius, of M(lambda) there.

    Returns
    -------
    Born

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. A18-A28.
    """
    # Close to the edge s and t are proportional to the Perron vectors; this amplitude is exact
    # for one field with equal units.
    amplitude = (1 - 1 / radius) / np.sum(left * right, axis=1)
    start = np.log(np.concatenate([left, right], axis=1) + 1e-300)
    start += np.log(amplitude)[:, None] / 2
    count = -(-points.size // _CHUNK) * _CHUNK
    places = np.minimum(np.arange(count), points.size - 1)

    def solve(chunk):
        return [np.asarray(each) for each in _solve(response, points[chunk], start[chunk])]

    parts = in_threads(solve, places.reshape(-1, _CHUNK))
    found = Born(*(np.concatenate(each)[: points.size] for each in zip(*parts, strict=True)))
    finite = np.isfinite(found.density) & np.isfinite(found.resolvent)
    return found._replace(residual=np.where(finite, found.residual, np.inf))


@eqx.filter_jit
def _solve(response, points, starts):
    def at(pair):
        point, start = pair
        Y, slope, _ = unit_response(response, point)
        weights = response.weights

        def step(carry):
            x, _, count = carry
            found = _equations(weights, _matrices(Y, x), x)
            move = jnp.linalg.solve(found.jacobian, found.value)
            move = move / jnp.maximum(1.0, jnp.max(jnp.abs(move)) / _MAX_STEP)
            return x - move, jnp.max(jnp.abs(found.value)), count + 1

        def going(carry):
            return (carry[1] > _TOLERANCE) & (carry[2] < _MAX_ITERATIONS)

        x, residual, _ = jax.lax.while_loop(going, step, (start, jnp.asarray(jnp.inf), 0))
        return _observables(weights, Y, slope, x) + (residual,)

    return jax.lax.map(at, (points, starts))


class _Equations(NamedTuple):
    value: Array
    jacobian: Array


class _Matrices(NamedTuple):
    """For every unit: Z, G, H, C = GZ, and the diagonals of 1 - G and 1 - H, lists of arrays."""

    Z: list
    G: list
    H: list
    C: list
    from_s: list
    from_t: list


def _matrices(Y, x) -> _Matrices:
    fields = len(Y)
    root = jnp.exp(x / 2)
    Z = [[times(root[a] * root[fields + b], Y[a][b]) for b in range(fields)] for a in range(fields)]
    upper, lower = _orthonormal(_adjoint(Z))
    G, C = _product(lower, _adjoint(lower)), _product(lower, _adjoint(upper))
    from_t = [total([abs_square(q) for q in row if q is not None]) for row in upper]
    upper, lower = _orthonormal(Z)
    H = _product(lower, _adjoint(lower))
    from_s = [total([abs_square(q) for q in row if q is not None]) for row in upper]
    return _Matrices(Z, G, H, C, from_s, from_t)


def _equations(weights, m, x) -> _Equations:
    """Return the logarithmic residuals in (ln s, ln t), and their Jacobian with the gauge fixed."""
    fields = len(m.Z)
    every = range(fields)

    def mean(value):
        return jnp.zeros(()) if value is None else jnp.sum(weights * value)

    def table(entry):
        return jnp.stack([jnp.stack([mean(entry(a, b)) for b in every]) for a in every])

    first = jnp.stack([mean(each) for each in m.from_s])
    second = jnp.stack([mean(each) for each in m.from_t])

    def by_own(matrix, rest):
        def entry(a, b):
            if a == b:
                return times(rest[a], _real(matrix[a][a]))
            return None if matrix[a][b] is None else -abs_square(matrix[a][b])

        return entry

    crossed = table(lambda a, b: None if m.C[a][b] is None else abs_square(m.C[a][b]))
    upper = [table(by_own(m.G, m.from_s)), crossed]
    lower = [crossed.T, table(by_own(m.H, m.from_t))]
    one = jnp.eye(fields)
    upper = [block / first[:, None] - one for block in upper]
    lower = [block / second[:, None] - one for block in lower]
    sums = x[:fields] + x[fields:]
    value = jnp.concatenate([jnp.log(first) - sums, jnp.log(second) - sums])
    gauge = jnp.concatenate([jnp.ones(fields), -jnp.ones(fields)])
    return _Equations(value, jnp.block([upper, lower]) + jnp.outer(gauge, gauge))


def _observables(weights, Y, slope, x):
    """Return the resolvent's and the density's part at a solution."""
    fields = len(Y)
    every = range(fields)
    m = _matrices(Y, x)
    root = jnp.exp(x / 2)
    dZ = [[times(root[a] * root[fields + b], slope[a][b]) for b in every] for a in every]

    def mean(value):
        return jnp.zeros((), complex) if value is None else jnp.sum(weights * value)

    def trace(first, second):
        return mean(total([times(first[a][b], second[b][a]) for a in every for b in every]))

    adjoint = _adjoint(dZ)
    resolvent = trace(_adjoint(m.C), dZ)
    local = jnp.real(trace(_product(m.G, dZ), _product(m.H, adjoint)))
    first, second = _product(adjoint, m.G), _product(adjoint, m.C)
    mixed = [total([times(m.C[a][b], first[b][a]) for b in every]) for a in every]
    mixed += [total([times(m.H[a][b], second[b][a]) for b in every]) for a in every]
    v = jnp.stack([mean(each) for each in mixed])
    # The Hessian of the potential is the logarithmic Jacobian times s t, row by row.
    found = _equations(weights, m, x)
    activity = jnp.exp(x[:fields] + x[fields:])
    scale = jnp.concatenate([activity, activity])
    inner = jnp.real(jnp.vdot(v, jnp.linalg.solve(found.jacobian.astype(complex), v / scale)))
    return resolvent, (local - inner) / jnp.pi


def _orthonormal(matrix):
    r"""Orthonormalise the columns of (B; 1), and return both halves of the result.

    The lower half is upper triangular, (1 + B^\dagger B)^-1 is its product with its adjoint, and
    1 - (1 + B B^\dagger)^-1 that of the upper half. Unlike by elimination, nothing cancels where
    B is large, which it is beside the units' own eigenvalues.
    """
    every = range(len(matrix))
    ones = jnp.ones(())
    below = [[ones if b == a else None for a in every] for b in every]
    columns = [[row[b] for row in matrix] + below[b] for b in every]
    for b in every:
        size = total([abs_square(entry) for entry in columns[b] if entry is not None])
        columns[b] = [times(entry, jax.lax.rsqrt(size)) for entry in columns[b]]
        for c in range(b + 1, len(matrix)):
            pairs = zip(columns[b], columns[c], strict=True)
            overlap = total([times(_conj(q), entry) for q, entry in pairs])
            columns[c] = [
                _minus(entry, times(overlap, q))
                for q, entry in zip(columns[b], columns[c], strict=True)
            ]
    upper = [[columns[b][a] for b in every] for a in every]
    lower = [[columns[b][len(matrix) + a] for b in every] for a in every]
    return upper, lower


def _product(first, second):
    every = range(len(first))
    rows = [[[times(first[a][c], second[c][b]) for c in every] for b in every] for a in every]
    return [[total(terms) for terms in row] for row in rows]


def _adjoint(matrix):
    every = range(len(matrix))
    return [[_conj(matrix[b][a]) for b in every] for a in every]


def _conj(entry):
    return None if entry is None else jnp.conj(entry)


def _real(entry):
    return None if entry is None else jnp.real(entry)


def _minus(first, second):
    if second is None:
        return first
    return -second if first is None else first - second
