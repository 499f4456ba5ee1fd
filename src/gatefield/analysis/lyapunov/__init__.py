"""Lyapunov exponents of simulated networks, by QR of the exact tangent."""

from gatefield.analysis.lyapunov.covariant import CovariantVectors, covariant_vectors
from gatefield.analysis.lyapunov.ensemble import LyapunovEnsemble, lyapunov_spectra
from gatefield.analysis.lyapunov.result import LyapunovSpectrum, kaplan_yorke_dimension
from gatefield.analysis.lyapunov.spectrum import lyapunov_spectrum

__all__ = [
    "CovariantVectors",
    "LyapunovEnsemble",
    "LyapunovSpectrum",
    "covariant_vectors",
    "kaplan_yorke_dimension",
    "lyapunov_spectra",
    "lyapunov_spectrum",
]
