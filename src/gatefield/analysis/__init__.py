"""Analysis of simulated networks."""

from gatefield.analysis.growth import PerturbationGrowth, perturbation_growth

__all__ = ["PerturbationGrowth", "perturbation_growth"]
