"""Exponents that are known: relaxation, linear networks, cycles, Lorenz, sums, the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from lone_cells import Cycle, LinearFlow, LinearMap, Lone, Lorenz

import gatefield as gf
from gatefield.analysis.lyapunov import kaplan_yorke_dimension, lyapunov_spectrum
from gatefield.core.results import Status

QUIET: dict[str, Any] = {"progress": False}


def amplification(step: Any) -> Any:
    """Return by how much the classical Runge-Kutta method multiplies at dt mu."""
    return 1 + step + step**2 / 2 + step**3 / 6 + step**4 / 24


def test_relaxation_has_all_exponents_minus_one():
    network = gf.Network.sample(Lone(), 7)
    found = lyapunov_spectrum(network, t_max=32.0, dt=0.1, **QUIET)
    # Of the integrator's map: ln(1 - dt + ...)/dt.
    np.testing.assert_allclose(found.exponents, np.log(amplification(-0.1)) / 0.1, rtol=1e-12)
    np.testing.assert_allclose(found.exponents, -1.0, rtol=1e-6)
    assert np.all(found.standard_errors < 1e-12)
    assert found.kaplan_yorke_dimension == 0 and found.entropy_rate == 0 and found.positive == 0
    assert found.status is Status.OK and found.complete and not found.is_map
    assert not jax.config.read("jax_enable_x64")


def symmetric(n: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((n, n)) / np.sqrt(n)
    return (drawn + drawn.T) / 2


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["forward", "backward"])
def test_linear_flows_have_the_eigenvalues_and_reversed_ones_their_negatives(sign):
    matrix = symmetric(12)
    network = gf.Network.of_couplings(LinearFlow(sign), {"x": matrix})
    found = lyapunov_spectrum(
        network,
        t_max=320.0,
        burn_in=0.0,
        frame_burn_in=300.0,
        dt=0.05,
        initial=np.zeros((1, 12)),
        **QUIET,
    )
    eigenvalues = np.sort(sign * np.linalg.eigvalsh(matrix))[::-1]
    exact = np.log(amplification(0.05 * eigenvalues)) / 0.05
    np.testing.assert_allclose(found.exponents, exact, atol=1e-6)


def test_linear_maps_have_the_moduli_of_their_eigenvalues():
    """Pairs of complex ones turn; over T steps what they add and take is of order 1/T."""
    matrix = np.random.default_rng(3).standard_normal((10, 10)) / np.sqrt(10)
    network = gf.Network.of_couplings(LinearMap(), {"x": matrix})
    found = lyapunov_spectrum(
        network, t_max=4000, burn_in=0, frame_burn_in=1000, initial=np.zeros((1, 10)), **QUIET
    )
    exact = np.sort(np.log(np.abs(np.linalg.eigvals(matrix))))[::-1]
    np.testing.assert_allclose(found.exponents, exact, atol=2e-3)
    # And nothing is lost of the volume.
    assert np.sum(found.exponents) == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-9)
    assert found.is_map and found.to_dataset()["exponents"].attrs["units"] == "1 / step"


def test_a_limit_cycle_has_one_zero_exponent():
    network = gf.Network.sample(Cycle(), 1)
    found = lyapunov_spectrum(network, t_max=100.0, burn_in=50.0, dt=0.02, **QUIET)
    np.testing.assert_allclose(found.exponents, [0.0, -2.0], atol=1e-5)
    assert found.positive == 0


@pytest.mark.slow
def test_lorenz():
    network = gf.Network.sample(Lorenz(), 1)
    found = lyapunov_spectrum(network, t_max=4000.0, dt=0.005, accuracy=0.004, seed=1, **QUIET)
    assert found.status is Status.OK and np.all(found.standard_errors <= 0.004)
    deviation = (found.exponents - [0.9056, 0.0, -14.5723]) / np.maximum(
        found.standard_errors, 2e-4
    )
    assert np.all(np.abs(deviation) < 4)
    # The trace of the equations is constant; of the method's it is 1e-4 off at dt = .01.
    assert np.sum(found.exponents) == pytest.approx(-41 / 3, abs=1e-4 / 2**3)
    assert found.kaplan_yorke_dimension == pytest.approx(2.0621, abs=1e-3)
    assert found.positive == 1
    assert found.entropy_rate == pytest.approx(found.exponents[0] + max(found.exponents[1], 0))


# ---------------------------------------------------------------- sums


@pytest.mark.slow
def test_the_sum_is_the_mean_trace_of_a_flow():
    """To the order of the method: dt^4."""
    network = gf.Network.sample(gf.GatedRNN(3.0, alpha_z=3.0, alpha_r=2.0), 30, seed=2)
    options: dict[str, Any] = {"t_max": 10.0, "dt": 0.02, "blocks": 10}
    start = gf.simulate(network, 50.0, seed=2, progress=False).final
    found = lyapunov_spectrum(
        network, initial=start, burn_in=0.0, frame_burn_in=0.0, **options, **QUIET
    )
    path = gf.simulate(network, 10.0, dt=0.02, initial=start, progress=False)
    traces = [np.trace(gf.jacobian(network, state).as_matrix()) for state in path.states[::5]]
    mean = np.trapezoid(traces, path.times[::5]) / 10.0
    assert np.sum(found.exponents) == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize(
    "cell",
    [
        gf.GRU(gain_r=3.0, gain_z=3.0, gain_n=3.0),
        gf.GRU(gain_r=3.0, gain_z=3.0, gain_n=3.0, reset="before"),
        gf.LSTM(gain_i=3.0, gain_f=3.0, gain_g=3.0, gain_o=3.0),
    ],
    ids=["gru", "gru-reset-before", "lstm"],
)
def test_the_sum_is_the_mean_log_determinant_of_a_map(cell):
    network = gf.Network.sample(cell, 20, seed=1)
    start = gf.simulate(network, 100, seed=1, progress=False).final
    found = lyapunov_spectrum(
        network, t_max=40, blocks=4, initial=start, burn_in=0, frame_burn_in=0, **QUIET
    )
    path = gf.simulate(network, 40, initial=start, progress=False).states[:-1]
    logs = [np.linalg.slogdet(gf.jacobian(network, state).as_matrix())[1] for state in path]
    assert np.sum(found.exponents) == pytest.approx(np.mean(logs), rel=1e-9)


# ---------------------------------------------------------------- the reference network

REFERENCE = Path(__file__).parent / "data" / "lyapunov_seed59.json"


@pytest.fixture(scope="module")
def reference() -> tuple[gf.Network, np.ndarray]:
    """Return the network of THEORY.md section 7 with its state at t = 200."""
    rng = np.random.default_rng(59)
    couplings = {name: rng.standard_normal((100, 100)) / 10 for name in "hzr"}
    initial = np.stack([rng.standard_normal(100) for _ in range(3)])
    network = gf.Network.of_couplings(gf.GatedRNN(3.0, alpha_z=2.0, alpha_r=1.0), couplings)
    state = gf.simulate(network, 200.0, dt=0.05, initial=initial, progress=False).final
    np.testing.assert_allclose(state[0, :3], [0.3338551, -0.2194001, 0.3616809], atol=1e-5)
    return network, state


@pytest.mark.slow
def test_the_reference_spectrum(reference):
    """All 300 exponents; steps of .05 and .025 agree to 5e-6 there."""
    network, state = reference
    known = json.loads(REFERENCE.read_text())
    found = lyapunov_spectrum(
        network,
        t_max=100.0,
        blocks=20,
        burn_in=0.0,
        frame_burn_in=0.0,
        initial=state,
        frame="identity",
        **QUIET,
    )
    np.testing.assert_allclose(found.block_exponents.mean(axis=0), known["lam"], atol=1e-5)
    assert np.sum(found.exponents) == pytest.approx(-249.53465, abs=1e-4)
    assert found.kaplan_yorke_dimension == pytest.approx(2.05614, abs=2e-5)
    assert found.interval > 10 and 0 < float(found.departure) < 1e-6


def test_the_first_exponents_are_those_of_the_full_spectrum(reference):
    network, state = reference
    options: dict[str, Any] = {"t_max": 20.0, "burn_in": 0.0, "frame_burn_in": 0.0, "blocks": 4}
    rows = np.random.default_rng(0).standard_normal((300, 3, 100))
    full = lyapunov_spectrum(network, initial=state, frame=rows, **options, **QUIET)
    few = lyapunov_spectrum(network, 5, initial=state, frame=rows[:5], **options, **QUIET)
    np.testing.assert_allclose(few.block_exponents, full.block_exponents[:, :5], atol=1e-8)
    assert few.exponents.shape == (5,) and not few.complete


@pytest.mark.slow
def test_a_frame_in_single_precision_says_how_far_it_is(reference):
    network, state = reference
    options: dict[str, Any] = {"t_max": 20.0, "burn_in": 0.0, "frame_burn_in": 0.0, "blocks": 4}
    exact = lyapunov_spectrum(network, initial=state, **options, **QUIET)
    low = lyapunov_spectrum(network, initial=state, frame_dtype="float32", **options, **QUIET)
    assert np.isnan(exact.precision_error) and low.frame.dtype == np.float32
    # The trajectory is the same: only the frame's rounding differs, alike in every block.
    np.testing.assert_array_equal(low.state, exact.state)
    error = float(np.max(np.abs(low.block_exponents - exact.block_exponents)))
    assert 0 < error < 10 * float(low.precision_error) < 1e-4


# ---------------------------------------------------------------- what follows from exponents


@pytest.mark.parametrize(
    ("exponents", "complete", "dimension"),
    [
        ((-0.1, -1.0), True, 0.0),
        ((0.9056, 0.0, -14.5723), True, 2 + 0.9056 / 14.5723),
        ((0.0, -2.0), True, 1.0),
        ((0.5, 0.2), True, 2.0),
        ((0.5, 0.2), False, np.nan),
        ((0.5, -0.2), False, np.nan),
        ((-0.3,), False, 0.0),
        ((-1.0, 0.3, -0.1), True, 2 + 0.2),
    ],
    ids=["rest", "lorenz", "cycle", "all", "unknown", "not-yet", "rest-partial", "unordered"],
)
def test_kaplan_yorke_dimension(exponents, complete, dimension):
    found = kaplan_yorke_dimension(exponents, complete=complete)
    assert found == pytest.approx(dimension, nan_ok=True)
