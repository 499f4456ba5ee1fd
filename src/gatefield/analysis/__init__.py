"""Analysis of simulated networks."""

from gatefield.analysis.correlations import CorrelationFunctions, correlation_functions
from gatefield.analysis.dimension import ParticipationDimension, participation_dimension
from gatefield.analysis.fixed_points import FixedPoints, find_fixed_points
from gatefield.analysis.gradients import NetworkGradients, network_gradients
from gatefield.analysis.growth import PerturbationGrowth, perturbation_growth
from gatefield.analysis.integrator import (
    IntegratorMemory,
    LineAttractor,
    integrator_memory,
    line_attractor,
)
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
from gatefield.analysis.reset import (
    Erasure,
    Pulse,
    reset_by_output_gate,
    reset_by_pulse,
    reset_by_update_gate,
)
from gatefield.analysis.spectra import NetworkSpectrum, network_spectrum
from gatefield.analysis.transients import TransientLengths, transient_lengths
from gatefield.analysis.two_time import TwoTimeCorrelations, two_time_correlations

__all__ = [
    "CorrelationFunctions",
    "CovariantVectors",
    "Erasure",
    "FixedPoints",
    "IntegratorMemory",
    "LineAttractor",
    "LyapunovEnsemble",
    "LyapunovSpectrum",
    "NetworkGradients",
    "NetworkModes",
    "NetworkSpectrum",
    "ParticipationDimension",
    "PerturbationGrowth",
    "Pulse",
    "TransientLengths",
    "TwoTimeCorrelations",
    "correlation_functions",
    "covariant_vectors",
    "find_fixed_points",
    "integrator_memory",
    "kaplan_yorke_dimension",
    "leading_modes",
    "line_attractor",
    "lyapunov_spectra",
    "lyapunov_spectrum",
    "network_gradients",
    "network_spectrum",
    "participation_dimension",
    "perturbation_growth",
    "reset_by_output_gate",
    "reset_by_pulse",
    "reset_by_update_gate",
    "transient_lengths",
    "two_time_correlations",
]
