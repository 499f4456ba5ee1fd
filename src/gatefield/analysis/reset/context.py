"""A linear memory whose output gate shuts when the state aligns with a cue (Sec. VI)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.cells import LinearGatedRNN
from gatefield.core.checks import as_number, as_parameter, check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray
from gatefield.networks import Network


def memory_coupling(
    n: int, memories: int = 2, *, gain: float = 0.5, seed: int = 0
) -> tuple[Float[HostArray, "unit unit"], Float[HostArray, "memory unit"]]:
    r"""Return couplings with some modes of no decay, and the patterns of these modes.

    .. math:: J = V V^T + (1 - V V^T)\,G\,(1 - V V^T), \qquad \dot h = -h + J h

    with V (N, m) orthonormal and G random of the given gain: m eigenvalues of -1 + J are zero, with
    left and right vectors V; the others lie in a disk of that radius around -1.

    Parameters
    ----------
    n
        Number of units N.
    memories
        Number m of patterns.
    gain
        Of the other couplings, below one.
    seed
        Draws both.

    Returns
    -------
    coupling
        J, (N, N).
    patterns
        V^T, orthonormal rows (m, N).

    Raises
    ------
    InvalidInputError
        If there are more patterns than units, or the gain is not below one.
    """
    n, memories = check_count("n", n), check_count("memories", memories)
    if memories > n:
        refuse("memories", memories, f"at most n = {n}", "Patterns are orthogonal.")
    gain = as_number("gain", gain, nonnegative=True)
    if gain >= 1:
        refuse("gain", gain, "a number below 1", "Other modes must decay.")
    generator = np.random.default_rng(check_seed(seed))
    patterns = np.linalg.qr(generator.standard_normal((n, memories)))[0]
    others = np.eye(n) - patterns @ patterns.T
    random = gain / np.sqrt(n) * generator.standard_normal((n, n))
    return patterns @ patterns.T + others @ random @ others, patterns.T


def context_gate(
    coupling: Any, cue: Any, *, threshold: float = 0.5, steepness: float = 40.0, gain: float = 1.0
) -> Network:
    r"""Return a linear network whose output gate shuts where its activity aligns with a cue.

    .. math:: \dot h = -h + J[h\,\sigma_r], \qquad
        \sigma_r = \sigma\big(-k\,(u\cdot\phi(h)/N - \theta)\big), \qquad \phi(h) = \tanh(g\,h)

    by J^r = -k 1 u^T / N of rank one and a bias: all units share one gate.

    Parameters
    ----------
    coupling
        J, (N, N), for instance from `memory_coupling`.
    cue
        The pattern u, (N,); it is scaled to root mean square one.
    threshold
        Alignment :math:`\theta` at which the gate is half shut, in (0, 1).
    steepness
        k: the gate goes from open to shut within a few 1/k; it is open to 1 - e^(-k theta) where
        nothing aligns, so k theta of some 20 keeps memories.
    gain
        g of the activation.

    Returns
    -------
    Network
        Of `LinearGatedRNN`.

    Raises
    ------
    InvalidInputError
        For shapes or numbers that do not fit.

    Assumptions
    -----------
    The gate has no memory of its own: it is shut only as long as the alignment exceeds
    :math:`\theta`. A memory along u itself is thus cut to about :math:`\theta`, not to zero; a
    memory along another direction is erased by e^-d, d the time for which a cue along u lasts.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. VI.
    """
    matrix, cue = np.asarray(as_parameter("coupling", coupling)), as_parameter("cue", cue)
    if cue.ndim != 1 or not cue.size or not np.any(cue):
        refuse("cue", np.shape(cue), "a pattern (N,) that is not zero", "One value for each unit.")
    if matrix.shape != (cue.size, cue.size):
        refuse("coupling.shape", matrix.shape, f"({cue.size}, {cue.size})", "As long as the cue.")
    threshold = as_number("threshold", threshold, positive=True)
    if threshold >= 1:
        refuse("threshold", threshold, "a number below 1", "tanh does not exceed one.")
    steepness = as_number("steepness", steepness, positive=True)
    pattern = cue / np.sqrt(np.mean(cue**2))
    gate = -steepness / cue.size * np.outer(np.ones(cue.size), pattern)
    cell = LinearGatedRNN(gain, alpha_r=1.0, beta_r=steepness * threshold)
    return Network.of_couplings(cell, {"r": gate, "h": matrix})
