"""Results drawn on matplotlib axes: every function takes ``ax`` and returns it."""

from gatefield.plotting.correlations import correlation_figure, plot_correlation
from gatefield.plotting.critical_lines import (
    family_handles,
    line_family_figure,
    plot_line_family,
    value_colours,
    varied_symbol,
)
from gatefield.plotting.diagnosis import (
    plot_coupling_eigenvalues,
    plot_layer_exponents,
    plot_layer_jacobian,
    plot_phase_place,
    plot_slow_points,
)
from gatefield.plotting.diagnosis_figures import diagnosis_figures
from gatefield.plotting.diagnosis_memory import (
    plot_gate_histogram,
    plot_gradient_horizon,
    plot_layer_memory,
)
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
from gatefield.plotting.fixed_points import (
    fixed_points_figure,
    plot_fixed_points,
    plot_speeds,
    plot_unstable_directions,
)
from gatefield.plotting.gradient_map import (
    gradient_map_figure,
    map_handles,
    plot_gradient_map,
)
from gatefield.plotting.gradients import (
    gradient_symbol,
    plot_adjoint,
    plot_gradient_ratios,
    plot_growth,
)
from gatefield.plotting.input_response import input_response_figure, plot_input_response
from gatefield.plotting.lyapunov import (
    plot_exponents,
    plot_measured_exponents,
    plot_schroedinger,
)
from gatefield.plotting.names import symbol, time_unit
from gatefield.plotting.phases import legend_handles, plot_phase_diagram
from gatefield.plotting.spectrum import plot_spectral_density, plot_spectrum, spectrum_figure
from gatefield.plotting.style import FORMATS, save_figure, style
from gatefield.plotting.transients import (
    plot_survival,
    plot_transient_medians,
    transient_figure,
)

__all__ = [
    "FORMATS",
    "STATE_LINES",
    "correlation_figure",
    "diagnosis_figures",
    "exponent_figure",
    "exponent_line_figure",
    "exponent_spectrum_figure",
    "family_handles",
    "gradient_map_figure",
    "gradient_symbol",
    "input_response_figure",
    "fixed_points_figure",
    "legend_handles",
    "line_family_figure",
    "map_handles",
    "plot_adjoint",
    "plot_correlation",
    "plot_coupling_eigenvalues",
    "plot_dimension_convergence",
    "plot_exponent_convergence",
    "plot_exponent_spectrum",
    "plot_exponents",
    "plot_fixed_points",
    "plot_gate_histogram",
    "plot_gradient_horizon",
    "plot_gradient_map",
    "plot_gradient_ratios",
    "plot_growth",
    "plot_measured_exponents",
    "plot_input_response",
    "plot_layer_exponents",
    "plot_layer_jacobian",
    "plot_layer_memory",
    "plot_line_family",
    "plot_phase_diagram",
    "plot_phase_place",
    "plot_schroedinger",
    "plot_slow_points",
    "plot_spectral_density",
    "plot_speeds",
    "plot_spectrum",
    "plot_survival",
    "plot_transient_medians",
    "plot_unstable_directions",
    "save_figure",
    "spectrum_figure",
    "style",
    "symbol",
    "time_unit",
    "transient_figure",
    "value_colours",
    "varied_symbol",
]
