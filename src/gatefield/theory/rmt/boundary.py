"""The curves where the support of the spectrum ends, and its outermost points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from gatefield.cells import GatedRNN
from gatefield.core.checks import as_number, check_choice, check_count, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Bool, Complex, Float, HostArray, Int
from gatefield.numerics.brackets import bracketed_roots
from gatefield.numerics.level_set import LevelCurves, level_curves
from gatefield.theory.rmt.ensemble import unit_ensemble
from gatefield.theory.rmt.gated import fixed_point_moments, gated_edge
from gatefield.theory.rmt.outermost import farthest, farthest_on_ray, straight
from gatefield.theory.rmt.support import SupportFunction
from gatefield.theory.static import StaticMeanField

_QUANTILES = (-4.0, 4.0, 17)  # standard deviations: beyond is one unit in 30,000
_UNSTABLE = float(np.nextafter(0, 1))  # positive, but smaller than any number
_SITS, _CHUNK = 1e-5, 256
_ISLANDS = 16  # islands too small to be drawn that are looked at, the most unstable first
_THIN = 0.05  # of the resolution


class SpectralBoundary(AbstractResult):
    r"""Where the support of the Jacobian's spectrum ends: spectral radius of M(lambda) = 1.

    Attributes
    ----------
    vertices_real, vertices_imag, curve
        Vertices of all closed curves, and the number of the curve each belongs to; `curves` gives
        them one by one.
    leading_edge
        For flows the largest real part, in 1 / time constant: unstable if positive (5e-324 stands
        for a positive edge too small for a number). For maps the largest modulus: unstable above
        one.
    largest_imaginary
        Largest imaginary part.
    imaginary_intercept
        Where the support's boundary meets the imaginary axis, farthest from zero; 0 if it does not.
    isolated_real, isolated_imag
        Eigenvalues of single units that random couplings do not spread: those whose island is
        smaller than the resolution.
    method
        "closed form" (Eq. 5) or "units" (averages over the units of an ensemble).
    is_map
        Whether stability ends at the unit circle or at the imaginary axis.
    status
        OK, or NOT_CONVERGED if the curves are coarser than asked for.
    log_radius
        ln(spectral radius of M) as a function of complex arrays: positive inside.
    """

    vertices_real: Float[HostArray, " vertex"] = eqx.field(metadata=quantity("vertex"))
    vertices_imag: Float[HostArray, " vertex"] = eqx.field(metadata=quantity("vertex"))
    curve: Int[HostArray, " vertex"] = eqx.field(metadata=quantity("vertex"))
    leading_edge: Float[HostArray, ""] = eqx.field(metadata=quantity())
    largest_imaginary: Float[HostArray, ""] = eqx.field(metadata=quantity())
    imaginary_intercept: Float[HostArray, ""] = eqx.field(metadata=quantity())
    isolated_real: Float[HostArray, " isolated"] = eqx.field(metadata=quantity("isolated"))
    isolated_imag: Float[HostArray, " isolated"] = eqx.field(metadata=quantity("isolated"))
    method: str = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)
    status: Status = eqx.field(static=True)
    log_radius: Callable[[Any], np.ndarray]

    @property
    def curves(self) -> tuple[Complex[HostArray, " vertex"], ...]:
        """The closed curves: counter-clockwise around the support, clockwise around holes."""
        vertices = self.vertices_real + 1j * self.vertices_imag
        return tuple(vertices[self.curve == k] for k in range(int(self.curve.max(initial=-1)) + 1))

    @property
    def stable(self) -> bool:
        """Whether the whole support is on the stable side."""
        return bool(self.leading_edge < (1.0 if self.is_map else 0.0))

    def contains(self, points: Any) -> Bool[HostArray, "..."]:
        """Return whether points of the complex plane are in the support, by M(lambda) itself.

        The isolated eigenvalues count as part of it.

        Parameters
        ----------
        points
            Complex numbers of any shape.

        Returns
        -------
        array
            Booleans of that shape.

        Raises
        ------
        InvalidInputError
            If a point is not finite.
        """
        given = np.asarray(points)
        if given.dtype.kind not in "iufc" or not np.all(np.isfinite(given)):
            refuse("points", points, "finite complex numbers", "Remove the others.")
        flat = given.astype(complex).ravel()
        sits = self.isolated_real + 1j * self.isolated_imag
        found = self.log_radius(flat) >= 0
        for start in range(0, flat.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            distance = np.abs(flat[part, None] - sits)
            found[part] |= np.any(distance <= _SITS * (1 + np.abs(sits)), axis=1)
        return found.reshape(given.shape)


def spectral_boundary(
    source: Any,
    *,
    method: str = "auto",
    resolution: float = 1e-3,
    samples: int = 4096,
    seed: int = 0,
    throw: bool = True,
) -> SpectralBoundary:
    r"""Return the curves that bound the eigenvalues of the Jacobian of a large random network.

    With :math:`Y_i(\lambda) = R_i(\lambda - A_i)^{-1}L_i + Q_i` of unit i, gains absorbed,

    .. math:: M_{ab}(\lambda) = \langle|Y_{ab}(\lambda)|^2\rangle, \qquad
        \text{boundary: spectral radius of } M(\lambda) = 1 .

    At fixed points of the gated RNN this is the closed form of Eq. 5,

    .. math:: \left\langle\left|\frac{\sigma_z}{\lambda + \sigma_z}\right|^2\right\rangle
        \langle\phi'^2\rangle\left(\langle\sigma_r^2\rangle +
        \frac{\langle\phi^2\rangle\langle\sigma_r'^2\rangle}{|1 + \tau_r\lambda|^2}\right) = 1 .

    Parameters
    ----------
    source
        A `UnitJacobian` (a network's state by `gf.linearise`: the empirical averages of Eq. A34,
        also for given couplings), several of them (pooled), a `StaticMeanField`, or a
        `UnitEnsemble`.
    method
        "closed form" for a `StaticMeanField` of the gated or vanilla RNN; "units", averages over
        units, for anything; "auto", the closed form where it exists.
    resolution
        Smallest island to be drawn, as a fraction of the whole spectrum's extent.
    samples, seed
        Number of quasi-random units drawn from a `StaticMeanField` for "units", and their seed.
    throw
        Raise if the curves could not be drawn to the resolution; otherwise the status says so.

    Returns
    -------
    SpectralBoundary
        With every component, the leading edge, the intercepts, and `contains`.

    Raises
    ------
    InvalidInputError
        For another source, a closed form that does not exist, or values that are not finite.
    NumericalFailureError
        If ``throw`` and the resolution was not reached.

    Assumptions
    -----------
    N to infinity; couplings independent of the state (the local chaos hypothesis) and of each
    other. The few eigenvalues near a tip of the curve end short of it in networks: at g_h = 3,
    alpha_z = 15, alpha_r = 5 by 0.034(9) at N = 500 and 0.019(5) at N = 1000, with couplings drawn
    anew; single networks scatter by as much.
    The closed form holds at fixed points; for moving states linearise a state. Where the update
    gate varies, some units are as slow as one likes: the closed form's edge counts rates down to
    four standard deviations of the gate's argument, one unit in 30,000.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 5, A29-A36.
    """
    resolution = as_number("resolution", resolution, positive=True)
    if resolution > 0.1:
        refuse("resolution", resolution, "at most 0.1", "It is a fraction of the extent.")
    check_choice("method", method, ("auto", "closed form", "units"))
    samples, seed = check_count("samples", samples, at_least=2), check_seed(seed)
    closed = isinstance(source, StaticMeanField) and source.method == "gaussian"
    if method == "closed form" and not closed:
        refuse("method", method, "'units' for this source", "Eq. 5 is for Gaussian fixed points.")
    if closed and method != "units":
        return _closed(source, resolution, throw)
    ensemble = unit_ensemble(source, samples=samples, seed=seed)
    response = ensemble.response()
    function, poles = SupportFunction(response), np.unique(response.poles())
    drawn = level_curves(function, poles, resolution=resolution)
    slowest, isolated = float(np.max(np.real(poles))), np.asarray(drawn.unresolved, complex)
    support = _Support(function, function, slowest, (slowest, 0.0), isolated, ensemble.is_map)
    _check(drawn, resolution, throw)
    return _described(drawn, support, "units")


def _closed(source: StaticMeanField, resolution: float, throw: bool) -> SpectralBoundary:
    function, moments, cell = gated_edge(source), fixed_point_moments(source), source.cell
    quantiles = moments.z_mean + np.sqrt(moments.z_variance) * np.linspace(*_QUANTILES)
    rates = -np.exp(-np.logaddexp(0, -quantiles)).astype(complex)
    # At fixed points nothing reads the update gate's perturbation: N eigenvalues stay at -1/tau_z.
    lags = [-1 / cell.tau_z, -1 / cell.tau_r] if isinstance(cell, GatedRNN) else []
    poles = np.unique(np.concatenate([rates, lags]))
    extent = np.exp(function(np.array([2.0])) / 2)[0] + 1.0
    # No thicker than the spread of the rates, so that a gate that hardly varies is exact.
    thin = np.clip(1e-3 * np.ptp(rates.real), 1e-12 * extent, _THIN * resolution * extent)

    def blunt(points):
        # The update gate's tails reach every rate in (0, 1): where nearly no unit is, the support
        # is a hair on the real axis, far thinner than anything that can be drawn.
        hair = (points.real > -1) & (points.real < 0) & (np.abs(points.imag) < thin)
        return function(np.where(hair, points.real + 1j * thin, points))

    drawn = level_curves(blunt, poles, resolution=resolution)
    sits = np.unique(np.array(lags, complex))
    isolated = sits[function(sits) < 0] if drawn.curves else poles
    slowest = float(np.max(np.real(rates)))
    _check(drawn, resolution, throw)
    support = _Support(function, blunt, slowest, (0.0,), isolated, False)
    return _described(drawn, support, "closed form")


class _Support(NamedTuple):
    """What the curves were drawn from.

    ``function`` is f itself and ``traced`` what was drawn of it; ``slowest`` is the units' own
    slowest rate; rays along the real axis begin at ``starts``; ``isolated`` are
    eigenvalues without an island.
    """

    function: Callable[[Any], np.ndarray]
    traced: Callable[[Any], np.ndarray]
    slowest: float
    starts: tuple[float, ...]
    isolated: np.ndarray
    is_map: bool


def _check(drawn: LevelCurves, resolution: float, throw: bool) -> None:
    if throw and not drawn.complete:
        raise NumericalFailureError(
            f"spectral_boundary: the curves are coarser than resolution = {resolution:g} after "
            f"{drawn.evaluations} evaluations. Raise the resolution, or pass throw=False."
        )


def _described(drawn: LevelCurves, support: _Support, method: str) -> SpectralBoundary:
    curves, function, isolated = drawn.curves, support.function, support.isolated
    edge = _leading_edge(support, curves)
    if not support.is_map:
        slowest = support.slowest
        # Pinched spectra end exponentially close to the units' own slowest rate, on the real axis,
        # and islands too small to be drawn may still lie on the unstable side.
        extent = max([np.ptp(np.real(curve)) for curve in curves], default=abs(slowest) or 1.0)
        rays = [farthest_on_ray(function, start, 1.0, extent) for start in support.starts]
        edge = max(edge, slowest, *rays)
        if edge <= 0 and np.all(function(np.zeros(1)) > 0):
            edge = _UNSTABLE
    edge = max(edge, _island_edge(support, edge))
    vertices = np.concatenate([np.zeros(0, complex), *curves])
    number = np.repeat(np.arange(len(curves)), [len(curve) for curve in curves])
    return SpectralBoundary(
        vertices_real=np.real(vertices),
        vertices_imag=np.imag(vertices),
        curve=number,
        leading_edge=np.asarray(edge),
        largest_imaginary=np.asarray(_largest_imaginary(support, curves)),
        imaginary_intercept=np.asarray(_intercept(function, vertices)),
        isolated_real=np.real(isolated),
        isolated_imag=np.imag(isolated),
        method=method,
        is_map=support.is_map,
        status=Status.OK if drawn.complete else Status.NOT_CONVERGED,
        log_radius=function,
    )


def _leading_edge(support: _Support, curves) -> float:
    function, isolated = support.traced, support.isolated
    if support.is_map:
        least = float(np.max(np.abs(isolated), initial=0.0))
        return farthest(function, curves, np.abs, np.angle, lambda s, p: s * np.exp(1j * p), least)
    least = float(np.max(np.real(isolated), initial=-np.inf))
    return farthest(function, curves, np.real, np.imag, lambda s, p: s + 1j * p, least)


def _island_edge(support: _Support, edge: float) -> float:
    """Return how far the islands that are too small to be drawn reach, around the highest poles."""
    poles = support.isolated
    heights = np.abs(poles) if support.is_map else np.real(poles)
    best = edge
    for index in np.argsort(-heights)[:_ISLANDS]:
        pole, height = complex(poles[index]), float(heights[index])
        direction = pole / abs(pole) if support.is_map and pole != 0 else 1.0 + 0j
        reach = max(abs(pole), 1e-3)
        steps = reach * 2.0 ** -np.arange(3.0, 45.0)
        inside = support.traced(pole + direction * steps) > 0
        if inside.any():
            first = int(np.argmax(inside))
            # The island ends between this step and the one twice as long.
            low, high = steps[[first]], 2 * steps[[first]]
            root = bracketed_roots(
                lambda _, t, p=pole, d=direction: straight(support.traced(p + d * t)), low, high
            )
            best = max(best, height + float(np.nan_to_num(root[0], nan=steps[first])))
    return best


def _largest_imaginary(support: _Support, curves) -> float:
    least = float(np.max(np.imag(support.isolated), initial=0.0))
    return farthest(support.traced, curves, np.imag, np.real, lambda s, p: p + 1j * s, least)


def _intercept(function, vertices) -> float:
    if not vertices.size:
        return 0.0
    height = 2 * float(np.max(np.abs(vertices)))
    return max(0.0, farthest_on_ray(function, 0.0, 1j, height))
