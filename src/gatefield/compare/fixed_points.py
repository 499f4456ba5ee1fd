"""A search for nonzero fixed points of gated RNNs, by Newton's method from random starts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import GatedRNN
from gatefield.core.checks import check_count
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray
from gatefield.networks import Network

_NEWTON_STEPS = 40
_DAMPINGS = (1.0, 0.5, 0.25, 0.1, 0.02)
_SOLVED = 1e-10
_ZERO = 1e-4
_SAME = 1e-6


@jax.jit
def _search(cell, j_h, j_r, starts):
    """Solve h = J^h[phi(h) s_r(J^r phi(h))] from every start; return h and the residuals."""

    def residual(h):
        active = cell.activation(h)
        return h - j_h @ (active * cell.output_gate(j_r @ active))

    def step(_, h):
        move = jnp.linalg.solve(jax.jacfwd(residual)(h), residual(h))
        tried = h - jnp.asarray(_DAMPINGS)[:, None] * move
        sizes = jax.vmap(lambda x: jnp.sum(residual(x) ** 2))(tried)
        return tried[jnp.argmin(sizes)]

    def solve(h):
        h = jax.lax.fori_loop(0, _NEWTON_STEPS, step, h)
        return h, jnp.max(jnp.abs(residual(h)))

    return jax.lax.map(solve, starts, batch_size=4)


def nonzero_fixed_points(
    network: Network, *, starts: int = 40, scale: float = 0.25, seed: int = 0
) -> Float[HostArray, "found unit"]:
    """Return distinct nonzero fixed points h of a gated RNN without input.

    Parameters
    ----------
    network
        A network of GatedRNN cells; a dense (N, N) system is solved at each step.
    starts, scale, seed
        Number of random starting points, their standard deviation, and their seed.

    Returns
    -------
    array
        (found, N); a point and its mirror image, both solutions without biases, count once. Not
        finding one is no proof that none exists.

    Raises
    ------
    InvalidInputError
        For other cells.
    """
    if not isinstance(network.cell, GatedRNN):
        refuse("network.cell", network.cell, "a GatedRNN", "Other cells have other equations.")
    shape = (check_count("starts", starts), network.n)
    begin: Any = scale * np.random.default_rng(seed).standard_normal(shape)
    with jax.enable_x64(True):
        couplings = (jnp.asarray(network.coupling(name), float) for name in ("h", "r"))
        found, residuals = _search(network.cell, *couplings, jnp.asarray(begin))
    points, size = np.asarray(found), np.sqrt(np.mean(np.square(found), axis=1))
    distinct: list[np.ndarray] = []
    for h in points[(np.asarray(residuals) < _SOLVED) & (size > _ZERO)]:
        mirrored = (np.abs(s * h - known).max() < _SAME for known in distinct for s in (1, -1))
        if not any(mirrored):
            distinct.append(h)
    return np.array(distinct).reshape(-1, network.n)
