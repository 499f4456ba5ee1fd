"""Trained networks of other frameworks as networks of gatefield."""

from gatefield.bridge.files import from_file
from gatefield.bridge.torch import from_torch

__all__ = ["from_file", "from_torch"]
