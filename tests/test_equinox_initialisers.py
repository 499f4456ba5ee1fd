"""Modules of Equinox after initialisation, by their own output and their own derivative."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from equinox_modules import FEATURES, KEY, KINDS, N, made, spectral_radius

import gatefield as gf
from gatefield.bridge import equinox as ge
from gatefield.core.errors import InvalidInputError
from gatefield.initialise import Design, DesignSolution, InputStatistics


@pytest.mark.parametrize("kind", KINDS)
def test_the_modules_own_spectrum_for_a_target(kind):
    """Of units alike each eigenvalue is kept + (target - kept) times one of the couplings' own."""
    biases: dict[str, Any] = {"bias_z" if kind == "gru" else "bias_f": 1.0}
    kept = 1 / (1 + np.exp(-1.0))
    # (1 - z) r of the GRU, i o of the LSTM.
    strength = (1 - kept) / 2 if kind == "gru" else 0.25
    module = ge.critical(made(kind), key=KEY, value=1.2, **biases)
    unit = np.asarray(module.weight_hh)[2 * N : 3 * N] * strength / (1.2 - kept)
    # Entries of variance 1 / N, whose mean square is known to sqrt(2) / N.
    assert N * np.mean(unit**2) == pytest.approx(1.0, abs=4 * np.sqrt(2) / N)
    expected = np.abs(kept + (1.2 - kept) * np.linalg.eigvals(unit)).max()
    assert spectral_radius(module, kind) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_without_biases_the_candidates_gain_is_two(kind):
    module = ge.critical(made(kind, use_bias=False), key=KEY, couplings="orthogonal")
    block = np.asarray(module.weight_hh)[2 * N : 3 * N]
    np.testing.assert_allclose(np.linalg.svd(block)[1], 2.0, rtol=1e-12)
    assert module.bias is None


def test_input_weights_are_equinoxs_own_or_of_a_gain():
    plain = np.asarray(ge.critical(made("gru"), key=KEY).weight_ih)
    assert np.abs(plain).max() <= 1 / np.sqrt(N)
    # 1,800 entries: their variance is known to sqrt(2 / 1,800) at most.
    assert plain.var() == pytest.approx(1 / (3 * N), rel=4 * np.sqrt(2 / plain.size))
    gained = np.asarray(ge.critical(made("gru"), key=KEY, input_gain=0.6).weight_ih)
    assert gained.var() == pytest.approx(0.36 / FEATURES, rel=4 * np.sqrt(2 / plain.size))
    by_drive = np.asarray(ge.critical(made("gru"), key=KEY, input_gain={"z": 0.0}).weight_ih)
    assert np.all(by_drive[N : 2 * N] == 0) and by_drive[:N].std() > 0 < by_drive[2 * N :].std()


def test_chrono_biases_are_those_of_tallec_and_ollivier():
    gru = ge.chrono(made("gru"), key=KEY, horizon=50.0)
    lstm = ge.chrono(made("lstm"), key=KEY, horizon=50.0)
    of_gru, of_lstm = np.asarray(gru.bias), np.asarray(lstm.bias)
    b_z, b_i, b_f = of_gru[N : 2 * N], of_lstm[:N], of_lstm[N : 2 * N]
    np.testing.assert_array_equal(b_i, -b_f)
    for bias in (b_z, b_f):
        times = np.exp(bias)
        assert 1 <= times.min() and times.max() <= 49
        # Uniform: mean 25, standard deviation 48 / sqrt(12).
        assert abs(times.mean() - 25) < 4 * 48 / np.sqrt(12 * N)
    assert np.all(of_gru[:N] == 0) and np.all(of_gru[2 * N :] == 0)
    assert np.all(of_lstm[2 * N :] == 0)


def test_orthogonal_blocks_are_orthogonal_and_biases_zero():
    module = ge.orthogonal(made("lstm"), key=KEY, gain=0.5)
    for block in np.split(np.asarray(module.weight_hh), 4):
        np.testing.assert_allclose(block @ block.T, 0.25 * np.eye(N), rtol=0, atol=1e-12)
    assert np.all(np.asarray(module.bias) == 0)


@pytest.mark.parametrize("times", ["log-normal", "uniform"])
@pytest.mark.parametrize("kind", KINDS)
def test_marginal_modules_have_many_times_and_stand_at_the_edge(kind, times):
    options: dict[str, Any] = {"times": times, "couplings": "orthogonal"}
    module = ge.marginal(made(kind), key=KEY, horizon=100.0, shortest=3.0, **options)
    kept = -1 / np.log(1 / (1 + np.exp(-np.asarray(module.bias)[N : 2 * N])))
    if times == "uniform":
        assert 3 <= kept.min() and kept.max() <= 100
        assert abs(kept.mean() - 51.5) < 4 * 97 / np.sqrt(12 * N)
    else:
        # The 10 and 90 per cent quantiles of 200 normal numbers, 1.7 / sqrt(N) of their spread.
        error = 4 * 1.71 * np.log(100 / 3) / 2.563 / np.sqrt(N)
        found = np.log(np.quantile(kept, [0.1, 0.9]))
        np.testing.assert_allclose(found, np.log([3.0, 100.0]), rtol=0, atol=error)
    # At the edge g_n <r^2>^(1/2) = 1 and g_g <o^2>^(1/2) = 1, where r = o = 1/2.
    block = np.asarray(module.weight_hh)[2 * N : 3 * N]
    np.testing.assert_allclose(block @ block.T, 4 * np.eye(N), rtol=0, atol=1e-11)


def solution_of(cell, spread):
    """Return a solution of which all else is empty."""
    blank: Any = {field.name: {} for field in dataclasses.fields(DesignSolution)}
    return DesignSolution(**{**blank, "cell": cell, "spread": spread})


def test_a_design_is_written_with_its_spread():
    found = solution_of(gf.GRU(gain_n=1.5, bias_z=1.0), {"z": 0.5})
    module = ge.from_design(made("gru"), found, key=KEY, couplings="orthogonal")
    candidate = np.asarray(module.weight_hh)[2 * N :]
    np.testing.assert_allclose(np.linalg.svd(candidate)[1], 1.5, rtol=1e-12)
    bias = np.asarray(module.bias)[N : 2 * N]
    assert abs(bias.mean() - 1.0) < 4 * 0.5 / np.sqrt(N)
    assert bias.std() == pytest.approx(0.5, rel=4 / np.sqrt(2 * N))


def test_a_design_for_inputs_sets_the_input_weights_of_each_drive():
    solutions = tuple(solution_of(gf.GRU(gain_n=gain), {}) for gain in (1.5, 0.5))
    static, moving = (
        gf.GaussianInput(mean=0.3, variance=0.0),
        gf.GaussianInput(variance=0.2, correlation_time=2.0),
    )
    blank: Any = {field.name: {} for field in dataclasses.fields(Design)}
    inputs = {"z": static, "n": (static, moving)}
    design = Design(**{**blank, "solutions": solutions, "inputs": inputs, "dt": None})
    data = InputStatistics(np.array([1.0, 0.0, 0.5]), np.array([0.5, 2.0, 0.75]), 3.0)
    module = ge.from_design(
        made("gru"), design, key=KEY, solution=1, inputs=data, couplings="orthogonal"
    )
    r, z, n = np.split(np.asarray(module.weight_ih), 3)
    # A unit receives entries of variance v times the features' second moments, 4.5 in all.
    assert np.all(r == 0)
    assert z.var() == pytest.approx(0.09 / 4.5, rel=4 * np.sqrt(2 / z.size))
    assert n.var() == pytest.approx(0.29 / 4.5, rel=4 * np.sqrt(2 / n.size))
    candidate = np.asarray(module.weight_hh)[2 * N :]
    np.testing.assert_allclose(np.linalg.svd(candidate)[1], 0.5, rtol=1e-12)
    with pytest.raises(InvalidInputError, match="below 2, the number of solutions"):
        ge.from_design(made("gru"), design, key=KEY, solution=2)
    with pytest.raises(InvalidInputError, match="None with input_gain"):
        ge.from_design(made("gru"), design, key=KEY, inputs=data, input_gain=1.0)
