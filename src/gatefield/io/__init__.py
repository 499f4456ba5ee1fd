"""Results to xarray and netCDF, and states of networks to files and back."""

from gatefield.io.dataset import provenance, stack_datasets, to_dataset
from gatefield.io.files import check_writable, save_netcdf, whole_file
from gatefield.io.plain import to_plain
from gatefield.io.states import NetworkState, load_state, load_states, save_state, state_datasets

__all__ = [
    "NetworkState",
    "check_writable",
    "load_state",
    "load_states",
    "provenance",
    "save_netcdf",
    "save_state",
    "stack_datasets",
    "state_datasets",
    "to_dataset",
    "to_plain",
    "whole_file",
]
