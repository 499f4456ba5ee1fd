r"""The mean number of fixed points of networks of N units, exactly, by Monte Carlo.

Given the fields u, and with them the outputs y, the couplings for which u = J y are

.. math:: J^a = \frac{u_a y_a^T}{|y_a|^2} + J^a\Big(1 - \frac{y_a y_a^T}{|y_a|^2}\Big),

so that the Kac-Rice formula is an integral over u and over couplings, without approximations:

.. math:: E\,n = \int du\,\prod_{a,i} N(u_{ai}; 0, g_a^2 |y_a|^2/N)\; E|\det(1 - J Y)| .
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from scipy.special import logsumexp
from tqdm.auto import tqdm

from gatefield.core.checks import check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.theory.complexity.annealed import AnnealedComplexity
from gatefield.theory.complexity.determinant import entries_of, log_det
from gatefield.theory.complexity.units import FieldUnits, drawn_units

_SCALES = np.geomspace(0.04, 4.0, 16)  # of field variances, relative to those of large N
_POOL = 2**14
_FLOOR = 0.2  # part of the draws that goes to all scales alike
_PILOT = 0.25  # part of the draws that tells where the others are needed


class ExpectedCount(AbstractResult):
    """Mean number of fixed points of networks of N units.

    Attributes
    ----------
    value, standard_error
        The mean over couplings, and the error of the Monte Carlo average.
    effective
        Effective number of draws: the error is unreliable where they are few.
    zero
        1 where the zero state is a fixed point of every network, which is included; else 0.
    n
        N.
    """

    value: Float[HostArray, ""] = eqx.field(metadata=quantity())
    standard_error: Float[HostArray, ""] = eqx.field(metadata=quantity())
    effective: Float[HostArray, ""] = eqx.field(metadata=quantity())
    zero: Float[HostArray, ""] = eqx.field(metadata=quantity())
    n: int = eqx.field(static=True)


class _Pool(NamedTuple):
    """Units of one scale: fields / gain, y^2, Y, log of the tilt, and of its average."""

    fields: HostArray
    outputs: HostArray
    responses: HostArray
    log_tilt: HostArray
    log_norm: float


def expected_count(
    annealed: AnnealedComplexity,
    n: int,
    *,
    draws: int = 4000,
    seed: int = 0,
    progress: bool | None = None,
) -> ExpectedCount:
    r"""Return the mean number of fixed points of networks of N units, with its error.

    Draws of u come from the distribution of large N (`annealed_complexity`), with the fields'
    variances on several scales beside, and are weighted.

    Parameters
    ----------
    annealed
        For the cell; it decides what is drawn, not what is found.
    n
        Units of each network.
    draws
        Number of draws, each with the determinant of a matrix of K n rows.
    seed
        Of the draws.
    progress
        True shows a bar of the draws, None on a terminal after some seconds.

    Returns
    -------
    ExpectedCount

    Raises
    ------
    InvalidInputError
        For numbers that make no sense.

    Assumptions
    -----------
    Isolated fixed points, and units with one fixed point for given fields. The number of a network
    scatters: few networks with many points may dominate the mean.
    """
    if not isinstance(annealed, AnnealedComplexity):
        refuse("annealed", annealed, "an AnnealedComplexity", "Call gf.annealed_complexity.")
    n, seed = check_count("n", n), check_seed(seed)
    draws = check_count("draws", draws, at_least=100)
    rng = np.random.default_rng(seed)
    base = replace(annealed.mean_field, status=Status.OK)  # only its averages are used
    names = base.cell.field_names
    gains = np.array([float(base.cell.gains()[name]) for name in names])
    variances = np.array(
        [
            float(annealed.output_moments.get(name, base.field_variance[name])) * gain**2
            for name, gain in zip(names, gains, strict=True)
        ]
    )
    units = [
        drawn_units(
            replace(
                base,
                field_variance={
                    name: np.asarray(scale * each)
                    for name, each in zip(names, variances, strict=True)
                },
            ),
            _POOL,
            seed,
        )
        for scale in _SCALES
    ]
    used = [b for b, name in enumerate(names) if any(np.any(u.responses[:, b]) for u in units)]
    pools = [_pool(each, annealed, used, gains) for each in units]
    widths = _SCALES[:, None] * (variances / gains**2)[used]
    shares = np.full(len(pools), 1 / len(pools))
    first = max(20, int(_PILOT * draws))
    bar = tqdm(
        total=draws, desc="draws", delay=2, disable=None if progress is None else not progress
    )
    with bar:
        weights, owners = _drawn(pools, widths, shares, first, n, rng, bar)
        plain = np.exp(weights - np.max(weights))
        needed = plain @ np.exp(owners) / np.sum(plain)
        shares = (1 - _FLOOR) * needed + _FLOOR / len(pools)
        weights, _ = _drawn(pools, widths, shares / shares.sum(), draws - first, n, rng, bar)
    top = np.max(weights)
    plain = np.exp(weights - top)
    scale = np.exp(top)
    silent = drawn_units(
        replace(base, field_variance={name: np.zeros(()) for name in names}), 2, seed
    )
    zero = float(np.max(np.abs(silent.outputs)) == 0)
    return ExpectedCount(
        value=np.asarray(plain.mean() * scale + zero),
        standard_error=np.asarray(plain.std(ddof=1) / np.sqrt(plain.size) * scale),
        effective=np.asarray(plain.sum() ** 2 / np.sum(plain**2)),
        zero=np.asarray(zero),
        n=n,
    )


def _pool(units: FieldUnits, annealed: AnnealedComplexity, used: list[int], gains: Any) -> _Pool:
    known = list(annealed.output_moments)
    place = [known.index(units.names[b]) if units.names[b] in known else -1 for b in used]
    outputs, Y = units.outputs[used], units.responses[np.ix_(used, used)]

    def picked(values: HostArray, other: float) -> HostArray:
        return np.array([values[k] if k >= 0 else other for k in place])

    with jax.enable_x64(True):
        orders = picked(annealed.log_s, -40.0), picked(annealed.log_t, -40.0)
        log_tilt = np.asarray(log_det(entries_of(Y), *orders)) / 2
    log_tilt = log_tilt + picked(annealed.tilt, 0.0) @ outputs**2
    norm = float(logsumexp(log_tilt) - np.log(log_tilt.size))
    return _Pool(units.fields[used] / gains[used, None], outputs, Y, log_tilt, norm)


def _drawn(pools, widths, shares, count, n, rng, bar) -> tuple[HostArray, HostArray]:
    """Return log weights of draws, and the log parts that each scale has in their density."""
    log_weights, log_parts = np.empty(count), np.empty((count, len(pools)))
    norms = np.array([pool.log_norm for pool in pools])
    chances = [np.exp(p.log_tilt - p.log_norm) / p.log_tilt.size for p in pools]
    for k, owner in enumerate(rng.choice(len(pools), count, p=shares)):
        pool = pools[owner]
        chosen = rng.choice(pool.log_tilt.size, n, p=chances[owner] / chances[owner].sum())
        u, y, Y = pool.fields[:, chosen], pool.outputs[:, chosen], pool.responses[..., chosen]
        squares = np.sum(u**2, axis=1)
        density = (
            -np.sum(squares / widths + n * np.log(2 * np.pi * widths), axis=1) / 2
            + pool.log_tilt[chosen].sum()
            - n * norms
            + np.log(shares)
        )
        total = logsumexp(density)
        q = np.mean(y**2, axis=1)
        gaussian = -np.sum(squares / q + n * np.log(2 * np.pi * q)) / 2
        log_weights[k] = gaussian - total + _log_determinant(u, y, Y, rng)
        log_parts[k] = density - total
        bar.update()
    return log_weights, log_parts


def _log_determinant(u: HostArray, y: HostArray, Y: HostArray, rng: Any) -> float:
    """Return ln |det(1 - J Y)| for couplings drawn so that u = J y; Y carries the gains."""
    K, n = u.shape
    matrix = np.eye(K * n).reshape(K, n, K, n)
    for a in range(K):
        J = rng.standard_normal((n, n)) / np.sqrt(n)
        J += np.outer((u[a] - J @ y[a]) / (y[a] @ y[a]), y[a])
        for b in range(K):
            if np.any(Y[a, b]):
                matrix[a, :, b] -= J * Y[a, b]
    return float(np.linalg.slogdet(matrix.reshape(K * n, K * n))[1])
