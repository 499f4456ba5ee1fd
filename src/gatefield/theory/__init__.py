"""Theory: mean-field predictions that networks confirm."""

from gatefield.theory import dynamical_fold, rmt, static

__all__ = ["dynamical_fold", "rmt", "static"]
