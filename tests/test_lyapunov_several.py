"""Several networks and initial states at once, and the layers of a stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from short_runs import CELL

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.networks import Layer


@pytest.mark.slow
def test_several_runs_are_the_single_runs(tmp_path):
    networks = [gf.Network.sample(CELL, 10, seed=seed) for seed in range(2)]
    options: dict[str, Any] = {"t_max": 8.0, "burn_in": 4.0, "dt": 0.1, "blocks": 4}
    found = gf.lyapunov_spectra(
        networks, 5, starts=3, seed=7, checkpoint=tmp_path, progress=False, **options
    )
    assert found.exponents.shape == (6, 5) and len(list(tmp_path.iterdir())) == 6
    for row, (number, start) in enumerate(zip(found.network, found.start, strict=True)):
        single = gf.lyapunov_spectrum(networks[number], 5, seed=7 + start, **options)
        np.testing.assert_array_equal(found.exponents[row], single.exponents)
    by_network = found.exponents.reshape(2, 3, 5).mean(axis=1)
    np.testing.assert_allclose(found.mean, by_network.mean(axis=0))
    np.testing.assert_allclose(
        found.standard_errors, np.abs(by_network[0] - by_network[1]) / 2, rtol=1e-12
    )
    data = found.to_dataset()
    assert data["exponents"].dims == ("run", "rank") and "spectra" not in data.attrs
    again = gf.lyapunov_spectra(
        networks, 5, starts=3, seed=7, checkpoint=tmp_path, progress=False, **options
    )
    np.testing.assert_array_equal(again.exponents, found.exponents)


def test_one_network_takes_its_error_from_its_initial_states():
    network = gf.Network.sample(CELL, 10, seed=0)
    options: dict[str, Any] = {"t_max": 8.0, "burn_in": 4.0, "dt": 0.1, "blocks": 4}
    starts = np.random.default_rng(0).standard_normal((3, 3, 10))
    found = gf.lyapunov_spectra(network, 2, initial=list(starts), progress=False, **options)
    scatter = found.exponents.std(axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(found.standard_errors, scatter, rtol=1e-12)
    single = gf.lyapunov_spectra(network, 2, progress=False, **options)
    np.testing.assert_array_equal(single.standard_errors, single.spectra[0].standard_errors)


def test_networks_of_different_sizes_need_a_number_of_exponents():
    networks = [gf.Network.sample(CELL, n, seed=0) for n in (6, 8)]
    with pytest.raises(InvalidInputError, match=r"d N in \[18, 24\]"):
        gf.lyapunov_spectra(networks, t_max=4.0)


def stacked(n: int = 6) -> gf.LayeredNetwork:
    """Return two layers of strong couplings."""
    rng = np.random.default_rng(5)
    layers = []
    for depth, features in ((0, 3), (1, n)):
        couplings = {"h": rng.standard_normal((n, n)) * (1.6 - depth) / np.sqrt(n)}
        network = gf.Network.of_couplings(gf.ElmanRNN(), couplings)
        layers.append(Layer(network, {"h": rng.standard_normal((n, features)) / 3}, depth=depth))
    return gf.LayeredNetwork(layers)


def test_exponents_of_a_stack_are_those_of_its_layers():
    stack, inputs = stacked(), np.random.default_rng(0).standard_normal((500, 3))
    found = gf.lyapunov_spectrum(stack, inputs=inputs, progress=False)
    received = stack.layer_inputs(inputs)
    for place, (layer, own) in enumerate(zip(stack.layers, received, strict=True)):
        start = np.zeros((1, 6))
        alone = gf.lyapunov_spectrum(layer.network, inputs=own, initial=start, progress=False)
        np.testing.assert_array_equal(found.exponents[found.layer == place], alone.exponents)
    assert found.exponents.size == found.size == 12 and found.complete and found.certain == 12
    assert np.all(np.diff(found.exponents) <= 0)
    data = found.to_dataset()
    assert data["layer"].dims == data["exponents"].dims == ("rank",)


def test_of_a_stack_only_what_surely_is_largest_enters_the_dimension():
    """Two exponents of each layer: others of the first lie above the second's."""
    stack, inputs = stacked(), np.random.default_rng(0).standard_normal((500, 3))
    whole = gf.lyapunov_spectrum(stack, inputs=inputs, progress=False)
    few = gf.lyapunov_spectrum(stack, 2, inputs=inputs, progress=False)
    assert few.exponents.size == 4 and 2 <= few.certain < 4
    np.testing.assert_allclose(
        few.exponents[: few.certain], whole.exponents[: few.certain], atol=0.05
    )


def test_what_a_stack_cannot_do_is_refused(tmp_path):
    inputs = np.zeros((100, 3))
    others: list[dict[str, Any]] = [{"checkpoint": tmp_path / "run.npz"}, {"frame": "identity"}]
    for changes in others:
        with pytest.raises(InvalidInputError, match="None for a LayeredNetwork"):
            gf.lyapunov_spectrum(stacked(), inputs=inputs, **changes)
