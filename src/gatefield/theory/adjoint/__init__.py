"""Gradients: the adjoint mean-field theory, beside what it needs to be compared with networks."""

from gatefield.theory.adjoint.dependent import DependentAdjoint, solve_dependent_adjoint
from gatefield.theory.adjoint.result import AdjointMeanField
from gatefield.theory.adjoint.shared import SharedSensitivity, solve_shared_sensitivity
from gatefield.theory.adjoint.solve import solve_adjoint

__all__ = [
    "AdjointMeanField",
    "DependentAdjoint",
    "SharedSensitivity",
    "solve_adjoint",
    "solve_dependent_adjoint",
    "solve_shared_sensitivity",
]
