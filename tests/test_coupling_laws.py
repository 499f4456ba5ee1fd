"""The three laws of couplings, by their own moments."""

from __future__ import annotations

import numpy as np
import pytest

import gatefield as gf
from gatefield.core.errors import InvalidInputError
from gatefield.initialise.couplings import COUPLINGS, coupling_matrix, draw_couplings

N = 200


def drawn(law, seed=0):
    return coupling_matrix(law, N, np.random.default_rng(seed))


@pytest.mark.parametrize("law", COUPLINGS)
def test_entries_have_mean_zero_and_variance_one_over_n(law):
    entries = drawn(law).ravel()
    # Four standard errors of N^2 entries; the fourth moment of a normal one, 3/N^2, is the largest.
    assert abs(entries.mean()) < 4 / np.sqrt(N**2 * N)
    assert abs(np.mean(entries**2) - 1 / N) < 4 * np.sqrt(2) / N / N


def test_each_law_is_itself():
    normal, uniform, orthogonal = (drawn(law) for law in ("normal", "uniform", "orthogonal"))
    # Fourth moments over squared variance: 3 and 9/5, whose errors at 40,000 entries are
    # sqrt(96/40,000) and less.
    fourth = [np.mean(x**4) / np.mean(x**2) ** 2 for x in (normal, uniform)]
    np.testing.assert_allclose(fourth, [3.0, 1.8], rtol=0, atol=4 * np.sqrt(96) / N)
    assert np.abs(uniform).max() <= np.sqrt(3 / N)
    np.testing.assert_allclose(orthogonal @ orthogonal.T, np.eye(N), rtol=0, atol=1e-12)


def test_orthogonal_matrices_are_uniform_over_the_group():
    generator = np.random.default_rng(1)
    corners = np.array([coupling_matrix("orthogonal", 2, generator)[0, 0] for _ in range(2000)])
    # The cosine of a uniform angle: mean 0 and variance 1/2, whose errors are 1/sqrt(2 * 2000) and
    # 1/sqrt(8 * 2000). QR without its signs has a negative corner always.
    assert abs(corners.mean()) < 4 / np.sqrt(4000)
    assert abs(corners.var() - 0.5) < 4 / np.sqrt(16000)


def test_gains_scale_matrices_and_rows():
    rows = np.linspace(0.5, 2.0, N)
    cell = gf.GRU(gain_r=0.0, gain_z=3.0, gain_n=rows)
    found = draw_couplings(cell, N, np.random.default_rng(0), "orthogonal")
    assert tuple(found) == ("r", "z", "n")
    assert np.all(found["r"] == 0)
    np.testing.assert_allclose(np.linalg.svd(found["z"])[1], 3.0, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found["n"], axis=1), rows, rtol=1e-12)


def test_one_source_gives_the_same_matrices_again():
    first, again = (draw_couplings(gf.LSTM(), 5, np.random.default_rng(7)) for _ in range(2))
    for name in "ifgo":
        assert np.array_equal(first[name], again[name])
    assert not np.array_equal(first["i"], first["f"])


@pytest.mark.parametrize(
    ("law", "n", "message"),
    [
        pytest.param("gaussian", 3, "one of 'normal', 'orthogonal', 'uniform'", id="law"),
        pytest.param("normal", 0, "an integer of at least 1", id="size"),
    ],
)
def test_what_does_not_fit_is_refused(law, n, message):
    with pytest.raises(InvalidInputError, match=message):
        coupling_matrix(law, n, np.random.default_rng(0))
    with pytest.raises(InvalidInputError, match="gain of z"):
        draw_couplings(gf.GRU(gain_z=np.ones(4)), 3, np.random.default_rng(0))
