"""``gatefield lyapunov --model``: files and options that do not fit, each told in one message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Ran
from commands import run as command
from model_files import FEATURES, linear, saved, weights


def run(*arguments: str) -> Ran:
    return command("lyapunov", *arguments)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with models and sequences, good and bad."""
    folder = tmp_path_factory.mktemp("files")
    saved(folder, weights("GRU"), "gru")
    saved(folder, weights("RNN", prefix="a.") | weights("RNN", prefix="b."), "two")
    sequences = {
        "flat": np.ones(60),
        "batch": np.ones((2, 60, FEATURES)),
        "wide": np.ones((60, FEATURES + 1)),
        "short": np.ones((39, FEATURES)),
        "fits": np.ones((60, FEATURES)),
        "nan": np.full((60, FEATURES), np.nan),
        "complex": np.ones((60, FEATURES), complex),
        "text": np.full((60, FEATURES), "x"),
        "truth": np.ones((60, FEATURES), bool),
    }
    for name, array in sequences.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(folder / "archive.npz", x=np.ones(3), y=np.ones(3))
    (folder / "letter.npy").write_text("dear reader")
    (folder / "empty.npy").touch()
    whole = (folder / "fits.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:-50])
    (folder / "cut.npz").write_bytes((folder / "archive.npz").read_bytes()[:90])
    return folder


ONE = "expected no --model beside it. Leave one of them out."
SHAPE = f"expected (T, {FEATURES}): steps, features of the model. Save one sequence"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--theory"], f"theory = True: {ONE}"),
        (["--sweep", "g_h=1,2"], f"sweep = 'g_h=1,2': {ONE}"),
        (["--no-verify"], f"verify = False: {ONE}"),
        (["--samples", "20"], f"samples = 20: {ONE}"),
        (["--cell", "gru"], f"cell = 'gru': {ONE}"),
        (["--cell", "gated"], f"cell = 'gated': {ONE}"),
        (["--set", "gain_n=2"], "set = ['gain_n=2']: expected no --model"),
        (["--g-h", "2"], f"g_h = 2.0: {ONE}"),
        (["--input", "h=1"], "input = ['h=1']: expected no --model"),
        (["--n", "100"], f"n = 100: {ONE}"),
        (["--networks", "4"], f"networks = 4: {ONE}"),
        (["--dt", "0.1"], f"dt = 0.1: {ONE}"),
        (["--checkpoint", "x"], f"checkpoint = 'x': {ONE}"),
        (["--strict"], "expected an accuracy that may be missed. Give --accuracy."),
        (["--k", "9"], "k = 9: expected at most d N = 8"),
        (["--t-max", "20"], "t_max (steps of a map) = 20.0: expected an integer of at least 32"),
        (["--t-max", "64.5"], "t_max (steps of a map) = 64.5"),
        (["--prefix", "a"], "prefix = 'a': expected one of ''"),
        (["--nonlinearity", "relu"], "nonlinearity = 'relu': expected None for GRU"),
        (["--nonlinearity", "sine"], "sine"),
        (["--model", "FILES/two"], "prefix = '': expected one of 'a.', 'b.'"),
        (["--model", "FILES/none"], "expected a file. Check the spelling"),
        (["--model", "FILES/fits.npy"], "expected a safetensors file"),
        (["--sequence", "FILES/none.npy"], "none.npy': expected a file. Check the spelling"),
        (["--sequence", "FILES/flat.npy"], f"sequence.shape = (60,): {SHAPE}"),
        (["--sequence", "FILES/batch.npy"], f"sequence.shape = (2, 60, 3): {SHAPE}"),
        (["--sequence", "FILES/wide.npy"], f"sequence.shape = (60, 4): {SHAPE}"),
        (["--sequence", "FILES/short.npy"], "(39, 3): expected at least 40 steps, burn-ins"),
        (
            ["--sequence", "FILES/fits.npy", "--burn-in", "30"],
            "(60, 3): expected at least 69 steps",
        ),
        (["--sequence", "FILES/nan.npy"], "not finite': expected finite numbers. Check where"),
        (["--sequence", "FILES/complex.npy"], "array of complex128': expected real numbers"),
        (["--sequence", "FILES/text.npy"], "array of <U1': expected real numbers"),
        (["--sequence", "FILES/truth.npy"], "array of bool': expected real numbers"),
        (["--sequence", "FILES/objects.npy"], "(not of this format). Write it by numpy.save"),
        (["--sequence", "FILES/letter.npy"], "(not of this format). Write it by numpy.save"),
        (["--sequence", "FILES/empty.npy"], "expected a .npy file with numbers. It cannot be read"),
        (["--sequence", "FILES/cut.npy"], "expected a .npy file with numbers. It cannot be read"),
        (["--sequence", "FILES/cut.npz"], "expected a .npy file with numbers. It cannot be read"),
        (["--sequence", "FILES/archive.npz"], "archive of x, y: save one of them by numpy.save"),
        (["--output", "/proc/none"], "written to"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_fit_is_told_in_one_message(arguments, told, files, tmp_path):
    given = [each.replace("FILES", str(files)) for each in arguments]
    given += [] if "--model" in given else ["--model", str(files / "gru")]
    ran = run(*given, *([] if "--output" in given else ["--output", str(tmp_path)]))
    assert ran.code == 2
    # Long values are cut in the middle of a path.
    assert ran.error.startswith("gatefield: ") and told in ran.error
    assert "Traceback" not in ran.error and not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["prefix", "nonlinearity", "sequence"])
def test_options_of_models_need_one(option, tmp_path):
    value = "tanh" if option == "nonlinearity" else "x"
    ran = run(f"--{option}", value, "--output", str(tmp_path))
    assert ran.code == 2
    assert f"{option} = '{value}': expected --model beside it. Add --model." in ran.error


def test_no_theory_is_no_contradiction(tmp_path):
    model = saved(tmp_path, linear(np.diag([0.5, 0.25])))
    told = ["--model", model, "--no-theory", "--t-max", "32", "--formats", "png"]
    ran = run(*told, "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    assert "-0.693147" in ran.text
