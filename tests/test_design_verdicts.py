"""What networks tell of a target: verdicts on numbers, trends, failures that are named."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.initialise import verify
from gatefield.initialise.sources import Source
from gatefield.initialise.verdicts import extrapolated, verdict, verdict_of_trend
from gatefield.initialise.verify import measured_in_networks, point_of_branch

# Target, mean, standard error, networks: what is told. Student's quantile of 4 networks is 3.18.
SINGLE = {
    "exact": (1.0, 1.0, 0.0, 4, True),
    "within 5 per cent": (1.0, 1.04, 0.0, 4, True),
    "beyond 5 per cent": (1.0, 1.06, 0.0, 4, False),
    "within the errors": (1.0, 1.10, 0.02, 4, True),
    "beyond the errors": (1.0, 1.12, 0.02, 4, False),
    "wrong sign": (0.1, -0.1, 0.005, 4, False),
    "too noisy": (1.0, 1.0, 0.1, 4, None),
    "noisy, but far off": (1.0, 3.0, 0.1, 4, False),
    "few networks": (1.0, 1.0, 0.0, 3, None),
    "one network": (1.0, 1.0, math.inf, 1, None),
    "not measured": (1.0, math.nan, math.nan, 4, None),
    "many networks": (1.0, 1.10, 0.02, 40, False),
}


@pytest.mark.parametrize("case", sorted(SINGLE))
def test_verdict_of_a_mean(case):
    target, value, error, networks, told = SINGLE[case]
    assert verdict("radius", value, target, error, networks) is told


# Target 0.1: means of N and N/2 with errors.
TRENDS = {
    "towards it, as 1/N": (0.08, 0.06, 0.001, 0.001, True),
    "towards it, but short": (0.05, 0.04, 0.001, 0.001, False),
    "away from it": (0.17, 0.03, 0.001, 0.001, False),
    "past it": (0.08, 0.02, 0.001, 0.001, False),
    "too uncertain": (0.08, 0.06, 0.001, 0.02, None),
}


@pytest.mark.parametrize("case", sorted(TRENDS))
def test_verdict_of_a_trend(case):
    full, half, error, error_of_half, told = TRENDS[case]
    limit = extrapolated(full, half, error, error_of_half)
    assert limit == pytest.approx((2 * full - half, np.sqrt(4 * error**2 + error_of_half**2)))
    assert verdict("lyapunov", full, 0.1, error, 4) is False
    assert verdict_of_trend("lyapunov", full, 0.1, error, 4, limit) is told


def test_a_quantity_that_fails_takes_no_other_with_it(monkeypatch):
    def failing(network, name, **options):
        if options["seed"] == 11:
            raise NumericalFailureError("measure: no growth.")
        return 0.5

    made: list[int] = []
    found = verify.fixed_point

    def counted(network, **options):
        made.append(options["seed"])
        return found(network, **options)

    monkeypatch.setattr(verify, "measure", failing)
    monkeypatch.setattr(verify, "fixed_point", counted)
    cell = gf.GRU(gain_n=1.0, bias_z=1.0)
    names = ("gradient_growth", "gate_time", "lyapunov")
    options: Any = {"n": 20, "networks": 3, "seed": 10, "moving": False}
    measured = measured_in_networks(cell, {}, (), names, horizon=5, quantile=0.5, **options)
    assert made == [10, 11, 12]
    assert measured.mean["gate_time"] == pytest.approx(-1 / np.log(expit(1.0)), rel=1e-12)
    assert set(measured.unmeasured) == {"gradient_growth", "lyapunov"}
    assert measured.unmeasured["lyapunov"] == "not in 1 of 3 networks: measure: no growth."
    assert np.isnan(measured.mean["lyapunov"])


def test_fixed_points_of_the_wanted_branch_alone_are_taken():
    # Units with a strong output gate: active fixed points beside the stable zero.
    cell = gf.GatedRNN(1.8, alpha_r=20.0)
    network = gf.Network.sample(cell, 60, seed=3)
    branches = gf.solve_static(cell)
    assert len(branches) == 3 and float(branches[0].variance["h"]) == 0.0
    assert verify.meant_branch(branches, 0) is None
    meant = verify.meant_branch(branches, 1)
    assert meant is not None
    h, _, r = point_of_branch(network, meant, None, seed=0)
    J = {name: np.asarray(network.coupling(name)) for name in ("h", "r")}
    phi = np.tanh(1.8 * h)
    np.testing.assert_allclose(h, J["h"] @ (phi * expit(20 * r)), atol=1e-9)
    np.testing.assert_allclose(r, J["r"] @ phi, atol=1e-9)
    sizes = np.sqrt([float(each.variance["h"]) for each in branches])
    assert int(np.argmin(np.abs(sizes - np.std(h)))) == 1
    # Newton's method from Gaussian states does not reach the most active branch, and says so.
    highest = verify.meant_branch(branches, 2)
    assert highest is not None
    with pytest.raises(NumericalFailureError, match="standard deviation near 0.288"):
        point_of_branch(network, highest, None, seed=0)


def test_networks_follow_inputs_that_vary_fast():
    # dh/dt = -h + I: the variance is tau / (1 + tau) of the input's.
    time = 0.05
    source = Source(gf.GaussianInput(variance=1.0, correlation_time=time), (("h", 1.0),))
    options: Any = {"n": 400, "networks": 2, "seed": 0, "moving": True}
    measured = measured_in_networks(
        gf.VanillaRNN(0.01), {}, [source], ("variance",), horizon=1.0, quantile=0.5, **options
    )
    # 2 networks of 400 units at 8 times 12 apart: 6,400 numbers, 1.8 per cent; three of these.
    assert measured.mean["variance"] == pytest.approx(time / (1 + time), rel=0.053)


def test_inputs_that_no_network_can_follow_are_refused():
    fast = {"h": gf.GaussianInput(variance=1.0, correlation_time=1e-3)}
    with pytest.raises(InvalidInputError, match="correlation_time = 0.001"):
        gf.design(gf.VanillaRNN(), {"lyapunov": -0.5}, {"g": (0.1, 2.0)}, inputs=fast)
