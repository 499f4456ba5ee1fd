"""Twenty random targets of every kind of cell, in closed form, and states that move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import gatefield as gf

COUNT = 20
KINDS = {
    "elman": (gf.ElmanRNN(), {"gain": (0.1, 4.0), "bias": (0.0, 2.0)}),
    "gru": (gf.GRU(), {"gain_n": (0.1, 5.0), "bias_z": (-3.0, 6.0)}),
    "lstm": (
        gf.LSTM(gain_f=0.3),
        # At zero the radius is o i g / (1 - f): long times want small gains.
        {"gain_g": (0.005, 6.0), "bias_f": (-3.0, 6.0)},
    ),
    "gated": (
        gf.GatedRNN(alpha_r=0.5),
        {"g_h": (0.1, 6.0), "beta_z": (-6.0, 3.0)},
    ),
}


# Trapezes of smooth functions that end in zero: their error is beyond rounding.
NODES = np.linspace(-10, 10, 801)
WEIGHTS = np.exp(-(NODES**2) / 2) * (NODES[1] - NODES[0]) / np.sqrt(2 * np.pi)


def elman(gain: float, bias: float) -> dict[str, float]:
    """Return radius and variance at the fixed point of tanh units, by quadrature."""
    second = 0.5
    for _ in range(300):
        values = np.tanh(bias + gain * np.sqrt(second) * NODES)
        second = WEIGHTS @ values**2
    slope = WEIGHTS @ (1 - values**2) ** 2
    return {"radius": gain * np.sqrt(slope), "variance": second - (WEIGHTS @ values) ** 2}


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


# At zero, in closed form: one unit's gate, and its gain over what it loses.
FORWARD: dict[str, Callable[..., dict[str, float]]] = {
    "elman": elman,
    "gru": lambda gain_n, bias_z: {
        "radius": gain_n / 2,
        "gate_time": -1 / np.log(sigmoid(bias_z)),
    },
    "lstm": lambda gain_g, bias_f: {
        "radius": gain_g / 4 / sigmoid(-bias_f),
        "gate_time": -1 / np.log(sigmoid(bias_f)),
    },
    "gated": lambda g_h, beta_z: {
        "leading_edge": sigmoid(beta_z) * (g_h / 2 - 1),
        "gate_time": 1 / sigmoid(beta_z),
    },
}


def drawn_targets(kind: str, number: int) -> dict[str, float]:
    """Return a target that can be met, by the closed forms."""
    rng = np.random.default_rng([sorted(KINDS).index(kind), number])
    time = float(np.exp(rng.uniform(np.log(2.0), np.log(100.0))))
    if kind == "elman":
        return elman(rng.uniform(0.3, 1.0), rng.uniform(0.2, 0.8))
    if kind == "gated":
        # The edge is s (g / 2 - 1), so any in -s ... 0 has a gain.
        return {"leading_edge": -rng.uniform(0.1, 0.9) / time, "gate_time": time}
    return {"radius": rng.uniform(0.4, 0.95), "gate_time": time}


def designed(kind: str, number: int, **options) -> gf.Design:
    cell, free = KINDS[kind]
    given = {"starts": 2, "progress": False, "seed": number, "verify": False, **options}
    return gf.design(cell, drawn_targets(kind, number), free, **given)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_random_targets_are_met_in_closed_form_and_by_networks(kind):
    # Targets are met within 1e-3, the Elman network's by 2,048 quasi-random units, whose variance
    # is off by 5e-4 at most of three (512 of them: by 5e-3 at gain 0.8 and bias 0.5).
    tolerance, samples = (2e-3, 2048) if kind == "elman" else (1e-3, 512)
    verdicts = []
    for number in range(COUNT):
        drawn: dict[str, Any] = {"verify": True, "n": 200, "networks": 4} if number < 4 else {}
        found = designed(kind, number, samples=samples, **drawn)
        has = FORWARD[kind](**found.best.parameters)
        assert has == pytest.approx(drawn_targets(kind, number), rel=tolerance)
        verdicts += list(found.best.agrees().values())
    # Intervals of 95 per cent miss more than two of eight in 0.6 per cent of all cases.
    assert len(verdicts) == 8
    assert verdicts.count(True) >= 4 and verdicts.count(False) <= 2


@pytest.mark.slow
def test_moving_states_are_designed_by_their_exponent():
    found = gf.design(
        gf.VanillaRNN(),
        {"lyapunov": 0.15},
        {"g": (1.2, 4.0)},
        n=500,
        networks=3,
        progress=False,
    )
    assert found.best.state == "moving" and found.best.error < 2e-2
    assert found.best.measured["lyapunov"] > 0
    # The gain that theory gives is checked by theory elsewhere; networks lie below it, as 1/N.
    assert found.best.measured["lyapunov"] == pytest.approx(0.15, rel=0.35)


@pytest.mark.slow
def test_driven_states_are_designed_by_their_exponent():
    driven = {"h": gf.GaussianInput(variance=0.3, correlation_time=3.0)}
    found = gf.design(
        gf.ElmanRNN(),
        {"lyapunov": -0.1},
        {"gain": (0.6, 2.5)},
        inputs=driven,
        n=200,
        networks=6,
        samples=200,
        progress=False,
    )
    assert found.best.error < 2e-2
    # Input holds chaos back: without it the exponent of this gain is positive.
    assert found.best.parameters["gain"] > 1.05
    measured, error = (
        each["lyapunov"] for each in (found.best.measured, found.best.standard_error)
    )
    # Of six networks: farther from their mean's expectation once in a thousand.
    assert 0 < error < 0.01 and abs(measured + 0.1) < stats.t.ppf(0.9995, 5) * error
