"""Correlation functions of theory against networks: the harness, and every cell at random."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
import pytest

import gatefield as gf
from gatefield.cells import AbstractFlow
from gatefield.compare import check_correlations, check_transient, draw_cells
from gatefield.core.errors import InvalidInputError


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
    good = check_transient(Linear(), **options, samples=2000)
    assert good.overall().agrees
    assert good.points == ("0, 0", "0, 1", "0, 2", "1, 1", "1, 2", "2, 2")
    # Euler's steps of dx/dt = -x + J x from N(0, 1): sum_k binom(n,k)^2 (1-dt)^(2n-2k) (g dt)^2k.
    n, dt = 100, 0.02
    k = np.arange(n + 1)
    ratio = (n - k[:-1]) / (k[:-1] + 1)
    binomial = np.concatenate([[1.0], np.cumprod(ratio)])
    exact = np.sum(binomial**2 * (1 - dt) ** (2 * (n - k)) * (0.5 * dt) ** (2 * k))
    place = good.points.index("2, 2")
    assert abs(good.theory[0, place] - exact) < 4 * good.theory_error[0, place]
    wrong = check_transient(Linear(gain=0.8), **options, samples=2000)
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
    other = gf.solve_dmft(gf.GatedRNN(3.0, alpha_r=3.0))
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


def test_refusals_name_what_was_expected():
    with pytest.raises(InvalidInputError, match="expected a MeanField"):
        check_correlations(cast(Any, Linear()))
    with pytest.raises(InvalidInputError, match="names among"):
        check_transient(Linear(), times=(0.0, 1.0), quantities=("nothing",), samples=200)
