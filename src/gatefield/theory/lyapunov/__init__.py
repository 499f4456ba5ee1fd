"""The largest Lyapunov exponent by mean-field theory, and bounds of it."""

from gatefield.theory.lyapunov.bounds import LyapunovBounds, lyapunov_bounds
from gatefield.theory.lyapunov.result import MeanFieldLyapunov
from gatefield.theory.lyapunov.solve import mean_field_lyapunov

__all__ = ["LyapunovBounds", "MeanFieldLyapunov", "lyapunov_bounds", "mean_field_lyapunov"]
