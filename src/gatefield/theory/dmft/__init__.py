"""Dynamical mean-field theory: correlation functions of networks that move."""

from gatefield.networks.noise import GaussianInput
from gatefield.theory.dmft.potential import PotentialSolution, potential_solutions
from gatefield.theory.dmft.result import MeanField, TransientMeanField
from gatefield.theory.dmft.solve import follow_dmft, mean_field_branches, solve_dmft
from gatefield.theory.dmft.transient import solve_transient
from gatefield.theory.dmft.units import mean_field_units

__all__ = [
    "GaussianInput",
    "MeanField",
    "PotentialSolution",
    "TransientMeanField",
    "follow_dmft",
    "mean_field_branches",
    "mean_field_units",
    "potential_solutions",
    "solve_dmft",
    "solve_transient",
]
