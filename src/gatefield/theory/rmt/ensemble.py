"""The units of a network as random-matrix theory sees them: weighted linear responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import schur

from gatefield.cells import AbstractCell, AbstractMap, unit_blocks
from gatefield.cells.base import check_cell
from gatefield.core.checks import as_parameter, check_count, check_seed
from gatefield.core.errors import InvalidInputError, refuse
from gatefield.core.types import Float, HostArray
from gatefield.networks import UnitJacobian
from gatefield.networks.network import relative_gains
from gatefield.theory.dmft import MeanField, mean_field_units
from gatefield.theory.rmt.response import UnitResponse
from gatefield.theory.static import StaticMeanField
from gatefield.theory.static.sampled import sampled_units


class UnitEnsemble(eqx.Module):
    """Per-unit blocks of a Jacobian A + L (1 - J Q)^-1 J R with weights: a distribution of units.

    Build it by `unit_ensemble` or `of_samples`.

    Attributes
    ----------
    A, L, R, Q
        (M, d, d), (M, d, K), (M, K, d), (M, K, K) as in `UnitJacobian`, except that L and Q carry
        each unit's gain relative to ``gains``, where units differ in it.
    weights
        Weight of each of the M units; they sum to one.
    gains
        Gains of the K coupling fields.
    is_map
        Whether stability ends at the unit circle (maps) or at the imaginary axis (flows).
    units
        Number N of units of the network; 0 for a distribution, which has none.
    """

    A: Float[HostArray, "sample component component"]
    L: Float[HostArray, "sample component field"]
    R: Float[HostArray, "sample field component"]
    Q: Float[HostArray, "sample field field"]
    weights: Float[HostArray, " sample"]
    gains: Float[HostArray, " field"]
    is_map: bool = eqx.field(static=True)
    units: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        """Refuse blocks that are not finite, whatever they were made from."""
        for name in ("A", "L", "R", "Q", "weights", "gains"):
            value = np.asarray(getattr(self, name))
            if not np.all(np.isfinite(value)):
                remedy = "The state that was linearised has run away, or a parameter is not finite."
                refuse(f"{name} of the units", "values that are not finite", "finite ones", remedy)
        shape = np.shape(self.L)
        if len(shape) != 3 or shape[0] == 0:
            refuse("L.shape", shape, "(M, d, K) with M > 0", "Put the unit axis first.")
        count, d, fields = shape
        expected = {
            "A": (count, d, d),
            "R": (count, fields, d),
            "Q": (count, fields, fields),
            "weights": (count,),
            "gains": (fields,),
        }
        for name, wanted in expected.items():
            given = np.shape(getattr(self, name))
            if given != wanted:
                refuse(f"{name}.shape", given, f"{wanted}, as L.shape = {shape}", "Make them fit.")
        weights = np.asarray(self.weights)
        if np.any(weights < 0) or not np.isclose(weights.sum(), 1.0):
            refuse("weights", weights, "none negative, sum one", "Divide them by their sum.")

    @classmethod
    def of_samples(
        cls,
        cell: AbstractCell,
        state: Any,
        fields: Any,
        *,
        drive: Any = None,
        weights: Any = None,
    ) -> UnitEnsemble:
        """Linearise a cell at sampled states and fields, for instance of a mean-field theory.

        Parameters
        ----------
        cell
            The per-unit rule.
        state, fields
            (d, M) and (K, M): one column for each sampled unit.
        drive
            External input (drives, M); by default none.
        weights
            (M,), positive; by default equal. They are normalised to sum one.

        Returns
        -------
        UnitEnsemble

        Raises
        ------
        InvalidInputError
            If shapes do not fit, or values are not finite.
        """
        check_cell(cell)
        state = np.asarray(as_parameter("state", state))
        count = state.shape[-1] if state.ndim == 2 else 0
        fields = np.asarray(as_parameter("fields", fields))
        wanted = (len(cell.state_names), count), (len(cell.field_names), count)
        if count == 0 or (state.shape, fields.shape) != wanted:
            shapes = f"(d, M) = ({wanted[0][0]}, M) and (K, M) = ({wanted[1][0]}, M)"
            refuse("state and fields", (state.shape, fields.shape), shapes, "One column per unit.")
        silent = np.zeros((len(cell.drive_names), count))
        drive = silent if drive is None else np.asarray(as_parameter("drive", drive))
        if drive.shape != silent.shape:
            refuse("drive.shape", drive.shape, f"{silent.shape}", "One row for each drive name.")
        weights = np.ones(count) if weights is None else weights
        weights = np.asarray(as_parameter("weights", weights, nonnegative=True))
        if weights.shape != (count,) or weights.sum() <= 0:
            refuse("weights", weights.shape, f"({count},), not all zero", "One for each unit.")
        with jax.enable_x64(True):
            blocks = _blocks(cell, *(jnp.asarray(a) for a in (state, fields, drive)))
        gains = [np.sqrt(np.mean(np.square(cell.gains()[name]))) for name in cell.field_names]
        A, L, R, Q = (np.asarray(block) for block in blocks)
        own = relative_gains(cell, count)[:, None, :]
        return cls(
            A,
            L * own,
            R,
            Q * own,
            weights=weights / weights.sum(),
            gains=np.array(gains),
            is_map=isinstance(cell, AbstractMap),
        )

    @property
    def components(self) -> int:
        """Number d of components of a unit's state."""
        return self.A.shape[-1]

    def response(self) -> UnitResponse:
        """Return the units' response to their fields, in the form that is fast to evaluate.

        A is brought to upper triangular form by a unitary change of basis, unit by unit, so that
        (lambda - A)^-1 is a back substitution, accurate also beside A's eigenvalues.
        """
        A, L, R = self.A, self.L, self.R * self.gains[:, None]
        rows, columns = np.tril_indices(self.components, -1)
        if np.any(A[:, rows, columns] != 0):
            triangular, basis = zip(*(schur(a, output="complex") for a in A), strict=True)
            A, U = np.array(triangular), np.array(basis)
            L, R = U.conj().swapaxes(1, 2) @ L, R @ U
        last = [np.moveaxis(block, 0, -1) for block in (A, L, R, self.Q * self.gains[:, None])]
        return UnitResponse.of_arrays(*last, weights=self.weights)


def unit_ensemble(source: Any, *, samples: int = 4096, seed: int = 0) -> UnitEnsemble:
    """Return the distribution of units behind anything that random-matrix theory can start from.

    Parameters
    ----------
    source
        A `UnitJacobian` (a network's state, by `gf.linearise`: the empirical averages of Eq. A34),
        several of them (pooled: other states or networks of the same kind), a `StaticMeanField`,
        a `MeanField`, or a `UnitEnsemble`.
    samples, seed
        Number of quasi-random units drawn from a `StaticMeanField` or a `MeanField`, and their
        seed.

    Returns
    -------
    UnitEnsemble

    Raises
    ------
    InvalidInputError
        For another source, mixed shapes, or values that are not finite.
    """
    if isinstance(source, UnitEnsemble):
        return source
    if isinstance(source, UnitJacobian):
        return _pooled([source])
    if isinstance(source, StaticMeanField | MeanField):
        samples, seed = check_count("samples", samples, at_least=2), check_seed(seed)
        options = {"samples": samples, "seed": seed}
        if isinstance(source, MeanField):
            units = mean_field_units(source, **options)
        else:
            units = sampled_units(source, **options)
        return UnitEnsemble.of_samples(source.cell, units.state, units.fields, drive=units.drive)
    if isinstance(source, Sequence) and source and not isinstance(source, str):
        if all(isinstance(each, UnitJacobian) for each in source):
            return _pooled(source)
    raise InvalidInputError(
        f"source = {type(source).__name__}: expected a StaticMeanField, a MeanField, a UnitJacobian"
        " (or several) or a UnitEnsemble. Linearise a state by gf.linearise(network, state)."
    )


def _pooled(jacobians: Sequence[UnitJacobian]) -> UnitEnsemble:
    first = jacobians[0]
    for other in jacobians[1:]:
        alike = other.A.shape == first.A.shape and other.L.shape == first.L.shape
        if not alike or other.is_map != first.is_map or not np.allclose(other.gains, first.gains):
            refuse("source", "several kinds of network", "states of one kind", "Pool like ones.")
    A, L, R, Q = (
        np.concatenate([np.asarray(getattr(j, name), np.float64) for j in jacobians])
        for name in "ALRQ"
    )
    # A gain of a unit's own scales its row of J: det(1 - G J Y) = det(1 - J Y G).
    own = np.concatenate([j.relative_gains for j in jacobians])[:, None, :]
    count = len(A)
    return UnitEnsemble(
        A,
        L * own,
        R,
        Q * own,
        weights=np.full(count, 1 / count),
        gains=np.asarray(first.gains, np.float64),
        is_map=first.is_map,
        units=first.A.shape[0],
    )


@eqx.filter_jit
def _blocks(cell, state, fields, drive):
    return unit_blocks(cell, state, fields, drive)
