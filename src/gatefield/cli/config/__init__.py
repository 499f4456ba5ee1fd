"""What the commands can be told: options on the command line, keys in a TOML file."""

from gatefield.cli.config.cell import CellConfig, DrivenConfig
from gatefield.cli.config.correlations import CorrelationsConfig
from gatefield.cli.config.design import DesignConfig
from gatefield.cli.config.diagnose import DiagnoseConfig
from gatefield.cli.config.driven import DrivenNetworksConfig
from gatefield.cli.config.figures import FiguresConfig
from gatefield.cli.config.fixed_points import FixedPointsConfig
from gatefield.cli.config.gradients import GradientsConfig
from gatefield.cli.config.integrator import IntegratorConfig
from gatefield.cli.config.lines import LinesConfig
from gatefield.cli.config.lyapunov import LyapunovConfig
from gatefield.cli.config.phases import PhasesConfig
from gatefield.cli.config.reset import ResetConfig
from gatefield.cli.config.spectrum import SpectrumConfig
from gatefield.cli.config.transients import TransientsConfig

__all__ = [
    "CellConfig",
    "CorrelationsConfig",
    "DesignConfig",
    "DiagnoseConfig",
    "DrivenConfig",
    "DrivenNetworksConfig",
    "FiguresConfig",
    "FixedPointsConfig",
    "GradientsConfig",
    "IntegratorConfig",
    "LinesConfig",
    "LyapunovConfig",
    "PhasesConfig",
    "ResetConfig",
    "SpectrumConfig",
    "TransientsConfig",
]
