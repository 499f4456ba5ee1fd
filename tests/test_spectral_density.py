"""Densities and counts: exact laws, independent solutions, eigenvalues of small networks."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import gatefield as gf
from gatefield.compare import compare_sizes
from gatefield.core.results import Status
from gatefield.networks import NetworkJacobian
from gatefield.theory.rmt import unit_ensemble

N = 60
STATE = 80  # units of simulated states; equal sizes are compiled once
COPIES = (1, 2)  # of each unit, in networks of two sizes


def ensemble_of(A, L, R, Q=None, gains=None, *, weights=None, is_map=False, units=0):
    count, fields = len(A), L.shape[-1]
    return gf.UnitEnsemble(
        A=A,
        L=L,
        R=R,
        Q=np.zeros((count, fields, fields)) if Q is None else Q,
        weights=np.full(count, 1 / count) if weights is None else np.asarray(weights, float),
        gains=np.ones(fields) if gains is None else np.asarray(gains, float),
        is_map=is_map,
        units=units,
    )


def disk(g, units=0):
    """-1 + g J."""
    one = np.ones((1, 1, 1))
    return ensemble_of(-one, one, one, gains=[g], units=units)


def random_units(count, d, fields, *, seed, gain=0.5):
    rng = np.random.default_rng(seed)
    A = 0.4 * rng.standard_normal((count, d, d)) - np.eye(d)
    L, R = rng.standard_normal((count, d, fields)), rng.standard_normal((count, fields, d))
    Q = np.tril(0.5 * rng.standard_normal((count, fields, fields)), -1)
    return ensemble_of(A, L, R, Q, gains=gain * np.linspace(0.9, 1.2, fields))


def steady(name, n=STATE):
    """Return a network of a registered cell, and the units of its state after a while."""
    cell = gf.registered_cells()[name]
    network = gf.Network.sample(cell, n, seed=3)
    step: dict[str, Any] = {} if isinstance(cell, gf.AbstractMap) else {"dt": 0.1}
    run = gf.simulate(network, 40, seed=3, save_every=40, progress=False, **step)
    return network, run.final


# --- exact laws


@pytest.mark.parametrize("g", [1e-3, 1.3, 1e3])
def test_circular_law(g):
    """1 / pi g^2 within g of -1, also 1e-9 inside, at the pole and next to it; resolvent

    conj(lambda + 1) / g^2 inside, 1 / (lambda + 1) outside.
    """
    arms = np.array([0.3, -0.7j, 0.999, 1 - 1e-9, (1 - 1e-9) * np.exp(1j), 0, 1e-14])
    found = gf.spectral_density(disk(g), -1 + g * arms)
    assert found.status is Status.OK and found.inside.all()
    np.testing.assert_allclose(found.density * np.pi * g**2, 1, rtol=1e-5)
    # Points within 1e-6 of a pole are moved by as much.
    np.testing.assert_allclose(found.resolvent * g, arms.conj(), atol=1e-6 + 2e-6 / g)
    outside = np.array([1 + 1e-9, -3.0, 1.001j, 1e3])
    found = gf.spectral_density(disk(g), -1 + g * outside)
    assert not found.inside.any() and not found.density.any()
    np.testing.assert_allclose(found.resolvent * g, 1 / outside, rtol=1e-9)
    for radius in (0.3, 0.9, 2.0):
        expected = min(radius, 1) ** 2
        assert found.fraction(-1, radius * g) == pytest.approx(expected, abs=2e-5)
    assert found.fraction_in_box(-1 + 0j, -1 + 2 * g + 2j * g) == pytest.approx(0.25, abs=2e-5)
    assert found.count(-1, 0.5 * g, units=200) == pytest.approx(50, abs=4e-3)


@pytest.mark.parametrize("g", [0.7, 1.3, 1e3])
def test_exactly_on_the_edge(g):
    """Where the radius of M is one to the last bits the density may be either, but a number."""
    angles = np.exp(2j * np.pi * np.arange(64) / 64)
    for inwards in (0, 1e-16, 1e-15, 1e-14, 1e-13):
        found = gf.spectral_density(disk(g), -1 + g * (1 - inwards) * angles)
        assert np.all(np.isfinite(found.density)) and np.all(np.isfinite(found.resolvent))
        assert np.all(found.density * np.pi * g**2 < 2)
    assert found.fraction(-1, g) == pytest.approx(1, abs=2e-5)


def test_couplings_far_weaker_than_rates():
    """g = 1e-6: -1 + g/2 - (-1) is known to ten digits, and so is the density."""
    found = gf.spectral_density(disk(1e-6), [-1 + 5e-7, -1 + 5e-7j, -1 + 2e-6])
    np.testing.assert_array_equal(found.inside, [True, True, False])
    np.testing.assert_allclose(found.density * np.pi * 1e-12, [1, 1, 0], rtol=1e-5)
    assert found.fraction(-1, 5e-7) == pytest.approx(0.25, abs=1e-4)


def one_field(ensemble, point):
    """Solve Eqs. A37-A42: sum over units of w |Y|^2 / (1 + x |Y|^2) = 1; returns d g(lambda)."""
    one = np.eye(ensemble.components)
    inverse = np.linalg.inv(point * one - ensemble.A)
    R, w = ensemble.gains[0] * ensemble.R, ensemble.weights
    Y = (R @ inverse @ ensemble.L)[:, 0, 0]
    slope = -(R @ inverse @ inverse @ ensemble.L)[:, 0, 0]
    own = w @ np.trace(inverse, axis1=1, axis2=2)
    size = np.abs(Y) ** 2
    excess = lambda x: w @ (size / (1 + x * size)) - 1  # noqa: E731
    root: Any = brentq
    if excess(0.0) <= 0:
        return own
    x = root(excess, 0.0, 1.0, xtol=1e-16, rtol=1e-14)
    return own + w @ (x * Y.conj() * slope / (1 + x * size))


def difference_density(function, point, h=1e-4):
    """(1 / 2 pi) (d_x + i d_y) g, by five points."""

    def slope(e):
        near, far = function(point + e) - function(point - e), function(point + 2 * e)
        return (8 * near - far + function(point - 2 * e)) / (12 * h)

    return (slope(h) + 1j * slope(1j * h)) / (2 * np.pi)


def one_field_units(kind):
    rng = np.random.default_rng(8)
    if kind == "vanilla":
        cell = gf.VanillaRNN(2.5, beta=0.1)
        state = rng.standard_normal((1, N))
        return gf.UnitEnsemble.of_samples(
            cell, state, np.zeros((1, N)), weights=rng.uniform(0.2, 1, N)
        )
    if kind == "two-populations":
        r = np.repeat([0.3, 2.0], 20)[:, None, None]
        return ensemble_of(-r, r, np.ones_like(r), gains=[0.9], weights=np.full(40, 0.025))
    return random_units(N, 2, 1, seed=9, gain=1.2)


@pytest.mark.parametrize("kind", ["vanilla", "two-populations", "pairs"])
def test_one_order_parameter(kind):
    """Against a scalar root in plain numpy, and differences of it; `pairs` has complex poles."""
    ensemble = one_field_units(kind)
    d = ensemble.components
    rng = np.random.default_rng(10)
    points = rng.uniform(-2, 0.5, 12) + 1j * rng.uniform(-0.6, 0.9, 12)
    points = np.concatenate([points, [-0.7, 0.05, 4.0, -1 + 3j]])
    found = gf.spectral_density(ensemble, points)
    exact = np.array([one_field(ensemble, point) for point in points]) / d
    np.testing.assert_allclose(found.resolvent, exact, rtol=1e-8, atol=1e-10)
    assert 5 < found.inside.sum() < points.size and np.all(found.density >= 0)
    for k in np.flatnonzero(np.abs(points.imag) > 1e-3):
        density = difference_density(lambda z: one_field(ensemble, z) / d, points[k])
        assert found.density[k] == pytest.approx(density.real, abs=2e-6)


# --- several fields: plain iteration


def plain_resolvent(ensemble, point):
    """Iterate t and s of section 5's equations, damped; returns g by its inverse of full blocks."""
    A, L, w = ensemble.A, ensemble.L, ensemble.weights
    R, Q = (ensemble.gains[:, None] * block for block in (ensemble.R, ensemble.Q))
    d, k = L.shape[1:]
    Y = R @ np.linalg.inv(point * np.eye(d) - A) @ L + Q
    Yh, one = Y.conj().swapaxes(1, 2), np.eye(k)
    t, s = np.full(k, 0.1), np.full(k, 0.1)

    def mean(W, u):
        inverse = W @ np.linalg.inv(one + u[:, None] * W)
        return w @ np.real(np.diagonal(inverse, axis1=1, axis2=2))

    for _ in range(4000):
        before = np.log(np.concatenate([t, s]))
        t = np.sqrt(t * mean((Y * t) @ Yh, s))
        s = np.sqrt(s * mean((Yh * s) @ Y, t))
        balance = np.exp(np.mean(np.log(s / t)) / 2)
        t, s = t * balance, s / balance
        if np.max(np.abs(np.log(np.concatenate([t, s])) - before)) < 1e-13:
            break
    tYs = t[:, None] * Yh * s
    inner = L @ np.linalg.inv(one + tYs @ Q) @ tYs @ R
    full = np.linalg.inv(point * np.eye(d) - A + inner)
    return w @ np.trace(full, axis1=1, axis2=2) / d


@pytest.mark.parametrize("name", ["vanilla-rnn", "gated-rnn", "gru", "gru-reset-before"])
@pytest.mark.slow
def test_registered_cells_against_plain_iteration(name):
    """At a simulated state; the density by differences of the resolvent, both sides of the axis."""
    check_state(name)


@pytest.mark.slow
def test_lstm_against_plain_iteration():
    check_state("lstm")


def check_state(name):
    network, state = steady(name)
    units = gf.linearise(network, state)
    boundary = gf.spectral_boundary(units, resolution=1e-2)
    middle = (boundary.vertices_real.min() + boundary.vertices_real.max()) / 2
    high, edge = float(boundary.largest_imaginary), float(boundary.vertices_real.max())
    points = np.array([middle + 0.3j * high, middle - 0.5j * high, 0.9 * edge + 0.1j * high])
    points = points[boundary.contains(points)]
    found = gf.spectral_density(units, points)
    assert found.inside.all() and points.size >= 2 and np.all(found.density > 0)
    expected = [plain_resolvent(unit_ensemble(units), point) for point in points]
    np.testing.assert_allclose(found.resolvent, expected, rtol=1e-6)
    h = 1e-5
    for point, density in zip(points, found.density, strict=True):
        g = gf.spectral_density(units, point + h * np.array([1, -1, 1j, -1j])).resolvent
        slope = (g[0] - g[1] + 1j * (g[2] - g[3])) / (2 * h)
        assert slope / (2 * np.pi) == pytest.approx(density, rel=1e-5, abs=1e-8)
    far = 3 * (abs(edge) + high + 1) * np.exp(2j)
    trace = np.linalg.inv(far * np.eye(units.A.shape[1]) - units.A).trace(axis1=1, axis2=2)
    outside = gf.spectral_density(units, [far])
    assert not outside.inside[0] and outside.density[0] == 0
    np.testing.assert_allclose(outside.resolvent[0], trace.mean() / units.A.shape[1], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-8, 1e-5, 1.0, 1e5, 1e8])
def test_units_of_a_field_do_not_matter(scale):
    """A field measured in other units: its gain times c, what it does divided by c."""
    plain = random_units(20, 1, 2, seed=11)
    by = np.array([1.0, scale])
    other = ensemble_of(plain.A, plain.L / by, plain.R, plain.Q / by, plain.gains * by)
    points = [-1 + 0.1j, -0.8 + 0.2j, -1.1]
    expected = [plain_resolvent(plain, point) for point in points]
    found = gf.spectral_density(other, points)
    assert found.inside.all()
    np.testing.assert_allclose(found.resolvent, expected, rtol=1e-7)


# --- networks of random units and of cells, couplings that know nothing of the state


def eigenvalues_of(ensemble, seed):
    """D = A + L (1 - J Q)^-1 J R with complex couplings, which have no excess on the real axis."""
    rng = np.random.default_rng(seed)
    count, d, k = ensemble.L.shape
    blocks = {}
    for name, rows, columns in (("A", d, d), ("L", d, k), ("R", k, d), ("Q", k, k)):
        parts = getattr(ensemble, name)
        grid = [[np.diag(parts[:, i, j]) for j in range(columns)] for i in range(rows)]
        blocks[name] = np.block(grid)
    J = np.zeros((k * count, k * count), complex)
    for a in range(k):
        own = slice(a * count, (a + 1) * count)
        noise = rng.standard_normal((2, count, count)) / np.sqrt(2 * count)
        J[own, own] = ensemble.gains[a] * (noise[0] + 1j * noise[1])
    coupled = np.linalg.solve(np.eye(k * count) - J @ blocks["Q"], J @ blocks["R"])
    return np.linalg.eigvals(blocks["A"] + blocks["L"] @ coupled)


def copied(ensemble, copies):
    """Every unit several times over: a larger network of which theory says the same."""
    parts = (ensemble.A, ensemble.L, ensemble.R, ensemble.Q)
    return ensemble_of(*(np.concatenate([part] * copies) for part in parts), gains=ensemble.gains)


def counts_agree(density, spectra, discs):
    """Compare the fraction in each disc, from spectra by their size N d, for N to infinity.

    The mean number in a disc is off by a few tenths of an eigenvalue whatever N is (in the first
    disc of the GRU below by -0.26(7), -0.47(8), -0.34(20) at N = 80, 160, 320): a fraction of c/N.
    """
    for centre, radius in discs:
        theory = density.fraction(centre, radius)
        found = {
            size: [np.mean(np.abs(values - centre) < radius) for values in samples]
            for size, samples in spectra.items()
        }
        result = compare_sizes(theory, found, name=f"in {centre}, {radius}")
        assert 0.5 / min(found) < theory < 0.95 and result.agrees, str(result)


@pytest.mark.parametrize(
    "d, fields",
    [(1, 1), (2, 2), pytest.param(2, 3, marks=pytest.mark.slow)],
    ids=["1x1", "2x2", "2x3"],
)
def test_random_units(d, fields):
    ensemble = random_units(N, d, fields, seed=12, gain=1.0 if fields == 1 else 0.6)
    spectra = {}
    for copies in COPIES:
        units = copied(ensemble, copies)
        spectra[copies * N * d] = [eigenvalues_of(units, 100 + seed) for seed in range(20)]
    density = gf.spectral_density(ensemble, [])
    discs = ((-1.0, 0.5), (-0.6 + 0.5j, 0.4), (-1.5 - 0.6j, 0.5), (-0.5, 0.3))
    counts_agree(density, spectra, discs)
    boundary = gf.spectral_boundary(ensemble)
    outside = np.mean([np.mean(~boundary.contains(values)) for values in spectra[N * d]])
    assert outside < 0.03


def fresh_spectra(network, state, count=20):
    """Spectra of the state's units, and of copies of them, under couplings that never met it."""
    spectra, units = {}, gf.jacobian(network, state).blocks
    for copies in COPIES:
        n = copies * network.n
        blocks = jax.tree.map(lambda block, c=copies: np.concatenate([block] * c), units)
        drawn = [gf.Network.sample(network.cell, n, seed=1000 + seed) for seed in range(count)]
        spectra[n * len(state)] = [
            np.linalg.eigvals(NetworkJacobian(other, blocks).as_matrix()) for other in drawn
        ]
    return spectra


@pytest.mark.parametrize(
    "name",
    [
        "gru-reset-before",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("gated-rnn", "gru", "lstm")),
    ],
    ids=["gru-reset-before", "gated-rnn", "gru", "lstm"],
)
def test_cells_at_a_moving_state(name):
    """The units of one simulated state under 20 sets of couplings of two sizes."""
    network, state = steady(name)
    units = gf.linearise(network, state)
    density, boundary = gf.spectral_density(units, []), gf.spectral_boundary(units)
    # Off the real axis, to which eigenvalues of real matrices cling, and between its ends.
    left, right = boundary.vertices_real.min(), boundary.vertices_real.max()
    high, middle = float(boundary.largest_imaginary), (left + right) / 2
    discs = [(middle + part * (right - left) + 0.55j * high, 0.4 * high) for part in (-0.2, 0, 0.3)]
    counts_agree(density, fresh_spectra(network, state), discs)


@pytest.mark.slow
def test_hard_gates_at_a_moving_state():
    """(alpha_z, alpha_r) = (15, 5), where the bracket term D_t sets the edge."""
    cell = gf.GatedRNN(3.0, alpha_z=15.0, alpha_r=5.0)
    network = gf.Network.sample(cell, STATE, seed=5)
    state = gf.simulate(network, 50, dt=0.05, seed=5, save_every=1000, progress=False).final
    density = gf.spectral_density(gf.linearise(network, state), [])
    discs = ((-0.6 + 0.35j, 0.25), (-1 + 0.3j, 0.28), (-0.2 + 0.12j, 0.1))
    counts_agree(density, fresh_spectra(network, state), discs)


# --- fields in several groups


class Pair(gf.AbstractFlow):
    """Two linear networks in one: x about -1, y about -3; y may also listen to x."""

    g: Any
    k: Any
    link: Any = 0.0

    state_names: ClassVar[tuple[str, ...]] = ("x", "y")
    field_names: ClassVar[tuple[str, ...]] = ("a", "b")
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"a": self.g, "b": self.k}

    def outputs(self, state, fields, drive):
        return {"a": state["x"], "b": state["y"] + self.link * jnp.sin(state["x"])}

    def rule(self, state, fields, drive):
        return {"x": fields["a"] - state["x"], "y": fields["b"] - 3 * state["y"]}


@pytest.mark.parametrize("link", [0.0, 50.0])
@pytest.mark.parametrize("k", [0.5, 2.5])
def test_the_spectrum_of_two_networks_is_both_spectra(k, link):
    """Disks of radius 1 about -1 and k about -3, half the eigenvalues each, apart or overlapping.

    A link from one to the other leaves the determinant a product.
    """
    network = gf.Network.sample(Pair(1.0, k, link), 5, seed=1)
    units = gf.linearise(network, np.zeros((2, 5)))
    rng = np.random.default_rng(13)
    points = rng.uniform(-5, 0, 60) + 1j * rng.uniform(-2, 2, 60)
    found = gf.spectral_density(units, points)
    one, two = np.abs(points + 1) < 1, np.abs(points + 3) < k
    expected = one / (2 * np.pi) + two / (2 * np.pi * k**2)
    np.testing.assert_allclose(found.density, expected, rtol=1e-7, atol=1e-12)
    np.testing.assert_array_equal(found.inside, one | two)
    np.testing.assert_array_equal(gf.spectral_boundary(units).contains(points), one | two)
    assert found.fraction(-3, 0.4) == pytest.approx(0.08 / k**2, abs=2e-5)
    assert found.count(-3, 0.4) == pytest.approx(10 * 0.08 / k**2, abs=2e-4)
