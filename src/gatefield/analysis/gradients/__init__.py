"""Gradients of a loss through a network's run, by reverse-mode differentiation."""

from gatefield.analysis.gradients.measured import network_gradients
from gatefield.analysis.gradients.result import NetworkGradients

__all__ = ["NetworkGradients", "network_gradients"]
