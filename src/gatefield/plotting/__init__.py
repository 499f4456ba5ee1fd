"""Results drawn on matplotlib axes: every function takes ``ax`` and returns it."""

from gatefield.plotting.phases import legend_handles, plot_phase_diagram
from gatefield.plotting.style import FORMATS, save_figure, style

__all__ = ["FORMATS", "legend_handles", "plot_phase_diagram", "save_figure", "style"]
