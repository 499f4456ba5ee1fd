"""Theory: mean-field predictions that networks confirm."""

from gatefield.theory import (
    adjoint,
    complexity,
    dmft,
    dynamical_fold,
    lyapunov,
    perturbation,
    rmt,
    static,
)

__all__ = [
    "adjoint",
    "complexity",
    "dmft",
    "dynamical_fold",
    "lyapunov",
    "perturbation",
    "rmt",
    "static",
]
