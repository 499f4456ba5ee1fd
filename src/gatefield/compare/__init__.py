"""Theory against simulation, through one harness."""

from gatefield.compare.correlations import (
    CorrelationCheck,
    check_correlations,
    check_transient,
)
from gatefield.compare.counts import FixedPointCounts, count_fixed_points
from gatefield.compare.draws import RANGES, draw_cells
from gatefield.compare.exponents import (
    Rates,
    belonging,
    judged,
    network_rates,
    state_kinds,
    theory_states,
    variance_of,
)
from gatefield.compare.fixed_points import nonzero_fixed_points
from gatefield.compare.gradient_comparison import GradientComparison
from gatefield.compare.gradients import compare_gradients
from gatefield.compare.harness import FEWEST, Comparison, compare, compare_sizes
from gatefield.compare.input_response import InputResponse, effect_of, input_response
from gatefield.compare.measures import Measure, correlation_measures, last_lag
from gatefield.compare.regions import (
    REPRESENTATIVES,
    RegionCheck,
    check_region,
    check_regions,
)
from gatefield.compare.settling import REST, Settling, settle
from gatefield.compare.spectra import SpectrumCheck, check_spectra, check_spectrum
from gatefield.compare.states import StateSpectrum, check_size, reached_state, state_spectrum
from gatefield.compare.stations import Station, stations
from gatefield.compare.text import with_error

__all__ = [
    "FEWEST",
    "RANGES",
    "REPRESENTATIVES",
    "REST",
    "Comparison",
    "CorrelationCheck",
    "FixedPointCounts",
    "GradientComparison",
    "InputResponse",
    "Measure",
    "Rates",
    "RegionCheck",
    "Settling",
    "SpectrumCheck",
    "StateSpectrum",
    "Station",
    "belonging",
    "check_correlations",
    "check_region",
    "check_regions",
    "check_size",
    "check_spectra",
    "check_spectrum",
    "check_transient",
    "compare",
    "compare_gradients",
    "compare_sizes",
    "correlation_measures",
    "count_fixed_points",
    "draw_cells",
    "effect_of",
    "input_response",
    "judged",
    "last_lag",
    "network_rates",
    "nonzero_fixed_points",
    "reached_state",
    "settle",
    "state_kinds",
    "state_spectrum",
    "stations",
    "theory_states",
    "variance_of",
    "with_error",
]
