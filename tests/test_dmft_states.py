"""Which state `solve_dmft` returns: starts, fixed points, inputs, branches, far corners."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from dmft_reference import Plain, average
from scipy.optimize import brentq
from scipy.special import expit

import gatefield as gf
from gatefield.core.errors import (
    OutsideDomainWarning,
)
from gatefield.core.results import Status
from gatefield.theory.dmft import (
    GaussianInput,
    MeanField,
    follow_dmft,
    mean_field_branches,
    solve_dmft,
)
from gatefield.theory.lyapunov import mean_field_lyapunov

BESIDE = gf.GatedRNN(1.8, alpha_r=20.0)  # region 3: chaos beside the stable zero fixed point


def variance(found: MeanField) -> float:
    return float(found.covariance["h"][0] - found.mean["h"] ** 2)


def exponent(found: MeanField) -> float:
    return float(mean_field_lyapunov(found).exponent)


# ---------------------------------------------------------------- starts


def test_the_start_decides_beside_a_stable_fixed_point():
    """THEORY.md section 7: lambda = .11752362; at zero it is s_z (rho - 1) = (0.9 - 1)/2."""
    chaos, silence = solve_dmft(BESIDE), solve_dmft(BESIDE, start=1e-3)
    assert chaos.fluctuates and exponent(chaos) == pytest.approx(0.11752362, abs=0.5e-8)
    assert not silence.fluctuates and exponent(silence) == pytest.approx(-0.05, abs=1e-12)
    for name, values in silence.covariance.items():
        gate = {"sigma_z": 0.25, "sigma_r": 0.25}.get(name, 0.0)
        np.testing.assert_allclose(values, gate, rtol=1e-15)


def test_the_smaller_moving_state_divides_the_starts():
    zero, lower, upper = mean_field_branches(BESIDE)
    assert (zero.fluctuates, lower.fluctuates, upper.fluctuates) == (False, True, True)
    assert variance(zero) == 0 < variance(lower) < variance(upper)
    for factor, expected in ((0.99, zero), (1.01, upper)):
        found = solve_dmft(BESIDE, start=factor * variance(lower))
        assert variance(found) == pytest.approx(variance(expected), rel=1e-9)


@pytest.mark.parametrize("start", [0.0, 1e-9, 1.0])
def test_any_start_leads_to_chaos_beyond_g_2(start):
    (only,) = mean_field_branches(gf.GatedRNN(2.5))
    found = solve_dmft(gf.GatedRNN(2.5), start=start)
    assert found.fluctuates and variance(found) == pytest.approx(variance(only), rel=1e-9)


@pytest.mark.slow
def test_unstable_fixed_points_alone_do_not_hold_a_start():
    """g = 1.7, alpha_r = 16, beta_h = .02 (region 2): of three static solutions one is stable."""
    cell = gf.GatedRNN(1.7, alpha_r=16.0, beta_h=0.02)
    low, middle, high = gf.solve_static(cell)
    assert low.stable and not middle.stable and not high.stable
    for start in (1e-5, 1.0):
        found = solve_dmft(cell, start=start)
        assert not found.fluctuates
        assert variance(found) == pytest.approx(float(low.variance["h"]), rel=1e-9)


# ---------------------------------------------------------------- fixed points


@pytest.mark.parametrize(
    ("cell", "rate"),
    [(gf.VanillaRNN(0.7), 0.7 - 1), (gf.GatedRNN(1.2, beta_z=0.5), expit(0.5) * (0.6 - 1))],
    ids=["vanilla", "gated"],
)
def test_below_the_transition_everything_is_silent(cell, rate):
    """The zero fixed point's edge is s_z (g s_r - 1); the gates of the second decay faster."""
    found = solve_dmft(cell)
    assert found.status is Status.OK and not found.fluctuates and variance(found) == 0
    assert exponent(found) == pytest.approx(rate, abs=1e-12)
    assert found.relaxation_time() == 0


def test_without_gain_only_the_bias_is_sent():
    """phi = tanh(beta): D_z,r = tanh^2(beta), D_h = D_r <s_r^2> over N(0, D_r)."""
    found = solve_dmft(gf.GatedRNN(0.0, alpha_r=3.0, beta_h=1.0))
    sent = np.tanh(1.0) ** 2
    gate = average(lambda r: expit(3 * r) ** 2, sent)
    assert variance(found) == pytest.approx(sent * gate, rel=1e-12)
    assert float(found.covariance["r"][0]) == pytest.approx(sent, rel=1e-12)
    assert not found.fluctuates and exponent(found) == pytest.approx(-0.5, abs=1e-9)
    for cell in (gf.GatedRNN(0.0), gf.VanillaRNN(0.0)):
        assert variance(solve_dmft(cell)) == 0


@pytest.mark.parametrize(
    "cell", [gf.VanillaRNN(1.0), gf.GatedRNN(2.0), gf.GatedRNN(2.0, alpha_r=2.0)], ids=str
)
def test_the_continuous_transition_itself_is_silent(cell):
    found = solve_dmft(cell)
    assert found.status is Status.OK and not found.fluctuates and variance(found) == 0


def test_the_discontinuous_transition_leaves_chaos_at_g_2():
    """alpha_r > sqrt(12): at g_h = 2 the moving state is as large as beside."""
    beside = [variance(solve_dmft(gf.GatedRNN(g, alpha_r=5.0))) for g in (2.0, 2.0001)]
    assert beside[0] == pytest.approx(beside[1], rel=0.01) and beside[0] > 0.02


# ---------------------------------------------------------------- static input


def critical_input(cell: Any, low: float, high: float) -> float:
    """Return the variance of the input to h at which rho = 1, by the trapezoid rule (Eq. C30)."""
    plain = Plain(cell)

    def activity(D):
        return average(lambda x: plain.phi(x) ** 2, D)

    def excess(D):
        q = activity(D)
        open_, slope = (
            average(lambda x, f=f: f(x) ** 2, q) for f in (plain.gate_r, plain.gate_r_slope)
        )
        return average(lambda x: plain.phi_slope(x) ** 2, D) * (open_ + q * slope) - 1

    D: Any = brentq(excess, low, high, xtol=1e-15)
    return D - activity(D) * average(lambda x: plain.gate_r(x) ** 2, activity(D))


def test_static_input_freezes_the_vanilla_network():
    """At rho(D) = 1, continuously: the exponent passes through zero with the input's variance."""
    cell = gf.VanillaRNN(1.2)
    critical = critical_input(cell, 1e-3, 1.0)
    assert 1e-3 < critical < 1e-2
    moves = solve_dmft(cell, inputs={"h": GaussianInput(variance=0.99 * critical)})
    frozen = solve_dmft(cell, inputs={"h": GaussianInput(variance=1.01 * critical)})
    assert moves.fluctuates and not frozen.fluctuates
    assert variance(moves) == pytest.approx(variance(frozen), rel=0.01)
    # Both exponents are of first order in the distance, on its two sides.
    assert 0 < exponent(moves) < 1e-3 and -1e-3 < exponent(frozen) < 0
    assert moves.relaxation_time() > 20
    big = solve_dmft(cell, inputs={"h": GaussianInput(variance=1.0)})
    assert not big.fluctuates and exponent(big) < -0.3


def test_static_input_moves_and_freezes_the_gated_network():
    """THEORY.md section 9, g = 1.8, alpha_r = 6, input inside: unstable from sigma_I = .028 on."""
    cell = gf.GatedRNN(1.8, alpha_r=6.0, input_gating="update")
    # rho(D) rises above one, and falls below it again.
    edges = [critical_input(cell, 1e-3, 0.1), critical_input(cell, 0.1, 2.0)]
    assert np.sqrt(edges[0]) == pytest.approx(0.028, abs=5e-4)
    for factor, moving in (((0.98, 1.02), (False, True)), ((1.02, 0.98), (False, True))):
        for edge in edges[:1] if factor[0] < 1 else edges[1:]:
            for part, moves in zip(factor, moving, strict=True):
                found = solve_dmft(cell, inputs={"h": GaussianInput(variance=part * edge)})
                assert found.fluctuates is moves
                assert (exponent(found) > 0) is moves


# ---------------------------------------------------------------- input that varies


@pytest.mark.parametrize("time", [2.0, 1.0, 0.1])
def test_linear_units_filter_their_input(time):
    """g -> 0: C_h = V tau_c (tau_c e^(-t/tau_c) - e^-t)/(tau_c^2 - 1), and V (1 + t) e^-t/2."""
    found = solve_dmft(
        gf.VanillaRNN(1e-5), inputs={"h": GaussianInput(variance=0.3, correlation_time=time)}
    )
    lags = np.array([0.0, 0.05, 0.3, 1.0, 5.0])
    if time == 1:
        expected = 0.15 * (1 + lags) * np.exp(-lags)
    else:
        two = time * np.exp(-lags / time) - np.exp(-lags)
        expected = 0.3 * time * two / (time**2 - 1)
    # What the couplings add is of order g^2.
    np.testing.assert_allclose(found.at("h", lags), expected, rtol=1e-9)
    assert exponent(found) == pytest.approx(-1.0, abs=2e-4)


def test_gates_follow_their_input_where_the_network_is_silent():
    """h = 0 is stable: C_r = V (tau_c e^(-t/tau_c) - tau e^(-t/tau)) tau_c/(tau_c^2 - tau^2)."""
    cell = gf.GatedRNN(1.5, alpha_r=2.0, tau_r=3.0)
    found = solve_dmft(cell, inputs={"r": GaussianInput(variance=0.4, correlation_time=2.0)})
    lags = np.array([0.0, 0.5, 2.0, 9.0])
    filtered = 0.4 * 2 * (2 * np.exp(-lags / 2) - 3 * np.exp(-lags / 3)) / (4 - 9)
    np.testing.assert_allclose(found.at("r", lags), filtered, rtol=1e-9)
    assert variance(found) == 0 and found.fluctuates and found.status is Status.OK
    # A gate held half open on average, but open in part: between the extremes of the gate.
    assert 0.5 * (0.75 - 1) < exponent(found) < 0


def test_input_suppresses_chaos():
    """Vanilla, g = 2, input of correlation time 1/2 (compare Schuecker et al., PRX 8, 041029)."""
    each = []
    for size in (0.01, 0.1, 0.3, 1.0):
        found = solve_dmft(
            gf.VanillaRNN(2.0), inputs={"h": GaussianInput(variance=size, correlation_time=0.5)}
        )
        assert found.fluctuates and found.status is Status.OK
        each.append(exponent(found))
    assert np.all(np.diff([0.11245811, *each]) < 0)
    assert each[2] > 0 > each[3]


def test_input_too_weak_to_matter():
    """Of variance 1e-16, on a silent network and on a frozen one: no failure, no chaos."""
    weak = GaussianInput(variance=1e-16, correlation_time=2.0)
    silent = solve_dmft(gf.VanillaRNN(0.5), inputs={"h": weak})
    assert silent.status is Status.OK and 0 < variance(silent) < 1e-15 and silent.fluctuates
    cell = gf.GatedRNN(2.0, alpha_r=1.0, beta_h=1.0)
    frozen = solve_dmft(cell, inputs={"z": weak})
    plain = solve_dmft(cell)
    assert not frozen.fluctuates and not plain.fluctuates
    assert variance(frozen) == pytest.approx(variance(plain), rel=1e-9)
    assert exponent(frozen) == pytest.approx(exponent(plain), abs=1e-3)


# ---------------------------------------------------------------- continuation


def test_following_keeps_the_state_while_it_exists():
    """Down in alpha_r past the fold at 14.54170 (THEORY.md section 4): chaos, then silence."""
    gains = [20.0, 17.0, 15.0, 14.6, 14.4]
    found = follow_dmft([gf.GatedRNN(1.8, alpha_r=a) for a in gains])
    assert [each.fluctuates for each in found] == [True] * 4 + [False]
    alone = solve_dmft(gf.GatedRNN(1.8, alpha_r=14.6))
    assert variance(found[3]) == pytest.approx(variance(alone), rel=1e-9)
    quiet = follow_dmft([gf.GatedRNN(1.8, alpha_r=a) for a in (14.4, 17.0)], start=1e-4)
    assert [variance(each) for each in quiet] == [0, 0]
    assert follow_dmft([]) == ()


# ---------------------------------------------------------------- anything may be asked

ANYWHERE: dict[str, tuple[Any, dict[str, GaussianInput], bool]] = {
    "steep": (gf.GatedRNN(20.0, alpha_r=1e3), {}, True),
    "steep-slow": (gf.GatedRNN(2.961, alpha_r=865.36, beta_z=-0.67, tau_r=2.4), {}, True),
    "weak": (gf.GatedRNN(0.1, alpha_r=1e3, tau_r=0.05), {}, False),
    "biased": (gf.GatedRNN(2.99, alpha_r=9.22, beta_h=0.19, beta_z=5.06, tau_r=0.158), {}, True),
    "closed": (gf.GatedRNN(17.2, alpha_r=55.1, beta_z=-9.66), {}, True),
    "bias-10": (gf.GatedRNN(9.6, alpha_r=0.2, beta_h=10.0, beta_z=-10.0, beta_r=10.0), {}, True),
    "bias+10": (gf.GatedRNN(15.0, alpha_r=96.0, beta_h=-8.8, beta_r=-10.0), {}, True),
    "pinned": (gf.GatedRNN(3.0, alpha_r=70.0, beta_h=10.0, beta_z=-6.7), {}, False),
    "switch": (gf.GatedRNN(4.3, alpha_z=461.7, alpha_r=14.4, beta_z=5.5, tau_r=0.3), {}, True),
    "switch-frozen": (
        gf.GatedRNN(0.86, alpha_z=1.55, alpha_r=9.27, beta_h=2.27, beta_r=-3.2),
        {},
        False,
    ),
    "slow-gates": (gf.GatedRNN(3.9, alpha_z=0.11, alpha_r=557.0, tau_r=72.0), {}, True),
    "gate-input": (
        gf.GatedRNN(2.16, alpha_r=473.0, tau_z=0.14, tau_r=13.0),
        {
            "h": GaussianInput(variance=1e-8),
            "r": GaussianInput(variance=2e-5, mean=-0.8, correlation_time=0.03),
        },
        True,
    ),
    "saturated": (
        gf.GatedRNN(2.97, beta_h=-8e-5, tau_z=4.0, tau_r=0.016),
        {"h": GaussianInput(variance=2e-9, mean=0.93, correlation_time=6.0)},
        False,
    ),
}


@pytest.mark.parametrize("name", ANYWHERE)
def test_no_corner_fails(name):
    """g_h to 20, gates to 1e3, biases to 10, slow and fast gates: OK, finite, no warning."""
    cell, inputs, moves = ANYWHERE[name]
    method = "separable" if float(cell.alpha_z) > 0 else "auto"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutsideDomainWarning)
        found = solve_dmft(cell, inputs=inputs, method=method)
    rate = mean_field_lyapunov(found)
    assert found.status is Status.OK and rate.status is Status.OK
    assert found.fluctuates is moves
    assert float(found.residual) < 1e-9 and float(found.truncation) < 1e-5
    assert np.isfinite(rate.exponent) and not rate.truncation > 1e-6
    for values in (*found.covariance.values(), *found.mean.values()):
        assert np.all(np.isfinite(values))
    for values in found.covariance.values():
        assert np.all(np.abs(values) <= values[0] * (1 + 1e-9))
    # Plain values only, which hash.
    assert all(type(value) in (str, float, int) for _, value in found.settings)
    hash(found.settings)
    if not moves and not inputs:
        plain, D = Plain(cell), variance(found)
        x = np.linspace(-9, 9, 400001)
        weight = np.exp(-(x**2) / 2)
        weight /= weight.sum()
        activity = weight @ plain.phi(np.sqrt(D) * x) ** 2
        mapped = activity * (weight @ plain.gate_r(np.sqrt(activity) * x) ** 2)
        assert mapped == pytest.approx(D, rel=1e-8, abs=1e-15)
