"""Analysis of simulated networks."""

from gatefield.analysis.growth import PerturbationGrowth, perturbation_growth
from gatefield.analysis.modes import NetworkModes, leading_modes
from gatefield.analysis.spectra import NetworkSpectrum, network_spectrum

__all__ = [
    "NetworkModes",
    "NetworkSpectrum",
    "PerturbationGrowth",
    "leading_modes",
    "network_spectrum",
    "perturbation_growth",
]
