"""Expansions around the transitions: closed forms with their small parameter and their domain."""

from gatefield.theory.perturbation.biased_fixed_point import BiasedFixedPoint, biased_fixed_point
from gatefield.theory.perturbation.biased_stability import BiasedStability, biased_stability
from gatefield.theory.perturbation.expansion import FoldExpansion, PairExpansion
from gatefield.theory.perturbation.fixed_points_lower_end import (
    fixed_point_fold_near_sqrt_2,
    fixed_point_pair_near_sqrt_2,
)
from gatefield.theory.perturbation.fixed_points_upper_end import (
    fixed_point_fold_near_2,
    fixed_point_pair_near_2,
)
from gatefield.theory.perturbation.moving_states_lower_end import moving_fold_near_lower_end
from gatefield.theory.perturbation.moving_states_upper_end import (
    moving_fold_near_2,
    moving_pair_near_2,
)
from gatefield.theory.perturbation.near_critical import NearCriticalState, near_critical_state

__all__ = [
    "BiasedFixedPoint",
    "BiasedStability",
    "FoldExpansion",
    "NearCriticalState",
    "PairExpansion",
    "biased_fixed_point",
    "biased_stability",
    "fixed_point_fold_near_2",
    "fixed_point_fold_near_sqrt_2",
    "fixed_point_pair_near_2",
    "fixed_point_pair_near_sqrt_2",
    "moving_fold_near_2",
    "moving_fold_near_lower_end",
    "moving_pair_near_2",
    "near_critical_state",
]
