"""From the map to networks: cells of wanted properties, by inverse design and by recipes."""

from gatefield.initialise.measured import measure
from gatefield.initialise.quantities import QUANTITIES, Quantity, bias_names, deviation
from gatefield.initialise.recipes import chrono_cell, critical_cell, marginal_cell
from gatefield.initialise.result import Design, DesignSolution
from gatefield.initialise.solve import design
from gatefield.initialise.statistics import InputStatistics

__all__ = [
    "QUANTITIES",
    "Design",
    "DesignSolution",
    "InputStatistics",
    "Quantity",
    "bias_names",
    "design",
    "chrono_cell",
    "critical_cell",
    "deviation",
    "measure",
    "marginal_cell",
]
