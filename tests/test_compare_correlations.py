"""Correlation functions of theory against networks: the harness, and every cell at random."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, cast

import numpy as np
import pytest
from scipy.stats import t as student

import gatefield as gf
from gatefield.cells import AbstractFlow
from gatefield.compare import check_correlations, check_transient, draw_cells
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status


class Linear(AbstractFlow):
    """dx/dt = -x + J x with gain 1/2: everything about it is known."""

    gain: float = 0.5

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ("x",)

    def gains(self):
        return {"x": self.gain}

    def outputs(self, state, fields, drive):
        return {"x": state["x"]}

    def rule(self, state, fields, drive):
        return {"x": fields["x"] + drive["x"] - state["x"]}


def test_transient_of_a_linear_network_agrees_and_a_wrong_gain_does_not():
    times, sizes = (0.0, 1.0, 2.0), (100, 200)
    options: dict[str, Any] = {"times": times, "sizes": sizes, "networks": 8, "dt": 0.02}
    # Sixteen batches: the error of fewer is too uncertain to be a measure.
    options |= {"samples": 500, "batches": 16}
    good = check_transient(Linear(), **options)
    assert good.overall().agrees
    assert good.points == ("0, 0", "0, 1", "0, 2", "1, 1", "1, 2", "2, 2")
    # Euler's steps of dx/dt = -x + J x from N(0, 1): sum_k binom(n,k)^2 (1-dt)^(2n-2k) (g dt)^2k.
    n, dt = 100, 0.02
    k = np.arange(n + 1)
    ratio = (n - k[:-1]) / (k[:-1] + 1)
    binomial = np.concatenate([[1.0], np.cumprod(ratio)])
    exact = np.sum(binomial**2 * (1 - dt) ** (2 * (n - k)) * (0.5 * dt) ** (2 * k))
    place = good.points.index("2, 2")
    score = (good.theory[0, place] - exact) / good.theory_error[0, place]
    assert abs(score) < student.ppf(1 - 5e-5, 15)
    wrong = check_transient(Linear(gain=1.2), **options)
    crossed = wrong.overall()
    mixed = type(good)(
        wrong.theory,
        wrong.theory_error,
        good.measured,
        good.sizes,
        good.quantities,
        good.points,
        good.cell,
    )
    assert crossed.agrees
    assert not mixed.overall().agrees
    assert any(not each.agrees for each in mixed.comparisons())


@pytest.mark.slow
def test_stationary_correlations_agree_and_those_of_another_gain_do_not():
    solution = gf.solve_dmft(gf.GatedRNN(3.0, alpha_r=5.0))
    options: dict[str, Any] = {
        "sizes": (200, 400),
        "networks": 8,
        "t_max": 100.0,
        "burn_in": 60.0,
        "dt": 0.1,
        "lags": (0.0, 2.0, 5.0),
        "quantities": ("h", "phi", "eta_h"),
    }
    check = check_correlations(solution, **options)
    assert check.overall().agrees
    assert all(each.agrees for each in check.comparisons())
    # A third smaller, where eight networks of each size leave 7 per cent.
    other = gf.solve_dmft(gf.GatedRNN(3.0, alpha_r=1.0))
    theory = np.stack([other.at(name, np.array([0.0, 2.0, 5.0])) for name in check.quantities])
    wrong = type(check)(
        theory,
        check.theory_error,
        check.measured,
        check.sizes,
        check.quantities,
        check.points,
        check.cell,
    )
    assert any(not each.agrees for each in wrong.comparisons())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "times"),
    [
        pytest.param(gf.GatedRNN, (0.0, 2.0, 6.0, 12.0), id="gated-rnn"),
        pytest.param(gf.GRU, (0, 1, 5, 20), id="gru"),
        pytest.param(gf.LSTM, (0, 1, 5, 20), id="lstm"),
    ],
)
def test_twelve_random_cells_of_each_kind_agree_without_drift(kind, times):
    """Deviations of the 12 are standard normal if nothing drifts: their mean has error 12^-1/2."""
    deviations = []
    for number, cell in enumerate(draw_cells(kind, 12, seed=7)):
        check = check_transient(
            cell,
            times=times,
            sizes=(64, 128, 256),
            networks=12,
            dt=0.1,
            samples=2000,
            seed=100 * number,
        )
        found = check.overall()
        assert found.agrees, (cell, str(found))
        deviations.append(float(found.deviation))
    assert abs(np.mean(deviations)) < 4 / np.sqrt(12)


@pytest.fixture(scope="module")
def transient():
    options: dict[str, Any] = {"dt": 0.1, "scheme": "euler", "samples": 200, "batches": 2}
    return gf.solve_transient(Linear(), 2.0, save_every=0.5, progress=False, **options)


SMALL: dict[str, Any] = {"sizes": (20,), "networks": 3, "dt": 0.1}


def test_time_zero_alone_has_the_initial_variance():
    check = check_transient(Linear(), times=(0,), initial_variance=1.5, samples=400, **SMALL)
    assert check.points == ("0, 0",)
    # 4 batches of 400 squares: sqrt(2/1600) of itself; networks of 20: sqrt(2/60).
    assert abs(check.theory[0, 0] / 1.5 - 1) < 4 * np.sqrt(2 / 1600)
    assert abs(check.measured[0, :, 0, 0].mean() / 1.5 - 1) < 4 * np.sqrt(2 / 60)


def test_times_are_rounded_to_steps_on_both_sides():
    """(1 - dt)^(2n) is left of the initial variance, without couplings: n steps, not n - 1."""
    cell = Linear(gain=0.0)
    check = check_transient(cell, times=(0.0, 0.98), samples=400, **SMALL)
    assert check.points == ("0, 0", "0, 1", "1, 1")
    np.testing.assert_allclose(check.theory[0] / check.theory[0, 0], [1, 0.9**10, 0.9**20])
    ratio = check.measured[0, :, 0] / check.measured[0, :, 0, :1]
    np.testing.assert_allclose(ratio, [[1, 0.9**10, 0.9**20]] * 3)


def test_a_solution_that_was_solved_before_is_taken(transient):
    check = check_transient(Linear(), times=(0.5, 2.0), solution=transient, **SMALL)
    moments = transient.covariance["x"]
    assert np.array_equal(check.theory[0], [moments[1, 1], moments[1, 4], moments[4, 4]])


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ({}, {"cell": Linear(gain=0.6)}, "solution.cell = .*Solve the cell that is simulated"),
        ({}, {"cell": gf.VanillaRNN(0.5)}, "solution.cell"),
        ({}, {"times": (0.5, 2.5)}, "times = 2.5.*saved"),
        ({}, {"times": (0.5, 0.8)}, "times = 0.8.*saved"),
        ({"status": Status.DIVERGED}, {}, "solution.status = 'diverged'.*'ok'.*Reduce dt"),
    ],
    ids=["parameter", "kind", "too late", "not saved", "diverged"],
)
def test_solutions_of_something_else_are_refused(change, options, told, transient):
    solution = dataclasses.replace(transient, **change)
    given: dict[str, Any] = {"cell": Linear(), "times": (0.5, 1.0), **SMALL, **options}
    with pytest.raises(InvalidInputError, match=told):
        check_transient(given.pop("cell"), solution=solution, **given)


def test_stationary_solutions_that_cannot_be_compared_are_refused():
    solution = gf.solve_dmft(gf.VanillaRNN(2.0))
    failed = dataclasses.replace(solution, status=Status.NOT_CONVERGED)
    with pytest.raises(InvalidInputError, match="solution.status = 'not converged'.*'ok'"):
        check_correlations(failed)
    # As sampled solutions are: known up to the last lag, while they move.
    short = dataclasses.replace(solution, method="sampled", settings=())
    last = float(short.lags[-1])
    with pytest.raises(InvalidInputError, match=f"lags = {2 * last}.*up to"):
        check_correlations(short, lags=(0.0, 2 * last))


def test_refusals_name_what_was_expected():
    for times, told in (((), "times.shape"), ((1.0, 0.5), "increasing"), (1.0, "times.shape")):
        with pytest.raises(InvalidInputError, match=told):
            check_transient(Linear(), times=cast(Any, times))
    with pytest.raises(InvalidInputError, match="expected a TransientMeanField"):
        check_transient(Linear(), solution=cast(Any, Linear()))
    with pytest.raises(InvalidInputError, match="expected a MeanField"):
        check_correlations(cast(Any, Linear()))
    with pytest.raises(InvalidInputError, match="names among"):
        check_transient(Linear(), times=(0.0, 1.0), quantities=("nothing",), samples=200)
