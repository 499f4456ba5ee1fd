"""Analysis of simulated networks."""

from gatefield.analysis.correlations import CorrelationFunctions, correlation_functions
from gatefield.analysis.dimension import ParticipationDimension, participation_dimension
from gatefield.analysis.fixed_points import FixedPoints, find_fixed_points
from gatefield.analysis.growth import PerturbationGrowth, perturbation_growth
from gatefield.analysis.lyapunov import (
    CovariantVectors,
    LyapunovEnsemble,
    LyapunovSpectrum,
    covariant_vectors,
    kaplan_yorke_dimension,
    lyapunov_spectra,
    lyapunov_spectrum,
)
from gatefield.analysis.modes import NetworkModes, leading_modes
from gatefield.analysis.spectra import NetworkSpectrum, network_spectrum
from gatefield.analysis.two_time import TwoTimeCorrelations, two_time_correlations

__all__ = [
    "CorrelationFunctions",
    "CovariantVectors",
    "FixedPoints",
    "LyapunovEnsemble",
    "LyapunovSpectrum",
    "NetworkModes",
    "NetworkSpectrum",
    "ParticipationDimension",
    "PerturbationGrowth",
    "TwoTimeCorrelations",
    "correlation_functions",
    "covariant_vectors",
    "find_fixed_points",
    "kaplan_yorke_dimension",
    "leading_modes",
    "lyapunov_spectra",
    "lyapunov_spectrum",
    "network_spectrum",
    "participation_dimension",
    "perturbation_growth",
    "two_time_correlations",
]
