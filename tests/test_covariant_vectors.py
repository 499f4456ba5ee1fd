"""Covariant Lyapunov vectors: eigenvectors, the flow's own direction, covariance, angles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lone_cells import Cycle, LinearMap, Lone, Lorenz

import gatefield as gf
from gatefield.core.errors import InvalidInputError

QUIET: dict[str, Any] = {"progress": False}


def flat(found: gf.CovariantVectors) -> np.ndarray:
    return found.vectors.reshape(*found.vectors.shape[:2], -1)


def test_of_linear_maps_they_are_the_eigenvectors():
    """Settled to (0.6 / 0.9)^steps; angles between eigenvectors are those of NumPy's."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((4, 4))
    values = np.array([1.5, 0.9, 0.6, 0.2])
    matrix = vectors @ np.diag(values) @ np.linalg.inv(vectors)
    network = gf.Network.of_couplings(LinearMap(), {"x": matrix})
    found = gf.covariant_vectors(
        network,
        t_max=10,
        settle=80,
        burn_in=0,
        frame_burn_in=80,
        initial=np.zeros((1, 4)),
        **QUIET,
    )
    unit = (vectors / np.linalg.norm(vectors, axis=0)).T
    overlap = np.abs(np.sum(flat(found) * unit, axis=-1))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-10)
    np.testing.assert_allclose(found.exponents, np.log(values), atol=1e-10)
    assert (found.unstable, found.stable) == (1, 1) and found.is_map
    # The smallest angle between the first vector and the span of the others.
    basis = np.linalg.qr(unit[1:].T)[0]
    expected = np.arcsin(np.linalg.norm(unit[0] - basis @ (basis.T @ unit[0])))
    np.testing.assert_allclose(found.angles, expected, atol=1e-8)
    between = np.arccos(abs(unit[0] @ unit[2]))
    np.testing.assert_allclose(found.angle(0, 2), between, atol=1e-8)


def test_of_a_cycle_the_neutral_one_is_the_velocity():
    """dr/dt = r (1 - r^2): velocity along the circle, the other vector radial."""
    network = gf.Network.sample(Cycle(), 1)
    found = gf.covariant_vectors(
        network, t_max=3.0, settle=12.0, interval=0.1, burn_in=40.0, dt=0.01, **QUIET
    )
    x, y = found.states[:, 0, 0], found.states[:, 1, 0]
    along, outwards = np.stack([-y, x], axis=1), np.stack([x, y], axis=1)
    rows = flat(found)
    np.testing.assert_allclose(np.abs(np.sum(rows[:, 0] * along, axis=1)), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.abs(np.sum(rows[:, 1] * outwards, axis=1)), 1.0, atol=1e-6)
    assert (found.unstable, found.stable) == (0, 1) and np.all(np.isnan(found.angles))


def test_of_lorenz_the_neutral_one_is_the_velocity():
    """Over 40 time units exponents are .9 and 0 to about a tenth, on every machine's trajectory."""
    network = gf.Network.sample(Lorenz(), 1)
    found = gf.covariant_vectors(
        network, t_max=40.0, settle=30.0, interval=0.05, neutral=0.4, dt=0.005, seed=2, **QUIET
    )
    x, y, z = found.states[:, :, 0].T
    velocity = np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)
    velocity /= np.linalg.norm(velocity, axis=1, keepdims=True)
    overlap = np.abs(np.sum(flat(found)[:, 1] * velocity, axis=1))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-5)
    assert (found.unstable, found.stable) == (1, 2)
    assert np.all((0 < found.angles) & (found.angles <= np.pi / 2))


def test_the_tangent_carries_each_into_itself():
    """Central differences of the state over an interval, along each vector: errors of 1e-6."""
    network = gf.Network.sample(gf.GatedRNN(5.0, alpha_r=2.0), 12, seed=3)
    found = gf.covariant_vectors(
        network, 8, t_max=4.0, settle=60.0, interval=0.5, burn_in=60.0, dt=0.05, **QUIET
    )
    rows, eps = flat(found), 1e-5
    for number in (0, 5):
        for index in (0, 3, 7):
            direction = found.vectors[number, index]
            ends = [
                gf.simulate(
                    network,
                    0.5,
                    dt=0.05,
                    initial=found.states[number] + sign * eps * direction,
                    progress=False,
                ).final
                for sign in (1, -1)
            ]
            moved = ((ends[0] - ends[1]) / (2 * eps)).ravel()
            overlap = abs(moved @ rows[number + 1, index]) / np.linalg.norm(moved)
            assert overlap == pytest.approx(1.0, abs=1e-6)
    data = found.to_dataset()
    assert data["vectors"].dims == ("time", "rank", "component", "unit")


def test_their_exponents_are_those_of_the_qr_method():
    network = gf.Network.sample(gf.GatedRNN(5.0, alpha_r=2.0), 12, seed=3)
    options: dict[str, Any] = {"burn_in": 60.0, "dt": 0.05, "seed": 0}
    found = gf.covariant_vectors(network, 6, t_max=400.0, settle=60.0, **options, **QUIET)
    known = gf.lyapunov_spectrum(network, 6, t_max=400.0, **options, **QUIET)
    # What the ends add is of order 1 / t_max.
    np.testing.assert_allclose(
        found.exponents, known.exponents, atol=4 * known.standard_errors.max() + 2 / 400
    )


def test_the_frame_has_settled():
    """As long as C has: the vectors do not depend on where the frame began."""
    network = gf.Network.sample(Lorenz(), 1)
    start = gf.simulate(network, 20.0, dt=0.005, seed=0, progress=False).final
    options: dict[str, Any] = {"t_max": 2.0, "settle": 30.0, "dt": 0.005, "burn_in": 0.0}
    options |= {"initial": start, "interval": 0.05}
    first, second = (
        gf.covariant_vectors(network, seed=seed, **options, **QUIET) for seed in (0, 1)
    )
    np.testing.assert_allclose(first.states, second.states, atol=1e-10)
    overlap = np.abs(np.sum(flat(first) * flat(second), axis=-1))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-6)


def test_of_decoupled_directions_the_fastest_is_first():
    """Unit vectors would never turn here."""
    network = gf.Network.of_couplings(
        LinearMap(), {"x": np.array([[0.5, 0, 0], [0, 2, 1], [0, 0, 3.0]])}
    )
    found = gf.covariant_vectors(
        network, t_max=5, settle=60, burn_in=0, initial=np.zeros((1, 3)), **QUIET
    )
    np.testing.assert_allclose(found.exponents, np.log([3, 2, 0.5]), atol=1e-9)
    assert (found.unstable, found.stable) == (2, 2)
    expected = np.array([[0, 1, 1] / np.sqrt(2), [0, 1, 0], [1, 0, 0]])
    np.testing.assert_allclose(np.abs(flat(found)[0]), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blocks": 3}, "names among 'burn_in'"),
        ({"interval": 1.5}, "whole number of steps"),
        ({"inputs": {"x": gf.Series(np.zeros(40))}}, "at most 40 steps"),
    ],
    ids=["option", "interval", "series"],
)
def test_options_that_do_not_fit_are_refused(changes, words):
    network = gf.Network.of_couplings(LinearMap(), {"x": np.diag([2.0, 0.5])})
    options: dict[str, Any] = {"t_max": 10, "settle": 20, "burn_in": 0} | changes
    with pytest.raises(InvalidInputError, match=words):
        gf.covariant_vectors(network, **options)


def test_maps_that_lose_directions_cannot_be_run_backwards():
    network = gf.Network.of_couplings(LinearMap(), {"x": np.diag([2.0, 0.5, 0.0])})
    with pytest.raises(InvalidInputError, match="directions that the map keeps"):
        gf.covariant_vectors(network, t_max=5, settle=5, burn_in=0, initial=np.zeros((1, 3)))


def test_more_than_fits_is_refused():
    network = gf.Network.sample(Lone(), 2000)
    with pytest.raises(InvalidInputError, match=r"GiB.*fewer vectors"):
        gf.covariant_vectors(network, t_max=1000.0, settle=10.0)
