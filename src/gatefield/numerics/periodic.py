"""Gaussian paths round a period: their power spectra, covariances, and the noise they are made of.

The power spectrum of a path Y of n points is :math:`P_k = <|Y_k|^2> / n` with Y_k its discrete
Fourier transform, so that the covariance round the period is the inverse transform of P.
"""

from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
from scipy import fft

from gatefield.core.types import Array, Float, HostArray

_FEWEST_TO_WHITEN = 4


def covariance_of(spectrum: HostArray) -> Float[HostArray, "... lag"]:
    """Return the covariance on lags of 0 to half a period from a power spectrum (last axis)."""
    steps = 2 * (spectrum.shape[-1] - 1)
    return np.asarray(fft.irfft(spectrum, steps, axis=-1))[..., : steps // 2 + 1]


def spectrum_of(covariance: HostArray) -> Float[HostArray, "... frequency"]:
    """Return the power spectrum of a covariance on lags of 0 to half a period; clipped at 0."""
    whole = np.concatenate([covariance, covariance[..., -2:0:-1]], axis=-1)
    return np.maximum(np.real(np.asarray(fft.rfft(whole, axis=-1))), 0.0)


def multiplicity(frequencies: int) -> Float[HostArray, " frequency"]:
    """Return how often each frequency of a half spectrum stands in the whole one."""
    counts = np.full(frequencies, 2.0)
    counts[[0, -1]] = 1.0
    return counts


def power(
    path: Float[HostArray, "time sample"], workers: int = 1
) -> Float[HostArray, " frequency"]:
    """Return the power spectrum of paths, averaged over samples."""
    transformed = np.asarray(fft.rfft(path, axis=0, workers=workers))
    parts = transformed.view(path.dtype)
    # What overflows is infinite, and found where spectra are checked.
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(parts, parts).astype(np.float64)
    return squares / (path.shape[0] * path.shape[1])


def refined(spectrum: HostArray) -> Float[HostArray, "... frequency"]:
    """Return a power spectrum for steps half as long, without power at the new frequencies."""
    added = np.zeros((*spectrum.shape[:-1], spectrum.shape[-1] - 1))
    kept = 2.0 * spectrum
    # The highest frequency of the coarse grid is no longer its own mirror image.
    kept[..., -1] /= 2.0
    return np.concatenate([kept, added], axis=-1)


def white_noise(key: Array, *, rows: int, steps: int, samples: int, dtype: str) -> list[HostArray]:
    r"""Draw complex white noise (frequency, sample) for each of several rows.

    At each frequency the rows are made orthonormal over the samples,
    :math:`M^{-1}\sum w^a \bar w^b = \delta_{ab}`: paths then have exactly the covariance asked for,
    and only what is not linear in them scatters.

    Parameters
    ----------
    key
        The noise depends on it, and on the shape.
    rows
        Number of rows.
    steps
        Number of points of the period, even.
    samples
        Number M of samples.
    dtype
        Precision of the paths, "float32" or "float64".

    Returns
    -------
    list of arrays
        (steps / 2 + 1, M) each; real at the first and the last frequency.
    """
    parts = np.asarray(_normal(key, (2, steps // 2 + 1, rows, samples), dtype))
    noise = np.empty(parts.shape[1:], np.complex64 if dtype == "float32" else np.complex128)
    np.multiply(parts[0], np.sqrt(0.5), out=noise.real)
    np.multiply(parts[1], np.sqrt(0.5), out=noise.imag)
    for edge in (0, -1):
        noise[edge] = parts[0, edge]
    if samples >= _FEWEST_TO_WHITEN * rows:
        noise[0] -= noise[0].mean(axis=-1, keepdims=True)
        covariance = (noise @ noise.conj().swapaxes(1, 2) / samples).astype(np.complex128)
        noise = np.linalg.inv(np.linalg.cholesky(covariance)).astype(noise.dtype) @ noise
    return [np.ascontiguousarray(noise[:, row]) for row in range(rows)]


def drawn_path(
    noise: Float[HostArray, "frequency sample"], spectrum: HostArray, workers: int = 1
) -> Float[HostArray, "time sample"]:
    """Return real Gaussian paths of the given power spectrum."""
    steps = 2 * (len(spectrum) - 1)
    # Frequencies that the noise does not reach are left out.
    amplitude = np.sqrt(steps * spectrum[: len(noise)]).astype(np.real(noise).dtype)
    scaled = noise * amplitude[:, None]
    return np.asarray(fft.irfft(scaled, steps, axis=0, workers=workers, overwrite_x=True))


@eqx.filter_jit
def _normal(key, shape, dtype):
    return jax.random.normal(key, shape, dtype)
