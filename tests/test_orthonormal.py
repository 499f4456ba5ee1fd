"""Orthonormal rows against NumPy's QR decomposition; block errors against known noise."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gatefield.numerics.blocking import blocked_error
from gatefield.numerics.orthonormal import (
    departure_from_orthonormality,
    householder_rows,
    orthonormal_rows,
)


def rows_of(count, size, ratio, seed=0):
    """Return rows whose lengths beyond those before fall from 1 to about ``ratio``."""
    drawn = np.random.default_rng(seed).standard_normal((size, count))
    frame = np.linalg.qr(drawn)[0].T
    mixed = np.tril(np.random.default_rng(seed + 1).standard_normal((count, count)), -1) / 10
    scale = np.geomspace(1.0, ratio, count)
    return scale[:, None] * ((np.eye(count) + mixed / count) @ frame)


@pytest.mark.parametrize(
    ("count", "size"), [(1, 1), (5, 9), (127, 127), (129, 300), (300, 300), (600, 601)]
)
def test_products_give_the_decomposition_of_householder(count, size):
    """Errors are eps over the ratio of lengths squared, 1e-10."""
    rows = rows_of(count, size, 1e-3 if count > 1 else 1.0)
    with jax.enable_x64(True):
        found = orthonormal_rows(jnp.asarray(rows))
        departure = float(departure_from_orthonormality(found.rows))
    q, r = np.linalg.qr(rows.T)
    signs = np.sign(np.diag(r))
    assert bool(found.safe) and departure < 1e-10
    np.testing.assert_allclose(found.lengths, np.abs(np.diag(r)), rtol=1e-9)
    np.testing.assert_allclose(found.rows, (q * signs).T, atol=1e-9)


@pytest.mark.parametrize("length", [1.0, 1e5], ids=["short", "long"])
@pytest.mark.parametrize("bad", [0, 150, 290], ids=["first", "middle", "last"])
def test_skew_rows_are_finished_by_householder(bad, length):
    """Blocks that are left as they are do not change what the others were long."""
    rows = length * rows_of(300, 310, 1e-2)
    rows[bad + 5] = rows[bad + 2] + 1e-9 * rows[bad + 5]
    with jax.enable_x64(True):
        found = orthonormal_rows(jnp.asarray(rows))
        assert not bool(found.safe)
        finished, rest = householder_rows(found.rows)
        departure = float(departure_from_orthonormality(finished))
    q, r = np.linalg.qr(rows.T)
    # The length of 1e-11 is what rounding leaves of it.
    lengths = np.asarray(found.lengths) * np.asarray(rest)
    np.testing.assert_allclose(lengths, np.abs(np.diag(r)), rtol=1e-4)
    np.testing.assert_allclose(np.abs(np.sum(np.asarray(finished) * q.T, axis=1)), 1.0, atol=1e-4)
    assert departure < 1e-13


def test_dependent_rows_have_length_zero():
    rows = np.eye(4)[[0, 1, 1, 3]]
    with jax.enable_x64(True):
        assert not bool(orthonormal_rows(jnp.asarray(rows)).safe)
        finished, lengths = householder_rows(jnp.asarray(rows))
    np.testing.assert_array_equal(lengths, [1, 1, 0, 1])
    finished = np.asarray(finished)
    np.testing.assert_allclose(finished @ finished.T, np.eye(4), atol=1e-15)


def test_single_precision_stays_single():
    rows = rows_of(40, 50, 0.2).astype(np.float32)
    found = orthonormal_rows(jnp.asarray(rows))
    assert found.rows.dtype == jnp.float32 and bool(found.safe)
    # eps / .2^2 is 3e-6.
    assert float(departure_from_orthonormality(found.rows)) < 1e-5


@pytest.mark.parametrize(
    "memory", [0.0, 0.9, -0.9], ids=["independent", "correlated", "alternating"]
)
def test_blocked_errors_are_the_scatter_of_means(memory):
    """Autoregressive noise, whose mean has a variance that is known."""
    rng = np.random.default_rng(1)
    count, series = 1024, 400
    values, last = np.empty((count, series)), rng.standard_normal(series)
    for k in range(count):
        last = memory * last + np.sqrt(1 - memory**2) * rng.standard_normal(series)
        values[k] = last
    exact = np.sqrt((1 + memory) / (1 - memory) / count)
    found = blocked_error(values)
    assert found.shape == (series,)
    # Blocks of 128 are 7 correlation times long; eight of them know their scatter to 1/sqrt(14),
    # and 400 series that to a per cent or two.
    assert np.sqrt(np.mean(found**2)) == pytest.approx(exact, rel=0.08)
    assert np.mean(values.mean(axis=0) ** 2) == pytest.approx(exact**2, rel=0.2)
