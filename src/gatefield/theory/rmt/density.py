"""Where inside the support the eigenvalues lie: density, resolvent, and numbers in regions."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

from gatefield.core.checks import as_number, check_count
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Bool, Complex, Float, HostArray
from gatefield.numerics.contour import circle, contour_integral, rectangle
from gatefield.theory.rmt.ensemble import UnitEnsemble, unit_ensemble
from gatefield.theory.rmt.resolvent import ACCURATE, ResolventSolver

_THROUGH = 1e-5  # relative: a contour this close to an atom counts an unknown part of it


class SpectralDensity(AbstractResult):
    r"""The density of Jacobian eigenvalues at points of the complex plane.

    Together with the eigenvalues that sit at single points its mass is one.

    Attributes
    ----------
    points_real, points_imag
        The points lambda, (P,).
    density
        Eigenvalues per unit area, as a fraction of all N d; zero outside the support.
    resolvent_real, resolvent_imag
        :math:`g(\lambda) = \langle\mathrm{tr}(\lambda - D)^{-1}\rangle / Nd`.
    inside
        Whether the point is in the support.
    residual
        Largest relative violation of the Born equations at each point.
    ensemble
        The units it was computed from.
    status
        OK, or NOT_CONVERGED where a residual exceeds 1e-8.
    """

    points_real: Float[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    points_imag: Float[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    density: Float[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    resolvent_real: Float[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    resolvent_imag: Float[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    inside: Bool[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    residual: Float[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    ensemble: UnitEnsemble
    status: Status = eqx.field(static=True)

    @property
    def points(self) -> Complex[HostArray, " point"]:
        """The points, as complex numbers."""
        return self.points_real + 1j * self.points_imag

    @property
    def resolvent(self) -> Complex[HostArray, " point"]:
        """The resolvent g at the points."""
        return self.resolvent_real + 1j * self.resolvent_imag

    def fraction(self, centre: complex, radius: float) -> float:
        r"""Return the fraction of all eigenvalues in a disc, :math:`\oint g\,d\lambda/2\pi i`.

        Parameters
        ----------
        centre, radius
            Of the disc.

        Returns
        -------
        float
            Accurate to about 1e-5.

        Raises
        ------
        InvalidInputError
            If the radius is not positive or the centre is not finite.
        NumericalFailureError
            If the contour could not be integrated: it runs through a cluster of poles.
        """
        radius = as_number("radius", radius, positive=True)
        return _enclosed(self.ensemble, circle(_complex("centre", centre), radius))

    def fraction_in_box(self, low: complex, high: complex) -> float:
        """Return the fraction of all eigenvalues in a rectangle given by two opposite corners.

        Parameters
        ----------
        low, high
            Lower left and upper right corner.

        Returns
        -------
        float
            Accurate to about 1e-5.

        Raises
        ------
        InvalidInputError, NumericalFailureError
            As `fraction`.
        """
        low, high = _complex("low", low), _complex("high", high)
        if not (low.real < high.real and low.imag < high.imag):
            refuse("low, high", (low, high), "lower left and upper right corner", "Swap them.")
        return _enclosed(self.ensemble, rectangle(low, high))

    def count(self, centre: complex, radius: float, *, units: int | None = None) -> float:
        """Return the expected number of eigenvalues in a disc.

        Parameters
        ----------
        centre, radius
            Of the disc.
        units
            Number N of units; by default that of the network whose state was linearised.

        Returns
        -------
        float
            N d times `fraction`.

        Raises
        ------
        InvalidInputError
            If the density belongs to a distribution and ``units`` is not given.
        """
        number = self.ensemble.units if units is None else check_count("units", units)
        if number == 0:
            refuse("units", units, "the number N of units", "A distribution of units has no N.")
        return number * self.ensemble.components * self.fraction(centre, radius)


def spectral_density(
    source: Any, points: Any, *, samples: int = 4096, seed: int = 0, throw: bool = True
) -> SpectralDensity:
    r"""Return the density of Jacobian eigenvalues at points, by the self-consistent Born equations.

    .. math::

        t_a = \langle[W(1 + sW)^{-1}]_{aa}\rangle, \quad
        s_a = \langle[V(1 + tV)^{-1}]_{aa}\rangle, \quad W = YtY^\dagger,\; V = Y^\dagger sY,

    with :math:`Y = R(\lambda - A)^{-1}L + Q` of each unit; the density is
    :math:`\partial g/\partial\bar\lambda\,/\pi`, evaluated analytically.

    Parameters
    ----------
    source
        A `UnitJacobian` (a network's state by `gf.linearise`), several of them, a
        `StaticMeanField`, or a `UnitEnsemble`.
    points
        Complex numbers of any shape; they are flattened.
    samples, seed
        Number of quasi-random units drawn from a `StaticMeanField`, and their seed.
    throw
        Raise if the equations were not solved to 1e-8; otherwise the status says so.

    Returns
    -------
    SpectralDensity
        With `count` and `fraction` for any disc.

    Raises
    ------
    InvalidInputError
        For another source, or points that are not finite.
    NumericalFailureError
        If ``throw`` and a point did not converge.

    Assumptions
    -----------
    N to infinity, couplings independent of the state (the local chaos hypothesis), independent for
    each field. Eigenvalues that sit at one point for many units (-1/tau_z at fixed points, where
    the update gate drops out) are no density: `spectral_density_grid` lists them.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. A7-A28, A37-A42.
    """
    given = np.asarray(points)
    if given.dtype.kind not in "iufc" or not np.all(np.isfinite(given)):
        refuse("points", points, "finite complex numbers", "Remove the others.")
    ensemble = unit_ensemble(source, samples=samples, seed=seed)
    return _at(ensemble, given.astype(complex).ravel(), throw)


def _at(ensemble: UnitEnsemble, points: np.ndarray, throw: bool) -> SpectralDensity:
    found = ResolventSolver(ensemble)(points)
    worst = float(found.residual.max(initial=0.0))
    okay = worst <= ACCURATE
    if throw and not okay:
        raise NumericalFailureError(
            f"spectral_density: {np.sum(found.residual > ACCURATE)} of {points.size} points have "
            f"a residual up to {worst:.2g}, expected at most {ACCURATE:g}. Move the points off the "
            "units' own eigenvalues, or pass throw=False."
        )
    return SpectralDensity(
        points_real=np.real(points),
        points_imag=np.imag(points),
        density=found.density,
        resolvent_real=np.real(found.resolvent),
        resolvent_imag=np.imag(found.resolvent),
        inside=found.inside,
        residual=found.residual,
        ensemble=ensemble,
        status=Status.OK if okay else Status.NOT_CONVERGED,
    )


def _enclosed(ensemble: UnitEnsemble, path: Any) -> float:
    solver = ResolventSolver(ensemble)
    atoms = solver.atoms()[0]
    through = False

    def resolvent(points):
        nonlocal through
        found = solver(points)
        distance = np.abs(points[:, None] - atoms)
        through |= bool(np.any(distance < _THROUGH * np.maximum(np.abs(atoms), 1e-3)))
        return np.where(found.residual <= ACCURATE, found.resolvent, np.nan)

    found = contour_integral(resolvent, path, tolerance=1e-5)
    if through or not found.converged:
        raise NumericalFailureError(
            f"the contour integral has an error of {found.error:.2g}: expected 1e-5. The contour "
            "runs through a cluster of eigenvalues; move or resize it."
        )
    return max(0.0, float((found.value / (2j * np.pi)).real))


def _complex(name: str, value: Any) -> complex:
    try:
        number = complex(value)
    except (TypeError, ValueError):
        number = complex("nan")
    if not np.isfinite(number):
        refuse(name, value, "a finite complex number", "For instance -0.5 + 0.3j.")
    return number
