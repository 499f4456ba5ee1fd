"""The density on a grid of the complex plane, its mass, and the eigenvalues that sit at points."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from scipy.ndimage import binary_dilation, find_objects, label

from gatefield.core.checks import check_count
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.numerics.contour import contour_integral, rectangle
from gatefield.theory.rmt.boundary import spectral_boundary
from gatefield.theory.rmt.ensemble import UnitEnsemble, unit_ensemble
from gatefield.theory.rmt.resolvent import ACCURATE, ResolventSolver

_MASS_ERROR = 0.02
_MARGIN = 0.05  # of the support's size
_ROUGH = 1e-5  # error of one cell's midpoint from which on it is not trusted
_PEAK = 5.0  # times the median density
_TOLERANCE = 1e-5


class SpectralDensityGrid(AbstractResult):
    r"""The density of Jacobian eigenvalues on a rectangular grid that holds the whole support.

    Attributes
    ----------
    real, imag
        Centres of the grid's cells.
    density
        Eigenvalues per unit area as a fraction of all N d, (imag, real); zero outside the support.
    atom_real, atom_imag, atom_mass
        Points at which a fraction of the eigenvalues sits exactly.
    mass
        Integral of the density over the grid, plus the atoms' mass: one, if nothing is lost.
        Where the density bends sharply within a cell, a contour integral counts instead.
    is_map
        Whether stability ends at the unit circle or at the imaginary axis.
    status
        OK, or NOT_CONVERGED if a residual of the Born equations exceeds 1e-8, a contour integral
        did not converge, or the mass in the default box is off by more than 2 per cent.
    """

    real: Float[HostArray, " real"] = eqx.field(metadata=quantity("real"))
    imag: Float[HostArray, " imag"] = eqx.field(metadata=quantity("imag"))
    density: Float[HostArray, "imag real"] = eqx.field(metadata=quantity("imag", "real"))
    atom_real: Float[HostArray, " atom"] = eqx.field(metadata=quantity("atom"))
    atom_imag: Float[HostArray, " atom"] = eqx.field(metadata=quantity("atom"))
    atom_mass: Float[HostArray, " atom"] = eqx.field(metadata=quantity("atom"))
    mass: Float[HostArray, ""] = eqx.field(metadata=quantity())
    is_map: bool = eqx.field(static=True)
    status: Status = eqx.field(static=True)


def spectral_density_grid(
    source: Any,
    shape: tuple[int, int] = (100, 100),
    *,
    box: tuple[complex, complex] | None = None,
    samples: int = 4096,
    seed: int = 0,
    throw: bool = True,
) -> SpectralDensityGrid:
    """Return the density of eigenvalues on a grid, with its total mass.

    Parameters
    ----------
    source
        As in `spectral_density`.
    shape
        Number of cells along the imaginary and the real axis. Only the upper half is computed.
    box
        Lower left and upper right corner; by default a box around the whole support, symmetric
        about the real axis.
    samples, seed
        As in `spectral_density`.
    throw
        Raise if the Born equations were not solved to 1e-8 at a point. A total mass that is off by
        more than 2 per cent, or a contour integral that did not converge, never raises: only the
        status says so.

    Returns
    -------
    SpectralDensityGrid

    Raises
    ------
    InvalidInputError
        For a shape or a box that makes no grid.
    NumericalFailureError
        If ``throw`` and a point did not converge; not for a wrong mass.

    Assumptions
    -----------
    As `spectral_density`. With a box that cuts the support, the mass is what lies in the box.
    """
    rows, columns = (check_count("shape", number, at_least=2) for number in _two("shape", shape))
    ensemble = unit_ensemble(source, samples=samples, seed=seed)
    low, high = _around(ensemble) if box is None else _corners(box)
    real = low.real + (high.real - low.real) * (np.arange(columns) + 0.5) / columns
    imag = low.imag + (high.imag - low.imag) * (np.arange(rows) + 0.5) / rows
    if low.imag == -high.imag:
        imag = (imag - imag[::-1]) / 2
    points = real + 1j * imag[:, None]
    mirrored, below = low.imag == -high.imag, rows // 2
    upper = points[below:] if mirrored else points
    solver = ResolventSolver(ensemble)
    found = solver(upper.ravel())
    density: Any = found.density.reshape(upper.shape)
    if mirrored:
        density = np.concatenate([density[::-1][:below], density])
    atoms, masses = solver.atoms()
    held = _within(atoms, low, high)
    worst = float(found.residual.max(initial=0.0))
    if throw and worst > ACCURATE:
        raise NumericalFailureError(
            f"spectral_density_grid: residual {worst:.2g}, expected at most {ACCURATE:g}. Change "
            "the grid so that no point sits on a unit's own eigenvalue, or pass throw=False."
        )
    mass, counted = _mass(solver, real, imag, density, (atoms[held], masses[held]))
    whole = counted and (box is not None or abs(mass - 1) < _MASS_ERROR)
    return SpectralDensityGrid(
        real=real,
        imag=imag,
        density=density,
        atom_real=np.real(atoms),
        atom_imag=np.imag(atoms),
        atom_mass=masses,
        mass=np.asarray(mass),
        is_map=ensemble.is_map,
        status=Status.OK if worst <= ACCURATE and whole else Status.NOT_CONVERGED,
    )


def _two(name: str, pair: Any) -> tuple[Any, Any]:
    try:
        first, second = pair
    except (TypeError, ValueError):
        refuse(name, pair, "two values", "For instance (100, 100) or (-2-1j, 1+1j).")
    return first, second


def _corners(box: Any) -> tuple[complex, complex]:
    first, second = _two("box", box)
    try:
        low, high = complex(first), complex(second)
    except (TypeError, ValueError):
        low = high = complex("nan")
    if not np.isfinite([low, high]).all():
        refuse("box", box, "two finite complex numbers", "For instance (-2-1j, 1+1j).")
    if not (low.real < high.real and low.imag < high.imag):
        refuse("box", box, "lower left and upper right corner", "Swap them.")
    return low, high


def _within(points: np.ndarray, low: complex, high: complex) -> np.ndarray:
    x, y = np.real(points), np.imag(points)
    return (low.real < x) & (x < high.real) & (low.imag < y) & (y < high.imag)


def _around(ensemble: UnitEnsemble) -> tuple[complex, complex]:
    """Return a box, symmetric about the real axis, with the support and all poles well inside."""
    found = spectral_boundary(ensemble, throw=False)
    poles = ensemble.response().poles().ravel()
    x = np.concatenate([found.vertices_real, np.real(poles)])
    y = np.concatenate([found.vertices_imag, np.imag(poles)])
    width, height = np.ptp(x), 2 * np.max(np.abs(y))
    size = max(width, height) or 0.1 * (np.max(np.abs(poles)) or 1.0)
    left, right = x.min() - _MARGIN * size, x.max() + _MARGIN * size
    top = height / 2 + _MARGIN * size
    return complex(left, -top), complex(right, top)


def _mass(solver, real, imag, density, held) -> tuple[float, bool]:
    """Integrate the density cell by cell, and blocks of rough cells by the contour around each.

    Returns the mass, and whether every contour integral converged.
    """
    (atoms, masses), counted = held, True
    width, height = real[1] - real[0], imag[1] - imag[0]
    beside = [np.roll(density, shift, axis) for axis in (0, 1) for shift in (1, -1)]
    # At the support's edge the density jumps: midpoints then err to both sides alike.
    bulk = np.all([density > 0, *(values > 0 for values in beside)], axis=0)
    bend = np.maximum(
        abs(beside[0] + beside[1] - 2 * density), abs(beside[2] + beside[3] - 2 * density)
    )
    rough = bulk & (bend * width * height / 24 > _ROUGH)
    typical = np.median(density[density > 0]) if np.any(density > 0) else 0.0
    rough |= density > _PEAK * typical
    rough = binary_dilation(rough, iterations=2) & (density > 0)
    rough |= _with_hidden_poles(solver.poles, real, imag, density)
    total = float(np.sum(np.where(rough, 0.0, density))) * width * height + masses.sum()
    for block in _blocks(rough):
        corners = [
            complex(
                real[block[1][0]] - width / 2,
                imag[block[0][0]] - height / 2,
            ),
            complex(real[block[1][1]] + width / 2, imag[block[0][1]] + height / 2),
        ]
        found = contour_integral(
            lambda points: solver(points).resolvent, rectangle(*corners), tolerance=_TOLERANCE
        )
        counted &= found.converged
        rows, columns = (slice(low, high + 1) for low, high in block)
        smooth = np.where(rough[rows, columns], 0.0, density[rows, columns]).sum() * width * height
        within = _within(atoms, *corners)
        total += (found.value / (2j * np.pi)).real - masses[within].sum() - smooth
    return float(total), counted


def _with_hidden_poles(poles, real, imag, density) -> np.ndarray:
    """Return the cells around units' own eigenvalues whose islands the cells' centres miss."""
    width, height = real[1] - real[0], imag[1] - imag[0]
    column = np.floor((np.real(poles) - real[0]) / width + 0.5).astype(int)
    row = np.floor((np.imag(poles) - imag[0]) / height + 0.5).astype(int)
    held = (column >= 0) & (column < real.size) & (row >= 0) & (row < imag.size)
    column, row = column[held], row[held]
    missed = density[row, column] == 0
    hidden = np.zeros(density.shape, bool)
    hidden[row[missed], column[missed]] = True
    # With an even number of rows the real axis, and the poles on it, lies between two of them.
    return binary_dilation(hidden) if hidden.any() else hidden


def _labelled(mask: np.ndarray) -> tuple[np.ndarray, int]:
    found: Any = label(mask)
    return found


def _blocks(mask: np.ndarray) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the bounding rectangles of a mask's connected parts, merged until none overlap."""
    while True:
        labels, number = _labelled(mask)
        blocks = [
            ((part[0].start, part[0].stop - 1), (part[1].start, part[1].stop - 1))
            for part in find_objects(labels)
        ]
        filled = mask.copy()
        for rows, columns in blocks:
            filled[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = True
        if _labelled(filled)[1] == number:
            return blocks
        mask = filled
