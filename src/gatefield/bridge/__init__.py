"""Trained networks of other frameworks as networks of gatefield."""

from gatefield.bridge.equinox import from_equinox
from gatefield.bridge.files import from_file, modules_in_file
from gatefield.bridge.flax import from_flax
from gatefield.bridge.torch import from_torch
from gatefield.bridge.torch_gradients import torch_gradients

__all__ = [
    "from_equinox",
    "from_file",
    "from_flax",
    "from_torch",
    "modules_in_file",
    "torch_gradients",
]
