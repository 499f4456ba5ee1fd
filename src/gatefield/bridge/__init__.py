"""Trained networks of other frameworks as networks of gatefield."""

from gatefield.bridge.files import from_file
from gatefield.bridge.torch import from_torch
from gatefield.bridge.torch_gradients import torch_gradients

__all__ = ["from_file", "from_torch", "torch_gradients"]
