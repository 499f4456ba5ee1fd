"""Results as datasets and files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import gatefield as gf
from gatefield import io
from gatefield.core.errors import InvalidInputError


def test_trajectory_becomes_a_labelled_dataset(tmp_path):
    network = gf.Network.sample(gf.GatedRNN(2.0), 5)
    run = gf.simulate(network, 1.0, dt=0.25, samples=2)
    dataset = run.to_dataset()
    assert dataset["states"].dims == ("sample", "time", "component", "unit")
    np.testing.assert_array_equal(dataset["time"], [0.0, 0.25, 0.5, 0.75, 1.0])
    assert dataset["time"].attrs["units"] == "time constant"
    assert json.loads(dataset.attrs["component_names"]) == ["h", "z", "r"]
    assert dataset.attrs["gatefield_version"] == gf.__version__
    path = io.save_netcdf(tmp_path / "run.nc", dataset, again=dataset)
    for group in (None, "again"):
        with xr.open_dataset(path, group=group) as read:
            np.testing.assert_array_equal(read["states"], run.states)


def test_maps_count_steps():
    network = gf.Network.sample(gf.GRU(), 5)
    run = gf.simulate(network, 3)
    grown = gf.analysis.perturbation_growth(network, run.final, 40)
    assert run.to_dataset()["time"].attrs["units"] == "step"
    assert grown.to_dataset()["rate"].attrs["units"] == "1 / step"


def test_dictionaries_become_one_variable_for_each_name():
    (solution,) = gf.solve_static(gf.GatedRNN(0.5))
    dataset = solution.to_dataset()
    assert float(dataset["variance_h"]) == 0.0
    assert float(dataset["radius"]) == pytest.approx(0.25)
    assert "GatedRNN" in dataset.attrs["cell"]


def test_results_stack_along_a_new_dimension():
    results = [gf.solve_static(gf.GatedRNN(g))[0] for g in (0.5, 1.0)]
    np.testing.assert_allclose(io.stack_datasets(results, "point")["radius"], [0.25, 0.5])
    with pytest.raises(InvalidInputError):
        io.stack_datasets([], "point")


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError), io.whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with io.whole_file(path) as temporary:
        temporary.write_text("after")
    assert path.read_text() == "after"


def test_an_unusable_folder_is_refused(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InvalidInputError, match="Choose another"):
        io.check_writable(blocked / "sub")


def test_only_results_become_datasets():
    with pytest.raises(InvalidInputError, match="result"):
        io.to_dataset(3.0)  # pyright: ignore[reportArgumentType]
