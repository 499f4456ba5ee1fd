"""States of networks in files, with the network: what drew its couplings, or the couplings."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from gatefield.cells import AbstractCell, registered_cells
from gatefield.core.errors import InvalidInputError, refuse
from gatefield.core.types import Float, HostArray
from gatefield.io.dataset import provenance
from gatefield.io.files import save_netcdf
from gatefield.networks import Network
from gatefield.networks.network import as_state

GROUP = "states"
_PARAMETER = "parameter_"
_COUPLING = "coupling_"
_REMEDY = "Pass a file written by gatefield.io.save_state or by gatefield spectrum."
_PROBE = 8

NetworkState = tuple[Network, Float[HostArray, "component unit"]]
"""A network and one state of it."""


def save_state(path: str | Path, network: Network, state: Any) -> Path:
    """Write a network and one of its states to a netCDF file, from which both can be had again.

    Parameters
    ----------
    path
        The file, by custom ending in ``.nc``.
    network
        Any network of a registered cell. Of drawn couplings the seed is written, given ones are
        written themselves.
    state
        (d, N).

    Returns
    -------
    Path
        Where it was written; `load_state` reads it, and so does ``gatefield spectrum --state``.

    Raises
    ------
    InvalidInputError
        If the state does not fit the network, the cell is not registered or has parameters that
        are neither numbers nor text, or the folder cannot be written to.
    """
    groups = state_datasets([(network, state)])
    return save_netcdf(path, xr.Dataset(attrs=provenance()), **groups)


def load_state(path: str | Path, number: int = 0) -> NetworkState:
    """Read a network and its state from a file.

    Parameters
    ----------
    path
        A file written by `save_state`, or by ``gatefield spectrum``, which holds several states.
    number
        Which of its states.

    Returns
    -------
    network, state
        As they were saved.

    Raises
    ------
    InvalidInputError
        If the file is no such file, holds no such state, is damaged, is of a cell that is not
        registered, or if its seed draws other couplings here.
    """
    found = load_states(path)
    if not 0 <= number < len(found):
        refuse("number", number, f"0 to {len(found) - 1} for {str(path)!r}", "Choose another.")
    return found[number]


def load_states(path: str | Path) -> tuple[NetworkState, ...]:
    """Read every network and state of a file, in their order.

    Parameters, returns and errors as in `load_state`.
    """
    found = []
    while True:
        dataset = _opened(path, len(found))
        if dataset is None:
            return tuple(found)
        found.append(_network_and_state(path, dataset))


def state_datasets(pairs: Sequence[tuple[Network, Any]]) -> dict[str, xr.Dataset]:
    """Return networks and their states as datasets by the names of their groups in a file.

    Parameters
    ----------
    pairs
        Each a network and a state (d, N).

    Returns
    -------
    dict
        Groups to pass to `save_netcdf`.

    Raises
    ------
    InvalidInputError
        As `save_state`.
    """
    return {f"{GROUP}/{k}": _dataset(network, state) for k, (network, state) in enumerate(pairs)}


def _dataset(network: Network, state: Any) -> xr.Dataset:
    cell = network.cell
    with jax.enable_x64(True):
        checked = np.asarray(as_state("state", network, state))
    _class_of(type(cell).__name__, type(cell).__module__)
    variables: dict[str, Any] = {"state": (("component", "unit"), checked)}
    settings = {}
    for name, value in _parameters(cell).items():
        if isinstance(value, (str, bool)) or value is None:
            settings[name] = value
        elif np.asarray(value).dtype.kind in "iuf":
            dims = ("unit",) if np.ndim(value) else ()
            variables[_PARAMETER + name] = (dims, np.asarray(value))
        else:
            kind = f"{name} of {type(cell).__name__}"
            refuse(kind, value, "a number, an array or text", "Other parameters cannot be written.")
    for name in cell.field_names:
        matrix = network.coupling(name)
        if network.seed < 0:
            variables[_COUPLING + name] = (("to_unit", "from_unit"), matrix)
        else:
            # A few entries tell whether the seed draws the same couplings where the file is read.
            variables[_COUPLING + name] = (("probe",), matrix.ravel()[:_PROBE])
    attributes = {
        "cell": type(cell).__name__,
        "cell_module": type(cell).__module__,
        "settings": json.dumps(settings),
        "seed": str(network.seed),
        "dtype": str(network.dtype),
    }
    coordinates = {"component": list(cell.state_names)}
    return xr.Dataset(variables, coordinates, {**attributes, **provenance()})


def _parameters(cell: AbstractCell) -> dict[str, Any]:
    return {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)}


def _class_of(name: str, module: str) -> type[AbstractCell]:
    """Return a registered cell's class; only those, since a file must not choose what to import."""
    for example in registered_cells().values():
        if (type(example).__name__, type(example).__module__) == (name, module):
            return type(example)
    known = sorted({type(example).__name__ for example in registered_cells().values()})
    remedy = f"Call gatefield.register with an example of it first. Registered: {known}."
    refuse("cell", name, "a registered cell", remedy)


def _opened(path: str | Path, number: int) -> xr.Dataset | None:
    """Return one state's dataset, read whole; None past the last one."""
    if not Path(path).is_file():
        refuse("state file", str(path), "a file", "Check the path.")
    group = f"{GROUP}/{number}"
    try:
        with xr.open_dataset(path, group=group, engine="h5netcdf") as dataset:
            return dataset.load()
    except (OSError, ValueError, KeyError) as error:
        # A missing group and a file of another kind raise the same types.
        if number > 0:
            return None
        message = f"state file {str(path)!r}: expected a network's state in it ({error}). {_REMEDY}"
        raise InvalidInputError(message) from None


def _network_and_state(path: str | Path, dataset: xr.Dataset) -> NetworkState:
    try:
        attributes = dataset.attrs
        kind = _class_of(attributes["cell"], attributes["cell_module"])
        given = json.loads(attributes["settings"])
        values = {str(name): dataset[name].values for name in dataset.data_vars}
        given |= {
            name.removeprefix(_PARAMETER): value
            for name, value in values.items()
            if name.startswith(_PARAMETER)
        }
        cell = _built(kind, given)
        state, seed, dtype = values["state"], int(attributes["seed"]), attributes["dtype"]
        couplings = {name: values[_COUPLING + name] for name in cell.field_names}
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        message = f"state file {str(path)!r}: expected a complete state, but {error!r}. {_REMEDY}"
        raise InvalidInputError(message) from None
    if seed < 0:
        network = Network.of_couplings(cell, couplings, dtype=dtype)
    else:
        network = Network.sample(cell, state.shape[-1], seed=seed, dtype=dtype)
        _check_drawn(path, network, couplings)
    if state.shape != (len(cell.state_names), network.n) or not np.all(np.isfinite(state)):
        expected = f"finite numbers ({len(cell.state_names)}, {network.n})"
        refuse(f"state in {str(path)!r}", state.shape, expected, _REMEDY)
    return network, state


def _built(kind: type[AbstractCell], given: dict[str, Any]) -> AbstractCell:
    try:
        inspect.signature(kind).bind(**given)
    except TypeError as error:
        remedy = "Its constructor must take its fields by name, as those of gatefield's cells do."
        refuse(f"parameters of {kind.__name__}", sorted(given), f"its own ({error})", remedy)
    return kind(**given)


def _check_drawn(path: str | Path, network: Network, probes: dict[str, np.ndarray]) -> None:
    """Refuse a seed that draws other couplings: random generators change between versions."""
    for name, probe in probes.items():
        drawn = network.coupling(name).ravel()[: probe.size]
        # Precision of the couplings; rounding differs between machines.
        if not np.allclose(drawn, probe, rtol=1e3 * np.finfo(drawn.dtype).eps, atol=0):
            refuse(
                f"seed in {str(path)!r}",
                network.seed,
                "the couplings that it drew where the file was written",
                "Use the version of jax named in the file, or save a network of given couplings.",
            )
