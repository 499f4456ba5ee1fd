"""Random-matrix theory of Jacobians: where eigenvalues lie, and how densely."""

from gatefield.theory.rmt.boundary import SpectralBoundary, spectral_boundary
from gatefield.theory.rmt.density import SpectralDensity, spectral_density
from gatefield.theory.rmt.ensemble import UnitEnsemble, unit_ensemble
from gatefield.theory.rmt.grid import SpectralDensityGrid, spectral_density_grid

__all__ = [
    "SpectralBoundary",
    "SpectralDensity",
    "SpectralDensityGrid",
    "UnitEnsemble",
    "spectral_boundary",
    "spectral_density",
    "spectral_density_grid",
    "unit_ensemble",
]
