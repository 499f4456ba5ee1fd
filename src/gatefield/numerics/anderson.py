"""Anderson acceleration of a fixed-point iteration."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.core.types import Float, HostArray

_TREND = 0.02
_LARGEST_CHANGE = 3.0
_LARGEST_GROWTH = 3.0


class Anderson:
    r"""Propose the next argument of a fixed-point problem x = G(x) from the last ones.

    .. math:: x_{k+1} = G(x_k) - \sum_j c_j\,[G(x_{j+1}) - G(x_j)], \quad
        c = \arg\min \Big| r_k - \sum_j c_j\,(r_{j+1} - r_j) \Big|, \quad r = G(x) - x

    A proposal may not reverse the trend of the plain iteration, |x| growing or falling by more than
    2 per cent, nor change |x| by more than a factor of 3 beside it: a decaying or growing iteration
    then ends where it leads, not at a solution on the other side. Where the residual has grown to
    three times its least, the memory is dropped and half the plain step is taken.

    Parameters
    ----------
    weights
        Weights of the components in the norm, of x's shape.
    depth
        Number of earlier residuals that are remembered.

    References
    ----------
    Walker and Ni, SIAM J. Numer. Anal. 49, 1715 (2011).
    """

    def __init__(self, weights: Any, depth: int = 6):
        self._weights, self._depth = np.ravel(weights), depth
        self._seen: list[tuple[HostArray, HostArray]] = []
        self._least = np.inf

    def __call__(self, x: HostArray, mapped: HostArray) -> Float[HostArray, "..."]:
        """Return the next argument, given the last one and its image."""
        flat, image = np.ravel(x) * self._weights, np.ravel(mapped) * self._weights
        size = float(np.linalg.norm(image - flat))
        if size > _LARGEST_GROWTH * self._least:
            self._seen, self._least = [], size
            return (x + mapped) / 2
        self._least = min(self._least, size)
        self._seen = [*self._seen[-self._depth :], (image, image - flat)]
        if len(self._seen) < 2:
            return mapped
        images, residuals = (np.stack(each, axis=1) for each in zip(*self._seen, strict=True))
        steps = np.diff(residuals, axis=1)
        coefficients = np.linalg.lstsq(steps, residuals[:, -1], rcond=1e-8)[0]
        proposed = image - np.diff(images, axis=1) @ coefficients
        return (_held(flat, image, proposed) / self._weights).reshape(np.shape(x))


def _held(x: HostArray, image: HostArray, proposed: HostArray) -> HostArray:
    """Return the proposal, or something nearer to the plain image where it goes astray."""
    before, plain, after = (float(np.linalg.norm(each)) for each in (x, image, proposed))
    if min(before, plain, after) == 0:
        return image
    trend = np.log(plain / before)
    if abs(trend) > _TREND and np.log(after / before) * trend < 0:
        return image
    factor = after / plain
    return proposed * np.clip(factor, 1 / _LARGEST_CHANGE, _LARGEST_CHANGE) / factor
