"""Reading a mean field: relaxation times, and covariances between and beyond the lags."""

from __future__ import annotations

import numpy as np
import pytest
from sampled_cells import LinearFlow
from scipy.optimize import brentq

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.networks.noise import GaussianInput
from gatefield.theory.dmft import solve_dmft
from gatefield.theory.dmft.sampled import solve_sampled

TIME = 2.0


@pytest.fixture(scope="module")
def short():
    """Return filtered coloured input on a period that is just long enough.

    The linear cell without couplings: nothing scatters, and C is known.
    """
    return solve_sampled(
        LinearFlow(0.0),
        inputs={"x": GaussianInput(variance=0.5, correlation_time=TIME)},
        samples=20,
        batches=2,
        dt=0.1,
        period=25.6,
        dtype="float64",
        progress=False,
    )


def fallen(lag):
    """Return C(lag) / C(0) of a unit of rate 1 under input of correlation time 2, by hand."""
    return (TIME * np.exp(-lag / TIME) - np.exp(-lag)) / (TIME - 1)


@pytest.mark.parametrize("level", [np.exp(-1), 0.5], ids=["1/e", "half"])
def test_the_relaxation_time_does_not_suffer_from_a_short_period(short, level):
    """The lags end at 6.4, where C is still 0.08 C(0): it is known to fall to zero.

    What comes round the period, e^(-19.2/2), and the step change C by 1e-4 of C(0).
    """
    assert short.status is Status.OK and short.lags[-1] == pytest.approx(6.4)
    root = brentq(lambda lag: fallen(lag) - level, 0.1, 6.0)
    assert short.covariance["x"][-1] > 0.07 * short.covariance["x"][0]
    found = short.relaxation_time("x", level=level)
    # The slope of C / C(0) there is above 0.1; a chord over a step of 0.1 errs by 0.1^2 / 8.
    assert found == pytest.approx(root, abs=5e-3)


def test_a_plateau_may_be_given(short):
    """Half way to C(inf) = 0.2 C(0)."""
    start = float(short.covariance["x"][0])
    root = brentq(lambda lag: (fallen(lag) - 0.2) / 0.8 - 0.5, 0.1, 6.0)
    found = short.relaxation_time("x", level=0.5, plateau=0.2 * start)
    assert found == pytest.approx(root, abs=5e-3)
    assert short.relaxation_time("eta_a") == 0.0  # without couplings there is no field


def test_a_mean_leaves_a_part_that_stays():
    """x = eta + I with mean 0.5: C(inf) = 0.25 / (1 - g^2) = 0.39 is not the squared mean, 0.25.

    The lags end at 25.6, where e^(-25.6/2) of the decay is left.
    """
    gain, k = 0.6, 0.8
    found = solve_sampled(
        LinearFlow(gain),
        inputs={"x": GaussianInput(variance=0.5, mean=0.5, correlation_time=TIME)},
        samples=20,
        batches=2,
        dt=0.1,
        period=102.4,
        tolerance=1e-4,
        dtype="float64",
        progress=False,
    )
    assert found.covariance["x"][-1] == pytest.approx(0.25 / (1 - gain**2), rel=1e-4)

    def moving(lag):
        return (TIME * np.exp(-lag / TIME) - np.exp(-k * lag) / k) / (TIME - 1 / k)

    root = brentq(lambda lag: moving(lag) - np.exp(-1), 0.1, 20.0)
    assert found.relaxation_time("x") == pytest.approx(root, abs=5e-3)


def test_static_input_leaves_a_part_that_stays():
    """The plateau is then the mean over the last tenth of the lags, far above C(0) / e."""
    found = solve_sampled(
        gf.VanillaRNN(2.5),
        inputs={"h": GaussianInput(variance=0.2)},
        samples=20,
        batches=2,
        period=102.4,
        dt=0.2,
        max_sweeps=12,
        progress=False,
    )
    C = found.covariance["h"]
    end = np.mean(C[-13:])  # lags of 23.2 to 25.6
    c = (C - end) / (C[0] - end)
    after = int(np.argmax(c < np.exp(-1)))
    part = (c[after - 1] - np.exp(-1)) / (c[after - 1] - c[after])
    assert end > 0.5 * C[0]
    assert found.relaxation_time("h") == pytest.approx(0.2 * (after - 1 + part), rel=1e-9)


def test_what_does_not_move_does_not_relax():
    """Single precision leaves 1e-6 in a covariance that is constant: sigma_z at alpha_z = 0."""
    found = solve_sampled(
        gf.GatedRNN(3.0, alpha_r=2.0),
        inputs={},
        samples=20,
        batches=2,
        period=51.2,
        dt=0.2,
        max_sweeps=8,
        progress=False,
    )
    assert found.fluctuates
    assert found.relaxation_time("sigma_z") == 0.0
    assert found.relaxation_time("sigma_r") > 1.0


# --- other lags


def test_lags_beyond_the_last_are_refused_where_the_rest_is_unknown(short):
    last = short.lags[-1]
    for read in (short.at, short.error_at):
        assert np.all(np.isfinite(read("x", [0.0, -last, last * (1 + 1e-12)])))
        with pytest.raises(InvalidInputError, match=r"lags = 6\.5.*up to 6\.4.*period"):
            read("x", [1.0, -6.5])
        with pytest.raises(InvalidInputError, match="'x'"):
            read("h", [1.0])


def test_what_is_frozen_stays_at_every_lag():
    """x = eta + I with I static: C = (V + mean^2) / (1 - g^2), here 0.59 / 0.64."""
    given = GaussianInput(variance=0.5, mean=0.3)
    found = solve_sampled(
        LinearFlow(0.6), inputs={"x": given}, samples=20, batches=2, progress=False
    )
    # A tenth of the tolerance of 1e-3 in the residual, times 1 / (1 - g^2).
    np.testing.assert_allclose(found.at("x", [0.0, 1e6]), 0.59 / 0.64, rtol=2e-4)


def test_the_error_between_two_lags_lies_between_theirs():
    """Linear: the mean of both in the middle, whatever the sign of the lag."""
    found = solve_sampled(
        gf.VanillaRNN(2.0),
        inputs={},
        samples=20,
        batches=2,
        period=51.2,
        dt=0.2,
        max_sweeps=8,
        progress=False,
    )
    errors = found.standard_error["h"]
    assert errors[3] != errors[4]
    middle = found.error_at("h", np.array([[-0.7], [0.6]]))
    np.testing.assert_allclose(middle[:, 0], [(errors[3] + errors[4]) / 2, errors[3]], rtol=1e-12)
    exact = solve_dmft(gf.VanillaRNN(2.0))
    assert np.array_equal(exact.error_at("h", [0.3, 1e9]), [0.0, 0.0])
