"""The adjoint at fixed points in closed form: Bessel functions, dense Jacobians, sampled units."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from scipy.special import comb, iv

import gatefield as gf
from gatefield.compare import compare
from gatefield.core.errors import InvalidInputError, OutsideDomainWarning
from gatefield.theory.adjoint import solve_adjoint
from gatefield.theory.adjoint.fixed_point import fixed_point_adjoint
from gatefield.theory.rmt import spectral_boundary
from gatefield.theory.static.sampled import sampled_units


def zero_point(g_h, **parameters):
    """Return the static solution in which the gated RNN without biases is silent."""
    return gf.solve_static(gf.GatedRNN(g_h, **parameters))[0]


@pytest.mark.parametrize("horizon", [1.0, 10.0, 150.0])
@pytest.mark.parametrize("beta_z", [0.0, -1.5])
def test_the_silent_state_follows_a_bessel_function(horizon, beta_z):
    # The resolvent's second moment is 1 / ((x + s)(y + s) - kappa^2), whose double inverse Laplace
    # transform at equal times is exp(-2 s t) I_0(2 kappa t).
    s = 1 / (1 + math.exp(-beta_z))
    kappa = s * 1.7 / 2
    found = solve_adjoint(zero_point(1.7, beta_z=beta_z), horizon)
    expected = np.exp(-2 * s * found.times) * iv(0, 2 * kappa * found.times)
    assert found.method == "fixed point"
    assert np.allclose(found.adjoint_variance["h"], expected, rtol=1e-8)


def test_the_correlation_function_of_the_adjoint_is_that_of_the_bessel_function():
    found = solve_adjoint(zero_point(1.5), 10.0)
    t, u = found.times[:, None], found.times[None, :]
    expected = np.exp(-0.5 * (t + u)) * iv(0, 2 * 0.375 * np.sqrt(t * u))
    assert np.allclose(found.covariance["a_h"], expected, atol=1e-11)
    # b = s_z a, and the gates' adjoints are silent where the state is.
    assert np.allclose(found.covariance["b_h"], 0.25 * expected, atol=1e-11)
    assert found.gradient_variance["J_h"] == pytest.approx(0.0, abs=1e-12)


def test_the_bias_of_the_silent_state_collects_the_coupled_adjoint():
    # q = phi_0' s_r xi_h = xi_h / 2: its second moment is the double integral of C_b / 4.
    found = solve_adjoint(zero_point(1.5), 10.0)
    t = np.linspace(0, 10, 801)
    C_b = 0.25 * np.exp(-0.5 * np.add.outer(t, t)) * iv(0, 0.75 * np.sqrt(np.outer(t, t)))
    expected = np.trapezoid(np.trapezoid(C_b, t), t) / 4
    # The trapezoidal rule errs by h^2 / 12 of the slopes' jump: 1e-5 here.
    assert found.gradient_variance["beta_h"] == pytest.approx(expected, rel=1e-4)


def test_euler_steps_of_the_silent_state_follow_a_sum_of_binomials():
    cell, dt, steps = gf.GatedRNN(1.5), 0.1, 40
    state = zero_point(1.5)
    found = fixed_point_adjoint(
        cell,
        sampled_units(state, samples=4, seed=0),
        spectral_boundary(state),
        times=dt * np.arange(steps + 1),
        horizon=dt * steps,
        terminal=np.array([1.0, 0.0, 0.0]),
        source=np.zeros(3),
        dt=dt,
    )
    s, kappa = 0.5, 1.5 / 4
    expected = [
        sum(
            comb(n, k) ** 2 * (1 - dt * s) ** (2 * (n - k)) * (dt * kappa) ** (2 * k)
            for k in range(n + 1)
        )
        for n in range(steps + 1)
    ]
    assert np.allclose(np.diag(found.covariance["a_h"]), np.array(expected, float), rtol=1e-10)


def test_the_growth_rate_tends_to_twice_the_leading_edge():
    # The edge is -s + kappa; ln(exp(-2 s t) I_0(2 kappa t)) has the slope
    # 2 (kappa I_1 / I_0 - s) = 2 edge - 1 / (2 t) + O(t^-2).
    found = solve_adjoint(zero_point(1.5), 200.0)
    late = found.times[found.times >= 100]
    expected = np.polyfit(late, -late + np.log(iv(0, 0.75 * late)), 1)[0]
    assert found.growth_rate == pytest.approx(expected, rel=1e-6)
    assert found.growth_rate == pytest.approx(2 * (-0.5 + 0.375) - 1 / 300, abs=2e-4)


def dense_state(cell, n, seed):
    """Return a network's state at its fixed point, its dense Jacobian, and what units send."""
    network = gf.Network.sample(cell, n, seed=seed)
    is_map = isinstance(cell, gf.GRU)
    options: dict[str, Any] = {} if is_map else {"dt": 0.2, "method": "rk4"}
    run = gf.simulate(network, 2000 if is_map else 400.0, save_every=2000, seed=seed, **options)
    state = run.states[-1]
    return network, state, gf.jacobian(network, state).as_matrix()


def measured(cell, horizon, n, seed):
    """Return mean squared gradients of a network at rest, averaged exactly over readouts."""
    network, state, D = dense_state(cell, n, seed)
    units = gf.linearise(network, state)
    if isinstance(cell, gf.GRU):
        step = np.linalg.matrix_power(D, int(horizon))
        summed = np.sum([np.linalg.matrix_power(D, k) for k in range(int(horizon))], axis=0)
        sent = state[0]
    else:
        step = scipy.linalg.expm(D * horizon)
        summed = np.linalg.solve(D, step - np.eye(len(D)))
        sent = np.tanh(cell.g_h * state[0] + cell.beta_h) * cell.output_gate(state[2])
    # Columns of the transposed propagator answer to a readout of one unit of h.
    end, total = step[:n], summed[:n]  # rows: readout, columns: where it is felt
    field = 2 if isinstance(cell, gf.GRU) else 0
    by_field = sum(
        total[:, c * n : (c + 1) * n] * units.L[:, c, field] for c in range(units.L.shape[1])
    )
    adjoint = np.sum(end[:, :n] ** 2) / n
    return adjoint, np.sum(by_field**2) / n * np.mean(np.asarray(sent) ** 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "horizon", "field", "other"),
    [
        (
            gf.GatedRNN(1.8, alpha_z=2.0, alpha_r=3.0, beta_h=0.5),
            12.0,
            "J_h",
            gf.GatedRNN(2.0, alpha_z=2.0, alpha_r=3.0, beta_h=0.5),
        ),
        (gf.GRU(bias_n=0.4), 6, "J_n", gf.GRU(bias_n=0.4, gain_n=1.1)),
    ],
    ids=["gated", "GRU"],
)
def test_networks_at_rest_have_the_gradients_of_theory(cell, horizon, field, other):
    theory = solve_adjoint(gf.solve_static(cell)[-1], horizon)
    values = np.array([measured(cell, horizon, 400, seed) for seed in range(10)])
    adjoint = compare(float(theory.adjoint_variance["h"][-1]), values[:, 0], name="adjoint")
    coupling = compare(float(theory.gradient_variance[field]), values[:, 1], name=field)
    assert adjoint.agrees, adjoint
    assert coupling.agrees, coupling
    wrong = solve_adjoint(gf.solve_static(other)[-1], horizon).adjoint_variance["h"][-1]
    assert not compare(float(wrong), values[:, 0]).agrees


@pytest.mark.parametrize(
    "cell",
    [
        gf.GatedRNN(1.8, alpha_z=2.0, alpha_r=4.0, beta_h=0.5),
        gf.GRU(bias_n=0.3, reset="before"),
        gf.LSTM(bias_i=0.5, bias_g=0.3),
    ],
    ids=["gated", "GRU, reset before", "LSTM"],
)
@pytest.mark.slow
def test_sampled_units_at_rest_agree_with_the_closed_form(cell):
    state = gf.solve_static(cell)[-1]
    horizon = 8
    exact = solve_adjoint(state, horizon)
    sampled = solve_adjoint(state, horizon, method="sampled", samples=1000, batches=16)
    assert exact.method == "fixed point"
    assert sampled.method == "sampled"
    for name, value in exact.adjoint_variance.items():
        # Both draw their units.
        error = np.hypot(
            sampled.adjoint_standard_error[name], exact.adjoint_standard_error[name][-1]
        )
        last = sampled.adjoint_variance[name][-1]
        assert abs(last - value[-1]) < 4 * error[-1] + 1e-12, name
    for name, value in exact.gradient_variance.items():
        error = np.hypot(sampled.gradient_standard_error[name], exact.gradient_standard_error[name])
        difference = abs(sampled.gradient_variance[name] - value)
        assert difference < 4 * error + 1e-12, name


def test_the_closed_form_knows_the_error_of_its_units():
    state = gf.solve_static(gf.GatedRNN(1.8, alpha_z=2.0, alpha_r=3.0, beta_h=0.5))[-1]
    each = [solve_adjoint(state, 10.0, samples=512, seed=seed) for seed in range(8)]
    ends = np.array([one.adjoint_variance["h"][-1] for one in each])
    errors = np.array([one.adjoint_standard_error["h"][-1] for one in each])
    # Quarters of a quasi-random set scatter more than independent sets of its size.
    assert 0 < ends.std(ddof=1) < 2 * np.sqrt(np.mean(errors**2))


def test_a_constant_source_at_rest_adds_to_the_terminal_readout():
    # Without coupling a' = -a + c: at time t before the end a = w e^-t + c (1 - e^-t).
    state = gf.solve_static(gf.VanillaRNN(0.0))[0]
    source = {"h": gf.GaussianInput(variance=2.0)}
    both = solve_adjoint(state, 4.0, terminal={"h": 0.5}, source=source)
    decay = np.exp(-both.times)
    assert np.allclose(both.adjoint_variance["h"], 0.5 * decay**2 + 2.0 * (1 - decay) ** 2)
    alone = solve_adjoint(state, 4.0, source=source)
    assert np.allclose(alone.adjoint_variance["h"], 2.0 * (1 - decay) ** 2, atol=1e-12)


def test_an_unstable_fixed_point_warns():
    with pytest.warns(OutsideDomainWarning, match="unstable fixed point"):
        solve_adjoint(zero_point(3.0), 5.0)


def test_a_horizon_beyond_the_contour_is_refused_with_the_remedy():
    with pytest.raises(InvalidInputError, match="method='sampled'"):
        solve_adjoint(zero_point(1.5), 1e5)
