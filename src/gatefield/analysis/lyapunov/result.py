"""What `lyapunov_spectrum` returns: exponents, their errors, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.core.checks import check_count
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray, Int
from gatefield.numerics.blocking import blocked_error

_ROUNDING = 1e-10


class LyapunovSpectrum(AbstractResult):
    r"""Lyapunov exponents of a network along one trajectory, natural log, descending.

    Rates are per unit of the units' own time constant (flows) or per step (maps).

    Attributes
    ----------
    exponents
        lambda_1 >= lambda_2 >= ..., (k,). Minus infinity where a map is not invertible, or loses a
        direction in rounding beside its largest growth (1e-13 in a step).
    standard_errors
        Of each, from the scatter of 8 to 15 blocks of time (shorter ones merged). Motions slower
        than a tenth of the run, as beside marginal stability, are not in it.
    layer
        Which layer of a stack each belongs to, (k,); 0 for single networks.
    block_exponents
        (block, k): the growth rates within each block, in the order of the frame's rows (of a
        stack: layer after layer).
    block_time
        Duration of a block.
    size
        Number of exponents that the network has, d N.
    departure
        Largest entry of :math:`|QQ^T - 1|` seen; the frame's orthogonality.
    precision_error
        Where the frame is float32: largest difference of a block's rates from float64, that block
        repeated; NaN for float64.
    interval
        Steps between orthonormalisations, at the end.
    state, frame
        Where the run ended: (d, N) and (k, d, N); a later run can go on from there. Of a stack the
        states of its layers, (layers d, N), and no frame.
    certain
        How many of them are surely the largest: all, unless only the first k of each layer of a
        stack are known, where further ones may lie between the later of them. Dimension and
        entropy rate rest on these.
    is_map
        Whether rates are per step.
    status
        OK; MAX_STEPS if a requested accuracy was not reached by ``t_max``; DIVERGED.
    settings
        What made the run.
    """

    exponents: Float[HostArray, " rank"] = eqx.field(
        metadata=quantity("rank", unit="1 / time constant")
    )
    standard_errors: Float[HostArray, " rank"] = eqx.field(
        metadata=quantity("rank", unit="1 / time constant")
    )
    layer: Int[HostArray, " rank"] = eqx.field(metadata=quantity("rank"))
    block_exponents: Float[HostArray, "block exponent"] = eqx.field(
        metadata=quantity("block", "row", unit="1 / time constant")
    )
    block_time: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant"))
    size: int = eqx.field(static=True)
    departure: Float[HostArray, ""] = eqx.field(metadata=quantity())
    precision_error: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    interval: int = eqx.field(static=True)
    state: Float[HostArray, "component unit"] = eqx.field(metadata=quantity("component", "unit"))
    frame: Float[HostArray, "row component unit"] = eqx.field(
        metadata=quantity("direction", "component", "unit")
    )
    certain: int = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    @property
    def complete(self) -> bool:
        """Whether these are all exponents of the network."""
        return self.exponents.size == self.size

    @property
    def kaplan_yorke_dimension(self) -> float:
        r"""Dimension of the attractor :math:`j + \sum_{i\le j}\lambda_i/|\lambda_{j+1}|` (Eq. 9).

        j is the last index at which the sum of exponents is not negative. Zero if the largest
        exponent is negative; NaN if the sum does not cross zero within the exponents that are
        known, which `dimension_reached` tells.
        """
        return kaplan_yorke_dimension(self.exponents[: self.certain], complete=self.complete)

    @property
    def dimension_reached(self) -> bool:
        """Whether the sum of the known exponents crosses zero (or all of them are known)."""
        return bool(np.isfinite(self.kaplan_yorke_dimension))

    @property
    def kaplan_yorke_error(self) -> float:
        """Standard error of the dimension: each tenth of the run is left out once (jackknife).

        NaN where the largest exponent is zero within two of its errors: the dimension jumps there,
        from zero to at least one.
        """
        if not abs(self.exponents[0]) > 2 * self.standard_errors[0]:
            return np.nan
        return self._jackknife(lambda each: kaplan_yorke_dimension(each, complete=self.complete))

    @property
    def entropy_rate(self) -> float:
        """Sum of the positive exponents, in nats: an upper bound of the entropy rate (Ruelle).

        NaN if the smallest known exponent is positive, so that others may be.
        """
        return _entropy_rate(self.exponents[: self.certain], complete=self.complete)

    @property
    def entropy_rate_error(self) -> float:
        """Standard error of the entropy rate, by the jackknife."""
        return self._jackknife(lambda each: _entropy_rate(each, complete=self.complete))

    @property
    def positive(self) -> int:
        """Number of exponents that are positive by more than three of their standard errors.

        And by more than rounding, 1e-10.
        """
        return int(np.sum(self.exponents > np.maximum(3 * self.standard_errors, _ROUNDING)))

    @property
    def history(self) -> Float[HostArray, "block exponent"]:
        """Estimates after each block, (block, k), descending: how the run converged."""
        counts = np.arange(1, len(self.block_exponents) + 1)[:, None]
        return -np.sort(-np.cumsum(self.block_exponents, axis=0) / counts, axis=1)

    def finite_time(self, blocks: int = 1) -> Float[HostArray, "window exponent"]:
        """Return the exponents of consecutive windows of so many blocks, in the frame's order."""
        blocks = check_count("blocks", blocks)
        if blocks > len(self.block_exponents):
            remedy = f"The run has {len(self.block_exponents)} blocks."
            refuse("blocks", blocks, "a number of blocks of the run", remedy)
        count = len(self.block_exponents) // blocks
        kept = self.block_exponents[: count * blocks]
        return kept.reshape(count, blocks, -1).mean(axis=1)

    def _jackknife(self, statistic) -> float:
        count = len(self.block_exponents)
        if count < 2:
            return np.nan
        largest = np.argsort(-self.block_exponents.mean(axis=0), kind="stable")[: self.certain]
        parts = np.array_split(np.arange(count), min(10, count))
        others = [
            np.delete(self.block_exponents[:, largest], part, axis=0).mean(axis=0) for part in parts
        ]
        left = np.array([statistic(-np.sort(-each)) for each in others])
        return float(np.sqrt((len(left) - 1) * np.mean((left - left.mean()) ** 2)))


def kaplan_yorke_dimension(exponents: Any, *, complete: bool = True) -> float:
    r"""Return the Kaplan-Yorke dimension :math:`j + \sum_{i\le j}\lambda_i/|\lambda_{j+1}|`, Eq. 9.

    Parameters
    ----------
    exponents
        In any order.
    complete
        Whether these are all exponents; otherwise they are the largest.

    Returns
    -------
    float
        Zero if no exponent is zero or positive; the number of exponents if all are known and their
        sum is not negative; NaN if the sum of the known ones does not cross zero, or one is NaN.
    """
    ordered = -np.sort(-np.asarray(exponents, float).ravel())
    if np.any(np.isnan(ordered)):
        return np.nan
    sums = np.cumsum(ordered)
    if ordered.size == 0 or ordered[0] < 0:
        return 0.0
    below = np.flatnonzero(sums < 0)
    if below.size == 0:
        return float(ordered.size) if complete else np.nan
    j = int(below[0])
    return float(j + sums[j - 1] / abs(ordered[j]))


def _entropy_rate(exponents: HostArray, *, complete: bool) -> float:
    if not complete and exponents[-1] > 0:
        return np.nan
    return float(np.sum(np.maximum(exponents, 0.0)))


def ordered_with_errors(
    blocks: Float[HostArray, "block exponent"],
) -> tuple[HostArray, HostArray, HostArray]:
    """Return means over blocks, descending, their standard errors, and the order.

    Errors of minus infinity, and of fewer than two blocks, are NaN.
    """
    if len(blocks) < 2:
        nothing = np.full(blocks.shape[1], np.nan)
        return nothing, nothing, np.arange(blocks.shape[1])
    mean, error = blocks.mean(axis=0), np.full(blocks.shape[1], np.nan)
    error[np.isfinite(mean)] = blocked_error(blocks[:, np.isfinite(mean)])
    order = np.argsort(-mean, kind="stable")
    return mean[order], error[order], order


def merged(layers: Sequence[LyapunovSpectrum]) -> LyapunovSpectrum:
    """Return the exponents of a stack of layers, over the blocks that all of them ran."""
    blocks = min(len(layer.block_exponents) for layer in layers)
    rates = np.concatenate([layer.block_exponents[:blocks] for layer in layers], axis=1)
    exponents, errors, order = ordered_with_errors(rates)
    which = np.repeat(np.arange(len(layers)), [layer.exponents.size for layer in layers])
    statuses = [layer.status for layer in layers]
    worst = next(
        (each for each in (Status.DIVERGED, Status.MAX_STEPS) if each in statuses), Status.OK
    )
    # Below the last known exponent of a layer others of it may follow that were not asked for.
    lowest = [np.min(exponents[which[order] == place]) for place in range(len(layers))]
    open_ended = [not layer.complete for layer in layers]
    floor = max(
        (each for each, some in zip(lowest, open_ended, strict=True) if some), default=-np.inf
    )
    state = np.concatenate([layer.state for layer in layers])
    return LyapunovSpectrum(
        exponents=exponents,
        standard_errors=errors,
        layer=which[order],
        block_exponents=rates,
        block_time=layers[0].block_time,
        size=sum(layer.size for layer in layers),
        departure=np.max([layer.departure for layer in layers]),
        precision_error=np.max([layer.precision_error for layer in layers]),
        interval=min(layer.interval for layer in layers),
        state=state,
        frame=np.zeros((0, *state.shape)),
        certain=int(np.sum(exponents >= floor)),
        is_map=layers[0].is_map,
        status=worst,
        settings=(*layers[0].settings, ("layers", len(layers))),
    )
