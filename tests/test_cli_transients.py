"""The command ``gatefield transients``: numbers, table, files, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Ran, group
from commands import run as command

import gatefield as gf
from gatefield.analysis.transients import transient_lengths

SHORT = ["--sizes", "10", "--sizes", "20", "--networks", "4", "--formats", "png"]
VANILLA = ["--cell", "vanilla", "--set", "g=0.5"]


def run(*arguments: str) -> Ran:
    return command("transients", *arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def quiet(folder) -> Ran:
    checkpoint = ["--checkpoint", str(folder / "runs.npz")]
    return run(*VANILLA, *SHORT, "--t-max", "50", "--output", str(folder), *checkpoint)


def test_numbers_are_those_of_transient_lengths(quiet, folder):
    assert quiet.code == 0, quiet.error
    found = transient_lengths(
        gf.VanillaRNN(0.5), (10, 20), networks=4, t_max=50.0, dt=0.1, dtype="float32"
    )
    runs = group(folder / "transients.nc", "transients")
    assert np.array_equal(runs["lengths"].values, found.lengths)
    assert list(runs["size"].values) == [10, 20]
    assert runs["lengths"].attrs["units"] == "time constant"
    assert np.array_equal(runs["seeds"].values, found.seeds)
    # All came to rest: medians are the second of four in order.
    assert np.array_equal(runs["median"].values, np.sort(found.lengths)[:, 1])
    curve = group(folder / "transients.nc", "survival_20")
    assert np.allclose(curve["probability"], [1, 0.75, 0.5, 0.25, 0])
    assert np.array_equal(curve["time"][1:], np.sort(found.lengths[1]))
    ratio = float(group(folder / "transients.nc", "trend")["ratio"])
    assert np.isclose(ratio, runs["median"].values[1] / runs["median"].values[0])


def test_the_table_and_what_is_said(quiet, folder):
    rows = [
        line.split() for line in quiet.text.splitlines() if line.split()[:1] in (["10"], ["20"])
    ]
    runs = group(folder / "transients.nc", "transients")
    for row, median in zip(rows, runs["median"].values, strict=True):
        assert row[1:5] == ["4", "0", "0", "0"] and row[5] == f"{median:.4g}"
    assert "VanillaRNN(g=0.5" in quiet.text and "is not shown to change" in quiet.text
    assert (folder / "transients.png").exists() and (folder / "runs.npz").exists()


def test_a_finished_checkpoint_is_read(quiet, folder, monkeypatch, tmp_path):
    monkeypatch.setattr("gatefield.analysis.transients.lengths.advance", None)
    checkpoint = ["--checkpoint", str(folder / "runs.npz")]
    again = run(*VANILLA, *SHORT, "--t-max", "50", "--output", str(tmp_path), *checkpoint)
    assert again.code == 0, again.error
    first, second = (group(path / "transients.nc", "transients") for path in (folder, tmp_path))
    assert np.array_equal(first["lengths"], second["lengths"])


def test_networks_that_do_not_rest(tmp_path):
    given = ["--cell", "vanilla", "--set", "g=3", "--sizes", "30", "--networks", "2"]
    ran = run(*given, "--t-max", "5", "--formats", "png", "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    assert "No network came to rest by 5" in ran.text and "> 5 to open" in ran.text
    data = group(tmp_path / "transients.nc", "transients")
    assert np.all(data["lengths"] == 5.0) and np.isinf(data["median"]).all()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--sizes", "1"], "sizes"),
        (["--threshold", "0"], "threshold"),
        (["--component", "x"], "component"),
        (["--confidence", "95"], "confidence"),
        (["--cell", "gru", "--dt", "0.1"], "a map"),
        (["--dtype", "float16"], "dtype"),
        (["--unknown", "1"], "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:1]),
)
def test_refusals(arguments, told, tmp_path):
    ran = run(*arguments, "--output", str(tmp_path))
    assert ran.code == 2 and told in ran.error
    assert not list(tmp_path.iterdir())


def test_options_from_a_file(tmp_path):
    path = tmp_path / "options.toml"
    path.write_text(
        '[transients]\ncell = "vanilla"\nset = ["g=0.5"]\nsizes = [10]\nnetworks = 1\n'
        't_max = 40.0\nformats = ["png"]\n'
    )
    ran = command("--config", str(path), "transients", "--output", str(tmp_path / "out"))
    assert ran.code == 0, ran.error
    assert group(tmp_path / "out" / "transients.nc", "transients")["lengths"].shape == (1, 1)
