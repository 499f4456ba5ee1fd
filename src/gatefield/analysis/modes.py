"""Some eigenvalues and modes of a network's Jacobian, by products with it alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import numpy as np
import scipy.linalg
from scipy.optimize import linear_sum_assignment
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigs

from gatefield.analysis.spectra import (
    biorthonormal,
    complex_vectors,
    dense_matrix,
    spectral_order,
    vector_parts,
)
from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.checks import as_number, check_choice, check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Complex, Float, HostArray
from gatefield.networks import Network, jacobian
from gatefield.networks.inputs import Inputs

# Measured at N = 500 and 2000 for k = 10: a basis of 30 takes up to 30 per cent more products, one
# of 240 up to 30 per cent fewer, and no less time, which goes to orthogonalisation instead.
_BASIS = 60
# Eigenvalues of flows are of order one: ARPACK's tolerance, which is relative to the eigenvalue,
# would be out of reach for those near zero. A shift does not change which are rightmost. Not 1: the
# map that ARPACK is given must not be zero, and D = -1 is a network without couplings.
_SHIFT = 1.37
# Beside the eigenvalues of an exactly singular matrix, so that its factors exist.
_BESIDE = 1e-9
# Left vectors are searched with some more, so that every right one finds its partner.
_SPARE = 4
# ARPACK's tolerance bounds an estimate: a stricter one keeps true residuals below the tolerance.
_STRICTER = 0.1
_Operator: Any = LinearOperator  # whose constructor is not typed
_TAKES_RNG = "rng" in inspect.signature(eigs).parameters


class NetworkModes(AbstractResult):
    """Some eigenvalues of a network's Jacobian at a state, with their modes.

    Sorted as in `NetworkSpectrum` (``which`` = "unstable"), or by distance from marginality
    ("slow"). Flows: per unit of the units' own time constant; maps: per step.

    Attributes
    ----------
    eigenvalues_real, eigenvalues_imag
        Parts of the eigenvalues; `eigenvalues` joins them.
    vectors
        Parts of the eigenvectors, as in `NetworkSpectrum`.
    residuals
        |D v - lambda v| / |v| for each mode, computed from the modes returned; with left vectors
        the larger one of both sides.
    which, is_map
        What was searched for, and whether the network is a map.
    products
        Number of products with the Jacobian or its inverse.
    cell, n, seed
        The network's cell, number of units and seed of the couplings (-1 for given ones).
    time
        Time, or step, at which inputs were taken.
    status
        OK, or NOT_CONVERGED: fewer modes than asked for, others of which may have been passed
        over; or a mode without left vector, which is NaN.
    """

    eigenvalues_real: Float[HostArray, " mode"] = eqx.field(metadata=quantity("mode"))
    eigenvalues_imag: Float[HostArray, " mode"] = eqx.field(metadata=quantity("mode"))
    vectors: dict[str, Float[HostArray, "mode component unit"]] = eqx.field(
        metadata=quantity("mode", "component", "unit")
    )
    residuals: Float[HostArray, " mode"] = eqx.field(metadata=quantity("mode"))
    which: str = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)
    products: int = eqx.field(static=True)
    cell: AbstractCell
    n: int = eqx.field(static=True)
    seed: int = eqx.field(static=True)
    time: float = eqx.field(static=True)
    status: Status = eqx.field(static=True)

    @property
    def eigenvalues(self) -> Complex[HostArray, " mode"]:
        """The complex eigenvalues."""
        return self.eigenvalues_real + 1j * self.eigenvalues_imag

    @property
    def right_vectors(self) -> Complex[HostArray, "mode component unit"]:
        """Right eigenvectors of unit norm, (mode, component, unit): each mode is like a state."""
        return complex_vectors(self.vectors, "right", "leading_modes")

    @property
    def left_vectors(self) -> Complex[HostArray, "mode component unit"]:
        """Left eigenvectors, left_i^H right_j = delta_ij among the modes returned."""
        return complex_vectors(self.vectors, "left", "leading_modes(..., left=True)")


def leading_modes(
    network: Network,
    state: Any,
    k: int = 10,
    *,
    which: str = "unstable",
    inputs: Inputs | None = None,
    time: float = 0.0,
    left: bool = False,
    tolerance: float | None = None,
    max_products: int = 5000,
    dense_limit: int = 6000,
    seed: int = 0,
    throw: bool = True,
) -> NetworkModes:
    r"""Find k modes of a network's Jacobian without its matrix: the most unstable, or the slowest.

    .. math:: D v_i = \lambda_i v_i, \quad w_i^\dagger D = \lambda_i w_i^\dagger

    "unstable": the largest real parts of a flow, the largest moduli of a map, by Arnoldi's method
    with implicit restarts. "slow": those closest to 0 (flows) or to 1 (maps), by the same method
    with the inverse of D (or D - 1), whose matrix is factorised if d N is at most ``dense_limit``;
    above, by products alone.

    Parameters
    ----------
    network
        Any network.
    state
        (d, N); any state, at a fixed point or moving.
    k
        Number of modes, at most d N - 2; each of a conjugate pair counts.
    which
        "unstable" or "slow".
    inputs
        External input as in `simulate`.
    time
        Time (step number of a map) at which time-dependent inputs are taken.
    left
        Find left vectors too, by products with the transposed Jacobian.
    tolerance
        Largest residual that is accepted, times max(1, |lambda|). By default 1e-8, or 1e-5 for a
        network in single precision.
    max_products
        Number of products after which each search ends, to about one basis of the method.
    dense_limit
        Largest d N for which "slow" makes the (d N, d N) matrix, at 17 (d N)^2 bytes.
    seed
        Draws the start vector.
    throw
        Raise if not all modes converge; otherwise return those that did, with the status.

    Returns
    -------
    NetworkModes

    Raises
    ------
    InvalidInputError
        For shapes, names or numbers that do not fit.
    NumericalFailureError
        If the Jacobian is not finite at this state or, with ``throw``, modes did not converge.

    Assumptions
    -----------
    Products alone reach the edge of the spectrum: a polynomial of D cannot be larger at a point
    inside a dense bulk than on every circle around it. Slow modes above ``dense_limit`` thus
    converge where 0 (or 1) lies outside the bulk or near its edge, as in a stable state, not in its
    interior; what is returned with NOT_CONVERGED then need not be closest. Of a degenerate
    eigenvalue, copies may be passed over.

    References
    ----------
    Lehoucq, Sorensen and Yang, ARPACK Users' Guide (SIAM, 1998), sections 3.2 and 4.
    """
    check_choice("which", which, ("unstable", "slow"))
    k, seed = check_count("k", k), check_seed(seed)
    max_products = check_count("max_products", max_products)
    dense_limit = check_count("dense_limit", dense_limit, at_least=0)
    if tolerance is None:
        tolerance = 1e-8 if network.dtype == np.float64 else 1e-5
    tolerance = as_number("tolerance", tolerance, positive=True)
    operator = jacobian(network, state, inputs=inputs, time=time)
    size, is_map = operator.shape[0], isinstance(network.cell, AbstractMap)
    if k > size - 2:
        refuse("k", k, f"at most d N - 2 = {size - 2}", "Use network_spectrum for all modes.")

    forward, backward = _Product(operator.mv), _Product(operator.rmv)
    edge, spectral, adjoint = _transforms(which, is_map, operator, dense_limit)
    run = partial(_search, edge, size, tolerance, max_products, seed)
    # One more, so that the cut among the k + 1 does not split a conjugate pair within the k.
    right, complete = run(spectral, min(k + 1, size - 2))
    values, residuals = _rayleigh(forward, right)
    order = spectral_order(values, is_map)
    if which == "slow":
        order = np.lexsort((-np.imag(values), np.abs(values - is_map)))
    good = residuals[order] <= tolerance * np.maximum(1.0, np.abs(values[order]))
    order = order[good][:k]
    values, right, residuals = values[order], right[:, order], residuals[order]
    status = Status.OK if complete and len(order) == k else Status.NOT_CONVERGED
    shape = (len(order), len(network.cell.state_names), network.n)
    vectors = vector_parts("right", right.T.reshape(shape))
    if left:
        found = run(adjoint, min(k + _SPARE, size - 2))[0].conj()
        partners, errors = _partners(backward, found, values, right, tolerance)
        residuals = np.fmax(residuals, errors)
        vectors |= vector_parts("left", partners.T.reshape(shape))
        if np.any(np.isnan(errors)):
            status = Status.NOT_CONVERGED
    products = sum(each.count for each in (forward, backward, spectral, adjoint))
    if throw and status is not Status.OK:
        raise NumericalFailureError(_advice(which, k, values, size, products, dense_limit))
    return NetworkModes(
        np.real(values),
        np.imag(values),
        vectors,
        residuals,
        which=which,
        is_map=is_map,
        products=products,
        cell=network.cell,
        n=network.n,
        seed=network.seed,
        time=float(time),
        status=status,
    )


class _Product:
    """Products with a matrix, real or complex, counted and checked."""

    def __init__(self, apply: Callable[[np.ndarray], np.ndarray]):
        self.apply, self.count = apply, 0

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(vector):
            return self(np.real(vector)) + 1j * self(np.imag(vector))
        self.count += 1
        result = np.asarray(self.apply(vector), np.float64)
        if not np.all(np.isfinite(result)):
            raise NumericalFailureError(
                "A product with the Jacobian is not finite: expected a rule that is differentiable "
                "at this state. Move the state, or use float64 if it overflowed."
            )
        return result


def _transforms(which, is_map, operator, dense_limit):
    """Return ARPACK's name of the end to search, and the maps, of D and of its transpose."""
    if which == "slow" and operator.shape[0] <= dense_limit:
        matrix = dense_matrix(operator)
        matrix[np.diag_indices_from(matrix)] -= is_map + _BESIDE
        factors = scipy.linalg.lu_factor(matrix, overwrite_a=True, check_finite=False)
        solve = partial(scipy.linalg.lu_solve, factors, check_finite=False)
        return "LM", _Product(solve), _Product(partial(solve, trans=1))
    if which == "slow":
        edge, shift = "SM", -float(is_map)
    else:
        edge, shift = ("LM", 0.0) if is_map else ("LR", _SHIFT)
    return edge, *(
        _Product(lambda v, apply=apply: apply(v) + shift * v)
        for apply in (operator.mv, operator.rmv)
    )


def _search(edge, size, tolerance, max_products, seed, multiply, want):
    """Return unit eigenvectors (columns) of a real map at one end, and whether all converged."""
    generator = np.random.default_rng(seed)
    basis = min(size, max(_BASIS, 3 * want))
    settings: dict[str, Any] = {
        "v0": generator.standard_normal(size),
        "ncv": basis,
        "maxiter": max(1, max_products // max(1, basis - want)),
        "tol": _STRICTER * tolerance,
    }
    if _TAKES_RNG:  # ARPACK draws new directions where the first ones span an invariant space.
        settings["rng"] = generator
    operator = _Operator((size, size), matvec=lambda v: multiply(v.ravel()), dtype=float)
    complete = False
    try:
        vectors = eigs(operator, want, which=edge, **settings)[1]
        complete = True
    except ArpackNoConvergence as error:
        vectors = np.asarray(error.eigenvectors)
    except ArpackError:
        vectors = np.zeros((size, 0))
    vectors = vectors.reshape(size, -1).astype(complex)
    return vectors / np.linalg.norm(vectors, axis=0), complete


def _rayleigh(product, vectors):
    """Return v^H D v and |D v - lambda v| for each column of unit norm."""
    values = np.zeros(vectors.shape[1], complex)
    residuals = np.zeros(vectors.shape[1])
    for place, vector in enumerate(vectors.T):
        image = product(vector)
        values[place] = np.vdot(vector, image)
        residuals[place] = np.linalg.norm(image - values[place] * vector)
    return values, residuals


def _partners(product, found, values, right, tolerance):
    """Return the left vectors that belong to right ones, and their residuals; NaN where none."""
    partners = np.full(right.shape, np.nan, complex)
    errors = np.full(len(values), np.nan)
    # D^T conj(w) = lambda conj(w) for a left vector w of a real D.
    others = _rayleigh(product, found.conj())[0]
    places, matches = linear_sum_assignment(np.abs(values[:, None] - others[None, :]))
    partners[:, places] = biorthonormal(found[:, matches], right[:, places])[0]
    for place in np.flatnonzero(np.all(np.isfinite(partners), axis=0)):
        vector = partners[:, place].conj()
        error = np.linalg.norm(product(vector) - values[place] * vector) / np.linalg.norm(vector)
        if error <= tolerance * max(1.0, abs(values[place])):
            errors[place] = error
    partners[:, np.isnan(errors)] = np.nan
    return partners, errors


def _advice(which, k, values, size, products, dense_limit):
    if which == "slow" and size > dense_limit:
        remedy = (
            f"Raise dense_limit = {dense_limit} to d N = {size} if memory suffices: products alone "
            "do not reach the interior of a spectrum."
        )
    else:
        remedy = "Raise max_products or tolerance, or lower k."
    return (
        f"leading_modes(which={which!r}) found {len(values)} modes within {products} products: "
        f"expected {k}, with residuals below the tolerance, and left vectors if asked for. "
        f"{remedy} throw=False returns what converged."
    )
