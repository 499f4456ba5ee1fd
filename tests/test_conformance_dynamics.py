"""Every cell through dynamical mean-field theory: stationary, transient, and its exponent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_conformance import Filtered

import gatefield as gf
from gatefield.analysis import perturbation_growth
from gatefield.compare import check_correlations, check_transient, compare_sizes
from gatefield.core.results import Status

CELLS = {**gf.registered_cells(), "user": Filtered(2.5)}
SIZES, NETWORKS = (100, 200), 8


@pytest.fixture(scope="module", params=list(CELLS))
def solution(request):
    """Return the sampled mean field of a cell, whatever else could solve it."""
    cell = CELLS[request.param]
    return gf.solve_dmft(cell, method="sampled", samples=500, batches=6, progress=False)


@pytest.mark.slow
def test_stationary_correlations_are_those_of_networks(solution):
    state = solution.cell.state_names[0]
    output = f"y_{solution.cell.field_names[-1]}"
    check = check_correlations(
        solution,
        lags=(0, 2, 8),
        quantities=(state, output),
        sizes=SIZES,
        networks=NETWORKS,
        t_max=150,
        burn_in=60,
        dt=None if solution.is_map else 0.1,
    )
    assert check.overall().agrees, str(check.overall())
    assert all(each.agrees for each in check.comparisons()), check.comparisons()


@pytest.mark.slow
def test_fields_have_gain_squared_times_the_second_moments_of_their_outputs(solution):
    """The defining equation, measured on the final paths: exact up to the tolerance asked for."""
    for name, gain in solution.cell.gains().items():
        field, sent = solution.covariance[f"eta_{name}"], solution.covariance[f"y_{name}"]
        scale = float(gain) ** 2 * sent[0]
        assert np.max(np.abs(field - float(gain) ** 2 * sent)) < 5e-3 * scale
        assert solution.standard_error[f"y_{name}"][0] > 0


@pytest.mark.slow
def test_the_exponent_is_that_of_networks(solution):
    found = gf.mean_field_lyapunov(solution)
    cell, is_map = solution.cell, solution.is_map
    rates = {}
    for size in SIZES:
        rates[size] = []
        for number in range(NETWORKS):
            network = gf.Network.sample(cell, size, seed=1000 * size + number)
            step: dict[str, Any] = {} if is_map else {"dt": 0.1}
            start = gf.simulate(network, 100, save_every=100, progress=False, **step).final
            growth = perturbation_growth(network, start, 200, **step)
            rates[size].append(float(growth.rate))
    # Small networks fall into limit cycles where chaos is weak: the trend in 1/N is steep.
    verdict = compare_sizes(found.exponent, rates, theory_error=found.standard_error)
    assert verdict.agrees, str(verdict)
    assert found.status is Status.OK and found.standard_error > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vanilla-rnn", "gru-reset-before", "user"])
def test_transients_are_those_of_networks(name):
    """The other cells are in `test_compare_correlations`, at random parameters."""
    cell = CELLS[name]
    check = check_transient(
        cell, times=(0, 2, 10), sizes=(64, 128), networks=12, dt=0.1, samples=1500
    )
    assert check.overall().agrees, str(check.overall())
    assert all(each.agrees for each in check.comparisons(threshold=5.0))
