"""Simulation against exact solutions, independent integrators and convergence orders."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

import gatefield as gf
from gatefield.core.errors import NumericalFailureError
from gatefield.core.results import Status

FIXED = ("euler", "rk4")
ROUNDING = 1e-13


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def random_couplings(seed, n, names="hzr"):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((n, n)) / np.sqrt(n) for name in names}


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


# --- batches


@pytest.mark.parametrize(
    "cell", [gf.GatedRNN(2.0, alpha_z=1.0, alpha_r=1.0), gf.GRU(reset="before")]
)
def test_a_batch_equals_its_members(cell):
    """With an input that depends on time; sums in another order differ by rounding."""
    names = cell.field_names
    network = gf.Network.of_couplings(cell, random_couplings(17, 8, names))
    start = np.random.default_rng(18).standard_normal((3, len(cell.state_names), 8))
    inputs = {names[0]: lambda t: 0.3 * jnp.cos(t)}
    batch = gf.simulate(network, 5, initial=start, inputs=inputs)
    assert batch.states.shape == (3, len(batch.times), *start.shape[1:])
    for sample in range(3):
        single = gf.simulate(network, 5, initial=start[sample], inputs=inputs)
        np.testing.assert_allclose(batch.states[sample], single.states, rtol=0, atol=ROUNDING)
        np.testing.assert_array_equal(batch.times, single.times)
    np.testing.assert_array_equal(batch.final, batch.states[:, -1])


def test_an_adaptive_batch_equals_its_members():
    """One common step: equal within the tolerance 1e-9, grown in 3 time units by less than 100."""
    cell = gf.GatedRNN(2.0, alpha_z=1.0, alpha_r=1.0)
    network = gf.Network.of_couplings(cell, random_couplings(17, 8))
    start = np.random.default_rng(18).standard_normal((2, 3, 8))
    options: dict[str, Any] = {"method": "tsit5", "dt": 1.0, "rtol": 1e-9, "atol": 1e-11}
    batch = gf.simulate(network, 3.0, initial=start, **options)
    for sample in range(2):
        single = gf.simulate(network, 3.0, initial=start[sample], **options)
        np.testing.assert_allclose(batch.states[sample], single.states, rtol=0, atol=1e-7)


# --- what is saved


@pytest.mark.parametrize(
    ("save_every", "steps"),
    [(1, range(11)), (3, [0, 3, 6, 9, 10]), (5, [0, 5, 10]), (10, [0, 10]), (100, [0, 10])],
    ids=["1", "3", "5", "10", "100"],
)
def test_save_every_keeps_the_last_state(save_every, steps):
    """g = 0 with s_z = 1/2: ten Euler steps of 0.1 multiply by 0.95 each."""
    network = gf.Network.of_couplings(gf.GatedRNN(0.0), random_couplings(3, 4))
    start = np.random.default_rng(4).standard_normal((3, 4))
    run = gf.simulate(network, 1.0, dt=0.1, initial=start, method="euler", save_every=save_every)
    steps = np.array(steps)
    np.testing.assert_allclose(run.times, 0.1 * steps, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(run.states[0], start)
    expected = start[0] * 0.95 ** steps[:, None]
    np.testing.assert_allclose(run.component("h"), expected, rtol=0, atol=ROUNDING)


def test_many_saved_states_come_in_order():
    """More saved states than a chunk holds (1/50 of the run), their number no multiple of it."""
    network = gf.Network.of_couplings(gf.GatedRNN(0.0), random_couplings(3, 2))
    start = np.ones((3, 2))
    run = gf.simulate(network, 3.37, dt=0.01, method="euler", initial=start)
    np.testing.assert_allclose(run.times, np.arange(338) * 0.01, rtol=0, atol=ROUNDING)
    expected = 0.995 ** np.arange(338)
    np.testing.assert_allclose(run.component("h")[:, 0], expected, rtol=0, atol=ROUNDING)


def test_the_step_divides_the_duration():
    """The largest step not above dt that divides t_max: 0.3 becomes 1/4."""
    network = gf.Network.of_couplings(gf.VanillaRNN(0.0), {"h": np.eye(2)})
    run = gf.simulate(network, 1.0, dt=0.3, method="euler", initial=np.ones((1, 2)))
    np.testing.assert_allclose(run.times, [0.0, 0.25, 0.5, 0.75, 1.0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(run.final, 0.75**4, rtol=1e-15)
    assert dict(run.settings)["dt"] == 0.25
    # A step that divides t_max up to rounding is taken as it is: 30 steps, not 31.
    assert len(gf.simulate(network, 3.0, dt=0.1, initial=np.ones((1, 2))).times) == 31


def test_a_run_can_be_continued():
    """0..1 and then 0..1 again is 0..2, for equal steps."""
    network = gf.Network.of_couplings(gf.GatedRNN(2.0, alpha_z=1.0), random_couplings(10, 5))
    whole = gf.simulate(network, 2.0, dt=0.1, seed=3)
    first = gf.simulate(network, 1.0, dt=0.1, seed=3)
    second = gf.simulate(network, 1.0, dt=0.1, initial=first.final)
    np.testing.assert_allclose(second.final, whole.final, rtol=0, atol=ROUNDING)


def test_initial_states_are_standard_normal_and_set_by_the_seed():
    """Mean and variance of 3 x 50 x 40 numbers within four standard errors; same seed, same run."""
    network = gf.Network.of_couplings(gf.GatedRNN(0.0), random_couplings(3, 40))
    options: dict[str, Any] = {"dt": 1.0, "method": "euler", "samples": 50}
    first, again = (gf.simulate(network, 1.0, seed=1, **options).states for _ in range(2))
    other = gf.simulate(network, 1.0, seed=2, **options).states
    np.testing.assert_array_equal(first, again)
    assert not np.any(first[:, 0] == other[:, 0])
    start = first[:, 0].ravel()
    assert abs(start.mean()) < 4 / np.sqrt(start.size)
    assert abs(start.var() - 1) < 4 * np.sqrt(2 / start.size)
    # The members of a batch start apart.
    assert len(np.unique(start)) == start.size


def test_settings_tell_what_made_the_run():
    network = gf.Network.of_couplings(gf.VanillaRNN(1.5), {"h": np.eye(3)})
    run = gf.simulate(network, 1.0, seed=4)
    settings = dict(run.settings)
    assert settings["method"] == "rk4" and settings["dt"] == 0.05 and settings["seed"] == 4
    assert settings["n"] == 3 and settings["cell"] == "VanillaRNN(g=1.5, beta=0)"
    assert run.status is Status.OK and run.component_names == ("h",)


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


# --- failure


class Explosive(gf.AbstractFlow):
    """dx/dt = x^3: infinite at a finite time."""

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"x": 1.0}

    def outputs(self, state, fields, drive):
        return {"x": state["x"]}

    def rule(self, state, fields, drive):
        return {"x": state["x"] ** 3 + fields["x"]}


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_divergence_is_a_status_and_an_error(method):
    network = gf.Network.of_couplings(Explosive(), {"x": np.zeros((2, 2))})
    start = np.full((1, 2), 2.0)
    run = gf.simulate(network, 5.0, initial=start, method=method, throw=False)
    assert run.status is Status.DIVERGED
    assert np.all(np.isfinite(run.states[0])) and not np.all(np.isfinite(run.final))
    with pytest.raises(NumericalFailureError, match="'diverged'.*Reduce dt"):
        gf.simulate(network, 5.0, initial=start, method=method)


def test_running_out_of_steps_is_a_status_and_an_error():
    """At rtol = 1e-6 tsit5 cannot cross 20 relaxation times in a step: ten do not suffice."""
    network = gf.Network.of_couplings(gf.GatedRNN(2.5, alpha_z=2.0), random_couplings(21, 10))
    options: dict[str, Any] = {"dt": 1.0, "method": "tsit5", "max_steps": 10}
    run = gf.simulate(network, 200.0, throw=False, **options)
    assert run.status is Status.MAX_STEPS
    assert np.all(np.isfinite(run.states[0]))
    with pytest.raises(NumericalFailureError, match="maximum number of steps.*max_steps"):
        gf.simulate(network, 200.0, **options)


# --- progress


@pytest.mark.parametrize("method", ["rk4", "tsit5"])
def test_watching_changes_nothing(method, capsys):
    """The bar is drawn or not; the numbers are the same to the bit."""
    network = gf.Network.of_couplings(gf.GatedRNN(2.0, alpha_z=1.0), random_couplings(10, 5))
    options: dict[str, Any] = {"dt": 0.1, "method": method, "save_every": 3}
    shown = gf.simulate(network, 5.0, progress=True, **options)
    drawn = capsys.readouterr().err
    hidden = gf.simulate(network, 5.0, progress=False, **options)
    assert capsys.readouterr().err == ""
    assert "simulate" in drawn and "50/50" in drawn
    np.testing.assert_array_equal(shown.states, hidden.states)
    np.testing.assert_array_equal(shown.times, hidden.times)
