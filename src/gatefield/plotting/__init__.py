"""Results drawn on matplotlib axes: every function takes ``ax`` and returns it."""

from gatefield.plotting.correlations import correlation_figure, plot_correlation
from gatefield.plotting.exponent_spectra import (
    exponent_spectrum_figure,
    plot_dimension_convergence,
    plot_exponent_convergence,
    plot_exponent_spectrum,
)
from gatefield.plotting.exponents import (
    STATE_LINES,
    exponent_figure,
    exponent_line_figure,
)
from gatefield.plotting.lyapunov import (
    plot_exponents,
    plot_measured_exponents,
    plot_schroedinger,
)
from gatefield.plotting.names import symbol, time_unit
from gatefield.plotting.phases import legend_handles, plot_phase_diagram
from gatefield.plotting.spectrum import plot_spectral_density, plot_spectrum, spectrum_figure
from gatefield.plotting.style import FORMATS, save_figure, style

__all__ = [
    "FORMATS",
    "STATE_LINES",
    "correlation_figure",
    "exponent_figure",
    "exponent_line_figure",
    "exponent_spectrum_figure",
    "legend_handles",
    "plot_correlation",
    "plot_dimension_convergence",
    "plot_exponent_convergence",
    "plot_exponent_spectrum",
    "plot_exponents",
    "plot_measured_exponents",
    "plot_phase_diagram",
    "plot_schroedinger",
    "plot_spectral_density",
    "plot_spectrum",
    "save_figure",
    "spectrum_figure",
    "style",
    "symbol",
    "time_unit",
]
