"""Gradients: theory and networks in one harness, in rest, near its end, and in chaos."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
import pytest
from gradient_comparisons import compared, resting_theory
from scipy.special import comb, ive

import gatefield as gf
from gatefield.compare import GradientComparison, compare_gradients
from gatefield.compare.gradient_runs import GradientRuns, belongs
from gatefield.core.errors import InvalidInputError
from gatefield.networks import GaussianInput
from gatefield.theory.adjoint import AdjointMeanField, solve_adjoint


def misled(theory: AdjointMeanField, wrong: AdjointMeanField) -> AdjointMeanField:
    """Return the predictions of another gain, as if they belonged to the theory's own cell."""
    return eqx.tree_at(lambda each: each.mean_field, wrong, theory.mean_field)


def disagreeing(found: GradientComparison, threshold: float = 6.0) -> list[str]:
    # Twenty numbers of eight networks: Student's distribution exceeds six errors in 1 of 100.
    every = found.comparisons(threshold=threshold).values()
    return [str(one) for one in every if not one.agrees]


def runs_of(before: list[float], after: list[float], moved: list[float]) -> GradientRuns:
    return GradientRuns({}, {}, *(np.array(each) for each in (before, after, moved)))


@pytest.fixture(scope="module")
def resting():
    return resting_theory()


@pytest.mark.slow
def test_gradients_at_rest_follow_a_bessel_function():
    found = compare_gradients(
        gf.GatedRNN(1.5), theory=resting_theory(), n=200, networks=8, burn_in=150.0, seed=3
    )
    # THEORY section 11: E a_h^2 = exp(-t) I_0(g t / 2).
    exact = ive(0, 0.75 * found.times) * np.exp((0.75 - 1) * found.times)
    every = found.comparisons()
    assert set(every) == {"a_h(2.5)", "a_h(5)", "a_h(10)", "beta_h", "growth_rate"}
    for time in (2.5, 5.0, 10.0):
        assert np.isclose(
            float(every[f"a_h({time:g})"].theory), np.interp(time, found.times, exact)
        )
    assert found.belongs.all() and not disagreeing(found)
    # What theory has as zero, in networks left over from a burn-in at the rate 1/8 and slower.
    assert np.all(found.gradients["J_h"] < 1e-9)
    # Twice the edge g/4 - 1/2, and the prefactor's slope over the second half of 10.
    assert np.isclose(float(found.limit), -0.25, atol=1e-9)
    assert abs(found.expected_growth - (-0.25 + (12 * np.log(2) - 9) / 10)) < 1e-4
    limit = found.against_limit()
    assert limit is not None and limit.agrees
    # A gain off by a fifth is found by every number that knows of it.
    wrong = eqx.tree_at(
        lambda each: each.theory, found, misled(found.theory, resting_theory(gain=1.8))
    )
    overall = wrong.overall()
    assert overall is not None and not overall.agrees
    for name in ("a_h(5)", "a_h(10)", "beta_h", "growth_rate"):
        assert not wrong.comparisons()[name].agrees, name


@pytest.mark.slow
def test_eulers_steps_are_compared_with_eulers_steps():
    state = gf.solve_dmft(
        gf.GatedRNN(1.2), scheme="euler", dt=0.5, samples=50, batches=2, progress=False
    )
    theory = solve_adjoint(state, 8.0)
    found = compare_gradients(
        gf.GatedRNN(1.2), theory=theory, n=200, networks=12, burn_in=100.0, readouts=16
    )
    # THEORY section 11: n = 16 steps that multiply by 1 - dt/2 or by a coupling, dt g/4.
    k = np.arange(17)
    exact = np.sum(comb(16, k) ** 2 * 0.75 ** (2 * (16 - k)) * 0.15 ** (2 * k))
    last = found.comparisons()["a_h(8)"]
    assert np.isclose(float(last.theory), exact, rtol=1e-6)
    assert not disagreeing(found)
    # Steps of Runge and Kutta would give another value.
    continuous = ive(0, 0.6 * 8) * np.exp((0.6 - 1) * 8)
    assert abs(continuous - exact) > 4 * float(last.standard_error)


@pytest.mark.slow
def test_networks_near_the_end_of_rest():
    """A fixed point that is not zero, of leading edge -0.03."""
    cell = gf.GatedRNN(2.5, alpha_z=1.0, alpha_r=1.0, beta_h=0.5)
    (state,) = gf.solve_static(cell)
    assert 0.9 < float(state.radius) < 1
    theory = solve_adjoint(state, 10.0, samples=4000)
    found = compare_gradients(cell, theory=theory, n=400, networks=8, burn_in=200.0, seed=1)
    assert found.belongs.sum() >= 5 and found.rests
    # At rest h is what drives it, and its rate does not matter: no gradient by the update gate.
    every = set(found.comparisons())
    assert every >= {"J_h", "J_r", "g_h", "alpha_r", "beta_h", "beta_r"} and "J_z" not in every
    assert not disagreeing(found)
    overall = found.overall()
    assert overall is not None and overall.agrees
    larger = gf.GatedRNN(3.0, alpha_z=1.0, alpha_r=1.0, beta_h=0.5)
    with pytest.warns(UserWarning, match="unstable"):
        wrong = solve_adjoint(gf.solve_static(larger)[0], 10.0, samples=4000)
    off = eqx.tree_at(lambda each: each.theory, found, misled(theory, wrong)).overall()
    assert off is not None and not off.agrees


@pytest.mark.slow
def test_growing_networks_in_chaos_tend_to_theory():
    theory, wrong = (
        solve_adjoint(gf.solve_dmft(gf.VanillaRNN(g)), 8.0, samples=2000, progress=False)
        for g in (2.0, 2.5)
    )
    found = compare_gradients(
        gf.VanillaRNN(2.0), theory=theory, sizes=(250, 500, 1000), networks=12, burn_in=60.0
    )
    assert found.adjoint["h"].shape == (3, 12, len(theory.times)) and found.belongs.all()
    assert not disagreeing(found)
    overall = found.overall()
    assert overall is not None and overall.agrees
    # THEORY section 7: the exponent at g = 2.
    assert np.isclose(float(found.limit), 2 * 0.11245811, atol=1e-7) and not found.rests
    off = eqx.tree_at(lambda each: each.theory, found, misled(theory, wrong)).overall()
    assert off is not None and not off.agrees


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "burn_in"),
    [
        (gf.GatedRNN(3.0, alpha_z=2.0, alpha_r=2.0), 60.0),
        (gf.GRU(gain_r=2.0, gain_z=2.0, gain_n=3.0), 100.0),
        (gf.GRU(gain_r=2.0, gain_z=2.0, gain_n=3.0, reset="before"), 100.0),
        (gf.LSTM(gain_i=3.0, gain_f=3.0, gain_g=6.0, gain_o=3.0), 100.0),
    ],
    ids=["gated", "gru", "gru with reset before", "lstm"],
)
def test_chaotic_networks(cell, burn_in):
    found = compare_gradients(
        cell,
        horizon=10.0,
        n=500,
        networks=8,
        burn_in=burn_in,
        samples=800,
        batches=6,
        limit=False,
    )
    assert found.belongs.all()
    every = found.comparisons()
    assert {f"J_{name}" for name in cell.field_names} <= set(every)
    assert {f"a_{name}(10)" for name in cell.state_names} <= set(every)
    assert not disagreeing(found)
    overall = found.overall()
    # A theory off by a factor of two in everything would be seen.
    assert overall is not None and overall.agrees
    assert 4 * np.hypot(overall.standard_error, overall.theory_error) < 1.2


@pytest.mark.slow
def test_networks_with_inputs_and_readouts_along_the_way():
    cell = gf.VanillaRNN(1.5)
    inputs = {"h": GaussianInput(variance=0.2, correlation_time=2.0)}
    source = {"h": GaussianInput(variance=0.5, correlation_time=3.0)}
    found = compare_gradients(
        cell, horizon=10.0, inputs=inputs, source=source, n=400, networks=8, burn_in=40.0
    )
    assert found.belongs.all() and not disagreeing(found)
    # Nothing is read out at the end, and more and more before it.
    assert np.all(found.adjoint["h"][..., 0] < 1e-3 * found.adjoint["h"][..., -1])


def test_rates_of_the_mean_are_jackknifed(resting):
    # Every network has theory's rate: so have all pseudo-values, whatever their sizes.
    found = compared(resting, [[0.5, 1.0, 3.0]])
    assert np.allclose(found.growth, resting.growth_rate, atol=1e-12)
    # Of networks with rates 0 and 1 at t > 5 the mean square grows as their sum does.
    times = np.arange(11.0)
    rows = np.stack([np.ones(11), np.exp(times), np.exp(times)])[None]
    two = eqx.tree_at(lambda each: each.adjoint, found, {"h": rows})
    two = eqx.tree_at(lambda each: each.times, two, times)

    def slope(each):
        late = times >= 5
        return np.polyfit(times[late], np.log(each[late]), 1)[0]

    whole, pair = slope(rows[0].mean(axis=0)), slope((1 + np.exp(times)) / 2)
    assert np.allclose(two.growth[0], [3 * whole - 2, *[3 * whole - 2 * pair] * 2], atol=1e-12)


def test_only_networks_of_the_state_are_compared(resting):
    found = compared(resting, [[0.9, 1.0, 1.1, 50.0]], belongs=np.array([[True] * 3 + [False]]))
    one = found.comparisons()["beta_h"]
    assert np.isclose(float(one.measured), float(one.theory), rtol=1e-12)
    assert np.isnan(found.growth[0, 3])
    overall = found.overall()
    assert overall is not None and np.isclose(float(overall.measured), 0, atol=0.01)
    alone = compared(resting, [[1.0] * 4], belongs=np.array([[True] * 2 + [False] * 2]))
    assert alone.comparisons() == {} and alone.overall() is None


def test_sizes_are_extrapolated(resting):
    # 1 + 5/N with the same scatter: the intercept is theory's.
    scatter = np.array([-0.1, 0.0, 0.1])
    found = compared(resting, [1 + 5 / n + scatter for n in (50, 100, 200)], sizes=(50, 100, 200))
    one = found.comparisons()["a_h(10)"]
    assert np.isclose(float(one.measured), float(one.theory), rtol=1e-9) and one.agrees


def test_networks_that_left_the_state(resting):
    def of(state):
        return eqx.tree_at(lambda each: each.mean_field, resting, state)

    moving = of(gf.solve_dmft(gf.VanillaRNN(2.0)))
    # C_h(0) = .48: one moves on, one rests at a point, one fell to zero.
    mask = belongs(moving, runs_of([0.5, 0.5, 0.4], [0.5, 0.5, 1e-4], [0.3, 1e-6, 0.4]))
    assert mask.tolist() == [True, False, False]
    mask = belongs(resting, runs_of([1e-8, 0.1, 1e-5], [1e-9, 1e-4, 0.1], [0.0] * 3))
    assert mask.tolist() == [True, False, False]
    (state,) = gf.solve_static(gf.GatedRNN(1.5, beta_h=0.5))
    size = float(state.variance["h"])
    runs = runs_of([size] * 3, [size] * 3, [1e-6 * size, 0.1 * size, size])
    assert belongs(of(state), runs).tolist() == [True, False, False]


def test_a_comparison_is_saved(resting, tmp_path):
    from gatefield.io import save_netcdf

    found = compared(resting, [[0.9, 1.0, 1.1]])
    data = found.to_dataset()
    assert data["adjoint_h"].dims == ("size", "network", "time")
    assert np.array_equal(data["gradients_beta_h"], found.gradients["beta_h"])
    save_netcdf(tmp_path / "one.nc", data)
    assert (tmp_path / "one.nc").stat().st_size > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "horizon = None"),
        ({"horizon": -1.0}, "horizon = -1.0.*positive"),
        ({"horizon": 5.0, "networks": 2}, "networks = 2.*at least 3"),
        ({"horizon": 5.0, "sizes": ()}, "sizes = .*at least one"),
        ({"horizon": 5.0, "dtype": "float16"}, "dtype = 'float16'"),
        ({"theory": 3}, "theory = 'int'.*AdjointMeanField"),
    ],
    ids=["no horizon", "negative", "two networks", "no sizes", "half precision", "no theory"],
)
def test_bad_options_are_refused(options: dict[str, Any], told: str):
    with pytest.raises(InvalidInputError, match=told):
        compare_gradients(gf.VanillaRNN(0.5), **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"horizon": 5.0}, "horizon = 5.0.*10, theory's"),
        ({"terminal": {"h": 1.0}}, "terminal = .*None beside a theory"),
        ({"inputs": {"h": 1.0}}, "inputs = .*None beside a theory"),
        ({"at": [11.0]}, "at = .*at most 10"),
    ],
    ids=["horizon", "terminal", "inputs", "times"],
)
def test_what_theory_has_fixed_is_refused(resting, options: dict[str, Any], told: str):
    with pytest.raises(InvalidInputError, match=told):
        compare_gradients(gf.GatedRNN(1.5), theory=resting, **options)


def test_the_theory_of_another_cell_is_refused(resting):
    with pytest.raises(InvalidInputError, match="theory.mean_field.cell"):
        compare_gradients(gf.GatedRNN(1.4), theory=resting)
