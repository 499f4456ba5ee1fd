"""Results as xarray datasets: named dimensions, units, provenance."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import platform
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr

import gatefield
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult


def to_dataset(result: AbstractResult) -> xr.Dataset:
    """Return a result as an `xarray.Dataset`.

    Parameters
    ----------
    result
        Any result of gatefield.

    Returns
    -------
    xarray.Dataset
        One variable for each quantity (a dictionary gives one for each name), coordinates where a
        quantity is named after its only dimension, everything else and the provenance as
        attributes. Results within the result are left out.

    Raises
    ------
    InvalidInputError
        If the argument is no result.
    """
    if not isinstance(result, AbstractResult):
        refuse("result", type(result).__name__, "a result of gatefield", "Call a tool first.")
    variables: dict[str, xr.Variable] = {}
    coordinates: dict[str, xr.Variable] = {}
    attributes: dict[str, Any] = {"result": type(result).__name__}
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, tuple) and value and isinstance(value[0], AbstractResult):
            continue  # they have datasets of their own
        if "dims" not in field.metadata:
            attributes[field.name] = _as_attribute(value)
            continue
        for name, array in _named_arrays(field.name, value):
            dims = _dimensions(name, field.metadata["dims"], np.ndim(array))
            unit = field.metadata["unit"].replace("time constant", result.time_unit)
            variable = xr.Variable(dims, array, {"units": unit})
            if len(dims) == 1 and name in (dims[0], f"{dims[0]}s"):
                coordinates[dims[0]] = variable
            else:
                variables[name] = variable
    return xr.Dataset(variables, coordinates, {**attributes, **provenance()})


def stack_datasets(results: Sequence[AbstractResult], dim: str) -> xr.Dataset:
    """Return several results of one kind as one dataset with a new first dimension.

    Raises
    ------
    InvalidInputError
        If there is nothing to stack.
    """
    if not results:
        refuse("results", results, "at least one result", "Nothing can be stacked from nothing.")
    datasets = [to_dataset(result) for result in results]
    return xr.concat(datasets, dim, combine_attrs="drop_conflicts", coords="minimal", join="exact")


def provenance() -> dict[str, str]:
    """Return what made a result: versions and the time of writing (UTC)."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "gatefield_version": gatefield.__version__,
        "jax_version": jax.__version__,
        "numpy_version": np.__version__,
        "python_version": platform.python_version(),
        "created": now,
    }


def _named_arrays(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"{name}_{key}", np.asarray(array)) for key, array in value.items())
    else:
        yield name, np.asarray(value)


def _dimensions(name: str, declared: tuple[str, ...], ndim: int) -> tuple[str, ...]:
    if not declared or declared[0] != "...":
        return declared
    extra = ndim - (len(declared) - 1)
    leading = ("sample",) if extra == 1 and len(declared) > 2 else None
    return (leading or tuple(f"axis_{k}" for k in range(extra))) + declared[1:]


def _as_attribute(value: Any) -> Any:
    """Return a value in a form that netCDF attributes can hold."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (str, int, float)):
        return value
    if hasattr(value, "_asdict"):
        return json.dumps(value._asdict())
    if isinstance(value, (tuple, list, dict)):
        return json.dumps(value, default=repr)
    return repr(value)
