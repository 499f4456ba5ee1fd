"""Complexity against matrices of networks, and the mean number of fixed points against counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import root
from scipy.stats import norm

import gatefield as gf
from gatefield.compare import compare
from gatefield.compare.counts import count_fixed_points
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.theory.complexity import expected_count
from gatefield.theory.rmt import unit_ensemble

LSTM_GAINS = {f"gain_{name}": gain for name, gain in zip("ifgo", (3, 3, 12, 3), strict=True)}
CELLS = {
    "gated": gf.GatedRNN(3.0, alpha_r=10, alpha_z=2),
    "vanilla": gf.VanillaRNN(5.0),
    "gru": gf.GRU(gain_r=4, gain_z=1, gain_n=20),
    "gru-before": gf.GRU(gain_r=3, gain_z=2, gain_n=20, reset="before"),
    "lstm": gf.LSTM(**LSTM_GAINS),
}


def log_determinants(units, n, count, seed):
    """Return ln|det D| (maps: of D - 1) relative to the units' own, for drawn units, couplings."""
    rng = np.random.default_rng(seed)
    d, K = units.L.shape[1:]
    found = []
    for _ in range(count):
        chosen = rng.choice(len(units.weights), n, p=units.weights)
        A, L, R, Q = (getattr(units, name)[chosen] for name in "ALRQ")
        own = A - np.eye(d) if units.is_map else A
        couple, read = np.zeros((K, n, K, n)), np.zeros((K, n, d, n))
        for a in range(K):
            J = units.gains[a] * rng.standard_normal((n, n)) / np.sqrt(n)
            for b in range(K):
                couple[a, :, b] = (a == b) * np.eye(n) - J * Q[:, a, b]
            for c in range(d):
                read[a, :, c] = J * R[:, a, c]
        fields = np.linalg.solve(couple.reshape(K * n, K * n), read.reshape(K * n, d * n))
        fields = fields.reshape(K, n, d, n)
        matrix = np.einsum("nca,aned->cned", L, fields)
        units_alone = np.arange(n)
        matrix[:, units_alone, :, units_alone] += own
        # With Q the determinant of 1 - J Q goes along: det(own) det(1 - J Y) is their product.
        total = np.linalg.slogdet(matrix.reshape(d * n, d * n))[1]
        total += np.linalg.slogdet(couple.reshape(K * n, K * n))[1]
        found.append(total - np.linalg.slogdet(own)[1].sum())
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CELLS), ids=str)
def test_determinants_of_jacobians_grow_as_complexity_says(name):
    """ln|det| = N C - ln(N)/4 + const inside the spectrum, as for real Ginibre matrices."""
    solution = gf.solve_static(CELLS[name], samples=2048, replicates=4)[-1]
    counted = gf.complexity(solution, points=2)
    units = unit_ensemble(solution, samples=8192)
    small, large, draws = 40, 160, 60
    logs = [log_determinants(units, n, draws, 3) for n in (small, large)]
    growth = (logs[1] - logs[0] + np.log(large / small) / 4) / (large - small)
    result = compare(
        counted.value, growth, theory_error=counted.standard_error, name=f"complexity of {name}"
    )
    assert float(counted.value) > 0.02
    assert result.agrees, str(result)


def test_eigenvalues_of_the_counting_matrix():
    solution = gf.solve_static(gf.GatedRNN(1.8, alpha_r=30))[2]
    found = gf.complexity(solution, points=24)
    rng = np.random.default_rng(1)
    n, parts = 500, []
    for _ in range(3):
        h, r = (np.sqrt(float(solution.variance[k])) * rng.standard_normal(n) for k in "hr")
        J_h, J_r = rng.standard_normal((2, n, n)) / np.sqrt(n)
        phi, gate = np.tanh(1.8 * h), 1 / (1 + np.exp(-30 * r))
        q = 1.8 * (1 - phi**2)
        inner = np.diag(q * gate) + (phi * 30 * gate * (1 - gate))[:, None] * J_r * q
        moduli = np.abs(np.linalg.eigvals(J_h @ inner))
        parts.append(np.mean(moduli[:, None] <= found.radii, axis=0))
    off = np.max(np.abs(np.mean(parts, axis=0) - found.distribution))
    # Units drawn at random move F by 1/sqrt(N) at most times the part that varies, three networks
    # by 1/sqrt(3) of it; independent eigenvalues would scatter by 0.5/sqrt(3 N) = 0.013.
    assert off < 3 * 0.5 / np.sqrt(3 * n)


X = np.linspace(-10, 10, 4001)
W = np.exp(-(X**2) / 2) / np.exp(-(X**2) / 2).sum()


def tilted(g):
    """The mean number's exponent of the vanilla network by scipy: one field, one loop."""
    start = gf.solve_static(gf.VanillaRNN(g))[1]

    def parts(v):
        q, mu, p = np.exp(v[0]), v[1], np.exp(v[2])
        h = np.sqrt(q) * X
        y, c = np.tanh(g * h), g / np.cosh(g * h) ** 2
        weights = W * np.exp(0.5 * np.log1p(p * c**2) + mu * (y**2 - q))
        return q, mu, p, h, y, c, weights

    def equations(v):
        q, mu, p, h, y, c, weights = parts(v)
        P = weights / weights.sum()
        return [
            np.log(P @ y**2 / q),
            mu - (P @ h**2 / q - 1) / (2 * q),
            np.log(P @ (c**2 / (1 + p * c**2))),
        ]

    solved = root(equations, [np.log(float(start.field_variance["h"])), 0.0, -1.5], tol=1e-13)
    assert np.max(np.abs(solved.fun)) < 1e-10
    q, _, p, h, _, _, weights = parts(solved.x)
    return np.log(weights.sum()) - p / 2, q, (weights / weights.sum()) @ h**2


@pytest.mark.parametrize("g", [1.5, 3.0, 5.0], ids=str)
def test_mean_number_of_vanilla_networks(g):
    value, moment, variance = tilted(g)
    solution = gf.solve_static(gf.VanillaRNN(g))[1]
    found = gf.annealed_complexity(solution)
    assert np.isclose(float(found.value), value, rtol=1e-8)
    assert np.isclose(float(found.output_moments["h"]), moment, rtol=1e-8)
    assert np.isclose(float(found.field_variance["h"]), variance, rtol=1e-8)
    # The paper's distribution is one of those over which the exponent is maximal.
    assert float(found.value) > float(gf.complexity(solution, points=2).value)


def test_mean_number_is_of_lower_order_just_above_the_transition():
    """To second order in eps the two parts of the exponent cancel; the paper's C is of fourth."""
    mean, paper = [], []
    for eps in (0.04, 0.02, 0.01):
        solution = gf.solve_static(gf.GatedRNN(2 + eps))[1]
        mean.append(float(gf.annealed_complexity(solution).value))
        paper.append(float(gf.complexity(solution, points=2).value))
    orders = [np.log2(np.array(v[:-1]) / v[1:]) for v in (mean, paper)]
    # The next order changes them by eps over a number of order one.
    assert np.allclose(orders[0], 3, atol=0.08) and np.allclose(orders[1], 4, atol=0.2)
    assert abs(orders[0][1] - 3) < abs(orders[0][0] - 3)


def test_mean_number_is_followed_below_the_fold():
    solution = gf.solve_static(gf.GatedRNN(1.8, alpha_r=8.5))[2]
    above = gf.annealed_complexity(solution)
    values = []
    for alpha_r in (7.0, 6.0, 5.5, 5.0):
        cell = gf.GatedRNN(1.8, alpha_r=alpha_r)
        assert len(gf.solve_static(cell)) == 1
        below = gf.annealed_complexity(above, cell=cell)
        assert float(below.residual) < 1e-10
        values.append(float(below.value))
    assert np.all(np.diff([float(above.value), *values]) < 0)
    assert values[-2] > 0 > values[-1]
    with pytest.raises(InvalidInputError, match="status"):
        gf.complexity(below.mean_field)  # which solves the static theory of another cell
    gone = gf.annealed_complexity(above, cell=gf.GatedRNN(1.8, alpha_r=2.0), throw=False)
    assert gone.status is Status.NOT_CONVERGED
    with pytest.raises(NumericalFailureError, match="Start from the solution of largest"):
        gf.annealed_complexity(above, cell=gf.GatedRNN(1.8, alpha_r=2.0))


def test_mean_number_of_a_single_unit():
    """h = J tanh(g h) has three solutions where J g > 1, else one."""
    for g in (2.0, 5.0):
        annealed = gf.annealed_complexity(gf.solve_static(gf.VanillaRNN(g))[1])
        found = expected_count(annealed, 1, draws=4000, seed=1)
        exact = 1 + 2 * norm.sf(1 / g)
        assert float(found.zero) == 1
        assert abs(float(found.value) - exact) < 4 * float(found.standard_error)
        assert float(found.standard_error) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [gf.VanillaRNN(4.0), gf.GatedRNN(1.8, alpha_r=30), CELLS["gru"]],
    ids=lambda c: type(c).__name__,
)
def test_mean_number_against_counts(cell):
    n, networks = 6, 60
    annealed = gf.annealed_complexity(gf.solve_static(cell, samples=1024, replicates=2)[-1])
    theory = expected_count(annealed, n, draws=3000)
    counts = count_fixed_points(cell, n, networks=networks, rounds=6)
    # Nearly everything was found: all fixed points have index 1 together.
    assert counts.complete > 0.9 and counts.share_once < 0.1
    result = compare(theory.value, counts.found, theory_error=theory.standard_error)
    assert result.agrees, str(result)


@pytest.mark.slow
def test_mean_number_grows_as_its_exponent_not_as_the_papers():
    solution = gf.solve_static(gf.VanillaRNN(5))[1]
    annealed, paper = gf.annealed_complexity(solution), gf.complexity(solution, points=2)
    small, large = (expected_count(annealed, n, draws=3000, seed=2) for n in (60, 120))
    growth = np.log(float(large.value / small.value)) / 60
    errors = [float(each.standard_error / each.value) for each in (small, large)]
    error = np.hypot(errors[0], errors[1]) / 60
    # Corrections of order 1 / N^2 to the growth: a prefactor N^k changes it by k ln(2) / 60.
    assert abs(growth - float(annealed.value)) < 4 * error + np.log(2) / 2 / 60
    assert growth - float(paper.value) > 4 * error + np.log(2) / 2 / 60


def test_refusals():
    solutions = gf.solve_static(gf.VanillaRNN(3))
    with pytest.raises(InvalidInputError, match="one point in every network"):
        gf.annealed_complexity(solutions[0])
    with pytest.raises(InvalidInputError, match="a VanillaRNN, as the source's"):
        gf.annealed_complexity(solutions[1], cell=gf.GRU())
    with pytest.raises(InvalidInputError, match="no inputs or biases that vary"):
        driven = gf.solve_static(gf.VanillaRNN(3), input_variance={"h": 0.1})
        gf.annealed_complexity(driven[-1])
    with pytest.raises(InvalidInputError, match="expected an AnnealedComplexity"):
        expected_count(solutions[1], 4)  # type: ignore[arg-type]
