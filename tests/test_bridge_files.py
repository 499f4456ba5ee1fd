"""Weights from safetensors files, read without PyTorch, and the files that are refused."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

import gatefield as gf
from gatefield.core.errors import InvalidInputError

N, FEATURES, STEPS = 4, 3, 6
ROWS = {"RNN": 1, "GRU": 3, "LSTM": 4}


def weights(kind="GRU", depth=1, both=False, bias=True, prefix="", dtype=np.float64, seed=1):
    """Return random weights under PyTorch's names."""
    rng, rows, named = np.random.default_rng(seed), ROWS[kind] * N, {}
    for layer in range(depth):
        for suffix in ("", "_reverse")[: 1 + both]:
            columns = N * (1 + both) if layer else FEATURES
            shapes = {"weight_ih": (rows, columns), "weight_hh": (rows, N)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for part, shape in shapes.items():
                array = rng.normal(size=shape) / np.sqrt(N)
                named[f"{prefix}{part}_l{layer}{suffix}"] = array.astype(dtype)
    return named


@pytest.fixture
def stored(tmp_path):
    """Return a function that writes arrays to a file and returns its path."""

    def write(arrays):
        path = tmp_path / "model.safetensors"
        save_file(arrays, path)
        return path

    return write


@pytest.mark.parametrize(
    ("kind", "fields", "cell"),
    [("RNN", "h", gf.ElmanRNN), ("GRU", "rzn", gf.GRU), ("LSTM", "ifgo", gf.LSTM)],
    ids=["rnn", "gru", "lstm"],
)
def test_rows_go_to_their_fields(stored, kind, fields, cell):
    """The order of rows is that of the documentation of torch.nn."""
    named = weights(kind, depth=2, both=True)
    network = gf.Network.from_file(stored(named))
    order = [(0, False), (0, True), (1, False), (1, True)]
    assert [(layer.depth, layer.reverse) for layer in network.layers] == order
    for layer, (depth, reverse) in zip(network.layers, order, strict=True):
        suffix = f"_l{depth}" + "_reverse" * reverse
        own_cell: Any = layer.network.cell
        assert type(own_cell) is cell and layer.network.dtype == np.float64
        for row, name in enumerate(fields):
            own = slice(row * N, (row + 1) * N)
            recurrent, entering = named[f"weight_hh{suffix}"][own], named[f"weight_ih{suffix}"][own]
            np.testing.assert_array_equal(layer.network.coupling(name), recurrent)
            np.testing.assert_array_equal(layer.input_weights[name], entering)
            of_input, of_state = named[f"bias_ih{suffix}"][own], named[f"bias_hh{suffix}"][own]
            bias = getattr(own_cell, f"bias_{name}" if kind != "RNN" else "bias")
            candidate = (kind, name) == ("GRU", "n")
            np.testing.assert_array_equal(bias, of_input if candidate else of_input + of_state)
            if candidate:
                np.testing.assert_array_equal(own_cell.bias_hn, of_state)


def test_without_biases(stored):
    (layer,) = gf.Network.from_file(stored(weights("LSTM", bias=False))).layers
    assert all(np.array_equal(getattr(layer.network.cell, f"bias_{name}"), 0) for name in "ifgo")


def test_an_rnn_is_rectified_on_request(stored):
    """Against a loop: the file does not tell which function a module without gates has."""
    named = weights("RNN")
    path, x = stored(named), np.random.default_rng(2).normal(size=(STEPS, FEATURES))
    for nonlinearity, function in (
        (None, np.tanh),
        ("tanh", np.tanh),
        ("relu", lambda u: np.maximum(u, 0)),
    ):
        h, expected = np.zeros(N), []
        for row in x:
            entering = named["weight_ih_l0"] @ row + named["bias_ih_l0"]
            h = function(entering + named["weight_hh_l0"] @ h + named["bias_hh_l0"])
            expected.append(h)
        found = gf.Network.from_file(path, nonlinearity=nonlinearity).run(x)
        np.testing.assert_allclose(found.outputs, expected, rtol=0, atol=1e-14)


# --- prefixes


def test_the_only_module_is_found_whatever_its_prefix(stored):
    other = {"head.weight": np.zeros((2, N)), "encoder.norm.bias": np.zeros(N)}
    named = weights(prefix="encoder.rnn.")
    path = stored({**named, **other})
    for prefix in ("", "encoder.rnn", "encoder.rnn."):
        (layer,) = gf.Network.from_file(path, prefix).layers
        expected = named["encoder.rnn.weight_hh_l0"][:N]
        np.testing.assert_array_equal(layer.network.coupling("r"), expected)


def test_one_of_several_modules_must_be_named(stored):
    named = {**weights("GRU", prefix="up."), **weights("LSTM", prefix="down.", seed=2)}
    path = stored(named)
    (layer,) = gf.Network.from_file(path, "down").layers
    expected = named["down.weight_hh_l0"][:N]
    np.testing.assert_array_equal(layer.network.coupling("i"), expected)
    for prefix in ("", "do", "sideways"):
        with pytest.raises(InvalidInputError, match=rf"prefix = '{prefix}': .*'down\.', 'up\.'"):
            gf.Network.from_file(path, prefix)


# --- precision


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float64, "float64"),
        (np.float32, "float32"),
        (np.float16, "float32"),
        (jnp.bfloat16, "float32"),
    ],
    ids=["double", "single", "half", "bfloat16"],
)
def test_precision_is_the_files_or_as_asked(stored, dtype, expected):
    named = weights("RNN", dtype=dtype)
    path = stored(named)
    for asked in (None, "float64"):
        (layer,) = gf.Network.from_file(path, dtype=asked).layers
        assert layer.network.dtype == (asked or expected)
        exact = named["weight_hh_l0"].astype(np.float64)
        np.testing.assert_array_equal(layer.network.coupling("h"), exact)


# --- refusals


def without(name, **options):
    named = weights(**options)
    del named[name]
    return named


def changed(name, array, **options):
    return {**weights(**options), name: array}


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        (without("weight_ih_l0"), {}, r"missing from model.safetensors: module = \['weight_ih_l0'"),
        (without("bias_hh_l0"), {}, r"missing .*\['bias_hh_l0'\]"),
        (without("weight_hh_l1_reverse", depth=2, both=True), {}, r"\['weight_hh_l1_reverse'\]"),
        (changed("weight_ih_l7", np.zeros((12, 4))), {}, "weights of each of 8 layers"),
        (changed("weight_hh_l0", np.zeros((16, 4))), {}, r"weight_ih_l0.shape = .*\(16, 3\) for"),
        (changed("weight_hh_l0", np.zeros((8, 4))), {}, r"shape = \(8, 4\): expected \(G N, N\)"),
        (changed("weight_hh_l0", np.zeros(12)), {}, r"shape = \(12,\): expected \(G N, N\)"),
        (changed("weight_hh_l0", np.zeros((0, 0))), {}, r"shape = \(0, 0\): expected \(G N, N\)"),
        (changed("weight_ih_l0", np.zeros(12)), {}, r"weight_ih_l0.shape = \(12,\)"),
        (changed("weight_ih_l0", np.zeros((12, 0))), {}, r"weight_ih_l0.shape = \(12, 0\)"),
        (changed("weight_ih_l1", np.zeros((12, 5)), depth=2), {}, r"\(12, 5\): .*\(12, 4\)"),
        (changed("bias_ih_l0", np.zeros(11)), {}, r"bias_ih_l0.shape = \(11,\): .*\(12,\)"),
        (changed("bias_ih_l0", np.full(12, np.nan)), {}, "bias_ih_l0 = 'values that are not fin"),
        (changed("weight_hh_l0", np.full((12, 4), np.inf)), {}, "weight_hh_l0 = 'values that are"),
        (changed("bias_ih_l0", np.zeros(12, int)), {}, "dtype of bias_ih_l0 = 'I64': expected one"),
        (changed("weight_hr_l0", np.zeros((2, 4))), {}, "an LSTM with proj_size = 0"),
        (changed("weight_ch_l0", np.zeros(4)), {}, "weights of an nn.RNN, nn.GRU or nn.LSTM alone"),
        ({"weight_hh": np.zeros((12, 4))}, {}, r"missing from .* = \['weight_ih'\]: expected none"),
        ({"head.weight": np.zeros(4)}, {}, r"keys .* = \['head.weight'\]: expected weights of"),
        ({}, {}, r"keys of model.safetensors = \[\]"),
        (weights(), {"kind": "LSTM"}, r"shape = \(12, 3\): expected \(16, 3\) for this LSTM"),
        (weights(), {"kind": "gru"}, "kind = 'gru': expected one of 'RNN', 'GRU', 'LSTM'"),
        (weights(), {"nonlinearity": "relu"}, "nonlinearity = 'relu': expected None for GRU"),
        (weights("RNN"), {"nonlinearity": "elu"}, "activation = 'elu': expected one of 'tanh'"),
        (weights(), {"dtype": "half"}, "dtype = 'half': expected one of 'float64'"),
        (weights(), {"prefix": 3}, "prefix = 3: expected a string"),
    ],
    ids=[
        "no input weights",
        "one bias",
        "no reverse layer",
        "no layers between",
        "more gates",
        "other ratio",
        "a vector",
        "no units",
        "input vector",
        "no features",
        "layer above",
        "short bias",
        "nan",
        "inf",
        "integers",
        "projection",
        "peephole",
        "cell",
        "other model",
        "nothing",
        "other kind",
        "unknown kind",
        "gru nonlinearity",
        "nonlinearity",
        "dtype",
        "prefix",
    ],
)
def test_other_weights_are_refused(stored, arrays, options, message):
    with pytest.raises(InvalidInputError, match=message):
        gf.Network.from_file(stored(arrays), **options)


class Trap:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    trap, path = tmp_path / "sprung", tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"weight_hh_l0": Trap(trap)}))
    with pytest.raises(InvalidInputError, match="expected a safetensors file. This is a pickle"):
        gf.Network.from_file(path)
    assert not trap.exists()
    with path.open("rb") as file:  # the control: this runs it
        pickle.load(file)
    assert trap.exists()


def test_an_archive_of_pytorch_under_another_name_is_refused(tmp_path):
    torch: Any = pytest.importorskip("torch")
    path = tmp_path / "model.safetensors"
    torch.save(torch.nn.GRU(2, 3).state_dict(), path)
    with pytest.raises(InvalidInputError, match="This is a pickle.*safetensors.torch.save_file"):
        gf.Network.from_file(path)


@pytest.mark.parametrize("content", [b"", b"weights", b"\xff" * 64], ids=["empty", "text", "noise"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="expected a safetensors file. It cannot be read"):
        gf.Network.from_file(path)


def test_a_file_cut_short_is_refused(stored):
    path = stored(weights())
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InvalidInputError, match="expected a safetensors file. It cannot be read"):
        gf.Network.from_file(path)


def test_paths_must_be_of_files(tmp_path):
    wrong: Any = 3
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InvalidInputError, match="expected a file"):
            gf.Network.from_file(path)
    with pytest.raises(InvalidInputError, match="path = 3: expected the path of a safetensors"):
        gf.Network.from_file(wrong)


# --- without PyTorch


def test_files_are_read_where_pytorch_is_not_installed(tmp_path):
    """Written from a trained module's state, read in an interpreter that cannot import torch."""
    torch: Any = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    torch.manual_seed(3)
    x = torch.randn(STEPS, FEATURES)
    cases = {}
    for kind, both in (("RNN", False), ("GRU", False), ("LSTM", False), ("GRU", True)):
        name = f"{kind}{both}"
        model = torch.nn.Module()
        model.body = getattr(torch.nn, kind)(FEATURES, N, num_layers=2, bidirectional=both)
        save_torch(model.state_dict(), tmp_path / name)
        with torch.no_grad():
            cases[name] = model.body(x)[0].numpy()
    code = f"""
import json, sys

class NoTorch:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTorch())
import gatefield as gf, numpy as np
from gatefield.core.errors import InvalidInputError
x = np.array({x.double().tolist()})
out = {{}}
for name in {list(cases)}:
    out[name] = gf.Network.from_file({str(tmp_path)!r} + "/" + name).run(x).outputs.tolist()
try:
    gf.Network.from_torch(object())
except InvalidInputError as error:
    out["refused"] = str(error)
print(json.dumps({{**out, "loaded": "torch" in sys.modules}}))
"""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("loaded") is False
    assert found.pop("refused").startswith("module = 'a object': expected a torch.nn.RNN")
    assert found.keys() == cases.keys()
    for name, outputs in cases.items():
        np.testing.assert_allclose(found[name], outputs, rtol=0, atol=1e-6)  # single precision
