"""Critical lines and the phase diagram in the (g_h, alpha_r) plane."""

from gatefield.phases.diagram import REGIONS, PhaseDiagram, classify, phase_diagram
from gatefield.phases.dynamical import dynamical_line
from gatefield.phases.lines import fixed_point_line, marginal_line, stability_line

__all__ = [
    "REGIONS",
    "PhaseDiagram",
    "classify",
    "dynamical_line",
    "fixed_point_line",
    "marginal_line",
    "phase_diagram",
    "stability_line",
]
