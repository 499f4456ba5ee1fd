"""Initialisers of PyTorch's modules: what they write, into which rows, and what they refuse."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import math
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy import stats
from torch_modules import KINDS, ORDER, generator, made, radius, step_jacobian

import gatefield as gf
from gatefield.bridge import equinox as ge
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.initialise import Design, DesignSolution

torch: Any = pytest.importorskip("torch")
bridge: Any = importlib.import_module("gatefield.bridge.torch")

N = 100
# The eigenvalue of a random orthogonal matrix nearest to one is at an angle of some pi / N; twice
# the mean spacing is hardly ever exceeded, and 1 - cos(4 pi / N) is what is then missing.
NEAREST = 1 - math.cos(4 * math.pi / N)


@pytest.mark.parametrize("kind", KINDS)
def test_radius_of_the_module_for_random_targets(kind):
    rng = np.random.default_rng(5)
    module = made(kind, N)
    for seed in range(20):
        own = {}
        if kind == "GRU":
            own = {"bias_z": rng.uniform(-1, 1), "bias_r": rng.uniform(-1, 1)}
        elif kind == "LSTM":
            own = {f"bias_{a}": rng.uniform(-1, 1) for a in "ifo"}
        kept = 1 / (1 + math.exp(-own.get("bias_z", own.get("bias_f", -np.inf))))
        target = rng.uniform(kept + 0.2 * (1 - kept), 1.4)
        done = bridge.critical_(
            module, value=target, couplings="orthogonal", generator=generator(seed), **own
        )
        assert done is module
        missing = (target - kept) * NEAREST
        assert target - missing - 1e-9 < radius(module) < target + 1e-9


def test_gate_of_each_bias_row():
    """A row of a bias moves only its own gate, as PyTorch's formulas say."""
    for kind, options in [("GRU", {"bias_r": -1.0, "bias_z": 2.0}), ("LSTM", {"bias_f": 2.0})]:
        module = bridge.critical_(made(kind, 4), generator=generator(0), **options)
        rows = dict(zip(ORDER[kind], module.bias_ih_l0.detach().reshape(-1, 4), strict=True))
        for gate, values in rows.items():
            expected = options.get(f"bias_{gate}", 0.0)
            np.testing.assert_array_equal(values.numpy(), np.full(4, expected))
        np.testing.assert_array_equal(module.bias_hh_l0.detach().numpy(), 0.0)


def test_z_keeps_h():
    """PyTorch's z = 1 returns the state as it was: a large bias_z must do that, and only that."""
    cell = gf.GRU(gain_r=1.0, gain_z=0.0, gain_n=3.0, bias_z=40.0)
    module = bridge.from_cell_(made("GRU", N), cell, generator=generator(1))
    h = torch.linspace(-1, 1, N, dtype=torch.float64)[None]
    x = torch.ones(1, 3, dtype=torch.float64)
    # 1 - sigmoid(40) = 4e-18, which the input's part of the gate cannot undo.
    np.testing.assert_allclose(module(x, h)[1].detach().numpy(), h.numpy(), atol=1e-15)
    moved = bridge.from_cell_(
        made("GRU", N), gf.GRU(gain_z=0.0, gain_n=3.0, bias_z=-40.0), generator=generator(1)
    )
    assert np.max(np.abs(moved(x, h)[1].detach().numpy() - h.numpy())) > 0.5


def test_lstm_forget_gate_keeps_c():
    cell = gf.LSTM(bias_f=40.0, bias_i=-40.0, gain_i=0.0, gain_f=0.0, gain_g=2.0)
    module = bridge.from_cell_(made("LSTM", N), cell, generator=generator(1))
    h = torch.zeros(1, N, dtype=torch.float64)
    c = torch.linspace(-1, 1, N, dtype=torch.float64)[None]
    kept = module(torch.ones(1, 3, dtype=torch.float64), (h, c))[1][1]
    np.testing.assert_allclose(kept.detach().numpy(), c.numpy(), atol=1e-15)


def test_second_bias_of_the_gru_is_multiplied_by_its_reset_gate():
    cell = gf.GRU(gain_r=0, gain_z=0, gain_n=0, bias_r=-1.0, bias_z=-2.0, bias_n=0.3, bias_hn=0.7)
    module = bridge.from_cell_(made("GRU", 4), cell, input_gain=0.0, generator=generator(0))
    h = torch.full((1, 4), 0.5, dtype=torch.float64)
    out = module(torch.ones(1, 3, dtype=torch.float64), h)[1].detach().numpy()
    r, z = 1 / (1 + math.e), 1 / (1 + math.exp(2.0))
    expected = (1 - z) * math.tanh(0.7 * r + 0.3) + z * 0.5
    np.testing.assert_allclose(out, expected, rtol=1e-14)


CASES = list(itertools.product(KINDS, (1, 2), (False, True), (True, False)))


@pytest.mark.parametrize(("kind", "depth", "both", "bias"), CASES)
def test_every_layer_and_direction_reads_back(kind, depth, both, bias):
    module = made(kind, 40, num_layers=depth, bidirectional=both, bias=bias)
    bridge.critical_(module, generator=generator(3))
    network = gf.Network.from_torch(module)
    candidate = {"RNN": "h", "GRU": "n", "LSTM": "g"}[kind]
    wanted = {"RNN": 1.0, "GRU": 2.0, "LSTM": 2.0}[kind]
    assert len(network.layers) == depth * (1 + both)
    seen = []
    for layer in network.layers:
        gains = layer.network.cell.gains()
        for field in ORDER[kind]:
            expected = wanted if field == candidate else 1.0
            # The norm of N^2 normal numbers over N has the standard error 1 / (sqrt(2) N).
            assert abs(gains[field] / expected - 1) < 4 / (math.sqrt(2) * 40)
            seen.append(layer.network.coupling(field))
        for name, value in vars(layer.network.cell).items():
            if name.startswith("bias"):
                np.testing.assert_array_equal(value, 0.0)
        for weights in layer.input_weights.values():
            # Uniform on +-1 / sqrt(N), as PyTorch's own.
            assert 0.9 / math.sqrt(40) < np.max(np.abs(weights)) <= 1 / math.sqrt(40)
    # Nothing is drawn twice.
    assert len({matrix[0, 0] for matrix in seen}) == len(seen)


@pytest.mark.parametrize("kind", KINDS)
def test_single_cells_get_what_a_layer_gets(kind):
    cell = getattr(torch.nn, f"{kind}Cell")(3, 8, dtype=torch.float64)
    layer = made(kind, 8)
    for module in (cell, layer):
        bridge.critical_(module, generator=generator(4))
    for name, weights in cell.named_parameters():
        np.testing.assert_array_equal(
            weights.detach().numpy(), getattr(layer, f"{name}_l0").detach().numpy()
        )


def test_rectified_units():
    module = made("RNN", N, nonlinearity="relu")
    bridge.critical_(module, value=1.1, generator=generator(0))
    J = module.weight_hh_l0.detach().numpy()
    assert abs(np.sqrt(N * np.mean(J**2)) / (1.1 * math.sqrt(2)) - 1) < 4 / (math.sqrt(2) * N)


def test_layers_that_are_not_named_keep_their_weights():
    module = made("GRU", 6, num_layers=3, bidirectional=True)
    before = {name: tensor.clone() for name, tensor in module.named_parameters()}
    bridge.critical_(module, layers=[1], generator=generator(0))
    for name, tensor in module.named_parameters():
        assert torch.equal(tensor, before[name]) == ("_l1" not in name)


def test_same_generator_same_weights_in_any_precision():
    def weights(seed, dtype):
        module = made("LSTM", 7, dtype=dtype)
        bridge.marginal_(module, horizon=50, generator=generator(seed))
        return torch.cat([tensor.flatten() for tensor in module.parameters()]).detach().double()

    first = weights(1, torch.float64)
    assert torch.equal(first, weights(1, torch.float64))
    assert not torch.equal(first, weights(2, torch.float64))
    # Rounding to 24 and to 8 binary digits.
    for dtype, digits in ((torch.float32, 24), (torch.bfloat16, 8)):
        close = np.testing.assert_allclose
        close(weights(1, dtype).numpy(), first.numpy(), rtol=2.0**-digits, atol=1e-40)


def test_a_key_of_the_same_words_draws_the_same_weights_for_equinox():
    words = torch.randint(2**32, (2,), generator=generator(3)).tolist()
    key = jax.random.wrap_key_data(jax.numpy.array(words, np.uint32))
    with jax.enable_x64(True):
        other: Any = eqx.nn.GRUCell(3, 7, dtype=np.float64, key=jax.random.key(0))
    other = ge.marginal(other, key=key, horizon=50.0)
    module = bridge.marginal_(made("GRU", 7), horizon=50.0, generator=generator(3))
    np.testing.assert_array_equal(module.weight_hh_l0.detach().numpy(), other.weight_hh)
    np.testing.assert_array_equal(module.weight_ih_l0.detach().numpy(), other.weight_ih)
    np.testing.assert_array_equal(module.bias_ih_l0.detach().numpy(), other.bias)


def test_without_a_generator_the_global_one_draws():
    module = made("RNN", 5)
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(bridge.critical_(module).weight_hh_l0.detach().clone())
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_modules_stay_trainable():
    module = bridge.critical_(made("GRU", 6), generator=generator(0))
    module(torch.ones(4, 3, dtype=torch.float64))[0].sum().backward()
    for tensor in module.parameters():
        assert tensor.requires_grad and tensor.is_leaf
        assert tensor.grad is not None and bool(torch.isfinite(tensor.grad).all())


@pytest.mark.parametrize("law", ["normal", "uniform", "orthogonal"])
def test_laws_of_couplings(law):
    n = 200
    module = bridge.from_cell_(
        made("RNN", n), gf.ElmanRNN(1.5), couplings=law, generator=generator(2)
    )
    J = module.weight_hh_l0.detach().numpy() / 1.5
    if law == "orthogonal":
        np.testing.assert_allclose(J @ J.T, np.eye(n), atol=1e-12)
        return
    scaled = J.ravel() * math.sqrt(n)
    expected = stats.norm if law == "normal" else stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))
    # The largest distance of 40,000 numbers' distribution is above 1.95 / 200 once in a thousand.
    assert stats.kstest(scaled, expected.cdf).statistic < 1.95 / n


def test_input_gain():
    module = made("GRU", N, features=50)
    bridge.critical_(module, input_gain=2.0, generator=generator(0))
    W = module.weight_ih_l0.detach().numpy()
    assert abs(np.mean(W**2) * 50 / 4 - 1) < 4 * math.sqrt(2 / W.size)


@pytest.mark.parametrize(("kind", "gate"), [("GRU", "z"), ("LSTM", "f")])
@pytest.mark.parametrize("times", ["log-normal", "uniform"])
def test_marginal_gate_times_and_edge(kind, gate, times):
    n, horizon, shortest = 400, 200.0, 3.0
    module = made(kind, n)
    options = {"times": times, "couplings": "orthogonal", "generator": generator(6)}
    bridge.marginal_(module, horizon=horizon, shortest=shortest, **options)
    rows = dict(zip(ORDER[kind], module.bias_ih_l0.detach().numpy().reshape(-1, n), strict=True))
    kept = -1 / np.log(1 / (1 + np.exp(-rows[gate])))
    if times == "uniform":
        found = stats.kstest(kept, stats.uniform(shortest, horizon - shortest).cdf)
        # The largest distance of n numbers' distribution is beyond that once in a thousand.
        assert found.statistic < 1.95 / math.sqrt(n)
    else:
        # A quantile at 10 per cent of n numbers is off by sqrt(.09 / n) in probability.
        slack = 3 * math.sqrt(0.09 / n)
        assert abs(np.mean(kept > horizon) - 0.1) < slack
        assert abs(np.mean(kept < shortest) - 0.1) < slack
    if kind == "LSTM":
        np.testing.assert_array_equal(rows["i"], -rows["f"])
    # At the edge g_n <r^2>^(1/2) = 1 and g_g <o^2>^(1/2) = 1, where r = o = 1/2.
    block = module.weight_hh_l0.detach().numpy()[2 * n : 3 * n]
    np.testing.assert_allclose(block @ block.T, 4 * np.eye(n), rtol=0, atol=1e-11)


def test_marginal_spectrum_ends_at_one():
    """It has the eigenvalues of kept + strength * couplings, the slowest of which are many."""
    n, horizon = 200, 100.0
    module = bridge.marginal_(
        made("GRU", n), horizon=horizon, times="log-normal", generator=generator(7)
    )
    z = 1 / (1 + np.exp(-module.bias_ih_l0.detach().numpy()[n : 2 * n]))
    block = module.weight_hh_l0.detach().numpy()[2 * n :]
    expected = np.linalg.eigvals(np.diag(z) + (1 - z)[:, None] / 2 * block)
    moduli = np.sort(np.abs(np.linalg.eigvals(step_jacobian(module))))
    # Eigenvalues of a matrix that is not normal are worse than its entries by its condition.
    np.testing.assert_allclose(moduli, np.sort(np.abs(expected)), rtol=0, atol=1e-9)
    # 40 such matrices drawn by NumPy: radius 0.9999(8), 13.3(1.7) per cent beyond 1 - 1 / horizon.
    assert abs(moduli[-1] - 1) < 4 * 0.0008
    assert abs(np.mean(moduli > 1 - 1 / horizon) - 0.133) < 4 * 0.017


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_chrono_biases_by_their_quantiles(kind):
    n, horizon = 2000, 300.0
    module = made(kind, n, features=1)
    bridge.chrono_(module, horizon=horizon, generator=generator(8))
    rows = dict(zip(ORDER[kind], module.bias_ih_l0.detach().numpy().reshape(-1, n), strict=True))
    biases = rows["z" if kind == "GRU" else "f"]
    # exp(b) is uniform on (1, 299): the largest distance of 2,000 numbers' distribution.
    expected = stats.uniform(1, horizon - 2)
    assert stats.kstest(np.exp(biases), expected.cdf).statistic < 1.95 / math.sqrt(n)
    if kind == "LSTM":
        np.testing.assert_array_equal(rows["i"], -biases)
    for gate, values in rows.items():
        if gate not in "zfi":
            np.testing.assert_array_equal(values, 0.0)


def test_orthogonal_blocks():
    module = bridge.orthogonal_(made("LSTM", 30), gain=0.8, generator=generator(9))
    for block in module.weight_hh_l0.detach().numpy().reshape(4, 30, 30):
        np.testing.assert_allclose(block @ block.T, 0.64 * np.eye(30), atol=1e-13)
    np.testing.assert_array_equal(module.bias_ih_l0.detach().numpy(), 0.0)


def blank(kind, **given):
    """Return a result of a design, every field empty that is not given: a search takes long."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{**dict.fromkeys(names, {}), **given})


@pytest.fixture(scope="module")
def solution():
    cell = gf.GRU(gain_r=0.5, gain_z=0.7, gain_n=1.3, bias_z=1.0, bias_n=0.2)
    return blank(DesignSolution, cell=cell, spread={"z": 0.6}, met=True)


def test_from_a_design(solution):
    n = 300
    module = bridge.from_design_(made("GRU", n), solution, generator=generator(10))
    cell: Any = gf.Network.from_torch(module).layers[0].network.cell
    for field, gain in (("r", 0.5), ("z", 0.7), ("n", 1.3)):
        assert abs(cell.gains()[field] / gain - 1) < 4 / (math.sqrt(2) * n)
    assert abs(np.mean(cell.bias_z) - 1.0) < 4 * 0.6 / math.sqrt(n)
    assert abs(np.std(cell.bias_z) / 0.6 - 1) < 4 / math.sqrt(2 * n)
    np.testing.assert_allclose(cell.bias_n, 0.2, rtol=1e-15)


def test_inputs_of_a_design_fix_the_input_weights(solution):
    """Each drive has the second moment it had in the design, of data with a mean."""
    n, features = 300, 20
    moving = gf.GaussianInput(variance=0.5, correlation_time=3.0)
    inputs = {"r": (moving, gf.GaussianInput(variance=0.25)), "n": moving}
    design = blank(Design, solutions=(solution,), inputs=inputs, status=Status.OK, dt=None)
    x = np.random.default_rng(0).normal(0.5, 2.0, (500, features))
    module = made("GRU", n, features=features)
    bridge.from_design_(module, design, inputs=torch.tensor(x), generator=generator(1))
    rows = module.weight_ih_l0.detach().numpy().reshape(3, n, features)
    for weights, expected in zip(rows, (0.75, 0.0, 0.5), strict=True):
        found = np.mean((weights @ x.T) ** 2)
        # Of n units' 20 weights each: the standard error of their mean square, and their overlap.
        assert abs(found - expected) <= 4 * expected * math.sqrt(2 / n)
    with pytest.raises(InvalidInputError, match="number of solutions"):
        bridge.from_design_(module, design, solution=1)


def refusals():
    """Return calls and what their message must say."""
    gru = made("GRU", 5)
    shut = made("GRU", 5, bias=False)
    parametrised = torch.nn.utils.parametrizations.weight_norm(made("GRU", 5), "weight_hh_l0")
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), made("GRU", 5))
    projected = torch.nn.LSTM(3, 6, proj_size=2)
    meta = torch.nn.GRU(3, 5, device="meta")
    return {
        "no biases": (lambda: bridge.marginal_(shut, horizon=50), "bias=True"),
        "a bias": (lambda: bridge.critical_(shut, bias_z=1.0), "bias=True"),
        "parametrised": (lambda: bridge.critical_(parametrised), "parametri"),
        "a model": (lambda: bridge.critical_(model), "Pass one of its parts: 1"),
        "a projection": (lambda: bridge.critical_(projected), "projections"),
        "no memory": (lambda: bridge.critical_(meta), "to_empty"),
        "no module": (lambda: bridge.critical_(3), "torch.nn.Module"),
        "another cell": (lambda: bridge.from_cell_(gru, gf.LSTM()), "GRU"),
        "Cho's reset": (lambda: bridge.from_cell_(gru, gf.GRU(reset="before")), "after"),
        "other units": (lambda: bridge.from_cell_(gru, gf.GRU(bias_z=np.ones(4))), "5 units"),
        "two cells": (lambda: bridge.from_cell_(gru, [gf.GRU(), gf.GRU()]), "One for each"),
        "a layer": (lambda: bridge.critical_(gru, layers=1), "count from 0"),
        "a law": (lambda: bridge.critical_(gru, couplings="cauchy"), "'orthogonal'"),
        "a generator": (lambda: bridge.critical_(gru, generator=3), "torch.Generator"),
        "a parameter": (lambda: bridge.critical_(gru, bias_f=1.0), "bias_f"),
        "slow gates": (lambda: bridge.critical_(gru, value=0.6, bias_z=2.0), "0.880797"),
        "no gates": (lambda: bridge.chrono_(made("RNN", 5), horizon=9), "no gate"),
        "a horizon": (lambda: bridge.chrono_(gru, horizon=2), "above 2"),
        "no horizon": (lambda: bridge.marginal_(gru, horizon=2.0), "less than the horizon"),
        "seeds of marginal": (
            lambda: bridge.marginal_(gru, horizon=50, seed=1),
            "parameters of a GRU",
        ),
        "a typing error": (lambda: bridge.chrono_(gru, horizon=50, biasz=1.0), "biasz"),
        "an unknown bias": (lambda: bridge.orthogonal_(gru, bias=1.0), "parameters of a GRU"),
        "steps of a flow": (
            lambda: bridge.marginal_(bridge.GatedRNN(3, 5), horizon=200),
            "shortest = 2.0: expected more than 10 steps",
        ),
        "a set bias": (lambda: bridge.marginal_(gru, horizon=50, bias_z=1.0), "draws"),
        "a design": (lambda: bridge.from_design_(gru, gf.GRU()), "from_cell_"),
        "features": (lambda: bridge.critical_(gru, inputs=np.ones((9, 4))), "features"),
    }


@pytest.mark.parametrize("case", refusals())
def test_refusals(case):
    call, words = refusals()[case]
    with pytest.raises(InvalidInputError, match=words):
        call()


def test_nothing_is_written_when_something_is_refused():
    module = made("GRU", 5, num_layers=2)
    before = [tensor.clone() for tensor in module.parameters()]
    with pytest.raises(InvalidInputError, match="5 units"):
        bridge.from_cell_(module, [gf.GRU(), gf.GRU(bias_z=np.ones(3))])
    for tensor, old in zip(module.parameters(), before, strict=True):
        assert torch.equal(tensor, old)
