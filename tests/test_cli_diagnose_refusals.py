"""``gatefield diagnose``: files and options that do not fit, each told in one message."""

from __future__ import annotations

import os
from pathlib import Path

import diagnosed
import numpy as np
import pytest
from commands import Ran
from commands import run as command
from model_files import FEATURES, saved, weights

import gatefield.cli.diagnose as diagnose_command


def run(*arguments: str) -> Ran:
    return command("diagnose", *arguments)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with models and inputs, good and bad."""
    folder = tmp_path_factory.mktemp("files")
    saved(folder, weights("GRU", n=4), "gru.safetensors")
    two = weights("GRU", n=4, prefix="up.") | weights("LSTM", n=4, prefix="down.")
    saved(folder, two, "two.safetensors")
    arrays = {
        "one": np.ones((40, FEATURES)),
        "flat": np.ones(40),
        "wide": np.ones((40, FEATURES + 1)),
        "deep": np.ones((2, 2, 40, FEATURES)),
        "none": np.ones((0, FEATURES)),
        "brief": np.ones((1, FEATURES)),
        "nan": np.full((40, FEATURES), np.nan),
        "complex": np.ones((40, FEATURES), complex),
        "text": np.full((40, FEATURES), "x"),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(folder / "archive.npz", x=np.ones(3), y=np.ones(3))
    (folder / "letter.npy").write_text("dear reader")
    (folder / "cut.npy").write_bytes((folder / "one.npy").read_bytes()[:-50])
    return folder


@pytest.fixture(autouse=True)
def _nothing_is_computed(monkeypatch):
    """What should have been refused and is not ends in a report, and so with another code."""
    bare = diagnosed.diagnosis(diagnosed.layer(without=tuple(diagnosed.PARTS)))
    monkeypatch.setattr(diagnose_command, "diagnose", lambda *given, **options: bare)


def model_of(files: Path, name: str = "gru") -> str:
    return str(files / f"{name}.safetensors")


SHAPE = f"expected (T, {FEATURES}) or (samples, T, {FEATURES}), features of the model. Pass what"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "model"),
        (["FILES/none.safetensors"], "expected a file. Check the spelling"),
        (["FILES/one.npy"], "expected a safetensors file"),
        (["FILES/two.safetensors"], "prefix = '': expected one of 'down.', 'up.'"),
        (
            ["FILES/two.safetensors", "--prefix", "x"],
            "prefix = 'x': expected one of 'down.', 'up.'",
        ),
        (["FILES/gru.safetensors", "--prefix", "a", "--prefix", "all"], "expected 'all' alone"),
        (["FILES/gru.safetensors", "--prefix", "a", "--prefix", "a"], "expected each once"),
        (["FILES/gru.safetensors", "--kind", "LSTM"], "for this LSTM. Is it of another kind?"),
        (["FILES/gru.safetensors", "--nonlinearity", "relu"], "expected None for GRU"),
        (["FILES/gru.safetensors", "--effort", "hard"], "hard"),
        (["FILES/gru.safetensors", "--stages", "soul"], "soul"),
        (["FILES/gru.safetensors", "--seed", "-1"], "greater than or equal to 0"),
        (["FILES/gru.safetensors", "--name", "a/b"], "expected a file name, got 'a/b'"),
        (["FILES/gru.safetensors", "--output", "/proc/none"], "written to"),
        (["--inputs", "FILES/absent.npy"], "absent.npy': expected a file. Check the spelling"),
        (["--inputs", "FILES/flat.npy"], f"inputs.shape = (40,): {SHAPE}"),
        (["--inputs", "FILES/wide.npy"], f"inputs.shape = (40, 4): {SHAPE}"),
        (["--inputs", "FILES/deep.npy"], f"inputs.shape = (2, 2, 40, 3): {SHAPE}"),
        (["--inputs", "FILES/none.npy"], f"inputs.shape = (0, 3): {SHAPE}"),
        (["--inputs", "FILES/brief.npy"], "steps of inputs = 1: expected at least 2"),
        (["--inputs", "FILES/nan.npy"], "not finite': expected finite numbers. Check where"),
        (["--inputs", "FILES/complex.npy"], "array of complex128': expected real numbers"),
        (["--inputs", "FILES/text.npy"], "array of <U1': expected real numbers"),
        (["--inputs", "FILES/objects.npy"], "it holds Python objects). Write it by numpy.save"),
        (["--inputs", "FILES/letter.npy"], "(not of this format). Write it by numpy.save"),
        (["--inputs", "FILES/cut.npy"], "expected a .npy file with numbers. It cannot be read"),
        (["--inputs", "FILES/archive.npz"], "archive of x, y: save one of them by numpy.save"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_fit_is_told_in_one_message(arguments, told, files, tmp_path):
    given = [each.replace("FILES", str(files)) for each in arguments]
    given = [model_of(files), *given] if given[:1] == ["--inputs"] else given
    ran = run(*given, *([] if "--output" in given else ["--output", str(tmp_path)]))
    assert ran.code == 2
    assert ran.error.startswith("gatefield: ") and told in ran.error
    assert "Traceback" not in ran.error and not list(tmp_path.iterdir())


def test_objects_in_inputs_are_not_unpickled(files, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = tmp_path / "trap.npy"
    np.save(path, np.array([Trap()], dtype=object), allow_pickle=True)
    assert run(model_of(files), "--inputs", str(path), "--output", str(tmp_path / "out")).code == 2
    assert not (tmp_path / "sprung").exists()
    np.load(path, allow_pickle=True)  # the control
    assert (tmp_path / "sprung").exists()
