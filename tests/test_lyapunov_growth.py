"""Growth that strains a frame: lost directions, very fast ones, inputs that change it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from lone_cells import LinearFlow, LinearMap
from short_runs import run

import gatefield as gf
from gatefield.core.errors import InvalidInputError


def test_directions_that_are_lost_have_minus_infinity():
    """x' = J x with J of rank 3 among 5; eigenvalues 0.9, 0.5, 0.2."""
    network = gf.Network.of_couplings(LinearMap(), {"x": np.diag([0.9, 0.5, 0.2, 0.0, 0.0])})
    found = gf.lyapunov_spectrum(network, t_max=64, burn_in=0, initial=np.zeros((1, 5)))
    np.testing.assert_allclose(found.exponents[:3], np.log([0.9, 0.5, 0.2]), atol=1e-12)
    assert np.all(np.isneginf(found.exponents[3:])) and np.all(np.isnan(found.standard_errors[3:]))
    assert found.kaplan_yorke_dimension == 0 and found.kaplan_yorke_error == 0


def test_lengths_below_rounding_are_lost_however_couplings_are_written():
    """The same rank in another basis, where zeros are 1e-17."""
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    matrix = basis @ np.diag([0.9, 0.5, 0.2, 0.0, 0.0]) @ basis.T
    network = gf.Network.of_couplings(LinearMap(), {"x": matrix})
    found = gf.lyapunov_spectrum(network, t_max=320, burn_in=0, initial=np.zeros((1, 5)))
    np.testing.assert_allclose(found.exponents[:3], np.log([0.9, 0.5, 0.2]), atol=1e-9)
    assert np.all(np.isneginf(found.exponents[3:]))


@pytest.mark.parametrize("size", [1e4, 1e8], ids=["4", "8"])
def test_fast_growth_of_one_direction_leaves_the_others_right(size):
    """Orthogonal couplings but for one direction; 60 rows are several blocks."""
    basis = np.linalg.qr(np.random.default_rng(2).standard_normal((60, 60)))[0]
    values = np.append(size, np.linspace(0.5, 1.5, 59))
    network = gf.Network.of_couplings(LinearMap(), {"x": basis @ np.diag(values) @ basis.T})
    found = gf.lyapunov_spectrum(
        network, t_max=600, burn_in=0, frame_burn_in=400, initial=np.zeros((1, 60))
    )
    exact = -np.sort(-np.log(values))
    np.testing.assert_allclose(found.exponents[0], exact[0], rtol=1e-12)
    # Rounding of the largest, eps size, is what the others can be wrong by.
    assert np.sum(found.exponents) == pytest.approx(np.sum(exact), abs=1e-13 * size + 1e-9)


class Gain(eqx.Module):
    """A weak drive, and a strong one from a time on."""

    begins: float

    def __call__(self, time: Any) -> Any:
        return jnp.where(time < self.begins, 0.05, 30.0)


class Scaled(LinearFlow):
    """dx/dt = I(t) J x."""

    def rule(self, state, fields, drive):
        return {"x": drive["x"] * fields["x"]}


def test_an_interval_that_turns_out_too_long_is_made_again_shorter():
    """Symmetric couplings: growth is eigenvalue times the integral of the drive, exactly."""
    drawn = np.random.default_rng(0).standard_normal((40, 40)) / np.sqrt(40)
    matrix = (drawn + drawn.T) / 2
    network = gf.Network.of_couplings(Scaled(), {"x": matrix})
    frame = np.linalg.eigh(matrix)[1].T[::-1]
    found = gf.lyapunov_spectrum(
        network,
        t_max=100.0,
        blocks=4,
        dt=0.01,
        burn_in=0.0,
        frame_burn_in=25.0,
        initial=np.zeros((1, 40)),
        frame=frame[:, None],
        inputs={"x": Gain(75.0)},
        progress=False,
    )
    expected = np.linalg.eigvalsh(matrix)[::-1] * np.array([[0.05], [0.05], [30.0], [30.0]])
    # Runge-Kutta steps of 30 x .01 lose (.3 x 1.5)^5 / 120 of the exponential. The last stage of
    # the second block's last step sees the strong drive: 30 x 1.5 x .01 / 6 / 25.
    np.testing.assert_allclose(found.block_exponents, expected, rtol=1e-3, atol=3.1e-3)


class Wave(eqx.Module):
    """A drive whose amplitude is known."""

    amplitude: float

    def __call__(self, time: Any) -> Any:
        return self.amplitude * jnp.sin(time)


def test_strong_inputs_quench_chaos():
    """Conditional exponents: a large common input drives units into saturation."""
    network = gf.Network.sample(gf.VanillaRNN(4.0), 150, seed=1)
    options: dict[str, Any] = {"t_max": 60.0, "burn_in": 40.0, "seed": 0, "blocks": 12}
    free = run(network, k=3, **options)
    driven = run(network, k=3, inputs={"h": Wave(20.0)}, **options)
    assert free.exponents[0] > 3 * free.standard_errors[0]
    assert driven.exponents[0] < -3 * driven.standard_errors[0]


@pytest.mark.slow
def test_along_a_series_the_run_takes_its_length():
    network = gf.Network.sample(gf.GRU(), 10, seed=0)
    series = gf.Series(np.random.default_rng(0).standard_normal((400, 10)))
    found = gf.lyapunov_spectrum(network, inputs={"n": series}, progress=False)
    assert dict(found.settings)["steps"] == 400 and found.is_map
    # By hand: burn-ins of 40, then the mean of ln |det|.
    path = gf.simulate(
        network, 400, inputs={"n": series}, initial=state_of(network), progress=False
    )
    logs = [
        np.linalg.slogdet(
            gf.jacobian(network, path.states[step], inputs={"n": series}, time=step).as_matrix()
        )[1]
        for step in range(80, 400)
    ]
    assert np.sum(found.exponents) == pytest.approx(np.mean(logs), rel=1e-9)
    with pytest.raises(InvalidInputError, match="at most 400 steps"):
        gf.lyapunov_spectrum(network, t_max=400, inputs={"n": series})


def state_of(network: gf.Network) -> np.ndarray:
    """Return the initial state of seed 0, as a run without burn-in shows it."""
    still = gf.Network.of_couplings(LinearMap(), {"x": np.eye(network.n)})
    return gf.lyapunov_spectrum(still, t_max=2, burn_in=0, blocks=2, frame_burn_in=0).state
