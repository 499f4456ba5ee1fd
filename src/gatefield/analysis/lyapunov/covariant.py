"""Covariant Lyapunov vectors: the directions that grow at each exponent, and their angles."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from gatefield.analysis.lyapunov.frame import Carried, Path, factored
from gatefield.analysis.lyapunov.spectrum import lyapunov_spectrum
from gatefield.cells import AbstractMap
from gatefield.core.checks import as_number, check_count, check_names
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray
from gatefield.networks.inputs import Inputs, drive_of
from gatefield.networks.network import Network, compilable
from gatefield.networks.series import check_series

_MOST_BYTES = 4 * 2**30
_OPTIONS = ("burn_in", "frame_burn_in", "dt", "method", "initial", "frame", "seed", "progress")


class CovariantVectors(AbstractResult):
    r"""Covariant Lyapunov vectors along a trajectory, and the angles between them.

    Attributes
    ----------
    times
        Since the end of the burn-ins, (T,); step numbers for maps.
    states
        (T, d, N).
    vectors
        (T, k, d, N), of norm one: the tangent map carries the i-th vector of one time into a
        multiple of the i-th of the next.
    exponents
        Mean growth rate of each, (k,), per unit time (maps: per step); those of the QR method over
        the same stretch, up to what its ends contribute.
    unstable, stable
        Indices below ``unstable`` grow, those from ``stable`` on shrink; between them are exponents
        too near to zero to tell.
    angles
        Smallest angle between the unstable and the stable subspace at each time, (T,), radians; NaN
        where one of the two is empty. Near zero the attractor is not hyperbolic there.
    is_map
        Whether rates are per step.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    states: Float[HostArray, "time component unit"] = eqx.field(
        metadata=quantity("time", "component", "unit")
    )
    vectors: Float[HostArray, "time rank component unit"] = eqx.field(
        metadata=quantity("time", "rank", "component", "unit")
    )
    exponents: Float[HostArray, " rank"] = eqx.field(
        metadata=quantity("rank", unit="1 / time constant")
    )
    unstable: int = eqx.field(static=True)
    stable: int = eqx.field(static=True)
    angles: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="radian"))
    is_map: bool = eqx.field(static=True)

    def angle(self, first: int, second: int) -> Float[HostArray, " time"]:
        """Return the angle between two vectors at each time, radians, between 0 and pi/2."""
        flat = self.vectors.reshape(*self.vectors.shape[:2], -1)
        cosine = np.abs(np.sum(flat[:, first] * flat[:, second], axis=-1))
        return np.arccos(np.minimum(cosine, 1.0))


def covariant_vectors(
    network: Network,
    k: int | None = None,
    *,
    t_max: float,
    settle: float,
    interval: float = 1.0,
    neutral: float = 1e-2,
    inputs: Inputs | None = None,
    **options: Any,
) -> CovariantVectors:
    r"""Compute covariant Lyapunov vectors by the method of Ginelli et al.

    Going forward, :math:`D_n Q_{n-1} = Q_n R_n` as in `lyapunov_spectrum`; going back from the end,
    :math:`C_{n-1} \propto R_n^{-1} C_n` turns any upper triangular C to the covariant vectors
    :math:`V_n = Q_n C_n`.

    Parameters
    ----------
    network, k, inputs
        As in `lyapunov_spectrum`; by default all d N vectors.
    t_max
        Duration for which vectors are returned, in time constants (steps of a map).
    settle
        Duration after it that is run and thrown away while C settles: a few times one over the
        smallest difference of exponents that is to be resolved.
    interval
        Time between the vectors that are returned, and between orthonormalisations.
    neutral
        Exponents of at most this size count as neither stable nor unstable.
    options
        ``burn_in``, ``frame_burn_in`` (by default ``settle``), ``dt``, ``method``, ``initial``,
        ``frame``, ``seed``, ``progress`` of `lyapunov_spectrum`, which brings state and frame to
        the start.

    Returns
    -------
    CovariantVectors

    Raises
    ------
    InvalidInputError
        For options that do not fit, or where the frames would take more than 4 GiB.
    NumericalFailureError
        If the trajectory diverges.

    Assumptions
    -----------
    Exponents are distinct: of equal ones (of a symmetric network, say) only the span is determined.

    References
    ----------
    Ginelli et al., Phys. Rev. Lett. 99, 130601 (2007).
    """
    t_max, settle = (
        as_number(name, value, positive=True)
        for name, value in (("t_max", t_max), ("settle", settle))
    )
    interval = as_number("interval", interval, positive=True)
    neutral = as_number("neutral", neutral, nonnegative=True)
    _check_room(network, k, t_max / interval, settle / interval)
    check_names("options", options, _OPTIONS)
    if isinstance(network.cell, AbstractMap) and interval != round(interval):
        refuse("interval", interval, "a whole number of steps of a map", "Take 1 step, say.")
    options.setdefault("frame_burn_in", settle)
    if options.get("frame") is None:
        # Not unit vectors: where couplings vanish those might never turn to the growing directions.
        count = _size(network) if k is None else k
        shape = (count, len(network.cell.state_names), network.n)
        options["frame"] = np.random.default_rng(options.get("seed", 0)).standard_normal(shape)
    # Two short blocks bring state and frame to where the vectors begin.
    begun = lyapunov_spectrum(
        network, k, t_max=2 * max(interval, 2), blocks=2, inputs=inputs, **options
    )
    made: dict[str, Any] = dict(begun.settings)
    dt, count = made["dt"], len(begun.frame)
    steps = max(1, round(interval / dt))
    kept, after = (max(1, round(each / (steps * dt))) for each in (t_max, settle))
    check_series("burn-ins + t_max + settle", inputs, made["steps"] + (kept + after) * steps)
    with jax.enable_x64(True):
        clean, drive = compilable(network), drive_of(network, inputs)
        path = Path(clean, drive, jnp.asarray(dt, clean.dtype), made["method"])
        carried = Carried(
            jnp.asarray(begun.state), jnp.asarray(begun.frame), jnp.asarray(made["steps"])
        )
        states, frames, factors = [], [], []
        for number in range(kept + after):
            if number < kept:
                states.append(np.asarray(carried.state))
                frames.append(np.asarray(carried.frame).reshape(count, -1))
            carried, factor = factored(path, carried, jnp.asarray(steps))
            factors.append(np.asarray(factor, float))
            _check_factor(factors[-1])
    vectors, rates = _backwards(frames, factors, check_count("seed", made["seed"], at_least=0))
    exponents = rates.mean(axis=0) / (steps * dt)
    order = np.argsort(-exponents, kind="stable")
    exponents, vectors = exponents[order], vectors[:, order]
    unstable, stable = int(np.sum(exponents > neutral)), int(np.sum(exponents >= -neutral))
    return CovariantVectors(
        times=np.arange(kept) * steps * dt,
        states=np.stack(states),
        vectors=vectors.reshape(kept, count, *begun.state.shape),
        exponents=exponents,
        unstable=unstable,
        stable=stable,
        angles=np.array([_smallest_angle(each[:unstable], each[stable:]) for each in vectors]),
        is_map=begun.is_map,
    )


def _size(network: Network) -> int:
    return len(network.cell.state_names) * network.n


def _check_factor(factor: HostArray) -> None:
    if not np.all(np.isfinite(factor)):
        raise NumericalFailureError("the trajectory of covariant_vectors diverged. Reduce dt.")
    diagonal = np.abs(np.diag(factor))
    if np.min(diagonal) <= len(factor) * np.finfo(float).eps * np.max(diagonal):
        remedy = "Ask for fewer vectors (k): maps that lose directions cannot be run backwards."
        refuse("k", len(factor), "no more than the directions that the map keeps", remedy)


def _check_room(network: Network, k: int | None, kept: float, after: float) -> None:
    """Refuse what would need too much memory before any time is spent."""
    if not isinstance(network, Network):
        refuse("network", type(network).__name__, "a Network", "Build one by Network.sample.")
    size = _size(network)
    count = size if k is None else min(check_count("k", k), size)
    bytes_needed = 8 * count * (kept * (size + count) + after * count)
    if bytes_needed > _MOST_BYTES:
        remedy = "Ask for fewer vectors (k), a shorter t_max, or a longer interval."
        refuse("k, t_max / interval", f"{bytes_needed / 2**30:.1f} GiB", "at most 4 GiB", remedy)


def _backwards(
    frames: list[HostArray], factors: list[HostArray], seed: int
) -> tuple[Float[HostArray, "time exponent all"], Float[HostArray, "time exponent"]]:
    """Return the vectors at the times of the frames, and how each grew until the next time.

    Rows instead of columns: pushed Q = L Q', V = C Q with lower triangular C, C = C' L^-1.
    """
    k = factors[0].shape[0]
    C = np.tril(np.random.default_rng(seed).standard_normal((k, k)))
    C /= np.linalg.norm(C, axis=1, keepdims=True)
    vectors, rates = np.empty((len(frames), *frames[0].shape)), np.empty((len(frames), k))
    for number in reversed(range(len(factors))):
        solved = scipy.linalg.solve_triangular(factors[number], C.T, lower=True, trans=1).T
        norms = np.linalg.norm(solved, axis=1)
        C = solved / norms[:, None]
        if number < len(frames):
            vectors[number], rates[number] = C @ frames[number], -np.log(norms)
    return vectors, rates


def _smallest_angle(first: HostArray, second: HostArray) -> float:
    if 0 in (len(first), len(second)):
        return np.nan
    # Sines are exact where angles are small, which is where they matter.
    return float(np.min(scipy.linalg.subspace_angles(first.T, second.T)))
