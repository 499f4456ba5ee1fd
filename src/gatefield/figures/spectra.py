"""What figures of spectra share: units that stand still, and boundaries as data."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import numpy as np
import xarray as xr

from gatefield.networks import UnitJacobian
from gatefield.theory.rmt import SpectralBoundary

OUTSIDE = 0.015
"""Fraction of eigenvalues that scatters out of the boundary at N = 1000; it falls as N^-1/2."""


def without_motion(units: UnitJacobian) -> UnitJacobian:
    """Return a gated RNN's units with D_t = 0: as if h stood still."""
    A = np.array(units.A)
    A[:, 0, 1] = 0.0
    return eqx.tree_at(lambda each: each.A, units, A)


def boundary_dataset(boundaries: Sequence[SpectralBoundary]) -> xr.Dataset:
    """Return several boundaries as one dataset: vertices, and whose and which curve each is."""
    columns: dict[str, list] = {"real": [], "imag": [], "curve": [], "network": []}
    for number, boundary in enumerate(boundaries):
        columns["real"].append(boundary.vertices_real)
        columns["imag"].append(boundary.vertices_imag)
        columns["curve"].append(boundary.curve)
        columns["network"].append(np.full(boundary.curve.size, number))
    joined = {name: ("vertex", np.concatenate(parts)) for name, parts in columns.items()}
    return xr.Dataset(joined, attrs={"is_map": int(boundaries[0].is_map)})
