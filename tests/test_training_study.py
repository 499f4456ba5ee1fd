"""The training study: tasks whose chance is known, PyTorch's own outputs and steps."""

from __future__ import annotations

from math import log
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.training.initialisations import (
    INITIALISATIONS,
    chrono,
    default,
    exists,
    of_cell,
    orthogonal,
)
from benchmarks.training.models import DT, MODELS, activity, answers
from benchmarks.training.study import grid
from benchmarks.training.tasks import copy_chance, parsed, sampler, task
from benchmarks.training.train import Settings, adam

import gatefield as gf

N, BATCH, STEPS = 5, 3, 12
ADDING = task("adding", STEPS)
# Rounding of float32 in sums of up to ten terms, over 12 steps.
TOLERANCE = 2e-6


def batch(title: str, size: int, seed: int = 0):
    return sampler(parsed(title))(jax.random.key(seed), size, False)


def test_adding_asks_for_the_sum_of_one_marked_number_of_each_half():
    size = 20_000
    inputs, wanted = (np.asarray(part) for part in batch("adding-12", size))
    assert inputs.shape == (12, size, 2) and wanted.shape == (1, size, 1)
    numbers, marks = inputs[..., 0], inputs[..., 1]
    np.testing.assert_array_equal(marks[:6].sum(0), 1)
    np.testing.assert_array_equal(marks[6:].sum(0), 1)
    np.testing.assert_allclose(wanted[0, :, 0], (numbers * marks).sum(0), rtol=0, atol=1e-6)
    # Every place is marked equally often, 1/6 of the time in its half; four standard errors.
    assert np.abs(marks.mean(1) - 1 / 6).max() < 4 * np.sqrt(5 / 36 / size)
    # The sum of two uniform numbers has the variance 1/6; its square deviation 7/180.
    error = np.sqrt(7 / 180 / size)
    assert np.mean((wanted - 1) ** 2) == pytest.approx(parsed("adding-12").chance, abs=4 * error)


def test_copy_memory_shows_ten_letters_and_asks_for_them_after_the_blanks():
    inputs, wanted = (np.asarray(part) for part in batch("copy-7", 50))
    assert inputs.shape == (27, 50, 10) and wanted.shape == (27, 50)
    np.testing.assert_array_equal(inputs.sum(-1), 1)
    shown = inputs.argmax(-1)
    np.testing.assert_array_equal(shown[:10], wanted[-10:])
    assert shown[:10].max() == 7 and shown[:10].min() == 0
    go = np.nonzero((shown == 9).all(1))[0]
    # Ten letters and T - 1 blanks come first; then the answer has ten steps.
    np.testing.assert_array_equal(go, [16])
    assert (np.delete(shown[10:], 6, axis=0) == 8).all() and (wanted[:17] == 8).all()


def test_chance_in_copy_memory_is_guessing_the_letters():
    # An answer of equal odds for the eight letters at the end, and certain of the blanks before.
    known = parsed("copy-7")
    _, wanted = batch("copy-7", 50)
    odds = np.zeros((27, 50, 9))
    odds[:17, :, 8] = 1
    odds[17:, :, :8] = 1 / 8
    chosen = np.take_along_axis(odds, np.asarray(wanted)[..., None], -1)
    assert -np.log(chosen).mean() == pytest.approx(known.chance, rel=1e-12)
    assert copy_chance(100) == pytest.approx(10 * log(8) / 120, rel=1e-15)


def test_digits_come_pixel_by_pixel_and_tests_are_never_learned_from():
    datasets = pytest.importorskip("sklearn.datasets")
    images, classes = datasets.load_digits(return_X_y=True)
    drawing = sampler(parsed("digits-70"))
    tested, answers_of_test = (np.asarray(p) for p in drawing(jax.random.key(0), 1, True))
    learned, _ = (np.asarray(p) for p in drawing(jax.random.key(0), 4000, False))
    assert tested.shape == (70, 450, 1) and answers_of_test.shape == (1, 450)
    assert (tested[64:] == 0).all() and (learned[64:] == 0).all()
    known = {bytes(row): label for row, label in zip(images.astype("f4"), classes, strict=True)}
    assert len(known) == 1797  # no image is there twice
    of_test = [bytes(row) for row in np.ascontiguousarray(tested[:64, :, 0].T * 16)]
    of_learning = {bytes(row) for row in np.ascontiguousarray(learned[:64, :, 0].T * 16)}
    assert [known[row] for row in of_test] == answers_of_test[0].tolist()
    assert of_learning <= set(known) and not of_learning & set(of_test)
    # 4000 draws of 1347 leave out 1347 exp(-4000/1347) = 69 on average, with a deviation below 8.
    assert len(of_learning) > 1347 - 69 - 40
    assert parsed("digits-70").chance == pytest.approx(log(10))


@pytest.mark.parametrize("title", ["adding-1", "copy-0", "digits-63", "sorting-9"])
def test_unknown_tasks_are_refused(title):
    with pytest.raises(ValueError, match="wanted"):
        parsed(title)


@pytest.mark.parametrize(
    ("model", "module"), [("vanilla", "RNN"), ("gru", "GRU"), ("lstm", "LSTM")]
)
def test_activities_are_those_of_pytorch(model, module):
    torch: Any = pytest.importorskip("torch")
    weights = default(ADDING, model, N, seed=1)
    inputs = np.asarray(batch("adding-12", BATCH)[0])
    theirs = getattr(torch.nn, module)(2, N)
    read = torch.nn.Linear(N, 1)
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(theirs, f"{name}_l0").copy_(torch.tensor(weights[name]))
        read.weight.copy_(torch.tensor(weights["readout"]))
        read.bias.copy_(torch.tensor(weights["readout_bias"]))
        states = theirs(torch.tensor(inputs))[0]
        wanted = read(states[-4:]).numpy()
    weights = {name: jnp.asarray(weight, jnp.float32) for name, weight in weights.items()}
    found = activity(model, weights, inputs)
    np.testing.assert_allclose(found, states.numpy(), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(
        answers(model, weights, jnp.asarray(inputs), 4), wanted, rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize(("model", "module"), [("gru", "GRU"), ("lstm", "LSTM")])
def test_the_default_has_the_range_of_pytorchs(model, module):
    torch: Any = pytest.importorskip("torch")
    n = 64
    theirs, read = getattr(torch.nn, module)(2, n), torch.nn.Linear(n, 1)
    shapes = {name.removesuffix("_l0"): one.shape for name, one in theirs.named_parameters()}
    largest = [float(one.detach().abs().max()) for one in theirs.parameters()]
    shapes |= {"readout": read.weight.shape, "readout_bias": read.bias.shape}
    ours = default(ADDING, model, n, seed=0)
    assert {name: one.shape for name, one in ours.items()} == {
        name: tuple(shape) for name, shape in shapes.items()
    }
    # All are uniform up to 1/sqrt(N): of the hundred and more entries the largest is close to it.
    for one in [*largest, *(np.abs(part).max() for part in ours.values() if part.size > 100)]:
        assert 0.9 / np.sqrt(n) < one <= 1 / np.sqrt(n)


def test_the_gated_network_takes_eulers_steps_of_gatefields():
    bias = np.linspace(-1, 1, N)
    gains = np.array([1.7, 1.3, 0.9])
    cell = gf.GatedRNN(
        gains[0],
        alpha_z=gains[1],
        alpha_r=gains[2],
        beta_h=0.2,
        beta_z=bias,
        beta_r=-bias,
        input_gating="update",
    )
    weights = of_cell(cell, "gated", ADDING, N, seed=3)
    couplings = weights["weight_hh"].reshape(3, N, N) / gains[:, None, None]
    network = gf.Network.of_couplings(cell, dict(zip("hzr", couplings, strict=True)))
    start, drive = np.random.default_rng(0).normal(size=(2, 3, N))
    run = gf.simulate(
        network,
        STEPS * DT,
        dt=DT,
        method="euler",
        inputs=dict(zip("hzr", drive, strict=True)),
        initial=start,
        progress=False,
    )
    # The study's states and drives are in units of the gains.
    held = {name: jnp.asarray(weight, jnp.float32) for name, weight in weights.items()}
    scaled = gains[:, None, None] * np.stack([start, drive], 1)
    state = tuple(jnp.asarray(part, jnp.float32)[None] for part in scaled[:, 0])
    driven = jnp.asarray(scaled[:, 1].reshape(1, 3 * N), jnp.float32)
    for step in range(1, STEPS + 1):
        state, active = MODELS["gated"].rule(held, state, driven)
        np.testing.assert_allclose(
            active[0], np.tanh(1.7 * run.states[step, 0] + 0.2), rtol=0, atol=TOLERANCE
        )


def test_initialisations_have_the_statistics_they_are_named_for():
    n = 400
    known = task("adding", 101)
    rotations = orthogonal(known, "gru", n, 0)["weight_hh"].reshape(3, n, n)
    for block in rotations:
        np.testing.assert_allclose(block @ block.T, np.eye(n), rtol=0, atol=1e-12)
    for model, rows in (("gru", slice(n, 2 * n)), ("lstm", slice(n, 2 * n))):
        weights = chrono(known, model, n, 0)
        bias = weights["bias_ih"] + weights["bias_hh"]
        keep = 1 / (1 + np.exp(-bias[rows]))
        times = 1 / (1 - keep)
        # Uniform from 2 to 101: mean 51.5 and deviation 99/sqrt(12); four standard errors.
        assert times.min() >= 2 and times.max() <= 101
        assert times.mean() == pytest.approx(51.5, abs=4 * 99 / np.sqrt(12 * n))
        others = np.delete(bias, np.r_[rows] if model == "gru" else np.r_[: 2 * n])
        np.testing.assert_array_equal(others, 0)
        if model == "lstm":
            np.testing.assert_allclose(bias[:n], -bias[rows], rtol=0, atol=1e-12)
    beta_z = chrono(known, "gated", n, 0)["bias"][n : 2 * n]
    times = (1 + np.exp(-beta_z)) / DT
    # Times below 4 steps are made 4, where the gate stands half open.
    assert times.min() == pytest.approx(2 / DT) and times.max() <= 101
    assert beta_z.max() == 0
    with pytest.raises(ValueError, match="chrono"):
        chrono(known, "vanilla", n, 0)
    assert not exists("chrono", "vanilla") and exists("chrono", "gru")


def gate_times(name: str, n: int) -> np.ndarray:
    """Return the times after which the GRU's z alone leaves 1/e, for a sequence of 100 steps."""
    weights = INITIALISATIONS[name](task("adding", 100), "gru", n, 0)
    bias = weights["bias_ih"][n : 2 * n] + weights["bias_hh"][n : 2 * n]
    return 1 / np.log1p(np.exp(-bias))


def test_log_normal_gate_times_have_the_quantiles_they_are_named_for():
    n = 1000
    times = gate_times("marginal", n)
    # The share below a quantile is binomial; four standard errors.
    error = 4 * np.sqrt(0.1 * 0.9 / n)
    assert np.mean(times < 2) == pytest.approx(0.1, abs=error)
    assert np.mean(times > 100) == pytest.approx(0.1, abs=error)


def test_even_gate_times_are_uniform_up_to_the_sequence():
    n = 1000
    times = np.sort(gate_times("even", n))
    assert times[0] >= 2 and times[-1] <= 100
    # Kolmogorov and Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand.
    assert np.abs((times - 2) / 98 - (np.arange(n) + 0.5) / n).max() < 1.95 / np.sqrt(n)


@pytest.mark.parametrize("model", MODELS)
def test_the_recipes_are_at_the_edge_where_pytorchs_default_is_not(model):
    n = 300
    radii = {}
    for name in ("default", "critical"):
        weights = INITIALISATIONS[name](ADDING, model, n, 0)
        blocks = np.split(weights["weight_hh"], len(MODELS[model].fields))
        block = dict(zip(MODELS[model].fields, blocks, strict=True))
        own = block[{"gru": "n", "lstm": "g"}.get(model, "h")]
        radii[name] = np.abs(np.linalg.eigvals(own)).max()
    # Reset, output and sending gates stand half open without a bias: the edge is a radius of two.
    edge = 1.0 if model == "vanilla" else 2.0
    # The outermost of n eigenvalues scatters by about n^-1/2.
    assert radii["critical"] == pytest.approx(edge, rel=2 / np.sqrt(n))
    assert radii["default"] == pytest.approx(3**-0.5, rel=2 / np.sqrt(n))


def test_couplings_of_a_cell_have_its_gains():
    n = 300
    cell = gf.GRU(gain_r=0.5, gain_z=1.0, gain_n=2.0, bias_z=np.arange(n), bias_hn=0.3)
    weights = of_cell(cell, "gru", ADDING, n, 0)
    blocks = weights["weight_hh"].reshape(3, n, n)
    # The variance of n^2 Gaussian numbers is known to a share sqrt(2)/n; four of them.
    for block, gain in zip(blocks, (0.5, 1.0, 2.0), strict=True):
        assert n * block.var() == pytest.approx(gain**2, rel=4 * np.sqrt(2) / n)
    np.testing.assert_array_equal(weights["bias_ih"][n : 2 * n], np.arange(n))
    np.testing.assert_array_equal(weights["bias_hh"], np.repeat([0, 0, 0.3], n))


def test_steps_of_adam_are_those_of_pytorch():
    torch: Any = pytest.importorskip("torch")
    settings = Settings(rate=0.02, clip=0.7)
    rng = np.random.default_rng(0)
    start = {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=4)}
    # Some are longer than the clip, some are shorter.
    gradients = [
        {k: s * rng.normal(size=v.shape) for k, v in start.items()} for s in (2, 0.1, 1, 0.01)
    ]
    theirs = [torch.nn.Parameter(torch.tensor(one)) for one in start.values()]
    optimiser = torch.optim.Adam(theirs, lr=settings.rate)
    with jax.enable_x64(True):
        ours = {k: jnp.asarray(v) for k, v in start.items()}
        zero = jax.tree.map(jnp.zeros_like, ours)
        moments = (zero, zero)
        for index, gradient in enumerate(gradients):
            for one, value in zip(theirs, gradient.values(), strict=True):
                one.grad = torch.tensor(value)
            wanted = torch.nn.utils.clip_grad_norm_(theirs, settings.clip)
            optimiser.step()
            ours, moments, norm = adam(ours, moments, gradient, index, settings)
            assert float(norm) == pytest.approx(float(wanted), rel=1e-12)
        for one, other in zip(ours.values(), theirs, strict=True):
            np.testing.assert_allclose(one, other.detach().numpy(), rtol=0, atol=1e-12)


def test_the_grid_leaves_out_what_is_not_defined():
    plan = {("adding-12", model): Settings() for model in MODELS}
    runs = list(grid(plan, INITIALISATIONS, range(5)))
    assert len({run.name for run in runs}) == len(runs)
    missing = sum(not exists(name, model) for name in INITIALISATIONS for model in MODELS)
    assert missing > 0 and len(runs) == 5 * (4 * len(INITIALISATIONS) - missing)
    assert all(run.seed == 0 for run in runs[: len(runs) // 5])
