"""Densities on grids: atoms, masses, boxes; densities at awkward points; refusals."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status

N = 60


def relaxing(rates, gain):
    """Units dx/dt = r (u - x), equal weights."""
    r = np.asarray(rates, float)[:, None, None]
    return gf.UnitEnsemble(
        A=-r,
        L=r,
        R=np.ones_like(r),
        Q=np.zeros_like(r),
        weights=np.full(len(r), 1 / len(r)),
        gains=np.array([gain]),
        is_map=False,
    )


def disk(g):
    """-1 + g J."""
    return relaxing([1.0], g)


@pytest.mark.parametrize(
    "g, tau_z, tau_r, atoms",
    [
        (1.5, 1.0, 1.0, {-1.0: 2 / 3}),
        (1.5, 0.5, 4.0, {-2.0: 1 / 3, -0.25: 1 / 3}),
        (3.0, 2.0, 4.0, {-0.5: 1 / 3, -0.25: 1 / 3}),
        (1e-9, 1.0, 2.0, {-1.0: 1 / 3, -0.5: 2 / 3}),
    ],
    ids=["equal", "apart", "inside the disk", "no disk"],
)
def test_atoms_at_the_zero_fixed_point(g, tau_z, tau_r, atoms):
    """N eigenvalues at -1/tau_z, N at -1/tau_r, also where the disk about -1/2 covers them."""
    cell = gf.GatedRNN(g, tau_z=tau_z, tau_r=tau_r)
    units = gf.linearise(gf.Network.sample(cell, N, seed=1), np.zeros((3, N)))
    grid = gf.spectral_density_grid(units, (60, 60))
    assert grid.status is Status.OK and np.all(grid.density >= 0) and not grid.atom_imag.any()
    found = dict(zip(grid.atom_real.tolist(), grid.atom_mass.tolist(), strict=True))
    assert sorted(found) == sorted(atoms)
    for place, mass in atoms.items():
        assert found[place] == pytest.approx(mass, abs=1e-5)
    assert float(grid.mass) == pytest.approx(1, abs=0.01)
    density = gf.spectral_density(units, [])
    if g > 1:
        inside = 1 / 3 + sum(m for x, m in atoms.items() if abs(x + 0.5) < g / 4)
        assert density.fraction(-0.5, g / 4 * 1.01) == pytest.approx(inside, abs=2e-5)


@pytest.mark.parametrize("g", [1e-6, 1e-4, 1e-2, 1.0, 1e3])
def test_mass_of_a_disk_on_a_grid(g):
    """The edge cuts cells: their number is 8 g / cell, each errs by half a cell at most."""
    grid = gf.spectral_density_grid(disk(g), (40, 40))
    assert grid.density.shape == (40, 40) and float(grid.mass) == pytest.approx(1, abs=0.03)
    if g > 1e-3:
        assert grid.atom_mass.size == 0
        np.testing.assert_array_equal(grid.density, grid.density[::-1])
        positive = grid.density[grid.density > 0]
        np.testing.assert_allclose(positive * np.pi * g**2, 1, rtol=1e-5)
        points = grid.real + 1j * grid.imag[:, None]
        np.testing.assert_array_equal(grid.density > 0, np.abs(points + 1) < g)


@pytest.mark.parametrize("alpha_z", [3.0, 15.0, 1e3])
def test_mass_with_update_gates_that_switch(alpha_z):
    """Eigenvalues gather at zero; what no cell resolves is to be counted all the same."""
    mean_field = gf.solve_static(gf.GatedRNN(3.0, alpha_z=alpha_z))[-1]
    grid = gf.spectral_density_grid(mean_field, (50, 50), samples=512)
    assert np.all(grid.density >= 0) and np.all(np.isfinite(grid.density))
    # z and r: two thirds, at -1.
    assert grid.atom_mass.sum() == pytest.approx(2 / 3, abs=1e-4)
    assert float(grid.mass) == pytest.approx(1, abs=0.02)


def test_shut_gates_gather_at_zero():
    """alpha_z = 1e3: half of the h components, a sixth of all; N (1 - <s_z>) of section 5."""
    mean_field = gf.solve_static(gf.GatedRNN(3.0, alpha_z=1e3))[-1]
    density = gf.spectral_density(mean_field, [], samples=512)
    assert density.fraction(0.0, 0.02) == pytest.approx(1 / 6, abs=0.005)


def test_atoms_are_counted_once():
    """Gates that are open to the last bits: rates 1, 1 - 1e-16, 1 - 2e-16, ... are one atom."""
    nearly = (1 - 1.2e-16 * np.arange(4)).repeat(5)
    grid = gf.spectral_density_grid(relaxing(nearly, 0.0), (5, 5))
    np.testing.assert_allclose(grid.atom_mass, [1.0], atol=1e-6)
    mean_field = gf.solve_static(gf.GatedRNN(3.0, alpha_z=1e3))[-1]
    grid = gf.spectral_density_grid(mean_field, (20, 20), samples=4096)
    assert grid.atom_mass.sum() == pytest.approx(2 / 3, abs=1e-4)


def test_mass_of_single_units():
    """Without couplings, each at a place of its own: points, not a loss."""
    grid = gf.spectral_density_grid(relaxing(np.linspace(0.3, 2, 9), 0.0), (20, 20))
    assert float(grid.mass) == pytest.approx(1, abs=1e-3)


def test_box_and_shape():
    box = (-1 + 0j, -0.2 + 0.5j)
    grid = gf.spectral_density_grid(disk(2.0), (4, 7), box=box)
    assert grid.density.shape == (4, 7)
    np.testing.assert_allclose(grid.imag, [0.0625, 0.1875, 0.3125, 0.4375])
    assert float(grid.mass) == pytest.approx(0.8 * 0.5 / (4 * np.pi), rel=1e-6)
    wrong: Any
    for wrong in ((0j, -1 + 1j), (0j, 1 - 1j), (0j,), 3, (0j, np.nan), (0j, np.inf + 1j)):
        with pytest.raises(InvalidInputError, match="box"):
            gf.spectral_density_grid(disk(1.0), (4, 4), box=wrong)
    for wrong in (("a", "b"), "ab", (None, 1j), ([0, 1], 1 + 1j), (0j, np.nan)):
        with pytest.raises(InvalidInputError, match="two finite complex numbers. For instance"):
            gf.spectral_density_grid(disk(1.0), (4, 4), box=wrong)
    for wrong in (5, (1, 5), (3.5, 4), (2, 3, 4), "ab"):
        with pytest.raises(InvalidInputError, match="shape"):
            gf.spectral_density_grid(disk(1.0), wrong)


def test_a_wrong_mass_is_told_by_the_status_alone():
    """2 x 2 cells cannot hold a disk; a box of one's own need not hold all of the support."""
    grid = gf.spectral_density_grid(disk(1.0), (2, 2))
    # Each centre, 0.55 from -1 along both axes, is in the disk: density 1/pi in 2.2 x 2.2.
    assert float(grid.mass) == pytest.approx(2.2**2 / np.pi, rel=1e-3)
    assert grid.status is Status.NOT_CONVERGED
    chosen = gf.spectral_density_grid(disk(1.0), (2, 2), box=(-2.1 - 1.1j, 0.1 + 1.1j))
    assert float(chosen.mass) == pytest.approx(2.2**2 / np.pi, rel=1e-9)
    assert chosen.status is Status.OK


def test_files(tmp_path):
    grid = gf.spectral_density_grid(disk(1.0), (5, 6)).to_dataset()
    assert grid.density.dims == ("imag", "real") and grid.sizes["real"] == 6
    grid.to_netcdf(tmp_path / "grid.nc")
    found = gf.spectral_density(disk(1.0), [[-1, 0.5], [-0.5j, -1.2]])
    assert found.points.shape == (4,) and found.count(-1, 0.5, units=7) == pytest.approx(1.75)
    found.to_dataset().to_netcdf(tmp_path / "density.nc")


# --- awkward points, refusals


def test_points_at_poles_are_finite():
    """On and next to each unit's own eigenvalue, for slow ones too; the density is smooth there."""
    poles = -np.array([1e-12, 1e-6, 0.01, 0.3, 1.0, 5.0])
    ensemble = relaxing(-poles, 1.4)
    offsets = np.array([0, 1e-14, 1e-9, 1e-7j, 1e-5]) * np.abs(poles[:, None])
    found = gf.spectral_density(ensemble, poles[:, None] + offsets)
    assert found.status is Status.OK and found.inside.all() and found.density.shape == (30,)
    assert np.all(np.isfinite(found.resolvent)) and np.all(found.density > 0)
    density = found.density.reshape(6, 5)
    np.testing.assert_allclose(density, density[:, :1] * np.ones(5), rtol=1e-3)


def test_bad_questions_are_refused():
    for bad in ([np.nan], np.inf, "x", [None]):
        with pytest.raises(InvalidInputError, match="points"):
            gf.spectral_density(disk(1.0), bad)
    with pytest.raises(InvalidInputError, match="source"):
        gf.spectral_density("network", [0.0])
    found = gf.spectral_density(disk(1.0), [])
    assert found.density.shape == (0,) and found.status is Status.OK
    with pytest.raises(InvalidInputError, match="units"):
        found.count(-1, 0.5)
    wrong: Any
    for wrong in (0, -3, 2.5):
        with pytest.raises(InvalidInputError, match="units"):
            found.count(-1, 0.5, units=wrong)
    for wrong in (0.0, -1.0, np.nan, [1.0, 2.0], 1j):
        with pytest.raises(InvalidInputError, match="radius"):
            found.fraction(-1, wrong)
    for wrong in (np.nan, "middle", None, [0, 1]):
        with pytest.raises(InvalidInputError, match="centre"):
            found.fraction(wrong, 1.0)
    with pytest.raises(InvalidInputError, match="low, high"):
        found.fraction_in_box(0, -1 - 1j)


@pytest.mark.parametrize("centre, radius", [(-1.5, 0.5), (-0.5, 0.5), (-0.7 + 0.4j, 0.5)])
def test_a_contour_through_an_atom_says_so(centre, radius):
    """No couplings: all eigenvalues at -1, right on the circle. Neither 0.68 nor 0.32 is true."""
    found = gf.spectral_density(disk(0.0), [])
    assert found.fraction(-1, 0.1) == pytest.approx(1, abs=1e-5)
    assert found.fraction(0, 0.5) == pytest.approx(0, abs=1e-5)
    with pytest.raises(NumericalFailureError, match="move or resize"):
        found.fraction(centre, radius)


def test_jax_precision_does_not_matter():
    """Called from within a program in double precision, the numbers are the same."""
    points = [-1 + 0.3j, 0.4j]
    once = gf.spectral_density(disk(1.3), points).density
    with jax.enable_x64(True):
        np.testing.assert_array_equal(gf.spectral_density(disk(1.3), points).density, once)
