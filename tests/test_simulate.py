"""Simulation against exact solutions, an independent integrator and convergence orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from simulate_cases import ROUNDING, random_couplings, sigmoid

import gatefield as gf

FIXED = ("euler", "rk4")


# --- the reference network of THEORY 7


def test_deterministic_reference_network():
    """The state at t = 200 of a network whose couplings and start come from NumPy's generator.

    The published digits were checked at dt = .05 and .025, which agree to 5e-6.
    """
    rng = np.random.default_rng(59)
    couplings = {name: rng.standard_normal((100, 100)) / 10 for name in "hzr"}
    start = np.stack([rng.standard_normal(100) for _ in "hzr"])
    network = gf.Network.of_couplings(gf.GatedRNN(3.0, alpha_z=2.0, alpha_r=1.0), couplings)
    run = gf.simulate(network, 200.0, dt=0.05, initial=start, save_every=1000)
    np.testing.assert_allclose(
        run.final[0, :3], [0.3338551, -0.2194001, 0.3616809], rtol=0, atol=5e-6
    )


# --- exact cases


@pytest.mark.parametrize("method", FIXED)
def test_open_gates_make_the_vanilla_network(method):
    """beta = 60 opens a gate to the last bit: the trajectories coincide, chaotic or not."""
    couplings = random_couplings(1, 30)
    gated = gf.Network.of_couplings(gf.GatedRNN(2.0, beta_h=0.2, beta_z=60, beta_r=60), couplings)
    vanilla = gf.Network.of_couplings(gf.VanillaRNN(2.0, beta=0.2), {"h": couplings["h"]})
    start = np.random.default_rng(2).standard_normal((3, 30))
    ours = gf.simulate(gated, 10.0, dt=0.1, initial=start, method=method)
    theirs = gf.simulate(vanilla, 10.0, dt=0.1, initial=start[:1], method=method)
    assert np.max(np.abs(theirs.final)) > 0.1
    # Rounding of 1e-16, grown at most e^((g - 1) t) = 2e4 fold.
    np.testing.assert_allclose(ours.component("h"), theirs.component("h"), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("method", "factor"),
    [
        ("euler", lambda x: 1 - x),
        ("rk4", lambda x: 1 - x + x**2 / 2 - x**3 / 6 + x**4 / 24),
        ("dopri8", lambda x: np.exp(-x)),
        ("tsit5", lambda x: np.exp(-x)),
    ],
)
def test_without_gain_everything_decays(method, factor):
    """g = 0: h = h_0 e^(-s_z t), z = z_0 e^(-t/tau_z), and each method's exact factor per step."""
    rates = {"h": sigmoid(0.7), "z": 1 / 2.0, "r": 1 / 0.5}
    cell = gf.GatedRNN(0.0, beta_z=0.7, tau_z=2.0, tau_r=0.5)
    network = gf.Network.of_couplings(cell, random_couplings(3, 4))
    start = np.random.default_rng(4).standard_normal((3, 4))
    options: dict[str, Any] = {"method": method, "rtol": 1e-11, "atol": 1e-13, "save_every": 4}
    run = gf.simulate(network, 3.0, dt=0.1, initial=start, **options)
    steps = np.append(np.arange(0, 30, 4), 30)
    np.testing.assert_allclose(run.times, 0.1 * steps, rtol=0, atol=1e-15)
    # Between its steps an adaptive method interpolates, at an order below its own.
    tolerance = ROUNDING if method in FIXED else 1e-8
    for row, (name, rate) in enumerate(rates.items()):
        expected = start[row] * factor(0.1 * rate) ** steps[:, None]
        np.testing.assert_allclose(run.component(name), expected, rtol=0, atol=tolerance)
        np.testing.assert_allclose(run.component(name)[-1], expected[-1], rtol=0, atol=1e-10)


def test_a_moving_gate_sets_the_rate_of_decay():
    """g = 0: ln h(t)/h(0) is minus the integral of s_z(z_0 e^(-t)), here by quadrature."""
    network = gf.Network.of_couplings(gf.GatedRNN(0.0, alpha_z=3.0), random_couplings(3, 2))
    start = np.array([[1.0, -2.0], [1.5, -1.5], [0.0, 0.0]])
    end = gf.simulate(network, 4.0, dt=0.02, initial=start).final
    for unit in range(2):
        z = start[1, unit]
        integral = quad(lambda t, z=z: sigmoid(3.0 * z * np.exp(-t)), 0, 4, epsabs=1e-13)[0]
        # RK4: (rate dt)^5 / 120 for each of 200 steps, rates up to 3.
        assert end[0, unit] == pytest.approx(start[0, unit] * np.exp(-integral), abs=1e-8)


def test_a_shut_update_gate_integrates_its_input():
    """s_z = 0: the ungated input is integrated exactly, the gated one does nothing (THEORY 1)."""
    start = np.zeros((3, 5))
    for input_gating, expected in (("none", 0.3 * 2.0), ("update", 0.0)):
        cell = gf.GatedRNN(2.0, beta_z=-60.0, input_gating=input_gating)
        network = gf.Network.of_couplings(cell, random_couplings(5, 5))
        end = gf.simulate(network, 2.0, initial=start, inputs={"h": 0.3}).final
        np.testing.assert_allclose(end[0], expected, rtol=0, atol=ROUNDING)


# --- convergence


@pytest.fixture(scope="module")
def smooth():
    """Return a network, a start and where a tight dopri8 run takes it in two time units."""
    cell = gf.GatedRNN(2.0, alpha_z=2.0, alpha_r=1.0, tau_z=0.7)
    network = gf.Network.of_couplings(cell, random_couplings(6, 20))
    start = np.random.default_rng(7).standard_normal((3, 20))
    tight: dict[str, Any] = {"method": "dopri8", "rtol": 1e-13, "atol": 1e-14}
    return network, start, gf.simulate(network, 2.0, dt=2.0, initial=start, **tight).final


@pytest.mark.parametrize(("method", "order", "steps"), [("euler", 1, 0.02), ("rk4", 4, 0.2)])
def test_convergence_order(method, order, steps, smooth):
    """Errors at dt, dt/2, dt/4 against a tight dopri8 run fall by 2^order, up to order dt."""
    network, start, exact = smooth
    errors = [
        np.linalg.norm(
            gf.simulate(network, 2.0, dt=dt, initial=start, method=method, save_every=999).final
            - exact
        )
        for dt in (steps, steps / 2, steps / 4)
    ]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    # The next term of the error series is smaller by dt: the order is off by about dt, then dt/2.
    assert abs(orders[1] - order) < steps
    assert abs(orders[1] - order) < 1.01 * abs(orders[0] - order)


# --- precision


def test_single_precision_follows_double_precision():
    """Over 2 time units rounding of 6e-8 a step, 40 steps, grows to below 1e-5."""
    cell = gf.GatedRNN(2.0, alpha_z=1.0, alpha_r=1.0)
    couplings = random_couplings(19, 10)
    # Couplings and start that single precision holds exactly: only the run's rounding differs.
    couplings = {name: matrix.astype(np.float32) for name, matrix in couplings.items()}
    start = np.random.default_rng(20).standard_normal((3, 10)).astype(np.float32)
    runs = [
        gf.simulate(
            gf.Network.of_couplings(cell, couplings, dtype=dtype),
            2.0,
            initial=start,
            inputs={"h": 0.5},
        )
        for dtype in ("float32", "float64")
    ]
    assert runs[0].states.dtype == np.float32 and runs[1].states.dtype == np.float64
    error = np.max(np.abs(runs[0].states - runs[1].states))
    assert 1e-9 < error < 1e-5
