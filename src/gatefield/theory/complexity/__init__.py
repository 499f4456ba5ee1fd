"""Topological complexity: how the number of a network's fixed points grows with its size."""

from gatefield.theory.complexity.annealed import AnnealedComplexity, annealed_complexity
from gatefield.theory.complexity.finite import ExpectedCount, expected_count
from gatefield.theory.complexity.result import Complexity
from gatefield.theory.complexity.solve import complexity

__all__ = [
    "AnnealedComplexity",
    "Complexity",
    "ExpectedCount",
    "annealed_complexity",
    "complexity",
    "expected_count",
]
