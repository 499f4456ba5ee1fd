"""Integrators: linear networks whose modes are known, and the gated RNN's slow modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lone_cells import LinearFlow, LinearMap

import gatefield as gf
from gatefield.analysis import IntegratorMemory, integrator_memory, line_attractor
from gatefield.analysis.integrator.modes import participation
from gatefield.analysis.reset import memory_coupling
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status

QUIET: dict[str, Any] = {"progress": False}
RK4 = 1e-6
"""Relative error of Runge-Kutta steps of 0.1 for rates up to two, over the runs below."""


def linear(matrix: np.ndarray, *, is_map: bool = False) -> gf.Network:
    """Return dx/dt = J x, or x' = J x."""
    return gf.Network.of_couplings(LinearMap() if is_map else LinearFlow(), {"x": matrix})


def skewed(blocks: list[np.ndarray], seed: int = 0) -> np.ndarray:
    """Return a matrix of known eigenvalues whose eigenvectors are not orthogonal."""
    size = sum(len(block) for block in blocks)
    diagonal = np.zeros((size, size))
    place = 0
    for block in blocks:
        end = place + len(block)
        diagonal[place:end, place:end] = block
        place = end
    basis = np.random.default_rng(seed).standard_normal((size, size)) + 2 * np.eye(size)
    return basis @ diagonal @ np.linalg.inv(basis)


def grown(rate: complex, strength: float, duration: float, times: np.ndarray) -> np.ndarray:
    """Return strength (e^(lambda t) - 1)/lambda during the pulse, and its decay after it."""
    during = strength * np.abs(np.expm1(rate * np.minimum(times, duration)) / rate)
    return during * np.exp(np.real(rate) * np.maximum(times - duration, 0.0))


# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize("rate", [-0.008, 0.004, -0.003 + 0.005j], ids=["decay", "growth", "turn"])
def test_linear_networks_integrate_exactly(rate):
    real, imag = np.real(rate), np.imag(rate)
    slow = np.array([[real, -imag], [imag, real]]) if imag else np.array([[real]])
    matrix = skewed([slow, np.array([[-0.5]]), np.array([[-0.3]]), np.array([[-0.2]])])
    state = np.random.default_rng(1).standard_normal((1, len(matrix)))
    found = integrator_memory(
        linear(matrix), state, (0.2, 3.0), duration=7.0, after=20.0, randoms=0, **QUIET
    )
    assert found.kinds == ("slow", "fast") and found.status is Status.OK
    assert int(found.slow_count) == (2 if imag else 1)
    values = found.eigenvalues_real + 1j * found.eigenvalues_imag
    np.testing.assert_allclose(values, [rate, -0.5], atol=1e-10)
    for row, value in enumerate((rate, -0.5)):
        for place, strength in enumerate((0.2, 3.0)):
            expected = grown(value, strength, 7.0, found.times)
            np.testing.assert_allclose(
                np.abs(found.projections[row, place]), expected, rtol=RK4, atol=RK4
            )
    np.testing.assert_allclose(found.peaks[1], grown(-0.5, 1.0, 7.0, np.array([7.0]))
                               * [0.2, 3.0], rtol=RK4)  # fmt: skip
    # The run ends before half is gone, except of the fast mode: after ln 2 / 0.5.
    assert found.censored[0].all() and np.all(found.memory_times[0] == 20.0)
    assert not found.censored[1].any()
    # Linear interpolation over one unit of time misses (1/8) rate^2 of the value, hence rate/4.
    np.testing.assert_allclose(found.memory_times[1], np.log(2) / 0.5, atol=0.5 / 4)
    np.testing.assert_allclose(found.fitted_times[1], 2.0, rtol=1e-4)
    fitted = -1 / real if real < 0 else np.inf
    np.testing.assert_allclose(found.fitted_times[0], fitted, rtol=1e-3)
    kept = np.exp(min(real, 0.0) * 10.0)
    np.testing.assert_allclose(found.retained(10.0)[0], kept, rtol=RK4)
    np.testing.assert_allclose(found.retained(10.0)[1], np.exp(-5.0), rtol=1e-4)


def test_a_linear_map_integrates_step_by_step():
    matrix = skewed([np.array([[0.995]]), np.array([[0.3]]), np.array([[-0.4]])])
    found = integrator_memory(
        linear(matrix, is_map=True), np.ones((1, 3)), (0.5,), duration=10, after=50, randoms=0,
        **QUIET,
    )  # fmt: skip
    assert found.is_map and found.time_unit == "step" and int(found.slow_count) == 1
    steps = np.arange(61.0)
    held, free = np.minimum(steps, 10), np.maximum(steps - 10, 0)
    expected = 0.5 * (1 - 0.995**held) / (1 - 0.995) * 0.995**free
    np.testing.assert_allclose(found.projections[0, 0], expected, rtol=1e-11)
    np.testing.assert_allclose(found.fitted_times[0], -1 / np.log(0.995), rtol=1e-8)
    data = found.to_dataset()
    for part in ("real", "imag"):
        assert data[f"eigenvalues_{part}"].attrs["units"] == "1"
    assert data["fitted_times"].attrs["units"] == "step"
    assert found.eigenvalues_real[1] in (pytest.approx(0.3), pytest.approx(-0.4))


def test_random_directions_read_themselves():
    """Under dx/dt = -x/4 every direction decays alike; none is slow, the slowest stands for it."""
    found = integrator_memory(
        linear(-0.25 * np.eye(5)), np.zeros((1, 5)), (1.0,), duration=4.0, after=8.0, randoms=3,
        seed=4, **QUIET,
    )  # fmt: skip
    assert int(found.slow_count) == 0 and found.kinds.count("random") == 3
    expected = grown(-0.25, 1.0, 4.0, found.times)
    for row in found.kind("random"):
        np.testing.assert_allclose(found.projections[row, 0], expected, rtol=RK4, atol=RK4)
    assert np.isnan(found.eigenvalues_real[found.kind("random")]).all()
    np.testing.assert_allclose(found.fitted_times[found.kind("random"), 0], 4.0, rtol=1e-5)


def test_the_extended_mode_is_preferred():
    """Unit 0 alone is slowest; the mode of the other seven has a participation of seven."""
    n = 8
    spread = np.append(0.0, np.ones(n - 1)) / np.sqrt(n - 1)
    alone = np.eye(n)[0]
    matrix = (
        -np.eye(n) + (1 - 0.001) * np.outer(alone, alone) + (1 - 0.006) * np.outer(spread, spread)
    )
    found = integrator_memory(
        linear(matrix), np.zeros((1, n)), modes=2, randoms=0, after=5.0, **QUIET
    )
    np.testing.assert_allclose(found.eigenvalues_real[:2], [-0.006, -0.001], atol=1e-12)
    np.testing.assert_allclose(found.participation[:2], [n - 1, 1], rtol=1e-10)
    np.testing.assert_array_equal(found.kind("slow"), [0, 1])


def test_participation_counts_units_whatever_the_scale():
    weights = np.array([[3.0, 3.0, 0.0, 3.0], [0.0, 0.2, 0.0, 0.0], [1.0, 1.0, 0.0, 2.0]])
    np.testing.assert_allclose(participation(weights), [3.0, 1.0, 16 / 6])


@pytest.fixture(scope="module")
def settled() -> tuple[gf.Network, np.ndarray]:
    """Return a network of switches, and the state that it settles in."""
    network = gf.Network.sample(gf.GatedRNN(3.0, alpha_z=15.0), 100, seed=2)
    return network, gf.simulate(network, 300.0, dt=0.1, save_every=3000, seed=2).final


def test_the_drive_of_h_is_input_past_the_gate(settled):
    options: dict[str, Any] = {"after": 5.0, "onto": ("h",), **QUIET}
    pushed = integrator_memory(*settled, **options)
    driven = integrator_memory(*settled, drive="h", **options)
    np.testing.assert_allclose(driven.projections, pushed.projections, rtol=1e-9, atol=1e-12)


def test_input_inside_the_gate_is_not_integrated(settled):
    """THEORY section 1: 9.9 to 10.0 outside, below 0.06 inside, for an input of 1 and 10."""
    network, state = settled
    inside = network.with_cell(gf.GatedRNN(3.0, alpha_z=15.0, input_gating="update"))
    options: dict[str, Any] = {"after": 5.0, "onto": ("h",), "drive": "h", "slow": 1e-3, **QUIET}
    outside = integrator_memory(network, state, **options)
    gated = integrator_memory(inside, state, **options)
    np.testing.assert_allclose(outside.eigenvalues_real, gated.eigenvalues_real, atol=1e-10)
    # A mode of rate below .001 sits on units whose gate is open by no more.
    assert outside.peaks[0, 0] > 0.9 and gated.peaks[0, 0] < 0.06


def test_small_inputs_superpose(settled):
    network, state = settled
    found = integrator_memory(network, state, (1e-5, 2e-5), after=20.0, onto=("h",), **QUIET)
    first, second = found.projections[:, 0], found.projections[:, 1]
    scale = np.abs(first).max(axis=-1, keepdims=True)
    # The next order is quadratic: 1e-4 of displacement, relative to a state of order one.
    np.testing.assert_allclose(second / scale, 2 * first / scale, atol=1e-3)


def test_same_seed_same_result(settled):
    one, two = (integrator_memory(*settled, after=2.0, seed=7, **QUIET) for _ in range(2))
    np.testing.assert_array_equal(one.projections, two.projections)
    other = integrator_memory(*settled, after=2.0, seed=8, **QUIET)
    random = one.kind("random")
    assert not np.allclose(one.projections[random], other.projections[random])
    np.testing.assert_array_equal(one.projections[:-1], other.projections[:-1])


# ---------------------------------------------------------------- line attractors


def test_what_a_linear_memory_keeps():
    """Four zero modes of forty; the others decay at rate one: only the four are left."""
    n, kept, many = 40, 4, 600
    coupling, _ = memory_coupling(n, kept, gain=0.0, seed=3)
    found = line_attractor(
        linear(coupling - np.eye(n)), np.zeros((1, n)), 1.0, patterns=many, after=40.0, **QUIET
    )
    assert int(found.slow_count) == kept and found.status is Status.OK
    np.testing.assert_allclose(found.within[-1], 1.0, atol=1e-9)
    assert found.drift_along[-1] < 1e-12 and found.drift_away[-1] < 1e-12
    np.testing.assert_array_equal(found.speed, 0.0)
    # Participation ratio of isotropic vectors; its sampling error is about D sqrt(2 / M) / sqrt(D).
    assert abs(found.dimension[-1] - kept) < 4 * np.sqrt(2 * kept / many)
    # Written for ten: ten times the part in the memories, 1 - e^-10 times the rest.
    rest = 1 - np.exp(-10.0)
    part = kept / n * 100 / (kept / n * 100 + (1 - kept / n) * rest**2)
    # The ratio is averaged input by input: parts scatter by sqrt(2 / kept) around kept / n.
    assert abs(found.overlap[-1] - part) < 0.1 and found.censored
    times = found.times
    np.testing.assert_allclose(
        found.overlap - found.overlap[-1],
        (1 - found.overlap[-1]) * np.exp(-times),
        atol=RK4,
    )


@pytest.mark.parametrize("rate", [0.05, 0.2], ids=["slow", "fast"])
def test_persistence_of_pure_decay(rate):
    found = line_attractor(
        linear(-rate * np.eye(30)), np.ones((1, 30)), patterns=300, after=60.0, every=0.5, **QUIET
    )
    np.testing.assert_allclose(found.overlap, np.exp(-rate * found.times), rtol=1e-5)
    np.testing.assert_allclose(found.size, np.exp(-rate * found.times), rtol=1e-5)
    assert not found.censored and int(found.slow_count) == 0
    # Linear interpolation misses (step rate)^2 / 8 of the value.
    error = (0.5 * rate) ** 2 / 8 / rate
    assert abs(float(found.persistence_time) - np.log(2) / rate) < 2 * error
    np.testing.assert_allclose(found.drift_away, -np.expm1(-rate * 0.5) / 0.5, rtol=1e-5)
    np.testing.assert_array_equal(found.drift_along, 0.0)
    # Isotropic in 30 dimensions: squared cosines of M unit vectors average 1/30 with a relative
    # error of 2/M, beside 1/M from the M equal ones.
    assert abs(found.dimension[0] / 30 - 1) < (4 * 2 + 1) / 300
    # The network itself relaxes from one at this rate.
    expected = np.exp(-rate * (10.0 + found.times[:-1])) * -np.expm1(-rate * 0.5) / 0.5
    np.testing.assert_allclose(found.speed, expected, rtol=1e-4)


def test_the_slow_subspace_has_both_axes_of_a_turning_pair():
    turn = np.array([[-0.001, 0.005], [-0.005, -0.001]])
    matrix = skewed([turn, *(np.array([[-rate]]) for rate in (0.8, 1.0, 1.2))])
    found = line_attractor(linear(matrix), np.zeros((1, 5)), patterns=6, after=40.0, **QUIET)
    assert int(found.slow_count) == 2
    # Of the fastest other mode e^-32 are left.
    np.testing.assert_allclose(found.within[-1], 1.0, atol=1e-9)
    assert found.within[0] < 1 - 1e-6 and found.drift_along[-1] > 1e-3


# ---------------------------------------------------------------- the paper


@pytest.mark.slow
def test_slow_modes_are_kept_and_fast_ones_are_not():
    """40 after the input: above half of the peak along slow modes, below 5 per cent along fast."""
    kept = []
    for seed in range(7):
        network = gf.Network.sample(gf.GatedRNN(3.0, alpha_z=15.0), 400, seed=seed)
        state = gf.simulate(network, 500.0, dt=0.1, save_every=5000, seed=seed).final
        found = integrator_memory(network, state, after=40.0, onto=("h",), seed=seed, **QUIET)
        kept.append(found.retained(40.0)[:, 0])
        assert found.participation[0] > 20
        assert abs(found.peaks[0, 0] - 1.0) < 0.2
        assert int(found.slow_count) > 80
    slow, fast, _ = np.median(kept, axis=0)
    assert slow > 0.5 and fast < 0.05


@pytest.mark.parametrize("name", sorted(gf.registered_cells()))
@pytest.mark.slow
def test_every_cell(name):
    cell = gf.registered_cells()[name]
    network = gf.Network.sample(cell, 12, seed=1)
    flow = isinstance(cell, gf.AbstractFlow)
    state = gf.simulate(network, 30, save_every=1000, seed=1).final
    found = integrator_memory(network, state, duration=4, after=6, **QUIET)
    assert found.is_map is not flow and found.kinds == ("slow", "fast", "random")
    assert found.projections.shape == (3, 1, 11) and np.all(found.projections[..., 0] == 0)
    # One step of a map, or one unit of a flow: the input is there, of its own size at first order.
    assert np.all(np.isfinite(found.projections)) and np.all(found.peaks > 0)
    first = np.abs(found.projections[:2, 0, 1])
    if not flow:
        np.testing.assert_allclose(first, 0.1, rtol=1e-9)
    line = line_attractor(network, state, patterns=5, duration=4, after=6, **QUIET)
    assert line.overlap[0] == pytest.approx(1.0) and line.time_unit == found.time_unit
    assert found.to_dataset()["projections"].dims == ("input", "strength", "time")
    assert line.to_dataset()["dimension"].dims == ("time",)


@pytest.mark.slow
def test_single_precision_stays(settled):
    network, state = settled
    couplings = {name: network.coupling(name) for name in "hzr"}
    small = gf.Network.of_couplings(network.cell, couplings, dtype="float32")
    found = integrator_memory(small, state, after=2.0, onto=("h",), **QUIET)
    exact = integrator_memory(network, state, after=2.0, onto=("h",), **QUIET)
    random = exact.kind("random")
    # Differences of states of order one, rounded to 1e-7 in each of 100 steps, over a norm of 0.1.
    np.testing.assert_allclose(found.peaks[random], exact.peaks[random], rtol=1e-3)


# ---------------------------------------------------------------- failures


def test_divergence_is_told():
    network, state = linear(skewed([np.array([[40.0]]), np.array([[-0.5]])])), np.ones((1, 2))
    with pytest.raises(NumericalFailureError, match="Reduce dt"):
        integrator_memory(network, state, **QUIET)
    found = integrator_memory(network, state, throw=False, **QUIET)
    assert found.status is Status.DIVERGED
    with pytest.raises(NumericalFailureError, match="Reduce dt"):
        line_attractor(network, state, **QUIET)
    assert line_attractor(network, state, throw=False, **QUIET).status is Status.DIVERGED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strengths": (-0.1,)}, "positive"),
        ({"strengths": ()}, "a list"),
        ({"duration": 0.0}, "positive"),
        ({"duration": 2.5}, "multiples"),
        ({"every": 0.05}, "multiples"),
        ({"onto": ("g",)}, "names among"),
        ({"onto": "h"}, "some of"),
        ({"drive": "q"}, "one of"),
        ({"drive": "h"}, "one component"),
        ({"modes": 0}, "at least 1"),
        ({"slow": 0.0}, "positive"),
        ({"inputs": {"h": lambda t: t}}, "constant in time"),
        ({"spectrum": 3}, "NetworkSpectrum"),
        ({"dt": -1.0}, "positive"),
    ],
    ids=lambda value: (
        next(iter(value)) + str(next(iter(value.values())))[:6] if isinstance(value, dict) else ""
    ),
)
def test_bad_input_is_refused(change, message):
    network = gf.Network.sample(gf.GatedRNN(3.0), 5)
    options: dict[str, Any] = {"network": network, "state": np.ones((3, 5)), **QUIET, **change}
    with pytest.raises(InvalidInputError, match=message):
        integrator_memory(**options)


def test_input_below_rounding_is_refused(settled):
    """1e3 eps |x| over a duration of 10: 3e-13 in double, 1.5e-4 in single precision."""
    network, state = settled
    least = float(1e3 * np.finfo(float).eps * np.linalg.norm(state) / 10)
    options: dict[str, Any] = {"after": 2.0, **QUIET}
    for call in (integrator_memory, line_attractor):
        for strength in (1e-20, 0.99 * least):
            with pytest.raises(InvalidInputError, match="rounding of float64") as told:
                call(network, state, strength, **options)
        assert f"at least {least:.1e}" in str(told.value)
        assert call(network, state, 1.01 * least, **options).status is Status.OK
    couplings = {name: network.coupling(name) for name in "hzr"}
    small = gf.Network.of_couplings(network.cell, couplings, dtype="float32")
    with pytest.raises(InvalidInputError, match="rounding of float32"):
        integrator_memory(small, state, 1e-6, **options)
    # A state of zero rounds nothing.
    quiet = linear(-0.5 * np.eye(3))
    assert integrator_memory(quiet, np.zeros((1, 3)), 1e-20, **options).status is Status.OK


def test_a_spectrum_of_another_network_is_refused():
    network, state = gf.Network.sample(gf.GatedRNN(3.0), 5), np.ones((3, 5))
    vanilla = gf.Network.sample(gf.VanillaRNN(2.0), 5)
    other = gf.analysis.network_spectrum(vanilla, np.ones((1, 5)), vectors="both")
    for call in (integrator_memory, line_attractor):
        with pytest.raises(InvalidInputError, match=r"expected \(3, 5\), as the state has"):
            call(network, state, spectrum=other, **QUIET)
    # A map's modes are slow near 1, a flow's near 0.
    gru = gf.Network.sample(gf.GRU(), 5)
    with pytest.raises(InvalidInputError, match="expected True, as the network"):
        integrator_memory(gru, np.ones((1, 5)), spectrum=other, **QUIET)


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [("after", 50.5, "every"), ("duration", 2.5, "every"), ("every", 0.05, "dt")],
)
def test_the_step_that_does_not_fit_is_named(name, value, what):
    network = gf.Network.sample(gf.GatedRNN(3.0), 5)
    options: dict[str, Any] = {name: value}
    step = {"every": "1, the time between records", "dt": "0.1, the time step"}[what]
    with pytest.raises(InvalidInputError, match=f"{name} = .*{step}.*another {what}"):
        integrator_memory(network, np.ones((3, 5)), **options)


def test_more_bad_input_is_refused():
    network = gf.Network.sample(gf.GatedRNN(3.0), 5)
    state = np.ones((3, 5))
    with pytest.raises(InvalidInputError, match="one state"):
        integrator_memory(network, np.ones((2, 3, 5)))
    with pytest.raises(InvalidInputError, match="a Network"):
        wrong: Any = 3
        integrator_memory(wrong, state)
    with pytest.raises(InvalidInputError, match="none for GRU"):
        integrator_memory(gf.Network.sample(gf.GRU(), 5), np.ones((1, 5)), dt=0.1)
    with pytest.raises(InvalidInputError, match="both sides"):
        integrator_memory(network, state, spectrum=gf.analysis.network_spectrum(network, state))
    with pytest.raises(InvalidInputError, match="at least 2"):
        line_attractor(network, state, patterns=1)
    found: IntegratorMemory = integrator_memory(network, state, after=3.0, **QUIET)
    with pytest.raises(InvalidInputError, match="at most 3"):
        found.retained(4.0)
    with pytest.raises(InvalidInputError, match="one of 'slow'"):
        found.kind("quick")
