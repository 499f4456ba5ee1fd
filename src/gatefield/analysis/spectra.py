"""All eigenvalues and eigenvectors of a network's Jacobian at one state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np
import scipy.linalg
from scipy.sparse.csgraph import connected_components

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.checks import as_number, as_parameter, check_choice
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Complex, Float, HostArray
from gatefield.networks import Network, jacobian
from gatefield.networks.inputs import Inputs

VECTORS = ("none", "right", "left", "both")

# Largest d N. Measured: 19 (d N)^2 bytes at peak for eigenvalues alone, 176 with left vectors, that
# is 17 GB at 30,000 and 25 GB at 12,000.
_LARGEST, _LARGEST_WITH_VECTORS = 30_000, 12_000
# Two modes whose overlap exceeds this fraction of their own one are made biorthogonal together.
_LINKED = 1e-8
# Left vectors that miss biorthonormality by more are reported as not existing.
_BIORTHONORMAL = 1e-6


class NetworkSpectrum(AbstractResult):
    """The eigenvalues of a network's Jacobian at a state, and its eigenvectors if asked for.

    Flows: sorted by decreasing real part, per unit of the units' own time constant. Maps: by
    decreasing modulus, per step. Of a conjugate pair the one with positive imaginary part is first.

    Attributes
    ----------
    eigenvalues_real, eigenvalues_imag
        Parts of the eigenvalues, for netCDF knows no complex numbers; `eigenvalues` joins them.
    vectors
        Parts of the eigenvectors that were asked for, each (mode, component, unit), by the names
        "right_real", "right_imag", "left_real", "left_imag"; `right_vectors` and `left_vectors`
        join them.
    condition_of
        Under "eigenvalues", with left vectors: their condition numbers; `condition` returns them.
    is_map
        Whether stability is inside the unit circle (maps) or in the left half plane (flows).
    cell, n, seed
        The network's cell, number of units and seed of the couplings (-1 for given ones).
    time
        Time, or step, at which inputs were taken.
    status
        OK; NOT_CONVERGED if some modes have no left vector: they belong to a defective eigenvalue
        (or one too close to it to tell), their condition is infinite, their left vectors are NaN.
    """

    eigenvalues_real: Float[HostArray, " mode"] = eqx.field(metadata=quantity("mode"))
    eigenvalues_imag: Float[HostArray, " mode"] = eqx.field(metadata=quantity("mode"))
    vectors: dict[str, Float[HostArray, "mode component unit"]] = eqx.field(
        metadata=quantity("mode", "component", "unit")
    )
    condition_of: dict[str, Float[HostArray, " mode"]] = eqx.field(metadata=quantity("mode"))
    is_map: bool = eqx.field(static=True)
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
        return complex_vectors(self.vectors, "right", "network_spectrum(..., vectors='both')")

    @property
    def left_vectors(self) -> Complex[HostArray, "mode component unit"]:
        """Left eigenvectors, left_i^H right_j = delta_ij: ``left.conj()`` projects on a mode."""
        return complex_vectors(self.vectors, "left", "network_spectrum(..., vectors='both')")

    @property
    def condition(self) -> Float[HostArray, " mode"]:
        """Condition numbers |left_i| |right_i| >= 1: eigenvalue shift per size of perturbation."""
        if "eigenvalues" not in self.condition_of:
            refuse("vectors", "none or right", "left ones, for condition numbers", "Ask for both.")
        return self.condition_of["eigenvalues"]

    @property
    def leading_edge(self) -> float:
        """Largest real part of a flow's, largest modulus of a map's eigenvalues."""
        return float(np.max(np.abs(self.eigenvalues) if self.is_map else self.eigenvalues_real))

    @property
    def largest_imaginary(self) -> float:
        """Largest imaginary part."""
        return float(np.max(self.eigenvalues_imag))

    def count(self, centre: complex, radius: float) -> int:
        """Count the eigenvalues in a closed disc.

        Raises
        ------
        InvalidInputError
            If the centre is no finite number, or the radius negative or not finite.
        """
        middle = np.asarray(centre)
        if middle.shape != () or middle.dtype.kind not in "iufc" or not np.isfinite(middle):
            refuse("centre", centre, "one finite complex number", "Pass for instance -1 + 0.5j.")
        radius = as_number("radius", radius, nonnegative=True)
        return int(np.sum(np.abs(self.eigenvalues - middle) <= radius))

    def count_in_box(self, real: tuple[float, float], imaginary: tuple[float, float]) -> int:
        """Count the eigenvalues in a closed rectangle.

        Parameters
        ----------
        real, imaginary
            Lower and upper end of the interval of each part.

        Raises
        ------
        InvalidInputError
            If an interval is not two finite numbers in ascending order.
        """
        inside = np.ones(self.eigenvalues_real.shape, bool)
        given = {"real": (real, self.eigenvalues_real)}
        given["imaginary"] = (imaginary, self.eigenvalues_imag)
        for name, (interval, parts) in given.items():
            ends = np.asarray(as_parameter(name, interval))
            if ends.shape != (2,) or ends[0] > ends[1]:
                refuse(name, interval, "two numbers in ascending order", "Pass (lower, upper).")
            inside &= (ends[0] <= parts) & (parts <= ends[1])
        return int(np.sum(inside))


def network_spectrum(
    network: Network,
    state: Any,
    *,
    inputs: Inputs | None = None,
    time: float = 0.0,
    vectors: str = "none",
    allow_large: bool = False,
) -> NetworkSpectrum:
    r"""Compute all eigenvalues of a network's Jacobian, and its eigenvectors if asked for.

    .. math:: D v_i = \lambda_i v_i, \quad w_i^\dagger D = \lambda_i w_i^\dagger, \quad
        w_i^\dagger v_j = \delta_{ij}, \quad |v_i| = 1, \quad D = A + L (1 - J Q)^{-1} J R

    Parameters
    ----------
    network
        Any network; its precision is that of D, the eigenvalues are found in double precision.
    state
        (d, N); any state, at a fixed point or moving.
    inputs
        External input as in `simulate`.
    time
        Time (step number of a map) at which time-dependent inputs are taken.
    vectors
        "none", "right", "left" or "both". Left vectors come with condition numbers.
    allow_large
        Compute even where d N exceeds 30,000 (12,000 with vectors) and memory may not suffice.

    Returns
    -------
    NetworkSpectrum

    Raises
    ------
    InvalidInputError
        For shapes, names or numbers that do not fit, or a matrix that is too large.
    NumericalFailureError
        If the Jacobian is not finite at this state, or LAPACK finds no eigenvalues.

    Assumptions
    -----------
    Eigenvalues are those of a matrix within rounding of D: each moves by its condition number times
    that. Within a degenerate eigenvalue the basis is arbitrary; if the eigenvalue is defective, no
    biorthonormal basis exists, which the condition numbers and the status report.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 3-4.
    """
    check_choice("vectors", vectors, VECTORS)
    operator = jacobian(network, state, inputs=inputs, time=time)
    size = operator.shape[0]
    largest = _LARGEST if vectors == "none" else _LARGEST_WITH_VECTORS
    if size > largest and not allow_large:
        remedy = "Use leading_modes for some modes, or pass allow_large=True if memory suffices."
        refuse("d N", size, f"at most {largest} for vectors={vectors!r}", remedy)
    is_map = isinstance(network.cell, AbstractMap)
    values, right, left = _eigen(dense_matrix(operator), vectors)
    order = spectral_order(values, is_map)
    values = values[order]
    kept, condition, status = {}, {}, Status.OK
    shape = (size, len(network.cell.state_names), network.n)
    if vectors in ("right", "both"):
        kept |= vector_parts("right", right[:, order].T.reshape(shape))
    if vectors in ("left", "both"):
        left, sizes = biorthonormal(left[:, order], right[:, order])
        kept |= vector_parts("left", left.T.reshape(shape))
        condition = {"eigenvalues": sizes}
        status = Status.OK if np.all(np.isfinite(sizes)) else Status.NOT_CONVERGED
    return NetworkSpectrum(
        np.real(values),
        np.imag(values),
        kept,
        condition,
        is_map=is_map,
        cell=network.cell,
        n=network.n,
        seed=network.seed,
        time=float(time),
        status=status,
    )


def dense_matrix(operator: Any) -> Float[HostArray, "all all"]:
    """Return a Jacobian as a matrix that LAPACK may overwrite: double, by columns, finite.

    Raises
    ------
    NumericalFailureError
        If an entry is not finite.
    """
    matrix = np.array(operator.as_matrix(), dtype=np.float64, order="F")
    if not np.all(np.isfinite(matrix)):
        bad = int(np.sum(~np.isfinite(matrix)))
        raise NumericalFailureError(
            f"The Jacobian has {bad} entries that are not finite at this state: expected a rule "
            "that is differentiable there. Move the state, or use float64 if it overflowed."
        )
    return matrix


def spectral_order(values: Complex[HostArray, " mode"], is_map: bool) -> np.ndarray:
    """Return the order of decreasing real part (flows) or modulus (maps), +i before -i."""
    return np.lexsort((-np.imag(values), -(np.abs(values) if is_map else np.real(values))))


def vector_parts(side: str, vectors: Complex[HostArray, "..."]) -> dict[str, np.ndarray]:
    """Return the real and the imaginary part of vectors under the names of a result."""
    return {f"{side}_real": np.real(vectors), f"{side}_imag": np.imag(vectors)}


def complex_vectors(parts: Mapping[str, np.ndarray], side: str, call: str) -> np.ndarray:
    """Join the parts of vectors, refusing with the ``call`` to make if they were not computed."""
    if f"{side}_real" not in parts:
        refuse(f"{side}_vectors", "not computed", "a result that has them", f"Call {call}.")
    return parts[f"{side}_real"] + 1j * parts[f"{side}_imag"]


def biorthonormal(
    left: Complex[HostArray, "all mode"], right: Complex[HostArray, "all mode"]
) -> tuple[Complex[HostArray, "all mode"], Float[HostArray, " mode"]]:
    r"""Combine left eigenvectors such that left_i^H right_j = delta_ij, where that is possible.

    Left and right vectors of one eigenvalue span its two eigenspaces, in bases that need not fit:
    among modes that overlap, left vectors are combined by the inverse of the overlaps.

    Parameters
    ----------
    left, right
        Columns of unit norm, mode by mode of the same eigenvalue.

    Returns
    -------
    left
        The combined vectors; NaN where the result is not biorthonormal.
    condition
        |left_i|, the condition numbers of the eigenvalues; infinite where there is no left vector.
    """
    overlap = left.conj().T @ right
    size = np.abs(overlap)
    own = np.diag(size)
    # A left vector orthogonal to every right one is that of a defective eigenvalue. It must go
    # first: compared with its own overlap, which is rounding, it would seem linked to every mode.
    floor = len(own) * np.finfo(float).eps
    exists = (size.max(axis=1, initial=0.0) > floor) & (size.max(axis=0, initial=0.0) > floor)
    limit = _LINKED * np.where(exists, own, np.inf)
    linked = (size > limit[:, None]) | (size > limit[None, :])
    linked &= exists[:, None] & exists[None, :]
    np.fill_diagonal(linked, True)
    count, labels = connected_components(linked, directed=False)
    combined = np.full(left.shape, np.nan, complex)
    alone = exists & (np.bincount(labels, minlength=count)[labels] == 1)
    combined[:, alone] = left[:, alone] / np.diag(overlap)[alone].conj()
    by_label = np.argsort(labels[~alone & exists], kind="stable")
    members = np.flatnonzero(~alone & exists)[by_label]
    for group in np.split(members, np.flatnonzero(np.diff(labels[members])) + 1):
        try:
            inverse = np.linalg.inv(overlap[np.ix_(group, group)])
        except np.linalg.LinAlgError:
            continue
        combined[:, group] = left[:, group] @ inverse.conj().T
    # The check that makes all this safe: whatever is not biorthonormal is not returned.
    error = combined.conj().T @ right
    error[np.diag_indices_from(error)] -= 1
    good = np.all(np.abs(error) <= _BIORTHONORMAL, axis=1)
    combined[:, ~good] = np.nan
    condition = np.where(good, np.linalg.norm(combined, axis=0), np.inf)
    return combined, condition


def _eigen(matrix: np.ndarray, vectors: str) -> tuple[Any, Any, Any]:
    """Return eigenvalues, right and left vectors as columns of unit norm (empty if not needed)."""
    none, settings = np.zeros((0, 0)), {"overwrite_a": True, "check_finite": False}
    eigvals: Any = scipy.linalg.eigvals
    eig: Any = scipy.linalg.eig
    try:
        if vectors == "none":
            return eigvals(matrix, **settings), none, none
        if vectors == "right":
            return *eig(matrix, **settings), none
        values, left, right = eig(matrix, left=True, **settings)
        return values, right, left
    except scipy.linalg.LinAlgError as error:
        raise NumericalFailureError(
            f"LAPACK found no eigenvalues ({error}): expected its iteration to end. Change the "
            "state slightly, or use leading_modes."
        ) from None
