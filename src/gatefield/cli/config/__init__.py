"""What the commands can be told: options on the command line, keys in a TOML file."""

from gatefield.cli.config.cell import CellConfig, DrivenConfig
from gatefield.cli.config.correlations import CorrelationsConfig
from gatefield.cli.config.figures import FiguresConfig
from gatefield.cli.config.lyapunov import LyapunovConfig
from gatefield.cli.config.phases import PhasesConfig
from gatefield.cli.config.spectrum import SpectrumConfig

__all__ = [
    "CellConfig",
    "CorrelationsConfig",
    "DrivenConfig",
    "FiguresConfig",
    "LyapunovConfig",
    "PhasesConfig",
    "SpectrumConfig",
]
