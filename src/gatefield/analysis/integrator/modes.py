"""Which modes of a network's Jacobian are slow, and which of them are spread over many units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gatefield.analysis.spectra import NetworkSpectrum, network_spectrum
from gatefield.cells import AbstractMap
from gatefield.core.checks import check_names
from gatefield.core.errors import refuse
from gatefield.core.types import Complex, Float, HostArray
from gatefield.networks import Network
from gatefield.networks.inputs import Inputs

_REACHED = 0.01
"""Least part of a mode's weight in the components that input reaches, for a mode to be driven."""


def mode_spectrum(
    network: Network, state: Any, inputs: Inputs | None, spectrum: NetworkSpectrum | None
) -> NetworkSpectrum:
    """Return the spectrum with both kinds of vectors at a state, or check the given one.

    Raises
    ------
    InvalidInputError
        If a given spectrum is no `NetworkSpectrum`, lacks vectors, or belongs to a network of other
        units, other components of the state, or another kind of time.
    """
    if spectrum is None:
        return network_spectrum(network, state, inputs=inputs, vectors="both")
    remedy = "Leave it out, or pass network_spectrum(..., vectors='both') at this state."
    if not isinstance(spectrum, NetworkSpectrum) or spectrum.n != network.n:
        refuse("spectrum", spectrum, f"a NetworkSpectrum of {network.n} units", remedy)
    if not {"left_real", "right_real"} <= set(spectrum.vectors):
        refuse("spectrum.vectors", sorted(spectrum.vectors), "both sides", remedy)
    given, own = spectrum.right_vectors.shape[1:], (len(network.cell.state_names), network.n)
    if given != own:
        refuse("spectrum.right_vectors.shape[1:]", given, f"{own}, as the state has", remedy)
    if spectrum.is_map != is_map(network):
        refuse("spectrum.is_map", spectrum.is_map, f"{is_map(network)}, as the network", remedy)
    return spectrum


def decay_rates(spectrum: NetworkSpectrum) -> Float[HostArray, " mode"]:
    """Return -Re lambda of a flow's modes, -ln |lambda| of a map's."""
    if spectrum.is_map:
        size = np.abs(spectrum.eigenvalues)
        return -np.log(np.maximum(size, np.finfo(float).tiny))
    return -spectrum.eigenvalues_real


def distances(spectrum: NetworkSpectrum) -> Float[HostArray, " mode"]:
    """Return how far eigenvalues are from where nothing moves: 0 (flows) or 1 (maps)."""
    return np.abs(spectrum.eigenvalues - float(spectrum.is_map))


def reached_components(network: Network, onto: Sequence[str] | None) -> Float[HostArray, " d"]:
    """Return 1 for each component of the state that input is added to, 0 for the others.

    Raises
    ------
    InvalidInputError
        For no names, or ones that the cell's state does not have.
    """
    names = network.cell.state_names
    if onto is None:
        return np.ones(len(names))
    if isinstance(onto, str) or not onto:
        refuse("onto", onto, f"some of {names}", "Pass for instance ('h',).")
    check_names("onto", onto, names)
    return np.array([float(name in onto) for name in names])


def participation(weights: Float[HostArray, "... unit"]) -> Float[HostArray, "..."]:
    r"""Return (sum w)^2 / sum w^2 over units, the number of units that carry the weight w >= 0."""
    total, square = weights.sum(axis=-1), (weights**2).sum(axis=-1)
    return total**2 / np.where(square > 0, square, 1.0)


def driven_modes(
    spectrum: NetworkSpectrum, reached: Float[HostArray, " d"], *, slow: float, fast: float
) -> tuple[HostArray, HostArray]:
    """Return slow and fast modes that input can drive, the most extended first.

    Parameters
    ----------
    spectrum
        With both kinds of vectors.
    reached
        1 for components that input reaches.
    slow
        Largest distance of a slow mode from 0 (flows) or 1 (maps). Where there is none, the slowest
        mode stands for them.
    fast
        Least decay rate of a fast mode; where there is none, the fastest stands for them.

    Returns
    -------
    slow, fast
        Indices of modes; of a conjugate pair one.
    """
    right, left = spectrum.right_vectors, spectrum.left_vectors
    part = np.abs(right) ** 2 * reached[:, None]
    spread = participation(part.sum(axis=1))
    usable = (part.sum(axis=(1, 2)) >= _REACHED) & (spectrum.eigenvalues_imag >= 0)
    usable &= np.all(np.isfinite(left), axis=(1, 2))
    near = distances(spectrum)
    found = np.flatnonzero(usable & (near < slow))
    if not found.size and np.any(usable):
        found = np.flatnonzero(usable)
        found = found[[np.argmin(near[found])]]
    rates = decay_rates(spectrum)
    quick = np.flatnonzero(usable & (rates >= fast))
    if not quick.size and np.any(usable):
        quick = np.flatnonzero(usable)
        quick = quick[[np.argmax(rates[quick])]]
    return found[np.argsort(-spread[found])], quick[np.argsort(-spread[quick])]


def pattern_of(
    vector: Complex[HostArray, "component unit"], reached: Float[HostArray, " d"]
) -> Float[HostArray, "component unit"]:
    """Return a real input pattern of unit norm along a mode, in the components that are reached.

    Of a complex mode it is the longer axis of the ellipse that its plane describes.
    """
    part = vector * reached[:, None]
    turned = np.real(part * np.exp(-0.5j * np.angle(np.sum(part**2))))
    return turned / np.linalg.norm(turned)


def slow_subspace(spectrum: NetworkSpectrum, slow: float) -> Float[HostArray, "state direction"]:
    """Return an orthonormal basis (columns) of the space that the slow modes span."""
    kept = (distances(spectrum) < slow) & (spectrum.eigenvalues_imag >= 0)
    size = spectrum.eigenvalues.size
    vectors = spectrum.right_vectors[kept].reshape(-1, size)
    if not vectors.size:
        return np.zeros((size, 0))
    parts = np.concatenate([np.real(vectors), np.imag(vectors)])
    basis, sizes, _ = np.linalg.svd(parts.T, full_matrices=False)
    return basis[:, sizes > np.sqrt(np.finfo(float).eps) * sizes[0]]


def is_map(network: Network) -> bool:
    """Return whether the network's time counts steps."""
    return isinstance(network.cell, AbstractMap)
