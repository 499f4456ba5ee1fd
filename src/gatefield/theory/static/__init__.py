"""Static mean-field theory: the statistics of fixed points, and whether they are stable."""

from gatefield.theory.static.conditions import StaticConditions, static_conditions
from gatefield.theory.static.gaussian import Gates, gates_of, static_branches, static_point
from gatefield.theory.static.result import StaticGrid, StaticMeanField
from gatefield.theory.static.solve import solve_static, solve_static_grid

__all__ = [
    "Gates",
    "StaticConditions",
    "StaticGrid",
    "StaticMeanField",
    "gates_of",
    "solve_static",
    "solve_static_grid",
    "static_branches",
    "static_conditions",
    "static_point",
]
