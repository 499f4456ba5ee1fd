"""Fixed points and slow points that are known in closed form; what is kept and refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.optimize
from known_points import EXACT, QUIET, DoubleWell, Ghost, Receding, Twisted, rows_of
from lone_cells import LinearFlow

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status

# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize("g_h", [1.9, 2.1], ids=["stable", "unstable"])
def test_the_zero_state_of_the_gated_rnn(g_h):
    """Its h block has the eigenvalues s_z (g s_r eig(J) - 1), both gates half open."""
    n = 40
    drawn = gf.Network.sample(gf.GatedRNN(g_h, alpha_z=1.0, alpha_r=1.0), n, seed=3)
    coupling = {name: drawn.coupling(name) for name in "hzr"}
    # On the spot, whatever the draw: the rightmost eigenvalue is put at one.
    coupling["h"] = coupling["h"] / np.max(np.real(np.linalg.eigvals(coupling["h"])))
    network = gf.Network.of_couplings(drawn.cell, coupling)
    found = gf.find_fixed_points(network, initial=np.zeros((3, n)), **QUIET)
    edge = 0.5 * (g_h * 0.5 - 1.0)
    values = 0.5 * (g_h * 0.5 * np.linalg.eigvals(coupling["h"]) - 1.0)
    assert found.unique and found.kinds == ("fixed point",)
    np.testing.assert_array_equal(found.states, np.zeros((1, 3, n)))
    np.testing.assert_allclose(found.leading_edges, [edge], rtol=0, atol=EXACT)
    assert found.unstable[0] == np.sum(np.real(values) > 0)
    assert found.stable[0] == (g_h < 2) and (found.unstable[0] > 0) == (g_h > 2)
    assert found.speeds[0] == 0 and found.errors[0] == 0 and found.found[0] == 1


@pytest.mark.parametrize("n", [2, 3])
def test_lone_double_wells_have_three_to_the_power_n(n):
    """Each unit at -1, 0 or 1; every unit at 0 is an unstable direction of rate 1, else -2."""
    found = gf.find_fixed_points(gf.Network.sample(DoubleWell(), n), 400, seed=1, **QUIET)
    expected = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=n)))
    points = found.states[:, 0]
    np.testing.assert_allclose(rows_of(points), rows_of(expected), rtol=0, atol=EXACT)
    at_zero = np.sum(np.abs(points) < 0.5, axis=1)
    np.testing.assert_array_equal(found.unstable, at_zero)
    np.testing.assert_array_equal(found.stable, at_zero == 0)
    rates = np.where(at_zero > 0, 1.0, -2.0)
    np.testing.assert_allclose(found.leading_edges, rates, rtol=0, atol=EXACT)
    # The zero state comes first, and is exact.
    np.testing.assert_array_equal(points[0], np.zeros(n))
    assert not found.unique and found.status is Status.OK
    assert found.found.sum() == pytest.approx(400 * float(found.converged))
    # Neighbours differ by one in one unit.
    distances = found.distances()
    np.testing.assert_allclose(np.diag(distances), 0.0, atol=0)
    np.testing.assert_allclose(
        np.min(distances[~np.eye(3**n, dtype=bool)]), 1 / np.sqrt(n), rtol=EXACT
    )


def test_constant_input_moves_the_points():
    """x - x^3 + I for each unit's own I, by bracketing: three roots below 2/sqrt(27), else one."""
    given = np.array([0.2, 0.6])

    def side(x, strength):
        return x - x**3 + strength

    turn = 1 / np.sqrt(3)
    brackets = [(-2.0, -turn), (-turn, turn), (turn, 2.0)]
    first = [scipy.optimize.brentq(side, *ends, args=(0.2,), xtol=1e-15) for ends in brackets]
    second = scipy.optimize.brentq(side, turn, 2.0, args=(0.6,), xtol=1e-15)
    expected = np.array([[root, second] for root in first])
    network = gf.Network.sample(DoubleWell(), 2)
    found = gf.find_fixed_points(network, 60, inputs={"x": given}, **QUIET)
    np.testing.assert_allclose(rows_of(found.states), rows_of(expected), rtol=0, atol=EXACT)
    rates = np.max(1 - 3 * found.states[:, 0] ** 2, axis=1)
    np.testing.assert_allclose(found.leading_edges, rates, rtol=0, atol=EXACT)


def test_two_components():
    found = gf.find_fixed_points(gf.Network.sample(Twisted(), 1), 60, **QUIET)
    xs = np.array([-2.0, 0.0, 2.0])
    expected = np.stack([xs, 3 * xs], axis=1)
    np.testing.assert_allclose(rows_of(found.states), rows_of(expected), rtol=0, atol=EXACT)
    for state, edge, unstable in zip(
        found.states, found.leading_edges, found.unstable, strict=True
    ):
        values = np.linalg.eigvals([[1 - 3 * state[0, 0] ** 2, 1.0], [3.0, -1.0]])
        assert edge == pytest.approx(np.max(np.real(values)), abs=EXACT)
        assert unstable == np.sum(np.real(values) > 0)


def test_a_linear_network_needs_one_step():
    """J x + I = 0, solved by numpy; further steps only show that nothing is gained."""
    rng = np.random.default_rng(4)
    matrix, given = rng.standard_normal((6, 6)) - 4.0 * np.eye(6), rng.standard_normal(6)
    network = gf.Network.of_couplings(LinearFlow(), {"x": matrix})
    found = gf.find_fixed_points(network, 8, inputs={"x": given}, max_steps=3, **QUIET)
    assert found.unique and found.found[0] == 8 and found.converged == 1
    expected = np.linalg.solve(matrix, -given)
    np.testing.assert_allclose(found.states[0, 0], expected, rtol=0, atol=EXACT * 10)


def test_speeds_that_vanish_at_infinity_are_no_fixed_points():
    """From x = 20 the speed falls below tolerance at 23, where a Newton step is one long."""
    network = gf.Network.sample(Receding(), 1)
    found = gf.find_fixed_points(network, initial=[[20.0]], **QUIET)
    assert found.found.size == 0 and found.status is Status.NOT_CONVERGED


def test_points_of_a_continuum_are_fixed_points():
    """J x = 0 along a line that no axis follows: every start ends on it, marginal."""
    rng = np.random.default_rng(12)
    basis = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    matrix = basis @ np.diag([0.0, -1.0, -1.5, -2.0, -3.0, -0.5]) @ basis.T
    network = gf.Network.of_couplings(LinearFlow(), {"x": matrix})
    starts = rng.standard_normal((20, 1, 6))
    found = gf.find_fixed_points(network, initial=starts, **QUIET)
    assert found.converged == 1 and len(found.states) == 20
    assert not found.stable.any() and not found.unstable.any()
    np.testing.assert_allclose(found.leading_edges, 0.0, rtol=0, atol=EXACT)
    # On a continuum a search ends at the tolerance of the speed; the slowest decay is 1/2.
    across = found.states[:, 0] @ basis[:, 1:]
    np.testing.assert_allclose(across, 0.0, rtol=0, atol=np.sqrt(6) * 1e-10 / 0.5)


# ---------------------------------------------------------------- slow points


def test_the_ghost_of_a_saddle_node():
    """Speed mu at x = 0, where each unit's x^2 is least; no fixed point at all."""
    network = gf.Network.sample(Ghost(1e-3), 2)
    found = gf.find_fixed_points(network, 24, slow=2e-3, seed=3, **QUIET)
    assert found.kinds == ("slow point",) and not found.unique
    # Where the speed is least to rounding of its square: sqrt(1e-16 mu).
    np.testing.assert_allclose(found.states, 0.0, rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.speeds, 1e-3, rtol=1e-12)
    # The linearised motion is 2 x: marginal.
    assert found.leading_edges[0] == pytest.approx(0.0, abs=1e-7)
    fast = gf.find_fixed_points(network, 24, slow=5e-4, seed=3, **QUIET)
    none = gf.find_fixed_points(network, 24, seed=3, **QUIET)
    for nothing in (fast, none):
        assert nothing.states.shape == (0, 1, 2) and nothing.converged == 0
        assert nothing.status is Status.NOT_CONVERGED and not nothing.unique
        assert nothing.distances().shape == (0, 0)


def test_slow_points_beside_fixed_points():
    """dx/dt = x - x^3 + I beyond the fold: one root, and a ghost at the local minimum."""
    strength = 2 / np.sqrt(27) + 0.01
    network = gf.Network.sample(DoubleWell(), 1)
    found = gf.find_fixed_points(network, 32, inputs={"x": strength}, slow=0.05, **QUIET)
    assert found.kinds == ("fixed point", "slow point") and found.unique
    root = scipy.optimize.brentq(lambda x: x - x**3 + strength, 1.0, 2.0, xtol=1e-15)
    expected = [[[root]], [[-1 / np.sqrt(3)]]]
    np.testing.assert_allclose(found.states, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.speeds, [0.0, 0.01], rtol=0, atol=1e-12)


# ---------------------------------------------------------------- what is kept and refused


def test_same_seed_same_points_and_what_starts_mean():
    network = gf.Network.sample(gf.VanillaRNN(1.5), 6, seed=11)
    first, again = (gf.find_fixed_points(network, 16, seed=5, **QUIET) for _ in range(2))
    np.testing.assert_array_equal(first.states, again.states)
    given = np.stack([np.zeros((1, 6)), first.states[-1] + 1e-3])
    own = gf.find_fixed_points(network, initial=given, **QUIET)
    assert own.found.sum() == 2 and dict(own.settings)["searches"] == 2
    np.testing.assert_allclose(own.states[1], first.states[-1], rtol=0, atol=EXACT)
    # Coarser than the distance of the points: all are one.
    merged = gf.find_fixed_points(network, initial=given, distinct=10.0, **QUIET)
    assert merged.unique and merged.found[0] == 2
    dataset = first.to_dataset()
    assert dataset["states"].dims == ("point", "component", "unit")
    assert dataset["speeds"].attrs["units"] == "1 / time constant"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": {"h": lambda t: t}}, r"inputs\['h'\].*constant in time"),
        ({"inputs": {"q": 1.0}}, "inputs = .*'q'"),
        ({"initial": np.zeros((2, 4))}, r"initial\.shape"),
        ({"initial": np.full((1, 4), np.nan)}, "initial.*not finite"),
        ({"starts": 0}, "starts = 0"),
        ({"tolerance": 0.0}, "tolerance = 0.0"),
        ({"slow": 1e-12}, "slow = 1e-12.*more than tolerance"),
        ({"distinct": -1.0}, "distinct"),
        ({"spread": 0.0}, "spread"),
        ({"max_steps": 0}, "max_steps"),
        ({"seed": -1}, "seed"),
    ],
    ids=lambda value: value.split(" ")[0] if isinstance(value, str) else "",
)
def test_refusals(options, message):
    network = gf.Network.sample(gf.VanillaRNN(), 4)
    with pytest.raises(InvalidInputError, match=message):
        gf.find_fixed_points(network, **options)


def test_large_networks_and_other_things_are_refused():
    with pytest.raises(InvalidInputError, match="d N = 3003.*at most 3000"):
        gf.find_fixed_points(gf.Network.sample(gf.GatedRNN(), 1001))
    with pytest.raises(InvalidInputError, match="network = 'VanillaRNN'.*a Network"):
        gf.find_fixed_points(gf.VanillaRNN())  # type: ignore[arg-type]
