"""Theory: mean-field predictions that networks confirm."""

from gatefield.theory import dmft, dynamical_fold, lyapunov, rmt, static

__all__ = ["dmft", "dynamical_fold", "lyapunov", "rmt", "static"]
