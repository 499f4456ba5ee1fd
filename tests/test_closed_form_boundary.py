"""The closed form of Eq. 5: against units, stability, gates that are switches or shut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gatefield as gf


def vertices(boundary):
    return boundary.vertices_real + 1j * boundary.vertices_imag


@pytest.mark.parametrize("g", [1e-2, 1e-5, 1e-7])
def test_closed_form_of_a_weakly_coupled_vanilla_network(g):
    found = gf.spectral_boundary(gf.solve_static(gf.VanillaRNN(g))[0])
    assert found.method == "closed form"
    np.testing.assert_allclose(np.abs(vertices(found) + 1), g, rtol=1e-6)
    assert float(found.leading_edge) == pytest.approx(g - 1, abs=1e-6 * g)


def quadrature(mean_field, means, counts=(40, 22, 20)):
    """Units on a tensor grid of the fields' Gaussians: the trapezoid rule, with weights."""
    x = [np.linspace(-6.5, 6.5, count) for count in counts]
    w = [np.exp(-(axis**2) / 2) for axis in x]
    weights = np.einsum("i,j,k->ijk", *w).ravel()
    kept = weights > 1e-14
    grid = np.stack([axis.ravel()[kept] for axis in np.meshgrid(*x, indexing="ij")])
    deviations = np.sqrt([float(mean_field.field_variance[name]) for name in "hzr"])
    fields = deviations[:, None] * grid
    drive = np.array(means)[:, None] * np.ones_like(fields)
    return gf.UnitEnsemble.of_samples(
        mean_field.cell, fields + drive, fields, drive=drive, weights=weights[kept]
    )


@pytest.mark.parametrize("biased", [False, True], ids=["plain", "biased"])
def test_closed_form_is_the_average_over_units(biased):
    """Unstable fixed points at moderate gains; the grid is accurate to 1e-9 right of the axis."""
    plain = dict(g_h=2.4, alpha_z=1.0, alpha_r=1.2, tau_z=0.5, tau_r=3.0)
    bias = dict(g_h=3.2, beta_h=0.2, beta_z=0.6, beta_r=-0.1, tau_z=2.0) if biased else {}
    means = (0.1, 0.2, -0.1) if biased else (0.0, 0.0, 0.0)
    cell = gf.GatedRNN(**{**plain, **bias}, input_gating="update")
    mean_field = gf.solve_static(cell, input_mean=dict(zip("hzr", means, strict=True)))[-1]
    closed = gf.spectral_boundary(mean_field)
    units = gf.spectral_boundary(quadrature(mean_field, means))
    assert (closed.method, units.method) == ("closed form", "units")
    assert float(closed.leading_edge) > 0.005
    for name in ("leading_edge", "imaginary_intercept", "largest_imaginary"):
        assert float(getattr(closed, name)) == pytest.approx(float(getattr(units, name)), abs=1e-8)
    for one, other in ((closed, units), (units, closed)):
        points = vertices(one)
        points = points[points.real > -0.3]
        assert points.size > 20 and np.max(np.abs(other.log_radius(points))) < 1e-8


@settings(max_examples=25)
@given(
    g=st.floats(0.3, 6.0),
    alpha_z=st.floats(0.0, 6.0),
    alpha_r=st.floats(0.0, 6.0),
    beta_h=st.floats(-0.5, 0.5),
    tau_r=st.floats(0.1, 10.0),
)
def test_unstable_exactly_where_rho_exceeds_one(g, alpha_z, alpha_r, beta_h, tau_r):
    """Eq. 6 says nothing of alpha_z: the edge has the sign of rho - 1 for every branch."""
    cell = gf.GatedRNN(g, alpha_z=alpha_z, alpha_r=alpha_r, beta_h=beta_h, tau_r=tau_r)
    for mean_field in gf.solve_static(cell):
        found = gf.spectral_boundary(mean_field, resolution=1e-2)
        rho = float(mean_field.radius)
        if abs(rho - 1) > 1e-7:
            assert (float(found.leading_edge) > 0) == (rho > 1)
            assert (float(found.imaginary_intercept) > 0) == (rho > 1)
            assert found.stable == (rho < 1)


@pytest.mark.parametrize("method", ["closed form", "units"])
def test_hard_update_gates_split_the_spectrum(method):
    """alpha_z = 1e3, rho^2 <s_z> < 1: most of the open units around -1, the others at zero.

    The edge is pinched, ln(edge) = -1 - c alpha_z sqrt(D_z), below 1e-290, yet positive.
    """
    mean_field = gf.solve_static(gf.GatedRNN(3.0, alpha_z=1e3))[-1]
    rho = float(mean_field.radius)
    found = gf.spectral_boundary(mean_field, method=method)
    assert 0 < float(found.leading_edge) < 1e-290
    assert not found.stable
    # alpha_r = 0: a disk around -1 of radius rho sqrt(1/2).
    assert float(found.largest_imaginary) == pytest.approx(rho * np.sqrt(0.5), abs=2e-3)
    top = vertices(found)[np.argmax(vertices(found).imag)]
    assert top.real == pytest.approx(-1, abs=0.02)
    assert found.contains([-1 + 0.9j * rho * np.sqrt(0.5), -1.5, -0.5]).all()
    assert not found.contains([0.01, -0.1 + 0.1j, -0.15 + 0.05j, -1.9]).any()


@pytest.mark.parametrize("g", [1.5, 3.0])
def test_shut_gates(g):
    """beta_z = -30: an island of 1e-13 at zero, far too small to be drawn, decides stability."""
    for method in ("closed form", "units"):
        mean_field = gf.solve_static(gf.GatedRNN(g, beta_z=-30.0))[0]
        found = gf.spectral_boundary(mean_field, method=method, samples=16)
        assert np.sign(float(found.leading_edge)) == np.sign(g - 2)
        assert abs(float(found.leading_edge)) < 1e-12
        assert found.stable == (g < 2)


@pytest.mark.parametrize("g", [0.01, 0.5])
def test_stable_states_end_at_their_slowest_units(g):
    """Gates of argument N(0, 4.5): units are as slow as they come, whatever is drawn of them.

    The edge lies between the slowest rates of a hundred and a million units, 2.3 and 4.8 standard
    deviations out, and does not depend on the resolution (400 units: -3e-4).
    """
    cell = gf.GatedRNN(g, alpha_z=3.0, input_gating="update")
    mean_field = gf.solve_static(cell, input_variance={"z": 0.5})[0]
    fine, coarse = (
        float(gf.spectral_boundary(mean_field, resolution=part).leading_edge)
        for part in (1e-3, 1e-2)
    )
    rate = lambda q: 1 / (1 + np.exp(q * np.sqrt(4.5)))  # noqa: E731
    assert -rate(2.3) < fine <= 0 and -rate(2.3) < coarse <= 0
    assert fine == pytest.approx(coarse, rel=1e-3, abs=rate(4.8))
