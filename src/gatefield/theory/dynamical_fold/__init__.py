"""The discontinuous transition to chaos beside the stable zero fixed point (alpha_z = 0)."""

from gatefield.theory.dynamical_fold.lagged import lagged_fold, lower_end
from gatefield.theory.dynamical_fold.potential import (
    PotentialBranch,
    potential_branch,
    potential_fold,
)
from gatefield.theory.dynamical_fold.result import DynamicalFold

__all__ = [
    "DynamicalFold",
    "PotentialBranch",
    "lagged_fold",
    "lower_end",
    "potential_branch",
    "potential_fold",
]
