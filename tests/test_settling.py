"""Networks with biases and static inputs: where they come to rest, for cells of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gatefield as gf
from gatefield.compare import settle
from gatefield.core.errors import InvalidInputError

SMALL: dict[str, Any] = {"n": 100, "networks": 3, "t_max": 60.0, "dt": 0.2}


def test_a_network_without_couplings_rests_at_its_input():
    """tanh(0) = 0 sends nothing: h* = I exactly, so that the variance is that of the drawn input.

    The sample variance of 100 Gaussian numbers has a relative error of sqrt(2/99).
    """
    cell = gf.GatedRNN(0.0, input_gating="update")
    found = settle(cell, input_variance={"h": 0.25}, **{**SMALL, "networks": 8})
    assert found.resting.all()
    np.testing.assert_allclose(found.rate, -0.5, atol=1e-3)  # s_z(0) = 1/2, and RK4 at dt = 0.2
    assert abs(found.variance.mean() - 0.25) < 4 * 0.25 * np.sqrt(2 / 99 / 8)


@pytest.mark.parametrize("variance", [0.0, 4.0], ids=["shared", "random"])
def test_biases_feed_the_network(variance):
    """At g_h = 0 every unit sends tanh(beta) / 2: D_h = <tanh^2(beta)> / 4, in means over J."""
    cell = gf.GatedRNN(0.0, beta_h=0.7)
    found = settle(cell, bias_variance={"h": variance}, **{**SMALL, "networks": 8})
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    sent = np.tanh(0.7 + np.sqrt(variance) * nodes) ** 2 @ weights / np.sqrt(2 * np.pi)
    error = 4 * found.variance.std(ddof=1) / np.sqrt(8)
    assert abs(found.variance.mean() - sent / 4) < error
    assert error < 0.2 * sent / 4


def test_moving_networks_do_not_rest():
    found = settle(gf.VanillaRNN(6.0), **SMALL)
    assert not found.resting.any()
    assert np.all(found.speed > 0.01)


@pytest.mark.parametrize(
    "cell", [gf.VanillaRNN(0.5), gf.GRU(), gf.LSTM()], ids=["vanilla", "gru", "lstm"]
)
def test_cells_of_every_kind_rest_at_small_gains(cell):
    is_map = isinstance(cell, gf.AbstractMap)
    options = {**SMALL, "dt": None} if is_map else SMALL
    found = settle(cell, **options)
    assert found.resting.all() and found.is_map == is_map
    if not is_map:
        # The zero state: perturbations fall at 1 - g, edges of 100 units scatter by some 0.1.
        assert np.all(np.abs(found.rate + 0.5) < 0.2)
        assert np.all(found.variance < 1e-6)


def test_same_seed_same_networks():
    first, again = (settle(gf.GatedRNN(3.0), seed=3, **SMALL) for _ in range(2))
    np.testing.assert_array_equal(first.variance, again.variance)
    other = settle(gf.GatedRNN(3.0), seed=4, **SMALL)
    np.testing.assert_array_equal(other.variance[:2], first.variance[1:])


@pytest.mark.parametrize(
    ("cell", "options", "says"),
    [
        (gf.GRU(), {"bias_variance": {"h": 0.1}, "dt": None}, "none for GRU"),
        (gf.GRU(), {"dt": 0.1}, "None for a map"),
        (gf.GatedRNN(1.0), {"bias_variance": {"x": 0.1}}, "bias_variance"),
        (gf.GatedRNN(1.0), {"input_variance": {"h": -0.1}}, "input_variance"),
        (gf.GatedRNN(1.0), {"input_variance": 0.1}, "a mapping by name"),
        (gf.GatedRNN(1.0), {"t_max": 1.0}, "at least 2"),
    ],
    ids=["biases", "step", "name", "negative", "number", "short"],
)
def test_what_makes_no_sense_is_refused(cell, options, says):
    with pytest.raises(InvalidInputError, match=says):
        settle(cell, **{**SMALL, **options})
