"""Results to xarray and netCDF."""

from gatefield.io.dataset import provenance, stack_datasets, to_dataset
from gatefield.io.files import check_writable, save_netcdf, whole_file

__all__ = [
    "check_writable",
    "provenance",
    "save_netcdf",
    "stack_datasets",
    "to_dataset",
    "whole_file",
]
