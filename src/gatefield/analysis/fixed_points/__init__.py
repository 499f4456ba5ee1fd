"""Fixed points and slow points of networks, by Newton's method from many starts."""

from gatefield.analysis.fixed_points.result import FixedPoints
from gatefield.analysis.fixed_points.search import find_fixed_points

__all__ = ["FixedPoints", "find_fixed_points"]
