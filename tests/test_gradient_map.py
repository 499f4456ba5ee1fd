"""Maps of what becomes of gradients: closed forms, scaling by the gate, resuming, refusals."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from scipy.special import comb, expit, ive

import gatefield as gf
from gatefield import phases
from gatefield.core.errors import InvalidInputError
from gatefield.core.results import Status
from gatefield.phases import gradient_planes
from gatefield.phases.gradient_maps import UNKNOWN
from gatefield.phases.gradient_points import STATUSES

MODULE = importlib.import_module("gatefield.phases.gradient_maps")
G, BETA_Z = [0.5, 1.0, 1.5], [-3.0, -1.0, 0.0, 2.0]
T = 20.0
QUICK: dict[str, Any] = {"samples": 60, "batches": 2, "dt": 0.5, "progress": False}


def silent_norm(g_h, beta_z, beta_r=0.0, horizon=T):
    """Return |a|^2/N at the zero fixed point: a decays at s and is coupled by kappa = s g s_r(0).

    Summed over the series of exp(-s t) exp(kappa t J^T), of which (1/N) tr J^k J^kT = 1 is left,
    (kappa t)^2k / k!^2, it is exp(-2 s t) I_0(2 kappa t).
    """
    s = expit(beta_z)
    kappa = s * np.asarray(g_h) * expit(beta_r)
    return ive(0, 2 * kappa * horizon) * np.exp(2 * (kappa - s) * horizon)


@pytest.fixture(scope="module")
def silent():
    """Return a map over stable zero fixed points, from a cell whose own values do not matter."""
    cell = gf.GatedRNN(7.0, beta_z=5.0, beta_r=0.3)
    return gf.gradient_map(cell, ("g_h", G), ("beta_z", BETA_Z), horizon=T, progress=False)


def test_adjoint_at_the_zero_fixed_point_is_the_closed_form(silent):
    expected = silent_norm(np.array(G), np.array(BETA_Z)[:, None], 0.3)
    # The closed form's quadrature is refused above 1e-6.
    np.testing.assert_allclose(silent.adjoint_norm, expected, rtol=1e-5)
    assert silent.status is Status.OK and np.all(silent.kind == 1)
    assert np.all(silent.growth_error == 0) and np.all(silent.adjoint_error == 0)


def test_growth_rate_is_the_slope_over_the_second_half(silent):
    """The mean slope from T/2 to T; least squares weight the middle, which curvature moves little.

    ln |a|^2 is between a line and -ln(t)/2 beside it: the two means differ by at most 1/(8 T).
    """
    half = silent_norm(np.array(G), np.array(BETA_Z)[:, None], 0.3, T / 2)
    slope = np.log(silent.adjoint_norm / half) / (T / 2)
    assert np.abs(silent.growth_rate - slope).max() < 1 / (8 * T)


def test_regimes_by_the_band(silent):
    expected = np.log(silent_norm(np.array(G), np.array(BETA_Z)[:, None], 0.3))
    assert np.array_equal(silent.regime == 0, np.abs(expected) <= 2)
    assert np.array_equal(silent.regime == -1, expected < -2)
    # A shut update gate keeps gradients over the horizon, an open one does not.
    assert np.all(silent.regime[0] == 0) and np.all(silent.regime[2:] == -1)
    assert np.allclose(silent.memory_time, -1 / silent.growth_rate)


def test_gradients_by_parameters(silent):
    """Nothing is sent at the zero fixed point, so that couplings have no gradient; beta_h has one.

    dL/dbeta_h,i = int sum_j s J_ji s_r a_j dt with a = exp(-s t) exp(kappa t X^T) a(0), X^T and its
    powers k orthogonal with norm one: the sum over k >= 1 of the squares of the integrals
    c_k = s_r s int e^{-s t} (kappa t)^{k-1} / (k-1)! dt, taken here by quadrature.
    """
    s, s_r = expit(-1.0), expit(0.3)
    kappa = s * 1.5 * s_r
    times = np.linspace(0, T, 20_001)
    weights = np.full(times.size, times[1])
    weights[[0, -1]] /= 2
    total, term = 0.0, s * s_r * np.exp(-s * times)
    for k in range(1, 60):
        total += (weights @ term) ** 2
        term = term * kappa * times / k
    assert silent.gradient_variance["J_h"][1, 2] == 0
    # Trapezoidal rule: dt^2/12 of second derivatives of order one.
    assert np.isclose(silent.gradient_variance["beta_h"][1, 2], total, rtol=1e-5)


def test_the_other_parameter_may_be_any(silent):
    """alpha_z plays no part at the zero fixed point, where it is not sampled either."""
    found = gf.gradient_map(
        gf.GatedRNN(), ("alpha_z", [0.0, 5.0]), ("g_h", [1.5]), horizon=T, progress=False
    )
    np.testing.assert_allclose(found.adjoint_norm[0], silent_norm(1.5, 0.0), rtol=1e-5)


def test_a_grus_zero_state_is_the_closed_form():
    """h' = z h + (1 - z) r J h there: sum_k binom(n, k)^2 z^{2(n-k)} ((1 - z) r gain)^{2k}."""
    gains, biases, steps = np.array([0.5, 1.0]), np.array([-1.0, 3.0]), 12
    found = gf.gradient_map(
        gf.GRU(bias_r=0.5),
        ("gain_n", gains),
        ("bias_z", biases),
        horizon=steps,
        start=0.0,
        **{**QUICK, "dt": None},
    )
    keep = expit(biases)[:, None]
    coupled = (1 - keep) * expit(0.5) * gains
    expected = sum(
        comb(steps, k) ** 2 * keep ** (2 * (steps - k)) * coupled ** (2 * k)
        for k in range(steps + 1)
    )
    np.testing.assert_allclose(found.adjoint_norm, expected, rtol=1e-6)
    assert found.is_map and np.all(found.kind == 1)
    # A gate that keeps 95 per cent in each step keeps gradients, an open one does not.
    assert np.array_equal(found.regime, [[-1, -1], [0, 0]])


def test_the_update_gate_rescales_time():
    """At alpha_z = alpha_r = 0 the gate s is one number, and h(t) depends on s t alone.

    So in chaos as well: a horizon of 4 at s = .8 and of 20 at s = .16 are the same.
    """
    found = [
        gf.gradient_map(
            gf.GatedRNN(), ("g_h", [5.0]), ("beta_z", [np.log(s / (1 - s))]), horizon=time
        )
        for s, time in ((0.16, 20.0), (0.8, 4.0))
    ]
    assert all(each.kind[0, 0] == 2 for each in found)
    slow, fast = (float(each.adjoint_norm[0, 0]) for each in found)
    # Lag equations are followed to 1e-5 of the largest covariance.
    assert np.isclose(slow, fast, rtol=1e-4)
    rates = [float(each.growth_rate[0, 0]) for each in found]
    assert np.isclose(5 * rates[0], rates[1], rtol=1e-3)
    # Couplings matter: decay alone would leave exp(-2 s T).
    assert slow > 100 * np.exp(-2 * 0.16 * 20)


def test_other_parameters_are_sampled_if_asked_for():
    """Known to lag equations are the couplings and two biases; g_h is sampled."""
    given: dict[str, Any] = {"x": ("g_h", [4.0]), "y": ("beta_z", [0.0]), "horizon": 4.0, **QUICK}
    few = gf.gradient_map(gf.GatedRNN(), **given)
    all_ = gf.gradient_map(gf.GatedRNN(), every_parameter=True, **given)
    assert "g_h" not in few.gradient_variance and few.adjoint_error == 0
    assert all_.gradient_variance["g_h"][0, 0] > 0
    assert all_.gradient_standard_error["g_h"][0, 0] > 0
    np.testing.assert_array_equal(few.adjoint_norm, all_.adjoint_norm)


class Killed(Exception):
    """Stands for whatever ends a run."""


def alike(one, other):
    for name in ("growth_rate", "growth_error", "adjoint_norm", "adjoint_error", "kind", "outcome"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.gradient_variance.keys() == other.gradient_variance.keys()
    for name, values in one.gradient_variance.items():
        np.testing.assert_array_equal(values, other.gradient_variance[name])
    assert one.settings == other.settings and one.status == other.status


def mapped(**options: Any):
    given: dict[str, Any] = {"g_h": [1.0, 4.0], "beta_z": [-1.0, 1.0], **options}
    axes = [(name, given.pop(name)) for name in ("g_h", "beta_z")]
    return gf.gradient_map(gf.GatedRNN(), *axes, horizon=4.0, **QUICK, **given)


def test_a_map_that_was_killed_ends_with_the_same_numbers(monkeypatch, tmp_path):
    whole, path, count = mapped(), tmp_path / "map.npz", 0
    own = MODULE.gradient_point

    def mortal(*arguments):
        nonlocal count
        count += 1
        if count > 2:
            raise Killed
        return own(*arguments)

    monkeypatch.setattr(MODULE, "gradient_point", mortal)
    with pytest.raises(Killed):
        mapped(checkpoint=path)
    assert list(tmp_path.iterdir()) == [path]
    count = 0
    alike(mapped(checkpoint=path), whole)
    assert count == 2
    # Done: nothing is left to do, also for a part of the values.
    monkeypatch.setattr(MODULE, "gradient_point", None)
    alike(mapped(checkpoint=path), whole)
    part = mapped(checkpoint=path, beta_z=[1.0])
    np.testing.assert_array_equal(part.adjoint_norm, whole.adjoint_norm[1:])


def test_checkpoints_of_other_maps_are_refused(tmp_path):
    path = tmp_path / "map.npz"
    mapped(checkpoint=path, g_h=[1.0])
    for options in ({"seed": 1}, {"start": 2.0}, {"terminal": {"z": 1.0}}):
        with pytest.raises(InvalidInputError, match="points of this cell with these options"):
            mapped(checkpoint=path, **options)
    path.write_bytes(b"something else")
    with pytest.raises(InvalidInputError, match="a file that gradient_map wrote"):
        mapped(checkpoint=path)


def test_points_that_fail_say_so(monkeypatch, tmp_path):
    """One sweep is too few for a sampled state: the point is NaN with a status, others are not."""
    found = gf.gradient_map(
        gf.GatedRNN(alpha_z=1.0),
        ("g_h", [1.0, 4.0]),
        ("beta_z", [0.0]),
        horizon=4.0,
        mean_field={"max_sweeps": 1},
        checkpoint=tmp_path / "map.npz",
        **QUICK,
    )
    assert found.status is not Status.OK
    assert STATUSES[found.outcome[0, 1]] is found.status and STATUSES[found.outcome[0, 0]] == "ok"
    assert np.isnan(found.growth_rate[0, 1]) and np.isfinite(found.growth_rate[0, 0])
    assert list(found.regime[0]) == [-1, UNKNOWN] and np.isnan(found.memory_time[0, 1])
    assert np.isnan(found.gradient_variance["J_h"][0, 1])


def test_report_counts_points():
    told = []
    mapped(beta_z=[1.0], g_h=[0.5, 1.0], report=lambda *numbers: told.append(numbers))
    assert told == [(1, 2), (2, 2)]


def test_a_dataset_has_names_and_units(silent):
    data = silent.to_dataset()
    assert data["growth_rate"].dims == ("y", "x") and data.attrs["x_name"] == "g_h"
    assert data["growth_rate"].attrs["units"] == "1 / time constant"
    assert np.array_equal(data["gradient_variance_beta_h"], silent.gradient_variance["beta_h"])


def test_planes():
    planes = gradient_planes(3)
    assert tuple(planes) == phases.GRADIENT_PLANES
    for name, plane in planes.items():
        assert name == f"{plane.x[0]}:{plane.y[0]}" and plane.x[1].size == plane.y[1].size == 3
    with pytest.raises(InvalidInputError, match="at least 2"):
        gradient_planes(1)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"x": ("gain", [1.0])}, "names among"),
        ({"x": ("input_gating", [1.0])}, "names among"),
        ({"x": ("g_h", [-1.0])}, "not negative"),
        ({"x": ("g_h", [2.0, 1.0])}, "ascending"),
        ({"x": ("g_h", [])}, "ascending"),
        ({"x": "g_h"}, "name, values"),
        ({"x": (1.0, [1.0])}, "name of a parameter"),
        ({"x": ("beta_z", [1.0])}, "another parameter"),
        ({"horizon": 0.0}, "positive"),
        ({"band": -1.0}, "positive"),
        ({"terminal": {"x": 1.0}}, "names among"),
        ({"terminal": {"h": 0.0}}, "Nothing is read out"),
        ({"mean_field": {"speed": 2}}, "names among"),
        ({"rest_first": 1}, "True or False"),
        ({"every_parameter": 1}, "True or False"),
        ({"batches": 1}, "at least 2"),
    ],
    ids=["name", "text", "negative", "descending", "empty", "no pair", "no name", "twice",
         "horizon", "band", "component", "silent", "option", "flag", "other flag", "batches"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changed, told):
    given: dict[str, Any] = {"x": ("g_h", [1.0]), "y": ("beta_z", [0.0]), "horizon": 4.0, **changed}
    with pytest.raises(InvalidInputError, match=told):
        gf.gradient_map(gf.GatedRNN(), given.pop("x"), given.pop("y"), **given)


def test_maps_count_steps():
    with pytest.raises(InvalidInputError, match="integer"):
        gf.gradient_map(gf.GRU(), ("gain_n", [1.0]), ("bias_z", [0.0]), horizon=2.5)
    with pytest.raises(InvalidInputError, match="None for a map"):
        gf.gradient_map(gf.GRU(), ("gain_n", [1.0]), ("bias_z", [0.0]), horizon=2, dt=0.1)
