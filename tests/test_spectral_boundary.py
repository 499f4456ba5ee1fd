"""Where spectra end: exact curves, several parts, maps, refusals."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import xarray
from scipy.optimize import brentq

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.numerics.level_set import enclosed_area

EXACT = 1e-11


class Linear2(gf.AbstractFlow):
    """dx/dt = a x + b y + u, dy/dt = c x + d y, sending x with the couplings' gain g."""

    g: Any
    a: Any
    b: Any
    c: Any
    d: Any

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")
    field_names: ClassVar[tuple[str, ...]] = ("u",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"u": self.g}

    def outputs(self, state, fields, drive):
        return {"u": state["x"]}

    def rule(self, state, fields, drive):
        x, y = state["x"], state["y"]
        return {"x": self.a * x + self.b * y + fields["u"], "y": self.c * x + self.d * y}


def one_unit(cell):
    d, fields = len(cell.state_names), len(cell.field_names)
    return gf.UnitEnsemble.of_samples(cell, np.zeros((d, 1)), np.zeros((fields, 1)))


def rates(values, weights, g):
    """Units dx/dt = r (u - x) of several rates r: M = g^2 <|r / (lambda + r)|^2>."""
    r = np.asarray(values, float)[:, None, None]
    return gf.UnitEnsemble(
        A=-r,
        L=r,
        R=np.ones_like(r),
        Q=np.zeros_like(r),
        weights=np.asarray(weights, float),
        gains=np.array([float(g)]),
        is_map=False,
    )


def at_zero(cell, n=8):
    network = gf.Network.sample(cell, n, seed=1)
    return gf.linearise(network, np.zeros((len(cell.state_names), n)))


def vertices(boundary):
    return boundary.vertices_real + 1j * boundary.vertices_imag


# --- exact curves


@pytest.mark.parametrize("g", [1e-3, 0.3, 1.0, 1.7, 1e3])
def test_circular_law(g):
    """-1 + g J fills the disk of radius g around -1."""
    found = gf.spectral_boundary(at_zero(gf.VanillaRNN(g)))
    assert found.method == "units" and found.status is Status.OK and not found.is_map
    assert len(found.curves) == 1 and found.isolated_real.size == 0
    np.testing.assert_allclose(np.abs(vertices(found) + 1), g, rtol=1e-8)
    assert enclosed_area(found.curves[0]) == pytest.approx(np.pi * g**2, rel=2e-3)
    assert float(found.leading_edge) == pytest.approx(g - 1, abs=EXACT * (1 + g))
    assert float(found.largest_imaginary) == pytest.approx(g, rel=EXACT)
    intercept = np.sqrt(max(g**2 - 1, 0))
    assert float(found.imaginary_intercept) == pytest.approx(intercept, abs=1e-7 * g)
    assert found.stable == (g < 1)


@pytest.mark.parametrize("g", [1e-5, 0.01, 1.0, 1.999, 2.0, 3.0])
@pytest.mark.parametrize("method", ["closed form", "units"])
@pytest.mark.slow
def test_zero_fixed_point_of_the_gated_rnn(g, method):
    """Half-open gates: the disk of radius g/4 around -1/2, and N eigenvalues at -1/tau each.

    Nothing varies, so that the closed form has no reason to err.
    """
    cell = gf.GatedRNN(g, alpha_z=2.0, alpha_r=1.0, tau_z=4.0, tau_r=5.0)
    found = gf.spectral_boundary(gf.solve_static(cell)[0], method=method, samples=16)
    assert found.method == method
    if g == 1e-5:  # below the resolution
        assert found.curves == () and float(found.leading_edge) == -0.2
        np.testing.assert_allclose(np.sort(found.isolated_real), [-0.5, -0.25, -0.2])
        return
    np.testing.assert_allclose(np.abs(vertices(found) + 0.5), g / 4, rtol=1e-7)
    edge = max(g / 4 - 0.5, -0.2)
    assert float(found.leading_edge) == pytest.approx(edge, abs=EXACT)
    assert float(found.largest_imaginary) == pytest.approx(g / 4, rel=1e-7)
    assert found.stable == (g < 2)
    outside = [x for x in (-0.25, -0.2) if abs(x + 0.5) > g / 4]
    np.testing.assert_allclose(np.sort(found.isolated_real), outside)


@pytest.mark.parametrize("w", [0.7, 2.0, 30.0])
@pytest.mark.parametrize("g", [0.2, 0.9, 3.0])
def test_oscillators_lead_off_the_axis(g, w):
    """|g s| = |s^2 + w^2|, s = lambda + 1: largest Re s = (g/2w) sqrt(w^2 + g^2/4), off the axis

    as long as Im(s)^2 = w^2 + g^2/2 - Re(s)^2 > 0; largest Im s = g/2 + sqrt(g^2/4 + w^2). It is
    two ovals of Cassini's kind, mirrored, that never touch: Y = 0 at s = 0 lies between them.
    """
    found = gf.spectral_boundary(one_unit(Linear2(g, -1.0, -w, w, -1.0)))
    across = g / (2 * w) * np.sqrt(w**2 + g**2 / 4)
    if w**2 + g**2 / 2 < across**2:
        across = (g + np.sqrt(g**2 - 4 * w**2)) / 2
    top = g / 2 + np.sqrt(g**2 / 4 + w**2)
    assert float(found.leading_edge) == pytest.approx(across - 1, abs=EXACT * (1 + w))
    assert float(found.largest_imaginary) == pytest.approx(top, rel=EXACT)
    s = vertices(found) + 1
    np.testing.assert_allclose(np.abs(g * s), np.abs(s**2 + w**2), rtol=1e-7)
    assert len(found.curves) == 2
    # Gains above 2w close a ring around the zero at s = 0, which is the second curve.
    signs = np.sign([enclosed_area(curve) for curve in found.curves])
    np.testing.assert_array_equal(signs, [1, -1] if g > 2 * w else [1, 1])


def test_a_hole_in_the_support():
    """dx/dt = -x - w + u, 4 dw/dt = x - w: Y vanishes at -1/4, well inside. The edges on the axis

    are where 3 |x + 1/4| = |x^2 + 5x/4 + 1/2|.
    """
    found = gf.spectral_boundary(one_unit(Linear2(3.0, -1.0, -1.0, 0.25, -0.25)))
    assert len(found.curves) == 2
    areas = [enclosed_area(curve) for curve in found.curves]
    assert areas[0] > 0 > areas[1]
    ends = np.sort(np.concatenate([np.roots([1, 1.25 + k, 0.5 + k / 4]).real for k in (3, -3)]))
    outer, hole = (np.array([np.real(c).min(), np.real(c).max()]) for c in found.curves)
    np.testing.assert_allclose([outer, hole], [ends[[0, 3]], ends[[1, 2]]], atol=1e-8)
    assert float(found.leading_edge) == pytest.approx(ends[3], abs=EXACT)
    rng = np.random.default_rng(2)
    points = rng.uniform(-5, 3, 4000) + 1j * rng.uniform(-4, 4, 4000)
    points[:500] = rng.uniform(-0.35, -0.1, 500) + 1j * rng.uniform(-0.15, 0.15, 500)
    Y = 3 * (points + 0.25) / ((points + 1) * (points + 0.25) + 0.25)
    np.testing.assert_array_equal(found.contains(points), np.abs(Y) >= 1)
    assert np.any(np.abs(Y[:500]) < 1)


def test_two_kinds_of_units_are_two_parts():
    """Rates 1 and 20, half each, g = 0.3: both parts' ends on the axis by bisection."""
    r, w, g = np.array([1.0, 20.0]), np.array([0.4, 0.6]), 0.3
    found = gf.spectral_boundary(rates(r, w, g))
    f = lambda x: g**2 * np.sum(w * (r / (x + r)) ** 2) - 1  # noqa: E731
    root: Any = brentq
    ends = [root(f, a, b, xtol=1e-15) for a, b in ((-1 + 1e-9, 1), (-15, -1 - 1e-9))]
    ends += [root(f, a, b, xtol=1e-15) for a, b in ((-20 + 1e-9, -15), (-40, -20 - 1e-9))]
    assert len(found.curves) == 2 and found.isolated_real.size == 0
    fast, slow = (np.real(curve) for curve in found.curves)
    np.testing.assert_allclose([slow.max(), slow.min()], ends[:2], rtol=0, atol=1e-8)
    np.testing.assert_allclose([fast.max(), fast.min()], ends[2:], rtol=0, atol=1e-8)
    assert float(found.leading_edge) == pytest.approx(ends[0], abs=EXACT)
    assert all(enclosed_area(curve) > 0 for curve in found.curves)


def test_no_couplings_leave_the_units_alone():
    for cell in (gf.VanillaRNN(0.0), gf.GRU(gain_r=0.0, gain_z=0.0, gain_n=0.0)):
        found = gf.spectral_boundary(at_zero(cell))
        assert found.curves == () and not found.contains([0.0, -1 + 1e-3j, 3.0]).any()
        np.testing.assert_array_equal(found.isolated_imag, 0)
        assert float(found.imaginary_intercept) == float(found.largest_imaginary) == 0
    assert float(found.leading_edge) == 0.5 and found.stable and found.is_map  # z keeps half
    closed = gf.spectral_boundary(gf.solve_static(gf.GatedRNN(0.0, beta_z=-3.0, tau_z=0.5))[0])
    assert float(closed.leading_edge) == pytest.approx(-1 / (1 + np.exp(3)), rel=1e-12)
    np.testing.assert_allclose(np.sort(closed.isolated_real)[0], -2)


# --- maps


@pytest.mark.parametrize("g", [1.9, 2.0, 2.1])
@pytest.mark.parametrize("kind", ["gru", "gru-before", "lstm"])
def test_zero_states_of_maps(kind, g):
    """GRU: z + (1 - z) r g = 1/2 + g/4. LSTM: 1/2 from f, and o i g = g/4 through the cell."""
    cell = {
        "gru": gf.GRU(gain_r=1.3, gain_z=0.7, gain_n=g),
        "gru-before": gf.GRU(gain_n=g, reset="before"),
        "lstm": gf.LSTM(gain_g=g),
    }[kind]
    found = gf.spectral_boundary(at_zero(cell))
    assert found.is_map and found.method == "units"
    assert float(found.leading_edge) == pytest.approx(0.5 + g / 4, abs=EXACT)
    if g != 2.0:
        assert found.stable == (g < 2.0)


@pytest.mark.parametrize(
    "kind", ["gru", pytest.param("lstm", marks=pytest.mark.slow)], ids=["gru", "lstm"]
)
@pytest.mark.slow
def test_maps_lose_stability_where_the_static_radius_is_one(kind):
    """Every branch, on either side; where the radius is above 1, so is the edge, and only there."""
    make = {"gru": lambda g: gf.GRU(gain_n=g), "lstm": lambda g: gf.LSTM(gain_g=g)}[kind]
    seen = []
    for g in (1.8, 2.3):
        for mean_field in gf.solve_static(make(g), samples=64, replicates=2):
            found = gf.spectral_boundary(mean_field, samples=64)
            seen.append(float(mean_field.radius) > 1)
            assert (float(found.leading_edge) > 1) == seen[-1] == (not found.stable)
    assert len(seen) > 2 and set(seen) == {False, True}


# --- what a boundary can do


def test_contains_keeps_shapes_and_refuses_what_is_no_number():
    found = gf.spectral_boundary(at_zero(gf.VanillaRNN(1.0)))
    points = np.array([[-1.0, 0.1, -1.5 + 0.5j], [-2.1, -1 + 0.999j, -1 + 1.001j]])
    expected = [[True, False, True], [False, True, False]]
    np.testing.assert_array_equal(found.contains(points), expected)
    assert found.contains(-0.5).shape == () and bool(found.contains(-0.5))
    assert found.contains([]).shape == (0,)
    assert found.contains(np.array([0, -1])).tolist() == [True, True]
    for bad in (np.nan, [0, np.inf], complex(0, np.nan), "x", [None]):
        with pytest.raises(InvalidInputError, match="points"):
            found.contains(bad)


@pytest.mark.parametrize("closed", [True, False])
def test_boundaries_become_files(tmp_path, closed):
    mean_field = gf.solve_static(gf.GatedRNN(1.0, tau_z=3.0, tau_r=5.0))[0]
    found = gf.spectral_boundary(
        mean_field, method="closed form" if closed else "units", samples=16
    )
    data = found.to_dataset()
    assert data.sizes["vertex"] == found.curve.size and data.sizes["isolated"] == 1
    data.to_netcdf(tmp_path / "boundary.nc")
    with xarray.open_dataset(tmp_path / "boundary.nc") as read:
        np.testing.assert_array_equal(read.vertices_imag, found.vertices_imag)
        assert float(read.leading_edge) == float(found.leading_edge)
        assert read.attrs["method"] == found.method and read.attrs["status"] == "ok"


def test_curves_that_are_too_coarse_say_so():
    """Three hundred units of weak coupling at a resolution that no budget allows."""
    source = rates(np.linspace(0.1, 3, 300), np.full(300, 1 / 300), 1e-3)
    with pytest.raises(NumericalFailureError, match="Raise the resolution, or pass throw=False"):
        gf.spectral_boundary(source, resolution=1e-7)
    found = gf.spectral_boundary(source, resolution=1e-7, throw=False)
    assert found.status is Status.NOT_CONVERGED and np.isfinite(found.leading_edge)


@pytest.mark.slow
def test_bad_arguments_are_refused():
    units = at_zero(gf.VanillaRNN(1.0))
    mean_field = gf.solve_static(gf.VanillaRNN(0.5))[0]
    bad: dict[str, Any] = {
        "method": ["eq5", None, 1],
        "resolution": [0.0, -1e-3, 0.2, np.nan, "fine", [1e-3]],
        "samples": [0, 1, 2.5],
        "seed": [-1, 0.5, "s"],
    }
    for name, values in bad.items():
        for value in values:
            with pytest.raises(InvalidInputError, match=name):
                gf.spectral_boundary(mean_field, **{"method": "units", name: value})
    with pytest.raises(InvalidInputError, match="method"):
        gf.spectral_boundary(units, method="closed form")
    for source in (None, gf.VanillaRNN(1.0), gf.Network.sample(gf.VanillaRNN(1.0), 4), "x", 1.0):
        with pytest.raises(InvalidInputError, match="source"):
            gf.spectral_boundary(source)
    for resolution in (1e-10, 1e-300):
        with pytest.raises(InvalidInputError, match="resolution"):
            gf.spectral_boundary(units, resolution=resolution)


def test_islands_too_small_to_draw_may_be_unstable():
    """Weakly coupled fast oscillators: the island of each pole has radius g/2."""
    g, rate = 0.02, 0.005
    A = np.array([[[-rate, 10.0], [-10.0, -rate]]])
    L, R = np.array([[[1.0], [0.0]]]), np.array([[[1.0, 0.0]]])
    units = gf.UnitEnsemble(A, L, R, np.zeros((1, 1, 1)), np.ones(1), np.array([g]), False)
    found = gf.spectral_boundary(units)
    # (lambda - A)^-1 beside 10i is 1/2 over the distance, up to corrections of order g/10.
    assert float(found.leading_edge) == pytest.approx(g / 2 - rate, abs=1e-4)
    assert not found.stable and found.contains(0.003 + 10j)
