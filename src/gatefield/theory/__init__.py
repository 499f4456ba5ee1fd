"""Theory: mean-field predictions that networks confirm."""

from gatefield.theory import complexity, dmft, dynamical_fold, lyapunov, perturbation, rmt, static

__all__ = ["complexity", "dmft", "dynamical_fold", "lyapunov", "perturbation", "rmt", "static"]
