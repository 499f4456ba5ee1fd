"""The command ``gatefield lyapunov --model``: numbers, tables, files, exit codes, refusals."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from commands import Ran, group
from commands import run as command
from model_files import FEATURES, STEPS, linear, saved, weights

import gatefield as gf
from gatefield.analysis.lyapunov import lyapunov_spectrum
from gatefield.core.results import Status


def run(*arguments: str) -> Ran:
    return command("lyapunov", *arguments)


def dimension(exponents) -> float:
    """Return Eq. 9 as the paper has it: j + sum of the first j over |lambda_{j+1}|."""
    ordered = sorted(exponents, reverse=True)
    total = 0.0
    for place, each in enumerate(ordered):
        if total + each < 0:
            return place + total / abs(each)
        total += each
    return float(len(ordered))


class Driven(NamedTuple):
    ran: Ran
    folder: Path
    model: str
    stack: gf.LayeredNetwork
    sequence: np.ndarray


@pytest.fixture(scope="module")
def driven(tmp_path_factory) -> Driven:
    """A model of two layers and both directions, on a sequence."""
    folder = tmp_path_factory.mktemp("driven")
    model = saved(folder, weights("GRU", depth=2, both=True, scale=8.0, prefix="encoder.rnn."))
    sequence = np.random.default_rng(3).normal(size=(STEPS, FEATURES))
    np.save(folder / "x.npy", sequence)
    told = ["--model", model, "--prefix", "encoder.rnn", "--sequence", str(folder / "x.npy")]
    ran = run(*told, "--formats", "svg", "--output", str(folder))
    return Driven(ran, folder, model, gf.Network.from_file(model), sequence)


def test_numbers_are_those_of_lyapunov_spectrum(driven):
    assert driven.ran.code == 0, driven.ran.error
    found = lyapunov_spectrum(driven.stack, inputs=driven.sequence)
    data = group(driven.folder / "lyapunov.nc", "stack")
    assert data["exponents"].attrs["units"] == "1 / step" and data["exponents"].size == 32
    for name in ("exponents", "standard_errors", "layer", "block_exponents", "state"):
        assert np.array_equal(data[name].values, getattr(found, name))
    assert data.attrs["result"] == "LyapunovSpectrum" and "frame" not in data


def test_each_layer_has_the_spectrum_of_its_network_alone(driven):
    data = group(driven.folder / "lyapunov.nc", "layers")
    assert list(data["depth"].values) == [0, 0, 1, 1]
    assert list(data["reverse"].values) == [0, 1, 0, 1]
    received = driven.stack.layer_inputs(driven.sequence)
    for place, layer in enumerate(driven.stack.layers):
        one = lyapunov_spectrum(layer.network, inputs=received[place], initial=np.zeros((1, 8)))
        row = data.isel(layer=place)
        assert np.array_equal(row["exponents"], one.exponents)
        assert np.array_equal(row["standard_errors"], one.standard_errors)
        # Sums of a few numbers in two orders.
        assert np.isclose(row["kaplan_yorke_dimension"], dimension(one.exponents), rtol=1e-12)
        error = one.kaplan_yorke_error  # not known where the largest exponent may be zero
        assert np.isclose(row["kaplan_yorke_error"], error, rtol=1e-9, equal_nan=True)
        assert np.isclose(row["entropy_rate"], np.maximum(one.exponents, 0).sum(), rtol=1e-12)
        clear = row["exponents"].values > 3 * row["standard_errors"].values
        assert int(row["positive"]) == clear.sum()


def test_file_says_where_its_numbers_come_from(driven):
    attributes = group(driven.folder / "lyapunov.nc").attrs
    for name, path in (("model", Path(driven.model)), ("sequence", driven.folder / "x.npy")):
        assert attributes[name] == str(path)
        expected = hashlib.sha256(path.read_bytes()).hexdigest()
        assert attributes[f"{name}_sha256"] == expected
    assert '"prefix":"encoder.rnn"' in attributes["config"]
    assert attributes["gatefield_version"] == gf.__version__


def test_table_has_a_row_for_each_layer_and_the_stack(driven):
    text = driven.ran.text
    assert "200 steps, 160 of them measured" in text and "8 of 8 of each layer" in text
    assert "exponents of a stack are those of its layers, each under the input" in text
    assert "natural log, per step" in text and "nonlinearity" not in text
    data = group(driven.folder / "lyapunov.nc", "layers")
    first = [*data["exponents"].values[:, 0], data["exponents"].values.max()]
    names = ["0", "0 reverse", "1", "1 reverse", "stack"]
    assert max(first) > 0 and len({*first}) == 4
    for name, value in zip(names, first, strict=True):
        told = re.search(rf"^ +{name} +(-?[0-9.]+)( \+- ([0-9.]+))? ", text, re.MULTILINE)
        assert told is not None, name
        # Two digits of the error are shown, so that the value is known to a twentieth of it.
        assert abs(float(told[1]) - value) <= 0.051 * float(told[3])


def test_figure_has_a_line_for_each_layer_and_the_stack(driven):
    picture = (driven.folder / "lyapunov.svg").read_text()
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    for name in ("layer 0", "layer 0 reverse", "layer 1", "layer 1 reverse", "stack"):
        assert name in shown
    assert (
        "model.safetensors encoder.rnn: GRU, 2 layers of 8 units, both directions, input x.npy"
        in (shown)
    )


def spread(matrix) -> float:
    """Return by how much turning pairs and oblique modes can shift a sum of logarithms."""
    return 2 * np.log(np.linalg.cond(np.linalg.eig(matrix)[1]))


def test_resting_layers_have_the_eigenvalues_of_their_weights(tmp_path):
    rng = np.random.default_rng(5)
    matrices = [scale * rng.normal(size=(8, 8)) / np.sqrt(8) for scale in (1.6, 1.1)]
    model = saved(tmp_path, linear(*matrices))
    told = ["--model", model, "--t-max", "640", "--formats", "png", "--output", str(tmp_path)]
    ran = run(*told)
    assert ran.code == 0, ran.error
    # 100 steps before, 640 / 8 for the frame.
    assert "input: zero, since no --sequence was given; 820 steps, 640 of them measured" in ran.text
    assert "nonlinearity: tanh, assumed: the file does not tell" in ran.text
    assert "ended where it began, at zero, in 2 of 2 layers" in ran.text
    layers = group(tmp_path / "lyapunov.nc", "layers")
    rates = [np.sort(np.log(np.abs(np.linalg.eigvals(each))))[::-1] for each in matrices]
    for place, expected in enumerate(rates):
        room = spread(matrices[place]) / 640
        assert np.allclose(layers["exponents"][place], expected, rtol=0, atol=room)
        # The sum of all is the determinant's, however oblique the modes are.
        determinant = np.linalg.slogdet(matrices[place])[1]
        assert np.isclose(layers["exponents"][place].sum(), determinant, atol=1e-10)
    stack = group(tmp_path / "lyapunov.nc", "stack")
    together = np.sort(np.concatenate(rates))[::-1]
    room = max(map(spread, matrices)) / 640
    assert np.allclose(stack["exponents"], together, rtol=0, atol=room)
    assert stack.attrs["certain"] == 16


def test_rectified_layer_with_positive_weights_is_linear(tmp_path):
    positive = np.random.default_rng(6).uniform(0.0, 0.2, size=(8, 8))
    arrays = linear(positive) | {"bias_ih_l0": np.ones(8), "bias_hh_l0": np.zeros(8)}
    told = ["--model", saved(tmp_path, arrays), "--nonlinearity", "relu", "--t-max", "320"]
    ran = run(*told, "--formats", "png", "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    assert "nonlinearity: relu\n" in ran.text and "at zero" not in ran.text
    found = group(tmp_path / "lyapunov.nc", "stack")["exponents"]
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(positive))))[::-1]
    assert np.allclose(found, expected, rtol=0, atol=spread(positive) / 320)


FIRST, SECOND = np.log([2.0, 1.5, 0.5, 0.1]), np.log([1.2, 0.3, 0.2, 0.05])
DIAGONAL = [np.diag(np.exp(FIRST)), np.diag(np.exp(SECOND))]


def test_dimension_of_the_stack_is_that_of_all_exponents(tmp_path):
    model = saved(tmp_path, linear(*DIAGONAL))
    ran = run("--model", model, "--t-max", "32", "--formats", "png", "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    layers = group(tmp_path / "lyapunov.nc", "layers")
    expected = [dimension(FIRST), dimension(SECOND)]
    # Logarithms of diagonal matrices are exact up to rounding, here of 32 sums.
    assert np.allclose(layers["kaplan_yorke_dimension"], expected, rtol=1e-12)
    stack = group(tmp_path / "lyapunov.nc", "stack")
    whole = dimension([*FIRST, *SECOND])
    assert np.isclose(float(stack["kaplan_yorke_dimension"]), whole, rtol=1e-12)
    assert np.isclose(float(stack["entropy_rate"]), np.log(2 * 1.5 * 1.2), rtol=1e-12)
    assert int(stack["positive"]) == 3 and "not reached" not in ran.text


@pytest.mark.parametrize(
    ("k", "certain", "reached"),
    # Of [2, 1.5, 1.2, .3] the layers' last are 1.5 and .3: what follows 1.5 may be missing. With
    # k = 3 the last are .5 and .2, and [2, 1.5, 1.2, .5] has a product above one.
    [(1, 1, 0), (2, 2, 0), (3, 4, 0), (4, 8, 1)],
    ids=["1", "2", "3", "all"],
)
def test_dimension_is_not_said_where_exponents_may_be_missing(k, certain, reached, tmp_path):
    told = ["--model", saved(tmp_path, linear(*DIAGONAL)), "--k", str(k), "--t-max", "320"]
    ran = run(*told, "--formats", "png", "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    stack = group(tmp_path / "lyapunov.nc", "stack")
    assert stack.attrs["certain"] == certain and stack["exponents"].size == 2 * k
    assert np.isfinite(stack["kaplan_yorke_dimension"]) == bool(reached)
    last = next(line for line in ran.text.splitlines() if line.strip().startswith("stack"))
    assert ("not reached" in last) != bool(reached)
    assert ran.text.count("Dimension") == (not reached)


def test_weights_in_single_precision_run_in_double(tmp_path):
    model = saved(tmp_path, weights("LSTM", n=4, dtype=np.float32))
    told = ["--model", model, "--k", "2", "--t-max", "32", "--burn-in", "5", "--seed", "3"]
    ran = run(*told, "--formats", "png", "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    assert "LSTM" in ran.text and "2 of 8 of each layer" in ran.text
    stack = gf.Network.from_file(model, dtype="float64")
    zero = np.zeros((41, FEATURES))
    found = lyapunov_spectrum(stack, 2, inputs=zero, t_max=32, burn_in=5, frame_burn_in=4, seed=3)
    data = group(tmp_path / "lyapunov.nc", "stack")["exponents"]
    assert np.array_equal(data, found.exponents)
    single = run(*told, "--frame-dtype", "float32", "--formats", "png", "--output", str(tmp_path))
    assert single.code == 0 and "Single precision changed the rates by at most" in single.text
    both = group(tmp_path / "lyapunov.nc", "stack")
    low = lyapunov_spectrum(
        stack, 2, inputs=zero, t_max=32, burn_in=5, frame_burn_in=4, seed=3, frame_dtype="float32"
    )
    assert np.array_equal(both["exponents"], low.exponents)


def test_durations_that_are_given_hold_beside_a_sequence(driven, tmp_path):
    told = ["--model", driven.model, "--sequence", str(driven.folder / "x.npy"), "--k", "1"]
    told += ["--formats", "png", "--output", str(tmp_path), "--t-max", "64", "--burn-in", "7"]
    ran = run(*told)
    assert ran.code == 0, ran.error
    assert "200 steps, 64 of them measured" in ran.text
    settings = group(tmp_path / "lyapunov.nc", "stack").attrs["settings"]
    # 64 / 8 steps for the frame.
    assert '["relax", 7], ["align", 8]' in settings
    too_long = run(*told[:-3], "200")
    assert too_long.code == 2 and "at most 200 steps in all" in too_long.error


def test_accuracy_ends_the_run_or_is_missed(tmp_path):
    told = ["--model", saved(tmp_path, weights("RNN", scale=1.0)), "--k", "1", "--strict"]
    told += ["--formats", "png", "--output", str(tmp_path), "--t-max", "128"]
    missed = run(*told, "--accuracy", "1e-30")
    assert missed.code == 1
    assert "Accuracy 1e-30 missed by 1 of 1 layers" in missed.text
    assert group(tmp_path / "lyapunov.nc", "layers")["status"].values == [Status.MAX_STEPS.value]
    reached = run(*told, "--accuracy", "0.5")
    assert reached.code == 0, reached.error
    data = group(tmp_path / "lyapunov.nc", "stack")
    assert data.sizes["block"] < 32 and float(data["standard_errors"][0]) < 0.5


def test_diverging_models_are_reported(tmp_path):
    arrays = linear(np.full((8, 8), 10.0)) | {"bias_ih_l0": np.ones(8), "bias_hh_l0": np.ones(8)}
    told = ["--model", saved(tmp_path, arrays), "--nonlinearity", "relu", "--t-max", "400"]
    ran = run(*told, "--output", str(tmp_path))
    assert ran.code == 2 and "diverged. Check --nonlinearity" in ran.error


def test_rates_of_minus_infinity_are_counted(tmp_path):
    """Rectified units at zero have slope zero."""
    told = ["--model", saved(tmp_path, linear(np.eye(4))), "--nonlinearity", "relu"]
    ran = run(*told, "--formats", "png", "--output", str(tmp_path), "--t-max", "32")
    assert ran.code == 0, ran.error
    assert "Minus infinity: 4 exponents" in ran.text
    assert np.all(np.isneginf(group(tmp_path / "lyapunov.nc", "stack")["exponents"]))


def test_options_from_toml(tmp_path):
    model = saved(tmp_path, linear(np.diag([0.5, 0.25])))
    config = tmp_path / "c.toml"
    config.write_text(
        f"[lyapunov]\nmodel = '{model}'\nt_max = 32\nburn_in = 1\nformats = ['png']\n"
        f"output = '{tmp_path}'\nname = 'one'\n"
    )
    ran = run("--config", str(config))
    assert ran.code == 0, ran.error
    found = group(tmp_path / "one.nc", "stack")["exponents"]
    assert np.allclose(found, [-np.log(2), -2 * np.log(2)], rtol=1e-12)
