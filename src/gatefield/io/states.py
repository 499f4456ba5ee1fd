"""States of networks in files, with the network: what drew its couplings, or the couplings."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import h5py
import jax
import numpy as np
import xarray as xr

from gatefield.cells import AbstractCell, registered_cells
from gatefield.core.checks import check_count
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
# What h5py raises for files of other kinds and for damaged ones.
_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, TypeError)

NetworkState = tuple[Network, Float[HostArray, "component unit"]]
"""A network and one state of it."""


def save_state(path: str | Path, network: Network, state: Any) -> Path:
    """Write a network and one of its states to a netCDF file, from which both can be had again.

    External input and the time at which the state was taken are not stored.

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
    """Read a network and its state from a file, and nothing of the other states in it.

    External input and the time at which the state was taken are not stored: where the network was
    driven, pass them again to `linearise`, `jacobian` or `simulate`.

    Parameters
    ----------
    path
        A file written by `save_state`, or by ``gatefield spectrum``, which holds several states.
    number
        Which of its states, from 0.

    Returns
    -------
    network, state
        As they were saved.

    Raises
    ------
    InvalidInputError
        If the file is no such file, holds no such state, lacks one between others, if the state is
        damaged, of a cell that is not registered, or if its seed draws other couplings here.
    """
    count, chosen = _number_of_states(path), check_count("number", number, at_least=0)
    if chosen >= count:
        refuse("number", number, f"0 to {count - 1} for {str(path)!r}", "Choose another.")
    return _network_and_state(path, chosen)


def load_states(path: str | Path) -> tuple[NetworkState, ...]:
    """Read every network and state of a file, in their order.

    External input and times are not stored. Parameters, returns and errors as in `load_state`; one
    damaged state is an error, not the end of the file.
    """
    count = _number_of_states(path)
    return tuple(_network_and_state(path, number) for number in range(count))


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


def _number_of_states(path: str | Path) -> int:
    """Return how many states a file holds, from the names of its groups alone."""
    if not Path(path).is_file():
        refuse("state file", str(path), "a file", "Check the path.")
    try:
        with h5py.File(path, "r") as file:
            names = set(file[GROUP])  # pyright: ignore[reportArgumentType]
    except _UNREADABLE as error:
        _refuse_file(path, f"a network's state in it ({error})")
    if not names:
        _refuse_file(path, "a network's state in it, but it holds none")
    missing = {str(number) for number in range(len(names))} - names
    if missing:
        listed = ", ".join(f"{GROUP}/{name}" for name in sorted(missing, key=int))
        _refuse_file(path, f"states numbered from 0 without a gap, but {listed} is missing")
    return len(names)


def _read(path: str | Path, number: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the attributes of one state.

    By h5py: h5netcdf opens the neighbours too, so that a damaged one would spoil all of them.
    """
    group = f"{GROUP}/{number}"
    try:
        with h5py.File(path, "r") as file:
            opened: Any = file[group]
            values = {name: np.asarray(opened[name][()]) for name in opened}
            attributes = {name: _text(value) for name, value in opened.attrs.items()}
    except _UNREADABLE as error:
        _refuse_file(path, f"a state that can be read in {group}, which is damaged ({error})")
    return values, attributes


def _text(value: Any) -> Any:
    # Other libraries that copy netCDF files write text of fixed length, which h5py leaves bytes.
    return value.decode() if isinstance(value, bytes) else value


def _refuse_file(path: str | Path, expected: str) -> NoReturn:
    raise InvalidInputError(f"state file {str(path)!r}: expected {expected}. {_REMEDY}") from None


def _network_and_state(path: str | Path, number: int) -> NetworkState:
    values, attributes = _read(path, number)
    try:
        kind = _class_of(attributes["cell"], attributes["cell_module"])
        given = json.loads(attributes["settings"])
        given |= {
            name.removeprefix(_PARAMETER): value
            for name, value in values.items()
            if name.startswith(_PARAMETER)
        }
        cell = _built(kind, given)
        state, seed, dtype = values["state"], int(attributes["seed"]), attributes["dtype"]
        couplings = {name: values[_COUPLING + name] for name in cell.field_names}
    except InvalidInputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        _refuse_file(path, f"a complete state, but {error!r}")
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
