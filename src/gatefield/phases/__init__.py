"""Critical lines, the phase diagram, and maps of what becomes of gradients."""

from gatefield.phases.diagram import REGIONS, PhaseDiagram, classify, phase_diagram
from gatefield.phases.dynamical import dynamical_line
from gatefield.phases.families import VARIED, LineFamily, line_family, surroundings_of
from gatefield.phases.gradient_maps import REGIMES, GradientMap, gradient_map
from gatefield.phases.gradient_planes import GRADIENT_PLANES, GradientPlane, gradient_planes
from gatefield.phases.lines import fixed_point_line, marginal_line, stability_line
from gatefield.phases.windows import InputWindows, unstable_inputs

__all__ = [
    "GRADIENT_PLANES",
    "REGIMES",
    "REGIONS",
    "VARIED",
    "GradientMap",
    "GradientPlane",
    "InputWindows",
    "LineFamily",
    "PhaseDiagram",
    "classify",
    "dynamical_line",
    "fixed_point_line",
    "gradient_map",
    "gradient_planes",
    "line_family",
    "marginal_line",
    "phase_diagram",
    "stability_line",
    "surroundings_of",
    "unstable_inputs",
]
