"""What the commands can be told: options on the command line, keys in a TOML file."""

from gatefield.cli.config.figures import FiguresConfig
from gatefield.cli.config.phases import PhasesConfig
from gatefield.cli.config.spectrum import SpectrumConfig

__all__ = ["FiguresConfig", "PhasesConfig", "SpectrumConfig"]
