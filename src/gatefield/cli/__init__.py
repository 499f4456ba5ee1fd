"""The command line."""

from gatefield.cli.app import main

__all__ = ["main"]
