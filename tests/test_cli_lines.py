"""The command ``gatefield lines``: what it prints, writes, and how it ends."""

from __future__ import annotations

import numpy as np
import pytest
from commands import group, run

from gatefield.cells import GatedRNN
from gatefield.cli.config import LinesConfig
from gatefield.cli.lines import _checks
from gatefield.compare import Settling
from gatefield.figures.biased_points import BiasedPoint, first_branch

FAST = ("--alpha-points", "5", "--formats", "png")


def test_lines_are_printed_and_written(tmp_path):
    """At beta_h = 0 the line is at g_h = 1/s_r(0): 1 + e at beta_r = -1, 2 at 0."""
    ran = run("lines", "--vary", "beta_r", "--value", "-1", "--value", "0", *FAST,
              "--no-marginal", "--fold", "--output", str(tmp_path))  # fmt: skip
    assert ran.code == 0 and ran.error == ""
    assert "beta_r = -1" in ran.text and "3.71828" in ran.text
    assert "marginally" not in ran.text and "further fixed points" in ran.text
    data = group(tmp_path / "lines.nc", "lines")
    np.testing.assert_allclose(data["stability"], [[1 + np.e] * 5, [2.0] * 5], rtol=1e-10)
    assert (tmp_path / "lines.png").stat().st_size > 10_000
    assert '"vary":"beta_r"' in group(tmp_path / "lines.nc").attrs["config"]


def test_biases_of_all_lines_and_offsets_are_passed_on(tmp_path):
    """A gate that is always open (z_offset large) has its marginal line at rho = 1."""
    biases = ("--beta-h", "0.1", "--bias-variance-h", "0.1", "--z-offset", "50")
    varied = ("--vary", "input_variance_h", "--value", "0.04")
    ran = run("lines", *varied, *biases, *FAST, "--output", str(tmp_path))
    assert ran.code == 0
    data = group(tmp_path / "lines.nc", "lines")
    np.testing.assert_allclose(data["marginal"], data["stability"], rtol=1e-6)
    assert float(data["stability"][0, 0]) > 3.318  # 3.318 by the input alone


@pytest.mark.slow
def test_networks_at_points(tmp_path):
    options = ("--vary", "beta_h", "--value", "0", "--value", "0.3", "--n", "100", "--networks",
               "3", "--t-max", "60", *FAST, "--output", str(tmp_path))  # fmt: skip
    ran = run("lines", "--point", "1,2", "--point", "6,2", "--strict", *options)
    assert ran.code == 0
    assert "at 4 of 4 points" in " ".join(ran.text.split())
    data = group(tmp_path / "lines.nc", "networks")
    assert data["resting"].shape == (4, 3)
    np.testing.assert_array_equal(data["resting"].all("network"), [True, True, False, False])
    np.testing.assert_array_equal(data["beta_h"], [0.0, 0.3, 0.0, 0.3])


def test_strict_fails_where_nothing_can_be_judged(tmp_path):
    """At g_h = 2 without bias the radius is one; at 1.5 zero decays at 1/8, by e^-1.25 only."""
    ran = run("lines", "--value", "0", "--point", "2,0", "--point", "1.5,1", "--n", "20",
              "--networks", "1", "--t-max", "10", "--strict", *FAST,
              "--output", str(tmp_path))  # fmt: skip
    said = " ".join(ran.text.split())
    assert ran.code == 1 and "too close to one to judge" in said
    assert "rho = 0.750, 0 of 1 at rest, too short to judge" in said
    assert "at 0 of 0 points" in said and "1 more decay too slowly to be judged" in said


@pytest.mark.parametrize("vary", ["beta_h", "input_variance_r"])
def test_marks_are_of_points_that_can_be_judged(vary):
    """Theory is at rho = .975 (too close), .5 (at rest) and beyond; networks rest everywhere."""
    options = {"vary": vary, "value": [0.0], "point": ["1.95,0", "1,0", "6,0"]}
    config = LinesConfig.model_validate(options)
    ones = np.ones(3)
    resting = Settling(0 * ones, 0 * ones, -ones, 0 * ones, 400, 200.0, False)
    found = [
        BiasedPoint({vary: 0.0, "g_h": g, "alpha_r": 0.0}, first_branch(GatedRNN(g)), resting,
                    resting)
        for g in (1.95, 1.0, 6.0)
    ]  # fmt: skip
    assert _checks(config, found) == [(1.0, 0.0, True), (6.0, 0.0, False)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--vary", "beta_z"), "vary"),
        (("--beta-h", "0.3"), "what is varied"),
        (("--vary", "input_variance_h", "--value", "-1"), "not negative"),
        (("--point", "1;2"), "expected g,alpha"),
        (("--networks", "4"), "odd"),
        (("--strict",), "at least one point"),
        (("--values", "1"), "values"),
        (("--t-max", "1"), "t_max"),
    ],
    ids=["vary", "own value", "negative", "point", "even", "strict", "unknown", "short"],
)
def test_what_makes_no_sense_is_refused(arguments, says, tmp_path):
    ran = run("lines", *arguments, "--output", str(tmp_path))
    assert ran.code == 2 and says in ran.error
    assert "Traceback" not in ran.error and not list(tmp_path.iterdir())
