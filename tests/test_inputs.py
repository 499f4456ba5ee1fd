"""Inputs that vary in time: flows against SciPy, maps against loops in NumPy."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from simulate_cases import ROUNDING, random_couplings, sigmoid

import gatefield as gf

# --- inputs, against SciPy


def written_out(cell, couplings, inputs):
    """Return the velocity of THEORY section 1 in NumPy, with scalar parameters, for solve_ivp."""
    n = len(couplings["h"])
    p = {name: float(value) for name, value in vars(cell).items() if not isinstance(value, str)}

    def velocity(t, x):
        h, z, r = x.reshape(3, n)
        drive = {name: inputs[name](t) if name in inputs else 0.0 for name in "hzr"}
        phi = np.tanh(p["g_h"] * h + p["beta_h"])
        s_z = sigmoid(p["alpha_z"] * z + p["beta_z"])
        s_r = sigmoid(p["alpha_r"] * r + p["beta_r"])
        bracket = -h + couplings["h"] @ (phi * s_r)
        if cell.input_gating == "update":
            dh = s_z * (bracket + drive["h"])
        else:
            dh = s_z * bracket + drive["h"]
        dz = (-z + couplings["z"] @ phi + drive["z"]) / p["tau_z"]
        dr = (-r + couplings["r"] @ phi + drive["r"]) / p["tau_r"]
        return np.concatenate([dh, dz, dr])

    return velocity


WEIGHTS = np.array([-1.0, 0.4, 0.0, 1.3, 0.7])


def waves(numpy, names="hzr"):
    """Return per-unit (h, z) and common (r) waves, computed by NumPy or by jax.numpy."""
    every = {
        "h": lambda t: 0.8 * numpy.cos(2.0 * t) * WEIGHTS,
        "z": lambda t: 1.5 * numpy.sin(t) * WEIGHTS,
        "r": lambda t: 1.0 + 2.0 * numpy.sin(3.0 * t),
    }
    return {name: every[name] for name in names}


def by_scipy(cell, couplings, start, names, times):
    """Integrate the written-out equations by SciPy, to 1e-9: (time, d N)."""
    velocity = written_out(cell, couplings, waves(np, names))
    tight: dict[str, Any] = {"method": "DOP853", "rtol": 1e-10, "atol": 1e-12}
    return solve_ivp(velocity, (0, times[-1]), start.ravel(), t_eval=times, **tight).y.T


@pytest.mark.parametrize("input_gating", ["none", "update"])
@pytest.mark.parametrize("driven", ["h", "z", "r", "hzr"])
def test_inputs_that_vary_in_time_against_scipy(driven, input_gating):
    """Each place of input and both gatings; RK4 takes the input at its inner times, too.

    dt = .02: (rate dt)^4 is 1e-5 at the waves' rates, times the fourth-order constant 1/120: 1e-7.
    """
    cell = gf.GatedRNN(
        1.8,
        alpha_z=2.0,
        alpha_r=1.5,
        beta_h=0.1,
        beta_z=-0.2,
        beta_r=0.3,
        tau_z=1.4,
        tau_r=0.6,
        input_gating=input_gating,
    )
    couplings = random_couplings(8, 5)
    start = np.random.default_rng(9).standard_normal((3, 5))
    exact = by_scipy(cell, couplings, start, driven, [3.0])[0]
    network = gf.Network.of_couplings(cell, couplings)
    inputs = waves(jnp, driven)
    end = gf.simulate(network, 3.0, dt=0.02, initial=start, inputs=inputs, save_every=999).final
    np.testing.assert_allclose(end.ravel(), exact, rtol=0, atol=1e-7)


def test_adaptive_methods_see_the_inputs_in_time():
    """tsit5 at rtol = 1e-9 against SciPy: both within tolerance, grown less than 100 fold."""
    cell = gf.GatedRNN(1.8, alpha_z=2.0, alpha_r=1.5)
    couplings = random_couplings(8, 5)
    start = np.random.default_rng(9).standard_normal((3, 5))
    times = [0.0, 1.0, 2.0, 3.0]
    exact = by_scipy(cell, couplings, start, "hzr", times)
    run = gf.simulate(
        gf.Network.of_couplings(cell, couplings),
        3.0,
        dt=1.0,
        initial=start,
        inputs=waves(jnp),
        method="tsit5",
        rtol=1e-9,
        atol=1e-11,
    )
    np.testing.assert_array_equal(run.times, times)
    np.testing.assert_allclose(run.states.reshape(4, -1), exact, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", "hzr")
def test_the_forms_of_an_input_are_equivalent(name):
    """A number, a vector of it, a function that returns either."""
    cell = gf.GatedRNN(2.0, alpha_z=1.0, alpha_r=1.0)
    network = gf.Network.of_couplings(cell, random_couplings(10, 5))
    start = np.random.default_rng(11).standard_normal((3, 5))
    forms = (0.7, np.full(5, 0.7), lambda t: 0.7, lambda t: jnp.full(5, 0.7))
    ends = [
        gf.simulate(network, 1.0, dt=0.1, initial=start, inputs={name: form}).final
        for form in forms
    ]
    without = gf.simulate(network, 1.0, dt=0.1, initial=start).final
    assert np.max(np.abs(ends[0] - without)) > 0.01
    for end in ends[1:]:
        np.testing.assert_allclose(end, ends[0], rtol=0, atol=ROUNDING)


# --- maps


def gru_step(couplings, h, drive_n):
    r, z = sigmoid(couplings["r"] @ h), sigmoid(couplings["z"] @ h)
    return (1 - z) * np.tanh(r * (couplings["n"] @ h) + drive_n) + z * h


def test_maps_count_steps():
    """Twelve steps of a GRU by a NumPy loop, with a constant input."""
    couplings = random_couplings(12, 6, "rzn")
    network = gf.Network.of_couplings(gf.GRU(), couplings)
    start = np.random.default_rng(13).standard_normal(6)
    run = gf.simulate(network, 12, initial=start[None], inputs={"n": WEIGHTS.sum()})
    np.testing.assert_array_equal(run.times, np.arange(13))
    h = start
    for step in range(12):
        np.testing.assert_allclose(run.states[step, 0], h, rtol=0, atol=ROUNDING)
        h = gru_step(couplings, h, WEIGHTS.sum())
    np.testing.assert_allclose(run.final[0], h, rtol=0, atol=ROUNDING)


def series_run(function, samples=()):
    couplings = random_couplings(14, 6, "rzn")
    start = np.random.default_rng(15).standard_normal((*samples, 1, 6))
    network = gf.Network.of_couplings(gf.GRU(), couplings)
    return couplings, start, gf.simulate(network, 8, initial=start, inputs={"n": function})


def test_map_inputs_are_functions_of_the_step():
    """Step k (from 0) sees the function at k."""
    couplings, start, run = series_run(lambda step: jnp.sin(0.9 * step))
    h = start[0]
    for step in range(8):
        h = gru_step(couplings, h, np.sin(0.9 * step))
        np.testing.assert_allclose(run.states[step + 1, 0], h, rtol=0, atol=ROUNDING)


def test_map_inputs_may_index_a_series_by_the_step():
    """The step number is an integer, fit to look up a recorded series (time, unit)."""
    series = np.random.default_rng(16).standard_normal((8, 6))
    held = jnp.asarray(series)
    couplings, start, run = series_run(lambda step: held[step])
    h = start[0]
    for step in range(8):
        h = gru_step(couplings, h, series[step].astype(held.dtype))
        # The series may be held in single precision (JAX's default outside gatefield).
        np.testing.assert_allclose(run.states[step + 1, 0], h, rtol=0, atol=ROUNDING)
    network = gf.Network.of_couplings(gf.GRU(), couplings)
    at_three = gf.linearise(network, start, inputs={"n": lambda step: held[step]}, time=3)
    constant = gf.linearise(network, start, inputs={"n": np.asarray(held[3])})
    np.testing.assert_allclose(at_three.L, constant.L, rtol=0, atol=ROUNDING)
