"""What `solve_dmft` and its companions refuse, warn of, or call not converged."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import gatefield as gf
from gatefield.core.errors import (
    InvalidInputError,
    NumericalFailureError,
    OutsideDomainWarning,
)
from gatefield.core.results import Status
from gatefield.theory.dmft import (
    follow_dmft,
    mean_field_branches,
    mean_field_units,
    solve_dmft,
)
from gatefield.theory.lyapunov import mean_field_lyapunov


def test_failure_is_a_status_and_an_error():
    """1e-7 above the transition C_h takes 1e7 time constants to decay: beyond rounding."""
    cell = gf.VanillaRNN(1 + 1e-7)
    with pytest.raises(NumericalFailureError, match="not converged.*throw=False"):
        solve_dmft(cell)
    found = solve_dmft(cell, throw=False)
    assert found.status is Status.NOT_CONVERGED
    with pytest.raises(NumericalFailureError, match="mean_field_lyapunov"):
        mean_field_lyapunov(found)
    rate = mean_field_lyapunov(found, throw=False)
    assert rate.status is Status.NOT_CONVERGED and np.isnan(rate.exponent)


def test_separable_warns_beyond_its_domain():
    with pytest.warns(OutsideDomainWarning, match=r"alpha_z sqrt\(C_z\(0\)\) = 2.*sampled"):
        found = solve_dmft(gf.GatedRNN(3.0, alpha_z=4.0), method="separable")
    assert found.method == "separable" and found.status is Status.OK
    for call in (
        lambda: mean_field_units(found, samples=64),
        lambda: follow_dmft([gf.GatedRNN(3.0, alpha_z=4.0)], method="separable"),
        lambda: mean_field_branches(gf.GatedRNN(3.0, alpha_z=4.0), method="separable"),
    ):
        with pytest.warns(OutsideDomainWarning, match="= 2"):
            call()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve_dmft(gf.GatedRNN(3.0, alpha_z=1.0), method="separable")
        # Fixed points are those of the static theory, for any gate.
        assert not solve_dmft(gf.GatedRNN(1.0, alpha_z=50.0), method="separable").fluctuates


GATED = gf.GatedRNN(3.0, alpha_z=1.0)


@pytest.mark.parametrize(
    ("cell", "options", "says"),
    [
        (3.0, {}, "cell"),
        (GATED, {"method": "exact"}, "method = 'exact'.*'separable'"),
        (GATED, {"method": "lag equations"}, "alpha_z > 0.*'separable'"),
        (gf.GRU(), {"method": "separable"}, "GatedRNN or VanillaRNN.*'sampled'"),
        (gf.GatedRNN(np.ones(3)), {"method": "lag equations"}, "shared"),
        (gf.VanillaRNN(2.0), {"start": -1.0}, "start"),
        (gf.VanillaRNN(2.0), {"start": np.nan}, "start"),
        (gf.VanillaRNN(2.0), {"inputs": 0.1}, "inputs = 'float'.*mapping"),
        (gf.VanillaRNN(2.0), {"inputs": {"r": 0.1}}, "'h'"),
        (gf.VanillaRNN(2.0), {"inputs": {"h": np.cos}}, "solve_transient"),
        (gf.VanillaRNN(2.0), {"inputs": {"h": "a"}}, r"inputs\['h'\]"),
        (GATED, {"method": "separable", "inputs": {"h": 0.1}}, "varying update gate"),
    ],
    ids=[
        "cell",
        "method",
        "not-exact",
        "gru",
        "per-unit",
        "negative",
        "nan",
        "no-mapping",
        "no-drive",
        "function",
        "text",
        "integrated-input",
    ],
)
def test_what_cannot_be_solved_is_refused(cell, options, says):
    with pytest.raises(InvalidInputError, match=says):
        solve_dmft(cell, **options)
    with pytest.raises(InvalidInputError, match=says):
        follow_dmft([cell], **options)
    if "start" not in options:
        with pytest.raises(InvalidInputError, match=says):
            mean_field_branches(cell, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"scheme": "heun"}, "scheme = 'heun'.*'euler'"),
        ({"scheme": "euler", "method": "lag equations"}, "continuous.*'sampled'"),
        ({"dt": -0.1}, "dt = -0.1"),
        ({"period": 0.0}, "period = 0"),
        ({"max_period": np.nan}, "max_period"),
        ({"samples": 1}, "samples = 1"),
        ({"batches": 1}, "batches = 1"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"max_sweeps": 0}, "max_sweeps"),
        ({"dtype": "int8"}, "dtype = 'int8'"),
        ({"seed": -3}, "seed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_options_of_paths_are_checked_where_no_path_is_drawn(options, says):
    with pytest.raises(InvalidInputError, match=says):
        solve_dmft(gf.VanillaRNN(0.5), **options)


def test_only_paths_take_eulers_steps():
    """Asked for networks that are stepped so: the lag equations know continuous time only."""
    settings = {"samples": 100, "batches": 2, "period": 30.0, "dt": 0.1, "progress": False}
    found = solve_dmft(gf.VanillaRNN(0.5), scheme="euler", **settings)
    assert found.method == "sampled" and dict(found.settings)["scheme"] == "euler"


def test_only_lag_equations_are_continued():
    for call in (mean_field_branches, lambda cell, **rest: follow_dmft([cell], **rest)):
        with pytest.raises(InvalidInputError, match="method = 'sampled'"):
            call(GATED, method="sampled")
        with pytest.raises(InvalidInputError, match="alpha_z > 0"):
            call(GATED)


def test_unknown_quantities_are_refused():
    found = solve_dmft(gf.VanillaRNN(0.5))
    for call in (lambda: found.at("r", [0.0]), lambda: found.relaxation_time("z")):
        with pytest.raises(InvalidInputError, match="'h', 'eta_h', 'y_h', 'phi'"):
            call()
