"""What a network keeps of its input: integration along slow modes, and the slow manifold."""

from gatefield.analysis.integrator.attractor import LineAttractor, line_attractor
from gatefield.analysis.integrator.memory import IntegratorMemory, integrator_memory

__all__ = ["IntegratorMemory", "LineAttractor", "integrator_memory", "line_attractor"]
