"""Resets: gates shut exactly, cues of known duration, scrambling by the update gate."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import pytest
from lone_cells import LinearFlow, LinearMap

import gatefield as gf
from gatefield.analysis import Erasure, Pulse, reset_by_output_gate, reset_by_pulse
from gatefield.analysis.reset import context_gate, memory_coupling, reset_by_update_gate
from gatefield.cells import LinearGatedRNN
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status

QUIET: dict[str, Any] = {"progress": False}
OPEN, DEPTH = 60.0, 120.0
RK4 = 1e-5
"""Relative error of Runge-Kutta steps of 0.1 at rate one, over some ten units of time."""


def linear_memory(n: int = 60, memories: int = 3) -> tuple[gf.Network, np.ndarray]:
    """Return a linear network with its gate wide open, and the patterns that it keeps."""
    coupling, patterns = memory_coupling(n, memories, seed=5)
    cell = LinearGatedRNN(beta_r=OPEN)
    network = gf.Network.of_couplings(cell, {"r": np.zeros((n, n)), "h": coupling})
    return network, patterns


# ---------------------------------------------------------------- the linear network


def test_the_linear_cell_is_its_equation():
    n, generator = 7, np.random.default_rng(0)
    coupling, listening = generator.standard_normal((2, n, n))
    cell = LinearGatedRNN(0.7, alpha_r=1.3, beta_r=-0.2)
    network = gf.Network.of_couplings(cell, {"r": listening, "h": coupling})
    h, drive_h, drive_r = generator.standard_normal((3, n))
    path = gf.simulate(
        network, 1e-5, dt=1e-5, initial=h[None], inputs={"h": drive_h, "r": drive_r}, **QUIET
    )
    gate = 1 / (1 + np.exp(-1.3 * (listening @ np.tanh(0.7 * h) + drive_r) + 0.2))
    expected = -h + coupling @ (h * gate) + drive_h
    # Rounding over the step, and half the step's second derivative.
    np.testing.assert_allclose((path.final[0] - h) / 1e-5, expected, atol=1e-3)
    assert set(gf.cells.quantity_names(cell)) >= {"phi", "sigma_r", "h"}


def test_memories_are_modes_of_no_decay():
    coupling, patterns = memory_coupling(50, 4, gain=0.6, seed=2)
    np.testing.assert_allclose(patterns @ patterns.T, np.eye(4), atol=1e-13)
    np.testing.assert_allclose(coupling @ patterns.T, patterns.T, atol=1e-13)
    np.testing.assert_allclose(patterns @ coupling, patterns, atol=1e-13)
    sizes = np.sort(np.abs(np.linalg.eigvals(coupling)))
    np.testing.assert_allclose(sizes[-4:], 1.0, atol=1e-10)
    # The circular law's radius, .6, with the finite-size excess of 46 units.
    assert 0.4 < sizes[-5] < 0.8


def test_a_shut_gate_lets_the_state_decay():
    """THEORY section 9: 10 e^-d, and what is left stays."""
    network, patterns = linear_memory()
    durations = [0.5, 1.0, 2.7, 4.0]
    memory = 10.0 * patterns[:, None]
    found = reset_by_output_gate(network, memory, durations, depth=DEPTH, after=6.0, **QUIET)
    assert found.memories == 3 and found.status is Status.OK
    expected = np.exp(-np.array([0.0, *durations]))[:, None]
    for name in ("size", "overlap"):
        np.testing.assert_allclose(found.at_end(name), np.repeat(expected, 3, 1), rtol=RK4)
    np.testing.assert_allclose(found.size[..., -1], np.repeat(expected, 3, 1), rtol=RK4)
    # What is left points where it did: a decoder of templates would still find it.
    np.testing.assert_allclose(found.correlation, 1.0, atol=1e-12)
    np.testing.assert_array_equal(found.identified, 1.0)
    np.testing.assert_allclose(found.separation[:, -1], expected[:, 0], rtol=RK4)
    # The control holds its memory for good.
    np.testing.assert_allclose(found.size[0], 1.0, atol=1e-12)
    assert 2.7 in found.times and found.times[-1] == pytest.approx(10.0)


@pytest.mark.parametrize("lasts", [1.5, 3.0])
def test_a_cue_shuts_the_gate_for_a_known_time(lasts):
    r"""A cue u s (1 - e^-t) exceeds half of s between ln 2 and T + ln(2 (1 - e^-T)).

    The gate is thus shut for ln(e^T - 1), and leaves 1/(e^T - 1) of a memory.
    """
    n, gain = 40, 0.01  # of tanh, so small that it is linear
    coupling, patterns = memory_coupling(n, 3, gain=0.0, seed=1)
    # The pattern u must decay: it is orthogonal to all memories.
    drawn = np.random.default_rng(3).standard_normal((2, n)).T
    cue, other = np.linalg.qr(drawn - patterns.T @ (patterns @ drawn))[0].T * np.sqrt(n)
    # Open to e^-100 at rest; from open to shut within 1/(k g s) = .005 of the cue.
    network = context_gate(coupling, cue, threshold=0.5 * gain, steepness=2e4, gain=gain)
    pulses = [Pulse("h", cue, lasts), Pulse("h", other, lasts), Pulse("h", 0.4 * cue, lasts)]
    found = reset_by_pulse(
        network, patterns[:1, None], pulses, after=5.0, dt=0.005, every=1.0, **QUIET
    )
    left = found.overlap[:, 0, -1]
    # Steps of .005, and a gate that takes some .02 units of time on either side, cancelling partly.
    np.testing.assert_allclose(left[1], 1 / np.expm1(lasts), rtol=0.02)
    np.testing.assert_allclose(left[[0, 2, 3]], 1.0, atol=1e-6)
    np.testing.assert_allclose(found.strengths, [0.0, *(np.sign(p.strength.mean())
                               * np.sqrt(np.mean(p.strength**2)) for p in pulses)])  # fmt: skip


def test_a_memory_along_the_cue_is_cut_to_the_threshold():
    n, threshold, steepness = 50, 0.2, 100.0
    coupling, patterns = memory_coupling(n, 1, gain=0.0, seed=4)
    network = context_gate(coupling, patterns[0], threshold=threshold, steepness=steepness)
    start = 5.0 * np.sqrt(n) * patterns[:, None]
    found = reset_by_pulse(network, start, [Pulse("h", 0.0, 1.0)], after=40.0, shown=n, **QUIET)
    h = found.traces[0]
    alignment = np.tanh(h) @ (patterns[0] * np.sqrt(n)) / n
    assert alignment[0] > 0.7
    # At rest 1 - sigma = e^(-k (theta - a)): a falls below theta by ln(t)/k and a few 1/k.
    assert threshold - 10 / steepness < alignment[-1] < threshold
    assert found.size[0, 0, -1] < 0.1
    assert np.all(np.diff(alignment) < 0)


# ---------------------------------------------------------------- measures


def test_measures_are_what_they_say():
    """x' = J x with J orthogonal: states are known, and the measures computed by hand."""
    n, count = 9, 4
    generator = np.random.default_rng(2)
    turn = np.linalg.qr(generator.standard_normal((n, n)))[0]
    network = gf.Network.of_couplings(LinearMap(), {"x": turn})
    starts = generator.standard_normal((count, 1, n)) + 0.5
    found = reset_by_pulse(network, starts, [Pulse("x", 0.3, 2)], after=3, shown=n, **QUIET)
    assert found.is_map and list(found.times) == [0, 1, 2, 3, 4, 5]
    rows = {0: [starts[:, 0]], 1: [starts[:, 0]]}
    for step in range(5):
        for pulse, path in rows.items():
            path.append(path[-1] @ turn.T + (0.3 if pulse and step < 2 else 0.0))
    np.testing.assert_allclose(found.traces, [np.array(rows[k])[:, 0] for k in rows], atol=1e-12)
    pairs = np.triu_indices(count, 1)
    for pulse, path in rows.items():
        for time, now in enumerate(path):
            alike = np.corrcoef(now, starts[:, 0])[:count, count:]
            own = np.diag(alike)
            np.testing.assert_allclose(found.correlation[pulse, :, time], own, atol=1e-12)
            others = (alike.sum() - own.sum()) / (count * (count - 1))
            assert found.background[pulse, time] == pytest.approx(others, abs=1e-12)
            right = np.mean(alike.argmax(axis=1) == np.arange(count))
            assert found.identified[pulse, time] == right
            size = np.linalg.norm(now, axis=1) / np.linalg.norm(starts[:, 0], axis=1)
            np.testing.assert_allclose(found.size[pulse, :, time], size, rtol=1e-12)
            apart = [np.linalg.norm(now[a] - now[b]) for a, b in zip(*pairs, strict=True)]
            first = [np.linalg.norm(starts[a] - starts[b]) for a, b in zip(*pairs, strict=True)]
            assert found.separation[pulse, time] == pytest.approx(np.sum(apart) / np.sum(first))
            inner = np.sum(now * starts[:, 0], axis=1) / np.sum(starts[:, 0] ** 2, axis=1)
            np.testing.assert_allclose(found.overlap[pulse, :, time], inner, atol=1e-12)


def test_pulses_of_several_durations_end_on_time():
    """dx/dt = I without couplings: x grows by the duration, beside further input that stays."""
    network = gf.Network.of_couplings(LinearFlow(), {"x": np.zeros((3, 3))})
    pulses = [Pulse("x", np.array([2.0, 0.0, -1.0]), 0.7), Pulse("x", -1.0, 2.0)]
    found = reset_by_pulse(
        network, np.ones((1, 3)), pulses, after=1.0, inputs={"x": 0.25}, shown=3, **QUIET
    )
    np.testing.assert_allclose(found.times, [0.0, 0.7, 1.0, 2.0, 3.0])
    drift = 1 + 0.25 * found.times[:, None]
    np.testing.assert_allclose(found.traces[0], np.repeat(drift, 3, 1), rtol=1e-12)
    moved = np.minimum(found.times, 0.7)[:, None] * np.array([2.0, 0.0, -1.0])
    np.testing.assert_allclose(found.traces[1], drift + moved, rtol=1e-12)
    moved = -np.minimum(found.times, 2.0)[:, None]
    np.testing.assert_allclose(found.traces[2], np.repeat(drift + moved, 3, 1), atol=1e-12)
    # Equal values of all units have no correlation, and one memory no others.
    assert np.isnan(found.correlation[0]).all() and np.isnan(found.separation).all()
    assert np.isnan(found.background).all() and np.isnan(found.identified).all()
    np.testing.assert_allclose(found.strengths, [0.0, np.sqrt(5 / 3), -1.0])
    np.testing.assert_allclose(found.durations, [0.0, 0.7, 2.0])


def crafted(correlation: list[float], strengths: list[float]) -> Erasure:
    count = len(strengths)
    last = np.array(correlation)[:, None, None]
    empty = np.zeros((count, 1))
    return Erasure(
        times=np.zeros(1), correlation=last, size=last, overlap=last, separation=empty,
        identified=empty, background=empty, strengths=np.array(strengths),
        durations=np.zeros(count), traces=np.zeros((count, 1, 0)), component="h", is_map=False,
        settings=(), status=Status.OK,
    )  # fmt: skip


def test_the_threshold_is_interpolated():
    found = crafted([0.9, 0.72, 0.18, 0.0], [0.0, -1.0, -2.0, -4.0])
    np.testing.assert_allclose(found.erased(), [0.0, 0.2, 0.8, 1.0])
    assert found.threshold() == pytest.approx(-1.5)
    assert found.threshold(0.9) == pytest.approx(-3.0)
    same = crafted([0.9, 0.72, 0.18, 0.0], [0.0, 1.0, 2.0, 4.0])
    assert same.threshold() == pytest.approx(1.5)
    assert np.isnan(crafted([1.0, 0.9], [0.0, 1.0]).threshold())


def test_the_threshold_has_the_sign_that_erases():
    """Positive pulses protect, negative ones erase: neither is interpolated with the other."""
    found = crafted([0.8, 0.9, 0.6, 0.95, 0.2], [0.0, 1.0, -1.0, 2.0, -2.0])
    # 1/4 is erased at -1, 3/4 at -2.
    assert found.threshold() == pytest.approx(-1.5)
    both = crafted([0.8, 0.0, 0.0], [0.0, 2.0, -1.0])
    assert both.threshold() == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("control", "others", "held"),
    [
        ([[0.17, 0.20, 0.14]], 0.30, False),
        ([[-0.7, -0.6]], np.nan, False),
        ([[0.9]], np.nan, True),
        ([[0.05]], np.nan, False),
        ([[0.6, 0.61, 0.59]], 0.3, True),
        ([[1.0, -0.2, 0.4]], 0.0, False),
        ([[np.nan, 0.9]], 0.0, False),
    ],
    ids=["below the others", "negative", "one", "one by chance", "above", "scattered", "unknown"],
)
def test_what_was_not_kept_is_not_erased(control, others, held):
    """The mean must exceed the others by .1 and two standard errors; scattered: .4 +- .35."""
    base = crafted([1.0, 0.05], [0.0, 1.0])
    last = np.array([*control, np.full(len(control[0]), 0.05)])[..., None]
    found = dataclasses.replace(base, correlation=last, background=np.full((2, 1), others))
    assert bool(found.kept) is held
    if held:
        expected = 1 - 0.05 / np.mean(control)
        np.testing.assert_allclose(found.erased(), [0.0, expected], atol=1e-15)
        assert found.threshold() == pytest.approx(0.5 / expected)
    else:
        assert np.isnan(found.erased()).all() and np.isnan(found.threshold())


# ---------------------------------------------------------------- scrambling


@pytest.mark.slow
def test_the_update_gate_erases_the_more_the_stronger_its_input():
    """Medians over networks fall with I_z; without a pulse the state stays (THEORY section 9)."""
    rows, found = [], None
    for seed in range(4):
        network = gf.Network.sample(gf.GatedRNN(3.0, alpha_z=30.0), 250, seed=seed)
        starts = 0.1 * np.random.default_rng(seed).standard_normal((6, 3, 250))
        states = gf.simulate(network, 300.0, dt=0.1, initial=starts, save_every=3000).final
        found = reset_by_update_gate(network, states, [0.25, 0.5, 1.0, 4.0], **QUIET)
        rows.append(found.correlation[..., -1].mean(axis=1))
        assert np.all(found.identified[0] == 1) and found.identified[-1, -1] < 1
    assert found is not None
    np.testing.assert_allclose(found.strengths, [0, 0.25, 0.5, 1, 4])
    np.testing.assert_allclose(found.durations, [0, 5, 5, 5, 5])
    median = np.median(rows, axis=0)
    # The largest scatter of a mean over six memories is some .05, the smallest step .1.
    assert np.all(np.diff(median) < -0.03)
    assert median[0] > 0.95 and median[1] > 0.8 and median[-1] < 0.4


def test_a_gru_forgets_when_its_gate_is_opened():
    """Its z keeps: with a bias of six the state stays, a pulse of -12 lets it go."""
    network = gf.Network.sample(gf.GRU(gain_n=1.5, bias_z=6.0), 80, seed=3)
    starts = 0.5 * np.random.default_rng(1).standard_normal((4, 1, 80))
    found = reset_by_update_gate(network, starts, [-4.0, -12.0], duration=6, after=5, **QUIET)
    kept = found.correlation[..., -1].mean(axis=1)
    # Of eleven steps at a rate of e^-6 some 3 per cent are lost.
    assert found.is_map and kept[0] > 0.97
    assert kept[2] < kept[1] < kept[0] and kept[2] < 0.7


def test_the_output_gate_of_the_gated_rnn_shuts():
    """With update gates open at one rate and the output gate shut, h decays at that rate."""
    cell = gf.GatedRNN(2.0, alpha_r=3.0, beta_z=40.0, tau_r=0.1)
    network = gf.Network.sample(cell, 30, seed=1)
    start = np.concatenate([np.random.default_rng(1).standard_normal((1, 30)), np.zeros((2, 30))])
    found = reset_by_output_gate(network, start, [4.0], depth=30.0, after=1.0, dt=0.01, **QUIET)
    # r is below -2 after tau_r ln(30/28) = .007; until then h moves by less than that.
    np.testing.assert_allclose(found.at_end("size")[1], np.exp(-4.0), rtol=0.02)
    assert found.size[0, 0, 4] > 0.1


# ---------------------------------------------------------------- refusals


def test_bad_input_is_refused():
    network, patterns = linear_memory(8, 1)
    state = patterns[None]
    gated = gf.Network.sample(gf.GatedRNN(3.0), 8)
    zero = np.zeros((3, 8))
    wrong: Any = ("r", 1.0, 1.0)
    calls = [
        (lambda: reset_by_pulse(network, state, []), "at least one pulse"),
        (lambda: reset_by_pulse(network, state, [wrong]), "a Pulse"),
        (lambda: reset_by_pulse(network, state, [Pulse("q", 1.0, 1.0)]), "one of 'h', 'r'"),
        (lambda: reset_by_pulse(network, state, [Pulse("r", np.ones(3), 1.0)]), "shape"),
        (lambda: reset_by_pulse(network, state, [Pulse("r", 1.0, 0.0)]), "positive"),
        (lambda: reset_by_pulse(network, state, [Pulse("r", 1.0, 0.25)]), "multiples"),
        (lambda: reset_by_pulse(network, state, [Pulse("r", 1.0, 1.0)], component="z"), "one of"),
        (lambda: reset_by_pulse(network, np.ones((1, 9)), [Pulse("r", 1.0, 1.0)]), "components"),
        (lambda: reset_by_update_gate(gated, zero, [1.0]), "alpha_z"),
        (lambda: reset_by_output_gate(gated, zero, [1.0]), "alpha_r"),
        (lambda: reset_by_output_gate(network, state, [-1.0]), "positive"),
        (lambda: reset_by_output_gate(network, state, []), "a list"),
        (lambda: reset_by_update_gate(network, state, [1.0]), "one of 'h', 'r'"),
        (lambda: memory_coupling(4, 5), "at most n"),
        (lambda: memory_coupling(4, gain=1.0), "below 1"),
        (lambda: context_gate(np.eye(3), np.zeros(3)), "not zero"),
        (lambda: context_gate(np.eye(3), np.ones(4)), "(4, 4)"),
        (lambda: context_gate(np.eye(3), np.ones(3), threshold=1.0), "below 1"),
        (lambda: LinearGatedRNN(-1.0), "not negative"),
    ]
    for call, message in calls:
        with pytest.raises(InvalidInputError) as told:
            call()
        assert message in str(told.value), str(told.value)


class Deaf(LinearMap):
    """A cell that takes no input."""

    drive_names: ClassVar[tuple[str, ...]] = ()

    def rule(self, state, fields, drive):
        return {"x": fields["x"]}


def test_a_cell_without_drives_is_told_so():
    network = gf.Network.of_couplings(Deaf(), {"x": np.eye(3)})
    state = np.ones((1, 3))
    calls = [
        lambda: reset_by_pulse(network, state, [Pulse("x", 1.0, 1.0)]),
        lambda: reset_by_update_gate(network, state, [1.0]),
        lambda: reset_by_output_gate(network, state, [1.0]),
    ]
    for call in calls:
        with pytest.raises(InvalidInputError, match="Deaf has no drives"):
            call()


def test_results_refuse_what_they_do_not_have():
    found = crafted([1.0, 0.5], [0.0, 1.0])
    with pytest.raises(InvalidInputError, match="one of size, correlation, overlap"):
        found.at_end("phase")
    with pytest.raises(InvalidInputError, match="recorded time"):
        found.index_at(3.0)


def test_divergence_is_told():
    network = gf.Network.of_couplings(LinearFlow(), {"x": 40.0 * np.eye(2)})
    with pytest.raises(NumericalFailureError, match="Reduce dt"):
        reset_by_pulse(network, np.ones((1, 2)), [Pulse("x", 1.0, 1.0)], after=60.0, **QUIET)
    found = reset_by_pulse(
        network, np.ones((1, 2)), [Pulse("x", 1.0, 1.0)], after=60.0, throw=False, **QUIET
    )
    assert found.status is Status.DIVERGED
