"""Couplings against random matrices: known gains, planted structure, margins of known laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import gatefield as gf
from gatefield.diagnosis.couplings import couplings_of
from gatefield.diagnosis.margins import beyond, singular_margin, spectral_margin

N = 200
GAINS = np.array([0.4, 0.8, 1.5])


def of_matrix(J):
    return couplings_of(gf.Network.of_couplings(gf.ElmanRNN(), {"h": J}))[0]


def gaussian(rng, shape=(N, N)):
    return rng.standard_normal(shape) / np.sqrt(shape[-1])


@pytest.fixture(scope="module")
def drawn():
    """Return what is found in a random GRU of known gains."""
    rng = np.random.default_rng(0)
    couplings = {name: g * gaussian(rng) for name, g in zip("rzn", GAINS, strict=True)}
    return couplings_of(gf.Network.of_couplings(gf.GRU(), couplings))


def test_gains_are_recovered(drawn):
    found, notes = drawn
    # N^2 squares of normal numbers: the root of their mean scatters by 1 / (sqrt(2) N).
    np.testing.assert_allclose(found.gain, GAINS, rtol=4 / (np.sqrt(2) * N))
    np.testing.assert_allclose(found.bulk_gain, found.gain, rtol=1e-12)
    assert found.field_names == ("r", "z", "n") and notes == ()


def test_random_couplings_show_no_structure(drawn):
    found, _ = drawn
    np.testing.assert_array_equal(found.outliers, 0)
    np.testing.assert_array_equal(found.singular_outliers, 0)
    # Quarter circle: <s^2> = 1, <s^4> = 2. The fourth moment scatters by about 4 / N.
    np.testing.assert_allclose(found.effective_rank / N, 0.5, rtol=4 * 4 / N)
    # N (N - 1) / 2 products of independent pairs.
    np.testing.assert_allclose(found.reciprocity, 0, atol=4 * np.sqrt(2) / N)
    np.testing.assert_allclose(found.asymmetry, 1, atol=4 * np.sqrt(2) / N)
    np.testing.assert_allclose(found.kurtosis, 0, atol=4 * np.sqrt(24) / N)
    # Standard deviation of N norms, each of relative spread sqrt(1 / 2N).
    scatter = 4 / np.sqrt(2 * N)
    np.testing.assert_allclose(found.row_spread / found.expected_spread, 1, atol=scatter)
    np.testing.assert_allclose(found.column_spread / found.expected_spread, 1, atol=scatter)
    # The sum of N^2 entries of standard deviation gain / sqrt(N), over N.
    np.testing.assert_allclose(found.mean / GAINS, 0, atol=4 / np.sqrt(N))


def test_a_planted_outlier_is_found_where_it_was_put():
    rng = np.random.default_rng(1)
    g, place = 0.7, -2.5
    direction = rng.standard_normal(N)
    direction /= np.linalg.norm(direction)
    found = of_matrix(g * gaussian(rng) + place * np.outer(direction, direction))
    assert found.outliers[0] == 1 and found.singular_outliers[0] == 1
    # Tao (2013): at the planted eigenvalue, with fluctuations g / sqrt(N (1 - g^2 / place^2)).
    scatter = g / np.sqrt(N * (1 - (g / place) ** 2))
    np.testing.assert_allclose(found.eigenvalues[0, 0], place, atol=4 * scatter)
    # Without it the bulk has its own gain; with it the norm is larger by place^2 / N.
    np.testing.assert_allclose(found.bulk_gain, g, rtol=0.02)
    np.testing.assert_allclose(found.gain**2, g**2 + place**2 / N, rtol=0.02)


def test_a_common_mean_is_told_by_its_eigenvalue():
    rng = np.random.default_rng(2)
    found = of_matrix(0.5 * gaussian(rng) + 3.0 / N)
    np.testing.assert_allclose(found.mean[0], 3.0, atol=4 * 0.5 / np.sqrt(N))
    np.testing.assert_allclose(np.abs(found.eigenvalues[0, 0]), 3.0, atol=4 * 0.5 / np.sqrt(N))


def test_symmetry_rank_and_kurtosis_of_known_matrices():
    rng = np.random.default_rng(3)
    G = gaussian(rng)
    symmetric = of_matrix(G + G.T)
    assert symmetric.asymmetry[0] == 0
    np.testing.assert_allclose(symmetric.reciprocity[0], 1, rtol=1e-12)
    assert of_matrix(G - G.T).asymmetry[0] == np.inf
    orthogonal = of_matrix(0.9 * np.linalg.qr(G)[0])
    np.testing.assert_allclose(orthogonal.effective_rank[0], N, rtol=1e-10)
    np.testing.assert_allclose(orthogonal.gain[0], 0.9, rtol=1e-12)
    assert orthogonal.outliers[0] == 0 and orthogonal.singular_outliers[0] == 0
    # PyTorch's default. The sample kurtosis of uniform entries scatters by 0.8 sqrt(24) / N.
    uniform = of_matrix(rng.uniform(-1, 1, (N, N)) / np.sqrt(N))
    np.testing.assert_allclose(uniform.kurtosis[0], -1.2, atol=4 * np.sqrt(24) / N)
    np.testing.assert_allclose(uniform.gain[0], np.sqrt(1 / 3), rtol=4 / N)


def test_rows_and_columns_have_their_own_spread():
    rng = np.random.default_rng(6)
    sizes = np.repeat([1.0, 3.0], N // 2)
    Q = np.linalg.qr(gaussian(rng))[0]
    found = of_matrix(sizes[:, None] * Q)
    # Rows of norms 1 and 3: mean 2, standard deviation 1. Columns mix them all.
    np.testing.assert_allclose(found.row_spread[0], 0.5, rtol=1e-12)
    assert found.column_spread[0] < 0.1
    np.testing.assert_allclose(of_matrix(Q * sizes).column_spread[0], 0.5, rtol=1e-12)


def test_a_matrix_without_bulk_is_said_to_have_none():
    values = np.exp(-np.arange(64) / 4.0)
    network = gf.Network.of_couplings(gf.ElmanRNN(), {"h": np.diag(values)})
    found, notes = couplings_of(network)
    assert found.singular_outliers[0] == 16 and "without an edge" in notes[0]
    nothing = of_matrix(np.zeros((64, 64)))
    assert nothing.gain[0] == 0 and nothing.outliers[0] == 0 and nothing.effective_rank[0] == 0


def test_couplings_of_low_rank_have_no_bulk():
    few = of_matrix(np.diag(np.repeat([3.0, 0.0], [5, 59])))
    assert few.bulk_gain[0] == 0 and few.outliers[0] == few.singular_outliers[0] == 5
    assert few.numerical_rank[0] == 5
    u = np.random.default_rng(7).standard_normal((64, 3))
    # Single precision leaves rounding where the exact product has zeros.
    product = (u @ u.T / 64).astype(np.float32).astype(float)
    three = of_matrix(product)
    assert three.bulk_gain[0] == 0 and three.outliers[0] == three.numerical_rank[0] == 3
    expected = np.sort(np.linalg.eigvalsh(u.T @ u / 64))[::-1]
    np.testing.assert_allclose(np.real(three.eigenvalues[0, :3]), expected, rtol=1e-5)
    constant = of_matrix(np.full((40, 40), -0.75))
    assert constant.outliers[0] == 1 and constant.numerical_rank[0] == 1
    np.testing.assert_allclose(constant.eigenvalues[0, 0], -30.0, rtol=1e-12)


def test_a_nilpotent_matrix_has_no_outlier():
    rng = np.random.default_rng(8)
    u, v = np.linalg.qr(rng.standard_normal((64, 2)))[0].T
    found = of_matrix(3.0 * np.outer(u, v))
    # One singular value, and the eigenvalue v.u = 0 alone.
    assert found.numerical_rank[0] == found.singular_outliers[0] == 1 and found.outliers[0] == 0


def test_one_real_unit_is_a_normal_number():
    np.testing.assert_allclose(1 + spectral_margin(1), norm.isf(5e-4), rtol=1e-9)


def test_as_many_eigenvalues_lie_beyond_as_the_exact_densities_say():
    rng = np.random.default_rng(9)
    n, draws, radius = 12, 4000, np.sqrt(12) + 0.5
    values = np.linalg.eigvals(rng.standard_normal((draws, n, n)))
    # Each pair once. Numbers of a matrix hardly vary by more than independent ones.
    counts = np.sum((np.abs(values) > radius) & (values.imag >= 0), axis=1)
    error = counts.std() / np.sqrt(draws)
    np.testing.assert_allclose(counts.mean(), beyond(n, radius), atol=4 * error)
    assert error < 0.05 * counts.mean()


def test_random_matrices_hardly_ever_exceed_the_margins():
    rng = np.random.default_rng(4)
    n, draws = 16, 4000
    matrices = gaussian(rng, (draws, n, n))
    largest = np.abs(np.linalg.eigvals(matrices)).max(axis=1)
    highest = np.linalg.norm(matrices, 2, axis=(1, 2))
    # One in a thousand of 4000: none, or twelve and more, in less than one of 50 such tests.
    assert 0 < np.sum(largest > 1 + spectral_margin(n)) < 12
    assert np.sum(highest > 2 * (1 + singular_margin(n))) < 12
    # And not much larger than need be: one in a hundred lies in the margin's outer half.
    assert np.max(highest) > 2 * (1 + 0.3 * singular_margin(n))
