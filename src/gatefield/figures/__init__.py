"""The figures of the paper, one module each.

A module has ``compute(*, quick, seed, report) -> FigureResult`` and ``figure(result)``; an entry of
`FIGURES` makes it known to ``gatefield figures``. Figure 7 is drawn by ``gatefield phases``.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from gatefield.core.checks import check_choice

FIGURES = {
    "fig01": "Jacobian spectra of the gated RNN: slow modes, pinching, and where there is none",
    "fig02": "gates make integrators: input along slow modes is kept, along fast ones it decays",
    "fig03": "Lyapunov spectra, dimension and largest exponent through both transitions to chaos",
    "fig04": "the discontinuous transition: fixed points appear, then chaos",
    "fig05": "static input induces chaos in one network and suppresses it in another",
    "fig06": "reset: the output gate shut, by context, and the update gate opened",
    "fig07": "the phase diagram (what `gatefield phases` draws)",
    "fig08": "Eq. 5 against the exact spectral curve of states that move",
    "fig09": "correlation functions by mean-field theory against networks",
    "fig10": "where the correlators of h and of the update gate factorise, and where not",
    "fig11": "chaotic transients: how long they last against N on both sides of the line",
    "fig12": "fixed points that biases make, and when they are stable",
    "fig13": "critical lines with biases and with static inputs",
    "complexity": "fixed points proliferate before chaos appears, and how many there are",
    "gradients": "how large gradients are and how they grow: adjoint theory against networks",
    "gradient_map": "where gradients vanish, keep their size or explode, over gains and biases",
    "marginal": "switch-like update gates: the exponent tends to zero",
    "schroedinger": "the exponent of the vanilla network as a bound state of its own dynamics",
}
"""What there is, by name; modules are imported when asked for."""


def load(name: str) -> ModuleType:
    """Import and return the module of a figure.

    Raises
    ------
    InvalidInputError
        For a name that is not in `FIGURES`.
    """
    return importlib.import_module(f"gatefield.figures.{check_choice('figure', name, FIGURES)}")


__all__ = ["FIGURES", "load"]
