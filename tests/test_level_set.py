"""Level curves against circles, Cassini ovals, holes and cusps whose shape is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.numerics import level_set
from gatefield.numerics.level_set import enclosed_area

level_curves: Any = level_set.level_curves  # type checkers take its arrays for real ones

# A chord within 5e-4 of the radius of curvature cuts off at most 4/3 of that part of the area.
CHORDS = 1e-3


def log_sum(weights, poles):
    """Return f = ln sum_k w_k / |z - p_k|^2, which asserts Im z >= 0 and counts its calls."""
    weights, poles = np.asarray(weights), np.asarray(poles)

    def f(z):
        assert z.ndim == 1 and np.all(z.imag >= 0)
        f.calls += 1
        with np.errstate(divide="ignore"):
            return np.log(np.sum(weights / abs(z[:, None] - poles) ** 2, axis=1))

    f.calls = 0
    return f


def inside(curves, points):
    """Count the curves around each point, by another library."""
    xy = np.stack([points.real, points.imag], axis=1)
    paths = [Path(np.stack([c.real, c.imag], axis=1)) for c in curves]
    return sum((path.contains_points(xy).astype(int) for path in paths), np.zeros(len(xy), int))


def crossings(curves):
    """Count the pairs of edges, of all curves together, that cross."""
    a = np.concatenate(curves)
    b = np.concatenate([np.roll(curve, -1) for curve in curves])

    def side(p, q, r):
        return np.sign(((q - p).conj() * (r - p)).imag)

    p, q, r, s = a[:, None], b[:, None], a[None], b[None]
    apart = (side(p, q, r) * side(p, q, s) < 0) & (side(r, s, p) * side(r, s, q) < 0)
    return np.count_nonzero(apart)


def assert_mirrored(curves):
    """Check that the vertices together are their own mirror image, bit by bit."""
    vertices = np.concatenate(curves)
    np.testing.assert_array_equal(np.sort_complex(vertices), np.sort_complex(vertices.conj()))


@pytest.mark.parametrize("radius", [1e-5, 0.3, 1.0, 1e3])
def test_disk(radius):
    f = log_sum([radius**2], [-1.0])
    found = level_curves(f, -1.0)
    (curve,) = found.curves
    # Near z = -1, rounding of z alone is 1e-16 / radius.
    np.testing.assert_allclose(abs(curve + 1), radius, rtol=1e-9)
    area = np.pi * radius**2
    assert (1 - CHORDS) * area < enclosed_area(curve) < area  # inscribed, counter-clockwise
    middles = abs((curve + np.roll(curve, -1)) / 2 + 1)
    assert middles.min() > (1 - 1e-3) * radius
    assert found.complete and found.unresolved.size == 0
    assert np.count_nonzero(curve.imag == 0) == 2
    assert_mirrored(found.curves)
    assert found.evaluations < 1600 and f.calls < 20


def test_area_has_a_sign():
    square = np.array([0, 2, 2 + 2j, 2j]) + 1e6
    assert enclosed_area(square) == 4.0
    assert enclosed_area(square[::-1]) == -4.0


def cassini_area(b):
    """Integrate the area inside |z^2 - 1| = b^2 in polar coordinates."""
    t = (np.arange(200_000) + 0.5) / 200_000 * np.pi - np.pi / 2
    if b > 1:
        return np.pi * np.mean(np.sqrt(b**4 - np.sin(2 * t) ** 2))
    return np.pi * np.mean(b**4 * np.cos(t) ** 2 / np.sqrt(1 - b**4 * np.sin(t) ** 2))


@pytest.mark.parametrize("turn", [1, 1j], ids=["real", "imaginary"])
@pytest.mark.parametrize(("b", "count"), [(0.5, 2), (0.999, 2), (1.001, 1), (1.2, 1)])
def test_cassini_ovals_merge(b, count, turn):
    """The ovals of |z^2 - turn^2| = b^2 touch at b = 1, on the axis or across it."""
    foci = np.array([turn, -turn])

    def f(z):
        return np.log(b**4) - 2 * np.log(abs(z - turn)) - 2 * np.log(abs(z + turn))

    found = level_curves(f, foci[:1] if turn == 1j else foci)
    assert len(found.curves) == count and found.complete
    areas = np.array([enclosed_area(curve) for curve in found.curves])
    assert np.all(areas > 0)
    np.testing.assert_allclose(areas.sum(), cassini_area(b), rtol=CHORDS)
    vertices = np.concatenate(found.curves)
    distance = abs(f(vertices)) / abs(4 * vertices / (vertices**2 - turn**2))
    assert distance.max() < 1e-9
    assert_mirrored(found.curves)
    assert crossings(found.curves) == 0
    assert found.evaluations < 2700


def test_two_disks_off_the_axis():
    centre, radius = 0.3 + 2j, 0.25

    def f(z):
        return 2 * np.log(radius / np.minimum(abs(z - centre), abs(z - centre.conjugate())))

    found = level_curves(f, [centre])
    assert len(found.curves) == 2
    for curve in found.curves:
        middle = centre if curve[0].imag > 0 else centre.conjugate()
        np.testing.assert_allclose(abs(curve - middle), radius, rtol=1e-9)
        assert np.pi * radius**2 * (1 - CHORDS) < enclosed_area(curve) < np.pi * radius**2
    assert_mirrored(found.curves)


def test_five_hundred_poles():
    poles = -np.random.default_rng(1).uniform(0.2, 1.0, 500)
    f = log_sum(np.full(500, 0.2 / 500), poles)
    found = level_curves(f, poles)
    (curve,) = found.curves
    assert found.unresolved.size == 0 and np.all(inside(found.curves, poles) == 1)
    # f falls off at least as fast as for one pole at the greatest distance, 1.5: by 2 / 1.5.
    assert abs(f(curve[curve.imag >= 0])).max() < 1e-9
    # Midpoints within 1e-3 of the width, f's slope being at most 2 / (distance to a pole).
    middles = (curve + np.roll(curve, -1)) / 2
    middles = middles[middles.imag >= 0]
    slope = 2 / abs(middles[:, None] - poles).min(axis=1)
    assert np.max(abs(f(middles)) / slope) < 1e-3 * np.ptp(curve.real)
    assert found.evaluations < 2500


@pytest.mark.parametrize("k", [3.0, 4.0, 6.0])
def test_hole_on_the_axis(k):
    """|z^2 - 1| < k |z| is a ring; z -> 1/z exchanges its two edges."""

    def f(z):
        with np.errstate(divide="ignore"):
            return 2 * np.log(k * abs(z) / (abs(z - 1) * abs(z + 1)))

    found = level_curves(f, [-1, 1])
    outer, hole = found.curves
    angle = 2 * np.pi * np.arange(1000) / 1000
    b = k**2 + 2 * np.cos(2 * angle)
    for curve, sign in ((outer, 1), (hole, -1)):
        squared = (b + sign * np.sqrt(b**2 - 4)) / 2
        np.testing.assert_allclose(enclosed_area(curve), sign * np.pi * squared.mean(), rtol=CHORDS)
        real = np.sort(curve.real[curve.imag == 0])
        edge = (np.sqrt(k**2 + 4) + sign * k) / 2
        np.testing.assert_allclose(real, [-edge, edge], rtol=1e-9)
    assert found.unresolved.size == 0
    assert crossings(found.curves) == 0


@pytest.mark.parametrize("b", [0.37, 1.1 + 1.3j], ids=["real", "complex"])
def test_small_holes_are_found(b):
    """A zero of the exponent makes a hole of 2 per cent of the region's width."""
    zeros = np.unique([b, np.conj(b)])
    poles = np.array([-1.0, 1.0, *([0.2] if zeros.size == 2 else [])])
    bare = np.prod(abs(b - poles)) / np.prod([abs(b - z) for z in zeros if z != b])

    def f(z):
        near = np.sum(np.log(abs(z[:, None] - zeros)), axis=1)
        return 2 * (np.log(scale) + near - np.sum(np.log(abs(z[:, None] - poles)), axis=1))

    scale = np.sqrt(bare / 0.01)  # hole of radius bare / scale = 0.01 scale, region of radius scale
    found = level_curves(f, poles)
    holes = found.curves[1:]
    assert len(holes) == zeros.size
    np.testing.assert_allclose(np.ptp(found.curves[0].real), 2 * scale, rtol=0.2)
    for hole in holes:
        assert abs(zeros - hole.mean()).min() < 0.3 * bare / scale
        np.testing.assert_allclose(-enclosed_area(hole), np.pi * (bare / scale) ** 2, rtol=0.2)


def test_cusp():
    """Rates s spread over six decades pinch the curve of <|s / (z + s)|^2> = 1 towards zero."""
    s = np.geomspace(1e-6, 1, 200)
    f = log_sum(s**2 / s.size, -s)
    found = level_curves(f, -s)
    (curve,) = found.curves
    assert found.complete and crossings(found.curves) == 0
    upper = curve[curve.imag >= 0]
    # On the axis, f(x) falls through zero once for x > 0; bisect there by hand.
    low, high = -0.5e-6, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if f(np.array([middle + 0j]))[0] > 0 else (low, middle)
    np.testing.assert_allclose(curve.real.max(), low, rtol=0, atol=1e-9)
    slope = 2 / abs(upper[:, None] + s).min(axis=1)
    assert np.max(abs(f(upper)) / slope) < 1e-9
    assert found.evaluations < 2000


def test_tiny_island_beside_a_disk():
    def f(z):
        return 2 * np.log(np.maximum(1 / abs(z + 1), 0.01 / abs(z - 2)))

    disk, island = level_curves(f, [-1, 2]).curves
    np.testing.assert_allclose(abs(disk + 1), 1, rtol=1e-9)
    np.testing.assert_allclose(abs(island - 2), 0.01, rtol=1e-7)  # 1e-9 of the whole
    np.testing.assert_allclose(enclosed_area(island), np.pi * 1e-4, rtol=3e-3)  # chords: 2e-3
    assert island.size > 40


def test_resolution_decides_about_islands():
    """Islands above the resolution are drawn, those far below are listed and cost little."""
    poles = np.linspace(-2, 2, 81) + 1j * (0.4 * np.arange(81) % 2)
    radius = np.where(np.arange(81) % 8 == 3, 0.006, 1e-4)

    def f(z):
        return np.max(2 * np.log(radius / abs(z[:, None] - poles)), axis=1)

    found = level_curves(f, np.concatenate([poles, poles.conj()]), resolution=1e-3)
    large, small = poles[radius > 1e-3], poles[radius < 1e-3]
    assert np.all(inside(found.curves, large) == 1)
    assert np.all(inside(found.curves, large.conj()) == 1)
    expected = np.sort_complex(np.concatenate([small, small.conj()]))
    np.testing.assert_array_equal(np.sort_complex(found.unresolved), expected)
    assert found.complete and found.evaluations < 10_000
    on_curve = [abs(np.concatenate(found.curves) - p).min() for p in large]
    np.testing.assert_allclose(on_curve, 0.006, rtol=1e-6)


def test_nothing_positive():
    poles = np.random.default_rng(2).standard_normal(3000)
    found = level_curves(lambda z: np.full(z.shape, -np.inf), poles)
    assert found.curves == () and found.complete
    np.testing.assert_array_equal(found.unresolved, poles)
    assert found.evaluations < 1000


@pytest.mark.parametrize("budget", [1000, 3000, 6000])
@pytest.mark.slow
def test_budget_ends_the_refinement(budget):
    rng = np.random.default_rng(3)
    poles = rng.uniform(-2, 0, 60) + 1j * rng.uniform(0, 1, 60)
    f = log_sum(np.full(120, 0.002), np.concatenate([poles, poles.conj()]))
    found = level_curves(f, poles, max_evaluations=budget)
    assert not found.complete and found.evaluations <= max(
        budget, 2500
    )  # the first grid and its vertices
    assert len(found.curves) > 1 and crossings(found.curves) == 0
    assert_mirrored(found.curves)
    vertices = np.concatenate(found.curves)
    vertices = vertices[np.imag(vertices) >= 0]
    slope = 2 / abs(vertices[:, None] - poles).min(axis=1)
    assert np.max(abs(f(vertices)) / slope) < 1e-8
    fine = level_curves(f, poles, max_evaluations=100_000)
    assert fine.complete
    total, whole = (sum(map(enclosed_area, x.curves)) for x in (found, fine))
    np.testing.assert_allclose(total, whole, rtol=0.1)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 8), scale=st.floats(-2, 0))
def test_regions_are_those_where_f_is_positive(seed, count, scale):
    rng = np.random.default_rng(seed)
    poles = rng.standard_normal(count) + 1j * abs(rng.standard_normal(count))
    poles = np.where(rng.random(count) < 0.5, poles.real, poles)
    weights = 10.0**scale * rng.exponential(size=count)
    f = log_sum(np.tile(weights, 2), np.concatenate([poles, poles.conj()]))
    found = level_curves(f, poles, resolution=3e-3, chord=3e-3)
    assert found.complete and crossings(found.curves) == 0
    drawn = poles[inside(found.curves, poles) % 2 == 1]
    assert set(drawn) | set(found.unresolved) == set(poles)
    assert not set(drawn) & set(found.unresolved)
    points = rng.uniform(-3, 3, 4000) + 1j * rng.uniform(0, 3, 4000)
    points = points[abs(f(points)) > 0.1]
    wrong = (inside(found.curves, points) % 2 == 1) != (f(points) > 0)
    lonely = abs(points[:, None] - found.unresolved).min(axis=1, initial=np.inf) < 0.05
    assert not np.any(wrong & ~lonely)


@pytest.mark.parametrize(
    ("poles", "options", "words"),
    [
        ([], {}, "poles"),
        ([np.inf], {}, "poles"),
        ([[1.0]], {}, "poles"),
        ("near", {}, "poles"),
        ([1.0], {"resolution": 0.5}, "resolution"),
        ([1.0], {"chord": 0.0}, "chord"),
        ([1.0], {"max_evaluations": 10}, "max_evaluations"),
    ],
    ids=["none", "infinite", "matrix", "text", "resolution", "chord", "budget"],
)
def test_bad_input_is_refused(poles, options, words):
    with pytest.raises(InvalidInputError, match=f"{words}.* = .*expected"):
        level_curves(log_sum([1.0], [1.0]), poles, **options)


@pytest.mark.parametrize(
    "function", [lambda z: np.ones(3), lambda z: z, lambda z: 0.0], ids=["shape", "complex", "one"]
)
def test_functions_of_the_wrong_kind_are_refused(function):
    with pytest.raises(InvalidInputError, match=r"function\(points\) = .*expected real numbers"):
        level_curves(function, [1.0])


def test_functions_that_fail_are_named():
    with pytest.raises(NumericalFailureError, match="= nan: expected"):
        level_curves(lambda z: np.where(z.imag > 0, np.nan, -1.0), [1.0])
    with pytest.raises(NumericalFailureError, match="expected f < 0 far away"):
        level_curves(lambda z: np.ones(z.shape), [1.0])
