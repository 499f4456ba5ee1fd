"""Theory: mean-field predictions that networks confirm."""

from gatefield.theory import dynamical_fold, static

__all__ = ["dynamical_fold", "static"]
