"""What every figure's computation returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import xarray as xr

from gatefield.compare import StateSpectrum
from gatefield.core.results import AbstractResult
from gatefield.figures.spectra import boundary_dataset
from gatefield.io import state_datasets
from gatefield.theory.rmt import SpectralBoundary

Report = Callable[[str], None]
"""Called with what is being computed."""


class FigureResult(NamedTuple):
    """The numbers of a figure.

    Attributes
    ----------
    spectra
        Networks with their eigenvalues and theory's boundary, by panel.
    boundaries
        Further boundaries, by name.
    tables
        Everything else, by panel.
    lines
        For each panel what agrees and what does not, in words and numbers.
    results
        Results of theory and analysis that the figure draws, by name.
    """

    spectra: Mapping[str, StateSpectrum]
    boundaries: Mapping[str, SpectralBoundary]
    tables: Mapping[str, xr.Dataset]
    lines: tuple[str, ...]
    results: Mapping[str, AbstractResult] = MappingProxyType({})

    def datasets(self) -> dict[str, xr.Dataset]:
        """Return everything as groups of a netCDF file; ``states`` can be loaded by `io`."""
        groups = dict(self.tables)
        for name, one in self.spectra.items():
            parts = {"real": np.real(one.eigenvalues), "imag": np.imag(one.eigenvalues)}
            attributes = {"cell": repr(one.network.cell)}
            columns = {key: ("mode", values) for key, values in parts.items()}
            groups[f"eigenvalues_{name}"] = xr.Dataset(columns, attrs=attributes)
            groups[f"boundary_{name}"] = boundary_dataset([one.boundary])
        for name, boundary in self.boundaries.items():
            groups[f"boundary_{name}"] = boundary_dataset([boundary])
        for name, result in self.results.items():
            groups[name] = result.to_dataset()
        states = [(one.network, one.state) for one in self.spectra.values()]
        return groups | (state_datasets(states) if states else {})


def verdict(good: bool) -> str:
    """Say whether theory and networks agree."""
    return "agree" if good else "DISAGREE"


def silent(_: str) -> None:
    """Report nothing."""
