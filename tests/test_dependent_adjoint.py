"""Gradients of losses of a network's own state: against closed forms and networks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gradient_networks import (
    Decay,
    Power,
    Taken,
    Words,
    agree,
    gradients,
    mean_and_error,
    started,
)
from scipy.special import comb

import gatefield as gf
from gatefield.core.errors import InvalidInputError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.networks.noise import GaussianInput
from gatefield.theory.adjoint import solve_dependent_adjoint

# Sixteen batches, whose scatter gives standard errors to 18 per cent; 4000 units, whose corrections
# of order T^2 / M stay below them.
MANY: dict[str, Any] = {"samples": 4000, "batches": 16, "burn_in": 0.0}


def coefficients(n, keep, gain):
    """Return (n k) keep^(n-k) gain^k for k <= n, of which (keep + gain J)^n is made."""
    k = np.arange(n + 1)
    return comb(n, k) * keep ** (n - k) * gain**k


def quadratic(total, s, keep, gain):
    """Return <a(s)^2> of a = A^Ts A^T x_0, A = keep + gain J, with unit <x_0^2>, N to infinity.

    tr(J*^i J^k J*^l J^m) / N counts the non-crossing pairings of each J with a J*: p of the first
    block with the second, which fixes the others.
    """
    found = 0.0
    for i, one in enumerate(coefficients(total, keep, gain)):
        for k, two in enumerate(coefficients(s, keep, gain)):
            for m, four in enumerate(coefficients(total, keep, gain)):
                j = m + k - i
                if 0 <= j <= s:
                    three = coefficients(s, keep, gain)[j]
                    pairings = min(i, k) - max(0, k - j) + 1
                    found += one * two * three * four * max(pairings, 0)
    return found


# --- closed forms


def test_pure_powers():
    """x' = gain J x, |x_T|^2 / 2: exact is (s + 1) times naive, the gradient (T + 1) / 2 times."""
    g, total = 0.9, 6
    found = solve_dependent_adjoint(Power(g), total, **MANY)
    s = np.arange(total + 1)
    naive = g ** (2.0 * (total + s))
    agree(found.adjoint_variance["x"], found.adjoint_standard_error["x"], (s + 1) * naive)
    agree(found.naive_adjoint_variance["x"], found.naive_adjoint_standard_error["x"], naive)
    naive = total * g ** (4.0 * total - 2)
    exact, error = found.gradient_variance["J_x"], found.gradient_standard_error["J_x"]
    agree(exact, error, naive * (total + 1) / 2)
    exact, error = found.naive_gradient_variance["J_x"], found.naive_gradient_standard_error["J_x"]
    agree(exact, error, naive)


@pytest.mark.slow
def test_two_units():
    """a = J^T J x_0 at N = 2: <a^2> = 2 + 1/N, in which what is known of J is drawn no more.

    |J x|^2 = |x|^2 |w|^2 has <|w|^4> = 1 + 2/N; the other N - 1 directions bring (N - 1)/N.
    """
    options = {"samples": 2, "batches": 40_000, "burn_in": 0.0}
    found = solve_dependent_adjoint(Power(1.0), 1, **options)
    agree(found.adjoint_variance["x"], found.adjoint_standard_error["x"], [1.0, 2.5], largest=0.03)


@pytest.mark.parametrize("scheme", ["map", "euler"])
def test_units_that_keep_part_of_their_state(scheme):
    """By pairings; an Euler step of dx/dt = -x + J x, as VanillaRNN at small x, is such a map."""
    total, start = 5, 1.0
    if scheme == "map":
        keep, gain, cell, horizon, options = 0.5, 0.8, Power(0.8, keep=0.5), total, MANY
    else:
        keep, gain, cell, horizon, start = 0.7, 0.45, gf.VanillaRNN(1.5), 1.5, 1e-8
        options = {**MANY, "dt": 0.3, "scheme": "euler", "initial_variance": start}
    found = solve_dependent_adjoint(cell, horizon, **options)
    name = cell.state_names[0]
    s = range(total + 1)
    exact = start * np.array([quadratic(total, k, keep, gain) for k in s])
    agree(found.adjoint_variance[name], found.adjoint_standard_error[name], exact)
    size = start * np.sum(coefficients(total, keep, gain) ** 2)
    naive = size * np.array([np.sum(coefficients(k, keep, gain) ** 2) for k in s])
    agree(found.naive_adjoint_variance[name], found.naive_adjoint_standard_error[name], naive)
    assert exact[-1] > 1.5 * naive[-1]


@pytest.mark.slow
def test_readouts_are_independent():
    """Words of free matrices, and a readout of variance 2: exact and naive both follow p^s."""
    a, b, c, total = 0.8, 0.5, 0.7, 5
    options = {**MANY, "loss": "readout", "terminal": {"x": 2.0}}
    found = solve_dependent_adjoint(Words(a, b, c), total, **options)
    p = a**2 * b**2 + a**2 + c**2
    expected = 2 * p ** np.arange(total + 1.0)
    agree(found.adjoint_variance["x"], found.adjoint_standard_error["x"], expected)
    agree(found.naive_adjoint_variance["x"], found.naive_adjoint_standard_error["x"], expected)
    size = 2 * total * p ** (total - 1)
    # The fields' outputs are x, J^a x, x; their adjoints (1 + J^bT) a, a, a.
    shares = {"a": 1 + b**2, "b": a**2, "c": 1.0}
    for name, share in shares.items():
        for label in (f"J_{name}", f"gain_{name}"):
            value, error = found.gradient_variance[label], found.gradient_standard_error[label]
            agree(value, error, share * size)
            value = found.naive_gradient_variance[label]
            agree(value, found.naive_gradient_standard_error[label], share * size)


def test_gradients_count_from_the_end_of_the_burn_in():
    """x' = gain J x after three steps, readout: T terms of gain^(2 (burn-in + T - 1))."""
    options = {**MANY, "loss": "readout", "burn_in": 3}
    found = solve_dependent_adjoint(Power(0.9), 4, **options)
    for name in ("J_x", "gain", "keep"):
        value, error = found.gradient_variance[name], found.gradient_standard_error[name]
        agree(value, error, 4 * 0.9**12)


def test_a_loss_of_ones_own():
    """x^2 / 2 as a function is the quadratic loss."""
    options = MANY
    named = solve_dependent_adjoint(Power(0.8, keep=0.5), 4, **options)
    given = solve_dependent_adjoint(
        Power(0.8, keep=0.5), 4, loss=lambda s: s[0] ** 2 / 2, **options
    )
    assert (named.loss, given.loss) == ("quadratic", "given")
    for name, expected in named.gradient_variance.items():
        np.testing.assert_allclose(given.gradient_variance[name], expected, rtol=1e-12)
    expected = named.adjoint_variance["x"]
    np.testing.assert_allclose(given.adjoint_variance["x"], expected, rtol=1e-12)


def test_random_input():
    """Without gain x_T = keep^T x_0 + I (1 - keep^T) / (1 - keep), and a(s) = keep^s x_T."""
    inputs, keep, total = {"x": GaussianInput(variance=3.0)}, 0.5, 4
    found = solve_dependent_adjoint(Power(0.0, keep=keep), total, inputs=inputs, **MANY)
    size = keep ** (2 * total) + 3 * ((1 - keep**total) / (1 - keep)) ** 2
    expected = size * keep ** (2.0 * np.arange(total + 1))
    agree(found.adjoint_variance["x"], found.adjoint_standard_error["x"], expected)


# --- the transposes of the steps

UNCOUPLED: dict[str, Any] = {"samples": 300, "batches": 2, "initial_variance": 0.0}


def decayed(k, b, steps, dt, scheme):
    """Return x of Decay after so many steps, from 0."""
    x, before = 0.0, None
    for _ in range(steps):
        slope = b - k * x
        weighed = slope if scheme == "euler" or before is None else 1.5 * slope - 0.5 * before
        x, before = x + dt * weighed, slope
    return x


@pytest.mark.parametrize("scheme", ["euler", "adams-bashforth"])
def test_parameters_of_uncoupled_units(scheme):
    """The square of d/dtheta x_T^2 / 2, the steps being differentiated."""
    k, b = 0.7, 1.3
    found = solve_dependent_adjoint(
        Decay(k, b), 2.0, burn_in=0.0, dt=0.1, scheme=scheme, **UNCOUPLED
    )
    with jax.enable_x64(True):
        lost = lambda k, b: decayed(k, b, 20, 0.1, scheme) ** 2 / 2  # noqa: E731
        slopes = jax.grad(lost, argnums=(0, 1))(k, b)
    for name, slope in zip(("k", "b"), slopes, strict=True):
        np.testing.assert_allclose(found.gradient_variance[name], float(slope) ** 2, rtol=1e-12)
        np.testing.assert_allclose(
            found.naive_gradient_variance[name], float(slope) ** 2, rtol=1e-12
        )


@pytest.mark.parametrize(("scheme", "order"), [("euler", 1), ("adams-bashforth", 2)])
def test_convergence_order(scheme, order):
    """a(s) = x(T) e^(-k s) and dL/dJ_ij = int a x dt for uncoupled units, after a burn-in of 1."""
    k, b, start, total = 0.7, 1.3, 1.0, 2.0
    t = np.linspace(0, total, 20001)
    x = b / k * (1 - np.exp(-k * (start + t)))
    a = x[-1] * np.exp(-k * (total - t))
    expected = [a[0], a[len(t) // 2], np.trapezoid(a * x, t), np.trapezoid(a, t)]
    errors = []
    for dt in (0.1, 0.05, 0.025):
        options = {**UNCOUPLED, "burn_in": start, "dt": dt, "scheme": scheme}
        found = solve_dependent_adjoint(Decay(k, b), total, **options)
        size = found.adjoint_variance["x"]
        squares = [size[-1], size[len(size) // 2]]
        squares += [found.gradient_variance["J_x"], found.gradient_variance["b"]]
        errors.append(np.abs(np.sqrt(squares) - expected))
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    # The next term of the error series is smaller by dt, with a factor of order one.
    np.testing.assert_allclose(orders[1], order, rtol=0, atol=0.2)


def test_early_adjoints_of_the_second_order_scheme():
    """The first step back, whose weights are special, errs by order dt^2, too."""
    k, errors = 0.7, []
    for dt in (0.1, 0.05, 0.025):
        options = {**UNCOUPLED, "burn_in": 1.0, "dt": dt}
        size = solve_dependent_adjoint(Decay(k), 1.0, **options).adjoint_variance["x"]
        errors.append(np.max(np.abs(np.sqrt(size[:4] / size[0]) - np.exp(-k * dt * np.arange(4)))))
    assert np.log2(errors[1] / errors[2]) > 1.8


# --- networks

NETWORKS: dict[str, tuple[gf.AbstractCell, int, float, int]] = {
    "vanilla": (gf.VanillaRNN(2.0, beta=0.1), 20, 0.2, 60),
    "gated": (gf.GatedRNN(3.0, alpha_z=1.0, alpha_r=2.0, beta_r=0.3), 15, 0.2, 60),
    "gru": (gf.GRU(gain_r=2.0, gain_z=2.0, gain_n=3.0, bias_hn=0.3), 12, 1.0, 40),
    "gru-reset-before": (
        gf.GRU(gain_r=2.0, gain_z=2.0, gain_n=3.0, bias_n=0.3, reset="before"),
        12,
        1.0,
        40,
    ),
    "lstm": (gf.LSTM(gain_i=2.0, gain_f=2.0, gain_g=2.5, gain_o=1.5, bias_f=0.5), 8, 1.0, 30),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NETWORKS)
def test_networks(case):
    """Networks of as many units as a batch has, whose law is the same; the naive theory fails."""
    cell, steps, dt, before = NETWORKS[case]
    n, count = 200, 24
    options: dict[str, Any] = {"samples": n, "batches": count, "burn_in": before * dt}
    if not isinstance(cell, gf.AbstractMap):
        options |= {"dt": dt, "scheme": "euler"}
    solution = solve_dependent_adjoint(cell, steps * dt, **options)
    with jax.enable_x64(True):
        runs = [started(cell, n, seed, dt=dt, burn_in=before) for seed in range(count)]
        found = [gradients(run, steps, "quadratic") for run in runs]
    squares, spread = mean_and_error([each[0] for each in found])
    picked = [0, 1, steps // 2, steps]
    for place, name in enumerate(cell.state_names):
        value, error = solution.adjoint_variance[name], solution.adjoint_standard_error[name]
        used = [k for k in picked if squares[k, place] > 0]
        assert np.all(value[[k for k in picked if k not in used]] == 0)
        agree(value[used], error[used], squares[used, place], spread[used, place], largest=0.4)
    for name in found[0][1]:
        expected, spread = mean_and_error([each[1][name] for each in found])
        value, error = solution.gradient_variance[name], solution.gradient_standard_error[name]
        agree(value, error, expected, spread, largest=0.5)
    exact = mean_and_error([each[1][f"J_{cell.field_names[0]}"] for each in found])[0]
    naive = solution.naive_gradient_variance[f"J_{cell.field_names[0]}"]
    assert exact > 1.4 * naive


# --- failure


def test_divergence_is_reported():
    """x' = 1e10 x passes the largest double at step 31."""
    cell, options = Power(0.0, keep=1e10), MANY
    with pytest.raises(NumericalFailureError, match=r"'diverged'.*throw=False"):
        solve_dependent_adjoint(cell, 40, **options)
    solution = solve_dependent_adjoint(cell, 40, throw=False, **options)
    assert solution.status is Status.DIVERGED
    assert not np.isfinite(solution.gradient_variance["keep"])


def test_seeds_and_dataset():
    cell, options = Power(0.8, keep=0.5), MANY
    first, again, other = (
        solve_dependent_adjoint(cell, 3, seed=seed, **options) for seed in (0, 0, 1)
    )
    expected = first.adjoint_variance["x"]
    np.testing.assert_array_equal(again.adjoint_variance["x"], expected)
    assert np.all(other.adjoint_variance["x"] != expected)
    dataset = first.to_dataset()
    assert dataset["time"].attrs["units"] == "step"
    assert dataset.sizes["time"] == 4


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "no-cell": ("cell = ", {"cell": "gru"}),
    "per-unit": (r"cell.keep.shape = \(3,\).*GaussianInput", {"cell": Power(1.0, np.ones(3))}),
    "loss": ("loss = 'cubic'.*'quadratic', 'readout'", {"loss": "cubic"}),
    "taken": ("parameter of Taken = 'J_x'.*Rename", {"cell": Taken()}),
    "numpy": ("loss = .*TracerArrayConversionError", {"loss": lambda s: np.linalg.norm(s)}),
    "branch": ("loss = .*TracerBoolConversionError", {"loss": lambda s: s[0] if s[0] > 0 else 0.0}),
    "truth": ("loss = .*a real function of one unit's", {"loss": lambda s: s[0] > 0}),
    "complex": ("loss = .*a real function of one unit's", {"loss": lambda s: 1j * s[0]}),
    "vector": (r"loss\(state\) = \(1,\)", {"loss": jnp.square}),
    "weighed-twice": ("terminal = .*None", {"loss": jnp.sum, "terminal": {"x": 1.0}}),
    "too-few-samples": ("number of steps = 51.*horizon and burn_in", {"burn_in": 47}),
    "nothing": ("terminal = .*Nothing is read out", {"terminal": {"x": 0.0}}),
    "scheme": ("scheme = 'euler': expected one of 'map'", {"scheme": "euler"}),
}


@pytest.mark.parametrize("case", WRONG)
def test_refusals(case):
    message, wrong = WRONG[case]
    options = {"cell": Power(1.0), "horizon": 4, "samples": 100, "burn_in": 0, **wrong}
    with pytest.raises(InvalidInputError, match=message):
        solve_dependent_adjoint(options.pop("cell"), options.pop("horizon"), **options)
