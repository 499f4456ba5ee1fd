"""The recurrent weights against those of random networks: gains, outliers, rank, symmetry."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
import scipy.linalg

from gatefield.core.errors import NumericalFailureError
from gatefield.core.results import quantity
from gatefield.core.types import Complex, Float, HostArray, Int
from gatefield.diagnosis.margins import singular_margin, spectral_margin
from gatefield.diagnosis.part import MapPart
from gatefield.networks import Network

_DOUBLE = 1000  # units up to which eigenvalues are found in double precision
_FEWEST = 16  # units below which there is no bulk to speak of
_PEELED = 4  # at most one singular value in so many is taken out of the bulk
_ROUNDING = float(np.finfo(np.float32).eps)  # of weights, whatever they were converted to


class Couplings(MapPart):
    r"""The recurrent weights of each coupling field, against independent Gaussian entries.

    Of N by N entries of variance gain^2 / N the eigenvalues fill a disc of radius gain (circular
    law) and the singular values reach 2 gain (quarter circle).

    Attributes
    ----------
    field_names
        The fields, the order of the axis "field".
    gain
        |J| / sqrt(N), with the Frobenius norm.
    bulk_gain
        The same without the singular values beyond the edge of those of the others: the gain of
        what is left when low-rank structure is taken out; 0 if nothing is.
    mean
        N times the mean entry: where a common mean alone would put an outlier.
    kurtosis
        Excess kurtosis of the entries; 0 for Gaussian ones, -1.2 for uniform ones.
    row_spread, column_spread
        Standard deviation over mean of the norms of rows (what units receive) and of columns
        (what units send).
    expected_spread
        The same of independent Gaussian entries, sqrt(1 / 2N).
    eigenvalues_real, eigenvalues_imag
        All eigenvalues of each matrix, by decreasing modulus; `eigenvalues` joins them.
    edge
        Modulus beyond which an eigenvalue is an outlier: bulk_gain times one plus the margin that
        one random matrix in a thousand exceeds. Without a bulk the square root of rounding.
    outliers
        Number of eigenvalues beyond it: the first ones of ``eigenvalues``.
    singular_values
        All singular values, descending.
    singular_edge
        Value beyond which a singular value is an outlier, by the same level.
    singular_outliers
        Number of singular values beyond it.
    numerical_rank
        Number of singular values above rounding in single precision, N eps of the largest.
    effective_rank
        (sum s^2)^2 / sum s^4 over singular values; N / 2 for independent entries.
    asymmetry
        |J - J^T| / |J + J^T|; 1 for independent entries, 0 for symmetric ones.
    reciprocity
        Correlation of J_ij and J_ji over pairs; 0 for independent entries.
    """

    field_names: tuple[str, ...] = eqx.field(static=True)
    gain: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    bulk_gain: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    mean: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    kurtosis: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    row_spread: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    column_spread: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    expected_spread: Float[HostArray, ""] = eqx.field(metadata=quantity())
    eigenvalues_real: Float[HostArray, "field mode"] = eqx.field(metadata=quantity("field", "mode"))
    eigenvalues_imag: Float[HostArray, "field mode"] = eqx.field(metadata=quantity("field", "mode"))
    edge: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    outliers: Int[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    singular_values: Float[HostArray, "field rank"] = eqx.field(metadata=quantity("field", "rank"))
    singular_edge: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    singular_outliers: Int[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    numerical_rank: Int[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    effective_rank: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    asymmetry: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))
    reciprocity: Float[HostArray, " field"] = eqx.field(metadata=quantity("field"))

    @property
    def eigenvalues(self) -> Complex[HostArray, "field mode"]:
        """The complex eigenvalues of each field's matrix."""
        return self.eigenvalues_real + 1j * self.eigenvalues_imag


class _Field(NamedTuple):
    """The numbers of one field, by the names of `Couplings`."""

    gain: float
    bulk_gain: float
    mean: float
    kurtosis: float
    row_spread: float
    column_spread: float
    eigenvalues: HostArray
    edge: float
    outliers: int
    singular_values: HostArray
    singular_edge: float
    singular_outliers: int
    numerical_rank: int
    effective_rank: float
    asymmetry: float
    reciprocity: float


def couplings_of(network: Network) -> tuple[Couplings, tuple[str, ...]]:
    """Compare the couplings of a network with independent Gaussian ones.

    Parameters
    ----------
    network
        Any network.

    Returns
    -------
    Couplings
    tuple of str
        Notes.

    Raises
    ------
    NumericalFailureError
        If LAPACK finds no eigenvalues.

    References
    ----------
    Ginibre, J. Math. Phys. 6, 440 (1965) (circular law). Marchenko and Pastur, Math. USSR Sb. 1,
    457 (1967). `spectral_margin` and `singular_margin` for the finite-size margins.
    """
    names, notes = network.cell.field_names, []
    each = []
    for name in names:
        found, peeled = _field(network.coupling(name))
        each.append(found)
        if peeled:
            notes.append(
                f"The singular values of {name} fall without an edge: its bulk gain is what is "
                f"left below the first {network.n // _PEELED}."
            )
    columns = {key: np.array([getattr(field, key) for field in each]) for key in _Field._fields}
    values = columns.pop("eigenvalues")
    return Couplings(
        field_names=names,
        expected_spread=np.asarray(np.sqrt(1 / (2 * network.n))),
        eigenvalues_real=np.real(values),
        eigenvalues_imag=np.imag(values),
        **columns,
    ), tuple(notes)


def _field(matrix: Float[HostArray, "unit unit"]) -> tuple[_Field, bool]:
    n = len(matrix)
    wide = matrix.astype(np.float64)
    work = wide if n <= _DOUBLE else matrix
    gain = float(np.linalg.norm(wide) / np.sqrt(n))
    try:
        eigenvalues = _eigvals(work)
        singular = np.asarray(scipy.linalg.svdvals(work, check_finite=False), np.float64)
    except scipy.linalg.LinAlgError as error:
        raise NumericalFailureError(
            f"LAPACK found no eigenvalues of a coupling matrix ({error}). Rescale the weights."
        ) from None
    margin = singular_margin(n)
    largest = float(singular[0])
    rank = int(np.sum(singular > n * _ROUNDING * largest))
    bulk, count, peeled = _bulk(np.where(np.arange(n) < rank, singular, 0.0), margin)
    edge = bulk * (1 + spectral_margin(n)) if bulk > 0 else n * np.sqrt(_ROUNDING) * largest
    rows, columns = (np.linalg.norm(wide, axis=axis) for axis in (1, 0))
    centred = wide - wide.mean()
    variance = float(np.mean(centred**2))
    diagonal = float(np.sum(np.diag(wide) ** 2))
    pairs, size = float(np.sum(wide * wide.T)) - diagonal, float(np.sum(wide**2)) - diagonal
    total = float(np.sum(singular**2))
    symmetric = float(np.linalg.norm(wide + wide.T))
    return _Field(
        gain=gain,
        bulk_gain=bulk,
        mean=float(n * wide.mean()),
        kurtosis=float(np.mean(centred**4) / variance**2 - 3) if variance > 0 else np.nan,
        row_spread=_spread(rows),
        column_spread=_spread(columns),
        eigenvalues=eigenvalues,
        edge=edge,
        outliers=int(np.sum(np.abs(eigenvalues[:rank]) > edge)),
        singular_values=singular,
        singular_edge=2 * bulk * (1 + margin),
        singular_outliers=count,
        numerical_rank=rank,
        effective_rank=total**2 / float(np.sum(singular**4)) if total > 0 else 0.0,
        asymmetry=float(np.linalg.norm(wide - wide.T)) / symmetric if symmetric > 0 else np.inf,
        reciprocity=pairs / size if size > 0 else 0.0,
    ), peeled


def _eigvals(matrix: HostArray) -> Complex[HostArray, " mode"]:
    eigvals: Any = scipy.linalg.eigvals
    values = np.asarray(eigvals(matrix, check_finite=False), complex)
    return values[np.lexsort((-np.imag(values), -np.abs(values)))]


def _bulk(singular: Float[HostArray, " rank"], margin: float) -> tuple[float, int, bool]:
    """Return the gain without values beyond the edge of the others, their number, if it ran out."""
    n = len(singular)
    squares = singular**2
    if n < _FEWEST:
        return float(np.sqrt(squares.mean())), 0, False
    below = np.cumsum(squares[::-1])[::-1]  # of this value and all smaller ones
    count = 0
    while count <= n // _PEELED:
        gain = float(np.sqrt(below[count] / (n - count)))
        beyond = int(np.sum(singular > 2 * gain * (1 + margin)))
        if beyond <= count:
            return gain, beyond, False
        count = min(beyond, n // _PEELED + 1)
    count = n // _PEELED
    return float(np.sqrt(below[count] / (n - count))), count, True


def _spread(norms: HostArray) -> float:
    return float(norms.std() / norms.mean()) if norms.mean() > 0 else 0.0
