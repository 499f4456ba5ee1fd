"""State dicts that torch.save wrote: what is read of them, and weights that are no network."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from model_files import weights
from state_dicts import FEATURES, N, gru, saved_state, torch

import gatefield as gf
from gatefield.bridge import modules_in_file
from gatefield.core.errors import InvalidInputError


@pytest.fixture
def stored(tmp_path):
    """Return a function that saves an object by torch.save and returns the path."""
    return functools.partial(saved_state, tmp_path)


def candidate(stack: gf.LayeredNetwork) -> np.ndarray:
    """Return the first layer's couplings of the field whose rows come last but of a lone field."""
    network = stack.layers[0].network
    return network.coupling(network.cell.field_names[-1])


# --- what is read


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "pytorch_model.bin", "last.CKPT"])
@pytest.mark.parametrize("legacy", [False, True], ids=["archive", "legacy"])
def test_a_state_dict_is_read(stored, name, legacy):
    path = stored(gru(), name, _use_new_zipfile_serialization=not legacy)
    expected = weights("GRU", n=N)
    stack = gf.Network.from_file(path)
    assert stack.dtype == np.float64 and stack.features == FEATURES
    np.testing.assert_array_equal(candidate(stack), expected["weight_hh_l0"][2 * N :])
    cell: Any = stack.layers[0].network.cell
    both = expected["bias_ih_l0"][N : 2 * N] + expected["bias_hh_l0"][N : 2 * N]
    np.testing.assert_array_equal(cell.bias_z, both)


def test_layers_and_directions_agree_with_the_module(stored):
    of_torch = torch()
    of_torch.manual_seed(2)
    module = of_torch.nn.LSTM(FEATURES, N, num_layers=2, bidirectional=True)
    x = np.random.default_rng(0).normal(size=(5, FEATURES))
    with of_torch.no_grad():
        expected = module(of_torch.as_tensor(x, dtype=of_torch.float32))[0].numpy()
    found = gf.Network.from_file(stored(module.state_dict()), dtype="float64").run(x).outputs
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)  # single precision


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_cells_are_read(stored, kind):
    """Names without a layer; the state after two steps is that of PyTorch's cell."""
    of_torch = torch()
    of_torch.manual_seed(4)
    cell = getattr(of_torch.nn, f"{kind}Cell")(FEATURES, N, dtype=of_torch.float64)
    x = np.random.default_rng(1).normal(size=(2, FEATURES))
    state: Any = None
    with of_torch.no_grad():
        for row in of_torch.as_tensor(x):
            state = cell(row, state)
    expected = (state[0] if kind == "LSTM" else state).numpy()
    model = of_torch.nn.ModuleDict({"core": cell})
    found = gf.Network.from_file(stored(model.state_dict()), "core").run(x).outputs[-1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "nest",
    [("state_dict",), ("model_state_dict",), ("model",), ("model", "state_dict"), ("other",)],
    ids=["state_dict", "model_state_dict", "model", "twice", "other"],
)
def test_checkpoints_are_opened(stored, nest):
    content: dict[str, Any] = gru("rnn.")
    for key in reversed(nest):
        content = {
            "epoch": 3,
            key: content,
            "optimizer": {"state": {0: {"exp_avg": torch().zeros(2)}}, "param_groups": [{}]},
            "loss": torch().zeros(()),
        }
    path = stored(content)
    owner = "other.rnn." if nest == ("other",) else "rnn."
    assert modules_in_file(path) == (owner,)
    expected = weights("GRU", n=N)["weight_hh_l0"][2 * N :]
    np.testing.assert_array_equal(candidate(gf.Network.from_file(path)), expected)


def test_the_model_goes_before_its_average(stored):
    """Of a checkpoint with two copies the one under a usual key is meant."""
    content = {"ema": gru("rnn.", seed=5), "state_dict": gru("rnn.")}
    found = gf.Network.from_file(stored(content))
    np.testing.assert_array_equal(candidate(found), weights("GRU", n=N)["weight_hh_l0"][2 * N :])


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
def test_precisions_are_read_exactly(stored, precision):
    of_torch = torch()
    named = {name: each.to(getattr(of_torch, precision)) for name, each in gru().items()}
    found = gf.Network.from_file(stored(named))
    assert found.dtype == ("float64" if precision == "float64" else "float32")
    exact = named["weight_hh_l0"][2 * N :].double().numpy()
    np.testing.assert_array_equal(candidate(found), exact)


def test_modules_in_nests_of_their_own_are_all_there(stored):
    nests = {"encoder": {"model": gru()}, "decoder": {"model": gru(seed=7)}}
    path = stored({**nests, "model": {"hidden": N}})
    assert modules_in_file(path) == ("decoder.", "encoder.")
    for prefix, seed in (("encoder", 1), ("decoder", 7)):
        expected = weights("GRU", n=N, seed=seed)["weight_hh_l0"][2 * N :]
        np.testing.assert_array_equal(candidate(gf.Network.from_file(path, prefix)), expected)


def test_several_modules_are_named(stored):
    path = stored({**gru("encoder.rnn."), **gru("decoder.", seed=7)})
    assert modules_in_file(path) == ("decoder.", "encoder.rnn.")
    with pytest.raises(InvalidInputError, match=r"one of 'decoder\.', 'encoder\.rnn\.'"):
        gf.Network.from_file(path)
    expected = weights("GRU", n=N, seed=7)["weight_hh_l0"][2 * N :]
    np.testing.assert_array_equal(candidate(gf.Network.from_file(path, "decoder")), expected)


def test_a_safetensors_file_may_have_the_name_of_a_pickle(tmp_path):
    from safetensors.numpy import save_file

    save_file(weights("GRU", n=N), tmp_path / "model.bin")
    found = gf.Network.from_file(tmp_path / "model.bin")
    np.testing.assert_array_equal(candidate(found), weights("GRU", n=N)["weight_hh_l0"][2 * N :])


# --- weights that are no network


def changed(name: str, shape: tuple[int, ...], fill: float = 0.0, **look: Any) -> dict[str, Any]:
    return {**gru(), name: torch().full(shape, fill, **look)}


def without(name: str) -> dict[str, Any]:
    return {key: each for key, each in gru().items() if key != name}


def whole_numbers() -> dict[str, Any]:
    return changed("weight_hh_l0", (3 * N, N), 1, dtype=torch().int8)


def sparse() -> dict[str, Any]:
    return {**gru(), "weight_hh_l0": torch().eye(N).repeat(3, 1).to_sparse()}


def on_no_device() -> dict[str, Any]:
    return {**gru(), "weight_hh_l0": torch().zeros((3 * N, N), device="meta")}


def transformer() -> dict[str, Any]:
    return torch().nn.TransformerEncoderLayer(8, 2, 16).state_dict()


def weight_normed() -> dict[str, Any]:
    module = torch().nn.GRU(FEATURES, N)
    torch().nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
    return module.state_dict()


def orthogonal() -> dict[str, Any]:
    model = torch().nn.ModuleDict({"core": torch().nn.RNNCell(FEATURES, N)})
    torch().nn.utils.parametrizations.orthogonal(model["core"], "weight_hh")
    return model.state_dict()


def pruned() -> dict[str, Any]:
    module, prune = torch().nn.GRU(FEATURES, N), pytest.importorskip("torch.nn.utils.prune")
    prune.random_unstructured(module, "weight_hh_l0", 0.5)
    return module.state_dict()


def projected() -> dict[str, Any]:
    return torch().nn.LSTM(FEATURES, N, proj_size=2).state_dict()


def cell_in_module() -> dict[str, Any]:
    return {**gru(), "weight_hh": torch().zeros((3 * N, N))}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: without("weight_ih_l0"), r"missing from model.pt: module = \['weight_ih_l0'\]"),
        (lambda: without("bias_hh_l0"), r"missing from .*\['bias_hh_l0'\]: expected none"),
        (lambda: changed("weight_hh_l0", (8, N)), r"shape = \(8, 4\): expected \(G N, N\)"),
        (lambda: changed("weight_ih_l0", (11, 3)), r"shape = \(11, 3\): expected \(12, 3\)"),
        (lambda: changed("bias_ih_l0", (5,)), r"bias_ih_l0.shape = \(5,\): expected \(12,\)"),
        (lambda: changed("bias_ih_l0", (12,), np.nan), "bias_ih_l0 = 'values that are not finite"),
        (lambda: changed("weight_hh_l0", (12, 4), np.inf), "weight_hh_l0 = 'values that are not"),
        (whole_numbers, "dtype of weight_hh_l0 = 'torch.int8': expected one of F64"),
        (sparse, "dtype of weight_hh_l0 = 'torch.sparse_coo tensor'"),
        (on_no_device, "dtype of weight_hh_l0 = 'torch.strided tensor'"),
        (transformer, "'linear1.weight'.*weights of a recurrent module.*Other architectures"),
        (weight_normed, "what a parametrisation computes them from. Make them plain"),
        (orthogonal, r"model.pt: core = \['core.parametrizations.weight_hh.*Make them plain"),
        (pruned, "what a parametrisation computes them from. Make them plain"),
        (projected, "an LSTM with proj_size = 0"),
        (cell_in_module, "weights of a module or of a cell, not of both"),
        (lambda: {}, r"keys of model.pt = \[\]: expected weights of a recurrent module"),
        (lambda: {0: torch().zeros(2)}, r"keys of model.pt = \[\]"),
    ],
    ids=[
        "no input weights",
        "one bias",
        "other ratio",
        "input rows",
        "short bias",
        "nan",
        "inf",
        "integers",
        "sparse",
        "meta",
        "transformer",
        "weight norm",
        "orthogonal",
        "pruned",
        "projection",
        "cell and module",
        "nothing",
        "numbered",
    ],
)
def test_other_weights_are_refused(stored, build, message):
    with pytest.raises(InvalidInputError, match=f"(?s){message}"):
        gf.Network.from_file(stored(build()))
