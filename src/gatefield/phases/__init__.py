"""Critical lines and the phase diagram in the (g_h, alpha_r) plane."""

from gatefield.phases.diagram import REGIONS, PhaseDiagram, classify, phase_diagram
from gatefield.phases.dynamical import dynamical_line
from gatefield.phases.families import VARIED, LineFamily, line_family, surroundings_of
from gatefield.phases.lines import fixed_point_line, marginal_line, stability_line
from gatefield.phases.windows import InputWindows, unstable_inputs

__all__ = [
    "REGIONS",
    "VARIED",
    "InputWindows",
    "LineFamily",
    "PhaseDiagram",
    "classify",
    "dynamical_line",
    "fixed_point_line",
    "line_family",
    "marginal_line",
    "phase_diagram",
    "stability_line",
    "surroundings_of",
    "unstable_inputs",
]
