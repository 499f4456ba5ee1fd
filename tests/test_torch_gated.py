"""The continuous-time gated RNN as a module of PyTorch, against gatefield's own steps."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from torch_modules import generator

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.networks import Series

torch: Any = pytest.importorskip("torch")
bridge: Any = importlib.import_module("gatefield.bridge.torch")

N, FEATURES, STEPS, DT = 20, 3, 15, 0.1


def made(n=N, **options):
    """Return a module whose every parameter is random, in double precision."""
    module = bridge.GatedRNN(FEATURES, n, **{"dt": DT, "dtype": torch.float64, **options})
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for name in ("g_h", "alpha_z", "alpha_r"):
            getattr(module, name).fill_(rng.uniform(1, 3))
        for name in ("beta_h", "beta_z", "beta_r"):
            getattr(module, name).copy_(torch.tensor(rng.normal(size=n)))
        for field in "hzr":
            getattr(module, f"J_{field}").copy_(torch.tensor(rng.normal(size=(n, n)) / n**0.5))
            getattr(module, f"W_{field}").copy_(torch.tensor(rng.normal(size=(n, FEATURES))))
    return module


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(2).normal(size=(STEPS, FEATURES))


@pytest.mark.parametrize("gating", ["none", "update"])
def test_its_step_is_the_euler_step_of_the_network(gating, inputs):
    module = made(tau_z=0.7, tau_r=1.9, input_gating=gating)
    start = np.random.default_rng(3).normal(size=(3, N))
    outputs, last = module(torch.tensor(inputs), tuple(torch.tensor(start)))
    network = module.network()
    drive = {
        field: np.asarray(inputs @ getattr(module, f"W_{field}").detach().numpy().T)
        for field in "hzr"
    }

    def held(values):
        # Times are rounded sums of dt: the number of the step is the nearest integer.
        return lambda time: Series(values)(jnp.round(time / DT).astype(int))

    run = gf.simulate(
        network,
        STEPS * DT,
        dt=DT,
        method="euler",
        initial=start,
        inputs={field: held(values) for field, values in drive.items()},
    )
    # Rounding of 15 steps, of numbers of order one to ten.
    np.testing.assert_allclose(outputs.detach().numpy(), run.states[1:, 0], rtol=0, atol=1e-12)
    final = np.stack([part.detach().numpy() for part in last])
    np.testing.assert_allclose(final, run.states[-1], rtol=0, atol=1e-12)


def test_layouts_of_sequences(inputs):
    module, first = made(), made(batch_first=True)
    batch = torch.tensor(np.stack([inputs, inputs[::-1].copy()], axis=1))
    by_time, last = module(batch)
    by_batch, same = first(batch.transpose(0, 1))
    assert by_time.shape == (STEPS, 2, N) and by_batch.shape == (2, STEPS, N)
    np.testing.assert_array_equal(
        by_time.detach().numpy(), by_batch.transpose(0, 1).detach().numpy()
    )
    one, alone = module(batch[:, 1])
    assert one.shape == (STEPS, N) and alone[0].shape == (N,)
    # Products of one and of two rows are summed in another order.
    np.testing.assert_allclose(one.detach().numpy(), by_time[:, 1].detach().numpy(), atol=1e-13)
    for part, other in zip(last, same, strict=True):
        np.testing.assert_array_equal(part.detach().numpy(), other.detach().numpy())
    # In two parts as in one.
    half, state = module(batch[:7])
    rest, end = module(batch[7:], state)
    joined = torch.cat([half, rest]).detach().numpy()
    np.testing.assert_allclose(joined, by_time.detach().numpy(), atol=1e-13)
    np.testing.assert_allclose(end[2].detach().numpy(), last[2].detach().numpy(), atol=1e-13)


def test_gradients_by_every_parameter():
    module = made(n=4)
    x = torch.tensor(np.random.default_rng(4).normal(size=(6, 2, FEATURES)))
    names = [name for name, _ in module.named_parameters()]
    assert sorted(names) == sorted(
        [f"{part}_{field}" for part in ("J", "W", "beta") for field in "hzr"]
        + ["g_h", "alpha_z", "alpha_r"]
    )

    def run(*values):
        given = dict(zip(names, values, strict=True))
        return torch.func.functional_call(module, given, (x,))[0]

    values = tuple(tensor.detach().clone().requires_grad_() for tensor in module.parameters())
    assert torch.autograd.gradcheck(run, values)


def test_it_learns():
    """To give back the mean of its inputs: the error must fall far below that of no output."""
    module = bridge.GatedRNN(1, 30, dt=0.2, dtype=torch.float64)
    bridge.critical_(module, generator=generator(0))
    torch.manual_seed(0)
    readout = torch.nn.Linear(30, 1, dtype=torch.float64)
    x = torch.randn(10, 32, 1, generator=generator(1), dtype=torch.float64)
    wanted = x.mean(0)
    optimiser = torch.optim.Adam([*module.parameters(), *readout.parameters()], lr=1e-2)
    for _ in range(80):
        optimiser.zero_grad()
        loss = torch.mean((readout(module(x)[0][-1]) - wanted) ** 2)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1 * torch.mean(wanted**2).item()


def euler_eigenvalues(module):
    """Return the eigenvalues of the flow at the zero state, from the module's own step."""
    n = module.hidden_size

    def step(s):
        last = module(torch.zeros(1, FEATURES, dtype=s.dtype), tuple(s.split(n)))[1]
        return torch.cat(last)

    start = torch.zeros(3 * n, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(step, start).numpy()
    return (np.linalg.eigvals(jacobian) - 1) / module.dt


def test_critical_targets_by_the_modules_own_jacobian():
    rng, n = np.random.default_rng(5), 60
    nearest = 1 - math.cos(4 * math.pi / n)  # as in the tests of PyTorch's own modules
    for seed in range(20):
        module = bridge.GatedRNN(FEATURES, n, dt=DT, tau_z=0.5, dtype=torch.float64)
        bias = {"beta_z": rng.uniform(-1, 1), "beta_r": rng.uniform(-1, 1)}
        rate = 1 / (1 + math.exp(-bias["beta_z"]))
        target = rng.uniform(-0.8 * rate, 0.5)
        bridge.critical_(
            module, value=target, couplings="orthogonal", generator=generator(seed), **bias
        )
        edge = np.max(euler_eigenvalues(module).real)
        assert target - (target + rate) * nearest - 1e-9 < edge < target + 1e-9
        assert module.tau_z.item() == 0.5


def test_marginal_and_chrono_count_in_steps():
    n, horizon = 400, 500.0
    module = bridge.GatedRNN(FEATURES, n, dt=DT, dtype=torch.float64)
    bridge.marginal_(
        module, horizon=horizon, shortest=20, times="log-normal", generator=generator(1)
    )
    steps = (1 + np.exp(-module.beta_z.detach().numpy())) / DT
    slack = 3 * math.sqrt(0.09 / n)
    assert abs(np.mean(steps > horizon) - 0.1) < slack and abs(np.mean(steps < 20) - 0.1) < slack
    # On the edge at the zero state, where 2 sigma_r(0) = 1.
    assert module.g_h.item() == pytest.approx(2.0, rel=1e-12)
    bridge.chrono_(module, horizon=horizon, generator=generator(1))
    steps = (1 + np.exp(-module.beta_z.detach().numpy())) / DT
    assert 2 / DT <= np.min(steps) and 0.95 * horizon < np.max(steps) <= horizon
    bridge.orthogonal_(module, generator=generator(1))
    J = module.J_r.detach().numpy()
    np.testing.assert_allclose(J @ J.T, np.eye(n), atol=1e-12)


def test_read_back_network():
    module = made()
    network = module.network()
    cell: Any = network.cell
    np.testing.assert_array_equal(network.coupling("z"), module.J_z.detach().numpy())
    np.testing.assert_array_equal(cell.beta_r, module.beta_r.detach().numpy())
    assert float(cell.alpha_z) == module.alpha_z.item() and str(network.dtype) == "float64"
    assert str(made().float().network().dtype) == "float32"
    with torch.no_grad():
        module.J_z.zero_()
    assert np.max(np.abs(network.coupling("z"))) > 0


def test_state_dict_restores_everything():
    module, other = made(tau_z=0.5), bridge.GatedRNN(FEATURES, N, dt=DT, dtype=torch.float64)
    other.load_state_dict(module.state_dict())
    x = torch.ones(4, FEATURES, dtype=torch.float64)
    np.testing.assert_array_equal(module(x)[0].detach().numpy(), other(x)[0].detach().numpy())


REFUSALS = {
    "a step": (lambda: bridge.GatedRNN(1, 2, dt=1.5), "dt"),
    "a tau": (lambda: bridge.GatedRNN(1, 2, dt=0.2, tau_r=0.1), "shorter step"),
    "gating": (lambda: bridge.GatedRNN(1, 2, input_gating="all"), "input_gating"),
    "features": (lambda: made()(torch.ones(3, 2)), "features last"),
    "a state": (lambda: made()(torch.ones(3, 1, FEATURES), (torch.ones(2),) * 3), "initial"),
    "reading it": (lambda: gf.Network.from_torch(made()), r"method network\(\)"),
    "per-unit gain": (lambda: bridge.from_cell_(made(), gf.GatedRNN(np.ones(N))), "g_h"),
    "other gating": (
        lambda: bridge.from_cell_(made(), gf.GatedRNN(input_gating="update")),
        "input_gating",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    call, words = REFUSALS[case]
    with pytest.raises(InvalidInputError, match=words):
        call()


def test_data_count_its_steps_and_the_cell_its_time(monkeypatch):
    """Steps of dt that do not know of each other have the noise power dt, times their variance."""
    given = {}

    def noted(kind, **options):
        given.update(options, kind=kind)
        return gf.GatedRNN(3.5)

    monkeypatch.setattr("gatefield.bridge.recipe_cells.critical_cell", noted)
    module = bridge.GatedRNN(FEATURES, 8, dt=0.2, tau_z=0.5)
    # Alternating data: the correlation of neighbours is not positive, as of white ones.
    x = torch.tensor([[1.0, -1.0, 2.0], [-1.0, 1.0, -2.0]] * 50)
    assert bridge.critical_(module, inputs=x, input_gain=0.3, generator=generator(0)) is module
    np.testing.assert_allclose(given["inputs"].variance, [1.0, 1.0, 4.0], rtol=1e-12)
    assert 2 * given["inputs"].correlation_time == pytest.approx(0.2, rel=1e-12)
    assert given["weight_variance"] == pytest.approx(0.09 / FEATURES, rel=1e-12)
    assert (given["kind"], given["quantity"], given["tau_z"]) == ("gated", "lyapunov", 0.5)
    assert module.g_h.item() == 3.5


@pytest.mark.parametrize("tau", ["tau_z", "tau_r"])
def test_time_constants_below_its_step_are_not_written(tau):
    module = bridge.GatedRNN(2, 3, dt=0.1)
    before = module.J_h.clone()
    short: dict[str, Any] = {tau: 0.01}
    cell = gf.GatedRNN(g_h=2.0, **short)
    with pytest.raises(InvalidInputError, match="module.dt = 0.1: expected at most 0.01"):
        bridge.from_cell_(module, cell)
    assert (module.J_h == before).all()


def test_reading_the_package_does_not_import_torch():
    code = "import sys, gatefield.bridge.torch as b; print('torch' in sys.modules, b.critical_)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("False <function"), done.stderr
