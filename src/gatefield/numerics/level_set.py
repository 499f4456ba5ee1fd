"""Closed curves in the complex plane on which a real function is zero, by a quadtree of cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gatefield.core.checks import as_number, check_count
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.types import Complex, Float, HostArray

_COLUMNS = 28.618  # cells across the box; no fraction, so that symmetric curves miss the corners
_TOLERANCE = 1e-11  # of a vertex along its edge
_LOWEST = -100.0  # f below this is as good as -infinity


class LevelCurves(NamedTuple):
    """Curves around the regions where a function is positive.

    Attributes
    ----------
    curves
        Closed curves, the first vertex not repeated: counter-clockwise around regions where f > 0,
        clockwise around holes in them; the largest area first.
    unresolved
        Poles that no region encloses: the island of each is smaller than the resolution.
    evaluations
        Points at which the function was evaluated.
    complete
        False if the budget ended the refinement: the curves are closed, but coarser than asked.
    """

    curves: tuple[Complex[HostArray, " vertex"], ...]
    unresolved: Complex[HostArray, " pole"]
    evaluations: int
    complete: bool


def enclosed_area(curve: Complex[HostArray, " vertex"]) -> float:
    """Return the area inside a closed polygon, positive if it runs counter-clockwise.

    area = 1/2 sum_k Im( conj(z_k) z_(k+1) ), taken about the first vertex to avoid cancellation.
    """
    about = np.asarray(curve) - curve[0]
    return float(0.5 * np.sum((about.conj() * np.roll(about, -1)).imag))


def level_curves(
    function: Callable[[Complex[HostArray, " point"]], Float[HostArray, " point"]],
    poles: Any,
    *,
    resolution: float = 1e-3,
    chord: float = 5e-4,
    max_evaluations: int = 30_000,
) -> LevelCurves:
    """Trace the curves f(z) = 0 of a real function with f(conj z) = f(z).

    The upper half plane is cut into squares, those on the curve again, until the middle of every
    chord lies within its tolerance of the curve. Each square joins the sign changes on its own
    boundary, so the curves are closed and cannot cross. Vertices lie on edges of the squares, to
    1e-10 of an edge; those on the real axis are exactly real.

    Parameters
    ----------
    function
        f at a batch of points with Im z >= 0, of any length; plus or minus infinity is allowed.
    poles
        Points where f may be +infinity, (poles,); either one or both of a conjugate pair.
    resolution
        Radius of the smallest island to find, relative to the box around the poles and curves.
    chord
        Greatest distance of a chord from the curve, relative to the curve's radius of curvature
        (but at least 0.004 of the resolution).
    max_evaluations
        Budget; the first grid (600 points and its vertices) and noise in f may exceed it.

    Returns
    -------
    LevelCurves

    Raises
    ------
    InvalidInputError
        For bad poles or settings, or if the function does not return one real number per point.
    NumericalFailureError
        If f is NaN somewhere, or not negative far from the poles.

    Assumptions
    -----------
    f is negative far away and subharmonic except at the poles, so that every region where f > 0
    holds a pole: poles drawn outside are probed for islands. Holes are found where f on the first
    grid has a dip: nearly all that are wider than 2 per cent of the region around them.
    """
    poles = _check_poles(poles)
    resolution = as_number("resolution", resolution, positive=True)
    chord = as_number("chord", chord, positive=True)
    if min(resolution, chord) < 1e-9 or max(resolution, chord) > 0.1:
        refuse("resolution, chord", (resolution, chord), "1e-9 to 0.1", "Use parts of a length.")
    budget = check_count("max_evaluations", max_evaluations, at_least=1000)
    sample = _Sampler(function)
    folded = poles.real + 1j * abs(poles.imag)
    for margin in _margin(sample, folded) * 1.5 ** np.arange(16):
        tracer = _Tracer(sample, folded, margin, resolution, chord, budget)
        if tracer.refine():
            break
    else:
        raise NumericalFailureError(
            f"level_curves: f > 0 at a distance of {margin:.3g} from the poles: expected f < 0 far "
            "away. Check the sign of f, or pass poles near the region where f > 0."
        )
    curves = tracer.curves()
    unresolved = poles[_winding(curves, poles) < 0.5]
    return LevelCurves(curves, unresolved, sample.count, tracer.complete)


def _check_poles(poles: Any) -> np.ndarray:
    try:
        host = np.atleast_1d(np.asarray(poles)).astype(complex)
    except (TypeError, ValueError):
        host = np.zeros(0, complex)
    if host.ndim != 1 or not host.size or not np.all(np.isfinite(host)):
        refuse("poles", poles, "a one-dimensional array of finite numbers", "Pass at least one.")
    return host


def _winding(curves: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
    """Return how often the curves together run counter-clockwise around each point."""
    rays = (curve[:, None] - points for curve in curves)
    turns = (np.angle(np.roll(ray, -1, axis=0) / ray).sum(axis=0) for ray in rays)
    return sum(turns, np.zeros(points.size)) / (2 * np.pi)


class _Sampler:
    """The function, counted and checked, as 1 - exp(-f/2), which is linear around one pole."""

    def __init__(self, function: Callable):
        self.function, self.count = function, 0

    def __call__(self, points: np.ndarray) -> np.ndarray:
        f = np.asarray(self.function(points)) if points.size else np.zeros(0)
        if f.shape != points.shape or f.dtype.kind not in "fiu":
            got, expected = f"{f.dtype} of shape {f.shape}", f"real numbers of shape {points.shape}"
            refuse("function(points)", got, expected, "Return one real number per point.")
        if np.any(np.isnan(f)):
            raise NumericalFailureError(
                f"level_curves: function({points[np.isnan(f)][0]:.6g}) = nan: expected a real "
                "number or an infinity. Return inf at poles."
            )
        self.count += points.size
        return -np.expm1(-np.maximum(f, _LOWEST) / 2)


def _margin(sample: _Sampler, poles: Any) -> float:
    """Return about the smallest margin round the poles beyond which f < 0, to a factor sqrt 2."""
    left, right, top = poles.real.min(), poles.real.max(), poles.imag.max()
    middle, size = (left + right) / 2, max(right - left, 2 * top)
    # A single pole has no size of its own: look over many decades, then closer.
    scale = max(size, abs(middle)) or 1.0
    least = np.floor(np.log(max(size / scale, 1e-9)) / np.log(16)) - 1
    margins = scale * 16.0 ** np.arange(least, 12)
    for closer in (False, True):
        ring = [(left - m, right + m, middle + 1j * (top + m)) for m in margins]
        positive = np.any(sample(np.ravel(ring)).reshape(-1, 3) > 0, axis=1)
        last = np.max(np.flatnonzero(positive), initial=-1)
        if closer or last < 0 or last == margins.size - 1:
            break
        margins = margins[last] * 2.0 ** np.arange(0.5, 4.1, 0.5)
    return 1.1 * margins[min(last + 1, margins.size - 1)]


class _Tracer:
    """A quadtree of squares (level, i, j) in the upper half plane; their corners are integers."""

    def __init__(self, sample, poles, margin, resolution, chord, budget):
        left, right = poles.real.min() - margin, poles.real.max() + margin
        height = poles.imag.max() + margin
        extent = max(right - left, 2 * height)
        self.side = extent / _COLUMNS
        self.island = resolution * extent
        self.depth = max(3, int(np.ceil(np.log2(8 * self.side / self.island))))
        self.unit = self.side / 2**self.depth
        # The golden ratio keeps poles and symmetric curves off the corners of the squares.
        self.left = left - 0.618033988749895 * self.side
        self.columns = int(np.ceil((right - left) / self.side)) + 1
        self.rows = int(np.ceil(height / self.side)) + 1
        self.sample, self.budget, self.complete = sample, budget, True
        self.slack, self.floor = np.sqrt(chord / 8), 0.004 * self.island
        self.f: dict[Any, float] = {}  # at corners
        self.roots: dict[Any, np.ndarray] = {}  # the state of the search on each crossed edge
        self.leaves = {(0, i, j) for i in range(self.columns) for j in range(self.rows)}
        self.segments: dict[Any, Any] = {}
        self.tested: dict[Any, bool] = {}
        # One pole in each small square is probed: the others share any island worth drawing.
        squares = np.round(np.stack([poles.real - self.left, poles.imag]) / (self.island / 2))
        self.poles = poles[np.unique(squares, axis=1, return_index=True)[1]]
        self.targets: list[tuple[complex, bool]] = []  # points to draw, and whether f > 0 there

    def refine(self) -> bool:
        """Split squares until the curves are resolved; return False if they leave the box."""
        m, n = self.columns, self.rows
        every = [(i << self.depth, j << self.depth) for i in range(m + 1) for j in range(n + 1)]
        if not self.evaluate(every):
            return False
        self.seek_holes(np.array([self.f[corner] for corner in every]).reshape(m + 1, n + 1))
        wanted, cut = [()], False
        while wanted and not cut:
            self.find_segments()
            wanted = self.poor_chords()
            self.probe_poles(wanted)
            # Also squares in which a target is on the wrong side of the curves.
            seen = [(*self.drawn(point), sign) for point, sign in self.targets]
            wanted |= {cell for cell, inside, sign in seen if inside is not sign}
            wanted = sorted(cell for cell in wanted if cell[0] < self.depth)
            # A split costs about this much: corners, steps on edges, chords, vertices.
            most = max(0, self.left_over() // 20)
            cut = len(wanted) > most
            if not self.split(wanted[:most]):
                return False
        self.complete &= not cut
        self.find_segments()
        self.narrow({edge for pairs, _ in self.segments.values() for p in pairs for edge in p}, 50)
        return True

    def left_over(self) -> int:
        """Return the evaluations left, with those that will place the vertices set aside."""
        return self.budget - self.sample.count - 6 * len(self.segments)

    def evaluate(self, corners) -> bool:
        """Evaluate f at new corners; return False if it is positive on the edge of the box."""
        new = sorted(corner for corner in corners if corner not in self.f)
        where = np.array(new, float).reshape(-1, 2) * self.unit
        values = self.sample(self.left + where[:, 0] + 1j * where[:, 1]).tolist()
        self.f |= zip(new, values, strict=True)
        right, top = self.columns << self.depth, self.rows << self.depth
        return not any(self.f[x, y] > 0 and (x in (0, right) or y == top) for x, y in new)

    def split(self, cells) -> bool:
        corners = set()
        for level, i, j in cells:
            s = 1 << (self.depth - level - 1)
            x, y = (2 * i + 1) * s, (2 * j + 1) * s
            corners |= {(x, y), (x - s, y), (x + s, y), (x, y - s), (x, y + s)}
            self.leaves.remove((level, i, j))
            self.leaves |= {(level + 1, 2 * i + a, 2 * j + b) for a in (0, 1) for b in (0, 1)}
        return self.evaluate(corners)

    def between(self, a, b) -> list:
        """Return the corners from a to before b, with those of finer squares beyond the side."""
        middle = ((a[0] + b[0]) // 2, (a[1] + b[1]) // 2)
        if middle == a or middle == b or middle not in self.f:
            return [a]
        return self.between(a, middle) + self.between(middle, b)

    def corners(self, cell) -> list:
        s = 1 << (self.depth - cell[0])
        x, y = cell[1] * s, cell[2] * s
        return [(x, y), (x + s, y), (x + s, y + s), (x, y + s)]

    def find_segments(self) -> None:
        """Join the sign changes round every leaf: {leaf: (pairs of edges, one plain chord?)}.

        A pair runs with f > 0 on its left. The squares on both sides of an edge see the same sign
        change on it, so that the pairs link into curves without gaps.
        """
        self.segments = {}
        for cell in self.leaves:
            four = self.corners(cell)
            sides = [self.between(four[k - 1], four[k]) for k in range(4)]
            loop = [(corner, k) for k, side in enumerate(sides) for corner in side]
            signs = [self.f[corner] > 0 for corner, _ in loop]
            if all(signs) or not any(signs):
                continue
            steps = [k for k in range(len(loop)) if signs[k - 1] != signs[k]]
            edges = [tuple(sorted((loop[k - 1][0], loop[k][0]))) for k in steps]
            # Starts leave f > 0. Round an unclear square, join what has the sign of the mean.
            turn = 1 if sum(self.f[corner] for corner in four) > 0 else -1
            starts = range(0 if signs[steps[0] - 1] else 1, len(edges), 2)
            pairs = [(edges[k], edges[(k + turn) % len(edges)]) for k in starts]
            # Also unclear: both on one side, where a finer neighbour saw more than this square.
            plain = len(edges) == 2 and loop[steps[0] - 1][1] != loop[steps[1] - 1][1]
            self.segments[cell] = pairs, plain

    def narrow(self, edges, steps: int) -> None:
        """Take steps of Anderson and Bjorck's bracketed secants along edges, all in one batch."""
        edges = sorted(edges)
        for a, b in edges:
            # The ends of the bracket, the latest first, as parts of the edge, each with f.
            self.roots.setdefault((a, b), np.array([1.0, self.f[b], 0.0, self.f[a]]))
        state = np.array([self.roots[edge] for edge in edges]).reshape(-1, 4).T
        ends = np.array(edges, float).reshape(-1, 2, 2) @ [1, 1j] * self.unit
        start, along = self.left + ends[:, 0], ends[:, 1] - ends[:, 0]
        tolerance = np.maximum(_TOLERANCE, 1e-15 * abs(start) / abs(along))
        todo = np.flatnonzero(state[1])
        for step in range(steps):
            x1, f1, x2, f2 = state[:, todo]
            # Secants stall where f is far from linear: a bisection now and then.
            stalled = (step % 4 == 3) & (abs(x2 - x1) > 1e-3)
            x = x1 + np.where(stalled, 0.5, f1 / (f1 - f2)) * (x2 - x1)
            f = self.sample(start[todo] + x * along[todo])
            same = (f > 0) == (f1 > 0)
            part = np.where(f / f1 < 1, 1 - f / f1, 0.5)
            x2, f2 = np.where(same, x2, x1), np.where(same, part * f2, f1)
            state[:, todo] = x, f, x2, f2
            error = np.minimum(abs(f / (f - f2)), 0.5) * abs(x2 - x)
            todo = todo[error > tolerance[todo]]
        self.roots |= zip(edges, state.T, strict=True)

    def vertex(self, edge) -> complex:
        a, b = (complex(*corner) * self.unit for corner in edge)
        return self.left + a + float(self.roots[edge][0]) * (b - a)

    def poor_chords(self) -> set:
        """Return squares whose chord is too far from the curve, or that no plain chord crosses."""
        plain = {pairs[0]: cell for cell, (pairs, plain) in self.segments.items() if plain}
        new = [pair for pair in plain if pair not in self.tested]
        if new:
            self.narrow({edge for pair in new for edge in pair if edge not in self.roots}, 2)
            ends = np.array([[self.vertex(edge) for edge in pair] for pair in new])
            middle, along = ends.mean(axis=1), ends[:, 1] - ends[:, 0]
            reach = np.maximum(self.slack, self.floor / np.maximum(abs(along), self.floor)) * along
            # Below the axis is the mirrored half: there a thin cusp is tested on the axis.
            tries: Any = np.concatenate([middle + 1j * reach, middle - 1j * reach])
            inner, outer = np.split(self.sample(tries.real + 1j * np.maximum(tries.imag, 0)), 2)
            good = ((inner > 0) & (outer <= 0)) | (abs(along) < 2 * self.floor)
            self.tested |= zip(new, good.tolist(), strict=True)
        poor = {cell for pair, cell in plain.items() if not self.tested[pair]}
        return poor | (self.segments.keys() - plain.values())

    def drawn(self, point: complex) -> tuple[Any, bool | None]:
        """Return the leaf at a point and whether f > 0 there as drawn, None if not yet clear."""
        x, y = int((point.real - self.left) // self.unit), int(point.imag // self.unit)
        shifts = ((level, self.depth - level) for level in range(self.depth + 1))
        cell = next(c for level, s in shifts if (c := (level, x >> s, y >> s)) in self.leaves)
        pairs, plain = self.segments.get(cell, ([], False))
        if not plain:
            return cell, None if pairs else self.f[self.corners(cell)[0]] > 0
        start, end = (self.vertex(edge) for edge in pairs[0])
        return cell, bool(((end - start).conjugate() * (point - start)).imag > 0)

    def probe_poles(self, poor: set) -> None:
        """Look on small circles round the poles drawn outside for islands to draw."""
        later, probed = [], []
        for pole in self.poles:
            cell, inside = self.drawn(pole)
            # The island of even a fourth-order pole would show at the corners of its square.
            hint = 1 - (4 * self.side / 2 ** cell[0] / self.island) ** 2
            if cell in self.segments and (inside or cell in poor):
                later.append(pole)
            elif not inside and max(self.f[c] for c in self.corners(cell)) > hint:
                probed.append(pole)
        self.poles = later
        most = max(0, self.left_over() // 8)
        points = np.array(probed[:most], complex)[:, None] + self.island / 2 * np.array([1, -1, 1j])
        best = self.sample(points.ravel()).reshape(points.shape).max(axis=1)
        live = np.argsort(-best, kind="stable")[: np.count_nonzero(best > 0)]
        # An island costs about this many evaluations: draw fewer rather than none.
        room = max(0, self.left_over() // 250)
        self.complete &= len(probed) <= most and live.size <= room
        self.targets += [(probed[k], True) for k in live[:room]]

    def seek_holes(self, f: np.ndarray) -> None:
        """Search near the corners of the first grid where f > 0 is far below its neighbours."""
        with np.errstate(divide="ignore", invalid="ignore"):
            g = np.pad(-2 * np.log1p(-f), 1, mode="reflect")  # f itself; below, the mirrored row
            around = (g[2:, 1:-1] + g[:-2, 1:-1] + g[1:-1, 2:] + g[1:-1, :-2]) / 4
            dip = np.where(f > 0, np.nan_to_num(around - g[1:-1, 1:-1], posinf=0), 0)
        most = np.lib.stride_tricks.sliding_window_view(np.pad(dip, 1), (3, 3)).max(axis=(2, 3))
        # A zero in the middle of a square, 2 ln|z|, makes dips of 0.8; smooth f, of far less.
        i, j = np.nonzero((dip == most) & (dip > 0.3))
        points = (self.left + self.side * (i + 1j * j))[np.argsort(-dip[i, j])[:8]]
        step, compass = self.side / 2, np.append(0, np.exp(2j * np.pi * np.arange(8) / 8))
        while points.size and step > max(self.island, self.side / 16):
            tries = points[:, None] + step * compass
            tries = tries.real + 1j * abs(tries.imag)
            values = self.sample(tries.ravel()).reshape(tries.shape)
            rows, least = np.arange(points.size), values.argmin(axis=1)
            points, best, step = tries[rows, least], values[rows, least], step / 2
            self.targets += [(point, False) for point in points[best <= 0]]
            points = points[best > 0]

    def curves(self) -> tuple[np.ndarray, ...]:
        """Link the pairs, mirror them at the real axis, and sort the curves by area."""
        following = dict(pair for pairs, _ in self.segments.values() for pair in pairs)
        inner, whole = set(following.values()), []
        # Arcs from the real axis first: what is left after them are loops.
        for first in sorted(following, key=lambda edge: edge in inner):
            edges = [first]
            while edges[-1] in following:
                edges.append(following.pop(edges[-1]))
            curve = np.array([self.vertex(edge) for edge in edges])
            if first not in inner:
                whole.append(np.concatenate([curve, curve[1:-1].conj()[::-1]]))
            elif len(edges) > 1:
                whole += [curve[1:], curve[1:].conj()[::-1]]
        # Vertices coincide where f is zero at a corner.
        whole = [c for curve in whole if (c := curve[curve != np.roll(curve, 1)]).size > 2]
        return tuple(sorted(whole, key=lambda curve: -abs(enclosed_area(curve))))
