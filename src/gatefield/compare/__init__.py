"""Theory against simulation, through one harness."""

from gatefield.compare.correlations import (
    CorrelationCheck,
    check_correlations,
    check_transient,
)
from gatefield.compare.draws import RANGES, draw_cells
from gatefield.compare.fixed_points import nonzero_fixed_points
from gatefield.compare.harness import Comparison, compare, compare_sizes
from gatefield.compare.regions import (
    REPRESENTATIVES,
    RegionCheck,
    check_region,
    check_regions,
)
from gatefield.compare.spectra import SpectrumCheck, check_spectra, check_spectrum
from gatefield.compare.states import StateSpectrum, check_size, reached_state, state_spectrum

__all__ = [
    "RANGES",
    "REPRESENTATIVES",
    "Comparison",
    "CorrelationCheck",
    "RegionCheck",
    "SpectrumCheck",
    "StateSpectrum",
    "check_correlations",
    "check_region",
    "check_regions",
    "check_size",
    "check_spectra",
    "check_spectrum",
    "check_transient",
    "compare",
    "compare_sizes",
    "draw_cells",
    "nonzero_fixed_points",
    "reached_state",
    "state_spectrum",
]
