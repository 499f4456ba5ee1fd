"""Distances between the curves of Figure 8, and the lines that Figures 1 and 8 print of them."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest

import gatefield as gf
from gatefield.compare import state_spectrum
from gatefield.core.results import Status
from gatefield.figures import fig01, fig08
from gatefield.theory.rmt import SpectralBoundary

EXACT = 5e-4  # of the extent: the points along the curves are no farther apart


def boundary(*curves):
    """Return a boundary of given curves, with no more to it."""
    vertices = np.concatenate([np.zeros(0, complex), *(np.asarray(c, complex) for c in curves)])
    nothing, zero = np.zeros(0), np.zeros(())
    return SpectralBoundary(
        vertices_real=np.real(vertices),
        vertices_imag=np.imag(vertices),
        curve=np.repeat(np.arange(len(curves)), [len(curve) for curve in curves]),
        leading_edge=zero,
        largest_imaginary=zero,
        imaginary_intercept=zero,
        isolated_real=nothing,
        isolated_imag=nothing,
        method="units",
        is_map=False,
        status=Status.OK,
        log_radius=np.real,
    )


def square(per_side=1, shift=0.0, side=1.0):
    """Return the vertices of a square, the lower left corner at the shift."""
    corners = side * np.array([0, 1, 1 + 1j, 1j])
    steps = np.arange(per_side) / per_side
    return shift + (corners[:, None] + (np.roll(corners, -1) - corners)[:, None] * steps).ravel()


def circle(radius, vertices, turn=0.0):
    return radius * np.exp(2j * np.pi * (np.arange(vertices) + turn) / vertices)


@pytest.mark.parametrize("per_side", [(1, 1), (1, 2), (1, 97), (31, 2)])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_distances_do_not_depend_on_the_vertices(per_side, shift):
    """A square, and the same one moved to the right: the sides across are as far apart."""
    one, other = boundary(square(per_side[0])), boundary(square(per_side[1], shift))
    for first, second in ((one, other), (other, one)):
        assert fig08.apart(first, second) == pytest.approx(shift, abs=(1 + shift) * EXACT)


def test_the_farthest_point_may_be_no_vertex():
    """A square, and the same one without its middle above 0: the middle of that floor is 1 away

    from the sides, the top and the bottom, while every vertex of either is within 0.2 of the other.
    """
    whole = boundary([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j])
    hollow = boundary([-1 - 1j, 1 - 1j, 1 + 1j, 0.8 + 1j, 0.8, -0.8, -0.8 + 1j, -1 + 1j])
    for first, second in ((whole, hollow), (hollow, whole)):
        assert fig08.apart(first, second) == pytest.approx(1, abs=2 * EXACT)


def test_circles_and_islands():
    """Circles about one point are apart by their radii, however coarse one is; islands count."""
    # Polygons of 400 sides lie within 1 - cos(pi / 400) = 3e-5 of their circle.
    near, far = boundary(circle(1.0, 400)), boundary(circle(1.2, 401, turn=0.3))
    assert fig08.apart(near, far) == pytest.approx(0.2, abs=2.4 * EXACT)
    island = boundary(circle(1.0, 400), square(shift=3.0, side=1e-3))
    assert fig08.apart(near, island) == pytest.approx(2.001, abs=4 * EXACT)
    assert fig08.apart(near, near) == 0


def test_no_curve_is_no_distance():
    for pair in ((square(),), ()), ((), (square(),)), ((), ()):
        assert np.isnan(fig08.apart(*(boundary(*curves) for curves in pair)))


def test_a_figure_without_curves_is_drawn(monkeypatch):
    """No couplings: every eigenvalue sits at a point, by theory of either kind."""
    monkeypatch.setattr(fig08, "PANELS", dict.fromkeys("ab", (0.0, 2.0, 0.0)))
    result = fig08.compute(size=fig08.Size(12, 1.0))
    for line in result.lines:
        assert "the units give no curve" in line and "nan" not in line
    drawn = fig08.figure(result)
    assert len(drawn.axes) == 2
    plt.close(drawn)


def spectrum(gain):
    """Return 12 units at the zero state: a disk of radius gain / 4 around -1/2, and 24 at -1."""
    network = gf.Network.sample(gf.GatedRNN(gain), 12)
    return state_spectrum(network, np.zeros((3, 12)))


def line_of_figure_8(one, closed):
    curves = {"closed_a": closed, "still_a": one.boundary}
    return fig08._line("a", one, fig08._table({"a": one}, curves).sel(panel="a"))


def test_lines_say_which_curve_is_missing():
    coupled, alone = spectrum(3.0), spectrum(0.0)
    told = line_of_figure_8(alone, coupled.boundary).split(";")[0]
    assert told.endswith("the units give no curve, only single points, to compare Eq. 5 with")
    told = line_of_figure_8(coupled, alone.boundary).split(";")[0]
    assert told.endswith("Eq. 5 gives no curve, only single points, to compare with the exact one")


@pytest.mark.parametrize("wider", [1.02, 1.2], ids=["nearly", "differs"])
def test_lines_tell_how_far_apart_curves_are(wider):
    """Disks around one centre: (wider - 1) of the radius, which is half of the extent."""
    told = line_of_figure_8(spectrum(3.0), spectrum(3.0 * wider).boundary).split(";")[0]
    verdict = "nearly coincide" if wider == 1.02 else "DIFFER"
    assert told.endswith(f"{verdict}, {(wider - 1) / 2:.1%} of the extent apart")


@pytest.mark.parametrize(
    ("places", "told"),
    [(0, "0.00% of the eigenvalues, at most"), (18, "50.00% of the eigenvalues, MORE than the")],
    ids=["inside", "half outside"],
)
def test_lines_tell_what_was_tested(places, told):
    """Eigenvalues at the disk's centre, or far away."""
    values = np.full(36, -0.5 + 0j)
    values[:places] = 40.0
    one = dataclasses.replace(spectrum(3.0), eigenvalues=values)
    # 1.5 per cent at N = 1000, as N^-1/2: 13.7 per cent.
    wanted = f"{told} 13.7% expected"
    first = fig01._cloud_line("a", one)
    assert wanted in first and "gree" not in first
    assert wanted in line_of_figure_8(one, one.boundary)
