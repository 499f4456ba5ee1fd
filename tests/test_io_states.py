"""Files of several states: each read on its own, gaps and damage said, nothing cut off silently."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import xarray as xr
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.io import load_state, load_states, save_netcdf, state_datasets

UNITS = 3


def numbered(count):
    """Return networks and states, each of which tells its number."""
    return [
        (gf.Network.sample(gf.VanillaRNN(1.0), UNITS, seed=k), np.full((1, UNITS), float(k)))
        for k in range(count)
    ]


def saved(tmp_path, count):
    return save_netcdf(tmp_path / "s.nc", xr.Dataset(), **state_datasets(numbered(count)))


def check_number(loaded, number):
    network, state = loaded
    assert network.seed == number
    np.testing.assert_array_equal(state, np.full((1, UNITS), float(number)))


def damage(path, number):
    """Overwrite a part of a group's header, which HDF5 guards by a checksum."""
    with h5py.File(path, "r") as file:
        start = h5o.get_info(file[f"states/{number}"].id).addr
    content = bytearray(path.read_bytes())
    assert content[start : start + 4] == b"OHDR"
    content[start + 8] ^= 0xFF
    path.write_bytes(content)


def test_more_than_ten_states_come_in_their_order(tmp_path):
    """By number, not by name: "10" is not beside "1"."""
    path = saved(tmp_path, 12)
    found = load_states(path)
    assert len(found) == 12
    for number, one in enumerate(found):
        check_number(one, number)
    check_number(load_state(path, 10), 10)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["first", "middle", "last"])
def test_a_damaged_state_is_an_error_and_leaves_the_others(number, tmp_path):
    path = saved(tmp_path, 3)
    damage(path, number)
    told = f"can be read in states/{number}, which is damaged.*Pass a file written by"
    for load in (load_states, lambda path: load_state(path, number)):
        with pytest.raises(InvalidInputError, match=told):
            load(path)
    for other in {0, 1, 2} - {number}:
        check_number(load_state(path, other), other)


@pytest.mark.parametrize(
    ("removed", "missing"),
    [((0,), "states/0"), ((1,), "states/1"), ((1, 2, 5), "states/1, states/2")],
    ids=["first", "middle", "several"],
)
def test_a_gap_is_an_error_that_names_it(removed, missing, tmp_path):
    path = saved(tmp_path, 6)
    with h5py.File(path, "r+") as file:
        for number in removed:
            del file[f"states/{number}"]
    for load in (load_states, load_state):
        with pytest.raises(InvalidInputError, match=f"without a gap, but {missing} is missing"):
            load(path)


def test_a_file_may_be_cut_short_or_hold_no_state(tmp_path):
    path = saved(tmp_path, 2)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    empty = tmp_path / "empty.nc"
    with h5py.File(empty, "w") as file:
        file.create_group("states")
    for broken in (path, empty):
        for load in (load_states, load_state):
            with pytest.raises(InvalidInputError, match="expected a network's state in it"):
                load(broken)


@pytest.mark.parametrize("name", ["states", "states/0"])
def test_a_number_where_a_group_should_be_is_refused(name, tmp_path):
    path = tmp_path / "s.nc"
    with h5py.File(path, "w") as file:
        file[name] = 3.0
    for load in (load_states, load_state):
        with pytest.raises(InvalidInputError, match="expected a .*state.*Pass a file written by"):
            load(path)


def test_text_of_fixed_length_is_text(tmp_path):
    """As netCDF4 and its tools write attributes."""
    path = saved(tmp_path, 1)
    with h5py.File(path, "r+") as file:
        attributes = file["states/0"].attrs
        for name in ("cell", "cell_module", "settings", "seed", "dtype"):
            attributes[name] = np.bytes_(attributes[name])
    check_number(load_state(path), 0)


def test_numbers_that_are_none_of_a_file_are_refused(tmp_path):
    path = saved(tmp_path, 2)
    with pytest.raises(InvalidInputError, match="number = 2: expected 0 to 1"):
        load_state(path, 2)
    for wrong in (-1, 0.5):
        with pytest.raises(InvalidInputError, match="number = .*an integer of at least 0"):
            load_state(path, wrong)  # pyright: ignore[reportArgumentType]


def test_attributes_that_are_no_numbers_are_refused(tmp_path):
    path = saved(tmp_path, 1)
    with h5py.File(path, "r+") as file:
        file["states/0"].attrs["seed"] = "first"
    with pytest.raises(InvalidInputError, match="expected a complete state, but .*'first'"):
        load_state(path)
