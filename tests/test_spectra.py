"""Eigenvalues and modes of a network's Jacobian: exact cases, every cell, failures, files."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gatefield as gf
from gatefield import io
from gatefield.analysis import leading_modes, network_spectrum, spectra
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status

CELLS = dict(gf.registered_cells())
N = 60
ROUNDING = 1e-10  # backward errors of 1e-14 times condition numbers of order a hundred
ACCEPTED = 1e-6  # residuals below 1e-8 times condition numbers of order a hundred


class Pair(gf.AbstractFlow):
    """dx/dt = -x + feed y + J x, dy/dt = -decay y: for J = 0 a triangular 2 x 2 block per unit."""

    feed: Any
    decay: Any

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"x": 1.0}

    def outputs(self, state, fields, drive):
        return {"x": state["x"]}

    def rule(self, state, fields, drive):
        return {
            "x": fields["x"] - state["x"] + self.feed * state["y"],
            "y": -self.decay * state["y"],
        }


class Rooted(Pair):
    """A rule whose derivative is infinite where y = 0."""

    def rule(self, state, fields, drive):
        return {"x": fields["x"] + jnp.sqrt(state["y"]), "y": -state["y"]}


def uncoupled(cell, n):
    return gf.Network.of_couplings(cell, {name: np.zeros((n, n)) for name in cell.field_names})


def moving(name, dtype="float64"):
    """Return a registered cell's network, a state that moves, and its matrix."""
    network = gf.Network.sample(CELLS[name], N, seed=1, dtype=dtype)
    state = np.random.default_rng(2).standard_normal((len(CELLS[name].state_names), N))
    return network, state, gf.jacobian(network, state).as_matrix().astype(float)


def flat(vectors):
    """(mode, component, unit) -> columns (component unit, mode)."""
    return vectors.reshape(len(vectors), -1).T


def assert_same_set(got, expected, atol):
    """Each value has its own partner (values are well apart in the cases that use this)."""
    distance = np.abs(np.asarray(got)[:, None] - np.asarray(expected)[None, :])
    partner = distance.argmin(axis=1)
    assert len(got) == len(expected) == len(set(partner))
    assert distance.min(axis=1).max() < atol


# --- exact cases


def test_without_couplings_every_eigenvalue_is_minus_one():
    network, state = uncoupled(gf.VanillaRNN(2.0), 7), np.zeros((1, 7))
    spectrum = network_spectrum(network, state, vectors="both")
    np.testing.assert_array_equal(spectrum.eigenvalues, -np.ones(7))
    np.testing.assert_allclose(spectrum.condition, np.ones(7), rtol=0, atol=1e-14)
    assert spectrum.count(-1.0, 0.0) == 7
    assert spectrum.leading_edge == -1.0
    for which in ("unstable", "slow"):
        modes = leading_modes(network, state, 3, which=which, left=True)
        np.testing.assert_allclose(modes.eigenvalues, -np.ones(3), rtol=0, atol=1e-14)
        overlap = flat(modes.left_vectors).conj().T @ flat(modes.right_vectors)
        np.testing.assert_allclose(overlap, np.eye(3), rtol=0, atol=ROUNDING)


def test_linear_network_has_the_eigenvalues_of_its_couplings():
    """-1 + g eig(J) at the zero state of the vanilla network."""
    network = gf.Network.sample(gf.VanillaRNN(1.3), N, seed=3)
    expected = -1 + 1.3 * np.linalg.eigvals(network.coupling("h"))
    spectrum = network_spectrum(network, np.zeros((1, N)))
    assert_same_set(spectrum.eigenvalues, expected, ROUNDING)
    assert np.all(np.diff(spectrum.eigenvalues_real) <= 0)
    assert spectrum.leading_edge == pytest.approx(np.real(expected).max(), abs=ROUNDING)
    assert spectrum.largest_imaginary == pytest.approx(expected.imag.max(), abs=ROUNDING)
    inside = np.sum(np.abs(expected + 1 - 0.2j) <= 0.5)
    assert 0 < inside < N and spectrum.count(-1 + 0.2j, 0.5) == inside
    box = (expected.real >= -1.5) & (expected.real <= -0.7) & (np.abs(expected.imag) <= 0.4)
    assert 0 < box.sum() < N and spectrum.count_in_box((-1.5, -0.7), (-0.4, 0.4)) == box.sum()
    modes = leading_modes(network, np.zeros((1, N)), 6)
    assert_same_set(modes.eigenvalues, expected[np.argsort(-expected.real)[:6]], ACCEPTED)


def test_condition_numbers_of_triangular_blocks():
    """[[-1, c], [0, -2]] has eigenvectors (1, 0), (-c, 1): both conditions are sqrt(1 + c^2)."""
    feed = np.array([0.0, 1.0, 5.0])
    network = uncoupled(Pair(feed, 2.0), 3)
    spectrum = network_spectrum(network, np.zeros((2, 3)), vectors="left")
    np.testing.assert_array_equal(spectrum.eigenvalues, [-1] * 3 + [-2] * 3)
    for half in (spectrum.condition[:3], spectrum.condition[3:]):
        np.testing.assert_allclose(np.sort(half), np.sqrt(1 + feed**2), rtol=1e-12)
    assert spectrum.status is Status.OK


def test_defective_eigenvalues_have_no_left_vector():
    """Units 0 and 2 are Jordan blocks [[-1, 1], [0, -1]]; unit 1 has -1 and -3, simple."""
    network = uncoupled(Pair(np.ones(3), np.array([1.0, 3.0, 1.0])), 3)
    spectrum = network_spectrum(network, np.zeros((2, 3)), vectors="both")
    np.testing.assert_array_equal(spectrum.eigenvalues, [-1] * 5 + [-3])
    assert spectrum.status is Status.NOT_CONVERGED
    infinite = np.isinf(spectrum.condition)
    assert infinite[:5].sum() == 4
    np.testing.assert_allclose(spectrum.condition[~infinite], np.sqrt(1.25) * np.ones(2))
    np.testing.assert_array_equal(np.isnan(flat(spectrum.left_vectors)).all(axis=0), infinite)
    assert np.all(np.isfinite(spectrum.right_vectors))


@pytest.mark.parametrize("tau_r", [1.0, 2.0])
def test_degenerate_eigenvalues_have_left_vectors(tau_r):
    """Closed fields at the zero state: (J/2 - 1)/2, -1 for z and -1/tau_r for r, N times each.

    At tau_r = 2 the -1/2 stands in the middle of the disc of the h units.
    """
    network = gf.Network.sample(gf.GatedRNN(1.5, tau_r=tau_r), N, seed=4)
    state = np.zeros((3, N))
    spectrum = network_spectrum(network, state, vectors="both")
    own = 0.5 * (-1 + 0.75 * np.linalg.eigvals(network.coupling("h")))
    degenerate = (np.abs(spectrum.eigenvalues + 1) < 1e-12) | (
        np.abs(spectrum.eigenvalues + 1 / tau_r) < 1e-12
    )
    assert spectrum.count(-1, 1e-12) == (2 * N if tau_r == 1.0 else N)
    assert spectrum.count(-0.5, 1e-12) == (0 if tau_r == 1.0 else N)
    assert_same_set(spectrum.eigenvalues[~degenerate], own, ROUNDING)
    assert spectrum.status is Status.OK
    left, right = flat(spectrum.left_vectors), flat(spectrum.right_vectors)
    np.testing.assert_allclose(left.conj().T @ right, np.eye(3 * N), rtol=0, atol=ROUNDING)
    matrix = gf.jacobian(network, state).as_matrix()
    scaled = spectrum.eigenvalues[:, None] * left.conj().T
    np.testing.assert_allclose(left.conj().T @ matrix, scaled, rtol=0, atol=ROUNDING)


def test_complex_degenerate_eigenvalues_have_left_vectors():
    """Two copies of one block, mixed by a rotation: every eigenvalue of it stands twice."""
    rng = np.random.default_rng(6)
    block, rotation = rng.standard_normal((4, 4)), np.linalg.qr(rng.standard_normal((8, 8)))[0]
    matrix = rotation @ np.kron(np.eye(2), block) @ rotation.T
    network = gf.Network.of_couplings(gf.VanillaRNN(1.0), {"h": matrix})
    spectrum = network_spectrum(network, np.zeros((1, 8)), vectors="both")
    expected = np.linalg.eigvals(block) - 1
    assert np.iscomplexobj(expected)
    assert [spectrum.count(value, ROUNDING) for value in expected] == [2] * 4
    left, right = flat(spectrum.left_vectors), flat(spectrum.right_vectors)
    np.testing.assert_allclose(left.conj().T @ right, np.eye(8), rtol=0, atol=ROUNDING)
    rebuilt = (right * spectrum.eigenvalues) @ left.conj().T
    np.testing.assert_allclose(rebuilt, matrix - np.eye(8), rtol=0, atol=ROUNDING)
    modes = leading_modes(network, np.zeros((1, 8)), 5, left=True)
    overlap = flat(modes.left_vectors).conj().T @ flat(modes.right_vectors)
    np.testing.assert_allclose(overlap, np.eye(5), rtol=0, atol=ACCEPTED)


# --- every cell


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.slow
def test_spectrum_and_vectors_are_those_of_the_matrix(name):
    network, state, matrix = moving(name)
    spectrum = network_spectrum(network, state, vectors="both")
    expected = np.linalg.eigvals(matrix)
    key = np.abs(expected) if spectrum.is_map else expected.real
    assert spectrum.is_map == isinstance(CELLS[name], gf.AbstractMap)
    assert spectrum.leading_edge == pytest.approx(key.max(), abs=ROUNDING)
    found = spectrum.eigenvalues
    np.testing.assert_allclose(
        np.abs(found) if spectrum.is_map else np.real(found),
        np.sort(key)[::-1],
        rtol=0,
        atol=ROUNDING,
    )
    upper = np.imag(found)[:-1][found[:-1] == found[1:].conj()]
    assert len(upper[upper != 0]) == np.sum(np.imag(found) > 0) > 0 and np.all(upper >= 0)
    assert spectrum.right_vectors.shape == (state.size, *state.shape)
    left, right = flat(spectrum.left_vectors), flat(spectrum.right_vectors)
    np.testing.assert_allclose(np.linalg.norm(right, axis=0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(matrix @ right, right * found, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(left.conj().T @ right, np.eye(len(found)), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(spectrum.condition, np.linalg.norm(left, axis=0), rtol=1e-12)
    assert np.all(spectrum.condition >= 1 - 1e-12)
    np.testing.assert_allclose((right * found) @ left.conj().T, matrix, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("which, dense_limit", [("unstable", 0), ("slow", 6000), ("slow", 0)])
def test_modes_are_those_of_the_matrix(name, which, dense_limit):
    network, state, matrix = moving(name)
    is_map = isinstance(CELLS[name], gf.AbstractMap)
    values = np.linalg.eigvals(matrix)
    rank = -(np.abs(values) if is_map else values.real)
    if which == "slow":
        rank = np.abs(values - is_map)
    # A count that does not cut a conjugate pair.
    order = np.argsort(rank)
    k = next(k for k in (6, 7) if rank[order[k]] - rank[order[k - 1]] > 1e-9)
    modes = leading_modes(network, state, k, which=which, left=True, dense_limit=dense_limit)
    assert modes.status is Status.OK
    assert_same_set(modes.eigenvalues, values[order[:k]], ACCEPTED)
    distance = np.abs(modes.eigenvalues - is_map)
    if which == "slow":
        assert np.all(np.diff(distance) > -1e-12)
    left, right = flat(modes.left_vectors), flat(modes.right_vectors)
    np.testing.assert_allclose(np.linalg.norm(right, axis=0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(left.conj().T @ right, np.eye(k), rtol=0, atol=ACCEPTED)
    mismatch = np.linalg.norm(matrix @ right - right * modes.eigenvalues, axis=0)
    assert np.all(mismatch <= modes.residuals + 1e-12)
    assert np.all(modes.residuals <= 1e-8 * np.maximum(1, np.abs(modes.eigenvalues)))
    across = left.conj().T @ matrix - modes.eigenvalues[:, None] * left.conj().T
    sizes = np.linalg.norm(left, axis=0)
    assert np.all(np.linalg.norm(across, axis=1) <= (modes.residuals + 1e-12) * sizes)


def test_same_seed_same_modes():
    network, state, _ = moving("gru")
    runs = [leading_modes(network, state, 3, seed=seed) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(runs[0].right_vectors, runs[1].right_vectors)
    assert np.any(runs[0].right_vectors != runs[2].right_vectors)
    np.testing.assert_allclose(runs[0].eigenvalues, runs[2].eigenvalues, rtol=0, atol=ACCEPTED)


def test_single_precision():
    """Products round by 6e-8, amplified by condition numbers of order a hundred."""
    network, state, matrix = moving("gated-rnn", "float32")
    spectrum, modes = network_spectrum(network, state), leading_modes(network, state, 5)
    expected = np.sort(np.linalg.eigvals(matrix).real)[::-1]
    np.testing.assert_allclose(spectrum.eigenvalues_real, expected, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(modes.eigenvalues_real, expected[:5], rtol=0, atol=1e-5)
    assert np.all(modes.residuals < 1e-5)


def test_inputs_and_time_are_those_of_the_jacobian():
    network, state, _ = moving("gru")
    inputs = {"n": lambda step: 0.5 * step + 0.0}
    matrix = gf.jacobian(network, state, inputs=inputs, time=3).as_matrix()
    radius = np.abs(np.linalg.eigvals(matrix)).max()
    spectrum = network_spectrum(network, state, inputs=inputs, time=3)
    assert spectrum.leading_edge == pytest.approx(radius, abs=ROUNDING) and spectrum.time == 3.0
    modes = leading_modes(network, state, 2, inputs=inputs, time=3)
    assert np.abs(modes.eigenvalues[0]) == pytest.approx(radius, abs=ACCEPTED)


# --- files


def test_spectrum_and_modes_become_files(tmp_path):
    network, state, _ = moving("lstm")
    spectrum = network_spectrum(network, state, vectors="both")
    modes = leading_modes(network, state, 3)
    path = io.save_netcdf(tmp_path / "a.nc", spectrum.to_dataset(), modes=modes.to_dataset())
    with xr.open_dataset(path) as read, xr.open_dataset(path, group="modes") as some:
        for dataset, result in ((read, spectrum), (some, modes)):
            joined = dataset["eigenvalues_real"].values + 1j * dataset["eigenvalues_imag"].values
            np.testing.assert_array_equal(joined, result.eigenvalues)
            assert dataset["vectors_right_imag"].dims == ("mode", "component", "unit")
            np.testing.assert_array_equal(
                dataset["vectors_right_imag"], np.imag(result.right_vectors)
            )
            assert dataset.attrs["status"] == "ok" and dataset.attrs["n"] == N
        np.testing.assert_array_equal(read["vectors_left_real"], np.real(spectrum.left_vectors))
        np.testing.assert_array_equal(read["condition_of_eigenvalues"], spectrum.condition)
        assert "vectors_left_real" not in some
    bare = network_spectrum(network, state).to_dataset()
    assert set(bare.variables) == {"eigenvalues_real", "eigenvalues_imag"}


# --- failures


def test_modes_that_do_not_converge():
    network, state, _ = moving("gated-rnn")
    with pytest.raises(NumericalFailureError, match="expected 5.*max_products.*throw=False"):
        leading_modes(network, state, 5, max_products=1)
    with pytest.raises(NumericalFailureError, match="Raise dense_limit = 0 to d N = 180"):
        leading_modes(network, state, 5, which="slow", dense_limit=0, max_products=1)
    modes = leading_modes(network, state, 5, max_products=1, left=True, throw=False)
    assert modes.status is Status.NOT_CONVERGED
    assert len(modes.eigenvalues) < 5 and modes.right_vectors.shape[1:] == (3, N)
    # Rounding keeps residuals above 1e-20: none may pass for converged.
    strict = leading_modes(network, state, 5, tolerance=1e-20, throw=False)
    assert strict.status is Status.NOT_CONVERGED and len(strict.eigenvalues) == 0


def test_a_jacobian_that_is_not_finite():
    network = uncoupled(Rooted(0.0, 0.0), 5)
    state = np.ones((2, 5))
    state[1, 2] = 0.0
    with pytest.raises(NumericalFailureError, match="not finite.*differentiable"):
        network_spectrum(network, state)
    for which in ("unstable", "slow"):
        with pytest.raises(NumericalFailureError, match="not finite.*differentiable"):
            leading_modes(network, state, 2, which=which)


def test_matrices_that_are_too_large_are_refused(monkeypatch):
    monkeypatch.setattr(spectra, "_LARGEST", 10)
    monkeypatch.setattr(spectra, "_LARGEST_WITH_VECTORS", 6)
    network = uncoupled(gf.VanillaRNN(), 7)
    assert len(network_spectrum(network, np.zeros((1, 7))).eigenvalues) == 7
    with pytest.raises(InvalidInputError, match="d N = 7: expected at most 6.*leading_modes"):
        network_spectrum(network, np.zeros((1, 7)), vectors="right")
    spectrum = network_spectrum(network, np.zeros((1, 7)), vectors="right", allow_large=True)
    assert spectrum.right_vectors.shape == (7, 1, 7)


def test_bad_arguments_are_refused():
    network, state = uncoupled(gf.VanillaRNN(), 5), np.zeros((1, 5))
    for tool in (network_spectrum, leading_modes):
        with pytest.raises(InvalidInputError, match="state = .*not finite"):
            tool(network, np.full((1, 5), np.nan))
        with pytest.raises(InvalidInputError, match="state"):
            tool(network, np.zeros((5, 1)))
    with pytest.raises(InvalidInputError, match="vectors = 'all': expected one of 'none'"):
        network_spectrum(network, state, vectors="all")
    with pytest.raises(InvalidInputError, match="which = 'fast': expected one of 'unstable'"):
        leading_modes(network, state, 2, which="fast")
    for wrong, message in ((4, "at most d N - 2 = 3.*network_spectrum"), (0, "at least 1")):
        with pytest.raises(InvalidInputError, match=f"k = {wrong}: expected .*{message}"):
            leading_modes(network, state, wrong)
    numbers: dict[str, Any] = {"tolerance": 0.0, "max_products": 0, "dense_limit": -1, "seed": -1}
    for name, wrong in numbers.items():
        with pytest.raises(InvalidInputError, match=f"{name} = "):
            leading_modes(network, state, 2, **{name: wrong})


def test_questions_a_result_cannot_answer_are_refused():
    network, state = uncoupled(gf.VanillaRNN(), 5), np.zeros((1, 5))
    spectrum, modes = network_spectrum(network, state), leading_modes(network, state, 2)
    for question in ("right_vectors", "left_vectors", "condition"):
        with pytest.raises(InvalidInputError, match="vectors"):
            getattr(spectrum, question)
    with pytest.raises(InvalidInputError, match="left=True"):
        _ = modes.left_vectors
    with pytest.raises(InvalidInputError, match="radius = -1"):
        spectrum.count(0.0, -1.0)
    with pytest.raises(InvalidInputError, match="centre = nan"):
        spectrum.count(float("nan"), 1.0)
    with pytest.raises(InvalidInputError, match=r"imaginary = \(1.0, 0.0\): expected two"):
        spectrum.count_in_box((0.0, 1.0), (1.0, 0.0))
