"""Sampled mean-field theory that has no answer: statuses, and what is refused at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sampled_cells import LinearFlow

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.numerics.periodic import covariance_of
from gatefield.theory.dmft import convergence, sampled
from gatefield.theory.dmft.sampled import solve_sampled


def small(cell, **changes):
    """Solve with few samples, or as changed."""
    options: dict[str, Any] = {"inputs": {}, "samples": 200, "batches": 2, "progress": False}
    return solve_sampled(cell, **(options | changes))


@pytest.mark.parametrize(
    ("parameters", "statuses"),
    [
        pytest.param({"g_h": 0.1, "alpha_z": 1e3, "alpha_r": 1e3}, {Status.OK}, id="quiet"),
        pytest.param({"g_h": 20.0, "beta_z": 10.0, "beta_r": 10.0}, None, id="open"),
        pytest.param({"g_h": 20.0, "alpha_z": 1e3, "alpha_r": 1e3}, None, id="switches"),
        pytest.param({"g_h": 3.0, "alpha_z": 15.0}, {Status.NOT_CONVERGED}, id="history"),
        # Everything else is at rest, while h relaxes at the rate of s_z = 5e-5.
        pytest.param(
            {"g_h": 3.0, "beta_h": -10.0, "beta_z": -10.0, "beta_r": 10.0},
            {Status.NOT_CONVERGED},
            id="shut",
        ),
        pytest.param({"g_h": 2.0}, {Status.NOT_CONVERGED}, id="critical"),
        pytest.param({"g_h": 3.0, "beta_h": -10.0, "beta_r": 10.0}, {Status.OK}, id="saturated"),
    ],
)
def test_extreme_gates_end_with_a_status_and_finite_numbers(parameters, statuses):
    """Shut gates and the critical point have no state that a period of 400 could show."""
    options: dict[str, Any] = {"samples": 50, "max_sweeps": 30, "max_period": 400.0}
    found = small(gf.GatedRNN(**parameters), **options)
    assert found.status in (statuses or {Status.OK, Status.NOT_CONVERGED})
    for values in (found.covariance, found.standard_error, found.mean):
        assert all(np.all(np.isfinite(each)) for each in values.values())
    assert 0 <= found.covariance["phi"][0] <= 1 + 1e-6


def test_a_network_that_runs_away_is_called_diverged():
    found = small(LinearFlow(1.5), samples=50)
    assert found.status is Status.DIVERGED


def test_a_period_that_is_too_short_is_said_to_be():
    """Ten relaxation times of 7 do not fit in 25."""
    found = small(gf.VanillaRNN(2.0), period=25.0, dt=0.1)
    assert found.status is Status.NOT_CONVERGED
    assert float(found.truncation) > 1e-3


def test_too_few_sweeps_are_said_to_be():
    found = small(gf.VanillaRNN(2.0), max_sweeps=3)
    assert found.status is Status.NOT_CONVERGED
    assert float(found.residual) > 1e-3


@pytest.mark.parametrize(
    ("cell", "changes", "words"),
    [
        pytest.param(gf.GatedRNN(np.ones(5)), {}, "GaussianInput", id="per-unit"),
        pytest.param(gf.GRU(gain_n=np.ones(5)), {}, "GaussianInput", id="per-unit-gain"),
        pytest.param(gf.GRU(), {"dt": 0.1}, "map", id="dt-of-a-map"),
        pytest.param(gf.GatedRNN(), {"scheme": "heun"}, "'rk4'", id="scheme"),
        pytest.param(gf.GatedRNN(), {"dtype": "int"}, "'float32'", id="dtype"),
        pytest.param(gf.GatedRNN(), {"batches": 1}, "at least 2", id="batches"),
        pytest.param(gf.GatedRNN(), {"start": -1.0}, "not negative", id="start"),
        pytest.param(gf.GatedRNN(), {"period": 0.0}, "positive", id="period"),
        # 32 768 steps of 0.05 are 1638.4.
        pytest.param(gf.GatedRNN(), {"period": 5e3, "dt": 0.05}, "1638.4.*larger dt", id="long"),
        pytest.param(gf.GRU(), {"period": 4e4}, "at most 32768.*shorter one[.]$", id="long-map"),
    ],
)
def test_what_does_not_fit_is_refused(cell, changes, words):
    with pytest.raises(InvalidInputError, match=words):
        small(cell, **changes)


def test_batches_in_different_states_are_said_to_be(monkeypatch):
    """At g_h = 1.8, alpha_r = 30 silence and chaos are both stable: every batch converges.

    The second of three is begun in silence; networks do that by chance beside the transition.
    """
    begun = []

    def converge(plan, noise, outputs, state, **options):
        begun.append(outputs)
        size = 1e-8 if len(begun) == 1 else 1.0
        state = [np.sqrt(size) * row for row in state]
        return convergence.converge(plan, noise, size * outputs, state, **options)

    monkeypatch.setattr(sampled, "converge", converge)
    monkeypatch.setattr(sampled, "in_threads", lambda one, batches: [one(k) for k in batches])
    options: dict[str, Any] = {"samples": 100, "batches": 3, "period": 200.0, "dt": 0.2, "seed": 1}
    found = small(gf.GatedRNN(1.8, alpha_r=30.0), **options)
    assert np.any(found.spectra["h"], axis=1).tolist() == [True, False, True]
    assert float(found.residual) <= 1e-3 and float(found.truncation) <= 1e-3
    assert found.status is Status.NOT_CONVERGED


def test_spectra_after_too_few_sweeps_are_those_of_the_last_one(monkeypatch):
    """The residual is that of the last sweep: what drove it against what it gave."""
    seen = []

    def sweep(plan, noise, outputs, state, workers=1):
        mapped, after = convergence_sweep(plan, noise, outputs, state, workers)
        seen.append((outputs.copy(), mapped.copy()))
        return mapped, after

    convergence_sweep = convergence.sweep
    monkeypatch.setattr(convergence, "sweep", sweep)
    found = small(gf.VanillaRNN(2.0), samples=20, max_sweeps=8, period=50.0, dt=0.2)
    ends = [convergence_of(*pair) for pair in seen]
    fields = [mapped[0] for _, mapped in seen]  # the couplings have gain one
    for row in found.spectra["h"]:
        place = [k for k, field in enumerate(fields) if np.array_equal(row, field)]
        assert len(place) == 1 and ends[place[0]] <= float(found.residual) * (1 + 1e-12)
    assert float(found.residual) > 1e-3
    assert np.min(np.abs(np.array(ends) / float(found.residual) - 1)) < 1e-12


def convergence_of(used, mapped):
    """Return the largest difference of two covariances relative to the second at lag 0."""
    before, now = covariance_of(used), covariance_of(mapped)
    return float(np.max(np.abs(now - before)) / now[0, 0])
