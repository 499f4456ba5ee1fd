"""The adjoint mean field by sampled units, marched back along their paths batch by batch."""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import toeplitz
from tqdm.auto import tqdm

from gatefield.cells import AbstractCell, wiring
from gatefield.cells.base import over_units, stacked_outputs
from gatefield.cells.parameters import known_parameters, parameter_names
from gatefield.core.results import Status
from gatefield.core.types import Array, Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.batches import over_batches
from gatefield.numerics.growth import growth_rate
from gatefield.numerics.threads import in_threads
from gatefield.theory.adjoint.march import Adjoint, Nodes, march_back
from gatefield.theory.adjoint.paths import (
    Window,
    batch_key,
    horizon_grid,
    moves,
    resting_units,
    resting_window,
    saved_steps,
    window,
)
from gatefield.theory.adjoint.result import AdjointMeanField
from gatefield.theory.dmft import MeanField
from gatefield.theory.static import StaticMeanField
from gatefield.theory.static.sampled import SampledUnits

_MOST_DIRECTIONS = 0.5  # per sample: beyond, units know too much of each other's couplings

# Corrections of the trapezoidal rule at both ends, which make it exact for cubics (Gregory).
_ENDS = (3 / 8, 7 / 6, 23 / 24)


class _Batch(NamedTuple):
    variance: Float[HostArray, "component time"]
    covariance: Float[HostArray, "quantity time time"]
    gradients: Float[HostArray, " gradient"]
    directions: int


def sampled_adjoint(
    state: MeanField | StaticMeanField,
    horizon: float,
    *,
    terminal: dict[str, float],
    source: dict[str, GaussianInput],
    samples: int,
    batches: int,
    dt: float | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> AdjointMeanField:
    """March batches of units back along paths of the state; parameters as in `solve_adjoint`.

    Returns
    -------
    AdjointMeanField
        Averages over batches, whose scatter is the error.
    """
    cell = state.cell
    with jax.enable_x64(True):
        moving_sources = [each for each in source.values() if not each.is_static]
        grid = horizon_grid(state, horizon, samples=samples, dt=dt, source=moving_sources)
    wires, scheme = wiring(cell), grid.plan.scheme
    saved = saved_steps(grid.steps)
    moving = state if isinstance(state, MeanField) and moves(state) else None
    if moving is None:
        units = resting_units(state, samples=samples * batches, seed=seed)
    bar = tqdm(
        total=batches * grid.steps,
        disable=None if progress is None else not progress,
        delay=3.0 if progress is None else 0.0,
        desc="solve_adjoint",
        unit="step",
    )

    def solved(batch: int) -> _Batch:
        if moving is not None:
            paths = window(moving, grid, batch, seed)
        else:
            part = slice(batch * samples, (batch + 1) * samples)
            paths = resting_window(SampledUnits(*(each[:, part] for each in units)), grid)
        keys = jax.random.split(batch_key(seed, batch), 3)
        nodes, end = _driven(cell, paths, keys[:2], terminal, source, grid.dt, scheme)
        found = march_back(
            cell, wires, nodes, end, keys[2], dt=grid.dt, scheme=scheme, advance=bar.update
        )
        # What overflows is infinite, and found below.
        with np.errstate(all="ignore"):
            return _averages(cell, paths, found, saved, grid.dt, scheme)

    with bar:
        each = in_threads(solved, range(batches))
    variance, covariance, gradients, directions = (
        np.stack(part) for part in zip(*each, strict=True)
    )
    times = saved * grid.dt
    names = [f"a_{name}" for name in cell.state_names] + [f"b_{name}" for name in cell.field_names]
    by_name = [f"J_{name}" for name in cell.field_names] + list(known_parameters(cell))
    few = np.any(directions > _MOST_DIRECTIONS * samples)
    status = Status.NOT_CONVERGED if few else Status.OK
    finite = np.all(np.isfinite(variance)) and np.all(np.isfinite(gradients))
    with np.errstate(all="ignore"):
        means = [over_batches(part) for part in (variance, covariance, gradients)]
    return AdjointMeanField(
        times=times,
        adjoint_variance=dict(zip(cell.state_names, means[0][0], strict=True)),
        adjoint_standard_error=dict(zip(cell.state_names, means[0][1], strict=True)),
        covariance=dict(zip(names, means[1][0], strict=True)),
        standard_error=dict(zip(names, means[1][1], strict=True)),
        gradient_variance={n: np.asarray(v) for n, v in zip(by_name, means[2][0], strict=True)},
        gradient_standard_error={
            n: np.asarray(v) for n, v in zip(by_name, means[2][1], strict=True)
        },
        batch_growth=np.array([growth_rate(times, one.sum(axis=0)) for one in variance]),
        truncation=np.zeros(()),
        terminal=terminal,
        source=source,
        method="sampled",
        mean_field=state,
        status=status if finite else Status.DIVERGED,
        settings=(
            ("horizon", horizon),
            ("samples", samples),
            ("batches", batches),
            ("scheme", scheme),
            ("dt", grid.dt),
            ("seed", seed),
        ),
    )


def _driven(
    cell: AbstractCell,
    paths: Window,
    keys: Array,
    terminal: dict[str, float],
    source: dict[str, GaussianInput],
    dt: float,
    scheme: str,
) -> tuple[Nodes, Float[HostArray, "component sample"]]:
    """Return the nodes with what enters there, and the adjoint at the end."""
    count, d, m = paths.state.shape
    draw = lambda key: np.asarray(jax.random.normal(key, (d, m)))  # noqa: E731
    end = draw(keys[0])
    # Exactly the variance that was asked for: only what is not linear in it scatters.
    end = end / np.sqrt(np.mean(end**2, axis=1, keepdims=True))
    end *= np.sqrt(np.array([terminal.get(name, 0.0) for name in cell.state_names]))[:, None]
    entering = np.zeros((count, d, m), np.float64 if source else np.float32)
    spacing = dt / 2 if scheme == "rk4" else dt
    for name, one in source.items():
        place = cell.state_names.index(name)
        each = jax.random.fold_in(keys[1], place)
        keep = 1.0 if one.is_static else math.exp(-spacing / one.correlation_time)
        entering[:, place] = math.sqrt(one.variance) * np.asarray(
            _memory(each, jnp.asarray(keep), count, m)
        )
    if scheme != "rk4":
        # The loss counts a map's steps 1 ... T; of a flow's both ends count half.
        weights = np.full(count, 1.0 if scheme == "map" else dt)
        weights[0] *= 0.0 if scheme == "map" else 0.5
        weights[-1] *= 1.0 if scheme == "map" else 0.5
        entering *= weights[:, None, None]
        end = end + entering[-1]
    return Nodes(*paths, entering), end


@eqx.filter_jit
def _memory(key, keep, count, m):
    normal = jax.random.normal(key, (count, m))
    kick = jnp.sqrt(1 - keep**2)

    def advance(x, fresh):
        after = keep * x + kick * fresh
        return after, after

    _, rest = jax.lax.scan(advance, normal[0], normal[1:])
    return jnp.concatenate([normal[:1], rest])


def _averages(
    cell: AbstractCell,
    paths: Window,
    found: Adjoint,
    saved: HostArray,
    dt: float,
    scheme: str,
) -> _Batch:
    """Return the averages over one batch's units."""
    m = found.state.shape[-1]
    kept = np.concatenate([found.state, found.fields], axis=1)[saved]
    covariance = np.einsum("tqm,sqm->qts", kept, kept, optimize=True) / m
    steps = len(found.state) - 1
    weights = _weights(steps, dt, scheme)
    per = 2 if scheme == "rk4" else 1
    at = slice(None, None, -per)  # times before the end
    sent = _outputs(cell, *(np.asarray(each[at], np.float64) for each in paths))
    sums = []
    for place in range(len(cell.field_names)):
        b, y = weights[:, None] * found.fields[:, place], sent[:, place]
        # The state is stationary: all pairs at a lag have the same covariance.
        lagged = _lagged(y)
        sums.append(np.sum((b @ b.T / m) * toeplitz(lagged)))
    names, chosen = parameter_names(cell), known_parameters(cell)
    own = [np.mean(found.parameters[names.index(name)] ** 2) for name in chosen]
    return _Batch(
        np.mean(found.state[saved] ** 2, axis=-1).T,
        covariance,
        np.array([*sums, *own]),
        found.directions,
    )


def _lagged(path: Float[HostArray, "time sample"]) -> Float[HostArray, " lag"]:
    """Return the second moment at every lag, over all pairs of times and all samples."""
    count, m = path.shape
    transformed = np.fft.rfft(path, 2 * count, axis=0)
    summed = np.fft.irfft(np.sum(np.abs(transformed) ** 2, axis=1), 2 * count)[:count]
    return summed / (m * np.arange(count, 0, -1))


def _weights(steps: int, dt: float, scheme: str) -> Float[HostArray, " time"]:
    """Return the weights of what meets at each step, in an integral over the horizon."""
    weights = np.full(steps + 1, dt)
    if scheme != "rk4":
        weights[0] = 0.0  # nothing is sent at the end
    elif steps >= 2 * len(_ENDS):
        weights[: len(_ENDS)] *= _ENDS
        weights[-len(_ENDS) :] *= _ENDS[::-1]
    else:
        weights[[0, -1]] /= 2
    return weights


@eqx.filter_jit
def _sent(cell, state, fields, drive):
    return jax.vmap(lambda *units: over_units(stacked_outputs, cell, *units))(state, fields, drive)


def _outputs(cell: AbstractCell, *paths: HostArray) -> Float[HostArray, "time field sample"]:
    return np.asarray(_sent(cell, *(jnp.asarray(each) for each in paths)))
